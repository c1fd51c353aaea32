/* invariant: what must hold whatever happens, looked at from outside the cores, in the replicas themselves. */
#include "tests/sim/world.h"

#include <stdio.h>

/* A node that hears nothing of another for so long does not take it for alive: REPL_SUSPECT_MS, and the time until it
 * looks. It holds for all that observe each other themselves, that is, in clusters of up to OBSERVE_ALL. Nothing else
 * enters: neither partitions, nor losses, nor who else is down. */
#define SILENT_US 2600000
#define OBSERVE_ALL 6

/* A vector entry of state claims every record up to it, at the owner's version or a later one. */
static void state_claim(struct world *w, size_t at, size_t owner)
{
    const struct sim_owner *own = &w->nodes[owner].store.owners[owner];
    const struct sim_owner *seen = &w->nodes[at].store.owners[owner];
    if (w->nodes[owner].old_disk || own->epoch == 0 || own->epoch != seen->epoch) return;
    for (size_t k = 0; k < SIM_RECORDS; k++) {
        const struct sim_record *o = &own->records[k];
        const struct sim_record *s = &seen->records[k];
        if (s->version > seen->high) {
            world_violate(w, "a replica holds what its vector covers", "n%zu of n%zu, key %zu", at, owner, k);
        }
        bool claimed = o->version > 0 && o->version <= seen->high;
        bool differs = o->version == s->version && (o->value != s->value || o->removed != s->removed);
        if ((claimed && s->version < o->version) || differs) {
            world_violate(w, "a vector claims what is there",
                          "n%zu of n%zu, key %zu: version %llu, has %llu, claims %llu", at, owner, k,
                          (unsigned long long)o->version, (unsigned long long)s->version,
                          (unsigned long long)seen->high);
        }
    }
}

static void the_silent_are_not_alive(struct world *w, size_t at)
{
    const struct sim_node *n = &w->nodes[at];
    if (w->o.nodes > OBSERVE_ALL || n->core == NULL || life_paused(w, at) || w->now_us < n->awake_us + SILENT_US)
        return;
    for (size_t i = 0; i < w->o.nodes; i++) {
        struct node_name name = sim_name(i);
        if (net_walled(w, at) && net_walled(w, i)) continue; /* others hear for it */
        if (i == at || w->now_us < n->links[i].heard_us + SILENT_US) continue;
        if (repl_member_status(n->core, &name) == MEMBER_ALIVE) {
            world_violate(w, "the silent are not alive", "n%zu has not heard of n%zu for %llu ms", at, i,
                          (unsigned long long)(w->now_us - n->links[i].heard_us) / 1000);
        }
    }
}

void invariant_check(struct world *w)
{
    for (size_t at = 0; at < w->o.nodes; at++) {
        the_silent_are_not_alive(w, at);
        for (size_t owner = 0; owner < w->o.nodes; owner++) {
            if (at != owner) state_claim(w, at, owner);
        }
    }
}

void invariant_queues(struct world *w, size_t node)
{
    const struct repl *core = w->nodes[node].core;
    for (size_t i = 0; i < REPL_QUEUE_COUNT; i++) {
        struct repl_queue q = repl_queue_at(core, i);
        if (q.used <= q.limit) continue;
        world_violate(w, "queues stay bounded", "n%zu, %s: %zu of %zu", node, q.name, q.used, q.limit);
    }
}

static struct applied *find_applied(struct world *w, size_t node, const struct log_id *id)
{
    for (size_t i = w->applied_count; i > 0; i--) {
        struct applied *a = &w->applied[i - 1];
        bool same = a->node == node && a->boot == w->nodes[node].boot;
        if (same && a->id.seq == id->seq && a->id.epoch == id->epoch) return a;
    }
    return NULL;
}

/* Each is counted once, for a change that was reported as applied, and has it on its disk, or had it there when it said
 * so. */
