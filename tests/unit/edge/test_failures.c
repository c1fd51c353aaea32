/* The list of wrong proofs: what it shows, and that nobody fills it for the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/edge/failures.h"

struct seen {
    size_t rows;
    size_t of_first; /* rows of 192.0.2.1 */
    uint64_t count;
    struct edge_failed last;
    char account[LIMIT_NAME + 1];
};

static void look(void *ctx, const struct edge_failed *f)
{
    struct seen *s = ctx;
    s->rows++;
    s->of_first += slice_is(f->source, "192.0.2.1");
    s->count += f->count;
    s->last = *f;
    (void)snprintf(s->account, sizeof s->account, "%.*s", SLICE_ARG(f->account));
}

static struct seen see(struct failures *f, int64_t ms)
{
    struct seen s = {0};
    failures_each(f, (struct wall){ms}, look, &s);
    return s;
}

static void setup(void **state)
{
    *state = calloc(1, sizeof(struct failures));
    assert_non_null(*state);
}

static void a_row_for_each_reason(void **state)
{
    struct failures *f;
    setup((void **)&f);
    (void)state;
    for (unsigned i = 0; i < 120; i++)
        failures_note(f, 1, "192.0.2.1", SLICE("6001"), EDGE_FAILED_PASSWORD, (struct wall){1000 + i * 1000});
    struct seen s = see(f, 120000);
    assert_int_equal(s.rows, 1);
    assert_int_equal(s.last.count, 120);
    assert_int_equal(s.last.first.ms, 1000);
    assert_int_equal(s.last.last.ms, 120000);
    assert_in_range(s.last.milli_per_min, 40000, 80000); /* 60 a minute, the half of it seen so far */
    assert_in_range(see(f, 120000 + 600000).last.milli_per_min, 0, 100);
    failures_note(f, 1, "192.0.2.1", SLICE("6001"), EDGE_FAILED_DISABLED, (struct wall){1000});
    failures_note(f, 2, "192.0.2.2", SLICE("6001"), EDGE_FAILED_PASSWORD, (struct wall){1000});
    assert_int_equal(see(f, 120000).rows, 3);
    failures_forget(f, 1);
    assert_int_equal(see(f, 120000).rows, 1);
    free(f);
}

static void names_are_made_harmless(void **state)
{
    struct failures *f;
    char longest[LIMIT_NAME + 1];
    char text[500];
    setup((void **)&f);
    (void)state;
    failures_note(f, 1, "192.0.2.1", SLICE("a b\x1b[2J\xc3\xa4\n"), EDGE_FAILED_UNKNOWN, (struct wall){1});
    assert_string_equal(see(f, 1).account, "a?b?[2J???");
    failures_forget(f, 1);
    memset(text, 'x', sizeof text);
    memset(longest, 'x', LIMIT_NAME);
    longest[LIMIT_NAME] = '\0';
    failures_note(f, 1, "192.0.2.1", (struct slice){text, sizeof text}, EDGE_FAILED_UNKNOWN, (struct wall){1});
    assert_string_equal(see(f, 1).account, longest);
    free(f);
}

static void one_source_does_not_hide_another(void **state)
{
    struct failures *f;
    char name[32];
    setup((void **)&f);
    (void)state;
    failures_note(f, 2, "192.0.2.2", SLICE("6001"), EDGE_FAILED_PASSWORD, (struct wall){1});
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        failures_note(f, 1, "192.0.2.1", slice_of(name), EDGE_FAILED_UNKNOWN, (struct wall){2 + i});
    }
    struct seen s = see(f, 200000);
    assert_int_equal(s.count, 100001);
    assert_int_equal(s.rows, FAILURES_PER_SOURCE + 2);
    assert_string_equal(s.account, FAILURES_OTHERS);
    /* From many sources the quietest go. */
    for (unsigned i = 0; i < 2 * FAILURES_ROWS; i++)
        failures_note(f, 100 + i, "192.0.2.3", SLICE("6001"), EDGE_FAILED_UNKNOWN, (struct wall){300000 + i});
    assert_int_equal(see(f, 400000).rows, FAILURES_ROWS);
    assert_int_equal(see(f, 400000).of_first, 0);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_for_each_reason),
        cmocka_unit_test(names_are_made_harmless),
        cmocka_unit_test(one_source_does_not_hide_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
