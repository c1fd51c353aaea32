/* stream: the life of TCP and TLS connections on uv_tcp: accept, connect, handshake, read, write, deadlines, close.
 *
 * Every change of state goes through enter(). Memory of a connection goes in its close callback, which also reports
 * what could not be written, so that no report comes from inside a send. One uv_write is outstanding at a time; it
 * takes whatever has been queued meanwhile. Framing is framer.c's, encryption tls.c's, finding and counting
 * stream_table.c's. */
#include "node/edge/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/edge/stream_table.h"

#define LISTEN_BACKLOG 512
#define WRITE_BATCH 64
#define CIPHER_BATCH_LEN 65536
#define CIPHER_KEPT_LEN 16384
#define KEEPALIVE_S 60
#define ACCEPT_RETRY_MS 200

struct stream_out {
    struct list_node node;
    uint64_t token;
    bool own; /* a keep-alive: nobody waits for its fate */
    size_t len;
    char data[];
};

static void stream_close(struct stream *s);
static void stream_finish(struct stream *s);
static void stream_flush(struct stream *s);

/* ---- states and deadlines ---- */

static void enter(struct stream *s, enum stream_state to)
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
    struct deadline d = {s->active_ms + idle_ms, TC_stream_timeout_idle};
    if (s->begun_ms != 0) d = sooner(d, s->begun_ms + limits->message_ms, TC_stream_timeout_message);
    if (s->writing) d = sooner(d, s->write_ms + limits->message_ms, TC_stream_timeout_write);
    return d;
}

static void rearm(struct stream *s)
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
        rearm(s);
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

