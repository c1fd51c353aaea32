/* Inside a dialog: nothing begins but at the other side of its call, whatever Route and Request-URI name. */
#include "call_kit.h"

#define DEVICE "sip:6001@example.org;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

struct dialog {
    struct world *w;
    struct ua third; /* at another host */
    char routes[512];
    char uri[64]; /* of the third */
    unsigned sent;
};

static int dialog_open(void **state)
{
    struct dialog *d = calloc(1, sizeof *d);
    assert_non_null(d);
    ua_open_at(&d->third, "127.0.0.9");
    (void)snprintf(d->uri, sizeof d->uri, "sip:x@127.0.0.9:%u", d->third.port);
    assert_int_equal(world_open((void **)&d->w), 0);
    *state = d;
    return 0;
}

static int dialog_open_brief(void **state)
{
    kit_idle_ms = 100;
    int result = dialog_open(state);
    kit_idle_ms = 0;
    return result;
}

static int dialog_close(void **state)
{
    struct dialog *d = *state;
    ua_close(&d->third);
    assert_int_equal(world_close((void **)&d->w), 0);
    free(d);
    return 0;
}

/* The caller asks inside the dialog. */
static void ask(struct dialog *d, const char *method, const char *uri, const char *lines)
{
    char branch[16];
    (void)snprintf(branch, sizeof branch, "d%u", ++d->sent);
    ua_request(&d->w->a, &d->w->n,
               &(struct request){
                   .method = method, .uri = uri, .branch = branch, .to = CALLEE, .cseq = 10 + d->sent, .lines = lines});
}

/* The callee asks. */
static void ask_back(struct dialog *d, const char *method, const char *uri, const char *contact)
{
    struct world *w = d->w;
    char routes[512];
    unsigned number = 100 + ++d->sent;
    ua_route_set(&w->b.kept_v, false, routes, sizeof routes);
    ua_send(&w->b, w->n.port,
            "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKback%u\r\n%sMax-Forwards: 70\r\nFrom: " CALLEE
            "\r\nTo: " CALLER "\r\nCall-ID: call-1\r\nCSeq: %u %s\r\nContact: <%s>\r\nContent-Length: 0\r\n\r\n",
            method, uri, w->b.port, number, routes, number, method, contact);
}

/* The callee answers the INVITE that it keeps, or another behind it does; routes are above ours. */
static void send_answer(struct dialog *d, const char *tag, const char *routes, const char *contact)
{
    struct world *w = d->w;
    struct buf b = {0};
    buf_text(&b, "SIP/2.0 200 OK\r\n");
    buf_text(&b, routes);
    assert_int_equal(sip_response_lines(&w->b.kept_v, slice_of(tag), SLICE(""), 0, &b), ERR_OK);
    for (unsigned i = w->b.kept_v.first[SIP_RECORD_ROUTE]; i != SIP_NO_LINE; i = w->b.kept_v.lines[i].next)
        buf_printf(&b, "Record-Route: %.*s\r\n", SLICE_ARG(sip_line_value(&w->b.kept_v, i)));
    buf_printf(&b, "Contact: %s\r\nContent-Length: 0\r\n\r\n", contact);
    ua_send_bytes(&w->b, w->n.port, b.p, b.n);
    buf_fini(&b);
}

static void nothing_came(struct dialog *d, uint64_t refusals)
{
    ua_expect_nothing(&d->w->k, &d->third);
    assert_int_equal(kit_count(&d->w->n, "edge", "refused_elsewhere"), refusals);
}

static const char *at(const struct ua *u)
{
    static char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", u->port);
    return uri;
}

static void a_third_party_in_the_request_uri(void **state)
{
    struct dialog *d = *state;
    static const char *const methods[] = {"INVITE", "INFO", "MESSAGE", "REFER", "OPTIONS", "UPDATE", "NEWER"};
    call_up(d->w, d->routes, sizeof d->routes);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        ask(d, methods[i], d->uri, d->routes);
        ua_expect_code(&d->w->k, &d->w->a, 403);
        ua_has(&d->w->a, "Reason: SIP;cause=403;text=\"it leads to no other side of a call\"");
        nothing_came(d, i + 1);
    }
    ask(d, "INFO", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "INFO");
}

static void a_third_party_in_a_route(void **state)
{
    struct dialog *d = *state;
    char routes[1024];
    call_up(d->w, d->routes, sizeof d->routes);
    (void)snprintf(routes, sizeof routes, "%sRoute: <%s;lr>\r\n", d->routes, d->uri);
    ask(d, "INFO", at(&d->w->b), routes);
    ua_expect_code(&d->w->k, &d->w->a, 403);
    (void)snprintf(routes, sizeof routes, "%sRoute: <%s>\r\n", d->routes, d->uri); /* a strict router */
    ask(d, "INFO", at(&d->w->b), routes);
    ua_expect_code(&d->w->k, &d->w->a, 403);
    nothing_came(d, 2);
}

