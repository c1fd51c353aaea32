/* test_changeset_codec: change-sets there and back, at their bounds, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/plan_codec.h"

#define S(text) SLICE(text)

static void assert_slice(struct slice a, struct slice b)
{
    assert_int_equal(a.n, b.n);
    if (a.n > 0) assert_memory_equal(a.p, b.p, a.n);
}

static struct changeset change_sample(const struct change_op *ops, size_t count)
{
    struct changeset c = {.id = {.epoch = 1700000000000, .seq = 7},
                          .time = {42ULL << 16 | 3},
                          .author = S("alice@hq-1"),
                          .message = S("add a branch"),
                          .ops = ops,
                          .op_count = count};
    assert_int_equal(node_name_set(&c.id.origin, S("hq-1")), ERR_OK);
    return c;
}

static void test_change_round_trip(void **state)
{
    static const struct change_op ops[] = {{.kind = CHANGE_PUT, .key = {"site/a", 6}, .value = {"opaque\0bytes", 12}},
                                           {.kind = CHANGE_DELETE, .key = {"trunk/b", 7}, .value = {NULL, 0}}};
    (void)state;
    struct changeset c = change_sample(ops, 2);
    struct changeset back;
    struct arena arena = {0};
    struct buf packed = {0};
    assert_int_equal(changeset_pack(&c, &packed), ERR_OK);
    assert_int_equal(changeset_unpack(&arena, buf_view(&packed), &back, NULL), ERR_OK);
    assert_true(node_name_eq(&back.id.origin, &c.id.origin));
    assert_int_equal(back.id.epoch, c.id.epoch);
    assert_int_equal(back.id.seq, c.id.seq);
    assert_int_equal(back.time.v, c.time.v);
    assert_slice(back.author, c.author);
    assert_slice(back.message, c.message);
    assert_int_equal(back.op_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(back.ops[i].kind, ops[i].kind);
        assert_slice(back.ops[i].key, ops[i].key);
        assert_slice(back.ops[i].value, ops[i].value);
    }
    assert_ptr_equal(back.packed.p, packed.p);
    assert_int_equal(back.packed.n, packed.n);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_change_terms(void **state)
{
    static const struct stamp seen[] = {{.time = {77}, .origin = {"hq-1"}, .epoch = 5},
                                        {.time = {66}, .origin = {"hq-2"}, .epoch = 6}};
    static const struct change_op op = {.kind = CHANGE_PUT,
                                        .key = {"site/a", 6},
                                        .value = {"new", 3},
                                        .before = {"old", 3},
                                        .seen = seen,
                                        .seen_count = 2};
    static const enum change_verdict verdicts[] = {CHANGE_CONFIRMS, CHANGE_UNDOES, (enum change_verdict)3};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct changeset c = change_sample(&op, 1);
        struct changeset back;
        struct arena arena = {0};
        struct buf packed = {0};
        c.terms = (struct change_terms){.says_seen = true,
                                        .confirm_by = {1234567890123},
                                        .confirm_within_ms = 300000,
                                        .settles = {.epoch = 5, .seq = 6},
                                        .verdict = verdicts[i]};
        assert_int_equal(node_name_set(&c.terms.settles.origin, S("hq-2")), ERR_OK);
        assert_int_equal(changeset_pack(&c, &packed), ERR_OK);
        enum err e = changeset_unpack(&arena, buf_view(&packed), &back, NULL);
        assert_int_equal(e, i < 2 ? ERR_OK : ERR_SYNTAX);
        if (e == ERR_OK) {
            assert_slice(back.ops[0].before, op.before);
            assert_true(back.terms.says_seen);
            assert_int_equal(back.ops[0].seen_count, 2);
            for (size_t k = 0; k < 2; k++)
                assert_int_equal(stamp_cmp(&back.ops[0].seen[k], &seen[k]), 0);
            assert_int_equal(back.terms.confirm_by.ms, c.terms.confirm_by.ms);
            assert_int_equal(back.terms.confirm_within_ms, c.terms.confirm_within_ms);
            assert_true(node_name_eq(&back.terms.settles.origin, &c.terms.settles.origin));
            assert_int_equal(back.terms.settles.epoch, 5);
            assert_int_equal(back.terms.settles.seq, 6);
            assert_int_equal(back.terms.verdict, verdicts[i]);
        }
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

static void test_change_refused(void **state)
{
    static const char long_key[PLAN_KEY_MAX + 1] = {'x'};
    static const struct {
        struct change_op op;
        enum err err;
    } rows[] = {
        {{.kind = CHANGE_PUT, .key = {"", 0}, .value = {"v", 1}}, ERR_SYNTAX},
        {{.kind = CHANGE_PUT, .key = {"site/a", 6}, .value = {"", 0}}, ERR_SYNTAX},
        {{.kind = CHANGE_DELETE, .key = {"site/a", 6}, .value = {"v", 1}}, ERR_SYNTAX},
        {{.kind = (enum change_op_kind)3, .key = {"site/a", 6}, .value = {"v", 1}}, ERR_SYNTAX},
        {{.kind = CHANGE_DELETE, .key = {"site a", 6}, .value = {"", 0}}, ERR_SYNTAX},
        {{.kind = CHANGE_DELETE, .key = {"site/\0", 6}, .value = {"", 0}}, ERR_SYNTAX},
        {{.kind = CHANGE_DELETE, .key = {long_key, sizeof long_key}, .value = {"", 0}}, ERR_SYNTAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct changeset c = change_sample(&rows[i].op, 1);
        struct changeset back;
        struct arena arena = {0};
        struct buf packed = {0};
        assert_int_equal(changeset_pack(&c, &packed), ERR_OK);
        enum err e = changeset_unpack(&arena, buf_view(&packed), &back, NULL);
        if (e != rows[i].err) fail_msg("row %zu: %s", i, err_name(e));
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

static void test_change_envelope_refused(void **state)
{
    static char long_text[LIMIT_TEXT + 1];
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct changeset c = change_sample(NULL, 0);
        struct changeset back;
        struct arena arena = {0};
        struct buf packed = {0};
        memset(long_text, 'x', sizeof long_text);
        if (i == 0) c.id.epoch = 0;
        if (i == 1) c.id.seq = 0;
        if (i == 2) memset(&c.id.origin, 0, sizeof c.id.origin);
        if (i == 3) c.author = (struct slice){long_text, sizeof long_text};
        assert_int_equal(changeset_pack(&c, &packed), ERR_OK);
        enum err e = changeset_unpack(&arena, buf_view(&packed), &back, NULL);
        assert_int_equal(e, i == 4 ? ERR_OK : i == 3 ? ERR_LIMIT : ERR_SYNTAX); /* the last one is good: the canary */
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_round_trip),
        cmocka_unit_test(test_change_terms),
        cmocka_unit_test(test_change_refused),
        cmocka_unit_test(test_change_envelope_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
