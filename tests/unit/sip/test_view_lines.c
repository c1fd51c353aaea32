/* Where a header line ends, with its end at each place of a block and of the data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/sip/view_parts.h"

#define LENGTHS 70

/* The line end of an exact heap block, so that the sanitizer sees a read past its end; as an offset, -1: none. */
static int end_of(const char *text, size_t n, bool *clean)
{
    char *copy = malloc(n + (n == 0));
    assert_non_null(copy);
    memcpy(copy, text, n);
    struct sip_line_end line = sip_line_end(copy, copy + n);
    int at = line.p != NULL ? (int)(line.p - copy) : -1;
    *clean = line.clean;
    free(copy);
    return at;
}

static void crlf_at_each_place(void **state)
{
    char text[2 * LENGTHS];
    bool clean = false;
    (void)state;
    for (size_t n = 0; n < LENGTHS; n++) {
        memset(text, 'a', sizeof text);
        text[n] = '\r';
        text[n + 1] = '\n';
        for (size_t behind = 0; behind < 20; behind++) {
            assert_int_equal(end_of(text, n + 2 + behind, &clean), n + 2);
            assert_true(clean);
        }
        for (size_t cut = 0; cut < n + 2; cut++)
            assert_int_equal(end_of(text, cut, &clean), -1);
    }
}

/* One byte of a line of which every other is text. */
static void what_makes_a_line_unclean(void **state)
{
    char text[LENGTHS + 2];
    (void)state;
    for (size_t at = 0; at < LENGTHS; at++) {
        for (unsigned value = 0; value < 256; value++) {
            bool clean = false;
            memset(text, 'a', LENGTHS);
            memcpy(text + LENGTHS, "\r\n", 2);
            text[at] = (char)value;
            assert_int_equal(end_of(text, sizeof text, &clean), value == '\n' ? at + 1 : sizeof text);
            assert_int_equal(clean, value != '\0' && value != '\r' && value != '\n');
        }
    }
}

static void carriage_returns_in_a_row(void **state)
{
    bool clean = true;
    (void)state;
    assert_int_equal(end_of("a\r\r\nb\r\n", 7, &clean), 4);
    assert_false(clean);
    assert_int_equal(end_of("a\r\t\r", 4, &clean), -1);
    assert_int_equal(end_of("0123456789abcde\r\nb", 18, &clean), 17); /* the pair lies across a block's end */
    assert_true(clean);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crlf_at_each_place),
        cmocka_unit_test(what_makes_a_line_unclean),
        cmocka_unit_test(carriage_returns_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
