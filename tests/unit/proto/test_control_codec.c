/* test_control_codec: control frames there and back, at their bounds, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/control_codec.h"
#include "proto/control_scan.h"

/* ---- equality of records, field by field ---- */

static void assert_slice(struct slice a, struct slice b)
{
    assert_int_equal(a.n, b.n);
    if (a.n > 0) assert_memory_equal(a.p, b.p, a.n);
}

static void assert_record(const struct control_record *a, const struct control_record *b)
{
    assert_slice(a->kind, b->kind);
    assert_int_equal(a->field_count, b->field_count);
    for (size_t i = 0; i < a->field_count; i++) {
        const struct control_field *x = &a->fields[i];
        const struct control_field *y = &b->fields[i];
        assert_slice(x->name, y->name);
        assert_int_equal(x->type, y->type);
        assert_slice(x->text, y->text);
        assert_int_equal(x->integer, y->integer);
        assert_int_equal(x->item_count, y->item_count);
        for (size_t k = 0; k < x->item_count; k++)
            assert_record(&x->items[k], &y->items[k]);
    }
}

static void assert_frame(const struct control_frame *a, const struct control_frame *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->request.version, b->request.version);
    assert_slice(a->request.command, b->request.command);
    assert_slice(a->request.node, b->request.node);
    assert_record(&a->request.args, &b->request.args);
    assert_record(&a->record, &b->record);
    assert_slice(a->text, b->text);
    assert_int_equal(a->done, b->done);
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->status, b->status);
}

/* The whole frame comes back; every shorter stream is incomplete. */
static void round_trip(const struct control_frame *f)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct control_frame back;
    size_t used = 1;
    assert_int_equal(control_frame_pack(f, &out), ERR_OK);
    for (size_t n = 0; n < out.n; n++) {
        assert_int_equal(control_frame_unpack(&arena, (struct slice){out.p, n}, &back, &used), ERR_OK);
        assert_int_equal(used, 0);
    }
    size_t n = out.n;
    buf_text(&out, "next frame");
    assert_int_equal(control_frame_unpack(&arena, buf_view(&out), &back, &used), ERR_OK);
    assert_int_equal(used, n);
    assert_frame(f, &back);
    buf_fini(&out);
    arena_fini(&arena);
}

static struct control_record example_record(struct arena *arena)
{
    struct control_builder b;
    struct control_record scalar;
    struct control_record item;
    struct control_record r;
    control_record_start(&b, arena, "");
    control_text(&b, "", SLICE("10.0.0.0/8"));
    assert_int_equal(control_record_done(&b, &scalar), ERR_OK);
    control_record_start(&b, arena, "put");
    control_text(&b, "key", SLICE("site/hq"));
    control_bytes(&b, "packed", (struct slice){"\0\xff\n", 3});
    control_list(&b, "trust", &scalar, 1);
    assert_int_equal(control_record_done(&b, &item), ERR_OK);
    control_record_start(&b, arena, "node");
    control_text(&b, "node", SLICE("hq-1"));
    control_text(&b, "empty", SLICE_NONE);
    control_printf(&b, "link", "%s:%d", "10.1.0.1", 7400);
    control_int(&b, "rtt_us", INT64_MIN);
    control_int(&b, "top", INT64_MAX);
    control_bool(&b, "linked", true);
    control_bool(&b, "in_step", false);
    control_null(&b, "expires_s");
    control_list(&b, "puts", &item, 1);
    control_list(&b, "deletes", NULL, 0);
    for (int i = 0; i < 30; i++)
        control_printf(&b, "extra", "%d", i); /* grows past the first array */
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    return r;
}

