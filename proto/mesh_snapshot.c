/* See mesh_message.h. The two messages by which a replica is fetched piece by piece. */
#include "proto/mesh_message.h"

#include "proto/plan_codec.h"

/* ---- pack ---- */

enum err mesh_fetch_to_proto(const struct repl_fetch *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    Tandem__Mesh__Fetch *p = arena_alloc(scratch, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    if (m->after.n > MESH_OBJECT_KEY_MAX) return ERR_LIMIT;
    *p = (Tandem__Mesh__Fetch)TANDEM__MESH__FETCH__INIT;
    p->id = m->id;
    p->tail = m->tail;
    p->after = mesh_bytes(m->after);
    enum err err = mesh_vector_to_proto(m->have, m->have_count, scratch, &p->have, &p->n_have);
    out->body_case = TANDEM__MESH__FRAME__BODY_FETCH;
    out->fetch = p;
    return err;
}

static enum err objects_to_proto(const struct repl_snapshot *m, struct arena *scratch, Tandem__Mesh__Snapshot *p)
{
    if (m->object_count > MESH_ITEMS_MAX) return ERR_LIMIT;
    Tandem__Mesh__SnapshotObject *items = arena_alloc(scratch, m->object_count * sizeof *items);
    Tandem__Mesh__SnapshotObject **list = arena_alloc(scratch, m->object_count * sizeof *list);
    if (items == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->object_count; i++) {
        const struct snapshot_object *o = &m->objects[i];
        if (o->key.n > MESH_OBJECT_KEY_MAX || o->value.n > LIMIT_OBJECT) return ERR_LIMIT;
        items[i] = (Tandem__Mesh__SnapshotObject)TANDEM__MESH__SNAPSHOT_OBJECT__INIT;
        items[i].key = mesh_bytes(o->key);
        items[i].value = mesh_bytes(o->value);
        items[i].time = o->stamp.time.v;
        items[i].origin = mesh_bytes(node_name_slice(&o->stamp.origin));
        items[i].epoch = o->stamp.epoch;
        items[i].deleted = o->deleted;
        list[i] = &items[i];
    }
    p->objects = list;
    p->n_objects = m->object_count;
    return ERR_OK;
}

enum err mesh_snapshot_to_proto(const struct repl_snapshot *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    if (m->change_count > MESH_ITEMS_MAX) return ERR_LIMIT;
    Tandem__Mesh__Snapshot *p = arena_alloc(scratch, sizeof *p);
    ProtobufCBinaryData *changes = arena_alloc(scratch, m->change_count * sizeof *changes);
    if (p == NULL || changes == NULL) return ERR_NOMEM;
    *p = (Tandem__Mesh__Snapshot)TANDEM__MESH__SNAPSHOT__INIT;
    p->id = m->id;
    p->retry_ms = m->retry_ms;
    p->tail = m->tail;
    p->more = m->more;
    p->floor = m->floor.v;
    enum err err = objects_to_proto(m, scratch, p);
    for (size_t i = 0; err == ERR_OK && i < m->change_count; i++)
        err = mesh_change_bytes(&m->changes[i], scratch, &changes[i]);
    if (err == ERR_OK) err = mesh_vector_to_proto(m->vector, m->vector_count, scratch, &p->vector, &p->n_vector);
    if (err == ERR_OK) err = mesh_vector_to_proto(m->cut, m->cut_count, scratch, &p->cut, &p->n_cut);
    p->changes = changes;
    p->n_changes = m->change_count;
    out->body_case = TANDEM__MESH__FRAME__BODY_SNAPSHOT;
    out->snapshot = p;
    return err;
}

/* ---- unpack ---- */

enum err mesh_take_fetch(const Tandem__Mesh__Fetch *p, struct arena *arena, struct repl_fetch *m, struct err_info *info)
{
    m->id = p->id;
    m->tail = p->tail;
    m->after = mesh_slice(p->after);
    if (m->after.n > MESH_OBJECT_KEY_MAX)
        return err_fail(info, ERR_LIMIT, "mesh message: a key of %zu bytes", m->after.n);
    return mesh_take_vector(p->have, p->n_have, arena, &m->have, &m->have_count, info);
}

static enum err take_object(const Tandem__Mesh__SnapshotObject *p, struct snapshot_object *o, struct err_info *info)
{
    if (p->key.len == 0 || p->key.len > MESH_OBJECT_KEY_MAX || p->value.len > LIMIT_OBJECT)
        return err_fail(info, ERR_LIMIT, "mesh message: an object of %zu and %zu bytes", p->key.len, p->value.len);
    o->key = mesh_slice(p->key);
    o->value = mesh_slice(p->value);
    o->stamp.time.v = p->time;
    o->stamp.epoch = p->epoch;
    o->deleted = p->deleted;
    return mesh_take_name(p->origin, &o->stamp.origin, info);
}

enum err mesh_take_snapshot(const Tandem__Mesh__Snapshot *p, struct arena *arena, struct repl_snapshot *m,
                            struct err_info *info)
{
    if (p->n_objects > MESH_ITEMS_MAX || p->n_changes > MESH_ITEMS_MAX)
        return err_fail(info, ERR_LIMIT, "mesh message: a piece of %zu objects and %zu change-sets", p->n_objects,
                        p->n_changes);
    struct snapshot_object *objects = arena_alloc(arena, p->n_objects * sizeof *objects);
    struct changeset *changes = arena_alloc(arena, p->n_changes * sizeof *changes);
    if (objects == NULL || changes == NULL) return ERR_NOMEM;
    enum err err = mesh_take_vector(p->vector, p->n_vector, arena, &m->vector, &m->vector_count, info);
    if (err == ERR_OK) err = mesh_take_vector(p->cut, p->n_cut, arena, &m->cut, &m->cut_count, info);
    for (size_t i = 0; err == ERR_OK && i < p->n_objects; i++)
        err = take_object(p->objects[i], &objects[i], info);
    for (size_t i = 0; err == ERR_OK && i < p->n_changes; i++)
        err = changeset_unpack(arena, mesh_slice(p->changes[i]), &changes[i], info);
    m->id = p->id;
    m->retry_ms = p->retry_ms;
    m->tail = p->tail;
    m->more = p->more;
    m->floor.v = p->floor;
    m->objects = objects;
    m->object_count = p->n_objects;
    m->changes = changes;
    m->change_count = p->n_changes;
    return err;
}
