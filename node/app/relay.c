/* relay: commands for another node ("clusterctl --node NAME"): carried through the mesh to its command table, and its
 * answer back.
 *
 * The user behind the control socket here is named to the other side as user@node; what he may do is the same
 * everywhere. */
#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>

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
                   err_name(err));
    control_reply_end(reply, 5, slice_of(text));
}

/* ---- on the node that was asked ---- */

void relay_hook(void *ctx, const struct control_request *request, struct slice frame, struct control_reply *reply)
{
    struct node *n = ctx;
    struct node_name peer;
    struct relay_wait *w = NULL;
    if (node_name_set(&peer, request->node) != ERR_OK) {
        control_reply_end(reply, 2, SLICE("--node: not the name of a node"));
        return;
    }
    enum err e = n->mesh != NULL ? ERR_OK : ERR_UNREACHABLE;
    if (e == ERR_OK && (w = calloc(1, sizeof *w)) == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) {
        *w = (struct relay_wait){.token = n->next_token++, .reply = reply, .peer = peer};
        list_append(&n->relays, &w->node);
        e = mesh_relay(n->mesh, &peer, frame, w->token);
    }
    if (e == ERR_OK) return;
    if (w != NULL) list_remove(&w->node);
    free(w);
    fail(reply, &peer, e);
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

/* ---- on the node that answers ---- */

struct relayed {
    struct node *n;
    uint64_t id;
};

static void answered(void *ctx, struct slice frames)
{
    struct relayed *r = ctx;
    if (r->n->mesh != NULL) (void)!mesh_relay_reply(r->n->mesh, r->id, frames); /* the asker may be gone */
    free(r);
}

void relay_on_request(void *ctx, const struct node_name *from, uint64_t id, struct slice request)
{
    struct node *n = ctx;
    struct relayed *r = calloc(1, sizeof *r);
    if (r == NULL || n->control == NULL) {
        free(r);
        return;
    }
    *r = (struct relayed){n, id};
    if (control_dispatch(n->control, request, node_name_slice(from), answered, r) != ERR_OK) answered(r, SLICE(""));
}
