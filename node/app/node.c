#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "proto/plan_codec.h"

#define SECOND_MS 1000

struct mono node_mono(void)
{
    return (struct mono){uv_hrtime() / 1000};
}

struct wall node_wall(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

enum err node_read_begin(struct node *n)
{
    if (n->read_depth == 0) {
        enum err e = store_read_begin(n->read);
        if (e != ERR_OK) return e;
    }
    n->read_depth++;
    return ERR_OK;
}

void node_read_end(struct node *n)
{
    ASSERT(n->read_depth > 0);
    if (--n->read_depth == 0) store_read_end(n->read);
}

/* ---- this node's card ---- */

/* Members reach our SIP edge by TLS; where the operator gave no TLS listener, by TCP. */
static size_t card_addresses(const struct node *n, struct arena *arena, const struct slice **out)
{
    static const enum plan_transport wanted[] = {PLAN_TLS, PLAN_TCP};
    const struct transport *t = edge_transport(n->edge);
    size_t listeners = transport_listener_count(t);
    struct slice *list = arena_alloc(arena, listeners * sizeof *list);
    size_t count = 0;
    for (size_t w = 0; list != NULL && w < 2 && count == 0; w++) {
        for (size_t i = 0; i < listeners; i++) {
            const struct transport_listener *l = transport_listener_at(t, i);
            if (l->transport != wanted[w]) continue;
            const char *text = n->config.sip_advertise[0] == '\0'
                                   ? arena_printf(arena, "%s", l->text)
                                   : arena_printf(arena, "%s:%s:%u", plan_transport_name(l->transport),
                                                  n->config.sip_advertise, sock_address_port(&l->local));
            if (text != NULL) list[count++] = slice_of(text);
        }
    }
    *out = list;
    return count;
}

static void observe_card(struct node *n)
{
    struct arena arena = {0};
    struct buf packed = {0};
    struct node_card card = {.site = slice_of(n->config.site),
                             .version = SLICE(TANDEM_VERSION),
                             .started = n->started,
                             .calls = n->card_calls};
    card.sip_address_count = card_addresses(n, &arena, &card.sip_addresses);
    if (node_card_pack(&card, &packed) == ERR_OK) {
        replica_observe(n, STATE_NODE_CARD, node_name_slice(&n->self), buf_view(&packed), false, NULL, NULL);
    }
    buf_fini(&packed);
    arena_fini(&arena);
}

void node_observe_again(struct node *n)
{
    observe_card(n);
    registrations_observe_again(n);
}

/* ---- callbacks of the adapters ---- */

static void on_store_async(uv_async_t *async)
{
    replica_store_completed(async->data);
}

/* Writer thread. */
static void store_wakes(void *ctx)
{
    struct node *n = ctx;
    (void)uv_async_send(&n->store_async);
}

static void on_message(void *ctx, const struct node_name *from, const struct repl_message *m)
{
    struct repl_event ev = {.type = REPL_EV_MESSAGE, .peer = *from, .message = m};
    replica_feed(ctx, &ev);
}

static void on_sent(void *ctx, const struct node_name *peer, uint64_t token, enum err err, uint32_t rtt_us)
{
    struct repl_event ev = {
        .type = err == ERR_OK ? REPL_EV_SENT : REPL_EV_SEND_FAILED, .peer = *peer, .token = token, .rtt_us = rtt_us};
    replica_feed(ctx, &ev);
}

static void on_link(void *ctx, const struct node_name *peer, bool up)
{
    struct node *n = ctx;
    struct repl_event ev = {.type = up ? REPL_EV_LINK_UP : REPL_EV_LINK_DOWN, .peer = *peer};
    log_event(&n->log, LOG_INFO, "mesh", up ? "link-up" : "link-down", "peer=%s", peer->s);
    replica_feed(n, &ev);
}

static void on_call(void *ctx, const struct call_report *report)
{
    struct node *n = ctx;
    calls_report(n->calls, report);
}

static void on_second(uv_timer_t *timer)
{
    struct node *n = timer->data;
    registrations_expire(n);
}

/* ---- opening ---- */

static enum err open_store(struct node *n, struct err_info *info)
{
    if (uv_async_init(n->loop, &n->store_async, on_store_async) != 0) return err_fail(info, ERR_IO, "no event loop");
    n->store_async.data = n;
    struct store_options options = {
        .dir = n->config.data, .log = &n->log, .wall = n->started, .completed = store_wakes, .ctx = n};
    enum err e = store_open(&options, &n->store, info);
    if (e != ERR_OK) return e;
    return store_read_new(n->store, &n->read);
}

static enum err open_edge(struct node *n, struct err_info *info)
{
    struct edge_options options = {
        .loop = n->loop,
        .log = &n->log,
        .node = {slice_of(n->config.node), slice_of(n->config.site), SLICE(TANDEM_VERSION)},
        .listen = n->config.sip_listen,
        .listen_count = n->config.sip_listen_count,
        .tls_cert_file = n->identity.cert_file,
        .tls_key_file = n->identity.key_file,
        .tls_ca_file = n->identity.ca_file,
        .advertise = slice_of(n->config.sip_advertise),
        .seed = rng_next(&n->rng),
        .no_answer_ms = n->config.sip_no_answer_ms,
        .hooks = {.ctx = n,
                  .source = routing_source_hook,
                  .route = routing_hook,
                  .account = routing_account_hook,
                  .bindings = registrations_own,
                  .bindings_write = registrations_write,
                  .domain = routing_domain_hook,
                  .digests = routing_digests_hook,
                  .call = on_call},
    };
    memcpy(options.cluster_key, n->identity.cluster_key, sizeof options.cluster_key);
    enum err e = edge_open(&options, &n->edge, info);
    secret_wipe(options.cluster_key, sizeof options.cluster_key);
    return e;
}

static enum err dial_seeds(struct node *n, const char *const *seeds, size_t count, struct err_info *info)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(seeds[i], n->config.mesh_advertise) == 0) continue;
        enum err e = mesh_dial_seed(n->mesh, slice_of(seeds[i]));
        if (e != ERR_OK) return err_fail(info, e, "seed %s: %s", seeds[i], err_name(e));
    }
    return ERR_OK;
}

