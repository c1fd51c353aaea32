/* test_log: logs that let go of their oldest change-sets: by number, by bytes, with times in any order. */
#include "tests/unit/store/support.h"

#include <stdio.h>

static void open_keeping(struct fixture *f, uint64_t count, uint64_t bytes)
{
    fixture_open(f, NULL, 0);
    f->keep_count = count;
    f->keep_bytes = bytes;
    fixture_reopen(f);
}

static void assert_logs(struct fixture *f, const char *logs, const char *history)
{
    char text[400];
    logs_text(f, text, sizeof text);
    assert_string_equal(text, logs);
    history_text(f, text, sizeof text);
    assert_string_equal(text, history);
}

static void test_by_count(void **state)
{
    (void)state;
    struct fixture f;
    char name[16];
    open_keeping(&f, 3, 0);
    for (uint64_t i = 1; i <= 6; i++) {
        (void)snprintf(name, sizeof name, "s%llu", (unsigned long long)i);
        assert_int_equal(put_site(&f, i % 2 ? "a" : "b", (i + 1) / 2, 10 + i, name), ERR_OK);
    }
    assert_logs(&f, "a/1:3-3 b/1:2-3 ", "b/1/3 a/1/3 b/1/2 ");
    assert_int_equal(counter(&f, "changes_trimmed"), 3);
    assert_int_equal(counter(&f, "changes_applied"), 6);
    assert_int_equal(replica_now(&f).objects, 6); /* the plan is what it was */
    fixture_reopen(&f);
    assert_logs(&f, "a/1:3-3 b/1:2-3 ", "b/1/3 a/1/3 b/1/2 ");
    /* The log goes on, and what was let go of is known, also when it comes with other bytes. */
    assert_int_equal(put_site(&f, "a", 1, 11, "s1"), ERR_OK);
    assert_int_equal(put_site(&f, "a", 1, 11, "other"), ERR_OK);
    assert_int_equal(counter(&f, "changes_duplicate"), 2);
    assert_int_equal(object_err(&f, "site/other"), ERR_NOTFOUND);
    assert_int_equal(put_site(&f, "a", 4, 20, "s7"), ERR_OK);
    assert_logs(&f, "a/1:3-4 b/1:3-3 ", "a/1/4 b/1/3 a/1/3 ");
    fixture_close(&f);
}

static void put_note(struct fixture *f, uint64_t seq, uint64_t time, size_t len)
{
    struct change c;
    char note[LIMIT_TEXT];
    char match[16];
    assert_true(len <= sizeof note);
    memset(note, 'n', sizeof note);
    (void)snprintf(match, sizeof match, "%llu", 100 + (unsigned long long)seq);
    change_init(&c, "a", 1, seq, time);
    struct plan_object o = make_route("", match, "pbx");
    o.route.note = (struct slice){note, len};
    change_put(&c, &o);
    assert_int_equal(apply_err(f, &c), ERR_OK);
    change_fini(&c);
}

static void test_by_bytes(void **state)
{
    (void)state;
    struct fixture f;
    open_keeping(&f, 0, 1000);
    for (uint64_t seq = 1; seq <= 8; seq++)
        put_note(&f, seq, 10 + seq, 200);
    struct replica r = replica_now(&f);
    assert_true(r.log_bytes <= 1000 && r.log_bytes > 700);
    assert_int_equal(r.objects, 8);
    assert_int_equal(counter(&f, "changes_trimmed"), 8 - r.log_bytes / 250);
    /* A single one may be larger than all that is to be kept: it must reach the others. */
    f.keep_bytes = 100;
    fixture_reopen(&f);
    put_note(&f, 9, 30, 400);
    assert_logs(&f, "a/1:9-9 ", "a/1/9 ");
    assert_true(replica_now(&f).log_bytes > 400);
    fixture_close(&f);
}

/* Its time is far ahead: in history it stands behind all that follows it in its log, and is let go of last. The log is
 * then what follows the last one that went, without it. */
static void test_one_from_the_future(void **state)
{
    (void)state;
    struct fixture f;
    char name[16];
    open_keeping(&f, 3, 0);
    assert_int_equal(put_site(&f, "a", 1, 11, "s1"), ERR_OK);
    assert_int_equal(put_site(&f, "a", 2, 1000000, "s2"), ERR_OK);
    for (uint64_t i = 3; i <= 6; i++) {
        (void)snprintf(name, sizeof name, "s%llu", (unsigned long long)i);
        assert_int_equal(put_site(&f, "a", i, 10 + i, name), ERR_OK);
    }
    assert_logs(&f, "a/1:5-6 ", "a/1/2 a/1/6 a/1/5 "); /* 2 is for people only: before the base */
    assert_int_equal(put_site(&f, "a", 7, 1000001, "s7"), ERR_OK);
    assert_int_equal(put_site(&f, "a", 8, 1000002, "s8"), ERR_OK);
    assert_int_equal(put_site(&f, "a", 9, 1000003, "s9"), ERR_OK);
    assert_logs(&f, "a/1:7-9 ", "a/1/9 a/1/8 a/1/7 ");
    assert_int_equal(replica_now(&f).objects, 9);
    fixture_close(&f);
}

/* The newest is the first to go when its time is the oldest: then the whole log is gone, and goes on all the same. */
static void test_one_from_the_past(void **state)
{
    (void)state;
    struct fixture f;
    open_keeping(&f, 2, 0);
    assert_int_equal(put_site(&f, "a", 1, 100, "s1"), ERR_OK);
    assert_int_equal(put_site(&f, "a", 2, 101, "s2"), ERR_OK);
    assert_int_equal(put_site(&f, "b", 1, 50, "s3"), ERR_OK);
    assert_logs(&f, "a/1:1-2 b/1:2-1 ", "a/1/2 a/1/1 ");
    assert_int_equal(put_site(&f, "b", 2, 102, "s4"), ERR_OK);
    assert_logs(&f, "a/1:2-2 b/1:2-2 ", "b/1/2 a/1/2 ");
    assert_int_equal(replica_now(&f).objects, 4);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_count),
        cmocka_unit_test(test_by_bytes),
        cmocka_unit_test(test_one_from_the_future),
        cmocka_unit_test(test_one_from_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
