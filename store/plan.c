/* plan: what a change-set does to the objects. Per object the newest stamp wins; the loser is history only. A delete
 * leaves a tombstone with its stamp, so that an older put that arrives later loses too: the end does not depend on the
 * order. Invariant: totals and index change with the objects, in the same transaction. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/changes.h"
#include "store/index.h"

struct apply {
    struct env_write *w;
    struct totals *totals;
    struct change_tally *tally;
    struct stamp stamp;
    MDB_cursor *cursor;
    bool fresh;        /* the table was empty at the start: nothing to compare with, and keys come in order */
    struct slice last; /* fresh: the key written last; a second op on it is no append */
    struct index_edits edits;
    struct arena scratch; /* unpacked objects, for a bounded number of ops */
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

/* Takes packed out of totals and index (sign false) or puts it in. */
static enum err account_for(struct apply *a, struct slice key, struct slice packed, bool add)
{
    unsigned char hash[HASH_SHA256_LEN];
    struct plan_object o;
    enum err e = plan_object_hash(key, packed, hash);
    if (e == ERR_OK) e = plan_object_unpack_stored(&a->scratch, packed, &o, NULL);
    if (e == ERR_SYNTAX || e == ERR_LIMIT) e = ERR_CORRUPT; /* it was valid when it was written */
    if (e != ERR_OK) return e;
    if (add) {
        plan_digest_add(&a->totals->digest, hash);
        a->totals->kinds[o.kind]++;
    } else {
        plan_digest_sub(&a->totals->digest, hash);
        if (a->totals->kinds[o.kind] == 0) return ERR_CORRUPT;
        a->totals->kinds[o.kind]--;
    }
    return index_collect(&a->edits, key, &o, packed, add);
}

/* What stands under the op's key. ERR_NOTFOUND. */
static enum err current(struct apply *a, const struct change_op *op, struct stored_object *old)
{
    struct slice content;
    if (a->fresh && !slice_eq(a->last, op->key)) return ERR_NOTFOUND;
    enum err e = env_get(a->w, PLAN_OBJECTS, op->key, &content);
    return e == ERR_OK ? stored_object_parse(content, old) : e;
}

static enum err apply_op(struct apply *a, const struct change_op *op)
{
    struct stored_object old = {0};
    enum err e = current(a, op, &old);
    bool exists = e == ERR_OK;
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (exists && stamp_cmp(&a->stamp, &old.stamp) < 0) {
        a->tally->ops_lost++;
        return ERR_OK;
    }
    /* The old object goes first: writing would move it. */
    if (exists && !old.tombstone) {
        e = account_for(a, op->key, old.packed, false);
        if (e != ERR_OK) return e;
    }
    struct stored_object now = {.stamp = a->stamp, .packed = op->value, .tombstone = op->kind == CHANGE_DELETE};
    bool append = a->fresh && !exists;
    e = stored_object_put(a->w, a->cursor, op->key, &now, append ? MDB_APPEND : 0);
    if (e == ERR_OK && !now.tombstone) e = account_for(a, op->key, op->value, true);
    if (e == ERR_OK) a->tally->ops_won++;
    a->last = op->key;
    return e;
}

enum err plan_apply(struct env_write *w, struct totals *t, const struct changeset *c, struct change_tally *tally)
{
    struct apply a = {.w = w, .totals = t, .tally = tally};
    a.stamp = (struct stamp){.time = c->time, .origin = c->id.origin};
    enum err e = env_is_empty(w, PLAN_OBJECTS, &a.fresh);
    const struct change_op **ops = sorted_ops(c);
    if (e == ERR_OK && ops == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) e = env_cursor(w, PLAN_OBJECTS, &a.cursor);
    for (size_t i = 0; e == ERR_OK && i < c->op_count; i++) {
        if (i % 256 == 0) arena_fini(&a.scratch);
        e = apply_op(&a, ops[i]);
    }
    if (a.cursor != NULL) mdb_cursor_close(a.cursor);
    if (e == ERR_OK) e = index_apply(w, t, &a.edits);
    arena_fini(&a.scratch);
    index_edits_fini(&a.edits);
    free(ops);
    return e;
}
