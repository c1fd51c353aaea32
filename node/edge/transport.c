/* transport: opens and closes the listeners of a node, hands sends to UDP or streams, and keeps the loop's turn: what
 * has been queued is written, and what has failed is reported, in the prepare phase, before the loop polls.
 *
 * Opening binds every socket first, with plain system calls, and gives them to libuv only when all are there; so a port
 * in use leaves nothing behind. */
#include "node/edge/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/edge/stream.h"
#include "node/edge/stream_conn.h"
#include "node/edge/stream_table.h"
#include "node/edge/udp.h"

/* Rounds of reporting and writing in one turn: a report may cause a send, which may fail. The rest waits for the next
 * turn. */
#define WORK_ROUNDS 8
#define REFUSAL_LOG_MS 10000

#define TRANSPORT_COUNTER_NAME(id) #id,
static const char *const counter_names[] = {TRANSPORT_COUNTERS(TRANSPORT_COUNTER_NAME)};

void transport_limits_default(struct transport_limits *limits)
{
    *limits = (struct transport_limits){
        .listener_guests = 1000,
        .source_guests = 60,
        .connections_out = 4096,
        .connect_ms = 4000,
        .handshake_ms = 5000,
        .message_ms = 30 * 1000,
        .idle_ms = 10 * 60 * 1000,
        .idle_member_ms = 60 * 60 * 1000,
        .connection_bytes = 4 * 1024 * 1024,
        .guest_bytes = 64 * 1024,
        .udp_datagrams = 4096,
    };
}

/* ---- the turn of the loop ---- */

static struct mono now_of(const struct transport *t)
{
    return (struct mono){uv_now(t->loop) * 1000};
}

static void fire(void *ctx, struct wheel_timer *timer)
{
    struct transport *t = ctx;
    if (t->closing) return;
    struct alarm *a = CONTAINER_OF(timer, struct alarm, timer);
    a->ring(a);
}

static void on_timer(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    t->wheel_moved = true;
    t->wheel_turning = true;
    wheel_advance(&t->wheel, now_of(t), fire, t);
    t->wheel_turning = false;
}

void transport_alarm_set(struct transport *t, struct alarm *a, uint64_t ms)
{
    if (t->closing) return;
    /* An empty wheel has stood still; one that is turning comes to the present by itself. */
    if (t->wheel.count == 0 && !t->wheel_turning) wheel_advance(&t->wheel, now_of(t), fire, t);
    wheel_start(&t->wheel, &a->timer, mono_add_ms(now_of(t), ms));
    t->wheel_moved = true;
}

void transport_alarm_stop(struct transport *t, struct alarm *a)
{
    wheel_stop(&t->wheel, &a->timer);
}

static void set_timer(struct transport *t, bool at_once)
{
    if (!t->wheel_moved && !at_once) return;
    struct mono next = wheel_next(&t->wheel);
    t->wheel_moved = at_once; /* then the wheel's own time is set in the next turn */
    if (at_once) {
        (void)uv_timer_start(&t->timer, on_timer, 0, 0);
    } else if (next.us == MONO_NEVER.us) {
        (void)uv_timer_stop(&t->timer);
    } else {
        uint64_t ms = mono_ms_between(now_of(t), next) + 1; /* rounded up: early would only come again */
        (void)uv_timer_start(&t->timer, on_timer, ms, 0);
    }
}

static bool work_waits(const struct transport *t)
{
    if (!list_empty(&t->udp_failed) || !list_empty(&t->streams.dirty)) return true;
    for (size_t i = 0; i < t->listener_count; i++) {
        const struct listener *l = &t->listeners[i];
        if (l->queued > 0 && !l->blocked) return true;
    }
    return false;
}

static void flush_all(struct transport *t)
{
    for (size_t i = 0; i < t->listener_count; i++) {
        if (t->listeners[i].shown.transport == PLAN_UDP) udp_flush(&t->listeners[i]);
    }
    stream_flush_dirty(t);
}