static enum err open_mesh(struct node *n, struct err_info *info)
{
    if (!n->config.mesh) return ERR_OK;
    struct mesh_options options = {
        .loop = n->loop,
        .log = &n->log,
        .self = n->self,
        .cluster = slice_of(n->identity.cluster),
        .listen = n->config.mesh_listen,
        .ca_file = n->identity.ca_file,
        .cert_file = n->identity.cert_file,
        .key_file = n->identity.key_file,
        .seed = rng_next(&n->rng),
        .on_message = on_message,
        .on_sent = on_sent,
        .on_link = on_link,
        .on_relay = relay_on_request,
        .on_relay_reply = relay_on_reply,
        .ctx = n,
    };
    enum err e = mesh_open(&options, &n->mesh, info);
    if (e == ERR_OK) e = dial_seeds(n, n->config.seeds, n->config.seed_count, info);
    if (e == ERR_OK) e = dial_seeds(n, n->identity.seeds, n->identity.seed_count, info);
    return e;
}

static enum err open_control(struct node *n, struct err_info *info)
{
    struct control_options options = {.loop = n->loop,
                                      .log = &n->log,
                                      .path = n->config.control,
                                      .commands = node_commands,
                                      .command_count = node_command_count,
                                      .node = n->config.node,
                                      .relay = relay_hook,
                                      .ctx = n};
    return control_open(&options, &n->control, info);
}

static void gauges(void *ctx, struct metrics_writer *w)
{
    struct node *n = ctx;
    struct edge_load load = edge_load(n->edge);
    metrics_gauge(w, "tandem_calls", "Calls in progress at this node", NULL, 0, (double)load.calls);
    metrics_gauge(w, "tandem_transactions", "SIP transactions in progress", NULL, 0, (double)load.transactions);
    metrics_gauge(w, "tandem_registrations", "Bindings that this node owns", NULL, 0, (double)registrations_count(n));
    metrics_gauge(w, "tandem_members", "Nodes of the cluster, this one included", NULL, 0,
                  (double)repl_member_count(n->repl));
}

static bool healthz(void *ctx, struct buf *text)
{
    char verdict[LIMIT_TEXT];
    node_verdict(ctx, verdict, sizeof verdict);
    buf_printf(text, "%s\n", verdict);
    return strcmp(verdict, "ok") == 0;
}

static enum err open_http(struct node *n, struct err_info *info)
{
    if (n->config.http == NULL) return ERR_OK;
    const struct counter_table *tables[8];
    struct http_options options = {.loop = n->loop,
                                   .log = &n->log,
                                   .listen = n->config.http,
                                   .tables = tables,
                                   .table_count = node_counters(n, tables, 8),
                                   .gauges = gauges,
                                   .healthz = healthz,
                                   .ctx = n};
    return http_open(&options, &n->http, info);
}

