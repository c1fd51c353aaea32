#include "node/app/node.h"

#include "node/app/confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/rand.h>

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
    struct repl_event ev = {.type = up ? REPL_EV_LINK_UP : REPL_EV_LINK_DOWN, .peer = *peer};
    replica_feed(ctx, &ev);
}

static void on_certificate(void *ctx, const struct node_name *peer, uint64_t issued)
{
    struct repl_event ev = {.type = REPL_EV_CERTIFICATE, .peer = *peer, .issued = issued};
    replica_feed(ctx, &ev);
}

static void on_call(void *ctx, const struct call_report *report)
{
    struct node *n = ctx;
    calls_report(n->calls, report, (struct mono){uv_now(n->loop) * 1000});
    records_look(n);
}

static void on_registrations_due(uv_timer_t *timer)
{
    registrations_tick(timer->data);
}

/* Calls waited meanwhile: who asks why is told when. */
static void tell_stalls(struct node *n)
{
    uint64_t long_turns = counter_get(&n->stall.counts[STALL_turns_over_100ms]);
    if (long_turns == n->stalls_told) return;
    struct stall_times longest = stall_longest(&n->stall, 2); /* this second has only begun */
    log_event(&n->log, LOG_WARN, "loop", "stalled", "times=%" PRIu64 " longest_ms=%" PRIu64 " own_ms=%" PRIu64,
              long_turns - n->stalls_told, longest.wall_us / 1000, longest.own_us / 1000);
    n->stalls_told = long_turns;
}

static void on_second(uv_timer_t *timer)
{
    struct node *n = timer->data;
    tell_stalls(n);
    trunks_tick(n);
    bans_look(n);
    uac_registration_tick(n);
    maps_tick(n);
    records_tick(n);
    horizon_tick(n);
    if (n->card_due && n->edge != NULL) card_observe(n);
    verdict_look(n);
    plan_objects_tick(n);
    confirm_look(n);
    operations_tick(n);
}

/* ---- opening ---- */

static enum err open_store(struct node *n, struct err_info *info)
{
    if (uv_async_init(n->loop, &n->store_async, on_store_async) != 0) return err_fail(info, ERR_IO, "no event loop");
    n->store_async.data = n;
    /* The store keeps its own copy of the log, so the sink chooses: its level can change while the node runs. */
    struct log log = n->log;
    log.max = LOG_DEBUG;
    struct store_options options = {.dir = n->config.data,
                                    .log = &log,
                                    .wall = n->started,
                                    .log_keep_count = n->config.history,
                                    .completed = store_wakes,
                                    .ctx = n};
    enum err e = store_open(&options, &n->store, info);
    if (e == ERR_OK) e = store_read_new(n->store, &n->read);
    return e;
}

struct tls_files node_tls_files(const struct node *n)
{
    return (struct tls_files){.cert = n->identity.cert_file,
                              .key = n->identity.key_file,
                              .ca = n->identity.ca_file,
                              .public_cert = n->config.sip_certificate,
                              .public_key = n->config.sip_key};
}

