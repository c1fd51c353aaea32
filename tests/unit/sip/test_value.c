/* URIs, addresses, lists, credentials and challenges: what is read, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/sip/value.h"
#include "tests/unit/sip/message.h"

static void assert_slice(const char *what, struct slice s, const char *expected)
{
    if (!slice_is(s, expected)) fail_msg("%s: \"%.*s\" is not \"%s\"", what, SLICE_ARG(s), expected);
}

static void uris(void **state)
{
    static const struct {
        const char *text, *scheme, *user, *host;
        bool v6;
        unsigned port;
        size_t params;
        const char *number;
    } rows[] = {
        {"sip:example.org", "sip", "", "example.org", false, 0, 0, ""},
        {"sip:6001@10.1.0.1:5062;transport=udp;lr", "sip", "6001", "10.1.0.1", false, 5062, 2, "6001"},
        {"sip:+4930_1-2.a@h-1.example.org:5070;lr;x=1+2", "sip", "+4930_1-2.a", "h-1.example.org", false, 5070, 2,
         "+4930_1-2.a"},
        {"SIPS:a@Example.ORG", "sips", "a", "Example.ORG", false, 0, 0, "a"},
        {"sip:a:secret@h", "sip", "a", "h", false, 0, 0, "a"},
        {"sip:a@[2001:db8::1]:5061;x", "sip", "a", "2001:db8::1", true, 5061, 1, "a"},
        {"sip:[::ffff:10.0.0.1]", "sip", "", "::ffff:10.0.0.1", true, 0, 0, ""},
        {"sip:+4930123;phone-context=x@h;user=phone?Subject=%20&Priority=urgent", "sip", "+4930123;phone-context=x",
         "h", false, 0, 1, "+4930123"},
        {"sip:%2372%2a@h", "sip", "%2372%2a", "h", false, 0, 0, "#72*"},
        {"sip:null-%00-null@h", "sip", "null-%00-null", "h", false, 0, 0, "null-%00-null"},
        {"sip:#72@h", "sip", "#72", "h", false, 0, 0, "#72"},
        {"sip:user;par=u%40example.net@example.com", "sip", "user;par=u%40example.net", "example.com", false, 0, 0,
         "user"},
        {"sip:h.", "sip", "", "h.", false, 0, 0, ""},
        {"tel:+1-201-555-0123", "tel", "+1-201-555-0123", "", false, 0, 0, "+12015550123"},
        {"TEL:7042;phone-context=example.com;ext=1", "tel", "7042", "", false, 0, 2, "7042"},
        {"tel:*21#", "tel", "*21#", "", false, 0, 0, "*21#"},
        {"URN:service:sos", "urn", "", "", false, 0, 0, ""},
        {"http://example.org/x?y", "http", "", "", false, 0, 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_uri uri;
        enum err e = sip_uri_parse(&arena, slice_of(rows[i].text), &uri);
        if (e != ERR_OK) fail_msg("%s: %s", rows[i].text, err_name(e));
        assert_slice(rows[i].text, uri.scheme, rows[i].scheme);
        assert_slice(rows[i].text, uri.user, rows[i].user);
        assert_slice(rows[i].text, uri.host, rows[i].host);
        assert_slice(rows[i].text, uri.number, rows[i].number);
        assert_int_equal(uri.host_is_v6, rows[i].v6);
        assert_int_equal(uri.port, rows[i].port);
        assert_int_equal(uri.param_count, rows[i].params);
        arena_fini(&arena);
    }
}

/* Both ways to a URI of a request give the same. */
static void request_uris(void **state)
{
    static const char *const rows[] = {
        "sip:example.org",
        "SIPS:6001;x=%41@10.1.0.1:5062;transport=udp;lr=%41?a=b",
        "sip:a:secret@[2001:db8::1]:5061;x",
        "tel:+1-201;ext=1",
        "URN:service:sos",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        struct arena arena = {0};
        struct sip_view v;
        struct sip_uri one = {.port = 0};
        struct sip_uri two = {.port = 0};
        int n = snprintf(text, sizeof text, "INVITE %s SIP/2.0\r\n" M_MUST M_END, rows[i]);
        assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
        assert_int_equal(sip_request_uri_parse(&arena, &v, &one), ERR_OK);
        assert_int_equal(sip_uri_parse(&arena, v.uri, &two), ERR_OK);
        assert_true(slice_eq(one.scheme, two.scheme) && slice_eq(one.user, two.user) && slice_eq(one.host, two.host));
        assert_true(slice_eq(one.number, two.number) && one.port == two.port && one.host_is_v6 == two.host_is_v6);
        assert_int_equal(one.param_count, two.param_count);
        for (size_t k = 0; k < one.param_count; k++) {
            assert_true(slice_eq(one.params[k].name, two.params[k].name));
            assert_true(slice_eq(one.params[k].value, two.params[k].value));
        }
        arena_fini(&arena);
    }
}

