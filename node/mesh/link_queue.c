/* link_queue: the messages of a link: queued, split, on the way, ended. See link.h.
 *
 * Invariants: flying_count and flying_bytes count the busy contexts of the present generation; an outgoing message is
 * in exactly one of urgent, queue, flying; at most one message has fragments on the way, since the receiver joins one
 * at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "node/mesh/link.h"

#define URGENT_SLOTS 2 /* kept free for heartbeats */

/* ---- ending ---- */

static void free_outgoing(struct outgoing *out)
{
    buf_fini(&out->packed);
    free(out);
}

/* out is in no list any more. */
static void end_outgoing(struct link *l, struct outgoing *out, enum err err)
{
    struct mesh *m = l->mesh;
    struct node_name name = l->name;
    mesh_count(m, err == ERR_OK ? MESH_COUNT_messages_sent : MESH_COUNT_messages_failed);
    enum outgoing_kind kind = out->kind;
    uint64_t id = out->id;
    uint32_t rtt_us = out->rtt_us;
    free_outgoing(out);
    if (m->closing) return;
    if (kind == OUT_MESSAGE) {
        m->options.on_sent(m->options.ctx, &name, id, err, err == ERR_OK ? rtt_us : 0);
    } else if (kind == OUT_RELAY_REQUEST && err != ERR_OK) {
        relay_failed(m, id, err);
    }
}

void link_end_all(struct link *l, enum err err)
{
    struct list_node ended;
    struct list_node *const from[] = {&l->flying, &l->urgent, &l->queue};
    list_init(&ended);
    for (size_t i = 0; i < MESH_LINK_SLOTS; i++) {
        struct link_slot *s = &l->slots[i];
        if (!s->busy) continue;
        s->out = NULL;
        s->hello = false;
        atomic_store(&s->abandon, true);
        nng_aio_cancel(s->aio);
    }
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        l->calls[i].slot.busy = false; /* an acknowledgement that still comes is of nothing */
        l->calls[i].slot.out = NULL;
        if (!l->polls[i].slot.busy) continue;
        atomic_store(&l->polls[i].slot.abandon, true);
        nng_aio_cancel(l->polls[i].slot.aio);
    }
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        struct list_node *n;
        while ((n = list_pop(from[i])) != NULL)
            list_append(&ended, n);
    }
    l->queued_count = 0;
    l->queued_bytes = 0;
    l->flying_count = 0;
    l->flying_bytes = 0;
    l->whole = NULL;
    struct list_node *n;
    while ((n = list_pop(&ended)) != NULL)
        end_outgoing(l, CONTAINER_OF(n, struct outgoing, node), err);
}

void link_free_queues(struct link *l)
{
    struct list_node *const from[] = {&l->flying, &l->urgent, &l->queue};
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++) {
        struct list_node *n;
        while ((n = list_pop(from[i])) != NULL)
            free_outgoing(CONTAINER_OF(n, struct outgoing, node));
    }
}

/* ---- contexts ---- */

/* To a peer that dials us a message goes as the answer to what it has parked here. */
static struct link_slot *free_slot(struct link *l, unsigned keep)
{
    for (size_t i = 0; i < (l->calls_us ? MESH_POLL_SLOTS : MESH_LINK_SLOTS); i++) {
        struct link_slot *s = l->calls_us ? &l->calls[i].slot : &l->slots[i];
        if (s->busy || (l->calls_us && l->calls[i].parked == NULL)) continue;
        if (keep == 0) return s;
        keep--;
    }
    return NULL;
}

static void slot_send(struct link *l, struct link_slot *s, struct outgoing *out, size_t bytes, nng_msg *msg)
{
    if (l->flying_count == 0) l->heard = mesh_now(); /* from now on an answer is due */
    l->flying_count++;
    l->flying_bytes += bytes;
    s->hello = out == NULL;
    s->out = out;
    s->bytes = bytes;
    if (l->calls_us) {
        caller_send(s, msg);
    } else {
        link_slot_start(s, msg);
    }
}

