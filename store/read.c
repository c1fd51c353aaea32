/* read: reader slots and what is read of the plan. State is read in read_state.c.
 *
 * A reader's two transactions are made once and renewed for each batch: the plan's at its begin, the state's when it is
 * first asked for, since most batches ask for the plan alone. While a batch is active the maps are held still
 * (env.map_lock, shared), which costs nothing unless one is being grown. */
#include "store/read.h"

#include <stdlib.h>

/* ---- slots ---- */

static int slot_open(struct env *env, MDB_txn **txn)
{
    (void)pthread_rwlock_rdlock(&env->map_lock);
    int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, txn);
    if (rc == MDB_SUCCESS) mdb_txn_reset(*txn);
    (void)pthread_rwlock_unlock(&env->map_lock);
    return rc;
}

enum err store_read_new(struct store *s, struct store_read **out)
{
    struct store_read *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_NOMEM;
    r->store = s;
    int rc = slot_open(&s->plan, &r->plan);
    if (rc == MDB_SUCCESS) rc = slot_open(&s->state, &r->state);
    if (rc != MDB_SUCCESS) {
        store_read_free(r);
        return env_err(rc);
    }
    *out = r;
    return ERR_OK;
}

void store_read_free(struct store_read *r)
{
    if (r == NULL) return;
    if (r->active) store_read_end(r);
    if (r->index != NULL) mdb_cursor_close(r->index);
    if (r->plan != NULL) mdb_txn_abort(r->plan);
    if (r->state != NULL) mdb_txn_abort(r->state);
    form_cache_fini(&r->forms);
    free(r);
}

/* What was kept is of the same transaction, at the same address, or it is dropped. */
static void check_kept(struct store_read *r)
{
    size_t txn = mdb_txn_id(r->plan);
    if (r->seen_txn == txn && r->seen_map == r->store->plan.map_number) return;
    r->seen_txn = txn;
    r->seen_map = r->store->plan.map_number;
    r->totals_read = false;
    index_cache_clear(&r->cache);
}

static enum err renew(struct env *env, MDB_txn *txn, bool *active)
{
    (void)pthread_rwlock_rdlock(&env->map_lock);
    int rc = mdb_txn_renew(txn);
    *active = rc == MDB_SUCCESS;
    if (!*active) (void)pthread_rwlock_unlock(&env->map_lock);
    return env_err(rc);
}

static void reset(struct env *env, MDB_txn *txn, bool *active)
{
    if (!*active) return;
    mdb_txn_reset(txn);
    *active = false;
    (void)pthread_rwlock_unlock(&env->map_lock);
}

enum err store_read_begin(struct store_read *r)
{
    ASSERT(!r->active);
    enum err e = renew(&r->store->plan, r->plan, &r->active);
    r->index_ready = false;
    if (r->active) check_kept(r);
    return e;
}

enum err read_of_state(struct store_read *r)
{
    ASSERT(r->active);
    return r->state_active ? ERR_OK : renew(&r->store->state, r->state, &r->state_active);
}

void store_read_end(struct store_read *r)
{
    reset(&r->store->state, r->state, &r->state_active);
    reset(&r->store->plan, r->plan, &r->active);
}

/* ---- helpers of both readers ---- */

enum err read_checked(struct store_read *r, enum err e)
{
    if (e == ERR_CORRUPT) store_count(r->store, records_corrupt, 1);
    return e;
}

enum err read_cursor(struct store_read *r, bool of_state, unsigned table, MDB_cursor **c)
{
    const struct env *env = of_state ? &r->store->state : &r->store->plan;
    ASSERT(r->active);
    enum err e = of_state ? read_of_state(r) : ERR_OK;
    if (e != ERR_OK) return e;
    return env_err(mdb_cursor_open(of_state ? r->state : r->plan, env->tables[table], c));
}

/* ---- totals ---- */

enum err read_totals(struct store_read *r)
{
    ASSERT(r->active);
    if (r->totals_read) return ERR_OK;
    enum err e = totals_get(r->plan, r->store->plan.tables[PLAN_META], TOTALS, &r->totals);
    if (e != ERR_OK && e != ERR_NOTFOUND) return read_checked(r, e);
    r->totals_read = true;
    return ERR_OK;
}

void store_plan_digest(struct store_read *r, struct plan_digest *out)
{
    *out = (struct plan_digest){{0}};
    if (read_totals(r) == ERR_OK) *out = r->totals.digest;
}

void store_plan_counts(struct store_read *r, struct store_plan_counts *out)
{
    *out = (struct store_plan_counts){{0}};
    if (read_totals(r) == ERR_OK) memcpy(out->kinds, r->totals.kinds, sizeof out->kinds);
}

bool store_name_possible(struct store_read *r, size_t len)
{
    return read_totals(r) != ERR_OK || (len <= LIMIT_NUMBER && r->totals.name_lens[len] > 0);
}

/* ---- objects ---- */

static enum err object_or_tombstone(struct store_read *r, struct slice key, struct stored_object *o)
{
    struct slice content;
    enum err e = read_totals(r);
    if (e == ERR_OK)
        e = record_get(r->plan, r->store->plan.tables[side_table(&r->totals, PLAN_OBJECTS)], key, &content);
    if (e == ERR_OK) e = stored_object_parse(content, o);
    return read_checked(r, e);
}

