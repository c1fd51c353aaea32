/* arena_alloc: what every codec of this folder shares: protobuf-c unpacking into an arena, packing into a buffer, and
 * the conversion between its byte strings and slices.
 *
 * Invariant: nothing that protobuf-c allocates outlives the arena or needs a free of its own. Only codecs include this.
 */
#ifndef TANDEM_PROTO_ARENA_ALLOC_H
#define TANDEM_PROTO_ARENA_ALLOC_H

#include <protobuf-c/protobuf-c.h>

#include "node/base/bytes.h"

static inline ProtobufCBinaryData bytes_out(struct slice s)
{
    return (ProtobufCBinaryData){.len = s.n, .data = (uint8_t *)(uintptr_t)s.p}; /* packing only reads it */
}
static inline struct slice bytes_in(ProtobufCBinaryData b)
{
    return (struct slice){(const char *)b.data, b.len};
}

/* Appends the message to out. ERR_NOMEM, also when out had failed before. */
MUST_CHECK enum err proto_pack(const ProtobufCMessage *m, struct buf *out);

/* *out is the generated struct, in arena; its texts are copies in arena. ERR_SYNTAX when the bytes are not protobuf of
 * this type, ERR_NOMEM. Accepts every value that protobuf can hold: checking them is the codec's part. */
MUST_CHECK enum err proto_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct slice packed,
                                 void **out);

/* count elements of size bytes each, zeroed; NULL when memory is out or the product overflows. count may be 0. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* Slices of a repeated bytes field. max is its cap: ERR_LIMIT. */
MUST_CHECK enum err proto_slices_in(struct arena *arena, const ProtobufCBinaryData *in, size_t count, size_t max,
                                    const struct slice **out);
/* The other way, borrowed texts. NULL when memory is out. */
ProtobufCBinaryData *proto_slices_out(struct arena *arena, const struct slice *in, size_t count);

#endif
