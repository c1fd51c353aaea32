/* devices: where one device of an account is registered, for calls to its own address (RFC 5627, node/edge/gruu.h).
 *
 * Any node knows of any binding which device it is; only the one that has it knows under which Call-ID, and so whether
 * a temporary address is still good. */
#ifndef TANDEM_APP_DEVICES_H
#define TANDEM_APP_DEVICES_H

#include "node/app/node.h"

/* Fills in the candidate which nodes have the device, where it registered last first; those that are gone come last.
 * Between read begin and end. ERR_NOMEM. */
MUST_CHECK enum err device_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice account,
                                 const struct edge_device *device);
/* Leaves at the head of list the bindings that a call to the device goes to, and returns how many: its flows, the
 * newest first, or the one contact that it registered last (RFC 5627 §6.1). */
size_t device_bindings(const struct edge_device *device, struct binding *list, size_t count);

#endif
