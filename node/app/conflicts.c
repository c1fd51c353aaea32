#include "node/app/conflicts.h"

#include <stdlib.h>

#include "node/app/listing.h"
#include "proto/plan_codec.h"

static bool visit_count(void *ctx, const struct store_conflict *c)
{
    size_t *count = ctx;
    (void)c;
    return ++*count < CONFLICTS_COUNTED;
}

enum err conflicts_count(struct store_read *read, size_t *count)
{
    *count = 0;
    return store_conflicts(read, SLICE(""), visit_count, count);
}

/* ---- accepting ---- */

struct accept {
    struct store_read *read;
    struct arena *arena;
    struct plan_change *c;
    size_t cap;
    enum err err;
};

/* The operations double in the arena. */
static enum err add_op(struct accept *a, struct slice object)
{
    struct plan_change *c = a->c;
    if (c->op_count == a->cap) {
        size_t cap = a->cap == 0 ? 16 : 2 * a->cap;
        struct change_op *grown = arena_alloc(a->arena, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        if (c->op_count > 0) memcpy(grown, c->ops, c->op_count * sizeof *grown);
        c->ops = grown;
        a->cap = cap;
    }
    struct stamp *seen = arena_alloc(a->arena, CHANGE_SEEN_MAX * sizeof *seen);
    struct change_op op = {.kind = CHANGE_ACCEPT, .key = arena_copy(a->arena, object), .seen = seen};
    if (seen == NULL || op.key.p == NULL) return ERR_NOMEM;
    enum err e = store_conflict_heads(a->read, object, seen, CHANGE_SEEN_MAX, &op.seen_count);
    if (e == ERR_OK) c->ops[c->op_count++] = op;
    return e;
}

/* Rows of one object follow each other. */
static bool visit_accept(void *ctx, const struct store_conflict *row)
{
    struct accept *a = ctx;
    struct plan_change *c = a->c;
    if (c->op_count == LIMIT_CHANGE_OPS) return false;
    if (c->op_count > 0 && slice_eq(c->ops[c->op_count - 1].key, row->object)) return true;
    a->err = add_op(a, row->object);
    return a->err == ERR_OK;
}

enum err conflicts_prepare(struct store_read *read, struct arena *arena, struct slice object, struct plan_change *c,
                           struct err_info *info)
{
    struct accept a = {.read = read, .arena = arena, .c = c};
    c->ops = NULL;
    c->op_count = 0;
    enum err e = store_read_begin(read);
    if (e != ERR_OK) return e;
    store_plan_digest(read, &c->digest);
    e = store_conflicts(read, object, visit_accept, &a);
    store_read_end(read);
    if (e == ERR_OK) e = a.err;
    if (e == ERR_OK && c->op_count == 0) {
        return err_fail(info, ERR_NOTFOUND, "nothing to accept: \"clusterctl plan conflicts\" shows none%s",
                        object.n > 0 ? " there" : "");
    }
    return e;
}

/* ---- plan conflicts ---- */

/* What is said of a change. */
struct who {
    struct stamp stamp;
    bool known;
    struct log_id id;
    struct wall time;
    struct slice author;
    struct slice message;
};

struct conflict {
    struct slice object;
    struct who winner;
    struct who loser;
    bool removed;
    struct slice packed;
};

struct conflict_listing {
    struct listing l;
    struct slice object; /* the request's */
    struct conflict *list;
    size_t cap;
    struct who last; /* looked up last: changes of many objects are asked for once */
};

static struct wall time_of(struct hlc t)
{
    return (struct wall){(int64_t)(t.v >> 16)};
}

/* When the log no longer has the change, its stamp still says when and where. */
static enum err look_up(struct conflict_listing *c, const struct stamp *stamp, struct who *out)
{
    struct listing *l = &c->l;
    struct arena scratch = {0};
    struct changeset change;
    struct slice packed;
    if (c->last.stamp.time.v != 0 && stamp_cmp(&c->last.stamp, stamp) == 0) {
        *out = c->last;
        return ERR_OK;
    }
    *out = (struct who){.stamp = *stamp, .time = time_of(stamp->time)};
    enum err e = store_change_at(l->read, stamp, &out->id);
    if (e == ERR_OK) e = store_change(l->read, &out->id, &packed);
    if (e == ERR_OK) e = changeset_unpack(&scratch, packed, &change, NULL);
    if (e == ERR_OK) {
        out->known = true;
        out->author = arena_copy(&l->arena, change.author);
        out->message = arena_copy(&l->arena, change.message);
        if (out->author.p == NULL || out->message.p == NULL) e = ERR_NOMEM;
    }
    arena_fini(&scratch);
    c->last = *out;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err keep(struct conflict_listing *c, const struct store_conflict *row)
{
    struct listing *l = &c->l;
    struct stamp stands;
    if (l->count == c->cap) {
        size_t cap = c->cap == 0 ? 16 : 2 * c->cap;
        struct conflict *grown = arena_alloc(&l->arena, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        if (l->count > 0) memcpy(grown, c->list, l->count * sizeof *grown);
        c->list = grown;
        c->cap = cap;
    }
    struct conflict *out = &c->list[l->count];
    *out = (struct conflict){.object = arena_copy(&l->arena, row->object),
                             .removed = row->removed,
                             .packed = arena_copy(&l->arena, row->packed)};
    if (out->object.p == NULL || out->packed.p == NULL) return ERR_NOMEM;
    enum err e = store_object_stamp(l->read, row->object, &stands);
    if (e == ERR_OK) e = look_up(c, &stands, &out->winner);
    if (e == ERR_NOTFOUND) e = ERR_OK; /* a deletion whose mark is gone */
    if (e == ERR_OK) e = look_up(c, &row->stamp, &out->loser);
    if (e == ERR_OK) l->count++;
    return e;
}

static bool visit_conflict(void *ctx, const struct store_conflict *row)
{
    struct conflict_listing *c = ctx;
    c->l.err = keep(c, row);
    return c->l.err == ERR_OK;
}

static enum err gather(struct listing *l)
{
    struct conflict_listing *c = CONTAINER_OF(l, struct conflict_listing, l);
    enum err e = store_conflicts(l->read, c->object, visit_conflict, c);
    return e == ERR_OK ? l->err : e;
}

static void who_fields(struct control_builder *b, const char *const names[4], const struct who *w)
{
    char id[CHANGE_ID_TEXT];
    change_id_text(&w->id, id);
    if (w->known) {
        control_text(b, names[0], slice_of(id));
    } else {
        control_null(b, names[0]);
    }
    command_time(b, names[1], w->time);
    if (w->known) {
        control_text(b, names[2], w->author);
        control_text(b, names[3], w->message);
    } else {
        control_text(b, names[2], node_name_slice(&w->stamp.origin));
        control_null(b, names[3]);
    }
}

static void send_conflict(struct listing *l, size_t i)
{
    static const char *const winner[] = {"winner", "winner_time", "winner_author", "winner_message"};
    static const char *const loser[] = {"loser", "loser_time", "loser_author", "loser_message"};
    const struct conflict *c = &CONTAINER_OF(l, struct conflict_listing, l)->list[i];
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "conflict");
    control_text(&b, "object", c->object);
    who_fields(&b, winner, &c->winner);
    who_fields(&b, loser, &c->loser);
    control_bool(&b, "removed", c->removed);
    control_bytes(&b, "packed", c->packed);
    command_record(l->reply, &b);
    arena_fini(&arena);
}

NODE_COMMAND(command_plan_conflicts)
{
    struct conflict_listing *c = calloc(1, sizeof *c);
    if (c == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    c->l = (struct listing){.n = ctx, .reply = reply, .gather = gather, .send = send_conflict};
    c->object = control_get_text(&request->args, "object");
    listing_start_take(&c->l);
}
