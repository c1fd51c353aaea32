/* What a peer lacks, gathered for its vectors. */
#include "kit.h"

#include <stdio.h>

#include "node/app/missing.h"
#include "proto/plan_codec.h"

struct rig {
    struct kit kit;
    struct store *store;
    struct store_read *read;
    struct missing m;
};

static void rig_open(struct rig *r)
{
    kit_init(&r->kit, NULL);
    r->store = kit_store_open(&r->kit);
    assert_int_equal(store_read_new(r->store, &r->read), ERR_OK);
}

static void rig_close(struct rig *r)
{
    store_read_free(r->read);
    kit_store_close(r->store);
    kit_fini(&r->kit);
}

static const struct repl_push *gather(struct rig *r, const struct vector_entry *plan, size_t plan_count,
                                      const struct vector_entry *state, size_t state_count)
{
    struct repl_want want = {.plan = plan, .plan_count = plan_count, .state = state, .state_count = state_count};
    assert_int_equal(store_read_begin(r->read), ERR_OK);
    assert_int_equal(missing_gather(r->read, &want, false, &r->m), ERR_OK);
    assert_true(r->m.push.answer);
    return &r->m.push;
}

static void release(struct rig *r)
{
    missing_fini(&r->m);
    store_read_end(r->read);
}

static struct vector_entry entry(const char *origin, uint64_t epoch, uint64_t high)
{
    struct vector_entry e = {.epoch = epoch, .high = high};
    assert_int_equal(node_name_set(&e.origin, slice_of(origin)), ERR_OK);
    return e;
}

static void an_empty_answer_is_an_answer(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    const struct repl_push *p = gather(&r, NULL, 0, NULL, 0);
    assert_int_equal(p->change_count + p->record_count, 0);
    assert_false(p->more);
    release(&r);
    rig_close(&r);
}

static void only_what_the_vectors_do_not_cover(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    for (int i = 0; i < 5; i++)
        kit_store_plan(r.store, "plan: 1\nsites: { hq: { blocks: [\"6\"] } }\n");
    kit_store_binding(r.store, "n2", 10, "6001", "sip:6001@192.0.2.1");
    kit_store_binding(r.store, "n2", 11, "6002", "sip:6002@192.0.2.1");
    kit_store_binding(r.store, "n3", 7, "6003", "sip:6003@192.0.2.1");
    struct vector_entry plan[] = {entry("elsewhere", 1, 3), entry("elsewhere", 2, 9), entry("other", 1, 4)};
    struct vector_entry known[] = {entry("n2", 1, 10), entry("n3", 1, 7)};
    const struct repl_push *p = gather(&r, plan, 3, known, 2);
    assert_int_equal(p->change_count, 2);
    assert_int_equal(p->changes[0].id.seq, 4);
    assert_int_equal(p->changes[1].id.seq, 5);
    assert_true(p->changes[1].packed.n > 0);
    assert_int_equal(p->record_count, 1);
    assert_int_equal(p->records[0].version, 11);
    assert_string_equal(p->records[0].owner.s, "n2");
    assert_int_equal(p->state_upto_count, 2); /* the whole vector of the same snapshot */
    assert_false(p->more);
    release(&r);
    rig_close(&r);
}

static void epochs_of_state_replace_each_other(void **state)
{
    static const struct {
        uint64_t epoch;
        uint64_t high;
        size_t records;
    } asker[] = {{0, 0, 2}, {1, 10, 1}, {1, 11, 0}, {2, 0, 0}};
    struct rig r;
    (void)state;
    rig_open(&r);
    kit_store_binding(r.store, "n2", 10, "6001", "sip:6001@192.0.2.1");
    kit_store_binding(r.store, "n2", 11, "6002", "sip:6002@192.0.2.1");
    for (size_t i = 0; i < sizeof asker / sizeof asker[0]; i++) {
        struct vector_entry known = entry("n2", asker[i].epoch, asker[i].high);
        const struct repl_push *p = gather(&r, NULL, 0, &known, asker[i].epoch > 0 ? 1 : 0);
        assert_int_equal(p->record_count, asker[i].records);
        release(&r);
    }
    rig_close(&r);
}

