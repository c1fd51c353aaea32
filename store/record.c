/* record: values under a checksum, read and written. */
#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/env.h"

/* The key takes part, so that a good record in a wrong place is seen too. */
static uint64_t record_sum(struct slice key, const void *content, size_t n)
{
    return XXH3_64bits_withSeed(content, n, XXH3_64bits(key.p, key.n));
}

enum err record_open(struct slice key, MDB_val value, struct slice *content)
{
    if (value.mv_size < RECORD_HEAD) return ERR_CORRUPT;
    const char *p = value.mv_data;
    size_t n = value.mv_size - RECORD_HEAD;
    if (get_be(p, RECORD_HEAD) != record_sum(key, p + RECORD_HEAD, n)) return ERR_CORRUPT;
    *content = (struct slice){p + RECORD_HEAD, n};
    return ERR_OK;
}

enum err record_get(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *content)
{
    if (key.n == 0 || key.n > ENV_KEY_MAX) return ERR_NOTFOUND; /* no such key can have been written */
    MDB_val k = val_of(key);
    MDB_val v;
    int rc = mdb_get(txn, table, &k, &v);
    return rc == MDB_SUCCESS ? record_open(key, v, content) : env_err(rc);
}

enum err record_step(MDB_cursor *c, MDB_cursor_op op, struct slice *key, struct slice *content)
{
    MDB_val k = val_of(*key);
    MDB_val v;
    int rc = mdb_cursor_get(c, &k, &v, op);
    if (rc != MDB_SUCCESS) return env_err(rc);
    *key = slice_of_val(k);
    return record_open(*key, v, content);
}

/* ---- writing ---- */

static enum err note(struct env_write *w, int rc)
{
    if (rc != MDB_SUCCESS && w->rc == MDB_SUCCESS) w->rc = rc;
    return env_err(rc);
}

enum err env_begin(struct env *e, struct env_write *w)
{
    *w = (struct env_write){.env = e};
    return note(w, mdb_txn_begin(e->mdb, NULL, 0, &w->txn));
}

enum err env_commit(struct env_write *w)
{
    MDB_txn *txn = w->txn;
    w->txn = NULL;
    return note(w, mdb_txn_commit(txn));
}

void env_abort(struct env_write *w)
{
    if (w->txn != NULL) mdb_txn_abort(w->txn);
    w->txn = NULL;
}

enum err env_put(struct env_write *w, MDB_cursor *c, struct slice key, const struct slice *parts, size_t count,
                 unsigned flags)
{
    MDB_val k = val_of(key);
    MDB_val v = {.mv_size = RECORD_HEAD};
    ASSERT(key.n > 0 && key.n <= ENV_KEY_MAX);
    for (size_t i = 0; i < count; i++)
        v.mv_size += parts[i].n;
    size_t size = v.mv_size;
    int rc = mdb_cursor_put(c, &k, &v, flags | MDB_RESERVE);
    if (rc == MDB_KEYEXIST) return ERR_EXISTS;
    if (rc != MDB_SUCCESS) return note(w, rc);
    char *p = v.mv_data;
    size_t at = RECORD_HEAD;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n > 0) memcpy(p + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    ASSERT(at == size);
    put_be(p, record_sum(key, p + RECORD_HEAD, size - RECORD_HEAD), RECORD_HEAD);
    return ERR_OK;
}

enum err env_put_one(struct env_write *w, unsigned table, struct slice key, struct slice content)
{
    MDB_cursor *c = NULL;
    enum err e = env_cursor(w, table, &c);
    if (e != ERR_OK) return e;
    e = env_put(w, c, key, &content, 1, 0);
    mdb_cursor_close(c);
    return e;
}

enum err env_get(struct env_write *w, unsigned table, struct slice key, struct slice *content)
{
    enum err e = record_get(w->txn, w->env->tables[table], key, content);
    if (e == ERR_CORRUPT && w->rc == MDB_SUCCESS) w->rc = MDB_CORRUPTED;
    return e;
}

enum err env_del(struct env_write *w, unsigned table, struct slice key)
{
    MDB_val k = val_of(key);
    int rc = mdb_del(w->txn, w->env->tables[table], &k, NULL);
    return rc == MDB_NOTFOUND ? ERR_NOTFOUND : note(w, rc);
}

enum err env_cursor(struct env_write *w, unsigned table, MDB_cursor **c)
{
    return note(w, mdb_cursor_open(w->txn, w->env->tables[table], c));
}

enum err env_clear(struct env_write *w, unsigned table)
{
    return note(w, mdb_drop(w->txn, w->env->tables[table], 0));
}

enum err env_last_key(struct env_write *w, unsigned table, char text[ENV_KEY_MAX], struct slice *key)
{
    MDB_cursor *c = NULL;
    MDB_val k = {.mv_size = 0};
    enum err e = env_cursor(w, table, &c);
    if (e != ERR_OK) return e;
    int rc = mdb_cursor_get(c, &k, NULL, MDB_LAST);
    mdb_cursor_close(c);
    *key = (struct slice){text, 0};
    if (rc == MDB_NOTFOUND) return ERR_OK;
    if (rc != MDB_SUCCESS) return note(w, rc);
    ASSERT(k.mv_size <= ENV_KEY_MAX);
    memcpy(text, k.mv_data, k.mv_size);
    key->n = k.mv_size;
    return ERR_OK;
}