void invariant_receipt(struct world *w, size_t node, const struct repl_action *a)
{
    size_t peer = sim_index(&a->peer);
    struct applied *of = find_applied(w, node, &a->id);
    unsigned long long seq = a->id.seq;
    if (of == NULL) {
        world_violate(w, "a receipt is for what was applied", "n%zu was told of %llu", node, seq);
    } else if (peer == node || (of->receipts >> peer & 1) != 0) {
        world_violate(w, "a receipt counts once", "n%zu was told again that n%zu has %llu", node, peer, seq);
    } else if (!oracle_ever_had(w, peer, &a->id)) {
        world_violate(w, "a receipt is for what is durable", "n%zu was told that n%zu has %llu", node, peer, seq);
    } else {
        of->receipts |= UINT64_C(1) << peer;
    }
}

void invariant_want(struct world *w, size_t node, const struct repl_want *want)
{
    const struct sim_store *s = &w->nodes[node].store;
    for (size_t i = 0; i < want->plan_count && w->o.canary != CANARY_RECEIPTS; i++) {
        const struct vector_entry *e = &want->plan[i];
        if (e->high > sim_store_high(s, &e->origin, e->epoch)) {
            world_violate(w, "a node claims what is durable", "n%zu claims %llu of %s", node,
                          (unsigned long long)e->high, e->origin.s);
        }
    }
    for (size_t i = 0; i < want->state_count; i++) {
        const struct vector_entry *e = &want->state[i];
        const struct sim_owner *o = &s->owners[sim_index(&e->origin)];
        /* How much of its own lost state it has asked back says nothing to anybody else. */
        if (sim_index(&e->origin) == node && w->nodes[node].old_disk) continue;
        if (e->epoch == o->epoch && e->high > o->high) {
            world_violate(w, "a node claims what is durable", "n%zu claims state %llu of %s", node,
                          (unsigned long long)e->high, e->origin.s);
        }
    }
}

/* ---- after healing ---- */

static bool same_state(const struct world *w, size_t at, size_t owner)
{
    const struct sim_owner *a = &w->nodes[owner].store.owners[owner];
    const struct sim_owner *b = &w->nodes[at].store.owners[owner];
    if (a->epoch != b->epoch || a->high != b->high) return a->high == 0 && b->high == 0;
    for (size_t k = 0; k < SIM_RECORDS; k++) {
        if (a->records[k].version != b->records[k].version || a->records[k].value != b->records[k].value) return false;
    }
    return true;
}

static bool view_of(const struct world *w, size_t at, size_t other, struct repl_member_view *v)
{
    struct node_name name = sim_name(other);
    size_t count = repl_member_count(w->nodes[at].core);
    for (size_t i = 0; i < count; i++) {
        *v = repl_member_at(w->nodes[at].core, i);
        if (node_name_eq(&v->name, &name)) return true;
    }
    return false;
}

static const char *missing(struct world *w, const char *what, size_t a, size_t b)
{
    (void)snprintf(w->missing_text, sizeof w->missing_text, "%s: n%zu, n%zu", what, a, b);
    return w->missing_text;
}

static bool knows_gone(const struct world *w, size_t a, size_t b)
{
    struct repl_member_view v;
    return view_of(w, a, b, &v) && (v.status == MEMBER_EVICTED || v.status == w->nodes[b].gone_how);
}

/* That b is gone is known to all who know b; or to nobody, when it left unheard, or when the disk of who evicted it was
 * lost; where few can be dialled its disk may have failed it while there was nobody to tell. */
static const char *gone_missing(struct world *w, size_t a, size_t b)
{
    struct repl_member_view v;
    bool may_be_lost = w->nodes[b].gone_how == MEMBER_LEFT || w->nodes[w->nodes[b].gone_by].old_disk || w->o.walled > 0;
    if (!view_of(w, a, b, &v) || knows_gone(w, a, b)) return NULL;
    for (size_t i = 0; may_be_lost && i < w->o.nodes; i++)
        may_be_lost = !life_member(w, i) || !knows_gone(w, i, b);
    return may_be_lost ? NULL : missing(w, "the first does not know that the second is gone", a, b);
}

