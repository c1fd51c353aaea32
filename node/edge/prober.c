#include "node/edge/probe.h"

#include <stdio.h>
#include <stdlib.h>

static void count(struct prober *p, enum prober_counter which)
{
    counter_add(&p->counts[which], 1);
}

static struct mono now_of(const struct prober *p)
{
    return edge_now(p->edge);
}

/* ---- what is known ---- */

static bool is_suspect(const struct probe *b)
{
    return b->suspect_until.us > 0 && !mono_reached(now_of(b->prober), b->suspect_until);
}

static bool is_resting(const struct probe *b)
{
    return !mono_reached(now_of(b->prober), b->rest_until);
}

/* Forgets what was for a while only, and is over. */
static void pass(struct probe *b)
{
    struct mono now = now_of(b->prober);
    if (mono_reached(now, b->suspect_until)) b->suspect_until = (struct mono){0};
    rests_pass(&b->rests, now);
}

/* When the next of it is over; MONO_NEVER: there is none. */
static struct mono passes_at(const struct probe *b)
{
    struct mono back = rests_next(&b->rests);
    return b->suspect_until.us > 0 ? mono_min(back, b->suspect_until) : back;
}

void prober_count_unwell(struct prober *p)
{
    p->unwell = p->resting = 0;
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = CONTAINER_OF(n, struct probe, node);
        pass(b);
        bool rests = rests_next(&b->rests).us != UINT64_MAX;
        if (rests) p->resting++;
        if (!b->health.up || b->suspect_until.us > 0 || rests) p->unwell++;
    }
}

struct edge_trunk probe_view(const struct probe *b)
{
    return (struct edge_trunk){.trunk = b->trunk,
                               .address = b->address,
                               .transport = b->transport,
                               .probe_ms = b->interval_ms,
                               .known = b->health.known,
                               .up = b->health.up,
                               .suspect = is_suspect(b),
                               .rests_until = is_resting(b) ? b->rest_ends : (struct wall){0},
                               .since = b->since,
                               .rtt_us = b->rtt_us,
                               .reason = slice_of(b->reason)};
}

static void tell(struct probe *b)
{
    const struct edge_hooks *h = &b->prober->edge->o.hooks;
    struct edge_trunk view = probe_view(b);
    b->rtt_told_us = b->rtt_us;
    b->rtt_told_at = now_of(b->prober);
    if (h->trunk != NULL) h->trunk(h->ctx, &view);
}

/* Others are told of a round trip that is another order of magnitude, not of each wobble. */
static bool rtt_is_news(const struct probe *b)
{
    uint32_t told = b->rtt_told_us;
    bool other = b->rtt_us > 2 * told + 5000 || b->rtt_us + 5000 < told / 2;
    return other && mono_ms_between(b->rtt_told_at, now_of(b->prober)) >= PROBER_RTT_NEWS_MS;
}

static void note(struct probe *b, enum health_event ev, const char *reason)
{
    struct prober *p = b->prober;
    bool known = b->health.known;
    bool changed = health_step(&b->health, ev, now_of(p));
    bool still_suspect = ev == HEALTH_ANSWER && b->silent && is_suspect(b);
    if (!still_suspect) (void)snprintf(b->reason, sizeof b->reason, "%s", reason);
    if (ev == HEALTH_ANSWER && !still_suspect) b->suspect_until = (struct mono){0};
    if (changed) {
        b->since = edge_wall();
        if (known || !b->health.up) count(p, b->health.up ? PC_went_up : PC_went_down);
        log_event(p->edge->log, b->health.up ? LOG_INFO : LOG_WARN, "prober", b->health.up ? "trunk-up" : "trunk-down",
                  "trunk=%.*s address=%.*s reason=\"%s\"", SLICE_ARG(b->trunk), SLICE_ARG(b->address), b->reason);
    }
    prober_count_unwell(p);
    if (changed || (ev == HEALTH_ANSWER && rtt_is_news(b))) tell(b);
}

/* ---- sending ---- */

static void on_due(void *ctx, struct wheel_timer *t);

/* An empty wheel stands still: before anything is put in it must be brought to the present. */
static void wake(struct prober *p)
{
    if (!p->advancing && p->tx.wheel.count == 0) wheel_advance(&p->tx.wheel, now_of(p), on_due, p);
}

static void drop_message(struct probe *b)
{
    free(b->message);
    b->message = NULL;
}

