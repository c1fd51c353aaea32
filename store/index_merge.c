/* index_merge: edits of one transaction, merged into the index block by block. Lists and edits are both sorted by
 * object key, so a key with thousands of routes costs its length, not its square. A block that grows too large is cut
 * into equal parts; one that is empty goes. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/index.h"

/* So many edits are merged at a time, more where one key has more: a bound on memory. */
#define AT_ONCE 4096
/* Parts are cut so large: there is room for what comes. */
#define PART_BYTES (INDEX_BLOCK_MAX * 4 / 5)

static int edit_cmp(const void *pa, const void *pb)
{
    const struct index_edit *a = pa;
    const struct index_edit *b = pb;
    int d = slice_cmp((struct slice){a->key, a->key_len}, (struct slice){b->key, b->key_len});
    if (d == 0) d = slice_cmp(a->object, b->object);
    if (d == 0) d = a->order < b->order ? -1 : 1;
    return d;
}

static struct slice key_of(const struct index_edit *e)
{
    return (struct slice){e->key, e->key_len};
}

struct entries {
    struct index_entry *items;
    size_t count;
    size_t cap;
};

static struct index_entry *add_entry(struct entries *e)
{
    if (e->count == e->cap) {
        size_t cap = e->cap == 0 ? 256 : e->cap * 2;
        struct index_entry *items = realloc(e->items, cap * sizeof *items);
        if (items == NULL) return NULL;
        e->items = items;
        e->cap = cap;
    }
    return &e->items[e->count++];
}

struct merge {
    struct env_write *w;
    struct totals *totals;
    unsigned table;
    MDB_cursor *cursor;
    /* the block at hand */
    char record[ENV_KEY_MAX];
    size_t record_len;
    bool existed;
    char limit[ENV_KEY_MAX]; /* the next record's key */
    size_t limit_len;        /* 0: there is none */
    struct buf bytes;        /* a copy: writing may move the page */
    struct entries old;
    struct entries now;
    struct arena arena; /* of what both point to */
    struct buf form;
    struct buf out;
};

/* ---- reading a block ---- */

static enum err keep(struct entries *to, const struct index_entry *entry)
{
    struct index_entry *room = add_entry(to);
    if (room == NULL) return ERR_NOMEM;
    *room = *entry;
    return ERR_OK;
}

