/* calm: all has healed and all agree; nothing is wrong any more. From now on things must be fast: a change is durable
 * everywhere within SPREAD_US of its report; nobody living is doubted; and when one node dies, every other knows it
 * within DETECT_US. */
#include "tests/sim/world.h"

#define QUIET_US 6000000 /* rumours of the storm die down: twice the life of a note, rounded up */
#define LOOK_US 10000
#define ROUNDS 4
#define APPLY_US 1000000
#define SPREAD_US 400000
#define DETECT_US 3500000

static void enter(struct world *w, enum calm_stage stage)
{
    w->calm.stage = stage;
    w->calm.since_us = w->now_us;
}

void calm_begin(struct world *w)
{
    enter(w, CALM_QUIET);
    world_push(w, QUIET_US, (struct event){.type = SIM_CALM});
}

void calm_member(struct world *w, size_t node, const struct member_note *note)
{
    size_t about = sim_index(&note->name);
    bool doubted = note->status == MEMBER_SUSPECT || note->status == MEMBER_DEAD;
    if (w->calm.stage < CALM_SPREAD || !doubted || w->nodes[about].core == NULL || w->nodes[about].gone) return;
    if (!life_member(w, node)) return;
    bool apart = net_walled(w, node) && net_walled(w, about);
    if (apart && net_dialled_count(w) == 0) return; /* nobody is left who could tell */
    world_violate(w, "nobody living is doubted in calm", "n%zu says that n%zu is %s", node, about,
                  member_status_name(note->status));
}

static size_t any_member(struct world *w)
{
    size_t node = life_any(w);
    ASSERT(node != SIZE_MAX);
    return node;
}

/* ---- spread ---- */

static bool everywhere(const struct world *w, const struct log_id *id)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (life_member(w, i) && !sim_store_has(&w->nodes[i].store, id)) return false;
    }
    return true;
}

static void ask(struct world *w)
{
    w->calm.asked = true;
    w->calm.node = any_member(w);
    w->calm.applied = w->applied_count;
    w->calm.since_us = w->now_us;
    w->calm.told_us = 0;
    work_change(w, w->calm.node);
}

static void watch_spread(struct world *w)
{
    if (w->calm.applied == w->applied_count) {
        if (w->now_us > w->calm.since_us + APPLY_US)
            world_violate(w, "a change is applied soon", "at n%zu", w->calm.node);
        return;
    }
    if (w->calm.told_us == 0) w->calm.told_us = w->now_us;
    uint64_t took = w->now_us - w->calm.told_us;
    if (took > w->calm.spread_us_max) w->calm.spread_us_max = took;
    if (everywhere(w, &w->applied[w->calm.applied].id)) {
        w->calm.asked = false;
        w->calm.rounds++;
    } else if (took > SPREAD_US) {
        world_violate(w, "a change spreads at once", "not everywhere after %llu ms", (unsigned long long)took / 1000);
    }
}

static void spread(struct world *w)
{
    if (w->calm.asked) {
        watch_spread(w);
    } else if (w->calm.rounds < ROUNDS) {
        ask(w);
    } else {
        w->calm.node = any_member(w);
        enter(w, CALM_DEATH);
        life_crash(w, w->calm.node);
    }
}

/* ---- death ---- */

static bool all_know(const struct world *w)
{
    struct node_name name = sim_name(w->calm.node);
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (i == w->calm.node || !life_member(w, i)) continue;
        if (repl_member_status(w->nodes[i].core, &name) != MEMBER_DEAD) return false;
    }
    return true;
}

static void death(struct world *w)
{
    w->calm.detect_us_max = w->now_us - w->calm.since_us;
    if (all_know(w)) {
        enter(w, CALM_OVER);
    } else if (w->calm.detect_us_max > DETECT_US) {
        world_violate(w, "a death is known soon", "not everybody knows that n%zu is dead", w->calm.node);
    }
}

void calm_next(struct world *w)
{
    switch (w->calm.stage) {
    case CALM_QUIET: enter(w, CALM_SPREAD); break;
    case CALM_SPREAD: spread(w); break;
    case CALM_DEATH: death(w); break;
    case CALM_NOT_YET:
    case CALM_OVER: break;
    }
    world_push(w, LOOK_US, (struct event){.type = SIM_CALM});
}
