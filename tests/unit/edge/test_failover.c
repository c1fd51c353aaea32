/* Failover and CANCEL over real sockets: what moves a call on, what ends it, and what the caller is told. */
#include "call_kit.h"

/* Starts a call. */
static void invite(struct world *w)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
}

static void cancel(struct world *w)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1"});
    ua_expect_code(&w->k, &w->a, 200);
    assert_true(slice_starts(sip_view_value(&w->a.v, SIP_CSEQ), SLICE("1 CANCEL")));
}

/* The failure has arrived: without this it would come again. */
static void acknowledge(struct world *w, const char *branch, const char *call_id)
{
    uint64_t before = kit_count(&w->n, "edge", "acks_absorbed");
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = branch, .call_id = call_id, .to = CALLEE});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == before + 1);
}

static const struct kit_report *last_report(const struct world *w)
{
    assert_true(w->n.report_count > 0);
    return &w->n.reports[w->n.report_count - 1];
}

/* A port where nobody listens. */
static uint16_t dead_port(void)
{
    struct ua u;
    ua_open(&u);
    ua_close(&u);
    return u.port;
}

/* ---- failover ---- */

static void codes_that_move_on(void **state)
{
    static const unsigned moving[] = {408, 500, 502, 503, 504};
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    for (size_t i = 0; i < sizeof moving / sizeof moving[0]; i++) {
        char branch[8];
        char call[8];
        (void)snprintf(branch, sizeof branch, "m%zu", i);
        (void)snprintf(call, sizeof call, "c%zu", i);
        ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .call_id = call});
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, moving[i], "");
        ua_expect(&w->k, &w->b, "ACK");
        ua_expect(&w->k, &w->c, "INVITE");
        ua_reply(&w->c, 486, "");
        ua_expect(&w->k, &w->c, "ACK");
        ua_expect_code(&w->k, &w->a, moving[i] == 408 ? 408 : 486);
        acknowledge(w, branch, call);
        assert_string_equal(last_report(w)->target, "trunk/second");
    }
    assert_int_equal(kit_count(&w->n, "edge", "failovers"), 5);
}

static void codes_that_end(void **state)
{
    static const unsigned ending[] = {302, 401, 404, 480, 486, 501, 600, 603};
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
        char branch[8];
        char call[8];
        (void)snprintf(branch, sizeof branch, "e%zu", i);
        (void)snprintf(call, sizeof call, "c%zu", i);
        ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .call_id = call});
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, ending[i], "");
        ua_expect_code(&w->k, &w->a, ending[i]);
        ua_expect(&w->k, &w->b, "ACK");
        acknowledge(w, branch, call);
    }
    ua_expect_nothing(&w->k, &w->c);
}

/* Each target's own codes, and no others. */
static void codes_of_the_route(void **state)
{
    static const uint16_t first[] = {480};
    static const uint16_t second[] = {403, 404};
    struct world *w = *state;
    struct ua d;
    ua_open(&d);
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    (void)kit_target(&w->n, "trunk/third", d.port);
    w->n.targets[0].route.failover = first;
    w->n.targets[0].route.failover_count = 1;
    w->n.targets[1].route.failover = second;
    w->n.targets[1].route.failover_count = 2;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 480, "");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 404, "");
    ua_expect(&w->k, &d, "INVITE");
    ua_reply(&d, 200, contact_line(&d));
    ua_expect_code(&w->k, &w->a, 200);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i2", .call_id = "call-2"});
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, ""); /* not among them */
    ua_expect_code(&w->k, &w->a, 500);
    ua_close(&d);
}

static void next_hop_before_next_target(void **state)
{
    struct world *w = *state;
    struct ua d;
    ua_open(&d);
    kit_add_hop(&w->n, w->c.port);
    (void)kit_target(&w->n, "trunk/second", d.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 503, "");
    ua_expect(&w->k, &d, "INVITE");
    ua_reply(&d, 200, contact_line(&d));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(kit_count(&w->n, "edge", "failovers"), 1);
    assert_string_equal(last_report(w)->target, "trunk/second");
    assert_int_equal(last_report(w)->state, CALL_ANSWERED);
    ua_close(&d);
}