void probe_schedule(struct probe *b, uint64_t ms)
{
    struct prober *p = b->prober;
    if (b->interval_ms == 0 || p->closing) return;
    /* a tenth of jitter, so that the probes of many trunks do not fall together */
    wake(p);
    uint64_t jittered = ms - ms / 20 + random_below(p->edge->random, ms / 10 + 1);
    sip_timer_start(&p->tx, &b->deadline, mono_add_ms(now_of(p), jittered));
    prober_arm(p);
}

/* The probe has ended, one way or the other. */
static void ended(struct probe *b, enum health_event ev, const char *reason)
{
    b->waiting = false;
    sip_tx_remove(&b->prober->tx, &b->client);
    sip_timer_stop(&b->prober->tx, &b->deadline);
    drop_message(b);
    if (b->interval_ms == 0) return; /* nobody looks any more */
    note(b, ev, reason);
    probe_schedule(b, health_pause_ms(&b->health, b->interval_ms));
}

/* Another address of the name may be the one that answers. */
static void pass_over(struct probe *b)
{
    if (b->tried.any.sa_family == AF_UNSPEC) return;
    if (b->failed_count == PROBE_ADDRESSES) b->failed_count = 0;
    b->failed[b->failed_count++] = b->tried;
}

static bool is_passed_over(const struct probe *b, const union sock_address *address)
{
    for (size_t i = 0; i < b->failed_count; i++) {
        if (sock_address_eq(&b->failed[i], address)) return true;
    }
    return false;
}

/* By what they are, since those of equal weight come in another order each time (RFC 2782). One of them does not rest.
 */
static const union sock_address *choose(struct probe *b, const union sock_address *addresses, size_t n)
{
    struct mono now = now_of(b->prober);
    const union sock_address *awake = NULL;
    for (size_t i = 0; i < n; i++) {
        if (rests_until(&b->rests, &addresses[i], now).us > 0) continue;
        if (!is_passed_over(b, &addresses[i])) return &addresses[i];
        if (awake == NULL) awake = &addresses[i];
    }
    ASSERT(awake != NULL);
    b->failed_count = 0;
    return awake;
}

static void missed(struct probe *b, enum prober_counter why, const char *reason)
{
    count(b->prober, why);
    if (why != PC_misses) count(b->prober, PC_misses);
    pass_over(b);
    ended(b, HEALTH_MISS, reason);
}

static enum err build(struct probe *b)
{
    static const char *const vias[] = {[PLAN_UDP] = "UDP", [PLAN_TCP] = "TCP", [PLAN_TLS] = "TLS"};
    static const char *const params[] = {[PLAN_UDP] = "", [PLAN_TCP] = ";transport=tcp", [PLAN_TLS] = ";transport=tls"};
    struct edge *e = b->prober->edge;
    struct buf *out = &b->prober->out;
    char branch[SIP_TX_BRANCH];
    char uri[LIMIT_HOST + 40];
    char port[8] = "";
    struct slice host = b->at.host;
    bool v6 = memchr(host.p, ':', host.n) != NULL;
    const char *place = e->places[b->to.listener].sent_by;
    uint64_t tag = random_next(e->random);
    (void)snprintf(b->call_id, sizeof b->call_id, "%016llx", (unsigned long long)random_next(e->random));
    if (b->at.port != 0) (void)snprintf(port, sizeof port, ":%u", b->at.port);
    (void)snprintf(uri, sizeof uri, "sip:%s%.*s%s%s%s", v6 ? "[" : "", SLICE_ARG(host), v6 ? "]" : "", port,
                   params[b->transport]);
    sip_tx_branch(b->id, 0, branch);
    buf_reset(out);
    buf_printf(out, "OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", uri,
               vias[b->transport], place, branch);
    buf_printf(out, "From: <sip:%s>;tag=%016llx\r\nTo: <%s>\r\nCall-ID: %s@%s\r\nCSeq: 1 OPTIONS\r\n", place,
               (unsigned long long)tag, uri, b->call_id, e->host);
    buf_printf(out,
               "Contact: <%s>\r\nAccept: application/sdp\r\nUser-Agent: Tandem/%.*s\r\n"
               "Content-Length: 0\r\n\r\n",
               e->places[b->to.listener].uri, SLICE_ARG(e->o.node.version));
    return out->failed ? ERR_NOMEM : ERR_OK;
}

