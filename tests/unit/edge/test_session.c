/* Session timers over real sockets: what a call is asked, what is refused, and how a call that nobody refreshes ends.
 */
#include "call_kit.h"

static int open_timed(void **state)
{
    kit_session_s = 1800;
    return world_open(state);
}

static void invite(struct world *w, const char *branch, const char *lines)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .lines = lines});
}

/* The callee answers with lines; the caller's view of the 200 stays in w->a. */
static void answer(struct world *w, const char *lines)
{
    char text[256];
    ua_expect(&w->k, &w->b, "INVITE");
    (void)snprintf(text, sizeof text, "%s%s", contact_line(&w->b), lines);
    ua_reply(&w->b, 200, text);
    ua_expect_code(&w->k, &w->a, 200);
}

static void both_know_timers(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "Supported: 100rel, timer\r\n");
    answer(w, "Require: timer\r\nSession-Expires: 1800;refresher=uas\r\n");
    ua_has(&w->b, "Session-Expires: 1800\r\n");
    ua_lacks(&w->a, "refresher=uac");
}

static void only_the_caller_does(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "k: timer\r\n");
    answer(w, "");
    ua_has(&w->a, "Require: timer\r\n");
    ua_has(&w->a, "Session-Expires: 1800;refresher=uac\r\n");
}

static void nobody_does(void **state)
{
    struct world *w = *state;
    invite(w, "i1", NULL);
    answer(w, "");
    ua_has(&w->b, "Session-Expires: 1800\r\n"); /* the callee might have */
    ua_lacks(&w->a, "Session-Expires");
}

static void their_own_interval_stands(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "Supported: timer\r\nx: 600;refresher=uac\r\n");
    answer(w, "");
    ua_has(&w->b, "x: 600;refresher=uac\r\n");
    ua_lacks(&w->b, "Session-Expires");
    ua_lacks(&w->b, "x: 1800");
    ua_has(&w->a, "Session-Expires: 600;refresher=uac\r\n");
}

static void what_they_find_too_short_is_respected(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "Supported: timer\r\nMin-SE: 3600\r\n");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_has(&w->b, "Session-Expires: 3600\r\n");
    ua_reply(&w->b, 422, "Min-SE: 7200\r\n"); /* and so is the callee's word */
    ua_expect_code(&w->k, &w->a, 422);
    ua_has(&w->a, "Min-SE: 7200\r\n");
}

static void too_small_an_interval(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "Supported: timer\r\nSession-Expires: 30\r\n");
    ua_expect_code(&w->k, &w->a, 422);
    ua_has(&w->a, "Min-SE: 90\r\n");
    assert_int_equal(kit_count(&w->n, "edge", "refused_session_interval"), 1);
    invite(w, "i2", "Session-Expires: 30;refresher=uas\r\n"); /* who would not understand 422 */
    ua_expect(&w->k, &w->b, "INVITE");
    ua_has(&w->b, "Session-Expires: 90\r\n");
    ua_has(&w->b, "Min-SE: 90\r\n");
    ua_lacks(&w->b, "Session-Expires: 30");
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    invite(w, "i3", "Session-Expires: soon\r\n");
    ua_expect_code(&w->k, &w->a, 400);
}

/* A proxy before us has raised it already, by its own measure: there is one Min-SE (RFC 4028 §8.1). */
static void raised_twice(void **state)
{
    struct world *w = *state;
    invite(w, "i1", "Session-Expires: 60\r\nMin-SE: 60\r\n");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_has(&w->b, "Session-Expires: 90\r\n");
    ua_has(&w->b, "Min-SE: 90\r\n");
    ua_lacks(&w->b, "Min-SE: 60");
}

/* Inside a dialog the ACK of our own refusal carries the dialog's Route, and is not the callee's business. */
static void the_refusal_has_its_ack(void **state)
{
    struct world *w = *state;
    char routes[512];
    char lines[640];
    char uri[64];
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    (void)snprintf(lines, sizeof lines, "%sSupported: timer\r\nSession-Expires: 30\r\n", routes);
    struct request r = {.method = "INVITE", .branch = "i2", .uri = uri, .to = CALLEE, .cseq = 2, .lines = lines};
    ua_request(&w->a, &w->n, &r);
    ua_expect_code(&w->k, &w->a, 422);
    ua_has(&w->a, "Min-SE: 90\r\n");
    uint64_t absorbed = kit_count(&w->n, "edge", "acks_absorbed");
    r.method = "ACK";
    r.lines = routes;
    ua_request(&w->a, &w->n, &r);
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == absorbed + 1);
    ua_expect_nothing(&w->k, &w->b);
}

