/* Several contacts of an account ring at the same time: who answers first has the call, and the others stop ringing
 * (RFC 3261 §16.6, §16.7; RFC 5393 §5). */
#include "call_kit.h"

#include "node/sip/transaction.h"

/* The callee b and a second contact c of the same target, rung together. */
static void fork_to_c(struct world *w)
{
    kit_add_hop(&w->n, w->c.port);
    w->n.hops[0][1].with_previous = true;
}

static void invite(struct world *w, const char *lines)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1", .lines = lines});
}

static void both_ring(struct world *w, const char *lines)
{
    fork_to_c(w);
    invite(w, lines);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_keep(&w->c);
    assert_false(slice_eq(w->b.kept_v.via.branch, w->c.kept_v.via.branch));
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_answer(&w->c, &w->c.kept_v, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
}

/* It gets its CANCEL, which says why (RFC 3326), and gives up. */
static void stops_ringing(struct world *w, struct ua *u, const char *why)
{
    ua_expect(&w->k, u, "CANCEL");
    ua_has(u, why);
    assert_true(slice_eq(u->v.via.branch, u->kept_v.via.branch));
    ua_reply(u, 200, "");
    ua_answer(u, &u->kept_v, 487, "");
    ua_expect(&w->k, u, "ACK");
}

#define OTHER "<sip:8123@example.org>;tag=other"

/* The 200 of c, whose tag is not b's. The caller frees it. */
static struct buf other_answer(struct world *w)
{
    struct buf b = {0};
    assert_int_equal(sip_response_build(&w->c.kept_v, 200, SLICE(""), SLICE("other"), SLICE(""), 0,
                                        slice_of(contact_line(&w->c)), &b),
                     ERR_OK);
    return b;
}

/* The caller ends its dialog with the callee u, by the routes of what it received. */
static void hangs_up(struct world *w, struct ua *u, const char *to, const char *branch, const struct sip_view *received)
{
    char routes[512];
    char uri[64];
    ua_route_set(received, true, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", u->port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "BYE", .branch = branch, .uri = uri, .to = to, .cseq = 2, .lines = routes});
    ua_expect(&w->k, u, "BYE");
}

static void the_first_answer_wins(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->c, &w->c.kept_v, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
    stops_ringing(w, &w->b, "\r\nReason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
    ua_expect_nothing(&w->k, &w->a); /* no 487 of the other one */
    assert_int_equal(kit_count(&w->n, "edge", "calls_answered"), 1);
}

/* Both picked up before the CANCEL came: the caller gets both answers, and ends one of them itself (§16.7 item 5). */
static void both_answer(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->c, "CANCEL");
    struct buf b = other_answer(w);
    for (int again = 0; again < 2; again++) { /* it is repeated until the caller's ACK */
        ua_send_bytes(&w->c, w->n.port, b.p, b.n);
        ua_expect_code(&w->k, &w->a, 200);
    }
    buf_fini(&b);
    /* The call ends with the last of its dialogs, in either order. */
    ua_keep(&w->a);
    hangs_up(w, &w->c, OTHER, "b1", &w->a.kept_v);
    ua_reply(&w->c, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    hangs_up(w, &w->b, CALLEE, "b2", &w->a.kept_v);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* The answer that the caller did not want is repeated, and meets the BYE: that dialog stays ended. */
static void an_answer_behind_its_bye(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->c, "CANCEL");
    struct buf b = other_answer(w);
    ua_send_bytes(&w->c, w->n.port, b.p, b.n);
    ua_expect_code(&w->k, &w->a, 200);
    ua_keep(&w->a);
    hangs_up(w, &w->c, OTHER, "b1", &w->a.kept_v);
    ua_send_bytes(&w->c, w->n.port, b.p, b.n);
    ua_expect_code(&w->k, &w->a, 200);
    buf_fini(&b);
    hangs_up(w, &w->b, CALLEE, "b2", &w->a.kept_v);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* A proxy before us forked the call: both of its branches come here, and both ring. */
static void two_calls_ring(struct world *w)
{
    char uri[64];
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    w->n.target_count = 0;
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    (void)snprintf(uri, sizeof uri, "sip:8124@127.0.0.1:%u", w->n.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i2", .uri = uri});
    ua_expect(&w->k, &w->c, "INVITE");
    ua_keep(&w->c);
    ua_reply(&w->c, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    assert_int_equal(edge_load(w->n.edge).calls, 2);
}

/* Each has a record of its own, which the other one's end does not concern. */
static void forked_before_us(void **state)
{
    struct world *w = *state;
    char lines[128];
    two_calls_ring(w);
    (void)snprintf(lines, sizeof lines, "%sSession-Expires: 1\r\n", contact_line(&w->b));
    ua_answer(&w->b, &w->b.kept_v, 200, lines);
    ua_expect_code(&w->k, &w->a, 200);
    kit_until(&w->k, edge_load(w->n.edge).calls == 1); /* nobody refreshed that one; the other is not answered yet */
    assert_int_equal(kit_count(&w->n, "edge", "calls_unrefreshed"), 1);
    assert_string_equal(w->n.reports[w->n.report_count - 1].target, "trunk/factory");
    ua_answer(&w->c, &w->c.kept_v, 486, "");
    ua_expect(&w->k, &w->c, "ACK");
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* Likewise, and the one that was answered ends while the other still rings. */
static void forked_before_us_and_ended(void **state)
{
    struct world *w = *state;
    two_calls_ring(w);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    hangs_up(w, &w->b, CALLEE, "b1", &w->a.v);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    assert_string_equal(w->n.reports[w->n.report_count - 1].target, "trunk/factory");
}

/* b is a proxy outside, which sends the call back to us under another number and does not stay on the way: the two
 * records of one dialog end with its only BYE. */
static void a_spiral_ends(void **state)
{
    struct world *w = *state;
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    w->n.target_count = 0;
    (void)kit_target(&w->n, "trunk/last", w->c.port);
    spiral_to_c(w, "8124", contact_line(&w->c));
    hangs_up(w, &w->c, CALLEE, "b1", &w->a.v);
    assert_int_equal(edge_load(w->n.edge).calls, 0);
}

/* A BYE that ends one early dialog ends no call: the INVITE's own answer does. */
static void an_early_bye(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    hangs_up(w, &w->b, CALLEE, "b1", &w->b.kept_v);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_answer(&w->c, &w->c.kept_v, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(edge_load(w->n.edge).calls, 1);
    assert_int_equal(w->n.reports[w->n.report_count - 1].state, CALL_ANSWERED);
}

/* A 6xx decides although the other one was never heard, and although there is a next target. */
static void a_6xx_and_silence(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_expect(&w->k, &w->c, "INVITE");
    ua_keep(&w->c);
    ua_reply(&w->b, 603, "");
    ua_expect_code(&w->k, &w->a, 603);
    ua_answer(&w->c, &w->c.kept_v, 180, "");
    do {
        ua_next(&w->k, &w->c);
    } while (w->c.v.method == SIP_INVITE);
    assert_true(slice_is(w->c.v.method_text, "CANCEL"));
}

/* No answer of its own yet: it learns with its first 1xx that another has the call, although the caller said something
 * else to its CANCEL, which came too late. */
static void the_first_answer_wins_over_silence(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "CANCEL", .branch = "i1", .lines = "Reason: SIP;cause=487\r\n"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    stops_ringing(w, &w->b, "\r\nReason: SIP;cause=200;");
}

static void one_is_busy_the_other_goes_on(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->b, &w->b.kept_v, 486, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_nothing(&w->k, &w->a);
    ua_answer(&w->c, &w->c.kept_v, 200, contact_line(&w->c));
    ua_expect_code(&w->k, &w->a, 200);
}

static void the_best_failure_of_both(void **state)
{
    struct world *w = *state;
    (void)kit_target(&w->n, "trunk/second", w->c.port); /* a busy phone is an answer: nobody asks the next target */
    w->n.target_count--;
    both_ring(w, NULL);
    w->n.target_count++;
    ua_answer(&w->b, &w->b.kept_v, 500, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_answer(&w->c, &w->c.kept_v, 486, "");
    ua_expect(&w->k, &w->c, "ACK");
    ua_expect_code(&w->k, &w->a, 486);
}

/* The caller is told of everybody who asks who it is (RFC 3261 §16.7 item 7). */
static void all_challenges_go_with_the_best(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->b, &w->b.kept_v, 401, "WWW-Authenticate: Digest realm=\"b\", nonce=\"1\"\r\n");
    ua_expect(&w->k, &w->b, "ACK");
    ua_answer(&w->c, &w->c.kept_v, 407,
              "Proxy-Authenticate: Digest realm=\"c\", nonce=\"2\"\r\n"
              "WWW-Authenticate: Digest realm=\"d\",\r\n nonce=\"3\"\r\nServer: other\r\n");
    ua_expect(&w->k, &w->c, "ACK");
    ua_expect_code(&w->k, &w->a, 401);
    ua_has(&w->a, "\r\nWWW-Authenticate: Digest realm=\"b\", nonce=\"1\"\r\n");
    ua_has(&w->a, "\r\nWWW-Authenticate: Digest realm=\"d\",\r\n nonce=\"3\"\r\n");
    ua_has(&w->a, "\r\nProxy-Authenticate: Digest realm=\"c\", nonce=\"2\"\r\n");
    ua_lacks(&w->a, "other");
}

/* More than a message holds (LIMIT_SIP_MESSAGE): the best answer with those that have room. */
static void too_many_challenges(void **state)
{
    struct world *w = *state;
    static char lines[6500];
    for (size_t n = 0; n + 1100 < sizeof lines;)
        n += (size_t)snprintf(lines + n, sizeof lines - n,
                              "WWW-Authenticate: Digest realm=\"%01000d\", nonce=\"1\"\r\n", 0);
    for (size_t i = 1; i < 4; i++) {
        kit_add_hop(&w->n, w->c.port);
        w->n.hops[0][i].with_previous = true;
    }
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    for (int i = 0; i < 3; i++) {
        do {
            ua_next(&w->k, &w->c);
        } while (w->c.v.method != SIP_INVITE);
        ua_reply(&w->c, 401, lines);
    }
    ua_answer(&w->b, &w->b.kept_v, 401, "");
    ua_expect_code(&w->k, &w->a, 401);
    assert_in_range(w->a.v.len, LIMIT_SIP_MESSAGE / 2, LIMIT_SIP_MESSAGE);
    assert_int_equal(kit_count(&w->n, "edge", "challenges_too_long"), 1);
}

static void a_6xx_ends_all(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_answer(&w->b, &w->b.kept_v, 603, "");
    ua_expect(&w->k, &w->b, "ACK");
    stops_ringing(w, &w->c, "\r\nReason: SIP;cause=603;text=\"Decline\"\r\n");
    ua_expect_code(&w->k, &w->a, 603);
}

#define REASONS "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\nreason : SIP;cause=487,\r\n Q.850;cause=31\r\n"

static void the_caller_hangs_up(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1", .lines = REASONS});
    ua_expect_code(&w->k, &w->a, 200);
    stops_ringing(w, &w->b, "\r\n" REASONS);
    ua_expect_nothing(&w->k, &w->a); /* not before both have ended */
    stops_ringing(w, &w->c, "\r\n" REASONS);
    ua_expect_code(&w->k, &w->a, 487);
}

/* Another preference: only when the first has failed. */
static void unequal_ones_in_order(void **state)
{
    struct world *w = *state;
    kit_add_hop(&w->n, w->c.port);
    invite(w, NULL);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_expect_nothing(&w->k, &w->c);
    ua_answer(&w->b, &w->b.kept_v, 503, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->c, "INVITE");
}

static void expect_breadth(const struct ua *u, const char *value)
{
    assert_true(slice_is(sip_view_value(&u->kept_v, SIP_MAX_BREADTH), value));
}

static void breadth_is_shared(void **state)
{
    struct world *w = *state;
    both_ring(w, "Max-Breadth: 9\r\n");
    expect_breadth(&w->b, "4");
    expect_breadth(&w->c, "4");
}

static void breadth_begins_at_60(void **state)
{
    struct world *w = *state;
    both_ring(w, NULL);
    expect_breadth(&w->b, "30");
}

/* Too little for two at a time. */
static void breadth_1_is_serial(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    invite(w, "Max-Breadth: 1\r\n");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    expect_breadth(&w->b, "1");
    ua_answer(&w->b, &w->b.kept_v, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_expect_nothing(&w->k, &w->c);
    ua_answer(&w->b, &w->b.kept_v, 503, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->c, "INVITE");
}

static void breadth_0_is_440(void **state)
{
    struct world *w = *state;
    invite(w, "Max-Breadth: 0\r\n");
    ua_expect_code(&w->k, &w->a, 440);
    assert_int_equal(kit_count(&w->n, "edge", "refused_max_breadth"), 1);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INVITE", .branch = "i2", .call_id = "c2", .lines = "Max-Breadth: many\r\n"});
    ua_expect_code(&w->k, &w->a, 400);
}

/* The ids of a fork's four branches, in their order. */
static void ids_of_fork(struct world *w, const char *call_id, uint64_t id[4])
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = call_id, .call_id = call_id});
    for (int i = 0; i < 4;) {
        ua_expect(&w->k, &w->b, "INVITE");
        assert_true(sip_tx_branch_id(&w->b.v, &id[i]));
        bool again = !slice_eq(w->b.v.call_id, slice_of(call_id));
        for (int j = 0; j < i; j++)
            again = again || id[j] == id[i];
        if (!again) i++;
    }
}

static uint64_t rotated(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* The fifth number of the generator xoshiro256**, which whoever has four can work out: its state is the words s, t, u,
 * v, each number is made of t alone, and what the others are follows from several t in a row. */
static uint64_t xoshiro_after(const uint64_t id[4])
{
    const uint64_t by_5 = UINT64_C(0xcccccccccccccccd); /* times 5 is 1 */
    const uint64_t by_9 = UINT64_C(0x8e38e38e38e38e39);
    uint64_t t[4];
    uint64_t u[4] = {0};
    for (int i = 0; i < 4; i++)
        t[i] = rotated(id[i] * by_9, 64 - 7) * by_5;
    for (int i = 1; i < 4; i++)
        u[i] = t[i - 1] ^ t[i] ^ t[i - 1] << 17;
    uint64_t s1 = t[1] ^ t[2] ^ u[1];
    uint64_t s2 = t[2] ^ t[3] ^ u[2];
    uint64_t s3 = s2 ^ t[2] ^ rotated(s1 ^ s2, 45);
    return rotated((s3 ^ t[3] ^ u[3]) * 5, 7) * 9;
}

/* Whoever knows a branch can answer in another's place: those that a callee sees tell it nothing of the next. */
static void branches_tell_nothing_of_the_next(void **state)
{
    struct world *w = *state;
    uint64_t first[4];
    uint64_t second[4];
    for (int i = 0; i < 3; i++) {
        kit_add_hop(&w->n, w->b.port);
        w->n.hops[0][i + 1].with_previous = true;
    }
    ids_of_fork(w, "seen", first);
    ids_of_fork(w, "foreseen", second);
    assert_true(second[0] != xoshiro_after(first));
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(branches_tell_nothing_of_the_next),
        WITH_WORLD(the_first_answer_wins),
        WITH_WORLD(the_first_answer_wins_over_silence),
        WITH_WORLD(both_answer),
        WITH_WORLD(an_answer_behind_its_bye),
        WITH_WORLD(forked_before_us),
        WITH_WORLD(forked_before_us_and_ended),
        WITH_WORLD(a_spiral_ends),
        WITH_WORLD(an_early_bye),
        WITH_WORLD(a_6xx_and_silence),
        WITH_WORLD(one_is_busy_the_other_goes_on),
        WITH_WORLD(the_best_failure_of_both),
        WITH_WORLD(all_challenges_go_with_the_best),
        WITH_WORLD(too_many_challenges),
        WITH_WORLD(a_6xx_ends_all),
        WITH_WORLD(the_caller_hangs_up),
        WITH_WORLD(unequal_ones_in_order),
        WITH_WORLD(breadth_is_shared),
        WITH_WORLD(breadth_begins_at_60),
        WITH_WORLD(breadth_1_is_serial),
        WITH_WORLD(breadth_0_is_440),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
