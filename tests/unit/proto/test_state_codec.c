/* test_state_codec: state records and their values there and back, at their bounds, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/plan_codec.h"
#include "state.pb-c.h"

static void assert_slice(struct slice a, struct slice b)
{
    assert_int_equal(a.n, b.n);
    if (a.n > 0) assert_memory_equal(a.p, b.p, a.n);
}

static struct state_record record_sample(void)
{
    struct state_record r = {.epoch = 9,
                             .version = 5,
                             .kind = STATE_BINDING,
                             .key = SLICE("6001\0sip:6001@192.0.2.7"),
                             .value = SLICE("value")};
    assert_int_equal(node_name_set(&r.owner, SLICE("hq-1")), ERR_OK);
    return r;
}

static void test_record(void **state)
{
    (void)state;
    for (int removed = 0; removed < 2; removed++) {
        struct state_record r = record_sample();
        struct state_record back;
        struct arena arena = {0};
        struct buf packed = {0};
        r.removed = removed != 0;
        if (r.removed) r.value = SLICE_NONE;
        assert_int_equal(state_record_pack(&r, &packed), ERR_OK);
        assert_int_equal(state_record_unpack(&arena, buf_view(&packed), &back, NULL), ERR_OK);
        assert_true(node_name_eq(&r.owner, &back.owner));
        assert_int_equal(r.epoch, back.epoch);
        assert_int_equal(r.version, back.version);
        assert_int_equal(r.kind, back.kind);
        assert_slice(r.key, back.key);
        assert_slice(r.value, back.value);
        assert_int_equal(r.removed, back.removed);
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

static void test_record_refused(void **state)
{
    static char big[LIMIT_OBJECT + 1];
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct state_record r = record_sample();
        struct state_record back;
        struct arena arena = {0};
        struct buf packed = {0};
        enum err want = ERR_SYNTAX;
        if (i == 0) r.epoch = 0;
        if (i == 1) r.version = 0;
        if (i == 2) r.kind = (enum state_kind)(STATE_KIND_MAX + 1);
        if (i == 3) r.removed = true; /* and has a value */
        if (i == 4) memset(&r.owner, 0, sizeof r.owner);
        if (i == 5) r.key = SLICE_NONE;
        if (i == 6) r.key = (struct slice){big, 601};
        if (i == 7) r.value = (struct slice){big, sizeof big};
        if (i >= 5) want = ERR_LIMIT;
        if (i == 8) want = ERR_OK; /* unspoilt: the canary */
        assert_int_equal(state_record_pack(&r, &packed), ERR_OK);
        enum err e = state_record_unpack(&arena, buf_view(&packed), &back, NULL);
        if (e != want) fail_msg("case %d: %s", i, err_name(e));
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

static void test_horizon(void **state)
{
    (void)state;
    struct buf packed = {0};
    uint64_t upto = 0;
    assert_int_equal(horizon_pack(1ull << 60, &packed), ERR_OK);
    assert_int_equal(horizon_unpack(buf_view(&packed), &upto), ERR_OK);
    assert_true(upto == 1ull << 60);
    assert_int_equal(horizon_unpack(SLICE_NONE, &upto), ERR_SYNTAX); /* no version is 0 */
    assert_int_equal(horizon_unpack(SLICE("\x08"), &upto), ERR_SYNTAX);
    buf_fini(&packed);
}

