#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/base/random.h"

#define DRAWS 5000 /* several stretches */

static const unsigned char zero[HASH_KEY_LEN];
static const unsigned char one[HASH_KEY_LEN] = {1};

/* The stream as "openssl enc -aes-256-ctr" makes it from zeros; its first 32 bytes are the next key. */
static void the_stream_of_aes(void **state)
{
    static const unsigned char expected[16] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
                                               0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18};
    uint64_t drawn[2];
    struct random *r = random_new(zero);
    (void)state;
    assert_non_null(r);
    for (int i = 0; i < 2; i++)
        drawn[i] = random_next(r);
    assert_memory_equal(drawn, expected, sizeof expected);
    random_free(r);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Across the ends of its stretches too: what is drawn is never zero for having been wiped, and never comes again. */
static void no_number_comes_twice(void **state)
{
    static uint64_t drawn[2 * DRAWS];
    struct random *r[2] = {random_new(zero), random_new(one)};
    (void)state;
    for (size_t i = 0; i < 2 * DRAWS; i++) {
        assert_non_null(r[i % 2]);
        drawn[i] = random_next(r[i % 2]);
        assert_true(drawn[i] != 0);
    }
    qsort(drawn, 2 * DRAWS, sizeof drawn[0], by_value);
    for (size_t i = 1; i < 2 * DRAWS; i++)
        assert_true(drawn[i] != drawn[i - 1]);
    random_free(r[0]);
    random_free(r[1]);
    random_free(NULL);
}

static void every_bit_is_as_often_set_as_not(void **state)
{
    unsigned set[64] = {0};
    struct random *r = random_new(one);
    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < DRAWS; i++) {
        uint64_t word = random_next(r);
        for (int bit = 0; bit < 64; bit++)
            set[bit] += (unsigned)(word >> bit & 1);
    }
    for (int bit = 0; bit < 64; bit++)
        assert_in_range(set[bit], DRAWS / 2 - 500, DRAWS / 2 + 500); /* 14 times the deviation to be expected */
    random_free(r);
}

static void below_its_bound(void **state)
{
    unsigned seen = 0;
    struct random *r = random_new(one);
    (void)state;
    assert_non_null(r);
    for (int i = 0; i < 1000; i++) {
        uint64_t n = random_below(r, 3);
        assert_true(n < 3);
        seen |= 1U << n;
    }
    assert_int_equal(seen, 7);
    random_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stream_of_aes),
        cmocka_unit_test(no_number_comes_twice),
        cmocka_unit_test(every_bit_is_as_often_set_as_not),
        cmocka_unit_test(below_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
