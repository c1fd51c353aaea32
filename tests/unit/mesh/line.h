/* line: a TCP line between two meshes that can go silent: what a router does that forgets its translations. Bytes of
 * the connections that were there then go nowhere, and neither side is told; new connections pass. On the rig's loop.
 */
#ifndef TANDEM_TESTS_MESH_LINE_H
#define TANDEM_TESTS_MESH_LINE_H

#include <uv.h>

#include "node/base/limits.h"

#define LINE_PAIRS 16

struct line_pair;

struct line {
    uv_tcp_t listener;
    unsigned target_port;
    char address[LIMIT_HOST]; /* where to dial instead of the target */
    struct line_pair *pairs[LINE_PAIRS];
    size_t count; /* connections ever made */
};

/* Forwards 127.0.0.1:(some port) to 127.0.0.1:target_port. */
void line_open(struct line *l, uv_loop_t *loop, unsigned target_port);
/* The connections that there are now carry nothing any more. */
void line_silence(struct line *l);
/* Ends the connections and the listener; their memory goes as the loop turns. */
void line_close(struct line *l);

#endif
