/* The view over a stream: messages cut anywhere, wrong in one way each, and at their caps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/sip/view_kit.h"

#define S_ALL M_ALL "Content-Length: 4\r\n\r\nabcd"

static void a_stream_is_incomplete_until_its_last_byte(void **state)
{
    (void)state;
    size_t n = strlen(S_ALL);
    for (size_t cut = 0; cut < n; cut++) {
        struct sip_view v;
        bool answerable = true;
        char *data = exact(S_ALL, cut);
        assert_int_equal(sip_view_parse_stream(&v, data, cut, LIMIT_SIP_MESSAGE, &answerable), SIP_FAULT_INCOMPLETE);
        assert_false(answerable);
        free(data);
    }
    struct sip_view v;
    assert_int_equal(sip_view_parse_stream(&v, S_ALL S_ALL, 2 * n, LIMIT_SIP_MESSAGE, NULL), SIP_FAULT_NONE);
    assert_int_equal(v.len, n);
    assert_slice(v.body, "abcd");
}

static void stream_faults(void **state)
{
    static const struct {
        const char *text;
        enum sip_fault fault;
        bool framed;
        bool answerable;
    } rows[] = {
        {M_ALL M_END, SIP_FAULT_MISSING, false, true},
        {M_ALL "l: x\r\n\r\n", SIP_FAULT_LENGTH, false, true},
        {M_ALL "l: -1\r\n\r\n", SIP_FAULT_LENGTH, false, true},
        {M_ALL "l: 999999\r\n\r\n", SIP_FAULT_TOO_LARGE, false, true},
        {M_ALL "l: 1\r\nl: 1\r\n\r\nx", SIP_FAULT_DUPLICATE, false, true},
        {M_ALL "X\r\nl: 1\r\n\r\nx", SIP_FAULT_LINE, false, true},
        {M_ALL M_TO "l: 1\r\n\r\nx", SIP_FAULT_DUPLICATE, true, true},
        {M_ALL M_TO "l: 2\r\n\r\nx", SIP_FAULT_INCOMPLETE, false, false},
        {"INVITE sip:b@h SIP/3.0\r\n" M_MUST "l: 0\r\n\r\n", SIP_FAULT_VERSION, true, true},
        {"INVITE sip:b@h SIP/2.0\r\nVia: bad\r\nl: 0\r\n\r\n", SIP_FAULT_VIA, true, false},
        {"GET / HTTP/1.0\r\n", SIP_FAULT_FIRST_LINE, false, false},
        {"\x16\x03\x01\x02\r", SIP_FAULT_INCOMPLETE, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sip_view v;
        bool answerable = false;
        size_t n = strlen(rows[i].text);
        enum sip_fault fault = sip_view_parse_stream(&v, rows[i].text, n, LIMIT_SIP_MESSAGE, &answerable);
        if (fault != rows[i].fault) fail_msg("%zu: %s", i, sip_fault_name(fault));
        assert_int_equal(v.len, rows[i].framed ? n : 0);
        assert_int_equal(answerable, rows[i].answerable);
    }
}

/* Whatever the sender does, there is a verdict once size_max bytes are there. */
static void a_stream_does_not_wait_for_ever(void **state)
{
    static const struct {
        const char *head, *piece;
        enum sip_fault fault;
    } rows[] = {
        {"", "x", SIP_FAULT_FIRST_LINE},
        {M_ALL "X: ", "y", SIP_FAULT_LINE_TOO_LONG},
        {M_ALL, "X: y\r\n", SIP_FAULT_TOO_MANY},
        {M_ALL "X: y", "\r\n y", SIP_FAULT_LINE_TOO_LONG},
        {M_ALL,
         "X: "
         "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
         "yyyyyyyy"
         "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
         "yyyyyyy\r\n",
         SIP_FAULT_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        struct sip_view v;
        enum sip_fault fault = SIP_FAULT_INCOMPLETE;
        buf_text(&b, rows[i].head);
        while (b.n < LIMIT_SIP_MESSAGE && fault == SIP_FAULT_INCOMPLETE) {
            buf_text(&b, rows[i].piece);
            assert_false(b.failed);
            fault = sip_view_parse_stream(&v, b.p, b.n, LIMIT_SIP_MESSAGE, NULL);
        }
        if (fault != rows[i].fault) fail_msg("%zu: %s", i, sip_fault_name(fault));
        assert_int_equal(v.len, 0);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_incomplete_until_its_last_byte),
        cmocka_unit_test(stream_faults),
        cmocka_unit_test(a_stream_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
