/* udp: datagrams in and out of the UDP listeners of a transport, many per system call.
 *
 * Failures are noted in transport.udp_failed and reported by udp_report, never from inside udp_send. */
#ifndef TANDEM_EDGE_UDP_H
#define TANDEM_EDGE_UDP_H

#include "node/edge/transport_internal.h"

/* The buffers that every UDP listener receives into. NULL: no memory. */
struct udp_ring *udp_ring_new(void);
void udp_ring_free(struct udp_ring *r);

/* A bound socket with the options that udp needs; the port really bound is put into *address. ERR_EXISTS: in use;
 * ERR_IO. errno says why. */
MUST_CHECK enum err udp_socket_open(union sock_address *address, int *fd);
/* Starts receiving. ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err udp_attach(struct listener *l);
/* Queues one datagram; a full batch is written at once. */
MUST_CHECK enum err udp_send(struct listener *l, const union sock_address *to, struct slice data, uint64_t token);
/* Writes what is queued, as far as the kernel takes it. */
void udp_flush(struct listener *l);
/* Calls on_send_failed for what has failed so far. */
void udp_report(struct transport *t);
/* Closes the listener's handle and drops what is queued. */
void udp_close(struct listener *l);
/* Frees the datagrams that are kept for reuse and those not reported. */
void udp_drop_all(struct transport *t);

#endif
