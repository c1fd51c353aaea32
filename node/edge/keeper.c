#include "node/edge/keeper.h"

#include <stdlib.h>

struct edge_way {
    struct map_node by_flow; /* by transport and remote address; a connection only */
    struct map_node by_id;   /* of the OPTIONS that waits for an answer */
    struct list_node all;
    struct sip_timer due;
    struct keeper *keeper;
    struct edge_way_spec spec;
    void *owner;
    uint64_t id;         /* 0: no answer is awaited */
    uint64_t connection; /* that is held; 0: none */
    uint8_t misses;
    bool on_flow;  /* in by_flow */
    bool answered; /* it did once */
    bool dialling; /* its connection is lost, its own address is being tried */
    bool told;     /* the hook was called */
};

struct keeper {
    struct edge *edge;
    struct map by_flow;
    struct map by_id;
    struct list_node all;
    struct buf out;
    _Atomic uint64_t counts[KC_COUNT];
    struct counter_table table;
};

static void count(struct keeper *k, enum keeper_counter which)
{
    counter_add(&k->counts[which], 1);
}

/* ---- life ---- */

enum err keeper_new(struct edge *e, struct keeper **out)
{
    static const char *const names[KC_COUNT] = {KEEPER_COUNTERS(COUNTER_NAME)};
    struct keeper *k = calloc(1, sizeof *k);
    if (k == NULL) return ERR_NOMEM;
    k->edge = e;
    list_init(&k->all);
    k->table = (struct counter_table){"keeper", names, k->counts, KC_COUNT};
    enum err err = map_init(&k->by_flow, 64, random_next(e->random));
    if (err == ERR_OK) err = map_init(&k->by_id, 64, random_next(e->random));
    if (err != ERR_OK) {
        keeper_free(k);
        return err;
    }
    *out = k;
    return ERR_OK;
}

static void leave_flow(struct edge_way *w)
{
    struct edge *e = w->keeper->edge;
    if (w->on_flow) map_remove(&w->keeper->by_flow, &w->by_flow);
    if (w->connection != 0 && !e->closing) transport_let_go(e->transport, w->spec.transport, w->connection);
    w->connection = 0;
    w->on_flow = false;
}

static void stop_waiting(struct edge_way *w)
{
    if (w->id != 0) map_remove(&w->keeper->by_id, &w->by_id);
    w->id = 0;
}

void edge_way_close(struct edge_way *w)
{
    leave_flow(w);
    stop_waiting(w);
    sip_timer_stop(&w->keeper->edge->tx, &w->due);
    list_remove(&w->all);
    free(w);
}

void keeper_free(struct keeper *k)
{
    if (k == NULL) return;
    while (!list_empty(&k->all))
        edge_way_close(CONTAINER_OF(k->all.next, struct edge_way, all));
    map_fini(&k->by_flow);
    map_fini(&k->by_id);
    buf_fini(&k->out);
    free(k);
}

const struct counter_table *keeper_counters(const struct keeper *k)
{
    return &k->table;
}

/* As the last act: the callback may close the way. */
static void lose(struct edge_way *w, const char *why)
{
    if (w->told) return;
    w->told = true;
    leave_flow(w);
    stop_waiting(w);
    sip_timer_stop(&w->keeper->edge->tx, &w->due);
    count(w->keeper, KC_lost);
    const struct edge_hooks *h = &w->keeper->edge->o.hooks;
    h->way_lost(h->ctx, w->owner, why);
}

static void wait_ms(struct edge_way *w, uint64_t ms)
{
    struct edge *e = w->keeper->edge;
    sip_timer_start(&e->tx, &w->due, mono_add_ms(edge_now(e), ms));
}

/* A tenth of jitter, so that those that came together part. */
static void wait_for_next(struct edge_way *w)
{
    uint64_t ms = w->spec.every_ms;
    if (w->spec.keepalive == PLAN_KEEPALIVE_CRLF || w->spec.keepalive == PLAN_KEEPALIVE_OPTIONS)
        wait_ms(w, ms - random_below(w->keeper->edge->random, ms / 10 + 1));
}

/* ---- sending ---- */

static uint64_t flow_hash(const struct keeper *k, enum plan_transport transport, const union sock_address *remote)
{
    struct sock_key key;
    sock_key_remote(&key, transport, remote);
    return map_hash(&k->by_flow, (struct slice){(const char *)key.bytes, sizeof key.bytes});
}

