#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/log.h"

static char last[1200];

static void sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (*(unsigned *)ctx)++;
    (void)snprintf(last, sizeof last, "%s %s %s %s", log_level_name(level), module, ev, pairs);
}

static void events_above_the_level_are_not_formatted(void **state)
{
    unsigned count = 0;
    struct log log = {LOG_INFO, sink, &count};
    (void)state;
    log_event(&log, LOG_INFO, "m", "ev", "a=%d", 1);
    assert_string_equal(last, "info m ev a=1");
    log_event(&log, LOG_DEBUG, "m", "ev", "a=%d", 2);
    assert_int_equal(count, 1);
    log_event(NULL, LOG_ERROR, "m", "ev", "x");
}

static void control_characters_cannot_forge_a_line(void **state)
{
    unsigned count = 0;
    struct log log = {LOG_INFO, sink, &count};
    (void)state;
    log_event(&log, LOG_WARN, "m", "ev", "a=%s", "x\nlevel=error\x1b[2J\x7f");
    assert_string_equal(last, "warn m ev a=x?level=error?[2J?");
}

/* Nor a pair: a quote is only where the format has one, also in a text that is cut. */
static void quotes_cannot_forge_a_pair(void **state)
{
    unsigned count = 0;
    struct log log = {LOG_INFO, sink, &count};
    char text[1200];
    (void)state;
    log_event(&log, LOG_WARN, "m", "ev", "a=\"%s\" b=%s c=\"%d\"", "x\" b=\"y", "\"\x01\"", 7);
    assert_string_equal(last, "warn m ev a=\"x' b='y\" b='?' c=\"7\"");
    log_event(&log, LOG_WARN, "m", "ev", "a=%s", "\"");
    assert_string_equal(last, "warn m ev a='");
    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_event(&log, LOG_WARN, "m", "ev", "a=\"%s\"", text);
    assert_int_equal(strlen(last), sizeof "warn m ev " - 1 + 1023);
    assert_memory_equal(last, "warn m ev a=\"''", 15);
    assert_null(strchr(last + 13, '"'));
}

static void an_error_says_what_and_where(void **state)
{
    struct err_info info = {0};
    (void)state;
    assert_int_equal(err_fail_at(&info, ERR_LIMIT, 3, 7, "too %s", "long"), ERR_LIMIT);
    assert_string_equal(info.text, "too long");
    assert_int_equal(info.line, 3);
    assert_int_equal(info.column, 7);
    assert_int_equal(err_fail(NULL, ERR_IO, "nobody looks"), ERR_IO);
    for (int e = 0; e < ERR_COUNT; e++)
        assert_non_null(err_name((enum err)e));
    assert_string_equal(err_name((enum err)999), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_above_the_level_are_not_formatted),
        cmocka_unit_test(control_characters_cannot_forge_a_line),
        cmocka_unit_test(quotes_cannot_forge_a_pair),
        cmocka_unit_test(an_error_says_what_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