/* Nobody refreshes: the record ends by itself. A refresh puts it off. */
static void a_ghost_ends(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    invite(w, "i1", "Supported: timer\r\n");
    answer(w, "Session-Expires: 2\r\n");
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "UPDATE", .branch = "u1", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "UPDATE");
    ua_reply(&w->b, 200, "Session-Expires: 1\r\n");
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    kit_until(&w->k, edge_load(w->n.edge).calls == 0);
    assert_int_equal(kit_count(&w->n, "edge", "calls_unrefreshed"), 1);
    assert_string_equal(w->n.reports[w->n.report_count - 1].reason,
                        "nobody refreshed the session: both sides are gone");
}

static int open_impatient(void **state)
{
    kit_session_s = 0;
    kit_idle_ms = 100;
    int result = world_open(state);
    kit_idle_ms = 0;
    return result;
}

/* Sides that know no timers and are gone without a word: after the operator's bound. A call that rings for longer than
 * that is none of them. */
static void silence_ends(void **state)
{
    struct world *w = *state;
    uint64_t begun = kit_ms();
    invite(w, "i1", NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    kit_until(&w->k, kit_ms() > begun + 250);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    kit_until(&w->k, edge_load(w->n.edge).calls == 0);
    assert_int_equal(kit_count(&w->n, "edge", "calls_expired"), 1);
    assert_string_equal(w->n.reports[w->n.report_count - 1].reason, "no request in the dialog for 100ms");
    assert_int_equal(w->n.reports[w->n.report_count - 1].state, CALL_ENDED);
}

/* By way of a proxy behind a trunk a call passes twice, and has a record for each. */
static void a_call_that_passed_twice(void **state)
{
    struct world *w = *state;
    struct call_report known = {.id = UINT64_C(7) << 32 | 3,
                                .call_id = SLICE("call-1"),
                                .caller_tag = SLICE("caller"),
                                .dialled = SLICE("8123"),
                                .source = {.kind = EDGE_SOURCE_TRUNK, .name = SLICE("carrier")},
                                .target = SLICE("trunk/proxy"),
                                .answered = {1},
                                .code = 200};
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_OK);
    known.id++;
    known.source.name = SLICE("proxy");
    known.target = SLICE("trunk/gateway");
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_OK);
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_EXISTS);
    assert_int_equal(edge_load(w->n.edge).calls, 2);
}

/* A call of an earlier run is bounded as any other, and its end is reported under its own number. */
static void a_call_of_an_earlier_run(void **state)
{
    struct world *w = *state;
    struct call_report known = {.id = UINT64_C(7) << 32 | 3,
                                .call_id = SLICE("call-1"),
                                .caller_tag = SLICE("caller"),
                                .from = SLICE("600"),
                                .dialled = SLICE("8123"),
                                .source = {.kind = EDGE_SOURCE_TRUNK, .name = SLICE("pbx")},
                                .target = SLICE("trunk/factory"),
                                .answered = {1},
                                .code = 200,
                                .session_s = 1};
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_OK);
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_EXISTS);
    known.call_id = SLICE("call-2");
    known.session_s = 0;
    assert_int_equal(edge_call_restore(w->n.edge, &known), ERR_OK);
    assert_int_equal(edge_load(w->n.edge).calls, 2);
    assert_int_equal(w->n.report_count, 0);
    kit_until(&w->k, edge_load(w->n.edge).calls == 1);
    assert_string_equal(w->n.reports[0].reason, "nobody refreshed the session: both sides are gone");
    assert_string_equal(w->n.reports[0].target, "trunk/factory");
    assert_int_equal(w->n.reports[0].state, CALL_ENDED);
    assert_int_equal(w->n.reports[0].code, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_know_timers, open_timed, world_close),
        cmocka_unit_test_setup_teardown(only_the_caller_does, open_timed, world_close),
        cmocka_unit_test_setup_teardown(nobody_does, open_timed, world_close),
        cmocka_unit_test_setup_teardown(their_own_interval_stands, open_timed, world_close),
        cmocka_unit_test_setup_teardown(what_they_find_too_short_is_respected, open_timed, world_close),
        cmocka_unit_test_setup_teardown(too_small_an_interval, open_timed, world_close),
        cmocka_unit_test_setup_teardown(raised_twice, open_timed, world_close),
        cmocka_unit_test_setup_teardown(the_refusal_has_its_ack, open_timed, world_close),
        cmocka_unit_test_setup_teardown(a_ghost_ends, open_timed, world_close),
        cmocka_unit_test_setup_teardown(silence_ends, open_impatient, world_close),
        cmocka_unit_test_setup_teardown(a_call_that_passed_twice, open_timed, world_close),
        cmocka_unit_test_setup_teardown(a_call_of_an_earlier_run, open_timed, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
