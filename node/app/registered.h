/* registered: where an account is registered, or one device of it (RFC 5627, node/edge/gruu.h).
 *
 * An account may have bindings at several nodes: a phone that went over to another one leaves the old one behind until
 * it expires. What was made last comes first, wherever it is; what belongs to a dead node comes last. Any node knows of
 * any binding which device it is; only the one that has it knows under which Call-ID, and so whether a temporary
 * address is still good. */
#ifndef TANDEM_APP_REGISTERED_H
#define TANDEM_APP_REGISTERED_H

#include "node/app/node.h"

/* Fills in the candidate which nodes have the account, or the device of it (NULL: any), in the order in which they are
 * tried. Between read begin and end. ERR_NOMEM. */
MUST_CHECK enum err registered_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice account,
                                     const struct edge_device *device);
/* Leaves at the head of list the bindings that a call to the device goes to, and returns how many: its flows, the
 * newest first, or the one contact that it registered last (RFC 5627 §6.1). */
size_t registered_device(const struct edge_device *device, struct binding *list, size_t count);

#endif
