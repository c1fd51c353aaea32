/* listener: where peers come in: one REP socket with contexts, the name that each connection has proved, and a watchdog
 * over the accepting socket.
 *
 * A connection must prove its name before anything but a hello is taken from it. The contexts bound what is being
 * handled at once; a peer's request waits in its own connection meanwhile, which is the back-pressure. Threads: the aio
 * and pipe callbacks run on NNG's. */
#ifndef TANDEM_MESH_LISTENER_H
#define TANDEM_MESH_LISTENER_H

#include "node/mesh/internal.h"

/* Binds. ERR_SYNTAX, ERR_EXISTS, ERR_IO. Nothing is received before listener_start. */
MUST_CHECK enum err listener_open(struct mesh *m, const char *address, struct listener **out, struct err_info *info);
void listener_start(struct listener *s);
const char *listener_address(const struct listener *s);
/* The connections that proved this name have to prove it again, and cannot when it is evicted. */
void listener_drop(struct listener *s, const struct node_name *name);
void listener_on_request(struct inbox_item *item); /* INBOX_REQUEST */
void listener_on_peer(struct inbox_item *item);    /* INBOX_PEER */
void listener_tick(struct listener *s, struct mono now);

/* mesh_close: on the loop thread, then on a thread of its own (both wait for NNG), then on the loop thread again. */
void listener_cancel(struct listener *s);
bool listener_quiet(struct listener *s); /* true when there are connections */
void listener_stop(struct listener *s);
void listener_free(struct listener *s);

#endif