enum err link_send_hello(struct link *l, struct mesh_frame *f)
{
    enum err err = ERR_OK;
    struct link_slot *s = free_slot(l, 0);
    if (s == NULL) return ERR_FULL;
    nng_msg *msg = mesh_frame_message(l->mesh, f, &err);
    if (msg == NULL) return err;
    slot_send(l, s, NULL, 0, msg);
    return ERR_OK;
}

/* ---- sending ---- */

/* The next part of out: all of it, or a fragment. NULL: no memory. */
static nng_msg *next_part(struct link *l, struct outgoing *out, size_t *n, enum err *err)
{
    struct slice all = buf_view(&out->packed);
    nng_msg *msg = NULL;
    if (out->whole == 0) {
        *n = all.n;
        if (nng_msg_alloc(&msg, 0) != 0 || nng_msg_append(msg, all.p, all.n) != 0) {
            nng_msg_free(msg);
            *err = ERR_NOMEM;
            return NULL;
        }
        return msg;
    }
    *n = all.n - out->at < LIMIT_MESH_CHUNK ? all.n - out->at : LIMIT_MESH_CHUNK;
    struct mesh_frame f = {.type = MESH_FRAGMENT};
    f.fragment.id = out->whole;
    f.fragment.total = all.n;
    f.fragment.offset = out->at;
    f.fragment.data = (struct slice){all.p + out->at, *n};
    mesh_count(l->mesh, MESH_COUNT_fragments_sent);
    return mesh_frame_message(l->mesh, &f, err);
}

static bool is_urgent(const struct link *l, const struct outgoing *out)
{
    return l->urgent.next == &out->node;
}

static struct outgoing *pick(struct link *l)
{
    if (!list_empty(&l->urgent)) return CONTAINER_OF(l->urgent.next, struct outgoing, node);
    if (list_empty(&l->queue)) return NULL;
    struct outgoing *out = CONTAINER_OF(l->queue.next, struct outgoing, node);
    bool other_whole = out->whole != 0 && l->whole != NULL && l->whole != out;
    bool window_full = l->flying_bytes > 0 && l->flying_bytes + LIMIT_MESH_CHUNK > MESH_WINDOW_BYTES;
    return other_whole || window_full ? NULL : out;
}

/* All of it has been given to contexts, or no more of it will be. */
static void out_of_queue(struct link *l, struct outgoing *out)
{
    list_remove(&out->node);
    l->queued_count--;
    l->queued_bytes -= out->packed.n;
    list_append(&l->flying, &out->node);
}

static void end_if_done(struct link *l, struct outgoing *out)
{
    bool queued = out->at < out->packed.n;
    if (out->parts > 0 || (queued && out->err == ERR_OK)) return;
    if (l->whole == out) l->whole = NULL;
    list_remove(&out->node);
    end_outgoing(l, out, out->err);
}

static void give_up(struct link *l, struct outgoing *out, enum err err)
{
    if (out->err == ERR_OK) out->err = err;
    if (out->at == out->packed.n) return;
    out->at = out->packed.n;
    out_of_queue(l, out);
}

void link_pump(struct link *l)
{
    struct outgoing *out;
    while (l->state == LINK_UP && !l->mesh->closing && (out = pick(l)) != NULL) {
        enum err err = ERR_OK;
        size_t n = 0;
        struct link_slot *s = free_slot(l, is_urgent(l, out) ? 0 : URGENT_SLOTS);
        if (s == NULL) return;
        nng_msg *msg = next_part(l, out, &n, &err);
        if (msg == NULL) return; /* no memory: the tick tries again */
        if (out->whole != 0) l->whole = out;
        out->at += n;
        out->parts++;
        if (out->at == out->packed.n) out_of_queue(l, out);
        slot_send(l, s, out, n, msg);
    }
}

