/* Floors, questions for a snapshot and its pieces, as frames of the mesh: what is packed comes back, and what is over a
 * bound or broken does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/mesh_codec.h"
#include "proto/plan_codec.h"

static char big[LIMIT_OBJECT + 1];

static struct node_name name(const char *text)
{
    struct node_name n;
    assert_int_equal(node_name_set(&n, slice_of(text)), ERR_OK);
    return n;
}

static struct mesh_frame message(enum repl_message_type type)
{
    struct mesh_frame f = {.type = MESH_MESSAGE, .cluster = SLICE("example-1a2b3c4d"), .sender = name("hq-1")};
    f.message.type = type;
    return f;
}

/* Packs f and unpacks it from a buffer of exactly its length, which is gone then. */
static const struct repl_message *round_trip(const struct mesh_frame *f, struct arena *arena, struct mesh_frame *back)
{
    struct buf packed = {0};
    struct err_info info = {0};
    assert_int_equal(mesh_frame_pack(f, &packed), ERR_OK);
    char *exact = malloc(packed.n);
    assert_non_null(exact);
    memcpy(exact, packed.p, packed.n);
    enum err err = mesh_frame_unpack(arena, (struct slice){exact, packed.n}, back, &info);
    if (err != ERR_OK) fail_msg("%s: %s", err_name(err), info.text);
    memset(exact, 0xee, packed.n);
    free(exact);
    buf_fini(&packed);
    assert_int_equal(back->message.type, f->message.type);
    return &back->message;
}

static void assert_entries(const struct vector_entry *v, size_t count, const struct vector_entry *want, size_t n)
{
    assert_int_equal(count, n);
    if (n > 0) assert_memory_equal(v, want, n * sizeof *want);
}

/* ---- round trips ---- */

static void test_floors(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct vector_entry cut[] = {{name("a"), 1, 2}, {name("b"), UINT64_MAX, UINT64_MAX}};
    (void)state;
    struct mesh_frame f = message(REPL_HEARTBEAT);
    f.message.heartbeat.floor.v = UINT64_MAX;
    f.message.heartbeat.step_key = UINT64_MAX - 1;
    f.message.heartbeat.steps = SLICE("\x05\0\x80");
    const struct repl_message *m = round_trip(&f, &arena, &back);
    assert_true(m->heartbeat.floor.v == UINT64_MAX && m->heartbeat.step_key == UINT64_MAX - 1);
    assert_true(slice_eq(m->heartbeat.steps, f.message.heartbeat.steps));
    f.message.heartbeat.steps = (struct slice){big, MESH_STEPS_MAX};
    assert_int_equal(round_trip(&f, &arena, &back)->heartbeat.steps.n, MESH_STEPS_MAX);

    f = message(REPL_PUSH);
    f.message.push = (struct repl_push){.answer = true, .trimmed = true, .floor = {77}, .cut = cut, .cut_count = 2};
    m = round_trip(&f, &arena, &back);
    assert_true(m->push.trimmed && m->push.answer && !m->push.more);
    assert_int_equal(m->push.floor.v, 77);
    assert_entries(m->push.cut, m->push.cut_count, cut, 2);
    f.message.push = (struct repl_push){.answer = true};
    m = round_trip(&f, &arena, &back);
    assert_false(m->push.trimmed);
    assert_int_equal(m->push.floor.v + m->push.cut_count, 0);

    f = message(REPL_WANT);
    f.message.want = (struct repl_want){.floor = {78}};
    assert_int_equal(round_trip(&f, &arena, &back)->want.floor.v, 78);
    arena_fini(&arena);
}

static void test_fetch(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct vector_entry have[] = {{name("a"), 1, 2}, {name("b"), 3, 4}};
    (void)state;
    struct mesh_frame f = message(REPL_FETCH);
    f.message.fetch = (struct repl_fetch){.id = UINT64_MAX, .after = SLICE("site/a\0b")};
    const struct repl_message *m = round_trip(&f, &arena, &back);
    assert_true(m->fetch.id == UINT64_MAX && !m->fetch.tail);
    assert_true(slice_eq(m->fetch.after, f.message.fetch.after));
    assert_int_equal(m->fetch.have_count, 0);
    f.message.fetch = (struct repl_fetch){.id = 1, .tail = true, .have = have, .have_count = 2};
    m = round_trip(&f, &arena, &back);
    assert_true(m->fetch.tail);
    assert_int_equal(m->fetch.after.n, 0);
    assert_entries(m->fetch.have, m->fetch.have_count, have, 2);
    f.message.fetch = (struct repl_fetch){.after = {big, MESH_OBJECT_KEY_MAX}};
    assert_int_equal(round_trip(&f, &arena, &back)->fetch.after.n, MESH_OBJECT_KEY_MAX);
    arena_fini(&arena);
}