/* All that this turn was for is done and sent. */
static void gather(struct transport *t)
{
    unsigned us = gather_pause_us(&t->gather);
    if (us == 0) return;
    const struct timespec pause = {.tv_nsec = us * 1000L};
    (void)nanosleep(&pause, NULL);
    transport_count(t, TC_udp_gathers);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct transport *t = prepare->data;
    for (unsigned i = 0; i < WORK_ROUNDS && !t->closing && work_waits(t); i++) {
        flush_all(t);
        udp_report(t);
    }
    if (t->closing) return;
    bool waits = work_waits(t);
    set_timer(t, waits);
    if (!waits) gather(t);
}

void transport_log_refusal(struct transport *t, const char *why, const union sock_address *remote)
{
    char text[SOCK_ADDRESS_TEXT];
    uint64_t now = uv_now(t->loop);
    if (t->refusals_logged_ms != 0 && now - t->refusals_logged_ms < REFUSAL_LOG_MS) {
        t->refusals_suppressed++;
        return;
    }
    log_event(t->log, LOG_WARN, "edge", "connection-refused", "reason=%s remote=%s suppressed=%llu", why,
              sock_address_text(remote, text), (unsigned long long)t->refusals_suppressed);
    t->refusals_logged_ms = now;
    t->refusals_suppressed = 0;
}

/* ---- closing ---- */

static void transport_free(struct transport *t)
{
    for (size_t i = 0; i < t->listener_count; i++) {
        if (t->listeners[i].fd >= 0) (void)close(t->listeners[i].fd);
    }
    udp_drop_all(t);
    udp_ring_free(t->ring);
    stream_table_fini(t);
    tls_context_free(t->tls);
    free(t->listeners);
    free(t->own);
    free(t);
}

void transport_handle_opened(struct transport *t)
{
    t->handles++;
}

void transport_handle_closed(struct transport *t)
{
    ASSERT(t->handles > 0);
    if (--t->handles > 0 || !t->closing) return;
    void (*closed)(void *ctx) = t->closed;
    void *ctx = t->closed_ctx;
    transport_free(t);
    if (closed != NULL) closed(ctx);
}

static void on_own_handle_closed(uv_handle_t *handle)
{
    transport_handle_closed(handle->data);
}

static void close_handles(struct transport *t)
{
    t->closing = true;
    for (size_t i = 0; i < t->listener_count; i++) {
        struct listener *l = &t->listeners[i];
        if (l->shown.transport == PLAN_UDP) {
            udp_close(l);
        } else {
            stream_close_listener(l);
        }
    }
    stream_close_all(t);
    uv_close((uv_handle_t *)&t->prepare, on_own_handle_closed);
    uv_close((uv_handle_t *)&t->timer, on_own_handle_closed);
}

void transport_close(struct transport *t, void (*closed)(void *ctx), void *ctx)
{
    ASSERT(!t->closing);
    t->closed = closed;
    t->closed_ctx = ctx;
    flush_all(t);
    close_handles(t);
}

/* ---- opening ---- */

static enum err bind_failed(enum err err, const struct listener *l, struct err_info *info)
{
    int why = errno;
    const char *what = l->shown.text;
    if (err == ERR_EXISTS) {
        return err_fail(info, err,
                        "%s is already in use: stop the program that holds it (ss -l%snp lists them) or give "
                        "sip.listen another port",
                        what, l->shown.transport == PLAN_UDP ? "u" : "t");
    }
    if (why == EADDRNOTAVAIL) {
        return err_fail(info, err, "%s is no address of this machine: give sip.listen one that \"ip address\" shows",
                        what);
    }
    if (why == EACCES) {
        return err_fail(info, err, "%s may not be bound: ports below 1024 need CAP_NET_BIND_SERVICE", what);
    }
    return err_fail(info, err, "%s cannot be bound: %s", what, strerror(why));
}

