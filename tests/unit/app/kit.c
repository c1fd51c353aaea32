/* See kit.h. */
#include "kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/plan/document.h"
#include "node/sip/value.h"
#include "proto/plan_codec.h"

/* ---- the node ---- */

/* The store's and NNG's threads log too. */
static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;

static void sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    struct kit *k = ctx;
    if (level <= EVENTS_LEVEL) events_add(k->kept, node_wall(), level, module, ev, pairs, 0);
    if (level > LOG_INFO && getenv("TANDEM_TEST_LOG") == NULL) return;
    (void)pthread_mutex_lock(&events_lock);
    size_t at = strlen(k->events);
    if (sizeof k->events - at < 1200) at = 0;
    (void)snprintf(k->events + at, sizeof k->events - at, "%s/%s %s\n", module, ev, pairs);
    (void)pthread_mutex_unlock(&events_lock);
    if (getenv("TANDEM_TEST_LOG") != NULL)
        (void)fprintf(stderr, "%s %s %s/%s %s\n", k->name, log_level_name(level), module, ev, pairs);
}

static void on_beat(uv_timer_t *t)
{
    (void)t;
}

void kit_init(struct kit *k, uv_loop_t *loop)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as main does: a client may be gone before it is answered */
    *k = (struct kit){.dir = "/tmp/tandem-app-XXXXXX", .name = "n1", .site = "hq", .loop = loop};
    sip_library_init();
    assert_non_null(mkdtemp(k->dir));
    k->kept = events_new();
    assert_non_null(k->kept);
    if (loop == NULL) {
        assert_int_equal(uv_loop_init(&k->own_loop), 0);
        k->loop = &k->own_loop;
    }
    assert_int_equal(uv_timer_init(k->loop, &k->beat), 0);
    assert_int_equal(uv_timer_start(&k->beat, on_beat, 5, 5), 0);
    (void)snprintf(k->control, sizeof k->control, "%s/control", k->dir);
    (void)snprintf(k->data, sizeof k->data, "%s/data", k->dir);
    k->config = (struct config){.cluster = "",
                                .sip_listen = {"udp:127.0.0.1:0"},
                                .sip_listen_count = 1,
                                .sip_advertise = "",
                                .sip_no_answer_ms = 4000,
                                .mesh_advertise = "",
                                .calls_keep_ms = CONFIG_CALLS_KEEP_MS,
                                .calls_max = CONFIG_CALLS_MAX,
                                .log_level = LOG_INFO};
    k->config.node = k->name;
    k->config.site = k->site;
    k->config.data = k->data;
    k->config.control = k->control;
}

static enum err start(struct kit *k, struct err_info *info)
{
    struct log log = {.max = getenv("TANDEM_TEST_LOG") != NULL ? LOG_DEBUG : LOG_INFO, .sink = sink, .ctx = k};
    k->open = true;
    return node_open(&k->node, k->loop, &k->config, &log, k->kept, info);
}

void kit_start(struct kit *k)
{
    struct err_info info = {{0}, 0, 0};
    if (start(k, &info) != ERR_OK) fail_msg("%s", info.text);
}

static bool has_stopped(void *ctx)
{
    struct kit *k = ctx;
    return k->node.closing == 0;
}

static bool handle_closed(void *ctx)
{
    struct kit *k = ctx;
    return k->node.store_async.data == NULL;
}

void kit_stop(struct kit *k)
{
    if (!k->open) return;
    node_stop(&k->node, 0);
    kit_until(k, has_stopped, k, "the node to close");
    node_fini(&k->node);
    kit_until(k, handle_closed, k, "the node's last handle");
    k->open = false;
}

enum err kit_start_fails(struct kit *k, struct err_info *info)
{
    *info = (struct err_info){{0}, 0, 0};
    enum err e = start(k, info);
    kit_stop(k);
    return e;
}

static void beat_gone(uv_handle_t *h)
{
    h->data = NULL;
}

static bool beat_closed(void *ctx)
{
    return ((struct kit *)ctx)->beat.data == NULL;
}

void kit_fini(struct kit *k)
{
    kit_stop(k);
    k->beat.data = k;
    uv_close((uv_handle_t *)&k->beat, beat_gone);
    kit_until(k, beat_closed, k, "the beat");
    if (k->loop == &k->own_loop) kit_loop_close(k->loop);
    events_free(k->kept);
    kit_remove(k->dir);
}