/* It ends nothing but what it reaches. */
static void a_bye_that_is_sent_past_the_callee(void **state)
{
    struct dialog *d = *state;
    call_up(d->w, d->routes, sizeof d->routes);
    ask(d, "BYE", d->uri, d->routes);
    ua_expect(&d->w->k, &d->third, "BYE");
    ask(d, "BYE", "ftp://127.0.0.1", d->routes);
    ua_expect_code(&d->w->k, &d->w->a, 416);
    assert_int_equal(edge_load(d->w->n.edge).calls, 1);
    ask(d, "BYE", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "BYE");
    assert_int_equal(edge_load(d->w->n.edge).calls, 0);
}

/* RFC 3261 §12.2.1.2, §12.2.2: by the answer to a re-INVITE, and by a request of its own. */
static void a_side_that_moves(void **state)
{
    struct dialog *d = *state;
    char moved[96];
    call_up(d->w, d->routes, sizeof d->routes);
    ask(d, "INVITE", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "INVITE");
    (void)snprintf(moved, sizeof moved, "Contact: <sip:moved@127.0.0.9:%u>\r\n", d->third.port);
    ua_reply(&d->w->b, 200, moved);
    ua_expect_code(&d->w->k, &d->w->a, 200);
    ask(d, "INFO", d->uri, d->routes);
    ua_expect(&d->w->k, &d->third, "INFO");
    ask(d, "INFO", "sip:x@127.0.0.8", d->routes);
    ua_expect_code(&d->w->k, &d->w->a, 403);
    (void)snprintf(moved, sizeof moved, "sip:x@127.0.0.8:%u", d->third.port);
    ask_back(d, "UPDATE", at(&d->w->a), moved);
    ua_expect(&d->w->k, &d->w->a, "UPDATE");
    uint64_t forwarded = kit_count(&d->w->n, "edge", "forwarded");
    ask(d, "INFO", moved, d->routes);
    kit_until(&d->w->k, kit_count(&d->w->n, "edge", "forwarded") > forwarded);
    nothing_came(d, 1);
}

/* A side cannot say where the other one is. */
static void ones_own_contact_is_not_the_other_side(void **state)
{
    struct dialog *d = *state;
    call_up(d->w, d->routes, sizeof d->routes);
    ask_back(d, "INFO", at(&d->w->a), d->uri);
    ua_expect(&d->w->k, &d->w->a, "INFO");
    ask_back(d, "INFO", d->uri, d->uri);
    ua_expect_code(&d->w->k, &d->w->b, 403);
    nothing_came(d, 1);
}

static void in_an_early_dialog(void **state)
{
    struct dialog *d = *state;
    struct world *w = d->w;
    char early[96];
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    (void)snprintf(early, sizeof early, "Contact: <sip:early@127.0.0.9:%u>\r\n", d->third.port);
    ua_reply(&w->b, 183, early);
    ua_expect_code(&w->k, &w->a, 183);
    ua_route_set(&w->a.v, true, d->routes, sizeof d->routes);
    ask(d, "UPDATE", d->uri, d->routes);
    ua_expect(&w->k, &d->third, "UPDATE");
    ask(d, "UPDATE", "sip:x@127.0.0.8", d->routes);
    ua_expect_code(&w->k, &w->a, 403);
}

/* Where a trunk's range holds phones too, they are met where their messages come from. */
static void a_side_in_the_range_of_a_trunk(void **state)
{
    struct dialog *d = *state;
    call_up(d->w, d->routes, sizeof d->routes);
    d->w->n.trunk_port = 1; /* whatever is known of an address alone */
    ask(d, "INFO", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "INFO");
}

/* Of a side behind a proxy that stays on the way it is the proxy that is met. */
static void behind_proxies(void **state)
{
    struct dialog *d = *state;
    struct world *w = d->w;
    char proxy[128];
    char routes[512];
    (void)snprintf(proxy, sizeof proxy, "Record-Route: <%s;lr>\r\n", d->uri);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1", .lines = proxy});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    send_answer(d, "callee", proxy, "<sip:far@192.0.2.1>");
    ua_expect_code(&w->k, &w->a, 200);
    ua_route_set(&w->a.v, true, d->routes, sizeof d->routes);
    (void)snprintf(routes, sizeof routes, "Route: %s", strchr(d->routes, ',') + 2); /* its own proxy has sent it on */
    ask(d, "INFO", "sip:far@192.0.2.1", routes);
    ua_expect(&w->k, &d->third, "INFO");
    ask_back(d, "INFO", at(&w->a), at(&w->b)); /* to the proxy that the caller stands behind */
    ua_expect(&w->k, &d->third, "INFO");
}

