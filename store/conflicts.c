#include "store/conflicts.h"

#include "proto/plan_codec.h"
#include "store/read.h"

#define CONFLICT_KEY_MAX (PLAN_KEY_MAX + 1 + 16 + LIMIT_NAME)
#define SEEN_FIRST 3

static struct slice conflict_key(struct slice object, const struct stamp *s, char out[CONFLICT_KEY_MAX])
{
    struct slice origin = node_name_slice(&s->origin);
    memcpy(out, object.p, object.n);
    out[object.n] = '\0';
    put_be(out + object.n + 1, s->time.v, 8);
    put_be(out + object.n + 9, s->epoch, 8);
    memcpy(out + object.n + 17, origin.p, origin.n);
    return (struct slice){out, object.n + 17 + origin.n};
}

static enum err conflict_parse(struct slice key, struct slice content, struct store_conflict *out)
{
    const char *end = key.n > 0 ? memchr(key.p, '\0', key.n) : NULL;
    *out = (struct store_conflict){.removed = false};
    if (end == NULL || content.n == 0) return ERR_CORRUPT;
    size_t n = (size_t)(end - key.p);
    if (n > PLAN_KEY_MAX || key.n < n + 18 || key.n > n + 17 + LIMIT_NAME) return ERR_CORRUPT;
    out->object = (struct slice){key.p, n};
    out->stamp.time.v = get_be(end + 1, 8);
    out->stamp.epoch = get_be(end + 9, 8);
    memcpy(out->stamp.origin.s, end + 17, key.n - n - 17);
    out->removed = content.p[0] == CHANGE_DELETE;
    out->packed = (struct slice){content.p + 1, content.n - 1};
    return ERR_OK;
}

/* ---- writing ---- */

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return stamp_cmp(a, b) == 0;
}

static bool saw(const struct change_op *op, const struct stamp *s)
{
    for (size_t i = 0; i < op->seen_count; i++) {
        if (same_stamp(&op->seen[i], s)) return true;
    }
    return false;
}

static enum err put_row(struct conflicts *k, struct slice key, unsigned kind, struct slice packed)
{
    MDB_cursor *c = NULL;
    char head = (char)kind;
    struct slice parts[] = {{&head, 1}, packed};
    enum err e = env_cursor(k->w, PLAN_CONFLICTS, &c);
    if (e == ERR_OK) e = env_put(k->w, c, key, parts, 2, 0);
    if (c != NULL) mdb_cursor_close(c);
    return e;
}

/* The log's id of the change-set with this stamp. ERR_NOTFOUND. */
static enum err find_change(struct conflicts *k, const struct stamp *s, struct log_id *id)
{
    MDB_cursor *c = NULL;
    char text[8 + LOG_KEY_MAX];
    struct log_id first = {.origin = s->origin, .epoch = s->epoch};
    struct slice none;
    put_be(text, s->time.v, 8);
    struct slice key = {text, 8 + log_key(&first, text + 8).n};
    enum err e = env_cursor(k->w, PLAN_HISTORY, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &none);
    if (e == ERR_OK) {
        bool same_time = key.n > 8 && get_be(key.p, 8) == s->time.v;
        e = same_time ? log_key_parse((struct slice){key.p + 8, key.n - 8}, id) : ERR_NOTFOUND;
        bool same_log = e == ERR_OK && node_name_eq(&id->origin, &s->origin) && id->epoch == s->epoch;
        if (e == ERR_OK && !same_log) e = ERR_NOTFOUND;
    }
    mdb_cursor_close(c);
    return e;
}

