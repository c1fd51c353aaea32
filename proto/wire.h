/* wire: protobuf's wire format, for what must look at a field before protobuf-c unpacks it, or reads and writes without
 * an object of protobuf-c's between. Internal to proto. Source: https://protobuf.dev/programming-guides/encoding/ */
#ifndef TANDEM_PROTO_WIRE_H
#define TANDEM_PROTO_WIRE_H

#include "node/base/bytes.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct wire_field {
    uint64_t number;
    enum wire wire;
    uint64_t value;     /* of a varint */
    struct slice bytes; /* of a text or a message, {NULL, 0} of a varint */
};
/* The first field of a message, off the front of s. protobuf-c reads tags and lengths of five bytes at most; a tag that
 * it would cut to 32 bits is refused, so that both see the same fields; so are groups. ERR_SYNTAX. */
MUST_CHECK enum err wire_take_field(struct slice *s, struct wire_field *f);
/* What stands at the front of s and has at most bytes_max bytes. ERR_SYNTAX. */
MUST_CHECK enum err wire_take_varint(struct slice *s, size_t bytes_max, uint64_t *value);

#define WIRE_VARINT_MAX 10
/* Writes v at p, which has room for WIRE_VARINT_MAX bytes; returns what follows it. */
static inline char *wire_put_varint(char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static inline void wire_add_varint(struct buf *out, uint64_t v)
{
    char text[WIRE_VARINT_MAX];
    buf_add(out, text, (size_t)(wire_put_varint(text, v) - text));
}

/* ---- fields, as protobuf-c writes them: none that is zero or empty ---- */

#define WIRE_FIELD_ROOM (2 + WIRE_VARINT_MAX) /* what a field takes at most beside its text; numbers up to 2047 */
static inline char *wire_put_number(char *p, unsigned field, uint64_t value)
{
    return value != 0 ? wire_put_varint(wire_put_varint(p, field << 3), value) : p;
}

static inline char *wire_put_text(char *p, unsigned field, struct slice text)
{
    if (text.n == 0) return p;
    p = wire_put_varint(wire_put_varint(p, field << 3 | WIRE_BYTES), text.n);
    memcpy(p, text.p, text.n);
    return p + text.n;
}

/* A sint64. */
static inline uint64_t wire_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

#endif
