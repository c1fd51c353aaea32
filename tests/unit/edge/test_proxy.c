/* The proxy over real sockets: calls, what is absorbed, and what is refused. */
#include "call_kit.h"

static struct world *world_of(void **state)
{
    return *state;
}

/* ---- calls ---- */

static void a_call(void **state)
{
    struct world *w = world_of(state);
    char routes[512];
    char uri[64];
    call_up(w, routes, sizeof routes);
    ua_lacks(&w->b, "Route:"); /* ours is gone, and there was no other */
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "BYE");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(edge_load(w->n.edge).calls, 0);

    static const enum call_state states[] = {CALL_TRYING, CALL_RINGING, CALL_ANSWERED, CALL_ENDED};
    assert_int_equal(w->n.report_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(w->n.reports[i].state, states[i]);
        assert_string_equal(w->n.reports[i].target, "trunk/factory");
        assert_string_equal(w->n.reports[i].dialled, "8123");
        assert_string_equal(w->n.reports[i].from, "100");
        assert_int_equal(w->n.reports[i].source, EDGE_SOURCE_TRUNK);
    }
    assert_int_equal(w->n.reports[3].code, 200);
    assert_string_equal(w->n.reports[3].reason, "the caller hung up");
}

static void the_callee_hangs_up(void **state)
{
    struct world *w = world_of(state);
    char routes[512];
    char uri[64];
    call_up(w, routes, sizeof routes);
    ua_route_set(&w->b.kept_v, false, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->a.port);
    ua_request(
        &w->b, &w->n,
        &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .from = CALLEE, .to = CALLER, .lines = routes});
    ua_expect(&w->k, &w->a, "BYE");
    ua_reply(&w->a, 200, "");
    ua_expect_code(&w->k, &w->b, 200);
    assert_string_equal(w->n.reports[3].reason, "the callee hung up");
}

static void what_the_callee_sees(void **state)
{
    struct world *w = world_of(state);
    char text[128];
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE",
                                 .branch = "i1",
                                 .lines = "x-STRANGE :  kept; as, is\r\nRecord-Route: <sip:before;lr>\r\n"});
    ua_expect(&w->k, &w->b, "INVITE");
    (void)snprintf(text, sizeof text,
                   "INVITE sip:8123@127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK", w->b.port,
                   w->n.port);
    assert_memory_equal(w->b.in, text, strlen(text));
    (void)snprintf(text, sizeof text, "\r\nRecord-Route: <sip:127.0.0.1:%u;lr;ck=", w->n.port);
    ua_has(&w->b, text);
    ua_has(&w->b, "\r\nMax-Forwards: 69\r\n");
    ua_has(&w->b, "\r\nSession-ID: ");
    ua_has(&w->b, "\r\nx-STRANGE :  kept; as, is\r\n");
    (void)snprintf(text, sizeof text,
                   "\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKi1;rport=%u;received=127.0.0.1\r\n", w->a.port,
                   w->a.port);
    ua_has(&w->b, text);
    assert_true(strstr(w->b.in, "ck=") < strstr(w->b.in, "<sip:before;lr>"));
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    ua_lacks(&w->a, w->n.texts[0][0]);
    assert_int_equal(w->a.v.first[SIP_VIA], w->a.v.last[SIP_VIA]); /* one Via line is left */
}

static void no_max_forwards_and_a_session_id(void **state)
{
    struct world *w = world_of(state);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE",
                                 .branch = "i1",
                                 .max_forwards = "",
                                 .lines = "Session-ID: 00112233445566778899aabbccddeeff\r\n"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_has(&w->b, "\r\nMax-Forwards: 70\r\n");
    ua_has(&w->b, "\r\nSession-ID: 00112233445566778899aabbccddeeff\r\n");
    ua_lacks(&w->b, ";remote=");
}

/* The number that 16 digits say, byte for byte. */
static uint64_t number_of(struct slice digits)
{
    uint64_t number = 0;
    assert_int_equal(hex_decode(digits, &number, sizeof number), ERR_OK);
    return number;
}

static uint64_t own_tag(struct world *w, const char *branch, const char *call_id)
{
    char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:127.0.0.1:%u", w->n.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "OPTIONS", .branch = branch, .uri = uri, .call_id = call_id});
    ua_expect_code(&w->k, &w->a, 200);
    return number_of(w->a.v.to_tag);
}

