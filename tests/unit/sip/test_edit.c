/* Edits applied to a message, and answers built from requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/sip/edit.h"
#include "tests/unit/sip/message.h"

#define ROUTED                                                                                                         \
    M_INVITE "Route: <sip:r1;lr>, \"x, <y>\" <sip:r2;lr>,<sip:r3;lr>\r\n" M_MUST "route: <sip:r4;lr>\r\n"              \
             "Via: SIP/2.0/TCP second\r\n" M_END

static struct sip_view view_of(const char *text)
{
    struct sip_view v;
    assert_int_equal(sip_view_parse(&v, text, strlen(text), NULL), SIP_FAULT_NONE);
    return v;
}

static void assert_applied(const struct sip_edits *e, const char *expected)
{
    struct buf out = {0};
    assert_int_equal(sip_edit_apply(e, &out), ERR_OK);
    if (!slice_is(buf_view(&out), expected)) fail_msg("got:\n%.*s\nexpected:\n%s", SLICE_ARG(buf_view(&out)), expected);
    buf_fini(&out);
}

static void nothing_noted_nothing_changed(void **state)
{
    (void)state;
    struct sip_edits e;
    struct sip_view v = view_of(M_PHONE);
    sip_edits_init(&e, &v);
    assert_applied(&e, M_PHONE);
}

/* What a proxy does to a request, noted in no order. */
static void a_forward(void **state)
{
    (void)state;
    struct sip_edits e;
    const char *in = "INVITE sip:8123@h SIP/2.0\r\nMax-Forwards: 70\r\nRoute: <sip:me;lr>\r\n" M_MUST "l: 2\r\n\r\nab";
    const char *out =
        "INVITE sip:34@gw SIP/2.0\r\nMax-Forwards: 69\r\nRecord-Route: <sip:me;lr>\r\n"
        "Via: SIP/2.0/TCP me\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK77;rport=5070;received=1.2.3.4\r\n" M_FROM
            M_TO M_CALL_ID M_CSEQ "l: 2\r\nSession-ID: 1\r\nX: 2\r\n\r\nab";
    struct sip_view v = view_of(in);
    struct buf via = {0};
    sip_via_with_received(&v, SLICE("1.2.3.4"), 5070, &via);
    sip_edits_init(&e, &v);
    sip_edit_append(&e, SLICE("Session-ID: 1\r\n"));
    sip_edit_append(&e, SLICE("X: 2\r\n"));
    sip_edit_insert_before(&e, SIP_ROUTE, SLICE("Record-Route: <sip:me;lr>\r\n"));
    sip_edit_pop_value(&e, SIP_ROUTE);
    sip_edit_replace(&e, v.via.all, buf_view(&via));
    sip_edit_insert_before(&e, SIP_VIA, SLICE("Via: SIP/2.0/TCP me\r\n"));
    sip_edit_replace(&e, sip_view_value(&v, SIP_MAX_FORWARDS), SLICE("69"));
    sip_edit_replace(&e, v.uri, SLICE("sip:34@gw"));
    assert_applied(&e, out);
    buf_fini(&via);
}

static void insert_before_what_is_not_there(void **state)
{
    (void)state;
    struct sip_edits e;
    struct sip_view v = view_of(M_ALL M_END);
    sip_edits_init(&e, &v);
    sip_edit_insert_before(&e, SIP_ROUTE, SLICE("Route: <sip:a;lr>\r\n"));
    sip_edit_insert_before(&e, SIP_RECORD_ROUTE, SLICE("X: 1\r\n"));
    assert_applied(&e, M_INVITE "Route: <sip:a;lr>\r\nX: 1\r\n" M_MUST M_END);
}

static void pop_one_after_the_other(void **state)
{
    static const char *const left[] = {
        "Route: \"x, <y>\" <sip:r2;lr>,<sip:r3;lr>\r\n",
        "Route: <sip:r3;lr>\r\n",
        "",
    };
    (void)state;
    struct sip_view v = view_of(ROUTED);
    for (size_t pops = 1; pops <= 5; pops++) {
        struct sip_edits e;
        char expected[1024];
        sip_edits_init(&e, &v);
        for (size_t i = 0; i < pops; i++)
            sip_edit_pop_value(&e, SIP_ROUTE);
        (void)snprintf(expected, sizeof expected, M_INVITE "%s" M_MUST "%sVia: SIP/2.0/TCP second\r\n\r\n",
                       left[pops <= 3 ? pops - 1 : 2], pops <= 3 ? "route: <sip:r4;lr>\r\n" : "");
        assert_applied(&e, expected);
    }
}

