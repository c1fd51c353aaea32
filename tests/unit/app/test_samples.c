/* samples: an hour of calls, and which counters grew lately, under a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/app/samples.h"

static const char *const names[] = {"calls_started", "refused", "dropped", "forwarded"};
static _Atomic uint64_t values[4];
static const struct counter_table edge = {"edge", names, values, 4};
static _Atomic uint64_t mesh_values[1];
static const struct counter_table mesh = {"mesh", names + 2, mesh_values, 1};
static const struct counter_table *const tables[] = {&edge, &mesh};
static struct page_sample calls[SAMPLES_ROOM];

static struct mono at(unsigned s)
{
    return (struct mono){5000000 + UINT64_C(1000000) * s};
}

static struct samples *open_samples(void)
{
    for (size_t i = 0; i < 4; i++)
        values[i] = 100 * i;
    mesh_values[0] = 7;
    struct samples *s = samples_new(tables, 2, &values[0], at(0));
    assert_non_null(s);
    return s;
}

static bool trouble(const char *module, const char *name)
{
    (void)module;
    return name[0] != 'c' && name[0] != 'f';
}

static void test_calls(void **state)
{
    (void)state;
    struct samples *s = open_samples();
    assert_int_equal(samples_calls(s, calls), 0);
    values[0] += 4;
    samples_tick(s, at(9), 3);
    assert_int_equal(samples_calls(s, calls), 0);
    samples_tick(s, at(10), 2);
    samples_tick(s, at(11), 9);
    values[0] += 1;
    samples_tick(s, at(20), 5);
    assert_int_equal(samples_calls(s, calls), 2);
    assert_int_equal(calls[0].live_calls, 2);
    assert_int_equal(calls[0].started_calls, 4);
    assert_int_equal(calls[1].live_calls, 5);
    assert_int_equal(calls[1].started_calls, 1);
    samples_free(s);
}

static void test_an_hour(void **state)
{
    (void)state;
    struct samples *s = open_samples();
    for (unsigned i = 1; i <= SAMPLES_ROOM + 5; i++)
        samples_tick(s, at(i * SAMPLES_S), i);
    assert_int_equal(samples_calls(s, calls), SAMPLES_ROOM);
    assert_int_equal(calls[0].live_calls, 6);
    assert_int_equal(calls[SAMPLES_ROOM - 1].live_calls, SAMPLES_ROOM + 5);
    samples_free(s);
}

/* The loop stood still: time goes on, with what is found then. */
static void test_missed(void **state)
{
    (void)state;
    struct samples *s = open_samples();
    values[0] += 6;
    samples_tick(s, at(35), 4);
    assert_int_equal(samples_calls(s, calls), 3);
    assert_int_equal(calls[0].started_calls, 6);
    assert_int_equal(calls[2].started_calls, 0);
    assert_int_equal(calls[2].live_calls, 4);
    samples_tick(s, at(40), 5);
    assert_int_equal(samples_calls(s, calls), 4);
    samples_tick(s, at(1000000), 1);
    assert_int_equal(samples_calls(s, calls), SAMPLES_ROOM);
    samples_tick(s, at(1000009), 2);
    samples_tick(s, at(1000010), 3);
    assert_int_equal(samples_calls(s, calls), SAMPLES_ROOM);
    assert_int_equal(calls[SAMPLES_ROOM - 2].live_calls, 1);
    assert_int_equal(calls[SAMPLES_ROOM - 1].live_calls, 3);
    samples_free(s);
}

static void test_growths(void **state)
{
    (void)state;
    struct page_growth g[2];
    unsigned within_s = 0;
    struct samples *s = open_samples();
    assert_int_equal(samples_growths(s, trouble, at(0), g, 2, &within_s), 0);
    assert_int_equal(within_s, 0);
    values[0] += 50;
    values[1] += 3;
    values[2] += 8;
    values[3] += 50;
    mesh_values[0] += 5;
    assert_int_equal(samples_growths(s, trouble, at(30), g, 2, &within_s), 3);
    assert_int_equal(within_s, 30);
    assert_string_equal(g[0].module, "edge");
    assert_string_equal(g[0].name, "dropped");
    assert_int_equal(g[0].grown, 8);
    assert_string_equal(g[1].module, "mesh");
    assert_int_equal(g[1].grown, 5);
    unsigned t = 60;
    for (; t <= 600; t += 60) /* what was remembered first is still before it */
        samples_tick(s, at(t), 0);
    assert_int_equal(samples_growths(s, trouble, at(659), g, 2, &within_s), 3);
    assert_int_equal(within_s, 659);
    samples_tick(s, at(660), 0); /* and then it is not */
    values[1] += 1;
    assert_int_equal(samples_growths(s, trouble, at(661), g, 2, &within_s), 1);
    assert_int_equal(within_s, 601);
    assert_string_equal(g[0].name, "refused");
    assert_int_equal(g[0].grown, 1);
    samples_free(s);
}

static void test_no_counters(void **state)
{
    (void)state;
    struct page_growth g[1];
    unsigned within_s = 0;
    struct samples *s = samples_new(NULL, 0, &values[0], at(0));
    assert_non_null(s);
    samples_tick(s, at(60), 0);
    assert_int_equal(samples_growths(s, trouble, at(60), g, 1, &within_s), 0);
    samples_free(s);
    samples_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls), cmocka_unit_test(test_an_hour),
                                       cmocka_unit_test(test_missed), cmocka_unit_test(test_growths),
                                       cmocka_unit_test(test_no_counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
