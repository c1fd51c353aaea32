/* index_merge: edits of one transaction, merged into the index key by key. Lists and edits are both sorted by object
 * key, so a key with thousands of routes costs its length, not its square. */
#include <stdlib.h>

#include "store/index.h"

static int edit_cmp(const void *pa, const void *pb)
{
    const struct index_edit *a = pa;
    const struct index_edit *b = pb;
    int d = slice_cmp((struct slice){a->key, a->key_len}, (struct slice){b->key, b->key_len});
    if (d == 0) d = slice_cmp(a->object, b->object);
    if (d == 0) d = a->order < b->order ? -1 : 1;
    return d;
}

static bool same_key(const struct index_edit *a, const struct index_edit *b)
{
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static void entry_write(struct buf *out, struct slice object, struct slice packed, unsigned specificity,
                        bool from_account)
{
    char head[8];
    head[0] = from_account ? 1 : 0;
    head[1] = (char)specificity;
    put_be(head + 2, object.n, 2);
    put_be(head + 4, packed.n, 4);
    buf_add(out, head, sizeof head);
    buf_slice(out, object);
    buf_slice(out, packed);
}

/* The edits of one object at one key, count of them at most: *n are its own, those from *from on, after the last
 * removal, say what it has now. */
static bool object_edits(const struct index_edit *edits, size_t count, size_t *n, size_t *from)
{
    bool removed = false;
    *from = 0;
    for (*n = 0; *n < count && slice_eq(edits[*n].object, edits[0].object); (*n)++) {
        if (edits[*n].add) continue;
        removed = true;
        *from = *n + 1;
    }
    return removed;
}

/* The object of the first edit: its old entries go when it was removed, the new ones follow. */
static enum err merge_object(struct slice *list, struct index_entry *entry, const struct index_edit *edits,
                             size_t count, enum err e, size_t *used, struct buf *out)
{
    size_t from;
    bool removed = object_edits(edits, count, used, &from);
    while (e == ERR_OK && slice_eq(entry->object, edits[0].object)) {
        if (!removed) entry_write(out, entry->object, entry->packed, entry->specificity, entry->from_account);
        e = index_entry_take(list, entry);
    }
    for (size_t i = from; i < *used; i++) {
        entry_write(out, edits[i].object, edits[i].packed, edits[i].specificity, edits[i].from_account);
    }
    return e;
}

/* One key: list (what stands there) and edits -> out. */
static enum err merge_key(struct slice list, const struct index_edit *edits, size_t count, struct buf *out)
{
    struct index_entry entry;
    enum err e = index_entry_take(&list, &entry); /* ERR_NOTFOUND from here on: the list is used up */
    while (e == ERR_OK || (e == ERR_NOTFOUND && count > 0)) {
        if (e == ERR_OK && (count == 0 || slice_cmp(entry.object, edits[0].object) < 0)) {
            entry_write(out, entry.object, entry.packed, entry.specificity, entry.from_account);
            e = index_entry_take(&list, &entry);
            continue;
        }
        size_t used;
        e = merge_object(&list, &entry, edits, count, e, &used, out);
        edits += used;
        count -= used;
    }
    if (e != ERR_NOTFOUND) return e;
    return out->failed ? ERR_NOMEM : ERR_OK;
}

struct merge {
    struct env_write *w;
    struct totals *totals;
    unsigned table;
    MDB_cursor *cursor;
    struct buf out;
    char last[ENV_KEY_MAX]; /* the table's last key at the start */
    struct slice end;       /* no key of the table is greater: one that is needs no look-up */
};

static enum err apply_key(struct merge *m, const struct index_edit *edits, size_t count)
{
    struct slice key = {edits[0].key, edits[0].key_len};
    struct slice list = SLICE_NONE;
    bool append = slice_cmp(key, m->end) > 0;
    bool existed = false;
    if (!append) {
        enum err e = env_get(m->w, m->table, key, &list);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e;
        existed = e == ERR_OK;
    }
    buf_reset(&m->out);
    enum err e = merge_key(list, edits, count, &m->out);
    if (e != ERR_OK) return e;
    if (m->out.n > 0) {
        struct slice content = buf_view(&m->out);
        if (!existed) m->totals->index_lens[key.n]++;
        if (append) m->end = key;
        return env_put(m->w, m->cursor, key, &content, 1, append ? MDB_APPEND : 0);
    }
    if (!existed) return ERR_OK;
    if (m->totals->index_lens[key.n] == 0) return ERR_CORRUPT;
    m->totals->index_lens[key.n]--;
    return env_del(m->w, m->table, key);
}

enum err index_apply(struct env_write *w, struct totals *t, struct index_edits *edits)
{
    struct merge m = {.w = w, .totals = t, .table = side_table(t, PLAN_INDEX)};
    if (edits->count == 0) return ERR_OK;
    qsort(edits->items, edits->count, sizeof edits->items[0], edit_cmp);
    enum err e = env_last_key(w, m.table, m.last, &m.end);
    if (e == ERR_OK) e = env_cursor(w, m.table, &m.cursor);
    for (size_t i = 0; e == ERR_OK && i < edits->count;) {
        size_t n = 1;
        while (i + n < edits->count && same_key(&edits->items[i], &edits->items[i + n]))
            n++;
        e = apply_key(&m, &edits->items[i], n);
        i += n;
    }
    if (m.cursor != NULL) mdb_cursor_close(m.cursor);
    buf_fini(&m.out);
    return e;
}
