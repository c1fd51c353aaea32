/* registrations_write: bindings on their way to the disk: both halves of each, and what an entry becomes when they are
 * there or are not. No two writes share an entry: the edge sends one at a time for an account, what it sends twice is
 * written once, an entry that is being written does not expire, and who comes back while his end is being written waits
 * until it is. */
#include "node/app/registrations_entry.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

#define RETRY_MS 5000 /* until a removal that could not be stored is tried again */

/* ---- one write ---- */

struct part {
    struct entry *entry;
    struct mono expires;
    uint64_t public_hash;
    struct entry_known known;
    bool removal;
    bool expiry;    /* a removal that must come about in the end */
    bool hidden;    /* its public half is kept back: flaps.h */
    bool recovered; /* what other nodes gave back: it says nothing of its way */
    bool of_flow;
    bool has_way;
    bool wayless;
    uint8_t keepalive : 2; /* of wayless */
    uint8_t lease_log2;
    struct edge_way_spec way;
};

/* One REGISTER, or one expiry, on its way to the disk. */
struct write {
    struct list_node node;
    struct registrations *r;
    uint64_t generation;
    size_t outstanding;
    enum err err;
    bool partly; /* a half is on the disk, whatever became of the others */
    void (*done)(void *ctx, enum err err);
    void *ctx;
    size_t part_count;
    bool pooled; /* it has room for one part, as nearly all need */
    struct part parts[];
};

#define POOLED_SIZE (sizeof(struct write) + sizeof(struct part))

static struct write *write_new(struct registrations *r, size_t part_count)
{
    bool pooled = part_count == 1;
    struct write *w =
        pooled ? pool_get(&r->writes_free, POOLED_SIZE) : malloc(sizeof *w + part_count * sizeof(struct part));
    if (w == NULL) return NULL;
    *w = (struct write){.pooled = pooled};
    w->r = r;
    w->generation = r->generation;
    w->outstanding = 1; /* until everything is under way */
    list_append(&r->writes, &w->node);
    return w;
}

/* What is to be written when others have been. */
struct waiting {
    struct list_node node;
    const struct binding *puts;
    size_t put_count;
    const struct binding *removes;
    size_t remove_count;
    void (*done)(void *ctx, enum err err);
    void *ctx;
};

static void write_free(struct registrations *r, struct write *w)
{
    if (w->pooled) {
        pool_put(&r->writes_free, w);
    } else {
        free(w);
    }
}

static void settle_removal(struct registrations *r, struct part *p, enum err err)
{
    struct entry *e = p->entry;
    e->writing = false;
    if (err == ERR_OK) {
        flaps_lost(r->flaps, (struct slice){e->key, e->account_len}, node_mono());
        entry_forget(r, e);
        return;
    }
    /* One half may be gone: what the others know is no longer certain. A phone that was told so asks again. */
    e->live = e->live && !p->expiry && !e->lost;
    if (e->live) entry_set_shown(r, e, false, 0);
    wheel_start(&r->wheel, &e->timer, e->live ? e->expires : mono_add_ms(node_mono(), RETRY_MS));
}

static void settle_put(struct registrations *r, const struct write *w, struct part *p)
{
    struct entry *e = p->entry;
    e->writing = false;
    if (w->err == ERR_OK) {
        e->live = true;
        e->recovered = p->recovered;
        e->expires = p->expires;
        e->lease_log2 = p->lease_log2;
        e->known = p->known;
        e->of_flow = p->of_flow;
        e->wayless = p->wayless;
        e->keepalive = p->keepalive;
        e->hidden = p->hidden;
        bool said = !p->hidden && !p->recovered;
        entry_set_shown(r, e, said && w->generation == r->generation, p->public_hash);
    } else if (!e->live) {
        if (w->partly) {
            entry_end(r, e); /* the half that is there would be believed, by the others or at the next start */
        } else {
            entry_forget(r, e);
        }
        return;
    } else {
        entry_set_shown(r, e, false, 0);
    }
    wheel_start(&r->wheel, &e->timer, e->expires);
    /* The connection may have gone while the disk was busy. */
    bool lost = e->lost;
    if (w->err == ERR_OK && !p->recovered) lost = !entry_set_way(r, e, p->has_way ? &p->way : NULL);
    if (lost) entry_end(r, e);
}

/* Whoever has still to wait is put back. */
static void begin_waiting(struct registrations *r)
{
    struct list_node now;
    struct list_node *i = NULL;
    list_init(&now);
    while ((i = list_pop(&r->waiting)) != NULL)
        list_append(&now, i);
    while ((i = list_pop(&now)) != NULL) {
        struct waiting w = *CONTAINER_OF(i, struct waiting, node);
        free(CONTAINER_OF(i, struct waiting, node));
        registrations_write(r->n, w.puts, w.put_count, w.removes, w.remove_count, w.done, w.ctx);
    }
}

