/* edge_kit: whole edges on one loop, and a canned plan behind their hooks.
 *
 * Nothing sleeps: waiting turns the loop until the message or the count is there, and fails the test after a generous
 * while. */
#ifndef TANDEM_TEST_EDGE_KIT_H
#define TANDEM_TEST_EDGE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/edge/edge.h"
#include "node/sip/digest.h"
#include "node/sip/edit.h"
#include "node/sip/value.h"

#define KIT_PATIENCE_MS 20000
#define KIT_TARGETS 8
#define KIT_BINDINGS 32
#define KIT_REPORTS 512

/* ---- a node: an edge and the plan that its hooks answer from ---- */

struct kit_binding {
    bool used;
    char contact[256];
    char received[64];
    char path[256];
    char call_id[128];
    char instance[64];
    uint32_t reg_id;
    uint32_t cseq;
    uint32_t q_milli;
    struct wall since;
    struct wall expires;
};

struct kit_report {
    enum call_state state;
    unsigned code;
    char target[80];
    char dialled[64];
    char from[64];
    char reason[160];
    char failed[160]; /* the words of an attempt that came to nothing, "" none */
    enum edge_source_kind source;
};

struct kit_node {
    struct edge *edge;
    uint16_t port; /* of the first listener */
    const char *domain;
    /* the plan */
    uint16_t trunk_port; /* requests from this port of 127.0.0.1 are of trunk/pbx */
    bool trunk_inside;
    const char *home;  /* where account 6001 is registered, "192.0.2.1"; NULL: nowhere */
    uint32_t banned_s; /* of the last ban, */
    char banned[64];   /* and whom */
    size_t banned_count;
    bool trunk_hidden;
    struct slice numbers[2]; /* of account 6001 */
    size_t number_count;
    struct edge_target targets[KIT_TARGETS];
    struct edge_hop hops[KIT_TARGETS][4];
    char texts[KIT_TARGETS][4][128];
    size_t target_count;
    uint16_t code;
    const char *words;
    /* what was asked */
    size_t questions;
    char dialled[64];
    char named[80];
    bool number_in_contact;
    enum edge_source_kind source;
    char source_name[64];
    char device[128]; /* "" : none was asked for */
    bool device_temporary;
    uint64_t device_registration;
    char device_uri[512];
    /* bindings */
    struct kit_binding bindings[KIT_BINDINGS];
    bool hold_writes; /* done comes when kit_commit says */
    enum err write_err;
    size_t writes;
    void (*done)(void *ctx, enum err err);
    void *done_ctx;
    bool disabled;
    uint32_t max_contacts;
    /* calls */
    struct kit_report reports[KIT_REPORTS];
    size_t report_count;
    /* trunks */
    size_t trunk_news;
    bool trunk_up;
    char trunk_reason[160];
    /* registrations */
    size_t registration_news;
    enum trunk_registration_state registration_state;
    char registration_reason[160];
    bool closed;
};

struct kit {
    uv_loop_t loop;
    struct log log;
};

static uint32_t kit_session_s __attribute__((unused)); /* of the next node that is opened */
static uint64_t kit_idle_ms __attribute__((unused));   /* likewise */
static uint32_t kit_ring_ms __attribute__((unused));   /* likewise */
static const char *kit_media __attribute__((unused));  /* likewise: its media relay, which it then uses */
#define KIT_KEY "the cluster key of the tests .."
static const char *kit_new_key __attribute__((unused)); /* likewise, beside KIT_KEY, which is then the other one */

static inline void kit_sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    if (getenv("KIT_LOG") != NULL) fprintf(stderr, "%s %s ev=%s %s\n", log_level_name(level), module, ev, pairs);
}

static inline uint64_t kit_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void kit_put(char *out, size_t size, struct slice s)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(s));
}

/* ---- hooks ---- */

static inline void kit_source(void *ctx, struct arena *arena, const struct flow *from, struct edge_source *out)
{
    struct kit_node *n = ctx;
    (void)arena;
    *out = (struct edge_source){.kind = EDGE_SOURCE_UNKNOWN};
    if (n->trunk_port != 0 && sock_address_port(&from->remote) == n->trunk_port) {
        *out = (struct edge_source){EDGE_SOURCE_TRUNK, SLICE("pbx"), n->trunk_inside, n->trunk_hidden};
    }
}

