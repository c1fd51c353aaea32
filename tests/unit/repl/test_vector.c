#include "tests/unit/repl/drive.h"

#include "node/base/rng.h"
#include "node/repl/vector.h"

static void reserve(struct repl_vector *v, size_t n)
{
    assert_int_equal(repl_vector_reserve(v, n), ERR_OK);
}

static void raise_at(struct repl_vector *v, const char *origin, uint64_t epoch, uint64_t high)
{
    struct node_name n = name_of(origin);
    reserve(v, 1);
    repl_vector_raise(v, &n, epoch, high);
}

static void logs_keep_every_epoch(void **state)
{
    (void)state;
    struct repl_vector v = {0};
    struct node_name b = name_of("b");
    raise_at(&v, "b", 2, 5);
    raise_at(&v, "a", 9, 1);
    raise_at(&v, "b", 1, 7);
    raise_at(&v, "b", 2, 4);
    assert_int_equal(v.count, 3);
    assert_int_equal(repl_vector_get(&v, &b, 1), 7);
    assert_int_equal(repl_vector_get(&v, &b, 2), 5);
    assert_int_equal(repl_vector_get(&v, &b, 3), 0);
    assert_int_equal(repl_vector_newest(&v, &b)->epoch, 2);
    for (size_t i = 1; i < v.count; i++) {
        int order = memcmp(&v.items[i - 1].origin, &v.items[i].origin, sizeof v.items[i].origin);
        assert_true(order < 0 || (order == 0 && v.items[i - 1].epoch < v.items[i].epoch));
    }
    struct node_name c = name_of("c");
    assert_null(repl_vector_newest(&v, &c));
    repl_vector_fini(&v);
}

static void state_keeps_the_newest_epoch(void **state)
{
    (void)state;
    struct repl_vector v = {0};
    struct node_name a = name_of("a");
    reserve(&v, 1);
    static const struct {
        uint64_t epoch, high, want_epoch, want_high;
    } rows[] = {{5, 3, 5, 3}, {5, 2, 5, 3}, {4, 9, 5, 3}, {6, 0, 6, 0}, {6, 8, 6, 8}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        repl_vector_renew(&v, &a, rows[i].epoch, rows[i].high);
        assert_int_equal(v.count, 1);
        assert_int_equal(v.items[0].epoch, rows[i].want_epoch);
        assert_int_equal(v.items[0].high, rows[i].want_high);
    }
    repl_vector_fini(&v);
}

static void equal_vectors_have_equal_roots(void **state)
{
    (void)state;
    struct repl_vector a = {0};
    struct repl_vector b = {0};
    unsigned char ra[REPL_ROOT_LEN];
    unsigned char rb[REPL_ROOT_LEN];
    raise_at(&a, "x", 1, 4);
    raise_at(&a, "y", 1, 2);
    raise_at(&b, "y", 1, 1);
    raise_at(&b, "x", 1, 3);
    repl_vector_root(&a, ra);
    repl_vector_root(&b, rb);
    assert_memory_not_equal(ra, rb, sizeof ra);
    raise_at(&b, "x", 1, 4);
    raise_at(&b, "y", 1, 2);
    repl_vector_root(&b, rb);
    assert_memory_equal(ra, rb, sizeof ra);
    raise_at(&b, "z", 1, 0); /* says nothing */
    repl_vector_root(&b, rb);
    assert_memory_equal(ra, rb, sizeof ra);
    raise_at(&b, "z", 1, 1);
    repl_vector_root(&b, rb);
    assert_memory_not_equal(ra, rb, sizeof ra);
    repl_vector_fini(&a);
    repl_vector_fini(&b);
}

/* Roots are compared across machines and versions: their bytes are a format. */
static void the_root_is_a_fixed_format(void **state)
{
    (void)state;
    struct repl_vector v = {0};
    unsigned char root[REPL_ROOT_LEN];
    char text[2 * REPL_ROOT_LEN + 1];
    raise_at(&v, "hq-1", 1790000000000, 42);
    repl_vector_root(&v, root);
    hex_encode(root, sizeof root, text);
    assert_string_equal(text, "4d46ed80b438a6e13ba78e99f54f6761c18782af2ad913f1d6fe0e00947bac94");
    repl_vector_fini(&v);
}

static void a_root_equals_one_made_at_once(void **state)
{
    (void)state;
    struct rng rng;
    struct repl_vector stepwise = {0};
    struct repl_vector fresh = {0};
    rng_init(&rng, 4);
    for (unsigned i = 0; i < 2000; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", (unsigned)rng_below(&rng, 30));
        raise_at(&stepwise, name, 1 + rng_below(&rng, 3), rng_below(&rng, 100));
    }
    for (size_t i = stepwise.count; i-- > 0;) {
        const struct vector_entry *e = &stepwise.items[i];
        raise_at(&fresh, e->origin.s, e->epoch, e->high);
    }
    assert_memory_equal(stepwise.lane, fresh.lane, sizeof fresh.lane);
    repl_vector_fini(&stepwise);
    repl_vector_fini(&fresh);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct repl_vector v = {0};
    assert_int_equal(repl_vector_reserve(&v, REPL_VECTOR_MAX + 1), ERR_LIMIT);
    assert_int_equal(repl_vector_reserve(&v, SIZE_MAX), ERR_LIMIT);
    reserve(&v, REPL_VECTOR_MAX);
    repl_vector_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_keep_every_epoch),          cmocka_unit_test(state_keeps_the_newest_epoch),
        cmocka_unit_test(equal_vectors_have_equal_roots), cmocka_unit_test(the_root_is_a_fixed_format),
        cmocka_unit_test(a_root_equals_one_made_at_once), cmocka_unit_test(it_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
