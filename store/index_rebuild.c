/* index_rebuild: the index of one side made anew from its objects, as after a change of its form, and what is counted
 * beside it. */
#include "proto/plan_codec.h"
#include "store/index.h"

#define AT_ONCE 16384 /* objects whose edits are applied together: a bound on memory */

struct rebuild {
    struct env_write *w;
    struct totals *totals;
    struct index_edits edits;
    struct arena scratch;
};

static enum err flush(struct rebuild *r)
{
    enum err e = index_apply(r->w, r->totals, &r->edits);
    index_edits_fini(&r->edits);
    arena_fini(&r->scratch);
    return e;
}

/* Edits borrow key and packed bytes: the pages of the objects stay, since only the index is written. */
static enum err add_object(struct rebuild *r, struct slice key, struct slice content)
{
    struct stored_object stored;
    struct plan_object o;
    enum err e = stored_object_parse(content, &stored);
    if (e != ERR_OK || stored.tombstone) return e;
    e = plan_object_unpack_stored(&r->scratch, stored.packed, &o, NULL);
    if (e == ERR_SYNTAX || e == ERR_LIMIT) e = ERR_CORRUPT;
    if (e == ERR_OK) e = totals_name(r->totals, &o, true);
    return e == ERR_OK ? index_collect(&r->edits, key, &o, stored.packed, true) : e;
}

enum err index_rebuild(struct env_write *w, struct totals *t)
{
    struct rebuild r = {.w = w, .totals = t};
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    memset(t->index_lens, 0, sizeof t->index_lens);
    memset(t->name_lens, 0, sizeof t->name_lens);
    enum err e = env_clear(w, side_table(t, PLAN_INDEX));
    if (e == ERR_OK) e = env_cursor(w, side_table(t, PLAN_OBJECTS), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    for (size_t n = 1; e == ERR_OK; n++) {
        e = add_object(&r, key, content);
        if (e == ERR_OK && n % AT_ONCE == 0) e = flush(&r);
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    if (e == ERR_NOTFOUND) e = flush(&r);
    index_edits_fini(&r.edits);
    arena_fini(&r.scratch);
    return e;
}
