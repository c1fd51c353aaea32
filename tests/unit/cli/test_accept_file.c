/* test_accept_file: the reader of acceptance files: what it takes, and the words and the place of each error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/accept_file.h"

static void expect_text(struct slice got, const char *want)
{
    if (!slice_is(got, want)) fail_msg("%.*s is not %s", SLICE_ARG(got), want);
}

static void test_all_keys(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf# what must be true\n"
                               "accept: 1\n"
                               "cases:\n"
                               "  - { name: \"the gate: 75\", dial: \"06001\", from: account/7001, at: [factory, "
                               "hq-1], expect: account/6001,\n"
                               "      number: \"6001\", sends: \"6001\", plan_only: yes }\n"
                               "  - { dial: 112, at: all, expect: trunk/hq-pbx }\n"
                               "  - dial: \"*21#\"\n"
                               "    at: hq\n"
                               "    expect: [trunk/carrier, site/hq, account/alice]\n"
                               "    order: any\n"
                               "  - { dial: alice, expect: \"404\", plan_only: no, order: given }\n"
                               "  - { dial: 0049 (30) 12-3, expect: [trunk/a] }\n";
    struct arena arena = {0};
    struct accept_file f = {0};
    struct plan_faults faults;
    enum err e = accept_file_parse(&arena, slice_of(text), &f, &faults);
    if (e != ERR_OK) fail_msg("%u:%u: %s", faults.items[0].line, faults.items[0].column, faults.items[0].text);
    assert_int_equal(f.count, 5);
    const struct accept_case *c = &f.cases[0];
    expect_text(c->name, "the gate: 75");
    expect_text(c->dial, "06001");
    expect_text(c->from, "account/7001");
    assert_int_equal(c->at_count, 2);
    expect_text(c->at[1], "hq-1");
    assert_int_equal(c->expect_count, 1);
    expect_text(c->expect[0], "account/6001");
    assert_true(c->first_only && c->plan_only && !c->any_order && c->code == 0);
    expect_text(c->number, "6001");
    expect_text(c->sends, "6001");
    assert_int_equal(c->line, 4);
    c = &f.cases[1];
    expect_text(c->dial, "112");
    assert_true(c->at_count == 0 && c->first_only && !c->plan_only && c->name.n == 0);
    c = &f.cases[2];
    assert_true(c->at_count == 1 && c->expect_count == 3 && !c->first_only && c->any_order);
    expect_text(c->expect[2], "account/alice");
    c = &f.cases[3];
    assert_true(c->code == 404 && c->expect_count == 0 && !c->any_order);
    assert_true(f.cases[4].expect_count == 1 && !f.cases[4].first_only);
    arena_fini(&arena);
}

#define CASE(fields) "accept: 1\ncases:\n  - { " fields " }\n"

static const struct {
    const char *text;
    unsigned line;
    unsigned column;
    const char *says;
} errors[] = {
    {"", 1, 1, "the document is empty; begin with \"accept: 1\""},
    {"- 1\n", 1, 1, "a mapping is wanted; begin with \"accept: 1\""},
    {"cases: []\n", 1, 8, "cases: is empty"},
    {"cases:\n  - { dial: 1, expect: 404 }\n", 1, 1, "\"accept\" is missing"},
    {"accept: 1\n", 1, 1, "\"cases\" is missing"},
    {"accept: 2\ncases: 1\n", 1, 9, "\"2\" is no version of the format; write accept: 1"},
    {"accept: [1]\n", 1, 9, "this is no version"},
    {"accept: 1\naccept: 1\ncases:\n  - { dial: 1, expect: 404 }\n", 2, 1, "\"accept\" stands there twice"},
    {"accept: 1\ncase: []\n", 2, 1, "unknown key \"case\"; did you mean \"cases\"?"},
    {"accept: 1\ncases: { a: b }\n", 2, 8, "a list is wanted here"},
    {"accept: 1\ncases:\n  - 6001\n", 3, 5, "case 1: a mapping is wanted"},
    {"accept: 1\ncases: [[1]]\n", 2, 9, "case 1: a mapping is wanted"},
    {"accept: 1\ncases:\n  - &a { dial: 1 }\n", 3, 5, "anchors (&) are not used in an acceptance file"},
    {"accept: 1\ncases:\n  - !x { dial: 1 }\n", 3, 5, "tags (!) are not used in an acceptance file"},
    {"accept: 1\ncases: *a\n", 2, 8, "which an acceptance file does not use"},
    {"accept: 1\n---\naccept: 1\n", 1, 1, "\"cases\" is missing"},
    {CASE("dial: 1, expect: 404") "---\n", 4, 1, "an acceptance file is one document"},
    {"accept: 1\ncases:\n\t- x\n", 3, 1, "a tab stands here"},
    {CASE("expect: 404"), 3, 5, "case 1: \"dial\" is missing; write dial: \"06001\""},
    {CASE("dial: 1"), 3, 5, "case 1: \"expect\" is missing"},
    {CASE("dial: 1, expect: 404, dial: 2"), 3, 29, "\"dial\" stands there twice"},
    {CASE("dail: 1, expect: 404"), 3, 7, "case 1: unknown key \"dail\"; did you mean \"dial\"?"},
    {CASE("when: 1, dial: 1, expect: 404"), 3, 7, "known here: name, dial, from, at, expect"},
    {CASE("dial: \"x y\", expect: 404"), 3, 13, "case 1: dial: \"x y\" does not fit; what a caller dials is wanted"},
    {CASE("dial: [1], expect: 404"), 3, 13, "case 1: dial: what a caller dials is wanted"},
    {"accept: 1\ncases:\n  - dial: #31\n    expect: 404\n", 3, 10, "a # begins a comment: what holds one needs quotes"},
    {CASE("dial: 1, from: pbx, expect: 404"), 3, 22, "case 1: from: \"pbx\" does not fit; who calls is wanted"},
    {CASE("dial: 1, from: site/hq, expect: 404"), 3, 22, "who calls is wanted: trunk/NAME or account/NAME"},
    {CASE("dial: 1, at: [], expect: 404"), 3, 20, "case 1: at: is empty; names of nodes are wanted"},
    {CASE("dial: 1, at: [all], expect: 404"), 3, 21, "at: \"all\" does not fit"},
    {CASE("dial: 1, at: [a, a], expect: 404"), 3, 24, "at: \"a\" stands there twice"},
    {CASE("dial: 1, at: a b, expect: 404"), 3, 20, "at: \"a b\" does not fit; names of nodes are wanted"},
    {CASE("dial: 1, at: { a: b }, expect: 404"), 3, 20, "at: names of nodes are wanted"},
    {CASE("dial: 1, expect: pbx"), 3, 24, "expect: \"pbx\" does not fit; a target is wanted, or the answer"},
    {CASE("dial: 1, expect: 200"), 3, 24, "expect: \"200\" does not fit"},
    {CASE("dial: 1, expect: reject/404"), 3, 24, "expect: \"reject/404\" does not fit"},
    {CASE("dial: 1, expect: [404]"), 3, 25, "expect: \"404\" does not fit"},
    {CASE("dial: 1, expect: []"), 3, 24, "expect: is empty"},
    {CASE("dial: 1, expect: trunk/a, order: any"), 3, 5, "order is that of a list"},
    {CASE("dial: 1, expect: [trunk/a], order: some"), 3, 42, "order: write order: given"},
    {CASE("dial: 1, expect: 404, sends: 1"), 3, 5, "sends is what a target is sent, and 404 is none"},
    {CASE("dial: 1, expect: [trunk/a], order: any, sends: 1"), 3, 5, "sends is what the first target is sent"},
    {CASE("dial: 1, expect: 404, number: x"), 3, 37, "number: \"x\" does not fit; a number of the plan is wanted"},
    {CASE("dial: 1, expect: trunk/a, sends: 1-2"), 3, 40, "sends: \"1-2\" does not fit"},
    {CASE("dial: 1, expect: 404, plan_only: 1"), 3, 40, "plan_only: write plan_only: yes, or no"},
    {CASE("dial: 1, expect: 404, name: \"\""), 3, 35, "name: \"\" does not fit; one line of 200 bytes"},
    {CASE("dial: 1, expect: 404, name: \"a\\nb\""), 3, 35, "name: \"a?b\" does not fit"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct arena arena = {0};
        struct accept_file f = {0};
        struct plan_faults faults;
        assert_int_equal(accept_file_parse(&arena, slice_of(errors[i].text), &f, &faults), ERR_SYNTAX);
        const struct err_info *e = &faults.items[0];
        if (e->line != errors[i].line || e->column != errors[i].column || strstr(e->text, errors[i].says) == NULL)
            fail_msg("%s\n%u:%u: %s\nnot %u:%u: %s", errors[i].text, e->line, e->column, e->text, errors[i].line,
                     errors[i].column, errors[i].says);
        assert_int_equal(f.count, 0);
        arena_fini(&arena);
    }
}

/* Whoever mends a file hears of everything at once; what is behind an error is read as if nothing had been. */
static void test_all_errors_at_once(void **state)
{
    (void)state;
    static const char text[] = "accept: 1\ncasess: [ { a: b } ]\ncases:\n"
                               "  - { dial: [1, { a: b }], ? { a: b } : [c], expect: 404 }\n"
                               "  - hello\n"
                               "  - { dial: 1, expect: 404, at: [x, { y: z }, [w]] }\n"
                               "  - { dial: 1, expect: x }\n";
    struct arena arena = {0};
    struct accept_file f;
    struct plan_faults faults;
    assert_int_equal(accept_file_parse(&arena, slice_of(text), &f, &faults), ERR_SYNTAX);
    static const unsigned lines[] = {2, 4, 4, 5, 6, 7};
    assert_int_equal(faults.count, sizeof lines / sizeof lines[0]);
    for (size_t i = 0; i < faults.count; i++)
        assert_int_equal(faults.items[i].line, lines[i]);
    assert_false(faults.more);
    arena_fini(&arena);
}

