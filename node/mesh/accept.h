/* accept: the inside of a listener: its contexts, and what is known of each connection. Shared by listener.c, accept.c,
 * watch.c. */
#ifndef TANDEM_MESH_ACCEPT_H
#define TANDEM_MESH_ACCEPT_H

#include <netinet/in.h>

#include "node/base/map.h"
#include "node/mesh/listener.h"
#include "node/mesh/whole.h"

/* A context, and the request that it has taken. It receives; is the loop's until it is answered; or is kept by the
 * loop: parked, its request to be answered later, while another one receives in its place, or spare. */
struct listen_slot {
    struct inbox_item item;
    struct listen_slot *next_spare;
    bool extra; /* it was parked: when it has answered there is one more than should receive */
    bool idle;  /* and it has */
    struct listener *listener;
    nng_ctx ctx;
    nng_aio *aio;
    bool replying; /* by the thread that owns the slot: the loop from the push to the reply, NNG's else */
    uint32_t pipe;
    enum err err;
    struct err_info info;
    struct arena arena;
    struct mesh_frame frame;
};

/* From where a connection comes; comparable as bytes. */
struct peer_address {
    uint16_t family; /* 0: not known */
    in_port_t port;  /* in network order, as the rest */
    unsigned char bytes[16];
};

/* A connection of a peer. */
struct peer_pipe {
    struct map_node node;
    uint32_t pipe;
    struct peer_address address;
    bool greeted; /* transcript is set */
    bool proved;
    uint64_t order; /* of the proof */
    struct node_name name;
    struct hello_transcript transcript;
    struct whole whole;
};

struct peer_event {
    struct inbox_item item;
    struct listener *listener;
    uint32_t pipe;
    bool came; /* else it went */
};

struct listener {
    struct mesh *mesh;
    nng_socket socket;
    bool open;
    nng_listener accept;
    bool bound;
    char host[LIMIT_HOST + 1];
    char address[LIMIT_URI + 1];
    struct listen_slot *slots[MESH_LISTEN_SLOTS + MESH_PARKED_MAX];
    size_t slot_count;
    struct listen_slot *spare;
    size_t parked_count;    /* parked, or on the way from there to the spare ones */
    struct map peers;       /* struct peer_pipe by pipe */
    struct mono refusal_at; /* the log takes a hello-refused again from then on */
    unsigned refusals_unsaid;
    /* watch.c */
    struct probe *probe;
    struct mono watch_at;
    unsigned dead_looks;    /* in a row */
    bool probed;            /* our own connection was answered; is it counted? */
    uint64_t told;          /* connections counted before it */
    uint64_t own_probes;    /* answered, of the present NNG listener */
    uint64_t auth_failures; /* of strangers, counted already */
    /* guard.c */
    struct guard *guard; /* the last look; NULL: none yet */
    bool guarding;       /* a look is under way */
    struct mono guard_at;
};

/* Replies to the request in s and lets it wait for the next one. */
void listener_ack(struct listen_slot *s, enum mesh_ack_code code, const char *text);
void listener_reply(struct listen_slot *s, struct mesh_frame *reply);
/* The same with a message of the caller's, taken; never called after mesh_close. */
void listener_send(struct listen_slot *s, nng_msg *msg_take);
/* The request in s waits for its answer; another context receives in its place. False: too many do, or no memory. */
bool listener_park(struct listen_slot *s);
/* What was parked in s is not answered at all. */
void listener_unpark(struct listen_slot *s);
/* guard.c */
void guard_pipe_address(uint32_t pipe, struct peer_address *out);
void guard_tick(struct listener *s, struct mono now);
void guard_fini(struct listener *s);
/* caller.c: takes a poll of a peer that has proved its name. */
void caller_poll(struct listen_slot *s, struct peer_pipe *p);
void caller_pipe_gone(struct mesh *m, uint32_t pipe);
void peer_free(struct listener *s, struct peer_pipe *p);
/* Closes every connection, before the accepting socket is closed: see stop_dialling in link.c. */
void listener_close_pipes(struct listener *s);
/* Binds s->address; with port 0 the address then carries the real one. An NNG error number. */
int listener_bind(struct listener *s);

#endif
