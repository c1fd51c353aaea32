/* map: an intrusive hash table with chains, keyed by a 64-bit hash that the caller computes with map_hash.
 *
 * The caller compares keys: it walks map_first/map_next (nodes of equal hash) and checks its own key. Keys come from
 * the network, so the hash is salted with a random seed; the table doubles at load 1/2 and never shrinks: a
 * bucket costs less than looking at an entry that is not in the cache. */
#ifndef TANDEM_BASE_MAP_H
#define TANDEM_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "node/base/bytes.h"
#include "node/base/err.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t mask; /* buckets - 1 */
    size_t count;
    uint64_t seed;
};

/* Room for about count_hint entries at once. ERR_NOMEM. */
MUST_CHECK enum err map_init(struct map *m, size_t count_hint, uint64_t seed);
/* Frees the table, not the entries. */
void map_fini(struct map *m);
uint64_t map_hash(const struct map *m, struct slice key);
/* Links the node; does not look for equal keys. When growing fails the table stays as it was and only gets slower. */
void map_insert(struct map *m, struct map_node *n, uint64_t hash);
/* n must be linked in m. */
void map_remove(struct map *m, struct map_node *n);
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *n); /* the next one of the same hash */
/* Every entry: start with cursor 0 and n NULL; NULL at the end. The entry returned may be removed before the next call.
 */
struct map_walk {
    size_t bucket;
    struct map_node *next;
};
struct map_node *map_walk(const struct map *m, struct map_walk *w);

#endif
