/* Registering at outside registrars over real sockets: what is sent where, and what becomes of it. */
#include "client_kit.h"

/* ---- the registration ---- */

static void registered(void **state)
{
    struct world *w = *state;
    char expected[128];
    hold(w, w->b.port, 0);
    assert_int_equal(view(w).state, TRUNK_TRYING);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "REGISTER sip:carrier.example SIP/2.0\r\n");
    ua_has(&w->b, "To: <sip:493@carrier.example>\r\n");
    ua_has(&w->b, "Supported: path\r\n");
    (void)snprintf(expected, sizeof expected, "Contact: <sip:493@127.0.0.1:%u;line=", w->n.port);
    ua_has(&w->b, expected);
    ua_has(&w->b, "CSeq: 1 REGISTER\r\n");
    ua_lacks(&w->b, "Authorization");
    ua_reply(&w->b, 401, "WWW-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "CSeq: 2 REGISTER\r\n");
    ua_has(&w->b,
           "Authorization: Digest username=\"u1\", realm=\"carrier\", nonce=\"n1\", uri=\"sip:carrier.example\"");
    accept_it(&w->b, 600, "Service-Route: <sip:edge.carrier;lr>\r\n");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    struct edge_registration_view v = view(w);
    assert_int_equal(v.granted_s, 600);
    assert_true(v.expires.ms > v.since.ms && v.since.ms > 0);
    (void)snprintf(expected, sizeof expected, "udp:127.0.0.1:%u", w->b.port);
    assert_true(slice_is(v.at, expected));
    assert_true(slice_is(v.route, "<sip:edge.carrier;lr>"));
    assert_true(slice_is(v.reason, "200 OK"));
    assert_int_equal(w->n.registration_state, TRUNK_REGISTERED);
    /* the same settings once more change nothing, others begin anew when the old ones are given back */
    size_t news = w->n.registration_news;
    hold(w, w->b.port, 0);
    assert_int_equal(w->n.registration_news, news);
    struct edge_registration o = settings(w->b.port, 0, PLAN_UDP);
    o.user = SLICE("494");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "To: <sip:493@carrier.example>\r\n");
    ua_has(&w->b, "Expires: 0\r\n");
    ua_keep(&w->b);
    ua_expect_nothing(&w->k, &w->b);
    ua_answer(&w->b, &w->b.kept_v, 200, "");
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "To: <sip:494@carrier.example>\r\n");
    ua_has(&w->b, "Expires: 600\r\n");
}

static void refused(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_reply(&w->b, 403, "");
    kit_until(&w->k, view(w).state == TRUNK_REFUSED);
    assert_string_equal(w->n.registration_reason, "403 Forbidden");
    assert_int_equal(kit_count(&w->n, "client", "refused"), 1);
}

