/* stream_conn: one TCP or TLS connection as stream.c, stream_conn.c and stream_read.c share it. The record is
 * stream_table.h's.
 *
 * Every change of state goes through stream_enter. Memory of a connection goes in its close callback, which also
 * reports what could not be written, so that no report comes from inside a send. */
#ifndef TANDEM_EDGE_STREAM_CONN_H
#define TANDEM_EDGE_STREAM_CONN_H

#include "node/edge/stream_table.h"

/* A record with its handle, neither connected nor listed; remote may be NULL. NULL: no memory. */
struct stream *stream_new(struct transport *t, enum plan_transport transport, const union sock_address *remote,
                          enum stream_state state);
/* The TCP connection stands: reads, and lets TLS begin. ERR_NOMEM, ERR_IO: the caller closes it. */
MUST_CHECK enum err stream_begin(struct stream *s);
/* Reads what comes. ERR_IO: the caller closes it. */
MUST_CHECK enum err stream_read(struct stream *s);
/* Closes at once; the record lives until its close callback. Allowed in every state. */
void stream_close(struct stream *s);
/* Takes nothing more in either direction, writes what is queued, then closes. */
void stream_finish(struct stream *s);

void stream_enter(struct stream *s, enum stream_state to); /* ASSERTs that the move is allowed */
/* Sets the alarm to the next deadline; after every change that one depends on. */
void stream_rearm(struct stream *s);

/* Queues one write; own: a keep-alive, whose fate nobody waits for. ERR_FULL (counted), ERR_NOMEM. */
MUST_CHECK enum err stream_enqueue(struct stream *s, struct slice data, uint64_t token, bool own);
/* Has the connection written before the loop polls. */
void stream_mark_dirty(struct stream *s);

#endif
