/* Trunks that are shown nothing: what they see of a call holds no address of those behind the node, and the dialog goes
 * on nevertheless, also after a restart. */
#include "call_kit.h"

#include "node/edge/proxy.h"

#define BEHIND "10.9.9."

/* What stands in front of the caller: two proxies, and the Via of a phone behind them. w->c is the nearer proxy. */
static void invite_from_behind(struct world *w, const char *branch)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "Via: SIP/2.0/UDP " BEHIND "1;branch=z9hG4bKinner, SIP/2.0/UDP " BEHIND "4;branch=z9hG4bKphone\r\n"
                   "Record-Route: <sip:127.0.0.1:%u;lr>\r\nRecord-Route: <sip:" BEHIND "3;lr>\r\n",
                   w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .lines = text});
}

static unsigned count_lines(const struct sip_view *v, enum sip_header id)
{
    unsigned count = 0;
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next)
        count++;
    return count;
}

/* Nothing in the message names a port of the sides behind, or a host of theirs. */
static void shows_nothing(const struct world *w, const struct ua *u, const struct ua *behind)
{
    char port[16];
    (void)snprintf(port, sizeof port, ":%u", behind->port);
    ua_lacks(u, port);
    (void)snprintf(port, sizeof port, ":%u", w->c.port);
    ua_lacks(u, port);
    ua_lacks(u, BEHIND);
}

/* The URI of the message's Contact. */
static const char *contact_of(const struct ua *u)
{
    static char uri[512];
    struct arena arena = {0};
    struct sip_name_addr addr;
    assert_int_equal(sip_name_addr_parse(&arena, sip_view_value(&u->v, SIP_CONTACT), &addr), ERR_OK);
    (void)snprintf(uri, sizeof uri, "%.*s", SLICE_ARG(addr.uri_text));
    arena_fini(&arena);
    return uri;
}

/* The same port, the key exchanged for another, and nothing remembered. */
static void restart(struct world *w)
{
    static struct kit_node fresh;
    char text[64];
    const char *const listen[] = {text, "tcp:127.0.0.1:0"};
    (void)snprintf(text, sizeof text, "udp:127.0.0.1:%u", w->n.port);
    bool hidden = w->n.trunk_hidden;
    kit_close(&w->k, &w->n, 0);
    kit_open(&w->k, &fresh, listen, 2, NULL);
    kit_close(&w->k, &fresh, 0);
    kit_new_key = "another key of the tests, 32 b..";
    kit_open(&w->k, &w->n, listen, 2, NULL);
    kit_new_key = NULL;
    w->n.trunk_port = w->a.port;
    w->n.trunk_hidden = hidden;
}

struct side_of_call {
    char uri[512];     /* of the other side, as this one was told */
    char routes[2048]; /* its Route line */
};

/* The callee is hidden from: w->b sees nothing of w->a and w->c. */
static void call_to_hidden(struct world *w, struct side_of_call *caller, struct side_of_call *callee)
{
    w->n.targets[0].hide = true;
    invite_from_behind(w, "i1");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    shows_nothing(w, &w->b, &w->a);
    assert_int_equal(count_lines(&w->b.v, SIP_VIA), 1);
    assert_int_equal(count_lines(&w->b.v, SIP_RECORD_ROUTE), 1);
    (void)snprintf(callee->uri, sizeof callee->uri, "%s", contact_of(&w->b));
    ua_route_set(&w->b.v, false, callee->routes, sizeof callee->routes);
    static const unsigned codes[] = {180, 200};
    for (size_t i = 0; i < 2; i++) {
        ua_answer(&w->b, &w->b.kept_v, codes[i], contact_line(&w->b));
        ua_expect_code(&w->k, &w->a, codes[i]);
        ua_has(&w->a, ";branch=z9hG4bKi1;rport");
        ua_has(&w->a,
               "Via: SIP/2.0/UDP " BEHIND "1;branch=z9hG4bKinner, SIP/2.0/UDP " BEHIND "4;branch=z9hG4bKphone\r\n");
        ua_has(&w->a, "<sip:" BEHIND "3;lr>");
        ua_lacks(&w->a, "hu=");
        ua_lacks(&w->a, "th.");
        assert_int_equal(count_lines(&w->a.v, SIP_VIA), 2);
    }
    /* Above ours there is nothing; below, the two in the order in which they came. */
    const char *own = strstr(w->a.in, "Record-Route: <sip:127.0.0.1:");
    const char *outer = strstr(w->a.in, BEHIND "3;lr>");
    assert_true(own != NULL && outer != NULL && own < outer);
    (void)snprintf(caller->uri, sizeof caller->uri, "sip:ua@127.0.0.1:%u", w->b.port);
    /* Only our own of the caller's Routes are left where the requests arrive here. */
    struct slice rest = sip_view_value(&w->a.v, SIP_RECORD_ROUTE);
    struct slice first;
    assert_true(sip_value_next(&rest, &first));
    assert_non_null(memmem(first.p, first.n, ";hm=2", 5));
    (void)snprintf(caller->routes, sizeof caller->routes, "Route: %.*s\r\n", SLICE_ARG(first));
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "ACK", .branch = "k1", .uri = caller->uri, .to = CALLEE, .lines = caller->routes});
    ua_expect(&w->k, &w->b, "ACK");
    shows_nothing(w, &w->b, &w->a);
    ua_lacks(&w->b, "Route:");
}

