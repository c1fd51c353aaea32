/* proxy: one request on its way: a relay (RFC 3261 §16's response context) with its server transaction, and a branch
 * for each attempt with its client transaction.
 *
 * One target after the other. Of one target the contacts of equal preference are tried together: then several branches
 * are current, and the next step is taken when the last of them has failed. Branches given up linger until their
 * transaction ends, because a late 2xx must still be forwarded and a late 1xx cancelled. The relay keeps the request's
 * bytes until it has sent a final response. Rooms: proxy_request.c takes a request in, proxy_target.c chooses where it
 * goes next, proxy_forward.c makes the bytes, proxy_response.c takes responses, proxy_cancel.c ends what is pending,
 * proxy_relay.c is birth, answer and death; proxy_media.c leads the media through a relay; topology.c keeps what stands
 * behind us from those who shall not see it. */
#ifndef TANDEM_EDGE_PROXY_H
#define TANDEM_EDGE_PROXY_H

#include "node/edge/calls.h"
#include "node/sip/auth.h"

#define RELAY_ADDRESSES 8
#define PROXY_LENGTH_LINE 32

/* The bytes of a message, kept. Small ones lie in pooled blocks. */
struct message {
    char *p;
    uint32_t n;
    uint32_t cap;
};
/* Keeps a copy in place of what m held; false: no memory, m is then empty. */
bool proxy_message_set(struct edge *e, struct message *m, struct slice text);
void proxy_message_drop(struct edge *e, struct message *m);

struct branch;

/* A registrar has asked who we are; see client.h. */
struct relay_auth {
    struct sip_auth kept;
    struct flow to; /* where it is */
};

struct relay {
    struct sip_tx server;
    struct list_node node; /* in edge.relays */
    struct edge *edge;
    struct flow from;    /* where the request came from */
    uint16_t reply_port; /* where responses go at its address */
    struct message request;
    struct message last;         /* the response that a repeated request gets; only where it may be repeated */
    struct edge_target *targets; /* one block with all that they refer to; gone after the final response */
    size_t target_count;
    size_t target_at;
    size_t hop_at;                 /* the next hop to try of the target */
    union sock_address address;    /* of the hop before hop_at, */
    union sock_address *addresses; /* or several: a block of their own */
    uint8_t address_count;
    uint8_t address_at;
    uint8_t pop_count;                 /* Route values of ours at the top */
    bool hide_from;                    /* its sender is not shown what stands behind us (topology.h) */
    bool hide_to;                      /* inside a dialog: nor is whom it goes to */
    struct message sdp;                /* what the media relay made of the description for the last place, */
    uint64_t sdp_branch;               /* and how that knows it */
    struct message vias;               /* the request's, for responses that come without them */
    bool from_inside;                  /* the caller may assert identities (identity.h) */
    enum edge_source_kind source_kind; /* outside a dialog: who the caller is */
    char asserted[LIMIT_NAME + 1];     /* the identity that an account gets, "" none */
    bool caller_refreshes;             /* Supported: timer (session.h) */
    bool session_added;                /* the request gets a Session-Expires */
    bool session_raised;               /* its own is raised */
    uint32_t session_s;
    uint16_t retry_after_s; /* for a 503 of our own */
    bool best_of_member;    /* best came from another node: its 503 is the federation's own word */
    bool invite;
    bool in_dialog;
    bool bound; /* inside a dialog: of the trunks it may meet that of its call alone, which is the target's text */
    bool forms_dialog; /* gets our Record-Route */
    bool keeps_route;  /* gets those of our Route values that it came by as Record-Route */
    bool to_member;    /* inside a dialog: the next hop is another node */
    bool secure;       /* a sips URI was called: by TLS or not at all */
    bool led;          /* its media goes through the relay (proxy_media.c) */
    bool describes;    /* the request has a session description, */
    bool offers;       /* which is the offer, that the response answers; else it is the other way round */
    bool described;    /* sdp is for the place that is tried next */
    bool cancelled;
    bool final_sent;
    enum plan_transport chosen; /* of a hop with any_transport, once it is resolved */
    bool held;                  /* dns or media holds a pointer to us */
    bool inside_resolve;
    bool
        by_tcp; /* the request is too large for UDP: the address before address_at is asked by TCP, then again by UDP */
    bool settled;            /* a failure came after which no other target is tried */
    bool refused_us;         /* the last failure was a challenge to which we have no answer */
    struct relay_auth *auth; /* of the place that is tried, NULL: it has not asked who we are */
    struct list_node branches;
    unsigned current;       /* how many of them count: their failure moves the request on */
    uint8_t breadth;        /* Max-Breadth that may be given away (RFC 5393 §5) */
    unsigned best_code;     /* of the failures so far, 0: none */
    struct message best;    /* its bytes, Via popped; empty: our own */
    char best_words[96];    /* why, where the code is our own */
    struct message reasons; /* the Reason lines of the caller's CANCEL */
    struct call *call;
    uint64_t mark;            /* against loops: in our Via */
    uint64_t call_hash;       /* of the Call-ID, which a response repeats */
    char key[SIP_TX_KEY_MAX]; /* of server */
};

