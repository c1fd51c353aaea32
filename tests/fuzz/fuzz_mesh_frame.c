/* fuzz_mesh_frame: any bytes as a frame of the mesh; what is taken must pack and come back the same kind, within its
 * bounds. */
#include <stdint.h>

#include "proto/mesh_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct vector_entry *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ASSERT(node_name_valid(&v[i].origin));
}

static void check_snapshot(const struct repl_snapshot *s)
{
    check_names(s->vector, s->vector_count);
    check_names(s->cut, s->cut_count);
    ASSERT(s->object_count <= MESH_ITEMS_MAX && s->change_count <= MESH_ITEMS_MAX);
    for (size_t i = 0; i < s->object_count; i++)
        ASSERT(node_name_valid(&s->objects[i].stamp.origin) && s->objects[i].key.n > 0);
}

static void check_message(const struct repl_message *m)
{
    ASSERT(m->type >= REPL_HEARTBEAT && m->type < REPL_TYPE_COUNT);
    if (m->type == REPL_HEARTBEAT) ASSERT(m->heartbeat.note_count <= LIMIT_MEMBERS);
    if (m->type == REPL_PUSH) check_names(m->push.cut, m->push.cut_count);
    if (m->type == REPL_PUSH) check_names(m->push.state_upto, m->push.state_upto_count);
    if (m->type == REPL_WANT) check_names(m->want.plan, m->want.plan_count);
    if (m->type == REPL_WANT) check_names(m->want.state, m->want.state_count);
    if (m->type == REPL_FETCH) check_names(m->fetch.have, m->fetch.have_count);
    if (m->type == REPL_SNAPSHOT) check_snapshot(&m->snapshot);
    if (m->type == REPL_RECEIPT) ASSERT(m->receipt.id_count <= MESH_ITEMS_MAX);
}

static void check_frame(const struct mesh_frame *f, struct arena *arena)
{
    struct buf packed = {0};
    struct mesh_frame again;
    ASSERT(node_name_valid(&f->sender));
    if (f->type == MESH_MESSAGE) check_message(&f->message);
    if (f->type == MESH_FRAGMENT) ASSERT(f->fragment.offset + f->fragment.data.n <= f->fragment.total);
    ASSERT(mesh_frame_pack(f, &packed) == ERR_OK);
    ASSERT(mesh_frame_unpack(arena, buf_view(&packed), &again, NULL) == ERR_OK);
    ASSERT(again.type == f->type && node_name_eq(&again.sender, &f->sender) && slice_eq(again.cluster, f->cluster));
    buf_fini(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct mesh_frame f;
    if (mesh_frame_unpack(&arena, (struct slice){(const char *)data, size}, &f, NULL) == ERR_OK)
        check_frame(&f, &arena);
    arena_fini(&arena);
    return 0;
}
