/* registrations: the bindings that this node owns: written before the 200, expired here and nowhere else.
 *
 * A binding is stored in two halves (node/plan/observed.h). The private half holds all of it and stays here; the public
 * one goes through the replication core and only when it changed, so that a refresh costs no byte on the mesh. Each
 * half is durable by itself, so a crash may leave one without the other: at the start, and whenever the core begins a
 * new epoch of state, the private halves are what counts.
 *
 * In memory there is one small entry per binding: its key, when it ends by the monotonic clock (a step of the calendar
 * clock ends nobody), and whether the others know it. An entry changes when its write is durable, not before.
 *
 *   put -> LIVE -- refresh, expiry, removal --> ... ; expiry or removal -> gone; a removal that the disk refuses is
 *   tried again, and the binding is offered to nobody meanwhile. */
#include "node/app/registrations_entry.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

#define LEFT_MAX_MS                                                                                                    \
    3600000 /* more is granted to nobody; a stored time further off comes from a clock that was wrong                  \
             */
#define WRITES_KEPT 128
#define EXPIRED_PER_TICK 2000
#define SHOWN_PER_TICK 2000
#define LEASE_LOG2_MIN 6 /* 64 s */
#define LEASE_LOG2_MAX 12

struct slice binding_key(const struct binding *b, char out[BINDING_KEY_MAX])
{
    size_t n = 0;
    ASSERT(b->account.n <= LIMIT_NAME && b->contact.n <= LIMIT_URI);
    memcpy(out, b->account.p, b->account.n);
    n = b->account.n;
    out[n++] = '\0';
    memcpy(out + n, b->contact.p, b->contact.n);
    return (struct slice){out, n + b->contact.n};
}

uint8_t lease_log2(uint32_t lease_s)
{
    uint8_t log2 = LEASE_LOG2_MIN;
    while (log2 < LEASE_LOG2_MAX && (UINT32_C(1) << log2) < lease_s)
        log2++;
    return lease_s > 0 ? log2 : LEASE_LOG2_MAX;
}

/* ---- entries ---- */

static struct slice account_of(struct slice key)
{
    struct slice account = SLICE_NONE;
    (void)slice_cut(key, '\0', &account);
    return account;
}

/* The next entry of the account, from m on. */
static struct entry *of_account(struct map_node *m, struct slice account)
{
    for (; m != NULL; m = map_next(m)) {
        struct entry *e = CONTAINER_OF(m, struct entry, by_account);
        if (slice_eq((struct slice){e->key, e->account_len}, account)) return e;
    }
    return NULL;
}

struct entry *entry_first(const struct registrations *r, struct slice account)
{
    return of_account(map_first(&r->entries, map_hash(&r->entries, account)), account);
}

struct entry *entry_next(struct entry *e)
{
    return of_account(map_next(&e->by_account), (struct slice){e->key, e->account_len});
}

struct entry *entry_find(const struct registrations *r, struct slice key)
{
    struct entry *e = entry_first(r, account_of(key));
    while (e != NULL && !slice_eq(entry_key(e), key))
        e = entry_next(e);
    return e;
}

struct entry *entry_add(struct registrations *r, struct slice key)
{
    struct entry *e = calloc(1, sizeof *e + key.n);
    if (e == NULL) return NULL;
    wheel_timer_init(&e->timer);
    list_init(&e->unshown);
    e->account_len = (uint16_t)account_of(key).n;
    e->key_len = (uint16_t)key.n;
    memcpy(e->key, key.p, key.n);
    map_insert(&r->entries, &e->by_account, map_hash(&r->entries, account_of(key)));
    return e;
}

struct entry_known entry_known(const struct registrations *r, const struct binding *b)
{
    return (struct entry_known){.since = b->since, .call_hash = map_hash(&r->entries, b->call_id), .cseq = b->cseq};
}

void entry_forget(struct registrations *r, struct entry *e)
{
    wheel_stop(&r->wheel, &e->timer);
    list_remove(&e->unshown);
    if (e->way != NULL && r->n->edge != NULL) edge_way_close(e->way);
    map_remove(&r->entries, &e->by_account);
    free(e);
}

void entry_set_shown(struct registrations *r, struct entry *e, bool shown, uint64_t hash)
{
    e->shown = shown;
    e->public_hash = hash;
    e->hidden = e->hidden && !shown;
    list_remove(&e->unshown);
    if (!shown) list_append(&r->unshown, &e->unshown);
}