static enum err open_edge(struct node *n, struct err_info *info)
{
    struct edge_options options = {
        .loop = n->loop,
        .log = &n->log,
        .node = {slice_of(n->config.node), slice_of(n->config.site), SLICE(TANDEM_VERSION)},
        .listen = n->config.sip_listen,
        .listen_count = n->config.sip_listen_count,
        .tls = node_tls_files(n),
        .advertise = slice_of(n->config.sip_advertise),
        .session_s = n->config.sip_session_s,
        .call_idle_ms = n->config.calls_idle_ms,
        .no_answer_ms = n->config.sip_no_answer_ms,
        .media_relay = n->config.media_relay,
        .hooks = {.ctx = n,
                  .source = routing_source_hook,
                  .route = routing_hook,
                  .account = routing_account_hook,
                  .bindings = registrations_own,
                  .bindings_known = registrations_known,
                  .bindings_write = registrations_write,
                  .domain = routing_domain_hook,
                  .digests = routing_digests_hook,
                  .call = on_call,
                  .admit = limits_admit_hook,
                  .trunk = trunks_hook,
                  .registered_from = bans_registered_from_hook,
                  .banned = bans_hook,
                  .called = uac_registration_called_hook,
                  .registration = uac_registration_hook,
                  .media = routing_media_hook,
                  .way_lost = registrations_way_lost},
    };
    memcpy(options.cluster_key, n->identity.cluster_key, sizeof options.cluster_key);
    memcpy(options.other_key, n->identity.other_key, sizeof options.other_key);
    options.has_other_key = n->identity.has_other_key;
    enum err e = edge_open(&options, &n->edge, info);
    secret_wipe(options.cluster_key, sizeof options.cluster_key);
    secret_wipe(options.other_key, sizeof options.other_key);
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

/* Those that were evicted in an earlier run: the mesh remembers nothing. */
static enum err refuse_evicted(struct node *n)
{
    enum err e = ERR_OK;
    for (size_t i = 1; e == ERR_OK && i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (m.barred != 0) e = mesh_bar(n->mesh, &m.name, m.barred);
    }
    return e;
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
        .parks = n->config.mesh_advertise[0] == '\0',
        .ca_file = n->identity.ca_file,
        .cert_file = n->identity.cert_file,
        .key_file = n->identity.key_file,
        .seed = rng_next(&n->rng),
        .on_message = on_message,
        .on_sent = on_sent,
        .on_link = on_link,
        .on_certificate = on_certificate,
        .on_relay = relay_on_request,
        .on_relay_reply = relay_on_reply,
        .ctx = n,
    };
    enum err e = mesh_open(&options, &n->mesh, info);
    if (e == ERR_OK) e = refuse_evicted(n);
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

static void stall_gauges(const struct node *n, struct metrics_writer *w)
{
    struct metrics_label ten = {"window", SLICE("10s")};
    struct metrics_label sixty = {"window", SLICE("60s")};
    struct stall_times recent = stall_longest(&n->stall, STALL_RECENT_S);
    struct stall_times all = stall_longest(&n->stall, STALL_SECONDS);
    static const char wall[] = "Longest turn of the loop, in which no packet was read";
    static const char own[] = "The same without waiting for a processor that ran something else";
    metrics_gauge(w, "tandem_loop_stall_seconds", wall, &ten, 1, (double)recent.wall_us / 1e6);
    metrics_gauge(w, "tandem_loop_stall_seconds", wall, &sixty, 1, (double)all.wall_us / 1e6);
    metrics_gauge(w, "tandem_loop_stall_own_seconds", own, &ten, 1, (double)recent.own_us / 1e6);
    metrics_gauge(w, "tandem_loop_stall_own_seconds", own, &sixty, 1, (double)all.own_us / 1e6);
}

static bool trunk_gauge(void *ctx, const struct edge_trunk *t)
{
    struct metrics_label labels[] = {{"trunk", t->trunk}, {"address", t->address}};
    if (t->known)
        metrics_gauge(ctx, "tandem_trunk_up", "Whether the address answers its probes", labels, 2, t->up ? 1 : 0);
    return true;
}

static bool trunk_rtt_gauge(void *ctx, const struct edge_trunk *t)
{
    struct metrics_label labels[] = {{"trunk", t->trunk}, {"address", t->address}};
    if (t->rtt_us > 0)
        metrics_gauge(ctx, "tandem_trunk_rtt_seconds", "Round trip of the last answered probe", labels, 2,
                      (double)t->rtt_us / 1e6);
    return true;
}

static bool registered_gauge(void *ctx, const struct edge_registration_view *v)
{
    struct metrics_label label = {"trunk", v->trunk};
    metrics_gauge(ctx, "tandem_trunk_registered", "Whether the registration that this node holds stands", &label, 1,
                  v->state == TRUNK_REGISTERED ? 1 : 0);
    return true;
}

static bool registration_left_gauge(void *ctx, const struct edge_registration_view *v)
{
    struct metrics_label label = {"trunk", v->trunk};
    if (v->state == TRUNK_REGISTERED)
        metrics_gauge(ctx, "tandem_trunk_registration_left_seconds", "Until it ends where it is not refreshed", &label,
                      1, (double)(v->expires.ms - node_wall().ms) / 1000);
    return true;
}

/* Of trunks: accounts may be a hundred thousand. */
static void trunk_calls_gauge(void *ctx, struct slice name, struct usage_view view)
{
    struct slice prefix = SLICE("trunk/");
    if (!slice_starts(name, prefix)) return;
    struct metrics_label label = {"trunk", {name.p + prefix.n, name.n - prefix.n}};
    metrics_gauge(ctx, "tandem_trunk_calls", "Calls of the trunk at this node", &label, 1, (double)view.live);
}

static void certificate_gauges(struct node *n, struct metrics_writer *w)
{
    struct tls_ends ends = edge_tls_ends(n->edge);
    const struct {
        struct slice name;
        int64_t end_s;
    } all[] = {{SLICE("node"), ends.member_s}, {SLICE("sip"), ends.public_s}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct metrics_label label = {"certificate", all[i].name};
        if (all[i].end_s == 0) continue;
        metrics_gauge(w, "tandem_certificate_left_seconds", "Until the certificate ends that is shown by TLS", &label,
                      1, (double)(all[i].end_s - node_wall().ms / 1000));
    }
}

static void media_gauge(const struct node *n, struct metrics_writer *w)
{
    struct edge_media m = edge_media(n->edge);
    if (m.since.ms != 0)
        metrics_gauge(w, "tandem_media_relay_up", "1 while the media relay answers", NULL, 0, m.up ? 1 : 0);
}

static void gauges(void *ctx, struct metrics_writer *w)
{
    struct node *n = ctx;
    struct edge_load load = edge_load(n->edge);
    stall_gauges(n, w);
    metrics_gauge(w, "tandem_calls", "Calls in progress at this node", NULL, 0, (double)load.calls);
    metrics_gauge(w, "tandem_transactions", "SIP transactions in progress", NULL, 0, (double)load.transactions);
    metrics_gauge(w, "tandem_registrations", "Bindings that this node owns", NULL, 0, (double)registrations_count(n));
    metrics_gauge(w, "tandem_members", "Nodes of the cluster, this one included", NULL, 0, (double)node_members(n));
    struct edge_guarded guarded = edge_guarded(n->edge);
    metrics_gauge(w, "tandem_bans", "Sources that are not listened to", NULL, 0, (double)guarded.bans);
    metrics_gauge(w, "tandem_locks", "Accounts that are locked for a source", NULL, 0, (double)guarded.locks);
    edge_trunks_each(n->edge, trunk_gauge, w);
    edge_trunks_each(n->edge, trunk_rtt_gauge, w);
    edge_registrations_each(n->edge, registered_gauge, w);
    edge_registrations_each(n->edge, registration_left_gauge, w);
    usage_each(n->usage, trunk_calls_gauge, w);
    metrics_gauge(w, "tandem_call_records_lost", "Call records that the disk did not take", NULL, 0,
                  (double)calls_lost(n->calls));
    certificate_gauges(n, w);
    media_gauge(n, w);
    struct repl_floor_view f = repl_floor(n->repl);
    metrics_gauge(w, "tandem_tombstones", "Deletions that not every node is known to have", NULL, 0,
                  (double)f.tombstones);
    metrics_gauge(w, "tandem_floor_seconds", "Deletions up to this time since 1970 are forgotten", NULL, 0,
                  (double)(f.floor.v >> 16) / 1000);
    metrics_gauge(w, "tandem_snapshot_active", "1 while the plan is fetched from another node", NULL, 0,
                  f.fetching ? 1 : 0);
    metrics_gauge(w, "tandem_snapshot_objects", "Objects fetched so far", NULL, 0, (double)f.objects);
}

static enum err open_http(struct node *n, struct err_info *info)
{
    if (n->config.http == NULL) return ERR_OK;
    const struct counter_table *tables[NODE_COUNTER_TABLES];
    enum err e = operations_start(n);
    if (e != ERR_OK) return err_fail(info, e, "http: the operations page: %s", err_name(e));
    const struct http_page page = operations_page(n);
    struct http_options options = {.loop = n->loop,
                                   .log = &n->log,
                                   .listen = n->config.http,
                                   .tables = tables,
                                   .table_count = node_counters(n, tables, NODE_COUNTER_TABLES),
                                   .gauges = gauges,
                                   .healthz = node_fit,
                                   .pages = &page,
                                   .page_count = 1,
                                   .ctx = n};
    e = http_open(&options, &n->http, info);
    return e == ERR_OK ? operations_watch(n) : e;
}

static enum err open_replica(struct node *n, struct err_info *info)
{
    enum err e = map_init(&n->jobs, 64, rng_next(&n->rng));
    if (e != ERR_OK) return e;
    uv_timer_t *const timers[] = {&n->repl_timer, &n->second, &n->registrations_due};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        if (uv_timer_init(n->loop, timers[i]) != 0) return ERR_IO;
        timers[i]->data = n;
    }
    if (restore_init(n) != ERR_OK) return ERR_IO;
    records_start(n);
    e = replica_start(n, info);
    if (e == ERR_OK) e = registrations_start(n);
    if (e == ERR_OK) e = maps_start(n);
    if (e == ERR_OK) e = usage_new(rng_next(&n->rng), &n->usage);
    if (e == ERR_OK) e = drain_start(n);
    n->calls = e == ERR_OK ? calls_new(rng_next(&n->rng), n->usage) : NULL;
    return e == ERR_OK && n->calls == NULL ? ERR_NOMEM : e;
}

