/* pending: changes that are undone unless somebody confirms them in time, and what came of them.
 *
 *   the log's key of the change -> state 1, confirm_by 8, within 8, settler's key length 1, settler's log key,
 *                                  and while it is open the change-set's own bytes
 *
 *   (nothing) -> OPEN -> UNDONE -> CONFIRMED
 *                   \\------------^
 *
 * Change-sets come in any order, so that a change may be settled before it is here: it is then never open. Who confirms
 * wins over who undoes, wherever they meet, since the confirmation's values are the newer ones. The bytes are kept here
 * too, so that a change can be undone although the log no longer has it. Rows of settled changes stay; they are small.
 */
#include "proto/plan_codec.h"
#include "store/changes.h"
#include "store/read.h"

#define PENDING_HEAD 18

static enum err parse(struct slice key, struct slice content, struct store_pending *out)
{
    *out = (struct store_pending){.state = PENDING_OPEN};
    if (content.n < PENDING_HEAD) return ERR_CORRUPT;
    size_t by_len = (unsigned char)content.p[17];
    unsigned state = (unsigned char)content.p[0];
    if (content.n < PENDING_HEAD + by_len || state < PENDING_OPEN || state > PENDING_CONFIRMED) return ERR_CORRUPT;
    out->state = (enum pending_state)state;
    out->confirm_by.ms = (int64_t)get_be(content.p + 1, 8);
    out->confirm_within_ms = get_be(content.p + 9, 8);
    out->packed = (struct slice){content.p + PENDING_HEAD + by_len, content.n - PENDING_HEAD - by_len};
    enum err e = log_key_parse(key, &out->id);
    if (e == ERR_OK && by_len > 0) {
        e = log_key_parse((struct slice){content.p + PENDING_HEAD, by_len}, &out->by);
    }
    return e;
}

static enum err put(struct env_write *w, const struct store_pending *p)
{
    char key[LOG_KEY_MAX];
    char by[LOG_KEY_MAX];
    char head[PENDING_HEAD];
    struct slice settler = p->state != PENDING_OPEN ? log_key(&p->by, by) : SLICE("");
    head[0] = (char)p->state;
    put_be(head + 1, (uint64_t)p->confirm_by.ms, 8);
    put_be(head + 9, p->confirm_within_ms, 8);
    head[17] = (char)settler.n;
    struct slice parts[] = {{head, sizeof head}, settler, p->state == PENDING_OPEN ? p->packed : SLICE("")};
    MDB_cursor *c = NULL;
    enum err e = env_cursor(w, PLAN_PENDING, &c);
    if (e == ERR_OK) e = env_put(w, c, log_key(&p->id, key), parts, 3, 0);
    if (c != NULL) mdb_cursor_close(c);
    return e;
}

static enum err get(struct env_write *w, const struct log_id *id, struct store_pending *out)
{
    char text[LOG_KEY_MAX];
    struct slice content;
    struct slice key = log_key(id, text);
    enum err e = env_get(w, PLAN_PENDING, key, &content);
    return e == ERR_OK ? parse(key, content, out) : e;
}

static enum err open_row(struct env_write *w, struct totals *t, const struct changeset *c)
{
    struct store_pending row;
    enum err e = get(w, &c->id, &row);
    if (e != ERR_NOTFOUND) return e; /* settled before it came */
    row = (struct store_pending){.state = PENDING_OPEN,
                                 .id = c->id,
                                 .confirm_by = c->terms.confirm_by,
                                 .confirm_within_ms = c->terms.confirm_within_ms,
                                 .packed = c->packed};
    t->pending++;
    return put(w, &row);
}

static enum err settle_row(struct env_write *w, struct totals *t, const struct changeset *c)
{
    struct store_pending row;
    enum pending_state to = c->terms.verdict == CHANGE_CONFIRMS ? PENDING_CONFIRMED : PENDING_UNDONE;
    enum err e = get(w, &c->terms.settles, &row);
    if (e == ERR_OK && row.state == PENDING_OPEN) {
        if (t->pending == 0) return ERR_CORRUPT;
        t->pending--;
    }
    if (e == ERR_NOTFOUND) {
        row = (struct store_pending){.state = PENDING_OPEN, .id = c->terms.settles};
        e = ERR_OK;
    }
    if (e != ERR_OK || row.state >= to) return e;
    row.state = to;
    row.by = c->id;
    return put(w, &row);
}

enum err pending_note(struct env_write *w, struct totals *t, const struct changeset *c)
{
    enum err e = ERR_OK;
    if (c->terms.confirm_by.ms > 0) e = open_row(w, t, c);
    if (e == ERR_OK && c->terms.settles.seq > 0) e = settle_row(w, t, c);
    return e;
}

/* Whether some object is still what the open change made of it. */
static enum err stands(struct env_write *w, const struct totals *t, const struct store_pending *row, bool *does)
{
    struct arena arena = {0};
    struct changeset c;
    *does = false;
    enum err e = changeset_unpack(&arena, row->packed, &c, NULL);
    if (e == ERR_SYNTAX || e == ERR_LIMIT) e = ERR_CORRUPT; /* it was valid when it was stored */
    const struct stamp own = e == ERR_OK ? changeset_stamp(&c) : (struct stamp){0};
    for (size_t i = 0; e == ERR_OK && !*does && i < c.op_count; i++) {
        struct stored_object o;
        struct slice content;
        e = env_get(w, side_table(t, PLAN_OBJECTS), c.ops[i].key, &content);
        if (e == ERR_OK) e = stored_object_parse(content, &o);
        *does = e == ERR_OK && stamp_cmp(&o.stamp, &own) == 0;
        if (e == ERR_NOTFOUND) e = ERR_OK;
    }
    arena_fini(&arena);
    return e;
}

enum err pending_sift(struct env_write *w, struct totals *t)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    enum err e = env_cursor(w, PLAN_PENDING, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct store_pending row;
        bool keep = true;
        e = parse(key, content, &row);
        if (e == ERR_OK && row.state == PENDING_OPEN) e = stands(w, t, &row, &keep);
        if (e == ERR_OK && !keep) {
            if (t->pending == 0) e = ERR_CORRUPT;
            t->pending--;
            if (e == ERR_OK) e = env_err(mdb_cursor_del(c, 0));
        }
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &content); /* after a deletion: the one in its place */
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* ---- reading ---- */

enum err store_pending(struct store_read *r, const struct log_id *id, struct store_pending *out)
{
    char text[LOG_KEY_MAX];
    struct slice content;
    struct slice key = log_key(id, text);
    ASSERT(r->active);
    enum err e = record_get(r->plan, r->store->plan.tables[PLAN_PENDING], key, &content);
    if (e == ERR_OK) e = parse(key, content, out);
    return read_checked(r, e);
}

enum err store_pending_open(struct store_read *r, bool (*each)(void *ctx, const struct store_pending *p), void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    enum err e = read_cursor(r, false, PLAN_PENDING, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct store_pending p;
        e = parse(key, content, &p);
        if (e != ERR_OK || (p.state == PENDING_OPEN && !each(ctx, &p))) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}
