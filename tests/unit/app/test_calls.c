#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/app/calls.h"

static struct usage *usage;
static const struct mono now = {1000000};

static int open_usage(void **state)
{
    (void)state;
    return usage_new(3, &usage) == ERR_OK ? 0 : -1;
}

static int close_usage(void **state)
{
    (void)state;
    usage_free(usage);
    return 0;
}

static struct call_report report(uint64_t id, enum call_state state)
{
    return (struct call_report){.id = id,
                                .call_id = SLICE("a@b"),
                                .from = SLICE("6001"),
                                .dialled = SLICE("7100"),
                                .source = {EDGE_SOURCE_TRUNK, SLICE("pbx")},
                                .target = SLICE("trunk/x"),
                                .state = state,
                                .code = state == CALL_ENDED ? 200 : 0};
}

struct seen {
    size_t count;
    struct call_entry entries[64];
};

static bool collect(void *ctx, const struct call_entry *e)
{
    struct seen *s = ctx;
    s->entries[s->count++] = *e;
    return true;
}

static void collect_all(const struct calls *c, struct seen *s)
{
    calls_each_live(c, UINT64_MAX, collect, s);
    calls_each_ended(c, collect, s);
}

static void live_calls_come_first_and_end_once(void **state)
{
    static struct seen s;
    struct calls *c = calls_new(1, usage);
    (void)state;
    for (uint64_t id = 1; id <= 3; id++) {
        struct call_report r = report(id, CALL_TRYING);
        calls_report(c, &r, now);
    }
    struct call_report end = report(2, CALL_ENDED);
    calls_report(c, &end, now);
    calls_report(c, &end, now);
    struct call_report late = report(2, CALL_ANSWERED); /* what comes after the end changes nothing */
    calls_report(c, &late, now);
    calls_report(c, &end, now);
    assert_int_equal(calls_live(c), 2);
    s.count = 0;
    collect_all(c, &s);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.entries[0].id, 3);
    assert_int_equal(s.entries[1].id, 1);
    assert_int_equal(s.entries[2].id, 2);
    assert_string_equal(s.entries[2].source, "trunk/pbx");
    calls_free(c);
}

/* A target is counted where it is served: also when the same one is tried here first and then at another node, or the
 * other way round. */
static void a_target_that_moves(void **state)
{
    struct calls *c = calls_new(1, usage);
    struct call_report r = report(1, CALL_TRYING);
    (void)state;
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 1);
    r.node = SLICE("factory");
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 0);
    r.node = SLICE("");
    calls_report(c, &r, now);
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 1);
    r.state = CALL_ENDED;
    calls_report(c, &r, now);
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 0);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 0);
    calls_free(c);
}

/* Calls of earlier runs: older than all others whatever their numbers are, counted, and ended under their own. */
static void calls_of_earlier_runs(void **state)
{
    static struct seen s;
    struct calls *c = calls_new(1, usage);
    struct call_report mine = report(1, CALL_ANSWERED);
    struct call_record r = {.call_id = SLICE("old"),
                            .caller_tag = SLICE("t"),
                            .source = SLICE("trunk/pbx"),
                            .target = SLICE("trunk/x"),
                            .from_address = SLICE("udp:10.1.0.10:5060"),
                            .decision = SLICE("packed"),
                            .state = CALL_ANSWERED,
                            .answered = {5}};
    (void)state;
    calls_report(c, &mine, now);
    assert_true(calls_restore(c, CALLS_EARLIER(9, 2), &r, now));
    assert_true(calls_restore(c, CALLS_EARLIER(9, 1), &r, now));
    assert_true(calls_restore(c, CALLS_EARLIER(8, 4), &r, now));
    assert_false(calls_restore(c, CALLS_EARLIER(8, 4), &r, now));
    mine = report(2, CALL_ANSWERED);
    calls_report(c, &mine, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 5);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 5);
    static const uint64_t order[] = {2, 1, CALLS_EARLIER(9, 2), CALLS_EARLIER(9, 1), CALLS_EARLIER(8, 4)};
    for (size_t from = 0; from <= 5; from++) { /* a page that ended after so many */
        s.count = 0;
        calls_each_live(c, from == 0 ? UINT64_MAX : calls_order(order[from - 1]), collect, &s);
        assert_int_equal(s.count, 5 - from);
        for (size_t i = 0; i < s.count; i++)
            assert_int_equal(s.entries[i].id, order[from + i]);
    }
    struct call_room room;
    struct call_record back = call_entry_record(calls_find(c, CALLS_EARLIER(9, 2)), &room);
    assert_true(slice_is(back.from_address, "udp:10.1.0.10:5060") && back.to_address.n == 0);
    assert_true(slice_is(back.decision, "packed") && slice_is(back.caller_tag, "t"));
    struct call_report end = report(CALLS_EARLIER(9, 2), CALL_ENDED);
    calls_report(c, &end, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 4);
    assert_int_equal(calls_live(c), 4);
    assert_int_equal(calls_due(c), 3); /* the end, and the two that were answered here */
    calls_free(c);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 0);
}