/* The flow to the contact; ERR_CLOSED: its connection is gone, and nobody is to be dialled in its place. */
static enum err way_flow(const struct edge_way *w, struct flow *to)
{
    static const struct flow nobody = {.listener = UINT8_MAX};
    struct edge *e = w->keeper->edge;
    const union sock_address *at = w->dialling ? &w->spec.own : &w->spec.remote;
    enum err err = edge_flow_to(e, w->spec.transport, at, &nobody, to);
    if (err == ERR_OK && w->on_flow && !transport_connected(e->transport, to)) err = ERR_CLOSED;
    return err;
}

/* Between two REGISTERs nothing need come over it. */
static void enter_flow(struct edge_way *w)
{
    struct keeper *k = w->keeper;
    struct flow to;
    w->on_flow = true;
    map_insert(&k->by_flow, &w->by_flow, flow_hash(k, w->spec.transport, &w->spec.remote));
    if (way_flow(w, &to) == ERR_OK) w->connection = transport_hold(k->edge->transport, &to);
}

static enum err build_options(struct edge_way *w, const struct flow *to, uint64_t id)
{
    static const char *const vias[] = {[PLAN_UDP] = "UDP", [PLAN_TCP] = "TCP", [PLAN_TLS] = "TLS"};
    struct edge *e = w->keeper->edge;
    struct buf *out = &w->keeper->out;
    char branch[SIP_TX_BRANCH];
    const char *place = e->places[to->listener].sent_by;
    sip_tx_branch(id, 0, branch);
    buf_reset(out);
    buf_printf(out, "OPTIONS %.*s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n",
               SLICE_ARG(w->spec.uri), vias[to->transport], place, branch);
    buf_printf(out, "From: <sip:%s>;tag=%016llx\r\nTo: <%.*s>\r\nCall-ID: %016llx@%s\r\nCSeq: 1 OPTIONS\r\n", place,
               (unsigned long long)random_next(e->random), SLICE_ARG(w->spec.uri),
               (unsigned long long)random_next(e->random), e->host);
    buf_printf(out, "Contact: <%s>\r\nUser-Agent: Tandem/%.*s\r\nContent-Length: 0\r\n\r\n",
               e->places[to->listener].uri, SLICE_ARG(e->o.node.version));
    return out->failed ? ERR_NOMEM : ERR_OK;
}

/* False: the way is lost, or has been closed by who was told so. */
static bool send_options(struct edge_way *w)
{
    struct keeper *k = w->keeper;
    struct flow to;
    uint64_t id = random_next(k->edge->random) | 1;
    enum err err = way_flow(w, &to);
    if (err == ERR_CLOSED) {
        lose(w, "its connection is closed");
        return false;
    }
    if (err == ERR_OK) err = build_options(w, &to, id);
    if (err == ERR_OK) err = transport_send(k->edge->transport, &to, false, buf_view(&k->out), id);
    if (err != ERR_OK) {
        count(k, KC_unsent);
        if (!w->dialling) return true;
        lose(w, "its connection is closed, and it cannot be dialled");
        return false;
    }
    count(k, KC_options_sent);
    w->id = id;
    map_insert(&k->by_id, &w->by_id, id);
    return true;
}

static void send_crlf(struct edge_way *w)
{
    struct flow to;
    enum err err = way_flow(w, &to);
    if (err == ERR_CLOSED) {
        lose(w, "its connection is closed");
        return;
    }
    if (err == ERR_OK) err = transport_send(w->keeper->edge->transport, &to, false, SLICE("\r\n\r\n"), 0);
    count(w->keeper, err == ERR_OK ? KC_crlf_sent : KC_unsent);
    wait_for_next(w);
}

static void ask(struct edge_way *w)
{
    if (!send_options(w)) return;
    if (w->id == 0) {
        wait_for_next(w);
        return;
    }
    uint64_t answer_ms = w->dialling ? KEEPER_DIAL_MS : KEEPER_ANSWER_MS;
    wait_ms(w, !w->dialling && w->spec.every_ms < answer_ms ? w->spec.every_ms : answer_ms);
}

/* ---- events ---- */

void keeper_timer(struct sip_timer *timer)
{
    struct edge_way *w = CONTAINER_OF(timer, struct edge_way, due);
    if (w->id == 0 && w->spec.keepalive == PLAN_KEEPALIVE_CRLF) {
        send_crlf(w);
        return;
    }
    if (w->id != 0) {
        stop_waiting(w);
        count(w->keeper, KC_misses);
        if (w->misses < KEEPER_MISSES) w->misses++;
        if (w->dialling || (w->answered && w->misses == KEEPER_MISSES)) {
            lose(w, w->dialling ? "its connection is closed, and it does not answer" : "it no longer answers OPTIONS");
            return;
        }
        if (!w->answered) {
            wait_for_next(w);
            return;
        }
    }
    ask(w);
}

