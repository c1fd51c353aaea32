/* index: collecting edits and walking the keys of a number. Merging edits into the table: index_merge.c. */
#include "store/index.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

void index_edits_fini(struct index_edits *edits)
{
    free(edits->items);
    arena_fini(&edits->arena);
    *edits = (struct index_edits){0};
}

/* ---- collecting ---- */

struct collector {
    struct index_edits *edits;
    struct index_edit model;
    bool failed;
};

static struct index_edit *edit_new(struct index_edits *edits)
{
    if (edits->count == edits->cap) {
        size_t cap = edits->cap == 0 ? 64 : edits->cap * 2;
        struct index_edit *items = realloc(edits->items, cap * sizeof *items);
        if (items == NULL) return NULL;
        edits->items = items;
        edits->cap = cap;
    }
    return &edits->items[edits->count];
}

static void collect_key(void *ctx, struct slice key)
{
    struct collector *c = ctx;
    struct index_edit *edit = c->failed ? NULL : edit_new(c->edits);
    if (edit == NULL) {
        c->failed = true;
        return;
    }
    ASSERT(key.n > 0 && key.n <= PATTERN_KEY_MAX);
    *edit = c->model;
    memcpy(edit->key, key.p, key.n);
    edit->key_len = (uint8_t)key.n;
    edit->order = c->edits->count++;
}

static enum err collect_match(struct collector *c, struct slice match)
{
    struct pattern p;
    /* Every match was checked before it was written; one that is not a pattern now is damage. */
    if (pattern_parse(match, &p, NULL) != ERR_OK) return ERR_CORRUPT;
    c->model.match = match;
    pattern_keys(&p, collect_key, c);
    return c->failed ? ERR_NOMEM : ERR_OK;
}

/* Of an account what a decision about one of its numbers asks for, packed like the object: plan_account_brief_read. */
static enum err pack_account_brief(struct arena *arena, const struct plan_account *a, struct slice *packed)
{
    struct buf b = {0};
    struct plan_object o = {.kind = PLAN_ACCOUNT,
                            .account = {.name = a->name,
                                        .strip = a->strip,
                                        .prepend = a->prepend,
                                        .site = a->site,
                                        .calls = a->calls,
                                        .disabled = a->disabled}};
    enum err e = plan_object_pack(&o, &b);
    if (e == ERR_OK) {
        *packed = arena_copy(arena, buf_view(&b));
        if (packed->p == NULL) e = ERR_NOMEM;
    }
    buf_fini(&b);
    return e;
}

/* Where the match stands in the key of a route, which lives longer than the object. */
static enum err match_in_key(struct slice key, const struct plan_route *r, struct slice *match)
{
    size_t at = strlen("route/") + r->scope.n + 1;
    if (at > key.n || r->match.n > key.n - at) return ERR_CORRUPT;
    *match = (struct slice){key.p + at, r->match.n};
    return slice_eq(*match, r->match) ? ERR_OK : ERR_CORRUPT;
}

static enum err collect_account(struct collector *c, const struct plan_account *a)
{
    enum err e = ERR_OK;
    c->model.from_account = true;
    if (c->model.add && a->number_count > 0) e = pack_account_brief(&c->edits->arena, a, &c->model.packed);
    for (size_t i = 0; e == ERR_OK && i < a->number_count; i++) {
        struct slice number = a->numbers[i];
        if (c->model.add) number = arena_copy(&c->edits->arena, number);
        e = number.p != NULL ? collect_match(c, number) : ERR_NOMEM;
    }
    return e;
}

enum err index_collect(struct index_edits *edits, struct slice key, const struct plan_object *o, struct slice packed,
                       bool add)
{
    struct collector c = {.edits = edits, .model = {.object = key, .add = add}};
    struct slice match;
    if (o->kind == PLAN_ACCOUNT) return collect_account(&c, &o->account);
    if (o->kind != PLAN_ROUTE) return ERR_OK;
    if (add) c.model.packed = packed;
    enum err e = match_in_key(key, &o->route, &match);
    return e == ERR_OK ? collect_match(&c, match) : e;
}

/* ---- reading ---- */

static size_t common_prefix(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    size_t i = 0;
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

enum err index_step(MDB_cursor *cursor, MDB_cursor_op op, struct slice *record, struct index_block *block)
{
    struct slice bytes;
    enum err e = record_step(cursor, op, record, &bytes);
    return e == ERR_OK ? index_block_open(bytes, block) : e;
}

/* All of a block's cache lines at once, instead of one after the other. */
static void fetch(MDB_val v)
{
    const char *p = v.mv_data;
    size_t n = v.mv_size < INDEX_BLOCK_MAX ? v.mv_size : INDEX_BLOCK_MAX;
    for (size_t at = 0; at < n; at += 64)
        __builtin_prefetch(p + at);
}

/* The last block that begins at or before key. */
static enum err block_of(MDB_cursor *cursor, struct slice key, struct slice *record, struct index_block *block)
{
    MDB_val k = val_of(key);
    MDB_val v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    else if (rc == MDB_SUCCESS && !slice_eq(slice_of_val(k), key))
        rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV);
    if (rc != MDB_SUCCESS) return env_err(rc);
    fetch(v);
    struct slice bytes;
    *record = slice_of_val(k);
    enum err e = record_open(*record, v, &bytes);
    return e == ERR_OK ? index_block_open(bytes, block) : e;
}

