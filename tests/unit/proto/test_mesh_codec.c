/* Mesh frames: what is packed comes back, and what is over a bound or broken does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/mesh_codec.h"

static struct node_name name(const char *text)
{
    struct node_name n;
    assert_int_equal(node_name_set(&n, slice_of(text)), ERR_OK);
    return n;
}

static struct mesh_frame frame(enum mesh_frame_type type)
{
    struct mesh_frame f = {.type = type, .cluster = SLICE("example-1a2b3c4d"), .sender = name("hq-1")};
    return f;
}

/* Packs f, unpacks it into back from a buffer of exactly its length. */
static void round_trip(const struct mesh_frame *f, struct arena *arena, struct mesh_frame *back)
{
    struct buf packed = {0};
    struct err_info info = {0};
    assert_int_equal(mesh_frame_pack(f, &packed), ERR_OK);
    char *exact = malloc(packed.n);
    assert_non_null(exact);
    memcpy(exact, packed.p, packed.n);
    enum err err = mesh_frame_unpack(arena, (struct slice){exact, packed.n}, back, &info);
    if (err != ERR_OK) fail_msg("%s: %s", err_name(err), info.text);
    memset(exact, 0xee, packed.n); /* nothing may point into it */
    free(exact);
    buf_fini(&packed);
    assert_int_equal(back->type, f->type);
    assert_true(slice_eq(back->cluster, f->cluster));
    assert_true(node_name_eq(&back->sender, &f->sender));
    assert_int_equal(back->version_min, MESH_VERSION_MIN);
    assert_int_equal(back->version_max, MESH_VERSION_MAX);
}

static void test_hello(void **state)
{
    static const enum mesh_frame_type types[] = {MESH_HELLO, MESH_HELLO_REPLY, MESH_HELLO_PROOF};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct arena arena = {0};
        struct mesh_frame back;
        struct mesh_frame f = frame(types[i]);
        memset(f.hello.nonce, 'n', MESH_NONCE_LEN);
        f.hello.certificate = SLICE("certificate\0with a nul");
        f.hello.signature = SLICE("signature");
        round_trip(&f, &arena, &back);
        if (types[i] != MESH_HELLO_PROOF) assert_memory_equal(back.hello.nonce, f.hello.nonce, MESH_NONCE_LEN);
        if (types[i] != MESH_HELLO) {
            assert_true(slice_eq(back.hello.certificate, f.hello.certificate));
            assert_true(slice_eq(back.hello.signature, f.hello.signature));
        }
        arena_fini(&arena);
    }
}

static void test_ack(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_ACK);
    (void)state;
    for (int code = 0; code < MESH_ACK_CODE_COUNT; code++) {
        f.ack.code = (enum mesh_ack_code)code;
        f.ack.text = SLICE("expired");
        round_trip(&f, &arena, &back);
        assert_int_equal(back.ack.code, code);
        assert_true(slice_is(back.ack.text, "expired"));
        assert_string_not_equal(mesh_ack_name((enum mesh_ack_code)code), "?");
    }
    f.ack.code = (enum mesh_ack_code)77; /* of a newer version */
    f.ack.text = SLICE("a\x1b[31mb\nc\xff");
    round_trip(&f, &arena, &back);
    assert_int_equal(back.ack.code, MESH_ACK_UNKNOWN);
    assert_true(slice_is(back.ack.text, "a?[31mb?c?")); /* it ends up on terminals */
    arena_fini(&arena);
}

static void test_fragment_and_relay(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_FRAGMENT);
    (void)state;
    f.fragment.id = UINT64_MAX;
    f.fragment.total = MESH_WHOLE_MAX;
    f.fragment.offset = MESH_WHOLE_MAX - 4;
    f.fragment.data = SLICE("data");
    round_trip(&f, &arena, &back);
    assert_true(back.fragment.id == UINT64_MAX && back.fragment.total == MESH_WHOLE_MAX);
    assert_true(slice_is(back.fragment.data, "data"));
    for (int reply = 0; reply < 2; reply++) {
        f = frame(reply ? MESH_RELAY_REPLY : MESH_RELAY_REQUEST);
        f.relay.id = 12;
        f.relay.body = SLICE("\0\1\2");
        round_trip(&f, &arena, &back);
        assert_int_equal(back.relay.id, 12);
        assert_true(slice_eq(back.relay.body, f.relay.body));
        f.relay.body = SLICE_NONE;
        round_trip(&f, &arena, &back);
        assert_int_equal(back.relay.body.n, 0);
    }
    arena_fini(&arena);
}

