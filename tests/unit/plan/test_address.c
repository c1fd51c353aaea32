/* Addresses and ranges: tables, and agreement with inet_pton over random texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/base/rng.h"
#include "node/plan/address.h"

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *canonical; /* NULL: refused */
    } table[] = {
        {"10.1.0.10", "10.1.0.10"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"10.1.0.10:5060", "10.1.0.10:5060"},
        {"10.1.0.10:65535", "10.1.0.10:65535"},
        {"[2001:DB8::1]:5061", "[2001:db8::1]:5061"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"2001:db8::1", "2001:db8::1"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:0:0:4:0:0:0:8", "1:0:0:4::8"},
        {"1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
        {"::ffff:10.1.0.10", "::ffff:a01:a"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"", NULL},
        {"10.1.0", NULL},
        {"10.1.0.10.1", NULL},
        {"10.1.0.256", NULL},
        {"10.1.0.010", NULL},
        {"10.1..10", NULL},
        {"10.1.0.10:", NULL},
        {"10.1.0.10:0", NULL},
        {"10.1.0.10:65536", NULL},
        {"10.1.0.10:05060", NULL},
        {" 10.1.0.10", NULL},
        {"[10.1.0.10]:5060", NULL},
        {"[2001:db8::1", NULL},
        {"[2001:db8::1]5060", NULL},
        {"[]:5060", NULL},
        {":", NULL},
        {":::", NULL},
        {"1:::2", NULL},
        {"1::2::3", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"1:2:3:4:5:6:7::8:9", NULL},
        {":1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:", NULL},
        {"12345::", NULL},
        {"fe80::1%eth0", NULL},
        {"1:2:3:4:5:6:7:1.2.3.4", NULL},
        {"::1.2.3", NULL},
        {"localhost", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct address a;
        char text[ADDRESS_TEXT];
        enum err e = address_port_parse(slice_of(table[i].text), &a);
        if ((e == ERR_OK) != (table[i].canonical != NULL)) fail_msg("%s: %s", table[i].text, err_name(e));
        if (e == ERR_OK) assert_string_equal(address_text(&a, text), table[i].canonical);
    }
}

/* Whatever the characters, our verdict and our bytes are those of the C library. */
static void test_agreement(void **state)
{
    (void)state;
    static const char chars[] = "0123456789abf:::::....";
    struct rng rng;
    size_t accepted = 0;
    rng_init(&rng, 7);
    for (int round = 0; round < 300000; round++) {
        char text[48];
        unsigned char v4[4];
        unsigned char v6[16];
        struct address a;
        size_t n = rng_below(&rng, 20);
        for (size_t i = 0; i < n; i++)
            text[i] = chars[rng_below(&rng, sizeof chars - 1)];
        text[n] = '\0';
        bool is_v4 = inet_pton(AF_INET, text, v4) == 1;
        bool is_v6 = !is_v4 && inet_pton(AF_INET6, text, v6) == 1;
        enum err e = address_parse((struct slice){text, n}, &a);
        if ((e == ERR_OK) != (is_v4 || is_v6)) fail_msg("%s: %s", text, err_name(e));
        if (e != ERR_OK) continue;
        accepted++;
        assert_memory_equal(a.bytes, is_v4 ? v4 : v6, is_v4 ? 4 : 16);
        if (is_v6) {
            char ours[ADDRESS_TEXT];
            struct address again;
            assert_int_equal(address_parse(slice_of(address_text(&a, ours)), &again), ERR_OK);
            assert_memory_equal(&again, &a, sizeof a);
        }
    }
    assert_true(accepted > 100);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        const char *inside;
        const char *outside;
    } table[] = {
        {"10.1.0.10", "10.1.0.10", "10.1.0.11"},
        {"10.1.0.10/32", "10.1.0.10", "10.1.1.10"},
        {"10.1.0.0/24", "10.1.0.255", "10.1.1.0"},
        {"10.1.0.128/25", "10.1.0.128", "10.1.0.127"},
        {"10.0.0.0/9", "10.127.255.255", "10.128.0.0"},
        {"128.0.0.0/1", "255.0.0.1", "127.255.255.255"},
        {"10.1.0.0/24", "::ffff:10.1.0.7", "::ffff:10.1.1.7"},
        {"10.1.0.0/24", "10.1.0.7", "2001:db8::1"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
        {"8000::/1", "ffff::", "7fff::"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"::ffff:10.1.0.0/120", "::ffff:10.1.0.7", "10.1.0.7"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct address_range r;
        struct address in;
        struct address out;
        assert_int_equal(address_range_parse(slice_of(table[i].range), &r, NULL), ERR_OK);
        assert_int_equal(address_parse(slice_of(table[i].inside), &in), ERR_OK);
        assert_int_equal(address_parse(slice_of(table[i].outside), &out), ERR_OK);
        if (!address_in_range(&r, &in)) fail_msg("%s lies in %s", table[i].inside, table[i].range);
        if (address_in_range(&r, &out)) fail_msg("%s lies outside %s", table[i].outside, table[i].range);
    }
}

static void test_bad_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } table[] = {
        {"", "no address range"},
        {"10.1.0.0/33", "from 1 to 32"},
        {"10.1.0.0/", "from 1 to 32"},
        {"10.1.0.0/024", "from 1 to 32"},
        {"2001:db8::/129", "from 1 to 128"},
        {"0.0.0.0/0", "every address"},
        {"::/0", "every address"},
        {"10.1.0.10/24", "write 10.1.0.0/24"},
        {"2001:db8::1/32", "write 2001:db8::/32"},
        {"10.1.0.10:5060/32", "no address range"},
        {"host/32", "no address range"},
        {"10.1.0.0/24/24", "from 1 to 32"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct address_range r;
        struct err_info info = {.text = ""};
        assert_int_equal(address_range_parse(slice_of(table[i].text), &r, &info), ERR_SYNTAX);
        if (strstr(info.text, table[i].says) == NULL) fail_msg("%s: %s", table[i].text, info.text);
    }
}

static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        unsigned port;
        bool is_name;
    } table[] = {
        {"sip.example.org", "sip.example.org", 0, true},
        {"sip.example.org:5061", "sip.example.org", 5061, true},
        {"pbx", "pbx", 0, true},
        {"3com.example", "3com.example", 0, true},
        {"10.1.0.10:5060", "10.1.0.10", 5060, false},
        {"[2001:db8::1]:5060", "2001:db8::1", 5060, false},
        {"10.1.0", NULL, 0, false},
        {"10.1.0.300", NULL, 0, false},
        {"-pbx", NULL, 0, false},
        {"pbx-", NULL, 0, false},
        {"pbx..example", NULL, 0, false},
        {"pbx.", NULL, 0, false},
        {"pb_x", NULL, 0, false},
        {"pbx:0", NULL, 0, false},
        {"pbx:70000", NULL, 0, false},
        {"sip:pbx.example", NULL, 0, false},
        {"pbx example", NULL, 0, false},
        {"", NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct address_host h;
        enum err e = address_host_parse(slice_of(table[i].text), &h, NULL);
        if ((e == ERR_OK) != (table[i].host != NULL)) fail_msg("%s: %s", table[i].text, err_name(e));
        if (e != ERR_OK) continue;
        assert_true(slice_is(h.host, table[i].host));
        assert_int_equal(h.port, table[i].port);
        assert_int_equal(h.is_name, table[i].is_name);
        if (!h.is_name) assert_int_equal(h.address.port, table[i].port);
    }
    char label[70];
    memset(label, 'a', sizeof label);
    assert_true(address_name_valid((struct slice){label, 63}));
    assert_false(address_name_valid((struct slice){label, 64}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),  cmocka_unit_test(test_agreement), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_bad_ranges), cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
