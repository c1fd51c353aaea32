/* Live calls and rates, held against limits under a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/app/usage.h"

static struct usage *u;
static const struct slice pbx = {"trunk/pbx", 9};

static int open_usage(void **state)
{
    (void)state;
    return usage_new(7, &u) == ERR_OK ? 0 : -1;
}

static int close_usage(void **state)
{
    (void)state;
    usage_free(u);
    return 0;
}

static struct mono at(uint64_t ms)
{
    return (struct mono){1000000 + ms * 1000};
}

static void calls_at_a_time(void **state)
{
    struct usage_of *held[3];
    (void)state;
    assert_int_equal(usage_check(u, pbx, 2, 0, at(0)), USAGE_FREE);
    held[0] = usage_hold(u, pbx, at(0));
    assert_int_equal(usage_check(u, pbx, 2, 0, at(0)), USAGE_FREE);
    held[1] = usage_hold(u, pbx, at(0));
    assert_int_equal(usage_check(u, pbx, 2, 0, at(0)), USAGE_CALLS);
    assert_int_equal(usage_full(u, pbx, at(0)), USAGE_CALLS);
    assert_int_equal(usage_check(u, pbx, 3, 0, at(0)), USAGE_FREE); /* the plan allows more now */
    assert_int_equal(usage_full(u, pbx, at(0)), USAGE_FREE);
    held[2] = usage_hold(u, pbx, at(0));
    assert_int_equal(usage_view(u, pbx).live, 3);
    assert_int_equal(usage_check(u, pbx, 1, 0, at(0)), USAGE_CALLS);
    for (int i = 0; i < 3; i++)
        usage_release(u, held[i]);
    assert_int_equal(usage_check(u, pbx, 1, 0, at(0)), USAGE_FREE);
    assert_int_equal(usage_view(u, SLICE("trunk/pb")).live, 0);
}

static void new_calls_in_a_second(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) { /* a second's worth at once */
        assert_int_equal(usage_check(u, pbx, 0, 10, at(0)), USAGE_FREE);
        usage_release(u, usage_hold(u, pbx, at(0)));
    }
    assert_int_equal(usage_check(u, pbx, 0, 10, at(0)), USAGE_RATE);
    assert_int_equal(usage_check(u, pbx, 0, 10, at(99)), USAGE_RATE);
    assert_int_equal(usage_check(u, pbx, 0, 10, at(100)), USAGE_FREE);
    usage_release(u, usage_hold(u, pbx, at(100)));
    assert_int_equal(usage_check(u, pbx, 0, 10, at(199)), USAGE_RATE);
    assert_int_equal(usage_full(u, pbx, at(200)), USAGE_FREE);
    /* however long it is quiet, no more than a second's worth */
    size_t let_in = 0;
    while (usage_check(u, pbx, 0, 10, at(3600000)) == USAGE_FREE && let_in < 100) {
        usage_release(u, usage_hold(u, pbx, at(3600000)));
        let_in++;
    }
    assert_int_equal(let_in, 10);
    assert_int_equal(usage_check(u, pbx, 0, 0, at(3600000)), USAGE_FREE); /* no limit any more */
}

/* Who offers more than the rate gets the rate: what is refused is held for a moment as well, and takes nothing. */
static void more_than_the_rate(void **state)
{
    size_t let_in = 0;
    (void)state;
    for (uint64_t ms = 0; ms < 11000; ms += 25) {
        bool free = usage_check(u, pbx, 0, 10, at(ms)) == USAGE_FREE;
        let_in += free && ms >= 1000; /* behind the second's worth that is there at once */
        usage_release(u, usage_hold(u, pbx, at(ms)));
    }
    assert_in_range(let_in, 99, 101);
}

static void what_was_refused(void **state)
{
    (void)state;
    usage_refused(u, pbx); /* nobody limits it */
    assert_int_equal(usage_view(u, pbx).refused, 0);
    assert_int_equal(usage_check(u, pbx, 1, 0, at(0)), USAGE_FREE);
    usage_refused(u, pbx);
    assert_int_equal(usage_view(u, pbx).refused, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_at_a_time, open_usage, close_usage),
        cmocka_unit_test_setup_teardown(new_calls_in_a_second, open_usage, close_usage),
        cmocka_unit_test_setup_teardown(more_than_the_rate, open_usage, close_usage),
        cmocka_unit_test_setup_teardown(what_was_refused, open_usage, close_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
