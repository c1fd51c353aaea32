/* topology: what stands behind this node is kept from a trunk that says hide: the addresses in Via, Record-Route and
 * Contact.
 *
 * A proxy may not invent addresses: each side must still reach the other. So what is taken out is put under a cloak
 * (node/base/cloak.h) into what is our own, and comes back with the requests of the dialog: a Contact becomes
 * sip:th.CLOAK@us, and the Record-Route values of others become a parameter of ours ("hu" towards the caller, "hd"
 * towards the callee; "hm" says which sides are shown nothing, and the cookie beside it proves that), where flows
 * (flow_token.h) are cloaked too. Nothing is remembered, so that calls survive a restart; any node with the cluster's
 * key could go on. Only the Vias of a request, whose responses come back to this very transaction, are kept in its
 * relay.
 *
 * What it is not: Call-ID, From, To and what the bodies say stay as they are: changing those takes a B2BUA. A hidden
 * side that takes "hm" out of its own Route has a Route that is none of ours; one that takes out the cloaks finds
 * nobody but whom it can name itself. */
#ifndef TANDEM_EDGE_TOPOLOGY_H
#define TANDEM_EDGE_TOPOLOGY_H

#include "node/edge/proxy_arrival.h"

enum topology_side { TOPOLOGY_CALLER = 1, TOPOLOGY_CALLEE = 2 };

/* ---- what goes to a hidden side ---- */

/* The edits of a request: its Vias and Record-Routes go, its Contacts are cloaked. The cloaked texts lie in e->scratch.
 * Without memory the edits fail. */
void topology_request(struct edge *e, const struct sip_view *v, uint8_t listener, struct sip_edits *edits);
/* A text as a hidden side may see it, in e->scratch; {NULL, 0}: no memory, or more than can be hidden (counted). */
struct slice topology_cloak(struct edge *e, struct slice text);
/* The parameters of our Record-Route in a request: sides are those that are shown nothing; faces_callee says whether
 * this value faces the callee. */
MUST_CHECK enum err topology_route_params(struct edge *e, const struct sip_view *v, unsigned sides, bool faces_callee,
                                          struct buf *out);
/* Keeps the Vias of the request for the responses that come without them. false: no memory. */
bool topology_keep_vias(struct relay *r, const struct sip_view *v);

/* ---- responses ---- */

/* The edits of a response that comes from a hidden side, or goes to one: all but the Via, when it only goes to one. */
void topology_response(struct branch *b, const struct sip_view *v, struct sip_edits *edits);

/* ---- what comes from a hidden side ---- */

/* The sides that a Record-Route or Route of ours, or of a member, says are shown nothing. */
unsigned topology_sides(const struct sip_uri *uri);
/* Of a request inside a dialog whose cookie is good: says in a who is hidden from whom, and what Route and Request-URI
 * stand for. False: it was not made here. */
bool topology_open(struct arrival *a);
/* Spares the parsing where it cannot be. */
bool topology_may_be_ours(struct slice uri);
/* The URI that a user part of ours stands for; {NULL, 0}: it is no cloak, or not ours. */
struct slice topology_uri(struct edge *e, const struct sip_uri *uri);

#endif