/* A big log in several batches, each asked for with what the last one brought. */
static void batches_are_bounded_and_resume(void **state)
{
    struct rig r;
    char *yaml = malloc(200000);
    size_t at = (size_t)sprintf(yaml, "plan: 1\nsites: { hq: { blocks: [\"6\"] } }\nroutes:\n");
    uint64_t high = 0;
    size_t batches = 0;
    bool more = true;
    (void)state;
    for (int i = 0; i < 600; i++)
        at += (size_t)sprintf(yaml + at, "  - { match: \"6%03d\", to: reject/404, note: \"%0*d\" }\n", i, 100, i);
    rig_open(&r);
    for (int i = 0; i < 6; i++)
        kit_store_plan(r.store, yaml);
    kit_store_binding(r.store, "n2", 10, "6001", "sip:6001@192.0.2.1");
    while (more) {
        struct vector_entry known = entry("elsewhere", 1, high);
        const struct repl_push *p = gather(&r, &known, 1, NULL, 0);
        size_t bytes = 0;
        assert_true(p->change_count > 0);
        for (size_t i = 0; i < p->change_count; i++) {
            assert_int_equal(p->changes[i].id.seq, ++high);
            bytes += p->changes[i].packed.n;
        }
        assert_true(p->change_count == 1 || bytes <= LIMIT_MESH_CHUNK);
        more = p->more;
        assert_int_equal(p->record_count, more ? 0 : 1); /* the plan first */
        batches++;
        release(&r);
    }
    assert_int_equal(high, 6);
    assert_true(batches > 2 && batches < 6);
    rig_close(&r);
    free(yaml);
}

static void store_bans(struct rig *r, const char *owner, size_t count)
{
    struct arena arena = {0};
    struct state_record *records = arena_alloc(&arena, count * sizeof *records);
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct state_record){.epoch = 1, .version = i + 1, .kind = STATE_BAN};
        records[i].owner = entry(owner, 1, 1).origin;
        records[i].key = slice_of(arena_printf(&arena, "ban %zu", i));
        records[i].value = SLICE("x");
    }
    struct vector_entry upto = entry(owner, 1, count);
    assert_int_equal(store_submit_state(r->store, records, count, NULL, 0, &upto, 1, 1), ERR_OK);
    kit_store_wait(r->store);
    arena_fini(&arena);
}

/* A part of them is not what others have who are as far. */
static void the_records_of_an_owner_go_whole(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    store_bans(&r, "n2", 3000);
    store_bans(&r, "n3", 5000);
    const struct repl_push *p = gather(&r, NULL, 0, NULL, 0);
    assert_true(p->more);
    assert_int_equal(p->record_count, 3000);
    assert_string_equal(p->records[2999].owner.s, "n2");
    release(&r);
    struct vector_entry known = entry("n2", 1, 3000);
    p = gather(&r, NULL, 0, &known, 1);
    assert_false(p->more);
    assert_int_equal(p->record_count, 5000);
    release(&r);
    rig_close(&r);
}

static void many_records_in_batches(void **state)
{
    enum { COUNT = REPL_OWNER_RECORDS + 1000 };
    struct rig r;
    uint64_t high = 0;
    size_t seen = 0;
    bool more = true;
    (void)state;
    rig_open(&r);
    store_bans(&r, "n2", COUNT);
    while (more) {
        struct vector_entry known = entry("n2", 1, high);
        const struct repl_push *p = gather(&r, NULL, 0, &known, 1);
        for (size_t i = 0; i < p->record_count; i++)
            assert_int_equal(p->records[i].version, ++high);
        assert_true(p->record_count > 0 && p->record_count <= REPL_OWNER_RECORDS);
        seen += p->record_count;
        more = p->more;
        release(&r);
    }
    assert_int_equal(seen, COUNT);
    rig_close(&r);
}

/* ---- what the log has no more ---- */

static const struct repl_push *gather_above(struct rig *r, struct hlc floor, const struct vector_entry *plan,
                                            size_t count)
{
    struct repl_want want = {.plan = plan, .plan_count = count, .floor = floor};
    assert_int_equal(store_read_begin(r->read), ERR_OK);
    assert_int_equal(missing_gather(r->read, &want, false, &r->m), ERR_OK);
    return &r->m.push;
}

