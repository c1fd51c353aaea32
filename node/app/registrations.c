/* registrations: the bindings that this node owns: written before the 200, expired here and nowhere else.
 *
 * A binding is stored in two halves (node/plan/observed.h). The private half is stored first, the public one goes
 * through the replication core and only when it changed, so that a refresh costs no byte on the mesh. In memory there
 * is one small entry per binding: its key and its timer. A binding whose private half is gone is not offered to callers
 * and ends with its owner's next write of that key. */
#include "node/app/node.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

struct entry {
    struct map_node by_key;
    struct wheel_timer expiry;
    uint16_t key_len;
    char key[];
};

struct registrations {
    struct node *n;
    struct map entries;
    struct wheel wheel; /* monotonic: a step of the calendar clock expires nobody */
};

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

/* ---- entries ---- */

static struct mono expiry_deadline(struct wall expires)
{
    int64_t left = expires.ms - node_wall().ms;
    return mono_add_ms(node_mono(), left > 0 ? (uint64_t)left : 0);
}

static struct entry *find(struct registrations *r, struct slice key)
{
    struct map_node *m = map_first(&r->entries, map_hash(&r->entries, key));
    for (; m != NULL; m = map_next(m)) {
        struct entry *e = CONTAINER_OF(m, struct entry, by_key);
        if (slice_eq((struct slice){e->key, e->key_len}, key)) return e;
    }
    return NULL;
}

static enum err remember(struct registrations *r, struct slice key, struct wall expires)
{
    struct entry *e = find(r, key);
    if (e == NULL) {
        e = malloc(sizeof *e + key.n);
        if (e == NULL) return ERR_NOMEM;
        wheel_timer_init(&e->expiry);
        e->key_len = (uint16_t)key.n;
        memcpy(e->key, key.p, key.n);
        map_insert(&r->entries, &e->by_key, map_hash(&r->entries, key));
    }
    wheel_start(&r->wheel, &e->expiry, expiry_deadline(expires));
    return ERR_OK;
}

static void forget(struct registrations *r, struct entry *e)
{
    wheel_stop(&r->wheel, &e->expiry);
    map_remove(&r->entries, &e->by_key);
    free(e);
}

/* ---- writing ---- */

/* One REGISTER on its way to the disk. */
struct write {
    size_t outstanding;
    enum err err;
    void (*done)(void *ctx, enum err err);
    void *ctx;
};

static void part_done(struct write *w, enum err err)
{
    if (err != ERR_OK && w->err == ERR_OK) w->err = err;
    if (--w->outstanding > 0) return;
    if (w->done != NULL) w->done(w->ctx, w->err);
    free(w);
}

static void public_done(void *ctx, enum err err)
{
    part_done(ctx, err);
}

static void private_done(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)n;
    (void)core_token;
    part_done(ctx, c->err);
}

