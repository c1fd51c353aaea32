/* fault: what happens to the cluster: operators and phones at work, and everything that goes wrong, drawn from the
 * seed. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

/* ---- starting and dying ---- */

static size_t load_vectors(const struct sim_store *s, struct vector_entry *plan, struct vector_entry *state)
{
    for (size_t i = 0; i < s->log_count; i++) {
        plan[i] = (struct vector_entry){s->logs[i].origin, s->logs[i].epoch, s->logs[i].count};
    }
    size_t n = 0;
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (s->owners[i].epoch == 0) continue;
        state[n++] = (struct vector_entry){sim_name(i), s->owners[i].epoch, s->owners[i].high};
    }
    return n;
}

static size_t load_members(const struct sim_store *s, struct member_note *members)
{
    size_t n = 0;
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (!s->members[i].known) continue;
        members[n++] = (struct member_note){.name = sim_name(i),
                                            .incarnation = s->members[i].incarnation,
                                            .status = s->members[i].status,
                                            .mesh_address = SLICE("10.0.0.1:7400"),
                                            .site = SLICE("site")};
    }
    return n;
}

void fault_start(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core != NULL) return;
    struct arena arena = {0};
    struct sim_store *s = &n->store;
    struct vector_entry *plan = must(arena_alloc(&arena, (s->log_count + 1) * sizeof *plan));
    struct vector_entry *state = must(arena_alloc(&arena, SIM_NODES_MAX * sizeof *state));
    struct member_note *members = must(arena_alloc(&arena, SIM_NODES_MAX * sizeof *members));
    uint64_t wall_ms = (uint64_t)(SIM_WALL_MS + (int64_t)(w->now_us / 1000) + n->skew_ms);
    if (s->epoch == 0) s->epoch = wall_ms;
    struct repl_config config = {.self = sim_name(node),
                                 .site = SLICE("site"),
                                 .mesh_address = SLICE("10.0.0.1:7400"),
                                 .epoch = s->epoch,
                                 .incarnation = wall_ms,
                                 .seed = rng_next(&w->rng),
                                 .plan_vector = plan,
                                 .plan_count = s->log_count,
                                 .state_vector = state,
                                 .state_count = load_vectors(s, plan, state),
                                 .members = members,
                                 .member_count = load_members(s, members),
                                 .time = s->time};
    sim_store_digest(s, config.plan_digest);
    enum err e = repl_new(&config, &n->core);
    ASSERT(e == ERR_OK);
    arena_fini(&arena);
    n->boot++;
    n->up_us = w->now_us;
    if (w->o.trace) printf("%llu n%zu start\n", (unsigned long long)w->now_us, node);
    n->deadline_us = UINT64_MAX;
    if (node != 0) net_dial(w, node, 0); /* the seed of its configuration */
    world_step(w, node, &(struct repl_event){.type = REPL_EV_TICK});
}

void fault_crash(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core == NULL) return;
    w->n.crashes++;
    if (w->o.trace) printf("%llu n%zu crash\n", (unsigned long long)w->now_us, node);
    /* The first of what was asked may be on disk, and nobody was told. */
    bool written = world_chance(w, 70);
    while (n->jobs != NULL) {
        if (written) (void)!world_commit(w, node, n->jobs);
        written = written && world_chance(w, 70);
        world_drop_job(n);
    }
    repl_free(n->core);
    n->core = NULL;
    n->boot++;
    n->down_us = w->now_us;
    memset(n->links, 0, sizeof n->links);
    net_check_links(w);
}

/* The disk is replaced by an older copy of itself. What only it had is lost, and nobody can promise otherwise. */
static void restore_backup(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->backup == NULL || n->core != NULL) return;
    w->n.restores++;
    sim_store_fini(&n->store);
    n->store = *n->backup;
    free(n->backup);
    n->backup = NULL;
    n->old_disk = true;
    if (w->o.trace) printf("%llu n%zu old disk\n", (unsigned long long)w->now_us, node);
    for (size_t i = 0; i < w->applied_count; i++) {
        if (!world_has(w, &w->applied[i].id)) w->applied[i].void_ = true;
    }
    sim_store_forget(w);
}

/* ---- work ---- */

