/* test_snapshot: a replica that arrives in pieces and takes the place of ours: what is then here, what of ours is kept,
 * what is lost, and what readers see meanwhile. */
#include "tests/unit/store/support.h"

#include <stdio.h>

#include "store/tables.h"

struct two {
    struct fixture donor;
    struct fixture f;
};

static void two_open(struct two *t)
{
    fixture_open(&t->donor, NULL, 0);
    fixture_open(&t->f, NULL, 0);
}

static void two_close(struct two *t)
{
    fixture_close(&t->donor);
    fixture_close(&t->f);
}

/* a: routes 1, 2 and 3, and a site that is deleted again, at 11 .. 15. */
static void fill(struct fixture *f)
{
    assert_int_equal(put_route(f, "a", 1, 11, "1", "pbx"), ERR_OK);
    assert_int_equal(put_route(f, "a", 2, 12, "2", "pbx"), ERR_OK);
    assert_int_equal(put_site(f, "a", 3, 13, "gone"), ERR_OK);
    assert_int_equal(drop(f, "a", 4, 14, "site/gone"), ERR_OK);
    assert_int_equal(put_route(f, "a", 5, 15, "3", "pbx"), ERR_OK);
}

static void assert_same(struct fixture *f, struct fixture *donor)
{
    struct replica a = replica_now(f);
    struct replica b = replica_now(donor);
    assert_true(plan_digest_eq(a.digest, b.digest));
    assert_int_equal(a.objects, b.objects);
    assert_int_equal(a.tombstones, b.tombstones);
    assert_int_equal(a.floor, b.floor);
}

static void assert_match(struct fixture *f, const char *number, const char *want)
{
    char text[200];
    match_text(f, number, text, sizeof text);
    assert_string_equal(text, want);
}

static void assert_logs(struct fixture *f, const char *want)
{
    char text[400];
    logs_text(f, text, sizeof text);
    assert_string_equal(text, want);
}

/* ---- a new node ---- */

static void test_into_an_empty_store(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 64};
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct two t;
        char text[100];
        two_open(&t);
        fill(&t.donor);
        struct store_completion done = take_snapshot(&t.f, &t.donor, pieces[i]);
        assert_int_equal(done.err, ERR_OK);
        assert_int_equal(done.lost_count, 0);
        assert_int_equal(done.tombstones, 1);
        assert_true(plan_digest_eq(done.plan_digest, digest_now(&t.donor)));
        assert_same(&t.f, &t.donor);
        assert_match(&t.f, "2100", "trunk/pbx ");
        assert_logs(&t.f, "a/1:6-5 "); /* none of it is in a log */
        history_text(&t.f, text, sizeof text);
        assert_string_equal(text, "");
        assert_int_equal(replica_now(&t.f).time, 15);
        assert_int_equal(counter(&t.f, "snapshots_taken"), 1);
        /* What was deleted stays so, and the log goes on. */
        assert_int_equal(put_site(&t.f, "b", 1, 13, "gone"), ERR_OK);
        assert_int_equal(object_err(&t.f, "site/gone"), ERR_NOTFOUND);
        assert_int_equal(put_route(&t.f, "a", 6, 16, "4", "pbx"), ERR_OK);
        assert_int_equal(put_route(&t.f, "a", 5, 15, "5", "pbx"), ERR_OK); /* known, though not in the log */
        assert_int_equal(counter(&t.f, "changes_duplicate"), 1);
        assert_logs(&t.f, "a/1:6-6 b/1:1-1 ");
        fixture_reopen(&t.f);
        assert_logs(&t.f, "a/1:6-6 b/1:1-1 ");
        assert_match(&t.f, "4100", "trunk/pbx ");
        two_close(&t);
    }
}

