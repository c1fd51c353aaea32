/* test_floor: how far deletions are forgotten: raised here, taken over from another replica, and what comes too late
 * then. */
#include "tests/unit/store/support.h"

#include <stdio.h>

/* a: site one, two and three, of which two and one are deleted again at 14 and 15; b: site four, at 16. */
static void open_with_deletions(struct fixture *f)
{
    fixture_open(f, NULL, 0);
    assert_int_equal(put_site(f, "a", 1, 11, "one"), ERR_OK);
    assert_int_equal(put_site(f, "a", 2, 12, "two"), ERR_OK);
    assert_int_equal(put_site(f, "a", 3, 13, "three"), ERR_OK);
    assert_int_equal(drop(f, "a", 4, 14, "site/two"), ERR_OK);
    assert_int_equal(drop(f, "a", 5, 15, "site/one"), ERR_OK);
    assert_int_equal(put_site(f, "b", 1, 16, "four"), ERR_OK);
}

static void assert_vector(struct vector_of v, const struct vector_entry *want, size_t count)
{
    assert_int_equal(v.count, count);
    assert_memory_equal(v.items, want, count * sizeof *want);
}

/* ---- raising ---- */

static void test_raise(void **state)
{
    (void)state;
    struct fixture f;
    struct stamp stamp;
    open_with_deletions(&f);
    struct replica before = replica_now(&f);
    assert_int_equal(before.tombstones, 2);
    struct vector_entry v[] = {entry_of("a", 1, 5), entry_of("b", 1, 1)};
    struct store_completion done = raise_floor(&f, v, 2);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.floor.v, 15); /* of the newest deletion, not of the newest change */
    assert_int_equal(done.tombstones, 0);
    struct replica after = replica_now(&f);
    assert_int_equal(after.floor, 15);
    assert_int_equal(after.tombstones, 0);
    assert_int_equal(after.objects, 2);
    assert_true(plan_digest_eq(after.digest, before.digest));
    assert_true(plan_digest_eq(done.plan_digest, before.digest));
    assert_vector(cut_now(&f), v, 2);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_object_stamp(f.read, SLICE("site/one"), &stamp), ERR_NOTFOUND);
    assert_int_equal(store_object_stamp(f.read, SLICE("site/three"), &stamp), ERR_OK);
    store_read_end(f.read);
    fixture_reopen(&f);
    assert_int_equal(replica_now(&f).floor, 15);
    assert_vector(cut_now(&f), v, 2);
    fixture_close(&f);
}

/* The vector must be what is here, neither more nor less; logs at 0 say nothing. */
static void test_raise_with_another_vector(void **state)
{
    static const struct {
        struct {
            const char *origin;
            uint64_t epoch, high;
        } v[4];
        enum err err;
    } cases[] = {
        {{{"a", 1, 5}}, ERR_CONFLICT},
        {{{"a", 1, 4}, {"b", 1, 1}}, ERR_CONFLICT},
        {{{"a", 1, 6}, {"b", 1, 1}}, ERR_CONFLICT},
        {{{"a", 2, 5}, {"b", 1, 1}}, ERR_CONFLICT},
        {{{"a", 1, 5}, {"b", 1, 1}, {"c", 1, 1}}, ERR_CONFLICT},
        {{{0}}, ERR_CONFLICT},
        {{{"a", 1, 5}, {"a", 2, 0}, {"b", 1, 1}, {"c", 1, 0}}, ERR_OK},
    };
    (void)state;
    struct fixture f;
    open_with_deletions(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vector_of v = {.count = 0};
        while (v.count < 4 && cases[i].v[v.count].origin != NULL) {
            v.items[v.count] =
                entry_of(cases[i].v[v.count].origin, cases[i].v[v.count].epoch, cases[i].v[v.count].high);
            v.count++;
        }
        struct store_completion done = raise_floor(&f, v.items, v.count);
        if (done.err != cases[i].err) fail_msg("case %zu: %s", i, err_name(done.err));
        assert_int_equal(done.floor.v, done.err == ERR_OK ? 15 : 0);
        assert_int_equal(replica_now(&f).tombstones, done.err == ERR_OK ? 0 : 2);
    }
    fixture_close(&f);
}

static void test_nothing_to_forget(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    struct store_completion done = raise_floor(&f, NULL, 0);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.floor.v, 0);
    assert_int_equal(put_site(&f, "a", 1, 11, "one"), ERR_OK);
    struct vector_entry v = entry_of("a", 1, 1);
    done = raise_floor(&f, &v, 1);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.floor.v, 0);
    assert_int_equal(cut_now(&f).count, 0);
    assert_int_equal(replica_now(&f).objects, 1);
    fixture_close(&f);
}

/* ---- too late ---- */

