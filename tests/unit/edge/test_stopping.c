/* How the edge closes: new calls are refused, those in progress end by themselves, and what still rings is ended. */
#include "call_kit.h"

static void draining(void **state)
{
    struct world *w = *state;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect(&w->k, &w->b, "INVITE");
    edge_close(w->n.edge, 60000, kit_on_closed, &w->n);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .call_id = "2"});
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "Retry-After: ");
    assert_false(w->n.closed);
    ua_reply(&w->b, 404, "");
    ua_expect_code(&w->k, &w->a, 404);
    kit_until(&w->k, w->n.closed);
}

/* Who rings when the time is up is cancelled, and who waits is told. */
static void stopping(void **state)
{
    struct world *w = *state;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 180, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 180);
    kit_close(&w->k, &w->n, 1);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_has(&w->b, "\r\nReason: SIP;cause=503;text=\"Service Unavailable\"\r\n");
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "Retry-After: ");
    assert_int_equal(w->n.reports[w->n.report_count - 1].state, CALL_ENDED);
    assert_string_equal(w->n.reports[w->n.report_count - 1].reason,
                        "the node was stopped before the call was answered");
}

/* What a target tried before has said does not count. */
static void stopping_after_other_words(void **state)
{
    struct world *w = *state;
    static const uint16_t unknown[] = {404};
    w->n.targets[0].route.failover = unknown;
    w->n.targets[0].route.failover_count = 1;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 404, "");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    kit_close(&w->k, &w->n, 0);
    ua_expect(&w->k, &w->c, "CANCEL");
    ua_expect_code(&w->k, &w->a, 503);
}

/* Who has hung up is told that. */
static void stopping_after_a_cancel(void **state)
{
    struct world *w = *state;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "1"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->b, "CANCEL");
    kit_close(&w->k, &w->n, 0);
    ua_expect_code(&w->k, &w->a, 487);
    ua_expect_nothing(&w->k, &w->b);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(draining),
        WITH_WORLD(stopping),
        WITH_WORLD(stopping_after_other_words),
        WITH_WORLD(stopping_after_a_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