static inline void kit_route(void *ctx, struct arena *arena, const struct edge_query *q, struct edge_answer *out)
{
    struct kit_node *n = ctx;
    (void)arena;
    n->questions++;
    kit_put(n->dialled, sizeof n->dialled, q->dialled);
    kit_put(n->named, sizeof n->named, q->named_target);
    kit_put(n->source_name, sizeof n->source_name, q->source.name);
    n->number_in_contact = q->number_in_contact;
    n->source = q->source.kind;
    const struct edge_device none = {.instance = SLICE("")};
    const struct edge_device *device = q->device != NULL ? q->device : &none;
    kit_put(n->device, sizeof n->device, device->instance);
    kit_put(n->device_uri, sizeof n->device_uri, device->uri);
    n->device_temporary = device->temporary;
    n->device_registration = device->registration;
    *out = (struct edge_answer){.targets = n->targets, .target_count = n->target_count, .code = n->code, .rule = 3};
    if (n->words != NULL) out->reason = slice_of(n->words);
}

static inline bool kit_registered_from(void *ctx, struct slice account, const union sock_address *from)
{
    struct kit_node *n = ctx;
    char text[SOCK_ADDRESS_TEXT];
    if (n->home == NULL || !slice_is(account, "6001")) return false;
    return strncmp(sock_address_text(from, text), n->home, strlen(n->home)) == 0;
}

static inline void kit_banned(void *ctx, const struct edge_ban *ban)
{
    struct kit_node *n = ctx;
    n->banned_count++;
    n->banned_s = ban->left_s;
    kit_put(n->banned, sizeof n->banned, ban->source);
}

static inline enum err kit_account(void *ctx, struct arena *arena, struct slice name, struct plan_account *out)
{
    struct kit_node *n = ctx;
    char realm[64];
    (void)snprintf(realm, sizeof realm, "%s", n->domain[0] != '\0' ? n->domain : "127.0.0.1");
    (void)arena;
    if (!slice_is(name, "6001")) return ERR_NOTFOUND;
    *out = (struct plan_account){.name = SLICE("6001"),
                                 .max_contacts = n->max_contacts,
                                 .disabled = n->disabled,
                                 .numbers = n->numbers,
                                 .number_count = n->number_count};
    const struct slice parts[] = {SLICE("6001:"), slice_of(realm), SLICE(":secret")};
    assert_int_equal(hash_parts(HASH_MD5, parts, 3, out->secret.md5), ERR_OK);
    assert_int_equal(hash_parts(HASH_SHA256, parts, 3, out->secret.sha256), ERR_OK);
    out->secret.set = true;
    return ERR_OK;
}

static inline enum err kit_bindings(void *ctx, struct arena *arena, struct slice account, struct binding **list,
                                    size_t *count)
{
    struct kit_node *n = ctx;
    struct binding *b = arena_alloc(arena, KIT_BINDINGS * sizeof *b);
    assert_non_null(b);
    *count = 0;
    for (size_t i = 0; i < KIT_BINDINGS; i++) {
        const struct kit_binding *k = &n->bindings[i];
        if (!k->used) continue;
        b[(*count)++] = (struct binding){.account = arena_copy(arena, account),
                                         .contact = slice_of(k->contact),
                                         .received = slice_of(k->received),
                                         .path = slice_of(k->path),
                                         .since = k->since,
                                         .q_milli = k->q_milli,
                                         .instance = slice_of(k->instance),
                                         .reg_id = k->reg_id,
                                         .call_id = slice_of(k->call_id),
                                         .cseq = k->cseq,
                                         .expires = k->expires};
    }
    *list = b;
    return *count > 0 ? ERR_OK : ERR_NOTFOUND;
}

static inline enum err kit_bindings_known(void *ctx, struct arena *arena, struct slice account, struct slice call_id,
                                          struct binding **list, size_t *count)
{
    (void)call_id;
    return kit_bindings(ctx, arena, account, list, count);
}

static inline struct kit_binding *kit_find_binding(struct kit_node *n, struct slice contact)
{
    for (size_t i = 0; i < KIT_BINDINGS; i++) {
        if (n->bindings[i].used && slice_is(contact, n->bindings[i].contact)) return &n->bindings[i];
    }
    return NULL;
}

static inline size_t kit_binding_count(const struct kit_node *n)
{
    size_t count = 0;
    for (size_t i = 0; i < KIT_BINDINGS; i++)
        count += n->bindings[i].used;
    return count;
}

