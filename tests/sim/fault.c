/* fault: everything that goes wrong until the world heals, drawn from the seed. */
#include "tests/sim/world.h"

#define S UINT64_C(1000000)

static struct sim_node *any(struct world *w)
{
    return &w->nodes[world_random(w, 0, w->o.nodes - 1)];
}

/* ---- paths ---- */

/* Places have distances: a rack, a city, a continent. */
static void set_out(struct world *w, size_t a, size_t b)
{
    static const uint32_t delays_us[] = {300, 1000, 8000, 30000, 60000};
    uint32_t delay = delays_us[world_random(w, 0, 4)];
    struct sim_path p = {.delay_us = delay, .jitter_us = delay / 4, .straggle_percent = 3, .loss_percent = 2};
    w->nodes[a].links[b].path = w->nodes[b].links[a].path = p;
}

static void spoil(struct world *w, struct sim_path *p)
{
    static const unsigned losses[] = {0, 2, 10, 30};
    static const uint32_t speeds[] = {0, 0, 64000, 8000};
    p->loss_percent = losses[world_random(w, 0, 3)];
    p->duplicate_percent = world_chance(w, 40) ? 10 : 0;
    p->straggle_percent = world_chance(w, 40) ? 20 : 3;
    p->jitter_us = world_chance(w, 30) ? 150000 : p->delay_us / 4;
    p->bytes_per_s = speeds[world_random(w, 0, 3)];
}

/* One direction, or everything of one node, or everything. */
static void fault_network(struct world *w)
{
    size_t from = world_random(w, 0, w->o.nodes - 1);
    size_t to = world_random(w, 0, w->o.nodes - 1);
    unsigned scope = (unsigned)world_random(w, 0, 2);
    struct sim_path model = w->nodes[from].links[to].path;
    spoil(w, &model);
    for (size_t a = 0; a < w->o.nodes; a++) {
        for (size_t b = 0; b < w->o.nodes; b++) {
            bool hit = scope == 2 || (a == from && (scope == 1 || b == to));
            struct sim_path *p = &w->nodes[a].links[b].path;
            if (!hit || a == b) continue;
            p->loss_percent = model.loss_percent;
            p->duplicate_percent = model.duplicate_percent;
            p->straggle_percent = model.straggle_percent;
            p->jitter_us = model.jitter_us;
            p->bytes_per_s = model.bytes_per_s;
        }
    }
}

static void set_cut(struct world *w, size_t from, size_t to, bool cut)
{
    w->nodes[from].links[to].path.cut = cut;
}

static void fault_partition(struct world *w)
{
    bool side[SIM_NODES_MAX];
    w->n.partitions++;
    for (size_t i = 0; i < w->o.nodes; i++)
        side[i] = world_chance(w, 50);
    for (size_t a = 0; a < w->o.nodes; a++) {
        for (size_t b = 0; b < w->o.nodes; b++)
            set_cut(w, a, b, side[a] != side[b]);
    }
    net_check_links(w);
}

/* In one direction only: between two, or all that one says, or all that it hears. */
static void fault_deafen(struct world *w)
{
    size_t node = world_random(w, 0, w->o.nodes - 1);
    size_t peer = world_random(w, 0, w->o.nodes - 1);
    unsigned scope = (unsigned)world_random(w, 0, 2);
    w->n.cuts++;
    if (scope == 0) set_cut(w, node, peer, node != peer);
    for (size_t i = 0; scope > 0 && i < w->o.nodes; i++) {
        if (i == node) continue;
        set_cut(w, scope == 1 ? node : i, scope == 1 ? i : node, true);
    }
    net_check_links(w);
}

static void fault_reunite(struct world *w)
{
    for (size_t a = 0; a < w->o.nodes; a++) {
        for (size_t b = 0; b < w->o.nodes; b++)
            set_cut(w, a, b, false);
    }
}

static void flap_later(struct world *w, size_t from, size_t to)
{
    world_push(w, world_random(w, 100000, 1500000), (struct event){.type = SIM_FLAP, .node = from, .peer = to});
}

