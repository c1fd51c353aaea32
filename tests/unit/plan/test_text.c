/* Decent text, shown text, near names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/plan/text.h"

static void test_valid(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool valid;
    } table[] = {
        {SLICE(""), true},
        {SLICE("reserved for the next branch"), true},
        {SLICE("Z\xc3\xbcrich \xe6\xbc\xa2 \xf0\x9f\x93\x9e"), true},
        {SLICE("a\nb"), false},
        {SLICE("a\tb"), false},
        {SLICE("a\0b"), false},
        {SLICE("\x7f"), false},
        {SLICE("\xc2\x85"), false},         /* a control of C1 */
        {SLICE("\xc0\x80"), false},         /* overlong */
        {SLICE("\xe0\x80\xaf"), false},     /* overlong */
        {SLICE("\xed\xa0\x80"), false},     /* a surrogate */
        {SLICE("\xf4\x90\x80\x80"), false}, /* above U+10FFFF */
        {SLICE("\xf8\x88\x80\x80"), false},
        {SLICE("\x80"), false},
        {SLICE("\xc3"), false},
        {SLICE("\xe2\x82"), false},
        {SLICE("\xe2\x80\xa8"), false}, /* a line separator */
        {SLICE("\xef\xbb\xbf"), false}, /* a byte order mark */
        {SLICE("\xef\xbf\xbf"), false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (text_valid(table[i].text) != table[i].valid) fail_msg("row %zu", i);
    }
}

static void test_shown(void **state)
{
    (void)state;
    char out[TEXT_SHOWN];
    char much[500];
    assert_string_equal(text_shown(SLICE("6001"), out), "\"6001\"");
    assert_string_equal(text_shown(SLICE("\x1b[2J\"\0"), out), "\"?[2J??\"");
    assert_string_equal(text_shown(SLICE("B\xc3\xbcro\xc2\xa0\xef\xbc\x96\xff"), out),
                        "\"B\xc3\xbcro<U+00A0><U+FF16>?\"");
    for (size_t i = 0; i < sizeof much; i += 2)
        memcpy(much + i, "\xc2\xa0", 2);
    (void)text_shown((struct slice){much, sizeof much}, out);
    assert_true(strlen(out) < TEXT_SHOWN && strcmp(out + strlen(out) - 5, ">...\"") == 0);
    memset(much, 'x', sizeof much);
    (void)text_shown((struct slice){much, sizeof much}, out);
    assert_int_equal(strlen(out), TEXT_SHOWN - 1);
    assert_string_equal(out + strlen(out) - 4, "...\"");
}

static void test_odd(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        const char *text;
    } table[] = {
        {"6001", ""},
        {"", ""},
        {"6x", ""},
        {"8.61E+12", ""},
        {"6\xff\xa0", ""}, /* no text at all */
        {"6 1", ": there is a blank in it, take it out"},
        {"6\t1", ": there is a blank in it, take it out"},
        {"\xe2\x80\x8b\x36", ": U+200B is a blank, take it out"},
        {"6\xe2\x80\x93\x37", ": U+2013 is another dash, write -"},
        {"\xef\xbc\x96", ": U+FF16 is a full-width character, type it anew"},
        {"\xd9\xa6", ": U+0666 is none of 0 to 9, + * #, type it anew"},
        {"(030)", ": a ( stands between digits, take it out"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[TEXT_ODD];
        assert_string_equal(text_odd(slice_of(table[i].number), out), table[i].text);
    }
}

static void test_near(void **state)
{
    (void)state;
    static const struct {
        const char *got;
        const char *name;
        int distance; /* -1: not near */
    } table[] = {
        {"prioritty", "priority", 1},
        {"prioirty", "priority", 1},
        {"piority", "priority", 1},
        {"Priority", "priority", 1},
        {"to", "too", 1},
        {"xy", "to", -1},
        {"strips", "strip", 1},
        {"colour", "calls", -1},
        {"trunk", "trunks", 1},
        {"route", "routes", 1},
        {"in", "out", -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        unsigned distance = 99;
        bool near = text_near(slice_of(table[i].got), slice_of(table[i].name), &distance);
        if (near != (table[i].distance >= 0)) fail_msg("%s %s", table[i].got, table[i].name);
        if (near) assert_int_equal(distance, table[i].distance);
    }
    char much[200];
    unsigned distance = 0;
    memset(much, 'x', sizeof much);
    assert_false(text_near((struct slice){much, sizeof much}, (struct slice){much, sizeof much}, &distance));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_valid), cmocka_unit_test(test_shown),
                                       cmocka_unit_test(test_odd), cmocka_unit_test(test_near)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
