/* read_index: the prefix index as it stands, for questions about the plan itself rather than about a call. */
#include "store/read.h"

struct listing {
    store_index_visit *each;
    void *ctx;
    struct slice key;
    bool stopped;
};

static enum err each_entry(struct listing *l, struct slice list)
{
    struct index_entry entry;
    enum err e = ERR_OK;
    while (!l->stopped && (e = index_entry_take(&list, &entry)) == ERR_OK)
        l->stopped = !l->each(l->ctx, l->key, entry.object);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err around_list(void *ctx, struct slice list)
{
    struct listing *l = ctx;
    enum err e = each_entry(l, list);
    return e == ERR_OK && l->stopped ? ERR_NOTFOUND : e;
}

enum err store_index_around(struct store_read *r, struct slice number, store_index_visit *each, void *ctx)
{
    struct listing l = {.each = each, .ctx = ctx, .key = number};
    struct index_reader reader;
    enum err e = read_index(r, &reader);
    if (e == ERR_OK) e = index_walk(&reader, number, around_list, &l);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_index_within(struct store_read *r, struct slice low, struct slice high, store_index_visit *each,
                            void *ctx)
{
    struct listing l = {.each = each, .ctx = ctx, .key = low};
    struct slice list;
    MDB_cursor *c = NULL;
    enum err e = read_totals(r);
    if (e == ERR_OK) e = read_cursor(r, false, side_table(&r->totals, PLAN_INDEX), &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &l.key, &list);
    while (e == ERR_OK && !l.stopped) {
        if (slice_cmp(l.key, high) > 0 && !slice_starts(l.key, high)) break;
        e = each_entry(&l, list);
        if (e == ERR_OK) e = record_step(c, MDB_NEXT, &l.key, &list);
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
