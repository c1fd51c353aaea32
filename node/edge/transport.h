/* transport: SIP messages in and out over UDP, TCP and TLS, on the loop thread.
 *
 * UDP: recvmmsg and sendmmsg on a uv_poll, batched per loop iteration; ICMP errors (IP_RECVERR) are reported as send
 * failures. TCP/TLS: framing by node/sip/view's stream form with any split; one connection per remote address and
 * transport is reused for sending; TLS is OpenSSL over memory BIOs. It knows connections, not transactions: it never
 * retransmits and never routes. Bounds: connections per listener and per source address, bytes queued per connection,
 * idle and half-open time; each with a counter. */
#ifndef TANDEM_EDGE_TRANSPORT_H
#define TANDEM_EDGE_TRANSPORT_H

#include <netinet/in.h>
#include <uv.h>

#include "node/base/counter.h"
#include "node/base/log.h"
#include "node/edge/tls.h"
#include "node/plan/object.h"
#include "node/sip/view.h"

union sock_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Where a message came from, or where one goes. Plain data: copy it freely. */
struct flow {
    enum plan_transport transport;
    uint8_t listener;    /* index into the listeners: which of our sockets or addresses */
    bool member;         /* TLS: the peer proved a certificate of the cluster CA, see transport_member_name */
    bool accepted;       /* of a message that came: by a connection that the peer made */
    uint64_t connection; /* TCP/TLS: its number, never reused; 0: none yet (send connects) */
    uint64_t domain;     /* TLS, our own connection: the name that the peer proved, see transport_domain */
    union sock_address remote;
};

struct transport;

/* Bounds of one transport; every refusal they cause has a counter. */
struct transport_limits {
    uint32_t listener_guests; /* connections per listener from peers that are no members; 1000 */
    uint32_t source_guests;   /* the same per source address (IPv6: per /64), over all listeners; 60 */
    uint32_t connections_out; /* connections that we made; 4096 */
    uint32_t connect_ms;      /* TCP handshake; 4000 */
    uint32_t handshake_ms;    /* TLS handshake, and writing the last answer before a close; 5000 */
    uint32_t message_ms; /* to a guest's first message, from the start of any message to its end, for a write; 30 s */
    uint32_t idle_ms;    /* without traffic, where nobody holds it; 10 min */
    uint32_t idle_member_ms;   /* the same when the peer is a member; 1 h */
    uint32_t connection_bytes; /* queued for sending per connection; 4 MiB */
    uint32_t guest_bytes;      /* the same, above which an accepted one of no member is not read; 64 KiB */
    uint32_t udp_datagrams;    /* queued for sending per UDP socket; 4096 */
};
void transport_limits_default(struct transport_limits *limits);

struct transport_options {
    uv_loop_t *loop;
    const struct log *log;
    const char *const *listen; /* "udp:10.1.0.1:5060", "tcp:...", "tls:...": port 0 takes a free one */
    size_t listen_count;
    struct tls_files tls; /* no certificate: no TLS; a tls: listener is then an error */
    uint64_t seed;
    /* One whole message; data is writable and valid for the call. Not called for keep-alives. */
    void (*on_message)(void *ctx, const struct flow *from, struct sip_view *v);
    /* A message that the view refused; answerable says whether v can be answered. */
    void (*on_fault)(void *ctx, const struct flow *from, struct sip_view *v, enum sip_fault fault, bool answerable);
    /* What was sent to this address cannot have arrived (connect failed, connection lost with bytes unsent, ICMP
     * unreachable). token as given to transport_send, 0 when the failure concerns the address as a whole. Why is
     * transport_unsent_why meanwhile. */
    void (*on_send_failed)(void *ctx, const struct flow *to, uint64_t token);
    void (*on_connection_lost)(void *ctx, const struct flow *flow);
    void *ctx;
    const struct transport_limits *limits; /* NULL: the defaults; copied */
};

/* Callbacks: each comes from the loop, none from inside transport_open, transport_send or transport_close; inside one,
 * every function here may be called. on_message and on_fault come only while the flow is usable; on_connection_lost
 * once for each connection that was usable, after the failures of what was queued on it. After transport_close there is
 * only closed. */
/* Binds everything or nothing. ERR_EXISTS port in use (which), ERR_SYNTAX, ERR_AUTH (TLS files), ERR_IO. The loop must
 * run until closed, also when opening failed: uv handles are freed in their close callbacks. The process must ignore
 * SIGPIPE (libuv writes with plain write). */
MUST_CHECK enum err transport_open(const struct transport_options *options, struct transport **out,
                                   struct err_info *info);
/* Tries once to write what is queued, then closes everything; closed (may be NULL) is called when all memory is freed.
 */
void transport_close(struct transport *t, void (*closed)(void *ctx), void *ctx);

/* New TLS connections use what the files hold now; those that are there go on. On an error everything stays as it was.
 * ERR_AUTH (which file, and why), ERR_NOMEM. */
MUST_CHECK enum err transport_tls_reload(struct transport *t, const struct tls_files *files, struct err_info *info);
struct tls_ends transport_tls_ends(const struct transport *t);