struct mono entry_deadline(struct wall expires)
{
    int64_t left = expires.ms - node_wall().ms;
    if (left < 0) left = 0;
    return mono_add_ms(node_mono(), left < LEFT_MAX_MS ? (uint64_t)left : LEFT_MAX_MS);
}

/* ---- reading ---- */

static bool is_live(const struct entry *e, struct mono now)
{
    return e->live && !mono_reached(now, e->expires);
}

bool registrations_live(const struct node *n, struct slice account)
{
    struct mono now = node_mono();
    struct entry *e = n->registrations != NULL ? entry_first(n->registrations, account) : NULL;
    while (e != NULL && !is_live(e, now))
        e = entry_next(e);
    return e != NULL;
}

void registrations_heard(struct node *n, struct slice key)
{
    struct registrations *r = n->registrations;
    uint64_t bit = r != NULL ? map_hash(&r->entries, account_of(key)) % ELSEWHERE_BITS : 0;
    if (r != NULL) r->elsewhere[bit / 64] |= UINT64_C(1) << bit % 64;
}

bool registrations_elsewhere(const struct node *n, struct slice account)
{
    const struct registrations *r = n->registrations;
    if (r == NULL) return true;
    uint64_t bit = map_hash(&r->entries, account) % ELSEWHERE_BITS;
    return (r->elsewhere[bit / 64] >> bit % 64 & 1) != 0;
}

static int by_age(const void *a, const void *b)
{
    int64_t x = ((const struct binding *)a)->since.ms;
    int64_t y = ((const struct binding *)b)->since.ms;
    return (x > y) - (x < y);
}

enum err entry_binding(struct node *n, struct arena *arena, const struct entry *e, struct binding *b)
{
    struct slice value = SLICE_NONE;
    enum err err = store_private(n->read, STATE_BINDING, entry_key(e), &value);
    if (err == ERR_OK) err = binding_unpack(arena, value, b);
    if (err == ERR_OK) b->expires.ms = node_wall().ms + (int64_t)mono_ms_between(node_mono(), e->expires);
    return err;
}

