/* newer: a node of a version to come. Every message that it packs, and every one inside those, carries a field that
 * today's schema does not have. Linked with --wrap into the nodes of test_versions.py. */
#include <protobuf-c/protobuf-c.h>

size_t __real_protobuf_c_message_get_packed_size(const ProtobufCMessage *m);
size_t __real_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out);
size_t __wrap_protobuf_c_message_get_packed_size(const ProtobufCMessage *m);
size_t __wrap_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out);

static uint8_t text[] = "\x0b"
                        "from-newer!";
static ProtobufCMessageUnknownField field = {
    .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = sizeof text - 1, .data = text};

static void extend(const ProtobufCMessage *m)
{
    ProtobufCMessage *open = (ProtobufCMessage *)(uintptr_t)m;
    if (m->n_unknown_fields == 0) { /* what it passes on of others stays as it is */
        open->unknown_fields = &field;
        open->n_unknown_fields = 1;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)(const void *)at;
            for (size_t k = 0; k < n; k++)
                extend(items[k]);
            continue;
        }
        unsigned chosen = *(const unsigned *)(const void *)((const char *)m + f->quantifier_offset);
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && chosen != f->id) continue;
        const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)(const void *)at;
        if (inner != NULL) extend(inner);
    }
}

size_t __wrap_protobuf_c_message_get_packed_size(const ProtobufCMessage *m)
{
    extend(m);
    return __real_protobuf_c_message_get_packed_size(m);
}

size_t __wrap_protobuf_c_message_pack(const ProtobufCMessage *m, uint8_t *out)
{
    extend(m);
    return __real_protobuf_c_message_pack(m, out);
}
