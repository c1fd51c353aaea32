#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/app/node.h"
#include "node/app/reach.h"

static void how_a_contact_is_reached(void **state)
{
    (void)state;
    static const struct {
        const char *received;
        const char *contact;
        bool nat, direct, has_own, bulk;
        uint16_t own_port;
        const char *path;
    } rows[] = {
        {"udp:192.0.2.7:5060", "sip:a@192.0.2.7:5060", false, true, true, false, 5060, ""},
        {"udp:192.0.2.7:40000", "sip:a@192.0.2.7", false, true, true, false, 5060, ""},
        {"udp:192.0.2.7:40000", "sip:a@192.168.1.2:5060", true, false, false, false, 0, ""},
        {"udp:192.0.2.7:5060", "sip:a@phone.example", true, false, false, false, 0, ""},
        {"udp:192.0.2.7:5060", "sip:a@192.0.2.7;transport=tcp", false, false, false, false, 0, ""},
        {"tcp:192.0.2.7:40000", "sip:a@192.0.2.7:5070;transport=TCP", false, false, true, false, 5070, ""},
        {"tcp:192.0.2.7:40000", "sip:a@192.0.2.7:5070", false, false, false, false, 0, ""},
        {"tls:192.0.2.7:40000", "sips:a@192.0.2.7", false, false, true, false, 5061, ""},
        {"tls:192.0.2.7:40000", "sip:a@10.0.0.1;transport=tls", true, false, false, false, 0, ""},
        {"udp:192.0.2.7:5060", "sip:192.0.2.7:5060;bnc", false, true, true, true, 5060, ""},
        {"udp:[2001:db8::7]:5060", "sip:a@[2001:db8::7]:5062", false, true, true, false, 5062, ""},
        /* by the proxy next to us */
        {"udp:192.0.2.9:5060", "sip:a@10.0.0.1:5062", false, true, true, false, 5060,
         "<sip:192.0.2.9;lr>, <sip:p2;lr>"},
        {"udp:192.0.2.7:40000", "sip:a@192.0.2.7:5062", false, true, true, false, 5070, "<sip:192.0.2.7:5070;lr>"},
        {"tcp:192.0.2.9:40000", "sip:a@10.0.0.1", false, false, true, false, 5080,
         "<sip:192.0.2.9:5080;transport=tcp;lr>"},
        {"udp:192.0.2.7:5062", "sip:a@192.0.2.7:5062", true, false, false, false, 0, "<sip:edge.example.org;lr>"},
        {"udp:192.0.2.7:5062", "sip:a@192.0.2.7:5062", true, false, false, false, 0, "<sip:192.0.2.66;lr>"},
        {"udp:192.0.2.7:5062", "sip:a@192.0.2.7:5062", true, false, false, false, 0, "nonsense <"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct reach r;
        struct binding b = {.received = slice_of(rows[i].received),
                            .contact = slice_of(rows[i].contact),
                            .path = slice_of(rows[i].path)};
        assert_int_equal(reach_of(&arena, &b, &r), ERR_OK);
        if (r.nat != rows[i].nat || r.direct != rows[i].direct || r.has_own != rows[i].has_own ||
            r.bulk != rows[i].bulk || (r.has_own && sock_address_port(&r.own) != rows[i].own_port))
            fail_msg("%s from %s: nat=%d direct=%d own=%d bulk=%d", rows[i].contact, rows[i].received, r.nat, r.direct,
                     r.has_own, r.bulk);
        arena_fini(&arena);
    }
    struct arena arena = {0};
    struct reach r;
    assert_int_equal(reach_of(&arena, &(struct binding){.received = SLICE("x"), .contact = SLICE("sip:a@b")}, &r),
                     ERR_SYNTAX);
    arena_fini(&arena);
}

/* RFC 6140 §7.1.1 */
static void a_number_in_a_contact(void **state)
{
    (void)state;
    static const struct {
        const char *contact;
        const char *number;
        const char *uri;
    } rows[] = {
        {"sip:gw@192.0.2.7:5060", "8150", "sip:8150@192.0.2.7:5060"},
        {"sip:192.0.2.7;bnc", "+12145550102", "sip:+12145550102@192.0.2.7"},
        {"sip:192.0.2.7:5070;bnc;transport=tcp", "1", "sip:1@192.0.2.7:5070;transport=tcp"},
        {"sip:192.0.2.7;transport=tcp;BNC", "1", "sip:1@192.0.2.7;transport=tcp"},
        {"sip:192.0.2.7;x=bnc", "1", "sip:1@192.0.2.7;x=bnc"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct slice uri = hops_contact_number(&arena, slice_of(rows[i].contact), slice_of(rows[i].number));
        if (!slice_is(uri, rows[i].uri)) fail_msg("%s: %.*s", rows[i].contact, SLICE_ARG(uri));
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_a_contact_is_reached),
        cmocka_unit_test(a_number_in_a_contact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