/* A donor without a floor has no cut, and one with a floor no tombstones up to it. */
static void test_with_a_floor(void **state)
{
    (void)state;
    struct two t;
    two_open(&t);
    fill(&t.donor);
    struct vector_of v = vector_now(&t.donor);
    put_aside(&t.f, &t.donor, 64); /* the tombstone is in it; the donor's floor, which is raised now, covers it */
    assert_int_equal(raise_floor(&t.donor, v.items, v.count).err, ERR_OK);
    struct store_completion done = replace_by(&t.f, 14, &v, &v);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.floor.v, 14);
    assert_int_equal(done.tombstones, 0);
    assert_same(&t.f, &t.donor);
    assert_int_equal(cut_now(&t.f).count, 1);
    assert_int_equal(cut_now(&t.f).items[0].high, 5);
    assert_int_equal(put_site(&t.f, "b", 1, 14, "gone"), ERR_CONFLICT);
    assert_int_equal(put_site(&t.f, "b", 1, 15, "gone"), ERR_OK);
    two_close(&t);
}

/* While the objects come the donor goes on: the tail has it, also where a piece was read before and where after. */
static void test_tail(void **state)
{
    (void)state;
    struct two t;
    struct change c[3];
    two_open(&t);
    fill(&t.donor);
    put_aside(&t.f, &t.donor, 1);
    change_init(&c[0], "a", 1, 6, 16);
    change_init(&c[1], "a", 1, 7, 17);
    change_init(&c[2], "b", 1, 1, 18);
    struct plan_object four = make_route("", "4", "pbx");
    struct plan_object one = make_route("", "1", "other");
    change_delete(&c[0], "route//1/trunk/pbx");
    change_put(&c[1], &four);
    change_put(&c[2], &one);
    struct changeset sets[3];
    struct buf packed[3] = {{0}, {0}, {0}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(apply_err(&t.donor, &c[i]), ERR_OK);
        assert_int_equal(changeset_pack(&c[i].set, &packed[i]), ERR_OK);
        sets[i] = (struct changeset){.id = c[i].set.id, .packed = buf_view(&packed[i])};
    }
    /* One of them is here by its log already. */
    assert_int_equal(apply_err(&t.f, &c[2]), ERR_OK);
    struct store_piece piece = {.changes = sets, .change_count = 2};
    assert_int_equal(put_piece(&t.f, &piece).err, ERR_OK);
    piece.changes = sets + 2;
    piece.change_count = 1;
    assert_int_equal(put_piece(&t.f, &piece).err, ERR_OK);
    struct vector_of v = vector_now(&t.donor);
    struct vector_of none = {.count = 0};
    assert_int_equal(replace_by(&t.f, 0, &v, &none).err, ERR_OK);
    assert_same(&t.f, &t.donor);
    assert_match(&t.f, "1100", "trunk/other ");
    assert_logs(&t.f, "a/1:6-7 b/1:1-1 ");
    assert_int_equal(replica_now(&t.f).time, 18);
    fixture_shut(&t.f);
    assert_int_equal(table_count(&t.f, PLAN_TAIL), 0);
    assert_int_equal(table_count(&t.f, PLAN_OBJECTS), 0); /* the side that was the replica */
    for (size_t i = 0; i < 3; i++) {
        buf_fini(&packed[i]);
        change_fini(&c[i]);
    }
    two_close(&t);
}

/* ---- what we had ---- */

