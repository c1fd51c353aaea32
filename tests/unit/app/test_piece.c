/* A replica in pieces, as a donor reads them: one for each question, bounded, and in the end the same as the whole. */
#include "kit.h"

#include <stdio.h>

#include "node/app/piece.h"

struct rig {
    struct kit kit;
    struct store *store;
    struct store_read *read;
    struct piece p;
};

static void rig_open(struct rig *r, uint64_t history)
{
    kit_init(&r->kit, NULL);
    r->kit.config.history = history;
    r->store = kit_store_open(&r->kit);
    assert_int_equal(store_read_new(r->store, &r->read), ERR_OK);
}

static void rig_close(struct rig *r)
{
    store_read_free(r->read);
    kit_store_close(r->store);
    kit_fini(&r->kit);
}

static const struct repl_snapshot *ask(struct rig *r, const struct repl_fetch *q)
{
    assert_int_equal(store_read_begin(r->read), ERR_OK);
    assert_int_equal(piece_read(r->read, q, &r->p), ERR_OK);
    assert_int_equal(r->p.snapshot.id, q->id);
    assert_int_equal(r->p.snapshot.tail, q->tail);
    assert_int_equal(r->p.snapshot.retry_ms, 0);
    return &r->p.snapshot;
}

static void release(struct rig *r)
{
    piece_fini(&r->p);
    store_read_end(r->read);
}

static struct vector_entry entry(const char *origin, uint64_t high)
{
    struct vector_entry e = {.epoch = 1, .high = high};
    assert_int_equal(node_name_set(&e.origin, slice_of(origin)), ERR_OK);
    return e;
}

static void an_empty_replica(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, 0);
    const struct repl_snapshot *s = ask(&r, &(struct repl_fetch){.id = 7});
    assert_int_equal(s->object_count + s->vector_count, 0);
    assert_false(s->more);
    release(&r);
    s = ask(&r, &(struct repl_fetch){.id = 8, .tail = true});
    assert_int_equal(s->change_count + s->cut_count, 0);
    assert_false(s->more);
    release(&r);
    rig_close(&r);
}

static void objects_in_bounded_pieces(void **state)
{
    enum { COUNT = 700 };
    struct rig r;
    struct repl_fetch q = {.id = 1};
    char after[PLAN_KEY_MAX];
    size_t pieces = 0;
    size_t objects = 0;
    size_t deleted = 0;
    bool more = true;
    char *yaml = kit_many_routes("6", COUNT);
    (void)state;
    rig_open(&r, 0);
    kit_store_plan(r.store, yaml);
    kit_store_plan(r.store, "plan: 1\nremove: [\"route//60007/reject/404\", \"route//60699/reject/404\"]\n");
    for (; more; pieces++) {
        const struct repl_snapshot *s = ask(&r, &q);
        size_t bytes = 0;
        assert_int_equal(s->vector_count, pieces == 0 ? 1 : 0);
        if (pieces == 0) assert_int_equal(s->vector[0].high, 2);
        assert_true(s->object_count > 0);
        for (size_t i = 0; i < s->object_count; i++) {
            const struct snapshot_object *o = &s->objects[i];
            assert_true(slice_cmp(o->key, q.after) > 0);
            assert_int_equal(o->deleted, o->value.n == 0);
            assert_string_equal(o->stamp.origin.s, "elsewhere");
            memcpy(after, o->key.p, o->key.n);
            q.after = (struct slice){after, o->key.n};
            bytes += o->key.n + o->value.n;
            deleted += o->deleted;
        }
        assert_true(bytes <= LIMIT_MESH_CHUNK);
        if (s->more) assert_true(bytes > LIMIT_MESH_CHUNK / 2);
        objects += s->object_count;
        more = s->more;
        q.id++;
        release(&r);
    }
    assert_int_equal(objects, COUNT);
    assert_int_equal(deleted, 2);
    assert_true(pieces >= 3);
    /* Past the end there is nothing, and nothing more. */
    const struct repl_snapshot *s = ask(&r, &q);
    assert_int_equal(s->object_count, 0);
    assert_false(s->more);
    release(&r);
    free(yaml);
    rig_close(&r);
}

static void the_tail_is_what_came_meanwhile(void **state)
{
    struct rig r;
    char *yaml = kit_many_routes("6", 150);
    uint64_t high = 2;
    size_t pieces = 0;
    bool more = true;
    (void)state;
    rig_open(&r, 0);
    kit_store_plan(r.store, "plan: 1\nsites: { hq: {}, lab: {} }\n");
    kit_store_plan(r.store, "plan: 1\nremove: [\"site/lab\"]\n");
    struct vector_entry v = entry("elsewhere", 2);
    assert_int_equal(store_submit_floor_raise(r.store, &v, 1, 1), ERR_OK);
    kit_store_wait(r.store);
    for (int i = 0; i < 4; i++)
        kit_store_plan(r.store, yaml);
    for (; more; pieces++) {
        struct vector_entry have[] = {entry("another", 9), entry("elsewhere", high)};
        const struct repl_snapshot *s =
            ask(&r, &(struct repl_fetch){.id = 1 + pieces, .tail = true, .have = have, .have_count = 2});
        assert_true(s->floor.v > 0);
        assert_true(s->change_count > 0);
        for (size_t i = 0; i < s->change_count; i++) {
            assert_int_equal(s->changes[i].id.seq, ++high);
            assert_true(s->changes[i].packed.n > 0);
        }
        more = s->more;
        assert_int_equal(s->cut_count, more ? 0 : 1); /* with the last one */
        if (!more) assert_memory_equal(s->cut, &v, sizeof v);
        release(&r);
    }
    assert_int_equal(high, 6);
    assert_true(pieces > 1);
    free(yaml);
    rig_close(&r);
}

/* The asker was slow, and the log has let go of what came after its first piece: it must begin again. */
static void a_tail_that_is_not_to_be_had(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, 2);
    for (int i = 0; i < 5; i++)
        kit_store_plan(r.store, "plan: 1\nsites: { hq: {} }\n");
    for (uint64_t high = 0; high <= 5; high++) {
        struct vector_entry have = entry("elsewhere", high);
        const struct repl_snapshot *s = ask(&r, &(struct repl_fetch){.tail = true, .have = &have, .have_count = 1});
        assert_int_equal(s->more, high < 3);
        assert_int_equal(s->change_count, high < 3 ? 0 : 5 - high);
        release(&r);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_replica),
        cmocka_unit_test(objects_in_bounded_pieces),
        cmocka_unit_test(the_tail_is_what_came_meanwhile),
        cmocka_unit_test(a_tail_that_is_not_to_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
