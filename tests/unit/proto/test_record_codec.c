/* Call records there and back, and bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/record_codec.h"

#define assert_slice(a, b) assert_true(slice_eq(a, b))

static struct arena arena;

static void there_and_back(void **state)
{
    struct buf packed = {0};
    struct slice decision;
    struct call_candidate candidates[] = {
        {SLICE("trunk/a"), SLICE("6"), SLICE("hq"), SLICE("n1 n2"), SLICE("6100"), SLICE("chosen"), SLICE(""), 10, 5,
         1},
        {SLICE("trunk/b"), SLICE("6"), SLICE(""), SLICE(""), SLICE(""), SLICE("down"), SLICE("no answer"), 20, 10, 0}};
    struct call_decision d = {.plan_number = SLICE("6100"),
                              .site = SLICE("hq"),
                              .plan_digest = SLICE("abcd"),
                              .named_by = SLICE(""),
                              .rule = 5,
                              .code = 0,
                              .candidates = candidates,
                              .candidate_count = 2};
    const struct call_attempt attempts[] = {
        {SLICE("trunk/b"), SLICE(""), SLICE("udp:10.1.0.11:5060"), SLICE("no answer"), 408, {5}},
        {SLICE("trunk/c"), SLICE("n3"), SLICE(""), SLICE("at its limit"), 503, {-6}}};
    struct call_decision d2;
    struct call_record r2;
    (void)state;
    assert_int_equal(call_decision_pack(&arena, &d, &decision), ERR_OK);
    struct call_record r = {.call_id = SLICE("c@d"),
                            .session_id = SLICE("0123456789abcdef0123456789abcdef"),
                            .from = SLICE("100"),
                            .dialled = SLICE("06100"),
                            .source = SLICE("trunk/pbx"),
                            .from_address = SLICE("udp:10.1.0.10:5060"),
                            .target = SLICE("trunk/a"),
                            .node = SLICE("n2"),
                            .to_address = SLICE("tls:10.1.0.2:5061"),
                            .reason = SLICE("the caller hung up"),
                            .decision = decision,
                            .attempts = attempts,
                            .attempt_count = 2,
                            .state = CALL_ENDED,
                            .started = {1},
                            .answered = {2},
                            .ended = {-3},
                            .code = 200,
                            .rule = 5,
                            .caller_tag = SLICE("tag"),
                            .session_s = 1800};
    assert_int_equal(call_record_pack(&r, &packed), ERR_OK);
    assert_int_equal(call_record_unpack(&arena, buf_view(&packed), &r2), ERR_OK);
    assert_slice(r.call_id, r2.call_id);
    assert_slice(r.session_id, r2.session_id);
    assert_slice(r.from, r2.from);
    assert_slice(r.dialled, r2.dialled);
    assert_slice(r.source, r2.source);
    assert_slice(r.from_address, r2.from_address);
    assert_slice(r.target, r2.target);
    assert_slice(r.node, r2.node);
    assert_slice(r.to_address, r2.to_address);
    assert_slice(r.reason, r2.reason);
    assert_int_equal(r2.state, CALL_ENDED);
    assert_int_equal(r2.started.ms, 1);
    assert_int_equal(r2.answered.ms, 2);
    assert_int_equal(r2.ended.ms, -3);
    assert_int_equal(r2.code, 200);
    assert_int_equal(r2.rule, 5);
    assert_slice(r.caller_tag, r2.caller_tag);
    assert_int_equal(r2.session_s, 1800);
    assert_int_equal(r2.attempt_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_slice(r2.attempts[i].target, attempts[i].target);
        assert_slice(r2.attempts[i].node, attempts[i].node);
        assert_slice(r2.attempts[i].address, attempts[i].address);
        assert_slice(r2.attempts[i].words, attempts[i].words);
        assert_int_equal(r2.attempts[i].code, attempts[i].code);
        assert_int_equal(r2.attempts[i].at.ms, attempts[i].at.ms);
    }
    assert_int_equal(call_decision_unpack(&arena, r2.decision, &d2), ERR_OK);
    assert_slice(d2.plan_number, d.plan_number);
    assert_slice(d2.plan_digest, d.plan_digest);
    assert_int_equal(d2.candidate_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_slice(d2.candidates[i].target, candidates[i].target);
        assert_slice(d2.candidates[i].nodes, candidates[i].nodes);
        assert_slice(d2.candidates[i].number, candidates[i].number);
        assert_slice(d2.candidates[i].why, candidates[i].why);
        assert_slice(d2.candidates[i].detail, candidates[i].detail);
        assert_int_equal(d2.candidates[i].priority, candidates[i].priority);
        assert_int_equal(d2.candidates[i].weight, candidates[i].weight);
        assert_int_equal(d2.candidates[i].place, candidates[i].place);
    }
    buf_fini(&packed);
    arena_fini(&arena);
}

static void bytes_that_are_none(void **state)
{
    struct call_record r;
    struct call_decision d;
    (void)state;
    assert_int_equal(call_record_unpack(&arena, SLICE("\xff\xff"), &r), ERR_SYNTAX);
    assert_int_equal(call_record_unpack(&arena, SLICE("\x60\x09"), &r), ERR_SYNTAX); /* state 9 */
    assert_int_equal(call_decision_unpack(&arena, SLICE("\x3a\x05x"), &d), ERR_SYNTAX);
    char many[2 * 300];
    for (size_t i = 0; i < 300; i++)
        memcpy(many + 2 * i, "\x3a\x00", 2);
    assert_int_equal(call_decision_unpack(&arena, (struct slice){many, sizeof many}, &d), ERR_LIMIT);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(bytes_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
