/* stream: connections come to be: accepted from our listeners, or made because something is to be sent. What they do
 * then is stream_conn.c's and stream_read.c's; finding and counting them is stream_table.c's. */
#include "node/edge/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/edge/stream_conn.h"

#define LISTEN_BACKLOG 512
#define ACCEPT_RETRY_MS 200

/* ---- connecting ---- */

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *s = req->data;
    if (s->state == STREAM_CLOSED) return;
    if (status != 0) {
        transport_count(s->t, TC_stream_connect_failed);
        s->why = uv_strerror(status);
        stream_close(s);
        return;
    }
    if (stream_begin(s) != ERR_OK) {
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

/* For the handshake; without memory there is no connection. */
static bool keep_host(struct stream *s, struct slice host, uint64_t domain)
{
    if (host.n == 0 || s->flow.transport != PLAN_TLS) return true;
    s->host = strndup(host.p, host.n);
    s->flow.domain = domain;
    return s->host != NULL;
}

static enum err stream_connect(struct transport *t, const struct flow *to, bool expect_member, struct slice host,
                               struct stream **out)
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
    if (!keep_host(s, host, to->domain) || (t->listener_count > 0 && !bind_source(s)) ||
        uv_tcp_connect(&s->connect, &s->tcp, &s->flow.remote.any, on_connected) != 0) {
        transport_count(t, TC_stream_connect_failed);
        stream_close(s);
        return ERR_UNREACHABLE;
    }
    stream_list(s);
    stream_rearm(s);
    *out = s;
    return ERR_OK;
}

enum err stream_send(struct transport *t, const struct flow *to, bool expect_member, struct slice host,
                     struct slice data, uint64_t token)
{
    struct stream *s = to->connection != 0 ? stream_by_id(t, to->connection, to->transport) : NULL;
    if (s != NULL && to->transport == PLAN_TLS && expect_member && !s->flow.member && !s->expect_member) s = NULL;
    if (s == NULL) s = stream_by_remote(t, to, expect_member);
    /* A name must be there to be compared: the connection on which it was proved is gone. */
    if (s == NULL && to->transport == PLAN_TLS && to->domain != 0 && host.n == 0) return ERR_UNREACHABLE;
    if (s == NULL) {
        enum err err = stream_connect(t, to, expect_member, host, &s);
        if (err != ERR_OK) return err;
    }
    return stream_enqueue(s, data, token, false);
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
    s->flow.accepted = true;
    bool tls = l->shown.transport == PLAN_TLS;
    if (stream_stand(s, tls ? STANDING_HALF_OPEN : STANDING_GUEST) != ERR_OK) {
        stream_close(s);
        return;
    }
    stream_list(s);
    transport_count(l->t, TC_stream_accepted);
    if (stream_begin(s) != ERR_OK) stream_close(s);
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
