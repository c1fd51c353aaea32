/* stream_table: one connection as a record, and the ways in which connections are found and counted. No I/O.
 *
 * A connection is *listed* (found by number and by remote address) from its making until it is to take no more sends.
 * Every accepted one stands in one tally of its listener and of its source address: half-open during a TLS handshake, a
 * guest after it, nowhere once it has proved to be a member. */
#ifndef TANDEM_EDGE_STREAM_TABLE_H
#define TANDEM_EDGE_STREAM_TABLE_H

#include "node/edge/framer.h"
#include "node/edge/tls.h"
#include "node/edge/transport_internal.h"

/*            +-------------+     +-----------+     +------+     +-----------+     +--------+
 *  connect ->| CONNECTING  |-+-->| HANDSHAKE |-+-->| OPEN |---->| FINISHING |---->| CLOSED |
 *            +-------------+ |   +-----------+ |   +------+     +-----------+     +--------+
 *  accept -------------------+      (TLS)      |                 (last bytes)
 *          TCP: straight to OPEN --------------+      every state may go to CLOSED at once */
enum stream_state {
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_FINISHING,
    STREAM_CLOSED,
    STREAM_STATE_COUNT
};

enum stream_standing { STANDING_NONE, STANDING_HALF_OPEN, STANDING_GUEST };

struct stream_source;

struct stream {
    struct transport *t;
    struct listener *accepted_by; /* NULL: we connected */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    enum stream_state state;
    struct flow flow;
    bool expect_member;
    char *host;      /* our own connection: the name that the peer must prove; NULL: none */
    const char *why; /* it was closed, where its TLS does not say it; NULL: not known */
    unsigned holds;  /* by those who keep it open without traffic */
    bool opened;     /* it was OPEN once */
    bool heard;      /* a complete message came */

    bool listed;
    struct map_node by_id;
    struct map_node by_remote;
    struct list_node all;
    struct list_node dirty;
    enum stream_standing standing;
    struct stream_source *source; /* while it has a standing */

    struct tls_session *tls; /* NULL: TCP */
    char member_name[LIMIT_NAME + 1];
    struct buf names; /* that the peer proved, when it is no member; see tls_session_names */
    bool goodbye;     /* close_notify is written */
    struct framer framer;
    struct list_node queue;     /* struct stream_out: to be written */
    struct list_node in_flight; /* struct stream_out: handed to uv_write */
    size_t queued_bytes;        /* of both */
    struct buf cipher;          /* TLS: what is being written */
    bool writing;
    bool paused; /* not read until it has read */

    struct alarm alarm;
    uint64_t state_ms;  /* when the state was entered */
    uint64_t active_ms; /* last traffic */
    uint64_t begun_ms;  /* when waiting for the rest of a message (or for the first one) began; 0: not waiting */
    uint64_t write_ms;  /* when the present write began */
};

MUST_CHECK enum err stream_table_init(struct transport *t);
void stream_table_fini(struct transport *t); /* when no connection is left */

/* Gives it its number and lists it. */
void stream_list(struct stream *s);
void stream_unlist(struct stream *s); /* allowed when not listed */
struct stream *stream_by_id(struct transport *t, uint64_t id, enum plan_transport transport);
/* One that may carry a message to the flow's address: with expect_member, or a domain, only one that has proved that,
 * or must. */
struct stream *stream_by_remote(const struct transport *t, const struct flow *to, bool expect_member);

/* Whether one more connection from remote fits; a refusal is counted. */
bool stream_admit(struct listener *l, const union sock_address *remote);
/* Puts an accepted connection into the tallies, moves it, or takes it out. ERR_FULL (counted): it may not become a
 * guest, its standing is unchanged. ERR_NOMEM likewise. STANDING_NONE always succeeds. */
MUST_CHECK enum err stream_stand(struct stream *s, enum stream_standing standing);

#endif
