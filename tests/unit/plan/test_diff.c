/* Differences between two plans, and between two objects field by field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/plan/diff.h"
#include "tests/unit/plan/plan_test.h"

#define ITEM(key, packed)                                                                                              \
    {                                                                                                                  \
        {(key), sizeof(key) - 1},                                                                                      \
        {                                                                                                              \
            (packed), sizeof(packed) - 1                                                                               \
        }                                                                                                              \
    }

static void test_plans(void **state)
{
    (void)state;
    static const struct plan_item before[] = {ITEM("trunk/b", "1"), ITEM("account/a", "1"), ITEM("trunk/a", "1"),
                                              ITEM("site/x", "1")};
    static const struct plan_item after[] = {ITEM("trunk/c", "1"), ITEM("trunk/b", "2"), ITEM("trunk/a", "1"),
                                             ITEM("account/b", "1"), ITEM("account/a", "")};
    static const struct {
        enum plan_diff_kind kind;
        const char *key;
        const char *old_packed;
        const char *new_packed;
    } expected[] = {
        {PLAN_CHANGED, "account/a", "1", ""}, {PLAN_ADDED, "account/b", "", "1"}, {PLAN_REMOVED, "site/x", "1", ""},
        {PLAN_CHANGED, "trunk/b", "1", "2"},  {PLAN_ADDED, "trunk/c", "", "1"},
    };
    struct arena arena = {0};
    struct plan_diff d;
    assert_int_equal(plan_diff(&arena, before, 4, after, 5, &d), ERR_OK);
    assert_int_equal(d.count, 5);
    for (size_t i = 0; i < d.count; i++) {
        assert_int_equal(d.entries[i].kind, expected[i].kind);
        assert_true(slice_is(d.entries[i].key, expected[i].key));
        assert_true(slice_is(d.entries[i].old_packed, expected[i].old_packed));
        assert_true(slice_is(d.entries[i].new_packed, expected[i].new_packed));
    }
    assert_int_equal(plan_diff(&arena, before, 4, before, 4, &d), ERR_OK);
    assert_int_equal(d.count, 0);
    assert_int_equal(plan_diff(&arena, NULL, 0, after, 5, &d), ERR_OK);
    assert_int_equal(d.count, 5);
    assert_int_equal(plan_diff(&arena, before, 4, NULL, 0, &d), ERR_OK);
    assert_int_equal(d.count, 4);
    arena_fini(&arena);
}

static void test_repeated_key(void **state)
{
    (void)state;
    static const struct plan_item twice[] = {ITEM("trunk/a", "1"), ITEM("trunk/b", "1"), ITEM("trunk/a", "2")};
    struct arena arena = {0};
    struct plan_diff d;
    assert_int_equal(plan_diff(&arena, twice, 3, NULL, 0, &d), ERR_EXISTS);
    assert_int_equal(plan_diff(&arena, NULL, 0, twice, 3, &d), ERR_EXISTS);
    arena_fini(&arena);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *before; /* objects in a section of the document */
        const char *after;
        const char *text;
    } table[] = {
        {"routes: [{match: \"6\", to: trunk/a}]", "routes: [{match: \"6\", to: trunk/a}]", ""},
        {"routes: [{match: \"6\", to: trunk/a}]",
         "routes: [{match: \"6\", to: trunk/a, priority: 20, hours: \"Mo 08:00-09:00\", overflow: true, note: \"x. "
         "y.\"}]",
         "  priority: - -> 20\n  hours: - -> \"Mo 08:00-09:00\"\n  overflow: - -> true\n  note: - -> \"x. y.\"\n"},
        {"routes: [{match: \"6\", to: trunk/a, failover: [503], note: dots...}]",
         "routes: [{match: \"6\", to: trunk/a, failover: [503, 480]}]",
         "  failover: [503] -> [503, 480]\n  note: dots... -> -\n"},
        {"trunks: {t: {site: a, address: [x], in: [{match: \"0\", strip: 1}]}}",
         "trunks: {t: {site: b, address: [x, \"y:5061\"], probe: 10s, in: [{match: \"0\", strip: 2}]}}",
         "  site: a -> b\n  address: [x] -> [x, \"y:5061\"]\n  probe: - -> 10s\n"
         "  in: [{match: \"0\", strip: 1}] -> [{match: \"0\", strip: 2}]\n"},
        {"accounts: {a: {password: one}}", "accounts: {a: {password: two}}", "  password: (set) -> (set, new)\n"},
        {"accounts: {a: {password: one}}", "accounts: {a: {password: (set)}}", ""},
        {"accounts: {a: {}}", "accounts: {a: {password: two}}", "  password: - -> (set)\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct arena arena = {0};
        struct buf before = {0};
        struct buf after = {0};
        struct buf out = {0};
        buf_printf(&before, "plan: 1\n%s\n", table[i].before);
        buf_printf(&after, "plan: 1\n%s\n", table[i].after);
        struct plan_document a = test_parse(&arena, buf_view(&before));
        struct plan_document b = test_parse(&arena, buf_view(&after));
        assert_int_equal(plan_object_diff(&a.objects[0], &b.objects[0], &out), ERR_OK);
        if (!slice_is(buf_view(&out), table[i].text)) fail_msg("row %zu:\n%.*s", i, SLICE_ARG(buf_view(&out)));
        buf_fini(&before);
        buf_fini(&after);
        buf_fini(&out);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_repeated_key),
                                       cmocka_unit_test(test_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
