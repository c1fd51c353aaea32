/* What a node takes inside dialogs when it has more to do than it can. */
#include "call_kit.h"

#include "node/edge/edge_internal.h"

static char routes[1024];
static char callee_uri[64];
static unsigned serial;

/* As if everybody flooded: of a million that each asks for one is taken, or, where a look ends meanwhile, the least
 * part that the law knows. */
static void flooded(struct world *w)
{
    struct overload *o = &w->n.edge->overload;
    o->steady = 1;
    o->parted = false;
    o->least_part = 0;
    for (size_t i = 0; i < OVERLOAD_PLACES; i++) {
        o->places[i] = (struct overload_place){.window = o->window};
        o->places[i].asked[OVERLOAD_INSIDE] = 1000000;
    }
}

static void send_inside(struct world *w, const char *method)
{
    char branch[32];
    (void)snprintf(branch, sizeof branch, "u%u", ++serial);
    flooded(w);
    ua_request(
        &w->a, &w->n,
        &(struct request){
            .method = method, .branch = branch, .uri = callee_uri, .to = CALLEE, .cseq = 1 + serial, .lines = routes});
}

/* One of these is, and leaves no trace. */
static void expect_refused(struct world *w, const char *method)
{
    uint64_t before = kit_count(&w->n, "edge", "refused_overload_inside");
    for (int i = 0; i < 1000 && kit_count(&w->n, "edge", "refused_overload_inside") == before; i++) {
        send_inside(w, method);
        kit_until(&w->k, ua_receive(&w->a) || ua_receive(&w->b));
        if (w->b.v.request && slice_is(w->b.v.method_text, method)) ua_reply(&w->b, 200, "");
    }
    assert_int_equal(kit_count(&w->n, "edge", "refused_overload_inside"), before + 1);
    assert_int_equal(w->a.v.code, 503);
    ua_has(&w->a, "\r\nRetry-After: ");
}

static void expect_taken(struct world *w, const char *method)
{
    send_inside(w, method);
    ua_expect(&w->k, &w->b, method);
    if (strcmp(method, "ACK") == 0) return;
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
}

static void open_call(struct world *w)
{
    (void)snprintf(callee_uri, sizeof callee_uri, "sip:ua@127.0.0.1:%u", w->b.port);
    call_up(w, routes, sizeof routes);
}

static void what_is_inside_a_dialog_is_refused(void **state)
{
    static const char *const methods[] = {"INVITE", "UPDATE", "INFO", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "NEW"};
    struct world *w = *state;
    open_call(w);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        expect_refused(w, methods[i]);
}

static void what_ends_a_call_is_taken(void **state)
{
    struct world *w = *state;
    open_call(w);
    expect_taken(w, "ACK");
    expect_taken(w, "BYE");
    expect_refused(w, "BYE"); /* that has ended already */
}

/* Of two that picked up one has been told that it is over; the call goes on with the other. */
static void each_callee_is_told_once(void **state)
{
    struct world *w = *state;
    struct buf again = {0};
    struct slice tag = SLICE("other");
    open_call(w);
    assert_int_equal(sip_response_build(&w->b.kept_v, 200, SLICE(""), tag, SLICE(""), 0, SLICE(""), &again), ERR_OK);
    ua_send_bytes(&w->b, w->n.port, again.p, again.n);
    buf_fini(&again);
    ua_expect_code(&w->k, &w->a, 200);
    expect_taken(w, "BYE");
    expect_refused(w, "BYE");
    assert_int_equal(edge_load(w->n.edge).calls, 1);
}

static void what_completes_a_call_is_taken(void **state)
{
    struct world *w = *state;
    (void)snprintf(callee_uri, sizeof callee_uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 183, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 183);
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    for (int i = 0; i < 32; i++)
        expect_taken(w, "PRACK");
    expect_refused(w, "PRACK"); /* no call needs so many */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_inside_a_dialog_is_refused, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_ends_a_call_is_taken, world_open, world_close),
        cmocka_unit_test_setup_teardown(each_callee_is_told_once, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_completes_a_call_is_taken, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
