/* link: our way to one peer: a REQ socket that is made once and kept, one dialer at a time, contexts for requests on
 * the way, and two queues.
 *
 *            dial                pipe              proof of server       ack
 *   PARKED ---------> DIALLING ---------> HELLO ------------------> PROOF -----> UP
 *      ^                 ^ |                |  refused                |           |
 *      |   park          | | pipe lost      v                         v           |
 *      +---- any         | +----------- REFUSED <---------------------+-----------+
 *                        +-------------- any, when the pipe goes ----------------+
 *
 *   AWAITED <-----> UP   of a peer that cannot be dialled (calls_us): it has parked requests here, or not; caller.c
 *
 * REFUSED keeps the connection and says hello again after a while: connecting again would cost both sides a handshake.
 * A message is in a queue or on the way; it ends exactly once, by mesh_options.on_sent. Heartbeats overtake; the rest
 * keeps its order of sending (not of arrival: contexts are handled side by side). What is not here: what messages mean;
 * seeds (seed.c); relays (relay.c). Threads: the aio and pipe callbacks run on NNG's. */
#ifndef TANDEM_MESH_LINK_H
#define TANDEM_MESH_LINK_H

#include "node/mesh/internal.h"
#include "node/mesh/whole.h"

enum link_state {
    LINK_PARKED,
    LINK_DIALLING,
    LINK_HELLO,
    LINK_PROOF,
    LINK_UP,
    LINK_REFUSED,
    LINK_AWAITED,
    LINK_STATE_COUNT
};

enum outgoing_kind { OUT_MESSAGE, OUT_RELAY_REQUEST, OUT_RELAY_REPLY };

struct outgoing {
    struct list_node node; /* in a queue, or in link.flying when all of it is on the way */
    enum outgoing_kind kind;
    uint64_t id;       /* the caller's token, or the relay's id */
    uint64_t whole;    /* of its fragments; 0: travels in one */
    size_t at;         /* bytes given to contexts */
    unsigned parts;    /* contexts that carry a part of it */
    enum err err;      /* the first that went wrong */
    uint32_t rtt_us;   /* of the last part */
    struct buf packed; /* the frame */
};

struct link_slot {
    struct inbox_item item;
    struct link *link;
    nng_ctx ctx;
    nng_aio *aio;
    bool busy;            /* loop thread's */
    bool hello;           /* carries no message */
    struct outgoing *out; /* NULL: a hello, or its message has ended already */
    size_t bytes;         /* of its part */
    uint64_t generation;  /* of the link's pipe when it started */
    /* Written by NNG's thread before the push, read by the loop after. */
    bool receiving;
    uint64_t started_ns;
    uint64_t ended_ns;
    enum err err;
    struct arena arena;
    struct mesh_frame answer;
    _Atomic bool abandon; /* set by the loop: do not go on to receive */
};

/* poll.c: a request of ours that waits at the peer. */
struct poll_slot {
    struct link_slot slot;
    unsigned number;
    bool decoding;   /* what it brought is on a worker thread */
    struct mono due; /* not busy: to be sent again then */
};

struct listen_slot;

/* caller.c: a request of the peer that waits here, and what it was answered. */
struct call_slot {
    struct link_slot slot;      /* busy: answered, and not acknowledged yet; its contexts are unused */
    struct listen_slot *parked; /* NULL: none */
    struct mono parked_at;
};

struct link {
    struct inbox_item item;
    struct list_node node; /* mesh.links */
    struct mesh *mesh;
    enum link_state state;
    bool named;            /* name is the peer's; else a seed that has not said hello */
    struct node_name name; /* wanted, or learnt */
    bool seed;
    nng_socket socket;
    bool open;
    nng_dialer dialer;
    bool dialing; /* dialer is in use */
    char address[LIMIT_URI + 1];
    char next_address[LIMIT_URI + 1]; /* to move to when the present connection ends */
    _Atomic uint32_t pipe_seen;       /* NNG's thread: the pipe now, 0 none */
    uint32_t pipe;                    /* loop: what we work with, 0 none */
    uint32_t dead_pipe;               /* loop: the one before, which NNG may still report for a moment */
    bool doomed;                      /* dead_pipe is to be closed at doom_at */
    struct mono doom_at;
    uint64_t generation; /* counts pipes and changes of state that end what is on the way */
    bool hello_due;      /* no context was free to say it */
    struct link_slot slots[MESH_LINK_SLOTS];
    struct list_node urgent;
    struct list_node queue;
    struct list_node flying;
    size_t queued_count;
    size_t queued_bytes;
    size_t flying_bytes;
    size_t flying_count;
    struct outgoing *whole; /* the one message whose fragments are on the way */
    struct mono heard;      /* the last answer, or when something began to be due */
    struct mono deadline;   /* of the state: hello, retry */
    struct mono probe_at;
    uint64_t probe_wait_ms;
    struct probe *probe; /* running */
    struct mono since;   /* when it began to wait for the pipe */
    bool stuck;          /* the last probe timed out: NNG's attempt may wait for the kernel's next SYN */
    struct hello_transcript transcript;
    char why[LIMIT_TEXT]; /* what keeps it from being up, "" nothing known */
    bool why_refused;     /* why is a refusal, not a lack of connection */

