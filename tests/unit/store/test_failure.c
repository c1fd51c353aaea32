/* test_failure: full disks, failing disks, killed processes. Damaged files: test_damage.c. Whatever happens, reading
 * goes on, what was reported durable is there, and what was refused is not. */
#include "tests/unit/store/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/tables.h"

/* ---- a disk that fails: LMDB's fdatasync is this one ---- */

static atomic_int fdatasync_errno;
static atomic_int fdatasync_after; /* so many succeed first */

int fdatasync(int fd);
int fdatasync(int fd)
{
    int failure = atomic_load(&fdatasync_errno);
    if (failure != 0 && atomic_fetch_sub(&fdatasync_after, 1) <= 0) {
        errno = failure;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- helpers ---- */

/* The totals are those of the objects, every object is where the index says, and the log has no hole. */
struct audit {
    struct plan_digest digest;
    uint64_t count;
    uint64_t high;
};

static bool audit_object(void *ctx, struct slice key, struct slice packed)
{
    struct audit *a = ctx;
    unsigned char hash[HASH_SHA256_LEN];
    assert_int_equal(plan_object_hash(NULL, key, packed, hash), ERR_OK);
    plan_digest_add(&a->digest, hash);
    a->count++;
    return true;
}

static bool audit_log(void *ctx, const struct log_id *id, struct slice packed)
{
    struct audit *a = ctx;
    (void)packed;
    assert_int_equal(id->seq, ++a->high);
    return true;
}

static struct audit audit_store(struct fixture *f)
{
    struct audit a = {.count = 0};
    struct plan_digest total;
    struct node_name origin = name_of("hq-1");
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_objects(f->read, SLICE_NONE, false, audit_object, &a), ERR_OK);
    assert_int_equal(store_log(f->read, &origin, 1, 1, audit_log, &a), ERR_OK);
    store_plan_digest(f->read, &total);
    store_read_end(f->read);
    assert_true(plan_digest_eq(total, a.digest));
    assert_int_equal(counts_now(f).kinds[PLAN_ROUTE], a.count);
    return a;
}

/* ---- full ---- */

/* Writes until the disk is full, checks what is said and what still works, makes room, and checks that it goes on. */
static void fill_and_recover(struct fixture *f, void (*make_room)(void *ctx), void *ctx)
{
    struct err_info info = {{0}, 0, 0};
    struct store_completion done = {0};
    uint64_t seq = 0;
    char text[256];
    do {
        done = apply_bytes(f, ++seq, 64 * 1024);
    } while (done.err == ERR_OK && seq < 1000);
    assert_int_equal(done.err, ERR_FULL);
    if (strstr(done.info.text, "no space") == NULL) fail_msg("%s", done.info.text);
    assert_int_equal(store_health(f->store, &info), ERR_FULL);
    if (strstr(info.text, "plan changes are not accepted: no space") == NULL) fail_msg("%s", info.text);
    assert_true(counter(f, "commit_failures") > 0);
    struct audit a = audit_store(f);
    assert_int_equal(a.high, seq - 1); /* nothing of the refused one */
    match_text(f, "100000", text, sizeof text);
    assert_string_equal(text, "trunk/pbx ");
    make_room(ctx);
    done = apply_bytes(f, seq, 64 * 1024);
    if (done.err != ERR_OK) fail_msg("%s: %s", err_name(done.err), done.info.text);
    assert_int_equal(store_health(f->store, NULL), ERR_OK);
    fixture_reopen(f);
    assert_int_equal(audit_store(f).high, seq);
}

static void raise_limit(void *ctx)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, ctx), 0);
}

