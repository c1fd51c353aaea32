/* flow_token: where a side of a dialog is reached, written into our Record-Route, for one whose contact does not say
 * it: behind NAT, or reached by the connection that it opened (RFC 5626 §5.3). Requests inside the dialog then go the
 * same way, also after a restart of this node. A keyed hash over it and the dialog's identity keeps others from writing
 * one.
 */
#ifndef TANDEM_EDGE_FLOW_TOKEN_H
#define TANDEM_EDGE_FLOW_TOKEN_H

#include "node/edge/transport.h"
#include "node/sip/cookie.h"

/* Transport, port and an IPv6 address at most, and the hash. */
#define FLOW_TOKEN_TEXT (2 * 19 + SIP_COOKIE_TEXT)

enum flow_side { FLOW_OF_CALLER, FLOW_OF_CALLEE };
/* The URI parameter that it stands in: "fc", "fd". */
const char *flow_token_param(enum flow_side side);

struct flow_dialog {
    struct mac *key;
    struct slice call_id;
    struct slice caller_tag;
};
MUST_CHECK enum err flow_token_make(const struct flow_dialog *d, enum flow_side side, const struct flow *flow,
                                    char out[FLOW_TOKEN_TEXT]);
/* False: it was not made here for that dialog and side. */
bool flow_token_read(const struct flow_dialog *d, enum flow_side side, struct slice token,
                     enum plan_transport *transport, union sock_address *address);

#endif
