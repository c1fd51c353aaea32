/* What a REGISTER of ours says, and what is read in its answer. */
#include "registration_kit.h"

/* ---- what an answer says ---- */

static void what_is_granted(void **state)
{
    static const struct {
        const char *lines;
        uint32_t granted_s;
    } rows[] = {
        {"Contact: " OURS ";expires=77\r\n", 77},
        {"Contact: " OURS ";expires=\"77\"\r\n", 77},
        {"Contact: " OURS "\r\nExpires: 33\r\n", 33},
        {"Contact: " OURS "\r\n", 600},
        {"Expires: 44\r\n", 44},
        {"", 600},
        /* others' contacts are not ours, in one line or in several */
        {"Contact: <sip:493@10.9.9.9>;expires=5, " OURS ";expires=88\r\n", 88},
        {"Contact: <sip:493@10.9.9.9>;expires=5\r\nContact: " OURS ";expires=99\r\n", 99},
        {"Contact: <sip:493@10.0.0.1:5060;line=ffffffffffffffffffffffffffffffff>;expires=5\r\n", 0},
        {"Contact: <sip:493@sbc>;expires=5\r\nExpires: 60\r\n", 60}, /* rewritten by a session border controller */
        {"Contact: " OURS ";expires=0\r\n", 0},
        {"Contact: " OURS ";expires=99999999999\r\n", REGISTRATION_EXPIRES_MAX_S},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        (void)event(&g, REGISTRATION_START);
        (void)answer(&g, 200, rows[i].lines);
        if ((rows[i].granted_s > 0) != registration_bound(&g.r)) fail_msg("row %zu", i);
        if (rows[i].granted_s > 0) assert_int_equal(g.r.granted_s, rows[i].granted_s);
        if (rows[i].granted_s == 0) assert_true(g.r.refused);
        rig_close(&g);
    }
}

static void service_routes_are_kept(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 200, "Service-Route: <sip:p1;lr>, <sip:p2;lr>\r\nService-Route: <sip:p3;lr>\r\n");
    assert_true(slice_is(g.last.service_route, "<sip:p1;lr>, <sip:p2;lr>, <sip:p3;lr>"));
    (void)event(&g, REGISTRATION_STOP);
    (void)answer(&g, 200, "");
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 200, "Service-Route: <sip:p1;lr>, nonsense <\r\n");
    assert_int_equal(g.last.service_route.n, 0);
    rig_close(&g);
}

static void the_proxy_next_to_us_is_the_last_of_the_path(void **state)
{
    static const struct {
        const char *lines;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"", "", 0},
        {"Path: <sip:p1;lr>, <sip:p2:5080;lr>\r\n", "p2", 5080},
        {"Path: <sip:p1:5080;lr>\r\nPath: <sip:[2001:db8::7];lr>\r\n", "2001:db8::7", 0},
        {"Path: <sip:p1;lr>, *\r\n", "", 0},
        {"Path: <sip:p1;lr>, nonsense <\r\n", "", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        (void)event(&g, REGISTRATION_START);
        (void)answer(&g, 200, cases[i].lines);
        if (!slice_is(g.last.path_host, cases[i].host) || g.last.path_port != cases[i].port)
            fail_msg("%s: %.*s:%u", cases[i].lines, SLICE_ARG(g.last.path_host), g.last.path_port);
        rig_close(&g);
    }
}

/* ---- the request ---- */