static void test_snapshot(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct vector_entry vector[] = {{name("a"), 1, 2}, {name("b"), 3, 4}};
    struct snapshot_object objects[] = {
        {.key = SLICE("site/a"), .value = SLICE("pa\0cked"), .stamp = {{5}, name("a"), 6}},
        {.key = SLICE("site/b"), .stamp = {{UINT64_MAX}, name("b"), UINT64_MAX}, .deleted = true},
        {.key = {big, MESH_OBJECT_KEY_MAX}, .value = {big, LIMIT_OBJECT}, .stamp = {{0}, name("c"), 0}},
    };
    (void)state;
    struct mesh_frame f = message(REPL_SNAPSHOT);
    f.message.snapshot = (struct repl_snapshot){.id = 9,
                                                .more = true,
                                                .floor = {77},
                                                .objects = objects,
                                                .object_count = 3,
                                                .vector = vector,
                                                .vector_count = 2};
    const struct repl_snapshot *s = &round_trip(&f, &arena, &back)->snapshot;
    assert_true(s->id == 9 && s->more && !s->tail && s->retry_ms == 0 && s->floor.v == 77);
    assert_int_equal(s->object_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(slice_eq(s->objects[i].key, objects[i].key));
        assert_true(slice_eq(s->objects[i].value, objects[i].value));
        assert_int_equal(s->objects[i].deleted, objects[i].deleted);
        assert_int_equal(stamp_cmp(&s->objects[i].stamp, &objects[i].stamp), 0);
    }
    assert_entries(s->vector, s->vector_count, vector, 2);
    assert_int_equal(s->cut_count + s->change_count, 0);

    /* The tail: change-sets as the bytes that they came in. */
    const struct change_op op = {.kind = CHANGE_DELETE, .key = SLICE("route/x")};
    struct changeset change = {.id = {name("a"), 3, 9}, .time = {4}, .author = SLICE("me"), .ops = &op, .op_count = 1};
    struct buf longer = {0};
    assert_int_equal(changeset_pack(&change, &longer), ERR_OK);
    buf_add(&longer, "\xfa\x3f\x03new", 6); /* what a newer version put into it */
    change.packed = buf_view(&longer);
    f.message.snapshot = (struct repl_snapshot){
        .id = 10, .tail = true, .changes = &change, .change_count = 1, .cut = vector, .cut_count = 1};
    s = &round_trip(&f, &arena, &back)->snapshot;
    assert_true(s->tail && !s->more);
    assert_int_equal(s->change_count, 1);
    assert_int_equal(s->changes[0].id.seq, 9);
    assert_true(slice_eq(s->changes[0].packed, buf_view(&longer)));
    assert_entries(s->cut, s->cut_count, vector, 1);
    buf_fini(&longer);

    f.message.snapshot = (struct repl_snapshot){.id = 11, .retry_ms = UINT32_MAX};
    s = &round_trip(&f, &arena, &back)->snapshot;
    assert_true(s->retry_ms == UINT32_MAX);
    assert_int_equal(s->object_count, 0);
    arena_fini(&arena);
}

/* ---- bounds ---- */

