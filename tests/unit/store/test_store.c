/* test_store: the store as a whole: opening, the lock, reopening, members, epoch, queue. */
#include "tests/unit/store/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store_start load(struct fixture *f, struct arena *arena)
{
    struct store_start start;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_load_start(f->read, arena, &start), ERR_OK);
    store_read_end(f->read);
    return start;
}

static void test_empty(void **state)
{
    (void)state;
    struct fixture f;
    struct arena arena = {0};
    struct plan_digest zero = {{0}};
    char text[64];
    fixture_open(&f, NULL, 0);
    struct store_start start = load(&f, &arena);
    assert_int_equal(start.epoch, 1700000000000);
    assert_int_equal(start.time.v, 0);
    assert_int_equal(start.plan_count + start.state_count + start.member_count, 0);
    assert_true(plan_digest_eq(digest_now(&f), zero));
    assert_int_equal(object_err(&f, "site/hq"), ERR_NOTFOUND);
    assert_int_equal(object_err(&f, ""), ERR_NOTFOUND);
    match_text(&f, "6001", text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(store_health(f.store, NULL), ERR_OK);
    arena_fini(&arena);
    fixture_close(&f);
}

static void test_private_to_its_owner(void **state)
{
    (void)state;
    struct fixture f;
    struct stat st;
    char path[300];
    fixture_open(&f, NULL, 0);
    (void)snprintf(path, sizeof path, "%s/plan", f.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", f.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_close(&f);
}

static void test_reopen(void **state)
{
    (void)state;
    struct fixture f;
    struct arena arena = {0};
    struct change c;
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 5, 1, 1000);
    struct plan_object site = make_site("hq", "6");
    struct plan_object route = make_route("", "6", "pbx");
    change_put(&c, &site);
    change_put(&c, &route);
    struct store_completion done = apply(&f, &c);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.stored_count, 1);
    struct plan_digest before = digest_now(&f);
    assert_true(plan_digest_eq(before, done.plan_digest));
    fixture_reopen(&f);
    assert_true(plan_digest_eq(digest_now(&f), before));
    assert_int_equal(counts_now(&f).kinds[PLAN_SITE], 1);
    assert_int_equal(counts_now(&f).kinds[PLAN_ROUTE], 1);
    struct store_start start = load(&f, &arena);
    assert_int_equal(start.epoch, 1700000000000);
    assert_int_equal(start.time.v, 1000);
    assert_int_equal(start.plan_count, 1);
    assert_string_equal(start.plan[0].origin.s, "hq-1");
    assert_int_equal(start.plan[0].epoch, 5);
    assert_int_equal(start.plan[0].high, 1);
    /* The log goes on where it was. */
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    assert_int_equal(counter(&f, "changes_duplicate"), 1);
    change_fini(&c);
    arena_fini(&arena);
    fixture_close(&f);
}

static void test_members_and_epoch(void **state)
{
    (void)state;
    struct fixture f;
    struct arena arena = {0};
    struct member_note note = {.name = name_of("hq-1"),
                               .incarnation = 3,
                               .status = MEMBER_ALIVE,
                               .mesh_address = SLICE("10.1.0.1:7400"),
                               .site = SLICE("hq")};
    fixture_open(&f, NULL, 0);
    assert_int_equal(store_submit_member(f.store, &note, 1), ERR_OK);
    note.status = MEMBER_EVICTED; /* the later one stays */
    assert_int_equal(store_submit_member(f.store, &note, 2), ERR_OK);
    assert_int_equal(store_submit_epoch(f.store, 1700000000001, 3), ERR_OK);
    assert_int_equal(store_submit_epoch(f.store, 1, 4), ERR_OK); /* never goes back */
    for (uint64_t token = 1; token <= 4; token++) {
        struct store_completion done = fixture_wait(&f);
        assert_int_equal(done.token, token);
        assert_int_equal(done.err, ERR_OK);
    }
    fixture_reopen(&f);
    struct store_start start = load(&f, &arena);
    assert_int_equal(start.member_count, 1);
    assert_string_equal(start.members[0].name.s, "hq-1");
    assert_int_equal(start.members[0].status, MEMBER_EVICTED);
    assert_true(slice_is(start.members[0].mesh_address, "10.1.0.1:7400"));
    assert_int_equal(start.epoch, 1700000000001);
    arena_fini(&arena);
    fixture_close(&f);
}

