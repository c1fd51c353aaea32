/* Joining fragments: order, repetition, lies about length, the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/mesh/whole.h"

#define CHUNK ((size_t)LIMIT_MESH_CHUNK)
#define TOTAL (2 * CHUNK + 100)

static char chunk[CHUNK];

static enum err add(struct whole *w, size_t *budget, uint64_t id, uint64_t total, uint64_t offset, size_t n, bool *done)
{
    return whole_add(w, budget, id, total, offset, (struct slice){chunk, n}, done);
}

static void test_any_order(void **state)
{
    static const uint64_t orders[][3] = {{0, CHUNK, 2 * CHUNK}, {2 * CHUNK, 0, CHUNK}, {CHUNK, 2 * CHUNK, 0}};
    (void)state;
    for (size_t o = 0; o < 3; o++) {
        struct whole w = {0};
        size_t budget = 0;
        for (size_t i = 0; i < 3; i++) {
            bool done;
            uint64_t at = orders[o][i];
            memset(chunk, 'a' + (int)(at / CHUNK), sizeof chunk);
            assert_int_equal(add(&w, &budget, 1, TOTAL, at, at == 2 * CHUNK ? 100 : CHUNK, &done), ERR_OK);
            assert_int_equal(done, i == 2);
        }
        assert_int_equal(budget, TOTAL);
        struct slice all = whole_take(&w);
        assert_int_equal(all.n, TOTAL);
        assert_int_equal(all.p[0], 'a');
        assert_int_equal(all.p[CHUNK], 'b');
        assert_int_equal(all.p[TOTAL - 1], 'c');
        free((void *)(uintptr_t)all.p);
    }
}

static void test_refusals(void **state)
{
    const struct {
        uint64_t id;
        uint64_t total;
        uint64_t offset;
        size_t n;
        enum err err;
    } cases[] = {
        {5, TOTAL, 0, CHUNK, ERR_EXISTS},        /* came before */
        {4, TOTAL, CHUNK, CHUNK, ERR_EXISTS},    /* of an older one */
        {5, TOTAL, 1, CHUNK, ERR_LIMIT},         /* not at a chunk */
        {5, TOTAL, CHUNK, CHUNK - 1, ERR_LIMIT}, /* too short */
        {5, TOTAL, 2 * CHUNK, 101, ERR_LIMIT},   /* past the end */
        {5, TOTAL, 3 * CHUNK, 1, ERR_LIMIT},     /* outside */
        {5, TOTAL + 1, CHUNK, CHUNK, ERR_LIMIT}, /* another total */
        {6, 0, 0, 0, ERR_LIMIT},                 /* nothing */
        {6, (uint64_t)MESH_WHOLE_MAX + 1, 0, CHUNK, ERR_LIMIT},
        {6, UINT64_MAX, UINT64_MAX - CHUNK + 1, CHUNK, ERR_LIMIT},
    };
    struct whole w = {0};
    size_t budget = 0;
    bool done;
    (void)state;
    assert_int_equal(add(&w, &budget, 5, TOTAL, 0, CHUNK, &done), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(add(&w, &budget, cases[i].id, cases[i].total, cases[i].offset, cases[i].n, &done),
                         cases[i].err);
        assert_false(done);
        assert_int_equal(budget, TOTAL);
    }
    whole_drop(&w, &budget);
    assert_int_equal(budget, 0);
    assert_int_equal(add(&w, &budget, 5, TOTAL, CHUNK, CHUNK, &done), ERR_EXISTS); /* it has ended */
}

static void test_newer_ends_older(void **state)
{
    struct whole w = {0};
    size_t budget = 0;
    bool done;
    (void)state;
    assert_int_equal(add(&w, &budget, 1, TOTAL, 0, CHUNK, &done), ERR_OK);
    assert_int_equal(add(&w, &budget, 2, 2 * CHUNK, 0, CHUNK, &done), ERR_OK);
    assert_int_equal(budget, 2 * CHUNK);
    assert_int_equal(add(&w, &budget, 2, 2 * CHUNK, CHUNK, CHUNK, &done), ERR_OK);
    assert_true(done);
    free((void *)(uintptr_t)whole_take(&w).p);
}

static void test_budget(void **state)
{
    struct whole w[3] = {0};
    size_t budget = 0;
    bool done;
    (void)state;
    assert_int_equal(add(&w[0], &budget, 1, MESH_WHOLE_MAX, 0, CHUNK, &done), ERR_OK);
    assert_int_equal(add(&w[1], &budget, 1, MESH_WHOLE_MAX, 0, CHUNK, &done), ERR_OK);
    assert_int_equal(add(&w[2], &budget, 1, TOTAL, 0, CHUNK, &done), ERR_FULL);
    whole_drop(&w[0], &budget);
    assert_int_equal(add(&w[2], &budget, 1, TOTAL, 0, CHUNK, &done), ERR_OK);
    whole_drop(&w[1], &budget);
    whole_drop(&w[2], &budget);
    assert_int_equal(budget, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_newer_ends_older),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