/* Hashes with one seed that are added up show it: what two of them differ by does not hang on the third. */
static void our_tags_are_no_sums(void **state)
{
    struct world *w = world_of(state);
    uint64_t by_x = own_tag(w, "1", "x") - own_tag(w, "2", "x");
    uint64_t by_y = own_tag(w, "1", "y") - own_tag(w, "2", "y");
    assert_true(by_x != 0 && by_y != 0 && by_x != by_y);
    assert_true(own_tag(w, "1", "x") - own_tag(w, "2", "x") == by_x); /* it is the same each time */
}

static void our_session_ids_are_no_two_hashes(void **state)
{
    struct world *w = world_of(state);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE", .branch = "i1", .call_id = "caller"}); /* as its tag */
    ua_expect(&w->k, &w->b, "INVITE");
    struct slice id = sip_view_value(&w->b.v, SIP_SESSION_ID);
    assert_true(id.n > 32);
    assert_true(memcmp(id.p, id.p + 16, 16) != 0);
}

static uint64_t mark_of(struct world *w, const char *branch, unsigned cseq)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "MESSAGE", .branch = branch, .cseq = cseq});
    ua_expect(&w->k, &w->b, "MESSAGE");
    struct slice own = w->b.v.via.branch;
    char digits[17];
    assert_int_equal(own.n, 40);
    (void)snprintf(digits, sizeof digits, "%.16s", own.p + own.n - 16);
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    return strtoull(digits, NULL, 16);
}

static void our_loop_marks_are_no_sums(void **state)
{
    struct world *w = world_of(state);
    uint64_t one = mark_of(w, "m1", 1);
    uint64_t two = mark_of(w, "m2", 2);
    assert_true(one != 0 && two != 0 && one != two && two - one != 1);
    assert_true(mark_of(w, "m3", 1) == one); /* by it a request that comes round is known */
}

static void repeats_are_absorbed(void **state)
{
    struct world *w = world_of(state);
    const struct request invite = {.method = "INVITE", .branch = "i1"};
    ua_request(&w->a, &w->n, &invite);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_request(&w->a, &w->n, &invite);
    ua_expect_code(&w->k, &w->a, 100);
    ua_request(&w->a, &w->n, &invite);
    ua_expect_code(&w->k, &w->a, 100);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_request(&w->a, &w->n, &invite);
    ua_expect_code(&w->k, &w->a, 180);
    ua_answer(&w->b, &w->b.kept_v, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    ua_expect(&w->k, &w->b, "ACK");
    ua_answer(&w->b, &w->b.kept_v, 486, ""); /* our ACK was lost */
    ua_expect(&w->k, &w->b, "ACK");
    ua_request(&w->a, &w->n, &invite); /* the 486 was lost */
    ua_expect_code(&w->k, &w->a, 486);
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = "i1", .to = CALLEE});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == 1);
    ua_expect_nothing(&w->k, &w->b);
    ua_expect_nothing(&w->k, &w->a);
    assert_int_equal(kit_count(&w->n, "edge", "requests_repeated"), 4);
    assert_int_equal(w->n.questions, 1);
    assert_int_equal(w->n.reports[w->n.report_count - 1].code, 486);
}

