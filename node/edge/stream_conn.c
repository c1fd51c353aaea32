/* stream_conn: the life of one connection: its states, its deadlines, what it writes, and its end. Contract:
 * stream_conn.h.
 *
 * One uv_write is outstanding at a time; it takes whatever has been queued meanwhile. */
#include "node/edge/stream_conn.h"

#include <stdlib.h>

#include "node/edge/stream.h"

#define WRITE_BATCH 64
#define CIPHER_BATCH_LEN 65536
#define CIPHER_KEPT_LEN 16384

struct stream_out {
    struct list_node node;
    uint64_t token;
    bool own; /* a keep-alive: nobody waits for its fate */
    size_t len;
    char data[];
};

static void stream_flush(struct stream *s);

/* ---- states and deadlines ---- */

void stream_enter(struct stream *s, enum stream_state to)
{
    static const bool allowed[STREAM_STATE_COUNT][STREAM_STATE_COUNT] = {
        [STREAM_CONNECTING] = {[STREAM_HANDSHAKE] = true, [STREAM_OPEN] = true, [STREAM_CLOSED] = true},
        [STREAM_HANDSHAKE] = {[STREAM_OPEN] = true, [STREAM_FINISHING] = true, [STREAM_CLOSED] = true},
        [STREAM_OPEN] = {[STREAM_FINISHING] = true, [STREAM_CLOSED] = true},
        [STREAM_FINISHING] = {[STREAM_CLOSED] = true},
    };
    ASSERT(allowed[s->state][to]);
    s->state = to;
    s->state_ms = uv_now(s->t->loop);
}

struct deadline {
    uint64_t at_ms;
    enum transport_counter counter;
};

static struct deadline sooner(struct deadline a, uint64_t at_ms, enum transport_counter counter)
{
    return a.at_ms <= at_ms ? a : (struct deadline){at_ms, counter};
}

static struct deadline deadline_of(const struct stream *s)
{
    const struct transport_limits *limits = &s->t->limits;
    if (s->state == STREAM_CONNECTING) {
        return (struct deadline){s->state_ms + limits->connect_ms, TC_stream_connect_failed};
    }
    if (s->state == STREAM_HANDSHAKE) {
        return (struct deadline){s->state_ms + limits->handshake_ms, TC_stream_timeout_handshake};
    }
    if (s->state == STREAM_FINISHING) {
        return (struct deadline){s->state_ms + limits->handshake_ms, TC_stream_timeout_write};
    }
    uint64_t idle_ms = s->flow.member ? limits->idle_member_ms : limits->idle_ms;
    uint64_t idle_since_ms = s->holds > 0 ? uv_now(s->t->loop) : s->active_ms;
    struct deadline d = {idle_since_ms + idle_ms, TC_stream_timeout_idle};
    if (s->begun_ms != 0 && !s->paused) d = sooner(d, s->begun_ms + limits->message_ms, TC_stream_timeout_message);
    if (s->writing) d = sooner(d, s->write_ms + limits->message_ms, TC_stream_timeout_write);
    return d;
}

void stream_rearm(struct stream *s)
{
    if (s->state == STREAM_CLOSED) return;
    uint64_t now = uv_now(s->t->loop);
    uint64_t at = deadline_of(s).at_ms;
    transport_alarm_set(s->t, &s->alarm, at > now ? at - now : 0);
}

static void on_alarm(struct alarm *a)
{
    struct stream *s = CONTAINER_OF(a, struct stream, alarm);
    struct deadline d = deadline_of(s);
    if (uv_now(s->t->loop) < d.at_ms) {
        stream_rearm(s);
        return;
    }
    transport_count(s->t, d.counter);
    if (d.counter == TC_stream_timeout_idle) {
        stream_finish(s);
    } else {
        stream_close(s);
    }
}

/* ---- making and ending ---- */