static void the_callee_sees_nothing(void **state)
{
    struct world *w = *state;
    struct side_of_call caller;
    struct side_of_call callee;
    char text[2400];
    call_to_hidden(w, &caller, &callee);
    for (int again = 0; again < 2; again++) {
        /* From inside: the Contact is new, the Via is not shown and comes back. */
        (void)snprintf(text, sizeof text, "%sVia: SIP/2.0/UDP " BEHIND "1;branch=z9hG4bKinner\r\n", caller.routes);
        ua_request(&w->a, &w->n,
                   &(struct request){.method = "INFO",
                                     .branch = again ? "f2" : "f1",
                                     .uri = caller.uri,
                                     .to = CALLEE,
                                     .cseq = 2 + (unsigned)again,
                                     .lines = text});
        ua_expect(&w->k, &w->b, "INFO");
        shows_nothing(w, &w->b, &w->a);
        if (!again) assert_string_equal(contact_of(&w->b), callee.uri);
        ua_reply(&w->b, 200, "");
        ua_expect_code(&w->k, &w->a, 200);
        ua_has(&w->a, "Via: SIP/2.0/UDP " BEHIND "1;branch=z9hG4bKinner\r\n");
        /* From the hidden side: what stood for others is these again. */
        ua_request(&w->b, &w->n,
                   &(struct request){.method = "INFO",
                                     .branch = again ? "g2" : "g1",
                                     .uri = callee.uri,
                                     .from = CALLEE,
                                     .to = CALLER,
                                     .cseq = 1 + (unsigned)again,
                                     .lines = callee.routes});
        ua_expect(&w->k, &w->c, "INFO");
        (void)snprintf(text, sizeof text, "INFO sip:ua@127.0.0.1:%u SIP/2.0\r\n", w->a.port);
        ua_has(&w->c, text);
        (void)snprintf(text, sizeof text, "Route: <sip:127.0.0.1:%u;lr>,<sip:" BEHIND "3;lr>\r\n", w->c.port);
        ua_has(&w->c, text);
        ua_lacks(&w->c, "hu=");
        ua_reply(&w->c, 200, "Contact: <sip:ua@" BEHIND "8>\r\nRecord-Route: <sip:" BEHIND "7;lr>\r\n");
        ua_expect_code(&w->k, &w->b, 200);
        shows_nothing(w, &w->b, &w->a);
        assert_true(slice_starts(slice_of(contact_of(&w->b)), SLICE("sip:th.")));
        if (!again) restart(w);
    }
}

/* The hidden side calls: its answer shows nothing of the callee's side. */
static void the_caller_sees_nothing(void **state)
{
    struct world *w = *state;
    char uri[512];
    char routes[2048];
    char text[512];
    w->n.trunk_hidden = true;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_has(&w->b, ";hm=1>");
    ua_has(&w->b, contact_line(&w->a)); /* inside, everything is seen */
    struct slice own = sip_view_value(&w->b.v, SIP_RECORD_ROUTE);
    (void)snprintf(text, sizeof text, "Record-Route: <sip:" BEHIND "3;lr>, <sip:127.0.0.1:%u;lr>\r\n%s", w->c.port,
                   contact_line(&w->b));
    /* As proxies further on would have it: theirs stand above ours. */
    struct buf b = {0};
    assert_int_equal(sip_response_build(&w->b.v, 200, SLICE(""), SLICE("callee"), SLICE(""), 0, slice_of(text), &b),
                     ERR_OK);
    struct sip_view v;
    assert_int_equal(sip_view_parse(&v, b.p, b.n, NULL), SIP_FAULT_NONE);
    struct sip_edits edits;
    struct buf moved = {0};
    sip_edits_init(&edits, &v);
    sip_edit_remove_line(&edits, v.first[SIP_RECORD_ROUTE]);
    (void)snprintf(routes, sizeof routes, "Record-Route: %.*s\r\n", SLICE_ARG(own));
    sip_edit_append(&edits, slice_of(routes));
    assert_int_equal(sip_edit_apply(&edits, &moved), ERR_OK);
    ua_send_bytes(&w->b, w->n.port, moved.p, moved.n);
    buf_fini(&b);
    buf_fini(&moved);
    ua_expect_code(&w->k, &w->a, 200);
    shows_nothing(w, &w->a, &w->b);
    assert_int_equal(count_lines(&w->a.v, SIP_RECORD_ROUTE), 1);
    (void)snprintf(uri, sizeof uri, "%s", contact_of(&w->a));
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    for (int again = 0; again < 2; again++) {
        ua_request(&w->a, &w->n,
                   &(struct request){
                       .method = "ACK", .branch = again ? "k2" : "k1", .uri = uri, .to = CALLEE, .lines = routes});
        ua_expect(&w->k, &w->c, "ACK");
        (void)snprintf(text, sizeof text, "ACK sip:ua@127.0.0.1:%u SIP/2.0\r\n", w->b.port);
        ua_has(&w->c, text);
        (void)snprintf(text, sizeof text, "Route: <sip:127.0.0.1:%u;lr>,<sip:" BEHIND "3;lr>\r\n", w->c.port);
        ua_has(&w->c, text);
        if (!again) restart(w);
    }
}

