#include "node/app/devices.h"

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

size_t device_bindings(const struct edge_device *device, struct binding *list, size_t count)
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

struct place {
    struct slice node; /* "": this one */
    bool stale;
    struct wall since;
};

struct walk {
    struct node *n;
    struct arena *arena;
    const struct edge_device *device;
    struct place places[DECIDE_NODE_MAX]; /* in the order in which they are tried */
    size_t count;
    bool drained;
    enum err err;
};

static bool is_before(const struct place *a, const struct place *b)
{
    return a->stale != b->stale ? b->stale : a->since.ms > b->since.ms;
}

/* One place for each node; of more than there is room for the last are left out. */
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

/* The node that owns the record, unless it takes no calls. */
static void add_owner(struct walk *w, const struct node_name *owner, struct wall since)
{
    enum member_status s = repl_member_status(w->n->repl, owner);
    struct place p = {.stale = s == MEMBER_DEAD, .since = since};
    if (s == MEMBER_LEFT || s == MEMBER_EVICTED) return;
    if (!p.stale && node_is_drained(w->n, owner)) {
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

static bool visit(void *ctx, const struct state_record *record)
{
    struct walk *w = ctx;
    struct arena arena = {0};
    struct binding b;
    if (node_name_eq(&record->owner, &w->n->self)) return true;
    if (binding_unpack(&arena, record->value, &b) == ERR_OK && is_it(w->device, &b))
        add_owner(w, &record->owner, b.since);
    arena_fini(&arena);
    return w->err == ERR_OK;
}

static enum err add_own(struct walk *w, struct slice account)
{
    struct binding *list = NULL;
    size_t count = 0;
    enum err e = registrations_own(w->n, w->arena, account, &list, &count);
    if (e == ERR_OK) count = device_bindings(w->device, list, count);
    if (e != ERR_OK || count == 0) return e;
    if (w->n->drained) {
        w->drained = true;
    } else {
        add(w, (struct place){.node = SLICE(""), .since = list[0].since});
    }
    return ERR_OK;
}

enum err device_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice account,
                      const struct edge_device *device)
{
    char key[LIMIT_NAME + 1];
    struct walk w = {.n = n, .arena = arena, .device = device};
    memcpy(key, account.p, account.n);
    key[account.n] = '\0';
    enum err e = add_own(&w, account);
    if (e == ERR_OK && registrations_elsewhere(n, account))
        e = store_state_find(n->read, STATE_BINDING, (struct slice){key, account.n + 1}, visit, &w);
    if (e == ERR_OK) e = w.err;
    for (size_t i = 0; i < w.count; i++) {
        c->nodes[c->node_count++] = w.places[i].node;
        if (!w.places[i].stale) c->fresh_count = c->node_count;
    }
    c->stale = c->fresh_count == 0 && c->node_count > 0;
    c->health = c->node_count > 0 ? TARGET_UP : w.drained ? TARGET_DRAINED : TARGET_NO_BINDING;
    return e;
}
