/* The calls of a node that is registered outside: to what it registered, and through the registrar. */
#include "client_kit.h"

/* ---- calls to what is registered ---- */

static void invite(struct world *w, struct ua *from, const char *uri, const char *to, const char *branch,
                   const char *lines)
{
    ua_request(from, &w->n,
               &(struct request){
                   .method = "INVITE", .branch = branch, .call_id = branch, .uri = uri, .to = to, .lines = lines});
}

static void whom_a_call_is_for(void **state)
{
    struct world *w = *state;
    char contact[256];
    char other[256];
    static const struct {
        const char *user; /* in place of ours, NULL: ours */
        const char *to;
        const char *lines;
        const char *dialled;
    } rows[] = {
        {NULL, "<sip:493@carrier.example>", "", "493"},
        {NULL, "<sip:+4930@carrier.example>", "", "+4930"},
        {NULL, "<sip:00900@carrier.example>", "", "493"}, /* the caller writes To */
        {NULL, "<sip:0@x>", "P-Called-Party-ID: <sip:+4931@carrier.example>\r\n", "+4931"},
        {NULL, "<sip:+4932@x>", "P-Called-Party-ID: <sip:00900@carrier.example>\r\n", "+4932"},
        {"8123", "<sip:1@carrier.example>", "", "8123"}, /* the registrar writes the contact */
    };
    register_at(w, &w->c);
    contact_uri(w, contact, sizeof contact);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char branch[16];
        (void)snprintf(branch, sizeof branch, "i%zu", i);
        (void)snprintf(other, sizeof other, "sip:%s%s", rows[i].user, strchr(contact, '@'));
        invite(w, &w->c, rows[i].user != NULL ? other : contact, rows[i].to, branch, rows[i].lines);
        ua_expect(&w->k, &w->b, "INVITE");
        assert_string_equal(w->n.dialled, rows[i].dialled);
        assert_int_equal(w->n.source, EDGE_SOURCE_TRUNK);
        assert_string_equal(w->n.source_name, "carrier");
        ua_reply(&w->b, 486, "");
        ua_expect(&w->k, &w->b, "ACK");
        ua_expect_code(&w->k, &w->c, 486);
    }
    ua_request(&w->c, &w->n, &(struct request){.method = "OPTIONS", .branch = "o1", .uri = contact});
    ua_expect_code(&w->k, &w->c, 200);
    size_t questions = w->n.questions;
    memset(strstr(contact, "line=") + 5, '0', 32);
    invite(w, &w->c, contact, NULL, "i9", NULL);
    ua_expect_code(&w->k, &w->c, 407);
    assert_int_equal(w->n.questions, questions);
}

/* RFC 3327: the registrar calls by the proxies that its Path names, the last of which is next to us. */
static void calls_by_a_proxy_of_the_path(void **state)
{
    static const char *const paths[] = {"", "Path: <sip:127.0.0.2;lr>, <sip:127.0.0.3;lr>\r\n",
                                        "Path: <sip:127.0.0.3;lr>\r\nPath: <sip:127.0.0.2;lr>\r\n",
                                        "Path: <sip:nowhere.invalid;lr>\r\n"};
    static const unsigned codes[] = {407, 407, 486, 407};
    struct world *w = *state;
    struct ua proxy;
    char contact[256];
    ua_open_at(&proxy, "127.0.0.2");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char branch[16];
        (void)snprintf(branch, sizeof branch, "p%zu", i);
        struct edge_registration o = settings(w->c.port, 0, PLAN_UDP);
        o.expires_s = 600 + (uint32_t)i; /* other settings: it begins anew */
        assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
        if (i > 0) {
            ua_expect(&w->k, &w->c, "REGISTER");
            ua_reply(&w->c, 200, "");
        }
        assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
        ua_expect(&w->k, &w->c, "REGISTER");
        accept_it(&w->c, 600, paths[i]);
        kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
        if (i == 3) kit_until(&w->k, kit_count(&w->n, "client", "unresolved") == 1);
        contact_uri(w, contact, sizeof contact);
        invite(w, &proxy, contact, NULL, branch, NULL);
        if (codes[i] == 486) {
            ua_expect(&w->k, &w->b, "INVITE");
            assert_string_equal(w->n.source_name, "carrier");
            ua_reply(&w->b, 486, "");
        }
        ua_expect_code(&w->k, &proxy, codes[i]);
    }
    ua_close(&proxy);
}

static void once_given_back_nobody_is_called(void **state)
{
    struct world *w = *state;
    char contact[256];
    register_at(w, &w->c);
    contact_uri(w, contact, sizeof contact);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
    ua_expect(&w->k, &w->c, "REGISTER");
    invite(w, &w->c, contact, NULL, "i1", NULL);
    ua_expect_code(&w->k, &w->c, 407);
}

/* ---- calls through it ---- */

/* The target is the registrar w->b. */
static void call_through(struct world *w)
{
    w->n.target_count = 0;
    (void)kit_target(&w->n, "trunk/carrier", w->b.port);
    register_at(w, &w->b);
}

static void a_challenge_is_answered(void **state)
{
    struct world *w = *state;
    char first[64];
    char uri[64];
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "Proxy-Authorization");
    kit_put(first, sizeof first, w->b.v.via.branch);
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    assert_true(slice_is(w->b.v.via.branch, first));
    ua_expect(&w->k, &w->b, "INVITE");
    assert_false(slice_is(w->b.v.via.branch, first));
    (void)snprintf(uri, sizeof uri, "uri=\"sip:8123@127.0.0.1:%u\"", w->b.port);
    ua_has(&w->b, "Proxy-Authorization: Digest username=\"u1\", realm=\"carrier\"");
    ua_has(&w->b, uri);
    ua_keep(&w->b);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(kit_count(&w->n, "client", "calls_challenged"), 1);
    assert_int_equal(kit_count(&w->n, "edge", "failovers"), 0);
}