void kit_loop_close(uv_loop_t *loop)
{
    uint64_t end = uv_hrtime() + KIT_WAIT_MS * UINT64_C(1000000);
    while (uv_run(loop, UV_RUN_NOWAIT) != 0) {
        assert_true(uv_hrtime() < end);
        (void)usleep(1000);
    }
    assert_int_equal(uv_loop_close(loop), 0);
}

void kit_until(struct kit *k, bool (*done)(void *ctx), void *ctx, const char *what)
{
    uint64_t end = uv_hrtime() + KIT_WAIT_MS * UINT64_C(1000000);
    while (!done(ctx)) {
        if (uv_hrtime() > end) fail_msg("waited in vain for %s; logged:\n%s", what, k->events);
        (void)uv_run(k->loop, UV_RUN_ONCE);
    }
}

static bool time_is_up(void *ctx)
{
    return uv_hrtime() > *(uint64_t *)ctx;
}

void kit_turn(struct kit *k, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * UINT64_C(1000000);
    kit_until(k, time_is_up, &end, "time");
}

bool kit_logged(const struct kit *k, const char *part)
{
    (void)pthread_mutex_lock(&events_lock);
    bool found = strstr(k->events, part) != NULL;
    (void)pthread_mutex_unlock(&events_lock);
    return found;
}

void kit_forget_log(struct kit *k)
{
    (void)pthread_mutex_lock(&events_lock);
    k->events[0] = '\0';
    (void)pthread_mutex_unlock(&events_lock);
}

void kit_remove(const char *dir)
{
    char command[200];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

/* ---- documents ---- */

static void hash_passwords(struct plan_document *doc)
{
    struct slice domain = SLICE("");
    for (size_t i = 0; i < doc->object_count; i++) {
        if (doc->objects[i].kind == PLAN_DEFAULTS) domain = doc->objects[i].defaults.domain;
    }
    for (size_t i = 0; i < doc->object_count; i++) {
        struct plan_account *a = &doc->objects[i].account;
        if (doc->objects[i].kind != PLAN_ACCOUNT || a->password.n == 0) continue;
        assert_int_equal(plan_account_hash_password(a, domain), ERR_OK);
        a->password = SLICE_NONE;
    }
}

struct plan_document kit_document(struct arena *arena, const char *yaml)
{
    struct plan_document doc;
    struct err_info info = {{0}, 0, 0};
    if (plan_document_parse(arena, slice_of(yaml), &doc, &info) != ERR_OK) fail_msg("%u: %s", info.line, info.text);
    hash_passwords(&doc);
    return doc;
}

struct slice kit_packed(struct arena *arena, const struct plan_object *o)
{
    struct buf b = {0};
    assert_int_equal(plan_object_pack(o, &b), ERR_OK);
    struct slice packed = arena_copy(arena, buf_view(&b));
    buf_fini(&b);
    return packed;
}

static struct slice key_of(struct arena *arena, const struct plan_object *o)
{
    char key[PLAN_KEY_MAX];
    return arena_copy(arena, (struct slice){key, plan_object_key_text(o, key)});
}

static struct change_op *ops_of(struct arena *arena, const char *yaml, size_t *count)
{
    struct plan_document doc = kit_document(arena, yaml);
    struct change_op *ops = arena_alloc(arena, (doc.object_count + doc.remove_count) * sizeof *ops);
    for (size_t i = 0; i < doc.object_count; i++) {
        ops[(*count)++] = (struct change_op){
            .kind = CHANGE_PUT, .key = key_of(arena, &doc.objects[i]), .value = kit_packed(arena, &doc.objects[i])};
    }
    for (size_t i = 0; i < doc.remove_count; i++)
        ops[(*count)++] = (struct change_op){.kind = CHANGE_DELETE, .key = doc.remove[i], .value = SLICE_NONE};
    return ops;
}

char *kit_many_routes(const char *prefix, unsigned count)
{
    char *yaml = malloc(200 + (size_t)count * 1100);
    assert_non_null(yaml);
    size_t at = (size_t)sprintf(yaml, "plan: 1\nroutes:\n");
    for (unsigned i = 0; i < count; i++)
        at +=
            (size_t)sprintf(yaml + at, "  - { match: \"%s%04u\", to: reject/404, note: \"%01000u\" }\n", prefix, i, i);
    return yaml;
}

/* ---- a store that is not open yet ---- */

struct store *kit_store_open(struct kit *k)
{
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = k->data, .wall = {1000}, .log_keep_count = k->config.history};
    if (store_open(&options, &s, &info) != ERR_OK) fail_msg("%s", info.text);
    return s;
}

