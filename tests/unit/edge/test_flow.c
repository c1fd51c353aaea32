/* Calls between phones whose contacts are addresses behind NAT: each side is reached the way that it came, inside the
 * dialog too. */
#include "call_kit.h"

#include "node/edge/edge_internal.h"
#include "node/edge/flow_token.h"

#define INSIDE_A "Contact: <sip:6001@10.1.1.1:5060>\r\n"
#define INSIDE_B "Contact: <sip:6002@10.2.2.2:5060>\r\n"

/* As a phone sends it, with its contact; ua_request has one that is true. */
static void phone_sends(struct ua *u, const struct kit_node *n, const char *method, const char *uri, const char *branch,
                        const char *from, const char *to, const char *lines)
{
    ua_send(u, n->port,
            "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\n"
            "To: %s\r\nCall-ID: call-1\r\nCSeq: 1 %s\r\n%sContent-Length: 0\r\n\r\n",
            method, uri, branch, from, to, method, lines);
}

static void to_b_behind_nat(struct world *w)
{
    (void)snprintf(w->n.texts[0][0], sizeof w->n.texts[0][0], "sip:6002@10.2.2.2:5060");
    (void)snprintf(w->n.texts[0][1], sizeof w->n.texts[0][1], "udp:127.0.0.1:%u", w->b.port);
    w->n.targets[0].text = SLICE("account/6002");
    w->n.hops[0][0].host = SLICE("127.0.0.1");
    w->n.hops[0][0].request_uri = slice_of(w->n.texts[0][0]);
    w->n.hops[0][0].received = slice_of(w->n.texts[0][1]);
    w->n.trunk_port = 0; /* the caller is a phone as well */
}

/* INVITE with credentials, up to the 200 at the caller; routes of each side. */
static void call_between_phones(struct world *w, const char *contact, char *from_a, char *from_b, size_t size)
{
    char uri[64];
    char lines[2048];
    char credentials[1024];
    (void)snprintf(uri, sizeof uri, "sip:6002@127.0.0.1:%u", w->n.port);
    phone_sends(&w->a, &w->n, "INVITE", uri, "i1", CALLER, "<sip:8123@example.org>", contact);
    ua_expect_code(&w->k, &w->a, 407);
    ua_authorize(&w->a, "secret", "INVITE", uri, credentials, sizeof credentials);
    (void)snprintf(lines, sizeof lines, "%s%s", credentials, contact);
    phone_sends(&w->a, &w->n, "INVITE", uri, "i2", CALLER, "<sip:8123@example.org>", lines);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_route_set(&w->b.v, false, from_b, size);
    ua_reply(&w->b, 200, INSIDE_B);
    ua_expect_code(&w->k, &w->a, 200);
    ua_route_set(&w->a.v, true, from_a, size);
}

static void both_sides_are_reached_where_they_are(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    to_b_behind_nat(w);
    call_between_phones(w, INSIDE_A, from_a, from_b, sizeof from_a);
    assert_non_null(strstr(from_a, ";fc="));
    assert_non_null(strstr(from_a, ";fd="));
    phone_sends(&w->a, &w->n, "ACK", "sip:6002@10.2.2.2:5060", "k1", CALLER, CALLEE, from_a);
    ua_expect(&w->k, &w->b, "ACK");
    phone_sends(&w->a, &w->n, "INFO", "sip:6002@10.2.2.2:5060", "n1", CALLER, CALLEE, from_a);
    ua_expect(&w->k, &w->b, "INFO");
    ua_has(&w->b, "INFO sip:6002@10.2.2.2:5060 SIP/2.0");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    phone_sends(&w->b, &w->n, "BYE", "sip:6001@10.1.1.1:5060", "y1", CALLEE, CALLER, from_b);
    ua_expect(&w->k, &w->a, "BYE");
    ua_reply(&w->a, 200, "");
    ua_expect_code(&w->k, &w->b, 200);
}

/* The numbers of 127.0.0.1, as a token has them that anybody may read. */
#define READABLE "7f000001"

/* A trunk that is shown nothing calls a phone behind NAT: what it gets back of our Record-Route still leads there. */
static void a_hidden_caller_reaches_it(void **state)
{
    struct world *w = *state;
    char routes[2048];
    char uri[512];
    to_b_behind_nat(w);
    w->n.trunk_port = w->a.port;
    w->n.trunk_hidden = true;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 200, INSIDE_B);
    ua_expect_code(&w->k, &w->a, 200);
    ua_lacks(&w->a, READABLE);
    struct slice contact = sip_view_value(&w->a.v, SIP_CONTACT);
    (void)snprintf(uri, sizeof uri, "%.*s", (int)contact.n - 2, contact.p + 1);
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "k1", .uri = uri, .to = CALLEE, .lines = routes});
    ua_expect(&w->k, &w->b, "ACK");
    ua_has(&w->b, "ACK sip:6002@10.2.2.2:5060 SIP/2.0");
}

