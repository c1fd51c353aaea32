/* Patterns, and that their index keys find exactly what they match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "node/base/rng.h"
#include "node/plan/pattern.h"

struct keys {
    char list[18 * LIMIT_NUMBER][PATTERN_KEY_MAX + 1];
    size_t count;
};

static void collect(void *ctx, struct slice key)
{
    struct keys *k = ctx;
    assert_true(k->count < sizeof k->list / sizeof k->list[0]);
    assert_true(key.n > 0 && key.n <= PATTERN_KEY_MAX);
    memcpy(k->list[k->count], key.p, key.n);
    k->list[k->count++][key.n] = '\0';
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        enum pattern_kind kind;
        unsigned specificity;
        const char *keys;
    } table[] = {
        {"6", ERR_OK, PATTERN_PREFIX, 1, "6 "},
        {"+49", ERR_OK, PATTERN_PREFIX, 3, "+49 "},
        {"*21", ERR_OK, PATTERN_PREFIX, 3, "*21 "},
        {"=6001", ERR_OK, PATTERN_EXACT, LIMIT_NUMBER + 1, "6001= "},
        {"8150-8379", ERR_OK, PATTERN_RANGE, 4, "815 816 817 818 819 82 830 831 832 833 834 835 836 837 "},
        {"8000-8999", ERR_OK, PATTERN_RANGE, 4, "8 "},
        {"0-9", ERR_OK, PATTERN_RANGE, 1, "0 1 2 3 4 5 6 7 8 9 "},
        {"00-99", ERR_OK, PATTERN_RANGE, 2, "0 1 2 3 4 5 6 7 8 9 "},
        {"8999-9000", ERR_OK, PATTERN_RANGE, 4, "8999 9000 "},
        {"+4998-+4999", ERR_OK, PATTERN_RANGE, 5, "+4998 +4999 "},
        {"*20-*29", ERR_OK, PATTERN_RANGE, 3, "*2 "},
        {"", ERR_SYNTAX, 0, 0, NULL},
        {"=", ERR_SYNTAX, 0, 0, NULL},
        {"6x", ERR_SYNTAX, 0, 0, NULL},
        {"8150-837", ERR_SYNTAX, 0, 0, NULL},
        {"8379-8150", ERR_SYNTAX, 0, 0, NULL},
        {"8150-8150", ERR_SYNTAX, 0, 0, NULL},
        {"8150-", ERR_SYNTAX, 0, 0, NULL},
        {"-8150", ERR_SYNTAX, 0, 0, NULL},
        {"8150-8160-8170", ERR_SYNTAX, 0, 0, NULL},
        {"+1-*1", ERR_SYNTAX, 0, 0, NULL},
        {"*2*-*29", ERR_SYNTAX, 0, 0, NULL},
        {"=8150-8379", ERR_SYNTAX, 0, 0, NULL},
        {"123456789012345678901234567890123", ERR_LIMIT, 0, 0, NULL},
        {"=123456789012345678901234567890123", ERR_LIMIT, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pattern p;
        struct err_info info = {.text = ""};
        enum err e = pattern_parse(slice_of(table[i].text), &p, &info);
        if (e != table[i].err) fail_msg("%s: %s", table[i].text, err_name(e));
        if (e != ERR_OK) {
            assert_true(strlen(info.text) > 20);
            continue;
        }
        struct keys *k = calloc(1, sizeof *k);
        struct buf all = {0};
        assert_non_null(k);
        assert_int_equal(p.kind, table[i].kind);
        assert_int_equal(pattern_specificity(&p), table[i].specificity);
        pattern_keys(&p, collect, k);
        for (size_t j = 0; j < k->count; j++)
            buf_printf(&all, "%s ", k->list[j]);
        assert_true(slice_is(buf_view(&all), table[i].keys));
        buf_fini(&all);
        free(k);
    }
}

static void test_matches(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *number;
        bool matches;
    } table[] = {
        {"6", "6", true},
        {"6", "6001", true},
        {"6", "7", false},
        {"=6001", "6001", true},
        {"=6001", "60011", false},
        {"=6001", "600", false},
        {"8150-8379", "8150", true},
        {"8150-8379", "8379", true},
        {"8150-8379", "83799", true},
        {"8150-8379", "8380", false},
        {"8150-8379", "8149", false},
        {"8150-8379", "82", false},
        {"8150-8379", "82*1", false},
        {"+498-+499", "+498", true},
        {"+498-+499", "498", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pattern p;
        assert_int_equal(pattern_parse(slice_of(table[i].pattern), &p, NULL), ERR_OK);
        if (pattern_matches(&p, slice_of(table[i].number)) != table[i].matches) {
            fail_msg("%s and %s", table[i].pattern, table[i].number);
        }
    }
}

/* For random ranges: a number that matches has exactly one key as a prefix of NUMBER "="; a number of digits, long
 * enough, that does not match has none. And no key could be left out or joined. */
static void test_keys_cover(void **state)
{
    (void)state;
    struct rng rng;
    struct keys *k = calloc(1, sizeof *k);
    rng_init(&rng, 11);
    assert_non_null(k);
    for (int round = 0; round < 400; round++) {
        char text[80];
        unsigned width = 1 + (unsigned)rng_below(&rng, 4);
        unsigned top = width == 1 ? 10 : width == 2 ? 100 : width == 3 ? 1000 : 10000;
        unsigned low = (unsigned)rng_below(&rng, top - 1);
        unsigned high = low + 1 + (unsigned)rng_below(&rng, top - low - 1);
        struct pattern p;
        (void)snprintf(text, sizeof text, "%0*u-%0*u", (int)width, low, (int)width, high);
        assert_int_equal(pattern_parse(slice_of(text), &p, NULL), ERR_OK);
        k->count = 0;
        pattern_keys(&p, collect, k);
        assert_true(k->count <= 18 * width);
        for (unsigned n = 0; n < top; n++) {
            char number[16];
            size_t found = 0;
            (void)snprintf(number, sizeof number, "%0*u=", (int)width, n);
            for (size_t i = 0; i < k->count; i++)
                found += slice_starts(slice_of(number), slice_of(k->list[i]));
            bool matches = pattern_matches(&p, (struct slice){number, width});
            assert_int_equal(matches, n >= low && n <= high);
            assert_int_equal(found, matches ? 1 : 0);
        }
    }
    free(k);
}

static void test_longest(void **state)
{
    (void)state;
    struct pattern p;
    struct keys *k = calloc(1, sizeof *k);
    assert_non_null(k);
    assert_int_equal(
        pattern_parse(SLICE("00000000000000000000000000000001-99999999999999999999999999999998"), &p, NULL), ERR_OK);
    pattern_keys(&p, collect, k);
    assert_int_equal(k->count, 9 + 9 + 30 * 18 + 8);
    free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_keys_cover),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