static void write_private(struct node *n, struct write *w, const struct store_private_put *puts, size_t count)
{
    uint64_t token = 0;
    w->outstanding++;
    enum err e = replica_job(n, private_done, w, 0, &token);
    if (e == ERR_OK) {
        e = store_submit_state(n->store, NULL, 0, puts, count, NULL, 0, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) part_done(w, e);
}

struct same_walk {
    const struct node_name *self;
    struct slice key;
    struct slice value;
    bool same;
};

static bool visit_same(void *ctx, const struct state_record *record)
{
    struct same_walk *w = ctx;
    if (!node_name_eq(&record->owner, w->self) || !slice_eq(record->key, w->key)) return true;
    w->same = slice_eq(record->value, w->value);
    return false;
}

/* Whether the public half is already what the others know. */
static bool public_known(struct node *n, struct slice key, struct slice value)
{
    struct same_walk w = {.self = &n->self, .key = key, .value = value};
    if (node_read_begin(n) != ERR_OK) return false;
    (void)!store_state_find(n->read, STATE_BINDING, key, visit_same, &w);
    node_read_end(n);
    return w.same;
}

static void put_binding(struct node *n, struct write *w, const struct binding *b)
{
    char key_bytes[BINDING_KEY_MAX];
    struct slice key = binding_key(b, key_bytes);
    struct buf private_half = {0};
    struct buf public_half = {0};
    enum err e = binding_pack(b, false, &private_half);
    if (e == ERR_OK) e = binding_pack(b, true, &public_half);
    if (e == ERR_OK) e = remember(n->registrations, key, b->expires);
    w->outstanding++;
    if (e == ERR_OK) {
        struct store_private_put put = {STATE_BINDING, key, buf_view(&private_half)};
        write_private(n, w, &put, 1);
        if (!public_known(n, key, buf_view(&public_half))) {
            w->outstanding++;
            replica_observe(n, STATE_BINDING, key, buf_view(&public_half), false, public_done, w);
        }
    }
    buf_fini(&private_half);
    buf_fini(&public_half);
    part_done(w, e);
}

static void remove_key(struct node *n, struct write *w, struct slice key)
{
    struct store_private_put put = {STATE_BINDING, key, SLICE_NONE};
    struct entry *e = find(n->registrations, key);
    w->outstanding += 2;
    replica_observe(n, STATE_BINDING, key, SLICE_NONE, true, public_done, w);
    write_private(n, w, &put, 1);
    if (e != NULL) forget(n->registrations, e);
    part_done(w, ERR_OK);
}

void registrations_write(void *ctx, const struct binding *puts, size_t put_count, const struct binding *removes,
                         size_t remove_count, void (*done)(void *done_ctx, enum err err), void *done_ctx)
{
    struct node *n = ctx;
    struct write *w = calloc(1, sizeof *w);
    if (w == NULL) {
        if (done != NULL) done(done_ctx, ERR_NOMEM);
        return;
    }
    *w = (struct write){.outstanding = 1, .done = done, .ctx = done_ctx};
    for (size_t i = 0; i < remove_count; i++) {
        char key[BINDING_KEY_MAX];
        remove_key(n, w, binding_key(&removes[i], key));
    }
    for (size_t i = 0; i < put_count; i++)
        put_binding(n, w, &puts[i]);
    part_done(w, ERR_OK);
}

/* ---- reading ---- */

struct own_walk {
    struct node *n;
    struct arena *arena;
    struct binding *list;
    size_t count;
    size_t cap;
    enum err err;
};

static bool visit_own(void *ctx, const struct state_record *record)
{
    struct own_walk *w = ctx;
    struct slice value = SLICE_NONE;
    if (!node_name_eq(&record->owner, &w->n->self)) return true;
    if (w->count == w->cap) return false;
    if (store_private(w->n->read, STATE_BINDING, record->key, &value) != ERR_OK) return true;
    struct binding *b = &w->list[w->count];
    if (binding_unpack(w->arena, value, b) == ERR_OK && b->expires.ms > node_wall().ms) w->count++;
    return true;
}

static int by_age(const void *a, const void *b)
{
    int64_t x = ((const struct binding *)a)->since.ms;
    int64_t y = ((const struct binding *)b)->since.ms;
    return (x > y) - (x < y);
}

enum err registrations_own(void *ctx, struct arena *arena, struct slice account, struct binding **list, size_t *count)
{
    char prefix[LIMIT_NAME + 1];
    struct own_walk w = {.n = ctx, .arena = arena, .cap = 64};
    if (account.n > LIMIT_NAME) return ERR_NOTFOUND;
    memcpy(prefix, account.p, account.n);
    prefix[account.n] = '\0';
    w.list = arena_alloc(arena, w.cap * sizeof *w.list);
    if (w.list == NULL) return ERR_NOMEM;
    enum err e = node_read_begin(w.n);
    if (e != ERR_OK) return e;
    e = store_state_find(w.n->read, STATE_BINDING, (struct slice){prefix, account.n + 1}, visit_own, &w);
    node_read_end(w.n);
    if (e != ERR_OK) return e;
    qsort(w.list, w.count, sizeof *w.list, by_age);
    *list = w.list;
    *count = w.count;
    return ERR_OK;
}

size_t registrations_count(const struct node *n)
{
    return n->registrations != NULL ? n->registrations->entries.count : 0;
}

/* ---- expiry ---- */

static void expire(void *ctx, struct wheel_timer *t)
{
    struct registrations *r = ctx;
    struct entry *e = CONTAINER_OF(t, struct entry, expiry);
    char key[BINDING_KEY_MAX];
    struct write *w = calloc(1, sizeof *w);
    if (w == NULL) {
        wheel_start(&r->wheel, t, mono_add_ms(node_mono(), 1000)); /* again in a second */
        return;
    }
    w->outstanding = 1;
    memcpy(key, e->key, e->key_len);
    struct slice name = slice_of(key); /* up to the NUL: the account */
    log_event(&r->n->log, LOG_INFO, "registrar", "expired", "account=%.*s", SLICE_ARG(name));
    remove_key(r->n, w, (struct slice){key, e->key_len});
    part_done(w, ERR_OK);
}

void registrations_expire(struct node *n)
{
    wheel_advance(&n->registrations->wheel, node_mono(), expire, n->registrations);
}

/* ---- start, and start of a new epoch ---- */

void registrations_observe_again(struct node *n)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    while ((m = map_walk(&n->registrations->entries, &walk)) != NULL) {
        struct entry *e = CONTAINER_OF(m, struct entry, by_key);
        struct arena arena = {0};
        struct buf packed = {0};
        struct slice value = SLICE_NONE;
        struct binding b;
        struct slice key = {e->key, e->key_len};
        if (node_read_begin(n) != ERR_OK) return;
        bool found = store_private(n->read, STATE_BINDING, key, &value) == ERR_OK &&
                     binding_unpack(&arena, value, &b) == ERR_OK && binding_pack(&b, true, &packed) == ERR_OK;
        node_read_end(n);
        if (found) replica_observe(n, STATE_BINDING, key, buf_view(&packed), false, NULL, NULL);
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

struct load_walk {
    struct registrations *r;
    struct arena arena;
    enum err err;
};

static bool visit_private(void *ctx, struct slice key, struct slice value)
{
    struct load_walk *w = ctx;
    struct binding b;
    if (binding_unpack(&w->arena, value, &b) != ERR_OK) return true;
    w->err = remember(w->r, key, b.expires);
    if (w->arena.used_total > 65536) arena_fini(&w->arena);
    return w->err == ERR_OK;
}

enum err registrations_start(struct node *n)
{
    struct registrations *r = calloc(1, sizeof *r);
    struct load_walk w = {.r = r};
    if (r == NULL) return ERR_NOMEM;
    r->n = n;
    wheel_init(&r->wheel, node_mono());
    enum err e = map_init(&r->entries, 64, rng_next(&n->rng));
    n->registrations = r;
    if (e == ERR_OK) e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = store_private_each(n->read, STATE_BINDING, visit_private, &w);
    node_read_end(n);
    arena_fini(&w.arena);
    return e == ERR_OK ? w.err : e;
}

void registrations_stop(struct node *n)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    if (n->registrations == NULL) return;
    while (n->registrations->entries.buckets != NULL && (m = map_walk(&n->registrations->entries, &walk)) != NULL) {
        forget(n->registrations, CONTAINER_OF(m, struct entry, by_key));
    }
    map_fini(&n->registrations->entries);
    free(n->registrations);
    n->registrations = NULL;
}