static void dead_port_moves_on_at_once(void **state)
{
    struct world *w = *state;
    w->n.hops[0][0].port = dead_port();
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->c, "INVITE");
    assert_int_equal(kit_count(&w->n, "edge", "timeouts"), 0); /* by the ICMP error, not by the timer */
}

static void dead_tcp_port_moves_on(void **state)
{
    struct world *w = *state;
    w->n.hops[0][0].transport = PLAN_TCP;
    w->n.hops[0][0].port = dead_port();
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->c, "INVITE");
}

static void nothing_reachable_is_503(void **state)
{
    struct world *w = *state;
    w->n.hops[0][0].port = dead_port();
    invite(w);
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "Reason: SIP;cause=503;text=\"cannot be reached: trunk/factory\"\r\n");
    assert_int_equal(last_report(w)->state, CALL_ENDED);
    assert_int_equal(last_report(w)->code, 503);
}

static void a_name_that_does_not_resolve(void **state)
{
    struct world *w = *state;
    w->n.hops[0][0].host = SLICE("no-such-host.invalid");
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->c, "INVITE");
    assert_int_equal(kit_count(&w->n, "edge", "names_unresolved"), 1);
    assert_int_equal(kit_count(&w->n, "dns", "lookups"), 1);
}

static void no_transport_for_it(void **state)
{
    struct world *w = *state;
    w->n.hops[0][0].transport = PLAN_TLS; /* this node has no TLS listener */
    invite(w);
    ua_expect_code(&w->k, &w->a, 503);
}

static void sips_goes_by_tls_or_not_at_all(void **state)
{
    struct world *w = *state;
    char uri[64];
    (void)snprintf(uri, sizeof uri, "SIPS:8123@127.0.0.1:%u", w->n.port);
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "s1", .uri = uri});
    ua_expect_code(&w->k, &w->a, 480);
    ua_has(&w->a, "Reason: SIP;cause=480;text=\"a sips URI is not called without TLS: trunk/factory\"");
    assert_int_equal(kit_count(&w->n, "edge", "without_tls"), 2);
    assert_int_equal(kit_count(&w->n, "edge", "forwarded"), 0);
    acknowledge(w, "s1", NULL);
}

/* One target's 503 says nothing of us: 500, with the cause. */
static void all_503_is_500(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "Retry-After: 3600\r\n");
    ua_expect_code(&w->k, &w->a, 500);
    ua_has(&w->a, "Reason: SIP;cause=503;");
    ua_lacks(&w->a, "Retry-After");
}

static void the_best_of_several(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 408, "X-From: b\r\n");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 504, "");
    ua_expect_code(&w->k, &w->a, 408);
    ua_has(&w->a, "X-From: b");
}

/* ---- silence ---- */

static void silence_moves_on_and_a_late_answer_counts(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->c, "INVITE"); /* after no_answer_ms */
    ua_reply(&w->c, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_keep(&w->c);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->c, "CANCEL");
    assert_int_equal(kit_count(&w->n, "edge", "timeouts"), 1);
    assert_int_equal(last_report(w)->state, CALL_ANSWERED);
    assert_string_equal(last_report(w)->target, "trunk/factory"); /* who has the call, not who was tried last */
}

/* The one that was given up answers when the caller has been told of a failure already: RFC 3261 §16.7 item 5 lets it
 * through, and the caller ends it. */
static void silence_then_an_answer_too_late(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 408); /* nobody said so, but it was tried first */
    acknowledge(w, "i1", "call-1");
    assert_int_equal(last_report(w)->state, CALL_ENDED);
    size_t reports = w->n.report_count;
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(w->n.report_count, reports); /* the record stays as it ended, and is released once */
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* The caller asks again while the second target is tried: it hears that somebody is at work, and nobody rings twice. */
static void repeated_during_failover(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_keep(&w->c);
    invite(w);
    ua_expect_code(&w->k, &w->a, 100);
    ua_expect_nothing(&w->k, &w->c);
    ua_answer(&w->c, &w->c.kept_v, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
    invite(w); /* RFC 6026: the callee repeats its 200, not we */
    kit_until(&w->k, kit_count(&w->n, "edge", "requests_repeated") == 2);
    ua_expect_nothing(&w->k, &w->a);
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(kit_count(&w->n, "edge", "calls_started"), 1);
}

/* Who asked is not there any more: the call goes its way, and its end is seen. */
static void the_caller_is_gone(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->a.port);
    ua_close(&w->a);
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_route_set(&w->c.v, false, routes, sizeof routes);
    ua_reply(&w->c, 180, "");
    ua_reply(&w->c, 200, contact_line(&w->c));
    kit_until(&w->k, w->n.report_count > 0 && last_report(w)->state == CALL_ANSWERED);
    ua_request(
        &w->c, &w->n,
        &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .from = CALLEE, .to = CALLER, .lines = routes});
    kit_until(&w->k, last_report(w)->state == CALL_ENDED);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
    ua_open(&w->a);
}

