/* read_index: the prefix index as it stands, for questions about the plan itself rather than about a call. */
#include "store/read.h"

struct listing {
    store_index_visit *each;
    void *ctx;
    bool stopped;
};

static enum err each_entry(struct listing *l, struct slice key, struct index_list *list)
{
    struct index_entry entry;
    enum err e = ERR_OK;
    while (!l->stopped && (e = index_list_take(list, key, &entry)) == ERR_OK) {
        char text[PLAN_KEY_MAX];
        struct slice object = index_entry_object(&entry, text);
        if (object.p == NULL) return ERR_CORRUPT;
        l->stopped = !l->each(l->ctx, key, object);
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err around_list(void *ctx, struct slice key, struct index_list *list)
{
    struct listing *l = ctx;
    enum err e = each_entry(l, key, list);
    return e == ERR_OK && l->stopped ? ERR_NOTFOUND : e;
}

enum err store_index_around(struct store_read *r, struct slice number, store_index_visit *each, void *ctx)
{
    struct listing l = {.each = each, .ctx = ctx};
    struct index_reader reader;
    enum err e = read_index(r, &reader);
    if (e == ERR_OK) e = index_walk(&reader, number, around_list, &l);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

struct range {
    struct listing l;
    struct slice low;
    struct slice high;
};

/* The keys of one block from a place on; *done: behind the range, or the visitor has enough. */
static enum err within_block(struct range *w, const struct index_block *b, size_t at, bool *done)
{
    for (; at < b->count && !*done; at++) {
        char text[PATTERN_KEY_MAX];
        struct slice key;
        struct index_list list;
        enum err e = index_block_key(b, at, text, &key);
        if (e != ERR_OK) return e;
        if (slice_cmp(key, w->low) < 0) continue;
        *done = slice_cmp(key, w->high) > 0 && !slice_starts(key, w->high);
        if (!*done) e = index_block_list(b, at, &list);
        if (!*done && e == ERR_OK) e = each_entry(&w->l, key, &list);
        if (e != ERR_OK) return e;
        *done = *done || w->l.stopped;
    }
    return ERR_OK;
}

enum err store_index_within(struct store_read *r, struct slice low, struct slice high, store_index_visit *each,
                            void *ctx)
{
    struct range w = {.l = {.each = each, .ctx = ctx}, .low = low, .high = high};
    struct index_block block;
    struct slice record = SLICE_NONE;
    size_t at = 0;
    bool done = false;
    MDB_cursor *c = NULL;
    enum err e = read_totals(r);
    if (e == ERR_OK) e = read_cursor(r, false, side_table(&r->totals, PLAN_INDEX), &c);
    if (e != ERR_OK) return e;
    e = index_seek(c, low, &record, &block, &at);
    if (e == ERR_NOTFOUND) {
        at = 0;
        e = index_step(c, MDB_FIRST, &record, &block);
    }
    while (e == ERR_OK && !done) {
        e = within_block(&w, &block, at, &done);
        at = 0;
        if (e == ERR_OK && !done) e = index_step(c, MDB_NEXT, &record, &block);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_index_count(struct store_read *r, uint64_t *count)
{
    enum err e = read_totals(r);
    *count = 0;
    for (size_t i = 0; e == ERR_OK && i <= INDEX_LEN_MAX; i++)
        *count += r->totals.index_lens[i];
    return e;
}
