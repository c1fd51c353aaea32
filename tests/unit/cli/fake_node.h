/* fake_node: a control server on a thread of its own, whose handlers a test gives; and one run of clusterctl against
 * it, with its output in memory. */
#ifndef TANDEM_TESTS_CLI_FAKE_NODE_H
#define TANDEM_TESTS_CLI_FAKE_NODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "cli/cli.h"
#include "node/control/server.h"

struct fake_node {
    char dir[64];
    char path[96];
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    struct control_server *server;
};

/* Handlers run on the node's thread, with ctx. */
void fake_node_start(struct fake_node *n, const struct control_command *commands, size_t count, void *ctx);
/* Also removes its directory, which must be empty then. */
void fake_node_stop(struct fake_node *n);

/* Sends one record of text fields: name, value, ..., NULL. A value "#5" is the integer 5, "?1" a boolean, "!" null. */
void fake_say(struct control_reply *r, const char *kind, ...) __attribute__((sentinel));

struct run {
    int status;
    char *out;
    char *err;
};

/* "status -o json": words split at spaces, '_' within a word is a space. socket may be NULL. */
void run_cli(struct run *r, const char *socket, const char *line);
void run_end(struct run *r);
/* Runs, and compares everything. NULL: not looked at. */
void expect_run(const char *socket, const char *line, int status, const char *out, const char *err);
/* The same, but out and err only contain these texts. */
void expect_run_has(const char *socket, const char *line, int status, const char *out, const char *err);

#endif