static void send_to(struct probe *b, const union sock_address *address)
{
    struct prober *p = b->prober;
    struct edge *e = p->edge;
    static const struct flow nobody = {.listener = UINT8_MAX};
    b->tried = *address;
    if (edge_flow_to(e, b->transport, address, &nobody, &b->to) != ERR_OK) {
        missed(b, PC_unsent, "no listener of this node has its transport");
        return;
    }
    b->id = random_next(e->random);
    enum err err = build(b);
    if (err == ERR_OK) {
        b->message_len = p->out.n;
        b->message = malloc(b->message_len);
        if (b->message == NULL) err = ERR_NOMEM;
    }
    if (err != ERR_OK) {
        count(p, PC_no_memory); /* says nothing about the trunk */
        probe_schedule(b, b->interval_ms);
        return;
    }
    memcpy(b->message, p->out.p, p->out.n);
    count(p, PC_probes);
    b->sent_us = uv_hrtime() / 1000;
    b->waiting = true;
    wake(p);
    sip_tx_start_client(&p->tx, &b->client, b->id, SIP_OPTIONS, b->transport != PLAN_UDP, now_of(p));
    uint64_t wait_ms = b->interval_ms > 0 && b->interval_ms < PROBER_ANSWER_MS ? b->interval_ms : PROBER_ANSWER_MS;
    sip_timer_start(&p->tx, &b->deadline, mono_add_ms(now_of(p), wait_ms));
    if (edge_send_hop(e, &b->to, b->at.host, false, (struct slice){b->message, b->message_len}, b->id) != ERR_OK)
        missed(b, PC_unsent, "cannot be sent to");
}

/* ---- rest ---- */

/* The addresses are all that its name has. */
static void take_rest(struct probe *b, const union sock_address *addresses, size_t n)
{
    struct mono now = now_of(b->prober);
    struct mono until = rests_all_until(&b->rests, addresses, n, now);
    if (until.us == 0) return;
    b->rest_until = until;
    b->rest_ends = (struct wall){edge_wall().ms + (int64_t)mono_ms_between(now, until)};
}

static void rest(struct probe *b, const union sock_address *address, uint32_t s, const char *reason)
{
    struct prober *p = b->prober;
    union sock_address ignored;
    count(p, PC_rests);
    log_event(p->edge->log, LOG_INFO, "prober", "trunk-rests", "trunk=%.*s address=%.*s seconds=%u reason=\"%s\"",
              SLICE_ARG(b->trunk), SLICE_ARG(b->address), s, reason);
    rests_add(&b->rests, address, s, now_of(p));
    if (sock_address_parse(b->at.host, 1, &ignored) == ERR_OK) take_rest(b, address, 1); /* it is no name */
    prober_count_unwell(p);
}

/* One of these, which is all that it has; later, where all of them rest. */
static void ask(struct probe *b, const union sock_address *addresses, size_t n)
{
    struct mono now = now_of(b->prober);
    struct mono until = rests_all_until(&b->rests, addresses, n, now);
    if (until.us == 0) {
        send_to(b, choose(b, addresses, n));
        return;
    }
    uint64_t left_ms = mono_ms_between(now, until);
    take_rest(b, addresses, n);
    probe_schedule(b, left_ms + left_ms / 10 + 1); /* also with its jitter not before */
}

void probe_free(struct probe *b)
{
    struct prober *p = b->prober;
    sip_tx_remove(&p->tx, &b->client);
    sip_timer_stop(&p->tx, &b->deadline);
    if (!b->gone) map_remove(&p->by_place, &b->by_place);
    list_remove(&b->node);
    drop_message(b);
    free(b);
}

static void resolved(void *ctx, enum err err, const union sock_address *addresses, size_t n)
{
    struct probe *b = ctx;
    b->resolving = false;
    if (b->gone) {
        probe_free(b);
        return;
    }
    if (b->prober->closing) return;
    if (err == ERR_OK && n > 0) {
        ask(b, addresses, n);
    } else {
        b->tried.any.sa_family = AF_UNSPEC;
        missed(b, PC_unresolved, "its name has no address");
    }
    prober_arm(b->prober);
}