static struct stream *stream_new(struct transport *t, enum plan_transport transport, const union sock_address *remote,
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
    while ((n = list_pop(list)) != NULL) {
        struct stream_out *out = CONTAINER_OF(n, struct stream_out, node);
        uint64_t token = out->token;
        bool told = !out->own && !t->closing;
        free(out);
        if (!told) continue;
        transport_count(t, TC_stream_send_failed);
        t->options.on_send_failed(t->options.ctx, &s->flow, token);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    struct transport *t = s->t;
    report_unsent(s, &s->in_flight);
    report_unsent(s, &s->queue);
    if (s->opened && !t->closing) t->options.on_connection_lost(t->options.ctx, &s->flow);
    tls_session_free(s->tls);
    framer_fini(&s->framer);
    buf_fini(&s->cipher);
    free(s);
    transport_handle_closed(t);
}

static void stream_close(struct stream *s)
{
    if (s->state == STREAM_CLOSED) return;
    enter(s, STREAM_CLOSED);
    stream_unlist(s);
    enum err freed = stream_stand(s, STANDING_NONE);
    ASSERT(freed == ERR_OK);
    transport_alarm_stop(s->t, &s->alarm);
    list_remove(&s->dirty);
    list_remove(&s->all);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

/* Takes nothing more in either direction, writes what is queued, then closes. */
static void stream_finish(struct stream *s)
{
    if (s->state == STREAM_CLOSED || s->state == STREAM_FINISHING) return;
    if (s->state == STREAM_CONNECTING) {
        stream_close(s);
        return;
    }
    enter(s, STREAM_FINISHING);
    stream_unlist(s);
    (void)uv_read_stop((uv_stream_t *)&s->tcp);
    rearm(s);
    stream_flush(s);
}

/* ---- writing ---- */

static void mark_dirty(struct stream *s)
{
    if (!list_linked(&s->dirty) && s->state != STREAM_CLOSED) list_append(&s->t->streams.dirty, &s->dirty);
}

static enum err enqueue(struct stream *s, struct slice data, uint64_t token, bool own)
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
    mark_dirty(s);
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
    rearm(s);
}

void stream_flush_dirty(struct transport *t)
{
    struct list_node *n = NULL;
    while ((n = list_pop(&t->streams.dirty)) != NULL)
        stream_flush(CONTAINER_OF(n, struct stream, dirty));
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct stream *s = handle->data;
    size_t n = 0;
    char *room = NULL;
    if (s->tls != NULL) {
        room = s->t->streams.cipher_in;
        n = STREAM_CIPHER_LEN;
    } else {
        room = framer_room(&s->framer, &n);
    }
    *buf = uv_buf_init(room, room != NULL ? (unsigned)n : 0); /* 0: libuv reports UV_ENOBUFS */
}

/* When the peer must have said something whole: the first message of a guest, and each message once it has begun. */
static void watch_progress(struct stream *s)
{
    bool waiting = framer_partial(&s->framer) || (s->accepted_by != NULL && !s->heard && !s->flow.member);
    if (!waiting) {
        s->begun_ms = 0;
    } else if (s->begun_ms == 0) {
        s->begun_ms = uv_now(s->t->loop);
    }
    rearm(s);
}

static void take_messages(struct stream *s)
{
    struct transport *t = s->t;
    struct sip_view view;
    enum sip_fault fault = SIP_FAULT_NONE;
    bool answerable = false;
    bool pinged = false;
    enum frame frame = FRAME_PING;
    while (s->state == STREAM_OPEN && frame != FRAME_MORE && frame != FRAME_LOST) {
        frame = framer_next(&s->framer, &view, &fault, &answerable);
        if (frame == FRAME_PING) {
            transport_count(t, TC_stream_keepalives);
            pinged = true;
        } else if (frame == FRAME_MESSAGE) {
            transport_count(t, TC_stream_received);
            s->heard = true;
            s->begun_ms = 0;
            t->options.on_message(t->options.ctx, &s->flow, &view);
        } else if (frame != FRAME_MORE) {
            transport_count_fault(t, fault);
            t->options.on_fault(t->options.ctx, &s->flow, &view, fault, answerable);
        }
    }
    if (s->state != STREAM_OPEN) return;
    /* One answer for all the pings of one read: more would let a peer make us write as much as it does. When the queue
     * is full the answer may be missing, since then the peer has other bytes to see that we live. */
    if (pinged && enqueue(s, SLICE("\r\n"), 0, true) == ERR_NOMEM) frame = FRAME_LOST;
    if (frame == FRAME_LOST) {
        stream_finish(s);
    } else {
        watch_progress(s);
    }
}

static void opened(struct stream *s)
{
    char text[SOCK_ADDRESS_TEXT];
    enter(s, STREAM_OPEN);
    s->opened = true;
    s->active_ms = uv_now(s->t->loop);
    watch_progress(s);
    mark_dirty(s);
    log_event(s->t->log, LOG_DEBUG, "edge", "connection-open", "transport=%s remote=%s direction=%s member=%s",
              plan_transport_name(s->flow.transport), sock_address_text(&s->flow.remote, text),
              s->accepted_by != NULL ? "in" : "out", s->flow.member ? s->flow.peer_name : "-");
}

/* The handshake is done: who is it? */
static void handshaken(struct stream *s)
{
    struct transport *t = s->t;
    transport_count(t, TC_tls_handshakes);
    s->flow.member = tls_session_member(s->tls, s->flow.peer_name);
    if (s->expect_member && !s->flow.member) {
        transport_count(t, TC_tls_member_refused);
        stream_close(s);
        return;
    }
    if (stream_stand(s, s->flow.member ? STANDING_NONE : STANDING_GUEST) != ERR_OK) {
        stream_close(s);
        return;
    }
    opened(s);
}

static void handshake_failed(struct stream *s)
{
    char text[SOCK_ADDRESS_TEXT];
    struct transport *t = s->t;
    transport_count(t, TC_tls_handshake_failed);
    if (s->expect_member) transport_count(t, TC_tls_member_refused);
    log_event(t->log, s->accepted_by != NULL ? LOG_DEBUG : LOG_WARN, "edge", "tls-failed",
              "remote=%s direction=%s reason=\"%s\"", sock_address_text(&s->flow.remote, text),
              s->accepted_by != NULL ? "in" : "out", tls_session_error(s->tls));
    stream_finish(s); /* the peer gets its alert */
}

static void handshake_go(struct stream *s)
{
    enum tls_progress progress = tls_session_handshake(s->tls);
    mark_dirty(s);
    if (progress == TLS_READY) handshaken(s);
    if (progress == TLS_FAILED) handshake_failed(s);
}

static void take_cipher(struct stream *s, const char *data, size_t n)
{
    if (tls_session_feed(s->tls, data, n) != ERR_OK) {
        transport_count(s->t, TC_stream_lost);
        stream_close(s);
        return;
    }
    if (s->state == STREAM_HANDSHAKE) handshake_go(s);
    while (s->state == STREAM_OPEN) {
        size_t got = 0;
        char *room = framer_room(&s->framer, &got);
        enum tls_progress progress = room != NULL ? tls_session_read(s->tls, room, &got) : TLS_FAILED;
        if (progress == TLS_WAIT) break;
        if (progress == TLS_FAILED) {
            stream_finish(s);
            return;
        }
        framer_filled(&s->framer, got);
        take_messages(s);
    }
    mark_dirty(s); /* the session may have an answer of its own (key update) */
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf)
{
    struct stream *s = handle->data;
    if (nread == 0 || s->state == STREAM_CLOSED || s->state == STREAM_FINISHING) return;
    if (nread == UV_EOF) {
        if (s->state == STREAM_HANDSHAKE) transport_count(s->t, TC_tls_handshake_failed);
        stream_finish(s);
        return;
    }
    if (nread < 0) {
        transport_count(s->t, TC_stream_lost);
        stream_close(s);
        return;
    }
    s->active_ms = uv_now(s->t->loop);
    if (s->tls != NULL) {
        take_cipher(s, buf->base, (size_t)nread);
        return;
    }
    framer_filled(&s->framer, (size_t)nread);
    take_messages(s);
}

/* The TCP connection stands: reads, and lets TLS begin. ERR_NOMEM, ERR_IO. */
static enum err begin(struct stream *s)
{
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_S);
    if (s->flow.transport == PLAN_TLS) {
        enum tls_role role = s->accepted_by != NULL ? TLS_SERVER
                             : s->expect_member     ? TLS_CLIENT_MEMBER
                                                    : TLS_CLIENT_PUBLIC;
        s->tls = tls_session_new(s->t->tls, role);
        if (s->tls == NULL) return ERR_NOMEM;
    }
    if (uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read) != 0) return ERR_IO;
    if (s->tls == NULL) {
        opened(s);
        return ERR_OK;
    }
    if (s->state != STREAM_HANDSHAKE) enter(s, STREAM_HANDSHAKE);
    rearm(s);
    if (s->accepted_by == NULL) handshake_go(s);
    return ERR_OK;
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *s = req->data;
    if (s->state == STREAM_CLOSED) return;
    if (status != 0) {
        transport_count(s->t, TC_stream_connect_failed);
        stream_close(s);
        return;
    }
    if (begin(s) != ERR_OK) {
        transport_count(s->t, TC_stream_lost);
        stream_close(s);
    }
}