struct stream *stream_new(struct transport *t, enum plan_transport transport, const union sock_address *remote,
                          enum stream_state state)
{
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    if (uv_tcp_init(t->loop, &s->tcp) != 0) {
        free(s);
        return NULL;
    }
    transport_handle_opened(t);
    s->t = t;
    s->state = state;
    s->state_ms = s->active_ms = uv_now(t->loop);
    s->tcp.data = s->connect.data = s->write.data = s;
    s->flow.transport = transport;
    if (remote != NULL) s->flow.remote = *remote;
    s->alarm.ring = on_alarm;
    wheel_timer_init(&s->alarm.timer);
    list_init(&s->queue);
    list_init(&s->in_flight);
    list_init(&s->dirty);
    list_append(&t->streams.all, &s->all);
    return s;
}

static void report_unsent(struct stream *s, struct list_node *list)
{
    struct transport *t = s->t;
    struct list_node *n = NULL;
    const char *tls = s->tls != NULL ? tls_session_error(s->tls) : "";
    t->unsent_why = s->why != NULL ? s->why : tls;
    while ((n = list_pop(list)) != NULL) {
        struct stream_out *out = CONTAINER_OF(n, struct stream_out, node);
        uint64_t token = out->token;
        bool told = !out->own && !t->closing;
        free(out);
        if (!told) continue;
        transport_count(t, TC_stream_send_failed);
        t->options.on_send_failed(t->options.ctx, &s->flow, token);
    }
    t->unsent_why = "";
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    struct transport *t = s->t;
    report_unsent(s, &s->in_flight);
    report_unsent(s, &s->queue);
    if (s->opened && !t->closing) t->options.on_connection_lost(t->options.ctx, &s->flow);
    tls_session_free(s->tls);
    free(s->host);
    buf_fini(&s->names);
    framer_fini(&s->framer);
    buf_fini(&s->cipher);
    free(s);
    transport_handle_closed(t);
}