static enum err decode_list(struct merge *m, struct slice key, struct index_list *list)
{
    struct index_entry entry;
    enum err e;
    while ((e = index_list_take(list, key, &entry)) == ERR_OK) {
        e = keep(&m->old, &entry);
        if (e != ERR_OK) return e;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err decode(struct merge *m)
{
    struct index_block b;
    enum err e = index_block_open(buf_view(&m->bytes), &b);
    for (size_t i = 0; e == ERR_OK && i < b.count; i++) {
        char text[PATTERN_KEY_MAX];
        struct slice key;
        struct index_list list;
        e = index_block_key(&b, i, text, &key);
        if (e == ERR_OK) e = index_block_list(&b, i, &list);
        if (e == ERR_OK) key = arena_copy(&m->arena, key);
        if (e == ERR_OK) e = key.p != NULL ? decode_list(m, key, &list) : ERR_NOMEM;
    }
    return e;
}

static void keep_key(MDB_val k, char to[ENV_KEY_MAX], size_t *n)
{
    ASSERT(k.mv_size <= ENV_KEY_MAX);
    memcpy(to, k.mv_data, k.mv_size);
    *n = k.mv_size;
}

/* Puts the cursor on the last record whose key is not above key: *k and *v; m->limit is what follows it. */
static int find(struct merge *m, struct slice key, MDB_val *k, MDB_val *v)
{
    MDB_val next;
    *k = val_of(key);
    m->limit_len = 0;
    int rc = mdb_cursor_get(m->cursor, k, v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND) return mdb_cursor_get(m->cursor, k, v, MDB_LAST);
    if (rc != MDB_SUCCESS) return rc;
    if (!slice_eq(slice_of_val(*k), key)) {
        keep_key(*k, m->limit, &m->limit_len);
        return mdb_cursor_get(m->cursor, k, v, MDB_PREV);
    }
    rc = mdb_cursor_get(m->cursor, &next, NULL, MDB_NEXT);
    if (rc == MDB_SUCCESS) keep_key(next, m->limit, &m->limit_len);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

/* The block in which key stands or would stand. */
static enum err load(struct merge *m, struct slice key)
{
    struct slice bytes;
    MDB_val k;
    MDB_val v;
    arena_reset(&m->arena);
    buf_reset(&m->bytes);
    m->old.count = m->now.count = 0;
    int rc = find(m, key, &k, &v);
    m->existed = rc == MDB_SUCCESS;
    if (rc == MDB_NOTFOUND) {
        keep_key(val_of(SLICE(INDEX_FIRST)), m->record, &m->record_len);
        return ERR_OK;
    }
    enum err e = env_err(rc);
    if (e == ERR_OK) e = record_open(slice_of_val(k), v, &bytes);
    if (e == ERR_CORRUPT) rc = MDB_CORRUPTED;
    if (e != ERR_OK) {
        if (m->w->rc == MDB_SUCCESS) m->w->rc = rc;
        return e;
    }
    keep_key(k, m->record, &m->record_len);
    buf_slice(&m->bytes, bytes);
    return m->bytes.failed ? ERR_NOMEM : decode(m);
}

/* ---- merging ---- */

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

static enum err add(struct merge *m, const struct index_edit *edit)
{
    struct index_entry *entry = add_entry(&m->now);
    if (entry == NULL) return ERR_NOMEM;
    *entry = (struct index_entry){.key = key_of(edit), .head = edit->object, .from_account = edit->from_account};
    if (memchr(edit->match.p, '-', edit->match.n) != NULL) entry->range = edit->match;
    if (edit->from_account) {
        entry->packed = edit->packed;
        return ERR_OK;
    }
    const char *behind = edit->match.p + edit->match.n; /* a route's match lies in its key */
    entry->tail = (struct slice){behind, (size_t)(edit->object.p + edit->object.n - behind)};
    entry->head.n = (size_t)(edit->match.p - edit->object.p);
    buf_reset(&m->form);
    enum err e = plan_route_form(edit->packed, &m->form);
    if (e == ERR_OK) entry->packed = arena_copy(&m->arena, buf_view(&m->form));
    return e == ERR_OK && entry->packed.p == NULL ? ERR_NOMEM : e;
}

static int object_cmp(const struct index_entry *entry, struct slice object)
{
    char text[PLAN_KEY_MAX];
    return slice_cmp(index_entry_object(entry, text), object);
}

/* One key: what stands there and edits -> m->now. */
static enum err merge_key(struct merge *m, const struct index_entry *old, size_t old_count,
                          const struct index_edit *edits, size_t count)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && (old_count > 0 || count > 0)) {
        size_t used = 0;
        size_t from = 0;
        if (count == 0 || (old_count > 0 && object_cmp(old, edits->object) < 0)) {
            e = keep(&m->now, old++);
            old_count--;
            continue;
        }
        bool removed = object_edits(edits, count, &used, &from);
        for (; e == ERR_OK && old_count > 0 && object_cmp(old, edits->object) == 0; old++, old_count--)
            if (!removed) e = keep(&m->now, old);
        for (size_t i = from; e == ERR_OK && i < used; i++)
            e = add(m, &edits[i]);
        edits += used;
        count -= used;
    }
    return e;
}

static size_t run_of_entries(const struct entries *e, size_t at)
{
    size_t n = 1;
    while (at + n < e->count && slice_eq(e->items[at].key, e->items[at + n].key))
        n++;
    return n;
}

static size_t run_of_edits(const struct index_edit *edits, size_t count)
{
    size_t n = 1;
    while (n < count && slice_eq(key_of(&edits[0]), key_of(&edits[n])))
        n++;
    return n;
}

static enum err merge_block(struct merge *m, const struct index_edit *edits, size_t count)
{
    enum err e = ERR_OK;
    size_t at = 0;
    while (e == ERR_OK && (at < m->old.count || count > 0)) {
        int d = at == m->old.count ? 1 : count == 0 ? -1 : slice_cmp(m->old.items[at].key, key_of(edits));
        size_t olds = d <= 0 ? run_of_entries(&m->old, at) : 0;
        size_t news = d >= 0 ? run_of_edits(edits, count) : 0;
        size_t before = m->now.count;
        size_t len = d <= 0 ? m->old.items[at].key.n : edits->key_len;
        e = merge_key(m, m->old.items + at, olds, edits, news);
        bool is = m->now.count > before;
        if (olds == 0 && is) m->totals->index_lens[len]++;
        if (olds > 0 && !is && m->totals->index_lens[len]-- == 0) return ERR_CORRUPT;
        at += olds;
        edits += news;
        count -= news;
    }
    return e;
}

/* ---- writing ---- */

/* Where a key begins, near want, neither at 0 nor at count: there are at least two keys. */
static size_t cut_near(const struct index_entry *entries, size_t count, size_t want)
{
    size_t at = want > 0 ? want : 1;
    while (at < count && slice_eq(entries[at].key, entries[at - 1].key))
        at++;
    if (at < count) return at;
    at = want > 0 ? want : 1;
    while (slice_eq(entries[at].key, entries[at - 1].key))
        at--;
    return at;
}

static enum err write_parts(struct merge *m, const struct index_entry *entries, size_t count, size_t parts,
                            struct slice record);

/* As one block, or in parts when that is too large and has more than one key. */
static enum err write_entries(struct merge *m, const struct index_entry *entries, size_t count, struct slice record)
{
    buf_reset(&m->out);
    enum err e = index_block_write(entries, count, &m->out);
    if (e != ERR_OK) return e;
    if (m->out.n > INDEX_BLOCK_MAX && !slice_eq(entries[0].key, entries[count - 1].key)) {
        return write_parts(m, entries, count, m->out.n / PART_BYTES + 1, record);
    }
    struct slice bytes = buf_view(&m->out);
    return env_put(m->w, m->cursor, record, &bytes, 1, 0);
}

static enum err write_parts(struct merge *m, const struct index_entry *entries, size_t count, size_t parts,
                            struct slice record)
{
    if (parts < 2 || slice_eq(entries[0].key, entries[count - 1].key)) return write_entries(m, entries, count, record);
    size_t first = parts / 2;
    size_t cut = cut_near(entries, count, count * first / parts);
    enum err e = write_parts(m, entries, cut, first, record);
    return e == ERR_OK ? write_parts(m, entries + cut, count - cut, parts - first, entries[cut].key) : e;
}

static enum err write_block(struct merge *m)
{
    struct slice record = {m->record, m->record_len};
    if (m->now.count > 0) return write_entries(m, m->now.items, m->now.count, record);
    return m->existed ? env_del(m->w, m->table, record) : ERR_OK;
}

/* ---- all ---- */

/* How many of the edits belong to the block at hand: whole keys. */
static size_t stretch(const struct merge *m, const struct index_edit *edits, size_t count)
{
    const struct slice limit = {m->limit, m->limit_len};
    size_t n = 0;
    while (n < count && n < AT_ONCE && (limit.n == 0 || slice_cmp(key_of(&edits[n]), limit) < 0))
        n += run_of_edits(&edits[n], count - n);
    return n;
}

enum err index_apply(struct env_write *w, struct totals *t, struct index_edits *edits)
{
    struct merge m = {.w = w, .totals = t, .table = side_table(t, PLAN_INDEX)};
    if (edits->count == 0) return ERR_OK;
    qsort(edits->items, edits->count, sizeof edits->items[0], edit_cmp);
    enum err e = env_cursor(w, m.table, &m.cursor);
    for (size_t i = 0; e == ERR_OK && i < edits->count;) {
        const struct index_edit *at = &edits->items[i];
        e = load(&m, key_of(at));
        size_t n = e == ERR_OK ? stretch(&m, at, edits->count - i) : 0;
        ASSERT(e != ERR_OK || n > 0);
        if (e == ERR_OK) e = merge_block(&m, at, n);
        if (e == ERR_OK) e = write_block(&m);
        i += n;
    }
    if (m.cursor != NULL) mdb_cursor_close(m.cursor);
    buf_fini(&m.out);
    buf_fini(&m.form);
    buf_fini(&m.bytes);
    free(m.old.items);
    free(m.now.items);
    arena_fini(&m.arena);
    return e;
}
