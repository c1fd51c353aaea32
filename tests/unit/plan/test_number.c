/* Characters of numbers, and strip and prepend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/plan/pattern.h"

static void test_normalise(void **state)
{
    (void)state;
    static const struct {
        const char *dialled;
        enum err err;
        const char *number;
    } table[] = {
        {"6001", ERR_OK, "6001"},
        {"+49 (30) 123-45.67", ERR_OK, "+49301234567"},
        {"+4930123;phone-context=example.org", ERR_OK, "+4930123"},
        {"*21*6001#", ERR_OK, "*21*6001#"},
        {"%2321%23", ERR_OK, "#21#"},
        {"%2a21%2A", ERR_OK, "*21*"},
        {"12345678901234567890123456789012", ERR_OK, "12345678901234567890123456789012"},
        {"123456789012345678901234567890123", ERR_LIMIT, NULL},
        {"", ERR_SYNTAX, NULL},
        {";ext=1", ERR_SYNTAX, NULL},
        {"-.()", ERR_SYNTAX, NULL},
        {"alice", ERR_SYNTAX, NULL},
        {"6001x", ERR_SYNTAX, NULL},
        {"6001%", ERR_SYNTAX, NULL},
        {"6001%2", ERR_SYNTAX, NULL},
        {"6001%zz", ERR_SYNTAX, NULL},
        {"6001%00", ERR_SYNTAX, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[LIMIT_NUMBER + 1];
        size_t len = 0;
        enum err e = number_normalise(slice_of(table[i].dialled), out, &len);
        if (e != table[i].err) fail_msg("%s: %s", table[i].dialled, err_name(e));
        if (e != ERR_OK) continue;
        assert_string_equal(out, table[i].number);
        assert_int_equal(len, strlen(table[i].number));
    }
}

static void test_rewrite(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        unsigned strip;
        const char *prepend;
        const char *result; /* NULL: too long */
    } table[] = {
        {"0301234", 1, "+49", "+49301234"},
        {"8150", 1, "34020000001320", "34020000001320150"},
        {"6001", 0, "", "6001"},
        {"6001", 4, "", ""},
        {"6001", 200, "9", "9"},
        {"12345678901234567890123456789012", 0, "1", NULL},
        {"12345678901234567890123456789012", 1, "9", "92345678901234567890123456789012"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[LIMIT_NUMBER + 1];
        size_t len = strlen(table[i].number);
        memcpy(out, table[i].number, len + 1); /* in place, as the callers do */
        enum err e = number_rewrite((struct slice){out, len}, table[i].strip, slice_of(table[i].prepend), out, &len);
        assert_int_equal(e, table[i].result != NULL ? ERR_OK : ERR_LIMIT);
        if (e == ERR_OK) assert_string_equal(out, table[i].result);
    }
    char out[LIMIT_NUMBER + 1];
    size_t len = 0;
    char long_prepend[200];
    memset(long_prepend, '1', sizeof long_prepend);
    assert_int_equal(number_rewrite(SLICE("1"), 1, (struct slice){long_prepend, sizeof long_prepend}, out, &len),
                     ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_normalise), cmocka_unit_test(test_rewrite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
