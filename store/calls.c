#include "store/calls.h"

#include "store/read.h"

void store_call_key(struct wall started, uint32_t run, uint64_t id, char out[STORE_CALL_KEY])
{
    put_be(out, started.ms > 0 ? (uint64_t)started.ms : 0, 8);
    put_be(out + 8, run, 4);
    put_be(out + 12, id & UINT32_MAX, 4);
}

void store_call_key_parse(struct slice key, struct wall *started, uint32_t *run, uint32_t *id)
{
    ASSERT(key.n == STORE_CALL_KEY);
    started->ms = (int64_t)get_be(key.p, 8);
    *run = (uint32_t)get_be(key.p + 8, 4);
    *id = (uint32_t)get_be(key.p + 12, 4);
}

enum err calls_put(struct env_write *w, const struct store_call_put *put, struct calls_tally *tally)
{
    enum err e = env_put_one(w, STATE_CALLS, (struct slice){put->key, STORE_CALL_KEY}, put->value);
    if (e == ERR_OK) tally->written++;
    return e;
}

enum err calls_trim(struct env_write *w, uint64_t keep, int64_t oldest_ms, uint64_t budget, struct calls_tally *tally)
{
    MDB_cursor *c = NULL;
    MDB_val key;
    MDB_val value;
    MDB_stat st;
    enum err e = env_cursor(w, STATE_CALLS, &c);
    if (e != ERR_OK) return e;
    int rc = mdb_stat(w->txn, w->env->tables[STATE_CALLS], &st);
    uint64_t entries = rc == MDB_SUCCESS ? st.ms_entries : 0;
    /* The first one again each time: what is deleted is always that. */
    while (rc == MDB_SUCCESS && budget-- > 0) {
        rc = mdb_cursor_get(c, &key, &value, MDB_FIRST);
        if (rc != MDB_SUCCESS) break;
        bool old = key.mv_size != STORE_CALL_KEY || (int64_t)get_be(key.mv_data, 8) < oldest_ms;
        if (!old && entries <= keep) break;
        rc = mdb_cursor_del(c, 0);
        if (rc == MDB_SUCCESS) {
            entries--;
            tally->trimmed++;
        }
    }
    mdb_cursor_close(c);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        if (w->rc == MDB_SUCCESS) w->rc = rc;
        return env_err(rc);
    }
    return ERR_OK;
}

enum err store_calls(struct store_read *r, struct slice before,
                     bool (*each)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice key = before;
    struct slice value;
    enum err e = read_cursor(r, true, STATE_CALLS, &c);
    if (e != ERR_OK) return e;
    if (before.n == 0) {
        e = record_step(c, MDB_LAST, &key, &value);
    } else {
        /* the first one that is not before, and then back; behind all of them it is the last */
        e = record_step(c, MDB_SET_RANGE, &key, &value);
        e = e == ERR_NOTFOUND ? record_step(c, MDB_LAST, &key, &value) : record_step(c, MDB_PREV, &key, &value);
    }
    while (e == ERR_OK) {
        if (key.n == STORE_CALL_KEY && !each(ctx, key, value)) break;
        e = record_step(c, MDB_PREV, &key, &value);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}