void kit_store_close(struct store *s)
{
    store_close(s);
}

void kit_store_wait(struct store *s)
{
    struct store_completion c;
    uint64_t end = uv_hrtime() + KIT_WAIT_MS * UINT64_C(1000000);
    while (!store_completed(s, &c)) {
        if (uv_hrtime() > end) fail_msg("waited in vain for the store");
        (void)usleep(100);
    }
    if (c.err != ERR_OK) fail_msg("%s: %s", err_name(c.err), c.info.text);
}

static uint64_t next_seq(struct store *s, const struct node_name *origin)
{
    struct store_read *r = NULL;
    struct arena arena = {0};
    struct store_start start;
    uint64_t seq = 1;
    assert_int_equal(store_read_new(s, &r), ERR_OK);
    assert_int_equal(store_read_begin(r), ERR_OK);
    assert_int_equal(store_load_start(r, &arena, &start), ERR_OK);
    for (size_t i = 0; i < start.plan_count; i++) {
        if (node_name_eq(&start.plan[i].origin, origin)) seq = start.plan[i].high + 1;
    }
    store_read_free(r);
    arena_fini(&arena);
    return seq;
}

void kit_store_plan(struct store *s, const char *yaml)
{
    struct arena arena = {0};
    struct changeset c = {.id = {.epoch = 1}, .author = SLICE("test"), .message = SLICE("test")};
    assert_int_equal(node_name_set(&c.id.origin, SLICE("elsewhere")), ERR_OK);
    c.id.seq = next_seq(s, &c.id.origin);
    c.time.v = ((uint64_t)node_wall().ms << 16) + c.id.seq;
    c.ops = ops_of(&arena, yaml, &c.op_count);
    assert_int_equal(store_submit_changes(s, &c, 1, 1), ERR_OK);
    kit_store_wait(s);
    arena_fini(&arena);
}

void kit_store_member(struct store *s, const char *name, const char *site, enum member_status status)
{
    struct member_note m = {.incarnation = 1, .status = status, .mesh_address = SLICE(""), .site = slice_of(site)};
    assert_int_equal(node_name_set(&m.name, slice_of(name)), ERR_OK);
    assert_int_equal(store_submit_member(s, &m, 1), ERR_OK);
    kit_store_wait(s);
}

void kit_store_record(struct store *s, const char *owner, uint64_t version, enum state_kind kind, struct slice key,
                      struct slice value)
{
    struct state_record r = {.epoch = 1, .version = version, .kind = kind, .key = key, .value = value};
    assert_int_equal(node_name_set(&r.owner, slice_of(owner)), ERR_OK);
    struct vector_entry upto = {r.owner, 1, version};
    assert_int_equal(store_submit_state(s, &r, 1, NULL, 0, &upto, 1, 1), ERR_OK);
    kit_store_wait(s);
}

void kit_store_binding(struct store *s, const char *owner, uint64_t version, const char *account, const char *contact)
{
    struct binding b = kit_binding(account, contact, 60000);
    struct buf packed = {0};
    char key[BINDING_KEY_MAX];
    assert_int_equal(binding_pack(&b, true, &packed), ERR_OK);
    kit_store_record(s, owner, version, STATE_BINDING, binding_key(&b, key), buf_view(&packed));
    buf_fini(&packed);
}

void kit_store_card(struct store *s, const char *owner, uint64_t version, const char *address)
{
    struct slice addresses[] = {slice_of(address)};
    struct node_card card = {.sip_addresses = addresses, .sip_address_count = 1, .site = SLICE("x")};
    struct buf packed = {0};
    assert_int_equal(node_card_pack(&card, &packed), ERR_OK);
    kit_store_record(s, owner, version, STATE_NODE_CARD, slice_of(owner), buf_view(&packed));
    buf_fini(&packed);
}

void kit_store_private(struct store *s, const char *account, const char *contact, int64_t expires_ms)
{
    struct binding b = kit_binding(account, contact, 0);
    struct buf packed = {0};
    char key[BINDING_KEY_MAX];
    b.expires.ms = expires_ms;
    assert_int_equal(binding_pack(&b, false, &packed), ERR_OK);
    struct store_private_put put = {STATE_BINDING, binding_key(&b, key), buf_view(&packed)};
    assert_int_equal(store_submit_state(s, NULL, 0, &put, 1, NULL, 0, 1), ERR_OK);
    kit_store_wait(s);
    buf_fini(&packed);
}