enum err link_queue(struct link *l, struct mesh_frame *f, enum outgoing_kind kind, uint64_t id)
{
    struct mesh *m = l->mesh;
    if (l->state != LINK_UP) return ERR_UNREACHABLE;
    struct outgoing *out = calloc(1, sizeof *out);
    if (out == NULL) return ERR_NOMEM;
    f->cluster = m->options.cluster;
    f->sender = m->options.self;
    enum err err = mesh_frame_pack(f, &out->packed);
    size_t n = out->packed.n;
    /* A message that is longer than the cap is taken when it is alone; else it could never go. */
    bool full =
        l->queued_count >= MESH_QUEUE_MESSAGES || (l->queued_count > 0 && l->queued_bytes + n > MESH_QUEUE_BYTES);
    if (err == ERR_OK && full) {
        mesh_count(m, MESH_COUNT_queue_full);
        err = ERR_FULL;
    }
    if (err != ERR_OK) {
        free_outgoing(out);
        return err;
    }
    out->kind = kind;
    out->id = id;
    if (n > LIMIT_MESH_CHUNK) out->whole = ++m->next_id;
    bool urgent = f->type == MESH_MESSAGE && f->message.type == REPL_HEARTBEAT && out->whole == 0;
    list_append(urgent ? &l->urgent : &l->queue, &out->node);
    l->queued_count++;
    l->queued_bytes += n;
    link_pump(l);
    return ERR_OK;
}

/* ---- answers ---- */

static enum err ack_err(struct link *l, const struct link_slot *s)
{
    if (s->err == ERR_SYNTAX || s->err == ERR_LIMIT || s->err == ERR_VERSION) {
        mesh_count(l->mesh, MESH_COUNT_frames_bad);
        return ERR_UNREACHABLE;
    }
    if (s->err != ERR_OK) return s->err == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNREACHABLE;
    if (s->answer.type != MESH_ACK) return ERR_UNREACHABLE;
    switch (s->answer.ack.code) {
    case MESH_ACK_OK: return ERR_OK;
    case MESH_ACK_FULL: return ERR_FULL;
    default: return ERR_UNREACHABLE;
    }
}

static void take_ack(struct link *l, struct link_slot *s)
{
    struct outgoing *out = s->out;
    enum err err = ack_err(l, s);
    bool is_ack = s->err == ERR_OK && s->answer.type == MESH_ACK;
    char text[LIMIT_TEXT];
    enum mesh_ack_code code = is_ack ? s->answer.ack.code : MESH_ACK_OK;
    struct slice said = is_ack ? s->answer.ack.text : SLICE_NONE;
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(said));
    uint64_t generation = l->generation;
    s->out = NULL;
    out->parts--;
    out->rtt_us = (uint32_t)((s->ended_ns - s->started_ns) / 1000);
    if (err != ERR_OK) give_up(l, out, err);
    end_if_done(l, out);
    if (l->generation != generation || l->mesh->closing) return;
    if (code == MESH_ACK_HELLO) {
        link_hello_again(l);
    } else if (code == MESH_ACK_REFUSED) {
        mesh_count(l->mesh, MESH_COUNT_refused_by_peer);
        link_refused(l, text);
    } else if (code == MESH_ACK_BAD || code == MESH_ACK_UNKNOWN || code == MESH_ACK_VERSION) {
        log_event(l->mesh->options.log, LOG_WARN, "mesh", "frame-refused", "peer=%s answer=\"%s\" text=\"%s\"",
                  l->name.s, mesh_ack_name(code), text);
    }
}

void link_on_answer(struct link_slot *s)
{
    struct link *l = s->link;
    bool ours = s->generation == l->generation && !l->mesh->closing;
    if (ours) {
        l->flying_count--;
        l->flying_bytes -= s->bytes;
        l->heard = mesh_now();
        if (s->hello) {
            link_take_hello(l, &s->answer, s->err);
        } else if (s->out != NULL) {
            take_ack(l, s);
        }
        /* The connection was reset under a request. NNG's own word of it may never come (see restart_dial). */
        if (l->generation == s->generation && l->state == LINK_UP && s->err == ERR_UNREACHABLE && !l->mesh->closing)
            link_lost(l, ERR_UNREACHABLE, "connection lost");
    }
    arena_fini(&s->arena);
    s->busy = false; /* not before: what the callbacks send would go with it, and NNG's thread fill what is read here */
    if (!l->mesh->closing) link_pump(l);
}