enum err node_open(struct node *n, uv_loop_t *loop, const struct config *config, const struct log *log,
                   struct events *events, struct err_info *info)
{
    uint64_t seed = 0;
    *n = (struct node){
        .config = *config, .log = *log, .events = events, .loop = loop, .started = node_wall(), .next_token = 1};
    list_init(&n->pending_events);
    list_init(&n->waiting_changes);
    list_init(&n->watches);
    list_init(&n->relays);
    list_init(&n->applies);
    trunks_init(&n->trunks);
    bans_init(&n->bans);
    uac_registration_init(&n->uac);
    if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        return err_fail(info, ERR_IO, "the system gives no random bytes");
    rng_init(&n->rng, seed);
    enum err e = node_name_set(&n->self, slice_of(config->node));
    if (e == ERR_OK) e = identity_load(&n->arena, config, &n->identity, info);
    if (e == ERR_OK) e = open_store(n, info);
    if (e == ERR_OK) e = stall_start(&n->stall, loop);
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
    registrations_open_ways(n);
    (void)uv_timer_start(&n->second, on_second, SECOND_MS, SECOND_MS);
    (void)uv_timer_start(&n->registrations_due, on_registrations_due, REGISTRATIONS_TICK_MS, REGISTRATIONS_TICK_MS);
    edge_refuse_new(n->edge, n->drained);
    bans_look(n);
    card_observe(n);
    restore_start(n);
    replica_tick(&n->repl_timer);
    return ERR_OK;
}

