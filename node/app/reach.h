/* reach: how the contact of a binding is reached: at its own address, through the NAT that it is behind, or by the
 * connection that it made. Decides from the binding alone; whether a connection is up is the edge's to say. */
#ifndef TANDEM_APP_REACH_H
#define TANDEM_APP_REACH_H

#include "node/edge/edge.h"

struct reach {
    enum plan_transport transport; /* that the REGISTER came by */
    union sock_address remote;     /* where it came from */
    bool nat;                      /* the contact names another host, or one that is no address: RFC 3581's received */
    bool direct;                   /* UDP: the contact's own address is used */
    bool has_own;                  /* own is set */
    bool bulk;                     /* it stands for all numbers of its account (RFC 6140) */
    union sock_address own;        /* what the contact names, where that is the host that it came from */
};

/* ERR_SYNTAX: received is no address. arena is for what parsing needs. */
MUST_CHECK enum err reach_of(struct arena *arena, const struct binding *b, struct reach *out);

#endif