static inline void kit_store(struct kit_node *n, const struct binding *b)
{
    struct kit_binding *k = kit_find_binding(n, b->contact);
    for (size_t i = 0; k == NULL && i < KIT_BINDINGS; i++) {
        if (!n->bindings[i].used) k = &n->bindings[i];
    }
    assert_non_null(k);
    *k = (struct kit_binding){.used = true,
                              .cseq = b->cseq,
                              .reg_id = b->reg_id,
                              .q_milli = b->q_milli,
                              .since = b->since,
                              .expires = b->expires};
    kit_put(k->contact, sizeof k->contact, b->contact);
    kit_put(k->received, sizeof k->received, b->received);
    kit_put(k->path, sizeof k->path, b->path);
    kit_put(k->call_id, sizeof k->call_id, b->call_id);
    kit_put(k->instance, sizeof k->instance, b->instance);
}

static inline void kit_write(void *ctx, const struct binding *puts, size_t put_count, const struct binding *removes,
                             size_t remove_count, void (*done)(void *done_ctx, enum err err), void *done_ctx)
{
    struct kit_node *n = ctx;
    n->writes++;
    for (size_t i = 0; n->write_err == ERR_OK && i < remove_count; i++) {
        struct kit_binding *k = kit_find_binding(n, removes[i].contact);
        if (k != NULL) k->used = false;
    }
    for (size_t i = 0; n->write_err == ERR_OK && i < put_count; i++)
        kit_store(n, &puts[i]);
    if (!n->hold_writes) {
        done(done_ctx, n->write_err);
        return;
    }
    assert_null(n->done);
    n->done = done;
    n->done_ctx = done_ctx;
}

static inline void kit_commit(struct kit_node *n)
{
    void (*done)(void *ctx, enum err err) = n->done;
    assert_non_null(done);
    n->done = NULL;
    done(n->done_ctx, n->write_err);
}

static inline struct slice kit_domain(void *ctx)
{
    return slice_of(((struct kit_node *)ctx)->domain);
}

static inline void kit_call(void *ctx, const struct call_report *report)
{
    struct kit_node *n = ctx;
    assert_in_range(n->report_count, 0, KIT_REPORTS - 1);
    struct kit_report *r = &n->reports[n->report_count++];
    *r = (struct kit_report){.state = report->state, .code = report->code, .source = report->source.kind};
    kit_put(r->target, sizeof r->target, report->target);
    kit_put(r->dialled, sizeof r->dialled, report->dialled);
    kit_put(r->from, sizeof r->from, report->from);
    kit_put(r->reason, sizeof r->reason, report->reason);
    if (report->failure != NULL) kit_put(r->failed, sizeof r->failed, report->failure->words);
}

static inline void kit_trunk(void *ctx, const struct edge_trunk *t)
{
    struct kit_node *n = ctx;
    n->trunk_news++;
    n->trunk_up = t->up;
    kit_put(n->trunk_reason, sizeof n->trunk_reason, t->reason);
}

static inline void kit_registration(void *ctx, const struct edge_registration_view *v)
{
    struct kit_node *n = ctx;
    n->registration_news++;
    n->registration_state = v->state;
    kit_put(n->registration_reason, sizeof n->registration_reason, v->reason);
}

/* The in rules of every trunk speak of +49. */
static inline bool kit_called(void *ctx, struct slice trunk, struct slice number)
{
    (void)ctx;
    (void)trunk;
    return slice_starts(number, SLICE("+49"));
}

/* ---- opening and closing ---- */

static inline void kit_init(struct kit *k)
{
    *k = (struct kit){.log = {.max = LOG_DEBUG, .sink = kit_sink}};
    sip_library_init();
    assert_int_equal(uv_loop_init(&k->loop), 0);
}

