/* Probing over real sockets: what is asked, what counts as an answer, and what calls find out. */
#include "trunk_kit.h"
#include "zone_kit.h"

#define PROBE_MS 100

/* Takes probes until the count of one of the prober's counters is reached; answers each with code, 0: not. */
static void answer_probes(struct world *w, struct ua *u, unsigned code, const char *counter, uint64_t until)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    while (kit_count(&w->n, "prober", counter) < until) {
        if (ua_receive(u)) {
            assert_true(slice_is(u->v.method_text, "OPTIONS"));
            if (code != 0) ua_reply(u, code, "");
        }
        kit_turn(&w->k, u->fd);
        if (kit_ms() > end) fail_msg("%s never came to %u", counter, (unsigned)until);
    }
}

/* Probes that came again are passed over. */
static void expect_past_probes(struct world *w, struct ua *u, const char *method)
{
    do {
        ua_next(&w->k, u);
    } while (slice_is(u->v.method_text, "OPTIONS") && strcmp(method, "OPTIONS") != 0);
    assert_true(slice_is(u->v.method_text, method));
}

static void what_is_asked(void **state)
{
    struct world *w = *state;
    char expected[64];
    look_after(w, 1, PROBE_MS);
    assert_false(state_of(w, 0).known);
    assert_true(state_of(w, 0).up);
    ua_expect(&w->k, &w->b, "OPTIONS");
    (void)snprintf(expected, sizeof expected, "OPTIONS sip:127.0.0.1:%u SIP/2.0\r\n", w->b.port);
    ua_has(&w->b, expected);
    ua_has(&w->b, "Max-Forwards: 70\r\n");
    ua_has(&w->b, "User-Agent: Tandem/0\r\n");
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, w->n.trunk_news == 1);
    assert_true(state_of(w, 0).known);
    assert_true(w->n.trunk_up);
    assert_true(state_of(w, 0).rtt_us > 0);
    assert_true(state_of(w, 0).since.ms > 0);
    assert_string_equal(w->n.trunk_reason, "200 OK");
    /* the next answers are no news */
    answer_probes(w, &w->b, 404, "answers", 4);
    assert_int_equal(w->n.trunk_news, 1);
    assert_true(state_of(w, 0).up);
    assert_int_equal(kit_count(&w->n, "edge", "responses_unmatched"), 0);
}

static void down_and_up(void **state)
{
    struct world *w = *state;
    look_after(w, 1, PROBE_MS);
    answer_probes(w, &w->b, 200, "answers", 1);
    answer_probes(w, &w->b, 0, "misses", 2);
    assert_true(state_of(w, 0).up);
    answer_probes(w, &w->b, 0, "misses", 3);
    assert_false(state_of(w, 0).up);
    assert_false(w->n.trunk_up);
    assert_false(edge_trunks_well(w->n.edge));
    assert_string_equal(w->n.trunk_reason, "no answer to OPTIONS");
    assert_int_equal(kit_count(&w->n, "prober", "went_down"), 1);
    answer_probes(w, &w->b, 200, "went_up", 1);
    assert_true(w->n.trunk_up);
    assert_true(edge_trunks_well(w->n.edge));
    assert_int_equal(w->n.trunk_news, 3);
}

static void a_refusal_is_down(void **state)
{
    struct world *w = *state;
    look_after(w, 1, PROBE_MS);
    answer_probes(w, &w->b, 503, "went_down", 1);
    assert_string_equal(w->n.trunk_reason, "503 Service Unavailable");
    assert_int_equal(kit_count(&w->n, "prober", "refusals"), 3);
}

/* ICMP says at once what a timeout says late. */
static void nobody_listens(void **state)
{
    struct world *w = *state;
    look_after(w, 1, 60000);
    uint16_t port = w->b.port;
    ua_close(&w->b);
    kit_until(&w->k, kit_count(&w->n, "prober", "unsent") == 1);
    assert_string_equal(slice_of(state_of(w, 0).reason.p).p, "nothing listens there");
    assert_true(state_of(w, 0).up);
    ua_open(&w->b);
    (void)port;
}

static void a_failed_call_makes_suspect(void **state)
{
    struct world *w = *state;
    look_after(w, 2, 60000);
    w->n.target_count = 1;
    kit_add_hop(&w->n, w->c.port);
    answer_probes(w, &w->b, 200, "answers", 1);
    answer_probes(w, &w->c, 200, "answers", 2);
    uint64_t probes = kit_count(&w->n, "prober", "probes");
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    expect_past_probes(w, &w->b, "INVITE"); /* and no answer */
    expect_past_probes(w, &w->c, "INVITE");
    assert_true(state_of(w, 0).suspect);
    assert_false(state_of(w, 1).suspect);
    assert_false(edge_trunks_well(w->n.edge));
    assert_string_equal(state_of(w, 0).reason.p, "a call failed: no answer");
    /* it is looked at at once; that it answers OPTIONS says nothing of calls */
    assert_int_equal(kit_count(&w->n, "prober", "probes"), probes + 1);
    do {
        ua_next(&w->k, &w->b);
    } while (!slice_is(w->b.v.method_text, "OPTIONS"));
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, kit_count(&w->n, "prober", "answers") == 3);
    assert_true(state_of(w, 0).suspect);
    assert_string_equal(state_of(w, 0).reason.p, "a call failed: no answer");
    assert_int_equal(kit_count(&w->n, "prober", "suspected"), 1);
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 408);
}