static void test_poll(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_POLL);
    struct buf packed = {0};
    (void)state;
    f.poll.slot = MESH_POLL_SLOTS - 1;
    f.poll.code = MESH_ACK_BAD; /* says nothing, since nothing came */
    round_trip(&f, &arena, &back);
    assert_int_equal(back.poll.slot, MESH_POLL_SLOTS - 1);
    assert_false(back.poll.acks);
    f.poll.acks = true;
    f.poll.text = SLICE("fragment out of place\x1b");
    round_trip(&f, &arena, &back);
    assert_true(back.poll.acks);
    assert_int_equal(back.poll.code, MESH_ACK_BAD);
    assert_true(slice_is(back.poll.text, "fragment out of place?"));
    f.poll.slot = MESH_POLL_SLOTS;
    assert_int_equal(mesh_frame_pack(&f, &packed), ERR_LIMIT);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_heartbeat(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_MESSAGE);
    struct member_note notes[2] = {
        {.name = name("hq-1"),
         .incarnation = 5,
         .status = MEMBER_ALIVE,
         .mesh_address = SLICE("10.1.0.1:7400"),
         .site = SLICE("hq")},
        {.name = name("campus-1"), .incarnation = 6, .status = MEMBER_EVICTED, .issued = 21, .barred = 22},
    };
    (void)state;
    f.message.type = REPL_HEARTBEAT;
    f.message.heartbeat = (struct repl_heartbeat){.incarnation = 7, .time = {8}, .notes = notes, .note_count = 2};
    memset(f.message.heartbeat.plan_digest, 1, 32);
    memset(f.message.heartbeat.plan_root, 2, 32);
    memset(f.message.heartbeat.state_root, 3, 32);
    f.message.heartbeat.your_plan = (struct vector_entry){.epoch = 11, .high = 12};
    f.message.heartbeat.your_state = (struct vector_entry){.epoch = 13, .high = 14};
    round_trip(&f, &arena, &back);
    const struct repl_heartbeat *h = &back.message.heartbeat;
    assert_false(h->totals.known); /* of a node of an earlier version */
    f.message.heartbeat.totals = (struct repl_totals){true, 31};
    round_trip(&f, &arena, &back);
    assert_true(h->totals.known && h->totals.plan == 31);
    assert_string_equal(back.message.from.s, "hq-1");
    assert_int_equal(h->incarnation, 7);
    assert_int_equal(h->time.v, 8);
    assert_memory_equal(h->plan_digest, f.message.heartbeat.plan_digest, 32);
    assert_memory_equal(h->plan_root, f.message.heartbeat.plan_root, 32);
    assert_memory_equal(h->state_root, f.message.heartbeat.state_root, 32);
    assert_int_equal(h->your_plan.epoch, 11);
    assert_int_equal(h->your_plan.high, 12);
    assert_int_equal(h->your_state.epoch, 13);
    assert_int_equal(h->your_state.high, 14);
    assert_int_equal(h->note_count, 2);
    assert_true(slice_is(h->notes[0].mesh_address, "10.1.0.1:7400"));
    assert_true(slice_is(h->notes[0].site, "hq"));
    assert_int_equal(h->notes[1].status, MEMBER_EVICTED);
    assert_int_equal(h->notes[1].incarnation, 6);
    assert_int_equal(h->notes[1].issued, 21);
    assert_int_equal(h->notes[1].barred, 22);
    assert_string_equal(h->notes[1].name.s, "campus-1");
    arena_fini(&arena);
}

