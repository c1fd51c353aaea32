/* stream_read: what a connection receives: TLS handshake and decryption, messages and keep-alives. Contract:
 * stream_conn.h. */
#include "node/edge/stream_conn.h"

#include <netinet/tcp.h>

#define KEEPALIVE_S 60
#define MEMBER_UNACKNOWLEDGED_MS 5000

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
    stream_rearm(s);
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
    if (pinged && stream_enqueue(s, SLICE("\r\n"), 0, true) == ERR_NOMEM) frame = FRAME_LOST;
    if (frame == FRAME_LOST) {
        stream_finish(s);
    } else {
        watch_progress(s);
    }
}

static void opened(struct stream *s)
{
    char text[SOCK_ADDRESS_TEXT];
    stream_enter(s, STREAM_OPEN);
    s->opened = true;
    s->active_ms = uv_now(s->t->loop);
    watch_progress(s);
    stream_mark_dirty(s);
    log_event(s->t->log, LOG_DEBUG, "edge", "connection-open", "transport=%s remote=%s direction=%s member=%s",
              plan_transport_name(s->flow.transport), sock_address_text(&s->flow.remote, text),
              s->accepted_by != NULL ? "in" : "out", s->flow.member ? s->member_name : "-");
}

/* What the certificate of one who is no member is for: a trunk may be known by it. */
static void note_names(struct stream *s)
{
    char text[SOCK_ADDRESS_TEXT];
    enum tls_names found = tls_session_names(s->tls, &s->names);
    if (found == TLS_NAMES_MORE || s->names.failed) transport_count(s->t, TC_tls_names_left_out);
    if (found != TLS_NAMES_UNPROVED) return;
    transport_count(s->t, TC_tls_certificate_unproved);
    log_event(s->t->log, LOG_INFO, "edge", "tls-certificate", "remote=%s reason=\"%s\"",
              sock_address_text(&s->flow.remote, text), tls_session_error(s->tls));
}

/* What a member does not acknowledge for so long does not arrive (RFC 5482): over a new connection calls go on as soon
 * as there is a way, while TCP would wait longer and longer between its tries. A phone may be out of reach for a while,
 * and keeps its connection. */
static void limit_patience(struct stream *s)
{
    uv_os_fd_t fd = -1;
    unsigned ms = MEMBER_UNACKNOWLEDGED_MS;
    if (uv_fileno((uv_handle_t *)&s->tcp, &fd) != 0) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

/* The handshake is done: who is it? */
static void handshaken(struct stream *s)
{
    struct transport *t = s->t;
    transport_count(t, TC_tls_handshakes);
    s->flow.member = tls_session_member(s->tls, s->member_name);
    if (s->expect_member && !s->flow.member) {
        transport_count(t, TC_tls_member_refused);
        stream_close(s);
        return;
    }
    if (s->host != NULL && !tls_session_proves(s->tls, s->host)) {
        char text[SOCK_ADDRESS_TEXT];
        transport_count(t, TC_tls_name_refused);
        log_event(t->log, LOG_WARN, "edge", "tls-name",
                  "remote=%s expected=%s reason=\"its certificate is for another\"",
                  sock_address_text(&s->flow.remote, text), s->host);
        s->why = "its certificate is for another name";
        stream_close(s);
        return;
    }
    if (stream_stand(s, s->flow.member ? STANDING_NONE : STANDING_GUEST) != ERR_OK) {
        stream_close(s);
        return;
    }
    if (s->flow.member) {
        limit_patience(s);
    } else {
        note_names(s);
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
    stream_mark_dirty(s);
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
    stream_mark_dirty(s); /* the session may have an answer of its own (key update) */
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

enum err stream_read(struct stream *s)
{
    return uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read) == 0 ? ERR_OK : ERR_IO;
}

enum err stream_begin(struct stream *s)
{
    (void)uv_tcp_nodelay(&s->tcp, 1);
    (void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_S);
    if (s->flow.transport == PLAN_TLS) {
        enum tls_role role = s->accepted_by != NULL ? TLS_SERVER
                             : s->expect_member     ? TLS_CLIENT_MEMBER
                                                    : TLS_CLIENT_PUBLIC;
        s->tls = tls_session_new(s->t->tls, role);
        if (s->tls == NULL) return ERR_NOMEM;
        if (s->host != NULL && tls_session_ask(s->tls, s->host) != ERR_OK) return ERR_NOMEM;
    }
    if (stream_read(s) != ERR_OK) return ERR_IO;
    if (s->tls == NULL) {
        opened(s);
        return ERR_OK;
    }
    if (s->state != STREAM_HANDSHAKE) stream_enter(s, STREAM_HANDSHAKE);
    stream_rearm(s);
    if (s->accepted_by == NULL) handshake_go(s);
    return ERR_OK;
}
