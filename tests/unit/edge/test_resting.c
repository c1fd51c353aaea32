/* Who answers 503 with Retry-After is left alone for that time, over real sockets: by calls and by probes. */
#include "trunk_kit.h"
#include "zone_kit.h"

/* Requests, each with a branch and a Call-ID of its own. */
static void call_again(struct world *w, unsigned number, const char *method)
{
    char branch[16];
    char call_id[16];
    (void)snprintf(branch, sizeof branch, "r%u", number);
    (void)snprintf(call_id, sizeof call_id, "call-r%u", number);
    ua_request(&w->a, &w->n, &(struct request){.method = method, .branch = branch, .call_id = call_id});
}

static unsigned retry_after(const struct world *w)
{
    uint64_t s = 0;
    assert_int_equal(slice_u64(sip_view_value(&w->a.v, SIP_RETRY_AFTER), UINT32_MAX, &s), ERR_OK);
    return (unsigned)s;
}

/* A request that b refuses, and nobody else is asked. */
static void refused(struct world *w, unsigned number, const char *lines)
{
    call_again(w, number, "MESSAGE");
    ua_expect(&w->k, &w->b, "MESSAGE");
    ua_reply(&w->b, 503, lines);
    ua_expect_code(&w->k, &w->a, 500); /* of one request: RFC 3261 §16.7 item 6 */
}

static void the_other_address_is_called_meanwhile(void **state)
{
    struct world *w = *state;
    look_after(w, 2, 0);
    kit_add_hop(&w->n, w->c.port);
    call_again(w, 1, "INVITE");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "Retry-After: 100\r\n");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    assert_true(state_of(w, 0).rests_until.ms > 0);
    assert_true(state_of(w, 1).rests_until.ms == 0);
    assert_string_equal(state_of(w, 0).reason.p, "a call failed: 503 Service Unavailable, Retry-After: 100");
    assert_false(edge_trunks_well(w->n.edge));
    assert_int_equal(kit_count(&w->n, "prober", "rests"), 1);
    ua_expect(&w->k, &w->c, "ACK");
    call_again(w, 2, "MESSAGE");
    ua_expect(&w->k, &w->c, "MESSAGE");
    ua_reply(&w->c, 200, "");
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(kit_count(&w->n, "edge", "rests_kept"), 1);
}

static void the_next_target_is_called_meanwhile(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 0);
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    for (unsigned i = 1; i <= 2; i++) {
        call_again(w, i, "MESSAGE");
        if (i == 1) {
            ua_expect(&w->k, &w->b, "MESSAGE");
            ua_reply(&w->b, 503, "Retry-After: 100\r\n");
        }
        ua_expect(&w->k, &w->c, "MESSAGE");
        ua_reply(&w->c, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
    }
    ua_expect_nothing(&w->k, &w->b);
}

static void nobody_else_is_left(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 0);
    refused(w, 1, "Retry-After: 99999999\r\n");
    call_again(w, 2, "MESSAGE");
    ua_expect_code(&w->k, &w->a, 503);
    assert_in_range(retry_after(w), 290, 300);
    ua_expect_nothing(&w->k, &w->b);
}

static void until_it_is_back(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 0);
    refused(w, 1, "Retry-After: 1\r\n");
    assert_false(edge_trunks_well(w->n.edge));
    kit_until(&w->k, edge_trunks_well(w->n.edge));
    assert_true(state_of(w, 0).rests_until.ms == 0);
    call_again(w, 2, "MESSAGE");
    ua_expect(&w->k, &w->b, "MESSAGE");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
}

/* RFC 3261 §21.5.4: without Retry-After it is as a 500. */
static void who_does_not_ask_does_not_rest(void **state)
{
    static const char *const lines[] = {"", "Retry-After: 0\r\n", "Retry-After: soon\r\n"};
    struct world *w = *state;
    look_after(w, 1, 0);
    for (unsigned i = 0; i < 3; i++)
        refused(w, i, lines[i]);
    assert_true(edge_trunks_well(w->n.edge));
}

/* What belongs to a call has nowhere else to go. */
static void calls_go_on(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char uri[64];
    look_after(w, 1, 0);
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    for (unsigned i = 2; i <= 3; i++) { /* a 503 inside of a dialog says nothing of others */
        char branch[8];
        (void)snprintf(branch, sizeof branch, "d%u", i);
        ua_request(&w->a, &w->n,
                   &(struct request){
                       .method = "INFO", .branch = branch, .uri = uri, .to = CALLEE, .cseq = i, .lines = routes});
        ua_expect(&w->k, &w->b, "INFO");
        ua_reply(&w->b, 503, "Retry-After: 100\r\n");
        ua_next(&w->k, &w->a);
        assert_true(edge_trunks_well(w->n.edge));
    }
    refused(w, 1, "Retry-After: 100\r\n");
    assert_false(edge_trunks_well(w->n.edge));
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "BYE", .branch = "d9", .uri = uri, .to = CALLEE, .cseq = 9, .lines = routes});
    ua_expect(&w->k, &w->b, "BYE");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
}

