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

/* The longest key that is a prefix of search; *shared is how much of search some key shares with it at least up to
 * there when it returns ERR_NOTFOUND: no longer prefix of search exists. Of all keys <= search, the last one, L,
 * decides: a prefix P of search with P != L has P < L (P is a prefix of everything between P and search that starts
 * with it), so every prefix is also a prefix of what L and search share. */
static enum err seek_prefix(MDB_cursor *c, struct slice search, struct slice *key, struct slice *list, size_t *shared)
{
    MDB_val k = val_of(search);
    MDB_val v;
    int rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (rc != MDB_SUCCESS || !slice_eq(slice_of_val(k), search)) {
        if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) return env_err(rc);
        rc = mdb_cursor_get(c, &k, &v, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
        *shared = 0;
        if (rc != MDB_SUCCESS) return env_err(rc);
    }
    *key = slice_of_val(k);
    *shared = common_prefix(*key, search);
    if (*shared < key->n) return ERR_NOTFOUND;
    return record_open(*key, v, list);
}

enum err index_walk(MDB_cursor *c, const uint64_t lens[INDEX_LEN_MAX + 1], struct slice number,
                    enum err (*each)(void *ctx, struct slice list), void *ctx)
{
    char search[INDEX_LEN_MAX];
    if (number.n == 0 || number.n > LIMIT_NUMBER) return ERR_OK;
    memcpy(search, number.p, number.n);
    search[number.n] = '='; /* an exact number's key ends so; see pattern.h */
    size_t len = number.n + 1;
    for (;;) {
        struct slice key;
        struct slice list;
        size_t shared;
        while (len > 0 && lens[len] == 0)
            len--;
        if (len == 0) return ERR_OK;
        enum err e = seek_prefix(c, (struct slice){search, len}, &key, &list, &shared);
        if (e == ERR_OK)
            e = each(ctx, list);
        else if (e == ERR_NOTFOUND && shared > 0) {
            len = shared;
            continue;
        }
        if (e == ERR_NOTFOUND) return ERR_OK;
        if (e != ERR_OK) return e;
        len = key.n - 1;
    }
}
