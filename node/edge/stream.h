/* stream: SIP over TCP and TLS connections: what transport.c uses of stream.c. */
#ifndef TANDEM_EDGE_STREAM_H
#define TANDEM_EDGE_STREAM_H

#include "node/edge/transport_internal.h"

/* A socket that listens; the port really bound is put into *address. ERR_EXISTS: in use; ERR_IO. errno says why. */
MUST_CHECK enum err stream_socket_open(union sock_address *address, int *fd);
/* Starts accepting; l->fd passes to the handle. ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err stream_attach(struct listener *l);
/* transport_send for TCP and TLS. */
MUST_CHECK enum err stream_send(struct transport *t, const struct flow *to, bool expect_member, struct slice host,
                                struct slice data, uint64_t token);
/* Writes what is queued on connections that are ready. */
void stream_flush_dirty(struct transport *t);
void stream_close_listener(struct listener *l);
/* Closes every connection; what is queued was tried once by stream_flush_dirty and is dropped. */
void stream_close_all(struct transport *t);

#endif
