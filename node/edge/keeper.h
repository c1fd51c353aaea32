/* keeper: keeps the ways to registered contacts open, and sees when one is lost.
 *
 * A way is where calls for one contact go: an address by UDP, or a connection that the contact made. It is kept open by
 * CRLF (RFC 5626 §4.4.1: nobody answers) or by OPTIONS, as the account says, and it is lost
 *   - when its connection ends; for want of traffic we do not end it. A contact whose own address is where it came from
 *     may be dialled instead: that is tried at once, and the way is lost when it fails;
 *   - when a contact that has answered OPTIONS before leaves KEEPER_MISSES of them in a row without an answer. One that
 *     never answered is no worse off than with CRLF: nothing is concluded.
 * What a lost way means for the binding is the node's (the callback). OPTIONS are sent once each: the next one is the
 * repetition. Specification: RFC 3581, RFC 5626 §4.4. Not here: who is registered. */
#ifndef TANDEM_EDGE_KEEPER_H
#define TANDEM_EDGE_KEEPER_H

#include "node/edge/edge_internal.h"

#define KEEPER_ANSWER_MS 2000 /* or the interval, when that is shorter */
#define KEEPER_DIAL_MS 700    /* for a contact whose connection was lost: its numbers are withdrawn within a second */
#define KEEPER_MISSES 3

#define KEEPER_COUNTERS(X)                                                                                             \
    X(opened)                                                                                                          \
    X(crlf_sent)                                                                                                       \
    X(options_sent)                                                                                                    \
    X(answers)                                                                                                         \
    X(misses)                                                                                                          \
    X(unsent)                                                                                                          \
    X(connections_lost)                                                                                                \
    X(dialled)                                                                                                         \
    X(lost)

#define KEEPER_COUNTER_ENUM(id) KC_##id,
enum keeper_counter { KEEPER_COUNTERS(KEEPER_COUNTER_ENUM) KC_COUNT };

MUST_CHECK enum err keeper_new(struct edge *e, struct keeper **out);
void keeper_free(struct keeper *k); /* with every way that is still open; NULL allowed */
/* A timer of a way has fired. */
void keeper_timer(struct sip_timer *timer);
/* A response that belongs to no transaction. False: not to an OPTIONS of ours either. */
bool keeper_on_response(struct keeper *k, const struct flow *from, const struct sip_view *v);
/* What was sent with this token cannot have arrived. False: none of ours. */
bool keeper_on_send_failed(struct keeper *k, uint64_t token);
void keeper_on_connection_lost(struct keeper *k, const struct flow *flow);
const struct counter_table *keeper_counters(const struct keeper *k);

#endif
