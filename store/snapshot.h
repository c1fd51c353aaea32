/* snapshot: a donor's replica that arrives in pieces. They are put aside, on the side that is not in use; when all are
 * here, it takes the place of the replica in one transaction. What only we have is kept and applied again, but for logs
 * with a change-set that comes too late to be judged. tests/model/replica.pml, rules 6 and 7, is the specification.
 * Internal to store/. */
#ifndef TANDEM_STORE_SNAPSHOT_H
#define TANDEM_STORE_SNAPSHOT_H

#include "store/changes.h"
#include "store/store.h"

/* Puts one piece aside; the first one begins anew. ERR_CONFLICT: nothing was begun. ERR_SYNTAX, ERR_LIMIT: an object
 * breaks a rule. */
MUST_CHECK enum err snapshot_put(struct env_write *w, const struct store_piece *piece, struct change_tally *tally,
                                 struct err_info *info);
/* Everything put aside goes. */
MUST_CHECK enum err snapshot_clear(struct env_write *w);
/* What is aside becomes the replica; *t is then its totals. ERR_CONFLICT: nothing is aside, or our floor is higher than
 * the snapshot's. lost: how many change-sets could not be kept; they are in the table "lost". */
MUST_CHECK enum err snapshot_replace(struct env_write *w, const struct store_replacement *r, struct totals *t,
                                     struct change_tally *tally, uint64_t *lost);

#endif
