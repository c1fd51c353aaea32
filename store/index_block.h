/* index_block: a stretch of the prefix index in one record: keys in order, and what stands under each.
 *
 * Why not a record for each key: a look-up among a million of them waits for memory, not for instructions. In a tree of
 * records every step of the search within a page is a cache miss of its own; a block of a hundred keys is a few
 * neighbouring cache lines, and the tree above it is small enough to stay near. Routes that differ in their match alone
 * share one form, so that a key takes about ten bytes.
 *
 * Bytes of a block (W: the width of an offset, 2 or 4; offsets count from the block's beginning; big endian):
 *   W 1, stem length 1, stem, key count W
 *   offset of each key W, where the last one ends W
 *   for each key: rest length 1, rest (the key is stem and rest), its entries, sorted by object key:
 *     flags 1, offset of its form W; of a range: match length 1, match
 *   each form: head length 2, tail length 2, packed length 4, head, tail, packed
 * Head and tail are what stands before and behind the match in the object's key; an account's key is the head alone.
 * Packed is the route without its match: the key says that, but for a range. An account's is what routing asks of it.
 */
#ifndef TANDEM_STORE_INDEX_BLOCK_H
#define TANDEM_STORE_INDEX_BLOCK_H

#include "node/plan/object.h"
#include "node/plan/pattern.h"

/* The most bytes of a block that has more than one key: three of them and their heads fit in a page. */
#define INDEX_BLOCK_MAX 1280

struct index_entry {
    struct slice key; /* of the index */
    struct slice head;
    struct slice tail;
    struct slice packed;
    struct slice range; /* the match, when it is a range */
    bool from_account;
};
unsigned index_entry_specificity(const struct index_entry *e);
/* Both point into out or into the entry. */
#define INDEX_MATCH_MAX (2 * LIMIT_NUMBER + 1)
struct slice index_entry_match(const struct index_entry *e, char out[INDEX_MATCH_MAX]);
/* {NULL, 0} when it is longer than any object's key. */
struct slice index_entry_object(const struct index_entry *e, char out[PLAN_KEY_MAX]);

/* ---- reading: everything points into the block's bytes ---- */

struct index_block {
    struct slice bytes;
    struct slice stem;
    size_t table; /* where the offsets begin */
    size_t count; /* of keys, at least 1 */
    unsigned width;
};
/* ERR_CORRUPT, as everything below on bytes that are no block. */
MUST_CHECK enum err index_block_open(struct slice bytes, struct index_block *b);
/* The last key <= key. ERR_NOTFOUND: all are greater. */
MUST_CHECK enum err index_block_seek(const struct index_block *b, struct slice key, size_t *at);
/* The key at a place that seek found, or below count. */
MUST_CHECK enum err index_block_key(const struct index_block *b, size_t at, char out[PATTERN_KEY_MAX],
                                    struct slice *key);

/* What stands under one key. */
struct index_list {
    struct slice block;
    struct slice entries;
    unsigned width;
};
MUST_CHECK enum err index_block_list(const struct index_block *b, size_t at, struct index_list *list);
/* Takes the first entry off list, which stands under key. ERR_NOTFOUND: the list is empty. */
MUST_CHECK enum err index_list_take(struct index_list *list, struct slice key, struct index_entry *entry);

/* ---- writing ---- */

/* Appends a block of entries that are sorted by key, and of one key by object; out is empty before. ERR_NOMEM. */
MUST_CHECK enum err index_block_write(const struct index_entry *entries, size_t count, struct buf *out);

#endif
