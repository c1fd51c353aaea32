/* plan_stored: see the header. */
#include "cli/plan_stored.h"

#include "cli/conn.h"
#include "node/base/list.h"
#include "proto/plan_codec.h"

struct entry {
    struct map_node node;
    struct slice key;
    size_t position;
};

enum err plan_stored_init(struct plan_stored *s)
{
    *s = (struct plan_stored){.count = 0};
    return map_init(&s->by_key, 0, 1); /* keys come from the node, which is trusted */
}

void plan_stored_fini(struct plan_stored *s)
{
    map_fini(&s->by_key);
    arena_fini(&s->arena);
    *s = (struct plan_stored){.count = 0};
}

/* The arrays double in the arena; what is left behind is as much again at most. */
static enum err grow(struct plan_stored *s)
{
    size_t cap = s->cap == 0 ? 64 : 2 * s->cap;
    const struct plan_object **objects = arena_alloc(&s->arena, cap * sizeof *objects);
    struct slice *packed = arena_alloc(&s->arena, cap * sizeof *packed);
    if (objects == NULL || packed == NULL) return ERR_NOMEM;
    if (s->count > 0) {
        memcpy(objects, s->objects, s->count * sizeof *objects);
        memcpy(packed, s->packed, s->count * sizeof *packed);
    }
    s->objects = objects;
    s->packed = packed;
    s->cap = cap;
    return ERR_OK;
}

static enum err keep_object(struct plan_stored *s, const struct control_record *r)
{
    struct plan_object *o = arena_alloc(&s->arena, sizeof *o);
    struct entry *entry = arena_alloc(&s->arena, sizeof *entry);
    struct slice packed = arena_copy(&s->arena, control_get_text(r, "packed"));
    enum err e = o != NULL && entry != NULL && packed.p != NULL ? ERR_OK : ERR_NOMEM;
    if (e == ERR_OK && s->count == s->cap) e = grow(s);
    if (e == ERR_OK) e = plan_object_unpack(&s->arena, packed, o, &s->info);
    if (e != ERR_OK) return e;
    *entry = (struct entry){.key = arena_copy(&s->arena, control_get_text(r, "key")), .position = s->count};
    if (entry->key.p == NULL) return ERR_NOMEM;
    s->packed[s->count] = packed;
    s->objects[s->count++] = o;
    map_insert(&s->by_key, &entry->node, map_hash(&s->by_key, entry->key));
    return ERR_OK;
}

static void each(void *ctx, const struct control_record *r)
{
    struct plan_stored *s = ctx;
    struct slice digest = control_get_text(r, "digest");
    if (s->err != ERR_OK) return;
    if (slice_is(r->kind, "plan") && digest.n == sizeof s->digest - 1 && s->digest[0] == '\0')
        memcpy(s->digest, digest.p,
               digest.n); /* of the first look: if the plan moves between two, a change is refused */
    else if (slice_is(r->kind, "object"))
        s->err = keep_object(s, r);
}

int plan_stored_fetch(struct cli *c, const char *prefix, struct plan_stored *s)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct buf end = {0};
    size_t before = s->count;
    control_record_start(&b, &arena, "");
    control_text(&b, "object", slice_of(prefix));
    int status = control_record_done(&b, &args) == ERR_OK ? CLI_DONE : cli_fail_err(c, ERR_NOMEM, NULL);
    if (status == CLI_DONE) {
        status = conn_ask(c, &(struct conn_request){.command = "plan show",
                                                    .args = &args,
                                                    .each = each,
                                                    .ctx = s,
                                                    .progress = "objects read",
                                                    .end_text = &end});
        /* the node refuses to show what is not there; here that is an answer like others */
        bool none =
            status == CLI_REFUSED && s->count == before && slice_starts(buf_view(&end), SLICE("no such object"));
        if (none)
            status = CLI_DONE;
        else if (end.n > 0)
            status = cli_fail(c, status, "%.*s", SLICE_ARG(buf_view(&end)));
    }
    if (status == CLI_DONE && s->err != ERR_OK) status = cli_fail_err(c, s->err, &s->info);
    buf_fini(&end);
    arena_fini(&arena);
    return status;
}

const struct plan_object *plan_stored_find(const struct plan_stored *s, struct slice key, size_t *position)
{
    struct map_node *n = map_first(&s->by_key, map_hash(&s->by_key, key));
    for (; n != NULL; n = map_next(n)) {
        const struct entry *entry = CONTAINER_OF(n, struct entry, node);
        if (!slice_eq(entry->key, key)) continue;
        if (position != NULL) *position = entry->position;
        return s->objects[entry->position];
    }
    return NULL;
}