static enum err open_replica(struct node *n, struct err_info *info)
{
    enum err e = map_init(&n->jobs, 64, rng_next(&n->rng));
    if (e != ERR_OK) return e;
    if (uv_timer_init(n->loop, &n->repl_timer) != 0 || uv_timer_init(n->loop, &n->second) != 0) return ERR_IO;
    n->repl_timer.data = n;
    n->second.data = n;
    e = replica_start(n, info);
    if (e == ERR_OK) e = registrations_start(n);
    n->calls = e == ERR_OK ? calls_new(rng_next(&n->rng)) : NULL;
    return e == ERR_OK && n->calls == NULL ? ERR_NOMEM : e;
}

enum err node_open(struct node *n, uv_loop_t *loop, const struct config *config, const struct log *log,
                   struct err_info *info)
{
    uint64_t seed = 0;
    *n = (struct node){.config = *config, .log = *log, .loop = loop, .started = node_wall(), .next_token = 1};
    list_init(&n->pending_events);
    list_init(&n->waiting_changes);
    list_init(&n->relays);
    if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        return err_fail(info, ERR_IO, "the system gives no random bytes");
    rng_init(&n->rng, seed);
    enum err e = node_name_set(&n->self, slice_of(config->node));
    if (e == ERR_OK) e = identity_load(&n->arena, config, &n->identity, info);
    if (e == ERR_OK) e = open_store(n, info);
    if (e == ERR_OK) e = open_replica(n, info);
    if (e == ERR_OK) e = open_control(n, info);
    if (e == ERR_OK) e = open_edge(n, info);
    if (e == ERR_OK) e = open_mesh(n, info);
    if (e == ERR_OK) e = open_http(n, info);
    if (e != ERR_OK) {
        if (info->text[0] == '\0') (void)err_fail(info, e, "%s", err_name(e));
        node_stop(n, 0);
        return e;
    }
    (void)uv_timer_start(&n->second, on_second, SECOND_MS, SECOND_MS);
    observe_card(n);
    replica_tick(&n->repl_timer);
    return ERR_OK;
}

/* ---- closing ---- */

static void handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

/* Everything that could still call into the store is gone. */
static void all_closed(struct node *n)
{
    replica_store_completed(n);
    if (n->store_async.data != NULL) uv_close((uv_handle_t *)&n->store_async, handle_closed);
    if (n->repl_timer.data != NULL) uv_close((uv_handle_t *)&n->repl_timer, handle_closed);
    if (n->second.data != NULL) uv_close((uv_handle_t *)&n->second, handle_closed);
}

static void one_closed(void *ctx)
{
    struct node *n = ctx;
    if (--n->closing == 0) all_closed(n);
}

static void edge_closed(void *ctx)
{
    struct node *n = ctx;
    n->edge = NULL;
    one_closed(n);
}

void node_stop(struct node *n, uint32_t drain_ms)
{
    if (n->stopping) return;
    n->stopping = true;
    n->closing = 1;
    if (n->http != NULL) {
        n->closing++;
        http_close(n->http, one_closed, n);
        n->http = NULL;
    }
    if (n->control != NULL) {
        n->closing++;
        control_close(n->control, one_closed, n);
        n->control = NULL;
    }
    if (n->mesh != NULL) {
        n->closing++;
        struct mesh *mesh = n->mesh;
        n->mesh = NULL;
        mesh_close(mesh, one_closed, n);
    }
    if (n->edge != NULL) {
        n->closing++;
        edge_close(n->edge, drain_ms, edge_closed, n);
    }
    one_closed(n);
}

void node_fini(struct node *n)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    if (n->read != NULL) store_read_free(n->read);
    if (n->store != NULL) store_close(n->store);
    while (n->jobs.buckets != NULL && (m = map_walk(&n->jobs, &walk)) != NULL)
        replica_job_free(m);
    map_fini(&n->jobs);
    registrations_stop(n);
    calls_free(n->calls);
    repl_actions_fini(&n->actions);
    if (n->repl != NULL) repl_free(n->repl);
    arena_fini(&n->cache.arena);
    secret_wipe(&n->identity.cluster_key, sizeof n->identity.cluster_key);
    arena_fini(&n->arena);
}
