/* edge_internal: what the files behind edge.h share: the edge itself, its counters, its clock and its answers.
 *
 * Rooms: edge.c opens, closes and dispatches; source.c says who sent a request; proxy_*.c forward (proxy.h);
 * guard.c deals with those who guess (guard.h); registrar*.c register (registrar.h), gruu.c names devices (gruu.h);
 * keeper.c keeps ways to contacts open (keeper.h); media.c asks the media relay (media.h); prober*.c look whether
 * trunks answer (prober.h); client*.c register us elsewhere (client.h); calls.c keeps call records (calls.h). All on
 * the loop thread. Rule of lifetimes: nothing frees a relay or a branch while code that was handed it runs; each entry
 * point (message, timer, failure, name resolved) ends by proxy_relay_settle, which does. */
#ifndef TANDEM_EDGE_EDGE_INTERNAL_H
#define TANDEM_EDGE_EDGE_INTERNAL_H

#include "node/base/cloak.h"
#include "node/base/hash.h"
#include "node/base/random.h"
#include "node/edge/address.h"
#include "node/edge/edge.h"
#include "node/edge/overload.h"
#include "node/edge/pool.h"
#include "node/edge/replay.h"
#include "node/sip/dialog.h"
#include "node/sip/edit.h"
#include "node/sip/transaction.h"
#include "node/sip/value.h"

#define EDGE_COUNTERS(X)                                                                                               \
    X(requests)                                                                                                        \
    X(responses)                                                                                                       \
    X(too_large_for_udp)                                                                                               \
    X(forwarded)                                                                                                       \
    X(requests_repeated)                                                                                               \
    X(acks_absorbed)                                                                                                   \
    X(acks_dropped)                                                                                                    \
    X(cancels)                                                                                                         \
    X(cancels_unmatched)                                                                                               \
    X(responses_unmatched)                                                                                             \
    X(responses_dropped)                                                                                               \
    X(faults_answered)                                                                                                 \
    X(refused_overload)                                                                                                \
    X(refused_overload_inside)                                                                                         \
    X(refused_draining)                                                                                                \
    X(refused_no_dialog)                                                                                               \
    X(refused_cookie)                                                                                                  \
    X(refused_cloak)                                                                                                   \
    X(refused_gruu)                                                                                                    \
    X(hidden_too_long)                                                                                                 \
    X(refused_transit_cookie)                                                                                          \
    X(refused_transit_without_tls)                                                                                     \
    X(refused_foreign_route)                                                                                           \
    X(refused_syntax)                                                                                                  \
    X(refused_scheme)                                                                                                  \
    X(refused_max_forwards)                                                                                            \
    X(refused_max_breadth)                                                                                             \
    X(refused_loop)                                                                                                    \
    X(refused_proxy_require)                                                                                           \
    X(refused_register_elsewhere)                                                                                      \
    X(refused_no_target)                                                                                               \
    X(without_tls)                                                                                                     \
    X(refused_own_address)                                                                                             \
    X(refused_elsewhere)                                                                                               \
    X(refused_flow_lost)                                                                                               \
    X(refused_session_interval)                                                                                        \
    X(certificates_of_no_trunk)                                                                                        \
    X(challenged)                                                                                                      \
    X(challenges_too_long)                                                                                             \
    X(auth_ok)                                                                                                         \
    X(auth_stale)                                                                                                      \
    X(auth_replayed)                                                                                                   \
    X(auth_elsewhere)                                                                                                  \
    X(auth_unknown_account)                                                                                            \
    X(auth_disabled)                                                                                                   \
    X(auth_other_site)                                                                                                 \
    X(auth_locked)                                                                                                     \
    X(auth_wrong)                                                                                                      \
    X(auth_unusable)                                                                                                   \
    X(failovers)                                                                                                       \
    X(rests_kept)                                                                                                      \
    X(timeouts)                                                                                                        \
    X(send_failures)                                                                                                   \
    X(names_unresolved)                                                                                                \
    X(timer_c)                                                                                                         \
    X(unacknowledged)                                                                                                  \
    X(no_memory)                                                                                                       \
    X(calls_started)                                                                                                   \
    X(calls_restored)                                                                                                  \
    X(calls_answered)                                                                                                  \
    X(calls_failed)                                                                                                    \
    X(calls_expired)                                                                                                   \
    X(calls_unrefreshed)

#define EDGE_COUNTER_ENUM(id) EC_##id,
enum edge_counter { EDGE_COUNTERS(EDGE_COUNTER_ENUM) EC_COUNT };

/* Timers on the shared wheel beyond the transactions' own. */
enum edge_timer {
    EDGE_TIMER_PROGRESS = SIP_TIMER_OTHER,
    EDGE_TIMER_CALL,
    EDGE_TIMER_KEEP,
    EDGE_TIMER_MEDIA,
    EDGE_TIMER_MEDIA_PING
};

#define EDGE_LISTENERS_MAX 64
#define EDGE_URI_TEXT (LIMIT_HOST + 48)

