/* batch: change-sets or state records that the core keeps while they are on their way to disk or to peers.
 *
 * One deep copy is made when a batch takes something in; from then on the store's job and every peer's push point into
 * it. A batch is counted: the core holds one reference, each struct repl_actions that points into it another. A batch
 * that an action points into grows no more. */
#ifndef TANDEM_REPL_BATCH_H
#define TANDEM_REPL_BATCH_H

#include "node/repl/types.h"

/* What the core remembers of a change-set in a batch. */
struct batch_mark {
    struct node_name from; /* who brought it; self for a local one */
    bool flood;            /* goes on to other peers once it is stored */
    size_t bytes;          /* about what it takes on the wire */
};

struct repl_batch {
    unsigned refs;
    struct repl_batch *next; /* in a queue of the core */
    uint64_t token;          /* of the PERSIST action; 0 before it is asked */
    uint64_t id;             /* of this batch, for those who wait for its end */
    struct arena arena;
    size_t bytes;
    struct changeset *changes;
    struct batch_mark *marks;
    size_t change_count;
    size_t change_cap;
    struct state_record *records;
    size_t record_count;
    size_t record_cap;
    struct vector_entry *upto; /* what the state vector becomes with these records */
    size_t upto_count;
    size_t upto_cap;
};

/* One reference, the caller's. NULL: no memory. */
struct repl_batch *repl_batch_new(uint64_t id);
void repl_batch_hold(struct repl_batch *b);
void repl_batch_drop(struct repl_batch *b); /* NULL allowed; frees with the last reference */

/* Each copies; on ERR_NOMEM the batch holds what it held. */
MUST_CHECK enum err repl_batch_add_change(struct repl_batch *b, const struct changeset *c, const struct node_name *from,
                                          bool flood);
MUST_CHECK enum err repl_batch_add_record(struct repl_batch *b, const struct state_record *r);
MUST_CHECK enum err repl_batch_add_upto(struct repl_batch *b, const struct vector_entry *e);

/* About what a change-set takes on the wire. */
size_t repl_changeset_bytes(const struct changeset *c);

#endif