/* Due when answered and when ended; gone from memory once its end is on disk. */
static void records_that_are_due(void **state)
{
    struct calls *c = calls_new(1, usage);
    struct call_report r = report(1, CALL_TRYING);
    (void)state;
    r.trace = SLICE("packed");
    calls_report(c, &r, now);
    r.trace = SLICE("");
    assert_int_equal(calls_due(c), 0);
    assert_null(calls_take_due(c));
    r.state = CALL_ANSWERED;
    calls_report(c, &r, now);
    calls_report(c, &r, now);
    assert_int_equal(calls_due(c), 1);
    const struct call_entry *e = calls_take_due(c);
    assert_int_equal(e->state, CALL_ANSWERED);
    assert_true(slice_is(e->decision, "packed"));
    r.state = CALL_ENDED; /* while the other is on its way */
    calls_report(c, &r, now);
    calls_written(c, 1, true);
    assert_non_null(calls_find(c, 1));
    assert_int_equal(calls_take_due(c)->state, CALL_ENDED);
    calls_written(c, 1, false); /* the disk is full */
    assert_int_equal(calls_due(c), 1);
    assert_int_equal(calls_take_due(c)->state, CALL_ENDED);
    calls_written(c, 1, true);
    assert_null(calls_find(c, 1));
    calls_written(c, 1, true);
    assert_int_equal(calls_due(c), 0);
    calls_free(c);
}

/* Attempts that failed are kept in their order, the first of them; nothing else changes by them. */
static void attempts_that_failed(void **state)
{
    static struct call_room room;
    struct calls *c = calls_new(1, usage);
    struct call_report r = report(1, CALL_TRYING);
    struct call_failure f = {
        .target = SLICE("trunk/x"), .node = SLICE("n2"), .words = SLICE("no answer"), .code = 408, .at = {7}};
    (void)state;
    calls_report(c, &r, now);
    r.state = CALL_ENDED;
    r.failure = &f;
    for (unsigned i = 0; i < CALL_ATTEMPTS_MAX + 2; i++) {
        f.code = 400 + i;
        calls_report(c, &r, now);
    }
    assert_int_equal(calls_live(c), 1);
    struct call_record kept = call_entry_record(calls_find(c, 1), &room);
    assert_int_equal(kept.state, CALL_TRYING);
    assert_int_equal(kept.attempt_count, CALL_ATTEMPTS_MAX);
    assert_int_equal(kept.attempts[0].code, 400);
    assert_int_equal(kept.attempts[CALL_ATTEMPTS_MAX - 1].code, 400 + CALL_ATTEMPTS_MAX - 1);
    assert_true(slice_is(kept.attempts[0].target, "trunk/x") && slice_is(kept.attempts[0].node, "n2"));
    assert_true(slice_is(kept.attempts[0].words, "no answer") && kept.attempts[0].address.n == 0);
    assert_int_equal(kept.attempts[0].at.ms, 7);
    r.failure = NULL;
    calls_report(c, &r, now);
    assert_int_equal(calls_live(c), 0);
    struct call_report next = report(2, CALL_TRYING);
    calls_written(c, 1, true);
    calls_report(c, &next, now); /* in the memory of the one that went */
    assert_int_equal(call_entry_record(calls_find(c, 2), &room).attempt_count, 0);
    calls_free(c);
}

/* When the disk takes none for long, the oldest ends are lost, also one that is being written. */
static void no_more_than_so_many_are_held(void **state)
{
    struct calls *c = calls_new(1, usage);
    (void)state;
    for (uint64_t id = 1; id <= CALLS_HELD_MAX; id++) {
        struct call_report r = report(id, CALL_ENDED);
        calls_report(c, &r, now);
    }
    assert_int_equal(calls_take_due(c)->id, 1);
    assert_int_equal(calls_lost(c), 0);
    struct call_report r = report(CALLS_HELD_MAX + 1, CALL_ENDED);
    calls_report(c, &r, now);
    assert_int_equal(calls_lost(c), 1);
    assert_null(calls_find(c, 1));
    calls_written(c, 1, true);
    assert_int_equal(calls_due(c), CALLS_HELD_MAX);
    assert_int_equal(calls_take_due(c)->id, 2);
    calls_free(c);
}

static void a_call_id_of_4_kb_is_cut(void **state)
{
    static struct seen s;
    static char huge[4096];
    struct calls *c = calls_new(1, usage);
    struct call_report r = report(1, CALL_TRYING);
    (void)state;
    memset(huge, 'x', sizeof huge);
    r.call_id = (struct slice){huge, sizeof huge};
    calls_report(c, &r, now);
    s.count = 0;
    collect_all(c, &s);
    assert_int_equal(strlen(s.entries[0].call_id), sizeof s.entries[0].call_id - 1);
    calls_free(c);
}

/* A call holds its source, and the target that is tried; of targets only those served here. */
static void what_a_call_holds(void **state)
{
    struct calls *c = calls_new(1, usage);
    struct call_report r = report(1, CALL_TRYING);
    (void)state;
    r.target = SLICE("");
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 1);
    r.target = SLICE("trunk/x");
    calls_report(c, &r, now);
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 1);
    r.target = SLICE("trunk/y"); /* it failed over */
    r.node = SLICE("elsewhere");
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("trunk/x")).live, 0);
    assert_int_equal(usage_view(usage, SLICE("trunk/y")).live, 0);
    r.target = SLICE("account/7001");
    r.node = SLICE("");
    r.state = CALL_ANSWERED;
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("account/7001")).live, 1);
    r.state = CALL_ENDED;
    calls_report(c, &r, now);
    calls_report(c, &r, now);
    assert_int_equal(usage_view(usage, SLICE("account/7001")).live, 0);
    assert_int_equal(usage_view(usage, SLICE("trunk/pbx")).live, 0);
    calls_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_calls_come_first_and_end_once),
        cmocka_unit_test(records_that_are_due),
        cmocka_unit_test(a_target_that_moves),
        cmocka_unit_test(calls_of_earlier_runs),
        cmocka_unit_test(attempts_that_failed),
        cmocka_unit_test(no_more_than_so_many_are_held),
        cmocka_unit_test(a_call_id_of_4_kb_is_cut),
        cmocka_unit_test(what_a_call_holds),
    };
    return cmocka_run_group_tests(tests, open_usage, close_usage);
}