static void a_slow_callee_gets_the_caller_a_100(void **state)
{
    struct world *w = world_of(state);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect_nothing(&w->k, &w->a);
    uint64_t start = kit_ms();
    ua_expect_code(&w->k, &w->a, 100);
    assert_true(kit_ms() - start > 100); /* not at once */
    ua_answer(&w->b, &w->b.kept_v, 180, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 180);
    ua_answer(&w->b, &w->b.kept_v, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(kit_count(&w->n, "transport", "udp_sent"), 5); /* INVITE, 100, 180, 486, ACK: one 100 */
}

static void repeated_answers_pass(void **state)
{
    struct world *w = world_of(state);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    for (int i = 0; i < 3; i++) { /* the ACK does not come through: the callee says it again (RFC 6026) */
        ua_reply(&w->b, 200, contact_line(&w->b));
        ua_expect_code(&w->k, &w->a, 200);
    }
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    assert_int_equal(kit_count(&w->n, "edge", "calls_answered"), 1);
}

static void vias_in_one_line(void **state)
{
    struct world *w = world_of(state);
    struct slice vias[2];
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    vias[0] = sip_line_value(&w->b.v, w->b.v.first[SIP_VIA]);
    vias[1] = sip_line_value(&w->b.v, w->b.v.last[SIP_VIA]);
    ua_send(&w->b, w->n.port,
            "SIP/2.0 486 Busy\r\nv: %.*s, %.*s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n"
            "Content-Length: 0\r\n\r\n",
            SLICE_ARG(vias[0]), SLICE_ARG(vias[1]), CALLER, CALLEE);
    ua_expect_code(&w->k, &w->a, 486);
    ua_has(&w->a, "SIP/2.0 486 Busy\r\nv: SIP/2.0/UDP 127.0.0.1:");
    ua_has(&w->a, ";branch=z9hG4bKi1;rport=");
    assert_false(w->a.v.via.more);
}

static void other_methods(void **state)
{
    struct world *w = world_of(state);
    static const char *const methods[] = {"MESSAGE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "FROBNICATE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        ua_request(&w->a, &w->n, &(struct request){.method = methods[i], .branch = methods[i]});
        ua_expect(&w->k, &w->b, methods[i]);
        if (strcmp(methods[i], "SUBSCRIBE") == 0) {
            ua_has(&w->b, "Record-Route");
        } else {
            ua_lacks(&w->b, "Record-Route");
        }
        ua_reply(&w->b, 180, ""); /* no business of a request other than INVITE: RFC 4320 */
        ua_reply(&w->b, 202, "");
        ua_expect_code(&w->k, &w->a, 202);
        ua_request(&w->a, &w->n, &(struct request){.method = methods[i], .branch = methods[i]});
        ua_expect_code(&w->k, &w->a, 202);
    }
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(w->n.report_count, 0);
}

/* RFC 6665 §4.3: the subscriber takes its route set from the NOTIFY, and refreshes by it. */
static void a_subscription_stays_with_us(void **state)
{
    struct world *w = world_of(state);
    char routes[512];
    char uri[64];
    ua_request(&w->a, &w->n, &(struct request){.method = "SUBSCRIBE", .branch = "s1", .lines = "Event: dialog\r\n"});
    ua_expect(&w->k, &w->b, "SUBSCRIBE");
    ua_route_set(&w->b.v, false, routes, sizeof routes);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->a.port);
    ua_request(&w->b, &w->n,
               &(struct request){
                   .method = "NOTIFY", .branch = "n1", .uri = uri, .from = CALLEE, .to = CALLER, .lines = routes});
    ua_expect(&w->k, &w->a, "NOTIFY");
    ua_has(&w->a, "Record-Route: <sip:127.0.0.1:");
    ua_route_set(&w->a.v, false, routes, sizeof routes);
    ua_reply(&w->a, 200, "");
    ua_expect_code(&w->k, &w->b, 200);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "SUBSCRIBE", .branch = "s2", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "SUBSCRIBE");
}

/* ---- refusals ---- */

struct refusal {
    const char *name;
    struct request r;
    unsigned code;
    const char *counter;
    const char *says; /* in the answer, NULL */
};

static const struct refusal refusals[] = {
    {"Max-Forwards 0", {.method = "INVITE", .max_forwards = "Max-Forwards: 0\r\n"}, 483, "refused_max_forwards", NULL},
    {"a scheme that we do not speak",
     {.method = "INVITE", .uri = "mailto:bob@example.org"},
     416,
     "refused_scheme",
     NULL},
    {"Proxy-Require",
     {.method = "INVITE", .lines = "Proxy-Require: foo\r\n"},
     420,
     "refused_proxy_require",
     "Unsupported: foo"},
    {"a foreign Route",
     {.method = "INVITE", .lines = "Route: <sip:10.9.9.9;lr>\r\n"},
     403,
     "refused_foreign_route",
     NULL},
    {"a Route that does not parse", {.method = "INVITE", .lines = "Route: <sip:\r\n"}, 400, "refused_syntax", NULL},
    {"no From tag", {.method = "INVITE", .from = "<sip:100@pbx>"}, 400, "refused_syntax", NULL},
    {"a To tag without Route", {.method = "INVITE", .to = CALLEE}, 481, "refused_no_dialog", NULL},
    {"BYE without To tag", {.method = "BYE"}, 481, "refused_no_dialog", NULL},
    {"CANCEL of nothing", {.method = "CANCEL"}, 481, "cancels_unmatched", NULL},
    {"REGISTER elsewhere", {.method = "REGISTER", .uri = "sip:other.example"}, 403, "refused_register_elsewhere", NULL},
};

static void refused(void **state)
{
    struct world *w = world_of(state);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *c = &refusals[i];
        struct request r = c->r;
        char branch[16];
        (void)snprintf(branch, sizeof branch, "r%zu", i);
        r.branch = branch;
        uint64_t before = kit_count(&w->n, "edge", c->counter);
        ua_request(&w->a, &w->n, &r);
        ua_next(&w->k, &w->a);
        if (w->a.v.code != c->code) fail_msg("%s: %s", c->name, w->a.in);
        if (kit_count(&w->n, "edge", c->counter) != before + 1)
            fail_msg("%s is not counted as %s", c->name, c->counter);
        if (c->says != NULL) ua_has(&w->a, c->says);
    }
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(w->n.questions, 0);
}

