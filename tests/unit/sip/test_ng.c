/* The control protocol of the media relay: what is said, and what is made of any answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "node/sip/ng.h"

static void assert_says(const struct ng_request *r, const char *text)
{
    struct buf out = {0};
    assert_int_equal(ng_request_build(r, &out), ERR_OK);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, text);
    buf_fini(&out);
}

static void what_is_said(void **state)
{
    struct ng_request r = {.command = NG_PING, .cookie = SLICE("1a")};
    (void)state;
    assert_says(&r, "1a d7:command4:pinge");
    r = (struct ng_request){.command = NG_OFFER,
                            .cookie = SLICE("2"),
                            .call_id = SLICE("a b;t"),
                            .from_tag = SLICE("t"),
                            .sdp = SLICE("v=0\r\n")};
    assert_says(&r, "2 d3:ICE6:remove7:call-id5:a b;t7:command5:offer5:flagsl12:loop-protecte8:from-tag1:t"
                    "7:replacel6:origin18:session-connectione3:sdp5:v=0\r\ne");
    r.command = NG_ANSWER;
    r.to_tag = SLICE("u:");
    r.branch = SLICE("b");
    assert_says(&r, "2 d3:ICE6:remove7:call-id5:a b;t7:command6:answer5:flagsl12:loop-protecte8:from-tag1:t"
                    "7:replacel6:origin18:session-connectione3:sdp5:v=0\r\n6:to-tag2:u:10:via-branch1:be");
    r = (struct ng_request){.command = NG_DELETE, .cookie = SLICE("3"), .call_id = SLICE("c"), .from_tag = SLICE("t")};
    assert_says(&r, "3 d7:call-id1:c7:command6:delete8:from-tag1:te");
}

static void what_is_understood(void **state)
{
    struct ng_reply r;
    (void)state;
    assert_int_equal(ng_reply_parse(SLICE("1a d6:result4:ponge"), &r), ERR_OK);
    assert_true(r.ok && slice_is(r.cookie, "1a") && r.sdp.p == NULL);
    assert_int_equal(ng_reply_parse(SLICE("2 d3:sdp5:v=0\r\n6:result2:oke"), &r), ERR_OK);
    assert_true(r.ok && slice_is(r.sdp, "v=0\r\n"));
    assert_int_equal(ng_reply_parse(SLICE("3 d12:error-reason4:busy6:result5:errore"), &r), ERR_OK);
    assert_true(!r.ok && slice_is(r.reason, "busy") && !r.blames_sdp);
    assert_int_equal(ng_reply_parse(SLICE("3 d12:error-reason19:Failed to parse SDP6:result5:errore"), &r), ERR_OK);
    assert_true(!r.ok && r.blames_sdp);
    assert_int_equal(ng_reply_parse(SLICE("3 d6:result10:load limite"), &r), ERR_OK);
    assert_true(!r.ok && slice_is(r.reason, "load limit") && !r.blames_sdp);
    /* what else it says is passed over, however it is nested */
    assert_int_equal(
        ng_reply_parse(SLICE("4 d7:createdi-5e4:tagsd1:tl3:sdpi1eed3:sdp1:xee6:result2:ok7:warning0:e"), &r), ERR_OK);
    assert_true(r.ok && r.sdp.p == NULL);
}

static void what_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "1",
        "1 ",
        " d6:result2:oke",
        "1 6:result2:ok",
        "1 d",
        "1 de",
        "1 d6:result2:ok",
        "1 d6:result2:okee",
        "1 d6:result2:okex",
        "1 d6:result3:oke",
        "1 d6:result99999999999999999999:oke",
        "1 d6:result-1:oke",
        "1 d6:result:oke",
        "1 d6:resulte",
        "1 d6:resulti5e6:result2:ok",
        "1 di5e2:oke",
        "1 d6:resulti5",
        "1 d1:al",
        "1 d1:ale6:resultx2:oke",
        /* deeper than anything is */
        "1 d1:alllllllllllllllllllllllllllllleeeeeeeeeeeeeeeeeeeeeeeeeeeee6:result2:oke",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ng_reply r;
        if (ng_reply_parse(slice_of(rows[i]), &r) != ERR_SYNTAX) fail_msg("row %zu: %s", i, rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(what_is_understood),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
