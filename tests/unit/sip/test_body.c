/* Where the session description stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "node/sip/body.h"
#include "tests/unit/sip/message.h"

#define SDP "v=0\r\nc=IN IP4 10.1.0.20\r\n"
#define MIXED "Content-Type: multipart/mixed;boundary=\"b 1\"\r\n"
#define PART "--b 1\r\nContent-Type: application/sdp\r\n\r\n" SDP
#define OTHER "--b 1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <x@y>\r\n\r\n<presence/>\r\n"

static bool find(const char *lines, const char *body, struct slice *sdp)
{
    static char text[4096];
    static struct sip_view v;
    int n = snprintf(text, sizeof text, M_ALL "%s\r\n%s", lines, body);
    assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
    return sip_body_sdp(&v, sdp);
}

static void it_is_found(void **state)
{
    static const struct {
        const char *lines;
        const char *body;
    } rows[] = {
        {"Content-Type: application/sdp\r\n", SDP},
        {"c: Application/SDP ; charset=utf-8\r\nContent-Encoding: identity\r\n", SDP},
        {MIXED, PART "\r\n--b 1--\r\n"},
        {MIXED, OTHER PART "\r\n--b 1--\r\n"},
        {MIXED, "a preamble --b 1\r\n" PART "\r\n--b 1 \r\nContent-Type: text/plain\r\n\r\nx\r\n--b 1--\r\n"},
        {"Content-Type: multipart/related; type=\"a/b\"; boundary=b\r\n",
         "--bb\r\nContent-Type: application/sdp\r\n\r\nnot mine\r\n--bb--\r\n"
         "--b\r\nContent-Disposition: session\r\ncontent-type:application/sdp\r\n\r\n" SDP "\r\n--b--"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice sdp;
        if (!find(rows[i].lines, rows[i].body, &sdp) || !slice_is(sdp, SDP)) fail_msg("row %zu", i);
    }
}

static void it_is_not_there(void **state)
{
    static const struct {
        const char *lines;
        const char *body;
    } rows[] = {
        {"", SDP},
        {"Content-Type: application/sdp\r\n", ""},
        {"Content-Type: application/sdpfrag\r\n", SDP},
        {"Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", SDP},
        {"Content-Type: application/sdp\r\ne: gzip\r\n", SDP},
        {"Content-Type: multipart/mixed\r\n", PART "\r\n--b 1--\r\n"},
        {"Content-Type: multipart/mixed;boundary=\"\"\r\n",
         "--\r\nContent-Type: application/sdp\r\n\r\n" SDP "\r\n----"},
        {"Content-Type: multipart/mixed;boundary='\r\n", PART "\r\n--b 1--\r\n"},
        {MIXED, "--b 1"},
        {MIXED, "--b 1\r\n"},
        {MIXED, PART},                                                /* it has no end */
        {MIXED, "--b 1\r\nContent-Type: application/sdp\r\n--b 1--"}, /* nor an end of its head */
        {MIXED, "--b 1\r\nContent-Type: application/sdp\r\n\r\n\r\n--b 1--"},
        {MIXED, OTHER "--b 1--\r\nContent-Type: application/sdp\r\n\r\n" SDP},
        {MIXED,
         "--b 1\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: Base64\r\n\r\n" SDP "\r\n--b 1--"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice sdp = SLICE_NONE;
        if (find(rows[i].lines, rows[i].body, &sdp)) fail_msg("row %zu", i);
    }
}

/* 5,000 parts, of which none is one. */
static void many_parts_are_looked_through(void **state)
{
    struct buf body = {0};
    struct buf text = {0};
    static struct sip_view v;
    struct slice sdp;
    (void)state;
    for (int i = 0; i < 5000; i++)
        buf_text(&body, "--q\r\n\r\n\r\n");
    buf_text(&text, M_ALL "Content-Type: multipart/mixed;boundary=q\r\n\r\n");
    buf_slice(&text, buf_view(&body));
    assert_int_equal(sip_view_parse_kept(&v, text.p, text.n), SIP_FAULT_NONE);
    assert_false(sip_body_sdp(&v, &sdp));
    buf_fini(&body);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found),
        cmocka_unit_test(it_is_not_there),
        cmocka_unit_test(many_parts_are_looked_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