/* Who asks again refuses us: that is no matter of the caller's, and the next target is tried. */
static void a_refusal_of_ours_moves_on(void **state)
{
    struct world *w = *state;
    call_through(w);
    (void)kit_target(&w->n, "trunk/other", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    for (int i = 0; i < 2; i++) {
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
        ua_expect(&w->k, &w->b, "ACK");
    }
    ua_expect(&w->k, &w->c, "INVITE");
    ua_lacks(&w->c, "Proxy-Authorization");
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(kit_count(&w->n, "client", "calls_refused"), 1);
    /* without another one the caller is not asked for a password that it does not have */
    w->n.target_count = 1;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i2", .call_id = "call-2"});
    for (int i = 0; i < 2; i++) {
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
        ua_expect(&w->k, &w->b, "ACK");
    }
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "does not take the password that we have for it");
}

/* The challenge of somebody with whom we are not registered is the caller's to answer. */
static void a_challenge_of_others_passes(void **state)
{
    struct world *w = *state;
    register_at(w, &w->c);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect_code(&w->k, &w->a, 407);
    ua_has(&w->a, "Proxy-Authenticate: Digest realm=\"carrier\"");
}

static void a_challenge_inside_a_call(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    call_through(w);
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "BYE");
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "BYE");
    ua_has(&w->b, "Proxy-Authorization: Digest username=\"u1\"");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
}

/* The registrar that called asks who we are when the callee hangs up. */
static void a_challenge_by_the_caller(void **state)
{
    struct world *w = *state;
    char contact[256];
    char routes[512];
    char uri[64];
    register_at(w, &w->c);
    contact_uri(w, contact, sizeof contact);
    invite(w, &w->c, contact, NULL, "i1", NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_route_set(&w->b.v, false, routes, sizeof routes);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->c, 200);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->c.port);
    ua_request(&w->b, &w->n,
               &(struct request){.method = "BYE",
                                 .branch = "b1",
                                 .call_id = "i1",
                                 .uri = uri,
                                 .from = CALLEE,
                                 .to = CALLER,
                                 .lines = routes});
    ua_expect(&w->k, &w->c, "BYE");
    ua_reply(&w->c, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->c, "BYE");
    ua_has(&w->c, "Proxy-Authorization: Digest username=\"u1\"");
}

/* The Route of a call takes its sides anywhere, but our password only to the trunk that the call is with. */
static void a_challenge_in_a_call_with_others(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    register_at(w, &w->c);
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:+900123@127.0.0.1:%u", w->c.port);
    struct request r = {.method = "INVITE", .branch = "i2", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes};
    ua_request(&w->a, &w->n, &r);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect_code(&w->k, &w->a, 407);
    ua_has(&w->a, "Proxy-Authenticate: Digest realm=\"carrier\"");
    assert_int_equal(kit_count(&w->n, "client", "calls_challenged"), 0);
}

/* Nor does the caller use it for what is none of the call's dialogs, or where the call's record is gone. */
static void a_challenge_outside_the_call(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    call_through(w);
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:+900123@127.0.0.1:%u", w->b.port);
    struct request r = {
        .method = "INFO", .branch = "o1", .uri = uri, .to = "<sip:x@y>;tag=x", .cseq = 2, .lines = routes};
    struct request bye = {.method = "BYE", .branch = "b1", .uri = uri, .to = CALLEE, .cseq = 3, .lines = routes};
    for (int again = 0; again < 2; again++) {
        ua_request(&w->a, &w->n, &r);
        ua_expect(&w->k, &w->b, "INFO");
        ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
        ua_expect_code(&w->k, &w->a, 407);
        if (again) break;
        ua_request(&w->a, &w->n, &bye);
        ua_expect(&w->k, &w->b, "BYE");
        ua_reply(&w->b, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
        r.branch = "o2";
        r.to = CALLEE;
    }
    assert_int_equal(kit_count(&w->n, "client", "calls_challenged"), 0);
}

/* A call that is given up while the challenge is answered is given up. */
static void a_challenged_call_is_cancelled(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 401, "WWW-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect_code(&w->k, &w->a, 487);
}

/* What the registrar never saw it has not refused. */
static void an_answer_that_cannot_be_sent(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    uint32_t room = w->n.edge->transport->limits.udp_datagrams;
    w->n.edge->transport->limits.udp_datagrams = 0;
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    kit_until(&w->k, edge_load(w->n.edge).calls == 0);
    w->n.edge->transport->limits.udp_datagrams = room;
    for (size_t i = 0; i < w->n.report_count; i++)
        assert_null(strstr(w->n.reports[i].failed, "password"));
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "cannot send to");
}

/* One that is given up before the registrar has asked: the caller has no answer to that question. */
static void a_cancelled_call_is_challenged(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_code(&w->k, &w->a, 487);
    ua_lacks(&w->a, "Proxy-Authenticate");
    ua_expect_nothing(&w->k, &w->b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whom_a_call_is_for, world_open, world_close),
        cmocka_unit_test_setup_teardown(calls_by_a_proxy_of_the_path, world_open, world_close),
        cmocka_unit_test_setup_teardown(once_given_back_nobody_is_called, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_is_answered, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_refusal_of_ours_moves_on, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_of_others_passes, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_inside_a_call, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_by_the_caller, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_in_a_call_with_others, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_outside_the_call, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenged_call_is_cancelled, world_open, world_close),
        cmocka_unit_test_setup_teardown(an_answer_that_cannot_be_sent, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_cancelled_call_is_challenged, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
