/* decode: unpacks a frame that came in fragments, on a worker thread: it can be hundreds of megabytes long, and the
 * loop must not stand still for it.
 *
 * Its last fragment is acknowledged when the message has been handed up, so the sender's acknowledgement means what it
 * says for short ones. The context of that fragment stays taken meanwhile, which bounds how many decodings there are.
 */
#include <stdlib.h>

#include "node/mesh/internal.h"

struct decode {
    uv_work_t work;
    struct mesh *mesh;
    void (*done)(void *ctx, enum mesh_ack_code code, const char *text);
    void *ctx;
    struct node_name from;
    struct slice bytes; /* owned */
    struct arena arena;
    struct mesh_frame frame;
    enum err err;
    struct err_info info;
};

static void decode_free(struct decode *d)
{
    arena_fini(&d->arena);
    free((void *)(uintptr_t)d->bytes.p);
    free(d);
}

static void on_work(uv_work_t *w)
{
    struct decode *d = CONTAINER_OF(w, struct decode, work);
    d->err = mesh_frame_unpack(&d->arena, d->bytes, &d->frame, &d->info);
}

static void deliver(struct decode *d)
{
    struct mesh *m = d->mesh;
    const char *text = d->info.text;
    enum mesh_ack_code code = MESH_ACK_BAD;
    if (d->err == ERR_NOMEM) {
        code = MESH_ACK_FULL;
    } else if (d->err != ERR_OK) {
        mesh_count(m, MESH_COUNT_frames_bad);
    } else if (!node_name_eq(&d->frame.sender, &d->from) || !slice_eq(d->frame.cluster, m->options.cluster)) {
        mesh_count(m, MESH_COUNT_sender_forged);
        text = "the sender is not who its hello proved";
    } else {
        code = mesh_deliver(m, &d->from, &d->frame, &text);
    }
    if (!m->closing) d->done(d->ctx, code, text);
}

static void on_worked(uv_work_t *w, int status)
{
    struct decode *d = CONTAINER_OF(w, struct decode, work);
    struct mesh *m = d->mesh;
    (void)status; /* is never cancelled */
    m->whole_budget -= d->bytes.n;
    if (!m->closing) deliver(d);
    decode_free(d);
    mesh_pending_done(m);
}

void decode_start(struct mesh *m, const struct node_name *from, struct slice bytes_take,
                  void (*done)(void *ctx, enum mesh_ack_code code, const char *text), void *ctx)
{
    struct decode *d = calloc(1, sizeof *d);
    if (d != NULL) {
        d->mesh = m;
        d->done = done;
        d->ctx = ctx;
        d->from = *from;
        d->bytes = bytes_take;
        if (uv_queue_work(m->options.loop, &d->work, on_work, on_worked) == 0) {
            m->pending++;
            return;
        }
        free(d);
    }
    m->whole_budget -= bytes_take.n;
    free((void *)(uintptr_t)bytes_take.p);
    done(ctx, MESH_ACK_FULL, "no memory");
}