/* What a says of b: alive, in its present life, linked, with the same plan and state. */
static const char *member_missing(struct world *w, size_t a, size_t b)
{
    struct repl_member_view v;
    struct repl_member_view own;
    if (!view_of(w, a, b, &v) || v.status != MEMBER_ALIVE)
        return missing(w, "the first does not see the second alive", a, b);
    if (net_walled(w, a) && net_walled(w, b)) return NULL; /* it is known by hearsay */
    if (!v.in_step) return missing(w, "the first does not see the second in step", a, b);
    if (!v.linked) return missing(w, "the first has no link to the second", a, b);
    if (!view_of(w, b, b, &own) || own.incarnation != v.incarnation)
        return missing(w, "the first knows an earlier life of the second", a, b);
    return NULL;
}

static const char *pair_missing(struct world *w, size_t a, size_t b)
{
    if (!same_state(w, a, b)) return missing(w, "the state of the second differs at the first", a, b);
    return a == b ? NULL : member_missing(w, a, b);
}

static const char *node_missing(struct world *w, size_t a, size_t first)
{
    const struct sim_store *s = &w->nodes[a].store;
    if (w->nodes[a].core == NULL) return missing(w, "the first is down", a, a);
    if (sim_store_vector_print(s) != sim_store_vector_print(&w->nodes[first].store))
        return missing(w, "plans differ", a, first);
    for (size_t i = 0; i < w->applied_count; i++) {
        const struct applied *c = &w->applied[i];
        bool may_lack = c->void_ || w->nodes[c->node].gone; /* what a node that is gone had told nobody is gone too */
        if (!may_lack && !sim_store_has(s, &c->id))
            return missing(w, "a change of the second is not at the first", a, c->node);
    }
    return NULL;
}

/* Nothing is in the future of any member: else the deletions wait until its clock has passed that. */
static bool clocks_have_passed(const struct world *w)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        for (size_t k = 0; k < w->o.nodes; k++) {
            if (!life_member(w, i) || !life_member(w, k)) continue;
            if ((uint64_t)life_wall(w, i).ms < w->nodes[k].store.time.v >> 16) return false;
        }
    }
    return true;
}

/* That a node is gone may have been lost with who knew it: then the others wait for it. */
static bool waits_for_the_gone(const struct world *w, size_t at)
{
    for (size_t i = 0; i < repl_member_count(w->nodes[at].core); i++) {
        struct repl_member_view v = repl_member_at(w->nodes[at].core, i);
        bool final = v.status == MEMBER_LEFT || v.status == MEMBER_EVICTED;
        if (!final && !life_member(w, sim_index(&v.name))) return true;
    }
    return false;
}

/* When all is well, everybody has forgotten the same deletions, and there are none left to forget. */
static const char *floor_missing(struct world *w, size_t a, size_t first)
{
    const struct sim_store *s = &w->nodes[a].store;
    if (!clocks_have_passed(w) || waits_for_the_gone(w, a)) return NULL;
    if (s->floor.v != w->nodes[first].store.floor.v) return missing(w, "floors differ", a, first);
    return sim_store_tombstones(s) > 0 ? missing(w, "deletions are not forgotten", a, first) : NULL;
}

const char *invariant_agreement(struct world *w)
{
    size_t first = 0;
    while (!life_member(w, first))
        first++;
    const char *what = NULL;
    for (size_t a = 0; what == NULL && a < w->o.nodes; a++) {
        if (!life_member(w, a)) continue;
        what = node_missing(w, a, first);
        if (what == NULL) what = floor_missing(w, a, first);
        for (size_t b = 0; what == NULL && b < w->o.nodes; b++) {
            what = w->nodes[b].gone ? gone_missing(w, a, b) : pair_missing(w, a, b);
        }
    }
    return what;
}
