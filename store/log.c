/* log: the change-sets of each (origin, epoch), history, which orders them all by time, and how far each log is held.
 *
 * A log need not begin at its first change-set: what a snapshot brought is in the objects only, and old change-sets go
 * when there are too many. log_span.base says from where on it has no gap; what stands before that is history for
 * people. */
#include "store/changes.h"

#include "proto/plan_codec.h"

/* ---- spans ---- */

#define SPAN_LEN 16

enum err log_span_parse(struct slice content, struct log_span *span)
{
    if (content.n != SPAN_LEN) return ERR_CORRUPT;
    *span = (struct log_span){.high = get_be(content.p, 8), .base = get_be(content.p + 8, 8)};
    return span->base <= span->high ? ERR_OK : ERR_CORRUPT;
}

enum err log_span_get(struct env_write *w, const struct node_name *origin, uint64_t epoch, struct log_span *span)
{
    char key[LOG_KEY_MAX];
    struct slice content;
    *span = (struct log_span){0, 0};
    enum err e = env_get(w, PLAN_VECTOR, vector_key(origin, epoch, key), &content);
    if (e == ERR_NOTFOUND) return ERR_OK;
    return e == ERR_OK ? log_span_parse(content, span) : e;
}

enum err log_span_put(struct env_write *w, const struct node_name *origin, uint64_t epoch, struct log_span span)
{
    char key[LOG_KEY_MAX];
    char content[SPAN_LEN];
    put_be(content, span.high, 8);
    put_be(content + 8, span.base, 8);
    return env_put_one(w, PLAN_VECTOR, vector_key(origin, epoch, key), (struct slice){content, sizeof content});
}

/* ---- entries ---- */

enum err log_write(struct env_write *w, struct totals *t, const struct changeset *c)
{
    char key[LOG_KEY_MAX];
    char history[HISTORY_KEY_MAX];
    enum err e = env_put_one(w, PLAN_LOG, log_key(&c->id, key), c->packed);
    if (e == ERR_OK) e = env_put_one(w, PLAN_HISTORY, history_key(c->time, &c->id, history), SLICE_NONE);
    if (e != ERR_OK) return e;
    t->log_count++;
    t->log_bytes += c->packed.n;
    if (c->time.v > t->time.v) t->time = c->time;
    return ERR_OK;
}

enum err log_remove(struct env_write *w, struct totals *t, struct hlc time, const struct log_id *id)
{
    char key[LOG_KEY_MAX];
    char history[HISTORY_KEY_MAX];
    struct slice content;
    enum err e = env_get(w, PLAN_LOG, log_key(id, key), &content);
    if (e == ERR_OK && (t->log_count == 0 || t->log_bytes < content.n)) e = ERR_CORRUPT;
    if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    t->log_count--;
    t->log_bytes -= content.n;
    e = env_del(w, PLAN_LOG, log_key(id, key));
    if (e == ERR_OK) e = env_del(w, PLAN_HISTORY, history_key(time, id, history));
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

/* ---- letting go ---- */

static enum err oldest(struct env_write *w, struct hlc *time, struct log_id *id)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice none;
    enum err e = env_cursor(w, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &none);
    if (e == ERR_OK) e = history_key_parse(key, time, id);
    mdb_cursor_close(c);
    return e;
}

/* A change-set with a time from the future stands behind its successors in history: the log then begins after these
 * all the same. */
enum err log_trim(struct env_write *w, struct totals *t, const struct log_keep *keep)
{
    while (t->log_count > 1 && (t->log_count > keep->count || t->log_bytes > keep->bytes)) {
        struct hlc time;
        struct log_id id;
        struct log_span span;
        enum err e = oldest(w, &time, &id);
        if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
        e = log_remove(w, t, time, &id);
        if (e == ERR_OK) e = log_span_get(w, &id.origin, id.epoch, &span);
        if (e != ERR_OK) return e;
        if (id.seq <= span.base) continue;
        span.base = id.seq;
        e = log_span_put(w, &id.origin, id.epoch, span);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}
