/* internal: what server.c, client.c and reply.c share; nothing outside this folder includes it.
 *
 * Ownership: the server owns its clients; a client owns its buffers; a reply belongs to its handler from the call until
 * control_reply_end and outlives the client and even the server: it then has neither and swallows what it is told. */
#ifndef TANDEM_CONTROL_INTERNAL_H
#define TANDEM_CONTROL_INTERNAL_H

#include "node/base/list.h"
#include "node/control/server.h"

#define CONTROL_CLIENT_MAX 64    /* connections at once; a further one is closed at once */
#define CONTROL_READ_CHUNK 65536 /* room offered to one read */
#define CONTROL_AHEAD_MAX 65536  /* bytes taken from a client whose request is still under way */
#define CONTROL_KEEP_MAX 1048576 /* a buffer that grew beyond this is given back */
#define CONTROL_DRAIN_LOW 262144 /* drained is called below this */
#define CONTROL_STALL_MS 30000
#define CONTROL_USER_SIZE 64

#define CONTROL_COUNTERS(X)                                                                                            \
    X(connections)                                                                                                     \
    X(connections_refused)                                                                                             \
    X(accept_failed)                                                                                                   \
    X(requests)                                                                                                        \
    X(requests_unknown)                                                                                                \
    X(requests_version)                                                                                                \
    X(requests_relayed)                                                                                                \
    X(requests_dispatched)                                                                                             \
    X(frames_bad)                                                                                                      \
    X(frames_oversize)                                                                                                 \
    X(clients_idle)                                                                                                    \
    X(clients_stalled)                                                                                                 \
    X(clients_gone)                                                                                                    \
    X(clients_failed)                                                                                                  \
    X(replies_oversize)                                                                                                \
    X(replies_failed)

#define CONTROL_COUNTER_ENUM(id) CONTROL_COUNT_##id,
enum control_count { CONTROL_COUNTERS(CONTROL_COUNTER_ENUM) CONTROL_COUNT_MAX };

struct control_server {
    struct control_options options;
    uv_pipe_t listener;
    uv_timer_t kick;  /* calls what waits for a drain, so that a handler is never entered from within its own call */
    unsigned handles; /* of the server's own that are open */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct list_node clients;
    size_t client_count;
    struct list_node replies;
    _Atomic uint64_t counts[CONTROL_COUNT_MAX];
    struct counter_table counters;
};

struct control_client {
    struct list_node node;
    struct control_server *server;
    uv_pipe_t pipe;
    uv_timer_t stall;
    uv_work_t who;    /* looks the user up: the name service may block */
    unsigned handles; /* open handles, and who while it runs */
    bool closing;
    bool reading;
    bool processing; /* on the stack of client_process */
    bool active;     /* something was read, written or answered since the last look of the stall timer */
    unsigned uid;
    char user[CONTROL_USER_SIZE];
    struct buf in;
    struct buf out;    /* packed, waiting for the write under way */
    struct buf flying; /* being written */
    size_t queue_seen; /* bytes left of it at the last look of the stall timer */
    uv_write_t write;
    struct control_reply *reply; /* the one under way */
};

struct control_reply {
    struct list_node node;
    struct control_server *server; /* NULL when it closed */
    struct control_client *client; /* NULL: gone, or collected */
    struct arena arena;            /* the request */
    struct control_request request;
    char user[CONTROL_USER_SIZE];
    enum err failed; /* the first frame that could not be packed */
    void (*drained)(void *ctx, struct control_reply *r);
    void *drained_ctx;
    /* collected for control_dispatch */
    void (*done)(void *ctx, struct slice reply_frames);
    void *done_ctx;
    struct buf collected;
};

static inline void control_count(struct control_server *s, enum control_count id)
{
    counter_add(&s->counts[id], 1);
}

/* server.c */
enum err control_uv_err(int uv_status); /* libuv's numbers end here */
/* Hands a request to its handler. reply->request is filled; frame is the request's bytes. */
void control_serve(struct control_server *s, struct control_reply *reply, struct slice frame, bool may_relay);
void control_kick(struct control_server *s); /* have the drained callbacks looked at soon */
void control_server_client_freed(struct control_server *s);

/* client.c */
void control_client_accept(struct control_server *s);
void control_client_drop(struct control_client *c);
void control_client_send(struct control_client *c); /* starts writing what is in c->out */
size_t control_client_pending(const struct control_client *c);
void control_client_reply_ended(struct control_client *c); /* the next request may come */

/* reply.c */
struct control_reply *control_reply_new(struct control_server *s, struct slice user); /* NULL: no memory */
void control_reply_free(struct control_reply *r); /* unlinks it; the handler must never have seen it, or is done */
void control_replies_drained(struct control_server *s); /* calls the handlers that wait and may go on */
void control_replies_orphan(struct control_server *s);  /* the server goes: replies under way have none from now on */

#endif