/* RFC 3261 §13.2.2.4: of a fork several may answer, each at a place of its own. */
static void another_callee(void **state)
{
    struct dialog *d = *state;
    struct world *w = d->w;
    char contact[80];
    call_up(w, d->routes, sizeof d->routes);
    (void)snprintf(contact, sizeof contact, "<%s>", d->uri);
    send_answer(d, "other", "", contact);
    ua_expect_code(&w->k, &w->a, 200);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INFO",
                                 .uri = d->uri,
                                 .branch = "o1",
                                 .to = "<sip:8123@example.org>;tag=other",
                                 .cseq = 9,
                                 .lines = d->routes});
    ua_expect(&w->k, &d->third, "INFO");
}

/* A GRUU leads to the device wherever it is now. */
static void a_device_that_has_moved(void **state)
{
    struct dialog *d = *state;
    struct world *w = d->w;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 200, "Contact: <" DEVICE ">\r\n");
    ua_expect_code(&w->k, &w->a, 200);
    ua_route_set(&w->a.v, true, d->routes, sizeof d->routes);
    w->n.hops[0][0].host = SLICE("127.0.0.9");
    w->n.hops[0][0].port = d->third.port;
    w->n.trunk_port = 1; /* whatever is known of an address alone */
    ask(d, "INFO", DEVICE, d->routes);
    ua_expect(&w->k, &d->third, "INFO");
}

/* The node may have lost its record with its last run, so that for a while the cookie alone must do. */
static void without_a_record(void **state)
{
    struct dialog *d = *state;
    call_up(d->w, d->routes, sizeof d->routes);
    ask(d, "BYE", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "BYE");
    ask(d, "INFO", at(&d->w->b), d->routes);
    ua_expect(&d->w->k, &d->w->b, "INFO");
}

static void what_is_over(void **state)
{
    struct dialog *d = *state;
    static const char *const last[] = {"BYE", "PRACK", "NOTIFY", "SUBSCRIBE"};
    call_up(d->w, d->routes, sizeof d->routes);
    kit_until(&d->w->k, edge_load(d->w->n.edge).calls == 0); /* a record's time is past, and so is that of a lost one */
    ask(d, "INVITE", at(&d->w->b), d->routes);
    ua_expect_code(&d->w->k, &d->w->a, 403);
    assert_int_equal(kit_count(&d->w->n, "edge", "refused_elsewhere"), 1);
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        ask(d, last[i], at(&d->w->b), d->routes);
        ua_expect(&d->w->k, &d->w->b, last[i]);
    }
}

/* Which node has the call knows of it; this one has the device alone. */
static void a_device_to_which_another_node_leads(void **state)
{
    struct dialog *d = *state;
    char routes[600];
    call_up(d->w, d->routes, sizeof d->routes);
    kit_until(&d->w->k, edge_load(d->w->n.edge).calls == 0);
    ask(d, "INFO", DEVICE, d->routes);
    ua_expect_code(&d->w->k, &d->w->a, 403);
    (void)snprintf(routes, sizeof routes, "%.*s;gd>\r\n", (int)(strlen(d->routes) - 3), d->routes);
    ask(d, "INFO", DEVICE, routes);
    ua_expect(&d->w->k, &d->w->b, "INFO");
}

int main(void)
{
#define INSIDE(test) cmocka_unit_test_setup_teardown(test, dialog_open, dialog_close)
    const struct CMUnitTest tests[] = {
        INSIDE(a_third_party_in_the_request_uri),
        INSIDE(a_third_party_in_a_route),
        INSIDE(a_bye_that_is_sent_past_the_callee),
        INSIDE(a_side_that_moves),
        INSIDE(ones_own_contact_is_not_the_other_side),
        INSIDE(in_an_early_dialog),
        INSIDE(a_side_in_the_range_of_a_trunk),
        INSIDE(behind_proxies),
        INSIDE(another_callee),
        INSIDE(a_device_that_has_moved),
        INSIDE(without_a_record),
        cmocka_unit_test_setup_teardown(what_is_over, dialog_open_brief, dialog_close),
        cmocka_unit_test_setup_teardown(a_device_to_which_another_node_leads, dialog_open_brief, dialog_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