static void probe_now(struct probe *b)
{
    struct prober *p = b->prober;
    union sock_address address;
    uint16_t port = b->at.port != 0 ? b->at.port : sip_default_port(b->transport);
    if (b->waiting || b->resolving || b->interval_ms == 0 || p->closing || p->edge->draining) return;
    sip_timer_stop(&p->tx, &b->deadline);
    if (sock_address_parse(b->at.host, port, &address) == ERR_OK) {
        ask(b, &address, 1);
        return;
    }
    b->resolving = true;
    if (dns_resolve(p->edge->dns, b->at.host, b->at.port, b->transport, resolved, b) != ERR_OK)
        resolved(b, ERR_NOTFOUND, NULL, 0);
}

/* ---- events ---- */

static void on_due(void *ctx, struct wheel_timer *t)
{
    struct prober *p = ctx;
    struct sip_timer *timer = CONTAINER_OF(t, struct sip_timer, timer);
    enum sip_tx_event ev;
    if (timer->id == PROBE_DEADLINE) {
        struct probe *b = CONTAINER_OF(timer, struct probe, deadline);
        if (b->waiting) {
            missed(b, PC_misses, "no answer to OPTIONS");
        } else {
            probe_now(b);
        }
        return;
    }
    struct sip_tx *tx = sip_tx_of_timer(timer, &ev);
    struct probe *b = CONTAINER_OF(tx, struct probe, client);
    unsigned actions = sip_tx_step(&p->tx, tx, ev, now_of(p));
    if ((actions & SIP_TX_DO_RESEND) != 0 &&
        transport_send(p->edge->transport, &b->to, false, (struct slice){b->message, b->message_len}, b->id) != ERR_OK)
        missed(b, PC_unsent, "cannot be sent to");
}

static void on_timer(uv_timer_t *timer)
{
    struct prober *p = ((struct edge *)timer->data)->prober;
    p->advancing = true;
    wheel_advance(&p->tx.wheel, now_of(p), on_due, p);
    p->advancing = false;
    if (p->unwell > 0) prober_count_unwell(p);
    prober_arm(p);
}

void prober_arm(struct prober *p)
{
    if (!p->started || p->closing) return;
    struct mono next = wheel_next(&p->tx.wheel);
    for (struct list_node *n = p->probes.next; p->unwell > 0 && n != &p->probes; n = n->next)
        next = mono_min(next, passes_at(CONTAINER_OF(n, struct probe, node)));
    if (next.us == UINT64_MAX) {
        (void)uv_timer_stop(&p->timer);
        return;
    }
    (void)uv_timer_start(&p->timer, on_timer, mono_ms_between(now_of(p), next) + 1, 0);
}

static void say_answer(const struct sip_view *v, uint32_t rest_s, char out[PROBE_REASON])
{
    int n = snprintf(out, PROBE_REASON, "%u %.*s", v->code, (int)(v->reason.n < 80 ? v->reason.n : 80), v->reason.p);
    if (rest_s > 0) (void)snprintf(out + n, PROBE_REASON - (size_t)n, ", Retry-After: %u", rest_s);
}

bool prober_on_response(struct prober *p, const struct flow *from, const struct sip_view *v)
{
    char reason[PROBE_REASON];
    struct sip_tx *tx = p->tx.clients.count > 0 ? sip_tx_find_client(&p->tx, v) : NULL;
    if (tx == NULL) return false;
    struct probe *b = CONTAINER_OF(tx, struct probe, client);
    if (!edge_may_answer(p->edge, &b->to, from) || !slice_starts(v->call_id, slice_of(b->call_id))) return false;
    if (v->code < 200) return true;
    if (b->interval_ms > 0) b->rtt_us = (uint32_t)(uv_hrtime() / 1000 - b->sent_us);
    uint32_t rest_s = rest_asked_s(v);
    say_answer(v, rest_s, reason);
    count(p, v->code == 503 ? PC_refusals : PC_answers);
    if (v->code == 503) pass_over(b);
    if (rest_s > 0) rest(b, &b->tried, rest_s, reason);
    ended(b, v->code == 503 ? HEALTH_REFUSAL : HEALTH_ANSWER, reason);
    return true;
}

bool prober_on_send_failed(struct prober *p, uint64_t token)
{
    char words[EDGE_UNSENT_WORDS];
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = CONTAINER_OF(n, struct probe, node);
        if (b->waiting && b->id == token) {
            missed(b, PC_unsent, edge_unsent_words(p->edge, words));
            return true;
        }
    }
    return false;
}