static void test_own_changes_are_kept(void **state)
{
    (void)state;
    struct two t;
    two_open(&t);
    fill(&t.donor);
    assert_int_equal(put_site(&t.donor, "a", 6, 30, "both"), ERR_OK);
    /* Here: a as far as 3; and what only this node has, by its own log and by one that it passed on. */
    assert_int_equal(put_route(&t.f, "a", 1, 11, "1", "pbx"), ERR_OK);
    assert_int_equal(put_route(&t.f, "a", 2, 12, "2", "pbx"), ERR_OK);
    assert_int_equal(put_site(&t.f, "a", 3, 13, "gone"), ERR_OK);
    assert_int_equal(put_site(&t.f, "b", 1, 20, "ours"), ERR_OK);
    assert_int_equal(drop(&t.f, "b", 2, 21, "route//2/trunk/pbx"), ERR_OK);
    assert_int_equal(put_site(&t.f, "b", 3, 22, "both"), ERR_OK); /* the donor's is newer */
    assert_int_equal(put_route(&t.f, "c", 1, 23, "9", "pbx"), ERR_OK);
    struct store_completion done = take_snapshot(&t.f, &t.donor, 2);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.lost_count, 0);
    assert_logs(&t.f, "a/1:7-6 b/1:1-3 c/1:1-1 ");
    struct stamp stamp;
    assert_int_equal(store_read_begin(t.f.read), ERR_OK);
    assert_int_equal(store_object_stamp(t.f.read, SLICE("site/both"), &stamp), ERR_OK);
    store_read_end(t.f.read);
    assert_int_equal(stamp.time.v, 30);
    /* The same comes out when the donor takes what we had, which is what happens next. */
    assert_int_equal(put_site(&t.donor, "b", 1, 20, "ours"), ERR_OK);
    assert_int_equal(drop(&t.donor, "b", 2, 21, "route//2/trunk/pbx"), ERR_OK);
    assert_int_equal(put_site(&t.donor, "b", 3, 22, "both"), ERR_OK);
    assert_int_equal(put_route(&t.donor, "c", 1, 23, "9", "pbx"), ERR_OK);
    assert_same(&t.f, &t.donor);
    assert_match(&t.f, "2100", "");
    assert_match(&t.f, "9100", "trunk/pbx ");
    two_close(&t);
}

static bool add_conflict(void *ctx, const struct store_conflict *c)
{
    char *text = ctx;
    size_t n = strlen(text);
    (void)snprintf(text + n, 200 - n, "%.*s %s%llu ", SLICE_ARG(c->object), c->stamp.origin.s,
                   (unsigned long long)c->stamp.time.v);
    return true;
}

/* b made a change on an old disk, with a time up to the donor's floor: none of what it made since can stay. */
static void test_a_log_with_a_stray_is_lost(void **state)
{
    (void)state;
    struct two t;
    char text[100];
    two_open(&t);
    fill(&t.donor);
    struct vector_of v = vector_now(&t.donor);
    assert_int_equal(raise_floor(&t.donor, v.items, v.count).err, ERR_OK);
    assert_int_equal(put_site(&t.donor, "b", 1, 15, "known"), ERR_OK);
    assert_int_equal(put_site(&t.f, "b", 1, 15, "known"), ERR_OK);
    assert_int_equal(put_site(&t.f, "b", 2, 14, "stray"), ERR_OK);
    assert_int_equal(put_site(&t.f, "b", 3, 40, "after"), ERR_OK);
    assert_int_equal(put_site(&t.f, "c", 1, 13, "gone"), ERR_OK); /* alone in its log */
    assert_int_equal(put_site(&t.f, "d", 1, 41, "kept"), ERR_OK);
    struct store_completion done = take_snapshot(&t.f, &t.donor, 64);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.lost_count, 3);
    assert_int_equal(counter(&t.f, "changes_lost"), 3);
    assert_int_equal(object_err(&t.f, "site/stray"), ERR_NOTFOUND);
    assert_int_equal(object_err(&t.f, "site/after"), ERR_NOTFOUND);
    assert_int_equal(object_err(&t.f, "site/gone"), ERR_NOTFOUND);
    assert_int_equal(object_err(&t.f, "site/known"), ERR_OK);
    assert_int_equal(object_err(&t.f, "site/kept"), ERR_OK);
    assert_logs(&t.f, "a/1:6-5 b/1:1-1 d/1:1-1 "); /* c is as if it had never been */
    history_text(&t.f, text, sizeof text);
    assert_string_equal(text, "d/1/1 b/1/1 ");
    char conflicts[200] = ""; /* somebody is to look at them */
    assert_int_equal(store_read_begin(t.f.read), ERR_OK);
    assert_int_equal(store_conflicts(t.f.read, SLICE(""), add_conflict, conflicts), ERR_OK);
    store_read_end(t.f.read);
    assert_string_equal(conflicts, "site/after b40 site/gone c13 site/stray b14 ");
    assert_int_equal(put_site(&t.f, "b", 2, 42, "again"), ERR_OK); /* by whoever has that number rightly */
    fixture_shut(&t.f);
    assert_int_equal(table_count(&t.f, PLAN_LOST), 3);
    two_close(&t);
}

