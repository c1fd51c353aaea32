/* life: nodes start, die, stand still, find another disk, join, leave and are evicted. */
#include "tests/sim/world.h"

#include <stdlib.h>

#define SEEDS 3 /* of the configuration: one of them may be gone for good, and another down */

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

struct wall life_wall(const struct world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];
    int64_t drift_us = (int64_t)(w->now_us - n->drift_from_us) / 1000 * n->drift_ppm / 1000;
    return (struct wall){SIM_WALL_MS + (int64_t)(w->now_us / 1000) + n->skew_ms + drift_us / 1000};
}

bool life_member(const struct world *w, size_t node)
{
    return !w->nodes[node].gone && !w->nodes[node].absent;
}

bool life_paused(const struct world *w, size_t node)
{
    return w->nodes[node].paused_until_us > w->now_us;
}

size_t life_any(struct world *w)
{
    size_t first = world_random(w, 0, w->o.nodes - 1);
    for (size_t i = 0; i < w->o.nodes; i++) {
        size_t node = (first + i) % w->o.nodes;
        if (life_member(w, node) && w->nodes[node].core != NULL && !life_paused(w, node)) return node;
    }
    return SIZE_MAX;
}

/* ---- starting ---- */

static size_t load_state(const struct sim_store *s, struct vector_entry *state)
{
    size_t n = 0;
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (s->owners[i].epoch == 0) continue;
        state[n++] = (struct vector_entry){sim_name(i), s->owners[i].epoch, s->owners[i].high};
    }
    return n;
}

static struct slice address(const struct world *w, size_t node)
{
    return net_walled(w, node) ? SLICE("") : SLICE("10.0.0.1:7400");
}

static size_t load_members(const struct world *w, const struct sim_store *s, struct member_note *members)
{
    size_t n = 0;
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (!s->members[i].known) continue;
        members[n++] = (struct member_note){.name = sim_name(i),
                                            .incarnation = s->members[i].incarnation,
                                            .status = s->members[i].status,
                                            .barred = s->members[i].barred,
                                            .mesh_address = address(w, i),
                                            .site = SLICE("site")};
    }
    return n;
}

/* The clock's, and above every earlier one that the disk knows. */
static struct member_status_of own_life(const struct world *w, size_t node)
{
    const struct member_status_of *known = &w->nodes[node].store.members[node];
    struct member_status_of own = {true, MEMBER_ALIVE, (uint64_t)life_wall(w, node).ms, known->barred};
    if (!known->known) return own;
    if (known->incarnation >= own.incarnation) own.incarnation = known->incarnation + 1;
    if (known->status == MEMBER_LEFT || known->status == MEMBER_EVICTED) own.status = known->status;
    return own;
}

static uint64_t own_version(const struct sim_owner *own)
{
    uint64_t highest = own->high;
    for (size_t k = 0; k < SIM_RECORDS; k++) {
        if (own->records[k].version > highest) highest = own->records[k].version;
    }
    return highest;
}

static void load(struct world *w, size_t node)
{
    struct arena arena = {0};
    struct sim_store *s = &w->nodes[node].store;
    struct member_status_of own = own_life(w, node);
    struct vector_entry *plan = must(arena_alloc(&arena, (s->log_count + 1) * sizeof *plan));
    struct vector_entry *state = must(arena_alloc(&arena, SIM_NODES_MAX * sizeof *state));
    struct member_note *members = must(arena_alloc(&arena, SIM_NODES_MAX * sizeof *members));
    for (size_t i = 0; i < s->log_count; i++)
        plan[i] = (struct vector_entry){s->logs[i].origin, s->logs[i].epoch, s->logs[i].count};
    if (s->epoch == 0) s->epoch = (uint64_t)life_wall(w, node).ms;
    struct repl_config config = {.self = sim_name(node),
                                 .site = SLICE("site"),
                                 .mesh_address = address(w, node),
                                 .epoch = s->epoch,
                                 .incarnation = own.incarnation,
                                 .seed = rng_next(&w->rng),
                                 .plan_vector = plan,
                                 .plan_count = s->log_count,
                                 .state_vector = state,
                                 .state_count = load_state(s, state),
                                 .state_version = own_version(&s->owners[node]),
                                 .members = members,
                                 .member_count = load_members(w, s, members),
                                 .joins = node != 0 || w->nodes[node].restored,
                                 .time = s->time,
                                 .floor = s->floor,
                                 .tombstones = sim_store_tombstones(s)};
    for (size_t i = 0; i < config.member_count; i++)
        config.joins = config.joins && sim_index(&members[i].name) == node;
    sim_store_digest(s, config.plan_digest);
    enum err e = repl_new(&config, &w->nodes[node].core);
    ASSERT(e == ERR_OK);
    arena_fini(&arena);
    driver_remember(w, node, node, &own);
}

