/* Out of memory: allocation i on the loop thread fails, for i = 0, 1, 2, ...: each call then says so, nothing leaks,
 * nobody waits for ever, and what was said to be done is done. Allocations inside libuv, LMDB and the store's threads
 * are not swept. */
#include "kit.h"

#include <stdio.h>

#include "node/app/missing.h"
#include "node/app/plan_change.h"
#include "proto/plan_codec.h"

static _Thread_local size_t allocations_left = SIZE_MAX; /* threads that a node starts have their own */
static _Thread_local bool fail_once;                     /* only that one fails, or all from there on */
static _Thread_local bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool may_allocate(void)
{
    if (allocations_left == SIZE_MAX) return true;
    if (allocations_left == 0) {
        if (fail_once) allocations_left = SIZE_MAX;
        has_failed = true;
        return false;
    }
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return may_allocate() ? __real_malloc(n) : NULL;
}
void *__wrap_calloc(size_t count, size_t n)
{
    return may_allocate() ? __real_calloc(count, n) : NULL;
}
void *__wrap_realloc(void *p, size_t n)
{
    return may_allocate() ? __real_realloc(p, n) : NULL;
}

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org }\n"                                                                              \
    "sites: { hq: { dial: [ {match: \"0\", strip: 1, prepend: \"+49\"} ] }, campus: {} }\n"                            \
    "trunks:\n"                                                                                                        \
    "  pbx: { site: hq, address: [\"10.1.0.10:5060\", \"10.1.0.11\"], trust: [\"10.1.0.10/32\"] }\n"                   \
    "accounts: { \"6001\": { password: \"x\", max_contacts: 9 }, gw: { password: \"x\", numbers: [\"7\"] } }\n"        \
    "routes: [ { match: \"6\", to: trunk/pbx }, { match: \"8\", to: site/campus } ]\n"

/* Runs it with the i-th allocation failing, for each i and both ways, until one run meets no failure. A run may set
 * allocations_left to SIZE_MAX for what is not to be swept. */
static void sweep(void (*run)(void *ctx, bool may_fail), void *ctx)
{
    for (int once = 0; once < 2; once++) {
        fail_once = once == 1;
        has_failed = true;
        for (size_t i = 0; has_failed; i++) {
            assert_true(i < 10000);
            has_failed = false;
            allocations_left = i;
            run(ctx, true);
            allocations_left = SIZE_MAX;
        }
    }
    run(ctx, false);
}

/* ---- pieces ---- */

static void parse_config(void *ctx, bool may_fail)
{
    static const char text[] = "node: n\nsite: s\ndata: d\ncontrol: c\nsip: { listen: [\"udp:127.0.0.1:5060\"] }\n"
                               "mesh: { seeds: [\"10.2.0.1:7400\"] }\n";
    struct arena arena = {0};
    struct config c;
    enum err e = config_parse(&arena, SLICE(text), &c, NULL);
    (void)ctx;
    if (e != ERR_OK) assert_true(may_fail);
    if (e == ERR_OK) assert_string_equal(c.seeds[0], "10.2.0.1:7400");
    arena_fini(&arena);
}

struct store_rig {
    struct kit kit;
    struct store *store;
    struct store_read *read;
};

static void gather_missing(void *ctx, bool may_fail)
{
    struct store_rig *r = ctx;
    struct repl_want want = {.plan = NULL};
    struct missing m;
    assert_int_equal(store_read_begin(r->read), ERR_OK);
    enum err e = missing_gather(r->read, &want, false, &m);
    if (e != ERR_OK) assert_true(may_fail && e == ERR_NOMEM);
    if (e == ERR_OK) assert_int_equal(m.push.change_count + m.push.record_count, 4);
    missing_fini(&m);
    store_read_end(r->read);
}

static void prepare_change(void *ctx, bool may_fail)
{
    struct store_rig *r = ctx;
    struct arena arena = {0};
    unsigned char key[HASH_KEY_LEN] = {7};
    struct buf packed = {0};
    struct plan_object o;
    struct slice gone = SLICE("route//8/site/campus");
    plan_object_init(&o, PLAN_TRUNK);
    o.trunk.name = SLICE("carrier");
    o.trunk.site = SLICE("hq");
    o.trunk.address = &(struct slice){"10.1.0.9", 8};
    o.trunk.address_count = 1;
    o.trunk.registration = (struct plan_registration){.set = true, .user = SLICE("u"), .expires_s = 600};
    enum err e = plan_object_pack(&o, &packed);
    struct wanted_put put = {.packed = buf_view(&packed), .secret = SLICE("s3cret")};
    struct plan_change change = {.puts = &put, .put_count = 1, .deletes = &gone, .delete_count = 1, .cluster_key = key};
    if (e == ERR_OK) e = plan_change_prepare(r->read, &arena, &change, NULL);
    if (e != ERR_OK) assert_true(may_fail && e == ERR_NOMEM);
    if (e == ERR_OK) assert_int_equal(change.op_count, 2);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void pieces_without_a_node(void **state)
{
    struct store_rig r;
    (void)state;
    kit_init(&r.kit, NULL);
    r.store = kit_store_open(&r.kit);
    kit_store_plan(r.store, PLAN);
    kit_store_binding(r.store, "n2", 1, "6001", "sip:a@192.0.2.7");
    kit_store_binding(r.store, "n2", 2, "6001", "sip:b@192.0.2.7");
    kit_store_card(r.store, "n2", 3, "tls:10.9.0.1:5061");
    assert_int_equal(store_read_new(r.store, &r.read), ERR_OK);
    sweep(parse_config, NULL);
    sweep(gather_missing, &r);
    sweep(prepare_change, &r);
    store_read_free(r.read);
    kit_store_close(r.store);
    kit_fini(&r.kit);
}

/* ---- calls ---- */

static void route_calls(void *ctx, bool may_fail)
{
    static const struct {
        const char *dialled;
        const char *named;
        size_t targets;
    } calls[] = {{"6001", "", 2}, {"6100", "", 1}, {"8100", "", 1}, {"7100", "", 1}, {"6100", "trunk/pbx", 1}};
    struct kit *k = ctx;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct arena arena = {0};
        struct edge_answer answer;
        struct edge_query q = {.dialled = slice_of(calls[i].dialled), .named_target = slice_of(calls[i].named)};
        routing_hook(&k->node, &arena, &q, &answer);
        if (answer.target_count != calls[i].targets) assert_true(may_fail);
        assert_true(answer.target_count > 0 || answer.code >= 400);
        for (size_t t = 0; t < answer.target_count; t++)
            assert_true(answer.targets[t].hop_count > 0 && answer.targets[t].text.n > 0);
        arena_fini(&arena);
    }
    struct arena arena = {0};
    struct edge_source source;
    struct flow from = {.transport = PLAN_UDP};
    struct plan_account account;
    assert_int_equal(sock_address_parse(SLICE("10.1.0.10"), 5060, &from.remote), ERR_OK);
    k->node.cache.filled = false;
    routing_source_hook(&k->node, &arena, &from, &source);
    if (source.kind != EDGE_SOURCE_TRUNK) assert_true(may_fail);
    if (routing_account_hook(&k->node, &arena, SLICE("6001"), &account) != ERR_OK) assert_true(may_fail);
    arena_fini(&arena);
}

/* ---- bindings ---- */

struct write_wait {
    unsigned done;
    enum err err;
};

static void on_written(void *ctx, enum err err)
{
    struct write_wait *w = ctx;
    w->done++;
    w->err = err;
}

static bool write_done(void *ctx)
{
    return ((struct write_wait *)ctx)->done > 0;
}

static size_t own_count(struct kit *k)
{
    struct arena arena = {0};
    struct binding *list = NULL;
    size_t count = 0;
    assert_int_equal(registrations_own(&k->node, &arena, SLICE("6001"), &list, &count), ERR_OK);
    arena_fini(&arena);
    return count;
}

static bool visit_half(void *ctx, struct slice key, struct slice value)
{
    (void)value;
    *(size_t *)ctx += slice_starts(key, SLICE("6001"));
    return true;
}

static bool visit_own_half(void *ctx, const struct state_record *record)
{
    return !slice_is(node_name_slice(&record->owner), "n1") || visit_half(ctx, record->key, record->value);
}

static bool nothing_is_left(void *ctx)
{
    struct kit *k = ctx;
    size_t halves = 0;
    assert_int_equal(node_read_begin(&k->node), ERR_OK);
    assert_int_equal(store_private_each(k->node.read, STATE_BINDING, visit_half, &halves), ERR_OK);
    assert_int_equal(store_state_find(k->node.read, STATE_BINDING, SLICE(""), visit_own_half, &halves), ERR_OK);
    node_read_end(&k->node);
    return halves == 2 * own_count(k);
}

/* Two bindings are added, and the end is reported once; then memory is back and they are removed. One failure may come
 * anywhere on the loop until the end; when all fail, memory is back when the call returns. */
static void write_bindings(void *ctx, bool may_fail)
{
    struct kit *k = ctx;
    struct binding list[2] = {kit_binding("6001", "sip:x@192.0.2.7", 60000),
                              kit_binding("6001", "sip:y@192.0.2.7", 60000)};
    struct write_wait w = {.done = 0};
    size_t armed = allocations_left;
    allocations_left = SIZE_MAX;
    size_t before = own_count(k);
    allocations_left = armed;
    registrations_write(&k->node, list, 2, NULL, 0, on_written, &w);
    if (!fail_once) allocations_left = SIZE_MAX;
    kit_until(k, write_done, &w, "a write under short memory");
    allocations_left = SIZE_MAX;
    kit_turn(k, 1);
    assert_int_equal(w.done, 1);
    if (w.err != ERR_OK) assert_true(may_fail);
    assert_int_equal(own_count(k), before + (w.err == ERR_OK ? 2 : 0));
    if (w.err != ERR_OK) kit_until(k, nothing_is_left, k, "one half to go when the other failed");
    assert_int_equal(kit_write(k, NULL, 0, list, 2), ERR_OK);
    assert_int_equal(own_count(k), before);
}

static void a_node_that_runs(void **state)
{
    struct kit k;
    struct binding b = kit_binding("6001", "sip:a@192.0.2.7", 3000000);
    struct binding gw = kit_binding("gw", "sip:gw@192.0.2.7", 3000000);
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_plan(s, PLAN);
    kit_store_member(s, "n2", "campus", MEMBER_SUSPECT);
    kit_store_binding(s, "n2", 1, "6001", "sip:b@192.0.2.7");
    kit_store_card(s, "n2", 2, "tls:10.9.0.1:5061");
    kit_store_close(s);
    kit_start(&k);
    kit_heartbeat(&k, "n2", "campus");
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    assert_int_equal(kit_write(&k, &gw, 1, NULL, 0), ERR_OK);
    sweep(route_calls, &k);
    sweep(write_bindings, &k);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_without_a_node),
        cmocka_unit_test(a_node_that_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
