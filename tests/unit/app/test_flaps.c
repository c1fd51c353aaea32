#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/app/flaps.h"

static struct mono at(uint64_t ms)
{
    return (struct mono){ms * 1000};
}

static void who_goes_often_is_damped_and_comes_back(void **state)
{
    (void)state;
    struct flaps *f = flaps_new(1);
    struct slice gw = SLICE("gw");
    for (unsigned i = 0; i + 1 < FLAPS_DAMPED; i++)
        flaps_lost(f, gw, at(i * 100));
    assert_false(flaps_damped(f, gw, at(500)));
    flaps_lost(f, gw, at(600));
    assert_true(flaps_damped(f, gw, at(700)));
    assert_false(flaps_damped(f, SLICE("g"), at(700)));
    assert_true(flaps_damped(f, gw, at(FLAPS_HALF_LIFE_MS / 2))); /* down to the lower mark, not the upper */
    assert_false(flaps_damped(f, gw, at(2 * FLAPS_HALF_LIFE_MS)));
    assert_false(flaps_damped(f, gw, at(2 * FLAPS_HALF_LIFE_MS + 1)));
    flaps_lost(f, gw, at(2 * FLAPS_HALF_LIFE_MS + 2)); /* once more is no flapping */
    assert_false(flaps_damped(f, gw, at(2 * FLAPS_HALF_LIFE_MS + 3)));
    flaps_free(f);
}

static void one_loss_now_and_then_is_none(void **state)
{
    (void)state;
    struct flaps *f = flaps_new(1);
    for (uint64_t i = 0; i < 100; i++) {
        flaps_lost(f, SLICE("6001"), at(i * FLAPS_HALF_LIFE_MS));
        assert_false(flaps_damped(f, SLICE("6001"), at(i * FLAPS_HALF_LIFE_MS + 1)));
    }
    flaps_free(f);
}

/* However long it went on, it ends two half-lives after it has ended. */
static void a_penalty_is_bounded(void **state)
{
    (void)state;
    struct flaps *f = flaps_new(1);
    for (unsigned i = 0; i < 10000; i++)
        flaps_lost(f, SLICE("gw"), at(i));
    assert_true(flaps_damped(f, SLICE("gw"), at(10000 + FLAPS_HALF_LIFE_MS)));
    assert_false(flaps_damped(f, SLICE("gw"), at(10000 + 2 * FLAPS_HALF_LIFE_MS + 100)));
    flaps_free(f);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    struct flaps *f = flaps_new(1);
    char name[16];
    for (unsigned i = 0; i < FLAPS_DAMPED; i++)
        flaps_lost(f, SLICE("gw"), at(i));
    for (unsigned i = 0; i < 20 * FLAPS_ACCOUNTS; i++) {
        (void)snprintf(name, sizeof name, "a%u", i);
        flaps_lost(f, slice_of(name), at(100));
    }
    assert_true(flaps_damped(f, SLICE("gw"), at(200))); /* the worst is kept */
    flaps_free(f);
    flaps_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_goes_often_is_damped_and_comes_back),
        cmocka_unit_test(one_loss_now_and_then_is_none),
        cmocka_unit_test(a_penalty_is_bounded),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