/* Whether the change-set with this stamp only settles another one. Change-sets of many objects are asked for once. */
static enum err is_settler(struct conflicts *k, const struct stamp *s, bool *settler)
{
    struct arena scratch = {0};
    struct log_id id;
    struct slice packed;
    struct changeset c;
    char text[LOG_KEY_MAX];
    if (k->looked.time.v == 0 || !same_stamp(&k->looked, s)) {
        enum err e = find_change(k, s, &id);
        if (e == ERR_OK) e = env_get(k->w, PLAN_LOG, log_key(&id, text), &packed);
        if (e == ERR_OK) e = changeset_unpack(&scratch, packed, &c, NULL);
        k->looked_settles = e == ERR_OK && c.terms.settles.seq > 0;
        arena_fini(&scratch);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e == ERR_NOMEM ? e : ERR_CORRUPT;
        k->looked = *s;
    }
    *settler = k->looked_settles;
    return ERR_OK;
}

/* A version that is no longer what stands, and that nobody has seen; unless somebody had, before it came. */
static enum err add_head(struct conflicts *k, struct slice object, const struct stamp *s, bool removed,
                         struct slice packed)
{
    char text[CONFLICT_KEY_MAX];
    struct slice content;
    struct slice key = conflict_key(object, s, text);
    enum err e = env_get(k->w, PLAN_CONFLICTS, key, &content);
    if (e == ERR_OK) return content.n > 0 && content.p[0] == SEEN_FIRST ? env_del(k->w, PLAN_CONFLICTS, key) : ERR_OK;
    return e == ERR_NOTFOUND ? put_row(k, key, removed ? CHANGE_DELETE : CHANGE_PUT, packed) : e;
}

/* Somebody has seen this version: it is no head. What has not come yet is remembered. */
static enum err cover(struct conflicts *k, struct slice object, const struct stamp *s)
{
    char text[CONFLICT_KEY_MAX];
    struct slice content;
    struct log_id id;
    struct slice key = conflict_key(object, s, text);
    enum err e = env_get(k->w, PLAN_CONFLICTS, key, &content);
    if (e == ERR_OK) return content.n > 0 && content.p[0] != SEEN_FIRST ? env_del(k->w, PLAN_CONFLICTS, key) : ERR_OK;
    if (e == ERR_NOTFOUND) e = find_change(k, s, &id);
    return e == ERR_NOTFOUND ? put_row(k, key, SEEN_FIRST, SLICE("")) : e;
}

static enum err cover_seen(struct conflicts *k, const struct change_op *op, const struct stored_object *old)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < op->seen_count; i++) {
        if (old == NULL || !same_stamp(&op->seen[i], &old->stamp)) e = cover(k, op->key, &op->seen[i]);
    }
    return e;
}

enum err conflicts_won(struct conflicts *k, const struct change_op *op, const struct stored_object *old)
{
    struct arena copy = {0};
    bool settler = false;
    if (!k->c->terms.says_seen || (old == NULL && op->seen_count == 0)) return ERR_OK;
    if (old != NULL && op->seen_count == 1 && same_stamp(&op->seen[0], &old->stamp)) return ERR_OK; /* nearly always */
    struct stored_object was = old != NULL ? *old : (struct stored_object){.tombstone = true};
    was.packed = arena_copy(&copy, was.packed); /* writing moves what is in the map */
    enum err e = was.packed.p != NULL ? cover_seen(k, op, old) : ERR_NOMEM;
    bool unseen = old != NULL && !k->known && !saw(op, &was.stamp);
    if (e == ERR_OK && unseen) e = is_settler(k, &was.stamp, &settler);
    if (e == ERR_OK && unseen && !settler) e = add_head(k, op->key, &was.stamp, was.tombstone, was.packed);
    arena_fini(&copy);
    return e;
}

enum err conflicts_lost(struct conflicts *k, const struct change_op *op, const struct stored_object *stands)
{
    if (!k->c->terms.says_seen) return ERR_OK;
    struct stored_object there = {.stamp = stands->stamp};
    enum err e = cover_seen(k, op, &there);
    if (e != ERR_OK || k->known || k->c->terms.settles.seq > 0) return e;
    return add_head(k, op->key, &k->own, op->kind == CHANGE_DELETE, op->value);
}

