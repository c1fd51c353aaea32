/* edge: opens and closes the SIP edge, and leads each event to its room.
 *
 * Closing drains first: no new requests outside dialogs, and the end comes when every request has its final response
 * and every registration its commit, when what we registered elsewhere is given back, or when the time is up: calls
 * that still ring are then cancelled. Memory goes with the last close callback. */
#include "node/edge/proxy_arrival.h"

#include <stdio.h>

#include <openssl/rand.h>

#include "node/edge/client.h"
#include "node/edge/guard.h"
#include "node/edge/keeper.h"
#include "node/edge/media.h"
#include "node/edge/prober.h"
#include "node/edge/registrar.h"

#define DEFAULT_NO_ANSWER_MS 4000
#define DEFAULT_RING_MS 180000 /* RFC 3261 §16.6 item 11 */
#define DEFAULT_CALL_IDLE_MS (12 * 3600 * UINT64_C(1000))
#define POOL_KEPT 4096

/* ---- the clock ---- */

static void on_due(void *ctx, struct wheel_timer *t)
{
    struct edge *e = ctx;
    struct sip_timer *timer = CONTAINER_OF(t, struct sip_timer, timer);
    enum sip_tx_event ev;
    if (timer->id == EDGE_TIMER_CALL) {
        edge_call_timer(timer);
        return;
    }
    if (timer->id == EDGE_TIMER_KEEP) {
        keeper_timer(timer);
        return;
    }
    if (timer->id == EDGE_TIMER_MEDIA || timer->id == EDGE_TIMER_MEDIA_PING) {
        media_timer(timer);
        return;
    }
    if (timer->id == EDGE_TIMER_PROGRESS) {
        proxy_progress_timer(e, timer);
        return;
    }
    struct sip_tx *tx = sip_tx_of_timer(timer, &ev);
    if (tx->kind == SIP_TX_INVITE_CLIENT || tx->kind == SIP_TX_CLIENT) {
        proxy_client_event(e, tx, ev);
        return;
    }
    struct relay *r = CONTAINER_OF(tx, struct relay, server);
    proxy_relay_server_event(r, ev);
    proxy_relay_settle(r);
}

static void on_timer(uv_timer_t *timer)
{
    struct edge *e = timer->data;
    e->armed = MONO_NEVER;
    wheel_advance(&e->tx.wheel, edge_now(e), on_due, e);
}

void edge_wake(struct edge *e)
{
    if (e->tx.wheel.count == 0) wheel_advance(&e->tx.wheel, edge_now(e), on_due, e);
}

static void begin_close(struct edge *e);

static bool is_idle(const struct edge *e)
{
    return e->open_relays == 0 && registrar_pending(e->registrar) == 0 && lines_pending(e->registrations) == 0;
}

/* Before the loop waits: one deadline for all timers. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct edge *e = prepare->data;
    if (e->draining && is_idle(e)) {
        begin_close(e);
        return;
    }
    struct mono next = wheel_next(&e->tx.wheel);
    if (next.us == e->armed.us) return;
    e->armed = next;
    if (next.us == UINT64_MAX) {
        (void)uv_timer_stop(&e->timer);
        return;
    }
    uint64_t now_us = edge_now(e).us;
    uint64_t ms = next.us > now_us ? (next.us - now_us + 999) / 1000 : 0;
    (void)uv_timer_start(&e->timer, on_timer, ms, 0); /* fails only without a callback */
}

/* ---- what the transport says ---- */

static void log_message(const struct edge *e, const struct flow *from, const struct sip_view *v)
{
    char remote[SOCK_ADDRESS_TEXT];
    (void)sock_address_text(&from->remote, remote);
    if (v->request) {
        log_event(e->log, LOG_DEBUG, "edge", "request", "from=%s:%s method=%.*s call_id=\"%.*s\"",
                  plan_transport_name(from->transport), remote, SLICE_ARG(v->method_text), SLICE_ARG(v->call_id));
    } else {
        log_event(e->log, LOG_DEBUG, "edge", "response", "from=%s:%s code=%u method=%s call_id=\"%.*s\"",
                  plan_transport_name(from->transport), remote, v->code, sip_method_name(v->method),
                  SLICE_ARG(v->call_id));
    }
}

static void on_message(void *ctx, const struct flow *from, struct sip_view *v)
{
    struct edge *e = ctx;
    if (e->closing) return;
    edge_wake(e);
    if (e->log->max >= LOG_DEBUG) log_message(e, from, v);
    if (v->request) {
        proxy_on_request(e, from, v);
    } else {
        proxy_on_response(e, from, v);
    }
}

