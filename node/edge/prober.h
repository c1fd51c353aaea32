/* prober: looks whether the trunks of this site answer: OPTIONS to each address, and what calls found out.
 *
 * It has a table of client transactions of its own, so that calls never pay for it. Any final response means that
 * somebody is there, a 503 that he cannot take calls. When an address goes up or down is health.h's to say; what this
 * means for routing is the node's (hook "trunk"). An address that failed a call is suspect until PROBER_SUSPECT_MS have
 * passed or, unless it was silent to the call, it answers: it is looked at at once, and tried last meanwhile; this
 * holds also for trunks that are not probed. Silence to calls is not mended by an answer to OPTIONS: a border
 * controller gives that while what is behind it is dead.
 *
 * Who answers 503 with Retry-After, to a call or to a probe, is asked nothing outside of dialogs until then (rest.h,
 * RFC 3261 §21.5.4); of a name only the address that said so. */
#ifndef TANDEM_EDGE_PROBER_H
#define TANDEM_EDGE_PROBER_H

#include "node/edge/edge_internal.h"

#define PROBER_ANSWER_MS 4000 /* or the interval, when that is shorter */
#define PROBER_INTERVAL_MIN_MS 100
#define PROBER_SUSPECT_MS 30000
#define PROBER_RTT_NEWS_MS 60000 /* a changed round trip is news this often at most */

#define PROBER_COUNTERS(X)                                                                                             \
    X(probes)                                                                                                          \
    X(answers)                                                                                                         \
    X(misses)                                                                                                          \
    X(refusals)                                                                                                        \
    X(unsent)                                                                                                          \
    X(unresolved)                                                                                                      \
    X(went_up)                                                                                                         \
    X(went_down)                                                                                                       \
    X(suspected)                                                                                                       \
    X(rests)                                                                                                           \
    X(no_memory)

#define PROBER_COUNTER_ENUM(id) PC_##id,
enum prober_counter { PROBER_COUNTERS(PROBER_COUNTER_ENUM) PC_COUNT };

MUST_CHECK enum err prober_new(struct edge *e, struct prober **out);
/* Its timer begins; before that nothing is probed. */
void prober_start(struct prober *p);
/* closed is called when its handle is closed; not when it was never started: returns whether it will be. */
bool prober_close(struct prober *p, uv_close_cb closed);
void prober_free(struct prober *p); /* after dns is closed; NULL allowed */
/* A response that belongs to no call. False: not to a probe either. */
bool prober_on_response(struct prober *p, const struct flow *from, const struct sip_view *v);
/* What was sent with this token cannot have arrived. False: none of ours. */
bool prober_on_send_failed(struct prober *p, uint64_t token);
/* The same for what was sent to this address by UDP. */
void prober_on_unreachable(struct prober *p, const union sock_address *to);
/* A call could not be brought to the hop of that target ("trunk/NAME"), or met silence there. */
void prober_suspect(struct prober *p, struct slice target, const struct edge_hop *hop, bool silent, const char *why);
/* Where a request outside of dialogs went, or would go: the at-th address of the hop of that target. */
struct prober_place {
    struct slice target;
    const struct edge_hop *hop;
    const union sock_address *list;
    size_t count;
    size_t at;
};
/* It answered with this failure. */
void prober_refused(struct prober *p, const struct prober_place *at, const struct sip_view *v);
/* For how many seconds nothing is to be sent there; 0: it does not rest. */
uint32_t prober_rest_s(const struct prober *p, const struct prober_place *at);
const struct counter_table *prober_counters(const struct prober *p);

#endif
