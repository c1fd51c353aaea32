/* Trunks that are down: what this node finds out and says, what others say, and where calls then go. */
#include "kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/plan_codec.h"

static struct kit kit;
static struct arena arena;

/* A port of the loopback where nobody listens: ICMP says so at once. */
static unsigned dead_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "sites: { hq: { blocks: [\"6\"] }, campus: { blocks: [\"8\"] } }\n"                                                \
    "trunks:\n"                                                                                                        \
    "  pbx:    { site: hq, address: [\"127.0.0.1:%u\"], probe: 200ms }\n"                                              \
    "  pair:   { site: hq, address: [\"127.0.0.1:%u\", \"127.0.0.1:9\"] }\n"                                           \
    "  backup: { site: hq, address: [\"127.0.0.1:9\"] }\n"                                                             \
    "  far:    { site: campus, address: [\"192.0.2.1\", \"192.0.2.2\"], probe: 10s }\n"                                \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"6\", to: trunk/backup, priority: 20 }\n"                                                           \
    "  - { match: \"7\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"8\", to: trunk/far }\n"

static void plan(unsigned port)
{
    char yaml[2048];
    (void)snprintf(yaml, sizeof yaml, PLAN, port, port);
    kit_plan(&kit, yaml);
}

/* "trunk/backup@" and so on, or the code. */
static const char *route(const char *dialled)
{
    static char text[256];
    struct edge_answer answer;
    struct edge_query q = {.dialled = slice_of(dialled), .call_id = SLICE("c@d")};
    size_t at = 0;
    arena_fini(&arena);
    routing_hook(&kit.node, &arena, &q, &answer);
    for (size_t i = 0; i < answer.target_count; i++) {
        const struct edge_target *t = &answer.targets[i];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s@%.*s", i > 0 ? " " : "", SLICE_ARG(t->text),
                               SLICE_ARG(t->node));
    }
    if (answer.target_count == 0) (void)snprintf(text, sizeof text, "%u", answer.code);
    return text;
}

static int open_node(void **state)
{
    (void)state;
    kit_init(&kit, NULL);
    struct store *s = kit_store_open(&kit);
    kit_store_card(s, "n2", 1, "tls:10.9.0.2:5061");
    kit_store_card(s, "n3", 1, "tls:10.9.0.3:5061");
    kit_store_close(s);
    kit_start(&kit);
    return 0;
}

static int close_node(void **state)
{
    (void)state;
    arena_fini(&arena);
    kit_fini(&kit);
    return 0;
}

struct said {
    const char *owner;
    char text[256];
    bool up;
    size_t count;
};

static bool visit(void *ctx, const struct state_record *record)
{
    struct said *r = ctx;
    struct trunk_health h;
    if (!slice_is(node_name_slice(&record->owner), r->owner)) return true;
    assert_int_equal(trunk_health_unpack(&arena, record->value, &h), ERR_OK);
    (void)snprintf(r->text, sizeof r->text, "%.*s %.*s", SLICE_ARG(h.trunk), SLICE_ARG(h.reason));
    r->up = h.up;
    r->count++;
    return true;
}

static struct said records_of(const char *owner)
{
    struct said r = {.owner = owner};
    assert_int_equal(node_read_begin(&kit.node), ERR_OK);
    assert_int_equal(store_state_find(kit.node.read, STATE_TRUNK_HEALTH, SLICE(""), visit, &r), ERR_OK);
    node_read_end(&kit.node);
    return r;
}

static bool said_down(void *ctx)
{
    struct said r = records_of("n1");
    (void)ctx;
    return r.count == 1 && !r.up;
}

static bool said_nothing(void *ctx)
{
    (void)ctx;
    return records_of("n1").count == 0;
}

static void a_trunk_that_is_down_is_left_out(void **state)
{
    struct client c = {0};
    struct control_builder b;
    (void)state;
    plan(dead_port());
    assert_string_equal(route("6100"), "trunk/pbx@ trunk/backup@");
    kit_until(&kit, said_down, NULL, "the probes to fail");
    assert_string_equal(records_of("n1").text, "pbx nothing listens there");
    assert_string_equal(route("6100"), "trunk/backup@");
    assert_string_equal(route("7100"), "480");
    client_open(&c, &kit);
    control_record_start(&b, &c.arena, "");
    control_text(&b, "number", SLICE("7100"));
    client_send(&c, "route explain", "", &b);
    client_wait(&c);
    const struct control_record *r = client_record(&c, "candidate", 0);
    assert_string_equal(field_text(&c, r, "why"), "down");
    assert_string_equal(field_text(&c, r, "reason"), "nothing listens there");
    assert_non_null(strstr(field_text(&c, r, "text"), "nothing listens there, since 20"));
    client_close(&c);
    /* A call that another node sent here for it is told at once. */
    struct edge_answer answer;
    struct edge_query named = {
        .dialled = SLICE("7100"), .named_target = SLICE("trunk/pbx"), .source = {.kind = EDGE_SOURCE_MEMBER}};
    routing_hook(&kit.node, &arena, &named, &answer);
    assert_int_equal(answer.target_count, 0);
    assert_int_equal(answer.code, 503);
}

static void it_is_still_down_after_a_restart(void **state)
{
    (void)state;
    kit_stop(&kit);
    kit_start(&kit);
    assert_true(said_down(NULL));
    trunks_tick(&kit.node);
    assert_string_equal(route("6100"), "trunk/backup@");
}

