/* transport_kit: two sides on one loop, what they received, and plain sockets to annoy them with. Nothing here sleeps:
 * run_until turns the loop until a condition holds, and fails the test after a generous while. */
#ifndef TANDEM_TEST_TRANSPORT_KIT_H
#define TANDEM_TEST_TRANSPORT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/edge/address.h"
#include "node/edge/transport.h"

#define KIT_PATIENCE_MS 20000
#define KIT_TOKENS_MAX 4096
#define KIT_REFUSAL "SIP/2.0 400 Bad Request\r\n\r\n"

struct kit_loop {
    uv_loop_t loop;
    uv_timer_t patience;
    bool late;
};

static inline void kit_late(uv_timer_t *timer)
{
    struct kit_loop *k = timer->data;
    k->late = true;
}

static inline void kit_loop_init(struct kit_loop *k)
{
    memset(k, 0, sizeof *k);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    assert_int_equal(uv_loop_init(&k->loop), 0);
    assert_int_equal(uv_timer_init(&k->loop, &k->patience), 0);
    k->patience.data = k;
}

static inline void kit_loop_fini(struct kit_loop *k)
{
    uv_close((uv_handle_t *)&k->patience, NULL);
    while (uv_run(&k->loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(&k->loop), 0);
}

#define kit_turn(k, condition, mode)                                                                                   \
    do {                                                                                                               \
        (k)->late = false;                                                                                             \
        assert_int_equal(uv_timer_start(&(k)->patience, kit_late, KIT_PATIENCE_MS, 0), 0);                             \
        while (!(condition) && !(k)->late)                                                                             \
            (void)uv_run(&(k)->loop, (mode));                                                                          \
        (void)uv_timer_stop(&(k)->patience);                                                                           \
        if ((k)->late) fail_msg("waited in vain for: %s", #condition);                                                 \
    } while (0)

/* The loop sleeps between events, so that work which nobody wakes it for is noticed. */
#define run_until(k, condition) kit_turn(k, condition, UV_RUN_ONCE)
/* For conditions on plain sockets, which cannot wake the loop. */
#define run_until_seen(k, condition) kit_turn(k, condition, UV_RUN_NOWAIT)

/* One transport and what its callbacks said. */
struct side {
    struct transport *t;
    struct kit_loop *k;
    bool echo; /* answer each message to its flow by itself, each fault by KIT_REFUSAL */
    size_t messages;
    size_t bytes;
    struct buf last; /* the last message */
    struct flow last_flow;
    size_t faults;
    enum sip_fault last_fault;
    size_t failed;
    uint64_t tokens[KIT_TOKENS_MAX];
    struct flow failed_flow;
    size_t lost;
    struct flow lost_flow;
    bool in_send; /* no callback may come now */
    bool close_on_message;
    bool closed;
};

/* What a callback has changed is looked at before the loop sleeps again. */
static inline void side_wake(struct side *s)
{
    uv_stop(&s->k->loop);
}

static inline void side_closed(void *ctx)
{
    struct side *s = ctx;
    s->closed = true;
    side_wake(s);
}

static inline void side_message(void *ctx, const struct flow *from, struct sip_view *v)
{
    struct side *s = ctx;
    assert_false(s->in_send);
    assert_false(s->closed);
    s->messages++;
    s->bytes += v->len;
    buf_reset(&s->last);
    buf_add(&s->last, v->data, v->len);
    s->last_flow = *from;
    if (s->echo) assert_int_equal(transport_send(s->t, from, false, (struct slice){v->data, v->len}, 77), ERR_OK);
    if (s->close_on_message) transport_close(s->t, side_closed, s);
}

static inline void side_fault(void *ctx, const struct flow *from, struct sip_view *v, enum sip_fault fault,
                              bool answerable)
{
    struct side *s = ctx;
    (void)v;
    (void)answerable;
    assert_false(s->in_send);
    s->faults++;
    s->last_fault = fault;
    if (s->echo) assert_int_equal(transport_send(s->t, from, false, SLICE(KIT_REFUSAL), 78), ERR_OK);
    side_wake(s);
}

static inline void side_failed(void *ctx, const struct flow *to, uint64_t token)
{
    struct side *s = ctx;
    assert_false(s->in_send);
    assert_false(s->closed);
    s->failed_flow = *to;
    if (s->failed < KIT_TOKENS_MAX) s->tokens[s->failed] = token;
    s->failed++;
    side_wake(s);
}

static inline void side_lost(void *ctx, const struct flow *flow)
{
    struct side *s = ctx;
    assert_false(s->in_send);
    s->lost++;
    s->lost_flow = *flow;
    side_wake(s);
}

static inline struct transport_options side_options(struct side *s, struct kit_loop *k, const char *const *listen,
                                                    size_t count)
{
    memset(s, 0, sizeof *s);
    s->k = k;
    return (struct transport_options){.loop = &k->loop,
                                      .listen = listen,
                                      .listen_count = count,
                                      .seed = 42,
                                      .on_message = side_message,
                                      .on_fault = side_fault,
                                      .on_send_failed = side_failed,
                                      .on_connection_lost = side_lost,
                                      .ctx = s};
}

static inline void side_open(struct side *s, const struct transport_options *o)
{
    struct err_info info = {0};
    enum err err = transport_open(o, &s->t, &info);
    if (err != ERR_OK) fail_msg("transport_open: %s: %s", err_name(err), info.text);
}

static inline void side_start(struct side *s, struct kit_loop *k, const char *listen)
{
    const char *const list[] = {listen};
    struct transport_options o = side_options(s, k, list, 1);
    side_open(s, &o);
}

static inline void side_stop(struct side *s)
{
    if (s->t != NULL && !s->closed) {
        if (!s->close_on_message || s->messages == 0) transport_close(s->t, side_closed, s);
        run_until(s->k, s->closed);
    }
    buf_fini(&s->last);
}

static inline union sock_address side_address(const struct side *s)
{
    return transport_listener_at(s->t, 0)->local;
}

static inline bool have_v6(void)
{
    union sock_address a;
    assert_int_equal(sock_address_parse(SLICE("::1"), 0, &a), ERR_OK);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool have = bind(fd, &a.any, sizeof a.v6) == 0;
    (void)close(fd);
    return have;
}

static inline struct flow flow_to(enum plan_transport transport, union sock_address remote)
{
    return (struct flow){.transport = transport, .remote = remote};
}

static inline enum err side_send(struct side *s, const struct flow *to, bool member, struct slice data, uint64_t token)
{
    s->in_send = true;
    enum err err = transport_send(s->t, to, member, data, token);
    s->in_send = false;
    return err;
}

static inline uint64_t side_count(const struct side *s, const char *name)
{
    const struct counter_table *table = transport_counters(s->t);
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i], name) == 0) return counter_get(&table->values[i]);
    }
    fail_msg("no counter %s", name);
    return 0;
}