static struct edge_way *by_id(const struct keeper *k, uint64_t id)
{
    struct map_node *n = map_first(&k->by_id, id);
    return n != NULL ? CONTAINER_OF(n, struct edge_way, by_id) : NULL;
}

bool keeper_on_response(struct keeper *k, const struct flow *from, const struct sip_view *v)
{
    uint64_t id = 0;
    struct edge_way *w =
        k->by_id.count > 0 && v->method == SIP_OPTIONS && sip_tx_branch_id(v, &id) ? by_id(k, id) : NULL;
    if (w == NULL || from->transport != w->spec.transport) return false;
    if (v->code < 200) return true;
    count(k, KC_answers);
    stop_waiting(w);
    sip_timer_stop(&k->edge->tx, &w->due);
    w->misses = 0;
    w->answered = true;
    if (w->dialling) {
        count(k, KC_dialled);
        w->dialling = false;
        w->spec.remote = w->spec.own;
        enter_flow(w); /* when this one ends it is dialled again */
    }
    wait_for_next(w);
    return true;
}

bool keeper_on_send_failed(struct keeper *k, uint64_t token)
{
    struct edge_way *w = k->by_id.count > 0 ? by_id(k, token) : NULL;
    if (w == NULL) return false;
    count(k, KC_unsent);
    if (w->dialling) lose(w, "its connection is closed, and it cannot be dialled");
    return true;
}

static struct edge_way *on_flow(const struct keeper *k, const struct flow *flow, uint64_t hash)
{
    for (struct map_node *n = map_first(&k->by_flow, hash); n != NULL; n = map_next(n)) {
        struct edge_way *w = CONTAINER_OF(n, struct edge_way, by_flow);
        if (w->spec.transport == flow->transport && sock_address_eq(&w->spec.remote, &flow->remote)) return w;
    }
    return NULL;
}

void keeper_on_connection_lost(struct keeper *k, const struct flow *flow)
{
    uint64_t hash = k->by_flow.count > 0 ? flow_hash(k, flow->transport, &flow->remote) : 0;
    struct edge_way *w = NULL;
    /* Each leaves the map here, and the callback may close others: begin again each time. */
    while (k->by_flow.count > 0 && (w = on_flow(k, flow, hash)) != NULL) {
        count(k, KC_connections_lost);
        leave_flow(w);
        if (w->spec.own.any.sa_family == AF_UNSPEC) {
            lose(w, "its connection is closed");
            continue;
        }
        stop_waiting(w);
        w->dialling = true;
        ask(w);
    }
}

/* ---- opening ---- */

enum err edge_way_open(struct edge *e, const struct edge_way_spec *spec, void *owner, struct edge_way **out)
{
    struct keeper *k = e->keeper;
    struct flow to;
    struct edge_way *w = calloc(1, sizeof *w);
    if (w == NULL) return ERR_NOMEM;
    w->keeper = k;
    w->spec = *spec;
    w->owner = owner;
    list_init(&w->all);
    sip_timer_init(&w->due, EDGE_TIMER_KEEP);
    if (spec->transport != PLAN_UDP) {
        enter_flow(w);
        if (way_flow(w, &to) != ERR_OK) {
            leave_flow(w);
            free(w);
            return ERR_CLOSED;
        }
    }
    list_append(&k->all, &w->all);
    edge_wake(e);
    count(k, KC_opened);
    wait_for_next(w);
    *out = w;
    return ERR_OK;
}

void edge_way_renewed(struct edge_way *w)
{
    w->misses = 0;
}

bool edge_way_is(const struct edge_way *w, const struct edge_way_spec *spec)
{
    const struct edge_way_spec *s = &w->spec;
    return !w->told && !w->dialling && s->transport == spec->transport && s->keepalive == spec->keepalive &&
           s->every_ms == spec->every_ms && sock_address_eq(&s->remote, &spec->remote);
}

bool edge_connected(const struct edge *e, enum plan_transport transport, const union sock_address *remote)
{
    static const struct flow nobody = {.listener = UINT8_MAX};
    struct flow to;
    return edge_flow_to(e, transport, remote, &nobody, &to) == ERR_OK && transport_connected(e->transport, &to);
}
