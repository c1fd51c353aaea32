/* oracle: what a replica must hold, found from nothing but its vector and the change-sets of the whole world: for each
 * object the greatest stamp among the changes that the vector covers. So what was deleted stays so, no part of a
 * change-set is seen without the rest, and equal vectors are equal plans.
 *
 * It follows each replica change by change, in the order of the numbers, and so also sees that a vector never falls:
 * what was accepted is not lost, but with the disk. */
#include "tests/sim/world.h"

#include <stdlib.h>

void oracle_fini(struct oracle *o)
{
    free(o->logs);
    o->logs = NULL;
    o->log_count = 0;
}

static struct oracle_log *log_find(const struct oracle *o, const struct node_name *origin, uint64_t epoch)
{
    for (size_t i = 0; i < o->log_count; i++) {
        if (o->logs[i].epoch == epoch && node_name_eq(&o->logs[i].origin, origin)) return &o->logs[i];
    }
    return NULL;
}

static struct oracle_log *log_of(struct oracle *o, const struct node_name *origin, uint64_t epoch)
{
    struct oracle_log *l = log_find(o, origin, epoch);
    if (l != NULL) return l;
    o->logs = realloc(o->logs, (o->log_count + 1) * sizeof *o->logs);
    ASSERT(o->logs != NULL);
    o->logs[o->log_count] = (struct oracle_log){.origin = *origin, .epoch = epoch};
    return &o->logs[o->log_count++];
}

bool oracle_ever_had(const struct world *w, size_t node, const struct log_id *id)
{
    const struct oracle_log *l = log_find(&w->nodes[node].oracle, &id->origin, id->epoch);
    return l != NULL && l->ever >= id->seq;
}

void oracle_reset(struct world *w, size_t node)
{
    struct oracle *o = &w->nodes[node].oracle;
    for (size_t i = 0; i < o->log_count; i++)
        o->logs[i].high = 0;
    memset(o->objects, 0, sizeof o->objects);
}

/* Who joined late may have met only a node that was then put out before it could tell the others of it. */
static bool may_be_unknown(const struct world *w, const struct sim_node *n)
{
    return n->late && w->n.evictions > 0;
}

/* A snapshot took the replica's place. What it could not keep was of a log that a node began with an old disk, or of a
 * node that is gone or that nobody could know, or the loser is gone itself; nothing else may be lost. */
void oracle_replaced(struct world *w, size_t node)
{
    struct oracle *o = &w->nodes[node].oracle;
    bool lost = false;
    for (size_t i = 0; i < o->log_count; i++) {
        struct oracle_log *l = &o->logs[i];
        uint64_t now = sim_store_high(&w->nodes[node].store, &l->origin, l->epoch);
        if (now >= l->high) continue;
        const struct sim_node *origin = &w->nodes[sim_index(&l->origin)];
        bool may_be = origin->restored || origin->gone || w->nodes[node].gone || may_be_unknown(w, origin);
        if (!may_be) {
            world_violate(w, "an accepted change is never lost", "n%zu: a snapshot took %s %llu to %llu", node,
                          l->origin.s, (unsigned long long)now + 1, (unsigned long long)l->high);
        }
        lost = true;
        for (uint64_t seq = now + 1; seq <= l->high; seq++) {
            struct log_id id = {l->origin, l->epoch, seq};
            world_void(w, &id);
        }
        l->ever = now;
    }
    if (lost) oracle_reset(w, node);
}

/* ---- following ---- */

static void cover(struct oracle *o, const struct sim_change *c)
{
    struct stamp stamp = sim_stamp(&c->c);
    for (size_t i = 0; i < c->c.op_count; i++) {
        const struct change_op *op = &c->c.ops[i];
        struct oracle_object *at = &o->objects[sim_key(op->key)];
        if (at->by != NULL && stamp_cmp(&stamp, &at->stamp) <= 0) continue;
        *at = (struct oracle_object){stamp, op->kind == CHANGE_PUT ? sim_value(op->value) : 0, c, o->revision};
    }
}