static void test_too_many(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct accept_file f;
    struct plan_faults faults;
    struct buf text = {0};
    buf_text(&text, "accept: 1\ncases:\n");
    for (unsigned i = 0; i < ACCEPT_CASES_MAX; i++)
        buf_text(&text, "- { dial: 1, expect: 404 }\n");
    assert_int_equal(accept_file_parse(&arena, buf_view(&text), &f, &faults), ERR_OK);
    assert_int_equal(f.count, ACCEPT_CASES_MAX);
    buf_text(&text, "- { dial: 1, expect: 404 }\n");
    assert_int_equal(accept_file_parse(&arena, buf_view(&text), &f, &faults), ERR_SYNTAX);
    assert_non_null(strstr(faults.items[0].text, "at most 10000 cases; split it"));
    buf_reset(&text);
    buf_text(&text, "accept: 1\ncases:\n");
    for (unsigned i = 0; i < 2 * PLAN_FAULTS_MAX; i++)
        buf_text(&text, "- { dial: 1 }\n");
    assert_int_equal(accept_file_parse(&arena, buf_view(&text), &f, &faults), ERR_SYNTAX);
    assert_int_equal(faults.count, PLAN_FAULTS_MAX);
    assert_true(faults.more);
    buf_reset(&text);
    buf_text(&text, "accept: 1\ncases:\n- { dial: 1, expect: [");
    for (unsigned i = 0; i <= ACCEPT_EXPECT_MAX; i++)
        buf_printf(&text, "trunk/t%u, ", i);
    buf_text(&text, "] }\n");
    assert_int_equal(accept_file_parse(&arena, buf_view(&text), &f, &faults), ERR_SYNTAX);
    assert_non_null(strstr(faults.items[0].text, "at most 16 stand in one list"));
    buf_fini(&text);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_keys), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_all_errors_at_once), cmocka_unit_test(test_too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
