/* plan: what change-sets, and the pieces of a snapshot, do to the objects of one side. Per object the newest stamp
 * wins; the loser is history only. A delete leaves a tombstone with its stamp, so that an older put that arrives later
 * loses too: the end does not depend on the order. Invariant: totals, index and tombstones change with the objects, in
 * the same transaction. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/changes.h"
#include "store/conflicts.h"
#include "store/index.h"

struct apply {
    struct env_write *w;
    struct totals *totals;
    struct change_tally *tally;
    unsigned table;
    MDB_cursor *cursor;
    char last[ENV_KEY_MAX]; /* the table's last key at the start */
    struct slice end;       /* no key of the table is greater: one that is has nothing to be compared with */
    struct index_edits edits;
    const struct change_op *op; /* NULL: a piece of a snapshot */
    struct conflicts conflicts;
    struct arena scratch; /* unpacked objects, for a bounded number of ops */
    struct hasher *hasher;
    bool validate; /* nobody has looked at the values yet */
    struct err_info *info;
};

static int op_cmp(const void *pa, const void *pb)
{
    const struct change_op *a = *(const struct change_op *const *)pa;
    const struct change_op *b = *(const struct change_op *const *)pb;
    int d = slice_cmp(a->key, b->key);
    return d != 0 ? d : a < b ? -1 : 1; /* two ops on one key keep their order: the later one wins */
}

/* In key order, so that the tree is walked once. NULL when memory is out. */
static const struct change_op **sorted_ops(const struct changeset *c)
{
    const struct change_op **ops = calloc(c->op_count + 1, sizeof *ops);
    bool sorted = true;
    if (ops == NULL) return NULL;
    for (size_t i = 0; i < c->op_count; i++) {
        ops[i] = &c->ops[i];
        if (i > 0 && sorted) sorted = slice_cmp(ops[i - 1]->key, ops[i]->key) <= 0;
    }
    if (!sorted) qsort(ops, c->op_count, sizeof *ops, op_cmp);
    return ops;
}

/* Takes packed out of totals and index, or puts it in. */
static enum err account_for(struct apply *a, struct slice key, struct slice packed, bool add)
{
    unsigned char hash[HASH_SHA256_LEN];
    struct plan_object o;
    enum err e = plan_object_hash(a->hasher, key, packed, hash);
    if (e != ERR_OK) return e;
    if (add && a->validate) {
        e = change_unpack(&a->scratch, key, packed, &o, a->info);
    } else {
        e = plan_object_unpack_stored(&a->scratch, packed, &o, NULL);
        if (e == ERR_SYNTAX || e == ERR_LIMIT) e = ERR_CORRUPT; /* it was valid when it was written */
    }
    if (e != ERR_OK) return e;
    if (add) {
        plan_digest_add(&a->totals->digest, hash);
        a->totals->kinds[o.kind]++;
    } else {
        plan_digest_sub(&a->totals->digest, hash);
        if (a->totals->kinds[o.kind] == 0) return ERR_CORRUPT;
        a->totals->kinds[o.kind]--;
    }
    e = totals_name(a->totals, &o, add);
    return e == ERR_OK ? index_collect(&a->edits, key, &o, packed, add) : e;
}

/* What stands under key. ERR_NOTFOUND. */
static enum err current(struct apply *a, struct slice key, struct stored_object *old)
{
    struct slice content;
    if (slice_cmp(key, a->end) > 0) return ERR_NOTFOUND;
    enum err e = env_get(a->w, a->table, key, &content);
    return e == ERR_OK ? stored_object_parse(content, old) : e;
}