static void our_route_with_a_foreign_one_behind(void **state)
{
    struct world *w = world_of(state);
    char lines[128];
    (void)snprintf(lines, sizeof lines, "Route: <sip:127.0.0.1:%u;lr>, <sip:10.9.9.9;lr>\r\n", w->n.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1", .lines = lines});
    ua_expect_code(&w->k, &w->a, 403);
    /* Ours alone is a preloaded Route to the proxy that the phone was told to use. */
    (void)snprintf(lines, sizeof lines, "Route: <sip:127.0.0.1:%u;lr>\r\n", w->n.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .lines = lines});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "\nRoute:");
}

static void forged_cookies(void **state)
{
    struct world *w = world_of(state);
    char routes[512];
    char uri[64];
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    char *cookie = strstr(routes, "ck=");
    assert_non_null(cookie);
    cookie[3] = cookie[3] == '0' ? '1' : '0';
    ua_request(&w->a, &w->n,
               &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .to = CALLEE, .lines = routes});
    ua_expect_code(&w->k, &w->a, 403);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "k2", .uri = uri, .to = CALLEE, .lines = routes});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_dropped") == 1);
    cookie[3] = cookie[3] == '0' ? '1' : '0';
    /* A genuine cookie of another call is worth as little. */
    char genuine[512];
    ua_route_set(&w->a.kept_v, true, genuine, sizeof genuine);
    ua_request(&w->a, &w->n,
               &(struct request){
                   .method = "BYE", .branch = "b2", .uri = uri, .to = CALLEE, .call_id = "call-2", .lines = genuine});
    ua_expect_code(&w->k, &w->a, 403);
    (void)snprintf(routes, sizeof routes, "Route: <sip:127.0.0.1:%u;lr>\r\n", w->n.port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "BYE", .branch = "b3", .uri = uri, .to = CALLEE, .lines = routes});
    ua_expect_code(&w->k, &w->a, 403);
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(kit_count(&w->n, "edge", "refused_cookie"), 3);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
}

/* RFC 3966 and the user part of RFC 3261 §19.1.6: what is dialled is the number, without what only pleases the eye. */
static void telephone_numbers(void **state)
{
    static const struct {
        const char *uri, *dialled;
    } rows[] = {
        {"tel:+49-30-(12).34", "+49301234"},
        {"tel:7100;phone-context=example.org", "7100"},
        {"tel:7100;ext=12;phone-context=+49-30", "7100"},
        {"sip:+49-30-12@127.0.0.1;user=phone", "+49-30-12"}, /* the plan's rules see it as it came */
        {"sip:7100;npdi;rn=+4930@127.0.0.1", "7100"},
        {"sip:%2b4930@127.0.0.1", "+4930"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char branch[8];
        (void)snprintf(branch, sizeof branch, "t%zu", i);
        ua_request(&w->a, &w->n,
                   &(struct request){.method = "MESSAGE", .branch = branch, .uri = rows[i].uri, .call_id = branch});
        ua_expect(&w->k, &w->b, "MESSAGE");
        assert_string_equal(w->n.dialled, rows[i].dialled);
        char line[64];
        (void)snprintf(line, sizeof line, "MESSAGE sip:8123@127.0.0.1:%u SIP/2.0\r\n", w->b.port);
        ua_has(&w->b, line);
        ua_reply(&w->b, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
    }
}

static void a_loop(void **state)
{
    struct world *w = world_of(state);
    w->n.targets[0].hops = w->n.hops[0];
    (void)snprintf(w->n.texts[0][0], sizeof w->n.texts[0][0], "sip:8123@127.0.0.1:%u", w->n.port);
    w->n.hops[0][0].request_uri = slice_of(w->n.texts[0][0]);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect(&w->k, &w->b, "INVITE");
    /* The other side sends it back as it is, from an address that we trust. */
    w->n.trunk_port = w->b.port;
    char again[16384];
    (void)snprintf(again, sizeof again, "%.*sVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKx;rport\r\n%s",
                   (int)w->b.v.first_line_end, w->b.in, w->b.port, w->b.in + w->b.v.first_line_end);
    ua_send_bytes(&w->b, w->n.port, again, strlen(again));
    ua_expect_code(&w->k, &w->b, 482);
    assert_int_equal(kit_count(&w->n, "edge", "refused_loop"), 1);
}

/* A Route that leads to another node, c, and back: as often as a call may come round, and once more. */
static void a_loop_by_the_route(void **state)
{
    struct world *w = world_of(state);
    char routes[512];
    char uri[64];
    char lines[2048];
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    const char *cookie = strstr(routes, ";lr;ck=");
    assert_non_null(cookie);
    for (int n = 3; n <= 5; n++) {
        char branch[8];
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(lines + len, sizeof lines - len, "Route: <sip:127.0.0.1:%u%.*s>\r\n",
                                    i % 2 ? w->c.port : w->n.port, 7 + 24, cookie);
        (void)snprintf(branch, sizeof branch, "l%d", n);
        ua_request(&w->a, &w->n,
                   &(struct request){.method = "INFO", .branch = branch, .uri = uri, .to = CALLEE, .lines = lines});
        if (n == 5) break;
        ua_expect(&w->k, &w->c, "INFO");
        ua_reply(&w->c, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
    }
    ua_expect_code(&w->k, &w->a, 482);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "l6", .uri = uri, .to = CALLEE, .lines = lines});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_dropped") == 1);
    ua_expect_nothing(&w->k, &w->c);
    assert_int_equal(kit_count(&w->n, "edge", "refused_loop"), 1);
}

static void no_target(void **state)
{
    struct world *w = world_of(state);
    w->n.target_count = 0;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect_code(&w->k, &w->a, 404);
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = "1", .to = CALLEE});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == 1);
    w->n.code = 480;
    w->n.words = "no \"binding\" of account/6001";
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .call_id = "2"});
    ua_expect_code(&w->k, &w->a, 480);
    ua_has(&w->a, "Reason: SIP;cause=480;text=\"no ?binding? of account/6001\"\r\n");
    assert_int_equal(w->n.report_count, 4); /* decided and ended, twice */
    assert_int_equal(w->n.reports[3].code, 480);
    assert_int_equal(w->n.reports[3].state, CALL_ENDED);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

