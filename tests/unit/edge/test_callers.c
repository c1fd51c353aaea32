/* Who may call: an account proves itself, a stranger gets the same answer whatever it asks for. */
#include "call_kit.h"

static void an_account_calls(void **state)
{
    struct world *w = *state;
    char credentials[1024];
    char uri[64];
    w->n.trunk_port = 0;
    (void)snprintf(uri, sizeof uri, "sip:8123@127.0.0.1:%u", w->n.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1"});
    ua_expect_code(&w->k, &w->a, 407);
    ua_authorize(&w->a, "secret", "INVITE", uri, credentials, sizeof credentials);
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = "1", .to = CALLEE});
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .cseq = 2, .lines = credentials});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "Proxy-Authorization");
    assert_int_equal(w->n.source, EDGE_SOURCE_ACCOUNT);
    assert_string_equal(w->n.source_name, "6001");
    assert_int_equal(w->n.report_count, 1);
    /* The same credentials read off the wire, for a call of one's own. */
    ua_request(&w->c, &w->n,
               &(struct request){.method = "INVITE", .branch = "3", .call_id = "other", .lines = credentials});
    ua_expect_code(&w->k, &w->c, 407);
    ua_has(&w->c, "stale=true");
    assert_int_equal(kit_count(&w->n, "edge", "auth_replayed"), 1);
}

static void strangers_get_one_answer(void **state)
{
    struct world *w = *state;
    char credentials[1024];
    static const char *const uris[] = {"sip:8123@127.0.0.1", "sip:999@example.org", "sip:example.org", "tel:+4930123",
                                       "sip:x@elsewhere.example"};
    w->n.trunk_port = 0;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        char branch[8];
        (void)snprintf(branch, sizeof branch, "s%zu", i);
        ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .uri = uris[i]});
        ua_expect_code(&w->k, &w->a, 407);
    }
    assert_int_equal(kit_count(&w->n, "edge", "challenged"), 5);
    ua_authorize(&w->a, "wrong", "INVITE", "sip:8123@127.0.0.1", credentials, sizeof credentials);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE", .branch = "w", .uri = "sip:8123@127.0.0.1", .lines = credentials});
    ua_expect_code(&w->k, &w->a, 403);
    assert_int_equal(kit_count(&w->n, "edge", "auth_wrong"), 1);
    assert_int_equal(w->n.questions, 0);
    assert_int_equal(edge_load(w->n.edge).transactions, 0); /* refused at the door: no memory spent */
}

/* It is known by its To tag, which only we can make, and nobody is looked for. */
static void the_ack_of_a_refusal(void **state)
{
    struct world *w = *state;
    char to[256];
    w->n.trunk_port = 0;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "r1"});
    ua_expect_code(&w->k, &w->a, 407);
    (void)snprintf(to, sizeof to, "%.*s", SLICE_ARG(sip_view_value(&w->a.v, SIP_TO)));
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = "r1", .to = to});
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == 1);
    ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = "r2", .to = to}); /* of another INVITE */
    kit_until(&w->k, kit_count(&w->n, "edge", "acks_dropped") == 1);
    assert_int_equal(kit_count(&w->n, "edge", "acks_absorbed"), 1);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(an_account_calls),
        WITH_WORLD(strangers_get_one_answer),
        WITH_WORLD(the_ack_of_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
