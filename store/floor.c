/* floor: see floor.h. */
#include "store/floor.h"

#include "store/vectors.h"

/* ---- tombstones ---- */

static enum err drop_one(struct env_write *w, struct totals *t, MDB_cursor *c, struct slice object)
{
    char key[PLAN_KEY_MAX];
    if (object.n > sizeof key || t->tombstones == 0) return ERR_CORRUPT;
    memcpy(key, object.p, object.n); /* deleting may move the page that object points into */
    enum err e = env_del(w, side_table(t, PLAN_OBJECTS), (struct slice){key, object.n});
    if (e == ERR_OK) e = env_err(mdb_cursor_del(c, 0));
    t->tombstones--;
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err floor_drop_tombstones(struct env_write *w, struct totals *t)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice none;
    enum err e = env_cursor(w, side_table(t, PLAN_TOMBSTONES), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &none);
    while (e == ERR_OK) {
        if (key.n < 8) e = ERR_CORRUPT;
        if (e != ERR_OK || get_be(key.p, 8) > t->floor.v) break;
        e = drop_one(w, t, c, (struct slice){key.p + 8, key.n - 8});
        if (e == ERR_OK) e = record_step(c, MDB_FIRST, &key, &none);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err newest_tombstone(struct env_write *w, const struct totals *t, struct hlc *time)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice none;
    enum err e = env_cursor(w, side_table(t, PLAN_TOMBSTONES), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_LAST, &key, &none);
    if (e == ERR_OK && key.n < 8) e = ERR_CORRUPT;
    if (e == ERR_OK) time->v = get_be(key.p, 8);
    mdb_cursor_close(c);
    return e;
}

/* ---- raising ---- */

struct compare {
    const struct vector_entry *v;
    size_t count;
    size_t equal;
};

static enum err compare_log(void *ctx, const struct log_id *log, struct log_span span)
{
    struct compare *c = ctx;
    if (span.high == 0) return ERR_OK;
    c->equal++;
    return vector_high(c->v, c->count, &log->origin, log->epoch) == span.high ? ERR_OK : ERR_CONFLICT;
}

static enum err is_the_vector(struct env_write *w, const struct vector_entry *v, size_t count)
{
    struct compare c = {.v = v, .count = count};
    size_t said = 0;
    for (size_t i = 0; i < count; i++)
        said += v[i].high > 0;
    enum err e = vector_each(w, compare_log, &c);
    return e == ERR_OK && c.equal != said ? ERR_CONFLICT : e;
}

enum err floor_raise(struct env_write *w, struct totals *t, const struct vector_entry *v, size_t count)
{
    struct hlc newest;
    enum err e = is_the_vector(w, v, count);
    if (e == ERR_OK) e = newest_tombstone(w, t, &newest);
    if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_OK : e;
    if (newest.v > t->floor.v) t->floor = newest;
    e = cut_write(w, v, count);
    return e == ERR_OK ? floor_drop_tombstones(w, t) : e;
}

/* ---- adopting ---- */

struct adopt {
    struct hlc from;
    struct hlc to;
    const struct vector_entry *cut;
    size_t count;
    bool unlogged; /* some log holds, beyond the cut, what only the objects show */
};

static enum err look_at_log(void *ctx, const struct log_id *log, struct log_span span)
{
    struct adopt *a = ctx;
    if (span.base > vector_high(a->cut, a->count, &log->origin, log->epoch)) a->unlogged = true;
    return ERR_OK;
}

static enum err stray(const struct log_id *id, struct err_info *info)
{
    return err_fail(info, ERR_CONFLICT,
                    "change-set %s/%llu/%llu is older than deletions that the others have forgotten", id->origin.s,
                    (unsigned long long)id->epoch, (unsigned long long)id->seq);
}

static enum err no_stray_in_history(struct env_write *w, const struct adopt *a, struct err_info *info)
{
    MDB_cursor *c = NULL;
    char from[8];
    struct slice key = {from, sizeof from};
    struct slice none;
    put_be(from, a->from.v + 1, sizeof from);
    enum err e = env_cursor(w, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &none);
    while (e == ERR_OK) {
        struct hlc time;
        struct log_id id;
        e = history_key_parse(key, &time, &id);
        if (e != ERR_OK || time.v > a->to.v) break;
        if (id.seq > vector_high(a->cut, a->count, &id.origin, id.epoch)) e = stray(&id, info);
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &none);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* The same for what came with a snapshot and is in no log: its mark is the stamp of its object. */
static enum err no_stray_in_objects(struct env_write *w, const struct totals *t, const struct adopt *a,
                                    struct err_info *info)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    enum err e = env_cursor(w, side_table(t, PLAN_OBJECTS), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct stored_object o;
        struct log_span span;
        e = stored_object_parse(content, &o);
        if (e == ERR_OK && o.stamp.time.v > a->from.v && o.stamp.time.v <= a->to.v) {
            e = log_span_get(w, &o.stamp.origin, o.stamp.epoch, &span);
            if (e == ERR_OK && span.base > vector_high(a->cut, a->count, &o.stamp.origin, o.stamp.epoch)) {
                struct log_id id = {o.stamp.origin, o.stamp.epoch, span.base};
                e = stray(&id, info);
            }
        }
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err covers(struct env_write *w, const struct adopt *a, struct err_info *info)
{
    for (size_t i = 0; i < a->count; i++) {
        struct log_span span;
        enum err e = log_span_get(w, &a->cut[i].origin, a->cut[i].epoch, &span);
        if (e != ERR_OK) return e;
        if (span.high >= a->cut[i].high) continue;
        return err_fail(info, ERR_CONFLICT, "change-sets of %s up to %llu are needed, and %llu are here",
                        a->cut[i].origin.s, (unsigned long long)a->cut[i].high, (unsigned long long)span.high);
    }
    return ERR_OK;
}

enum err floor_adopt(struct env_write *w, struct totals *t, struct hlc floor, const struct vector_entry *cut,
                     size_t count, struct err_info *info)
{
    struct adopt a = {.from = t->floor, .to = floor, .cut = cut, .count = count};
    if (floor.v <= t->floor.v) return ERR_OK;
    enum err e = covers(w, &a, info);
    if (e == ERR_OK) e = no_stray_in_history(w, &a, info);
    if (e == ERR_OK) e = vector_each(w, look_at_log, &a);
    if (e == ERR_OK && a.unlogged) e = no_stray_in_objects(w, t, &a, info);
    if (e == ERR_OK) e = cut_write(w, cut, count);
    if (e != ERR_OK) return e;
    t->floor = floor;
    return floor_drop_tombstones(w, t);
}