static void bad_request_uris(void **state)
{
    static const char *const rows[] = {
        "INVITE <sip:b@h> SIP/2.0\r\n" M_MUST M_END,  "INVITE sip:b@h;x=% SIP/2.0\r\n" M_MUST M_END,
        "INVITE  sip:b@h SIP/2.0\r\n" M_MUST M_END,   "INVITE sip:b@h SIP/3.0\r\n" M_MUST M_END,
        "INVITE sip:b@h;=x SIP/2.0\r\n" M_MUST M_END, "SIP/2.0 200 OK\r\n" M_MUST M_END,
    };
    struct sip_view v;
    struct sip_uri uri;
    struct arena arena = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&v, 1, sizeof v);
        (void)sip_view_parse(&v, rows[i], strlen(rows[i]), NULL);
        if (sip_request_uri_parse(&arena, &v, &uri) != ERR_SYNTAX) fail_msg("accepted: %s", rows[i]);
    }
    arena_fini(&arena);
}

static void bad_uris(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        "sip",
        "sip:",
        "sips:",
        "sip:@",
        "sip:@h",
        "sip:a@",
        "sip::5060",
        "sip:h:",
        "sip:h:0",
        "sip:h:65536",
        "sip:h:999999",
        "sip:h:50x",
        "sip:a b@h",
        "sip:a@h ",
        " sip:a@h",
        "sip:a@h;",
        "sip:a@h;;lr",
        "sip:a@h;=x",
        "sip:a@h;x=",
        "sip:a@h;x=;lr",
        "sip:a@h?",
        "sip:a@h/x",
        "sip:a@b@c",
        "sip:a%@h",
        "sip:a%4@h",
        "sip:a%4g@h",
        "sip:a@h%",
        "sip:a@h;x=%",
        "sip:a@h;x=%4",
        "sip:a@h?x=%",
        "tel:1%",
        "urn:x%",
        "http:%",
        "sip:a@h;x=%00",
        "sip:a@h;x=%0d%0aEvil:1",
        "sip:a@h;%7f",
        "sip:a@-h",
        "sip:a@.h",
        "sip:a@h-.",
        "sip:a@h..",
        "sip:a@1.2.3",
        "sip:a@1.2.3.256",
        "sip:a@1.2.3.4.5",
        "sip:a@h_%41",
        "sip:a@999",
        "sip:a@[]",
        "sip:a@[:]",
        "sip:a@[::1",
        "sip:a@::1",
        "sip:a@[1:2:3:4:5:6:7]",
        "sip:a@[1:2:3:4:5:6:7:8:9]",
        "sip:a@[::1::]",
        "sip:a@[12345::]",
        "sip:a@[::1.2.3.444]",
        "sip:a@[::g]",
        "sip:a@[fe80::1%eth0]",
        "sip:a@[1:]",
        "sip:a@[::1]x",
        "sip:\"a\"@h",
        "sip:<a>@h",
        "sip:a\\@h",
        "sip:\xc3\xa4@h",
        "sip:a@h\x7f",
        "tel:",
        "tel:+",
        "tel:-",
        "tel:1+2",
        "tel:abcx",
        "tel:1;;x",
        "tel:1;",
        "urn:",
        "1x:y",
        "a b:c",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_uri uri;
        char *exact =
            malloc(strlen(rows[i]) + (rows[i][0] == '\0')); /* so that the sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, rows[i], strlen(rows[i]));
        if (sip_uri_parse(&arena, (struct slice){exact, strlen(rows[i])}, &uri) != ERR_SYNTAX)
            fail_msg("accepted: %s", rows[i]);
        free(exact);
        arena_fini(&arena);
    }
    struct arena arena = {0};
    struct sip_uri uri;
    assert_int_equal(sip_uri_parse(&arena, (struct slice){"sip:a\0b@h", 9}, &uri), ERR_SYNTAX);
    arena_fini(&arena);
}

static void uri_params(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct sip_uri uri;
    assert_int_equal(sip_uri_parse(&arena, SLICE("sip:a@h;lr;Transport=TCP;tt=trunk/x;e=%41%2c;tt=2"), &uri), ERR_OK);
    assert_int_equal(uri.param_count, 5);
    assert_slice("lr", sip_uri_param(&uri, "LR"), "");
    assert_non_null(sip_uri_param(&uri, "lr").p);
    assert_null(uri.params[0].value.p);
    assert_slice("transport", sip_uri_param(&uri, "transport"), "TCP");
    assert_slice("tt", sip_uri_param(&uri, "tt"), "trunk/x");
    assert_slice("e", sip_uri_param(&uri, "e"), "A,");
    assert_null(sip_uri_param(&uri, "l").p);
    assert_int_equal(sip_uri_parse(&arena, SLICE("sip:a@h;x=%20y;%20"), &uri), ERR_OK); /* an escaped space is kept */
    assert_slice("x", sip_uri_param(&uri, "x"), " y");
    assert_slice("name", uri.params[1].name, " ");
    assert_int_equal(sip_uri_parse(&arena, SLICE("tel:1;a=%41;b"), &uri), ERR_OK);
    assert_slice("a", sip_uri_param(&uri, "a"), "A");
    assert_non_null(sip_uri_param(&uri, "b").p);
    arena_fini(&arena);
}

