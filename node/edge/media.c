#include "node/edge/media.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COOKIE_TEXT 24
#define DATAGRAM_MAX 65536

/* Sent again after so long, and given up after the last of them: less than a caller's patience, more than a relay that
 * is there ever takes. */
static const uint16_t patience_ms[] = {250, 500, 1000};
#define SENDS_MAX (sizeof patience_ms / sizeof patience_ms[0])

struct question {
    struct map_node node; /* in media.questions, by cookie */
    struct sip_timer due;
    struct media *media;
    uint64_t id;
    enum ng_command command;
    unsigned sends;
    struct mono asked;
    media_done *done; /* NULL: nobody waits */
    void *ctx;
    size_t len;
    char text[];
};

struct media {
    struct edge *edge;
    uv_udp_t socket;
    bool opened;
    bool closing;
    struct sip_timer ping;
    struct map questions;
    struct buf out;
    struct mono heard;      /* its last word */
    struct edge_media view; /* as others see it */
    char reason[LIMIT_TEXT];
    char *datagram; /* what comes is read into it */
    _Atomic uint64_t counts[MC_COUNT];
    struct counter_table table;
};

void media_count(struct media *m, enum media_counter which)
{
    counter_add(&m->counts[which], 1);
}

/* ---- whether it is there ---- */

static void news(struct media *m, bool up, const char *why)
{
    bool changed = m->view.since.ms == 0 || m->view.up != up;
    if (!changed) return;
    m->view.up = up;
    m->view.since = edge_wall();
    (void)snprintf(m->reason, sizeof m->reason, "%s", why);
    log_event(m->edge->log, up ? LOG_INFO : LOG_ERROR, "media", up ? "relay-up" : "relay-down", "relay=%s why=\"%s\"",
              m->edge->o.media_relay, why);
}

bool media_leads(const struct media *m)
{
    const struct edge_hooks *h = &m->edge->o.hooks;
    return m->opened && !m->closing && h->media != NULL && h->media(h->ctx);
}

/* ---- questions ---- */

static void question_free(struct question *q)
{
    struct media *m = q->media;
    map_remove(&m->questions, &q->node);
    sip_timer_stop(&m->edge->tx, &q->due);
    free(q);
}

static uint64_t hash_of(const struct media *m, uint64_t id)
{
    return map_hash(&m->questions, (struct slice){(const char *)&id, sizeof id});
}

static struct question *find(const struct media *m, struct slice cookie)
{
    char text[COOKIE_TEXT];
    uint64_t id = 0;
    if (cookie.n >= sizeof text) return NULL;
    memcpy(text, cookie.p, cookie.n);
    text[cookie.n] = '\0';
    id = strtoull(text, NULL, 16);
    for (struct map_node *n = map_first(&m->questions, hash_of(m, id)); n != NULL; n = map_next(n)) {
        struct question *q = CONTAINER_OF(n, struct question, node);
        if (q->id == id) return q;
    }
    return NULL;
}

static void ended(struct question *q, enum err err, struct slice text)
{
    media_done *done = q->done;
    void *ctx = q->ctx;
    question_free(q);
    if (done != NULL) done(ctx, err, text);
}

/* A datagram that does not go out now is asked again like one that is lost. */
static void transmit(struct question *q)
{
    struct media *m = q->media;
    uv_buf_t bytes = uv_buf_init(q->text, (unsigned)q->len);
    if (uv_udp_try_send(&m->socket, &bytes, 1, NULL) < 0) media_count(m, MC_unsent);
    sip_timer_start(&m->edge->tx, &q->due, mono_add_ms(edge_now(m->edge), patience_ms[q->sends++]));
}

static enum err ask(struct media *m, const struct ng_request *r, media_done *done, void *ctx)
{
    char cookie[COOKIE_TEXT];
    struct ng_request request = *r;
    uint64_t id = random_next(m->edge->random);
    if (m->questions.count >= MEDIA_QUESTIONS_MAX) {
        media_count(m, MC_too_many);
        return ERR_LIMIT;
    }
    (void)snprintf(cookie, sizeof cookie, "%016" PRIx64, id);
    request.cookie = slice_of(cookie);
    buf_reset(&m->out);
    enum err err = ng_request_build(&request, &m->out);
    struct question *q = err == ERR_OK ? malloc(sizeof *q + m->out.n) : NULL;
    if (q == NULL) {
        media_count(m, MC_no_memory);
        return ERR_NOMEM;
    }
    *q = (struct question){.media = m,
                           .id = id,
                           .command = r->command,
                           .asked = edge_now(m->edge),
                           .done = done,
                           .ctx = ctx,
                           .len = m->out.n};
    memcpy(q->text, m->out.p, q->len);
    sip_timer_init(&q->due, EDGE_TIMER_MEDIA);
    map_insert(&m->questions, &q->node, hash_of(m, id));
    transmit(q);
    return ERR_OK;
}

enum err media_ask(struct media *m, const struct ng_request *r, media_done *done, void *ctx)
{
    if (m->view.since.ms != 0 && !m->view.up) return ERR_UNREACHABLE;
    media_count(m, r->command == NG_OFFER ? MC_offers : MC_answers);
    return ask(m, r, done, ctx);
}

void media_end(struct media *m, struct slice call_id, struct slice from_tag)
{
    const struct ng_request r = {.command = NG_DELETE, .call_id = call_id, .from_tag = from_tag};
    if (!m->opened || m->closing) return;
    media_count(m, MC_deletes);
    (void)!ask(m, &r, NULL, NULL);
}

/* ---- what comes back ---- */