/* How one of our listeners is written into messages. */
struct edge_place {
    char sent_by[LIMIT_HOST + 10]; /* "10.1.0.1:5060" */
    char uri[EDGE_URI_TEXT];       /* "sip:10.1.0.1:5060;transport=tcp" */
    char sips_uri[EDGE_URI_TEXT];  /* "sips:10.1.0.1:5061"; of one without TLS the same as uri */
    bool reachable;                /* it is no 0.0.0.0 */
};
static inline const char *edge_place_uri(const struct edge_place *p, bool sips)
{
    return sips ? p->sips_uri : p->uri;
}

/* Blocks of 512, 1024 and 2048 bytes for messages that are kept. */
#define EDGE_MESSAGE_POOLS 3
#define EDGE_MESSAGE_SMALLEST 512

/* Addresses at which there is no TCP, in the order in which that was seen; the oldest is written over. */
#define EDGE_NO_TCP_MAX 64
#define EDGE_NO_TCP_MS 300000
struct edge_no_tcp {
    union sock_address address;
    struct mono until;
};

struct guard;
struct registrar;
struct prober;
struct lines;
struct keeper;
struct media;

struct edge {
    struct edge_options o; /* texts in arena */
    struct arena arena;
    uv_loop_t *loop;
    const struct log *log;
    struct transport *transport;
    struct dns *dns;
    struct edge_place places[EDGE_LISTENERS_MAX];
    char host[LIMIT_HOST + 1]; /* how we are called where the plan has no domain */
    bool has_tls;              /* a listener: members call us there and nowhere else */

    struct sip_tx_table tx;
    struct sip_dialogs dialogs;
    struct map waiting; /* UDP branches without any response yet, by address: whom an ICMP error concerns */
    struct list_node relays;
    struct list_node acks; /* waiting for a name */
    struct list_node held; /* waiting for the media relay (proxy_media.c) */
    struct list_node calls;
    struct mono began; /* of this run */
    struct edge_no_tcp no_tcp[EDGE_NO_TCP_MAX];
    size_t no_tcp_at;
    size_t open_relays; /* those that have not sent their final response */
    struct guard *guard;
    struct registrar *registrar;
    struct prober *prober;
    struct lines *registrations;
    struct keeper *keeper;
    struct media *media;
    struct replay replay;
    uint32_t nonce_maker; /* this run of this node */
    struct overload overload;
    struct random *random;
    uint64_t last_call_id;
    struct mac *run_mac; /* of this run of this node */
    struct mac *dialog_mac;
    struct mac *transit_mac;
    struct mac *nonce_mac;
    struct mac *other_dialog_mac; /* of the other key; NULL: there is none */
    struct mac *other_transit_mac;
    struct mac *other_nonce_mac;
    struct cloak *cloak; /* topology.h */
    struct cloak *other_cloak;
    struct cloak *device_cloak; /* gruu.h */
    struct cloak *other_device_cloak;
    struct hasher *hashers[HASH_ALGORITHM_COUNT]; /* NULL: the system's policy forbids the algorithm */
    struct digest_kept *digests;
    struct plan_secret nobody; /* what a proof of no account is held against: nobody knows it */
    struct pool relay_pool;
    struct pool branch_pool;
    struct pool message_pools[EDGE_MESSAGE_POOLS];
    struct arena scratch; /* what parsing one message needs; emptied now and then */

    struct buf out;        /* the message being built */
    struct buf lines;      /* header lines that go into it */
    struct buf via;        /* the previous Via with received and rport */
    struct sip_view again; /* a stored request, indexed once more */

    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_timer_t drain;
    struct mono armed; /* when timer is due, MONO_NEVER: it is not */
    unsigned handles;  /* uv handles, transport and dns not yet closed */
    bool draining;
    bool refusing; /* the operator drains the node; it does not end */
    bool closing;
    bool opened;
    void (*closed)(void *ctx);
    void *closed_ctx;

    _Atomic uint64_t counts[EC_COUNT];
    struct counter_table table;
};

static inline void edge_count(struct edge *e, enum edge_counter which)
{
    counter_add(&e->counts[which], 1);
}
static inline struct mono edge_now(const struct edge *e)
{
    return (struct mono){uv_now(e->loop) * 1000};
}
struct wall edge_wall(void);
/* Our domain, or our own address when the plan has none: the digest realm. */
struct slice edge_realm(const struct edge *e);
/* Whether a URI's host and port are ours: a listener of the transport, the advertised host, the domain. */
bool edge_is_ours(const struct edge *e, const struct sip_uri *uri);
/* The same of a URI's text, without taking it apart, for the two ways in which it is nearly always written: as we write
 * the listener that it came by, or the domain alone. False: it may be ours and written otherwise. */
bool edge_is_plainly_ours(const struct edge *e, uint8_t listener, struct slice uri);
/* What follows our own URI, as we write it, in a value of Record-Route or Route: ";lr;ck=...>". {NULL, 0}: it may still
 * be ours and written otherwise. */