static void test_binding(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) { /* whole, the public half alone, one half behind the other */
        bool public_only = way == 1;
        struct binding b = {.account = SLICE("6001"),
                            .contact = SLICE("sip:6001@192.0.2.7:5062"),
                            .received = SLICE("udp:192.0.2.7:5062"),
                            .path = SLICE("<sip:edge;lr>"),
                            .user_agent = SLICE("phone 1"),
                            .since = {1700000000123},
                            .q_milli = 700,
                            .lease_s = 1024,
                            .instance = SLICE("<urn:uuid:0>"),
                            .reg_id = 3,
                            .call_id = SLICE("abc@192.0.2.7"),
                            .cseq = 4294967295,
                            .expires = {1700000600123}};
        struct binding back;
        struct arena arena = {0};
        struct buf packed = {0};
        assert_int_equal(binding_pack(&b, way > 0, &packed), ERR_OK);
        if (way == 2) assert_int_equal(binding_pack_private(&b, &packed), ERR_OK);
        assert_int_equal(binding_unpack(&arena, buf_view(&packed), &back), ERR_OK);
        assert_slice(b.account, back.account);
        assert_slice(b.contact, back.contact);
        assert_slice(b.received, back.received);
        assert_slice(b.path, back.path);
        assert_slice(b.user_agent, back.user_agent);
        assert_int_equal(b.since.ms, back.since.ms);
        assert_int_equal(b.q_milli, back.q_milli);
        assert_int_equal(b.lease_s, back.lease_s);
        assert_slice(b.instance, back.instance);
        assert_int_equal(b.reg_id, back.reg_id);
        if (public_only) {
            /* The private half does not travel. */
            assert_int_equal(back.call_id.n, 0);
            assert_int_equal(back.cseq, 0);
            assert_int_equal(back.expires.ms, 0);
            assert_null(memmem(packed.p, packed.n, "abc@", 4));
        } else {
            assert_slice(b.call_id, back.call_id);
            assert_int_equal(b.cseq, back.cseq);
            assert_int_equal(b.expires.ms, back.expires.ms);
        }
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

/* Packed by hand, byte for byte what protobuf-c would write. */
static void test_binding_bytes(void **state)
{
    static const struct binding rows[] = {
        {.account = {"6001", 4}, .contact = {"sip:6001@192.0.2.7", 18}},
        {.account = {"6001", 4},
         .contact = {"sip:6001@192.0.2.7", 18},
         .received = {"udp:192.0.2.7:5062", 18},
         .path = {"<sip:edge;lr>", 13},
         .user_agent = {"phone", 5},
         .since = {1700000000123},
         .q_milli = 1000,
         .lease_s = 4096,
         .instance = {"<urn:uuid:0>", 12},
         .reg_id = 2147483647,
         .call_id = {"abc", 3},
         .cseq = 4294967295,
         .expires = {1700000600123}},
        {.account = {"a", 1}, .contact = {"b", 1}, .since = {-1}, .q_milli = 127, .expires = {INT64_MIN}},
        {.account = {"a", 1}, .contact = {"b", 1}, .since = {INT64_MAX}, .q_milli = 128, .cseq = 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int public_only = 0; public_only < 2; public_only++) {
            struct buf packed = {0};
            assert_int_equal(binding_pack(&rows[i], public_only != 0, &packed), ERR_OK);
            Tandem__State__Binding *m = tandem__state__binding__unpack(NULL, packed.n, (const uint8_t *)packed.p);
            assert_non_null(m);
            size_t n = tandem__state__binding__get_packed_size(m);
            uint8_t *again = malloc(n);
            assert_non_null(again);
            assert_int_equal(tandem__state__binding__pack(m, again), n);
            assert_int_equal(packed.n, n);
            assert_memory_equal(packed.p, again, n);
            assert_int_equal(m->since_ms, rows[i].since.ms);
            assert_int_equal(m->private_half == NULL, public_only);
            if (m->private_half != NULL) assert_int_equal(m->private_half->expires_ms, rows[i].expires.ms);
            free(again);
            tandem__state__binding__free_unpacked(m, NULL);
            buf_fini(&packed);
        }
    }
}

static void test_binding_refused(void **state)
{
    static char big[LIMIT_TEXT + 1];
    (void)state;
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 7; i++) {
        struct binding b = {.account = SLICE("6001"), .contact = SLICE("sip:6001@192.0.2.7"), .q_milli = 1000};
        struct binding back;
        struct arena arena = {0};
        struct buf packed = {0};
        enum err want = ERR_LIMIT;
        if (i == 0) b.account = SLICE_NONE;
        if (i == 1) b.contact = SLICE_NONE;
        if (i == 2) b.q_milli = 1001;
        if (i <= 2) want = ERR_SYNTAX;
        if (i == 3) b.contact = (struct slice){big, LIMIT_URI + 1};
        if (i == 4) b.user_agent = (struct slice){big, LIMIT_TEXT + 1};
        if (i == 5) b.call_id = (struct slice){big, LIMIT_TEXT + 1};
        if (i == 6) want = ERR_OK;
        assert_int_equal(binding_pack(&b, false, &packed), ERR_OK);
        enum err e = binding_unpack(&arena, buf_view(&packed), &back);
        if (e != want) fail_msg("case %d: %s", i, err_name(e));
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

static void test_trunk_health(void **state)
{
    (void)state;
    struct trunk_health h = {.trunk = SLICE("hq-pbx"),
                             .address = SLICE("[2001:db8::7]:5060"),
                             .up = true,
                             .since = {-5},
                             .rtt_us = 1234,
                             .reason = SLICE("503 Service Unavailable")};
    struct trunk_health back;
    struct arena arena = {0};
    struct buf packed = {0};
    assert_int_equal(trunk_health_pack(&h, &packed), ERR_OK);
    assert_int_equal(trunk_health_unpack(&arena, buf_view(&packed), &back), ERR_OK);
    assert_slice(h.trunk, back.trunk);
    assert_slice(h.address, back.address);
    assert_int_equal(back.up, true);
    assert_int_equal(back.since.ms, -5);
    assert_int_equal(back.rtt_us, 1234);
    assert_slice(h.reason, back.reason);
    assert_int_equal(trunk_health_unpack(&arena, SLICE(""), &back), ERR_SYNTAX); /* health of no trunk */
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_trunk_registration(void **state)
{
    (void)state;
    struct trunk_registration r = {.trunk = SLICE("carrier"),
                                   .holds = true,
                                   .term = 7,
                                   .state = TRUNK_REGISTERED,
                                   .since = {1700000000000},
                                   .contact = SLICE("sip:493@10.0.0.1;line=x"),
                                   .reason = SLICE("200 OK")};
    struct trunk_registration back;
    struct trunk_health health;
    struct arena arena = {0};
    struct buf packed = {0};
    assert_int_equal(trunk_registration_pack(&r, &packed), ERR_OK);
    assert_int_equal(trunk_registration_unpack(&arena, buf_view(&packed), &back), ERR_OK);
    assert_slice(r.trunk, back.trunk);
    assert_slice(r.contact, back.contact);
    assert_slice(r.reason, back.reason);
    assert_true(back.holds && back.term == 7);
    assert_int_equal(back.state, TRUNK_REGISTERED);
    assert_int_equal(back.since.ms, r.since.ms);
    /* who knows no registrations takes it for the health of no address */
    assert_int_equal(trunk_health_unpack(&arena, buf_view(&packed), &health), ERR_OK);
    assert_int_equal(health.address.n, 0);
    buf_reset(&packed);
    r.state = TRUNK_REFUSED + 1;
    assert_int_equal(trunk_registration_pack(&r, &packed), ERR_OK);
    assert_int_equal(trunk_registration_unpack(&arena, buf_view(&packed), &back), ERR_SYNTAX);
    buf_reset(&packed);
    health = (struct trunk_health){.trunk = SLICE("carrier"), .address = SLICE("a")};
    assert_int_equal(trunk_health_pack(&health, &packed), ERR_OK);
    assert_int_equal(trunk_registration_unpack(&arena, buf_view(&packed), &back), ERR_NOTFOUND);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_node_card(void **state)
{
    (void)state;
    const struct slice addresses[] = {SLICE("tls:10.1.0.1:5061"), SLICE("tcp:10.1.0.1:5060")};
    struct node_card c = {addresses, 2, SLICE("hq"), SLICE("0.1.0"), {1700000000000}, 17, true, {1600000000000}, true};
    struct node_card back;
    struct slice many[33];
    struct arena arena = {0};
    struct buf packed = {0};
    assert_int_equal(node_card_pack(&c, &packed), ERR_OK);
    assert_int_equal(node_card_unpack(&arena, buf_view(&packed), &back), ERR_OK);
    assert_int_equal(back.sip_address_count, 2);
    assert_slice(back.sip_addresses[0], addresses[0]);
    assert_slice(back.sip_addresses[1], addresses[1]);
    assert_slice(back.site, c.site);
    assert_slice(back.version, c.version);
    assert_int_equal(back.started.ms, c.started.ms);
    assert_int_equal(back.calls, 17);
    assert_true(back.drained && back.registers);
    assert_int_equal(back.joined.ms, c.joined.ms);
    for (size_t i = 0; i < 33; i++)
        many[i] = addresses[0];
    c.sip_addresses = many;
    c.sip_address_count = 33;
    buf_reset(&packed);
    assert_int_equal(node_card_pack(&c, &packed), ERR_OK);
    assert_int_equal(node_card_unpack(&arena, buf_view(&packed), &back), ERR_LIMIT);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_member_note(void **state)
{
    (void)state;
    struct member_note n = {.incarnation = 77,
                            .status = MEMBER_EVICTED,
                            .mesh_address = SLICE("10.1.0.1:7400"),
                            .site = SLICE("hq"),
                            .issued = 5,
                            .barred = 6,
                            .since = {7},
                            .joined = {8}};
    struct member_note back;
    struct arena arena = {0};
    struct buf packed = {0};
    assert_int_equal(node_name_set(&n.name, SLICE("hq-1")), ERR_OK);
    assert_int_equal(member_note_pack(&n, &packed), ERR_OK);
    assert_int_equal(member_note_unpack(&arena, buf_view(&packed), &back), ERR_OK);
    assert_true(node_name_eq(&n.name, &back.name));
    assert_int_equal(back.incarnation, 77);
    assert_int_equal(back.status, MEMBER_EVICTED);
    assert_slice(back.mesh_address, n.mesh_address);
    assert_slice(back.site, n.site);
    assert_int_equal(back.issued, 5);
    assert_int_equal(back.barred, 6);
    assert_int_equal(back.since.ms, 7);
    assert_int_equal(back.joined.ms, 8);
    n.status = (enum member_status)9;
    buf_reset(&packed);
    assert_int_equal(member_note_pack(&n, &packed), ERR_OK);
    assert_int_equal(member_note_unpack(&arena, buf_view(&packed), &back), ERR_SYNTAX);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void test_source_ban(void **state)
{
    static char big[LIMIT_TEXT + 1];
    struct source_ban b = {SLICE("2001:db8:0:1::/64"), SLICE("too many"), {1700000000123}, {1700000600123}};
    struct source_ban back;
    struct arena arena = {0};
    struct buf packed = {0};
    (void)state;
    memset(big, 'x', sizeof big);
    assert_int_equal(source_ban_pack(&b, &packed), ERR_OK);
    assert_int_equal(source_ban_unpack(&arena, buf_view(&packed), &back), ERR_OK);
    assert_slice(b.source, back.source);
    assert_slice(b.reason, back.reason);
    assert_int_equal(b.since.ms, back.since.ms);
    assert_int_equal(b.until.ms, back.until.ms);
    for (int i = 0; i < 3; i++) {
        struct source_ban bad = b;
        if (i == 0) bad.source = SLICE_NONE;
        if (i == 1) bad.source = (struct slice){big, LIMIT_URI + 1};
        if (i == 2) bad.reason = (struct slice){big, sizeof big};
        buf_reset(&packed);
        assert_int_equal(source_ban_pack(&bad, &packed), ERR_OK);
        assert_int_equal(source_ban_unpack(&arena, buf_view(&packed), &back), i == 0 ? ERR_SYNTAX : ERR_LIMIT);
    }
    assert_int_equal(source_ban_unpack(&arena, SLICE("\xff"), &back), ERR_SYNTAX);
    buf_fini(&packed);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),        cmocka_unit_test(test_record_refused),
        cmocka_unit_test(test_horizon),       cmocka_unit_test(test_binding),
        cmocka_unit_test(test_binding_bytes), cmocka_unit_test(test_binding_refused),
        cmocka_unit_test(test_trunk_health),  cmocka_unit_test(test_node_card),
        cmocka_unit_test(test_member_note),   cmocka_unit_test(test_trunk_registration),
        cmocka_unit_test(test_source_ban),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
