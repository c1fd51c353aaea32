/* A neighbour that is a strict router (RFC 2543), on either side: RFC 3261 §16.4 and §16.6 item 6, and the walk through
 * §16.12.1.2. */
#include "call_kit.h"

/* Our Route value in a line of ua_route_set, without its brackets. */
static void own_value(const char *line, char *out, size_t size)
{
    const char *from = strchr(line, '<');
    const char *to = from != NULL ? strchr(from, '>') : NULL;
    assert_non_null(to);
    (void)snprintf(out, size, "%.*s", (int)(to - from - 1), from + 1);
}

/* An INFO of the caller, told from others by its number. */
static void info(struct world *w, unsigned cseq, const char *uri, const char *lines)
{
    char branch[16];
    (void)snprintf(branch, sizeof branch, "info%u", cseq);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INFO", .branch = branch, .uri = uri, .to = CALLEE, .cseq = cseq, .lines = lines});
}

/* The last Route is the Request-URI, whatever stands before it. */
static void from_a_strict_router(void **state)
{
    static const char *const between[] = {"", "\r\nRoute: ", ", "};
    struct world *w = *state;
    char routes[1024];
    char uri[512];
    char target[64];
    char other[64];
    call_up(w, routes, sizeof routes);
    own_value(routes, uri, sizeof uri);
    (void)snprintf(target, sizeof target, "sip:ua@127.0.0.1:%u", w->b.port);
    (void)snprintf(other, sizeof other, "<sip:c@127.0.0.1:%u;lr>", w->c.port);
    for (unsigned i = 0; i < 3; i++) {
        struct ua *next = i == 0 ? &w->b : &w->c;
        char lines[512];
        (void)snprintf(lines, sizeof lines, "Route: %s%s<%s>\r\n", i > 0 ? other : "", between[i], target);
        info(w, 2 + (unsigned)i, uri, lines);
        ua_expect(&w->k, next, "INFO");
        assert_true(slice_is(next->v.uri, target));
        unsigned line = next->v.first[SIP_ROUTE];
        if (i == 0) assert_int_equal(line, SIP_NO_LINE);
        if (i > 0) assert_true(slice_is(sip_line_value(&next->v, line), other));
        if (i > 0) assert_int_equal(next->v.lines[line].next, SIP_NO_LINE);
        ua_reply(next, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
    }
}

/* An ACK likewise: it goes end to end. */
static void an_ack_from_a_strict_router(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char uri[512];
    char lines[128];
    call_up(w, routes, sizeof routes);
    own_value(routes, uri, sizeof uri);
    (void)snprintf(lines, sizeof lines, "Route: <sip:ua@127.0.0.1:%u>\r\n", w->b.port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "k2", .uri = uri, .to = CALLEE, .lines = lines});
    ua_expect(&w->k, &w->b, "ACK");
    ua_lacks(&w->b, "Route:");
}

/* What is not genuine goes nowhere, in this form neither. */
static void forged(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char uri[512];
    char lines[128];
    call_up(w, routes, sizeof routes);
    own_value(routes, uri, sizeof uri);
    char *cookie = strstr(uri, ";ck=") + 4;
    *cookie = *cookie == '0' ? '1' : '0';
    (void)snprintf(lines, sizeof lines, "Route: <sip:ua@127.0.0.1:%u>\r\n", w->c.port);
    info(w, 2, uri, lines);
    ua_expect_code(&w->k, &w->a, 403);
    assert_int_equal(kit_count(&w->n, "edge", "refused_cookie"), 1);
    info(w, 3, uri, "Route: nonsense <\r\n");
    ua_expect_code(&w->k, &w->a, 400);
    ua_expect_nothing(&w->k, &w->c);
}

/* The next one gets its own value as the Request-URI; what that was is the last Route. */
static void to_a_strict_router(void **state)
{
    static const char *const more[] = {"", ", <sip:far.example;lr>, <sip:farther.example>"};
    struct world *w = *state;
    char routes[1024];
    call_up(w, routes, sizeof routes);
    routes[strlen(routes) - 2] = '\0';
    for (size_t i = 0; i < 2; i++) {
        char lines[2048];
        char uri[64];
        char expected[256];
        (void)snprintf(lines, sizeof lines, "%s, <sip:strict@127.0.0.1:%u;x=y>%s\r\n", routes, w->c.port, more[i]);
        (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
        info(w, 2 + (unsigned)i, uri, lines);
        ua_expect(&w->k, &w->c, "INFO");
        (void)snprintf(expected, sizeof expected, "INFO sip:strict@127.0.0.1:%u;x=y SIP/2.0\r\n", w->c.port);
        ua_has(&w->c, expected);
        (void)snprintf(expected, sizeof expected, "\r\nRoute: %s%s<%s>\r\n", i == 0 ? "" : more[i] + 2,
                       i == 0 ? "" : ", ", uri);
        ua_has(&w->c, expected);
        ua_lacks(&w->c, "ck=");
        assert_int_equal(w->c.v.lines[w->c.v.first[SIP_ROUTE]].next, SIP_NO_LINE);
        ua_reply(&w->c, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
    }
}

/* One on the caller's side, of which the callee was shown nothing. */
static void to_a_hidden_strict_router(void **state)
{
    struct world *w = *state;
    char lines[128];
    char routes[1024];
    char uri[512];
    char expected[256];
    struct arena arena = {0};
    struct sip_name_addr contact;
    w->n.targets[0].hide = true;
    (void)snprintf(lines, sizeof lines, "Record-Route: <sip:up@127.0.0.1:%u>, <sip:far.example;lr>\r\n", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1", .lines = lines});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "sip:up@");
    ua_keep(&w->b);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    ua_route_set(&w->b.kept_v, false, routes, sizeof routes);
    assert_int_equal(sip_name_addr_parse(&arena, sip_view_value(&w->b.kept_v, SIP_CONTACT), &contact), ERR_OK);
    (void)snprintf(uri, sizeof uri, "%.*s", SLICE_ARG(contact.uri_text));
    arena_fini(&arena);
    ua_send(&w->b, w->n.port,
            "BYE %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKb1\r\nMax-Forwards: 70\r\n%sFrom: " CALLEE
            "\r\nTo: " CALLER "\r\nCall-ID: call-1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            uri, w->b.port, routes);
    ua_expect(&w->k, &w->c, "BYE");
    (void)snprintf(expected, sizeof expected, "BYE sip:up@127.0.0.1:%u SIP/2.0\r\n", w->c.port);
    ua_has(&w->c, expected);
    (void)snprintf(expected, sizeof expected, "\r\nRoute: <sip:far.example;lr>, <sip:ua@127.0.0.1:%u>\r\n", w->a.port);
    ua_has(&w->c, expected);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(from_a_strict_router), WITH_WORLD(an_ack_from_a_strict_router), WITH_WORLD(forged),
        WITH_WORLD(to_a_strict_router),   WITH_WORLD(to_a_hidden_strict_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
