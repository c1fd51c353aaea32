/* test_stress: readers in threads of their own while both writers work and the maps grow. Each batch sees one snapshot:
 * two routes that every change-set moves together are never seen apart. Meant to be run under a thread sanitizer too.
 */
#include "tests/unit/store/support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define CHANGES 300
#define READERS 3

struct stress {
    struct fixture f;
    atomic_bool stop;
    atomic_uint failures;
    atomic_uint batches;
};

/* The twins' priority is the number of the change-set that wrote them. */
static bool read_twin(struct store_read *r, const char *number, uint32_t *priority)
{
    struct arena arena = {0};
    struct candidate found[4];
    size_t count = 0;
    bool more;
    enum err e = store_match(r, &arena, slice_of(number), found, 4, &count, &more);
    *priority = count == 1 ? found[0].route.priority : 0;
    arena_fini(&arena);
    return e == ERR_OK && count <= 1;
}

static bool count_record(void *ctx, const struct state_record *record)
{
    uint64_t *versions = ctx;
    versions[record->key.p[0] - 'a'] = record->version;
    return true;
}

static bool batch_consistent(struct store_read *r, uint64_t *highest_state)
{
    uint32_t a;
    uint32_t b;
    uint64_t versions[2] = {0, 0};
    struct store_plan_counts counts;
    bool good = read_twin(r, "71", &a) && read_twin(r, "72", &b) && a == b;
    store_plan_counts(r, &counts);
    good = good && counts.kinds[PLAN_ROUTE] == (a == 0 ? 0 : 2 + a);
    good = good && store_state_find(r, STATE_BINDING, SLICE(""), count_record, versions) == ERR_OK;
    good = good && versions[1] == (versions[0] == 0 ? 0 : versions[0] + 1); /* written in one job */
    good = good && versions[0] >= *highest_state;                           /* time does not run back */
    *highest_state = versions[0];
    return good;
}

static void *reader_main(void *arg)
{
    struct stress *s = arg;
    struct store_read *r = NULL;
    uint64_t highest = 0;
    if (store_read_new(s->f.store, &r) != ERR_OK) {
        atomic_fetch_add(&s->failures, 1);
        return NULL;
    }
    while (!atomic_load(&s->stop)) {
        if (store_read_begin(r) != ERR_OK || !batch_consistent(r, &highest)) atomic_fetch_add(&s->failures, 1);
        store_read_end(r);
        (void)store_health(s->f.store, NULL);
        atomic_fetch_add(&s->batches, 1);
        (void)sched_yield(); /* the growing map waits for a moment without readers */
    }
    store_read_free(r);
    return NULL;
}

static void submit_step(struct stress *s, uint32_t step)
{
    static char note[LIMIT_TEXT];
    struct change c;
    char match[16];
    memset(note, 'n', sizeof note);
    change_init(&c, "hq-1", 1, step, step);
    (void)snprintf(match, sizeof match, "9%u", step);
    struct plan_object objects[] = {make_route("", "71", "pbx"), make_route("", "72", "pbx"),
                                    make_route("", match, "pbx")};
    for (size_t i = 0; i < 3; i++) {
        objects[i].route.priority = step;
        objects[i].route.note = (struct slice){note, sizeof note};
        change_put(&c, &objects[i]);
    }
    assert_int_equal(store_submit_changes(s->f.store, &c.set, 1, step), ERR_OK);
    change_fini(&c);
    struct state_record records[2];
    for (uint64_t i = 0; i < 2; i++) {
        records[i] = (struct state_record){.owner = name_of("n1"),
                                           .epoch = 1,
                                           .version = 2 * (uint64_t)step + i,
                                           .kind = STATE_BINDING,
                                           .key = {i == 0 ? "a" : "b", 1},
                                           .value = SLICE("value")};
    }
    assert_int_equal(store_submit_state(s->f.store, records, 2, NULL, 0, NULL, 0, step), ERR_OK);
}

static void test_readers_while_writing(void **state)
{
    (void)state;
    struct stress s = {.stop = false};
    pthread_t readers[READERS];
    fixture_open(&s.f, NULL, 1024 * 1024); /* small: it has to grow under them */
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &s), 0);
    }
    for (uint32_t step = 1; step <= CHANGES; step++) {
        submit_step(&s, step);
        if (step % 3 != 0) continue; /* some in groups */
        for (int i = 0; i < 6; i++)
            assert_int_equal(fixture_wait(&s.f).err, ERR_OK);
    }
    atomic_store(&s.stop, true);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    assert_int_equal(atomic_load(&s.failures), 0);
    assert_true(atomic_load(&s.batches) > READERS);
    assert_true(counter(&s.f, "map_grown") > 0);
    assert_int_equal(counts_now(&s.f).kinds[PLAN_ROUTE], 2 + CHANGES);
    fixture_close(&s.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_while_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