static void options_to_us(void **state)
{
    struct world *w = world_of(state);
    char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:127.0.0.1:%u", w->n.port);
    w->n.trunk_port = 0; /* a stranger may ask */
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "OPTIONS", .branch = "1", .uri = uri, .max_forwards = "Max-Forwards: 0\r\n"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_has(&w->a, "Allow: INVITE");
    ua_has(&w->a, "Accept: application/sdp");
    ua_has(&w->a, "Supported: ");
    ua_request(&w->a, &w->n, &(struct request){.method = "OPTIONS", .branch = "2", .uri = "sip:example.org"});
    ua_expect_code(&w->k, &w->a, 200);
}

static void malformed(void **state)
{
    struct world *w = world_of(state);
    static const char bad_length[] =
        "INVITE sip:8123@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKm;rport\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:c@d>\r\nCall-ID: m\r\nCSeq: 1 INVITE\r\nContent-Length: 2147483640\r\n\r\n";
    static const char garbage[] = "\x16\x03\x01 hello \r\n\r\n";
    ua_send_bytes(&w->a, w->n.port, garbage, sizeof garbage - 1);
    ua_send_bytes(&w->a, w->n.port, bad_length, sizeof bad_length - 1);
    ua_expect_code(&w->k, &w->a, 400);
    assert_int_equal(kit_count(&w->n, "edge", "faults_answered"), 1);
    /* A response that belongs to nothing. */
    ua_send(&w->b, w->n.port,
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK0123456789abcdef.0123456789abcdef\r\nFrom: "
            "<sip:a@b>;tag=1\r\n"
            "To: <sip:c@d>;tag=2\r\nCall-ID: m\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
    kit_until(&w->k, kit_count(&w->n, "edge", "responses_unmatched") == 1);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_call),
        WITH_WORLD(the_callee_hangs_up),
        WITH_WORLD(what_the_callee_sees),
        WITH_WORLD(no_max_forwards_and_a_session_id),
        WITH_WORLD(our_tags_are_no_sums),
        WITH_WORLD(our_session_ids_are_no_two_hashes),
        WITH_WORLD(our_loop_marks_are_no_sums),
        WITH_WORLD(repeats_are_absorbed),
        WITH_WORLD(a_slow_callee_gets_the_caller_a_100),
        WITH_WORLD(repeated_answers_pass),
        WITH_WORLD(vias_in_one_line),
        WITH_WORLD(other_methods),
        WITH_WORLD(a_subscription_stays_with_us),
        WITH_WORLD(refused),
        WITH_WORLD(our_route_with_a_foreign_one_behind),
        WITH_WORLD(forged_cookies),
        WITH_WORLD(telephone_numbers),
        WITH_WORLD(a_loop),
        WITH_WORLD(a_loop_by_the_route),
        WITH_WORLD(no_target),
        WITH_WORLD(options_to_us),
        WITH_WORLD(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
