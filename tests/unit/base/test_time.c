#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/time.h"

static void durations_round_trip(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},       {"250ms", 250},  {"10s", 10000},       {"90s", 90000},
                {"5m", 300000}, {"2h", 7200000}, {"366d", 31622400000}};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 1;
        char text[WALL_TEXT_SIZE];
        uint64_t again = 0;
        assert_int_equal(duration_parse(good[i].text, strlen(good[i].text), &ms), ERR_OK);
        assert_int_equal(ms, good[i].ms);
        (void)duration_text(ms, text);
        assert_int_equal(duration_parse(text, strlen(text), &again), ERR_OK);
        assert_int_equal(again, ms);
    }
}

static void bad_durations_are_refused(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } bad[] = {{"", ERR_SYNTAX},      {"s", ERR_SYNTAX},    {"10", ERR_SYNTAX},
               {"-1s", ERR_SYNTAX},   {"1.5s", ERR_SYNTAX}, {"1 s", ERR_SYNTAX},
               {"10sec", ERR_SYNTAX}, {"367d", ERR_LIMIT},  {"99999999999999999999s", ERR_LIMIT}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 42;
        assert_int_equal(duration_parse(bad[i].text, strlen(bad[i].text), &ms), bad[i].err);
        assert_int_equal(ms, 42);
    }
}

static void calendar_times_are_right(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000Z"},
                 {951782400123, "2000-02-29T00:00:00.123Z"},
                 {1709251199999, "2024-02-29T23:59:59.999Z"},
                 {1795334130123, "2026-11-22T07:55:30.123Z"},
                 {253402300799999, "9999-12-31T23:59:59.999Z"},
                 {253402300800000, "-"},
                 {-1, "-"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[WALL_TEXT_SIZE];
        assert_string_equal(wall_text((struct wall){cases[i].ms}, text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_round_trip),
        cmocka_unit_test(bad_durations_are_refused),
        cmocka_unit_test(calendar_times_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
