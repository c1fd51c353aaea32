/* reach: how the contact of a binding is reached: at its own address, through the NAT that it is behind, or by the
 * connection that it made. One that registered through a proxy is reached by that (Path, RFC 3327), whose address is
 * then what counts, where the REGISTER came from that very host: a Path from elsewhere leads nobody anywhere. Decides
 * from the binding alone; whether a connection is up is the edge's to say. */
#ifndef TANDEM_APP_REACH_H
#define TANDEM_APP_REACH_H

#include "node/edge/edge.h"

struct reach {
    enum plan_transport transport; /* that the REGISTER came by */
    union sock_address remote;     /* where it came from */
    bool nat;                      /* it names another host, or one that is no address: RFC 3581's received */
    bool direct;                   /* UDP: its own address is used */
    bool has_own;                  /* own is set */
    bool bulk;                     /* it stands for all numbers of its account (RFC 6140) */
    union sock_address own;        /* what it names, where that is the host that it came from */
};

/* ERR_SYNTAX: received is no address. arena is for what parsing needs. */
MUST_CHECK enum err reach_of(struct arena *arena, const struct binding *b, struct reach *out);

#endif
