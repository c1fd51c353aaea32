/* relay: commands for another node ("clusterctl --node NAME"): carried through the mesh to its command table, and its
 * answer back.
 *
 * The user behind the control socket here is named to the other side as user@node (an argument that this file adds), so
 * that the history of the plan names people; what he may do is the same everywhere. */
#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>

#define USER_ARGUMENT "relayed_user"

struct relay_wait {
    struct list_node node;
    uint64_t token;
    struct control_reply *reply;
    struct node_name peer;
};

static struct relay_wait *take(struct node *n, uint64_t token)
{
    for (struct list_node *i = n->relays.next; i != &n->relays; i = i->next) {
        struct relay_wait *w = CONTAINER_OF(i, struct relay_wait, node);
        if (w->token != token) continue;
        list_remove(i);
        return w;
    }
    return NULL;
}

static void fail(struct control_reply *reply, const struct node_name *peer, enum err err)
{
    char text[LIMIT_TEXT];
    (void)snprintf(text, sizeof text, "node %s cannot be asked through the mesh: %s; see \"clusterctl nodes\"", peer->s,
                   err == ERR_CLOSED ? "this node is stopping" : err_name(err));
    control_reply_end(reply, 5, slice_of(text));
}

/* ---- on the node that was asked ---- */

/* The request with its user as one more argument. */
static enum err with_user(const struct node *n, const struct control_request *request, struct slice user,
                          struct buf *frame)
{
    struct arena arena = {0};
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = *request};
    const struct control_record *args = &request->args;
    struct control_field *fields = arena_alloc(&arena, (args->field_count + 1) * sizeof *fields);
    struct slice text = slice_of(arena_printf(&arena, "%.*s@%s", SLICE_ARG(user), n->config.node));
    enum err e = ERR_NOMEM;
    if (fields != NULL && text.p != NULL) {
        size_t count = 0;
        for (size_t i = 0; i < args->field_count; i++) {
            if (!slice_is(args->fields[i].name, USER_ARGUMENT)) fields[count++] = args->fields[i];
        }
        fields[count++] = (struct control_field){.name = SLICE(USER_ARGUMENT), .type = CONTROL_TEXT, .text = text};
        f.request.args.fields = fields;
        f.request.args.field_count = count;
        e = control_frame_pack(&f, frame);
    }
    arena_fini(&arena);
    return e;
}

static enum err send_on(struct node *n, const struct node_name *peer, const struct control_request *request,
                        struct control_reply *reply)
{
    struct buf frame = {0};
    if (n->stopping) return ERR_CLOSED;
    if (n->mesh == NULL) return ERR_UNREACHABLE;
    struct relay_wait *w = calloc(1, sizeof *w);
    if (w == NULL) return ERR_NOMEM;
    *w = (struct relay_wait){.token = n->next_token++, .reply = reply, .peer = *peer};
    list_append(&n->relays, &w->node);
    enum err e = with_user(n, request, control_reply_user(reply), &frame);
    if (e == ERR_OK) e = mesh_relay(n->mesh, peer, buf_view(&frame), w->token);
    buf_fini(&frame);
    if (e == ERR_OK) return ERR_OK;
    list_remove(&w->node);
    free(w);
    return e;
}

static bool is_member(const struct node *n, const struct node_name *name)
{
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (node_name_eq(&m.name, name)) return true;
    }
    return false;
}

void relay_hook(void *ctx, const struct control_request *request, struct slice frame, struct control_reply *reply)
{
    struct node_name peer;
    (void)frame;
    if (node_name_set(&peer, request->node) != ERR_OK) {
        control_reply_end(reply, 2, SLICE("--node: not the name of a node"));
        return;
    }
    if (!is_member(ctx, &peer)) {
        char text[LIMIT_TEXT];
        (void)snprintf(text, sizeof text, "no node %s is known here; see \"clusterctl nodes\"", peer.s);
        control_reply_end(reply, 5, slice_of(text));
        return;
    }
    enum err e = send_on(ctx, &peer, request, reply);
    if (e != ERR_OK) fail(reply, &peer, e);
}

void relay_on_reply(void *ctx, uint64_t token, enum err err, struct slice frames)
{
    struct relay_wait *w = take(ctx, token);
    if (w == NULL) return;
    if (err != ERR_OK) {
        fail(w->reply, &w->peer, err);
    } else if (!control_reply_frames(w->reply, frames)) {
        fail(w->reply, &w->peer, ERR_SYNTAX); /* an answer without an end */
    }
    free(w);
}

void relay_stop(struct node *n)
{
    struct list_node *i = NULL;
    while ((i = list_pop(&n->relays)) != NULL) {
        struct relay_wait *w = CONTAINER_OF(i, struct relay_wait, node);
        fail(w->reply, &w->peer, ERR_CLOSED);
        free(w);
    }
}

/* ---- on the node that answers ---- */

struct relayed {
    struct node *n;
    uint64_t id;
    struct node_name from;
};

static void answered(void *ctx, struct slice frames)
{
    struct relayed *r = ctx;
    enum err e = r->n->mesh != NULL ? mesh_relay_reply(r->n->mesh, r->id, frames) : ERR_CLOSED;
    if (e != ERR_OK && e != ERR_CLOSED) { /* the asker is told by its own time-out */
        log_event(&r->n->log, LOG_WARN, "relay", "answer-lost", "peer=%s bytes=%zu err=\"%s\"", r->from.s, frames.n,
                  err_name(e));
    }
    free(r);
}

/* "user@node" of a request that names its user, else the node. */
static struct slice user_of(struct arena *arena, struct slice request, const struct node_name *from)
{
    struct control_frame f;
    size_t used = 0;
    struct slice user = SLICE_NONE;
    if (control_frame_unpack(arena, request, &f, &used) == ERR_OK && used > 0 && f.type == CONTROL_FRAME_REQUEST) {
        user = control_get_text(&f.request.args, USER_ARGUMENT);
    }
    return user.n > 0 ? user : node_name_slice(from);
}

void relay_on_request(void *ctx, const struct node_name *from, uint64_t id, struct slice request)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct relayed *r = calloc(1, sizeof *r);
    if (r == NULL || n->control == NULL) {
        free(r);
        return;
    }
    *r = (struct relayed){n, id, *from};
    struct slice user = user_of(&arena, request, from);
    if (control_dispatch(n->control, request, user, answered, r) != ERR_OK) answered(r, SLICE(""));
    arena_fini(&arena);
}