static void silence_then_ringing_is_cancelled(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_has(&w->b, "\r\nReason: SIP;cause=408;");
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_reply(&w->c, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200); /* and no 180 of the one that was given up */
}

static void the_last_one_is_given_time(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->b, "INVITE"); /* Timer A, 500 ms: beyond no_answer_ms */
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
}

/* RFC 3261 §18.1.1: over 1300 bytes by TCP; the callee has no TCP, so then by UDP all the same. */
static void too_large_for_udp(void **state)
{
    struct world *w = *state;
    char lines[1200];
    (void)snprintf(lines, sizeof lines, "X-Filler: %01150d\r\n", 7);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1", .lines = lines});
    ua_expect(&w->k, &w->b, "INVITE");
    assert_true(w->b.v.len > 1300 && slice_is(w->b.v.via.transport, "UDP"));
    assert_int_equal(kit_count(&w->n, "edge", "too_large_for_udp"), 1);
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486); /* and no third attempt */
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_nothing(&w->k, &w->b);
    acknowledge(w, "i1", "call-1");
    /* That there is no TCP is remembered. */
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE", .branch = "i2", .call_id = "call-2", .lines = lines});
    ua_expect(&w->k, &w->b, "INVITE");
    assert_true(w->b.v.len > 1300);
    assert_int_equal(kit_count(&w->n, "edge", "too_large_for_udp"), 1);
}

/* ---- Timer C ---- */

static int open_ringing_short(void **state)
{
    kit_ring_ms = 200;
    int result = world_open(state);
    kit_ring_ms = 0;
    return result;
}

/* Rings without an end: it is cancelled, and nobody else is rung after so long. A new provisional puts it off. */
static void rings_for_ever(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    uint64_t again = kit_ms();
    ua_answer(&w->b, &w->b.kept_v, 183, "");
    ua_expect_code(&w->k, &w->a, 183);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_has(&w->b, "\r\nReason: SIP;cause=408;text=\"Request Timeout\"\r\n");
    assert_true(kit_ms() - again >= 199);
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 183, ""); /* on its way still */
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_code(&w->k, &w->a, 408);
    ua_has(&w->a, "no final answer in time");
    ua_expect_nothing(&w->k, &w->c);
    assert_int_equal(kit_count(&w->n, "edge", "timer_c"), 1);
    assert_int_equal(last_report(w)->code, 408);
}

/* Picked up in the moment in which it was cancelled for that. */
static void answered_after_timer_c(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(last_report(w)->state, CALL_ANSWERED);
}

/* ---- CANCEL ---- */

/* Nobody was heard at all: the caller waits for no more than a target is given to say something. Who is heard late is
 * cancelled. */
static void cancel_into_silence(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    cancel(w);
    ua_expect_code(&w->k, &w->a, 487);
    acknowledge(w, "i1", "call-1");
    assert_int_equal(last_report(w)->code, 487);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    do {
        ua_next(&w->k, &w->b); /* the INVITE may come again first */
    } while (w->b.v.method == SIP_INVITE);
    assert_true(slice_is(w->b.v.method_text, "CANCEL"));
    ua_expect_nothing(&w->k, &w->a);
    ua_expect_nothing(&w->k, &w->c);
}