/* The source address is the listener's, since the peer's trust goes by address. */
static bool bind_source(struct stream *s)
{
    const struct listener *l = &s->t->listeners[s->flow.listener];
    union sock_address local = l->shown.local;
    if (l->shown.transport != s->flow.transport || sock_address_is_any(&local)) return true;
    if (local.any.sa_family != s->flow.remote.any.sa_family) return true;
    sock_address_set_port(&local, 0);
    return uv_tcp_bind(&s->tcp, &local.any, 0) == 0;
}

static enum err stream_connect(struct transport *t, const struct flow *to, bool expect_member, struct stream **out)
{
    if (t->streams.out_count >= t->limits.connections_out) {
        transport_count(t, TC_stream_refused_out_full);
        return ERR_FULL;
    }
    struct stream *s = stream_new(t, to->transport, &to->remote, STREAM_CONNECTING);
    if (s == NULL) return ERR_NOMEM;
    s->expect_member = expect_member && to->transport == PLAN_TLS;
    s->flow.listener = to->listener;
    transport_count(t, TC_stream_connects);
    if ((t->listener_count > 0 && !bind_source(s)) ||
        uv_tcp_connect(&s->connect, &s->tcp, &s->flow.remote.any, on_connected) != 0) {
        transport_count(t, TC_stream_connect_failed);
        stream_close(s);
        return ERR_UNREACHABLE;
    }
    stream_list(s);
    rearm(s);
    *out = s;
    return ERR_OK;
}

