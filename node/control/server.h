/* server: the control socket: a Unix stream socket with framed protobuf (proto/control_codec.h). Its permissions are
 * the access control: mode 0660. The peer's user (SO_PEERCRED) is the author of what it changes.
 *
 * One request at a time per connection; a reply is any number of records and one end. Commands live in a table that
 * node/app gives; the server knows none of them. Loop thread only. A client that does not read is paused, then dropped.
 */
#ifndef TANDEM_CONTROL_SERVER_H
#define TANDEM_CONTROL_SERVER_H

#include <uv.h>

#include "node/base/counter.h"
#include "node/base/log.h"
#include "proto/control_codec.h"

struct control_server;
struct control_reply; /* one request under way */

typedef void control_handler(void *ctx, const struct control_request *request, struct control_reply *reply);

typedef void control_relay(void *ctx, const struct control_request *request, struct slice request_frame,
                           struct control_reply *reply);

struct control_command {
    const char *name; /* "plan apply" */
    control_handler *handler;
};

struct control_options {
    uv_loop_t *loop;
    const struct log *log;
    const char *path; /* a stale socket file (nobody answers) is replaced; a live one is ERR_EXISTS */
    const struct control_command *commands;
    size_t command_count;
    void *ctx; /* for the handlers */
    /* A request with --node for another node than this one: relay gets it together with its own bytes (valid for the
     * call) and ends the reply, for instance with control_reply_frames. NULL: such a request is refused. */
    const char *node; /* this node's name */
    control_relay *relay;
    uint32_t stall_ms; /* a client that neither reads nor asks for so long (up to twice that) is dropped; 0: 30 s */
};

MUST_CHECK enum err control_open(const struct control_options *options, struct control_server **out,
                                 struct err_info *info);
void control_close(struct control_server *s, void (*closed)(void *ctx), void *ctx);
const struct counter_table *control_counters(const struct control_server *s);

/* The handler ends each reply exactly once, now or later on the loop thread. Between, it may send records. When the
 * client went away the calls do nothing; control_reply_gone tells. Each record is copied. The request lives until the
 * end of its reply. A record that cannot be packed (over a cap, no memory) makes the end an error. */
void control_reply_record(struct control_reply *r, const struct control_record *record);
void control_reply_progress(struct control_reply *r, struct slice text, uint64_t done, uint64_t total);
/* status is the exit status of clusterctl: 0 done, 1 refused, 3 conflict or lint findings, 4 done on part of the
 * cluster, 5 unreachable. text "" or what went wrong and how to mend it. */
void control_reply_end(struct control_reply *r, int status, struct slice text);
bool control_reply_gone(const struct control_reply *r);
/* Frames as another node packed them, passed on as they are; an end among them ends the reply (the return value is then
 * true and r gone). Frames that do not parse end it too, as an error. */
bool control_reply_frames(struct control_reply *r, struct slice frames);
/* Bytes waiting to be read by the client: a handler with much to say pauses above 1 MiB and goes on when drained calls
 * it: once, from the loop, below 256 KiB or when the client is gone. */
#define CONTROL_PENDING_PAUSE (1024 * 1024)
size_t control_reply_pending(const struct control_reply *r);
void control_reply_on_drain(struct control_reply *r, void (*drained)(void *ctx, struct control_reply *r), void *ctx);
/* "alice" behind the socket (the numeric uid when it has no name). */
struct slice control_reply_user(const struct control_reply *r);

/* A request that came from elsewhere (relayed through the mesh): dispatched to the same table; everything that is said
 * is collected as frames and handed to done, once. */
MUST_CHECK enum err control_dispatch(struct control_server *s, struct slice request_frame, struct slice user,
                                     void (*done)(void *ctx, struct slice reply_frames), void *ctx);

#endif
