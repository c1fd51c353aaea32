/* internal: what the files of node/mesh share. Everything here belongs to the loop thread, but for what link.h and
 * listener.h mark. */
#ifndef TANDEM_MESH_INTERNAL_H
#define TANDEM_MESH_INTERNAL_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "node/base/rng.h"
#include "node/mesh/credentials.h"
#include "node/mesh/inbox.h"
#include "node/mesh/mesh.h"
#include "node/mesh/probe.h"

/* name, in the order of the table */
#define MESH_COUNTERS(X)                                                                                               \
    X(messages_sent)                                                                                                   \
    X(messages_failed)                                                                                                 \
    X(messages_received)                                                                                               \
    X(queue_full) /* refused by mesh_send: the link's queue is at its cap */                                           \
    X(fragments_sent)                                                                                                  \
    X(fragments_received)                                                                                              \
    X(fragments_dropped) /* out of place, twice, or over the memory for wholes */                                      \
    X(frames_bad)        /* did not parse, or over a bound */                                                          \
    X(frames_unknown)    /* of a newer version */                                                                      \
    X(hello_required)    /* a request before hello */                                                                  \
    X(sender_forged)     /* a frame that named another sender than its hello proved */                                 \
    X(hello_accepted)                                                                                                  \
    X(hello_refused)    /* by us, as the server: cluster, certificate, signature, eviction */                          \
    X(peer_refused)     /* by us, as the client: certificate, signature, name, eviction */                             \
    X(refused_by_peer)  /* we were */                                                                                  \
    X(tls_refused)      /* dials that end at TLS: their certificate or ours */                                         \
    X(accept_failed)    /* connections to the listener that did not get through TLS: scans, strangers */               \
    X(strangers_closed) /* connections to the listener that never got through TLS */                                   \
    X(links_up)                                                                                                        \
    X(links_lost)                                                                                                      \
    X(links_timed_out)   /* of those lost: no answer in time */                                                        \
    X(replies_timed_out) /* the peer reads nothing */                                                                  \
    X(dials_restarted)   /* NNG's attempt was stuck while the address answers again */                                 \
    X(polls_sent)        /* parked at peers, since we cannot be dialled */                                             \
    X(polls_taken)       /* of peers that cannot be dialled */                                                         \
    X(polls_refused)     /* too many are parked here */                                                                \
    X(relays_refused)                                                                                                  \
    X(relays_timed_out)                                                                                                \
    X(listener_probes)                                                                                                 \
    X(listener_reopened)

#define MESH_COUNTER_ENUM(id) MESH_COUNT_##id,
enum mesh_counter { MESH_COUNTERS(MESH_COUNTER_ENUM) MESH_COUNTER_COUNT };

#define MESH_TICK_MS 100
#define MESH_LINK_SLOTS 16       /* requests on the way to one peer */
#define MESH_LISTEN_SLOTS 32     /* requests of all peers being handled */
#define MESH_PARKED_MAX 8192     /* requests of peers that cannot be dialled: of 1024 peers, 1 KiB each */
#define MESH_PARKED_MS 20000     /* and so long; then they are answered with nothing */
#define MESH_QUEUE_MESSAGES 1024 /* of one link */
#define MESH_QUEUE_BYTES 16777216
#define MESH_WINDOW_BYTES 1048576  /* on the way to one peer */
#define MESH_DEAD_MS 2000          /* no answer at all while some are due */
#define MESH_DEAD_BYTES_PER_MS 256 /* and for each of this many bytes on the way a millisecond more: slow lines */
#define MESH_REPLY_MS 5000         /* an answer that the peer does not take ends its connection */
#define MESH_STOP_MS 5000          /* how long mesh_close waits for NNG */
#define MESH_QUIET_MS 150          /* between the last request and the end of connections */
#define MESH_LOG_MS 10000          /* between two log lines of one kind that peers can cause */
#define MESH_HELLO_MS 5000         /* from connection to proof */
#define MESH_REFUSED_RETRY_MS 5000 /* hello again on a connection whose hello was refused */
#define MESH_PROBE_FIRST_MS 300    /* a dial that has not come up by then is asked why */
#define MESH_PROBE_MAX_MS 5000     /* between two looks at an address that does not connect */
#define MESH_PROBE_TLS_MS 30000    /* at one that connects, and costs it a handshake */
#define MESH_SEED_RETRY_MS 10000   /* while no peer is linked */
#define MESH_WATCH_MS 5000         /* the watchdog's look at our own listener */
#define MESH_STRANGERS_MAX 256     /* connections to our listener that have not got through TLS */
#define MESH_RELAYS_OPEN 1024      /* each way */
#define MESH_EVICTED_TEXT "evicted from the cluster, or has left it"
#define MESH_SERVER_NAME "tandem" /* every node's certificate carries it, since a seed's name is not known before */