/* What was not made here is worth nothing. */
static void forged(void **state)
{
    struct world *w = *state;
    struct side_of_call caller;
    struct side_of_call callee;
    call_to_hidden(w, &caller, &callee);
    char *cloak = strstr(callee.uri, "th.");
    assert_non_null(cloak);
    cloak[8] = cloak[8] == 'A' ? 'B' : 'A';
    struct request bye = {
        .method = "BYE", .branch = "b1", .uri = callee.uri, .from = CALLEE, .to = CALLER, .lines = callee.routes};
    ua_request(&w->b, &w->n, &bye);
    ua_expect(&w->k, &w->c, "BYE"); /* the Route is genuine, and leads on; nothing is made of the URI */
    assert_non_null(strstr(w->c.in, callee.uri));
    assert_int_equal(kit_count(&w->n, "edge", "refused_cloak"), 1);
    char *routes = strstr(callee.routes, "hu=");
    assert_non_null(routes);
    routes[8] = routes[8] == 'A' ? 'B' : 'A';
    bye.branch = "b2";
    ua_request(&w->b, &w->n, &bye);
    ua_expect_code(&w->k, &w->b, 403);
    assert_int_equal(kit_count(&w->n, "edge", "refused_cloak"), 3);
    ua_expect_nothing(&w->k, &w->a);
    ua_expect_nothing(&w->k, &w->c);
}

/* Whether a side is hidden is not for that side to say: "hm" taken off, or changed. */
static void sides_taken_off(void **state)
{
    static const char *const forged[] = {";xx=2", ";hm=1", ";hm=3", ";hm=2"};
    struct world *w = *state;
    struct side_of_call caller;
    struct side_of_call callee;
    call_to_hidden(w, &caller, &callee);
    char *sides = strstr(callee.routes, ";hm=2");
    assert_non_null(sides);
    for (unsigned i = 0; i < 4; i++) {
        char branch[8];
        (void)snprintf(branch, sizeof branch, "h%u", i);
        memcpy(sides, forged[i], 5);
        ua_request(&w->b, &w->n,
                   &(struct request){.method = "INFO",
                                     .branch = branch,
                                     .uri = callee.uri,
                                     .from = CALLEE,
                                     .to = CALLER,
                                     .lines = callee.routes});
        if (i == 3) break;
        ua_expect_code(&w->k, &w->b, 403);
        assert_int_equal(kit_count(&w->n, "edge", "refused_cookie"), i + 1);
    }
    ua_expect(&w->k, &w->c, "INFO"); /* of the genuine one */
    ua_expect_nothing(&w->k, &w->a);
}

/* A hidden side that answers without our Record-Route, or with what is left of it. */
static void mangled_record_route(void **state)
{
    struct world *w = *state;
    char text[256];
    w->n.targets[0].hide = true;
    invite_from_behind(w, "i1");
    ua_expect(&w->k, &w->b, "INVITE");
    struct slice own = sip_view_value(&w->b.v, SIP_RECORD_ROUTE);
    const char *end = memmem(own.p, own.n, ";hm=2", 5);
    assert_non_null(end);
    (void)snprintf(text, sizeof text, "Record-Route: %.*s>\r\n%s", (int)(end - own.p), own.p, contact_line(&w->b));
    struct buf b = {0};
    struct sip_view bare = w->b.v;
    bare.first[SIP_RECORD_ROUTE] = SIP_NO_LINE;
    assert_int_equal(sip_response_build(&bare, 183, SLICE(""), SLICE("callee"), SLICE(""), 0, slice_of(text), &b),
                     ERR_OK);
    ua_send_bytes(&w->b, w->n.port, b.p, b.n);
    buf_fini(&b);
    ua_expect_code(&w->k, &w->a, 183);
    ua_has(&w->a, ";hm=2>\r\n"); /* so that the caller's requests are hidden as well */
    assert_int_equal(
        sip_response_build(&bare, 200, SLICE(""), SLICE("callee"), SLICE(""), 0, slice_of(contact_line(&w->b)), &b),
        ERR_OK);
    ua_send_bytes(&w->b, w->n.port, b.p, b.n);
    buf_fini(&b);
    ua_expect_code(&w->k, &w->a, 200);
    ua_lacks(&w->a, "Record-Route");
    assert_int_equal(count_lines(&w->a.v, SIP_VIA), 2);
}