static void change_plan(struct world *w, size_t node)
{
    char keys[3][16];
    uint64_t values[3];
    char text[32];
    struct change_op ops[3];
    size_t count = world_random(w, 1, 3);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%u", (unsigned)world_random(w, 0, SIM_KEYS - 1));
        values[i] = rng_next(&w->rng) | 1;
        bool put = !world_chance(w, 20);
        ops[i].kind = put ? CHANGE_PUT : CHANGE_DELETE;
        ops[i].key = slice_of(keys[i]);
        ops[i].value = put ? (struct slice){(const char *)&values[i], sizeof values[i]} : SLICE_NONE;
    }
    (void)snprintf(text, sizeof text, "change %llu", (unsigned long long)++w->next_token);
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE,
                            .token = w->next_token,
                            .author = SLICE("root@sim"),
                            .text = slice_of(text),
                            .ops = ops,
                            .op_count = count};
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

void fault_work(struct world *w)
{
    if (w->healed) return;
    size_t node = world_random(w, 0, w->o.nodes - 1);
    unsigned burst = world_chance(w, 5) ? 20 : 1;
    for (unsigned i = 0; i < burst && w->nodes[node].core != NULL; i++) {
        if (world_chance(w, 40)) {
            change_plan(w, node);
        } else {
            observe(w, node);
        }
    }
    world_push(w, world_random(w, 5000, 120000), (struct event){.type = SIM_WORK});
}

/* ---- faults ---- */

static void fault_partition(struct world *w)
{
    w->n.partitions++;
    for (size_t i = 0; i < w->o.nodes; i++)
        w->nodes[i].group = (int)world_random(w, 0, 1);
    net_check_links(w);
}

static void fault_reunite(struct world *w)
{
    for (size_t i = 0; i < w->o.nodes; i++)
        w->nodes[i].group = 0;
}

static void fault_restart(struct world *w)
{
    size_t node = world_random(w, 0, w->o.nodes - 1);
    uint64_t after = world_random(w, 200000, 9000000);
    fault_crash(w, node);
    if (world_chance(w, 30)) restore_backup(w, node);
    world_push(w, after, (struct event){.type = SIM_START, .node = node});
}

static void fault_backup(struct world *w)
{
    struct sim_node *n = &w->nodes[world_random(w, 0, w->o.nodes - 1)];
    if (n->backup != NULL || n->core == NULL) return;
    n->backup = must(calloc(1, sizeof *n->backup));
    sim_store_clone(n->backup, &n->store);
}

static void fault_network(struct world *w)
{
    static const unsigned losses[] = {0, 0, 2, 10, 30};
    w->loss_percent = losses[world_random(w, 0, 4)];
    w->duplicate_percent = world_chance(w, 50) ? 10 : 0;
}

static void fault_disks(struct world *w)
{
    w->store_fail_percent = w->store_fail_percent == 0 && world_chance(w, 60) ? 20 : 0;
}

void fault_next(struct world *w)
{
    static void (*const faults[])(struct world *) = {fault_partition, fault_reunite, fault_reunite, fault_restart,
                                                     fault_restart,   fault_backup,  fault_network, fault_disks};
    if (w->healed) return;
    faults[world_random(w, 0, sizeof faults / sizeof faults[0] - 1)](w);
    world_push(w, world_random(w, 300000, 3000000), (struct event){.type = SIM_FAULT});
}

void fault_heal(struct world *w)
{
    w->healed = true;
    w->heal_us = w->now_us;
    w->loss_percent = w->duplicate_percent = w->store_fail_percent = 0;
    fault_reunite(w);
    for (size_t i = 0; i < w->o.nodes; i++)
        fault_start(w, i);
}

void fault_begin(struct world *w)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        w->nodes[i].skew_ms = (int64_t)world_random(w, 0, 4000) - 2000;
        /* Now and then a node whose clock is plainly wrong. */
        if (world_chance(w, 4)) w->nodes[i].skew_ms += 60000;
        world_push(w, world_random(w, 0, 2000000), (struct event){.type = SIM_START, .node = i});
    }
    w->loss_percent = 2;
    world_push(w, 2500000, (struct event){.type = SIM_WORK});
    world_push(w, 4000000, (struct event){.type = SIM_FAULT});
    world_push(w, (uint64_t)w->o.seconds * 1000000, (struct event){.type = SIM_HEAL});
}