struct branch {
    struct sip_tx client;
    struct list_node node;     /* in relay.branches */
    struct map_node waiting;   /* in edge.waiting while is_waiting */
    struct sip_timer progress; /* no answer at all, then Timer C, then the wait after a CANCEL */
    struct relay *relay;
    struct flow to;
    struct message sent; /* dropped once nothing is made from it any more */
    uint64_t id;
    uint64_t sdp_branch;   /* how the media relay knows it */
    uint16_t target;       /* index into relay.targets while those are there, */
    uint16_t hop;          /* and into its hops */
    uint16_t cancel_cause; /* why its CANCEL goes out: proxy_branch_cancel */
    bool expect_member;
    bool roams;     /* a phone, where its flow is: it may have come by another address since */
    bool is_cancel; /* the CANCEL of another branch: its response concerns nobody */
    bool is_waiting;
    bool hide;          /* where it goes is not shown what stands behind us */
    bool inside;        /* where it goes: whether identities may be told and believed */
    bool current;       /* its failure moves the request on */
    bool answered;      /* any response has come */
    bool cancel_wanted; /* CANCEL goes out with the first 1xx (RFC 3261 §9.1) */
    bool cancel_sent;
    bool timed_out; /* Timer C fired: the 487 that follows counts as 408 */
};

/* ---- proxy_request.c ---- */
void proxy_on_request(struct edge *e, const struct flow *from, struct sip_view *v);

/* ---- proxy_response.c ---- */
void proxy_on_response(struct edge *e, const struct flow *from, struct sip_view *v);
/* The response without its topmost Via and with header lines of ours, in e->out; false: counted. */
bool proxy_pop_via(struct branch *b, const struct sip_view *v, struct slice lines);
/* A client transaction's own event: timer or failure to send. */
void proxy_client_event(struct edge *e, struct sip_tx *tx, enum sip_tx_event ev);
void proxy_progress_timer(struct edge *e, struct sip_timer *timer);
void proxy_on_send_failed(struct edge *e, const struct flow *to, uint64_t token);

/* A response that was held, in the same way, whatever it says of its media. */
void proxy_response_led(struct edge *e, const struct flow *from, struct sip_view *v);

/* ---- proxy_media.c ---- */
/* Whether the media of the request goes through the relay, and what it has to do with that. */
void proxy_media_begin(struct relay *r, const struct sip_view *v);
/* Before each attempt. False: the relay is held until its description for that place is there, or has been refused. */
bool proxy_media_ready(struct relay *r, const struct sip_view *v);
/* True: the response waits for the media relay, and comes again by proxy_response_led. */
bool proxy_media_holds(struct branch *b, const struct flow *from, const struct sip_view *v);
/* The same of an ACK: by proxy_ack_led. */
bool proxy_media_holds_ack(struct edge *e, const struct flow *from, const struct sip_view *v);
void proxy_held_free(struct edge *e);

/* ---- proxy_ack.c ---- */
void proxy_ack_led(struct edge *e, const struct flow *from, struct sip_view *v);

/* ---- proxy_cancel.c ---- */
/* Ends what is pending: CANCEL to the branches, 487 at once where there is none. cancel is the caller's, whose Reason
 * goes on with them; NULL: the node ends. */
void proxy_relay_cancel(struct relay *r, const struct sip_view *cancel);
/* The branch is not wanted any more: CANCEL now, or with its first 1xx. cause is the SIP code in its Reason (RFC 3326):
 * 200 answered elsewhere, 408 given up, 503 the node ends, 6xx nobody shall ring; 0: what the caller's CANCEL said. The
 * last one before it goes out holds. */
void proxy_branch_cancel(struct branch *b, unsigned cause);
/* The node ends: an INVITE without a final answer gets 503, its branches CANCEL; other requests are asked again by
 * their senders, whom the next run of the node serves. */
void proxy_relay_stop(struct relay *r);
/* The ACK of a failure response (RFC 3261 §17.1.1.3). */
void proxy_branch_ack(struct branch *b, const struct sip_view *response);

