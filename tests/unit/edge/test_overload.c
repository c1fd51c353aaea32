/* Who is refused when more comes in than can be carried. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/base/rng.h"
#include "node/edge/overload.h"

struct load {
    struct overload o;
    struct rng rng;
    struct mono now;
};

/* per_s[i] requests of source i for some seconds; got[i] of them were taken in the last one. */
static void run(struct load *l, const unsigned *per_s, unsigned *got, size_t sources, unsigned seconds)
{
    for (unsigned ms = 0; ms < 1000 * seconds; ms++) {
        l->now.us += 1000;
        for (size_t i = 0; i < sources; i++) {
            if (ms % 1000 == 0) got[i] = 0;
            unsigned count = (ms % 1000 + 1) * per_s[i] / 1000 - (ms % 1000) * per_s[i] / 1000;
            for (unsigned k = 0; k < count; k++)
                got[i] += overload_admit(&l->o, 1000 + i, l->now, rng_next(&l->rng));
        }
    }
}

static int setup(void **state)
{
    struct load *l = calloc(1, sizeof *l);
    assert_non_null(l);
    rng_init(&l->rng, 7);
    l->now.us = 1000000;
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void nobody_is_refused_without_need(void **state)
{
    struct load *l = *state;
    unsigned got = 0;
    run(l, &(unsigned){5000}, &got, 1, 2);
    assert_int_equal(got, 5000);
    overload_sense(&l->o, OVERLOAD_FIRST_MS, OVERLOAD_FIRST_MS);
    assert_false(overload_on(&l->o));
}

static void the_signs(void **state)
{
    struct load *l = *state;
    overload_sense(&l->o, OVERLOAD_LAST_MS, 0);
    assert_int_equal(l->o.refuse, 1000);
    overload_sense(&l->o, 0, OVERLOAD_LAST_MS + 9);
    assert_int_equal(l->o.refuse, 1000);
    overload_sense(&l->o, (OVERLOAD_LAST_MS + OVERLOAD_FIRST_MS) / 2, 0);
    assert_int_equal(l->o.refuse, 500);
    overload_sense(&l->o, 0, 0);
    assert_false(overload_on(&l->o));
}

static void as_many_as_the_queue_says(void **state)
{
    struct load *l = *state;
    unsigned got = 0;
    overload_sense(&l->o, 150, 0);
    run(l, &(unsigned){4000}, &got, 1, 2);
    assert_in_range(got, 1800, 2200);
    overload_sense(&l->o, 1000, 0);
    run(l, &(unsigned){4000}, &got, 1, 1);
    assert_int_equal(got, 0);
    overload_sense(&l->o, 0, 0);
    run(l, &(unsigned){4000}, &got, 1, 1);
    assert_int_equal(got, 4000); /* at once */
}

static void who_floods_pays_himself(void **state)
{
    struct load *l = *state;
    const unsigned per_s[] = {20000, 50, 50, 50};
    unsigned got[4] = {0};
    overload_sense(&l->o, 225, 0);
    run(l, per_s, got, 4, 3);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(got[i], 50);
    assert_in_range(got[0], 1500, 4000);
}

static void equals_share_what_there_is(void **state)
{
    struct load *l = *state;
    const unsigned per_s[] = {2000, 2000};
    unsigned got[2] = {0};
    overload_sense(&l->o, 150, 0);
    run(l, per_s, got, 2, 6);
    assert_in_range(got[0], got[1] - 250, got[1] + 250);
}

static void retry_within_bounds(void **state)
{
    (void)state;
    for (uint64_t chance = 0; chance < 20000; chance += 500)
        assert_in_range(overload_retry_s(chance), 1, 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_refused_without_need), TEST(the_signs),
        TEST(as_many_as_the_queue_says),      TEST(who_floods_pays_himself),
        TEST(equals_share_what_there_is),     TEST(retry_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
