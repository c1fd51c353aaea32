#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/app/calls.h"

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
    struct call_entry entries[CALLS_KEPT + 10];
};

static bool collect(void *ctx, const struct call_entry *e)
{
    struct seen *s = ctx;
    s->entries[s->count++] = *e;
    return true;
}

static void live_calls_come_first_and_end_once(void **state)
{
    static struct seen s;
    struct calls *c = calls_new(1);
    (void)state;
    for (uint64_t id = 1; id <= 3; id++) {
        struct call_report r = report(id, CALL_TRYING);
        calls_report(c, &r);
    }
    struct call_report end = report(2, CALL_ENDED);
    calls_report(c, &end);
    calls_report(c, &end);
    struct call_report late = report(2, CALL_ANSWERED); /* what comes after the end changes nothing */
    calls_report(c, &late);
    calls_report(c, &end);
    assert_int_equal(calls_live(c), 2);
    s.count = 0;
    calls_each(c, collect, &s);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.entries[0].id, 3);
    assert_int_equal(s.entries[1].id, 1);
    assert_int_equal(s.entries[2].id, 2);
    assert_string_equal(s.entries[2].source, "trunk/pbx");
    calls_free(c);
}

static void the_oldest_are_forgotten(void **state)
{
    static struct seen s;
    struct calls *c = calls_new(1);
    (void)state;
    for (uint64_t id = 1; id <= CALLS_KEPT + 5; id++) {
        struct call_report r = report(id, CALL_TRYING);
        calls_report(c, &r);
        r = report(id, CALL_ENDED);
        calls_report(c, &r);
    }
    s.count = 0;
    calls_each(c, collect, &s);
    assert_int_equal(s.count, CALLS_KEPT);
    assert_int_equal(s.entries[0].id, CALLS_KEPT + 5);
    assert_int_equal(s.entries[CALLS_KEPT - 1].id, 6);
    assert_int_equal(calls_live(c), 0);
    calls_free(c);
}

static void a_call_id_of_4_kb_is_cut(void **state)
{
    static struct seen s;
    static char huge[4096];
    struct calls *c = calls_new(1);
    struct call_report r = report(1, CALL_TRYING);
    (void)state;
    memset(huge, 'x', sizeof huge);
    r.call_id = (struct slice){huge, sizeof huge};
    calls_report(c, &r);
    s.count = 0;
    calls_each(c, collect, &s);
    assert_int_equal(strlen(s.entries[0].call_id), sizeof s.entries[0].call_id - 1);
    calls_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_calls_come_first_and_end_once),
        cmocka_unit_test(the_oldest_are_forgotten),
        cmocka_unit_test(a_call_id_of_4_kb_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