enum err store_object_stamp(struct store_read *r, struct slice key, struct stamp *stamp)
{
    struct stored_object o;
    enum err e = object_or_tombstone(r, key, &o);
    if (e == ERR_OK) *stamp = o.stamp;
    return e;
}

enum err store_object(struct store_read *r, struct slice key, struct slice *packed, struct stamp *stamp)
{
    struct stored_object o;
    enum err e = object_or_tombstone(r, key, &o);
    if (e != ERR_OK) return e;
    if (o.tombstone) return ERR_NOTFOUND;
    *packed = o.packed;
    if (stamp != NULL) *stamp = o.stamp;
    return ERR_OK;
}

enum err store_objects(struct store_read *r, struct slice from, bool after,
                       bool (*each)(void *ctx, struct slice key, struct slice packed), void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice content;
    /* No key is longer than PLAN_KEY_MAX, so cutting there skips none. */
    struct slice key = {from.p, from.n > PLAN_KEY_MAX ? PLAN_KEY_MAX : from.n};
    enum err e = read_totals(r);
    if (e == ERR_OK) e = read_cursor(r, false, side_table(&r->totals, PLAN_OBJECTS), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, key.n > 0 ? MDB_SET_RANGE : MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct stored_object o;
        int d = slice_cmp(key, from);
        e = stored_object_parse(content, &o);
        if (e != ERR_OK) break;
        if (!o.tombstone && (after ? d > 0 : d >= 0) && !each(ctx, key, o.packed)) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_snapshot(struct store_read *r, struct slice after,
                        bool (*each)(void *ctx, const struct snapshot_object *o), void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice content;
    struct slice key = {after.p, after.n > PLAN_KEY_MAX ? PLAN_KEY_MAX : after.n};
    enum err e = read_totals(r);
    if (e == ERR_OK) e = read_cursor(r, false, side_table(&r->totals, PLAN_OBJECTS), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, key.n > 0 ? MDB_SET_RANGE : MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct stored_object o;
        e = stored_object_parse(content, &o);
        if (e != ERR_OK) break;
        struct snapshot_object out = {.key = key, .value = o.packed, .stamp = o.stamp, .deleted = o.tombstone};
        if (slice_cmp(key, after) > 0 && !each(ctx, &out)) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

/* ---- the prefix index ---- */

struct match {
    struct store_read *read;
    struct arena *arena;
    size_t number_len;
    struct candidate *out;
    size_t cap;
    size_t count;
    bool more;
};

static enum err match_list(void *ctx, struct slice key, struct index_list *list)
{
    struct match *m = ctx;
    struct index_entry entry;
    enum err e;
    while ((e = index_list_take(list, key, &entry)) == ERR_OK) {
        unsigned specificity = index_entry_specificity(&entry);
        /* A range may stand under keys shorter than its bounds; a number with fewer digits than a bound is not in it.
         */
        if (specificity <= LIMIT_NUMBER && specificity > m->number_len) continue;
        if (m->count == m->cap) {
            m->more = true;
            return ERR_NOTFOUND; /* ends the walk */
        }
        e = form_candidate(&m->read->forms, m->arena, &entry, &m->out[m->count]);
        if (e != ERR_OK) return e;
        m->count++;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* The cursor lives as long as the slot: opening one for each look-up costs as much as half the look-up. */
static enum err index_cursor(struct store_read *r)
{
    int rc = MDB_SUCCESS;
    unsigned table = side_table(&r->totals, PLAN_INDEX);
    if (r->index_ready) return ERR_OK;
    if (r->index != NULL && r->index_table != table) {
        mdb_cursor_close(r->index);
        r->index = NULL;
    }
    r->index_table = table;
    if (r->index != NULL)
        rc = mdb_cursor_renew(r->plan, r->index);
    else
        rc = mdb_cursor_open(r->plan, r->store->plan.tables[table], &r->index);
    r->index_ready = rc == MDB_SUCCESS;
    return env_err(rc);
}

enum err read_index(struct store_read *r, struct index_reader *out)
{
    enum err e = read_totals(r);
    if (e == ERR_OK) e = index_cursor(r);
    if (e == ERR_OK) {
        *out = (struct index_reader){.cursor = r->index, .lens = r->totals.index_lens, .cache = &r->cache};
    }
    return e;
}

enum err store_match(struct store_read *r, struct arena *arena, struct slice number, struct candidate *out, size_t cap,
                     size_t *count, bool *more)
{
    struct match m = {.read = r, .arena = arena, .number_len = number.n, .out = out, .cap = cap};
    *count = 0;
    *more = false;
    struct index_reader reader;
    enum err e = read_index(r, &reader);
    if (e == ERR_OK) e = index_walk(&reader, number, match_list, &m);
    if (e == ERR_NOTFOUND) e = ERR_OK;
    if (e != ERR_OK) return read_checked(r, e);
    *count = m.count;
    *more = m.more;
    return ERR_OK;
}
