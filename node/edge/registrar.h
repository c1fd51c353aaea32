/* registrar: takes REGISTER requests, proves the account by digest, and keeps its bindings through the node's hooks.
 *
 * It stores nothing itself: bindings are read and written by hooks, and 200 is sent when the write is durable, with the
 * bindings as they are then. One account's requests are dealt with one after the other; a repeated request is absorbed
 * by its server transaction meanwhile. Specification: RFC 3261 §10.3, RFC 3327 (Path). Not here: expiry of stored
 * bindings (node/app). */
#ifndef TANDEM_EDGE_REGISTRAR_H
#define TANDEM_EDGE_REGISTRAR_H

#include "node/edge/edge_internal.h"

#define REGISTRAR_EXPIRES_MIN_S 60
#define REGISTRAR_EXPIRES_MAX_S 3600
#define REGISTRAR_CONTACTS_MAX 32

#define REGISTRAR_COUNTERS(X)                                                                                          \
    X(requests)                                                                                                        \
    X(registered)                                                                                                      \
    X(unchanged)                                                                                                       \
    X(removed)                                                                                                         \
    X(queries)                                                                                                         \
    X(replaced_oldest)                                                                                                 \
    X(refused_auth)                                                                                                    \
    X(refused_other_account)                                                                                           \
    X(refused_require)                                                                                                 \
    X(refused_outbound)                                                                                                \
    X(refused_contact)                                                                                                 \
    X(refused_own_address)                                                                                             \
    X(refused_trunk_address)                                                                                           \
    X(refused_loopback)                                                                                                \
    X(refused_nowhere)                                                                                                 \
    X(refused_too_many)                                                                                                \
    X(refused_too_brief)                                                                                               \
    X(refused_order)                                                                                                   \
    X(refused_waiting)                                                                                                 \
    X(waited)                                                                                                          \
    X(write_failed)

#define REGISTRAR_COUNTER_ENUM(id) RC_##id,
enum registrar_counter { REGISTRAR_COUNTERS(REGISTRAR_COUNTER_ENUM) RC_COUNT };

MUST_CHECK enum err registrar_new(struct edge *e, struct registrar **out);
void registrar_free(struct registrar *r); /* NULL allowed; nothing may be pending */
/* Lets go of the requests: none is answered any more, writes still end. */
void registrar_close(struct registrar *r);
/* Registrations that are not finished. */
size_t registrar_pending(const struct registrar *r);
const struct counter_table *registrar_counters(const struct registrar *r);
/* A REGISTER for us, without a transaction yet. */
void registrar_on_request(struct edge *e, const struct flow *from, struct sip_view *v);

#endif
