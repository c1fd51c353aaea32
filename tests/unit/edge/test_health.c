/* Up and down as a transcript of probes: '+' an answer, '-' a miss, '!' a 503; upper case letters say what changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "node/edge/health.h"

static struct mono now;

/* Feeds events, gap_ms apart; returns the events with 'U' or 'D' behind each one that changed the state. */
static const char *run(struct health *h, const char *events, uint64_t gap_ms)
{
    static char out[256];
    size_t n = 0;
    for (const char *c = events; *c != '\0'; c++) {
        enum health_event ev = *c == '+' ? HEALTH_ANSWER : *c == '-' ? HEALTH_MISS : HEALTH_REFUSAL;
        now = mono_add_ms(now, gap_ms);
        out[n++] = *c;
        if (health_step(h, ev, now)) out[n++] = h->up ? 'U' : 'D';
    }
    out[n] = '\0';
    return out;
}

static void thresholds(void **state)
{
    static const struct {
        const char *events;
        const char *expected;
    } cases[] = {
        {"+", "+U"},                      /* known now */
        {"+--+--+", "+U--+--+"},          /* never three in a row */
        {"+---", "+U---D"},               /* */
        {"+-!-", "+U-!-D"},               /* a refusal is a loss too */
        {"---", "---D"},                  /* nobody was ever there */
        {"---+-++", "---D+-++U"},         /* two in a row */
        {"+------", "+U---D---"},         /* down once */
        {"---++---+++", "---D++U---D+++"} /* the second time it takes four */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct health h;
        health_init(&h);
        now = (struct mono){1000000};
        assert_true(h.up);
        assert_false(h.known);
        assert_string_equal(run(&h, cases[i].events, 1000), cases[i].expected);
    }
}

static void hold_down_grows_and_ends(void **state)
{
    struct health h;
    unsigned needed = HEALTH_ANSWERS;
    (void)state;
    health_init(&h);
    now = (struct mono){1000000};
    for (int i = 0; i < 7; i++) {
        (void)run(&h, "---", 1000);
        assert_false(h.up);
        assert_int_equal(h.answers_needed, needed);
        for (unsigned k = 1; k < needed; k++) {
            (void)run(&h, "+", 1000);
            assert_false(h.up);
        }
        assert_string_equal(run(&h, "+", 1000), "+U");
        needed = needed * 2 < HEALTH_ANSWERS_MAX ? needed * 2 : HEALTH_ANSWERS_MAX;
    }
    now = mono_add_ms(now, HEALTH_STEADY_MS);
    (void)run(&h, "---", 1000);
    assert_int_equal(h.answers_needed, HEALTH_ANSWERS);
}

static void restored(void **state)
{
    struct health h;
    (void)state;
    health_restore(&h, false);
    now = (struct mono){1000000};
    assert_true(h.known);
    assert_string_equal(run(&h, "-++", 1000), "-++U");
    health_restore(&h, true);
    assert_string_equal(run(&h, "+---", 1000), "+---D");
}

static void looks_sooner_in_doubt(void **state)
{
    struct health h;
    (void)state;
    health_init(&h);
    assert_int_equal(health_pause_ms(&h, 10000), 10000);
    (void)health_step(&h, HEALTH_MISS, now);
    assert_int_equal(health_pause_ms(&h, 10000), 2500);
    assert_int_equal(health_pause_ms(&h, 1000), 500);
    assert_int_equal(health_pause_ms(&h, 200), 200);
    (void)health_step(&h, HEALTH_MISS, now);
    (void)health_step(&h, HEALTH_MISS, now);
    assert_int_equal(health_pause_ms(&h, 10000), 10000); /* down for good */
    (void)health_step(&h, HEALTH_ANSWER, now);
    assert_int_equal(health_pause_ms(&h, 10000), 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds),
        cmocka_unit_test(hold_down_grows_and_ends),
        cmocka_unit_test(restored),
        cmocka_unit_test(looks_sooner_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
