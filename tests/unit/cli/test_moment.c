#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/moment.h"

#define NOW 1795334130123 /* 2026-11-22T07:55:30.123Z */

static void moments_are_read(void **state)
{
    static const struct {
        const char *text;
        const char *at;
    } good[] = {
        {"10m", "2026-11-22T07:45:30.123Z"},
        {"2h", "2026-11-22T05:55:30.123Z"},
        {"0", "2026-11-22T07:55:30.123Z"},
        {"03:12", "2026-11-22T03:12:00.000Z"},
        {"03:12:05Z", "2026-11-22T03:12:05.000Z"},
        {"07:55", "2026-11-22T07:55:00.000Z"},
        {"07:56", "2026-11-21T07:56:00.000Z"}, /* not yet today */
        {"00:00", "2026-11-22T00:00:00.000Z"},
        {"2026-11-21", "2026-11-21T00:00:00.000Z"},
        {"2026-11-21 23:59", "2026-11-21T23:59:00.000Z"},
        {"2026-11-22 03:12:30Z", "2026-11-22T03:12:30.000Z"}, /* as a table shows it */
        {"2026-11-22T03:12:30.123Z", "2026-11-22T03:12:30.123Z"},
        {"1970-01-01", "1970-01-01T00:00:00.000Z"},
        {"2000-02-29", "2000-02-29T00:00:00.000Z"},
        {"2024-03-01T00:00", "2024-03-01T00:00:00.000Z"},
        {"9999-12-31", "9999-12-31T00:00:00.000Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wall at = {-1};
        char text[WALL_TEXT_SIZE];
        assert_int_equal(moment_parse(good[i].text, (struct wall){NOW}, &at), ERR_OK);
        assert_string_equal(wall_text(at, text), good[i].at);
    }
}

static void others_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "soon",
        "10",
        "3:12",
        "03:12x",
        "24:00",
        "03:60",
        "03:12:60",
        "03:12:5",
        "03:12:05.1",
        "2026-11",
        "2026-13-01",
        "2026-02-30",
        "2026-00-10",
        "2026-11-00",
        "1969-12-31",
        "2026-11-22 ",
        "2026-11-22T",
        "2026-11-22x03:12",
        "2026-11-22 03:12 UTC",
        "2026-11-2203:12",
        "-1h",
        "1900-02-29",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wall at = {-1};
        if (moment_parse(bad[i], (struct wall){NOW}, &at) != ERR_SYNTAX) fail_msg("%s", bad[i]);
        assert_int_equal(at.ms, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
