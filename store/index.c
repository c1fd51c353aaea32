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
    c->model.specificity = (uint8_t)pattern_specificity(&p);
    pattern_keys(&p, collect_key, c);
    return c->failed ? ERR_NOMEM : ERR_OK;
}

/* An account's number as a route, packed like a route's object, so that readers know one form. */
static enum err pack_account_route(struct arena *arena, const struct plan_account *a, struct slice number,
                                   struct slice *packed)
{
    struct buf b = {0};
    struct plan_object o = {.kind = PLAN_ROUTE,
                            .route = {.match = number,
                                      .target = {.kind = PLAN_TO_ACCOUNT, .name = a->name},
                                      .priority = PLAN_PRIORITY_DEFAULT,
                                      .weight = PLAN_WEIGHT_DEFAULT,
                                      .strip = a->strip,
                                      .prepend = a->prepend,
                                      .disabled = a->disabled}};
    enum err e = plan_object_pack(&o, &b);
    if (e == ERR_OK) {
        *packed = arena_copy(arena, buf_view(&b));
        if (packed->p == NULL) e = ERR_NOMEM;
    }
    buf_fini(&b);
    return e;
}

enum err index_collect(struct index_edits *edits, struct slice key, const struct plan_object *o, struct slice packed,
                       bool add)
{
    struct collector c = {.edits = edits, .model = {.object = key, .add = add}};
    if (o->kind == PLAN_ROUTE) {
        if (add) c.model.packed = packed;
        return collect_match(&c, o->route.match);
    }
    if (o->kind != PLAN_ACCOUNT) return ERR_OK;
    c.model.from_account = true;
    for (size_t i = 0; i < o->account.number_count; i++) {
        struct slice number = o->account.numbers[i];
        enum err e = add ? pack_account_route(&edits->arena, &o->account, number, &c.model.packed) : ERR_OK;
        if (e == ERR_OK) e = collect_match(&c, number);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

/* ---- reading ---- */

#define ENTRY_HEAD 8
#define ENTRY_FROM_ACCOUNT 1

enum err index_entry_take(struct slice *list, struct index_entry *entry)
{
    if (list->n == 0) return ERR_NOTFOUND;
    if (list->n < ENTRY_HEAD) return ERR_CORRUPT;
    const char *p = list->p;
    size_t object_len = (size_t)get_be(p + 2, 2);
    size_t packed_len = (size_t)get_be(p + 4, 4);
    if (list->n - ENTRY_HEAD < object_len || list->n - ENTRY_HEAD - object_len < packed_len) return ERR_CORRUPT;
    *entry = (struct index_entry){.object = {p + ENTRY_HEAD, object_len},
                                  .packed = {p + ENTRY_HEAD + object_len, packed_len},
                                  .specificity = (unsigned char)p[1],
                                  .from_account = (p[0] & ENTRY_FROM_ACCOUNT) != 0};
    size_t used = ENTRY_HEAD + object_len + packed_len;
    *list = (struct slice){p + used, list->n - used};
    return ERR_OK;
}

static size_t common_prefix(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    size_t i = 0;
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

void index_cache_clear(struct index_cache *cache)
{
    if (++cache->generation != 0) return;
    memset(cache, 0, sizeof *cache); /* the number came round: old slots would look new */
    cache->generation = 1;
}

/* The list of one short key. ERR_NOTFOUND. */
static enum err short_key(const struct index_reader *r, struct slice key, struct slice *list)
{
    uint32_t chars = 0;
    memcpy(&chars, key.p, key.n);
    uint32_t at = ((chars ^ (uint32_t)key.n) * 2654435761u) >> 22;
    struct index_cache_slot *slot = &r->cache->slots[at % INDEX_CACHE_SLOTS];
    if (slot->generation != r->cache->generation || slot->chars != chars || slot->len != key.n) {
        struct slice found = SLICE_NONE;
        enum err e = record_step(r->cursor, MDB_SET_KEY, &key, &found);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e;
        *slot = (struct index_cache_slot){r->cache->generation, chars, (uint8_t)key.n, .present = e == ERR_OK,
                                          .list = found};
    }
    *list = slot->list;
    return slot->present ? ERR_OK : ERR_NOTFOUND;
}

/* ---- walking to shorter and shorter prefixes ---- */

struct walk {
    const struct index_reader *reader;
    char search[INDEX_LEN_MAX];
    size_t len; /* no prefix that is still to come is longer */
};

/* The last key <= search as far as w->len. ERR_NOTFOUND: there is none. */
static enum err seek(const struct walk *w, struct slice *key, MDB_val *value)
{
    MDB_cursor *c = w->reader->cursor;
    struct slice search = {w->search, w->len};
    MDB_val k = val_of(search);
    int rc = mdb_cursor_get(c, &k, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(c, &k, value, MDB_LAST);
    else if (rc == MDB_SUCCESS && !slice_eq(slice_of_val(k), search))
        rc = mdb_cursor_get(c, &k, value, MDB_PREV);
    *key = slice_of_val(k);
    return env_err(rc);
}

/* The longest prefix that is still to come; w->len becomes its length. ERR_NOTFOUND.
 * Why one seek tells so much: let L be the last key <= search. A key P that is a prefix of search is <= search, and
 * everything from P to search begins with P; L is one of those, so P is no longer than what L and search have in
 * common. */
static enum err next_prefix(struct walk *w, struct slice *list)
{
    while (w->len > 0) {
        struct slice key;
        MDB_val value;
        enum err e;
        if (w->reader->lens[w->len] == 0) {
            w->len--;
            continue;
        }
        if (w->len <= INDEX_SHORT_LEN) {
            e = short_key(w->reader, (struct slice){w->search, w->len}, list);
            if (e != ERR_NOTFOUND) return e;
            w->len--;
            continue;
        }
        e = seek(w, &key, &value);
        if (e != ERR_OK) return e;
        w->len = common_prefix(key, (struct slice){w->search, w->len});
        if (w->len == key.n) return record_open(key, value, list);
    }
    return ERR_NOTFOUND;
}

enum err index_walk(const struct index_reader *r, struct slice number, enum err (*each)(void *ctx, struct slice list),
                    void *ctx)
{
    struct walk w = {.reader = r};
    enum err e = ERR_OK;
    if (number.n == 0 || number.n > LIMIT_NUMBER) return ERR_OK;
    memcpy(w.search, number.p, number.n);
    w.search[number.n] = '='; /* an exact number's key ends so; see pattern.h */
    for (w.len = number.n + 1; e == ERR_OK && w.len > 0; w.len--) {
        struct slice list;
        e = next_prefix(&w, &list);
        if (e == ERR_NOTFOUND) return ERR_OK;
        if (e == ERR_OK) e = each(ctx, list);
    }
    return e;
}