static void addresses(void **state)
{
    static const struct {
        const char *text, *display, *uri, *user, *tag;
        size_t params;
    } rows[] = {
        {"<sip:a@h>", "", "sip:a@h", "a", "", 0},
        {"sip:a@h", "", "sip:a@h", "a", "", 0},
        {" sip:a@h ;tag=1", "", "sip:a@h", "a", "1", 1},
        {"\"A, <B>; \\\" C\" <sip:a@h;lr>;tag=1;x", "\"A, <B>; \\\" C\"", "sip:a@h;lr", "a", "1", 2},
        {"\"\"<sip:a@h>", "\"\"", "sip:a@h", "a", "", 0},
        {"Bob B <sip:a@h>;x=\"y;tag=2\";Tag=1", "Bob B", "sip:a@h", "a", "1", 2},
        {"B\xc3\xb6rn <sip:a@h>", "B\xc3\xb6rn", "sip:a@h", "a", "", 0},
        {"\"J\"\r\n <sip:a@h> ;\r\n tag = 1 ; y = \"q\"", "\"J\"", "sip:a@h", "a", "1", 2},
        {"<sip:a@h?x=y>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=60", "", "sip:a@h?x=y", "a", "", 3},
        {"<tel:+1-2>;tag=1", "", "tel:+1-2", "+1-2", "1", 1},
        {"<urn:service:sos>", "", "urn:service:sos", "", "", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_name_addr a;
        enum err e = sip_name_addr_parse(&arena, slice_of(rows[i].text), &a);
        if (e != ERR_OK) fail_msg("%s: %s", rows[i].text, err_name(e));
        assert_slice(rows[i].text, a.display, rows[i].display);
        assert_slice(rows[i].text, a.uri_text, rows[i].uri);
        assert_slice(rows[i].text, a.uri.user, rows[i].user);
        assert_slice(rows[i].text, sip_name_addr_param(&a, "tag"), rows[i].tag);
        assert_int_equal(a.param_count, rows[i].params);
        assert_false(a.star);
        arena_fini(&arena);
    }
    struct sip_name_addr star;
    struct arena arena = {0};
    assert_int_equal(sip_name_addr_parse(&arena, SLICE(" * "), &star), ERR_OK);
    assert_true(star.star);
}

static void bad_addresses(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "*;x",
        "**",
        "/",
        "/sip:a@h",
        "bob",
        "<>",
        "<sip:a@h",
        "sip:a@h>",
        "<<sip:a@h>>",
        "<sip:a@h>x",
        "<sip:a@h> <sip:b@h>",
        "\"x\\\" <sip:a@h>",
        "\"x <sip:a@h>",
        "\"x\"",
        "\"x\" sip:a@h",
        "a,b <sip:a@h>",
        "<sip:a@h>;",
        "<sip:a@h>;;x",
        "<sip:a@h>;x=\"",
        "<sip:a@h>;x=\"\\",
        "<sip:a@h>;x=\"\\\"",
        "<sip:a@h>;x=a b",
        "<sip:a@h>,<sip:b@h>",
        "<sip:a@h%>",
        "<sip:>",
        "<sip:@>",
        "<tel:>",
        "sip:a;b@h",
        "< sip:a@h>",
        "sip:a@h?Route=%3Csip:b%3E",
        "sip:a@h?x=y;tag=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_name_addr a;
        if (sip_name_addr_parse(&arena, slice_of(rows[i]), &a) != ERR_SYNTAX) fail_msg("accepted: %s", rows[i]);
        arena_fini(&arena);
    }
}

