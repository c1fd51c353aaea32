/* conflicts: values of objects that a concurrent edit overrode, and that nobody has looked at since. Internal to
 * store/.
 *
 * The operations on one object form a graph: each names the versions that its author knew (struct change_op: seen). A
 * version that no operation has seen is a head. The newest head is what stands; each other one is a value that somebody
 * set and that was overridden by somebody who did not know of it: that is a conflict. It ends when an operation that
 * has seen it arrives: a later edit where it was known, or an ACCEPT. So what is in conflict depends on the operations
 * alone and not on the order of their coming.
 *
 *   object key NUL time 8 epoch 8 origin -> 1: a value, packed | 2: a deletion | 3: seen by an operation that came
 * before it
 *
 * Undos and confirmations (CHANGE_SETTLE_ROOM) are nobody's edits: they are never in conflict. Nor are change-sets of
 * older versions, which do not say what they saw. */
#ifndef TANDEM_STORE_CONFLICTS_H
#define TANDEM_STORE_CONFLICTS_H

#include "store/tables.h"

/* While one change-set is applied. */
struct conflicts {
    struct env_write *w;
    const struct changeset *c;
    struct stamp own;
    bool known; /* the objects have its effect already: nothing is overridden by it now */
    /* the change-set that was looked up last */
    struct stamp looked;
    bool looked_settles;
};

/* op is about to replace old (NULL: nothing is there), which is in the map and is copied first. */
MUST_CHECK enum err conflicts_won(struct conflicts *k, const struct change_op *op, const struct stored_object *old);
/* op is older than what stands. */
MUST_CHECK enum err conflicts_lost(struct conflicts *k, const struct change_op *op, const struct stored_object *stands);
/* op accepts; stands: what is there, NULL: nothing. */
/* c is put aside by a snapshot: what it said is listed like what was overridden, until somebody has looked at it. */
MUST_CHECK enum err conflicts_lost_whole(struct env_write *w, const struct changeset *c);
MUST_CHECK enum err conflicts_accepted(struct conflicts *k, const struct change_op *op,
                                       const struct stored_object *stands);

#endif