/* A tombstone's entry comes or goes with it. */
static enum err mark_tombstone(struct apply *a, struct slice key, const struct stamp *stamp, bool add)
{
    char text[TOMBSTONE_KEY_MAX];
    struct slice at;
    unsigned table = side_table(a->totals, PLAN_TOMBSTONES);
    enum err e = tombstone_key(stamp->time, key, text, &at);
    if (e != ERR_OK) return e;
    if (add) {
        a->totals->tombstones++;
        return env_put_one(a->w, table, at, SLICE_NONE);
    }
    if (a->totals->tombstones == 0) return ERR_CORRUPT;
    a->totals->tombstones--;
    e = env_del(a->w, table, at);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

/* Takes what stands under key out of all that is derived from it; the object itself is about to be written over. */
static enum err retire(struct apply *a, struct slice key, const struct stored_object *old)
{
    return old->tombstone ? mark_tombstone(a, key, &old->stamp, false) : account_for(a, key, old->packed, false);
}

static enum err apply_object(struct apply *a, const struct snapshot_object *o)
{
    struct stored_object old = {0};
    enum err e = current(a, o->key, &old);
    bool exists = e == ERR_OK;
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (a->op != NULL && a->op->kind == CHANGE_ACCEPT) {
        return conflicts_accepted(&a->conflicts, a->op, exists ? &old : NULL);
    }
    if (exists && stamp_cmp(&o->stamp, &old.stamp) < 0) {
        a->tally->ops_lost++;
        return a->op != NULL ? conflicts_lost(&a->conflicts, a->op, &old) : ERR_OK;
    }
    /* The old object goes first: writing would move it. */
    if (exists) e = retire(a, o->key, &old);
    if (exists && e != ERR_OK) return e;
    if (a->op != NULL) e = conflicts_won(&a->conflicts, a->op, exists ? &old : NULL);
    if (a->op != NULL && e != ERR_OK) return e;
    struct stored_object now = {.stamp = o->stamp, .packed = o->value, .tombstone = o->deleted};
    bool append = slice_cmp(o->key, a->end) > 0;
    if (append) a->end = o->key;
    e = stored_object_put(a->w, a->cursor, o->key, &now, append ? MDB_APPEND : 0);
    if (e == ERR_OK) {
        e = o->deleted ? mark_tombstone(a, o->key, &o->stamp, true) : account_for(a, o->key, o->value, true);
    }
    if (e == ERR_OK) a->tally->ops_won++;
    return e;
}

static enum err apply_begin(struct apply *a)
{
    a->table = side_table(a->totals, PLAN_OBJECTS);
    a->hasher = hasher_new(HASH_SHA256);
    if (a->hasher == NULL) return ERR_NOMEM;
    enum err e = env_last_key(a->w, a->table, a->last, &a->end);
    return e == ERR_OK ? env_cursor(a->w, a->table, &a->cursor) : e;
}

static enum err apply_next(struct apply *a, size_t i, const struct snapshot_object *o)
{
    if (i % 256 == 0) arena_fini(&a->scratch);
    return apply_object(a, o);
}

static enum err apply_end(struct apply *a, enum err e)
{
    if (a->cursor != NULL) mdb_cursor_close(a->cursor);
    if (e == ERR_OK) e = index_apply(a->w, a->totals, &a->edits);
    arena_fini(&a->scratch);
    index_edits_fini(&a->edits);
    hasher_free(a->hasher);
    return e;
}

enum err plan_apply(struct env_write *w, struct totals *t, const struct changeset *c, enum plan_news news,
                    struct change_tally *tally)
{
    struct apply a = {.w = w, .totals = t, .tally = tally};
    struct snapshot_object o = {.stamp = changeset_stamp(c)};
    a.conflicts = (struct conflicts){.w = w, .c = c, .own = o.stamp, .known = news == PLAN_KNOWN};
    const struct change_op **ops = sorted_ops(c);
    if (ops == NULL) return ERR_NOMEM;
    enum err e = apply_begin(&a);
    for (size_t i = 0; e == ERR_OK && i < c->op_count; i++) {
        a.op = ops[i];
        o.key = ops[i]->key;
        o.value = ops[i]->value;
        o.deleted = ops[i]->kind == CHANGE_DELETE;
        e = apply_next(&a, i, &o);
    }
    e = apply_end(&a, e);
    free(ops);
    return e;
}

enum err plan_apply_objects(struct env_write *w, struct totals *t, const struct snapshot_object *objects, size_t count,
                            bool validate, struct change_tally *tally, struct err_info *info)
{
    struct apply a = {.w = w, .totals = t, .tally = tally, .validate = validate, .info = info};
    enum err e = apply_begin(&a);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        e = apply_next(&a, i, &objects[i]);
        if (objects[i].stamp.time.v > t->time.v) t->time = objects[i].stamp.time;
    }
    return apply_end(&a, e);
}