/* What an earlier snapshot brought is in no log; a donor that lacks it must not make us lose it. */
static void test_what_only_the_objects_hold(void **state)
{
    (void)state;
    for (int with_floor = 0; with_floor < 2; with_floor++) {
        struct two t;
        struct fixture first;
        two_open(&t);
        fixture_open(&first, NULL, 0);
        assert_int_equal(put_site(&first, "x", 1, 12, "early"), ERR_OK);
        assert_int_equal(put_site(&first, "x", 2, 30, "late"), ERR_OK);
        assert_int_equal(put_site(&first, "y", 1, 31, "known"), ERR_OK);
        assert_int_equal(take_snapshot(&t.f, &first, 64).err, ERR_OK);
        fill(&t.donor);
        assert_int_equal(put_site(&t.donor, "y", 1, 31, "known"), ERR_OK);
        struct vector_of v = vector_now(&t.donor);
        if (with_floor) assert_int_equal(raise_floor(&t.donor, v.items, v.count).err, ERR_OK);
        assert_int_equal(take_snapshot(&t.f, &t.donor, 64).err, ERR_OK);
        assert_int_equal(object_err(&t.f, "site/late"), ERR_OK);
        /* Up to the floor nobody can tell whether it was deleted since. */
        assert_int_equal(object_err(&t.f, "site/early"), with_floor ? ERR_NOTFOUND : ERR_OK);
        assert_logs(&t.f, "a/1:6-5 x/1:3-2 y/1:2-1 ");
        assert_int_equal(replica_now(&t.f).objects, with_floor ? 5 : 6);
        fixture_close(&first);
        two_close(&t);
    }
}

/* A second snapshot goes back to the side where the first was not. */
static void test_to_and_fro(void **state)
{
    (void)state;
    struct two t;
    two_open(&t);
    fill(&t.donor);
    for (uint64_t i = 0; i < 4; i++) {
        char match[8];
        (void)snprintf(match, sizeof match, "9%llu", (unsigned long long)i);
        assert_int_equal(put_route(&t.donor, "a", 6 + i, 20 + i, match, "new"), ERR_OK);
        assert_int_equal(take_snapshot(&t.f, &t.donor, 2).err, ERR_OK);
        assert_same(&t.f, &t.donor);
        assert_match(&t.f, match, "trunk/new ");
        assert_match(&t.f, "11", "trunk/pbx ");
    }
    assert_int_equal(counter(&t.f, "snapshots_taken"), 4);
    fixture_shut(&t.f);
    assert_int_equal(table_count(&t.f, PLAN_OBJECTS_B), 0);
    assert_int_equal(table_count(&t.f, PLAN_INDEX_B), 0);
    assert_int_equal(table_count(&t.f, PLAN_TOMBSTONES_B), 0);
    assert_int_equal(table_count(&t.f, PLAN_OBJECTS), 3 + 4 + 1);
    two_close(&t);
}

static void test_trimmed_at_once(void **state)
{
    (void)state;
    struct two t;
    two_open(&t);
    fill(&t.donor);
    for (uint64_t i = 1; i <= 5; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "s%llu", (unsigned long long)i);
        assert_int_equal(put_site(&t.f, "b", i, 20 + i, name), ERR_OK);
    }
    t.f.keep_count = 2;
    fixture_reopen(&t.f);
    assert_int_equal(take_snapshot(&t.f, &t.donor, 64).err, ERR_OK);
    assert_logs(&t.f, "a/1:6-5 b/1:4-5 ");
    assert_int_equal(counter(&t.f, "changes_trimmed"), 3);
    assert_int_equal(replica_now(&t.f).objects, 8);
    two_close(&t);
}

/* ---- refusals ---- */