static void not_probed(void **state)
{
    struct world *w = *state;
    look_after(w, 2, 0);
    kit_add_hop(&w->n, w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_expect(&w->k, &w->c, "INVITE");
    assert_true(state_of(w, 0).suspect);
    assert_int_equal(kit_count(&w->n, "prober", "probes"), 0);
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 408);
}

/* What an earlier run knew counts, and what leaves the plan is not asked again. */
static void lists(void **state)
{
    struct world *w = *state;
    struct edge_trunk t = {.trunk = SLICE("factory"),
                           .address = SLICE("127.0.0.1:9"),
                           .probe_ms = 60000,
                           .known = true,
                           .up = false,
                           .since = {1234},
                           .reason = SLICE("no answer")};
    assert_int_equal(edge_trunks_set(w->n.edge, &t, 1), ERR_OK);
    struct edge_trunk seen;
    assert_true(edge_trunk_find(w->n.edge, SLICE("factory"), SLICE("127.0.0.1:9"), &seen));
    assert_true(seen.known && !seen.up);
    assert_int_equal(seen.since.ms, 1234);
    assert_false(edge_trunks_well(w->n.edge));
    look_after(w, 1, PROBE_MS);
    assert_false(edge_trunk_find(w->n.edge, SLICE("factory"), SLICE("127.0.0.1:9"), &seen));
    assert_true(edge_trunks_well(w->n.edge));
    answer_probes(w, &w->b, 200, "answers", 1);
    look_after(w, 1, PROBE_MS); /* the same again forgets nothing */
    assert_true(state_of(w, 0).known);
    assert_int_equal(edge_trunks_set(w->n.edge, NULL, 0), ERR_OK);
    assert_false(edge_trunk_find(w->n.edge, SLICE("factory"), slice_of(addresses[0]), &seen));
}

/* A name that nobody knows is a miss; the list may change while it is looked up. */
static void names(void **state)
{
    struct world *w = *state;
    struct edge_trunk t = {.trunk = SLICE("factory"), .address = SLICE("pbx.invalid"), .probe_ms = PROBE_MS};
    assert_int_equal(edge_trunks_set(w->n.edge, &t, 1), ERR_OK);
    kit_until(&w->k, kit_count(&w->n, "prober", "unresolved") > 0);
    assert_int_equal(edge_trunks_set(w->n.edge, NULL, 0), ERR_OK);
    t.address = SLICE("pbx2.invalid");
    assert_int_equal(edge_trunks_set(w->n.edge, &t, 1), ERR_OK);
}

/* What was asked while it was probed says nothing of now. */
static void no_longer_probed(void **state)
{
    struct world *w = *state;
    look_after(w, 1, PROBE_MS);
    answer_probes(w, &w->b, 0, "went_down", 1);
    ua_expect(&w->k, &w->b, "OPTIONS");
    look_after(w, 1, 0);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, kit_count(&w->n, "prober", "answers") == 1);
    struct edge_trunk t = state_of(w, 0);
    assert_true(t.up && !t.known);
    assert_int_equal(t.since.ms, 0);
    assert_int_equal(t.rtt_us, 0);
    assert_true(slice_is(t.reason, ""));
}

/* One of the targets of a name is enough, in whatever order DNS has them each time. */
static void one_of_two_targets(void **state)
{
    struct world *w = *state;
    const struct record zone[] = {
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 10, 0, w->b.port, "host.test"},
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 10, 0, w->c.port, "host.test"},
        {"host.test", ns_t_a, 3600, "127.0.0.1", 0, 0, 0, NULL},
    };
    struct edge_trunk t = {.trunk = SLICE("factory"), .address = SLICE("pbx.test"), .probe_ms = PROBE_MS};
    zone_ask(w, zone, sizeof zone / sizeof zone[0]);
    for (unsigned round = 1; round <= 2; round++) {
        if (round == 2) ua_close(&w->c); /* the first time it says that it cannot, then it is not there */
        assert_int_equal(edge_trunks_set(w->n.edge, &t, 1), ERR_OK);
        uint64_t end = kit_ms() + KIT_PATIENCE_MS;
        while (kit_count(&w->n, "prober", "answers") < round * 20) {
            if (ua_receive(&w->b)) ua_reply(&w->b, 200, "");
            if (round == 1 && ua_receive(&w->c)) ua_reply(&w->c, 503, "");
            kit_turn(&w->k, w->b.fd);
            if (kit_ms() > end) fail_msg("too few answers");
        }
        assert_int_equal(kit_count(&w->n, "prober", "went_down"), 0);
        assert_int_equal(edge_trunks_set(w->n.edge, NULL, 0), ERR_OK);
    }
    ua_open(&w->c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_asked, world_open, world_close),
        cmocka_unit_test_setup_teardown(down_and_up, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_refusal_is_down, world_open, world_close),
        cmocka_unit_test_setup_teardown(nobody_listens, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_failed_call_makes_suspect, world_open, world_close),
        cmocka_unit_test_setup_teardown(not_probed, world_open, world_close),
        cmocka_unit_test_setup_teardown(lists, world_open, world_close),
        cmocka_unit_test_setup_teardown(names, world_open, world_close),
        cmocka_unit_test_setup_teardown(one_of_two_targets, world_open, zone_world_close),
        cmocka_unit_test_setup_teardown(no_longer_probed, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