static void test_below_the_floor(void **state)
{
    (void)state;
    struct fixture f;
    struct change c[3];
    open_with_deletions(&f);
    struct vector_entry v[] = {entry_of("a", 1, 5), entry_of("b", 1, 1)};
    assert_int_equal(raise_floor(&f, v, 2).err, ERR_OK);
    struct replica before = replica_now(&f);
    struct plan_object one = make_site("one", NULL);
    struct plan_object five = make_site("five", NULL);
    change_init(&c[0], "c", 1, 1, 15); /* at the floor, and its object was deleted */
    change_init(&c[1], "d", 1, 1, 16);
    change_init(&c[2], "c", 1, 2, 20); /* what follows the refused one is a gap */
    change_put(&c[0], &one);
    change_put(&c[1], &five);
    change_put(&c[2], &five);
    struct changeset sets[] = {c[0].set, c[1].set, c[2].set};
    assert_int_equal(store_submit_changes(f.store, sets, 3, 1000), ERR_OK);
    struct store_completion done = fixture_wait(&f);
    assert_int_equal(done.err, ERR_CONFLICT);
    if (strcmp(done.info.text, "change-set c/1/1 is older than the deletions that are forgotten here") != 0)
        fail_msg("%s", done.info.text);
    assert_int_equal(done.stored_count, 1);
    assert_int_equal(counter(&f, "changes_below_floor"), 1);
    assert_int_equal(counter(&f, "changes_gap"), 1);
    assert_int_equal(object_err(&f, "site/one"), ERR_NOTFOUND);
    assert_int_equal(object_err(&f, "site/five"), ERR_OK);
    assert_int_equal(replica_now(&f).objects, before.objects + 1);
    /* What is in the log already may be below it. */
    assert_int_equal(put_site(&f, "a", 1, 11, "one"), ERR_OK);
    assert_int_equal(counter(&f, "changes_duplicate"), 1);
    assert_int_equal(object_err(&f, "site/one"), ERR_NOTFOUND);
    for (size_t i = 0; i < 3; i++)
        change_fini(&c[i]);
    fixture_close(&f);
}

/* ---- taking over ---- */

static void test_adopt(void **state)
{
    static const struct {
        const char *what;
        uint64_t floor;
        uint64_t a, b; /* the cut */
        enum err err;
        uint64_t floor_after;
        uint64_t tombstones;
        const char *text;
    } steps[] = {
        {"a part of the cut is missing", 15, 6, 0, ERR_CONFLICT, 0, 2,
         "change-sets of a up to 6 are needed, and 5 are here"},
        {"another log's part is missing", 15, 5, 2, ERR_CONFLICT, 0, 2,
         "change-sets of b up to 2 are needed, and 1 are here"},
        {"a stray of a", 14, 3, 0, ERR_CONFLICT, 0, 2,
         "change-set a/1/4 is older than deletions that the others have forgotten"},
        {"a stray of b", 16, 5, 0, ERR_CONFLICT, 0, 2,
         "change-set b/1/1 is older than deletions that the others have forgotten"},
        {"the older deletion", 14, 4, 0, ERR_OK, 14, 1, ""},
        {"a lower floor changes nothing", 13, 1, 0, ERR_OK, 14, 1, ""},
        {"the same floor changes nothing", 14, 1, 0, ERR_OK, 14, 1, ""},
        {"the newer one too", 15, 5, 0, ERR_OK, 15, 0, ""},
        {"past everything", 99, 5, 1, ERR_OK, 99, 0, ""},
    };
    (void)state;
    struct fixture f;
    open_with_deletions(&f);
    struct replica before = replica_now(&f);
    struct vector_of cut = cut_now(&f);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct vector_entry v[] = {entry_of("a", 1, steps[i].a), entry_of("b", 1, steps[i].b)};
        struct store_completion done = adopt_floor(&f, steps[i].floor, v, 2);
        struct replica r = replica_now(&f);
        if (done.err != steps[i].err || strcmp(done.info.text, steps[i].text) != 0)
            fail_msg("%s: %s: %s", steps[i].what, err_name(done.err), done.info.text);
        if (r.floor != steps[i].floor_after || r.tombstones != steps[i].tombstones)
            fail_msg("%s: floor %llu, %llu tombstones", steps[i].what, (unsigned long long)r.floor,
                     (unsigned long long)r.tombstones);
        assert_int_equal(done.floor.v, r.floor);
        assert_int_equal(done.tombstones, r.tombstones);
        assert_true(plan_digest_eq(r.digest, before.digest));
        if (strstr(steps[i].what, "nothing") == NULL && done.err == ERR_OK) cut = vector_of(v, 2);
        assert_vector(cut_now(&f), cut.items, cut.count);
    }
    fixture_close(&f);
}

/* What came with a snapshot is in no log: its object shows it. */
static void test_stray_in_the_objects_only(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture donor;
    fixture_open(&donor, NULL, 0);
    fixture_open(&f, NULL, 0);
    assert_int_equal(put_site(&donor, "a", 1, 11, "one"), ERR_OK);
    assert_int_equal(put_site(&donor, "b", 1, 12, "two"), ERR_OK);
    assert_int_equal(put_site(&donor, "b", 2, 30, "three"), ERR_OK);
    assert_int_equal(take_snapshot(&f, &donor, 8).err, ERR_OK);
    struct vector_entry cut[] = {entry_of("a", 1, 1), entry_of("b", 1, 0)};
    struct store_completion done = adopt_floor(&f, 20, cut, 2);
    assert_int_equal(done.err, ERR_CONFLICT);
    if (strstr(done.info.text, "change-set b/1/2 is older") == NULL) fail_msg("%s", done.info.text);
    cut[1].high = 1; /* then b's last one is above the floor, as its stamp says, but two is covered */
    done = adopt_floor(&f, 20, cut, 2);
    assert_int_equal(done.err, ERR_CONFLICT); /* that two is not b's second is not to be seen: a snapshot mends it */
    cut[1].high = 2;
    assert_int_equal(adopt_floor(&f, 20, cut, 2).err, ERR_OK);
    assert_int_equal(replica_now(&f).floor, 20);
    fixture_close(&f);
    fixture_close(&donor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raise),
        cmocka_unit_test(test_raise_with_another_vector),
        cmocka_unit_test(test_nothing_to_forget),
        cmocka_unit_test(test_below_the_floor),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_stray_in_the_objects_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
