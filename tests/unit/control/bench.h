/* bench: a control server on a loop, and its clients as plain descriptors that the test reads between two turns of the
 * loop. Nothing sleeps: each wait turns the loop until what is waited for is there, and a guard fails the test when it
 * never comes. */
#ifndef TANDEM_TESTS_CONTROL_BENCH_H
#define TANDEM_TESTS_CONTROL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control/server.h"

#define GUARD_MS 20000

struct bench {
    uv_loop_t loop;
    uv_timer_t guard;
    char dir[64];
    char path[96];
    const struct control_command *commands;
    size_t command_count;
    struct control_server *server;
    bool closed;
    /* what the handlers did */
    struct control_reply *held;
    unsigned drained_calls;
    size_t flood_left;
    size_t pending_max;
    unsigned calls;
    char user[64];
    struct buf dispatched;
    unsigned dispatched_calls;
};

/* ---- the server's side ---- */

void bench_open_with(struct bench *b, const struct control_command *commands, size_t command_count,
                     struct control_options (*edit)(struct control_options));
struct control_options options_of(struct bench *b);
void server_stop(struct bench *b);
void loop_end(struct bench *b); /* after server_stop; checks that nothing is left behind */
void bench_close(struct bench *b);
void turn(struct bench *b);
uint64_t count(const struct bench *b, const char *name);
void wait_count(struct bench *b, const char *name, uint64_t at_least);
/* A record with one field, "text". */
struct control_record text_record(struct arena *arena, const char *kind, struct slice text);
void say(struct control_reply *r, const char *kind, struct slice text);

/* ---- a client ---- */

struct client {
    int fd;
    struct buf in;
    struct arena arena;
};

int dial(const struct bench *b);
void put(struct bench *b, int fd, struct slice bytes);
void pack_request(struct buf *out, const char *command, const char *text, const char *node, uint32_t version);
void ask(struct bench *b, int fd, const char *command, const char *text);
void client_end(struct client *c);
/* The next frame; false at the end of the stream. */
bool next_frame(struct bench *b, struct client *c, struct control_frame *f);
void expect_record(struct bench *b, struct client *c, const char *kind, const char *text);
void expect_end(struct bench *b, struct client *c, int status, const char *text);
void expect_hangup(struct bench *b, struct client *c);

#endif