static void test_round_trips(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct control_record record = example_record(&arena);
    const struct control_frame frames[] = {
        {.type = CONTROL_FRAME_REQUEST,
         .request =
             {.version = CONTROL_VERSION, .command = SLICE("plan apply"), .node = SLICE("hq-1"), .args = record}},
        {.type = CONTROL_FRAME_REQUEST, .request = {.version = 7, .command = SLICE("status")}},
        {.type = CONTROL_FRAME_RECORD, .record = record},
        {.type = CONTROL_FRAME_RECORD},
        {.type = CONTROL_FRAME_PROGRESS, .text = SLICE("sent"), .done = 3, .total = UINT64_MAX},
        {.type = CONTROL_FRAME_END, .status = 0},
        {.type = CONTROL_FRAME_END, .status = 255, .text = SLICE("no such trunk")},
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        round_trip(&frames[i]);
    arena_fini(&arena);
}

static void test_find(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct control_record r = example_record(&arena);
    assert_true(slice_is(control_get_text(&r, "node"), "hq-1"));
    assert_true(slice_is(control_get_text(&r, "link"), "10.1.0.1:7400"));
    assert_int_equal(control_get_text(&r, "rtt_us").n, 0);
    assert_int_equal(control_get_text(&r, "nothing").n, 0);
    assert_int_equal(control_get_int(&r, "linked", 9), 1);
    assert_int_equal(control_get_int(&r, "in_step", 9), 0);
    assert_int_equal(control_get_int(&r, "expires_s", 9), 9);
    assert_int_equal(control_get_int(&r, "node", 9), 9);
    assert_null(control_find(&r, "nod"));
    assert_int_equal(control_find(&r, "expires_s")->type, CONTROL_NULL);
    arena_fini(&arena);
}

/* ---- bounds ---- */

static struct control_record nested(struct arena *arena, unsigned depth)
{
    struct control_builder b;
    struct control_record r = {.kind = SLICE("leaf")};
    for (unsigned i = 1; i < depth; i++) {
        struct control_record *inner = arena_alloc(arena, sizeof *inner);
        assert_non_null(inner);
        *inner = r;
        control_record_start(&b, arena, "level");
        control_list(&b, "items", inner, 1);
        assert_int_equal(control_record_done(&b, &r), ERR_OK);
    }
    return r;
}

static struct control_record wide(struct arena *arena, size_t fields)
{
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, arena, "wide");
    for (size_t i = 0; i < fields; i++)
        control_int(&b, "n", (int64_t)i);
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    return r;
}

static struct control_record named(struct arena *arena, const char *name)
{
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, arena, "named");
    control_int(&b, name, 1);
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    return r;
}

