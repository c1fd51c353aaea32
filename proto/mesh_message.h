/* mesh_message: the messages of node/repl inside a mesh frame. Internal to proto/: mesh_codec.c is the only user. */
#ifndef TANDEM_PROTO_MESH_MESSAGE_H
#define TANDEM_PROTO_MESH_MESSAGE_H

#include "mesh.pb-c.h"

#include "proto/mesh_codec.h"

static inline struct slice mesh_slice(ProtobufCBinaryData b)
{
    return (struct slice){(const char *)b.data, b.len};
}
/* protobuf-c never writes through data when it packs. */
static inline ProtobufCBinaryData mesh_bytes(struct slice s)
{
    return (ProtobufCBinaryData){.len = s.n, .data = (uint8_t *)(uintptr_t)s.p};
}

/* [A-Za-z0-9._-], 1 .. LIMIT_NAME characters. */
bool mesh_token_valid(struct slice s);

/* What both files of messages need. ERR_LIMIT, ERR_SYNTAX, ERR_NOMEM. */
MUST_CHECK enum err mesh_vector_to_proto(const struct vector_entry *v, size_t count, struct arena *scratch,
                                         Tandem__Mesh__VectorEntry ***out, size_t *n_out);
MUST_CHECK enum err mesh_take_vector(Tandem__Mesh__VectorEntry *const *list, size_t count, struct arena *arena,
                                     const struct vector_entry **out, size_t *count_out, struct err_info *info);
MUST_CHECK enum err mesh_take_name(ProtobufCBinaryData b, struct node_name *name, struct err_info *info);
/* The original bytes of a change-set; one that was made here and never packed is packed now. */
MUST_CHECK enum err mesh_change_bytes(const struct changeset *c, struct arena *scratch, ProtobufCBinaryData *out);

/* mesh_snapshot.c */
MUST_CHECK enum err mesh_fetch_to_proto(const struct repl_fetch *m, struct arena *scratch, Tandem__Mesh__Frame *out);
MUST_CHECK enum err mesh_snapshot_to_proto(const struct repl_snapshot *m, struct arena *scratch,
                                           Tandem__Mesh__Frame *out);
MUST_CHECK enum err mesh_take_fetch(const Tandem__Mesh__Fetch *p, struct arena *arena, struct repl_fetch *m,
                                    struct err_info *info);
MUST_CHECK enum err mesh_take_snapshot(const Tandem__Mesh__Snapshot *p, struct arena *arena, struct repl_snapshot *m,
                                       struct err_info *info);

/* Fills the body of out; what it points at lives in scratch or is borrowed from m. ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err mesh_message_to_proto(const struct repl_message *m, struct arena *scratch,
                                          Tandem__Mesh__Frame *out);
/* p's body is one of a message; everything that m points at lives in arena, as p does. ERR_SYNTAX, ERR_LIMIT,
 * ERR_NOMEM. */
MUST_CHECK enum err mesh_message_from_proto(const Tandem__Mesh__Frame *p, struct arena *arena, struct repl_message *m,
                                            struct err_info *info);

#endif
