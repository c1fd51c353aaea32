/* gruu: addresses that lead to one device of an account (RFC 5627): how they are written, and what one says.
 *
 * Nothing is remembered. The public one is the account's address and the device: sip:alice@example.org;gr=urn:uuid:...
 * The temporary one does not say whose it is: sip:tgruu.CLOAK@example.org;gr, where the cloak (node/base/cloak.h) holds
 * account, device, the Call-ID of its registration as a hash, and a number that is drawn anew for each answer. Every
 * node of the cluster reads both. It is good while the device is registered under that Call-ID: that is for the node to
 * say that has the binding.
 *
 * What it is not: the contacts of bulk registrations (RFC 6140 §7.1) get none. */
#ifndef TANDEM_EDGE_GRUU_H
#define TANDEM_EDGE_GRUU_H

#include "node/edge/edge_internal.h"

/* Whether who registers would be told its GRUUs: Supported or Require names them. */
bool gruu_is_wanted(const struct sip_view *v);
/* Appends ";pub-gruu=...;temp-gruu=..." of a binding to its Contact; nothing when it names no device. */
void gruu_params(struct edge *e, const struct binding *b, struct buf *out);

enum gruu_verdict {
    GRUU_NONE,   /* not one of our domain */
    GRUU_KNOWN,  /* account and device are set, in arena; its uri is the caller's to set */
    GRUU_UNKNOWN /* it has the shape of one, and was not made here */
};
enum gruu_verdict gruu_read(struct edge *e, struct arena *arena, const struct sip_uri *uri, struct slice *account,
                            struct edge_device *device);

#endif
