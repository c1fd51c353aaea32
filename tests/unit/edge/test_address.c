/* Addresses as text and keys, and the form of a listen address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/edge/address.h"

static void test_parse(void **state)
{
    static const struct {
        const char *host;
        enum err err;
        const char *text;
    } rows[] = {
        {"10.1.0.1", ERR_OK, "10.1.0.1:5060"},
        {"::1", ERR_OK, "[::1]:5060"},
        {"[2001:db8::7]", ERR_OK, "[2001:db8::7]:5060"},
        {"::ffff:10.1.0.1", ERR_OK, "[::ffff:10.1.0.1]:5060"},
        {"", ERR_SYNTAX, NULL},
        {"[]", ERR_SYNTAX, NULL},
        {"[10.1.0.1]", ERR_SYNTAX, NULL},
        {"[::1", ERR_SYNTAX, NULL},
        {"10.1.0", ERR_SYNTAX, NULL},
        {"010.1.0.1", ERR_SYNTAX, NULL},
        {"10.1.0.256", ERR_SYNTAX, NULL},
        {"10.1.0.1 ", ERR_SYNTAX, NULL},
        {"fe80::1%lo", ERR_SYNTAX, NULL},
        {"example.org", ERR_SYNTAX, NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", ERR_SYNTAX, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union sock_address a;
        char text[SOCK_ADDRESS_TEXT];
        assert_int_equal(sock_address_parse(slice_of(rows[i].host), 5060, &a), rows[i].err);
        if (rows[i].err != ERR_OK) continue;
        assert_string_equal(sock_address_text(&a, text), rows[i].text);
        assert_int_equal(sock_address_port(&a), 5060);
    }
    union sock_address a;
    assert_int_equal(sock_address_parse((struct slice){"10.1.0.1\0x", 10}, 1, &a), ERR_SYNTAX);
}

static union sock_address address(const char *host, uint16_t port)
{
    union sock_address a;
    assert_int_equal(sock_address_parse(slice_of(host), port, &a), ERR_OK);
    return a;
}

static void test_compare(void **state)
{
    static const struct {
        const char *a, *b;
        uint16_t a_port, b_port;
        bool eq, same_host, same_source;
    } rows[] = {
        {"10.1.0.1", "10.1.0.1", 1, 1, true, true, true},
        {"10.1.0.1", "10.1.0.1", 1, 2, false, true, true},
        {"10.1.0.1", "10.1.0.2", 1, 1, false, false, false},
        {"::1", "::1", 1, 1, true, true, true},
        {"2001:db8::1", "2001:db8::2", 1, 1, false, false, true}, /* one /64 */
        {"2001:db8::1", "2001:db8:0:1::1", 1, 1, false, false, false},
        {"0.0.0.0", "::", 1, 1, false, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union sock_address a = address(rows[i].a, rows[i].a_port);
        union sock_address b = address(rows[i].b, rows[i].b_port);
        struct sock_key x, y;
        assert_int_equal(sock_address_eq(&a, &b), rows[i].eq);
        assert_int_equal(sock_address_same_host(&a, &b), rows[i].same_host);
        sock_key_remote(&x, PLAN_TCP, &a);
        sock_key_remote(&y, PLAN_TCP, &b);
        assert_int_equal(memcmp(&x, &y, sizeof x) == 0, rows[i].eq);
        sock_key_remote(&y, PLAN_TLS, &b);
        assert_int_not_equal(memcmp(&x, &y, sizeof x), 0);
        sock_key_source(&x, &a);
        sock_key_source(&y, &b);
        assert_int_equal(memcmp(&x, &y, sizeof x) == 0, rows[i].same_source);
    }
    union sock_address any4 = address("0.0.0.0", 5), any6 = address("::", 5), one = address("::1", 5);
    assert_true(sock_address_is_any(&any4));
    assert_true(sock_address_is_any(&any6));
    assert_false(sock_address_is_any(&one));
}

static void test_listen(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        enum plan_transport transport;
        const char *address;
    } rows[] = {
        {"udp:10.1.0.1:5060", ERR_OK, PLAN_UDP, "10.1.0.1:5060"},
        {"tcp:0.0.0.0:0", ERR_OK, PLAN_TCP, "0.0.0.0:0"},
        {"tls:[2001:db8::1]:5061", ERR_OK, PLAN_TLS, "[2001:db8::1]:5061"},
        {"sctp:10.1.0.1:5060", ERR_SYNTAX, 0, NULL},
        {"UDP:10.1.0.1:5060", ERR_SYNTAX, 0, NULL},
        {"10.1.0.1:5060", ERR_SYNTAX, 0, NULL},
        {"udp:10.1.0.1", ERR_SYNTAX, 0, NULL},
        {"udp:10.1.0.1:", ERR_SYNTAX, 0, NULL},
        {"udp:10.1.0.1:65536", ERR_SYNTAX, 0, NULL},
        {"udp:10.1.0.1:-1", ERR_SYNTAX, 0, NULL},
        {"udp:::1:5060", ERR_SYNTAX, 0, NULL},
        {"udp::5060", ERR_SYNTAX, 0, NULL},
        {"udp:pbx.example.org:5060", ERR_SYNTAX, 0, NULL},
        {"udp", ERR_SYNTAX, 0, NULL},
        {"", ERR_SYNTAX, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum plan_transport transport = PLAN_UDP;
        union sock_address a;
        char text[SOCK_ADDRESS_TEXT];
        struct err_info info = {0};
        assert_int_equal(listen_parse(slice_of(rows[i].text), &transport, &a, &info), rows[i].err);
        if (rows[i].err != ERR_OK) {
            assert_non_null(strstr(info.text, "udp:10.1.0.1:5060")); /* it shows what is wanted */
            continue;
        }
        assert_int_equal(transport, rows[i].transport);
        assert_string_equal(sock_address_text(&a, text), rows[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