static void start_flapping(struct world *w, size_t from, size_t to)
{
    struct sim_path *p = &w->nodes[from].links[to].path;
    if (from == to || p->flaps > 0) return;
    p->flaps = 2 * (unsigned)world_random(w, 3, 10);
    flap_later(w, from, to);
}

/* A line that comes and goes: one direction, or all of a node's at different times. */
static void fault_flapping(struct world *w)
{
    size_t node = world_random(w, 0, w->o.nodes - 1);
    w->n.cuts++;
    if (world_chance(w, 50)) {
        start_flapping(w, node, world_random(w, 0, w->o.nodes - 1));
        return;
    }
    for (size_t i = 0; i < w->o.nodes; i++) {
        start_flapping(w, node, i);
        start_flapping(w, i, node);
    }
}

void fault_flap(struct world *w, const struct event *ev)
{
    struct sim_path *p = &w->nodes[ev->node].links[ev->peer].path;
    if (w->healed || p->flaps == 0) return;
    p->flaps--;
    p->cut = p->flaps % 2 == 1;
    if (p->cut) net_check_links(w);
    if (p->flaps > 0) flap_later(w, ev->node, ev->peer);
}

/* ---- nodes ---- */

static void fault_restart(struct world *w)
{
    size_t node = world_random(w, 0, w->o.nodes - 1);
    if (w->nodes[node].absent) return;
    static const uint64_t shortest_us[] = {1000, 200000, 3000000};
    uint64_t after = shortest_us[world_random(w, 0, 2)];
    life_crash(w, node);
    unsigned lost_percent = w->mood == MOOD_DISKS ? 90 : 30;
    bool may_lose = world_chance(w, lost_percent) && life_may_lose_disk(w, node);
    if (may_lose && w->now_us % 3 == 0) { /* no draw: the seeds keep their stories */
        life_lose_state(w, node);
    } else if (may_lose) {
        life_restore(w, node, world_chance(w, 20));
    }
    world_push(w, world_random(w, after, 3 * after), (struct event){.type = SIM_START, .node = node});
}

static void fault_backup(struct world *w)
{
    life_backup(w, world_random(w, 0, w->o.nodes - 1));
}

static void fault_pause(struct world *w)
{
    static const uint64_t longest_us[] = {1 * S, 4 * S, 10 * S, 60 * S};
    life_pause(w, world_random(w, 0, w->o.nodes - 1), world_random(w, S / 2, longest_us[world_random(w, 0, 3)]));
}

/* Once in a run, and three members stay. */
static void fault_part(struct world *w)
{
    size_t members = 0;
    for (size_t i = 0; i < w->o.nodes; i++)
        members += life_member(w, i) ? 1 : 0;
    size_t by = life_any(w);
    size_t node = world_random(w, 0, w->o.nodes - 1);
    if (members < 4 || w->n.evictions > 0 || by == SIZE_MAX || !life_member(w, node)) return;
    if (!net_walled(w, node) && w->o.walled > 0 && net_dialled_count(w) < 2) return; /* the others could not meet */
    bool up = w->nodes[node].core != NULL && !life_paused(w, node);
    if (world_chance(w, 60)) {
        life_evict(w, by, node);
    } else if (up) {
        life_leave(w, node);
    }
}

/* ---- disks and clocks ---- */

static void fault_disk(struct world *w)
{
    struct sim_node *n = any(w);
    w->n.disks++;
    switch (w->mood == MOOD_DISKS ? 2 : world_random(w, 0, 2)) {
    case 0: n->disk = DISK_FLAKY; break;
    case 1: n->disk = DISK_FULL; break;
    default: n->disk_slow_us = world_chance(w, 50) ? 3 * S : S / 5; break;
    }
    world_push(w, world_random(w, S / 2, 12 * S), (struct event){.type = SIM_DISK, .node = (size_t)(n - w->nodes)});
}

