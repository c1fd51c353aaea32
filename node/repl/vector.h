/* vector: how far each log or each owner's state is known, and one root over all of it.
 *
 * Entries are sorted by (origin, epoch) and distinct. The root is a sum of one hash per entry with a high above 0, so
 * that it does not depend on order and changes in O(1); equal vectors have equal roots on every machine. It detects
 * differences between nodes that trust each other; it is not a cryptographic commitment. Memory is reserved before a
 * promise is made (repl_vector_reserve); raising then cannot fail. */
#ifndef TANDEM_REPL_VECTOR_H
#define TANDEM_REPL_VECTOR_H

#include "node/repl/types.h"

#define REPL_ROOT_LEN 32
#define REPL_VECTOR_MAX (4 * LIMIT_MEMBERS) /* entries; more logs than this come from no honest cluster */

struct repl_vector {
    struct vector_entry *items;
    size_t count;
    size_t cap;
    uint64_t lane[REPL_ROOT_LEN / 8];
    uint64_t total; /* the sum of high */
};

void repl_vector_fini(struct repl_vector *v);
/* Every entry goes; the room stays. */
void repl_vector_clear(struct repl_vector *v);
/* Room for extra more entries. ERR_NOMEM, ERR_LIMIT above REPL_VECTOR_MAX. */
MUST_CHECK enum err repl_vector_reserve(struct repl_vector *v, size_t extra);
/* The same for a vector of what is planned and one of what is done, whose entries are a part of the former's: planned
 * gets room for extra more, done for all that planned may then hold. */
MUST_CHECK enum err repl_vector_reserve_both(struct repl_vector *planned, struct repl_vector *done, size_t extra);
/* to becomes equal to from; to has at least from's capacity already (else an ASSERT). */
void repl_vector_assign(struct repl_vector *to, const struct repl_vector *from);

/* 0 when there is no such entry. */
uint64_t repl_vector_get(const struct repl_vector *v, const struct node_name *origin, uint64_t epoch);
/* The entry of the greatest epoch of origin, or NULL. Borrowed until the next change. */
const struct vector_entry *repl_vector_newest(const struct repl_vector *v, const struct node_name *origin);

/* For logs, which keep every epoch: high never falls. A new entry needs reserved room. */
void repl_vector_raise(struct repl_vector *v, const struct node_name *origin, uint64_t epoch, uint64_t high);
/* For state, which keeps one epoch per owner: a newer epoch replaces the entry, an older one is ignored, the same
 * raises. */
void repl_vector_renew(struct repl_vector *v, const struct node_name *owner, uint64_t epoch, uint64_t high);

/* One of many hashes of a name, the same on every machine; and one of it with a number. */
uint64_t repl_name_hash(const struct node_name *name, uint64_t lane);
uint64_t repl_hash_with(uint64_t h, uint64_t n);

void repl_vector_root(const struct repl_vector *v, unsigned char out[REPL_ROOT_LEN]);

#endif