static void test_full_by_limit(void **state)
{
    (void)state;
    struct fixture f;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    fixture_open(&f, NULL, 0);
    struct rlimit small = {.rlim_cur = 3 * 1024 * 1024 + 1234, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill_and_recover(&f, raise_limit, &old);
    fixture_close(&f);
}

static void drop_ballast(void *ctx)
{
    assert_int_equal(unlink(ctx), 0);
}

/* A file system of 6 MiB in a mount namespace of this process: it vanishes with it. */
static bool mount_small(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    return mount("tandem", dir, "tmpfs", 0, "size=6m") == 0;
}

static void test_full_disk(void **state)
{
    (void)state;
    struct fixture f;
    char dir[] = "/tmp/tandem-small-XXXXXX";
    char ballast[64];
    assert_non_null(mkdtemp(dir));
    if (!mount_small(dir)) {
        (void)rmdir(dir);
        skip();
    }
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", dir);
    int fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, 2 * 1024 * 1024), 0);
    (void)close(fd);
    fixture_open(&f, dir, 0);
    fill_and_recover(&f, drop_ballast, ballast);
    fixture_close(&f);
    assert_int_equal(umount(dir), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* Space comes back and nobody asks for anything: the store notices by itself. A full disk is no obstacle to a restart.
 */
static atomic_int writable_events;

static void count_events(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    (void)level;
    (void)module;
    (void)pairs;
    if (strcmp(ev, "store-writable") == 0) atomic_fetch_add(&writable_events, 1);
}

static void test_recovers_unasked(void **state)
{
    (void)state;
    struct fixture f;
    struct rlimit old;
    struct log log = {.max = LOG_INFO, .sink = count_events};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    fixture_open(&f, NULL, 0);
    assert_int_equal(apply_bytes(&f, 1, 1024 * 1024).err, ERR_OK);
    fixture_shut(&f);
    struct rlimit small = {.rlim_cur = 1024 * 1024, .rlim_max = old.rlim_max}; /* less than is there */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct store_options options = {.dir = f.dir, .wall = {1}, .log = &log};
    assert_int_equal(store_open(&options, &f.store, NULL), ERR_OK);
    assert_int_equal(store_read_new(f.store, &f.read), ERR_OK);
    assert_int_equal(audit_store(&f).high, 1);
    struct change c;
    struct store_completion done;
    change_init(&c, "hq-1", 1, 2, 200);
    c.many_cap = 2000;
    c.many = calloc(c.many_cap, sizeof *c.many);
    assert_non_null(c.many);
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "site%u", i);
        struct plan_object o = make_site(name, NULL);
        change_put(&c, &o);
    }
    assert_int_equal(store_submit_changes(f.store, &c.set, 1, 1), ERR_OK);
    while (!store_completed(f.store, &done))
        (void)sched_yield();
    assert_int_equal(done.err, ERR_FULL);
    assert_int_equal(store_health(f.store, NULL), ERR_FULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    while (atomic_load(&writable_events) == 0)
        (void)sched_yield(); /* within a second; the runner's timeout is the bound */
    assert_int_equal(store_health(f.store, NULL), ERR_OK);
    change_fini(&c);
    fixture_close(&f);
}

/* A map that is too small is no full disk: it grows, also under the eyes of a reader slot. */
static void test_map_grows(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 1024 * 1024);
    assert_int_equal(audit_store(&f).high, 0);
    for (uint64_t seq = 1; seq <= 8; seq++) {
        struct store_completion done = apply_bytes(&f, seq, 512 * 1024);
        if (done.err != ERR_OK) fail_msg("%s", done.info.text);
        assert_int_equal(audit_store(&f).high, seq);
    }
    assert_true(counter(&f, "map_grown") >= 3);
    assert_int_equal(counter(&f, "changes_applied"), 8); /* a second attempt is counted once */
    fixture_close(&f);
}

/* ---- input/output errors ---- */

static void test_failing_disk(void **state)
{
    (void)state;
    struct fixture f;
    struct err_info info = {{0}, 0, 0};
    fixture_open(&f, NULL, 0);
    assert_int_equal(apply_bytes(&f, 1, 1024).err, ERR_OK);
    atomic_store(&fdatasync_errno, EIO);
    struct store_completion done = apply_bytes(&f, 2, 1024);
    atomic_store(&fdatasync_errno, 0);
    assert_int_equal(done.err, ERR_IO);
    /* What the disk holds is unknown now: nothing is written until a restart, and the operator is told so. */
    done = apply_bytes(&f, 2, 1024);
    assert_int_equal(done.err, ERR_IO);
    assert_int_equal(store_health(f.store, &info), ERR_IO);
    assert_non_null(strstr(info.text, "restart"));
    assert_string_equal(done.info.text, info.text);
    assert_int_equal(audit_store(&f).high, 1);
    /* State is another file: registrations go on. */
    struct vector_entry v = {name_of("n1"), 1, 1};
    assert_int_equal(apply_state(&f, NULL, 0, NULL, 0, &v, 1).err, ERR_OK);
    assert_int_equal(store_state_health(f.store, NULL), ERR_OK);
    fixture_reopen(&f);
    assert_int_equal(store_health(f.store, NULL), ERR_OK);
    assert_int_equal(apply_bytes(&f, 2, 1024).err, ERR_OK);
    assert_int_equal(audit_store(&f).high, 2);
    fixture_close(&f);
}

/* ---- the same while a snapshot is being taken ---- */

static void open_donor(struct fixture *donor, uint64_t changes, size_t bytes)
{
    fixture_open(donor, NULL, 0);
    for (uint64_t seq = 1; seq <= changes; seq++)
        assert_int_equal(apply_bytes(donor, seq, bytes).err, ERR_OK);
    assert_int_equal(drop(donor, "lab-1", 1, 5000, "route//100000/trunk/pbx"), ERR_OK);
}

/* Room for the half of it: what is refused is refused, the replica stays what it is, and changes are taken as soon as
 * there is room. Then it is taken after all. */
