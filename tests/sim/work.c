/* work: operators who edit the plan, often the same objects, and phones that register. */
#include "tests/sim/world.h"

#include <stdio.h>

#define OPS_MAX 4

/* A few keys are edited by everybody; never one twice in a change. */
static void choose_keys(struct world *w, size_t count, size_t *keys)
{
    size_t range = world_chance(w, 40) && count <= SIM_HOT_KEYS ? SIM_HOT_KEYS : SIM_KEYS;
    size_t first = world_random(w, 0, range - 1);
    for (size_t i = 0; i < count; i++)
        keys[i] = (first + i) % range;
}

static struct hlc seen_stamp(const struct world *w, size_t node, const struct change_op *ops, size_t count)
{
    struct hlc newest = {0};
    for (size_t i = 0; i < count; i++) {
        struct hlc t = sim_store_stamp(&w->nodes[node].store, ops[i].key);
        if (t.v > newest.v) newest = t;
    }
    return newest;
}

void work_change(struct world *w, size_t node)
{
    char names[OPS_MAX][16];
    uint64_t values[OPS_MAX];
    size_t keys[OPS_MAX];
    char text[32];
    struct change_op ops[OPS_MAX] = {{.kind = CHANGE_PUT}};
    size_t count = world_random(w, 1, OPS_MAX);
    choose_keys(w, count, keys);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%02u", (unsigned)keys[i]);
        values[i] = rng_next(&w->rng) | 1;
        bool put = !world_chance(w, 35);
        ops[i].kind = put ? CHANGE_PUT : CHANGE_DELETE;
        ops[i].key = slice_of(names[i]);
        ops[i].value = put ? (struct slice){(const char *)&values[i], sizeof values[i]} : SLICE_NONE;
    }
    (void)snprintf(text, sizeof text, "change %llu", (unsigned long long)++w->next_token);
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE,
                            .token = w->next_token,
                            .author = SLICE("root@sim"),
                            .text = slice_of(text),
                            .ops = ops,
                            .op_count = count,
                            .after = seen_stamp(w, node, ops, count)};
    world_step(w, node, &ev);
}

static void observe(struct world *w, size_t node)
{
    char key[16];
    uint64_t value = rng_next(&w->rng) | 1;
    (void)snprintf(key, sizeof key, "s%u", (unsigned)world_random(w, 0, SIM_RECORDS - 1));
    struct repl_event ev = {.type = REPL_EV_LOCAL_STATE,
                            .token = ++w->next_token,
                            .kind = STATE_BINDING,
                            .key = slice_of(key),
                            .value = {(const char *)&value, sizeof value},
                            .removed = world_chance(w, 25)};
    world_step(w, node, &ev);
}

static void work_at(struct world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];
    unsigned burst = world_chance(w, 5) ? 20 : 1;
    for (unsigned i = 0; i < burst && n->core != NULL && !life_paused(w, node); i++) {
        if (world_chance(w, 40)) {
            work_change(w, node);
        } else {
            observe(w, node);
        }
    }
}

void work_next(struct world *w)
{
    if (w->healed) return;
    work_at(w, world_random(w, 0, w->o.nodes - 1));
    if (world_chance(w, 10)) { /* everybody at the same moment */
        for (size_t i = 0; i < w->o.nodes; i++) {
            if (w->nodes[i].core != NULL && !life_paused(w, i)) work_change(w, i);
        }
    }
    /* Now and then all is quiet for a while: then deletions are forgotten. */
    uint64_t after = world_random(w, 1, 100) == 1 ? world_random(w, 3000000, 8000000) : world_random(w, 5000, 120000);
    world_push(w, after, (struct event){.type = SIM_WORK});
}