static void the_request(void **state)
{
    static const char wanted[] = "REGISTER sip:carrier.example SIP/2.0\r\n"
                                 "Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK9;rport\r\n"
                                 "Max-Forwards: 70\r\n"
                                 "From: <sip:493@carrier.example>;tag=00000000000000ab\r\n"
                                 "To: <sip:493@carrier.example>\r\n"
                                 "Call-ID: c1\r\n"
                                 "CSeq: 7 REGISTER\r\n"
                                 "Contact: <sip:493@10.0.0.1:5060;transport=tcp;line=t>;expires=600\r\n"
                                 "Contact: <sip:493@10.0.0.2>;expires=0\r\n"
                                 "Expires: 600\r\n"
                                 "Supported: path\r\n"
                                 "Authorization: x\r\n"
                                 "User-Agent: Tandem/0\r\n"
                                 "Content-Length: 0\r\n\r\n";
    struct sip_register m = {.uri = SLICE("sip:carrier.example"),
                             .user = SLICE("493"),
                             .domain = SLICE("carrier.example"),
                             .transport = SLICE("TCP"),
                             .sent_by = SLICE("10.0.0.1:5060"),
                             .branch = "z9hG4bK9",
                             .tag = 0xab,
                             .call_id = SLICE("c1"),
                             .cseq = 7,
                             .contact = SLICE("sip:493@10.0.0.1:5060;transport=tcp;line=t"),
                             .stale = SLICE("sip:493@10.0.0.2"),
                             .expires_s = 600,
                             .auth = SLICE("Authorization: x\r\n"),
                             .version = SLICE("0")};
    struct buf out = {0};
    static struct sip_view v;
    (void)state;
    assert_int_equal(sip_register_build(&m, &out), ERR_OK);
    assert_int_equal(sip_view_parse(&v, out.p, out.n, NULL), SIP_FAULT_NONE);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, wanted);
    buf_fini(&out);
}

static void a_nat_is_seen(void **state)
{
    static const struct {
        const char *via;
        bool translated;
    } rows[] = {{"10.0.0.1:5060;branch=z9hG4bK1;rport=5060;received=10.0.0.1", false},
                {"10.0.0.1:5060;branch=z9hG4bK1;rport=5060", false},
                {"10.0.0.1;branch=z9hG4bK1;rport=5060", false},
                {"10.0.0.1:5060;branch=z9hG4bK1", false},
                {"10.0.0.1:5060;branch=z9hG4bK1;rport", false},
                {"10.0.0.1:5060;branch=z9hG4bK1;rport=40001;received=10.0.0.1", true},
                {"10.0.0.1:5060;branch=z9hG4bK1;rport=5060;received=192.0.2.1", true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct sip_view v;
        char text[1024];
        struct arena arena = {0};
        struct sip_register_answer a;
        int n = snprintf(text, sizeof text,
                         "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP %s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
                         "Call-ID: c\r\nCSeq: 1 REGISTER\r\n\r\n",
                         rows[i].via);
        assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
        assert_int_equal(sip_register_read(&arena, &v, SLICE(TOKEN), 60, &a), ERR_OK);
        if (a.translated != rows[i].translated) fail_msg("%s", rows[i].via);
        arena_fini(&arena);
    }
}

static void tokens(void **state)
{
    static const unsigned char one[HASH_KEY_LEN] = "one";
    static const unsigned char two[HASH_KEY_LEN] = "two";
    struct mac *a = mac_new(one);
    struct mac *b = mac_new(two);
    char t[5][SIP_LINE_TOKEN];
    (void)state;
    assert_int_equal(sip_line_token(a, SLICE("carrier"), SLICE("hq-1"), t[0]), ERR_OK);
    assert_int_equal(sip_line_token(a, SLICE("carrier"), SLICE("hq-2"), t[1]), ERR_OK);
    assert_int_equal(sip_line_token(a, SLICE("carrierh"), SLICE("q-1"), t[2]), ERR_OK);
    assert_int_equal(sip_line_token(b, SLICE("carrier"), SLICE("hq-1"), t[3]), ERR_OK);
    assert_int_equal(sip_line_token(a, SLICE("carrier"), SLICE("hq-1"), t[4]), ERR_OK);
    assert_string_equal(t[0], t[4]); /* a node that restarts has the same */
    for (size_t i = 1; i < 4; i++)
        assert_string_not_equal(t[0], t[i]);
    assert_int_equal(strlen(t[0]), 32);
    mac_free(a);
    mac_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_granted),
        cmocka_unit_test(service_routes_are_kept),
        cmocka_unit_test(the_proxy_next_to_us_is_the_last_of_the_path),
        cmocka_unit_test(the_request),
        cmocka_unit_test(a_nat_is_seen),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
