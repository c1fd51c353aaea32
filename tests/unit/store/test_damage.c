/* Damaged files of a store: what they hold is not taken for something else, and it is said which record it is. */
#include "tests/unit/store/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/tables.h"

/* Changes every occurrence of text in the plan's file; returns how many. */
static unsigned damage(const struct fixture *f, const char *text)
{
    char path[300];
    struct stat st;
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "%s/plan/data.mdb", f->dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *data = malloc((size_t)st.st_size);
    assert_non_null(data);
    assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
    char *end = data + st.st_size;
    for (char *p = data; (p = memmem(p, (size_t)(end - p), text, strlen(text))) != NULL; p++) {
        assert_int_equal(pwrite(fd, "X", 1, p - data), 1);
        count++;
    }
    free(data);
    (void)close(fd);
    return count;
}

static bool ignore_log(void *ctx, const struct log_id *id, struct slice packed)
{
    (void)ctx;
    (void)id;
    (void)packed;
    return true;
}

static void test_damaged_record(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    struct arena arena = {0};
    struct candidate found[4];
    struct err_info info = {{0}, 0, 0};
    struct node_name origin = name_of("hq-1");
    size_t count;
    bool more;
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object bad = make_route("", "7", "pbx");
    struct plan_object good = make_route("", "8", "pbx");
    bad.route.note = SLICE("to-be-damaged");
    change_put(&c, &bad);
    change_put(&c, &good);
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    assert_int_equal(store_verify(f.dir, NULL), ERR_OK); /* also while it is open */
    fixture_shut(&f);
    assert_true(damage(&f, "to-be-damaged") >= 3); /* object, index, log */
    assert_int_equal(store_verify(f.dir, &info), ERR_CORRUPT);
    assert_non_null(strstr(info.text, "damaged"));
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &f.store, NULL), ERR_OK);
    assert_int_equal(store_read_new(f.store, &f.read), ERR_OK);
    assert_int_equal(object_err(&f, "route//7/trunk/pbx"), ERR_CORRUPT);
    assert_int_equal(object_err(&f, "route//8/trunk/pbx"), ERR_OK);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_match(f.read, &arena, SLICE("7"), found, 4, &count, &more), ERR_CORRUPT);
    assert_int_equal(count, 0);
    /* Its neighbours in the index stand in the same record. */
    assert_int_equal(store_match(f.read, &arena, SLICE("8"), found, 4, &count, &more), ERR_CORRUPT);
    assert_int_equal(store_log(f.read, &origin, 1, 1, ignore_log, NULL), ERR_CORRUPT);
    store_read_end(f.read);
    assert_int_equal(counter(&f, "records_corrupt"), 4);
    arena_fini(&arena);
    change_fini(&c);
    fixture_close(&f);
}

/* One damaged object fails the change-set that would replace it, not the others of its group. */
static void test_damage_fails_only_its_job(void **state)
{
    (void)state;
    struct fixture f;
    struct change c[3];
    struct store_completion done;
    fixture_open(&f, NULL, 0);
    change_init(&c[0], "hq-1", 1, 1, 10);
    struct plan_object bad = make_route("", "7", "pbx");
    bad.route.note = SLICE("to-be-damaged");
    change_put(&c[0], &bad);
    assert_int_equal(apply_err(&f, &c[0]), ERR_OK);
    fixture_shut(&f);
    assert_true(damage(&f, "to-be-damaged") >= 3);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &f.store, NULL), ERR_OK);
    assert_int_equal(store_read_new(f.store, &f.read), ERR_OK);
    change_init(&c[1], "hq-1", 1, 2, 11);
    bad.route.note = SLICE("mended");
    change_put(&c[1], &bad);
    change_init(&c[2], "lab-1", 1, 1, 12);
    struct plan_object other = make_site("lab", NULL);
    change_put(&c[2], &other);
    assert_int_equal(store_submit_changes(f.store, &c[1].set, 1, 1), ERR_OK);
    assert_int_equal(store_submit_changes(f.store, &c[2].set, 1, 2), ERR_OK);
    for (int i = 1; i <= 2; i++) {
        while (!store_completed(f.store, &done))
            (void)sched_yield();
        assert_int_equal(done.token, i);
        assert_int_equal(done.err, i == 1 ? ERR_CORRUPT : ERR_OK);
    }
    assert_int_equal(object_err(&f, "site/lab"), ERR_OK);
    for (int i = 0; i < 3; i++)
        change_fini(&c[i]);
    fixture_close(&f);
}

/* What stands between a replica and its floor or its successor is damaged: nothing is forgotten, nothing replaced, and
 * the rest goes on. */
static void test_damage_and_floors(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture donor;
    fixture_open(&f, NULL, 0);
    fixture_open(&donor, NULL, 0);
    assert_int_equal(put_site(&donor, "lab-1", 1, 5, "lab"), ERR_OK);
    assert_int_equal(put_site(&f, "hq-1", 1, 10, "to-be-damaged"), ERR_OK);
    assert_int_equal(drop(&f, "hq-1", 2, 11, "site/to-be-damaged"), ERR_OK);
    fixture_shut(&f);
    assert_true(damage(&f, "to-be-damaged") >= 3); /* object, tombstone, log */
    fixture_start(&f);
    struct vector_entry v = entry_of("hq-1", 1, 2);
    assert_int_equal(raise_floor(&f, &v, 1).err, ERR_CORRUPT);
    assert_int_equal(adopt_floor(&f, 20, &v, 1).err, ERR_CORRUPT);
    put_aside(&f, &donor, 64);
    struct vector_of theirs = vector_now(&donor);
    struct vector_of none = {.count = 0};
    assert_int_equal(replace_by(&f, 0, &theirs, &none).err, ERR_CORRUPT); /* our log cannot be read */
    assert_int_equal(vector_now(&f).items[0].high, 2);
    assert_int_equal(put_site(&f, "lab-1", 1, 5, "lab"), ERR_OK);
    fixture_close(&donor);
    fixture_close(&f);
}

static void test_cut_short(void **state)
{
    (void)state;
    struct fixture f;
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct stat st;
    char path[300];
    fixture_open(&f, NULL, 0);
    assert_int_equal(apply_bytes(&f, 1, 1024 * 1024).err, ERR_OK);
    fixture_shut(&f);
    (void)snprintf(path, sizeof path, "%s/plan/data.mdb", f.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2 / 4096 * 4096), 0);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &s, &info), ERR_CORRUPT);
    assert_non_null(strstr(info.text, "damaged"));
    assert_null(s);
    fixture_close(&f);
}

static void test_other_format(void **state)
{
    (void)state;
    struct fixture f;
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct env env;
    struct env_write w;
    char format[4];
    fixture_open(&f, NULL, 0);
    fixture_shut(&f);
    assert_int_equal(env_open(&env, f.dir, "plan", plan_tables, NULL, 0, &info), ERR_OK);
    assert_int_equal(env_begin(&env, &w), ERR_OK);
    put_be(format, ENV_FORMAT + 1, sizeof format);
    assert_int_equal(env_put_one(&w, PLAN_META, SLICE("format"), (struct slice){format, sizeof format}), ERR_OK);
    assert_int_equal(env_commit(&w), ERR_OK);
    env_close(&env);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &s, &info), ERR_VERSION);
    char said[32];
    (void)snprintf(said, sizeof said, "format %d and", ENV_FORMAT + 1);
    assert_non_null(strstr(info.text, said));
    assert_null(s);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_record),    cmocka_unit_test(test_damage_fails_only_its_job),
        cmocka_unit_test(test_damage_and_floors), cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_other_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
