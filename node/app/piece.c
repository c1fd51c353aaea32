/* piece: see piece.h. */
#include "node/app/piece.h"

#include <stdlib.h>

#define ITEMS_MAX 16384
#define OBJECT_OVERHEAD 40 /* bytes of one object beside its key, value and origin */

/* Whether an item of so many bytes still goes in. The first always does: else it could never be sent. */
static bool takes(struct piece *p, size_t bytes)
{
    size_t count = p->snapshot.object_count + p->snapshot.change_count;
    if (count > 0 && (p->bytes + bytes > LIMIT_MESH_CHUNK || count == ITEMS_MAX)) {
        p->snapshot.more = true;
        return false;
    }
    p->bytes += bytes;
    return true;
}

/* items with room for one more; NULL when memory is out, and items is then still valid. */
static void *room(struct piece *p, void *items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) return items;
    size_t want = *cap == 0 ? 64 : *cap * 2;
    void *grown = realloc(items, want * size);
    if (grown == NULL) {
        p->err = ERR_NOMEM;
        return NULL;
    }
    *cap = want;
    return grown;
}

static bool add_object(void *ctx, const struct snapshot_object *o)
{
    struct piece *p = ctx;
    if (!takes(p, o->key.n + o->value.n + OBJECT_OVERHEAD)) return false;
    struct snapshot_object *grown = room(p, p->objects, &p->object_cap, p->snapshot.object_count, sizeof *grown);
    if (grown == NULL) return false;
    p->objects = grown;
    p->objects[p->snapshot.object_count++] = *o;
    return true;
}

static enum err read_objects(struct store_read *read, const struct repl_fetch *fetch, struct piece *p)
{
    enum err e = store_snapshot(read, fetch->after, add_object, p);
    if (fetch->after.n == 0) {
        p->snapshot.vector = p->have.plan;
        p->snapshot.vector_count = p->have.plan_count;
    }
    return e;
}

static bool add_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct piece *p = ctx;
    if (!takes(p, packed.n)) return false;
    struct changeset *grown = room(p, p->changes, &p->change_cap, p->snapshot.change_count, sizeof *grown);
    if (grown == NULL) return false;
    p->changes = grown;
    p->changes[p->snapshot.change_count++] = (struct changeset){.id = *id, .packed = packed};
    return true;
}

static uint64_t high_of(const struct repl_fetch *fetch, const struct vector_entry *like)
{
    for (size_t i = 0; i < fetch->have_count; i++) {
        const struct vector_entry *e = &fetch->have[i];
        if (e->epoch == like->epoch && node_name_eq(&e->origin, &like->origin)) return e->high;
    }
    return 0;
}

/* What our log has above the asker's vector. When it does not reach back that far any more, there is no tail. */
static enum err read_tail(struct store_read *read, const struct repl_fetch *fetch, struct piece *p)
{
    for (size_t i = 0; i < p->have.plan_count && !p->snapshot.more; i++) {
        const struct vector_entry *ours = &p->have.plan[i];
        uint64_t high = high_of(fetch, ours);
        if (high >= ours->high) continue;
        if (high < p->have.plan_base[i]) {
            p->snapshot.change_count = 0;
            p->snapshot.more = true;
            return ERR_OK;
        }
        enum err e = store_log(read, &ours->origin, ours->epoch, high + 1, add_change, p);
        if (e != ERR_OK || p->err != ERR_OK) return e;
    }
    return p->snapshot.more ? ERR_OK : store_cut(read, &p->arena, &p->snapshot.cut, &p->snapshot.cut_count);
}

enum err piece_read(struct store_read *read, const struct repl_fetch *fetch, struct piece *p)
{
    *p = (struct piece){.snapshot = {.id = fetch->id, .tail = fetch->tail}};
    enum err e = store_load_start(read, &p->arena, &p->have);
    p->snapshot.floor = p->have.floor;
    if (e == ERR_OK) e = fetch->tail ? read_tail(read, fetch, p) : read_objects(read, fetch, p);
    p->snapshot.objects = p->objects;
    p->snapshot.changes = p->changes;
    return e == ERR_OK ? p->err : e;
}

void piece_fini(struct piece *p)
{
    free(p->objects);
    free(p->changes);
    arena_fini(&p->arena);
    *p = (struct piece){.err = ERR_OK};
}
