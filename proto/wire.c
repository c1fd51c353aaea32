#include "proto/wire.h"

#define HEAD_BYTES 5 /* of tags and lengths */

enum err wire_take_varint(struct slice *s, size_t bytes_max, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s->n && i < bytes_max; i++) {
        unsigned char byte = (unsigned char)s->p[i];
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) != 0) continue;
        *value = v;
        *s = (struct slice){s->p + i + 1, s->n - i - 1};
        return ERR_OK;
    }
    return ERR_SYNTAX;
}

static enum err take_bytes(struct slice *s, uint64_t n, struct slice *out)
{
    if (n > s->n) return ERR_SYNTAX;
    *out = (struct slice){s->p, (size_t)n};
    *s = (struct slice){s->p + n, s->n - (size_t)n};
    return ERR_OK;
}

enum err wire_take_field(struct slice *s, struct wire_field *f)
{
    uint64_t tag = 0;
    uint64_t length = 0;
    enum err e = wire_take_varint(s, HEAD_BYTES, &tag);
    if (e != ERR_OK) return e;
    if (tag > UINT32_MAX || tag >> 3 == 0) return ERR_SYNTAX;
    *f = (struct wire_field){.number = tag >> 3, .wire = (enum wire)(tag & 7)};
    switch (f->wire) {
    case WIRE_VARINT: return wire_take_varint(s, WIRE_VARINT_MAX, &f->value);
    case WIRE_64: return take_bytes(s, 8, &f->bytes);
    case WIRE_32: return take_bytes(s, 4, &f->bytes);
    case WIRE_BYTES:
        e = wire_take_varint(s, HEAD_BYTES, &length);
        return e == ERR_OK ? take_bytes(s, length, &f->bytes) : e;
    }
    return ERR_SYNTAX; /* a group */
}