/* What a probe is told holds for calls, and for the next probe. */
static void a_probe_is_told(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 100);
    ua_expect(&w->k, &w->b, "OPTIONS");
    uint64_t asked_ms = kit_ms();
    ua_reply(&w->b, 503, "Retry-After: 1\r\n");
    kit_until(&w->k, kit_count(&w->n, "prober", "rests") == 1);
    assert_true(state_of(w, 0).up);
    assert_string_equal(state_of(w, 0).reason.p, "503 Service Unavailable, Retry-After: 1");
    call_again(w, 1, "MESSAGE");
    ua_expect_code(&w->k, &w->a, 503);
    assert_int_equal(retry_after(w), 1);
    ua_expect(&w->k, &w->b, "OPTIONS");
    assert_true(kit_ms() - asked_ms >= 990);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, edge_trunks_well(w->n.edge));
}

/* Another node speaks of one target of its own, not of itself. */
static void what_a_member_says_is_of_one_target(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 0);
    w->n.targets[0].node = SLICE("n2");
    call_again(w, 1, "MESSAGE");
    ua_expect(&w->k, &w->b, "MESSAGE");
    ua_reply(&w->b, 503, "Retry-After: 100\r\n");
    ua_expect_code(&w->k, &w->a, 503);
    assert_int_equal(retry_after(w), 100);
    assert_true(edge_trunks_well(w->n.edge));
}

/* The one way to a registrar, whatever port the plan gives it. */
static void where_we_are_registered(void **state)
{
    struct world *w = *state;
    char received[40];
    look_after(w, 1, 0);
    (void)snprintf(received, sizeof received, "udp:%s", addresses[0]);
    w->n.hops[0][0].received = slice_of(received);
    w->n.hops[0][0].named = true;
    w->n.hops[0][0].port = 0;
    refused(w, 1, "Retry-After: 100\r\n");
    assert_true(state_of(w, 0).rests_until.ms > 0);
    call_again(w, 2, "MESSAGE");
    ua_expect_code(&w->k, &w->a, 503);
}

/* Of a name the address that asked for it rests; the name as a whole when all of them do. */
static void one_of_a_name(void **state)
{
    struct world *w = *state;
    const struct record zone[] = {
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 10, 0, w->b.port, "host.test"},
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 20, 0, w->c.port, "host.test"},
        {"host.test", ns_t_a, 3600, "127.0.0.1", 0, 0, 0, NULL},
    };
    struct edge_trunk t = {.trunk = SLICE("factory"), .address = SLICE("pbx.test")};
    zone_ask(w, zone, sizeof zone / sizeof zone[0]);
    assert_int_equal(edge_trunks_set(w->n.edge, &t, 1), ERR_OK);
    w->n.hops[0][0].host = t.address;
    w->n.hops[0][0].port = 0;
    for (unsigned i = 1; i <= 3; i++) { /* the first finds out of one, the second of the other */
        call_again(w, i, "MESSAGE");
        if (i == 1) {
            ua_expect(&w->k, &w->b, "MESSAGE");
            ua_reply(&w->b, 503, "Retry-After: 100\r\n");
        }
        if (i <= 2) {
            ua_expect(&w->k, &w->c, "MESSAGE");
            ua_reply(&w->c, i == 1 ? 200 : 503, i == 1 ? "" : "Retry-After: 50\r\n");
        }
        ua_expect_code(&w->k, &w->a, i == 1 ? 200 : 503);
        assert_true(edge_trunk_find(w->n.edge, t.trunk, t.address, &t));
        assert_true((t.rests_until.ms > 0) == (i > 1));
    }
    assert_in_range(retry_after(w), 40, 50);
    ua_expect_nothing(&w->k, &w->b);
    ua_expect_nothing(&w->k, &w->c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_other_address_is_called_meanwhile, world_open, world_close),
        cmocka_unit_test_setup_teardown(the_next_target_is_called_meanwhile, world_open, world_close),
        cmocka_unit_test_setup_teardown(nobody_else_is_left, world_open, world_close),
        cmocka_unit_test_setup_teardown(until_it_is_back, world_open, world_close),
        cmocka_unit_test_setup_teardown(who_does_not_ask_does_not_rest, world_open, world_close),
        cmocka_unit_test_setup_teardown(calls_go_on, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_probe_is_told, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_a_member_says_is_of_one_target, world_open, world_close),
        cmocka_unit_test_setup_teardown(where_we_are_registered, world_open, world_close),
        cmocka_unit_test_setup_teardown(one_of_a_name, world_open, zone_world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