static void pop_a_via(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"Via: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n", "Via: SIP/2.0/UDP b\r\n"},
        {"v: SIP/2.0/UDP a;x=\",\" ,\r\n SIP/2.0/UDP b\r\n", "v: SIP/2.0/UDP b\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char in[1024];
        char out[1024];
        struct sip_edits e;
        (void)snprintf(in, sizeof in, "SIP/2.0 200 OK\r\n%s" M_FROM M_TO M_CALL_ID M_CSEQ M_END, rows[i].before);
        (void)snprintf(out, sizeof out, "SIP/2.0 200 OK\r\n%s" M_FROM M_TO M_CALL_ID M_CSEQ M_END, rows[i].after);
        struct sip_view v = view_of(in);
        sip_edits_init(&e, &v);
        sip_edit_pop_value(&e, SIP_VIA);
        assert_applied(&e, out);
    }
}

static void pop_and_insert_at_one_place(void **state)
{
    (void)state;
    struct sip_edits e;
    struct sip_view v = view_of(ROUTED);
    sip_edits_init(&e, &v);
    for (unsigned i = 0; i < 3; i++)
        sip_edit_pop_value(&e, SIP_ROUTE);
    sip_edit_insert_before(&e, SIP_ROUTE, SLICE("Route: <sip:new;lr>\r\n"));
    sip_edit_remove_line(&e, v.last[SIP_ROUTE]);
    assert_applied(&e, M_INVITE "Route: <sip:new;lr>\r\n" M_MUST "Via: SIP/2.0/TCP second\r\n\r\n");
}

static void edits_that_cannot_be(void **state)
{
    (void)state;
    struct sip_view v = view_of(M_ALL M_END);
    struct buf out = {0};
    struct slice foreign = SLICE("elsewhere");
    for (unsigned kind = 0; kind < 5; kind++) {
        struct sip_edits e;
        sip_edits_init(&e, &v);
        switch (kind) {
        case 0: sip_edit_replace(&e, foreign, SLICE("x")); break;
        case 1: sip_edit_insert(&e, v.len + 1, SLICE("x")); break;
        case 2: sip_edit_remove_line(&e, v.line_count); break;
        case 3: /* one inside the other */
            sip_edit_remove_line(&e, 0);
            sip_edit_replace(&e, v.via.host, SLICE("x"));
            break;
        default:
            for (unsigned i = 0; i <= SIP_EDITS_MAX; i++)
                sip_edit_append(&e, SLICE("X: 1\r\n"));
            break;
        }
        buf_text(&out, "kept");
        assert_int_equal(sip_edit_apply(&e, &out), ERR_LIMIT);
        assert_true(slice_is(buf_view(&out), "kept"));
        buf_reset(&out);
    }
    buf_fini(&out);
}

/* ---- answers ---- */

static void answers(void **state)
{
    static const struct {
        const char *what;
        unsigned code;
        const char *reason, *to_tag, *received;
        const char *expected;
    } rows[] = {
        {"100", 100, "", "", "",
         "SIP/2.0 100 Trying\r\n" M_VIA "v: SIP/2.0/TCP x,SIP/2.0/TCP y\r\n" M_FROM M_TO M_CALL_ID M_CSEQ
         "Timestamp: 54\r\nContent-Length: 0\r\n\r\n"},
        {"180", 180, "", "t1", "",
         "SIP/2.0 180 Ringing\r\n" M_VIA "v: SIP/2.0/TCP x,SIP/2.0/TCP y\r\nRecord-Route: <sip:r;lr>\r\n" M_FROM
         "To: <sip:bob@example.org>;tag=t1\r\n" M_CALL_ID M_CSEQ "Content-Length: 0\r\n\r\n"},
        {"404", 404, "No Such Camera", "t1", "192.0.2.9",
         "SIP/2.0 404 No Such Camera\r\nVia: SIP/2.0/UDP "
         "10.0.0.1:5070;branch=z9hG4bK77;rport=1024;received=192.0.2.9\r\n"
         "v: SIP/2.0/TCP x,SIP/2.0/TCP y\r\n" M_FROM "To: <sip:bob@example.org>;tag=t1\r\n" M_CALL_ID M_CSEQ
         "Content-Length: 0\r\n\r\n"},
    };
    (void)state;
    struct sip_view v = view_of(
        M_INVITE M_VIA "Record-Route: <sip:r;lr>\r\nv: SIP/2.0/TCP x,SIP/2.0/TCP y\r\n" M_FROM M_TO M_CALL_ID M_CSEQ
                       "Timestamp: 54\r\nSubject: not copied\r\n\r\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        assert_int_equal(sip_response_build(&v, rows[i].code, slice_of(rows[i].reason), slice_of(rows[i].to_tag),
                                            slice_of(rows[i].received), 1024, SLICE_NONE, &out),
                         ERR_OK);
        if (!slice_is(buf_view(&out), rows[i].expected)) fail_msg("%s:\n%.*s", rows[i].what, SLICE_ARG(buf_view(&out)));
        struct sip_view back;
        assert_int_equal(sip_view_parse(&back, out.p, out.n, NULL), SIP_FAULT_NONE);
        assert_int_equal(back.code, rows[i].code);
        buf_fini(&out);
    }
}