static void test_second_open_same_process(void **state)
{
    (void)state;
    struct fixture f;
    struct store *second = NULL;
    struct err_info info = {{0}, 0, 0};
    char pid[32];
    fixture_open(&f, NULL, 0);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &second, &info), ERR_EXISTS);
    assert_null(second);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(info.text, pid));
    fixture_close(&f);
}

/* The other process is a child that execs nothing: it opens in its own right, since flock belongs to the open file. */
static void test_second_open_other_process(void **state)
{
    (void)state;
    struct fixture f;
    char text[512];
    char pid[32];
    int fds[2];
    fixture_open(&f, NULL, 0);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *second = NULL;
        struct err_info info = {{0}, 0, 0};
        struct store_options options = {.dir = f.dir, .wall = {1}};
        enum err e = store_open(&options, &second, &info);
        ssize_t n = write(fds[1], info.text, strlen(info.text));
        _exit(e == ERR_EXISTS && n > 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ssize_t n = read(fds[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    if (strstr(text, pid) == NULL) fail_msg("%s", text);
    (void)close(fds[0]);
    (void)close(fds[1]);
    fixture_close(&f);
}

/* A lock file that a dead process left behind is no lock. */
static void test_stale_lock_file(void **state)
{
    (void)state;
    struct fixture f;
    char path[300];
    fixture_open(&f, NULL, 0);
    fixture_shut(&f);
    (void)snprintf(path, sizeof path, "%s/lock", f.dir);
    assert_int_equal(access(path, F_OK), 0);
    struct store_options options = {.dir = f.dir, .wall = {1}};
    assert_int_equal(store_open(&options, &f.store, NULL), ERR_OK);
    store_close(f.store);
    f.store = NULL;
    fixture_close(&f);
}

static void test_unusable_directory(void **state)
{
    (void)state;
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = "/proc/no-such-directory/deep", .wall = {1}};
    assert_int_equal(store_open(&options, &s, &info), ERR_IO);
    assert_non_null(strstr(info.text, "/proc/no-such-directory/deep"));
    assert_null(s);
}

/* A job of any size is taken by an empty queue; a full one says so and takes nothing. */
static void test_queue_cap(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    uint64_t taken = 0;
    enum err e = ERR_OK;
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 1);
    struct plan_object site = make_site("hq", NULL);
    change_put(&c, &site);
    /* Ends that nobody asks for count as well, so this ends however fast the writer is. */
    while (taken < 1000000 && (e = store_submit_changes(f.store, &c.set, 1, taken)) == ERR_OK)
        taken++;
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(counter(&f, "queue_full"), 1);
    for (uint64_t i = 0; i < taken; i++) {
        struct store_completion done = fixture_wait(&f);
        assert_int_equal(done.err, ERR_OK);
        assert_int_equal(done.token, i);
    }
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    assert_true(counter(&f, "plan_commits") < taken); /* in groups */
    change_fini(&c);
    fixture_close(&f);
}

/* Closing finishes what is queued. */
static void test_close_finishes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    for (uint64_t i = 1; i <= 50; i++) {
        struct change c;
        char name[16];
        change_init(&c, "hq-1", 1, i, i);
        (void)snprintf(name, sizeof name, "s%llu", (unsigned long long)i);
        struct plan_object site = make_site(name, NULL);
        change_put(&c, &site);
        assert_int_equal(store_submit_changes(f.store, &c.set, 1, i), ERR_OK);
        change_fini(&c);
    }
    fixture_reopen(&f);
    assert_int_equal(counts_now(&f).kinds[PLAN_SITE], 50);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_private_to_its_owner),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_members_and_epoch),
        cmocka_unit_test(test_second_open_same_process),
        cmocka_unit_test(test_second_open_other_process),
        cmocka_unit_test(test_stale_lock_file),
        cmocka_unit_test(test_unusable_directory),
        cmocka_unit_test(test_queue_cap),
        cmocka_unit_test(test_close_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