struct link;
struct listener;

/* A control request that waits for its answer: ours at a peer (id is in the frame, token the caller's), or a peer's
 * here (id is what the caller got). */
struct relay {
    struct list_node node;
    uint64_t id;
    uint64_t other; /* ours: the caller's token; a peer's: the id in its frame */
    struct node_name peer;
    struct mono deadline;
};

struct seed {
    struct list_node node;
    struct link *link; /* NULL: not dialled at present */
    struct mono retry;
    char address[LIMIT_URI + 1];
};

struct evicted {
    struct list_node node;
    struct node_name name;
    uint64_t barred; /* certificates that were issued later are taken */
};

struct mesh {
    struct mesh_options options; /* texts are copied into arena */
    struct arena arena;
    struct credentials *credentials;
    struct rng rng;
    struct inbox inbox;
    uv_timer_t tick;
    nng_tls_config *tls_client;
    nng_tls_config *tls_server;
    struct listener *listener; /* NULL: does not listen */
    struct list_node links;    /* struct link, parked ones too */
    struct list_node seeds;
    struct list_node evicted;
    struct list_node relays_out;
    struct list_node relays_in;
    size_t relay_count; /* both */
    uint64_t next_id;   /* of wholes and relays */
    size_t whole_budget;
    size_t up_count;
    bool closing;
    unsigned pending; /* handles, probes, workers that must end before the mesh is freed */
    void (*closed)(void *ctx);
    void *closed_ctx;
    uv_thread_t stopper; /* closes NNG's things */
    bool stopping;       /* it runs, or ran */
    bool stopped;        /* under inbox.mutex: it has ended */
    bool abandoned;      /* it did not in time, and the mesh is left to it */
    _Atomic uint64_t counters[MESH_COUNTER_COUNT];
    struct counter_table table;
};

static inline void mesh_count(struct mesh *m, enum mesh_counter c)
{
    counter_add(&m->counters[c], 1);
}
static inline struct mono mesh_now(void)
{
    return (struct mono){uv_hrtime() / 1000};
}
struct wall mesh_wall(void);
/* Whether a certificate of the name, issued then, is refused. */
bool mesh_is_evicted(const struct mesh *m, const struct node_name *name, uint64_t issued);
/* The name was proved by this certificate (DER). */
void mesh_proved(struct mesh *m, const struct node_name *name, uint64_t issued);

/* Frames: an nng message around one; NULL when it cannot be packed (memory, bounds: *err says). */
nng_msg *mesh_frame_message(struct mesh *m, struct mesh_frame *f, enum err *err);
/* The one translation of NNG's numbers. */
enum err mesh_nng_err(int rv);

/* A proved peer's frame, decoded: hands it up. The acknowledgement's code and text (static). */
enum mesh_ack_code mesh_deliver(struct mesh *m, const struct node_name *from, struct mesh_frame *f, const char **text);

/* decode.c: unpacks a long frame of a proved peer on a worker thread and hands it up. Takes bytes in every case. done
 * gets the acknowledgement, perhaps before this returns, unless mesh_close comes first. */
void decode_start(struct mesh *m, const struct node_name *from, struct slice bytes_take,
                  void (*done)(void *ctx, enum mesh_ack_code code, const char *text), void *ctx);

/* Something that mesh_close waits for has ended. */
void mesh_pending_done(struct mesh *m);

/* seed.c */
MUST_CHECK enum err seed_add(struct mesh *m, const char *address);
void seed_tick(struct mesh *m, struct mono now);
/* A seed's link said hello: who it is. True: the link goes on as that peer's; false: it is to be dropped (ourselves, or
 * linked already). */
bool seed_named(struct mesh *m, struct link *l, const struct node_name *name, uint64_t issued);
void seed_free_all(struct mesh *m);

/* relay.c */
MUST_CHECK enum err relay_request(struct mesh *m, const struct node_name *peer, struct slice request, uint64_t token);
MUST_CHECK enum err relay_answer(struct mesh *m, uint64_t id, struct slice reply);
enum mesh_ack_code relay_take_request(struct mesh *m, const struct node_name *from, const struct mesh_frame *f,
                                      const char **text);
void relay_take_reply(struct mesh *m, const struct node_name *from, const struct mesh_frame *f);
/* The request did not reach the peer. */
void relay_failed(struct mesh *m, uint64_t id, enum err err);
void relay_link_down(struct mesh *m, const struct node_name *peer);
void relay_tick(struct mesh *m, struct mono now);
void relay_free_all(struct mesh *m);

#endif