static struct snapshot_object object(struct arena *arena, const char *key, const struct plan_object *o)
{
    struct buf packed = {0};
    assert_int_equal(plan_object_pack(o, &packed), ERR_OK);
    struct snapshot_object s = {.key = slice_of(key), .value = arena_copy(arena, buf_view(&packed))};
    s.stamp = (struct stamp){.time = {11}, .origin = name_of("a"), .epoch = 1};
    buf_fini(&packed);
    return s;
}

static void test_refused(void **state)
{
    (void)state;
    struct two t;
    struct arena arena = {0};
    two_open(&t);
    fill(&t.donor);
    fill(&t.f);
    struct replica before = replica_now(&t.f);
    struct vector_of v = vector_now(&t.donor);
    struct plan_object site = make_site("hq", NULL);
    struct plan_object bad = make_route("", "no number", "pbx");
    struct snapshot_object objects[] = {object(&arena, "site/hq", &site), object(&arena, "site/other", &site),
                                        object(&arena, "route//no number/trunk/pbx", &bad)};
    struct store_piece piece = {.objects = objects, .object_count = 1};
    struct store_completion done = put_piece(&t.f, &piece);
    assert_int_equal(done.err, ERR_CONFLICT);
    assert_string_equal(done.info.text, "a piece of a snapshot that was not begun");
    assert_int_equal(replace_by(&t.f, 0, &v, &v).err, ERR_CONFLICT); /* nothing is aside */
    piece.first = true;
    for (size_t i = 1; i < 3; i++) {
        piece.objects = &objects[i];
        done = put_piece(&t.f, &piece);
        assert_int_equal(done.err, ERR_CONFLICT);
        assert_true(done.info.text[0] != '\0');
        assert_int_equal(counter(&t.f, "changes_refused"), i);
    }
    assert_int_equal(replace_by(&t.f, 0, &v, &v).err, ERR_CONFLICT);
    struct changeset broken = {.id = {name_of("a"), 1, 6}, .packed = SLICE("no change-set")};
    put_aside(&t.f, &t.donor, 64);
    struct store_piece tail = {.changes = &broken, .change_count = 1};
    assert_int_equal(put_piece(&t.f, &tail).err, ERR_CONFLICT);
    /* A floor below ours would bring back what is forgotten here. */
    assert_int_equal(raise_floor(&t.f, v.items, v.count).err, ERR_OK);
    done = replace_by(&t.f, 13, &v, &v);
    assert_int_equal(done.err, ERR_CONFLICT);
    assert_string_equal(done.info.text, "the snapshot cannot take the replica's place");
    struct replica after = replica_now(&t.f);
    assert_int_equal(after.floor, 14);
    assert_true(plan_digest_eq(after.digest, before.digest));
    assert_int_equal(counter(&t.f, "snapshots_taken"), 0);
    /* It is aside all the same, and with the right floor it is good. */
    assert_int_equal(replace_by(&t.f, 14, &v, &v).err, ERR_OK);
    assert_int_equal(replace_by(&t.f, 14, &v, &v).err, ERR_CONFLICT); /* once */
    arena_fini(&arena);
    two_close(&t);
}

/* A first piece throws away what another snapshot has left. */
static void test_begun_anew(void **state)
{
    (void)state;
    struct two t;
    struct fixture other;
    two_open(&t);
    fixture_open(&other, NULL, 0);
    for (uint64_t i = 1; i <= 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "o%llu", (unsigned long long)i);
        assert_int_equal(put_site(&other, "z", i, 50 + i, name), ERR_OK);
    }
    fill(&t.donor);
    put_aside(&t.f, &other, 2);
    assert_int_equal(take_snapshot(&t.f, &t.donor, 2).err, ERR_OK);
    assert_same(&t.f, &t.donor);
    assert_int_equal(replica_now(&t.f).time, 15);
    fixture_close(&other);
    two_close(&t);
}

