#include "node/app/history.h"

#include "node/base/list.h"
#include "node/base/map.h"
#include "proto/plan_codec.h"

bool history_parse_id(struct slice text, struct log_id *id)
{
    struct slice origin;
    struct slice epoch;
    struct slice rest = slice_cut(text, '/', &origin);
    rest = slice_cut(rest, '/', &epoch);
    id->epoch = 0;
    for (size_t i = 0; i < epoch.n; i++) {
        char c = epoch.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) return false;
        id->epoch = id->epoch << 4 | digit;
    }
    return epoch.n > 0 && epoch.n <= 16 && node_name_set(&id->origin, origin) == ERR_OK &&
           slice_u64(rest, UINT64_MAX, &id->seq) == ERR_OK && id->seq > 0;
}

/* ---- what was before ---- */

struct wanted {
    struct map_node by_key;
    struct history_op *op;
};

struct search {
    struct arena *arena;
    struct map wanted;
    size_t missing; /* whose before is not found yet */
    enum err err;
};

static struct history_op *find(const struct search *s, struct slice key)
{
    struct map_node *m = map_first(&s->wanted, map_hash(&s->wanted, key));
    for (; m != NULL; m = map_next(m)) {
        struct wanted *w = CONTAINER_OF(m, struct wanted, by_key);
        if (slice_eq(w->op->key, key)) return w->op;
    }
    return NULL;
}

static enum err take_before(struct search *s, struct history_op *op, const struct change_op *was)
{
    if (was->kind == CHANGE_PUT) {
        op->before = arena_copy(s->arena, was->value);
        if (op->before.p == NULL) return ERR_NOMEM;
    }
    op->known = was->kind == CHANGE_PUT ? HISTORY_PRESENT : HISTORY_ABSENT;
    s->missing--;
    return ERR_OK;
}

/* One that cannot be read hides nothing of the others. Of two operations on one key in a change-set the later counts.
 */
static bool visit_older(void *ctx, const struct log_id *id, struct slice packed)
{
    struct search *s = ctx;
    struct arena scratch = {0};
    struct changeset c;
    (void)id;
    enum err e = changeset_unpack(&scratch, packed, &c, NULL);
    if (e == ERR_NOMEM) s->err = e;
    for (size_t i = e == ERR_OK ? c.op_count : 0; i-- > 0 && s->err == ERR_OK;) {
        struct history_op *op = c.ops[i].kind != CHANGE_ACCEPT ? find(s, c.ops[i].key) : NULL;
        if (op != NULL && op->known == HISTORY_UNKNOWN) s->err = take_before(s, op, &c.ops[i]);
    }
    arena_fini(&scratch);
    return s->err == ERR_OK && s->missing > 0;
}

static enum err want_all(struct search *s, struct history_change *h)
{
    struct wanted *all = arena_alloc(s->arena, h->op_count * sizeof *all);
    enum err e = map_init(&s->wanted, h->op_count, 1);
    if (all == NULL || e != ERR_OK) return ERR_NOMEM;
    for (size_t i = 0; i < h->op_count; i++) {
        if (find(s, h->ops[i].key) != NULL) continue;
        all[i].op = &h->ops[i];
        map_insert(&s->wanted, &all[i].by_key, map_hash(&s->wanted, h->ops[i].key));
        s->missing++;
    }
    return ERR_OK;
}

static enum err find_before(struct store_read *read, struct arena *arena, struct history_change *h)
{
    struct search s = {.arena = arena};
    bool whole = false;
    enum err e = want_all(&s, h);
    if (e == ERR_OK && s.missing > 0) {
        e = store_history_before(read, h->change.time, &h->change.id, visit_older, &s);
        if (e == ERR_OK) e = s.err;
    }
    if (e == ERR_OK && s.missing > 0) e = store_history_whole(read, &whole);
    for (size_t i = 0; whole && i < h->op_count; i++) {
        if (h->ops[i].known == HISTORY_UNKNOWN) h->ops[i].known = HISTORY_ABSENT;
    }
    map_fini(&s.wanted);
    return e;
}

/* ---- what became of it ---- */

/* A confirmation puts the same again. */
static bool same_change(const struct log_id *a, const struct log_id *b)
{
    return a->seq == b->seq && a->epoch == b->epoch && node_name_eq(&a->origin, &b->origin);
}

/* confirmed_by: seq 0 when there is no such change. */
static enum err find_fate(struct store_read *read, const struct history_change *h, const struct log_id *confirmed_by,
                          struct history_op *op)
{
    bool overridden = false;
    const struct stamp own = changeset_stamp(&h->change);
    if (op->kind == CHANGE_ACCEPT) return ERR_OK;
    enum err e = store_object_stamp(read, op->key, &op->now);
    if (e == ERR_NOTFOUND) {
        op->now = (struct stamp){0};
        op->fate = op->after.n == 0 ? HISTORY_IN_FORCE : HISTORY_REPLACED; /* also its mark is gone */
        return ERR_OK;
    }
    if (e != ERR_OK) return e;
    op->fate = stamp_cmp(&op->now, &own) > 0 ? HISTORY_REPLACED : HISTORY_IN_FORCE;
    if (op->fate == HISTORY_IN_FORCE) return ERR_OK;
    e = store_is_conflict(read, op->key, &own, &overridden);
    if (overridden) op->fate = HISTORY_OVERRIDDEN;
    if (e == ERR_OK) e = store_change_at(read, &op->now, &op->by);
    op->by_known = e == ERR_OK;
    if (op->by_known && same_change(&op->by, confirmed_by)) op->fate = HISTORY_IN_FORCE;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err history_change(struct store_read *read, struct arena *arena, const struct log_id *id,
                        struct history_change *out)
{
    struct history_change h = {.ops = NULL};
    struct slice packed;
    enum err e = store_change(read, id, &packed);
    if (e != ERR_OK) return e;
    packed = arena_copy(arena, packed);
    if (packed.p == NULL) return ERR_NOMEM;
    e = changeset_unpack(arena, packed, &h.change, NULL);
    if (e != ERR_OK) return e == ERR_NOMEM ? e : ERR_CORRUPT; /* it was valid when it was stored */
    h.op_count = h.change.op_count;
    h.ops = arena_alloc(arena, h.op_count * sizeof *h.ops);
    if (h.ops == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < h.op_count; i++) {
        const struct change_op *op = &h.change.ops[i];
        h.ops[i] = (struct history_op){.kind = op->kind, .key = op->key, .after = op->value};
    }
    e = find_before(read, arena, &h);
    struct store_pending pending;
    struct log_id confirmed_by = {.seq = 0};
    if (store_pending(read, id, &pending) == ERR_OK && pending.state == PENDING_CONFIRMED) confirmed_by = pending.by;
    for (size_t i = 0; e == ERR_OK && i < h.op_count; i++)
        e = find_fate(read, &h, &confirmed_by, &h.ops[i]);
    if (e == ERR_OK) *out = h;
    return e;
}
