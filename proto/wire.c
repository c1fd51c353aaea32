/* wire: see the header. Wire format: https://protobuf.dev/programming-guides/encoding/ */
#include "proto/wire.h"

/* A varint of at most bytes_max bytes; s moves behind it. */
static enum err take_varint(struct slice *s, size_t bytes_max, uint64_t *value)
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

static enum err skip_bytes(struct slice *s, uint64_t n)
{
    if (n > s->n) return ERR_SYNTAX;
    *s = (struct slice){s->p + n, s->n - n};
    return ERR_OK;
}

enum err wire_element(struct slice *s, uint64_t *number, bool *delimited, struct slice *body)
{
    uint64_t tag = 0;
    uint64_t value = 0;
    enum err e = take_varint(s, 5, &tag);
    if (e != ERR_OK) return e;
    if (tag > UINT32_MAX || tag >> 3 == 0) return ERR_SYNTAX;
    *number = tag >> 3;
    *delimited = (tag & 7) == 2;
    switch (tag & 7) {
    case 0: return take_varint(s, 10, &value);
    case 1: return skip_bytes(s, 8);
    case 5: return skip_bytes(s, 4);
    case 2: break;
    default: return ERR_SYNTAX; /* groups */
    }
    e = take_varint(s, 5, &value);
    if (e != ERR_OK) return e;
    *body = (struct slice){s->p, (size_t)value};
    return skip_bytes(s, value);
}
