/* Cloaks: back to the text, the same each time, and nothing that was not made with the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/base/cloak.h"

static const unsigned char key[HASH_KEY_LEN] = "the key of the tests, 32 bytes..";
static const unsigned char other_key[HASH_KEY_LEN] = "another key of the tests, 32 b..";

static void test_every_length(void **state)
{
    struct cloak *c = cloak_new(key);
    char text[CLOAK_MAX];
    struct buf once = {0};
    struct buf twice = {0};
    struct buf back = {0};
    (void)state;
    assert_non_null(c);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 37);
    for (size_t n = 1; n <= CLOAK_MAX; n += n < 70 ? 1 : 671) {
        struct slice s = {text, n};
        buf_reset(&once);
        buf_reset(&twice);
        buf_reset(&back);
        assert_int_equal(cloak_put_on(c, s, &once), ERR_OK);
        assert_int_equal(cloak_put_on(c, s, &twice), ERR_OK);
        assert_true(slice_eq(buf_view(&once), buf_view(&twice)));
        assert_true(once.n <= CLOAK_LEN(n));
        for (size_t i = 0; i < once.n; i++)
            assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", once.p[i]));
        assert_int_equal(cloak_take_off(c, buf_view(&once), &back), ERR_OK);
        assert_true(slice_eq(buf_view(&back), s));
    }
    assert_int_equal(cloak_put_on(c, (struct slice){text, 0}, &once), ERR_LIMIT);
    assert_int_equal(cloak_put_on(c, (struct slice){text, CLOAK_MAX + 1}, &once), ERR_LIMIT);
    buf_fini(&once);
    buf_fini(&twice);
    buf_fini(&back);
    cloak_free(c);
}

/* Each character matters, and so do the length and the key. */
static void test_forged(void **state)
{
    struct cloak *c = cloak_new(key);
    struct cloak *other = cloak_new(other_key);
    struct buf made = {0};
    struct buf back = {0};
    (void)state;
    assert_non_null(c);
    assert_non_null(other);
    assert_int_equal(cloak_put_on(c, SLICE("sip:6001@10.9.8.7:5060"), &made), ERR_OK);
    assert_int_equal(cloak_take_off(other, buf_view(&made), &back), ERR_AUTH);
    for (size_t i = 0; i < made.n; i++) {
        char kept = made.p[i];
        for (const char *p = "Az09-_=+/ \r"; *p != '\0'; p++) {
            if (*p == kept) continue;
            made.p[i] = *p;
            enum err e = cloak_take_off(c, buf_view(&made), &back);
            /* the last digit holds bits that nobody reads */
            if (e == ERR_OK) assert_int_equal(i, made.n - 1);
            if (e != ERR_OK) assert_int_equal(e, ERR_AUTH);
            if (e != ERR_OK) assert_int_equal(back.n, 0);
            buf_reset(&back);
        }
        made.p[i] = kept;
    }
    for (size_t n = 0; n < made.n; n++)
        assert_int_equal(cloak_take_off(c, (struct slice){made.p, n}, &back), ERR_AUTH);
    char long_text[CLOAK_LEN(CLOAK_MAX) + 100];
    memset(long_text, 'A', sizeof long_text);
    for (size_t n = sizeof long_text - 130; n <= sizeof long_text; n++)
        assert_int_equal(cloak_take_off(c, (struct slice){long_text, n}, &back), ERR_AUTH);
    assert_int_equal(back.n, 0);
    buf_fini(&made);
    buf_fini(&back);
    cloak_free(c);
    cloak_free(other);
    cloak_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_length), cmocka_unit_test(test_forged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
