/* html: what comes from elsewhere stays text, and amounts read well. host: which names are near. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control/host.h"
#include "node/control/html.h"

static void expect(struct buf *out, const char *want)
{
    buf_add(out, "", 1);
    assert_string_equal(out->p, want);
    buf_fini(out);
}

#define R "\xef\xbf\xbd"

static void test_text(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *want;
    } rows[] = {
        {SLICE(""), ""},
        {SLICE("hq-1"), "hq-1"},
        {SLICE("<script>alert('1')</script>"), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"},
        {SLICE("a\" onload=\"x & y"), "a&#34; onload=&#34;x &amp; y"},
        {SLICE("&lt;"), "&amp;lt;"},
        {SLICE("Z\xc3\xbcrich \xe6\xbc\xa2 \xf0\x9f\x93\x9e"), "Z\xc3\xbcrich \xe6\xbc\xa2 \xf0\x9f\x93\x9e"},
        {SLICE("a\0b\n\x1b[2J\x7f"), "a" R "b" R R "[2J" R},
        {SLICE("\xc2\x85"), R}, /* a control of C1 */
        {SLICE("\xe2\x80\xae"
               "abc"),
         R "abc"}, /* turns what follows */
        {SLICE("\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f"), R R R},
        {SLICE("\xe2\x80\x93\xe2\x81\xa0"), "\xe2\x80\x93\xe2\x81\xa0"}, /* their neighbours do not */
        {SLICE("\xc0\xbc"), R R},                                        /* an overlong < */
        {SLICE("\xe2\x80"), R R},                                        /* cut short */
        {SLICE("\xf0<b>"), R "&lt;b&gt;"},                               /* a first byte swallows nothing */
        {SLICE("\xc3\"x"), R "&#34;x"},
        {SLICE("\xff\xfe"), R R},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        html_text(&out, rows[i].text);
        expect(&out, rows[i].want);
    }
}

static void test_cut(void **state)
{
    (void)state;
    struct buf out = {0};
    html_cut(&out, SLICE("<\xc3\xbc>abc"), 3);
    expect(&out, "&lt;\xc3\xbc&gt;\xe2\x80\xa6");
    html_cut(&out, SLICE("abc"), 3);
    expect(&out, "abc");
}

static void test_amounts(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *want;
    } rows[] = {{0, "0.0 ms"},          {449, "0.4 ms"},       {9999, "9.9 ms"},           {10000, "10 ms"},
                {999999, "999 ms"},     {1000000, "1.0 s"},    {9990000, "9.9 s"},         {10000000, "10 s"},
                {119000000, "119 s"},   {120000000, "2 min"},  {7199000000, "119 min"},    {7200000000, "2 h"},
                {172799000000, "47 h"}, {172800000000, "2 d"}, {UINT64_MAX, "213503982 d"}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        html_us(&out, rows[i].us);
        expect(&out, rows[i].want);
    }
    html_count(&out, 0);
    buf_text(&out, " ");
    html_count(&out, 999);
    buf_text(&out, " ");
    html_count(&out, 1000);
    buf_text(&out, " ");
    html_count(&out, 12345678);
    expect(&out, "0 999 1,000 12,345,678");
}

static void test_host(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool near;
    } rows[] = {
        {"localhost", true},
        {"localhost:8080", true},
        {"LOCALHOST", true},
        {"hq-1:80", true},
        {"a_b", true},
        {"127.0.0.1", true},
        {"10.1.0.1:8080", true},
        {"[::1]", true},
        {"[fe80::1]:8080", true},
        {"", false},
        {":80", false},
        {"localhost.", false},
        {"evil.example", false},
        {"evil.example:80", false},
        {"127.0.0.1.evil", false},
        {"10.1.0.1.", false},
        {"10.1.0", false},
        {"10.1.0.256", false},
        {"[evil.example]", false},
        {"[::1", false},
        {"[::1]evil", false},
        {"[::1]:x", false},
        {"[127.0.0.1]", false},
        {"::1", false},
        {"localhost:x", false},
        {"localhost:", false},
        {"localhost:65536", false},
        {"a@b", false},
        {"a b", false},
        {"<b>", false},
        {"localhost:80:80", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (host_is_near(slice_of(rows[i].host)) != rows[i].near) fail_msg("'%s'", rows[i].host);
    }
    assert_false(host_is_near(SLICE_NONE));
    assert_false(host_is_near(SLICE("10.1.0.1\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_amounts), cmocka_unit_test(test_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