static void test_pack_bounds(void **state)
{
    (void)state;
    struct arena arena = {0};
    char name64[LIMIT_NAME + 2];
    memset(name64, 'n', sizeof name64 - 1);
    name64[sizeof name64 - 1] = '\0';
    const struct {
        struct control_record record;
        enum err want;
    } rows[] = {
        {nested(&arena, CONTROL_DEPTH_MAX), ERR_OK}, {nested(&arena, CONTROL_DEPTH_MAX + 1), ERR_LIMIT},
        {wide(&arena, CONTROL_FIELD_MAX), ERR_OK},   {wide(&arena, CONTROL_FIELD_MAX + 1), ERR_LIMIT},
        {named(&arena, name64 + 1), ERR_OK},         {named(&arena, name64), ERR_LIMIT},
        {named(&arena, "Upper"), ERR_LIMIT},         {named(&arena, ""), ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        struct control_frame f = {.type = CONTROL_FRAME_RECORD, .record = rows[i].record};
        assert_int_equal(control_frame_pack(&f, &out), rows[i].want);
        if (rows[i].want == ERR_OK) round_trip(&f);
        if (rows[i].want != ERR_OK) assert_int_equal(out.n, 0);
        buf_fini(&out);
    }
    struct buf out = {0};
    struct control_frame f = {.type = CONTROL_FRAME_END, .status = 256};
    assert_int_equal(control_frame_pack(&f, &out), ERR_LIMIT);
    f.status = -1;
    assert_int_equal(control_frame_pack(&f, &out), ERR_LIMIT);
    f.type = (enum control_frame_type)9;
    assert_int_equal(control_frame_pack(&f, &out), ERR_SYNTAX);
    buf_fini(&out);
    arena_fini(&arena);
}

static void test_frame_over_the_cap(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf out = {0};
    size_t n = LIMIT_CONTROL_FRAME;
    char *big = calloc(1, n);
    assert_non_null(big);
    struct control_frame f = {.type = CONTROL_FRAME_END, .text = {big, n}};
    assert_int_equal(control_frame_pack(&f, &out), ERR_LIMIT);
    f.text.n = n - 16;
    assert_int_equal(control_frame_pack(&f, &out), ERR_OK);
    free(big);
    buf_fini(&out);

    /* Announced too long: refused from the first four bytes on. */
    struct control_frame back;
    size_t used = 1;
    assert_int_equal(control_frame_unpack(&arena, (struct slice){"\x04\0\0\1", 4}, &back, &used), ERR_LIMIT);
    assert_int_equal(control_frame_unpack(&arena, (struct slice){"\x04\0\0\0", 4}, &back, &used), ERR_OK);
    assert_int_equal(used, 0);
    assert_int_equal(control_frame_unpack(&arena, (struct slice){"\xff\xff\xff\xff", 4}, &back, &used), ERR_LIMIT);
    arena_fini(&arena);
}

/* ---- hostile messages ---- */

#define BYTES(literal)                                                                                                 \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }

static enum err unpack_message(struct slice message, struct control_frame *f)
{
    struct arena arena = {0};
    struct buf stream = {0};
    size_t used = 0;
    const char head[4] = {(char)(message.n >> 24), (char)(message.n >> 16), (char)(message.n >> 8), (char)message.n};
    buf_add(&stream, head, sizeof head);
    buf_slice(&stream, message);
    assert_false(stream.failed);
    enum err e = control_frame_unpack(&arena, buf_view(&stream), f, &used);
    if (e != ERR_OK) assert_int_equal(used, 0);
    buf_fini(&stream);
    arena_fini(&arena);
    return e;
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct slice message;
        enum err want;
    } rows[] = {
        {"empty: no body", BYTES(""), ERR_SYNTAX},
        {"an empty end", BYTES("\x22\x00"), ERR_OK},
        {"an empty request", BYTES("\x0a\x00"), ERR_OK},
        {"end with status 300", BYTES("\x22\x03\x08\xac\x02"), ERR_SYNTAX},
        {"length past the end", BYTES("\x22\x05\x08"), ERR_SYNTAX},
        {"length of 64 bits", BYTES("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ERR_SYNTAX},
        {"tag without end", BYTES("\xff\xff\xff\xff\xff\xff"), ERR_SYNTAX},
        {"tag over 32 bits", BYTES("\xa2\x80\x80\x80\x10\x00"), ERR_SYNTAX},
        {"field number 0", BYTES("\x02\x00"), ERR_SYNTAX},
        {"a group", BYTES("\x23\x24"), ERR_SYNTAX},
        {"varint without end", BYTES("\x08\xff"), ERR_SYNTAX},
        {"fixed64 cut off", BYTES("\x49\x00"), ERR_SYNTAX},
        {"only an unknown body", BYTES("\x7a\x02hi"), ERR_SYNTAX},
        {"unknown field beside an end", BYTES("\x7a\x02hi\x22\x00"), ERR_OK},
        {"record as varint", BYTES("\x10\x01"), ERR_SYNTAX},
        {"kind with a control character",
         BYTES("\x12\x05\x0a\x03"
               "a\x1b["),
         ERR_SYNTAX},
        {"field name in capitals",
         BYTES("\x12\x05\x12\x03\x0a\x01"
               "A"),
         ERR_SYNTAX},
        {"unknown kind of value is null",
         BYTES("\x12\x07\x12\x05\x0a\x01"
               "a\x78\x05"),
         ERR_OK},
        {"a list twice", BYTES("\x12\x07\x12\x05\x32\x00\x32\x01\x0a"), ERR_SYNTAX},
        {"two bodies: the last one", BYTES("\x0a\x00\x22\x00"), ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct control_frame f = {0};
        enum err e = unpack_message(rows[i].message, &f);
        if (e != rows[i].want) fail_msg("%s: %s, not %s", rows[i].what, err_name(e), err_name(rows[i].want));
    }
}

/* A message nested as deep as its bytes allow: must be refused before anything recurses. */
static void test_nesting_bomb(void **state)
{
    (void)state;
    size_t levels = 100000;
    size_t cap = levels * 24;
    char *bytes = malloc(cap);
    assert_non_null(bytes);
    size_t start = cap;
    const unsigned char tags[3] = {0x12, 0x32, 0x0a}; /* Record.fields, Field.list, List.items */
    for (size_t i = 0; i < levels; i++) {
        size_t n = cap - start;
        unsigned char head[8];
        size_t head_len = 0;
        head[head_len++] = i + 1 == levels ? 0x12 : tags[(levels - 2 - i) % 3];
        do {
            head[head_len++] = (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
            n >>= 7;
        } while (n > 0);
        start -= head_len;
        memcpy(bytes + start, head, head_len);
    }
    struct control_frame f;
    assert_int_equal(unpack_message((struct slice){bytes + start, cap - start}, &f), ERR_LIMIT);
    free(bytes);
}

/* Millions of two-byte elements would take gigabytes. */
static void test_element_bomb(void **state)
{
    (void)state;
    static const struct {
        unsigned char tag; /* inside a frame, or inside a record when wrapped */
        bool in_record;
    } rows[] = {{0x7a, false}, {0x12, true}, {0x7a, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = (size_t)4 * 1024 * 1024;
        char *bytes = calloc(1, n + 5);
        assert_non_null(bytes);
        size_t at = 0;
        if (rows[i].in_record) {
            memcpy(bytes, "\x12\x80\x80\x80\x02", 5);
            at = 5;
        }
        for (size_t k = 0; k < n; k += 2)
            bytes[at + k] = (char)rows[i].tag;
        struct control_frame f;
        assert_int_equal(unpack_message((struct slice){bytes, at + n}, &f), ERR_LIMIT);
        free(bytes);
    }
}

/* A large honest frame passes the same bounds. */
static void test_large_apply(void **state)
{
    (void)state;
    struct arena arena = {0};
    size_t count = 100000;
    struct control_record *puts = arena_alloc(&arena, count * sizeof *puts);
    assert_non_null(puts);
    for (size_t i = 0; i < count; i++) {
        struct control_builder b;
        control_record_start(&b, &arena, "");
        control_printf(&b, "key", "route//%06zu/trunk/a", i);
        control_bytes(&b, "packed", SLICE("0123456789012345678901234"));
        assert_int_equal(control_record_done(&b, &puts[i]), ERR_OK);
    }
    struct control_builder b;
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = {.version = 1, .command = SLICE("plan apply")}};
    control_record_start(&b, &arena, "");
    control_list(&b, "puts", puts, count);
    assert_int_equal(control_record_done(&b, &f.request.args), ERR_OK);
    struct buf out = {0};
    struct control_frame back;
    size_t used = 0;
    assert_int_equal(control_frame_pack(&f, &out), ERR_OK);
    assert_int_equal(control_frame_unpack(&arena, buf_view(&out), &back, &used), ERR_OK);
    assert_int_equal(used, out.n);
    assert_frame(&f, &back);
    buf_fini(&out);
    arena_fini(&arena);
}

static void test_bulk(void **state)
{
    static const char *const items[] = {"first", "", "third"};
    struct buf bulk = {0};
    struct slice item;
    (void)state;
    for (size_t i = 0; i < 3; i++)
        control_bulk_add(&bulk, slice_of(items[i]));
    struct slice rest = buf_view(&bulk);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(control_bulk_take(&rest, &item), ERR_OK);
        assert_true(slice_is(item, items[i]));
    }
    assert_int_equal(control_bulk_take(&rest, &item), ERR_NOTFOUND);
    for (size_t cut = 1; cut < 9; cut++) { /* within the first */
        rest = (struct slice){bulk.p, cut};
        assert_int_equal(control_bulk_take(&rest, &item), ERR_SYNTAX);
    }
    rest = (struct slice){"\xff\xff\xff\xff"
                          "a",
                          5};
    assert_int_equal(control_bulk_take(&rest, &item), ERR_SYNTAX);
    buf_fini(&bulk);
}

/* A request whose last argument is written behind its head is the same as one packed whole. */
static void test_request_head(void **state)
{
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 300000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned with = 0; with < 2; with++) {
            struct arena arena = {0};
            struct control_builder b;
            struct control_frame f = {.type = CONTROL_FRAME_REQUEST,
                                      .request = {.version = 1, .command = SLICE("plan apply")}};
            struct buf whole = {0};
            struct buf parts = {0};
            char *data = arena_alloc(&arena, sizes[i] + 1);
            assert_non_null(data);
            memset(data, 'x', sizes[i]);
            if (with != 0) f.request.node = SLICE("hq-1");
            control_record_start(&b, &arena, "");
            if (with != 0) control_text(&b, "message", SLICE("why"));
            assert_int_equal(control_record_done(&b, &f.request.args), ERR_OK);
            assert_int_equal(control_request_head(&f.request, "bulk_puts", sizes[i], &parts), ERR_OK);
            buf_add(&parts, data, sizes[i]);
            control_bytes(&b, "bulk_puts", (struct slice){data, sizes[i]});
            assert_int_equal(control_record_done(&b, &f.request.args), ERR_OK);
            assert_int_equal(control_frame_pack(&f, &whole), ERR_OK);
            assert_int_equal(parts.n, whole.n);
            assert_memory_equal(parts.p, whole.p, whole.n);
            buf_fini(&whole);
            buf_fini(&parts);
            arena_fini(&arena);
        }
    }
    struct buf out = {0};
    const struct control_request r = {.version = 1, .command = SLICE("plan apply")};
    assert_int_equal(control_request_head(&r, "bulk_puts", LIMIT_CONTROL_FRAME, &out), ERR_LIMIT);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_pack_bounds),
        cmocka_unit_test(test_frame_over_the_cap),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_nesting_bomb),
        cmocka_unit_test(test_element_bomb),
        cmocka_unit_test(test_large_apply),
        cmocka_unit_test(test_request_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