static void a_log_that_was_cut_is_said_to_be(void **state)
{
    static const struct {
        uint64_t high;
        bool trimmed;
        size_t changes;
    } asker[] = {{0, true, 0}, {1, true, 0}, {2, false, 2}, {3, false, 1}, {4, false, 0}, {9, false, 0}};
    struct rig r;
    (void)state;
    kit_init(&r.kit, NULL);
    r.kit.config.history = 2;
    r.store = kit_store_open(&r.kit);
    assert_int_equal(store_read_new(r.store, &r.read), ERR_OK);
    for (int i = 0; i < 4; i++)
        kit_store_plan(r.store, "plan: 1\nsites: { hq: { blocks: [\"6\"] } }\n");
    kit_store_binding(r.store, "n2", 10, "6001", "sip:6001@192.0.2.1");
    for (size_t i = 0; i < sizeof asker / sizeof asker[0]; i++) {
        struct vector_entry known = entry("elsewhere", 1, asker[i].high);
        const struct repl_push *p = gather(&r, &known, 1, NULL, 0);
        assert_int_equal(p->trimmed, asker[i].trimmed);
        assert_int_equal(p->change_count, asker[i].changes);
        if (p->change_count > 0) assert_int_equal(p->changes[0].id.seq, asker[i].high + 1);
        assert_int_equal(p->record_count, 1); /* state comes all the same */
        release(&r);
    }
    rig_close(&r);
}

/* Who knows nothing is quicker with a snapshot than with a long log; who knows something is given the log. */
static void a_long_log_is_not_for_new_nodes(void **state)
{
    struct rig r;
    uint64_t count = 0;
    char *yaml = kit_many_routes("6", 600);
    (void)state;
    rig_open(&r);
    struct vector_entry none[] = {entry("elsewhere", 1, 0), entry("other", 1, 0)};
    const struct repl_push *p;
    for (;;) {
        kit_store_plan(r.store, yaml);
        count++;
        p = gather(&r, none, 2, NULL, 0);
        bool trimmed = p->trimmed;
        assert_int_equal(trimmed, r.m.have.log_bytes > MISSING_LOG_MAX);
        assert_int_equal(p->change_count > 0, !trimmed);
        release(&r);
        if (trimmed) break;
    }
    assert_true(count > 3 && count < 20);
    none[0].high = 1;
    p = gather(&r, none, 2, NULL, 0);
    assert_false(p->trimmed);
    assert_true(p->change_count > 0 && p->more);
    release(&r);
    free(yaml);
    rig_close(&r);
}

static void the_floor_is_offered_to_who_has_a_lower_one(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r);
    kit_store_plan(r.store, "plan: 1\nsites: { hq: {}, lab: {} }\n");
    kit_store_plan(r.store, "plan: 1\nremove: [\"site/lab\"]\n");
    struct vector_entry v = entry("elsewhere", 1, 2);
    const struct repl_push *p = gather_above(&r, (struct hlc){0}, &v, 1);
    assert_int_equal(p->floor.v + p->cut_count, 0);
    release(&r);
    assert_int_equal(store_submit_floor_raise(r.store, &v, 1, 1), ERR_OK);
    kit_store_wait(r.store);
    p = gather_above(&r, (struct hlc){1}, &v, 1);
    struct hlc floor = p->floor;
    assert_true(floor.v > 1);
    assert_int_equal(p->cut_count, 1);
    assert_memory_equal(p->cut, &v, sizeof v);
    release(&r);
    p = gather_above(&r, floor, &v, 1);
    assert_int_equal(p->floor.v, floor.v);
    assert_int_equal(p->cut_count, 0);
    release(&r);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_answer_is_an_answer),
        cmocka_unit_test(only_what_the_vectors_do_not_cover),
        cmocka_unit_test(epochs_of_state_replace_each_other),
        cmocka_unit_test(batches_are_bounded_and_resume),
        cmocka_unit_test(many_records_in_batches),
        cmocka_unit_test(a_log_that_was_cut_is_said_to_be),
        cmocka_unit_test(a_long_log_is_not_for_new_nodes),
        cmocka_unit_test(the_floor_is_offered_to_who_has_a_lower_one),
        cmocka_unit_test(the_records_of_an_owner_go_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