enum err stream_send(struct transport *t, const struct flow *to, bool expect_member, struct slice data, uint64_t token)
{
    struct stream *s = to->connection != 0 ? stream_by_id(t, to->connection, to->transport) : NULL;
    if (s != NULL && to->transport == PLAN_TLS && expect_member && !s->flow.member && !s->expect_member) s = NULL;
    if (s == NULL) s = stream_by_remote(t, to->transport, &to->remote, expect_member);
    if (s == NULL) {
        enum err err = stream_connect(t, to, expect_member, &s);
        if (err != ERR_OK) return err;
    }
    return enqueue(s, data, token, false);
}

/* ---- accepting ---- */

enum err stream_socket_open(union sock_address *address, int *fd)
{
    int on = 1;
    socklen_t len = sock_address_len(address);
    bool v6 = address->any.sa_family == AF_INET6;
    int s = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) return ERR_IO;
    /* SO_REUSEADDR lets a restarted node listen while old connections linger; a second listener is still refused. */
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (v6 && setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) || bind(s, &address->any, len) != 0 ||
        listen(s, LISTEN_BACKLOG) != 0 || getsockname(s, &address->any, &len) != 0) {
        int why = errno;
        (void)close(s);
        errno = why;
        return why == EADDRINUSE ? ERR_EXISTS : ERR_IO;
    }
    *fd = s;
    return ERR_OK;
}

static void admit(struct stream *s, struct listener *l)
{
    union sock_address remote;
    int len = sizeof remote;
    memset(&remote, 0, sizeof remote);
    if (uv_tcp_getpeername(&s->tcp, &remote.any, &len) != 0) { /* gone already */
        transport_count(l->t, TC_stream_accept_errors);
        stream_close(s);
        return;
    }
    s->flow.remote = remote;
    if (!stream_admit(l, &remote)) {
        stream_close(s);
        return;
    }
    s->accepted_by = l;
    s->flow.listener = l->index;
    bool tls = l->shown.transport == PLAN_TLS;
    if (stream_stand(s, tls ? STANDING_HALF_OPEN : STANDING_GUEST) != ERR_OK) {
        stream_close(s);
        return;
    }
    stream_list(s);
    transport_count(l->t, TC_stream_accepted);
    if (begin(s) != ERR_OK) stream_close(s);
}

/* Takes the connection that waits. Without memory it is left waiting: libuv accepts no further one until then. */
static void accept_one(struct listener *l)
{
    enum stream_state state = l->shown.transport == PLAN_TLS ? STREAM_HANDSHAKE : STREAM_CONNECTING;
    struct stream *s = stream_new(l->t, l->shown.transport, NULL, state);
    l->stalled = s == NULL;
    if (s == NULL) {
        transport_count(l->t, TC_stream_refused_no_memory);
        transport_alarm_set(l->t, &l->retry, ACCEPT_RETRY_MS);
        return;
    }
    if (uv_accept((uv_stream_t *)&l->handle.tcp, (uv_stream_t *)&s->tcp) != 0) {
        transport_count(l->t, TC_stream_accept_errors);
        stream_close(s);
        return;
    }
    admit(s, l);
}

static void on_retry(struct alarm *a)
{
    struct listener *l = CONTAINER_OF(a, struct listener, retry);
    if (l->stalled) accept_one(l);
}

static void on_incoming(uv_stream_t *handle, int status)
{
    struct listener *l = handle->data;
    if (status != 0) {
        transport_count(l->t, TC_stream_accept_errors);
        return;
    }
    accept_one(l);
}

enum err stream_attach(struct listener *l)
{
    l->retry.ring = on_retry;
    wheel_timer_init(&l->retry.timer);
    if (uv_tcp_init(l->t->loop, &l->handle.tcp) != 0) return ERR_NOMEM;
    l->handle.tcp.data = l;
    l->attached = true;
    transport_handle_opened(l->t);
    if (uv_tcp_open(&l->handle.tcp, l->fd) != 0) return ERR_IO;
    l->fd = -1;
    return uv_listen((uv_stream_t *)&l->handle.tcp, LISTEN_BACKLOG, on_incoming) == 0 ? ERR_OK : ERR_IO;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    transport_handle_closed(l->t);
}

void stream_close_listener(struct listener *l)
{
    if (!l->attached) return;
    transport_alarm_stop(l->t, &l->retry);
    uv_close(&l->handle.any, on_listener_closed);
}

void stream_close_all(struct transport *t)
{
    while (!list_empty(&t->streams.all))
        stream_close(CONTAINER_OF(t->streams.all.next, struct stream, all));
}
