/* read_history: change-sets of all logs in the order of their stamps, and the way from a stamp to its change-set. */
#include "store/changes.h"
#include "store/read.h"

/* The change-set that a history key stands for. */
static enum err history_entry(struct store_read *r, struct slice key, struct log_id *id, struct slice *packed)
{
    if (key.n < 8) return ERR_CORRUPT;
    struct slice log = {key.p + 8, key.n - 8};
    enum err e = log_key_parse(log, id);
    if (e == ERR_OK) e = record_get(r->plan, r->store->plan.tables[PLAN_LOG], log, packed);
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e; /* history without its log */
}

/* The cursor on the last entry below key, or on the last of all when key is empty. ERR_NOTFOUND. */
static enum err seek_below(MDB_cursor *c, struct slice *key)
{
    struct slice none;
    if (key->n == 0) return record_step(c, MDB_LAST, key, &none);
    enum err e = record_step(c, MDB_SET_RANGE, key, &none);
    if (e == ERR_NOTFOUND) return record_step(c, MDB_LAST, key, &none);
    return e == ERR_OK ? record_step(c, MDB_PREV, key, &none) : e;
}

static enum err walk_down(struct store_read *r, struct slice below, size_t limit, store_change_visit *each, void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice key = below;
    struct slice none;
    enum err e = read_cursor(r, false, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = seek_below(c, &key);
    for (size_t n = 0; e == ERR_OK && n < limit; n++) {
        struct log_id id;
        struct slice packed;
        e = history_entry(r, key, &id, &packed);
        if (e != ERR_OK || !each(ctx, &id, packed)) break;
        e = record_step(c, MDB_PREV, &key, &none);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_history(struct store_read *r, size_t limit, store_change_visit *each, void *ctx)
{
    return walk_down(r, SLICE_NONE, limit, each, ctx);
}

enum err store_history_before(struct store_read *r, struct hlc time, const struct log_id *id, store_change_visit *each,
                              void *ctx)
{
    char text[HISTORY_KEY_MAX];
    return walk_down(r, history_key(time, id, text), SIZE_MAX, each, ctx);
}

enum err store_history_newest(struct store_read *r, struct hlc *time)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    *time = (struct hlc){0};
    enum err e = read_cursor(r, false, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = seek_below(c, &key);
    if (e == ERR_OK && key.n < 8) e = ERR_CORRUPT;
    if (e == ERR_OK) time->v = get_be(key.p, 8);
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_change(struct store_read *r, const struct log_id *id, struct slice *packed)
{
    char text[LOG_KEY_MAX];
    ASSERT(r->active);
    return read_checked(r, record_get(r->plan, r->store->plan.tables[PLAN_LOG], log_key(id, text), packed));
}

enum err store_change_at(struct store_read *r, const struct stamp *stamp, struct log_id *id)
{
    MDB_cursor *c = NULL;
    char text[HISTORY_KEY_MAX];
    struct log_id first = {.origin = stamp->origin, .epoch = stamp->epoch};
    struct slice key = history_key(stamp->time, &first, text);
    struct slice packed;
    enum err e = read_cursor(r, false, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &packed);
    if (e == ERR_OK) e = history_entry(r, key, id, &packed);
    if (e == ERR_OK && (get_be(key.p, 8) != stamp->time.v || !node_name_eq(&id->origin, &stamp->origin) ||
                        id->epoch != stamp->epoch)) {
        e = ERR_NOTFOUND;
    }
    mdb_cursor_close(c);
    return read_checked(r, e);
}

enum err store_history_whole(struct store_read *r, bool *whole)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    *whole = true;
    enum err e = read_cursor(r, false, PLAN_VECTOR, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK && *whole) {
        struct log_span span;
        e = log_span_parse(content, &span);
        *whole = e == ERR_OK && span.base == 0;
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}
