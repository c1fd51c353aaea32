/* caller: the link to a peer that cannot be dialled, at the one that it dials: its requests wait here (poll.c), and
 * what we have for it goes out as their answers. To the core it is a link as any other: the queue, the window and the
 * rule for death are those of link_queue.c and link.c, a message's acknowledgement is the next poll of its slot.
 *
 * Invariant: a slot of the listener is in calls[i].parked of one link, or not parked. Of two connections of one peer
 * the one that proved its name last counts: after a silent death of the line both may be there for a while. */
#include "node/mesh/accept.h"
#include "node/mesh/link.h"

/* ---- what is parked ---- */

static void let_go(struct call_slot *c)
{
    if (c->parked != NULL) listener_unpark(c->parked);
    c->parked = NULL;
}

static void answer(struct call_slot *c, enum mesh_ack_code code, const char *text)
{
    struct listen_slot *s = c->parked;
    c->parked = NULL;
    struct mesh_frame reply = {.type = MESH_ACK};
    enum err err = ERR_OK;
    reply.ack.code = code;
    reply.ack.text = slice_of(text);
    nng_msg *msg = mesh_frame_message(s->listener->mesh, &reply, &err);
    if (msg != NULL) {
        listener_send(s, msg);
    } else {
        listener_unpark(s); /* no memory: the peer's time-out tells it */
    }
}

void caller_send(struct link_slot *s, nng_msg *msg)
{
    struct call_slot *c = CONTAINER_OF(s, struct call_slot, slot);
    struct listen_slot *parked = c->parked;
    c->parked = NULL;
    s->busy = true;
    s->generation = s->link->generation;
    s->started_ns = uv_hrtime();
    listener_send(parked, msg);
}

void caller_dismiss(struct link *l, enum mesh_ack_code code)
{
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        if (l->calls[i].parked != NULL) answer(&l->calls[i], code, "");
    }
}

/* ---- the link ---- */

static void use_pipe(struct link *l, uint32_t pipe, uint64_t order)
{
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++)
        let_go(&l->calls[i]);
    l->call_pipe = pipe;
    l->call_order = order;
}

void caller_begin(struct link *l, const char *why)
{
    struct node_name name = l->name;
    link_park(l, why);
    if (l->mesh->closing || !l->named || !node_name_eq(&l->name, &name) || l->state != LINK_PARKED) return;
    l->calls_us = true;
    l->state = LINK_AWAITED;
    l->address[0] = l->next_address[0] = '\0';
    l->why[0] = '\0';
    l->why_refused = false;
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++)
        l->calls[i].slot.link = l;
}

void caller_end(struct link *l)
{
    use_pipe(l, 0, 0);
    l->calls_us = false;
}

static bool any_parked(const struct link *l)
{
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        if (l->calls[i].parked != NULL) return true;
    }
    return false;
}

void caller_expect(struct link *l)
{
    if (!l->calls_us) {
        if (l->state != LINK_UP) caller_begin(l, ""); /* else it can be dialled after all */
        return;
    }
    l->next_address[0] = '\0';
    if (l->state == LINK_PARKED) l->state = LINK_AWAITED; /* hung up before; the tick takes it up again */
}

void caller_tick(struct link *l, struct mono now)
{
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        struct call_slot *c = &l->calls[i];
        if (c->parked != NULL && mono_reached(now, mono_add_ms(c->parked_at, MESH_PARKED_MS)))
            answer(c, MESH_ACK_OK, "");
    }
    if (l->state == LINK_AWAITED && any_parked(l)) link_up(l);
}

void caller_pipe_gone(struct mesh *m, uint32_t pipe)
{
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        struct link *l = CONTAINER_OF(n, struct link, node);
        if (!l->calls_us || l->call_pipe != pipe) continue;
        use_pipe(l, 0, l->call_order);
        if (l->state == LINK_UP) link_lost(l, ERR_UNREACHABLE, "connection lost");
        return;
    }
}

/* ---- a poll ---- */

/* The peer's link, made one of this kind; NULL: no memory, or a callback has decided otherwise. */
static struct link *caller_link(struct mesh *m, const struct node_name *name)
{
    struct link *l = link_find(m, name);
    if (l == NULL) {
        if (link_get(m, &l) != ERR_OK) return NULL;
        l->named = true;
        l->name = *name;
    }
    if (!l->calls_us) caller_begin(l, "it dials us");
    return l->calls_us && !m->closing ? l : NULL;
}

/* What the last poll of this slot was answered is acknowledged; or it did not arrive. */
static void take_ack(struct call_slot *c, const struct mesh_frame *f)
{
    struct link_slot *s = &c->slot;
    if (!s->busy) return;
    s->ended_ns = uv_hrtime();
    s->err = ERR_OK;
    s->answer = (struct mesh_frame){.type = MESH_ACK};
    s->answer.ack.code = f->poll.acks ? f->poll.code : MESH_ACK_FULL;
    s->answer.ack.text = f->poll.text;
    /* A client neither refuses us nor asks for our hello. */
    if (s->answer.ack.code == MESH_ACK_HELLO || s->answer.ack.code == MESH_ACK_REFUSED)
        s->answer.ack.code = MESH_ACK_BAD;
    link_on_answer(s);
}

void caller_poll(struct listen_slot *s, struct peer_pipe *p)
{
    struct mesh *m = s->listener->mesh;
    struct node_name name = p->name;
    struct link *l = caller_link(m, &name);
    if (m->closing) return;
    mesh_count(m, MESH_COUNT_polls_taken);
    if (l == NULL) {
        listener_ack(s, MESH_ACK_FULL, "no memory");
        return;
    }
    if (p->order < l->call_order) {
        listener_ack(s, MESH_ACK_HELLO, "");
        return;
    }
    if (l->call_pipe != s->pipe || l->call_order != p->order) {
        use_pipe(l, s->pipe, p->order);
        if (l->state == LINK_UP) link_lost(l, ERR_UNREACHABLE, "it has dialled anew");
    }
    struct call_slot *c = &l->calls[s->frame.poll.slot];
    take_ack(c, &s->frame);
    if (m->closing) return;
    if (!p->proved || !l->calls_us || !node_name_eq(&l->name, &name)) { /* a callback has ended it */
        listener_ack(s, MESH_ACK_HELLO, "");
        return;
    }
    let_go(c); /* of an honest peer there is none */
    if (!listener_park(s)) {
        mesh_count(m, MESH_COUNT_polls_refused);
        listener_ack(s, MESH_ACK_FULL, "too many peers that cannot be dialled");
        return;
    }
    c->parked = s;
    c->parked_at = mesh_now();
    if (l->state == LINK_AWAITED) link_up(l);
    if (!m->closing) link_pump(l);
}