enum err registrations_own(void *ctx, struct arena *arena, struct slice account, struct binding **list, size_t *count)
{
    struct node *n = ctx;
    struct mono now = node_mono();
    size_t found = 0;
    size_t room = 0;
    enum err err = ERR_OK;
    for (struct entry *e = entry_first(n->registrations, account); e != NULL; e = entry_next(e))
        room += is_live(e, now);
    struct binding *made = arena_alloc(arena, room * sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    if (room > 0) err = node_read_begin(n);
    if (err != ERR_OK) return err;
    for (struct entry *e = entry_first(n->registrations, account); err == ERR_OK && e != NULL; e = entry_next(e)) {
        if (!is_live(e, now)) continue;
        err = entry_binding(n, arena, e, &made[found]);
        if (err == ERR_OK) found++;
        if (err != ERR_NOMEM) err = ERR_OK; /* its removal was refused halfway, or the record is damaged */
    }
    if (room > 0) node_read_end(n);
    if (err != ERR_OK) return err;
    if (found > 1) qsort(made, found, sizeof *made, by_age);
    *list = made;
    *count = found;
    return ERR_OK;
}

enum err registrations_known(void *ctx, struct arena *arena, struct slice account, struct slice call_id,
                             struct binding **list, size_t *count)
{
    struct node *n = ctx;
    struct registrations *r = n->registrations;
    struct mono now = node_mono();
    struct wall wall = node_wall();
    size_t room = 0;
    size_t found = 0;
    struct entry *first = entry_first(r, account);
    for (struct entry *e = first; e != NULL; e = entry_next(e)) {
        if (e->of_flow) return registrations_own(ctx, arena, account, list, count);
        room += is_live(e, now);
    }
    struct binding *made = arena_alloc(arena, room * sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    uint64_t call_hash = map_hash(&r->entries, call_id);
    for (struct entry *e = first; e != NULL; e = entry_next(e)) {
        if (!is_live(e, now)) continue;
        /* A copy: what is said about it may be used after the entry has ended. */
        struct slice key = arena_copy(arena, entry_key(e));
        if (key.p == NULL) return ERR_NOMEM;
        made[found++] = (struct binding){
            .account = {key.p, e->account_len},
            .contact = {key.p + e->account_len + 1, (size_t)(key.n - e->account_len - 1)},
            .since = e->known.since,
            .call_id = e->known.call_hash == call_hash ? call_id : SLICE(""),
            .cseq = e->known.cseq,
            .expires = {wall.ms + (int64_t)mono_ms_between(now, e->expires)},
        };
    }
    if (found > 1) qsort(made, found, sizeof *made, by_age);
    *list = made;
    *count = found;
    return ERR_OK;
}

const char *registrations_state(const struct node *n, const struct binding *b)
{
    char bytes[BINDING_KEY_MAX];
    const struct entry *e = entry_find(n->registrations, binding_key(b, bytes));
    if (e == NULL || !is_live(e, node_mono())) return "ending";
    return e->hidden ? "damped" : "up";
}

size_t registrations_count(const struct node *n)
{
    return n->registrations != NULL ? n->registrations->entries.count : 0;
}

/* ---- expiry ---- */

static void expire(void *ctx, struct wheel_timer *t)
{
    struct registrations *r = ctx;
    struct entry *e = CONTAINER_OF(t, struct entry, timer);
    bool live = e->live;
    bool early = live && !mono_reached(node_mono(), e->expires); /* beyond the wheel's horizon */
    bool begun = !early && r->expired < EXPIRED_PER_TICK && registrations_end_entry(r, e) == ERR_OK;
    if (!begun) {
        wheel_start(&r->wheel, t, early ? e->expires : mono_add_ms(node_mono(), 1)); /* the next tick */
        return;
    }
    r->expired++;
    if (!live) return;
    log_event(&r->n->log, LOG_INFO, "registrar", "expired", "account=%.*s%s", (int)e->account_len, e->key,
              e->recovered ? " why=\"it was given back by other nodes, and not heard of since\"" : "");
}

/* ---- telling the others again ---- */

struct show {
    struct list_node node;
    struct registrations *r;
    uint64_t generation;
    uint64_t hash;
    size_t key_len;
    char key[];
};

static void show_some(struct registrations *r);

static void show_done(void *ctx, enum err err)
{
    struct show *s = ctx;
    struct entry *e = entry_find(s->r, (struct slice){s->key, s->key_len});
    /* Meanwhile it may have been written again, or have ended. */
    if (e != NULL && !e->writing && !e->shown)
        entry_set_shown(s->r, e, err == ERR_OK && s->generation == s->r->generation, s->hash);
    struct registrations *r = s->r;
    list_remove(&s->node);
    free(s);
    /* What is much to say, after a new epoch, goes on as fast as the disk takes it. */
    if (list_empty(&r->shows)) show_some(r);
}

static enum err show(struct registrations *r, struct entry *e)
{
    struct arena arena = {0};
    struct binding b;
    struct slice value = SLICE_NONE;
    enum err err = node_read_begin(r->n);
    if (err != ERR_OK) return err;
    err = entry_binding(r->n, &arena, e, &b);
    if (err == ERR_OK) err = binding_half(&arena, &b, true, &value);
    node_read_end(r->n);
    struct show *s = err == ERR_OK ? calloc(1, sizeof *s + e->key_len) : NULL;
    if (s != NULL) {
        s->r = r;
        s->generation = r->generation;
        s->hash = map_hash(&r->entries, value);
        s->key_len = e->key_len;
        memcpy(s->key, e->key, e->key_len);
        list_append(&r->shows, &s->node);
        replica_observe(r->n, STATE_BINDING, (struct slice){s->key, s->key_len}, value, false, show_done, s);
    }
    arena_fini(&arena);
    return err == ERR_OK && s == NULL ? ERR_NOMEM : err;
}

/* A part of those that wait; each leaves the list, and comes back when it fails, or when its account is damped. */
static void show_some(struct registrations *r)
{
    struct list_node damped;
    struct list_node *i = NULL;
    struct mono now = node_mono();
    list_init(&damped);
    for (size_t n = 0; n < SHOWN_PER_TICK && (i = list_pop(&r->unshown)) != NULL; n++) {
        struct entry *e = CONTAINER_OF(i, struct entry, unshown);
        if (!e->live || e->writing) continue; /* the end of a write puts it here again where that is needed */
        if (e->hidden && flaps_damped(r->flaps, (struct slice){e->key, e->account_len}, now)) {
            list_append(&damped, &e->unshown);
        } else if (show(r, e) == ERR_NOMEM) {
            list_append(&r->unshown, &e->unshown);
            break;
        }
    }
    while ((i = list_pop(&damped)) != NULL)
        list_append(&r->unshown, i);
}

void registrations_tick(struct node *n)
{
    struct registrations *r = n->registrations;
    r->expired = 0;
    wheel_advance(&r->wheel, node_mono(), expire, r);
    show_some(r);
}

void registrations_observe_again(struct node *n)
{
    struct registrations *r = n->registrations;
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    if (r == NULL) return;
    r->generation++;
    while ((m = map_walk(&r->entries, &walk)) != NULL)
        entry_set_shown(r, CONTAINER_OF(m, struct entry, by_account), false, 0);
    show_some(r);
}

/* ---- start and end ---- */

struct load_walk {
    struct registrations *r;
    enum err err;
};

static bool visit_private(void *ctx, struct slice key, struct slice value)
{
    struct load_walk *w = ctx;
    struct arena arena = {0};
    struct binding b;
    struct slice public_half = SLICE_NONE;
    struct entry *e = NULL;
    if (binding_unpack(&arena, value, &b) == ERR_OK && binding_half(&arena, &b, true, &public_half) == ERR_OK) {
        e = entry_add(w->r, key);
        if (e == NULL) w->err = ERR_NOMEM;
    }
    if (e != NULL) {
        e->live = registrations_load_way(w->r, e, &arena, &b);
        e->expires = entry_deadline(b.expires);
        e->lease_log2 = lease_log2(b.lease_s);
        e->recovered = b.call_id.n == 0;
        e->known = entry_known(w->r, &b);
        e->of_flow = b.reg_id > 0;
        entry_set_shown(w->r, e, false, map_hash(&w->r->entries, public_half));
        wheel_start(&w->r->wheel, &e->timer, e->live ? e->expires : node_mono());
    }
    arena_fini(&arena);
    return w->err == ERR_OK;
}

/* What the others believe of us. A public half alone ends at the next tick, by an entry that is not live. */
static bool visit_public(void *ctx, const struct state_record *record)
{
    struct load_walk *w = ctx;
    struct registrations *r = w->r;
    if (!node_name_eq(&record->owner, &r->n->self)) {
        registrations_heard(r->n, record->key);
        return true;
    }
    struct entry *e = entry_find(r, record->key);
    if (e != NULL) {
        if (e->public_hash == map_hash(&r->entries, record->value)) entry_set_shown(r, e, true, e->public_hash);
        return true;
    }
    e = entry_add(r, record->key);
    if (e == NULL) w->err = ERR_NOMEM;
    if (e != NULL) wheel_start(&r->wheel, &e->timer, node_mono());
    return e != NULL;
}

enum err registrations_start(struct node *n)
{
    struct registrations *r = calloc(1, sizeof *r);
    struct load_walk w = {.r = r};
    if (r == NULL) return ERR_NOMEM;
    r->n = n;
    list_init(&r->unshown);
    list_init(&r->writes);
    list_init(&r->waiting);
    r->writes_free.kept_max = WRITES_KEPT;
    list_init(&r->shows);
    wheel_init(&r->wheel, node_mono());
    n->registrations = r;
    r->flaps = flaps_new(rng_next(&n->rng));
    if (r->flaps == NULL) return ERR_NOMEM;
    enum err e = map_init(&r->entries, 64, rng_next(&n->rng));
    if (e == ERR_OK) e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = store_private_each(n->read, STATE_BINDING, visit_private, &w);
    if (e == ERR_OK) e = w.err;
    if (e == ERR_OK) e = store_state_find(n->read, STATE_BINDING, SLICE(""), visit_public, &w);
    if (e == ERR_OK) e = w.err;
    node_read_end(n);
    return e;
}

void registrations_stop(struct node *n)
{
    struct registrations *r = n->registrations;
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    struct list_node *i = NULL;
    if (r == NULL) return;
    registrations_drop_writes(r);
    while ((i = list_pop(&r->shows)) != NULL)
        free(CONTAINER_OF(i, struct show, node));
    while (r->entries.buckets != NULL && (m = map_walk(&r->entries, &walk)) != NULL)
        entry_forget(r, CONTAINER_OF(m, struct entry, by_account));
    map_fini(&r->entries);
    flaps_free(r->flaps);
    arena_fini(&r->spare);
    buf_fini(&r->packed);
    free(r);
    n->registrations = NULL;
}