static void follow_log(struct world *w, size_t node, const struct node_name *origin, uint64_t epoch, uint64_t high)
{
    struct oracle_log *l = log_of(&w->nodes[node].oracle, origin, epoch);
    if (high < l->high) {
        world_violate(w, "an accepted change is never lost", "n%zu: the log of %s ended at %llu, now at %llu", node,
                      origin->s, (unsigned long long)l->high, (unsigned long long)high);
    }
    for (uint64_t seq = l->high + 1; seq <= high; seq++) {
        struct log_id id = {*origin, epoch, seq};
        const struct sim_change *c = sim_change_find(w, &id);
        if (c == NULL) {
            world_violate(w, "a vector covers what was written", "n%zu: %s %llu", node, origin->s,
                          (unsigned long long)seq);
            return;
        }
        cover(&w->nodes[node].oracle, c);
    }
    l->high = high;
    if (high > l->ever) l->ever = high;
}

/* ---- judging ---- */

/* The change that should stand at key has just come, and another operation of it stands where it should. */
static bool in_part(const struct sim_store *s, const struct oracle *o, size_t key)
{
    const struct sim_change *c = o->objects[key].by;
    if (c == NULL || o->objects[key].revision != o->revision) return false;
    for (size_t i = 0; i < c->c.op_count; i++) {
        size_t other = sim_key(c->c.ops[i].key);
        bool stands = s->objects[other].value == o->objects[other].value && o->objects[other].by == c;
        if (other != key && stands) return true;
    }
    return false;
}

static void judge(struct world *w, size_t node)
{
    const struct sim_store *s = &w->nodes[node].store;
    const struct oracle *o = &w->nodes[node].oracle;
    for (size_t k = 0; k < SIM_KEYS; k++) {
        if (s->objects[k].value == o->objects[k].value) continue;
        const char *what = "what stands follows from the vector";
        if (o->objects[k].by != NULL && o->objects[k].value == 0) what = "nothing deleted returns";
        if (in_part(s, o, k)) what = "no half of a change is readable";
        world_violate(w, what, "n%zu, key %zu", node, k);
    }
}

/* Two replicas of one state vector may differ in a record that its owner has overwritten since: who fetched a part of
 * the owner's records when the newer one was there, in a later part, never saw the older. Then the owner, or who has
 * its newer vector, brings both the same. */
static bool overwritten(const struct world *w, size_t owner, size_t key, const struct sim_owner *at)
{
    const struct sim_owner *own = &w->nodes[owner].store.owners[owner];
    return w->nodes[owner].old_disk || own->epoch != at->epoch || own->records[key].version > at->high;
}

static bool same_records(const struct world *w, size_t a, size_t b)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        const struct sim_owner *x = &w->nodes[a].store.owners[i];
        const struct sim_owner *y = &w->nodes[b].store.owners[i];
        for (size_t k = 0; x->high > 0 && k < SIM_RECORDS; k++) {
            bool same = x->records[k].value == y->records[k].value && x->records[k].removed == y->records[k].removed;
            if (!same && !overwritten(w, i, k, x)) return false;
        }
    }
    return true;
}

static void compare(struct world *w, size_t a, size_t b)
{
    const struct oracle *oa = &w->nodes[a].oracle;
    const struct oracle *ob = &w->nodes[b].oracle;
    if (oa->plan_print != ob->plan_print) return;
    bool plans = oa->objects_print == ob->objects_print;
    if (!plans) world_violate(w, "equal vectors, equal plans", "n%zu and n%zu", a, b);
    if (oa->state_print != ob->state_print || (plans && oa->routes_print == ob->routes_print)) return;
    if (sim_store_hides(&w->nodes[a].store, a) || sim_store_hides(&w->nodes[b].store, b)) return;
    if (!same_records(w, a, b)) {
        world_violate(w, "same state, same decision", "n%zu and n%zu would route differently", a, b);
    }
}

void oracle_look(struct world *w, size_t node)
{
    const struct sim_store *s = &w->nodes[node].store;
    struct oracle *o = &w->nodes[node].oracle;
    if (o->revision == s->revision) return;
    o->revision = s->revision;
    for (size_t i = 0; i < s->log_count; i++)
        follow_log(w, node, &s->logs[i].origin, s->logs[i].epoch, s->logs[i].count);
    judge(w, node);
    o->plan_print = sim_store_vector_print(s);
    o->objects_print = sim_store_objects_print(s);
    o->state_print = sim_store_state_print(s);
    o->routes_print = sim_store_routes_print(s);
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (i != node) compare(w, node, i);
    }
}
