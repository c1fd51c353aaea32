#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/app/log_sink.h"

static void repeats_are_counted_not_written(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    struct log_sink sink;
    struct events *kept = events_new();
    (void)state;
    log_sink_init(&sink, stream, kept);
    struct log log = log_sink_log(&sink, LOG_INFO);
    for (int i = 0; i < 1000; i++)
        log_event(&log, LOG_WARN, "edge", "bad-message", "n=%d", i);
    log_event(&log, LOG_ERROR, "edge", "bad-message", "last=1"); /* errors always show, and say what was left out */
    (void)fflush(stream);
    unsigned lines = 0;
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    assert_true(lines >= 11 && lines <= 32); /* 10 a second; the run may cross a second or two on a slow machine */
    assert_non_null(strstr(text, " level=warn module=edge ev=bad-message n=0\n"));
    assert_non_null(strstr(text, "last=1 suppressed="));
    assert_memory_equal(text, "ts=20", 5);
    log_sink_fini(&sink);
    events_free(kept);
    (void)fclose(stream);
    free(text);
}

/* Whoever keeps a struct log of an early level is filtered by the sink's present one. */
static void the_level_can_change(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    struct log_sink sink;
    struct events *kept = events_new();
    (void)state;
    log_sink_init(&sink, stream, kept);
    struct log wide = log_sink_log(&sink, LOG_DEBUG);
    log_sink_level(&sink, LOG_WARN);
    log_event(&wide, LOG_INFO, "a", "hidden", "%s", "");
    log_event(&wide, LOG_WARN, "a", "shown", "%s", "");
    log_sink_level(&sink, LOG_INFO);
    log_event(&wide, LOG_INFO, "a", "later", "%s", "");
    (void)fflush(stream);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "ev=shown\n"));
    assert_non_null(strstr(text, "ev=later\n"));
    log_sink_fini(&sink);
    events_free(kept);
    (void)fclose(stream);
    free(text);
}

/* What is remembered does not hang on what is written: info at any level, with the counts of the log. */
static void what_is_kept(void **state)
{
    static struct event list[EVENTS_KEPT];
    char *text = NULL;
    size_t size = 0;
    uint64_t gone = 1;
    FILE *stream = open_memstream(&text, &size);
    struct log_sink sink;
    struct events *kept = events_new();
    (void)state;
    log_sink_init(&sink, stream, kept);
    struct log log = log_sink_log(&sink, LOG_ERROR);
    log_event(&log, LOG_INFO, "main", "ready", "node=%s", "a");
    log_event(&log, LOG_DEBUG, "edge", "request", "%s", "");
    for (int i = 0; i < 100; i++)
        log_event(&log, LOG_WARN, "edge", "bad-message", "n=%d", i);
    log_event(&log, LOG_ERROR, "edge", "bad-message", "last\x1b=%d", 1);
    (void)fflush(stream);
    assert_null(strstr(text, "ready"));
    assert_null(strstr(text, "n=0"));
    assert_non_null(strstr(text, "last?=1 suppressed="));
    size_t count = events_copy(kept, 0, list, &gone);
    assert_true(count >= 12 && count < 100); /* 10 a second; the run may cross seconds on a slow machine */
    assert_int_equal(gone, 0);
    assert_string_equal(list[0].ev, "ready");
    assert_string_equal(list[0].text, "node=a");
    assert_int_equal(list[0].level, LOG_INFO);
    uint32_t suppressed = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].number, i + 1);
        assert_true(list[i].level <= LOG_INFO);
        suppressed += list[i].suppressed;
    }
    assert_int_equal(suppressed + count, 102);
    assert_string_equal(list[count - 1].text, "last?=1");
    log_sink_fini(&sink);
    events_free(kept);
    (void)fclose(stream);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(repeats_are_counted_not_written),
                                       cmocka_unit_test(the_level_can_change), cmocka_unit_test(what_is_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