void prober_on_unreachable(struct prober *p, const union sock_address *to)
{
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = CONTAINER_OF(n, struct probe, node);
        if (b->waiting && b->to.transport == PLAN_UDP && sock_address_eq(&b->to.remote, to))
            missed(b, PC_unsent, "nothing listens there");
    }
}

/* ---- what calls found out ---- */

/* Where we are registered, the hop has the name of the place and the address of the registration. */
static struct probe *probe_of(const struct prober *p, struct slice target, const struct edge_hop *hop)
{
    struct slice prefix = SLICE("trunk/");
    if (!slice_starts(target, prefix)) return NULL;
    struct slice trunk = {target.p + prefix.n, target.n - prefix.n};
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next) {
        struct probe *b = CONTAINER_OF(n, struct probe, node);
        bool same_port = b->at.port == hop->port || hop->received.n > 0;
        if (slice_eq(b->trunk, trunk) && same_port && slice_eq(b->at.host, hop->host)) return b;
    }
    return NULL;
}

void prober_suspect(struct prober *p, struct slice target, const struct edge_hop *hop, bool silent, const char *why)
{
    struct probe *b = probe_of(p, target, hop);
    if (b == NULL) return;
    if (b->suspect_until.us == 0) {
        count(p, PC_suspected);
        if (b->health.up) (void)snprintf(b->reason, sizeof b->reason, "a call failed: %s", why);
        log_event(p->edge->log, LOG_INFO, "prober", "trunk-suspect", "trunk=%.*s address=%.*s why=\"%s\"",
                  SLICE_ARG(b->trunk), SLICE_ARG(b->address), why);
    }
    b->suspect_until = mono_add_ms(now_of(p), PROBER_SUSPECT_MS);
    b->silent = silent;
    prober_count_unwell(p);
    probe_now(b);
    prober_arm(p);
}

void prober_refused(struct prober *p, const struct prober_place *at, const struct sip_view *v)
{
    char reason[PROBE_REASON];
    uint32_t s = rest_asked_s(v);
    struct probe *b = s > 0 ? probe_of(p, at->target, at->hop) : NULL;
    if (b == NULL) return;
    say_answer(v, s, reason);
    if (b->health.up) (void)snprintf(b->reason, sizeof b->reason, "a call failed: %.*s", PROBE_REASON - 16, reason);
    rest(b, &at->list[at->at], s, reason);
    take_rest(b, at->list, at->count);
    prober_arm(p);
}

uint32_t prober_rest_s(const struct prober *p, const struct prober_place *at)
{
    struct mono now = now_of(p);
    const struct probe *b = probe_of(p, at->target, at->hop);
    return b != NULL ? rest_left_s(rests_until(&b->rests, &at->list[at->at], now), now) : 0;
}

/* ---- life ---- */

enum err prober_new(struct edge *e, struct prober **out)
{
    static const char *const names[PC_COUNT] = {PROBER_COUNTERS(COUNTER_NAME)};
    struct prober *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    p->edge = e;
    list_init(&p->probes);
    list_init(&p->removed);
    p->table = (struct counter_table){"prober", names, p->counts, PC_COUNT};
    enum err err = map_init(&p->by_place, 64, random_next(e->random));
    if (err == ERR_OK) err = sip_tx_table_init(&p->tx, random_next(e->random), edge_now(e));
    if (err != ERR_OK) {
        map_fini(&p->by_place);
        free(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

void prober_start(struct prober *p)
{
    (void)uv_timer_init(p->edge->loop, &p->timer); /* cannot fail */
    p->timer.data = p->edge;                       /* what the edge's close callback expects */
    uv_unref((uv_handle_t *)&p->timer);
    p->started = true;
}

bool prober_close(struct prober *p, uv_close_cb closed)
{
    p->closing = true;
    if (p->started) uv_close((uv_handle_t *)&p->timer, closed);
    return p->started;
}

void prober_free(struct prober *p)
{
    if (p == NULL) return;
    while (!list_empty(&p->probes))
        probe_free(CONTAINER_OF(p->probes.next, struct probe, node));
    while (!list_empty(&p->removed))
        probe_free(CONTAINER_OF(p->removed.next, struct probe, node));
    sip_tx_table_fini(&p->tx);
    map_fini(&p->by_place);
    buf_fini(&p->out);
    free(p);
}

const struct counter_table *prober_counters(const struct prober *p)
{
    return &p->table;
}
