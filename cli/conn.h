/* conn: one request to a node over its control socket, and its reply. Blocking; one connection for each request. */
#ifndef TANDEM_CLI_CONN_H
#define TANDEM_CLI_CONN_H

#include "cli/cli.h"

#define CONN_PATIENCE_MS 30000 /* silence after which a node counts as unreachable */

/* The record is valid during the call. */
typedef void conn_record(void *ctx, const struct control_record *r);

/* A last argument that is too large to be held: size bytes from the beginning of file. */
struct conn_bulk {
    const char *name;
    FILE *file; /* NULL: there is none */
    uint64_t size;
};

struct conn_request {
    const char *command;
    const struct control_record *args; /* NULL: none */
    struct conn_bulk bulk;
    uint64_t patience_ms; /* 0: CONN_PATIENCE_MS */
    conn_record *each;    /* NULL: records are ignored */
    void *ctx;
    const char *progress; /* what is said, with the count of records, while they come; NULL: nothing */
    bool quiet;           /* a failure is not said: the caller has another way */
    struct buf *end_text; /* NULL: the text of the reply's end is said; else it is appended here, and not said */
};

/* Returns the status of the reply's end; its text, like every failure on the way, is said by cli_fail. */
int conn_ask(struct cli *c, const struct conn_request *request);

#endif