/* ---- proxy_target.c ---- */
/* Starts, or goes on with, the next address, hop or target; ends the relay with its best response when none is left. v
 * is the request when it is at hand, else NULL. */
void proxy_relay_try(struct relay *r, const struct sip_view *v);
/* Keeps the targets, deep, in one block. false: no memory, counted. */
bool proxy_relay_set_targets(struct relay *r, const struct edge_target *targets, size_t count);
/* A large request went to the address by TCP in vain: for a while others go by UDP at once. */
void proxy_tcp_failed(struct edge *e, const union sock_address *address);
/* The hop last tried failed without an answer; silent: although it was asked. */
void proxy_relay_suspect(const struct relay *r, bool silent, const char *why);
/* The address last tried answered with this failure. */
void proxy_relay_refused(struct relay *r, const struct sip_view *v);
/* The request once more to where the branch went, with the answers to r->auth. False: it could not be sent; noted. */
bool proxy_relay_again(struct branch *b);
/* The name that the branch's place is dialled by; "" where none is needed, or after the final response. */
struct slice proxy_branch_host(const struct branch *b);
/* Whether proxy_relay_try would find another place. */
bool proxy_relay_has_more(const struct relay *r);

/* ---- proxy_forward.c ---- */
struct forward {
    const struct relay *relay;        /* NULL: a request without a transaction (ACK) */
    const struct edge_target *target; /* NULL: next hop only */
    const struct edge_hop *hop;
    const struct flow *from;
    const struct flow *to;
    unsigned pop_count;
    bool record_route;
    bool hide;         /* where it goes is not shown what stands behind us */
    uint8_t breadth;   /* Max-Breadth of this branch, 0: left as it came */
    struct slice auth; /* header lines with credentials of ours, "" none */
    struct slice sdp;  /* in place of the request's own session description, "" none */
    uint64_t id;
};
/* The request as it leaves, in e->out. ERR_LIMIT, ERR_NOMEM, ERR_SYNTAX. */
MUST_CHECK enum err proxy_forward_request(struct edge *e, const struct sip_view *v, const struct forward *f);
/* The header line without which a stream does not know where the message ends (RFC 3261 §16.6 item 9); "" where it came
 * with one, or leaves as a datagram. body: how long that is when it leaves. */
struct slice proxy_forward_length(const struct sip_view *v, size_t body, enum plan_transport by,
                                  char out[PROXY_LENGTH_LINE]);
/* The loop mark of a request (RFC 5393 §4.2): equal when the same request comes round unchanged. */
uint64_t proxy_forward_loop_mark(const struct edge *e, const struct sip_view *v);
/* Whether the mark stands in one of the request's Vias. */
bool proxy_forward_looped(const struct sip_view *v, uint64_t mark);

/* ---- proxy_relay.c ---- */
/* Takes the request in: server transaction, copy of its bytes. NULL: no memory, counted. */
struct relay *proxy_relay_new(struct edge *e, const struct flow *from, const struct sip_view *v);
/* The stored request, indexed again in e->again. NULL when it is not kept any more. */
const struct sip_view *proxy_relay_request(struct relay *r);
/* Sends a response that stands in text, through the server transaction. */
void proxy_relay_send(struct relay *r, unsigned code, struct slice text);
/* Our own response; v is the request when at hand, else NULL. cause and words make a Reason header, "" none. */
COLD void proxy_relay_answer(struct relay *r, const struct sip_view *v, unsigned code, unsigned cause,
                             struct slice words);
/* The same with header lines of the caller's. */
COLD void proxy_relay_answer_lines(struct relay *r, const struct sip_view *v, unsigned code, struct slice lines);
/* Notes a failure of our own making as a candidate for the best response. */
void proxy_relay_note(struct relay *r, unsigned code, const char *words, struct slice detail);
/* Notes the failure response v, which loses its topmost Via. */
void proxy_relay_note_response(struct branch *b, const struct sip_view *v);
/* Sends the best of the noted failures. */
void proxy_relay_finish(struct relay *r);
/* Ends without a response (RFC 4320 §4.2). */
void proxy_relay_drop(struct relay *r);
void proxy_relay_server_event(struct relay *r, enum sip_tx_event ev);
/* The branch counts no longer; true: it did. */
bool proxy_branch_leave(struct branch *b);
void proxy_branch_free(struct branch *b);
/* Ends the relay if nobody is left to answer, and frees it if nothing refers to it any more. */
void proxy_relay_settle(struct relay *r);
void proxy_relay_free(struct relay *r); /* whatever state it is in */

#endif
