/* Who is locked out, who is banned and for how long, and who is not. */
#include "call_kit.h"

#include "node/edge/guard.h"

static struct flow flow_from(const char *host)
{
    struct flow f = {.transport = PLAN_UDP};
    assert_int_equal(sock_address_parse(slice_of(host), 5070, &f.remote), ERR_OK);
    return f;
}

static void fail_at(struct world *w, const char *host, const char *account, unsigned times)
{
    struct flow from = flow_from(host);
    for (unsigned i = 0; i < times; i++)
        guard_failed(w->n.edge, &from, slice_of(account), EDGE_FAILED_PASSWORD);
}

/* Each time another account. */
static void enumerate(struct world *w, const char *host, unsigned times)
{
    static unsigned count;
    for (unsigned i = 0; i < times; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "x%u", ++count);
        fail_at(w, host, name, 1);
    }
}

static bool locked(struct world *w, const char *host, const char *account)
{
    struct flow from = flow_from(host);
    return guard_locked(w->n.edge, &from, slice_of(account));
}

static bool drops(struct world *w, const char *host, const char *account)
{
    struct flow from = flow_from(host);
    struct sip_view v;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
                   "From: <sip:a@example.org>;tag=1\r\nTo: <sip:%s@example.org>\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\n"
                   "Content-Length: 0\r\n\r\n",
                   account);
    assert_int_equal(sip_view_parse(&v, text, strlen(text), NULL), SIP_FAULT_NONE);
    return guard_drops(w->n.edge, &from, &v);
}

static void an_account_for_one_source(void **state)
{
    struct world *w = *state;
    struct flow from = flow_from("192.0.2.1");
    fail_at(w, "192.0.2.1", "6001", 4);
    assert_false(locked(w, "192.0.2.1", "6001"));
    guard_proved(w->n.edge, &from, SLICE("6001")); /* it was a slip */
    fail_at(w, "192.0.2.1", "6001", 4);
    assert_false(locked(w, "192.0.2.1", "6001"));
    fail_at(w, "192.0.2.1", "6001", 1);
    assert_true(locked(w, "192.0.2.1", "6001"));
    assert_false(locked(w, "192.0.2.2", "6001"));
    assert_false(locked(w, "192.0.2.1", "6002"));
    assert_int_equal(kit_count(&w->n, "guard", "accounts_locked"), 1);
    assert_true(edge_forgive(w->n.edge, SLICE("192.0.2.1")));
    assert_false(locked(w, "192.0.2.1", "6001"));
    assert_false(edge_forgive(w->n.edge, SLICE("6001")));
}

/* A name that nobody has is locked like one that somebody has. */
static void an_account_for_everybody(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 25; i++) {
        char host[32];
        (void)snprintf(host, sizeof host, "198.51.100.%u", i);
        fail_at(w, host, "nobody", 4);
        assert_int_equal(locked(w, "192.0.2.9", "nobody"), i == 24);
    }
    assert_false(locked(w, "192.0.2.9", "6001"));
    assert_int_equal(kit_count(&w->n, "guard", "accounts_locked_everywhere"), 1);
    /* One who goes on and on from one place does not lock out the others. */
    fail_at(w, "192.0.2.1", "6001", 200);
    assert_true(locked(w, "192.0.2.1", "6001"));
    assert_false(locked(w, "192.0.2.9", "6001"));
}

static void where_it_is_registered(void **state)
{
    struct world *w = *state;
    w->n.home = "192.0.2.1";
    fail_at(w, "192.0.2.1", "6001", 90);
    assert_false(locked(w, "192.0.2.1", "6001"));
    assert_false(locked(w, "192.0.2.9", "6001"));
    assert_int_equal(w->n.banned_count, 0); /* nor does it count against the address that others share */
    fail_at(w, "192.0.2.1", "6001", 10);
    assert_true(locked(w, "192.0.2.1", "6001")); /* some day it is enough */
    assert_int_equal(kit_count(&w->n, "guard", "failures_where_registered"), 100);
}

static void a_source_is_banned(void **state)
{
    struct world *w = *state;
    w->n.home = "192.0.2.1";
    enumerate(w, "192.0.2.1", 29);
    assert_false(drops(w, "192.0.2.1", "x"));
    enumerate(w, "192.0.2.1", 1);
    assert_true(drops(w, "192.0.2.1", "x"));
    assert_false(drops(w, "192.0.2.2", "x"));
    assert_false(drops(w, "192.0.2.1", "6001")); /* who is at home there */
    assert_string_equal(w->n.banned, "192.0.2.1");
    assert_int_equal(w->n.banned_s, GUARD_BAN_S);
    assert_int_equal(edge_guarded(w->n.edge).bans, 1);
    assert_true(edge_forgive(w->n.edge, SLICE("192.0.2.1")));
    assert_false(drops(w, "192.0.2.1", "x"));
    /* IPv6: the whole /64. */
    for (unsigned i = 0; i < 30; i++) {
        char host[64];
        (void)snprintf(host, sizeof host, "2001:db8:0:1::%x", i + 1);
        enumerate(w, host, 1);
    }
    assert_string_equal(w->n.banned, "2001:db8:0:1::/64");
    assert_true(drops(w, "2001:db8:0:1:ffff::1", "x"));
    assert_false(drops(w, "2001:db8:0:2::1", "x"));
}