/* A phone behind NAT calls such a trunk, which does not learn its address and reaches it nevertheless. */
static void a_hidden_callee_reaches_it(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    char uri[512];
    w->n.trunk_port = 0;
    w->n.targets[0].hide = true;
    call_between_phones(w, INSIDE_A, from_a, from_b, sizeof from_a);
    assert_null(strstr(from_b, READABLE));
    struct slice contact = sip_view_value(&w->b.v, SIP_CONTACT);
    (void)snprintf(uri, sizeof uri, "%.*s", (int)contact.n - 2, contact.p + 1);
    phone_sends(&w->b, &w->n, "BYE", uri, "y1", CALLEE, CALLER, from_b);
    ua_expect(&w->k, &w->a, "BYE");
    ua_has(&w->a, "BYE sip:6001@10.1.1.1:5060 SIP/2.0");
}

/* A trunk calls by way of b, a proxy outside that sends the call back to us and does not stay on the way, to a phone
 * behind NAT: of our two Record-Routes the one next to the phone has its flow. */
static void after_a_spiral(void **state)
{
    struct world *w = *state;
    char routes[2048];
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    w->n.target_count = 0;
    (void)kit_target(&w->n, "account/6002", w->c.port);
    (void)snprintf(w->n.texts[0][0], sizeof w->n.texts[0][0], "sip:6002@10.2.2.2:5060");
    (void)snprintf(w->n.texts[0][1], sizeof w->n.texts[0][1], "udp:127.0.0.1:%u", w->c.port);
    w->n.hops[0][0].request_uri = slice_of(w->n.texts[0][0]);
    w->n.hops[0][0].received = slice_of(w->n.texts[0][1]);
    spiral_to_c(w, "6002", INSIDE_B);
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    phone_sends(&w->a, &w->n, "ACK", "sip:6002@10.2.2.2:5060", "k1", CALLER, CALLEE, routes);
    ua_expect(&w->k, &w->c, "ACK");
}

/* A token that was changed, or that is the other side's, leads nowhere: the contact counts. */
static void nobody_else_writes_one(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    char elsewhere[64];
    to_b_behind_nat(w);
    call_between_phones(w, INSIDE_A, from_a, from_b, sizeof from_a);
    (void)snprintf(elsewhere, sizeof elsewhere, "sip:6002@127.0.0.1:%u", w->c.port);
    char *token = strstr(from_a, ";fd=") + 4;
    token[5] = token[5] == '0' ? '1' : '0'; /* another port */
    phone_sends(&w->a, &w->n, "INFO", elsewhere, "n1", CALLER, CALLEE, from_a);
    ua_expect(&w->k, &w->c, "INFO");
    token[5] = '\0';
    phone_sends(&w->a, &w->n, "INFO", elsewhere, "n2", CALLER, CALLEE, "");
    ua_expect_code(&w->k, &w->a, 481);
}

/* It listens to nothing: what is too large for UDP goes there by UDP. */
static void what_is_large_goes_the_same_way(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    char lines[4096];
    to_b_behind_nat(w);
    call_between_phones(w, INSIDE_A, from_a, from_b, sizeof from_a);
    int n = snprintf(lines, sizeof lines, "%sSubject: ", from_a);
    memset(lines + n, 'x', 1300);
    (void)snprintf(lines + n + 1300, sizeof lines - (size_t)n - 1300, "\r\n");
    phone_sends(&w->a, &w->n, "INFO", "sip:6002@10.2.2.2:5060", "n1", CALLER, CALLEE, lines);
    ua_expect(&w->k, &w->b, "INFO");
    ua_has(&w->b, "Via: SIP/2.0/UDP");
    assert_int_equal(kit_count(&w->n, "edge", "too_large_for_udp"), 0);
}

static void a_contact_that_is_true_needs_none(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    char contact[128];
    to_b_behind_nat(w);
    (void)snprintf(contact, sizeof contact, "Contact: <sip:6001@127.0.0.1:%u>\r\n", w->a.port);
    call_between_phones(w, contact, from_a, from_b, sizeof from_a);
    assert_null(strstr(from_a, ";fc="));
    assert_non_null(strstr(from_a, ";fd="));
}

static void one_that_wants_its_flow_gets_it(void **state)
{
    struct world *w = *state;
    char from_a[2048];
    char from_b[2048];
    char contact[128];
    to_b_behind_nat(w);
    (void)snprintf(contact, sizeof contact, "Contact: <sip:6001@127.0.0.1:%u;ob>\r\n", w->a.port);
    call_between_phones(w, contact, from_a, from_b, sizeof from_a);
    assert_non_null(strstr(from_a, ";fc="));
}