void life_start(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core != NULL || n->gone || w->calm.stage > CALM_QUIET) return;
    if (n->absent) w->n.joins++;
    n->absent = false;
    n->boot++;
    n->awake_us = w->now_us;
    n->deadline_us = UINT64_MAX;
    for (size_t i = 0; i < w->o.nodes; i++)
        n->links[i].heard_us = w->now_us;
    world_trace(w, node, "start");
    load(w, node);
    for (size_t i = 0; i < SEEDS && i < w->o.nodes; i++) {
        if (i != node) net_dial(w, node, i);
    }
    world_step(w, node, &(struct repl_event){.type = REPL_EV_TICK});
}

/* ---- ending ---- */

void life_crash(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core == NULL) return;
    w->n.crashes++;
    world_trace(w, node, "crash");
    driver_crash(w, node);
    repl_free(n->core);
    n->core = NULL;
    n->boot++;
    n->down_us = w->now_us;
    n->paused_until_us = 0;
    for (size_t i = 0; i < w->o.nodes; i++)
        n->links[i].wanted = n->links[i].trying = n->links[i].up = false;
    net_check_links(w);
}

void life_pause(struct world *w, size_t node, uint64_t for_us)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core == NULL || life_paused(w, node)) return;
    w->n.pauses++;
    world_trace(w, node, "stands still for %llu", (unsigned long long)for_us);
    n->paused_until_us = n->awake_us = w->now_us + for_us;
    net_check_links(w);
}

/* ---- another disk ---- */

void life_backup(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->backup != NULL || n->core == NULL) return;
    n->backup = world_alloc(1, sizeof *n->backup);
    sim_store_clone(n->backup, &n->store);
}

static bool members_have(const struct world *w, const struct log_id *id)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (life_member(w, i) && sim_store_has(&w->nodes[i].store, id)) return true;
    }
    return false;
}

/* What no member has any more is lost, and nobody can promise otherwise. */
static void give_up_lost(struct world *w)
{
    for (size_t i = 0; i < w->applied_count; i++)
        w->applied[i].void_ = w->applied[i].void_ || !members_have(w, &w->applied[i].id);
}

/* Knows again all that any replica has of its own log. */
static bool recovered(const struct world *w, size_t node)
{
    struct node_name name = sim_name(node);
    if (w->nodes[node].core == NULL) return false;
    for (size_t i = 0; i < w->o.nodes; i++) {
        const struct sim_store *s = &w->nodes[i].store;
        for (size_t k = 0; k < s->log_count; k++) {
            const struct sim_log *l = &s->logs[k];
            if (!node_name_eq(&l->origin, &name)) continue;
            if (sim_store_high(&w->nodes[node].store, &name, l->epoch) < l->count) return false;
        }
    }
    return true;
}

bool life_may_lose_disk(const struct world *w, size_t node)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (i != node && w->nodes[i].old_disk && life_member(w, i) && !recovered(w, i)) return false;
    }
    return true;
}

void life_restore(struct world *w, size_t node, bool empty)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core != NULL || (n->backup == NULL && !empty)) return;
    w->n.restores++;
    uint64_t revision = n->store.revision + 1;
    sim_store_fini(&n->store);
    n->store = empty ? (struct sim_store){0} : *n->backup;
    n->store.revision = revision;
    if (empty && n->backup != NULL) sim_store_fini(n->backup);
    free(n->backup);
    n->backup = NULL;
    n->old_disk = n->restored = true;
    world_trace(w, node, "%s disk", empty ? "empty" : "old");
    give_up_lost(w);
    sim_store_forget(w);
    oracle_reset(w, node);
}

void life_lose_state(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core != NULL) return;
    w->n.restores++;
    memset(n->store.owners, 0, sizeof n->store.owners);
    n->store.revision++;
    n->old_disk = true;
    world_trace(w, node, "lost its state");
}

/* ---- for good ---- */

static void part(struct world *w, size_t by, size_t node, enum member_status how)
{
    w->n.evictions++;
    w->nodes[node].gone = true;
    w->nodes[node].gone_how = how;
    w->nodes[node].gone_by = by;
    give_up_lost(w);
}

/* It may go on for as long as it does not know. */
void life_evict(struct world *w, size_t by, size_t node)
{
    struct node_name name = sim_name(node);
    bool knows = false;
    for (size_t i = 0; i < repl_member_count(w->nodes[by].core); i++) {
        struct repl_member_view v = repl_member_at(w->nodes[by].core, i);
        knows = knows || node_name_eq(&v.name, &name);
    }
    if (!knows || by == node) return;
    world_trace(w, by, "evicts n%zu", node);
    part(w, by, node, MEMBER_EVICTED);
    world_step(w, by, &(struct repl_event){.type = REPL_EV_EVICT, .peer = name});
}

void life_leave(struct world *w, size_t node)
{
    world_trace(w, node, "leaves");
    part(w, node, node, MEMBER_LEFT);
    world_step(w, node, &(struct repl_event){.type = REPL_EV_LEAVE});
    world_push(w, 3000000, (struct event){.type = SIM_STOP, .node = node});
}
