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
    (void)state;
    log_sink_init(&sink, stream);
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
    (void)state;
    log_sink_init(&sink, stream);
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
    (void)fclose(stream);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(repeats_are_counted_not_written),
                                       cmocka_unit_test(the_level_can_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