/* The process ended in the middle of one: it is gone, and the replica is what it was. */
static void test_interrupted(void **state)
{
    (void)state;
    struct two t;
    two_open(&t);
    fill(&t.donor);
    assert_int_equal(put_site(&t.f, "b", 1, 20, "ours"), ERR_OK);
    put_aside(&t.f, &t.donor, 1);
    fixture_shut(&t.f);
    assert_true(table_count(&t.f, PLAN_OBJECTS_B) > 0); /* it was there */
    fixture_start(&t.f);
    struct vector_of v = vector_now(&t.donor);
    assert_int_equal(replace_by(&t.f, 0, &v, &v).err, ERR_CONFLICT);
    struct store_piece piece = {.first = false};
    assert_int_equal(put_piece(&t.f, &piece).err, ERR_CONFLICT);
    assert_int_equal(replica_now(&t.f).objects, 1);
    fixture_shut(&t.f);
    assert_int_equal(table_count(&t.f, PLAN_OBJECTS_B), 0);
    assert_int_equal(table_count(&t.f, PLAN_INDEX_B), 0);
    fixture_start(&t.f);
    two_close(&t);
}

/* ---- readers ---- */

static bool count_one(void *ctx, struct slice key, struct slice packed)
{
    (void)key;
    (void)packed;
    (*(size_t *)ctx)++;
    return true;
}

static size_t match_count(struct store_read *r, const char *number)
{
    struct candidate found[8];
    struct arena arena = {0};
    size_t count;
    bool more;
    assert_int_equal(store_match(r, &arena, slice_of(number), found, 8, &count, &more), ERR_OK);
    arena_fini(&arena);
    return count;
}

/* One that has begun sees the side that it began with to its end; the next batch sees the new one. */
static void test_readers(void **state)
{
    (void)state;
    struct two t;
    struct store_read *old;
    struct plan_digest digest;
    size_t count = 0;
    two_open(&t);
    assert_int_equal(put_route(&t.f, "b", 1, 20, "8", "ours"), ERR_OK);
    struct plan_digest before = digest_now(&t.f);
    fill(&t.donor);
    struct vector_of v = vector_now(&t.donor);
    put_aside(&t.f, &t.donor, 2);
    assert_match(&t.f, "8100", "trunk/ours "); /* what is aside is seen by nobody */
    assert_match(&t.f, "1100", "");
    assert_true(plan_digest_eq(digest_now(&t.f), before));
    assert_int_equal(store_read_new(t.f.store, &old), ERR_OK);
    assert_int_equal(store_read_begin(old), ERR_OK);
    assert_int_equal(match_count(old, "8100"), 1); /* its cursor is on the old side */
    struct vector_of none = {.count = 0};
    assert_int_equal(replace_by(&t.f, 0, &v, &none).err, ERR_OK);
    for (uint64_t i = 1; i <= 50; i++) { /* pages that were freed are used again */
        char match[16];
        (void)snprintf(match, sizeof match, "5%llu", (unsigned long long)i);
        assert_int_equal(put_route(&t.f, "c", i, 100 + i, match, "later"), ERR_OK);
    }
    assert_int_equal(match_count(old, "8100"), 1);
    assert_int_equal(match_count(old, "1100"), 0);
    assert_int_equal(store_objects(old, SLICE_NONE, false, count_one, &count), ERR_OK);
    assert_int_equal(count, 1);
    store_plan_digest(old, &digest);
    assert_true(plan_digest_eq(digest, before));
    store_read_end(old);
    assert_int_equal(store_read_begin(old), ERR_OK);
    assert_int_equal(match_count(old, "8100"), 1); /* kept, on the new side */
    assert_int_equal(match_count(old, "1100"), 1);
    assert_int_equal(match_count(old, "5500"), 2);
    store_read_end(old);
    store_read_free(old);
    two_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_into_an_empty_store),
        cmocka_unit_test(test_with_a_floor),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_own_changes_are_kept),
        cmocka_unit_test(test_a_log_with_a_stray_is_lost),
        cmocka_unit_test(test_what_only_the_objects_hold),
        cmocka_unit_test(test_to_and_fro),
        cmocka_unit_test(test_trimmed_at_once),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_begun_anew),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