/* In the block where the cursor stands, which begins at or before key, or in the one before it: a block's first keys
 * may be gone, and its record's key stays. */
static enum err seek_from(MDB_cursor *cursor, struct slice key, struct slice *record, struct index_block *block,
                          size_t *at)
{
    enum err e = index_block_seek(block, key, at);
    if (e != ERR_NOTFOUND) return e;
    e = index_step(cursor, MDB_PREV, record, block);
    return e == ERR_OK ? index_block_seek(block, key, at) : e;
}

enum err index_seek(MDB_cursor *cursor, struct slice key, struct slice *record, struct index_block *block, size_t *at)
{
    enum err e = block_of(cursor, key, record, block);
    return e == ERR_OK ? seek_from(cursor, key, record, block, at) : e;
}

/* ---- walking to shorter and shorter prefixes ---- */

struct walk {
    const struct index_reader *reader;
    char search[INDEX_LEN_MAX];
    size_t len;          /* no prefix that is still to come is longer */
    struct slice record; /* where the cursor stands; none before the first step */
    struct index_block block;
};

/* The last key <= search as far as len. Shorter prefixes mostly stand in the block that is at hand. */
static enum err seek(struct walk *w, size_t *at)
{
    struct slice search = {w->search, w->len};
    MDB_cursor *c = w->reader->cursor;
    if (w->record.n > 0 && slice_cmp(w->record, search) <= 0) return seek_from(c, search, &w->record, &w->block, at);
    return index_seek(c, search, &w->record, &w->block, at);
}

/* Whether the search as far as w->len is a key; w->len becomes what the search has in common with the last key before
 * it. ERR_NOTFOUND: there is none before it.
 * Why one seek tells so much: let L be the last key <= search. A key P that is a prefix of search is <= search, and
 * everything from P to search begins with P; L is one of those, so P is no longer than what L and search have in
 * common. */
static enum err look(struct walk *w, bool *found, struct index_list *list)
{
    char text[PATTERN_KEY_MAX];
    struct slice key;
    size_t at;
    enum err e = seek(w, &at);
    if (e == ERR_OK) e = index_block_key(&w->block, at, text, &key);
    if (e != ERR_OK) return e;
    w->len = common_prefix(key, (struct slice){w->search, w->len});
    *found = w->len == key.n;
    return *found ? index_block_list(&w->block, at, list) : ERR_OK;
}

void index_cache_clear(struct index_cache *cache)
{
    if (++cache->generation != 0) return;
    memset(cache, 0, sizeof *cache); /* the number came round: old slots would look new */
    cache->generation = 1;
}

/* What stands under the search as far as w->len, which is short. */
static enum err look_short(struct walk *w, bool *found, struct index_list *list)
{
    struct index_cache *cache = w->reader->cache;
    uint32_t chars = 0;
    size_t len = w->len;
    memcpy(&chars, w->search, len);
    uint32_t at = ((chars ^ (uint32_t)len) * 2654435761u) >> 22;
    struct index_cache_slot *slot = &cache->slots[at % INDEX_CACHE_SLOTS];
    if (slot->generation != cache->generation || slot->chars != chars || slot->len != len) {
        bool present = false;
        struct index_list l = {.width = 0};
        enum err e = look(w, &present, &l);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e;
        present = present && w->len == len; /* a shorter one has a slot of its own */
        w->len = len;
        *slot = (struct index_cache_slot){cache->generation, chars, (uint8_t)len, present, l};
    }
    *found = slot->present;
    *list = slot->list;
    return ERR_OK;
}

/* The longest prefix that is still to come; w->len becomes its length. ERR_NOTFOUND. */
static enum err next_prefix(struct walk *w, struct index_list *list)
{
    while (w->len > 0) {
        bool found = false;
        enum err e = ERR_OK;
        if (w->reader->lens[w->len] == 0) {
            w->len--;
        } else if (w->len > INDEX_SHORT_LEN) {
            e = look(w, &found, list);
        } else {
            e = look_short(w, &found, list);
            if (!found) w->len--;
        }
        if (e != ERR_OK || found) return e;
    }
    return ERR_NOTFOUND;
}

enum err index_walk(const struct index_reader *r, struct slice number,
                    enum err (*each)(void *ctx, struct slice key, struct index_list *list), void *ctx)
{
    struct walk w = {.reader = r};
    enum err e = ERR_OK;
    if (number.n == 0 || number.n > LIMIT_NUMBER) return ERR_OK;
    memcpy(w.search, number.p, number.n);
    w.search[number.n] = '='; /* an exact number's key ends so; see pattern.h */
    for (w.len = number.n + 1; e == ERR_OK && w.len > 0; w.len--) {
        struct index_list list;
        e = next_prefix(&w, &list);
        if (e == ERR_NOTFOUND) return ERR_OK;
        if (e == ERR_OK) e = each(ctx, (struct slice){w.search, w.len}, &list);
    }
    return e;
}
