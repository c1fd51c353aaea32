/* confirm: changes that are undone unless somebody confirms them in time.
 *
 * The deadline and what is to be restored travel in the change-set itself, and every node that has it watches it. Who
 * notices the deadline first writes the undo: the origin at once; the others only when the origin is not there to do
 * it, each after a grace that grows with its rank among the members that it sees. So usually exactly one writes it, and
 * in a partition each side does. The undo has a time just after the change's own: it restores the objects that still
 * carry the change, and loses to every later edit and to a confirmation, which re-puts what still carries the change
 * with a time behind the undo's and before every later edit's (CHANGE_SETTLE_ROOM). Two undos say the same. A node that
 * starts again finds what is open in its replica.
 *
 * Time: the origin, and whoever sees the change arrive while the origin is there, count from that moment by their own
 * monotonic clocks, so that a wrong calendar anywhere cannot undo a change too early. Only for one that was found after
 * a start, or without its origin, the calendar says how much of the time is left, and never more than all of it. */
#ifndef TANDEM_APP_CONFIRM_H
#define TANDEM_APP_CONFIRM_H

#include "node/app/node.h"
#include "node/app/plan_change.h"

#define CONFIRM_MIN_MS 1000
#define CONFIRM_MAX_MS (UINT64_C(7) * 24 * 3600 * 1000)

/* Looks once a second for what is open and what is due. */
void confirm_look(struct node *n);
void confirm_stop(struct node *n); /* forgets everything; workers under way end by themselves */

/* "unconfirmed, undone in 3m12s"; "" when id needs no confirmation. p may be NULL. */
void confirm_text(const struct store_pending *p, struct wall now, char *out, size_t out_size);

/* The operations of a confirmation of id: c->ops, op_count, digest, and their time. No id (seq 0): of the only change
 * that is open, and *id says which. self: the log that it will be in. Begins and
 * ends the reader. ERR_NOTFOUND, ERR_EXISTS (settled already),
 * ERR_CONFLICT (several are open), ERR_NOMEM: info has a sentence. */
MUST_CHECK enum err confirm_prepare(struct store_read *read, struct arena *arena, const struct log_id *self,
                                    struct log_id *id, struct plan_change *c, struct hlc *exactly,
                                    struct err_info *info);

#endif
