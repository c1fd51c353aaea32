/* test_upgrade: a data directory of the format before this one is opened and answers as before. */
#include "tests/unit/store/support.h"

#include "store/tables.h"

static void put_format(struct env_write *w, uint32_t number)
{
    char format[4];
    put_be(format, number, sizeof format);
    assert_int_equal(env_put_one(w, ENV_META, SLICE("format"), (struct slice){format, sizeof format}), ERR_OK);
}

static void open_env(struct env *e, struct env_write *w, const struct fixture *f, const char *name,
                     const char *const *tables)
{
    struct err_info info = {{0}, 0, 0};
    assert_int_equal(env_open(e, f->dir, name, tables, NULL, 0, &info), ERR_OK);
    assert_int_equal(env_begin(e, w), ERR_OK);
}

/* In format 3 each key of the index was a record: flags 1, specificity 1, key length 2, packed length 4, object key,
 * packed route. */
static void put_old_index(struct env_write *w, const char *key, const char *object)
{
    char text[256];
    size_t n = strlen(object);
    memset(text, 0, sizeof text);
    text[1] = (char)strlen(key);
    put_be(text + 2, n, 2);
    put_be(text + 4, 7, 4);
    memcpy(text + 8, object, n);
    memcpy(text + 8 + n, "packed.", 7);
    assert_int_equal(env_put_one(w, PLAN_INDEX, slice_of(key), (struct slice){text, 8 + n + 7}), ERR_OK);
}

/* In format 3 totals ended before the lengths of names. */
static void put_old_totals(struct env_write *w)
{
    struct slice content;
    char old[1024];
    enum err e = env_get(w, PLAN_META, SLICE(TOTALS), &content);
    if (e == ERR_NOTFOUND) return;
    assert_int_equal(e, ERR_OK);
    size_t n = content.n - (LIMIT_NUMBER + 1) * 8;
    assert_true(n <= sizeof old);
    memcpy(old, content.p, n);
    assert_int_equal(env_put_one(w, PLAN_META, SLICE(TOTALS), (struct slice){old, n}), ERR_OK);
}

/* Makes both environments of f such as that version left them. */
static void make_old(struct fixture *f, uint32_t format)
{
    struct env e;
    struct env_write w;
    open_env(&e, &w, f, "plan", plan_tables);
    assert_int_equal(env_clear(&w, PLAN_INDEX), ERR_OK);
    put_old_totals(&w);
    put_old_index(&w, "6", "route//6/trunk/six");
    put_old_index(&w, "gone", "route//gone/trunk/none");
    put_format(&w, format);
    assert_int_equal(env_commit(&w), ERR_OK);
    env_close(&e);
    open_env(&e, &w, f, "state", state_tables);
    put_format(&w, format);
    assert_int_equal(env_commit(&w), ERR_OK);
    env_close(&e);
}

static void fill(struct fixture *f)
{
    struct change c;
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object objects[] = {make_route("", "6", "six"), make_route("hq", "=6001", "exact"),
                                    make_route("", "7", "seven"), make_account("cam", "8150-8379"),
                                    make_account("4711", NULL)};
    for (size_t i = 0; i < 5; i++)
        change_put(&c, &objects[i]);
    assert_int_equal(apply_err(f, &c), ERR_OK);
    change_fini(&c);
    assert_int_equal(drop(f, "hq-1", 2, 11, "route//7/trunk/seven"), ERR_OK); /* a tombstone is no route */
}

static void assert_matches(struct fixture *f)
{
    static const char *const rows[][2] = {
        {"6001", "trunk/exact trunk/six "}, {"602", "trunk/six "}, {"71", ""}, {"8200", "account/cam "}};
    char text[256];
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        match_text(f, rows[i][0], text, sizeof text);
        assert_string_equal(text, rows[i][1]);
    }
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_index_count(f->read, &count), ERR_OK);
    for (size_t n = 0; n <= LIMIT_NUMBER + 1; n++)
        assert_int_equal(store_name_possible(f->read, n), n == 4);
    store_read_end(f->read);
    assert_int_equal(count, 16); /* 6, 6001=, and fourteen of the range */
}

static void test_key_records(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    fill(&f);
    assert_matches(&f);
    struct plan_digest before = digest_now(&f);
    fixture_shut(&f);
    make_old(&f, 3);
    fixture_start(&f);
    assert_matches(&f);
    assert_true(plan_digest_eq(before, digest_now(&f)));
    /* It can be changed, and is opened as any other from now on. */
    assert_int_equal(put_route(&f, "hq-1", 3, 12, "602", "more"), ERR_OK);
    assert_int_equal(drop(&f, "hq-1", 4, 13, "route//602/trunk/more"), ERR_OK);
    fixture_reopen(&f);
    assert_matches(&f);
    fixture_close(&f);
}

static void test_empty_and_older(void **state)
{
    (void)state;
    struct fixture f;
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    char text[64];
    fixture_open(&f, NULL, 0);
    fixture_shut(&f);
    make_old(&f, 3);
    fixture_start(&f); /* without totals there are no objects, whatever the index says */
    match_text(&f, "6001", text, sizeof text);
    assert_string_equal(text, "");
    fixture_shut(&f);
    make_old(&f, 2);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &s, &info), ERR_VERSION);
    assert_non_null(strstr(info.text, "format 2 and"));
    assert_null(s);
    fixture_close(&f);
}

/* What cannot be brought up is refused whole, and says so. */
static void test_damaged(void **state)
{
    (void)state;
    struct fixture f;
    struct env e;
    struct env_write w;
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = f.dir, .wall = {1}};
    fixture_open(&f, NULL, 0);
    fill(&f);
    fixture_shut(&f);
    open_env(&e, &w, &f, "plan", plan_tables);
    assert_int_equal(env_put_one(&w, PLAN_OBJECTS, SLICE("route//9/trunk/t"), SLICE("no object")), ERR_OK);
    assert_int_equal(env_commit(&w), ERR_OK);
    env_close(&e);
    make_old(&f, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_open(&options, &s, &info), ERR_CORRUPT);
        assert_non_null(strstr(info.text, "damaged"));
        assert_null(s);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_records),
        cmocka_unit_test(test_empty_and_older),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