static void on_fault(void *ctx, const struct flow *from, struct sip_view *v, enum sip_fault fault, bool answerable)
{
    struct edge *e = ctx;
    unsigned code = sip_fault_answer(fault);
    if (e->closing || !answerable || code == 0) return; /* the transport has counted it */
    edge_count(e, EC_faults_answered);
    edge_answer_stateless(e, from, v, code, SLICE(""));
}

static void on_send_failed(void *ctx, const struct flow *to, uint64_t token)
{
    struct edge *e = ctx;
    if (e->closing) return;
    edge_wake(e);
    proxy_on_send_failed(e, to, token);
}

/* What waits for an answer on the connection has its own timers; a failover at once would ring the same phone twice. */
static void on_connection_lost(void *ctx, const struct flow *flow)
{
    struct edge *e = ctx;
    if (e->closing) return;
    edge_wake(e);
    lines_on_connection_lost(e->registrations, flow);
    keeper_on_connection_lost(e->keeper, flow);
}

/* ---- opening ---- */

/* How one listener is written into messages: with the advertised host, or as it is. */
static void name_place(struct edge *e, const struct transport_listener *l, struct edge_place *p)
{
    static const char *const params[] = {"", ";transport=tcp", ";transport=tls"};
    struct slice host = e->o.advertise;
    char text[sizeof p->sent_by];
    bool bare_v6 = host.n > 0 && host.p[0] != '[' && memchr(host.p, ':', host.n) != NULL;
    if (host.n > 0) {
        (void)snprintf(text, sizeof text, "%s%.*s%s:%u", bare_v6 ? "[" : "", SLICE_ARG(host), bare_v6 ? "]" : "",
                       sock_address_port(&l->local));
    } else {
        (void)snprintf(text, sizeof text, "%s", l->host_port);
        if (sock_address_is_any(&l->local)) {
            log_event(e->log, LOG_WARN, "edge", "no-advertise",
                      "listen=%s why=\"peers cannot answer to this address: set sip.advertise\"", l->text);
        }
    }
    p->reachable = host.n > 0 || !sock_address_is_any(&l->local);
    memcpy(p->sent_by, text, sizeof text);
    (void)snprintf(p->uri, sizeof p->uri, "sip:%s%s", text, params[l->transport]);
    memcpy(p->sips_uri, p->uri, sizeof p->uri);
    if (l->transport == PLAN_TLS) (void)snprintf(p->sips_uri, sizeof p->sips_uri, "sips:%s", text);
}

static void name_places(struct edge *e)
{
    struct slice host = e->o.advertise;
    size_t count = transport_listener_count(e->transport);
    for (size_t i = 0; i < count && i < EDGE_LISTENERS_MAX; i++) {
        const struct transport_listener *l = transport_listener_at(e->transport, i);
        name_place(e, l, &e->places[i]);
        e->has_tls = e->has_tls || l->transport == PLAN_TLS;
    }
    if (host.n > 0) {
        (void)snprintf(e->host, sizeof e->host, "%.*s", SLICE_ARG(host));
    } else if (count > 0) {
        edge_address_text(&transport_listener_at(e->transport, 0)->local, e->host);
    }
}

static enum err make_mac(const unsigned char cluster_key[HASH_KEY_LEN], const char *purpose, struct mac **out)
{
    unsigned char key[HASH_KEY_LEN];
    enum err err = key_derive(cluster_key, purpose, key);
    if (err == ERR_OK) {
        *out = mac_new(key);
        if (*out == NULL) err = ERR_NOMEM;
    }
    secret_wipe(key, sizeof key);
    return err;
}

