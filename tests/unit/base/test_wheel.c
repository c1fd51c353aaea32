#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/rng.h"
#include "node/base/wheel.h"

#define TIMERS 2000

struct item {
    struct wheel_timer timer;
    struct mono at;
    struct mono fired;
    unsigned count;
};

struct run {
    struct wheel wheel;
    struct mono now;
    struct item items[TIMERS];
};

static void fire(void *ctx, struct wheel_timer *t)
{
    struct run *r = ctx;
    struct item *i = CONTAINER_OF(t, struct item, timer);
    i->fired = r->now;
    i->count++;
}

/* Every timer fires once, not before its deadline and at most one tick and one step of the caller after it. */
static void random_deadlines(void **state)
{
    static struct run r;
    struct rng rng;
    uint64_t step_us = 7000;
    (void)state;
    rng_init(&rng, 1);
    r.now = (struct mono){123456789};
    wheel_init(&r.wheel, r.now);
    for (size_t i = 0; i < TIMERS; i++) {
        static const uint64_t spans[] = {1000000, 60000000, 600000000, 36000000000}; /* 1 s to 10 h: all levels */
        uint64_t span = spans[i % 4];
        wheel_timer_init(&r.items[i].timer);
        r.items[i].at = (struct mono){r.now.us + rng_below(&rng, span)};
        wheel_start(&r.wheel, &r.items[i].timer, r.items[i].at);
    }
    for (size_t i = 0; i < TIMERS; i += 10)
        wheel_stop(&r.wheel, &r.items[i].timer);
    while (r.wheel.count > 0) {
        struct mono next = wheel_next(&r.wheel);
        r.now = next.us > r.now.us + step_us ? next : (struct mono){r.now.us + step_us};
        wheel_advance(&r.wheel, r.now, fire, &r);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        const struct item *item = &r.items[i];
        assert_int_equal(item->count, i % 10 != 0);
        if (item->count == 0) continue;
        assert_true(item->fired.us >= item->at.us);
        assert_true(item->fired.us - item->at.us <= WHEEL_TICK_US + step_us);
    }
    assert_int_equal(wheel_next(&r.wheel).us, UINT64_MAX);
}

static void wheel_next_is_never_late(void **state)
{
    static struct run r;
    (void)state;
    for (uint64_t ms = 1; ms < 3000000; ms = ms * 3 / 2 + 1) {
        r.now = (struct mono){999999999};
        wheel_init(&r.wheel, r.now);
        wheel_timer_init(&r.items[0].timer);
        r.items[0] = (struct item){.timer = r.items[0].timer, .at = mono_add_ms(r.now, ms)};
        wheel_timer_init(&r.items[0].timer);
        wheel_start(&r.wheel, &r.items[0].timer, r.items[0].at);
        while (r.items[0].count == 0) {
            struct mono next = wheel_next(&r.wheel);
            assert_true(next.us <= r.items[0].at.us + WHEEL_TICK_US);
            assert_true(next.us > r.now.us);
            r.now = next;
            wheel_advance(&r.wheel, r.now, fire, &r);
        }
        assert_true(r.now.us >= r.items[0].at.us);
    }
}

static void restart(void *ctx, struct wheel_timer *t)
{
    struct run *r = ctx;
    struct item *i = CONTAINER_OF(t, struct item, timer);
    if (++i->count < 5)
        wheel_start(&r->wheel, t, r->now); /* due at once: fires on the next tick, not for ever in this one */
}

static void a_timer_may_start_itself_again(void **state)
{
    static struct run r;
    (void)state;
    r = (struct run){.now = {5000000}};
    wheel_init(&r.wheel, r.now);
    wheel_timer_init(&r.items[0].timer);
    wheel_start(&r.wheel, &r.items[0].timer, r.now);
    for (int i = 0; i < 10; i++) {
        r.now.us += WHEEL_TICK_US;
        wheel_advance(&r.wheel, r.now, restart, &r);
    }
    assert_int_equal(r.items[0].count, 5);
}

static void beyond_the_horizon_it_fires_at_the_horizon(void **state)
{
    static struct run r;
    (void)state;
    r = (struct run){.now = {0}};
    wheel_init(&r.wheel, r.now);
    wheel_timer_init(&r.items[0].timer);
    wheel_start(&r.wheel, &r.items[0].timer, MONO_NEVER);
    r.now = mono_add_ms(r.now, UINT64_C(24) * 3600 * 1000);
    wheel_advance(&r.wheel, r.now, fire, &r);
    assert_int_equal(r.items[0].count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_deadlines),
        cmocka_unit_test(wheel_next_is_never_late),
        cmocka_unit_test(a_timer_may_start_itself_again),
        cmocka_unit_test(beyond_the_horizon_it_fires_at_the_horizon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