static void test_push(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_MESSAGE);
    const struct change_op ops[] = {{.kind = CHANGE_DELETE, .key = SLICE("route/x"), .value = SLICE_NONE}};
    struct changeset change = {
        .id = {name("a"), 3, 9}, .time = {4}, .author = SLICE("root@a"), .ops = ops, .op_count = 1};
    struct state_record records[2] = {
        {.owner = name("b"),
         .epoch = 1,
         .version = 2,
         .kind = STATE_BINDING,
         .key = SLICE("6001"),
         .value = SLICE("v")},
        {.owner = name("c"), .epoch = 1, .version = 3, .kind = STATE_BAN, .key = SLICE("k"), .removed = true},
    };
    struct vector_entry upto = {name("b"), 1, 2};
    (void)state;
    f.message.type = REPL_PUSH;
    f.message.push = (struct repl_push){.changes = &change,
                                        .change_count = 1,
                                        .records = records,
                                        .record_count = 2,
                                        .more = true,
                                        .state_upto = &upto,
                                        .state_upto_count = 1,
                                        .answer = true,
                                        .state_after = 77};
    round_trip(&f, &arena, &back);
    const struct repl_push *p = &back.message.push;
    assert_int_equal(p->change_count, 1);
    assert_int_equal(p->changes[0].id.seq, 9);
    assert_true(slice_is(p->changes[0].ops[0].key, "route/x"));
    assert_true(p->changes[0].packed.n > 0);
    assert_int_equal(p->record_count, 2);
    assert_true(slice_is(p->records[0].value, "v"));
    assert_true(p->records[1].removed);
    assert_true(p->more && p->answer);
    assert_int_equal(p->state_after, 77);
    assert_string_equal(p->state_upto[0].origin.s, "b");

    /* The original bytes travel, with what a newer version put into them. */
    struct buf longer = {0};
    struct mesh_frame again;
    buf_slice(&longer, p->changes[0].packed);
    buf_add(&longer, "\xfa\x3f\x03new", 6); /* field 1023, length 3 */
    change.packed = buf_view(&longer);
    round_trip(&f, &arena, &again);
    assert_true(slice_eq(again.message.push.changes[0].packed, buf_view(&longer)));
    buf_fini(&longer);
    arena_fini(&arena);
}

static void test_want_and_receipt(void **state)
{
    struct arena arena = {0};
    struct mesh_frame back;
    struct mesh_frame f = frame(MESH_MESSAGE);
    struct vector_entry plan[2] = {{name("a"), 1, 2}, {name("b"), UINT64_MAX, UINT64_MAX}};
    struct vector_entry st = {name("c"), 5, 6};
    struct log_id ids[2] = {{name("a"), 1, 2}, {name("b"), 3, 4}};
    (void)state;
    f.message.type = REPL_WANT;
    f.message.want = (struct repl_want){plan, 2, &st, 1, {77}};
    round_trip(&f, &arena, &back);
    assert_int_equal(back.message.want.plan_count, 2);
    assert_memory_equal(back.message.want.plan, plan, sizeof plan);
    assert_int_equal(back.message.want.state_count, 1);
    assert_memory_equal(back.message.want.state, &st, sizeof st);
    f.message.want = (struct repl_want){0};
    round_trip(&f, &arena, &back);
    assert_int_equal(back.message.want.plan_count, 0);
    f.message.type = REPL_RECEIPT;
    f.message.receipt = (struct repl_receipt){.ids = ids, .id_count = 2};
    round_trip(&f, &arena, &back);
    assert_int_equal(back.message.receipt.id_count, 2);
    assert_memory_equal(back.message.receipt.ids, ids, sizeof ids);
    assert_string_equal(back.message.receipt.by.s, "");
    f.message.receipt.by = name("c");
    round_trip(&f, &arena, &back);
    assert_string_equal(back.message.receipt.by.s, "c");
    arena_fini(&arena);
}

/* ---- refusals ---- */

static void pack_fails(const struct mesh_frame *f, const char *what)
{
    struct buf packed = {0};
    enum err err = mesh_frame_pack(f, &packed);
    if (err != ERR_LIMIT || packed.n != 0) fail_msg("%s: %s", what, err_name(err));
    buf_fini(&packed);
}

