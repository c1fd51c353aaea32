/* floor: the time up to which deletions are forgotten: tombstones up to it are gone, so no change-set that is not newer
 * can be judged any more. The vector that belongs to it is the cut: every change-set up to the floor is in it. Who may
 * raise it, and when, is the core's matter; tests/model/replica.pml is the specification. Internal to store/. */
#ifndef TANDEM_STORE_FLOOR_H
#define TANDEM_STORE_FLOOR_H

#include "store/changes.h"

/* Makes the time of the newest tombstone the floor and v, which must be the replica's vector, the cut. ERR_CONFLICT: v
 * is not the vector any more. Without a tombstone nothing happens. */
MUST_CHECK enum err floor_raise(struct env_write *w, struct totals *t, const struct vector_entry *v, size_t count);
/* Takes over a higher floor of another replica, with its cut. ERR_CONFLICT: something of the cut is missing here, or
 * something here is up to the floor and not in the cut (info says which): then nothing was changed. A floor that is not
 * higher changes nothing. */
MUST_CHECK enum err floor_adopt(struct env_write *w, struct totals *t, struct hlc floor, const struct vector_entry *cut,
                                size_t count, struct err_info *info);
/* Tombstones up to t->floor go from t's side. */
MUST_CHECK enum err floor_drop_tombstones(struct env_write *w, struct totals *t);

#endif