static void caps(void **state)
{
    static const struct {
        const char *head, *piece, *tail;
        size_t fits;
        bool uri;
    } rows[] = {
        {"sip:a@h", ";x=y", "", SIP_PARAMS_MAX, true},
        {"tel:1", ";x=y", "", SIP_PARAMS_MAX, true},
        {"<sip:a@h>", ";x=y", "", SIP_PARAMS_MAX, false},
        {"<sip:a@h", ";x", ">", SIP_PARAMS_MAX, false},
        {"sip:", "a", "@h", SIP_VALUE_MAX - 6, true},
        {"<sip:", "a", "@h>", SIP_VALUE_MAX - 8, false},
        {"sip:a@h?", "x=y&", "z=", (SIP_VALUE_MAX - 10) / 4, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t more = 0; more < 2; more++) {
            struct arena arena = {0};
            struct buf b = {0};
            struct sip_uri uri;
            struct sip_name_addr a;
            buf_text(&b, rows[i].head);
            for (size_t k = 0; k < rows[i].fits + more; k++)
                buf_text(&b, rows[i].piece);
            buf_text(&b, rows[i].tail);
            enum err e =
                rows[i].uri ? sip_uri_parse(&arena, buf_view(&b), &uri) : sip_name_addr_parse(&arena, buf_view(&b), &a);
            if (e != (more > 0 ? ERR_LIMIT : ERR_OK)) fail_msg("row %zu + %zu: %s", i, more, err_name(e));
            buf_fini(&b);
            arena_fini(&arena);
        }
    }
}