static void test_pack_bounds(void **state)
{
    static char big[LIMIT_MESH_CHUNK + 1];
    struct mesh_frame f = frame(MESH_HELLO);
    struct member_note note = {.name = name("a"),
                               .incarnation = 1,
                               .status = MEMBER_ALIVE,
                               .mesh_address = SLICE("10.1.0.1:7400 x"),
                               .site = SLICE("hq")};
    struct state_record record = {.owner = name("b"), .epoch = 1, .version = 2, .kind = STATE_BINDING};
    (void)state;
    memset(big, 'x', sizeof big);
    f.cluster = SLICE("no such thing");
    pack_fails(&f, "cluster");
    f = frame(MESH_HELLO);
    f.sender = (struct node_name){{0}};
    pack_fails(&f, "sender");
    f = frame(MESH_HELLO_PROOF);
    f.hello.certificate = (struct slice){big, MESH_CERTIFICATE_MAX + 1};
    pack_fails(&f, "certificate");
    f = frame(MESH_ACK);
    f.ack.text = (struct slice){big, LIMIT_TEXT + 1};
    pack_fails(&f, "text");
    f = frame(MESH_FRAGMENT);
    f.fragment.total = MESH_WHOLE_MAX;
    f.fragment.data = (struct slice){big, sizeof big};
    pack_fails(&f, "fragment");
    f.fragment.data.n = 0;
    pack_fails(&f, "empty fragment");
    f.fragment.data.n = 2;
    f.fragment.total = 1;
    pack_fails(&f, "fragment past the end");
    f = frame(MESH_RELAY_REQUEST);
    f.relay.body = (struct slice){big, LIMIT_CONTROL_FRAME + 1};
    pack_fails(&f, "relay");
    f = frame(MESH_MESSAGE);
    f.message.type = REPL_HEARTBEAT;
    f.message.heartbeat.notes = &note;
    f.message.heartbeat.note_count = 1;
    pack_fails(&f, "address with a space");
    f.message.heartbeat.note_count = LIMIT_MEMBERS + 1;
    pack_fails(&f, "notes");
    f.message.type = REPL_WANT;
    f.message.want = (struct repl_want){.plan_count = MESH_VECTOR_MAX + 1};
    pack_fails(&f, "vector");
    f.message.type = REPL_PUSH;
    f.message.push = (struct repl_push){.records = &record, .record_count = 1};
    record.key = (struct slice){big, 601};
    pack_fails(&f, "state key");
    record.key.n = 600;
    record.value = (struct slice){big, LIMIT_OBJECT + 1};
    pack_fails(&f, "state value");
}

#define HEAD                                                                                                           \
    "\x08\x01\x10\x01\x1a\x01"                                                                                         \
    "c"                                                                                                                \
    "\x22\x01"                                                                                                         \
    "s" /* versions 1 to 1, cluster c, sender s */
#define DIGESTS                                                                                                        \
    "\x1a\x20"                                                                                                         \
    "01234567890123456789012345678901"                                                                                 \
    "\x22\x20"                                                                                                         \
    "01234567890123456789012345678901"                                                                                 \
    "\x2a\x20"                                                                                                         \
    "01234567890123456789012345678901" /* 102 bytes */

