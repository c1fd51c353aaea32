/* When the loop waits for more datagrams. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "node/edge/gather.h"

/* Turns that each read so many, one each ms; how many of them ended with a pause. */
static unsigned pauses(struct gather *g, uint64_t *ms, unsigned turns, uint32_t datagrams)
{
    unsigned count = 0;
    for (unsigned i = 0; i < turns; i++) {
        gather_note(g, datagrams, ++*ms);
        count += gather_pause_us(g) > 0;
    }
    return count;
}

static void few_are_not_delayed(void **state)
{
    struct gather g = {0};
    uint64_t ms = 1000;
    (void)state;
    assert_int_equal(pauses(&g, &ms, 1000, GATHER_DENSE / GATHER_WINDOW_MS - 1), 0);
}

static void dense_ones_are_gathered(void **state)
{
    struct gather g = {0};
    uint64_t ms = 1000;
    (void)state;
    assert_in_range(pauses(&g, &ms, 1000, GATHER_DENSE / GATHER_WINDOW_MS), 900, 950);
    /* a turn that read none, for a timer or a connection, is not delayed */
    assert_int_equal(gather_pause_us(&g), 0);
}

static void a_batch_needs_no_pause(void **state)
{
    struct gather g = {0};
    uint64_t ms = 1000;
    (void)state;
    assert_int_equal(pauses(&g, &ms, 1000, GATHER_BATCH), 0);
    assert_int_equal(pauses(&g, &ms, 1, GATHER_BATCH - 1), 1);
}

static void a_silence_ends_it(void **state)
{
    struct gather g = {0};
    uint64_t ms = 1000;
    (void)state;
    assert_true(pauses(&g, &ms, 200, 4) > 0);
    ms += (uint64_t)2 * GATHER_WINDOW_MS;
    assert_int_equal(pauses(&g, &ms, 1, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_not_delayed),
        cmocka_unit_test(dense_ones_are_gathered),
        cmocka_unit_test(a_batch_needs_no_pause),
        cmocka_unit_test(a_silence_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