static void fault_clock(struct world *w)
{
    static const int64_t ahead_ms[] = {800, 4000, 60000, 3600000};
    size_t node = world_random(w, 0, w->o.nodes - 1);
    struct sim_node *n = &w->nodes[node];
    w->n.clocks++;
    if (world_chance(w, 30)) { /* from now on it runs at another speed */
        n->skew_ms = life_wall(w, node).ms - SIM_WALL_MS - (int64_t)(w->now_us / 1000);
        n->drift_from_us = w->now_us;
        n->drift_ppm = (int64_t)world_random(w, 0, 100000) - 50000;
        return;
    }
    int64_t by = (int64_t)world_random(w, 0, (uint64_t)ahead_ms[world_random(w, 0, 3)]);
    n->skew_ms = world_chance(w, 40) ? 0 : n->skew_ms + (world_chance(w, 50) ? by : -by);
}

/* ---- when ---- */

/* Each run has a mood: some mistakes need the same few faults again and again. */
static void (*const faults[MOOD_COUNT][20])(struct world *) = {
    [MOOD_MIXED] = {fault_partition, fault_deafen, fault_flapping, fault_reunite, fault_reunite, fault_reunite,
                    fault_restart, fault_restart, fault_restart, fault_backup, fault_network, fault_network, fault_disk,
                    fault_disk, fault_clock, fault_pause, fault_part},
    [MOOD_DISKS] = {fault_restart, fault_restart, fault_backup, fault_backup, fault_disk, fault_clock},
    [MOOD_LINES] = {fault_partition, fault_deafen, fault_deafen, fault_flapping, fault_reunite, fault_reunite,
                    fault_network, fault_network, fault_pause, fault_restart, fault_part},
};

void fault_next(struct world *w)
{
    if (w->healed) return;
    size_t count = 0;
    while (faults[w->mood][count] != NULL)
        count++;
    faults[w->mood][world_random(w, 0, count - 1)](w);
    world_push(w, world_random(w, 200000, 2500000), (struct event){.type = SIM_FAULT});
}

static void heal_path(struct sim_path *p)
{
    p->cut = false;
    p->loss_percent = p->duplicate_percent = p->flaps = 0;
    p->jitter_us = p->delay_us / 4;
    p->bytes_per_s = 0;
    p->straggle_percent = 0;
}

void fault_heal(struct world *w)
{
    w->healed = true;
    w->heal_us = w->now_us;
    for (size_t i = 0; i < w->o.nodes; i++) {
        struct sim_node *n = &w->nodes[i];
        n->disk = DISK_GOOD;
        n->disk_slow_us = 0;
        world_wake(w, i);
        for (size_t k = 0; k < w->o.nodes; k++)
            heal_path(&n->links[k].path);
    }
    for (size_t i = 0; i < w->o.nodes; i++)
        life_start(w, i);
}

void fault_begin(struct world *w)
{
    static const enum sim_mood moods[] = {MOOD_DISKS, MOOD_LINES, MOOD_MIXED, MOOD_MIXED};
    w->mood = moods[w->o.seed / 17 % 4];
    for (size_t i = 0; i < w->o.nodes; i++) {
        struct sim_node *n = &w->nodes[i];
        n->skew_ms = (int64_t)world_random(w, 0, 4000) - 2000;
        /* Now and then a node whose clock is plainly wrong. */
        if (world_chance(w, 4)) n->skew_ms += world_chance(w, 50) ? 60000 : 3600000;
        for (size_t k = 0; k < i; k++)
            set_out(w, i, k);
        n->absent = true;
        n->late = i > 1 && i + 1 == w->o.nodes && world_chance(w, 40);
        uint64_t at = n->late ? world_random(w, 5 * S, (uint64_t)w->o.seconds * S) : world_random(w, 0, 2 * S);
        world_push(w, at, (struct event){.type = SIM_START, .node = i});
    }
    world_push(w, 2500000, (struct event){.type = SIM_WORK});
    world_push(w, 4000000, (struct event){.type = SIM_FAULT});
    world_push(w, (uint64_t)w->o.seconds * S, (struct event){.type = SIM_HEAL});
}
