#include "tests/unit/repl/drive.h"

static void names_follow_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {{"hq-1", true},    {"A.b_c-9", true},   {"", false},     {"with space", false},
                {"sl/ash", false}, {"\xc3\xa4", false}, {"nl\n", false}, {"0", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct node_name n;
        enum err e = node_name_set(&n, slice_of(rows[i].text));
        assert_int_equal(e, rows[i].good ? ERR_OK : ERR_SYNTAX);
        if (rows[i].good) assert_true(slice_is(node_name_slice(&n), rows[i].text));
    }
    char longest[LIMIT_NAME + 2];
    memset(longest, 'a', sizeof longest);
    struct node_name n;
    assert_int_equal(node_name_set(&n, (struct slice){longest, LIMIT_NAME}), ERR_OK);
    assert_true(node_name_valid(&n));
    assert_int_equal(node_name_set(&n, (struct slice){longest, LIMIT_NAME + 1}), ERR_SYNTAX);
}

static void a_name_is_padded_with_nul(void **state)
{
    (void)state;
    struct node_name n = name_of("n1");
    assert_true(node_name_valid(&n));
    n.s[5] = 'x';
    assert_false(node_name_valid(&n));
    memset(&n, 'a', sizeof n);
    assert_false(node_name_valid(&n));
    n = (struct node_name){{0}};
    assert_false(node_name_valid(&n));
}

static void stamps_are_totally_ordered(void **state)
{
    (void)state;
    struct stamp early = {{1}, name_of("z"), 1};
    struct stamp late = {{2}, name_of("a"), 1};
    struct stamp other = {{2}, name_of("b"), 1};
    assert_true(stamp_cmp(&early, &late) < 0);
    assert_true(stamp_cmp(&late, &early) > 0);
    assert_true(stamp_cmp(&late, &other) < 0);
    assert_true(stamp_cmp(&other, &late) > 0);
    assert_int_equal(stamp_cmp(&late, &late), 0);
    struct stamp next_life = late;
    next_life.epoch = 2;
    assert_true(stamp_cmp(&late, &next_life) < 0);
    assert_true(stamp_cmp(&next_life, &late) > 0);
    assert_true(stamp_cmp(&next_life, &other) < 0);
}

static void statuses_have_names(void **state)
{
    (void)state;
    assert_string_equal(member_status_name(MEMBER_ALIVE), "alive");
    assert_string_equal(member_status_name(MEMBER_SUSPECT), "suspect");
    assert_string_equal(member_status_name(MEMBER_DEAD), "dead");
    assert_string_equal(member_status_name(MEMBER_LEFT), "left");
    assert_string_equal(member_status_name(MEMBER_EVICTED), "evicted");
    assert_string_equal(member_status_name((enum member_status)77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rule),
        cmocka_unit_test(a_name_is_padded_with_nul),
        cmocka_unit_test(stamps_are_totally_ordered),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