    struct poll_slot polls[MESH_POLL_SLOTS]; /* in use when we cannot be dialled */
    struct whole joining;                    /* the fragments that they bring */
    bool calls_us;                           /* the peer cannot be dialled: what follows is in use, not the socket */
    uint32_t call_pipe;                      /* of the listener, by which it polls; 0 none */
    uint64_t call_order;                     /* of that connection's proof: a later one replaces it */
    struct call_slot calls[MESH_POLL_SLOTS];
};

/* A parked link, taken from the parked ones when there is one. ERR_NOMEM. */
MUST_CHECK enum err link_get(struct mesh *m, struct link **out);
/* Starts dialling. ERR_SYNTAX: not an address. ERR_NOMEM, ERR_IO: no socket. */
MUST_CHECK enum err link_dial(struct link *l, const char *address);
/* Ends the connection and everything on the way; says nothing but on_sent (and on_link when it was up). */
void link_park(struct link *l, const char *why);
/* The link to a named peer, parked or not, or NULL. */
struct link *link_find(const struct mesh *m, const struct node_name *name);
/* Packs f's frame and queues it. id is the caller's token or the relay's. ERR_UNREACHABLE, ERR_FULL, ERR_LIMIT,
 * ERR_NOMEM. */
MUST_CHECK enum err link_queue(struct link *l, struct mesh_frame *f, enum outgoing_kind kind, uint64_t id);

void link_on_pipe(struct link *l);        /* INBOX_PIPE */
void link_on_answer(struct link_slot *s); /* INBOX_ANSWER */
void link_tick(struct link *l, struct mono now);

/* Sends msg on a slot's context and takes the answer; kind of the item: INBOX_ANSWER or INBOX_POLL. */
void link_slot_start(struct link_slot *s, nng_msg *msg);

/* Moves. Callbacks run inside, so the link may be in yet another state afterwards. */
void link_up(struct link *l);
void link_lost(struct link *l, enum err err, const char *why);
void link_refused(struct link *l, const char *why);
/* The peer does not know us any more, though the connection is there: it was restarted behind a relay, or closed its
 * books on us. */
void link_hello_again(struct link *l);

/* hello.c: says hello on the present pipe, and takes the answers; answer is set when err is ERR_OK or ERR_VERSION. */
void link_hello(struct link *l);
void link_take_hello(struct link *l, const struct mesh_frame *answer, enum err err);

/* poll.c: for a node that cannot be dialled. Parks every free poll at the peer; the link is up. */
void poll_fill(struct link *l);
void poll_on_answer(struct poll_slot *p); /* INBOX_POLL */

/* caller.c */
/* From now on the link is one of a peer that dials us; what was there ends. The link may be another's afterwards. */
void caller_begin(struct link *l, const char *why);
/* It can be dialled again, or is forgotten: the requests that it has parked here are let go unanswered. */
void caller_end(struct link *l);
/* The core wants a link that it had hung up. */
void caller_expect(struct link *l);
/* Answers what is parked with a code: the peer says hello again, or is told why not. */
void caller_dismiss(struct link *l, enum mesh_ack_code code);
/* Answers the request that is parked in a slot. */
void caller_send(struct link_slot *s, nng_msg *msg);
void caller_tick(struct link *l, struct mono now);

/* link_queue.c */
/* Sends one frame of the hello on a free context. ERR_FULL: there is none at present. ERR_NOMEM. */
MUST_CHECK enum err link_send_hello(struct link *l, struct mesh_frame *f);
/* Ends everything in the queues and on the way with err; cancels polls. */
void link_end_all(struct link *l, enum err err);
void link_pump(struct link *l);
void link_free_queues(struct link *l);

/* mesh_close, on a thread of its own: link_quiet for all links, then link_stop; both wait for NNG. True when there is a
 * connection, on which answers may still come. */
bool link_quiet(struct link *l);
void link_stop(struct link *l);
/* Loop thread, after link_stop. */
void link_free(struct link *l);

#endif
