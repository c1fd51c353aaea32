/* test_text: what reaches a terminal, what counts as UTF-8, and which word was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/text.h"

#define BYTES(literal)                                                                                                 \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }
#define FFFD "\xef\xbf\xbd"

static void assert_text(struct buf *out, const char *want)
{
    buf_add(out, "", 1);
    assert_false(out->failed);
    assert_string_equal(out->p, want);
    buf_fini(out);
}

static void test_safe_and_utf8(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        const char *safe;
        const char *utf8;
    } rows[] = {
        {BYTES(""), "", ""},
        {BYTES("plain"), "plain", "plain"},
        {BYTES("\x1b[2J\x07"), "?[2J?", "\x1b[2J\x07"},
        {BYTES("a\r\n\tb\x7f"), "a???b?", "a\r\n\tb\x7f"},
        {BYTES("J\xc3\xb6rg \xf0\x9f\x93\x9e"), "J\xc3\xb6rg \xf0\x9f\x93\x9e", "J\xc3\xb6rg \xf0\x9f\x93\x9e"},
        {BYTES("\xc2\x9b"
               "31m"),
         "?31m",
         "\xc2\x9b"
         "31m"}, /* C1: CSI */
        {BYTES("\xe2\x80\xae"
               "x"),
         "?x",
         "\xe2\x80\xae"
         "x"},                                        /* right-to-left override */
        {BYTES("\xe2\x80\xa8"), "?", "\xe2\x80\xa8"}, /* line separator */
        {BYTES("\xff\xfe"), "??", FFFD FFFD},
        {BYTES("\xc3"), "?", FFFD},           /* cut off */
        {BYTES("\xc0\xaf"), "??", FFFD FFFD}, /* overlong */
        {BYTES("\xe0\x80\x80"), "???", FFFD FFFD FFFD},
        {BYTES("\xed\xa0\x80"), "???", FFFD FFFD FFFD}, /* surrogate */
        {BYTES("\xf4\x90\x80\x80"), "????", FFFD FFFD FFFD FFFD},
        {BYTES("\xe2\x82x"), "??x", FFFD FFFD "x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        text_safe(&out, rows[i].in);
        assert_text(&out, rows[i].safe);
        text_utf8(&out, rows[i].in);
        assert_text(&out, rows[i].utf8);
    }
    struct buf out = {0};
    text_safe_lines(&out, SLICE("a\n\tb\r\x1b"));
    assert_text(&out, "a\n\tb??");
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        unsigned want;
    } rows[] = {{"", "", 0},         {"", "abc", 3},          {"abc", "", 3},       {"plan", "plan", 0},
                {"plna", "plan", 1}, {"pla", "plan", 1},      {"plan", "plant", 1}, {"plan", "clan", 1},
                {"ab", "ba", 1},     {"kitten", "sitting", 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].want);
    }
    char far[80];
    memset(far, 'x', sizeof far - 1);
    far[sizeof far - 1] = '\0';
    assert_true(text_distance(far, far) > 64);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"status", "nodes", "registrations", "calls", "trunks"};
    static const struct {
        const char *word;
        const char *want;
    } rows[] = {{"stauts", "status"},
                {"node", "nodes"},
                {"cals", "calls"},
                {"trunk", "trunks"},
                {"regstrations", "registrations"},
                {"zebra", NULL},
                {"x", NULL},
                {"", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = text_nearest(rows[i].word, words, sizeof words / sizeof words[0]);
        if (rows[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(got, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_and_utf8),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
