#include "node/app/registered.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

/* A binding whose Call-ID is not known was given back by other nodes: nothing says that the address is old. */
static bool is_it(const struct edge_device *d, const struct binding *b)
{
    if (!slice_eq_nocase(b->instance, d->instance)) return false;
    return !d->temporary || b->call_id.n == 0 || edge_device_registration(b->call_id) == d->registration;
}

static int newest_first(const void *a, const void *b)
{
    const struct binding *x = a;
    const struct binding *y = b;
    return (x->since.ms < y->since.ms) - (x->since.ms > y->since.ms);
}

size_t registered_device(const struct edge_device *device, struct binding *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_it(device, &list[i])) list[kept++] = list[i];
    }
    if (kept > 1) qsort(list, kept, sizeof *list, newest_first);
    size_t flows = 0;
    while (flows < kept && list[flows].reg_id > 0)
        flows++;
    return flows > 0 || kept == 0 ? flows : 1;
}

/* ---- which nodes ---- */

/* Who is last when there are too many is left out. */
enum rank { RANK_ALIVE, RANK_SUSPECT, RANK_STALE };

struct place {
    struct slice node; /* "": this one */
    enum rank rank;
    struct wall since; /* of the newest binding there */
};

struct walk {
    struct node *n;
    struct arena *arena;
    const struct edge_device *device;     /* NULL: any */
    struct place places[DECIDE_NODE_MAX]; /* in the order in which they are tried */
    size_t count;
    bool drained; /* a node has it, and is drained */
    enum err err;
};

static bool is_before(const struct place *a, const struct place *b)
{
    if (a->rank != b->rank) return a->rank < b->rank;
    return a->since.ms != b->since.ms ? a->since.ms > b->since.ms : a->node.n == 0;
}

/* One place for each node. */
static void add(struct walk *w, struct place p)
{
    size_t at = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (!slice_eq(w->places[i].node, p.node)) continue;
        if (!is_before(&p, &w->places[i])) return;
        memmove(&w->places[i], &w->places[i + 1], (w->count - i - 1) * sizeof p);
        w->count--;
        break;
    }
    while (at < w->count && !is_before(&p, &w->places[at]))
        at++;
    if (at == DECIDE_NODE_MAX) return;
    if (w->count == DECIDE_NODE_MAX) w->count--;
    memmove(&w->places[at + 1], &w->places[at], (w->count - at) * sizeof p);
    w->places[at] = p;
    w->count++;
}

/* The node that owns a binding, unless it takes no calls. */
static void add_owner(struct walk *w, const struct node_name *owner, struct wall since)
{
    struct place p = {.rank = RANK_STALE, .since = since};
    switch (repl_member_status(w->n->repl, owner)) {
    case MEMBER_ALIVE: p.rank = RANK_ALIVE; break;
    case MEMBER_SUSPECT: p.rank = RANK_SUSPECT; break;
    case MEMBER_DEAD: break;
    case MEMBER_LEFT:
    case MEMBER_EVICTED: return; /* they will never be met again */
    }
    if (p.rank != RANK_STALE && node_is_drained(w->n, owner)) {
        w->drained = true;
        return;
    }
    p.node = arena_copy(w->arena, node_name_slice(owner));
    if (p.node.p == NULL) {
        w->err = ERR_NOMEM;
    } else {
        add(w, p);
    }
}

/* Bindings at other nodes. What this node owns it knows better than by its public half. */
static bool visit(void *ctx, const struct state_record *record)
{
    struct walk *w = ctx;
    struct binding b;
    if (node_name_eq(&record->owner, &w->n->self)) return true;
    enum err e = binding_unpack(w->arena, record->value, &b);
    if (e == ERR_NOMEM) w->err = e;
    if (e == ERR_OK && (w->device == NULL || is_it(w->device, &b))) add_owner(w, &record->owner, b.since);
    return w->err == ERR_OK;
}

static void offer_self(struct walk *w, struct wall since)
{
    if (w->n->drained) {
        w->drained = true;
    } else {
        add(w, (struct place){.node = SLICE(""), .rank = RANK_ALIVE, .since = since});
    }
}

static enum err add_own(struct walk *w, struct slice account)
{
    struct binding *list = NULL;
    size_t count = 0;
    struct wall newest = {0};
    if (!registrations_live(w->n, account)) return ERR_OK;
    if (w->device == NULL && w->count == 0) { /* nobody else has it: which is newer need not be read from the disk */
        offer_self(w, newest);
        return ERR_OK;
    }
    enum err e = registrations_own(w->n, w->arena, account, &list, &count);
    if (e == ERR_OK && w->device != NULL) count = registered_device(w->device, list, count);
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        if (list[i].since.ms > newest.ms) newest = list[i].since;
    if (e == ERR_OK && count > 0) offer_self(w, newest);
    return e;
}

enum err registered_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice account,
                          const struct edge_device *device)
{
    char key[LIMIT_NAME + 1];
    struct walk w; /* its places are many, and count says how many are set */
    w.n = n;
    w.arena = arena;
    w.device = device;
    w.count = 0;
    w.drained = false;
    w.err = ERR_OK;
    enum err e = ERR_OK;
    memcpy(key, account.p, account.n);
    key[account.n] = '\0';
    if (registrations_elsewhere(n, account))
        e = store_state_find(n->read, STATE_BINDING, (struct slice){key, account.n + 1}, visit, &w);
    if (e == ERR_OK) e = w.err;
    if (e == ERR_OK) e = add_own(&w, account);
    for (size_t i = 0; i < w.count; i++) {
        c->nodes[c->node_count++] = w.places[i].node;
        if (w.places[i].rank != RANK_STALE) c->fresh_count = c->node_count;
    }
    c->stale = c->fresh_count == 0 && c->node_count > 0;
    c->health = c->node_count > 0 ? TARGET_UP : w.drained ? TARGET_DRAINED : TARGET_NO_BINDING;
    return e;
}