static void on_reply(struct media *m, struct slice datagram)
{
    struct ng_reply r;
    if (ng_reply_parse(datagram, &r) != ERR_OK) {
        media_count(m, MC_bad_replies);
        return;
    }
    struct question *q = find(m, r.cookie);
    if (q == NULL) {
        media_count(m, MC_late_replies);
        return;
    }
    m->heard = edge_now(m->edge);
    news(m, true, "it answers");
    bool described = q->command == NG_OFFER || q->command == NG_ANSWER;
    if (r.ok && (!described || r.sdp.n > 0)) {
        ended(q, ERR_OK, r.sdp);
        return;
    }
    if (described) media_count(m, MC_refused);
    ended(q, r.blames_sdp ? ERR_SYNTAX : ERR_REFUSED, r.reason);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct media *m = handle->data;
    (void)suggested;
    *out = uv_buf_init(m->datagram, DATAGRAM_MAX);
}

static void on_received(uv_udp_t *socket, ssize_t n, const uv_buf_t *data, const struct sockaddr *from, unsigned flags)
{
    struct media *m = socket->data;
    if (m->closing || from == NULL) return; /* nothing more there, or an ICMP error: silence is noticed all the same */
    if (n < 0 || (flags & UV_UDP_PARTIAL) != 0) {
        media_count(m, MC_bad_replies);
        return;
    }
    edge_wake(m->edge);
    on_reply(m, (struct slice){data->base, (size_t)n});
}

/* ---- timers ---- */

static void on_ping_due(struct media *m)
{
    const struct ng_request r = {.command = NG_PING};
    bool down = m->view.since.ms != 0 && !m->view.up;
    if (media_leads(m) && ask(m, &r, NULL, NULL) == ERR_OK) media_count(m, MC_pings);
    sip_timer_start(&m->edge->tx, &m->ping, mono_add_ms(edge_now(m->edge), down ? MEDIA_PING_DOWN_MS : MEDIA_PING_MS));
}

static void on_silence(struct question *q)
{
    struct media *m = q->media;
    if (q->sends < SENDS_MAX) {
        media_count(m, MC_repeated);
        transmit(q);
        return;
    }
    media_count(m, MC_silences);
    if (m->heard.us < q->asked.us && (m->view.since.ms == 0 || m->view.up)) { /* it is looked for more often now */
        news(m, false, "it does not answer");
        sip_timer_start(&m->edge->tx, &m->ping, mono_add_ms(edge_now(m->edge), MEDIA_PING_DOWN_MS));
    }
    ended(q, ERR_TIMEOUT, SLICE(""));
}

void media_timer(struct sip_timer *timer)
{
    if (timer->id == EDGE_TIMER_MEDIA_PING) {
        on_ping_due(CONTAINER_OF(timer, struct media, ping));
    } else {
        on_silence(CONTAINER_OF(timer, struct question, due));
    }
}

/* ---- life ---- */

enum err media_new(struct edge *e, struct media **out)
{
    static const char *const names[MC_COUNT] = {MEDIA_COUNTERS(COUNTER_NAME)};
    struct media *m = calloc(1, sizeof *m);
    if (m == NULL) return ERR_NOMEM;
    m->edge = e;
    m->view.reason = m->reason;
    m->table = (struct counter_table){"media", names, m->counts, MC_COUNT};
    sip_timer_init(&m->ping, EDGE_TIMER_MEDIA_PING);
    enum err err = map_init(&m->questions, 64, random_next(e->random));
    if (err == ERR_OK && e->o.media_relay != NULL) {
        m->datagram = malloc(DATAGRAM_MAX);
        if (m->datagram == NULL) err = ERR_NOMEM;
    }
    if (err != ERR_OK) {
        media_free(m);
        return err;
    }
    *out = m;
    return ERR_OK;
}

enum err media_start(struct media *m, struct err_info *info)
{
    union sock_address relay;
    enum plan_transport transport;
    char place[LIMIT_HOST + 16];
    struct edge *e = m->edge;
    const char *text = e->o.media_relay;
    if (text == NULL) return ERR_OK;
    m->view.relay = text;
    (void)snprintf(place, sizeof place, "udp:%s", text);
    enum err err = listen_parse(slice_of(place), &transport, &relay, info);
    if (err != ERR_OK) return err;
    ASSERT(uv_udp_init(e->loop, &m->socket) == 0);
    m->socket.data = m;
    m->opened = true;
    /* Connected, so that nobody else's datagrams come in. */
    int status = uv_udp_connect(&m->socket, &relay.any);
    if (status == 0) status = uv_udp_recv_start(&m->socket, on_alloc, on_received);
    if (status != 0) return err_fail(info, ERR_IO, "media: no way to %s: %s", text, uv_strerror(status));
    uv_unref((uv_handle_t *)&m->socket);
    edge_wake(e);
    on_ping_due(m);
    return ERR_OK;
}

bool media_close(struct media *m, uv_close_cb closed)
{
    m->closing = true;
    sip_timer_stop(&m->edge->tx, &m->ping);
    if (!m->opened) return false;
    m->socket.data = m->edge;
    uv_close((uv_handle_t *)&m->socket, closed);
    return true;
}

void media_free(struct media *m)
{
    if (m == NULL) return;
    struct map_walk w = {0};
    for (struct map_node *n = map_walk(&m->questions, &w); n != NULL; n = map_walk(&m->questions, &w))
        question_free(CONTAINER_OF(n, struct question, node));
    map_fini(&m->questions);
    buf_fini(&m->out);
    free(m->datagram);
    free(m);
}

/* ---- looking in ---- */

const struct counter_table *media_counters(const struct media *m)
{
    return &m->table;
}

struct edge_media edge_media(const struct edge *e)
{
    return e->media->view;
}