static void a_connection_that_is_gone(void **state)
{
    struct world *w = *state;
    char cookie[SIP_COOKIE_TEXT];
    char token[FLOW_TOKEN_TEXT];
    char routes[512];
    struct flow flow = {.transport = PLAN_TCP};
    struct flow_dialog d = {w->n.edge->dialog_mac, SLICE("call-1"), SLICE("caller")};
    assert_int_equal(sock_address_parse(SLICE("127.0.0.1"), 9, &flow.remote), ERR_OK);
    assert_int_equal(sip_dialog_cookie(d.key, d.call_id, d.caller_tag, 0, cookie), ERR_OK);
    assert_int_equal(flow_token_make(&d, FLOW_OF_CALLER, &flow, token), ERR_OK);
    (void)snprintf(routes, sizeof routes, "Route: <sip:127.0.0.1:%u;lr;ck=%s;fc=%s>\r\n", w->n.port, cookie, token);
    phone_sends(&w->b, &w->n, "BYE", "sip:6001@10.1.1.1:5060", "y1", CALLEE, CALLER, routes);
    ua_expect_code(&w->k, &w->b, 430);
    assert_int_equal(kit_count(&w->n, "edge", "refused_flow_lost"), 1);
}

/* Who hangs up has hung up, whether the other side can be reached or not. */
static void the_call_ends_nevertheless(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char token[FLOW_TOKEN_TEXT];
    char text[1200];
    struct flow flow = {.transport = PLAN_TCP};
    struct flow_dialog d = {w->n.edge->dialog_mac, SLICE("call-1"), SLICE("caller")};
    assert_int_equal(sock_address_parse(SLICE("127.0.0.1"), 9, &flow.remote), ERR_OK);
    assert_int_equal(flow_token_make(&d, FLOW_OF_CALLEE, &flow, token), ERR_OK);
    call_up(w, routes, sizeof routes);
    (void)snprintf(text, sizeof text, "%.*s;fd=%s>\r\n", (int)(strrchr(routes, '>') - routes), routes, token);
    phone_sends(&w->a, &w->n, "BYE", "sip:6002@10.2.2.2:5060", "y1", CALLER, CALLEE, text);
    ua_expect_code(&w->k, &w->a, 430);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
    assert_string_equal(w->n.reports[w->n.report_count - 1].reason, "the caller hung up");
}

/* RFC 5626 §5.3: a proxy on the way has lost the flow; the device has another. */
static void another_flow_is_tried(void **state)
{
    struct world *w = *state;
    kit_add_hop(&w->n, w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 430, "");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
}

static void tokens_hold_what_they_were_given(void **state)
{
    static const unsigned char secret[HASH_KEY_LEN] = "a key of thirty-two bytes ......";
    static const char *const hosts[] = {"192.0.2.7", "2001:db8::7"};
    struct mac *key = mac_new(secret);
    struct flow_dialog d = {key, SLICE("call"), SLICE("tag")};
    (void)state;
    assert_non_null(key);
    for (size_t i = 0; i < 6; i++) {
        char token[FLOW_TOKEN_TEXT];
        enum plan_transport transport;
        union sock_address address;
        struct flow flow = {.transport = (enum plan_transport)(i / 2)};
        assert_int_equal(sock_address_parse(slice_of(hosts[i % 2]), 50600, &flow.remote), ERR_OK);
        assert_int_equal(flow_token_make(&d, FLOW_OF_CALLEE, &flow, token), ERR_OK);
        assert_true(flow_token_read(&d, FLOW_OF_CALLEE, slice_of(token), &transport, &address));
        assert_int_equal(transport, flow.transport);
        assert_true(sock_address_eq(&address, &flow.remote));
        assert_false(flow_token_read(&d, FLOW_OF_CALLER, slice_of(token), &transport, &address));
        struct flow_dialog other = {key, SLICE("call"), SLICE("gat")};
        assert_false(flow_token_read(&other, FLOW_OF_CALLEE, slice_of(token), &transport, &address));
        for (size_t k = 0; k < strlen(token); k++) {
            char was = token[k];
            token[k] = was == '0' ? '1' : '0';
            assert_false(flow_token_read(&d, FLOW_OF_CALLEE, slice_of(token), &transport, &address));
            token[k] = was;
            assert_false(flow_token_read(&d, FLOW_OF_CALLEE, (struct slice){token, k}, &transport, &address));
        }
    }
    mac_free(key);
}

#define WITH_WORLD(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(both_sides_are_reached_where_they_are),
        WITH_WORLD(a_hidden_caller_reaches_it),
        WITH_WORLD(a_hidden_callee_reaches_it),
        WITH_WORLD(after_a_spiral),
        WITH_WORLD(nobody_else_writes_one),
        WITH_WORLD(what_is_large_goes_the_same_way),
        WITH_WORLD(a_contact_that_is_true_needs_none),
        WITH_WORLD(one_that_wants_its_flow_gets_it),
        WITH_WORLD(a_connection_that_is_gone),
        WITH_WORLD(the_call_ends_nevertheless),
        WITH_WORLD(another_flow_is_tried),
        cmocka_unit_test(tokens_hold_what_they_were_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
