#include "node/app/trunks.h"

#include "node/app/node.h"
#include "proto/plan_codec.h"

void trunks_init(struct trunks *t)
{
    *t = (struct trunks){.stale = true, .due = true};
}

void trunks_fini(struct trunks *t)
{
    arena_fini(&t->arena);
}

static struct slice trunk_key(struct slice trunk, struct slice address, char out[TRUNK_KEY_MAX])
{
    if (trunk.n + 1 + address.n > TRUNK_KEY_MAX) return SLICE_NONE;
    memcpy(out, trunk.p, trunk.n);
    out[trunk.n] = '\0';
    memcpy(out + trunk.n + 1, address.p, address.n);
    return (struct slice){out, trunk.n + 1 + address.n};
}

/* ---- what this node says ---- */

static void stored(void *ctx, enum err err)
{
    struct node *n = ctx;
    if (err != ERR_OK) n->trunks.due = true;
}

static void said(void *ctx, enum err err)
{
    struct node *n = ctx;
    n->trunks.saying--;
    stored(n, err);
}

void trunks_hook(void *ctx, const struct edge_trunk *t)
{
    struct node *n = ctx;
    char text[TRUNK_KEY_MAX];
    struct buf packed = {0};
    struct trunk_health h = {.trunk = t->trunk,
                             .address = t->address,
                             .up = t->up,
                             .since = t->since,
                             .rtt_us = t->rtt_us,
                             .reason = t->reason};
    struct slice key = trunk_key(t->trunk, t->address, text);
    if (!t->known || t->probe_ms == 0 || key.p == NULL) return;
    if (trunk_health_pack(&h, &packed) == ERR_OK) {
        n->trunks.saying++;
        replica_observe(n, STATE_TRUNK_HEALTH, key, buf_view(&packed), false, said, n);
    } else {
        n->trunks.due = true;
    }
    buf_fini(&packed);
}

static bool say_again(void *ctx, const struct edge_trunk *t)
{
    trunks_hook(ctx, t);
    return true;
}

void trunks_observe_again(struct node *n)
{
    if (n->edge != NULL) edge_trunks_each(n->edge, say_again, n);
}

/* ---- the plan's trunks of this site ---- */

struct refresh {
    struct node *n;
    struct arena arena;
    struct edge_trunk *list;
    size_t count;
    size_t cap;
    struct slice *keys; /* of our own records */
    size_t key_count;
    size_t key_cap;
    enum err err;
};

static bool grow(struct arena *arena, void **items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return true;
    size_t more = *cap > 0 ? *cap * 2 : 16;
    void *larger = arena_alloc(arena, more * size);
    if (larger == NULL) return false;
    if (count > 0) memcpy(larger, *items, count * size);
    *items = larger;
    *cap = more;
    return true;
}

struct own_find {
    struct refresh *r;
    struct slice key;
    struct edge_trunk *t;
};

/* What this node said in an earlier run is where it goes on. */
static bool restore(void *ctx, const struct state_record *record)
{
    struct own_find *f = ctx;
    struct trunk_health h;
    if (!node_name_eq(&record->owner, &f->r->n->self) || !slice_eq(record->key, f->key)) return true;
    if (trunk_health_unpack(&f->r->arena, record->value, &h) != ERR_OK) return false;
    f->t->known = true;
    f->t->up = h.up;
    f->t->since = h.since;
    f->t->reason = h.reason;
    return false;
}