struct slice edge_after_own_uri(const struct edge *e, struct slice value);
/* Of the transport parameter and the scheme; false for one that we do not speak. */
bool edge_uri_transport(const struct sip_uri *uri, enum plan_transport *out);
/* Whether the URI's host is the address, whatever the ports; a name is none. */
bool edge_uri_names(const struct sip_uri *uri, const union sock_address *host);
/* Whether the text begins with "sips:". */
bool edge_uri_is_sips(struct slice uri);
/* The transports of our listeners, as bits. */
unsigned edge_transports(const struct edge *e);
/* The port at the sender's address to which the response goes (RFC 3261 §18.2.2, RFC 3581 §4). */
uint16_t edge_reply_port(const struct flow *from, const struct sip_view *v);
/* The flow to an address: the listener nearest to it. ERR_NOTFOUND: no listener of that transport and family. */
MUST_CHECK enum err edge_flow_to(const struct edge *e, enum plan_transport transport, const union sock_address *address,
                                 const struct flow *from, struct flow *out);
/* Sends a request to the hop that the flow leads to; to->domain is set. A member proves itself, any other hop of TLS
 * the name that it is called by. */
MUST_CHECK enum err edge_send_hop(struct edge *e, struct flow *to, struct slice host, bool expect_member,
                                  struct slice data, uint64_t token);
/* Whether what came by from may be the response to what went by to: by another transport it is not (RFC 3261 §18.2.2),
 * nor from another host than the one that was asked, while there is a connection to that one. A member's word is taken
 * from anywhere, and by UDP anybody's: who has several addresses answers from any. */
bool edge_may_answer(const struct edge *e, const struct flow *to, const struct flow *from);
/* What is said of a place that could not be reached, inside of on_send_failed. */
#define EDGE_UNSENT_WORDS 128
const char *edge_unsent_words(const struct edge *e, char out[EDGE_UNSENT_WORDS]);
/* The address alone, as the received parameter wants it. */
void edge_address_text(const union sock_address *a, char out[INET6_ADDRSTRLEN]);
/* A plan number, or an account's name, as the user part of a URI: '#' must be escaped (RFC 3261 §25.1). */
void edge_add_user(struct buf *b, struct slice number);
/* A hash of the fields, the first of which says what it is for: for what others get to see. From a few values of
 * map_hash its seed follows, and with it the keys that all fall into one bucket. */
void edge_keyed_hash(const struct edge *e, const struct slice *fields, size_t count,
                     unsigned char out[HASH_SHA256_LEN]);
uint64_t edge_keyed_number(const struct edge *e, const struct slice *fields, size_t count);
/* To tag of our own answers: a keyed hash of the request, so that each retransmission and its CANCEL get the same. */
#define EDGE_TAG 17
void edge_to_tag(const struct edge *e, const struct sip_view *v, char out[EDGE_TAG]);
/* Builds our own response to v in e->out. extra: header lines or "". ERR_NOMEM. */
MUST_CHECK enum err edge_response(struct edge *e, const struct flow *from, const struct sip_view *v, unsigned code,
                                  struct slice extra);
/* The lines that a final response to v repeats, in e->out. ERR_NOMEM. */
MUST_CHECK enum err edge_response_lines(struct edge *e, const struct flow *from, const struct sip_view *v);
/* Answers without a transaction: what is refused at the door costs no memory (RFC 3261 §8.2.7). */
void edge_answer_stateless(struct edge *e, const struct flow *from, const struct sip_view *v, unsigned code,
                           struct slice extra);
/* Whether the ACK is that of such an answer: it belongs to no transaction, and nobody has to be looked for. */
bool edge_refused_stateless(const struct edge *e, const struct sip_view *ack);
/* Appends to e->lines a Reason header (RFC 3326) with words that may be anybody's; nothing when there are none. */
void edge_reason_line(struct edge *e, unsigned cause, struct slice words);

/* The caller's half of the Session-ID (RFC 7989): the request's own, or the one that it gets from us: derived, so that
 * each attempt at the call carries the same. */
#define EDGE_SESSION_ID 33
void edge_session_id(const struct edge *e, const struct sip_view *v, char out[EDGE_SESSION_ID]);

/* ---- edge.c ---- */
/* Before a timer is started from elsewhere than a message or a timer: an empty wheel stands still. */
void edge_wake(struct edge *e);
/* Something that closing waits for has ended. May free e. */
void edge_close_step(struct edge *e);

/* ---- source.c ---- */

enum auth_verdict { AUTH_OK, AUTH_NONE, AUTH_STALE, AUTH_REFUSED, AUTH_DROPPED /* no answer */ };
/* The credentials for our realm in the lines of id (Authorization, Proxy-Authorization). account is set when OK. */
enum auth_verdict edge_auth(struct edge *e, struct arena *arena, const struct flow *from, const struct sip_view *v,
                            enum sip_header id, struct plan_account *account);
/* Answers with a challenge: 401, or 407 with proxy. */
void edge_challenge(struct edge *e, const struct flow *from, const struct sip_view *v, bool proxy, bool stale);

#endif