/* The last one is given more time; when the caller then hangs up, no more than that. */
static void cancel_into_long_silence(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_expect(&w->k, &w->b, "INVITE"); /* Timer A, 500 ms: beyond no_answer_ms */
    cancel(w);
    ua_expect_code(&w->k, &w->a, 487);
    acknowledge(w, "i1", "call-1");
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* RFC 4320 §4.2: no 408 goes back; nor does what comes again go on as something new. */
static void a_408_to_no_invite(void **state)
{
    struct world *w = *state;
    const struct request message = {.method = "MESSAGE", .branch = "m1"};
    ua_request(&w->a, &w->n, &message);
    ua_expect(&w->k, &w->b, "MESSAGE");
    ua_reply(&w->b, 408, "");
    kit_until(&w->k, kit_count(&w->n, "edge", "responses") == 1);
    ua_request(&w->a, &w->n, &message);
    ua_expect_nothing(&w->k, &w->b);
    ua_expect_nothing(&w->k, &w->a);
}

static void cancel_while_ringing(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    cancel(w);
    ua_expect(&w->k, &w->b, "CANCEL");
    assert_true(slice_eq(w->b.v.via.branch, w->b.kept_v.via.branch));
    assert_true(slice_eq(w->b.v.uri, w->b.kept_v.uri));
    assert_int_equal(w->b.v.first[SIP_VIA], w->b.v.last[SIP_VIA]);
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect_code(&w->k, &w->a, 487);
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_nothing(&w->k, &w->c); /* no failover after a CANCEL */
    assert_int_equal(last_report(w)->code, 487);
}

static void cancel_before_any_answer(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    cancel(w);
    ua_expect_nothing(&w->k, &w->b); /* RFC 3261 §9.1: not before a provisional */
    ua_answer(&w->b, &w->b.kept_v, 100, "");
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_lacks(&w->b, "Reason"); /* the caller gave none */
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect_code(&w->k, &w->a, 487);
}

/* What the caller said is kept for the 1xx, as much of it as a small CANCEL carries. */
static void a_reason_waits_for_a_provisional(void **state)
{
    struct world *w = *state;
    char lines[1024];
    (void)snprintf(lines, sizeof lines,
                   "Reason: Q.850;cause=17\r\nReason: X;text=\"%0500d\"\r\nReason: SIP;cause=486\r\n", 0);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1", .lines = lines});
    ua_expect_code(&w->k, &w->a, 200);
    cancel(w); /* again, and it says nothing now */
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_has(&w->b, "\r\nReason: Q.850;cause=17\r\nReason: SIP;cause=486\r\nMax-Forwards: 70\r\n");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect_code(&w->k, &w->a, 487);
}

static void cancel_and_answer_cross(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    cancel(w);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(last_report(w)->state, CALL_ANSWERED);
    /* Too late for another. */
    cancel(w);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_expect_nothing(&w->k, &w->b);
}

static void no_failover_after_cancel(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    cancel(w);
    ua_answer(&w->b, &w->b.kept_v, 503, "");
    ua_expect_code(&w->k, &w->a, 500);
    ua_expect_nothing(&w->k, &w->c);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(codes_that_move_on),
        WITH_WORLD(codes_that_end),
        WITH_WORLD(codes_of_the_route),
        WITH_WORLD(next_hop_before_next_target),
        WITH_WORLD(dead_port_moves_on_at_once),
        WITH_WORLD(dead_tcp_port_moves_on),
        WITH_WORLD(nothing_reachable_is_503),
        WITH_WORLD(a_name_that_does_not_resolve),
        WITH_WORLD(no_transport_for_it),
        WITH_WORLD(sips_goes_by_tls_or_not_at_all),
        WITH_WORLD(all_503_is_500),
        WITH_WORLD(the_best_of_several),
        WITH_WORLD(silence_moves_on_and_a_late_answer_counts),
        WITH_WORLD(silence_then_an_answer_too_late),
        WITH_WORLD(silence_then_ringing_is_cancelled),
        WITH_WORLD(repeated_during_failover),
        WITH_WORLD(the_caller_is_gone),
        cmocka_unit_test_setup_teardown(rings_for_ever, open_ringing_short, world_close),
        cmocka_unit_test_setup_teardown(answered_after_timer_c, open_ringing_short, world_close),
        WITH_WORLD(cancel_into_silence),
        WITH_WORLD(the_last_one_is_given_time),
        WITH_WORLD(too_large_for_udp),
        WITH_WORLD(cancel_into_long_silence),
        WITH_WORLD(a_408_to_no_invite),
        WITH_WORLD(cancel_while_ringing),
        WITH_WORLD(cancel_before_any_answer),
        WITH_WORLD(a_reason_waits_for_a_provisional),
        WITH_WORLD(cancel_and_answer_cross),
        WITH_WORLD(no_failover_after_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