static void add_address(struct refresh *r, const struct plan_trunk *trunk, struct slice address)
{
    char text[TRUNK_KEY_MAX];
    void *items = r->list;
    if (!grow(&r->arena, &items, r->count, &r->cap, sizeof *r->list)) {
        r->err = ERR_NOMEM;
        return;
    }
    r->list = items;
    struct edge_trunk *t = &r->list[r->count++];
    *t = (struct edge_trunk){
        .trunk = trunk->name, .address = address, .transport = trunk->transport, .probe_ms = trunk->probe_ms};
    struct own_find find = {.r = r, .key = trunk_key(trunk->name, address, text), .t = t};
    if (r->n->trunks.loaded || trunk->probe_ms == 0 || find.key.p == NULL) return;
    enum err e = store_state_find(r->n->read, STATE_TRUNK_HEALTH, find.key, restore, &find);
    if (e != ERR_OK) r->err = e;
}

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct refresh *r = ctx;
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    if (plan_object_unpack_stored(&r->arena, packed, &o, NULL) != ERR_OK || o.kind != PLAN_TRUNK) return true;
    if (o.trunk.disabled || !slice_is(o.trunk.site, r->n->config.site)) return true;
    for (size_t i = 0; i < o.trunk.address_count; i++)
        add_address(r, &o.trunk, o.trunk.address[i]);
    return r->err == ERR_OK;
}

/* The edge has the new list by now. */
static bool is_probed(const struct refresh *r, struct slice key)
{
    struct slice trunk;
    struct edge_trunk seen;
    struct slice address = slice_cut(key, '\0', &trunk);
    return edge_trunk_find(r->n->edge, trunk, address, &seen) && seen.probe_ms > 0;
}

/* Records of ours that nothing stands behind any more. */
static bool visit_own(void *ctx, const struct state_record *record)
{
    struct refresh *r = ctx;
    void *items = r->keys;
    if (!node_name_eq(&record->owner, &r->n->self) || is_probed(r, record->key)) return true;
    if (record->key.n > 0 && record->key.p[record->key.n - 1] == '\0')
        return true; /* no address: uac_registration.c's */
    if (!grow(&r->arena, &items, r->key_count, &r->key_cap, sizeof *r->keys)) return false;
    r->keys = items;
    r->keys[r->key_count] = arena_copy(&r->arena, record->key);
    if (r->keys[r->key_count].p != NULL) r->key_count++;
    return true;
}

static enum err refresh(struct node *n)
{
    struct refresh r = {.n = n};
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, &r);
    if (e == ERR_OK) e = r.err;
    if (e == ERR_OK) e = edge_trunks_set(n->edge, r.list, r.count);
    if (e == ERR_OK) e = store_state_find(n->read, STATE_TRUNK_HEALTH, SLICE(""), visit_own, &r);
    node_read_end(n);
    if (e == ERR_OK) n->trunks.loaded = true;
    for (size_t i = 0; e == ERR_OK && i < r.key_count; i++)
        replica_observe(n, STATE_TRUNK_HEALTH, r.keys[i], SLICE(""), true, stored, n);
    arena_fini(&r.arena);
    return e;
}

void trunks_tick(struct node *n)
{
    struct trunks *t = &n->trunks;
    t->stale = true; /* a new epoch of an owner takes its records away without a word */
    bool changed = !plan_digest_eq(t->digest, n->plan_digest);
    if (n->edge == NULL || n->stopping || (!t->due && !t->unseen && !changed)) return;
    bool first = !t->loaded;
    bool again = t->due && !first;
    t->due = false;
    t->unseen = t->saying > 0;
    t->digest = n->plan_digest;
    if (refresh(n) != ERR_OK) t->due = true;
    if (again) trunks_observe_again(n);
}

/* ---- what others say ---- */

void trunks_stale(struct node *n)
{
    n->trunks.stale = true;
}

struct down_walk {
    struct trunks *t;
    const struct node_name *self;
    size_t cap;
    enum err err;
};

static bool visit_down(void *ctx, const struct state_record *record)
{
    struct down_walk *w = ctx;
    struct trunk_health h;
    void *items = w->t->down;
    if (node_name_eq(&record->owner, w->self)) return true; /* this node's own eyes are newer */
    if (trunk_health_unpack(&w->t->arena, record->value, &h) != ERR_OK || h.up || h.address.n == 0) return true;
    if (!grow(&w->t->arena, &items, w->t->down_count, &w->cap, sizeof *w->t->down)) {
        w->err = ERR_NOMEM;
        return false;
    }
    w->t->down = items;
    w->t->down[w->t->down_count++] = (struct trunk_down){record->owner, h.trunk, h.address, h.since, h.reason};
    return true;
}

