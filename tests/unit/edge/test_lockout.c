/* Scores that fade, and who may push out whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/base/rng.h"
#include "node/edge/lockout.h"

static const struct lockout_terms terms = {100, 5 * LOCKOUT_GUESS, 8 * LOCKOUT_GUESS};

static void a_lock_ends_by_itself(void **state)
{
    (void)state;
    struct lockout l;
    assert_int_equal(lockout_init(&l, 16, &terms), ERR_OK);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(lockout_add(&l, 7, LOCKOUT_GUESS, 1000), i * LOCKOUT_GUESS);
        assert_false(lockout_is_locked(&l, 7, 1000));
    }
    (void)lockout_add(&l, 7, LOCKOUT_GUESS, 1000);
    assert_true(lockout_is_locked(&l, 7, 1000));
    assert_false(lockout_is_locked(&l, 8, 1000));
    assert_int_equal(lockout_count(&l, 1000), 1);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(lockout_add(&l, 7, LOCKOUT_GUESS, 1000) <= terms.cap);
    /* From the cap to the limit, 8 to 5: on the straight line within one half-life. */
    assert_true(lockout_is_locked(&l, 7, 1000 + 74));
    assert_false(lockout_is_locked(&l, 7, 1000 + 76));
    assert_int_equal(lockout_count(&l, 1000 + 76), 0);
    lockout_fini(&l);
}

static void a_score_halves(void **state)
{
    (void)state;
    struct lockout l;
    uint32_t before = UINT32_MAX;
    assert_int_equal(lockout_init(&l, 1, &terms), ERR_OK);
    (void)lockout_add(&l, 7, 4096, 1000);
    for (uint32_t s = 0; s < 5000; s++) {
        uint32_t score = lockout_score(&l, 7, 1000 + s);
        assert_true(score <= before);
        before = score;
        if (s % 100 == 0) assert_int_equal(score, s / 100 < 32 ? 4096 >> s / 100 : 0);
    }
    /* One that is written for a time to come has not begun to fade. */
    lockout_forget(&l, 7);
    assert_int_equal(lockout_score(&l, 7, 1000), 0);
    (void)lockout_add(&l, 7, 4096, 2000);
    assert_int_equal(lockout_score(&l, 7, 1000), 4096);
    lockout_fini(&l);
}

/* Two million keys without end in sight: nothing that is locked gets free, nor does a guesser's score fall who is as
 * far as four guesses. */
static void a_flood_frees_nobody(void **state)
{
    (void)state;
    struct lockout l;
    struct rng rng;
    rng_init(&rng, 7);
    assert_int_equal(lockout_init(&l, 64, &terms), ERR_OK);
    for (uint64_t key = 1; key <= 64; key++) {
        for (unsigned i = 0; i < (key % 2 == 0 ? 5 : 4); i++)
            (void)lockout_add(&l, key, LOCKOUT_GUESS, 1000);
    }
    size_t held = lockout_count(&l, 1000);
    uint64_t left_out = l.untracked;
    for (unsigned i = 0; i < 2000000; i++) {
        uint64_t made_up = rng_next(&rng) | UINT64_C(1) << 63;
        uint32_t score = lockout_add(&l, made_up, LOCKOUT_GUESS, 1000);
        assert_true(score == LOCKOUT_GUESS || score == 0 || score == 2 * LOCKOUT_GUESS);
    }
    for (uint64_t key = 1; key <= 64 && left_out == 0; key++)
        assert_int_equal(lockout_score(&l, key, 1000), (key % 2 == 0 ? 5 : 4) * LOCKOUT_GUESS);
    assert_int_equal(left_out, 0);
    assert_int_equal(lockout_count(&l, 1000), held);
    lockout_fini(&l);
}

/* Where all places are locked, the next key is not counted, and that is. */
static void a_full_set_says_so(void **state)
{
    (void)state;
    struct lockout l;
    assert_int_equal(lockout_init(&l, 1, &terms), ERR_OK);
    for (uint64_t key = 1; key <= LOCKOUT_WAYS; key++)
        assert_int_equal(lockout_add(&l, key, terms.limit, 1000), terms.limit);
    assert_int_equal(lockout_add(&l, 99, LOCKOUT_GUESS, 1000), 0);
    assert_int_equal(l.untracked, 1);
    assert_int_equal(lockout_count(&l, 1000), LOCKOUT_WAYS);
    assert_int_equal(lockout_add(&l, 99, LOCKOUT_GUESS, 1001), LOCKOUT_GUESS); /* one of them is free again */
    lockout_fini(&l);
}

static void one_half_is_forgotten(void **state)
{
    (void)state;
    struct lockout l;
    assert_int_equal(lockout_init(&l, 64, &terms), ERR_OK);
    for (uint64_t account = 1; account <= 20; account++) {
        (void)lockout_add(&l, account << 32 | 7, terms.limit, 1000);
        (void)lockout_add(&l, account << 32 | 8, terms.limit, 1000);
    }
    assert_int_equal(lockout_count(&l, 1000), 40);
    lockout_forget_low(&l, 7);
    assert_int_equal(lockout_count(&l, 1000), 20);
    assert_true(lockout_is_locked(&l, UINT64_C(3) << 32 | 8, 1000));
    lockout_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_ends_by_itself), cmocka_unit_test(a_score_halves),
        cmocka_unit_test(a_flood_frees_nobody),  cmocka_unit_test(a_full_set_says_so),
        cmocka_unit_test(one_half_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
