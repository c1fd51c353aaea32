/* relay: control requests that travel through the mesh: a request to a peer, and later its reply over the peer's own
 * link to us.
 *
 * Each request ends exactly once by on_relay_reply: with the reply, with what kept it from going, or by time. */
#include <stdlib.h>

#include "node/mesh/link.h"

static struct relay *relay_make(struct mesh *m, struct list_node *list, const struct node_name *peer, uint64_t other)
{
    if (m->relay_count >= MESH_RELAYS_OPEN) {
        mesh_count(m, MESH_COUNT_relays_refused);
        return NULL;
    }
    struct relay *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->id = ++m->next_id;
    r->other = other;
    r->peer = *peer;
    r->deadline = mono_add_ms(mesh_now(), MESH_RELAY_TIMEOUT_MS);
    list_append(list, &r->node);
    m->relay_count++;
    return r;
}

static void relay_free(struct mesh *m, struct relay *r)
{
    list_remove(&r->node);
    m->relay_count--;
    free(r);
}

static struct relay *relay_find(struct list_node *list, uint64_t id)
{
    for (struct list_node *n = list->next; n != list; n = n->next) {
        struct relay *r = CONTAINER_OF(n, struct relay, node);
        if (r->id == id) return r;
    }
    return NULL;
}

static void relay_end(struct mesh *m, struct relay *r, enum err err, struct slice reply)
{
    uint64_t token = r->other;
    relay_free(m, r);
    if (!m->closing) m->options.on_relay_reply(m->options.ctx, token, err, reply);
}

/* ---- ours ---- */

enum err relay_request(struct mesh *m, const struct node_name *peer, struct slice request, uint64_t token)
{
    struct link *l = link_find(m, peer);
    struct mesh_frame f = {.type = MESH_RELAY_REQUEST};
    if (l == NULL || l->state != LINK_UP) return ERR_UNREACHABLE;
    struct relay *r = relay_make(m, &m->relays_out, peer, token);
    if (r == NULL) return ERR_FULL;
    f.relay.id = r->id;
    f.relay.body = request;
    enum err err = link_queue(l, &f, OUT_RELAY_REQUEST, r->id);
    if (err != ERR_OK) relay_free(m, r);
    return err;
}

void relay_failed(struct mesh *m, uint64_t id, enum err err)
{
    struct relay *r = relay_find(&m->relays_out, id);
    if (r != NULL) relay_end(m, r, err, SLICE_NONE);
}

void relay_take_reply(struct mesh *m, const struct node_name *from, const struct mesh_frame *f)
{
    struct relay *r = relay_find(&m->relays_out, f->relay.id);
    if (r != NULL && node_name_eq(&r->peer, from)) relay_end(m, r, ERR_OK, f->relay.body);
}

void relay_link_down(struct mesh *m, const struct node_name *peer)
{
    struct list_node *n = m->relays_out.next;
    while (n != &m->relays_out && !m->closing) {
        struct relay *r = CONTAINER_OF(n, struct relay, node);
        n = n->next;
        if (!node_name_eq(&r->peer, peer)) continue;
        relay_end(m, r, ERR_UNREACHABLE, SLICE_NONE);
        n = m->relays_out.next; /* the callback may have changed the list */
    }
}

/* ---- a peer's ---- */

enum mesh_ack_code relay_take_request(struct mesh *m, const struct node_name *from, const struct mesh_frame *f,
                                      const char **text)
{
    struct relay *r = relay_make(m, &m->relays_in, from, f->relay.id);
    if (r == NULL) {
        *text = "too many relayed requests";
        return MESH_ACK_FULL;
    }
    m->options.on_relay(m->options.ctx, from, r->id, f->relay.body);
    return MESH_ACK_OK;
}

enum err relay_answer(struct mesh *m, uint64_t id, struct slice reply)
{
    struct mesh_frame f = {.type = MESH_RELAY_REPLY};
    struct relay *r = relay_find(&m->relays_in, id);
    if (r == NULL) return ERR_NOTFOUND;
    struct link *l = link_find(m, &r->peer);
    f.relay.id = r->other;
    f.relay.body = reply;
    enum err err = l != NULL ? link_queue(l, &f, OUT_RELAY_REPLY, id) : ERR_UNREACHABLE;
    if (err != ERR_FULL) relay_free(m, r);
    return err;
}

/* ---- time ---- */

void relay_tick(struct mesh *m, struct mono now)
{
    /* Both lists are in the order of their deadlines. */
    while (!list_empty(&m->relays_in)) {
        struct relay *r = CONTAINER_OF(m->relays_in.next, struct relay, node);
        if (!mono_reached(now, r->deadline)) break;
        relay_free(m, r);
    }
    while (!list_empty(&m->relays_out) && !m->closing) {
        struct relay *r = CONTAINER_OF(m->relays_out.next, struct relay, node);
        if (!mono_reached(now, r->deadline)) break;
        mesh_count(m, MESH_COUNT_relays_timed_out);
        relay_end(m, r, ERR_TIMEOUT, SLICE_NONE);
    }
}

void relay_free_all(struct mesh *m)
{
    while (!list_empty(&m->relays_in))
        relay_free(m, CONTAINER_OF(m->relays_in.next, struct relay, node));
    while (!list_empty(&m->relays_out))
        relay_free(m, CONTAINER_OF(m->relays_out.next, struct relay, node));
}