/* Between read begin and end. */
static void fill_down(struct node *n)
{
    struct trunks *t = &n->trunks;
    struct down_walk w = {.t = t, .self = &n->self};
    arena_fini(&t->arena);
    t->down = NULL;
    t->down_count = 0;
    enum err e = store_state_find(n->read, STATE_TRUNK_HEALTH, SLICE(""), visit_down, &w);
    t->stale = e != ERR_OK || w.err != ERR_OK;
}

static bool down_elsewhere(const struct node *n, const struct plan_trunk *t, struct slice address, struct slice node,
                           struct wall *since, struct slice *reason)
{
    for (size_t i = 0; i < n->trunks.down_count; i++) {
        const struct trunk_down *d = &n->trunks.down[i];
        if (!slice_eq(d->trunk, t->name) || !slice_eq(node_name_slice(&d->owner), node)) continue;
        if (!slice_eq(d->address, address)) continue;
        *since = d->since;
        *reason = d->reason;
        return true;
    }
    return false;
}

static bool down_here(const struct node *n, const struct plan_trunk *t, struct slice address, struct wall *since,
                      struct slice *reason)
{
    struct edge_trunk seen;
    if (!edge_trunk_find(n->edge, t->name, address, &seen) || !seen.known || seen.up) return false;
    *since = seen.since;
    *reason = seen.reason;
    return true;
}

bool trunks_down_at(struct node *n, struct arena *arena, const struct plan_trunk *t, struct slice node,
                    struct wall *since, struct slice *reason)
{
    bool here = node.n == 0;
    struct wall last = {0};
    struct slice words = SLICE("");
    if (t->registration.set && uac_registration_down_at(n, arena, t, node, since, reason)) return true;
    if (here && (n->edge == NULL || edge_trunks_well(n->edge))) return false;
    if (!here && n->trunks.stale) fill_down(n);
    if (!here && n->trunks.down_count == 0) return false;
    for (size_t i = 0; i < t->address_count; i++) {
        struct wall at = {0};
        struct slice why = SLICE("");
        bool down =
            here ? down_here(n, t, t->address[i], &at, &why) : down_elsewhere(n, t, t->address[i], node, &at, &why);
        if (!down) return false;
        if (at.ms < last.ms) continue;
        last = at;
        words = why;
    }
    *since = last;
    *reason = arena_copy(arena, words);
    return t->address_count > 0;
}

/* Where this node is registered at one of its places, the others are no ways to it. */
static bool is_way(const struct node *n, const struct plan_trunk *t, struct slice address)
{
    struct edge_registration_view v;
    struct address_host at;
    if (!t->registration.set) return true;
    return edge_registration_find(n->edge, t->name, &v) && address_host_parse(address, &at, NULL) == ERR_OK &&
           slice_eq(at.host, v.host);
}

bool trunks_rest(struct node *n, struct arena *arena, const struct plan_trunk *t, struct wall *until,
                 struct slice *reason)
{
    struct edge_trunk first = {.rests_until = {0}};
    if (n->edge == NULL || !edge_trunks_rest(n->edge)) return false;
    for (size_t i = 0; i < t->address_count; i++) {
        struct edge_trunk seen;
        if (!is_way(n, t, t->address[i])) continue;
        if (!edge_trunk_find(n->edge, t->name, t->address[i], &seen)) return false;
        if (seen.known && !seen.up) continue;
        if (seen.rests_until.ms == 0) return false;
        if (first.rests_until.ms == 0 || seen.rests_until.ms < first.rests_until.ms) first = seen;
    }
    if (first.rests_until.ms == 0) return false;
    *until = first.rests_until;
    *reason = arena_copy(arena, first.reason);
    return true;
}

unsigned trunks_rest_left_s(struct wall until)
{
    int64_t left_ms = until.ms - node_wall().ms;
    return left_ms > 1000 ? (unsigned)((left_ms + 999) / 1000) : 1;
}