static void test_full_during_a_snapshot(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture donor;
    struct rlimit old;
    char text[64];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    open_donor(&donor, 24, 64 * 1024);
    fixture_open(&f, NULL, 0);
    assert_int_equal(put_route(&f, "branch-1", 1, 7, "7", "ours"), ERR_OK);
    struct replica before = replica_now(&f);
    struct rlimit small = {.rlim_cur = 1024 * 1024, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct store_completion done = try_put_aside(&f, &donor, 64);
    assert_int_equal(done.err, ERR_FULL);
    assert_int_equal(store_health(f.store, NULL), ERR_FULL);
    struct replica after = replica_now(&f);
    assert_true(plan_digest_eq(before.digest, after.digest));
    match_text(&f, "700", text, sizeof text);
    assert_string_equal(text, "trunk/ours ");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(put_route(&f, "branch-1", 2, 8, "8", "ours"), ERR_OK);
    done = take_snapshot(&f, &donor, 64);
    if (done.err != ERR_OK) fail_msg("%s: %s", err_name(done.err), done.info.text);
    after = replica_now(&f);
    assert_int_equal(after.objects, replica_now(&donor).objects + 2);
    assert_int_equal(after.tombstones, 1);
    match_text(&f, "100001", text, sizeof text);
    assert_string_equal(text, "trunk/pbx ");
    fixture_reopen(&f);
    assert_int_equal(replica_now(&f).objects, after.objects);
    fixture_close(&f);
    fixture_close(&donor);
}

/* Each commit on the way may be the one that fails; a restart finds the whole of either replica. */
static void test_failing_disk_during_a_snapshot(void **state)
{
    (void)state;
    struct fixture donor;
    int failed = 0;
    bool whole = false;
    open_donor(&donor, 2, 16 * 1024);
    struct replica theirs = replica_now(&donor);
    for (int after = 0; !whole; after++) {
        struct fixture f;
        fixture_open(&f, NULL, 0);
        assert_int_equal(put_route(&f, "branch-1", 1, 7, "7", "ours"), ERR_OK);
        struct replica before = replica_now(&f);
        struct vector_of vector = vector_now(&donor);
        struct vector_of none = {.count = 0};
        atomic_store(&fdatasync_after, after);
        atomic_store(&fdatasync_errno, EIO);
        struct store_completion done = try_put_aside(&f, &donor, 16);
        if (done.err == ERR_OK) done = replace_by(&f, 0, &vector, &none);
        atomic_store(&fdatasync_errno, 0);
        whole = done.err == ERR_OK;
        if (!whole) assert_int_equal(done.err, ERR_IO);
        failed += !whole;
        for (int restarted = 0; restarted < 2; restarted++) {
            struct replica now = replica_now(&f);
            assert_int_equal(now.objects, whole ? theirs.objects + 1 : before.objects);
            if (!whole) assert_true(plan_digest_eq(now.digest, before.digest));
            fixture_reopen(&f);
        }
        assert_int_equal(take_snapshot(&f, &donor, 64).err, ERR_OK);
        assert_int_equal(replica_now(&f).objects, theirs.objects + 1);
        assert_int_equal(replica_now(&f).tombstones, 1);
        fixture_close(&f);
    }
    assert_true(failed >= 4); /* several pieces and the change-over */
    fixture_close(&donor);
}

/* ---- kill -9 ---- */

/* Writes change-sets from seq on, and says each one that is durable, until it is killed. */
_Noreturn static void write_until_killed(const char *dir, uint64_t seq, int out)
{
    struct store *s = NULL;
    struct store_options options = {.dir = dir, .wall = {1}};
    if (store_open(&options, &s, NULL) != ERR_OK) _exit(1);
    for (;; seq++) {
        struct change c;
        struct store_completion done;
        char match[32];
        change_init(&c, "hq-1", 1, seq, seq);
        for (unsigned i = 0; i < 20; i++) {
            (void)snprintf(match, sizeof match, "%llu", (unsigned long long)(seq * 7 + i * 131));
            struct plan_object o = make_route("", match, "pbx");
            change_put(&c, &o);
        }
        if (store_submit_changes(s, &c.set, 1, seq) != ERR_OK) _exit(2);
        while (!store_completed(s, &done))
            (void)sched_yield();
        if (done.err != ERR_OK || write(out, &seq, sizeof seq) != sizeof seq) _exit(3);
        change_fini(&c);
    }
}

static void test_killed(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t durable = 0;
    fixture_open(&f, NULL, 0);
    for (unsigned round = 0; round < 8; round++) {
        int fds[2];
        int status;
        uint64_t seq = durable;
        fixture_shut(&f);
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(fds[0]);
            write_until_killed(f.dir, durable + 1, fds[1]);
        }
        (void)close(fds[1]);
        for (uint64_t n = 0; n < 3 + 5 * round; n++)
            assert_int_equal(read(fds[0], &seq, sizeof seq), sizeof seq);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(fds[0], &seq, sizeof seq) == sizeof seq)
            continue; /* said before it died */
        (void)close(fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        fixture_reopen(&f);
        struct audit a = audit_store(&f);
        assert_true(a.high >= seq); /* at most the one whose report was cut off more */
        assert_true(a.high <= seq + 1);
        durable = a.high;
    }
    assert_int_equal(store_verify(f.dir, NULL), ERR_OK);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_by_limit),          cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_recovers_unasked),       cmocka_unit_test(test_map_grows),
        cmocka_unit_test(test_failing_disk),           cmocka_unit_test(test_killed),
        cmocka_unit_test(test_full_during_a_snapshot), cmocka_unit_test(test_failing_disk_during_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
