/* Spans: containment and overlap against a plain search, on random and on deeply nested ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/base/rng.h"
#include "node/plan/span.h"

#define SPANS 60

/* "Contains" by its meaning: every number of the inner one, continued in any way, begins inside the outer one. */
static bool contains(const struct span *outer, const struct span *inner)
{
    char high[40];
    size_t n = inner->high.n;
    if (slice_cmp(outer->low, inner->low) > 0) return false;
    memcpy(high, inner->high.p, n);
    if (inner->open) memset(high + n, ':', sizeof high - n); /* behind every digit */
    if (inner->open) n = sizeof high;
    if (!outer->open) return slice_cmp((struct slice){high, n}, outer->high) <= 0;
    struct slice front = {high, n < outer->high.n ? n : outer->high.n};
    return slice_cmp(front, outer->high) <= 0;
}

static struct span random_span(struct rng *rng, char text[40], size_t index)
{
    struct pattern p;
    unsigned low = (unsigned)rng_below(rng, 99);
    switch (rng_below(rng, 4)) {
    case 0: (void)snprintf(text, 40, "%u", (unsigned)rng_below(rng, 300)); break;
    case 1: (void)snprintf(text, 40, "=%u", (unsigned)rng_below(rng, 300)); break;
    case 2: (void)snprintf(text, 40, "%02u-%02u", low, low + 1 + (unsigned)rng_below(rng, 99 - low)); break;
    default: (void)snprintf(text, 40, "%03u-%03u", low * 10, low * 10 + 1 + (unsigned)rng_below(rng, 9)); break;
    }
    assert_int_equal(pattern_parse(slice_of(text), &p, NULL), ERR_OK);
    return span_of(&p, NULL, (uint32_t)index);
}

static void test_find(void **state)
{
    (void)state;
    struct rng rng;
    size_t hits = 0;
    rng_init(&rng, 3);
    for (int round = 0; round < 300; round++) {
        char texts[SPANS][40];
        struct span_index x = {0};
        for (size_t i = 0; i < SPANS; i++) {
            assert_int_equal(span_index_add(&x, random_span(&rng, texts[i], i)), ERR_OK);
        }
        span_index_build(&x);
        for (int query = 0; query < 50; query++) {
            char text[40];
            struct span s = random_span(&rng, text, 0);
            size_t expected = SPAN_NONE; /* the last in order that contains it */
            for (size_t i = 0; i < x.count; i++) {
                if (contains(&x.spans[i], &s)) expected = i;
            }
            if (span_index_find(&x, &s) != expected) fail_msg("round %d, %s", round, text);
            hits += expected != SPAN_NONE;
        }
        span_index_fini(&x);
    }
    assert_true(hits > 1000);
}

static void test_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        const char *second;
        bool overlap;
    } table[] = {
        {"6", "61", true},
        {"6", "7", false},
        {"8150-8379", "82", true},
        {"8150-8379", "838", false},
        {"8150-8379", "8379-8400", true},
        {"81", "8150-8379", true},
        {"6", "6", true},
        {"80-85", "86-89", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pattern a;
        struct pattern b;
        struct span_index x = {0};
        assert_int_equal(pattern_parse(slice_of(table[i].first), &a, NULL), ERR_OK);
        assert_int_equal(pattern_parse(slice_of(table[i].second), &b, NULL), ERR_OK);
        assert_int_equal(span_index_add(&x, span_of(&b, NULL, 0)), ERR_OK);
        assert_int_equal(span_index_add(&x, span_of(&a, NULL, 0)), ERR_OK);
        span_index_build(&x);
        assert_int_equal(span_index_overlap(&x, 0), SPAN_NONE);
        if ((span_index_overlap(&x, 1) == 0) != table[i].overlap) fail_msg("%s %s", table[i].first, table[i].second);
        span_index_fini(&x);
    }
}

/* 40,000 ranges, each inside the one before: a climb must not take as many steps. With plain parent links this test
 * needs minutes and runs into its limit. */
static void test_deep(void **state)
{
    (void)state;
    enum { DEPTH = 40000, WIDTH = 6 };
    static char texts[DEPTH][2 * WIDTH + 2];
    struct span_index x = {0};
    struct pattern p;
    for (unsigned i = 0; i < DEPTH; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%06u-%06u", i, 999999 - i);
        assert_int_equal(pattern_parse(slice_of(texts[i]), &p, NULL), ERR_OK);
        assert_int_equal(span_index_add(&x, span_of(&p, NULL, 0)), ERR_OK);
    }
    span_index_build(&x);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < DEPTH; i++) {
            char text[2 * WIDTH + 2];
            (void)snprintf(text, sizeof text, "%06u-%06u", 50000, 999999 - i);
            assert_int_equal(pattern_parse(slice_of(text), &p, NULL), ERR_OK);
            struct span s = span_of(&p, NULL, 0);
            assert_int_equal(span_index_find(&x, &s), i);
        }
    }
    span_index_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_overlap),
                                       cmocka_unit_test(test_deep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