void stream_close(struct stream *s)
{
    if (s->state == STREAM_CLOSED) return;
    stream_enter(s, STREAM_CLOSED);
    stream_unlist(s);
    enum err freed = stream_stand(s, STANDING_NONE);
    ASSERT(freed == ERR_OK);
    transport_alarm_stop(s->t, &s->alarm);
    list_remove(&s->dirty);
    list_remove(&s->all);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

void stream_finish(struct stream *s)
{
    if (s->state == STREAM_CLOSED || s->state == STREAM_FINISHING) return;
    if (s->state == STREAM_CONNECTING) {
        stream_close(s);
        return;
    }
    stream_enter(s, STREAM_FINISHING);
    stream_unlist(s);
    (void)uv_read_stop((uv_stream_t *)&s->tcp);
    stream_rearm(s);
    stream_flush(s);
}

/* ---- writing ---- */

void stream_mark_dirty(struct stream *s)
{
    if (!list_linked(&s->dirty) && s->state != STREAM_CLOSED) list_append(&s->t->streams.dirty, &s->dirty);
}

/* A guest that does not read what it is answered is not read either, or it could have us keep more and more for it.
 * What was read already is dealt with all the same, so that nothing is left behind which no further read would wake.
 * Where we made the connection we go on: two nodes that each wait for the other to read would wait for ever. So we do
 * with members, which may have much to take at a time. */
static void pace(struct stream *s)
{
    bool pause = s->queued_bytes > s->t->limits.guest_bytes;
    if (s->state != STREAM_OPEN || s->standing != STANDING_GUEST || pause == s->paused) return;
    s->paused = pause;
    if (pause) {
        transport_count(s->t, TC_stream_reading_paused);
        (void)uv_read_stop((uv_stream_t *)&s->tcp);
        return;
    }
    if (s->begun_ms != 0) s->begun_ms = uv_now(s->t->loop); /* the rest could not come */
    if (stream_read(s) == ERR_OK) {
        stream_rearm(s);
        return;
    }
    transport_count(s->t, TC_stream_lost);
    stream_close(s);
}

enum err stream_enqueue(struct stream *s, struct slice data, uint64_t token, bool own)
{
    if (s->queued_bytes + data.n > s->t->limits.connection_bytes) {
        transport_count(s->t, TC_stream_queue_full);
        return ERR_FULL;
    }
    struct stream_out *out = malloc(sizeof *out + data.n);
    if (out == NULL) return ERR_NOMEM;
    out->token = token;
    out->own = own;
    out->len = data.n;
    memcpy(out->data, data.p, data.n);
    list_init(&out->node);
    list_append(&s->queue, &out->node);
    s->queued_bytes += data.n;
    stream_mark_dirty(s);
    pace(s);
    return ERR_OK;
}

static unsigned gather_plain(struct stream *s, uv_buf_t *parts)
{
    unsigned count = 0;
    while (s->opened && count < WRITE_BATCH && !list_empty(&s->queue)) {
        struct stream_out *out = CONTAINER_OF(list_pop(&s->queue), struct stream_out, node);
        list_append(&s->in_flight, &out->node);
        parts[count++] = uv_buf_init(out->data, (unsigned)out->len);
    }
    return count;
}

/* ERR_IO, ERR_NOMEM: the session is of no more use. */
static enum err gather_cipher(struct stream *s, uv_buf_t *part, unsigned *count)
{
    size_t plain = 0;
    if (s->cipher.cap > CIPHER_KEPT_LEN) buf_fini(&s->cipher);
    buf_reset(&s->cipher);
    while (s->opened && plain < CIPHER_BATCH_LEN && !list_empty(&s->queue)) {
        struct stream_out *out = CONTAINER_OF(list_pop(&s->queue), struct stream_out, node);
        list_append(&s->in_flight, &out->node);
        plain += out->len;
        enum err err = tls_session_write(s->tls, (struct slice){out->data, out->len});
        if (err != ERR_OK) return err;
    }
    if (s->state == STREAM_FINISHING && list_empty(&s->queue) && !s->goodbye) {
        s->goodbye = true;
        tls_session_shutdown(s->tls);
    }
    tls_session_take(s->tls, &s->cipher);
    if (s->cipher.failed) return ERR_NOMEM;
    *part = uv_buf_init(s->cipher.p, (unsigned)s->cipher.n);
    *count = s->cipher.n > 0 ? 1 : 0;
    return ERR_OK;
}

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = req->data;
    struct list_node *n = NULL;
    s->writing = false;
    while (status == 0 && (n = list_pop(&s->in_flight)) != NULL) {
        struct stream_out *out = CONTAINER_OF(n, struct stream_out, node);
        s->queued_bytes -= out->len;
        if (!out->own) transport_count(s->t, TC_stream_sent);
        free(out);
    }
    if (s->state == STREAM_CLOSED) return;
    if (status != 0) {
        transport_count(s->t, TC_stream_lost);
        stream_close(s);
        return;
    }
    s->active_ms = uv_now(s->t->loop);
    pace(s);
    stream_flush(s);
}

static void stream_flush(struct stream *s)
{
    uv_buf_t parts[WRITE_BATCH];
    unsigned count = 0;
    list_remove(&s->dirty);
    if (s->writing || s->state == STREAM_CONNECTING || s->state == STREAM_CLOSED) return;
    enum err err = ERR_OK;
    if (s->tls != NULL) {
        err = gather_cipher(s, parts, &count);
    } else {
        count = gather_plain(s, parts);
    }
    if (err == ERR_OK && count == 0) {
        if (s->state == STREAM_FINISHING) stream_close(s);
        return;
    }
    if (err != ERR_OK || uv_write(&s->write, (uv_stream_t *)&s->tcp, parts, count, on_written) != 0) {
        transport_count(s->t, TC_stream_lost);
        stream_close(s);
        return;
    }
    s->writing = true;
    s->write_ms = uv_now(s->t->loop);
    stream_rearm(s);
}

void stream_flush_dirty(struct transport *t)
{
    struct list_node *n = NULL;
    while ((n = list_pop(&t->streams.dirty)) != NULL)
        stream_flush(CONTAINER_OF(n, struct stream, dirty));
}