static void lists(void **state)
{
    static const struct {
        const char *text;
        const char *values[4];
    } rows[] = {
        {"", {NULL}},
        {" , ,", {NULL}},
        {"a", {"a"}},
        {"a,b ,\r\n c", {"a", "b", "c"}},
        {"\"x, \\\" y\" <sip:a,b>;p=\"1,2\" , <sip:c>", {"\"x, \\\" y\" <sip:a,b>;p=\"1,2\"", "<sip:c>"}},
        {"a,\"b, c", {"a", "\"b, c"}},
        {"a,<b, c", {"a", "<b, c"}},
        {"<a\">,b", {"<a\">", "b"}},
        {"a\"\\", {"a\"\\"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice rest = slice_of(rows[i].text);
        struct slice value;
        size_t n = 0;
        while (sip_value_next(&rest, &value)) {
            assert_true(n < 4 && rows[i].values[n] != NULL);
            assert_slice(rows[i].text, value, rows[i].values[n++]);
        }
        assert_true(n == 4 || rows[i].values[n] == NULL);
    }
}

static void credentials(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct sip_credentials c;
    assert_int_equal(
        sip_credentials_parse(
            &arena,
            SLICE("Digest username=\"b\\\"ob\", realm = \"example.org\",\r\n nonce=\"n,1\", uri=\"sip:h\", "
                  "response=\"00ff\", algorithm=SHA-256, cnonce=\"c\", qop=auth, nc=0000000a, opaque=\"o\""),
            &c),
        ERR_OK);
    assert_slice("username", c.username, "b\\\"ob");
    assert_slice("realm", c.realm, "example.org");
    assert_slice("nonce", c.nonce, "n,1");
    assert_slice("uri", c.uri, "sip:h");
    assert_slice("response", c.response, "00ff");
    assert_slice("algorithm", c.algorithm, "SHA-256");
    assert_slice("cnonce", c.cnonce, "c");
    assert_slice("qop", c.qop, "auth");
    assert_slice("nc", c.nc, "0000000a");
    assert_slice("opaque", c.opaque, "o");
    assert_int_equal(
        sip_credentials_parse(
            &arena, SLICE("digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\",qop=\"auth\",new=1"),
            &c),
        ERR_OK);
    assert_slice("quoted qop", c.qop, "auth");
    assert_null(c.algorithm.p);
    arena_fini(&arena);
}

/* Plain credentials are read without libosip2; one more parameter makes it read the same. */
static void plain_credentials(void **state)
{
    static const char *const rows[] = {
        "Digest username=\"6001\", realm=\"example.org\", nonce=\"0123abcd\", uri=\"sip:example.org\", "
        "response=\"00ff\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c0ffee\", opaque=\"o p\"",
        "DIGEST  USERNAME=\"u,v\",Realm=\"a=b;c\" , nonce=\"n\",uri = \"sip:h;x=1?y\",response=\"y\" ",
        "Digest response=\"y\",uri=\"x\",nonce=\"n\",realm=\"r\",username=\"\xc3\xa4\",nc=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_credentials plain, other;
        struct buf longer = {0};
        buf_text(&longer, rows[i]);
        buf_text(&longer, ",more=1");
        assert_int_equal(sip_credentials_parse(&arena, slice_of(rows[i]), &plain), ERR_OK);
        assert_null(arena.head); /* it took no memory */
        assert_int_equal(sip_credentials_parse(&arena, buf_view(&longer), &other), ERR_OK);
        assert_non_null(arena.head);
        const struct slice *a = (const struct slice *)&plain;
        const struct slice *b = (const struct slice *)&other;
        for (size_t k = 0; k < sizeof plain / sizeof *a; k++) {
            if (!slice_eq(a[k], b[k])) fail_msg("%s: %zu: %.*s", rows[i], k, SLICE_ARG(a[k]));
            assert_int_equal(a[k].p == NULL, b[k].p == NULL);
        }
        buf_fini(&longer);
        arena_fini(&arena);
    }
}

static void bad_credentials(void **state)
{
    static const char *const rows[] = {
        "",
        "Digest",
        "Digest ",
        "Basic dTpw",
        "Digestusername=\"u\"",
        "Digest username=\"u\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\"",
        "Digest username=\"\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\\\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\",",
        "Digest username=\"u\",,realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"",
        "Digest username=\"u\" realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"",
        "Digest username,realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"",
        "Digest =\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"\",response=\"y\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct sip_credentials c;
        if (sip_credentials_parse(&arena, slice_of(rows[i]), &c) != ERR_SYNTAX) fail_msg("accepted: %s", rows[i]);
        arena_fini(&arena);
    }
    struct arena arena = {0};
    struct sip_credentials c;
    struct buf b = {0};
    buf_text(&b, "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"y\"");
    for (unsigned i = 0; i < 40; i++)
        buf_text(&b, ",a=b");
    assert_int_equal(sip_credentials_parse(&arena, buf_view(&b), &c), ERR_LIMIT);
    buf_fini(&b);
    arena_fini(&arena);
}

static void challenges(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct sip_challenge c;
    assert_int_equal(
        sip_challenge_parse(
            &arena,
            SLICE("Digest realm=\"a b\", qop=\"auth,auth-int\", nonce=\"n\", algorithm=MD5, stale=TRUE, opaque=\"o\""),
            &c),
        ERR_OK);
    assert_slice("realm", c.realm, "a b");
    assert_slice("qop", c.qop, "auth,auth-int");
    assert_slice("opaque", c.opaque, "o");
    assert_true(c.stale);
    assert_int_equal(sip_challenge_parse(&arena, SLICE("Digest realm=\"a\", nonce=\"n\""), &c), ERR_OK);
    assert_false(c.stale);
    assert_null(c.qop.p);
    assert_int_equal(sip_challenge_parse(&arena, SLICE("Digest realm=\"a\""), &c), ERR_SYNTAX);
    assert_int_equal(sip_challenge_parse(&arena, SLICE("Digest nonce=\"a\""), &c), ERR_SYNTAX);
    assert_int_equal(sip_challenge_parse(&arena, SLICE("Bearer realm=\"a\", nonce=\"n\""), &c), ERR_SYNTAX);
    arena_fini(&arena);
}

int main(void)
{
    sip_library_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris),
        cmocka_unit_test(request_uris),
        cmocka_unit_test(bad_request_uris),
        cmocka_unit_test(bad_uris),
        cmocka_unit_test(uri_params),
        cmocka_unit_test(addresses),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(caps),
        cmocka_unit_test(lists),
        cmocka_unit_test(credentials),
        cmocka_unit_test(plain_credentials),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(challenges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