static void part_done(struct write *w, enum err err)
{
    struct registrations *r = w->r;
    if (err != ERR_OK && w->err == ERR_OK) w->err = err;
    if (--w->outstanding > 0) return;
    for (size_t i = 0; i < w->part_count; i++) {
        if (w->parts[i].removal) {
            settle_removal(w->r, &w->parts[i], w->err);
        } else {
            settle_put(w->r, w, &w->parts[i]);
        }
    }
    list_remove(&w->node);
    if (w->done != NULL) w->done(w->ctx, w->err);
    write_free(r, w);
    begin_waiting(r);
}

static void half_done(struct write *w, enum err err)
{
    w->partly = w->partly || err == ERR_OK;
    part_done(w, err);
}

static void public_done(void *ctx, enum err err)
{
    half_done(ctx, err);
}

static void private_done(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)n;
    (void)core_token;
    half_done(ctx, c->err);
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

static void write_public(struct node *n, struct write *w, struct slice key, struct slice value, bool removed)
{
    w->outstanding++;
    replica_observe(n, STATE_BINDING, key, value, removed, public_done, w);
}

enum err binding_half(struct arena *arena, const struct binding *b, bool public_only, struct slice *out)
{
    struct buf bytes = {0};
    enum err e = binding_pack(b, public_only, &bytes);
    if (e == ERR_OK) {
        *out = arena_copy(arena, buf_view(&bytes));
        if (out->p == NULL) e = ERR_NOMEM;
    }
    buf_fini(&bytes);
    return e;
}

/* ---- what is written ---- */

static bool is_part(const struct write *w, const struct entry *e)
{
    for (size_t i = 0; i < w->part_count; i++) {
        if (w->parts[i].entry == e) return true;
    }
    return false;
}

static struct part *part_add(struct write *w, struct entry *e)
{
    struct part *p = &w->parts[w->part_count++];
    *p = (struct part){.entry = e};
    e->writing = true;
    wheel_stop(&w->r->wheel, &e->timer);
    return p;
}

/* The entry of a binding that is about to be written, found or not under key; *e is NULL when this write has it
 * already: a REGISTER may name a contact twice. ERR_EXISTS: another write has it. */
static enum err hold(struct write *w, struct slice key, struct entry *found, struct entry **e)
{
    *e = NULL;
    if (found != NULL && is_part(w, found)) return ERR_OK;
    if (found != NULL && found->writing) return ERR_EXISTS;
    *e = found != NULL ? found : entry_add(w->r, key);
    return *e != NULL ? ERR_OK : ERR_NOMEM;
}

static void begin_removal(struct write *w, struct entry *e, bool expiry, struct store_private_put *put)
{
    struct part *p = part_add(w, e);
    p->removal = true;
    p->expiry = expiry;
    *put = (struct store_private_put){STATE_BINDING, entry_key(e), SLICE_NONE};
    if (!e->hidden) write_public(w->r->n, w, entry_key(e), SLICE_NONE, true);
}

/* The lease is told by powers of two, and stays what it was where that is not too far off: a registrar that grants a
 * little more or less each time must not make each refresh news. */
static uint8_t told_lease(const struct entry *e, const struct binding *b)
{
    int64_t left_ms = b->expires.ms - node_wall().ms;
    uint8_t needed = lease_log2(left_ms > 1000 ? (uint32_t)(left_ms / 1000) : 1);
    return e != NULL && e->lease_log2 == needed + 1 ? e->lease_log2 : needed;
}

/* The private half is the public one and what follows it: it is packed once. */
static enum err both_halves(struct registrations *r, struct arena *arena, const struct binding *b,
                            struct slice *private_half, struct slice *public_half)
{
    buf_reset(&r->packed);
    enum err e = binding_pack(b, true, &r->packed);
    size_t public_len = r->packed.n;
    if (e == ERR_OK) e = binding_pack_private(b, &r->packed);
    if (e == ERR_OK) *private_half = arena_copy(arena, buf_view(&r->packed));
    if (e == ERR_OK && private_half->p == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) *public_half = (struct slice){private_half->p, public_len};
    return e;
}

/* What way the binding wants. known: what the others know of it is what they knew; then so is where it is. */
static void set_way(struct registrations *r, struct part *p, struct arena *arena, const struct binding *b, bool known)
{
    const struct entry *e = p->entry;
    p->keepalive = (uint8_t)((unsigned)b->keepalive & 3U);
    p->wayless = known && e->wayless && b->keepalive_known && e->keepalive == p->keepalive;
    if (p->wayless || p->recovered) return;
    p->has_way = way_wanted(r->n, arena, b, &p->way);
    p->wayless = !p->has_way && b->keepalive_known;
}