/* Nobody listens at the first address, the second cannot, and says who can. */
static void other_places(void **state)
{
    struct world *w = *state;
    char line[64];
    struct ua dead;
    ua_open(&dead);
    ua_close(&dead);
    hold(w, dead.port, w->b.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    (void)snprintf(line, sizeof line, "Contact: <sip:127.0.0.1:%u>\r\n", w->c.port);
    ua_reply(&w->b, 302, line);
    ua_expect(&w->k, &w->c, "REGISTER");
    (void)snprintf(line, sizeof line, "REGISTER sip:127.0.0.1:%u SIP/2.0\r\n", w->c.port);
    ua_has(&w->c, line);
    ua_has(&w->c, "To: <sip:493@carrier.example>\r\n");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    (void)snprintf(line, sizeof line, "udp:127.0.0.1:%u", w->c.port);
    assert_true(slice_is(view(w).at, line));
    assert_int_equal(kit_count(&w->n, "client", "redirects"), 1);
}

static void the_next_address_after_503(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, w->c.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->c, "REGISTER");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

/* The first one rests: after the second has failed, which is asked again soon, it is not asked. */
static void who_asks_for_rest_is_not_asked(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, w->c.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_reply(&w->b, 503, "Retry-After: 100\r\n");
    ua_expect(&w->k, &w->c, "REGISTER");
    ua_reply(&w->c, 500, "");
    ua_expect(&w->k, &w->c, "REGISTER");
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(kit_count(&w->n, "client", "rests"), 1);
    assert_int_equal(kit_count(&w->n, "client", "rests_kept"), 1);
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

static void both_are_asked_again_when_they_are_back(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, w->c.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    uint64_t asked_ms = kit_ms();
    ua_reply(&w->b, 503, "Retry-After: 1\r\n");
    ua_expect(&w->k, &w->c, "REGISTER");
    ua_reply(&w->c, 503, "Retry-After: 3000\r\n");
    ua_expect(&w->k, &w->b, "REGISTER");
    assert_true(kit_ms() - asked_ms >= 990);
    accept_it(&w->b, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

static void a_name_without_an_address(void **state)
{
    struct world *w = *state;
    struct edge_registration o = settings(w->b.port, 0, PLAN_UDP);
    address_list[0] = SLICE("registrar.invalid");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    kit_until(&w->k, kit_count(&w->n, "client", "unresolved") > 0);
    assert_string_equal(w->n.registration_reason, "its name has no address");
    /* the list may change while it is looked up */
    address_list[0] = SLICE("registrar2.invalid");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
}

static void what_a_dead_node_left_is_taken_away(void **state)
{
    struct world *w = *state;
    struct edge_registration o = settings(w->b.port, w->c.port, PLAN_UDP);
    o.stale = SLICE("sip:493@10.0.0.9:5060;line=x");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "Contact: <sip:493@10.0.0.9:5060;line=x>;expires=0\r\n");
    ua_reply(&w->b, 500, ""); /* perhaps it does not like two contacts */
    ua_expect(&w->k, &w->c, "REGISTER");
    ua_lacks(&w->c, "10.0.0.9");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

static void given_back(void **state)
{
    struct world *w = *state;
    struct edge_registration_view v;
    register_at(w, &w->b);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
    assert_false(edge_registration_find(w->n.edge, SLICE("carrier"), &v));
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, kit_count(&w->n, "client", "given_back") == 1);
}

static void given_back_at_the_end(void **state)
{
    struct world *w = *state;
    register_at(w, &w->b);
    edge_close(w->n.edge, 10000, kit_on_closed, &w->n);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    assert_false(w->n.closed);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, w->n.closed);
}

/* A registrar reads what comes at one moment in any order: the request that is under way has its answer first. */
static void given_back_after_the_answer(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_keep(&w->b);
    edge_close(w->n.edge, 10000, kit_on_closed, &w->n);
    ua_expect_nothing(&w->k, &w->b);
    ua_answer(&w->b, &w->b.kept_v, 200, "");
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    assert_false(w->n.closed);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, w->n.closed);
}

/* Without time to drain it goes out, and nobody waits for the answer. */
static void given_back_in_a_hurry(void **state)
{
    struct world *w = *state;
    register_at(w, &w->b);
    kit_close(&w->k, &w->n, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
}

static void given_back_before_the_answer(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=600\r\n");
    kit_close(&w->k, &w->n, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
}

/* ---- over a connection ---- */

struct stream {
    int listener;
    int fd;
    char in[4096];
    size_t len;
};

static uint16_t stream_listen(struct stream *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static void stream_accept(struct world *w, struct stream *s)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    s->len = 0;
    while ((s->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        kit_turn(&w->k, s->listener);
        if (kit_ms() > end) fail_msg("nobody connected");
    }
}

/* Until what has come holds text. */
static void stream_until(struct world *w, struct stream *s, const char *text)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    while (s->in[s->len] = '\0', strstr(s->in, text) == NULL) {
        ssize_t n = read(s->fd, s->in + s->len, sizeof s->in - 1 - s->len);
        if (n > 0) s->len += (size_t)n;
        if (n <= 0) kit_turn(&w->k, s->fd);
        if (kit_ms() > end) fail_msg("\"%s\" did not come, but:\n%s", text, s->in);
    }
}

static void stream_reply(struct stream *s, unsigned code)
{
    struct sip_view v;
    struct buf b = {0};
    assert_int_equal(sip_view_parse(&v, s->in, s->len, NULL), SIP_FAULT_NONE);
    assert_int_equal(sip_response_build(&v, code, SLICE(""), SLICE("t"), SLICE(""), 0, SLICE("Expires: 600\r\n"), &b),
                     ERR_OK);
    assert_int_equal(write(s->fd, b.p, b.n), (ssize_t)b.n);
    buf_fini(&b);
    s->len = 0;
}

/* A call comes over the connection that we opened; when it is lost, it is made and registered again. */
static void a_connection_that_is_lost(void **state)
{
    struct world *w = *state;
    struct stream s;
    struct edge_registration o = settings(stream_listen(&s), 0, PLAN_TCP);
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    stream_accept(w, &s);
    stream_until(w, &s, "\r\n\r\n");
    stream_reply(&s, 200);
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    (void)close(s.fd);
    kit_until(&w->k, kit_count(&w->n, "client", "flows_lost") == 1);
    assert_string_equal(w->n.registration_reason, "the connection to it was lost");
    stream_accept(w, &s);
    stream_until(w, &s, "CSeq: 2 REGISTER\r\n");
    stream_until(w, &s, "\r\n\r\n");
    stream_reply(&s, 200);
    kit_until(&w->k, strcmp(w->n.registration_reason, "200 OK") == 0);
    (void)close(s.fd);
    (void)close(s.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registered, world_open, world_close),
        cmocka_unit_test_setup_teardown(refused, world_open, world_close),
        cmocka_unit_test_setup_teardown(other_places, world_open, world_close),
        cmocka_unit_test_setup_teardown(the_next_address_after_503, world_open, world_close),
        cmocka_unit_test_setup_teardown(who_asks_for_rest_is_not_asked, world_open, world_close),
        cmocka_unit_test_setup_teardown(both_are_asked_again_when_they_are_back, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_name_without_an_address, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_a_dead_node_left_is_taken_away, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_at_the_end, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_after_the_answer, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_in_a_hurry, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_before_the_answer, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_connection_that_is_lost, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