/* CANCEL, failure and ACK are of our own making; failover goes on with another that may see everything. */
static void failures(void **state)
{
    struct world *w = *state;
    w->n.targets[0].hide = true;
    (void)kit_target(&w->n, "trunk/inside", w->c.port);
    invite_from_behind(w, "i1");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->b, "ACK");
    shows_nothing(w, &w->b, &w->a);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_has(&w->c, BEHIND "1;branch=z9hG4bKinner");
    ua_has(&w->c, contact_line(&w->a));
    ua_reply(&w->c, 486, "");
    ua_expect(&w->k, &w->c, "ACK");
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(count_lines(&w->a.v, SIP_VIA), 2);

    w->n.target_count = 1;
    invite_from_behind(w, "i2");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i2"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->b, "CANCEL");
    shows_nothing(w, &w->b, &w->a);
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_code(&w->k, &w->a, 487);
    ua_has(&w->a, "z9hG4bKinner");
}

/* The hidden side sends somebody to the Contact that it was given: the number behind it is dialled. */
static void a_cloak_outside_the_dialog(void **state)
{
    struct world *w = *state;
    struct side_of_call caller;
    struct side_of_call callee;
    call_to_hidden(w, &caller, &callee);
    w->n.dialled[0] = '\0';
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE", .branch = "t1", .uri = callee.uri, .call_id = "call-2"});
    ua_expect(&w->k, &w->b, "INVITE");
    assert_string_equal(w->n.dialled, "ua");
}

/* More than a header line holds is refused, not shown. */
static void too_much_to_hide(void **state)
{
    struct world *w = *state;
    char text[4096];
    size_t n = 0;
    w->n.targets[0].hide = true;
    for (unsigned i = 0; i < 60; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "Record-Route: <sip:" BEHIND "3:%u;lr;of=the-inside>\r\n",
                              i + 1);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1", .lines = text});
    ua_expect_code(&w->k, &w->a, 500);
    ua_expect_nothing(&w->k, &w->b);
    assert_int_equal(kit_count(&w->n, "edge", "hidden_too_long"), 1);
}

/* The transaction of the last request has had its time. */
static void expire(struct world *w)
{
    struct relay *r = CONTAINER_OF(w->n.edge->relays.prev, struct relay, node);
    struct branch *b = CONTAINER_OF(r->branches.next, struct branch, node);
    proxy_client_event(w->n.edge, &b->client, SIP_TX_EXPIRE);
}

/* An answer that cannot be shown never gets to the caller, who is told so when it will not come again. */
static void an_answer_with_too_much_to_hide(void **state)
{
    static const char *const methods[] = {"MESSAGE", "INVITE"};
    struct world *w = *state;
    char contact[3000];
    int n = snprintf(contact, sizeof contact, "Contact: <sip:ua@127.0.0.1:%u;x=", w->b.port);
    memset(contact + n, 'x', 2500);
    (void)snprintf(contact + n + 2500, sizeof contact - (size_t)n - 2500, ">\r\n");
    w->n.trunk_hidden = true;
    for (size_t i = 0; i < 2; i++) {
        ua_request(&w->a, &w->n, &(struct request){.method = methods[i], .branch = methods[i]});
        ua_expect(&w->k, &w->b, methods[i]);
        ua_reply(&w->b, 200, contact);
        kit_until(&w->k, kit_count(&w->n, "edge", "hidden_too_long") == i + 1);
        expire(w);
        ua_expect_code(&w->k, &w->a, 500);
        assert_int_equal(w->n.edge->open_relays, 0);
        assert_int_equal(edge_load(w->n.edge).calls, 0);
    }
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_callee_sees_nothing),
        IN_WORLD(the_caller_sees_nothing),
        IN_WORLD(forged),
        IN_WORLD(sides_taken_off),
        IN_WORLD(mangled_record_route),
        IN_WORLD(failures),
        IN_WORLD(a_cloak_outside_the_dialog),
        IN_WORLD(too_much_to_hide),
        IN_WORLD(an_answer_with_too_much_to_hide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