static void listed(void **state)
{
    struct client c = {0};
    (void)state;
    client_ask(&c, &kit, "trunks", "", NULL);
    assert_int_equal(c.status, 0);
    /* by name: backup, far (2), pair (2), pbx */
    static const char *const expected[][2] = {{"backup", "not probed"}, {"far", "unknown"},     {"far", "unknown"},
                                              {"pair", "not probed"},   {"pair", "not probed"}, {"pbx", "down"}};
    assert_int_equal(client_count(&c, "trunk"), 6);
    for (size_t i = 0; i < 6; i++) {
        const struct control_record *r = client_record(&c, "trunk", i);
        assert_string_equal(field_text(&c, r, "trunk"), expected[i][0]);
        assert_string_equal(field_text(&c, r, "state"), expected[i][1]);
    }
    assert_string_equal(field_text(&c, client_record(&c, "trunk", 5), "node"), "n1");
    assert_non_null(control_find(client_record(&c, "trunk", 5), "since"));
    client_close(&c);
}

static void nothing_is_said_of_what_is_not_probed(void **state)
{
    (void)state;
    kit_plan(&kit, "plan: 1\ntrunks: { pbx: { site: hq, address: [\"127.0.0.1:9\"] } }\n");
    kit_until(&kit, said_nothing, NULL, "the record to be withdrawn");
    assert_string_equal(route("7100"), "trunk/pbx@");
}

/* What is on its way to the disk when its trunk is probed no longer is withdrawn as well. */
static void what_is_said_while_the_plan_changes(void **state)
{
    struct edge_trunk last = {.trunk = SLICE("pbx"),
                              .address = SLICE("127.0.0.1:9"),
                              .probe_ms = 200,
                              .known = true,
                              .reason = SLICE("no answer")};
    (void)state;
    kit.node.trunks.digest.lane[0] ^= 1; /* the plan of the test before, as if it were not taken over yet */
    trunks_hook(&kit.node, &last);
    trunks_tick(&kit.node);
    kit_turn(&kit, 2500);
    assert_true(said_nothing(NULL));
}

static void say(const char *owner, uint64_t version, const char *address, bool up)
{
    struct trunk_health h = {
        .trunk = SLICE("far"), .address = slice_of(address), .up = up, .since = {1000}, .reason = SLICE("no answer")};
    struct buf packed = {0};
    char key[64];
    int n = snprintf(key, sizeof key, "far%c%s", '\0', address);
    struct state_record r = {.epoch = 1, .version = version, .kind = STATE_TRUNK_HEALTH, .key = {key, (size_t)n}};
    assert_int_equal(node_name_set(&r.owner, slice_of(owner)), ERR_OK);
    assert_int_equal(trunk_health_pack(&h, &packed), ERR_OK);
    r.value = buf_view(&packed);
    assert_int_equal(store_submit_state(kit.node.store, &r, 1, NULL, 0, NULL, 0, UINT64_MAX), ERR_OK);
    buf_fini(&packed);
}

static const char *wanted;

static bool routed(void *ctx)
{
    trunks_stale(&kit.node);
    return strcmp(route(ctx), wanted) == 0;
}

static void expect_route(const char *dialled, const char *targets)
{
    wanted = targets;
    kit_until(&kit, routed, (void *)(uintptr_t)dialled, targets);
}

static void what_others_say(void **state)
{
    (void)state;
    plan(19);
    assert_string_equal(route("8100"), "480"); /* nobody there */
    kit_heartbeat(&kit, "n2", "campus");
    assert_string_equal(route("8100"), "trunk/far@n2");
    say("n2", 10, "192.0.2.1", false);
    say("n2", 11, "192.0.2.2", true);
    expect_route("8100", "trunk/far@n2"); /* one of two is enough */
    say("n2", 12, "192.0.2.2", false);
    expect_route("8100", "480");
    kit_heartbeat(&kit, "n3", "campus");
    expect_route("8100", "trunk/far@n3"); /* who sees no trouble serves it */
    say("n3", 10, "192.0.2.1", false);
    say("n3", 11, "192.0.2.2", false);
    expect_route("8100", "480");
    say("n2", 13, "192.0.2.1", true);
    expect_route("8100", "trunk/far@n2");
}

/* An address that failed a call is tried after the others. */
static void suspects_are_tried_last(void **state)
{
    struct edge_target t = {.route.target = {.kind = PLAN_TO_TRUNK, .name = SLICE("pair")}, .number = SLICE("1")};
    (void)state;
    plan(7);
    trunks_tick(&kit.node);
    assert_int_equal(node_read_begin(&kit.node), ERR_OK);
    assert_int_equal(hops_own(&kit.node, &arena, &t, NULL), ERR_OK);
    assert_int_equal(t.hop_count, 2);
    assert_int_equal(t.hops[0].port, 7);
    struct edge_trunk list[] = {
        {.trunk = SLICE("pair"), .address = SLICE("127.0.0.1:7"), .probe_ms = 60000, .known = true, .up = false},
        {.trunk = SLICE("pair"), .address = SLICE("127.0.0.1:9"), .probe_ms = 60000}};
    assert_int_equal(edge_trunks_set(kit.node.edge, NULL, 0), ERR_OK);
    assert_int_equal(edge_trunks_set(kit.node.edge, list, 2), ERR_OK);
    t.hop_count = 0;
    assert_int_equal(hops_own(&kit.node, &arena, &t, NULL), ERR_OK);
    assert_int_equal(t.hop_count, 2);
    assert_int_equal(t.hops[0].port, 9);
    assert_int_equal(t.hops[1].port, 7);
    node_read_end(&kit.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trunk_that_is_down_is_left_out),
        cmocka_unit_test(it_is_still_down_after_a_restart),
        cmocka_unit_test(listed),
        cmocka_unit_test(nothing_is_said_of_what_is_not_probed),
        cmocka_unit_test(what_is_said_while_the_plan_changes),
        cmocka_unit_test(what_others_say),
        cmocka_unit_test(suspects_are_tried_last),
    };
    return cmocka_run_group_tests(tests, open_node, close_node);
}