static enum err begin_put(struct write *w, struct arena *arena, const struct binding *b, struct store_private_put *put)
{
    struct slice private_half = SLICE_NONE;
    struct slice public_half = SLICE_NONE;
    struct entry *e = NULL;
    struct registrations *r = w->r;
    struct binding told = *b;
    char bytes[BINDING_KEY_MAX];
    struct slice key = binding_key(b, bytes);
    struct entry *found = entry_find(r, key);
    uint8_t lease = told_lease(found, b);
    told.lease_s = UINT32_C(1) << lease;
    enum err err = both_halves(r, arena, &told, &private_half, &public_half);
    if (err == ERR_OK) err = hold(w, key, found, &e);
    if (err != ERR_OK || e == NULL) return err;
    struct part *p = part_add(w, e);
    p->lease_log2 = lease;
    p->expires = entry_deadline(b->expires);
    p->public_hash = map_hash(&r->entries, public_half);
    p->known = entry_known(r, b);
    p->of_flow = b->reg_id > 0;
    p->recovered = b->call_id.n == 0;
    bool known = e->shown && e->public_hash == p->public_hash;
    set_way(r, p, arena, b, known);
    p->hidden = (e->hidden || (!e->live && !e->shown)) && flaps_damped(r->flaps, b->account, node_mono());
    *put = (struct store_private_put){STATE_BINDING, entry_key(e), private_half};
    if (p->recovered && !e->live) e->recovered = true;
    /* What was given back is shown in the epoch that follows, some at a time. */
    if (!known && !p->hidden && !p->recovered) write_public(r->n, w, entry_key(e), public_half, false);
    return ERR_OK;
}

static bool is_being_written(const struct registrations *r, const struct binding *list, size_t count)
{
    char bytes[BINDING_KEY_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = entry_find(r, binding_key(&list[i], bytes));
        if (e != NULL && e->writing) return true;
    }
    return false;
}

static enum err wait_for_others(struct registrations *r, const struct waiting *what)
{
    struct waiting *w = malloc(sizeof *w);
    if (w == NULL) return ERR_NOMEM;
    *w = *what;
    list_init(&w->node);
    list_append(&r->waiting, &w->node);
    return ERR_OK;
}

/* Memory for one write, warm of the last one. One that begins while another is being begun gets its own. */
static struct arena arena_take(struct registrations *r)
{
    struct arena arena = r->spare;
    r->spare = (struct arena){0};
    return arena;
}

static void arena_give_back(struct registrations *r, struct arena *arena)
{
    arena_reset(arena);
    if (r->spare.head != NULL) arena_fini(arena);
    if (r->spare.head == NULL) r->spare = *arena;
}

void registrations_write(void *ctx, const struct binding *puts, size_t put_count, const struct binding *removes,
                         size_t remove_count, void (*done)(void *done_ctx, enum err err), void *done_ctx)
{
    struct node *n = ctx;
    bool busy = is_being_written(n->registrations, puts, put_count) ||
                is_being_written(n->registrations, removes, remove_count);
    if (busy && done != NULL) {
        const struct waiting w = {{0}, puts, put_count, removes, remove_count, done, done_ctx};
        if (wait_for_others(n->registrations, &w) != ERR_OK) done(done_ctx, ERR_NOMEM);
        return;
    }
    struct arena arena = arena_take(n->registrations);
    size_t count = put_count + remove_count;
    struct store_private_put *halves = arena_alloc(&arena, count * sizeof *halves);
    struct write *w = halves != NULL ? write_new(n->registrations, count) : NULL;
    enum err e = ERR_OK;
    if (w == NULL) {
        arena_give_back(n->registrations, &arena);
        if (done != NULL) done(done_ctx, ERR_NOMEM);
        return;
    }
    w->done = done;
    w->ctx = done_ctx;
    for (size_t i = 0; e == ERR_OK && i < put_count; i++)
        e = begin_put(w, &arena, &puts[i], &halves[w->part_count]);
    for (size_t i = 0; e == ERR_OK && i < remove_count; i++) {
        struct entry *entry = NULL;
        char bytes[BINDING_KEY_MAX];
        struct slice key = binding_key(&removes[i], bytes);
        e = hold(w, key, entry_find(w->r, key), &entry);
        if (entry != NULL) begin_removal(w, entry, false, &halves[w->part_count]);
    }
    if (w->part_count > 0) write_private(n, w, halves, w->part_count);
    arena_give_back(n->registrations, &arena);
    part_done(w, e);
}

enum err registrations_end_entry(struct registrations *r, struct entry *e)
{
    struct store_private_put put;
    struct write *w = write_new(r, 1);
    if (w == NULL) return ERR_NOMEM;
    e->live = false;
    begin_removal(w, e, true, &put);
    write_private(r->n, w, &put, 1);
    part_done(w, ERR_OK);
    return ERR_OK;
}

void registrations_drop_writes(struct registrations *r)
{
    struct list_node *i = NULL;
    while ((i = list_pop(&r->writes)) != NULL)
        write_free(r, CONTAINER_OF(i, struct write, node));
    while ((i = list_pop(&r->waiting)) != NULL)
        free(CONTAINER_OF(i, struct waiting, node));
    pool_fini(&r->writes_free);
}
