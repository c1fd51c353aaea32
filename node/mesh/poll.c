/* poll: how a node that cannot be dialled is reached: it keeps MESH_POLL_SLOTS requests parked at each peer that it is
 * linked with, over the connection that it has made itself. The peer answers one when it has something to send, with
 * the frame that it would send; the next request of that slot acknowledges it. The peer's side is caller.c.
 *
 * Polls are not counted as on the way: they wait. That the line is dead shows in the heartbeats, as on every link, and
 * the peer answers a poll with nothing after MESH_PARKED_MS. What is not here: what the frames mean (mesh_deliver). */
#include <stdio.h>

#include "node/mesh/link.h"

#define AGAIN_MS 100        /* after an answer that brought nothing, or without memory */
#define FULL_MS 2000        /* the peer has too many of these */
#define NOT_SPOKEN_MS 30000 /* the peer does not take them at all */

/* ---- sending ---- */

static void poll_send(struct poll_slot *p, bool acks, enum mesh_ack_code code, const char *text)
{
    struct mesh *m = p->slot.link->mesh;
    struct mesh_frame f = {.type = MESH_POLL};
    enum err err = ERR_OK;
    f.poll.slot = p->number;
    f.poll.acks = acks;
    f.poll.code = code;
    f.poll.text = slice_of(text);
    arena_fini(&p->slot.arena); /* from here on NNG's thread may fill it again */
    nng_msg *msg = mesh_frame_message(m, &f, &err);
    if (msg == NULL) { /* the acknowledgement is lost with it, and the peer sends anew */
        p->due = mono_add_ms(mesh_now(), AGAIN_MS);
        return;
    }
    mesh_count(m, MESH_COUNT_polls_sent);
    link_slot_start(&p->slot, msg);
}

void poll_fill(struct link *l)
{
    struct mono now = mesh_now();
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        struct poll_slot *p = &l->polls[i];
        if (p->slot.busy || p->decoding || !mono_reached(now, p->due)) continue;
        poll_send(p, false, MESH_ACK_OK, "");
    }
}

static void later(struct poll_slot *p, uint64_t ms)
{
    p->due = mono_add_ms(mesh_now(), ms / 2 + rng_below(&p->slot.link->mesh->rng, ms));
}

/* ---- what came ---- */

static bool current(const struct poll_slot *p)
{
    const struct link *l = p->slot.link;
    return p->slot.generation == l->generation && l->state == LINK_UP && !l->mesh->closing;
}

static void on_decoded(void *ctx, enum mesh_ack_code code, const char *text)
{
    struct poll_slot *p = ctx;
    p->decoding = false;
    if (current(p)) poll_send(p, true, code, text);
}

static void take_fragment(struct poll_slot *p)
{
    struct link *l = p->slot.link;
    struct mesh *m = l->mesh;
    const struct mesh_frame *f = &p->slot.answer;
    bool done = false;
    mesh_count(m, MESH_COUNT_fragments_received);
    enum err err = whole_add(&l->joining, &m->whole_budget, f->fragment.id, f->fragment.total, f->fragment.offset,
                             f->fragment.data, &done);
    if (err != ERR_OK) {
        bool full = err == ERR_FULL || err == ERR_NOMEM;
        mesh_count(m, MESH_COUNT_fragments_dropped);
        poll_send(p, true, full ? MESH_ACK_FULL : MESH_ACK_BAD,
                  full ? "no room to join a message" : "fragment out of place");
    } else if (!done) {
        poll_send(p, true, MESH_ACK_OK, "");
    } else {
        p->decoding = true;
        arena_fini(&p->slot.arena); /* the fragment is copied */
        decode_start(m, &l->name, whole_take(&l->joining), on_decoded, p);
    }
}

static void take_frame(struct poll_slot *p)
{
    struct link *l = p->slot.link;
    struct mesh *m = l->mesh;
    const char *text = "";
    struct node_name from = l->name;
    struct mesh_frame *f = &p->slot.answer;
    if (!node_name_eq(&f->sender, &from) || !slice_eq(f->cluster, m->options.cluster)) {
        mesh_count(m, MESH_COUNT_sender_forged);
        poll_send(p, true, MESH_ACK_BAD, "the sender is not who its hello proved");
        return;
    }
    if (f->type == MESH_FRAGMENT) {
        take_fragment(p);
        return;
    }
    enum mesh_ack_code code = mesh_deliver(m, &from, f, &text); /* the callback may end the link */
    if (current(p)) poll_send(p, true, code, text);
}

static void take_bad(struct poll_slot *p)
{
    struct mesh *m = p->slot.link->mesh;
    if (p->slot.err == ERR_NOMEM) {
        poll_send(p, true, MESH_ACK_FULL, "no memory");
    } else {
        mesh_count(m, p->slot.err == ERR_VERSION ? MESH_COUNT_frames_unknown : MESH_COUNT_frames_bad);
        poll_send(p, true, p->slot.err == ERR_VERSION ? MESH_ACK_UNKNOWN : MESH_ACK_BAD, "the answer to a poll");
    }
}

/* The peer has nothing for us, or does not want to be asked. */
static void take_ack(struct poll_slot *p)
{
    struct link *l = p->slot.link;
    char text[LIMIT_TEXT];
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(p->slot.answer.ack.text));
    switch (p->slot.answer.ack.code) {
    case MESH_ACK_OK: later(p, AGAIN_MS); break;
    case MESH_ACK_FULL: later(p, FULL_MS); break;
    case MESH_ACK_HELLO: link_hello_again(l); break;
    case MESH_ACK_REFUSED:
        mesh_count(l->mesh, MESH_COUNT_refused_by_peer);
        link_refused(l, text);
        break;
    default:
        log_event(l->mesh->options.log, LOG_WARN, "mesh", "poll-refused", "peer=%s answer=\"%s\" text=\"%s\"",
                  l->name.s, mesh_ack_name(p->slot.answer.ack.code), text);
        later(p, NOT_SPOKEN_MS);
        break;
    }
}

static void take_answer(struct poll_slot *p)
{
    struct link *l = p->slot.link;
    p->due = (struct mono){0};
    switch (p->slot.err) {
    case ERR_OK:
        l->heard = mesh_now();
        if (p->slot.answer.type == MESH_ACK) {
            take_ack(p);
        } else {
            take_frame(p);
        }
        break;
    case ERR_NOMEM:
    case ERR_SYNTAX:
    case ERR_LIMIT:
    case ERR_VERSION: take_bad(p); break;
    case ERR_TIMEOUT:
        mesh_count(l->mesh, MESH_COUNT_links_timed_out);
        link_lost(l, ERR_TIMEOUT, "no answer to a poll in time");
        break;
    default: link_lost(l, ERR_UNREACHABLE, "connection lost"); break;
    }
}

void poll_on_answer(struct poll_slot *p)
{
    p->slot.busy = false;
    if (current(p)) take_answer(p);
    if (!p->slot.busy) arena_fini(&p->slot.arena);
}
