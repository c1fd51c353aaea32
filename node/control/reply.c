/* reply: what a handler says to one request, on its way to a connection or into a collection. Every function takes a
 * reply whose client has gone; only the end frees it. */
#include "node/control/internal.h"

#include <stdio.h>
#include <stdlib.h>

struct control_reply *control_reply_new(struct control_server *s, struct slice user)
{
    struct control_reply *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->server = s;
    (void)snprintf(r->user, sizeof r->user, "%.*s", SLICE_ARG(user));
    list_append(&s->replies, &r->node);
    return r;
}

void control_reply_free(struct control_reply *r)
{
    list_remove(&r->node);
    buf_fini(&r->collected);
    arena_fini(&r->arena);
    free(r);
}

static struct buf *reply_out(struct control_reply *r)
{
    if (r->done != NULL) return &r->collected;
    return r->client != NULL ? &r->client->out : NULL;
}

/* After bytes were added: off they go, unless the client let too many pile up. */
static void reply_sent(struct control_reply *r)
{
    if (r->done != NULL) {
        if (r->collected.n <= LIMIT_CONTROL_FRAME) return;
        r->failed = ERR_LIMIT;
        buf_fini(&r->collected);
        return;
    }
    struct control_client *c = r->client;
    if (control_client_pending(c) > 2 * (size_t)LIMIT_CONTROL_FRAME) {
        control_count(c->server, CONTROL_COUNT_replies_oversize);
        control_client_drop(c);
        return;
    }
    control_client_send(c);
}

static void reply_frame(struct control_reply *r, const struct control_frame *f)
{
    struct buf *out = reply_out(r);
    if (out == NULL || r->failed != ERR_OK) return;
    r->failed = control_frame_pack(f, out);
    if (r->failed == ERR_OK) reply_sent(r);
}

void control_reply_record(struct control_reply *r, const struct control_record *record)
{
    reply_frame(r, &(struct control_frame){.type = CONTROL_FRAME_RECORD, .record = *record});
}

void control_reply_progress(struct control_reply *r, struct slice text, uint64_t done, uint64_t total)
{
    reply_frame(r, &(struct control_frame){.type = CONTROL_FRAME_PROGRESS, .text = text, .done = done, .total = total});
}

/* A reply that lost a frame must not end as if it were whole. */
static struct control_frame end_frame(const struct control_reply *r, int status, struct slice text)
{
    struct control_frame f = {.type = CONTROL_FRAME_END, .status = status, .text = text};
    if (r->failed == ERR_OK) return f;
    f.status = status != 0 ? status : 1;
    f.text = r->failed == ERR_NOMEM
                 ? SLICE("the node has no memory for the whole answer")
                 : SLICE("the answer is over the size that a control frame may have; ask for less of it");
    return f;
}

void control_reply_end(struct control_reply *r, int status, struct slice text)
{
    struct control_client *c = r->client;
    struct control_frame f = end_frame(r, status, text);
    if (r->failed != ERR_OK && r->server != NULL) control_count(r->server, CONTROL_COUNT_replies_failed);
    r->failed = ERR_OK;
    reply_frame(r, &f);
    enum err failed = r->failed;
    bool alive = r->client != NULL; /* sending may have found the client gone */
    if (c != NULL && alive) c->reply = NULL;
    if (r->done != NULL) r->done(r->done_ctx, buf_view(&r->collected));
    control_reply_free(r);
    if (c == NULL || !alive) return;
    if (failed != ERR_OK)
        control_client_drop(c); /* without its end the client would wait for ever */
    else
        control_client_reply_ended(c);
}

bool control_reply_gone(const struct control_reply *r)
{
    return r->client == NULL && r->done == NULL;
}

bool control_reply_frames(struct control_reply *r, struct slice frames)
{
    while (frames.n > 0) {
        struct arena arena = {0};
        struct control_frame f;
        size_t used = 0;
        enum err e = control_frame_unpack(&arena, frames, &f, &used);
        bool ends = e == ERR_OK && used > 0 && f.type == CONTROL_FRAME_END;
        bool broken = e != ERR_OK || used == 0 || f.type == CONTROL_FRAME_REQUEST;
        if (ends) control_reply_end(r, f.status, f.text);
        if (broken) control_reply_end(r, 1, SLICE("the other node's answer cannot be read"));
        arena_fini(&arena);
        if (ends || broken) return true;
        struct buf *out = reply_out(r);
        if (out != NULL) {
            buf_slice(out, (struct slice){frames.p, used});
            if (out->failed)
                r->failed = ERR_NOMEM;
            else
                reply_sent(r);
        }
        frames = (struct slice){frames.p + used, frames.n - used};
    }
    return false;
}

size_t control_reply_pending(const struct control_reply *r)
{
    return r->client != NULL ? control_client_pending(r->client) : 0;
}

void control_reply_on_drain(struct control_reply *r, void (*drained)(void *ctx, struct control_reply *r), void *ctx)
{
    if (r->server == NULL) {
        drained(ctx, r);
        return;
    }
    r->drained = drained;
    r->drained_ctx = ctx;
    if (control_reply_pending(r) < CONTROL_DRAIN_LOW) control_kick(r->server);
}

struct slice control_reply_user(const struct control_reply *r)
{
    return slice_of(r->user);
}

static void call_drained(struct control_reply *r)
{
    void (*drained)(void *, struct control_reply *) = r->drained;
    r->drained = NULL;
    if (drained != NULL) drained(r->drained_ctx, r);
}

/* A callback may end its own reply and any other, and may wait again: so what is ready is collected first, each is
 * called once, and a reply that is freed meanwhile takes itself out of whichever list it is in. */
void control_replies_drained(struct control_server *s)
{
    struct list_node ready;
    list_init(&ready);
    for (struct list_node *n = s->replies.next; n != &s->replies;) {
        struct control_reply *r = CONTAINER_OF(n, struct control_reply, node);
        n = n->next;
        if (r->drained == NULL || control_reply_pending(r) >= CONTROL_DRAIN_LOW) continue;
        list_remove(&r->node);
        list_append(&ready, &r->node);
    }
    for (struct list_node *n = list_pop(&ready); n != NULL; n = list_pop(&ready)) {
        list_append(&s->replies, n);
        call_drained(CONTAINER_OF(n, struct control_reply, node));
    }
}

void control_replies_orphan(struct control_server *s)
{
    for (struct list_node *n = s->replies.next; n != &s->replies; n = n->next) {
        CONTAINER_OF(n, struct control_reply, node)->server = NULL;
    }
    for (struct list_node *n = list_pop(&s->replies); n != NULL; n = list_pop(&s->replies)) {
        call_drained(CONTAINER_OF(n, struct control_reply, node));
    }
}