/* A request that the view accepts, with a body of body_len bytes. The text is valid until the next call. */
static inline struct slice sip_text(const char *call_id, size_t body_len)
{
    static char text[70000];
    int n = snprintf(text, sizeof text,
                     "OPTIONS sip:alice@127.0.0.1 SIP/2.0\r\n"
                     "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK%s\r\n"
                     "From: <sip:bob@127.0.0.1>;tag=1\r\n"
                     "To: <sip:alice@127.0.0.1>\r\n"
                     "Call-ID: %s\r\n"
                     "CSeq: 1 OPTIONS\r\n"
                     "Max-Forwards: 70\r\n"
                     "Content-Length: %zu\r\n"
                     "\r\n",
                     call_id, call_id, body_len);
    assert_true(n > 0 && (size_t)n + body_len < sizeof text);
    memset(text + n, 'b', body_len);
    return (struct slice){text, (size_t)n + body_len};
}

/* A connected plain TCP socket (the kernel completes it without the loop), from source when that is not NULL. */
static inline int raw_connect(union sock_address to, const char *source)
{
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on), 0);
    if (source != NULL) {
        union sock_address from;
        assert_int_equal(sock_address_parse(slice_of(source), 0, &from), ERR_OK);
        assert_int_equal(bind(fd, &from.any, sock_address_len(&from)), 0);
    }
    assert_int_equal(connect(fd, &to.any, sock_address_len(&to)), 0);
    return fd;
}

static inline void raw_write(int fd, struct slice data)
{
    assert_int_equal(send(fd, data.p, data.n, MSG_NOSIGNAL), (ssize_t)data.n);
}

/* A client that sends one message again and again and reads the answers only when it is told to. */
struct talker {
    ssize_t (*put)(void *ctx, const char *p, size_t n); /* at most 0: not now */
    ssize_t (*get)(void *ctx, char *p, size_t n);
    void *ctx;
    struct slice text;
    size_t sent;
    size_t got;
    size_t heard; /* by the peer when it was looked last */
    unsigned quiet;
};

static inline ssize_t raw_put(void *fd, const char *p, size_t n)
{
    return send(*(int *)fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline ssize_t raw_get(void *fd, char *p, size_t n)
{
    return recv(*(int *)fd, p, n, MSG_DONTWAIT);
}

/* Sends what goes; true once nothing has gone for a while, nor has anything been heard. */
static inline bool talks_in_vain(struct talker *c, const struct side *peer)
{
    size_t at = c->sent % c->text.n;
    ssize_t n = c->put(c->ctx, c->text.p + at, c->text.n - at);
    if (n > 0) c->sent += (size_t)n;
    c->quiet = n > 0 || peer->messages != c->heard ? 0 : c->quiet + 1;
    c->heard = peer->messages;
    return c->quiet > 1000;
}

/* Ends its last message and reads; true when each message was echoed. */
static inline bool is_answered(struct talker *c)
{
    char sink[16384];
    size_t at = c->sent % c->text.n;
    ssize_t n = at > 0 ? c->put(c->ctx, c->text.p + at, c->text.n - at) : 0;
    if (n > 0) c->sent += (size_t)n;
    while ((n = c->get(c->ctx, sink, sizeof sink)) > 0)
        c->got += (size_t)n;
    return at == 0 && c->got == c->sent;
}

/* True when the peer has closed (or reset) the connection; what came before is thrown away. */
static inline bool raw_ended(int fd)
{
    char sink[4096];
    ssize_t n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* An address on which nobody listens: a port that was free a moment ago. */
static inline union sock_address closed_port(int type)
{
    union sock_address a;
    socklen_t len = sizeof a.v4;
    assert_int_equal(sock_address_parse(SLICE("127.0.0.1"), 0, &a), ERR_OK);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &a.any, len), 0);
    assert_int_equal(getsockname(fd, &a.any, &len), 0);
    assert_int_equal(close(fd), 0);
    return a;
}

#endif
