/* calls: one record for each call that passes, from its INVITE to its BYE, reported to the node at each change of
 * state.
 *
 * A record is found by Call-ID and the caller's tag (node/sip/dialog.h). It serves people and limits, says for which
 * trunk's challenges a password is ours to give, and where the two sides are, beside which nothing begins inside the
 * dialog (proxy_inside.c); it never routes: losing one loses no call. It ends with a BYE from either side, a final
 * failure, a session that nobody refreshes (RFC 4028), or call_idle_ms of edge_options without any request inside the
 * dialog. */
#ifndef TANDEM_EDGE_CALLS_H
#define TANDEM_EDGE_CALLS_H

#include "node/edge/remote.h"

struct relay;
struct call;

/* A new call, not yet reported: its answer's rule and target come by edge_call_target. NULL: no memory; the call then
 * goes on without a record. relay is cleared through proxy_relay_call_gone when the record ends first. */
struct call *edge_call_new(struct edge *e, const struct sip_view *v, struct slice from, struct slice dialled,
                           const struct edge_source *source, struct relay *relay);
/* The plan was asked; reports, with the first target to be tried, "" none. */
void edge_call_decided(struct call *c, unsigned rule, struct slice trace, struct slice target, struct slice node);
/* Where the request goes now; the next report says so. */
void edge_call_sent(struct call *c, const struct flow *to);
/* Names the target that is being tried, and reports when it is another one. */
void edge_call_target(struct call *c, struct slice target, struct slice node);
/* An attempt came to nothing, as the record shall tell. */
void edge_call_failed(struct call *c, struct slice target, struct slice node, unsigned code, struct slice words);
void edge_call_ringing(struct call *c);
/* A provisional response or a 2xx to its INVITE, which says where the callee is. */
void edge_call_heard(struct call *c, const struct sip_view *response);
/* From now on the record is found by its dialog alone. */
void edge_call_answered(struct call *c, unsigned code, struct slice callee_tag);
/* One more 2xx to a call that is answered, or the same again: of a fork several may pick up, and the caller ends what
 * it does not want. The record lasts until the last of them has ended. */
void edge_call_another(struct edge *e, const struct sip_view *response);
/* Reports the end and frees the record. */
void edge_call_end(struct call *c, unsigned code, struct slice reason);
/* The cookie that the call's Record-Route carries: what it was made from is the record's key, so it need not be made
 * again. Only one that hides no side is kept. */
void edge_call_set_cookie(struct call *c, struct slice cookie);
/* Of the call that the request belongs to; "" when there is none. */
struct slice edge_call_cookie(const struct edge *e, const struct sip_view *v);
/* "trunk/NAME", in e->scratch, where the record of the request's dialog has a trunk of this node's as the other side;
 * empty: it has not, or there is none, or no memory. */
struct slice edge_call_trunk(struct edge *e, const struct sip_view *v);
/* Where the request leads that names that host, and is then sent to the address (NULL: not known yet), by the record of
 * its call. port 0: 5060. */
enum call_side {
    CALL_SIDE_UNKNOWN,   /* there is no record */
    CALL_SIDE_ELSEWHERE, /* not to the other side */
    CALL_SIDE_SAID,      /* there, as the side itself says, or as far as is known of a call of an earlier run */
    CALL_SIDE_SEEN,      /* to the host that its messages come from */
};
enum call_side edge_call_side(struct edge *e, const struct sip_view *v, struct slice host, uint16_t port,
                              const union sock_address *address);
/* What the call to which the message belongs is called at the media relay, in e->scratch; {NULL, 0}: there is no
 * record. c: the call where it is at hand, else NULL. An INVITE says whether it makes the offer; *late (may be NULL):
 * the last one did not. From now on the relay is told of the call's end. */
struct slice edge_call_media(struct edge *e, struct call *c, const struct sip_view *v, bool *late);
/* The call's own 2xx agreed on this refresh interval, 0: on none. */
void edge_call_session(struct call *c, uint32_t session_s);
/* Inside its dialog another 2xx did, which may say that a side is elsewhere now. */
void edge_call_refreshed(struct edge *e, const struct sip_view *response, uint32_t session_s);
/* A request inside a dialog came by: keeps its record alive, and may say that its sender is elsewhere now; or ends it
 * (BYE). True: the call cannot do without it: it is the first BYE of one of its dialogs, or a PRACK while it is set up.
 */
bool edge_call_request(struct edge *e, const struct sip_view *v);
void edge_call_timer(struct sip_timer *timer);
void edge_calls_free(struct edge *e); /* at the very end, without reports */

/* In proxy_relay.c. */
void proxy_relay_call_gone(struct relay *r);

#endif
