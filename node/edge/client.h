/* client: keeps our registrations alive at outside registrars.
 *
 * node/sip/registration.h decides what is asked and when; here are the sockets: names and addresses, which are tried in
 * order, transactions in a table of their own, the connection that must stay open, and how it all looks to people.
 * Which node of a site holds a registration is the node's matter. Rooms: client.c is birth, news and death of a line,
 * client_send.c brings its requests out and their answers in, client_call.c knows the calls that come to our contact
 * and answers a registrar that asks who we are when we call. A "line" is one registration. */
#ifndef TANDEM_EDGE_CLIENT_H
#define TANDEM_EDGE_CLIENT_H

#include "node/edge/proxy.h"

#define CLIENT_ANSWER_MS 8000       /* of one address: then the next is asked */
#define CLIENT_KEEP_STREAM_MS 60000 /* CRLF over the connection (RFC 5626 §4.4.1) */
#define CLIENT_KEEP_UDP_MS 25000    /* where a NAT stands between */

#define CLIENT_COUNTERS(X)                                                                                             \
    X(requests)                                                                                                        \
    X(answers)                                                                                                         \
    X(challenges)                                                                                                      \
    X(redirects)                                                                                                       \
    X(rests)                                                                                                           \
    X(rests_kept)                                                                                                      \
    X(silences)                                                                                                        \
    X(unsent)                                                                                                          \
    X(unresolved)                                                                                                      \
    X(registered)                                                                                                      \
    X(refused)                                                                                                         \
    X(given_back)                                                                                                      \
    X(flows_lost)                                                                                                      \
    X(keepalives)                                                                                                      \
    X(requests_in)                                                                                                     \
    X(requests_in_elsewhere)                                                                                           \
    X(calls_challenged)                                                                                                \
    X(calls_refused)                                                                                                   \
    X(no_memory)

#define CLIENT_COUNTER_ENUM(id) CC_##id,
enum client_counter { CLIENT_COUNTERS(CLIENT_COUNTER_ENUM) CC_COUNT };

MUST_CHECK enum err lines_new(struct edge *e, struct lines **out);
void lines_start(struct lines *c);
/* Gives everything back; lines_pending says how much of it is not done yet. */
void lines_stop(struct lines *c);
size_t lines_pending(const struct lines *c);
/* Answers are not waited for any more: what is still bound is given back in a last word. closed is called when its
 * handle is closed; not when it was never started: returns whether it will be. */
bool lines_close(struct lines *c, uv_close_cb closed);
void lines_free(struct lines *c); /* after dns is closed; NULL allowed */
const struct counter_table *lines_counters(const struct lines *c);

/* A response that belongs to no call. False: not to a registration either. */
bool lines_on_response(struct lines *c, const struct flow *from, const struct sip_view *v);
/* What was sent with this token cannot have arrived. False: none of ours. */
bool lines_on_send_failed(struct lines *c, uint64_t token);
void lines_on_unreachable(struct lines *c, const union sock_address *to);
void lines_on_connection_lost(struct lines *c, const struct flow *flow);

/* ---- client_call.c ---- */
/* Whether it comes from a registrar with which we are, or try to be, registered. */
bool lines_is_registrar(const struct lines *c, const struct flow *from);
/* Whether we register anywhere. */
bool lines_any(const struct lines *c);
/* Whether the request was sent to a contact of ours by the registrar that has it: the parameter is ours, and it came
 * from its address, by the proxy that its Path names, or over our connection. */
bool lines_is_called(struct edge *e, const struct flow *from, const struct sip_uri *uri);
/* The same; source and dialled of q are then the trunk, and the number that was called. */
bool lines_identify(struct edge *e, const struct flow *from, const struct sip_view *v, const struct sip_uri *uri,
                    struct edge_query *q);
/* A branch was answered 401 or 407 by a registrar with which we are registered, and which the plan, or inside a dialog
 * the call's record, named: its challenge is taken into r->auth. *verdict says what came of it. False: no matter of
 * ours. */
bool lines_challenged(struct branch *b, const struct sip_view *v, enum sip_auth_verdict *verdict);
/* Appends the answers to what r->auth holds, for a request to that URI. */
MUST_CHECK enum err lines_auth_lines(struct relay *r, struct slice method, struct slice uri, struct buf *out);

#endif
