#include "proto/arena_alloc.h"

struct arena_allocator {
    struct arena *arena;
    bool failed; /* tells lack of memory from bad input: protobuf-c returns NULL for both */
};

static void *allocator_alloc(void *ctx, size_t n)
{
    struct arena_allocator *a = ctx;
    void *p = arena_alloc(a->arena, n);
    if (p == NULL) a->failed = true;
    return p;
}

static void allocator_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

enum err proto_pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    if (n == 0) return out->failed ? ERR_NOMEM : ERR_OK;
    char *room = buf_room(out, n);
    if (room == NULL) return ERR_NOMEM;
    ASSERT(protobuf_c_message_pack(m, (uint8_t *)room) == n);
    out->n += n;
    return ERR_OK;
}

enum err proto_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct slice packed, void **out)
{
    struct arena_allocator a = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = allocator_alloc, .free = allocator_free, .allocator_data = &a};
    const uint8_t *data = (const uint8_t *)(packed.p != NULL ? packed.p : "");
    void *m = protobuf_c_message_unpack(type, &allocator, packed.n, data);
    if (m == NULL) return a.failed ? ERR_NOMEM : ERR_SYNTAX;
    *out = m;
    return ERR_OK;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / 2 / size) return NULL;
    return arena_alloc(arena, count * size);
}

enum err proto_slices_in(struct arena *arena, const ProtobufCBinaryData *in, size_t count, size_t max,
                         const struct slice **out)
{
    if (count > max) return ERR_LIMIT;
    if (count == 0) return ERR_OK;
    struct slice *s = arena_array(arena, count, sizeof *s);
    if (s == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        s[i] = bytes_in(in[i]);
    *out = s;
    return ERR_OK;
}

ProtobufCBinaryData *proto_slices_out(struct arena *arena, const struct slice *in, size_t count)
{
    ProtobufCBinaryData *out = arena_array(arena, count, sizeof *out);
    for (size_t i = 0; out != NULL && i < count; i++)
        out[i] = bytes_out(in[i]);
    return out;
}