/* ---- closing ---- */

/* Everything has ended. What the store still writes may be reported as long as the loop turns; it keeps nobody. */
static void all_closed(struct node *n)
{
    if (n->store_async.data != NULL) uv_unref((uv_handle_t *)&n->store_async);
    if (n->repl_timer.data != NULL) uv_close((uv_handle_t *)&n->repl_timer, NULL);
    if (n->second.data != NULL) uv_close((uv_handle_t *)&n->second, NULL);
    if (n->registrations_due.data != NULL) uv_close((uv_handle_t *)&n->registrations_due, NULL);
    restore_close(n);
    stall_stop(&n->stall);
}

static void one_closed(void *ctx)
{
    struct node *n = ctx;
    if (--n->closing == 0) all_closed(n);
}

enum err node_work(struct node *n, uv_work_t *work, uv_work_cb on_worker, uv_after_work_cb done)
{
    if (n->stopping) return ERR_CLOSED;
    if (uv_queue_work(n->loop, work, on_worker, done) != 0) return ERR_NOMEM;
    n->workers++;
    return ERR_OK;
}

/* The handler has still to give its reader back: the callback that we are in ends before the loop does. */
void node_work_done(struct node *n)
{
    n->workers--;
    if (n->stopping) one_closed(n);
}

static void edge_closed(void *ctx)
{
    struct node *n = ctx;
    n->edge = NULL;
    one_closed(n);
}

/* The faces first: nobody may ask a node of which parts are gone. */
static void close_faces(struct node *n)
{
    if (n->http != NULL) {
        n->closing++;
        http_close(n->http, one_closed, n);
        n->http = NULL;
    }
    operations_stop(n);
    if (n->control != NULL) {
        n->closing++;
        control_close(n->control, one_closed, n);
        n->control = NULL;
    }
}

void node_stop(struct node *n, uint32_t drain_ms)
{
    if (n->stopping) return;
    n->stopping = true;
    n->closing = 1 + n->workers;
    relay_stop(n);
    applies_stop(n);
    confirm_stop(n);
    close_faces(n);
    if (n->mesh != NULL) {
        struct mesh *mesh = n->mesh;
        n->closing++;
        n->mesh = NULL; /* what would be sent from now on has failed */
        mesh_close(mesh, one_closed, n);
    }
    if (n->edge != NULL) {
        n->closing++;
        edge_close(n->edge, drain_ms, edge_closed, n);
    }
    one_closed(n);
}

static void handle_gone(uv_handle_t *handle)
{
    handle->data = NULL;
}

/* The store's threads wake the loop until store_close returns, so its handle goes after them. */
static void close_store(struct node *n)
{
    if (n->store != NULL) records_flush(n);
    if (n->read != NULL) store_read_free(n->read);
    if (n->store != NULL) store_close(n->store);
    if (n->store_async.data != NULL) uv_close((uv_handle_t *)&n->store_async, handle_gone);
}

void node_fini(struct node *n)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    close_store(n);
    while (n->jobs.buckets != NULL && (m = map_walk(&n->jobs, &walk)) != NULL) {
        map_remove(&n->jobs, m);
        replica_job_free(m);
    }
    map_fini(&n->jobs);
    records_fini(n);
    registrations_stop(n);
    maps_stop(n);
    calls_free(n->calls);
    usage_free(n->usage);
    trunks_fini(&n->trunks);
    bans_fini(&n->bans);
    uac_registration_fini(&n->uac);
    free(n->drained_nodes);
    repl_actions_fini(&n->actions);
    repl_free(n->repl);
    arena_fini(&n->cache.arena);
    plan_objects_free(n);
    secret_wipe(&n->identity.cluster_key, sizeof n->identity.cluster_key);
    secret_wipe(&n->identity.other_key, sizeof n->identity.other_key);
    arena_fini(&n->arena);
}