/* ---- a node that runs ---- */

struct plan_wait {
    struct change_wait wait;
    bool done;
    enum err err;
};

static void on_applied(struct change_wait *w, enum err err, const struct log_id *id)
{
    struct plan_wait *p = CONTAINER_OF(w, struct plan_wait, wait);
    (void)id;
    p->done = true;
    p->err = err;
}

static void on_receipt(struct change_wait *w, const struct node_name *peer, uint64_t elapsed_ms)
{
    (void)w;
    (void)peer;
    (void)elapsed_ms;
}

static bool plan_done(void *ctx)
{
    return ((struct plan_wait *)ctx)->done;
}

void kit_plan(struct kit *k, const char *yaml)
{
    struct arena arena = {0};
    struct plan_wait p = {.wait = {.on_applied = on_applied, .on_receipt = on_receipt}};
    size_t count = 0;
    struct change_op *ops = ops_of(&arena, yaml, &count);
    list_init(&p.wait.node);
    replica_change(
        &k->node, &p.wait,
        &(struct change_request){.author = SLICE("test@n1"), .message = SLICE("test"), .ops = ops, .op_count = count});
    kit_until(k, plan_done, &p, "the plan to be stored");
    change_wait_end(&p.wait);
    assert_int_equal(p.err, ERR_OK);
    arena_fini(&arena);
}

void kit_heartbeat(struct kit *k, const char *name, const char *site)
{
    struct member_note note = {
        .incarnation = 5, .status = MEMBER_ALIVE, .mesh_address = SLICE(""), .site = slice_of(site)};
    struct repl_message m = {.type = REPL_HEARTBEAT};
    assert_int_equal(node_name_set(&note.name, slice_of(name)), ERR_OK);
    m.from = note.name;
    m.heartbeat = (struct repl_heartbeat){.incarnation = 5, .notes = &note, .note_count = 1};
    m.heartbeat.your_plan.origin = m.heartbeat.your_state.origin = k->node.self;
    struct repl_event up = {.type = REPL_EV_LINK_UP, .peer = note.name};
    struct repl_event beat = {.type = REPL_EV_MESSAGE, .peer = note.name, .message = &m};
    replica_feed(&k->node, &up);
    replica_feed(&k->node, &beat);
    assert_int_equal(repl_member_status(k->node.repl, &note.name), MEMBER_ALIVE);
}

struct binding kit_binding(const char *account, const char *contact, int64_t left_ms)
{
    struct wall now = node_wall();
    return (struct binding){.account = slice_of(account),
                            .contact = slice_of(contact),
                            .received = SLICE("udp:192.0.2.7:5060"),
                            .path = SLICE(""),
                            .user_agent = SLICE("phone"),
                            .since = {1000},
                            .q_milli = 1000,
                            .call_id = SLICE("c@d"),
                            .cseq = 1,
                            .expires = {now.ms + left_ms}};
}

struct write_wait {
    bool done;
    enum err err;
};

static void on_written(void *ctx, enum err err)
{
    struct write_wait *w = ctx;
    assert_false(w->done);
    w->done = true;
    w->err = err;
}

static bool write_done(void *ctx)
{
    return ((struct write_wait *)ctx)->done;
}

enum err kit_write(struct kit *k, const struct binding *puts, size_t put_count, const struct binding *removes,
                   size_t remove_count)
{
    struct write_wait w = {.done = false};
    registrations_write(&k->node, puts, put_count, removes, remove_count, on_written, &w);
    kit_until(k, write_done, &w, "bindings to be written");
    return w.err;
}

uint64_t kit_counter(const struct kit *k, const char *module, const char *name)
{
    const struct counter_table *tables[NODE_COUNTER_TABLES];
    size_t count = node_counters((struct node *)(uintptr_t)&k->node, tables, NODE_COUNTER_TABLES);
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            if (strcmp(tables[t]->module, module) == 0 && strcmp(tables[t]->names[i], name) == 0)
                return counter_get(&tables[t]->values[i]);
        }
    }
    fail_msg("no counter %s %s", module, name);
    return 0;
}