static void received_and_rport(void **state)
{
    static const struct {
        const char *via, *expected;
    } rows[] = {
        {"SIP/2.0/UDP h", "SIP/2.0/UDP h;received=9.9.9.9"},
        {"SIP/2.0/UDP h;rport;branch=b", "SIP/2.0/UDP h;rport=77;branch=b;received=9.9.9.9"},
        {"SIP/2.0/UDP h;rport=1;received=8.8.8.8;branch=b", "SIP/2.0/UDP h;rport=77;received=9.9.9.9;branch=b"},
        {"SIP/2.0/UDP h;received=8.8.8.8;branch=b;RPORT", "SIP/2.0/UDP h;received=9.9.9.9;branch=b;rport=77"},
        {"SIP/2.0/UDP h;received;x , SIP/2.0/UDP i", "SIP/2.0/UDP h;received=9.9.9.9;x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        struct buf out = {0};
        (void)snprintf(text, sizeof text, M_INVITE "Via: %s\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, rows[i].via);
        struct sip_view v = view_of(text);
        sip_via_with_received(&v, SLICE("9.9.9.9"), 77, &out);
        if (!slice_is(buf_view(&out), rows[i].expected)) fail_msg("%s -> %.*s", rows[i].via, SLICE_ARG(buf_view(&out)));
        buf_fini(&out);
    }
}

/* An answer to what was refused: what cannot be copied safely is left out, and nothing is doubled. */
static void answers_to_faulty_requests(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {M_INVITE M_VIA "From: <sip:a@h>\r;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END,
         "SIP/2.0 400 Bad Request\r\n" M_VIA "To: <sip:bob@example.org>;tag=t\r\n" M_CALL_ID M_CSEQ
         "Content-Length: 0\r\n\r\n"},
        {M_ALL "To: <sip:x@h>;tag=7\r\nFrom: y\r\n\r\n",
         "SIP/2.0 400 Bad Request\r\n" M_VIA M_FROM "To: <sip:bob@example.org>;tag=t\r\n" M_CALL_ID M_CSEQ
         "Content-Length: 0\r\n\r\n"},
        {M_INVITE M_VIA M_END, "SIP/2.0 400 Bad Request\r\n" M_VIA "Content-Length: 0\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sip_view v;
        struct buf out = {0};
        bool answerable = false;
        assert_int_not_equal(sip_view_parse(&v, rows[i].text, strlen(rows[i].text), &answerable), SIP_FAULT_NONE);
        assert_true(answerable);
        assert_int_equal(sip_response_build(&v, 400, SLICE_NONE, SLICE("t"), SLICE_NONE, 0, SLICE_NONE, &out), ERR_OK);
        if (!slice_is(buf_view(&out), rows[i].expected)) fail_msg("%zu:\n%.*s", i, SLICE_ARG(buf_view(&out)));
        buf_fini(&out);
    }
}

static void phrases(void **state)
{
    (void)state;
    assert_string_equal(sip_reason_phrase(486), "Busy Here");
    assert_string_equal(sip_reason_phrase(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_noted_nothing_changed),
        cmocka_unit_test(a_forward),
        cmocka_unit_test(insert_before_what_is_not_there),
        cmocka_unit_test(pop_one_after_the_other),
        cmocka_unit_test(pop_a_via),
        cmocka_unit_test(pop_and_insert_at_one_place),
        cmocka_unit_test(edits_that_cannot_be),
        cmocka_unit_test(answers),
        cmocka_unit_test(received_and_rport),
        cmocka_unit_test(answers_to_faulty_requests),
        cmocka_unit_test(phrases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
