/* transport_internal: what the files behind transport.h share: the transport itself, its listeners and its counters.
 *
 * One loop thread. Work that callbacks ask for (sends, reports of failures) is noted and carried out before the loop
 * polls (on_prepare in transport.c); so no callback ever runs inside a call that the proxy makes. Every uv handle is
 * counted in handles; the last close callback after transport_close frees the transport. */
#ifndef TANDEM_EDGE_TRANSPORT_INTERNAL_H
#define TANDEM_EDGE_TRANSPORT_INTERNAL_H

#include "node/base/list.h"
#include "node/base/map.h"
#include "node/base/wheel.h"
#include "node/edge/address.h"
#include "node/edge/gather.h"

#define TRANSPORT_LISTENERS_MAX 64

/* The fault_ rows keep the order of enum sip_fault. */
#define TRANSPORT_COUNTERS(X)                                                                                          \
    X(udp_received)                                                                                                    \
    X(udp_gathers)                                                                                                     \
    X(udp_sent)                                                                                                        \
    X(udp_keepalives)                                                                                                  \
    X(udp_unusable)                                                                                                    \
    X(udp_queue_full)                                                                                                  \
    X(udp_blocked)                                                                                                     \
    X(udp_send_failed)                                                                                                 \
    X(udp_receive_errors)                                                                                              \
    X(udp_icmp_errors)                                                                                                 \
    X(stream_received)                                                                                                 \
    X(stream_sent)                                                                                                     \
    X(stream_keepalives)                                                                                               \
    X(stream_accepted)                                                                                                 \
    X(stream_accept_errors)                                                                                            \
    X(stream_refused_listener_full)                                                                                    \
    X(stream_refused_source_full)                                                                                      \
    X(stream_refused_out_full)                                                                                         \
    X(stream_refused_no_memory)                                                                                        \
    X(stream_queue_full)                                                                                               \
    X(stream_reading_paused)                                                                                           \
    X(stream_connects)                                                                                                 \
    X(stream_connect_failed)                                                                                           \
    X(stream_lost)                                                                                                     \
    X(stream_timeout_handshake)                                                                                        \
    X(stream_timeout_message)                                                                                          \
    X(stream_timeout_write)                                                                                            \
    X(stream_timeout_idle)                                                                                             \
    X(stream_send_failed)                                                                                              \
    X(tls_handshakes)                                                                                                  \
    X(tls_handshake_failed)                                                                                            \
    X(tls_certificate_unproved)                                                                                        \
    X(tls_names_left_out)                                                                                              \
    X(tls_name_refused)                                                                                                \
    X(tls_member_refused)                                                                                              \
    X(fault_none)                                                                                                      \
    X(fault_too_large)                                                                                                 \
    X(fault_first_line)                                                                                                \
    X(fault_version)                                                                                                   \
    X(fault_line)                                                                                                      \
    X(fault_too_many)                                                                                                  \
    X(fault_line_too_long)                                                                                             \
    X(fault_missing)                                                                                                   \
    X(fault_duplicate)                                                                                                 \
    X(fault_via)                                                                                                       \
    X(fault_value)                                                                                                     \
    X(fault_cseq)                                                                                                      \
    X(fault_uri)                                                                                                       \
    X(fault_length)                                                                                                    \
    X(fault_incomplete)

#define TRANSPORT_COUNTER_ENUM(id) TC_##id,
enum transport_counter { TRANSPORT_COUNTERS(TRANSPORT_COUNTER_ENUM) TC_COUNT };
_Static_assert(TC_COUNT - TC_fault_none == SIP_FAULT_COUNT, "one counter for each fault");

struct udp_ring;
struct tls_context;

/* A deadline on the transport's wheel. */
struct alarm {
    struct wheel_timer timer;
    void (*ring)(struct alarm *a);
};

/* Accepted connections of peers that are no members, or have not proved it yet. */
struct guest_tally {
    uint32_t guests;
    uint32_t half_open; /* in their TLS handshake */
};

/* One of our addresses: a UDP socket, or a socket that accepts connections. */
struct listener {
    struct transport *t;
    uint8_t index;
    struct transport_listener shown;
    int fd; /* ours to close while >= 0; a TCP socket passes to its handle */
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_tcp_t tcp;
    } handle;
    bool attached; /* handle is initialised */
    /* UDP */
    struct list_node queue; /* struct udp_out */
    size_t queued;
    bool blocked; /* the kernel's buffer is full: waiting for it */
    /* TCP, TLS */
    struct guest_tally tally;
    bool stalled;       /* a connection waits to be accepted until there is memory */
    struct alarm retry; /* when that is tried again */
};

/* Connections by number, by remote address, and guests per source; see stream_table.h. */
struct stream_table {
    struct map by_id;
    struct map by_remote;
    struct map sources;
    struct list_node all;   /* every struct stream until it is closed */
    struct list_node dirty; /* those that have something to write */
    uint64_t last_id;
    uint32_t out_count; /* connections that we made */
    char *cipher_in;    /* TLS bytes are read into it; STREAM_CIPHER_LEN */
};
#define STREAM_CIPHER_LEN 65536

struct transport {
    struct transport_options options;
    struct transport_limits limits;
    uv_loop_t *loop;
    const struct log *log;

    struct listener *listeners;
    size_t listener_count;
    union sock_address *own; /* the machine's addresses, for listeners on all of them */
    size_t own_count;
    struct tls_context *tls; /* NULL: none */

    uv_prepare_t prepare;
    uv_timer_t timer;
    size_t handles; /* uv handles that are not closed yet */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;

    struct wheel wheel;
    bool wheel_moved;   /* since the timer was set by it */
    bool wheel_turning; /* inside wheel_advance */
    struct udp_ring *ring;
    struct gather gather;
    uint64_t age_ms;             /* of the datagrams that are being delivered */
    struct list_node udp_failed; /* struct udp_out: to be reported */
    struct list_node udp_free;   /* struct udp_out: to be used again */
    size_t udp_free_count;

    struct stream_table streams;
    const char *unsent_why; /* "" not known */

    _Atomic uint64_t counts[TC_COUNT];
    struct counter_table table;
    uint64_t refusals_logged_ms; /* when the last refusal was logged */
    uint64_t refusals_suppressed;
};

static inline void transport_count(struct transport *t, enum transport_counter which)
{
    counter_add(&t->counts[which], 1);
}
static inline void transport_count_fault(struct transport *t, enum sip_fault fault)
{
    counter_add(&t->counts[(size_t)TC_fault_none + (size_t)fault], 1);
}

/* After each handle's initialisation, and as the last act of its close callback: the transport may be gone after it. */
void transport_handle_opened(struct transport *t);
void transport_handle_closed(struct transport *t);

/* Rings after ms from now; (re)starts. */
void transport_alarm_set(struct transport *t, struct alarm *a, uint64_t ms);
void transport_alarm_stop(struct transport *t, struct alarm *a);

/* One line per 10 s at most about connections refused, with how many were not told. */
void transport_log_refusal(struct transport *t, const char *why, const union sock_address *remote);

#endif