static void test_unpack_refuses(void **state)
{
    const struct {
        const char *what;
        struct slice bytes;
        enum err err;
    } cases[] = {
        {"empty", SLICE(""), ERR_SYNTAX},
        {"text", SLICE("GET / HTTP/1.1\r\n\r\n"), ERR_SYNTAX},
        {"cut",
         SLICE("\x08\x01\x10\x01\x1a\x05"
               "c"),
         ERR_SYNTAX},
        {"huge length", SLICE("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), ERR_SYNTAX},
        {"no version",
         SLICE("\x1a\x01"
               "c"
               "\x22\x01"
               "s"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"versions upside down",
         SLICE("\x08\x02\x10\x01\x1a\x01"
               "c"
               "\x22\x01"
               "s"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"newer version",
         SLICE("\x08\x02\x10\x03\x1a\x01"
               "c"
               "\x22\x01"
               "s"
               "\x5a\x00"),
         ERR_VERSION},
        {"no cluster",
         SLICE("\x08\x01\x10\x01\x22\x01"
               "s"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"no sender",
         SLICE("\x08\x01\x10\x01\x1a\x01"
               "c"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"sender with a NUL",
         SLICE("\x08\x01\x10\x01\x1a\x01"
               "c"
               "\x22\x03"
               "s\0t"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"sender with a space",
         SLICE("\x08\x01\x10\x01\x1a\x01"
               "c"
               "\x22\x03"
               "s t"
               "\x5a\x00"),
         ERR_SYNTAX},
        {"no body", SLICE(HEAD), ERR_VERSION},
        {"unknown body", SLICE(HEAD "\x9a\x06\x00"), ERR_VERSION},
        {"short nonce",
         SLICE(HEAD "\x42\x04\x0a\x02"
                    "nn"),
         ERR_SYNTAX},
        {"no nonce", SLICE(HEAD "\x42\x00"), ERR_SYNTAX},
        {"proof without certificate", SLICE(HEAD "\x52\x00"), ERR_SYNTAX},
        {"empty fragment", SLICE(HEAD "\x62\x02\x10\x05"), ERR_LIMIT},
        {"fragment past the end",
         SLICE(HEAD "\x62\x07\x10\x01\x18\x01\x22\x01"
                    "x"),
         ERR_LIMIT},
        {"fragment of a wrapping offset",
         SLICE(HEAD "\x62\x10\x10\x01\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x22\x01"
                    "x"),
         ERR_LIMIT},
        {"heartbeat without digests", SLICE(HEAD "\x6a\x02\x08\x01"), ERR_SYNTAX},
        {"note without name", SLICE(HEAD "\x6a\x68" DIGESTS "\x32\x00"), ERR_SYNTAX},
        {"note of status 9",
         SLICE(HEAD "\x6a\x6d" DIGESTS "\x32\x05\x0a\x01"
                    "a"
                    "\x18\x09"),
         ERR_SYNTAX},
        {"note with an escape",
         SLICE(HEAD "\x6a\x70" DIGESTS "\x32\x08\x0a\x01"
                    "a"
                    "\x18\x01\x22\x01\x1b"),
         ERR_SYNTAX},
        {"push of a broken change-set",
         SLICE(HEAD "\x72\x03\x0a\x01"
                    "x"),
         ERR_SYNTAX},
        {"push of an empty record", SLICE(HEAD "\x72\x02\x12\x00"), ERR_SYNTAX},
        {"vector without origin", SLICE(HEAD "\x7a\x02\x0a\x00"), ERR_SYNTAX},
        {"receipt without origin", SLICE(HEAD "\x92\x01\x02\x0a\x00"), ERR_SYNTAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct err_info info = {0};
        struct mesh_frame f;
        char *exact = malloc(cases[i].bytes.n + 1);
        assert_non_null(exact);
        memcpy(exact, cases[i].bytes.p, cases[i].bytes.n);
        enum err err = mesh_frame_unpack(&arena, (struct slice){exact, cases[i].bytes.n}, &f, &info);
        if (err != cases[i].err)
            fail_msg("%s: %s (%s), expected %s", cases[i].what, err_name(err), info.text, err_name(cases[i].err));
        assert_true(info.text[0] != '\0');
        free(exact);
        arena_fini(&arena);
    }
}

/* A megabyte of two-byte parts would become a hundred times its memory. */
static void test_many_parts(void **state)
{
    struct buf bytes = {0};
    struct arena arena = {0};
    struct mesh_frame f;
    size_t parts = 500000;
    (void)state;
    buf_add(&bytes, HEAD "\x7a\xc0\x84\x3d", 14); /* a Want of 1,000,000 bytes */
    for (size_t i = 0; i < parts; i++)
        buf_add(&bytes, "\x0a\x00", 2);
    assert_int_equal(mesh_frame_unpack(&arena, buf_view(&bytes), &f, NULL), ERR_LIMIT);
    assert_true(arena.used_total <= 25 * bytes.n + 65536);
    arena_fini(&arena);
    buf_fini(&bytes);
}

/* Every cut and every changed byte of a good frame is either taken or refused, and never read past. */
static void test_damage(void **state)
{
    struct buf packed = {0};
    struct mesh_frame f = frame(MESH_MESSAGE);
    struct state_record record = {
        .owner = name("b"), .epoch = 1, .version = 2, .kind = STATE_BINDING, .key = SLICE("6001"), .value = SLICE("v")};
    (void)state;
    f.message.type = REPL_PUSH;
    f.message.push = (struct repl_push){.records = &record, .record_count = 1};
    assert_int_equal(mesh_frame_pack(&f, &packed), ERR_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_ack),
        cmocka_unit_test(test_fragment_and_relay),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_push),
        cmocka_unit_test(test_want_and_receipt),
        cmocka_unit_test(test_pack_bounds),
        cmocka_unit_test(test_unpack_refuses),
        cmocka_unit_test(test_many_parts),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