/* Each further time sooner and for longer, up to a day. */
static void who_does_it_again(void **state)
{
    struct world *w = *state;
    uint32_t expected = GUARD_BAN_S;
    enumerate(w, "192.0.2.1", 30);
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(w->n.banned_count, i + 1);
        assert_in_range(w->n.banned_s, expected, expected);
        expected = expected * 2 < GUARD_BAN_MAX_S ? expected * 2 : GUARD_BAN_MAX_S;
        edge_bans_set(w->n.edge, NULL, 0); /* its time has come */
        assert_false(drops(w, "192.0.2.1", "x"));
        enumerate(w, "192.0.2.1", 10);
    }
}

/* The same where each ban is sat out: what has faded meanwhile is not forgotten. */
static void who_does_it_again_later(void **state)
{
    struct world *w = *state;
    uint32_t expected = GUARD_BAN_S;
    enumerate(w, "192.0.2.1", 30);
    for (unsigned i = 0; i < 6; i++, expected *= 2) {
        assert_int_equal(w->n.banned_count, i + 1);
        assert_int_equal(w->n.banned_s, expected);
        assert_true(drops(w, "192.0.2.1", "x"));
        w->k.loop.time += w->n.banned_s * UINT64_C(1000);
        assert_false(drops(w, "192.0.2.1", "x"));
        enumerate(w, "192.0.2.1", 10);
    }
    uv_update_time(&w->k.loop);
}

/* A request of one who may be 6001, with these lines. */
static void ask(struct world *w, const char *method, const char *branch, const char *lines)
{
    char uri[64];
    bool registers = strcmp(method, "REGISTER") == 0;
    (void)snprintf(uri, sizeof uri, "sip:%s127.0.0.1:%u", registers ? "" : "8123@", w->n.port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = method,
                                 .branch = branch,
                                 .uri = uri,
                                 .from = "<sip:6001@127.0.0.1>;tag=1",
                                 .to = "<sip:6001@127.0.0.1>",
                                 .lines = lines});
}

/* The name in the first credentials is not the one that others prove. */
static void a_decoy_opens_no_door(void **state)
{
    static const char decoy[] =
        "Authorization: Digest username=\"6001\", realm=\"elsewhere\", nonce=\"a\", uri=\"sip:a\", "
        "response=\"00000000000000000000000000000000\"\r\n";
    static const struct {
        const char *method;
        unsigned challenge;
    } ways[] = {{"REGISTER", 401}, {"OPTIONS", 407}};
    struct world *w = *state;
    struct edge_ban ban = {.source = SLICE("127.0.0.1"), .left_s = 60};
    w->n.home = "127.0.0.1";
    w->n.trunk_port = 0;
    edge_bans_set(w->n.edge, &ban, 1);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char proof[1024];
        char lines[2048];
        ask(w, ways[i].method, "first", "");
        ua_expect_code(&w->k, &w->a, ways[i].challenge);
        ua_authorize(&w->a, "secret", ways[i].method, "sip:127.0.0.1", proof, sizeof proof);
        char *name = strstr(proof, "\"6001\"");
        assert_non_null(name);
        name[4] = '2';
        (void)snprintf(lines, sizeof lines, "%s%s", decoy, proof);
        ask(w, ways[i].method, "guess", lines);
        kit_until(&w->k, kit_count(&w->n, "guard", "dropped_banned") == i + 1);
        ua_expect_nothing(&w->k, &w->a);
        name[4] = '1'; /* who is at home there */
        (void)snprintf(lines, sizeof lines, "%s%s", decoy, proof);
        ask(w, ways[i].method, "right", lines);
        kit_until(&w->k, kit_count(&w->n, "edge", "auth_ok") == i + 1);
        ua_next(&w->k, &w->a);
    }
    assert_int_equal(kit_count(&w->n, "guard", "failures"), 0);
}

static void bans_that_others_made(void **state)
{
    struct world *w = *state;
    struct edge_ban list[] = {{.source = SLICE("192.0.2.1"), .left_s = 60},
                              {.source = SLICE("no address"), .left_s = 60},
                              {.source = SLICE("2001:db8::/64"), .left_s = 60},
                              {.source = SLICE("192.0.2.2"), .left_s = 0}};
    edge_bans_set(w->n.edge, list, 4);
    assert_true(drops(w, "192.0.2.1", "x"));
    assert_true(drops(w, "2001:db8::9", "x"));
    assert_false(drops(w, "192.0.2.2", "x")); /* over */
    edge_bans_set(w->n.edge, list + 2, 1);
    assert_false(drops(w, "192.0.2.1", "x"));
    assert_int_equal(edge_guarded(w->n.edge).bans, 1);
}

static void trunks_and_members_are_not(void **state)
{
    struct world *w = *state;
    struct flow member = flow_from("192.0.2.3");
    w->n.trunk_port = 5070; /* every flow here */
    enumerate(w, "192.0.2.1", 100);
    w->n.trunk_port = 0;
    member.member = true;
    for (unsigned i = 0; i < 100; i++)
        guard_failed(w->n.edge, &member, SLICE("6001"), EDGE_FAILED_PASSWORD);
    for (unsigned i = 0; i < 400; i++)
        guard_failed(w->n.edge, &member, SLICE("6002"), EDGE_FAILED_PASSWORD);
    assert_int_equal(w->n.banned_count, 0);
}

#define WITH_WORLD(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(an_account_for_one_source), WITH_WORLD(an_account_for_everybody),
        WITH_WORLD(where_it_is_registered),    WITH_WORLD(a_source_is_banned),
        WITH_WORLD(who_does_it_again),         WITH_WORLD(who_does_it_again_later),
        WITH_WORLD(bans_that_others_made),     WITH_WORLD(trunks_and_members_are_not),
        WITH_WORLD(a_decoy_opens_no_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
