/* The longest turn of the loop, by second; and a real loop that one callback keeps busy. */
#include "node/app/stall.h"
#include "tests/unit/app/kit.h"

static void now_only(uv_timer_t *timer)
{
    (void)timer;
}

static void keeps_the_loop(uv_timer_t *timer)
{
    uint64_t end = uv_hrtime() + 30000000;
    (void)timer;
    while (uv_hrtime() < end) {
    }
}

static uint64_t counted(const struct stall *s, enum stall_counter which)
{
    return counter_get(&s->counts[which]);
}

static void seconds_pass(void **state)
{
    (void)state;
    struct stall s = {.open = false};
    uint64_t now = uv_hrtime() / 1000000000u;
    stall_note(&s, now - 200, (struct stall_times){900000, 1});
    stall_note(&s, now - 59, (struct stall_times){70000, 3000});
    stall_note(&s, now - 30, (struct stall_times){6000, 5000});
    stall_note(&s, now, (struct stall_times){200, 100});
    stall_note(&s, now, (struct stall_times){150, 120});
    assert_int_equal(stall_longest(&s, 1).wall_us, 200);
    assert_int_equal(stall_longest(&s, 1).own_us, 120);
    assert_int_equal(stall_longest(&s, 40).wall_us, 6000);
    assert_int_equal(stall_longest(&s, 1000).own_us, 5000);
    assert_int_equal(counted(&s, STALL_turns), 5);
    assert_int_equal(counted(&s, STALL_turns_over_5ms), 3);
    assert_int_equal(counted(&s, STALL_turns_over_20ms), 2);
    assert_int_equal(counted(&s, STALL_turns_over_100ms), 1);
}

static void a_busy_callback_is_seen_and_waiting_is_not(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_timer_t timer;
    struct stall s = {.open = false};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(stall_start(&s, &loop), ERR_OK);
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, now_only, 300, 0), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_in_range(stall_longest(&s, STALL_SECONDS).own_us, 0, 29999);
    assert_true(stall_longest(&s, STALL_SECONDS).wall_us < 300000); /* it waited for 300 ms */
    assert_int_equal(uv_timer_start(&timer, keeps_the_loop, 1, 0), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_timer_start(&timer, now_only, 1, 0), 0); /* a turn is over when the next begins */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    struct stall_times longest = stall_longest(&s, STALL_SECONDS);
    assert_true(longest.wall_us >= 30000);
    assert_in_range(longest.own_us, 1000, longest.wall_us);
    assert_true(counted(&s, STALL_turns_over_20ms) >= 1);
    uv_close((uv_handle_t *)&timer, NULL);
    stall_stop(&s);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_pass),
        cmocka_unit_test(a_busy_callback_is_seen_and_waiting_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
