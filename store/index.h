/* index: the prefix index: pattern keys -> the routes that stand there. Derived from the objects; never a source of
 * truth. How patterns become keys: node/plan/pattern.h. Internal to store/.
 *
 * Its keys, in order, are cut into blocks (index_block.h), a record each. A record's key is no greater than the keys in
 * its block and greater than those in the block before; the first one's may be INDEX_FIRST, which is less than any.
 *
 * Changes of one transaction are collected as edits, sorted, and merged block by block, so that a million routes cost
 * one write per block in order. */
#ifndef TANDEM_STORE_INDEX_H
#define TANDEM_STORE_INDEX_H

#include "node/plan/decide.h"
#include "store/index_block.h"
#include "store/tables.h"

#define INDEX_FIRST " "

struct index_edit {
    struct slice object; /* object key */
    struct slice packed; /* packed route, with add */
    struct slice match;  /* with add */
    size_t order;
    char key[PATTERN_KEY_MAX];
    uint8_t key_len;
    bool from_account;
    bool add; /* else: what the object has at key goes */
};
struct index_edits {
    struct index_edit *items;
    size_t count;
    size_t cap;
    struct arena arena; /* of what the edits point to, as far as they own it */
};
void index_edits_fini(struct index_edits *edits);

/* The index keys of an object, added or removed: of a route its match, of an account each of its numbers, as routes to
 * the account. Other kinds have none. key and packed are borrowed until index_apply. ERR_NOMEM. */
MUST_CHECK enum err index_collect(struct index_edits *edits, struct slice key, const struct plan_object *o,
                                  struct slice packed, bool add);
/* Merges them into the table and into t->index_lens. ERR_CORRUPT, and the failures of writing. */
MUST_CHECK enum err index_apply(struct env_write *w, struct totals *t, struct index_edits *edits);
/* Makes the index of t's side anew, and t->name_lens, from its objects. ERR_CORRUPT, and the failures of writing. */
MUST_CHECK enum err index_rebuild(struct env_write *w, struct totals *t);

/* What the short keys say, which almost every number asks for, remembered for as long as a reader sees the same
 * transaction: the pages of the newest one stay where they are until there is a newer. Zeroed is empty. */
#define INDEX_SHORT_LEN 4
#define INDEX_CACHE_SLOTS 1024
struct index_cache {
    uint32_t generation; /* slots of another one are empty */
    struct index_cache_slot {
        uint32_t generation;
        uint32_t chars;
        uint8_t len;
        bool present;
        struct index_list list;
    } slots[INDEX_CACHE_SLOTS];
};
void index_cache_clear(struct index_cache *cache);

struct index_reader {
    MDB_cursor *cursor;
    const uint64_t *lens; /* totals.index_lens of the same snapshot */
    struct index_cache *cache;
};
/* Every key that is a prefix of number "=", longest first: calls each with the key and what stands there until it
 * returns another than ERR_OK, which is then returned. */
MUST_CHECK enum err index_walk(const struct index_reader *r, struct slice number,
                               enum err (*each)(void *ctx, struct slice key, struct index_list *list), void *ctx);

/* The block in which the last key <= key stands, and the place there; the cursor stands at its record, whose key is
 * *record. ERR_NOTFOUND: there is no such key. */
MUST_CHECK enum err index_seek(MDB_cursor *cursor, struct slice key, struct slice *record, struct index_block *block,
                               size_t *at);
/* Steps the cursor to another block: op as mdb_cursor_get. ERR_NOTFOUND at the end. */
MUST_CHECK enum err index_step(MDB_cursor *cursor, MDB_cursor_op op, struct slice *record, struct index_block *block);

#endif