static enum err make_run_mac(struct random *random, struct mac **out)
{
    uint64_t key[HASH_KEY_LEN / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        key[i] = random_next(random);
    *out = mac_new((const unsigned char *)key);
    secret_wipe(key, sizeof key);
    return *out != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err make_cloak(const unsigned char cluster_key[HASH_KEY_LEN], const char *purpose, struct cloak **out)
{
    unsigned char key[HASH_KEY_LEN];
    enum err err = key_derive(cluster_key, purpose, key);
    if (err == ERR_OK) *out = cloak_new(key);
    if (err == ERR_OK && *out == NULL) err = ERR_NOMEM;
    secret_wipe(key, sizeof key);
    return err;
}

static enum err make_cloaks(const unsigned char cluster_key[HASH_KEY_LEN], struct cloak **topology,
                            struct cloak **device)
{
    enum err err = make_cloak(cluster_key, "sip topology", topology);
    if (err == ERR_OK) err = make_cloak(cluster_key, "sip device", device);
    return err;
}

static enum err make_macs(const unsigned char cluster_key[HASH_KEY_LEN], struct mac **dialog, struct mac **transit,
                          struct mac **nonce)
{
    enum err err = make_mac(cluster_key, "sip dialog cookie", dialog);
    if (err == ERR_OK) err = make_mac(cluster_key, "sip transit cookie", transit);
    if (err == ERR_OK) err = make_mac(cluster_key, "sip digest nonce", nonce);
    return err;
}

static enum err make_nobody(struct edge *e)
{
    unsigned char key[HASH_KEY_LEN];
    enum err err = key_derive(e->o.cluster_key, "sip account that is not there", key);
    _Static_assert(sizeof e->nobody.sha256 == sizeof key, "a digest is as long as a key");
    memcpy(e->nobody.sha256, key, sizeof key);
    memcpy(e->nobody.sha512_256, key, sizeof key);
    memcpy(e->nobody.md5, key, sizeof e->nobody.md5);
    secret_wipe(key, sizeof key);
    return err;
}

static enum err copy_texts(struct edge *e)
{
    struct slice *const texts[] = {&e->o.node.name, &e->o.node.site, &e->o.node.version, &e->o.advertise};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = arena_copy(&e->arena, *texts[i]);
        if (texts[i]->p == NULL) return ERR_NOMEM;
    }
    if (e->o.media_relay != NULL) e->o.media_relay = arena_printf(&e->arena, "%s", e->o.media_relay);
    e->o.listen = NULL; /* only the transport needed them */
    e->o.tls = (struct tls_files){0};
    return ERR_OK;
}

static enum err make_random(struct random **out)
{
    unsigned char key[HASH_KEY_LEN];
    if (RAND_bytes(key, sizeof key) != 1) return ERR_IO;
    *out = random_new(key);
    secret_wipe(key, sizeof key);
    return *out != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err init_memory(struct edge *e)
{
    static const char *const names[EC_COUNT] = {EDGE_COUNTERS(COUNTER_NAME)};
    list_init(&e->relays);
    list_init(&e->acks);
    list_init(&e->held);
    list_init(&e->calls);
    enum err err = make_random(&e->random);
    if (err != ERR_OK) return err;
    e->nonce_maker = (uint32_t)random_next(e->random);
    overload_init(&e->overload);
    e->armed = MONO_NEVER;
    e->relay_pool.kept_max = POOL_KEPT;
    e->branch_pool.kept_max = POOL_KEPT;
    for (size_t i = 0; i < EDGE_MESSAGE_POOLS; i++)
        e->message_pools[i].kept_max = POOL_KEPT;
    e->table = (struct counter_table){"edge", names, e->counts, EC_COUNT};
    if (e->o.call_idle_ms == 0) e->o.call_idle_ms = DEFAULT_CALL_IDLE_MS;
    if (e->o.ring_ms == 0) e->o.ring_ms = DEFAULT_RING_MS;
    if (e->o.no_answer_ms == 0) e->o.no_answer_ms = DEFAULT_NO_ANSWER_MS;
    err = copy_texts(e);
    e->began = edge_now(e);
    if (err == ERR_OK) err = sip_tx_table_init(&e->tx, random_next(e->random), e->began);
    if (err == ERR_OK) err = sip_dialogs_init(&e->dialogs, random_next(e->random));
    if (err == ERR_OK) err = map_init(&e->waiting, 64, random_next(e->random));
    if (err == ERR_OK) err = make_run_mac(e->random, &e->run_mac);
    if (err == ERR_OK) err = make_macs(e->o.cluster_key, &e->dialog_mac, &e->transit_mac, &e->nonce_mac);
    if (err == ERR_OK && e->o.has_other_key)
        err = make_macs(e->o.other_key, &e->other_dialog_mac, &e->other_transit_mac, &e->other_nonce_mac);
    if (err == ERR_OK) err = make_cloaks(e->o.cluster_key, &e->cloak, &e->device_cloak);
    if (err == ERR_OK && e->o.has_other_key) err = make_cloaks(e->o.other_key, &e->other_cloak, &e->other_device_cloak);
    if (err == ERR_OK) err = make_nobody(e);
    for (int a = 0; a < HASH_ALGORITHM_COUNT; a++)
        e->hashers[a] = hasher_new((enum hash_algorithm)a);
    e->digests = calloc(1, sizeof *e->digests);
    if (err == ERR_OK && e->digests == NULL) err = ERR_NOMEM;
    if (err == ERR_OK) err = guard_new(e, &e->guard);
    if (err == ERR_OK) err = registrar_new(e, &e->registrar);
    if (err == ERR_OK) err = prober_new(e, &e->prober);
    if (err == ERR_OK) err = lines_new(e, &e->registrations);
    if (err == ERR_OK) err = keeper_new(e, &e->keeper);
    if (err == ERR_OK) err = media_new(e, &e->media);
    return err;
}

static void free_memory(struct edge *e)
{
    edge_calls_free(e); /* first: a call in progress points at its relay */
    while (!list_empty(&e->relays))
        proxy_relay_free(CONTAINER_OF(e->relays.next, struct relay, node));
    proxy_acks_free(e);
    proxy_held_free(e);
    guard_free(e->guard);
    registrar_free(e->registrar);
    prober_free(e->prober);
    lines_free(e->registrations);
    keeper_free(e->keeper);
    media_free(e->media);
    sip_tx_table_fini(&e->tx);
    sip_dialogs_fini(&e->dialogs);
    random_free(e->random);
    map_fini(&e->waiting);
    mac_free(e->run_mac);
    mac_free(e->dialog_mac);
    mac_free(e->transit_mac);
    mac_free(e->nonce_mac);
    cloak_free(e->cloak);
    cloak_free(e->other_cloak);
    cloak_free(e->device_cloak);
    cloak_free(e->other_device_cloak);
    for (int a = 0; a < HASH_ALGORITHM_COUNT; a++)
        hasher_free(e->hashers[a]);
    free(e->digests);
    mac_free(e->other_dialog_mac);
    mac_free(e->other_transit_mac);
    mac_free(e->other_nonce_mac);
    pool_fini(&e->relay_pool);
    pool_fini(&e->branch_pool);
    for (size_t i = 0; i < EDGE_MESSAGE_POOLS; i++)
        pool_fini(&e->message_pools[i]);
    arena_fini(&e->scratch);
    buf_fini(&e->out);
    buf_fini(&e->lines);
    buf_fini(&e->via);
    arena_fini(&e->arena);
    secret_wipe(e->o.cluster_key, sizeof e->o.cluster_key);
    secret_wipe(e->o.other_key, sizeof e->o.other_key);
    free(e);
}

static enum err open_transport(struct edge *e, const struct edge_options *o, struct err_info *info)
{
    struct transport_options t = {
        .loop = e->loop,
        .log = e->log,
        .listen = o->listen,
        .listen_count = o->listen_count,
        .tls = o->tls,
        .seed = random_next(e->random),
        .on_message = on_message,
        .on_fault = on_fault,
        .on_send_failed = on_send_failed,
        .on_connection_lost = on_connection_lost,
        .ctx = e,
    };
    if (o->listen_count > EDGE_LISTENERS_MAX)
        return err_fail(info, ERR_LIMIT, "more than %d listeners", EDGE_LISTENERS_MAX);
    return transport_open(&t, &e->transport, info);
}

static void start_handles(struct edge *e)
{
    (void)uv_timer_init(e->loop, &e->timer); /* these cannot fail */
    (void)uv_timer_init(e->loop, &e->drain);
    (void)uv_prepare_init(e->loop, &e->prepare);
    e->timer.data = e->drain.data = e->prepare.data = e;
    (void)uv_prepare_start(&e->prepare, on_prepare);
    uv_unref((uv_handle_t *)&e->prepare);
    uv_unref((uv_handle_t *)&e->timer);
    prober_start(e->prober);
    lines_start(e->registrations);
    e->opened = true;
}

enum err edge_open(const struct edge_options *options, struct edge **out, struct err_info *info)
{
    struct edge *e = calloc(1, sizeof *e);
    if (e == NULL) return err_fail(info, ERR_NOMEM, "no memory for the SIP edge");
    e->o = *options;
    e->loop = options->loop;
    e->log = options->log;
    enum err err = init_memory(e);
    if (err != ERR_OK) {
        free_memory(e);
        return err_fail(info, err, "the SIP edge cannot be set up: %s", err_name(err));
    }
    err = open_transport(e, options, info);
    if (err != ERR_OK) {
        free_memory(e);
        return err;
    }
    name_places(e);
    err = dns_open(e->loop, e->log, &e->dns);
    if (err != ERR_OK) {
        begin_close(e); /* frees e once the transport is closed */
        return err_fail(info, err, "the resolver cannot be started: %s", err_name(err));
    }
    start_handles(e);
    err = media_start(e->media, info);
    if (err != ERR_OK) {
        begin_close(e);
        return err;
    }
    *out = e;
    return ERR_OK;
}

/* ---- closing ---- */

void edge_close_step(struct edge *e)
{
    if (!e->closing || e->handles > 0 || registrar_pending(e->registrar) > 0) return;
    void (*closed)(void *ctx) = e->closed;
    void *ctx = e->closed_ctx;
    free_memory(e);
    if (closed != NULL) closed(ctx);
}

static void on_closed(void *ctx)
{
    struct edge *e = ctx;
    e->handles--;
    edge_close_step(e);
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

/* Nobody is left to ring, or to wait for ever: transport_close sends what is queued. */
static void stop_relays(struct edge *e)
{
    for (struct list_node *n = e->relays.next; n != &e->relays; n = n->next)
        proxy_relay_stop(CONTAINER_OF(n, struct relay, node));
}

static void begin_close(struct edge *e)
{
    if (e->closing) return;
    stop_relays(e);
    e->closing = true;
    e->handles = 1; /* held until all are counted */
    if (e->opened) {
        e->handles += 3;
        uv_close((uv_handle_t *)&e->timer, on_handle_closed);
        uv_close((uv_handle_t *)&e->drain, on_handle_closed);
        uv_close((uv_handle_t *)&e->prepare, on_handle_closed);
    }
    registrar_close(e->registrar);
    if (prober_close(e->prober, on_handle_closed)) e->handles++;
    if (lines_close(e->registrations, on_handle_closed)) e->handles++;
    if (media_close(e->media, on_handle_closed)) e->handles++;
    e->handles++;
    transport_close(e->transport, on_closed, e);
    if (e->dns != NULL) {
        e->handles++;
        dns_close(e->dns, on_closed, e);
    }
    on_closed(e);
}

static void on_drained(uv_timer_t *timer)
{
    begin_close(timer->data);
}

enum err edge_tls_reload(struct edge *e, const struct tls_files *files, struct err_info *info)
{
    return transport_tls_reload(e->transport, files, info);
}

struct tls_ends edge_tls_ends(const struct edge *e)
{
    return transport_tls_ends(e->transport);
}

void edge_refuse_new(struct edge *e, bool on)
{
    e->refusing = on;
}

void edge_close(struct edge *e, uint32_t drain_ms, void (*closed)(void *ctx), void *ctx)
{
    if (e->draining) return;
    e->draining = true;
    e->closed = closed;
    e->closed_ctx = ctx;
    log_event(e->log, LOG_INFO, "edge", "drain", "requests=%zu calls=%zu", e->open_relays,
              sip_dialogs_count(&e->dialogs));
    lines_stop(e->registrations); /* without time, the last word is at least on its way */
    if (drain_ms == 0 || is_idle(e)) {
        begin_close(e);
    } else {
        (void)uv_timer_start(&e->drain, on_drained, drain_ms, 0);
    }
}

/* ---- looking in ---- */

const struct transport *edge_transport(const struct edge *e)
{
    return e->transport;
}

struct slice edge_peer_names(const struct edge *e, const struct flow *flow)
{
    return transport_peer_names(e->transport, flow);
}

size_t edge_counters(const struct edge *e, const struct counter_table *out[], size_t cap)
{
    const struct counter_table *const tables[] = {transport_counters(e->transport),
                                                  &e->table,
                                                  guard_counters(e->guard),
                                                  registrar_counters(e->registrar),
                                                  prober_counters(e->prober),
                                                  lines_counters(e->registrations),
                                                  keeper_counters(e->keeper),
                                                  media_counters(e->media),
                                                  dns_counters(e->dns)};
    size_t n = 0;
    while (n < cap && n < sizeof tables / sizeof tables[0]) {
        out[n] = tables[n];
        n++;
    }
    return n;
}

struct edge_load edge_load(const struct edge *e)
{
    return (struct edge_load){.calls = (uint32_t)sip_dialogs_count(&e->dialogs),
                              .transactions = (uint32_t)(e->tx.servers.count + e->tx.clients.count)};
}

enum err edge_resolve(struct edge *e, struct slice host, uint16_t port, enum plan_transport transport,
                      void (*done)(void *ctx, enum err err, const union sock_address *addresses, size_t count),
                      void *ctx)
{
    return e->closing ? ERR_CLOSED : dns_resolve(e->dns, host, port, transport, done, ctx);
}