static void test_pack_bounds(void **state)
{
    struct vector_entry v = {name("a"), 1, 2};
    struct snapshot_object key = {.key = {big, MESH_OBJECT_KEY_MAX + 1}, .stamp = {{1}, name("a"), 1}};
    struct snapshot_object value = {.key = SLICE("k"), .value = {big, LIMIT_OBJECT + 1}, .stamp = {{1}, name("a"), 1}};
    const struct {
        const char *what;
        struct repl_message m;
    } rows[] = {
        {"steps", {.type = REPL_HEARTBEAT, .heartbeat = {.steps = {big, MESH_STEPS_MAX + 1}}}},
        {"cut of a push", {.type = REPL_PUSH, .push = {.cut = &v, .cut_count = MESH_VECTOR_MAX + 1}}},
        {"key to go on from", {.type = REPL_FETCH, .fetch = {.after = {big, MESH_OBJECT_KEY_MAX + 1}}}},
        {"vector of a fetch", {.type = REPL_FETCH, .fetch = {.have = &v, .have_count = MESH_VECTOR_MAX + 1}}},
        {"key", {.type = REPL_SNAPSHOT, .snapshot = {.objects = &key, .object_count = 1}}},
        {"value", {.type = REPL_SNAPSHOT, .snapshot = {.objects = &value, .object_count = 1}}},
        {"objects", {.type = REPL_SNAPSHOT, .snapshot = {.objects = &key, .object_count = MESH_ITEMS_MAX + 1}}},
        {"changes", {.type = REPL_SNAPSHOT, .snapshot = {.change_count = MESH_ITEMS_MAX + 1}}},
        {"vector", {.type = REPL_SNAPSHOT, .snapshot = {.vector = &v, .vector_count = MESH_VECTOR_MAX + 1}}},
        {"cut", {.type = REPL_SNAPSHOT, .snapshot = {.cut = &v, .cut_count = MESH_VECTOR_MAX + 1}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf packed = {0};
        struct mesh_frame f = message(rows[i].m.type);
        f.message = rows[i].m;
        enum err err = mesh_frame_pack(&f, &packed);
        if (err != ERR_LIMIT || packed.n != 0) fail_msg("%s: %s", rows[i].what, err_name(err));
        buf_fini(&packed);
    }
}

/* ---- frames that nobody packs: written by hand ---- */

/* A field of bytes: tag, length, content. */
static void put_field(struct buf *b, unsigned number, struct slice content)
{
    size_t head[2] = {(size_t)number << 3 | 2, content.n};
    for (size_t i = 0; i < 2; i++) {
        for (size_t v = head[i]; v >= 0x80; head[i] = v = v >> 7) {
            char c = (char)(v | 0x80);
            buf_add(b, &c, 1);
        }
        char last = (char)head[i];
        buf_add(b, &last, 1);
    }
    buf_slice(b, content);
}

#define HEAD                                                                                                           \
    SLICE("\x08\x01\x10\x01\x1a\x01"                                                                                   \
          "c\x22\x01"                                                                                                  \
          "s")
enum { HEARTBEAT = 13, PUSH = 14, FETCH = 24, SNAPSHOT = 25 };

static enum err unpack_body(unsigned kind, struct slice body, struct err_info *info)
{
    struct buf frame = {0};
    struct arena arena = {0};
    struct mesh_frame f;
    buf_slice(&frame, HEAD);
    put_field(&frame, kind, body);
    assert_false(frame.failed);
    enum err err = mesh_frame_unpack(&arena, buf_view(&frame), &f, info);
    buf_fini(&frame);
    arena_fini(&arena);
    return err;
}

/* count times the field. */
static struct buf repeated(unsigned number, struct slice content, size_t count)
{
    struct buf b = {0};
    for (size_t i = 0; i < count; i++)
        put_field(&b, number, content);
    return b;
}

static struct buf object_with(struct slice key, struct slice value, struct slice origin)
{
    struct buf object = {0};
    struct buf body = {0};
    put_field(&object, 1, key);
    put_field(&object, 2, value);
    put_field(&object, 4, origin);
    put_field(&body, 6, buf_view(&object));
    buf_fini(&object);
    return body;
}

static void test_unpack_refuses(void **state)
{
    struct slice entry = SLICE("\x0a\x01"
                               "a"); /* origin a */
    struct buf steps = {0};
    const char digest[32] = {0};
    (void)state;
    for (unsigned field = 3; field <= 5; field++)
        put_field(&steps, field, (struct slice){digest, sizeof digest});
    struct buf good_steps = {0};
    buf_slice(&good_steps, buf_view(&steps));
    put_field(&good_steps, 14, (struct slice){big, MESH_STEPS_MAX});
    put_field(&steps, 14, (struct slice){big, MESH_STEPS_MAX + 1});
    struct slice key_max = {big, MESH_OBJECT_KEY_MAX};
    struct slice key_over = {big, MESH_OBJECT_KEY_MAX + 1};
    struct {
        const char *what;
        unsigned kind;
        struct buf body;
        enum err err;
    } rows[] = {
        {"steps at their limit", HEARTBEAT, good_steps, ERR_OK},
        {"steps", HEARTBEAT, steps, ERR_LIMIT},
        {"a cut without an origin", PUSH, repeated(8, SLICE(""), 1), ERR_SYNTAX},
        {"a key to go on from", FETCH, repeated(3, key_over, 1), ERR_LIMIT},
        {"a vector without an origin", FETCH, repeated(4, SLICE(""), 1), ERR_SYNTAX},
        {"an empty question", FETCH, {0}, ERR_OK},
        {"an empty piece", SNAPSHOT, {0}, ERR_OK},
        {"an object", SNAPSHOT, object_with(key_max, SLICE("v"), SLICE("a")), ERR_OK},
        {"an object without a key", SNAPSHOT, object_with(SLICE(""), SLICE("v"), SLICE("a")), ERR_LIMIT},
        {"a long key", SNAPSHOT, object_with(key_over, SLICE("v"), SLICE("a")), ERR_LIMIT},
        {"a long value", SNAPSHOT, object_with(SLICE("k"), (struct slice){big, sizeof big}, SLICE("a")), ERR_LIMIT},
        {"an object of nobody", SNAPSHOT, object_with(SLICE("k"), SLICE("v"), SLICE("")), ERR_SYNTAX},
        {"an object of no name", SNAPSHOT, object_with(SLICE("k"), SLICE("v"), SLICE("a b")), ERR_SYNTAX},
        {"an object that is none", SNAPSHOT, repeated(6, SLICE("\xff"), 1), ERR_SYNTAX},
        {"a broken change-set", SNAPSHOT, repeated(7, SLICE("x"), 1), ERR_SYNTAX},
        {"a vector of nobody", SNAPSHOT, repeated(8, SLICE(""), 1), ERR_SYNTAX},
        {"a cut of nobody", SNAPSHOT, repeated(9, SLICE(""), 1), ERR_SYNTAX},
        {"a vector", SNAPSHOT, repeated(8, entry, 3), ERR_OK},
        {"too long a vector", SNAPSHOT, repeated(8, entry, MESH_VECTOR_MAX + 1), ERR_LIMIT},
        {"too long a cut", SNAPSHOT, repeated(9, entry, MESH_VECTOR_MAX + 1), ERR_LIMIT},
        {"too long a vector to go on from", FETCH, repeated(4, entry, MESH_VECTOR_MAX + 1), ERR_LIMIT},
        {"too long a cut of a push", PUSH, repeated(8, entry, MESH_VECTOR_MAX + 1), ERR_LIMIT},
        {"too many objects", SNAPSHOT,
         repeated(6,
                  SLICE("\x0a\x01k\x22\x01"
                        "a"),
                  MESH_ITEMS_MAX + 1),
         ERR_LIMIT},
        {"too many changes", SNAPSHOT, repeated(7, SLICE(""), MESH_ITEMS_MAX + 1), ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err_info info = {0};
        enum err err = unpack_body(rows[i].kind, buf_view(&rows[i].body), &info);
        if (err != rows[i].err) fail_msg("%s: %s (%s)", rows[i].what, err_name(err), info.text);
        assert_int_equal(info.text[0] != '\0', err != ERR_OK);
        buf_fini(&rows[i].body);
    }
}

/* Every cut and every changed bit of a good piece is either taken or refused, and never read past. */
static void test_damage(void **state)
{
    struct vector_entry v = {name("a"), 1, 2};
    struct snapshot_object objects[] = {{.key = SLICE("site/a"), .value = SLICE("v"), .stamp = {{5}, name("a"), 6}},
                                        {.key = SLICE("site/b"), .stamp = {{7}, name("b"), 8}, .deleted = true}};
    struct mesh_frame frames[] = {message(REPL_SNAPSHOT), message(REPL_FETCH)};
    (void)state;
    frames[0].message.snapshot =
        (struct repl_snapshot){.id = 1, .objects = objects, .object_count = 2, .vector = &v, .vector_count = 1};
    frames[1].message.fetch = (struct repl_fetch){.id = 1, .after = SLICE("site/a"), .have = &v, .have_count = 1};
    for (size_t k = 0; k < 2; k++) {
        struct buf packed = {0};
        assert_int_equal(mesh_frame_pack(&frames[k], &packed), ERR_OK);
        for (size_t n = 0; n < packed.n; n++) {
            for (int bit = 0; bit < 9; bit++) { /* the ninth: a cut */
                struct arena arena = {0};
                struct mesh_frame back;
                size_t len = bit == 8 ? n : packed.n;
                char *exact = malloc(len + (len == 0));
                assert_non_null(exact);
                memcpy(exact, packed.p, len);
                if (bit < 8) exact[n] = (char)(exact[n] ^ (1 << bit));
                (void)!mesh_frame_unpack(&arena, (struct slice){exact, len}, &back, NULL);
                free(exact);
                arena_fini(&arena);
            }
        }
        buf_fini(&packed);
    }
}

int main(void)
{
    memset(big, 'x', sizeof big);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floors),      cmocka_unit_test(test_fetch),          cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_pack_bounds), cmocka_unit_test(test_unpack_refuses), cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