static inline void kit_fini(struct kit *k)
{
    while (uv_run(&k->loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(&k->loop), 0);
}

static inline bool kit_leads(void *ctx)
{
    (void)ctx;
    return true;
}

static inline void kit_open(struct kit *k, struct kit_node *n, const char *const *listen, size_t listen_count,
                            const char *tls_dir)
{
    char paths[3][256];
    struct err_info info = {0};
    *n = (struct kit_node){.domain = "example.org", .code = 404, .max_contacts = 2};
    struct edge_options o = {
        .loop = &k->loop,
        .log = &k->log,
        .node = {SLICE("n1"), SLICE("hq"), SLICE("0")},
        .listen = listen,
        .listen_count = listen_count,
        .cluster_key = KIT_KEY,
        .hooks = {.ctx = n,
                  .source = kit_source,
                  .route = kit_route,
                  .account = kit_account,
                  .bindings = kit_bindings,
                  .bindings_known = kit_bindings_known,
                  .bindings_write = kit_write,
                  .domain = kit_domain,
                  .call = kit_call,
                  .trunk = kit_trunk,
                  .registration = kit_registration,
                  .called = kit_called,
                  .registered_from = kit_registered_from,
                  .banned = kit_banned,
                  .media = kit_leads},
        .session_s = kit_session_s,
        .call_idle_ms = kit_idle_ms,
        .ring_ms = kit_ring_ms,
        .media_relay = kit_media,
        .no_answer_ms = 250,
    };
    if (kit_new_key != NULL) {
        memcpy(o.other_key, o.cluster_key, sizeof o.other_key);
        memcpy(o.cluster_key, kit_new_key, sizeof o.cluster_key);
        o.has_other_key = true;
    }
    if (tls_dir != NULL) {
        (void)snprintf(paths[0], sizeof paths[0], "%s/cert.pem", tls_dir);
        (void)snprintf(paths[1], sizeof paths[1], "%s/key.pem", tls_dir);
        (void)snprintf(paths[2], sizeof paths[2], "%s/ca.pem", tls_dir);
        o.tls.cert = paths[0];
        o.tls.key = paths[1];
        o.tls.ca = paths[2];
    }
    if (edge_open(&o, &n->edge, &info) != ERR_OK) fail_msg("%s", info.text);
    n->port = sock_address_port(&transport_listener_at(edge_transport(n->edge), 0)->local);
}

static inline void kit_on_closed(void *ctx)
{
    ((struct kit_node *)ctx)->closed = true;
}

/* What one turn receives the next one sends: only after two quiet ones may the loop wait, also for fd. */
static inline void kit_turn(struct kit *k, int fd)
{
    struct pollfd fds[2] = {{.fd = uv_backend_fd(&k->loop), .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    (void)uv_run(&k->loop, UV_RUN_NOWAIT);
    (void)uv_run(&k->loop, UV_RUN_NOWAIT);
    int timeout = uv_backend_timeout(&k->loop);
    if (timeout < 0 || timeout > 100) timeout = 100;
    (void)poll(fds, fd >= 0 ? 2 : 1, timeout);
}

/* Mostly the next turns bring it: only then is it worth while to wait. */
#define kit_until(k, condition)                                                                                        \
    do {                                                                                                               \
        uint64_t kit_end = kit_ms() + KIT_PATIENCE_MS;                                                                 \
        for (unsigned kit_turns = 0; !(condition); kit_turns++) {                                                      \
            if (kit_turns % 3 != 2) {                                                                                  \
                (void)uv_run(&(k)->loop, UV_RUN_NOWAIT);                                                               \
            } else {                                                                                                   \
                kit_turn((k), -1);                                                                                     \
            }                                                                                                          \
            if (kit_ms() > kit_end) fail_msg("waited in vain for: %s", #condition);                                    \
        }                                                                                                              \
    } while (0)

static inline void kit_close(struct kit *k, struct kit_node *n, uint32_t drain_ms)
{
    edge_close(n->edge, drain_ms, kit_on_closed, n);
    kit_until(k, n->closed);
}

static inline uint64_t kit_count(const struct kit_node *n, const char *module, const char *name)
{
    const struct counter_table *tables[16];
    size_t count = edge_counters(n->edge, tables, sizeof tables / sizeof tables[0]);
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < tables[t]->count && strcmp(tables[t]->module, module) == 0; i++) {
            if (strcmp(tables[t]->names[i], name) == 0) return counter_get(&tables[t]->values[i]);
        }
    }
    fail_msg("no counter %s.%s", module, name);
    return 0;
}

/* ---- the plan ---- */

static inline struct edge_target *kit_target(struct kit_node *n, const char *text, uint16_t port)
{
    size_t i = n->target_count++;
    struct edge_target *t = &n->targets[i];
    *t = (struct edge_target){.text = slice_of(text), .number = SLICE("8123"), .hops = n->hops[i], .hop_count = 1};
    (void)snprintf(n->texts[i][0], sizeof n->texts[i][0], "sip:8123@127.0.0.1:%u", port);
    n->hops[i][0] = (struct edge_hop){
        .transport = PLAN_UDP, .host = SLICE("127.0.0.1"), .port = port, .request_uri = slice_of(n->texts[i][0])};
    return t;
}

static inline void kit_add_hop(struct kit_node *n, uint16_t port)
{
    size_t i = n->target_count - 1;
    size_t h = n->targets[i].hop_count++;
    (void)snprintf(n->texts[i][h], sizeof n->texts[i][h], "sip:8123@127.0.0.1:%u", port);
    n->hops[i][h] = (struct edge_hop){
        .transport = PLAN_UDP, .host = SLICE("127.0.0.1"), .port = port, .request_uri = slice_of(n->texts[i][h])};
}

#endif