enum err conflicts_lost_whole(struct env_write *w, const struct changeset *c)
{
    struct conflicts k = {.w = w, .c = c, .own = changeset_stamp(c)};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && c->terms.settles.seq == 0 && i < c->op_count; i++) {
        const struct change_op *op = &c->ops[i];
        if (op->kind != CHANGE_ACCEPT) e = add_head(&k, op->key, &k.own, op->kind == CHANGE_DELETE, op->value);
    }
    return e;
}

/* What is accepted may still stand here, since what overrode it has not come yet. */
enum err conflicts_accepted(struct conflicts *k, const struct change_op *op, const struct stored_object *stands)
{
    char text[CONFLICT_KEY_MAX];
    struct stored_object there = {.tombstone = true};
    if (stands != NULL) there.stamp = stands->stamp;
    enum err e = cover_seen(k, op, stands != NULL ? &there : NULL);
    if (e != ERR_OK || stands == NULL || !saw(op, &there.stamp)) return e;
    return put_row(k, conflict_key(op->key, &there.stamp, text), SEEN_FIRST, SLICE(""));
}

/* ---- reading ---- */

/* Whether what stands says the same, so that there is nothing to look at. */
static enum err is_moot(struct store_read *r, const struct store_conflict *c, bool *moot)
{
    struct slice packed;
    enum err e = store_object(r, c->object, &packed, NULL);
    *moot = e == ERR_OK ? !c->removed && slice_eq(packed, c->packed) : c->removed;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Rows whose object's key begins with prefix; all: also those that are moot, and none that are not there yet. */
static enum err walk(struct store_read *r, struct slice prefix, bool all,
                     bool (*each)(void *ctx, const struct store_conflict *c), void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice content;
    struct slice key = {prefix.p, prefix.n > PLAN_KEY_MAX ? PLAN_KEY_MAX : prefix.n};
    enum err e = read_cursor(r, false, PLAN_CONFLICTS, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, key.n > 0 ? MDB_SET_RANGE : MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct store_conflict row;
        bool moot = false;
        e = conflict_parse(key, content, &row);
        if (e != ERR_OK || !slice_starts(row.object, prefix)) break;
        bool here = content.p[0] != SEEN_FIRST;
        if (here && !all) e = is_moot(r, &row, &moot);
        if (e != ERR_OK || (here && !moot && !each(ctx, &row))) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_conflicts(struct store_read *r, struct slice prefix,
                         bool (*each)(void *ctx, const struct store_conflict *c), void *ctx)
{
    return walk(r, prefix, false, each, ctx);
}

struct heads {
    struct slice object;
    struct stamp *out;
    size_t cap;
    size_t count;
};

/* The oldest come first; where there are more than fit, the newest are kept. */
static bool visit_head(void *ctx, const struct store_conflict *c)
{
    struct heads *h = ctx;
    if (!slice_eq(c->object, h->object)) return false;
    if (h->count == h->cap && h->cap > 0) memmove(h->out, h->out + 1, --h->count * sizeof *h->out);
    if (h->count < h->cap) h->out[h->count++] = c->stamp;
    return true;
}

enum err store_conflict_heads(struct store_read *r, struct slice object, struct stamp *out, size_t cap, size_t *count)
{
    struct heads h = {.object = object, .out = out, .cap = cap};
    MDB_stat st;
    *count = 0;
    int rc = mdb_stat(r->plan, r->store->plan.tables[PLAN_CONFLICTS], &st);
    if (rc != MDB_SUCCESS) return env_err(rc);
    if (st.ms_entries == 0) return ERR_OK; /* nearly always */
    enum err e = walk(r, object, true, visit_head, &h);
    *count = h.count;
    return e;
}

enum err store_is_conflict(struct store_read *r, struct slice object, const struct stamp *s, bool *is)
{
    char text[CONFLICT_KEY_MAX];
    struct slice content;
    *is = false;
    if (object.n > PLAN_KEY_MAX) return ERR_OK;
    enum err e = record_get(r->plan, r->store->plan.tables[PLAN_CONFLICTS], conflict_key(object, s, text), &content);
    *is = e == ERR_OK && content.n > 0 && content.p[0] != SEEN_FIRST;
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}