static void show(struct listener *l)
{
    (void)sock_address_text(&l->shown.local, l->shown.host_port);
    (void)snprintf(l->shown.text, sizeof l->shown.text, "%s:%s", plan_transport_name(l->shown.transport),
                   l->shown.host_port);
}

static enum err listener_open(struct transport *t, struct listener *l, const char *text, struct err_info *info)
{
    struct transport_listener *shown = &l->shown;
    enum err err = listen_parse(slice_of(text), &shown->transport, &shown->local, info);
    if (err != ERR_OK) return err;
    show(l);
    if (shown->transport == PLAN_TLS && t->tls == NULL) {
        return err_fail(
            info, ERR_AUTH,
            "%s needs a certificate: join a cluster, or set sip.certificate and sip.key, or remove the listener",
            shown->text);
    }
    err = shown->transport == PLAN_UDP ? udp_socket_open(&shown->local, &l->fd)
                                       : stream_socket_open(&shown->local, &l->fd);
    if (err != ERR_OK) return bind_failed(err, l, info);
    show(l); /* with the port that port 0 became */
    return ERR_OK;
}

/* The machine's addresses as they are now, for is_local behind a listener on all of them. */
static enum err learn_own_addresses(struct transport *t)
{
    bool any = false;
    for (size_t i = 0; i < t->listener_count; i++)
        any = any || sock_address_is_any(&t->listeners[i].shown.local);
    if (!any) return ERR_OK;
    uv_interface_address_t *list = NULL;
    int count = 0;
    if (uv_interface_addresses(&list, &count) != 0) return ERR_IO;
    t->own = calloc(count > 0 ? (size_t)count : 1, sizeof *t->own);
    for (int i = 0; i < count && t->own != NULL; i++) {
        if (list[i].address.address4.sin_family == AF_INET) t->own[t->own_count++].v4 = list[i].address.address4;
        if (list[i].address.address4.sin_family == AF_INET6) t->own[t->own_count++].v6 = list[i].address.address6;
    }
    uv_free_interface_addresses(list, count);
    return t->own != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err open_sockets(struct transport *t, struct err_info *info)
{
    const struct transport_options *o = &t->options;
    t->listeners = calloc(o->listen_count > 0 ? o->listen_count : 1, sizeof *t->listeners);
    if (t->listeners == NULL) return err_fail(info, ERR_NOMEM, "no memory for the listeners");
    for (size_t i = 0; i < o->listen_count; i++) {
        struct listener *l = &t->listeners[t->listener_count++];
        l->t = t;
        l->index = (uint8_t)i;
        l->fd = -1;
        list_init(&l->queue);
        enum err err = listener_open(t, l, o->listen[i], info);
        if (err != ERR_OK) return err;
    }
    enum err err = learn_own_addresses(t);
    return err == ERR_OK ? ERR_OK : err_fail(info, err, "the machine's addresses cannot be listed: %s", err_name(err));
}

static enum err prepare_parts(struct transport *t, struct err_info *info)
{
    const struct transport_options *o = &t->options;
    t->ring = udp_ring_new();
    if (t->ring == NULL || stream_table_init(t) != ERR_OK) {
        return err_fail(info, ERR_NOMEM, "no memory for the SIP transports");
    }
    bool tls = o->tls.cert != NULL || o->tls.public_cert != NULL;
    return tls ? tls_context_new(&o->tls, &t->tls, info) : ERR_OK;
}

static enum err attach(struct transport *t, struct err_info *info)
{
    (void)uv_prepare_init(t->loop, &t->prepare); /* neither can fail */
    (void)uv_timer_init(t->loop, &t->timer);
    transport_handle_opened(t);
    transport_handle_opened(t);
    t->prepare.data = t->timer.data = t;
    (void)uv_prepare_start(&t->prepare, on_prepare);
    for (size_t i = 0; i < t->listener_count; i++) {
        struct listener *l = &t->listeners[i];
        enum err err = l->shown.transport == PLAN_UDP ? udp_attach(l) : stream_attach(l);
        if (err != ERR_OK) {
            return err_fail(info, err, "%s cannot be watched: %s", l->shown.text, err_name(err));
        }
        log_event(t->log, LOG_INFO, "edge", "listen", "address=%s", l->shown.text);
    }
    return ERR_OK;
}

static struct transport *transport_new(const struct transport_options *options)
{
    struct transport *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->options = *options;
    t->unsent_why = "";
    t->loop = options->loop;
    t->log = options->log;
    transport_limits_default(&t->limits);
    if (options->limits != NULL) t->limits = *options->limits;
    list_init(&t->udp_failed);
    list_init(&t->udp_free);
    list_init(&t->streams.all);
    list_init(&t->streams.dirty);
    wheel_init(&t->wheel, now_of(t));
    t->table = (struct counter_table){"transport", counter_names, t->counts, TC_COUNT};
    return t;
}

enum err transport_open(const struct transport_options *options, struct transport **out, struct err_info *info)
{
    if (options->listen_count > TRANSPORT_LISTENERS_MAX) {
        return err_fail(info, ERR_LIMIT, "more than %d listen addresses", TRANSPORT_LISTENERS_MAX);
    }
    struct transport *t = transport_new(options);
    if (t == NULL) return err_fail(info, ERR_NOMEM, "no memory for the SIP transports");
    enum err err = prepare_parts(t, info);
    if (err == ERR_OK) err = open_sockets(t, info);
    if (err != ERR_OK) {
        transport_free(t);
        return err;
    }
    err = attach(t, info);
    if (err != ERR_OK) {
        close_handles(t); /* frees t on the loop */
        return err;
    }
    /* The caller's list may go; nothing reads it from here on. */
    t->options.listen = NULL;
    t->options.tls = (struct tls_files){0};
    t->options.limits = NULL;
    *out = t;
    return ERR_OK;
}

/* ---- use ---- */

enum err transport_tls_reload(struct transport *t, const struct tls_files *files, struct err_info *info)
{
    struct tls_context *fresh = NULL;
    if (t->tls == NULL) return ERR_OK;
    enum err err = tls_context_new(files, &fresh, info);
    if (err != ERR_OK) return err;
    tls_context_free(t->tls);
    t->tls = fresh;
    return ERR_OK;
}

static enum err send_any(struct transport *t, const struct flow *to, bool expect_member, struct slice host,
                         struct slice data, uint64_t token)
{
    if (t->closing) return ERR_CLOSED;
    if (data.n == 0 || data.n > LIMIT_SIP_HARD) return ERR_LIMIT;
    if (sock_address_port(&to->remote) == 0 || to->listener >= t->listener_count) return ERR_UNREACHABLE;
    if (to->transport == PLAN_UDP) {
        struct listener *l = &t->listeners[to->listener];
        bool fits = l->shown.transport == PLAN_UDP && l->shown.local.any.sa_family == to->remote.any.sa_family;
        return fits ? udp_send(l, &to->remote, data, token) : ERR_UNREACHABLE;
    }
    if (to->transport == PLAN_TLS && t->tls == NULL) return ERR_UNREACHABLE;
    return stream_send(t, to, expect_member, host, data, token);
}

struct tls_ends transport_tls_ends(const struct transport *t)
{
    return t->tls != NULL ? tls_context_ends(t->tls) : (struct tls_ends){0};
}

enum err transport_send(struct transport *t, const struct flow *to, bool expect_member, struct slice data,
                        uint64_t token)
{
    return send_any(t, to, expect_member, SLICE(""), data, token);
}

enum err transport_send_host(struct transport *t, const struct flow *to, struct slice host, struct slice data,
                             uint64_t token)
{
    return send_any(t, to, false, host, data, token);
}

struct slice transport_peer_names(struct transport *t, const struct flow *flow)
{
    if (flow->transport != PLAN_TLS) return SLICE("");
    struct stream *s = flow->connection != 0 ? stream_by_id(t, flow->connection, PLAN_TLS) : NULL;
    if (s == NULL && flow->connection == 0) s = stream_by_remote(t, flow, false);
    return s != NULL ? buf_view(&s->names) : SLICE("");
}

struct slice transport_member_name(struct transport *t, const struct flow *flow)
{
    if (!flow->member) return SLICE("");
    const struct stream *s = stream_by_id(t, flow->connection, PLAN_TLS);
    return s != NULL ? slice_of(s->member_name) : SLICE("");
}

uint64_t transport_hold(struct transport *t, const struct flow *to)
{
    struct stream *s = to->transport != PLAN_UDP ? stream_by_remote(t, to, false) : NULL;
    if (s == NULL) return 0;
    s->holds++;
    return s->flow.connection;
}

void transport_let_go(struct transport *t, enum plan_transport transport, uint64_t connection)
{
    struct stream *s = stream_by_id(t, connection, transport);
    if (s == NULL) return; /* it has ended */
    ASSERT(s->holds > 0);
    s->holds--;
    stream_rearm(s);
}

bool transport_connected(const struct transport *t, const struct flow *to)
{
    return !t->closing && to->transport != PLAN_UDP && stream_by_remote(t, to, false) != NULL;
}

uint64_t transport_domain(const struct transport *t, struct slice host)
{
    char text[LIMIT_HOST];
    union sock_address literal;
    if (host.n == 0 || host.n > sizeof text || sock_address_parse(host, 1, &literal) == ERR_OK) return 0;
    for (size_t i = 0; i < host.n; i++)
        text[i] = char_lower(host.p[i]);
    uint64_t domain = map_hash(&t->streams.by_remote, (struct slice){text, host.n}); /* for its secret seed */
    return domain != 0 ? domain : 1;
}

const char *transport_unsent_why(const struct transport *t)
{
    return t->unsent_why;
}

uint64_t transport_age_ms(const struct transport *t)
{
    return t->age_ms;
}

size_t transport_listener_count(const struct transport *t)
{
    return t->listener_count;
}

const struct transport_listener *transport_listener_at(const struct transport *t, size_t i)
{
    ASSERT(i < t->listener_count);
    return &t->listeners[i].shown;
}

enum err transport_pick(const struct transport *t, enum plan_transport transport, int family, uint8_t *listener)
{
    for (size_t i = 0; i < t->listener_count; i++) {
        const struct transport_listener *shown = &t->listeners[i].shown;
        if (shown->transport != transport || shown->local.any.sa_family != family) continue;
        *listener = (uint8_t)i;
        return ERR_OK;
    }
    return ERR_NOTFOUND;
}

static bool is_own_host(const struct transport *t, const union sock_address *a)
{
    for (size_t i = 0; i < t->own_count; i++) {
        if (sock_address_same_host(&t->own[i], a)) return true;
    }
    return false;
}

bool transport_is_local(const struct transport *t, enum plan_transport transport, struct slice host, uint16_t port)
{
    union sock_address a;
    if (port == 0) port = sip_default_port(transport);
    if (sock_address_parse(host, port, &a) != ERR_OK) return false;
    for (size_t i = 0; i < t->listener_count; i++) {
        const struct transport_listener *shown = &t->listeners[i].shown;
        if (shown->transport != transport || sock_address_port(&shown->local) != port) continue;
        if (shown->local.any.sa_family != a.any.sa_family) continue;
        if (sock_address_is_any(&shown->local) ? is_own_host(t, &a) : sock_address_same_host(&shown->local, &a)) {
            return true;
        }
    }
    return false;
}

const struct counter_table *transport_counters(const struct transport *t)
{
    return &t->table;
}
