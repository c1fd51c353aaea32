/* contact: whether calls may be led to a contact that somebody registers. */
#ifndef TANDEM_EDGE_CONTACT_H
#define TANDEM_EDGE_CONTACT_H

#include "node/edge/edge_internal.h"

enum contact_fault {
    CONTACT_FINE,
    CONTACT_OURS,     /* it would come straight back */
    CONTACT_TRUNK,    /* who registers would call at the cost of whoever pays for the trunk */
    CONTACT_LOOPBACK, /* it means this machine, while who registers is at another */
    CONTACT_NOWHERE,  /* 0.0.0.0, multicast, broadcast */
};

/* from: where the REGISTER came from; a contact at that very host is never a trunk's, since its proof counts more than
 * a range that happens to hold it. A name is compared as text, not looked up. */
enum contact_fault contact_check(struct edge *e, const struct flow *from, const struct sip_uri *uri);
/* The trunk of this site that is at that host, or is trusted there, in e->scratch or until the trunks change; "" none.
 * Which address of a name is a trunk's is not known. */
struct slice contact_trunk_at(struct edge *e, const union sock_address *address);
/* What is wrong, for the Reason header; "" when nothing is. */
struct slice contact_fault_text(enum contact_fault fault);

#endif
