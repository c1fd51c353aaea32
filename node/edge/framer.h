/* framer: cuts the bytes of one connection into SIP messages and keep-alives (RFC 3261 §18.3, RFC 5626 §3.5.1).
 *
 * It does no I/O and calls nobody. Its cost is linear in the bytes received however they are split: a message is parsed
 * again only when something can have changed (its first line or its head has ended, its length is reached, or the bytes
 * have doubled). Its memory is bounded by LIMIT_SIP_HARD and a read's worth, and goes back when everything is consumed.
 */
#ifndef TANDEM_EDGE_FRAMER_H
#define TANDEM_EDGE_FRAMER_H

#include "node/sip/view.h"

struct framer {
    struct buf in;
    size_t start;    /* of what is not consumed */
    size_t parse_at; /* bytes after start below which it is not parsed again, unless a landmark passes */
    size_t scanned;  /* bytes after start that were searched for the ends of first line and head */
    bool line_seen;
    bool head_seen;
    bool half_ping; /* one CRLF came; a second makes a ping */
};

void framer_fini(struct framer *f);
/* Room for bytes to read into, *n of them; NULL when memory is out. */
char *framer_room(struct framer *f, size_t *n);
/* n bytes were put into the room. */
void framer_filled(struct framer *f, size_t n);
/* Bytes of a message are waiting for the rest of it. */
bool framer_partial(const struct framer *f);

enum frame {
    FRAME_MORE,    /* nothing complete is left */
    FRAME_PING,    /* a double CRLF, to be answered by one */
    FRAME_MESSAGE, /* *v; it is consumed by the next framer_next and lives until the next framer_room */
    FRAME_FAULT,   /* the same, with a *fault; its length is known and the next message follows */
    FRAME_LOST     /* *fault, and nobody knows where the next message begins: the connection is of no more use */
};
enum frame framer_next(struct framer *f, struct sip_view *v, enum sip_fault *fault, bool *answerable);

#endif
