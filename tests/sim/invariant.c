/* invariant: what must hold whatever happens, looked at from outside the cores, in the replicas themselves. */
#include "tests/sim/world.h"

#include <stdio.h>

/* After so long a silence a member is suspect or dead at whoever does not hear it: REPL_NOTE_MS, in which a note of its
 * last life may still come round, and twice the silence that it takes. */
#define SILENT_US 12000000

/* Replicas that have the same change-sets have the same plan, in whatever order these came. */
static void equal_vectors_equal_digests(struct world *w)
{
    for (size_t a = 0; a < w->o.nodes; a++) {
        for (size_t b = a + 1; b < w->o.nodes; b++) {
            unsigned char da[32];
            unsigned char db[32];
            const struct sim_store *sa = &w->nodes[a].store;
            const struct sim_store *sb = &w->nodes[b].store;
            if (sim_store_vector_print(sa) != sim_store_vector_print(sb)) continue;
            sim_store_digest(sa, da);
            sim_store_digest(sb, db);
            if (memcmp(da, db, sizeof da) != 0) {
                world_violate(w, "equal vectors, equal digests", "n%zu and n%zu", a, b);
            }
        }
    }
}

static void applied_stays(struct world *w)
{
    for (size_t i = 0; i < w->applied_count; i++) {
        const struct applied *a = &w->applied[i];
        if (a->void_ || w->nodes[a->node].old_disk || sim_store_has(&w->nodes[a->node].store, &a->id)) continue;
        world_violate(w, "applied stays applied", "n%zu lost its change %llu", a->node, (unsigned long long)a->id.seq);
    }
}

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

static void the_dead_are_seen(struct world *w)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        const struct sim_node *dead = &w->nodes[i];
        if (dead->core != NULL || dead->boot == 0 || w->now_us < dead->down_us + SILENT_US) continue;
        for (size_t k = 0; k < w->o.nodes; k++) {
            const struct sim_node *n = &w->nodes[k];
            /* Those that do not observe it know only what reaches them. */
            if (w->o.nodes > 6 || n->core == NULL || w->now_us < n->up_us + SILENT_US) continue;
            struct node_name name = sim_name(i);
            if (repl_member_status(n->core, &name) == MEMBER_ALIVE) {
                world_violate(w, "the dead are seen", "n%zu takes n%zu for %s", k, i,
                              member_status_name(repl_member_status(n->core, &name)));
            }
        }
    }
}

void invariant_check(struct world *w)
{
    equal_vectors_equal_digests(w);
    applied_stays(w);
    the_dead_are_seen(w);
    for (size_t at = 0; at < w->o.nodes; at++) {
        for (size_t owner = 0; owner < w->o.nodes; owner++) {
            if (at != owner) state_claim(w, at, owner);
        }
    }
}

void invariant_receipt(struct world *w, size_t node, const struct repl_action *a)
{
    size_t peer = sim_index(&a->peer);
    if (w->nodes[peer].old_disk || sim_store_has(&w->nodes[peer].store, &a->id)) return;
    world_violate(w, "a receipt is for what is durable", "n%zu was told that n%zu has %llu", node, peer,
                  (unsigned long long)a->id.seq);
}

void invariant_want(struct world *w, size_t node, const struct repl_want *want)
{
    const struct sim_store *s = &w->nodes[node].store;
    for (size_t i = 0; i < want->plan_count; i++) {
        const struct vector_entry *e = &want->plan[i];
        if (e->high > sim_store_high(s, &e->origin, e->epoch)) {
            world_violate(w, "a node claims what is durable", "n%zu claims %llu of %s", node,
                          (unsigned long long)e->high, e->origin.s);
        }
    }
    for (size_t i = 0; i < want->state_count; i++) {
        const struct vector_entry *e = &want->state[i];
        const struct sim_owner *o = &s->owners[sim_index(&e->origin)];
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

static bool sees(const struct world *w, size_t at, size_t other, bool *in_step)
{
    struct node_name name = sim_name(other);
    size_t count = repl_member_count(w->nodes[at].core);
    for (size_t i = 0; i < count; i++) {
        struct repl_member_view v = repl_member_at(w->nodes[at].core, i);
        if (!node_name_eq(&v.name, &name)) continue;
        *in_step = v.in_step;
        return v.status == MEMBER_ALIVE;
    }
    return false;
}

static const char *missing(struct world *w, const char *what, size_t a, size_t b)
{
    (void)snprintf(w->missing_text, sizeof w->missing_text, "%s: n%zu, n%zu", what, a, b);
    return w->missing_text;
}

const char *invariant_agreement(struct world *w)
{
    for (size_t a = 0; a < w->o.nodes; a++) {
        if (sim_store_vector_print(&w->nodes[a].store) != sim_store_vector_print(&w->nodes[0].store)) {
            return missing(w, "plans differ", a, 0);
        }
        for (size_t b = 0; b < w->o.nodes; b++) {
            bool in_step = false;
            if (!same_state(w, a, b)) return missing(w, "the state of the second differs at the first", a, b);
            if (a == b) continue;
            if (!sees(w, a, b, &in_step)) return missing(w, "the first does not see the second alive", a, b);
            if (!in_step) return missing(w, "the first does not see the second in step", a, b);
        }
    }
    for (size_t i = 0; i < w->applied_count; i++) {
        const struct applied *a = &w->applied[i];
        for (size_t k = 0; !a->void_ && k < w->o.nodes; k++) {
            if (!sim_store_has(&w->nodes[k].store, &a->id))
                return missing(w, "a change of the second is not at the first", k, a->node);
        }
    }
    return NULL;
}
