#include "tests/unit/repl/drive.h"

#include "node/repl/clock.h"

#define WALL(ms_) ((struct wall){ms_})
#define HLC(ms, count) ((struct hlc){((uint64_t)(ms) << 16) + (count)})

static void ticks_grow_whatever_the_wall_does(void **state)
{
    (void)state;
    static const int64_t walls[] = {1000, 1000, 1001, 900, 1001, 5000, 0, -5};
    struct repl_clock c = {0};
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof walls / sizeof walls[0]; i++) {
        uint64_t now = repl_clock_tick(&c, WALL(walls[i])).v;
        assert_true(now > before);
        before = now;
    }
    assert_int_equal(before >> 16, 5000);
}

static void it_follows_what_it_sees(void **state)
{
    (void)state;
    struct repl_clock c = {0};
    assert_true(repl_clock_follow(&c, HLC(3000, 7), WALL(1000)));
    assert_int_equal(repl_clock_tick(&c, WALL(1000)).v, HLC(3000, 8).v);
    assert_true(repl_clock_follow(&c, HLC(2000, 0), WALL(1000)));
    assert_int_equal(repl_clock_read(&c, WALL(1000)).v, HLC(3000, 8).v);
    assert_int_equal(repl_clock_read(&c, WALL(4000)).v, HLC(4000, 0).v);
}

static void the_future_does_not_drag_it(void **state)
{
    (void)state;
    struct repl_clock c = {0};
    assert_true(repl_clock_follow(&c, HLC(1000 + REPL_FUTURE_MS, 65535), WALL(1000)));
    assert_false(repl_clock_follow(&c, HLC(1000 + REPL_FUTURE_MS + 1, 0), WALL(1000)));
    assert_int_equal(c.last.v, HLC(1000 + REPL_FUTURE_MS, 65535).v);
    assert_false(repl_clock_follow(&c, (struct hlc){UINT64_MAX}, WALL(1000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_grow_whatever_the_wall_does),
        cmocka_unit_test(it_follows_what_it_sees),
        cmocka_unit_test(the_future_does_not_drag_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
