/* snapshot: see snapshot.h. */
#include "store/snapshot.h"

#include "proto/plan_codec.h"
#include "store/conflicts.h"
#include "store/floor.h"
#include "store/vectors.h"

/* ---- putting aside ---- */

static enum err clear_side(struct env_write *w, const struct totals *t)
{
    enum err e = env_clear(w, side_table(t, PLAN_OBJECTS));
    if (e == ERR_OK) e = env_clear(w, side_table(t, PLAN_INDEX));
    return e == ERR_OK ? env_clear(w, side_table(t, PLAN_TOMBSTONES)) : e;
}

static enum err get_totals(struct env_write *w, const char *name, struct totals *t)
{
    return totals_get(w->txn, w->env->tables[PLAN_META], name, t);
}

/* The side that is not the replica's. */
static enum err other_side(struct env_write *w, struct totals *aside)
{
    struct totals t;
    enum err e = get_totals(w, TOTALS, &t);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    *aside = (struct totals){.side = !t.side};
    return ERR_OK;
}

enum err snapshot_clear(struct env_write *w)
{
    struct totals aside;
    enum err e = other_side(w, &aside);
    if (e == ERR_OK) e = clear_side(w, &aside);
    if (e == ERR_OK) e = env_clear(w, PLAN_TAIL);
    if (e == ERR_OK) e = env_del(w, PLAN_META, SLICE(TOTALS_ASIDE));
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err put_tail(struct env_write *w, const struct changeset *c, struct err_info *info)
{
    struct arena arena = {0};
    struct changeset whole;
    char key[LOG_KEY_MAX];
    enum err e = changeset_unpack(&arena, c->packed, &whole, info);
    if (e == ERR_OK) e = change_validate(&whole, info);
    if (e == ERR_OK) e = env_put_one(w, PLAN_TAIL, log_key(&whole.id, key), c->packed);
    arena_fini(&arena);
    return e;
}

enum err snapshot_put(struct env_write *w, const struct store_piece *piece, struct change_tally *tally,
                      struct err_info *info)
{
    struct totals aside;
    enum err e = piece->first ? snapshot_clear(w) : ERR_OK;
    if (e != ERR_OK) return e;
    if (piece->first) {
        e = other_side(w, &aside);
    } else {
        e = get_totals(w, TOTALS_ASIDE, &aside);
        if (e == ERR_NOTFOUND) return err_fail(info, ERR_CONFLICT, "a piece of a snapshot that was not begun");
    }
    if (e == ERR_OK) e = plan_apply_objects(w, &aside, piece->objects, piece->object_count, true, tally, info);
    for (size_t i = 0; e == ERR_OK && i < piece->change_count; i++)
        e = put_tail(w, &piece->changes[i], info);
    return e == ERR_OK ? totals_put(w, TOTALS_ASIDE, &aside) : e;
}

/* ---- taking the replica's place ---- */

struct replace {
    struct env_write *w;
    const struct store_replacement *r;
    struct change_tally *tally;
    struct totals *aside;
    uint64_t lost;
    bool unlogged; /* something that only we have is in no log any more */
};

static uint64_t donor_high(const struct replace *r, const struct node_name *origin, uint64_t epoch)
{
    return vector_high(r->r->vector, r->r->vector_count, origin, epoch);
}

/* The entries of one table of change-sets from a key on, each unpacked, while each returns ERR_OK. prefix 0: all. */
static enum err each_change(struct replace *r, unsigned table, struct slice from, struct slice prefix,
                            enum err (*each)(struct replace *r, const struct changeset *c))
{
    char at[LOG_KEY_MAX];
    struct arena arena = {0};
    MDB_cursor *cursor = NULL;
    struct slice key = from;
    struct slice packed;
    enum err e = env_cursor(r->w, table, &cursor);
    if (e != ERR_OK) return e;
    e = record_step(cursor, from.n > 0 ? MDB_SET_RANGE : MDB_FIRST, &key, &packed);
    while (e == ERR_OK && slice_starts(key, prefix)) {
        struct changeset c;
        size_t n = key.n;
        if (n > sizeof at) {
            e = ERR_CORRUPT;
            break;
        }
        memcpy(at, key.p, n);
        packed = arena_copy(&arena, packed); /* each may write into the same table */
        e = packed.p != NULL ? changeset_unpack(&arena, packed, &c, NULL) : ERR_NOMEM;
        if (e == ERR_SYNTAX || e == ERR_LIMIT) e = ERR_CORRUPT;
        if (e == ERR_OK) e = each(r, &c);
        arena_fini(&arena);
        if (e != ERR_OK) break;
        key = (struct slice){at, n};
        e = record_step(cursor, MDB_SET_RANGE, &key, &packed);
        if (e == ERR_OK && slice_eq(key, (struct slice){at, n})) e = record_step(cursor, MDB_NEXT, &key, &packed);
    }
    mdb_cursor_close(cursor);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* What the donor's log had above the first piece. */
static enum err add_tail(struct replace *r, const struct changeset *c)
{
    char key[LOG_KEY_MAX];
    struct slice content;
    enum err e = plan_apply(r->w, r->aside, c, PLAN_KNOWN, r->tally);
    if (e == ERR_OK) e = pending_note(r->w, r->aside, c);
    if (e == ERR_OK) e = env_get(r->w, PLAN_LOG, log_key(&c->id, key), &content);
    return e == ERR_NOTFOUND ? log_write(r->w, r->aside, c) : e;
}

static enum err find_stray(struct replace *r, const struct changeset *c)
{
    return c->time.v <= r->r->floor.v ? ERR_EXISTS : ERR_OK;
}

static enum err keep(struct replace *r, const struct changeset *c)
{
    enum err e = plan_apply(r->w, r->aside, c, PLAN_NEWS, r->tally);
    return e == ERR_OK ? pending_note(r->w, r->aside, c) : e;
}

static enum err lose(struct replace *r, const struct changeset *c)
{
    char key[LOG_KEY_MAX];
    enum err e = env_put_one(r->w, PLAN_LOST, log_key(&c->id, key), c->packed);
    if (e == ERR_OK) e = log_remove(r->w, r->aside, c->time, &c->id);
    if (e == ERR_OK) e = conflicts_lost_whole(r->w, c);
    r->lost++;
    return e;
}

/* The change-sets of one log of ours above what the donor has. */
static enum err each_above(struct replace *r, const struct log_id *log, uint64_t above,
                           enum err (*each)(struct replace *r, const struct changeset *c))
{
    char from[LOG_KEY_MAX];
    char prefix[LOG_KEY_MAX];
    struct log_id first = {log->origin, log->epoch, above + 1};
    return each_change(r, PLAN_LOG, log_key(&first, from), vector_key(&log->origin, log->epoch, prefix), each);
}

/* How far down from high the log has no gap. */
static enum err log_base(struct env_write *w, const struct log_id *log, uint64_t high, uint64_t *base)
{
    char key[LOG_KEY_MAX];
    struct slice content;
    enum err e = ERR_OK;
    for (*base = high; *base > 0; --*base) {
        struct log_id id = {log->origin, log->epoch, *base};
        e = env_get(w, PLAN_LOG, log_key(&id, key), &content);
        if (e != ERR_OK) break;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err set_span(struct replace *r, const struct log_id *log, uint64_t high)
{
    char key[LOG_KEY_MAX];
    struct log_span span = {.high = high};
    if (high == 0) {
        enum err e = env_del(r->w, PLAN_VECTOR, vector_key(&log->origin, log->epoch, key));
        return e == ERR_NOTFOUND ? ERR_OK : e;
    }
    enum err e = log_base(r->w, log, high, &span.base);
    return e == ERR_OK ? log_span_put(r->w, &log->origin, log->epoch, span) : e;
}

struct our_log {
    struct log_id log;
    struct log_span span;
    bool lost;
};

struct our_logs {
    struct arena arena;
    struct our_log *items;
    size_t count;
    size_t cap;
};

static enum err collect_log(void *ctx, const struct log_id *log, struct log_span span)
{
    struct our_logs *l = ctx;
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct our_log *grown = arena_alloc(&l->arena, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        if (l->count > 0) memcpy(grown, l->items, l->count * sizeof *grown);
        l->items = grown;
        l->cap = cap;
    }
    l->items[l->count++] = (struct our_log){.log = *log, .span = span};
    return ERR_OK;
}

/* One log of ours: what it has above the donor's is kept, or all of that is lost. */
static enum err keep_or_lose(struct replace *r, struct our_log *l)
{
    uint64_t theirs = donor_high(r, &l->log.origin, l->log.epoch);
    if (l->span.high <= theirs) return ERR_OK;
    enum err e = each_above(r, &l->log, theirs, find_stray);
    if (e == ERR_EXISTS) {
        l->lost = true;
        e = each_above(r, &l->log, theirs, lose);
        return e == ERR_OK ? set_span(r, &l->log, theirs) : e;
    }
    if (l->span.base > theirs) r->unlogged = true;
    return e == ERR_OK ? each_above(r, &l->log, theirs, keep) : e;
}

static const struct our_log *log_of(const struct our_logs *l, const struct stamp *stamp)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct our_log *o = &l->items[i];
        if (o->log.epoch == stamp->epoch && node_name_eq(&o->log.origin, &stamp->origin)) return o;
    }
    return NULL;
}

/* What an earlier snapshot brought us, and this donor does not have: it is in our objects only. */
static enum err keep_unlogged(struct replace *r, const struct totals *ours, const struct our_logs *logs)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    enum err e = env_cursor(r->w, side_table(ours, PLAN_OBJECTS), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct stored_object o;
        e = stored_object_parse(content, &o);
        if (e != ERR_OK) break;
        const struct our_log *l = log_of(logs, &o.stamp);
        bool only_here = l != NULL && !l->lost && l->span.base > donor_high(r, &l->log.origin, l->log.epoch);
        if (only_here && o.stamp.time.v > r->r->floor.v) {
            struct arena scratch = {0}; /* writing may move the pages that these point into */
            struct snapshot_object put = {
                .key = arena_copy(&scratch, key), .value = arena_copy(&scratch, o.packed), .stamp = o.stamp};
            put.deleted = o.tombstone;
            e = put.key.p != NULL && put.value.p != NULL
                    ? plan_apply_objects(r->w, r->aside, &put, 1, false, r->tally, NULL)
                    : ERR_NOMEM;
            arena_fini(&scratch);
        }
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* The vector becomes the greater of both, but for what was lost. */
static enum err join_vectors(struct replace *r)
{
    for (size_t i = 0; i < r->r->vector_count; i++) {
        const struct vector_entry *v = &r->r->vector[i];
        struct log_span span;
        enum err e = log_span_get(r->w, &v->origin, v->epoch, &span);
        if (e != ERR_OK) return e;
        if (span.high >= v->high) continue;
        struct log_id log = {v->origin, v->epoch, v->high};
        e = set_span(r, &log, v->high);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

static enum err change_over(struct replace *r, const struct totals *ours)
{
    enum err e = cut_write(r->w, r->r->cut, r->r->cut_count);
    if (e == ERR_OK) e = floor_drop_tombstones(r->w, r->aside);
    if (e == ERR_OK) e = clear_side(r->w, ours);
    if (e == ERR_OK) e = env_clear(r->w, PLAN_TAIL);
    if (e == ERR_OK) e = env_del(r->w, PLAN_META, SLICE(TOTALS_ASIDE));
    return e == ERR_OK ? totals_put(r->w, TOTALS, r->aside) : e;
}

enum err snapshot_replace(struct env_write *w, const struct store_replacement *replacement, struct totals *t,
                          struct change_tally *tally, uint64_t *lost)
{
    struct totals ours;
    struct totals aside;
    struct our_logs logs = {.count = 0};
    struct replace r = {.w = w, .r = replacement, .tally = tally, .aside = &aside};
    enum err e = get_totals(w, TOTALS, &ours);
    if (e == ERR_NOTFOUND) e = ERR_OK;
    if (e == ERR_OK) e = get_totals(w, TOTALS_ASIDE, &aside);
    if (e == ERR_NOTFOUND || (e == ERR_OK && ours.floor.v > replacement->floor.v)) return ERR_CONFLICT;
    if (e != ERR_OK) return e;
    aside.log_count = ours.log_count;
    aside.log_bytes = ours.log_bytes;
    aside.floor = replacement->floor;
    if (ours.time.v > aside.time.v) aside.time = ours.time;
    if (aside.floor.v > aside.time.v) aside.time = aside.floor;
    aside.pending = ours.pending;     /* what is open here may be so, whatever of it the donor's log still has */
    e = env_clear(w, PLAN_CONFLICTS); /* the logs tell them again as far as they reach */
    if (e == ERR_OK) e = each_change(&r, PLAN_TAIL, SLICE_NONE, SLICE_NONE, add_tail);
    if (e == ERR_OK) e = vector_each(w, collect_log, &logs);
    for (size_t i = 0; e == ERR_OK && i < logs.count; i++)
        e = keep_or_lose(&r, &logs.items[i]);
    if (e == ERR_OK && r.unlogged) e = keep_unlogged(&r, &ours, &logs);
    if (e == ERR_OK) e = pending_sift(w, &aside);
    if (e == ERR_OK) e = join_vectors(&r);
    if (e == ERR_OK) e = change_over(&r, &ours);
    arena_fini(&logs.arena);
    if (e != ERR_OK) return e;
    *t = aside;
    *lost = r.lost;
    return ERR_OK;
}