/* How long the datagrams that are being delivered had to wait; 0 for what came by a connection. */
uint64_t transport_age_ms(const struct transport *t);
/* Inside on_send_failed: why, in words; "" not known. */
const char *transport_unsent_why(const struct transport *t);
size_t transport_listener_count(const struct transport *t);
struct transport_listener {
    enum plan_transport transport;
    union sock_address local; /* with the port really bound */
    char text[64];            /* "udp:10.1.0.1:5060" */
    char host_port[56];       /* "10.1.0.1:5060", "[::1]:5060": for Via and Record-Route */
};
const struct transport_listener *transport_listener_at(const struct transport *t, size_t i);
/* The listener to send from for this transport and family. ERR_NOTFOUND. */
MUST_CHECK enum err transport_pick(const struct transport *t, enum plan_transport transport, int family,
                                   uint8_t *listener);

/* Queues one message. With to->connection set and alive it goes there; else UDP from listener, or a connection to
 * remote (existing one reused, else made; expect_member: TLS must prove a certificate of the cluster CA). data is
 * copied. ERR_FULL: queue over its cap (counted), ERR_UNREACHABLE, ERR_NOMEM. Later failures come by on_send_failed.
 * ERR_LIMIT: empty, or over LIMIT_SIP_HARD bytes; ERR_CLOSED after transport_close. TLS without expect_member must
 * prove a chain to the system's authorities, and with to->domain set only a connection that proved that name will do. A
 * failure that came by ERR_ is not reported again. */
MUST_CHECK enum err transport_send(struct transport *t, const struct flow *to, bool expect_member, struct slice data,
                                   uint64_t token);

/* The same for a hop that has a name: a new TLS connection must prove it too (RFC 5922). host is borrowed for the call;
 * to->domain is transport_domain of it. */
MUST_CHECK enum err transport_send_host(struct transport *t, const struct flow *to, struct slice host,
                                        struct slice data, uint64_t token);
/* What stands for a host name in a flow; 0 for an IP literal: at an address, what is connected there is taken. */
uint64_t transport_domain(const struct transport *t, struct slice host);

/* The names that the peer of a TLS connection proved (RFC 5922 §7.1), in lower case, each ended by a NUL; "" when it is
 * a member, or proved none. Of the flow's connection, or when it has none yet, of the one that a send would take. Valid
 * for the call. */
struct slice transport_peer_names(struct transport *t, const struct flow *flow);
/* The member that the peer proved to be on the flow's connection; "" when it is none, or the connection has ended.
 * Valid for the call. */
struct slice transport_member_name(struct transport *t, const struct flow *flow);
/* A connection to the flow's address at which somebody waits to be called: it lasts without traffic until it is let go
 * as often as it was held. Its number; 0: there is none. */
uint64_t transport_hold(struct transport *t, const struct flow *to);
void transport_let_go(struct transport *t, enum plan_transport transport, uint64_t connection);
/* Whether a connection that is up, or being made, leads to the flow's address. */
bool transport_connected(const struct transport *t, const struct flow *to);

/* Is addr:port (with transport) one of ours? port 0 means the transport's default port. */
bool transport_is_local(const struct transport *t, enum plan_transport transport, struct slice host, uint16_t port);

/* "10.1.0.1" and port -> address; ERR_SYNTAX when host is no IP literal. */
MUST_CHECK enum err sock_address_parse(struct slice host, uint16_t port, union sock_address *out);
/* "10.1.0.1:5060" or "[::1]:5060". */
#define SOCK_ADDRESS_TEXT 56
const char *sock_address_text(const union sock_address *a, char out[SOCK_ADDRESS_TEXT]);
bool sock_address_eq(const union sock_address *a, const union sock_address *b); /* with port */
uint16_t sock_address_port(const union sock_address *a);
const struct counter_table *transport_counters(const struct transport *t);

/* ---- names (dns.c): c-ares on the loop, never blocking ---- */
struct dns;
MUST_CHECK enum err dns_open(uv_loop_t *loop, const struct log *log, struct dns **out);
/* The same with the servers given ("127.0.0.1:5353,[::1]:53") instead of the system's; NULL: the system's. ERR_SYNTAX.
 */
MUST_CHECK enum err dns_open_at(uv_loop_t *loop, const struct log *log, const char *servers, struct dns **out);
/* Look-ups in progress end with ERR_CLOSED on the loop before closed (may be NULL) is called. */
void dns_close(struct dns *d, void (*closed)(void *ctx), void *ctx);
/* Addresses of host for SIP over transport (RFC 3263 §4.2: SRV when port is 0, then A and AAAA), at most 8,
 * in order of preference; answered from a cache by its TTL; done is called once, later or at once. ERR_NOTFOUND,
 * ERR_TIMEOUT. done gets those (ERR_CLOSED, ERR_NOMEM too); a return other than ERR_OK (ERR_SYNTAX no host name,
 * ERR_FULL too many look-ups wait and it is not known yet, ERR_NOMEM, ERR_CLOSED) means that done will not be called.
 */
MUST_CHECK enum err
dns_resolve(struct dns *d, struct slice host, uint16_t port, enum plan_transport transport,
            void (*done)(void *ctx, enum err err, const union sock_address *addresses, size_t count), void *ctx);
/* The same for a host name with which neither port nor transport is said: that is chosen among those offered (1 <<
 * PLAN_UDP ...) by NAPTR, else by what SRV there is (RFC 3263 §4.1). */
typedef void (*dns_done_any)(void *ctx, enum err err, enum plan_transport transport,
                             const union sock_address *addresses, size_t count);
MUST_CHECK enum err dns_resolve_any(struct dns *d, struct slice host, unsigned offered, dns_done_any done, void *ctx);
const struct counter_table *dns_counters(const struct dns *d);

#endif
