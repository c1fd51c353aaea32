/* The view over messages that are right, wrong in one way each, cut anywhere, and at its caps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/sip/view_kit.h"

static const struct fault_row {
    const char *what;
    const char *text;
    enum sip_fault fault;
    bool answerable;
} fault_rows[] = {
    {"the base", M_ALL M_END, SIP_FAULT_NONE, false},
    {"the phone's", M_PHONE, SIP_FAULT_NONE, false},
    {"a response", "SIP/2.0 200 OK\r\n" M_MUST M_END, SIP_FAULT_NONE, false},
    {"a response without a reason", "SIP/2.0 200\r\n" M_MUST M_END, SIP_FAULT_NONE, false},
    {"a method of its own", "FROB!1 sip:b@h SIP/2.0\r\n" M_VIA M_FROM M_TO M_CALL_ID "CSeq: 1 FROB!1\r\n\r\n",
     SIP_FAULT_NONE, false},
    /* first line */
    {"nothing", "", SIP_FAULT_FIRST_LINE, false},
    {"no line end", "INVITE sip:b@h SIP/2.0", SIP_FAULT_FIRST_LINE, false},
    {"keep-alive", "\r\n\r\n", SIP_FAULT_FIRST_LINE, false},
    {"HTTP", "GET / HTTP/1.1\r\n\r\n", SIP_FAULT_FIRST_LINE, false},
    {"two words", "INVITE SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"control character", "INVITE sip:b\001@h SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"method is no token", "INV<TE sip:b@h SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"status of two digits", "SIP/2.0 20 OK\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"status of four digits", "SIP/2.0 4294967301 better not\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"status 700", "SIP/2.0 700 no\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"status 099", "SIP/2.0 099 no\r\n" M_MUST M_END, SIP_FAULT_FIRST_LINE, false},
    {"SIP/7.0", "INVITE sip:b@h SIP/7.0\r\n" M_MUST M_END, SIP_FAULT_VERSION, true},
    {"SIP/2.00", "INVITE sip:b@h SIP/2.00\r\n" M_MUST M_END, SIP_FAULT_VERSION, true},
    {"response SIP/3.0", "SIP/3.0 200 OK\r\n" M_MUST M_END, SIP_FAULT_VERSION, false},
    /* Request-URI */
    {"no user", "INVITE sip:example.org SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_NONE, false},
    {"unknown scheme", "INVITE nobodyKnows:x SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_NONE, false},
    {"tel", "INVITE tel:+49301234 SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_NONE, false},
    {"in brackets", "INVITE <sip:b@h> SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"space inside", "INVITE sip:b@h; lr SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"two spaces before", "INVITE  sip:b@h SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"two spaces behind", "INVITE sip:b@h  SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"space at the end", "INVITE sip:b@h SIP/2.0 \r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"sip:", "INVITE sip: SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"sip:@", "INVITE sip:@ SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"tel:", "INVITE tel: SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"urn:", "INVITE urn: SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"no scheme", "INVITE bob SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"percent at the end", "INVITE sip:b@h;x=% SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"bad port", "INVITE sip:b@h:65536 SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    {"bad IPv6", "INVITE sip:b@[::1::2] SIP/2.0\r\n" M_MUST M_END, SIP_FAULT_URI, true},
    /* lines */
    {"no colon", M_ALL "Nonsense\r\n\r\n", SIP_FAULT_LINE, true},
    {"empty name", M_ALL ": x\r\n\r\n", SIP_FAULT_LINE, true},
    {"name with a space", M_ALL "Sub ject: x\r\n\r\n", SIP_FAULT_LINE, true},
    {"bare CR", M_ALL "Subject: a\rb\r\n\r\n", SIP_FAULT_LINE, true},
    {"bare LF", M_ALL "Subject: a\nX: b\r\n\r\n", SIP_FAULT_LINE, true},
    {"only LF", "INVITE sip:b@h SIP/2.0\nVia: SIP/2.0/UDP h\n\n", SIP_FAULT_FIRST_LINE, false},
    {"no empty line", M_ALL, SIP_FAULT_LINE, true},
    {"half a last line", M_ALL "Subject: x", SIP_FAULT_LINE, true},
    {"first line folded", M_INVITE " x\r\n" M_MUST M_END, SIP_FAULT_LINE, true},
    {"faulty From is left out", M_INVITE M_VIA "From: <sip:a@h>\r;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_LINE, true},
    /* what must be there, and once */
    {"no Via", M_INVITE M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA, false},
    {"no From", M_INVITE M_VIA M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_MISSING, true},
    {"no To", M_INVITE M_VIA M_FROM M_CALL_ID M_CSEQ M_END, SIP_FAULT_MISSING, true},
    {"no Call-ID", M_INVITE M_VIA M_FROM M_TO M_CSEQ M_END, SIP_FAULT_MISSING, true},
    {"no CSeq", M_INVITE M_VIA M_FROM M_TO M_CALL_ID M_END, SIP_FAULT_MISSING, true},
    {"two From", M_ALL M_FROM M_END, SIP_FAULT_DUPLICATE, true},
    {"two To, one compact", M_ALL "t: <sip:x@h>\r\n\r\n", SIP_FAULT_DUPLICATE, true},
    {"two Call-ID", M_ALL "i: x\r\n\r\n", SIP_FAULT_DUPLICATE, true},
    {"two CSeq", M_ALL M_CSEQ M_END, SIP_FAULT_DUPLICATE, true},
    {"two Max-Forwards", M_ALL "Max-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", SIP_FAULT_DUPLICATE, true},
    {"two Content-Length", M_ALL "Content-Length: 0\r\nl: 0\r\n\r\n", SIP_FAULT_DUPLICATE, true},
    /* values */
    {"empty From", M_INVITE M_VIA "From:\r\n" M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"From with a slash", M_INVITE M_VIA "From: /<sip:a@h>;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE,
     true},
    {"From is a path", M_INVITE M_VIA "From: /etc/passwd\r\n" M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"display name ends in a backslash", M_INVITE M_VIA "From: \"x\\\" <sip:a@h>;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VALUE, true},
    {"display name never ends", M_INVITE M_VIA "From: \"x <sip:a@h>;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VALUE, true},
    {"display name with a comma", M_INVITE M_VIA "From: Bell, A <sip:a@h>;tag=1\r\n" M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VALUE, true},
    {"To parameter never ends", M_INVITE M_VIA M_FROM "To: <sip:b@h>;x=\"y\r\n" M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE,
     true},
    {"To parameter ends in a backslash", M_INVITE M_VIA M_FROM "To: <sip:b@h>;x=\"y\\\r\n" M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VALUE, true},
    {"To bracket never ends", M_INVITE M_VIA M_FROM "To: <sip:b@h;x=y\r\n" M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE,
     true},
    {"To with rubbish behind", M_INVITE M_VIA M_FROM "To: <sip:b@h>x;tag=1\r\n" M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE,
     true},
    {"empty tag", M_INVITE M_VIA M_FROM "To: <sip:b@h>;tag=\r\n" M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"two tags", M_INVITE M_VIA M_FROM "To: <sip:b@h>;tag=1;TAG=2\r\n" M_CALL_ID M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"empty Call-ID", M_INVITE M_VIA M_FROM M_TO "Call-ID:\r\n" M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"Call-ID of two words", M_INVITE M_VIA M_FROM M_TO "Call-ID: a b\r\n" M_CSEQ M_END, SIP_FAULT_VALUE, true},
    {"Max-Forwards 256", M_ALL "Max-Forwards: 256\r\n\r\n", SIP_FAULT_VALUE, true},
    {"Max-Forwards -1", M_ALL "Max-Forwards: -1\r\n\r\n", SIP_FAULT_VALUE, true},
    {"Max-Forwards empty", M_ALL "Max-Forwards:\r\n\r\n", SIP_FAULT_VALUE, true},
    {"CSeq 2^31", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 2147483648 INVITE\r\n\r\n", SIP_FAULT_CSEQ, true},
    {"CSeq 2^31-1", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 2147483647 INVITE\r\n\r\n", SIP_FAULT_NONE, false},
    {"CSeq 2^65", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 36893488147419103232 INVITE\r\n\r\n", SIP_FAULT_CSEQ,
     true},
    {"CSeq of another method", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 1 BYE\r\n\r\n", SIP_FAULT_CSEQ, true},
    {"CSeq without a number", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: INVITE\r\n\r\n", SIP_FAULT_CSEQ, true},
    {"CSeq without a method", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 1\r\n\r\n", SIP_FAULT_CSEQ, true},
    {"CSeq glued", M_INVITE M_VIA M_FROM M_TO M_CALL_ID "CSeq: 1INVITE\r\n\r\n", SIP_FAULT_CSEQ, true},
    /* Via */
    {"Via is empty", M_INVITE "Via:\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA, false},
    {"Via of HTTP", M_INVITE "Via: HTTP/1.1/TCP h\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA, false},
    {"Via without a host", M_INVITE "Via: SIP/2.0/UDP ;branch=x\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA,
     false},
    {"Via port 0", M_INVITE "Via: SIP/2.0/UDP h:0\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA, false},
    {"Via bad IPv6", M_INVITE "Via: SIP/2.0/UDP [1:2\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA, false},
    {"Via bad IPv4", M_INVITE "Via: SIP/2.0/UDP 1.2.3.444\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA,
     false},
    {"Via two branches", M_INVITE "Via: SIP/2.0/UDP h;branch=a;branch=b\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VIA, false},
    {"Via ends in a comma", M_INVITE "Via: SIP/2.0/UDP h;branch=a,\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END,
     SIP_FAULT_VIA, false},
    {"Via ends in a semicolon", M_INVITE "Via: SIP/2.0/UDP h;\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, SIP_FAULT_VIA,
     false},
    {"Via without branch, long CSeq",
     M_INVITE "Via: SIP/2.0/UDP h\r\n" M_FROM M_TO M_CALL_ID
              "CSeq: 00000000000000000000000000000000000000000000000000000000000000000001 INVITE\r\n\r\n",
     SIP_FAULT_NONE, false},
    {"bad Via outweighs the rest", M_INVITE "Via: x\r\nNonsense\r\n\r\n", SIP_FAULT_VIA, false},
    /* Content-Length */
    {"length fits", M_ALL "Content-Length: 2\r\n\r\nab", SIP_FAULT_NONE, false},
    {"length with surplus", M_ALL "Content-Length: 2\r\n\r\nabc", SIP_FAULT_NONE, false},
    {"length 0 with a body", M_ALL "Content-Length: 0\r\n\r\nabc", SIP_FAULT_NONE, false},
    {"length beyond", M_ALL "Content-Length: 3\r\n\r\nab", SIP_FAULT_LENGTH, true},
    {"length 2147483640", M_ALL "Content-Length: 2147483640\r\n\r\nab", SIP_FAULT_LENGTH, true},
    {"length 2^64+2", M_ALL "Content-Length: 18446744073709551618\r\n\r\nab", SIP_FAULT_LENGTH, true},
    {"length -1", M_ALL "Content-Length: -1\r\n\r\nab", SIP_FAULT_LENGTH, true},
    {"length empty", M_ALL "Content-Length:\r\n\r\nab", SIP_FAULT_LENGTH, true},
    {"length 2, 2", M_ALL "Content-Length: 2, 2\r\n\r\nab", SIP_FAULT_LENGTH, true},
    /* nobody answers these */
    {"faulty ACK", "ACK sip:b@h SIP/2.0\r\n" M_VIA M_TO M_CALL_ID "CSeq: 7 ACK\r\n\r\n", SIP_FAULT_MISSING, false},
    {"faulty response", "SIP/2.0 200 OK\r\n" M_VIA M_FROM M_CALL_ID M_CSEQ M_END, SIP_FAULT_MISSING, false},
};

static void faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fault_rows / sizeof fault_rows[0]; i++) {
        const struct fault_row *row = &fault_rows[i];
        struct sip_view v;
        bool answerable = true;
        char *data = exact(row->text, strlen(row->text));
        enum sip_fault fault = sip_view_parse(&v, data, strlen(row->text), &answerable);
        if (fault != row->fault || answerable != row->answerable) {
            fail_msg("%s: %s, answerable %d", row->what, sip_fault_name(fault), answerable);
        }
        free(data);
    }
}

static void nul_anywhere_is_a_fault(void **state)
{
    (void)state;
    size_t head = strlen(M_ALL);
    for (size_t at = 0; at < head; at++) {
        struct sip_view v;
        char *data = exact(M_ALL M_END, strlen(M_ALL M_END));
        data[at] = '\0';
        assert_int_not_equal(sip_view_parse(&v, data, strlen(M_ALL M_END), NULL), SIP_FAULT_NONE);
        free(data);
    }
}

static void fields_of_a_request(void **state)
{
    (void)state;
    struct sip_view v;
    char *data = exact(M_PHONE, strlen(M_PHONE));
    assert_int_equal(sip_view_parse(&v, data, strlen(M_PHONE), NULL), SIP_FAULT_NONE);
    assert_true(v.request);
    assert_int_equal(v.method, SIP_INVITE);
    assert_slice(v.method_text, "INVITE");
    assert_slice(v.uri, "sip:8123@10.1.0.1:5060;transport=udp");
    assert_int_equal(v.line_count, 12);
    assert_slice(v.via.transport, "UDP");
    assert_slice(v.via.host, "10.1.0.20");
    assert_int_equal(v.via.port, 5062);
    assert_slice(v.via.branch, "z9hG4bK-524287-1---7d3f1c9a2b4e6f80");
    assert_true(v.via.rport);
    assert_slice(v.via.rport_param, "rport");
    assert_null(v.via.received_param.p);
    assert_false(v.via.more);
    assert_slice(v.from_tag, "5c1f0a7e");
    assert_slice(v.to_tag, "");
    assert_slice(v.call_id, "84711NmQ3YTQ3ZjE2NzY0");
    assert_int_equal(v.cseq, 1);
    assert_int_equal(v.max_forwards, 70);
    assert_int_equal(v.body.n, 128);
    assert_int_equal(v.len, strlen(M_PHONE));
    assert_slice(sip_view_value(&v, SIP_USER_AGENT), "Phone 1.0");
    assert_null(sip_view_value(&v, SIP_ROUTE).p);
    free(data);
}

static void tags_are_looked_for_outside_quotes_and_brackets(void **state)
{
    (void)state;
    struct sip_view v;
    assert_int_equal(sip_view_parse(&v, M_ALL M_END, strlen(M_ALL M_END), NULL), SIP_FAULT_NONE);
    assert_slice(v.from_tag, "a1");
    const char *text =
        "SIP/2.0 180 Ringing there\r\n" M_VIA "f: sip:a@h;tag=f-1\r\n"
        "To: \";tag=1 \\\" <x>\" <sip:b@h;tag=2>;x=\";tag=3\" ; tag = t.4\r\n" M_CALL_ID "CSeq: 9 UPDATE\r\n\r\n";
    assert_int_equal(sip_view_parse(&v, text, strlen(text), NULL), SIP_FAULT_NONE);
    assert_false(v.request);
    assert_int_equal(v.code, 180);
    assert_slice(v.reason, "Ringing there");
    assert_int_equal(v.method, SIP_UPDATE);
    assert_slice(v.from_tag, "f-1");
    assert_slice(v.to_tag, "t.4");
}

/* RFC 4475 §3.1.1.1 in other words: everything that white space and folding may do. */
static void white_space_everywhere(void **state)
{
    (void)state;
    static const char text[] = "INVITE sip:v@example.com;unknown SIP/2.0\r\n"
                               "TO :\r\n sip:v@example.com ;   tag    = 1918181833n\r\n"
                               "from   : \"J R \\\\\\\"\"       <sip:j@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n"
                               "MaX-fOrWaRdS: 0068\r\n"
                               "Call-ID: ws.1@192.0.2.1\r\n"
                               "Content-Length   : 4\r\n"
                               "cseq: 0009\r\n  INVITE\r\n"
                               "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
                               "s :\r\n"
                               "NewFangled:   new\r\n continued\r\n"
                               "Unknown: ;;,,;;,;\r\n"
                               "v:  SIP  / 2.0  / TCP     spindle.example.com : 5061  ;\r\n  branch  =   z9hG4bK9ikj8  "
                               ",\r\n SIP  /    2.0   / "
                               "UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
                               "\r\nabcd";
    struct sip_view v;
    assert_int_equal(sip_view_parse(&v, text, sizeof text - 1, NULL), SIP_FAULT_NONE);
    assert_slice(v.to_tag, "1918181833n");
    assert_slice(v.from_tag, "98asjd8");
    assert_int_equal(v.max_forwards, 68);
    assert_int_equal(v.cseq, 9);
    assert_slice(v.via.host, "192.0.2.2");
    assert_slice(v.via.branch, "390skdjuw");
    assert_slice(v.body, "abcd");
    assert_slice(sip_view_other(&v, SLICE("newfangled")), "new\r\n continued");
    assert_slice(sip_view_other(&v, SLICE("S")), "");
    assert_null(sip_view_other(&v, SLICE("absent")).p);
    assert_int_not_equal(v.first[SIP_VIA], v.last[SIP_VIA]);
    assert_int_equal(v.lines[v.first[SIP_VIA]].next, v.last[SIP_VIA]);
    assert_int_equal(v.lines[v.last[SIP_VIA]].next, SIP_NO_LINE);
}

static void via_values(void **state)
{
    static const struct {
        const char *value;
        const char *host;
        unsigned port;
        const char *branch;
        const char *received;
        const char *all;
        bool rport;
        const char *next; /* NULL: no more */
    } rows[] = {
        {"SIP/2.0/UDP h", "h", 0, "", "", "SIP/2.0/UDP h", false, NULL},
        {"sip/2.0/tls [2001:db8::1]:5061;branch=", "[2001:db8::1]", 5061, "", "",
         "sip/2.0/tls [2001:db8::1]:5061;branch=", false, NULL},
        {"SIP/2.0/WS x.invalid;rport=99;received=::1;branch=b ,  SIP/2.0/TCP z", "x.invalid", 0, "b", "::1",
         "SIP/2.0/WS x.invalid;rport=99;received=::1;branch=b", true, "SIP/2.0/TCP z"},
        {"SIP/2.0/UDP [::ffff:1.2.3.4];x=\",;branch=no\";BRANCH=yes", "[::ffff:1.2.3.4]", 0, "yes", "",
         "SIP/2.0/UDP [::ffff:1.2.3.4];x=\",;branch=no\";BRANCH=yes", false, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        struct sip_view v;
        int n = snprintf(text, sizeof text, M_INVITE "Via: %s\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, rows[i].value);
        assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
        assert_slice(v.via.host, rows[i].host);
        assert_int_equal(v.via.port, rows[i].port);
        assert_slice(v.via.branch, rows[i].branch);
        assert_slice(v.via.received, rows[i].received);
        assert_slice(v.via.all, rows[i].all);
        assert_int_equal(v.via.rport, rows[i].rport);
        assert_int_equal(v.via.more, rows[i].next != NULL);
        if (rows[i].next != NULL) assert_memory_equal(text + v.via.next_value, rows[i].next, strlen(rows[i].next));
    }
}

static void header_names_in_any_case(void **state)
{
    static const struct {
        const char *name;
        enum sip_header id;
    } rows[] = {
        {"Via", SIP_VIA},
        {"v", SIP_VIA},
        {"From", SIP_FROM},
        {"F", SIP_FROM},
        {"To", SIP_TO},
        {"t", SIP_TO},
        {"Call-ID", SIP_CALL_ID},
        {"i", SIP_CALL_ID},
        {"CSeq", SIP_CSEQ},
        {"Max-Forwards", SIP_MAX_FORWARDS},
        {"Route", SIP_ROUTE},
        {"Record-Route", SIP_RECORD_ROUTE},
        {"Contact", SIP_CONTACT},
        {"m", SIP_CONTACT},
        {"Content-Length", SIP_CONTENT_LENGTH},
        {"l", SIP_CONTENT_LENGTH},
        {"Content-Type", SIP_CONTENT_TYPE},
        {"c", SIP_CONTENT_TYPE},
        {"Expires", SIP_EXPIRES},
        {"Min-Expires", SIP_MIN_EXPIRES},
        {"Authorization", SIP_AUTHORIZATION},
        {"Proxy-Authorization", SIP_PROXY_AUTHORIZATION},
        {"WWW-Authenticate", SIP_WWW_AUTHENTICATE},
        {"Proxy-Authenticate", SIP_PROXY_AUTHENTICATE},
        {"Require", SIP_REQUIRE},
        {"Proxy-Require", SIP_PROXY_REQUIRE},
        {"Supported", SIP_SUPPORTED},
        {"k", SIP_SUPPORTED},
        {"Unsupported", SIP_UNSUPPORTED},
        {"Path", SIP_PATH},
        {"Service-Route", SIP_SERVICE_ROUTE},
        {"Reason", SIP_REASON},
        {"Retry-After", SIP_RETRY_AFTER},
        {"P-Asserted-Identity", SIP_ASSERTED_IDENTITY},
        {"P-Preferred-Identity", SIP_PREFERRED_IDENTITY},
        {"Privacy", SIP_PRIVACY},
        {"Session-ID", SIP_SESSION_ID},
        {"Session-Expires", SIP_SESSION_EXPIRES},
        {"x", SIP_SESSION_EXPIRES},
        {"User-Agent", SIP_USER_AGENT},
        {"Server", SIP_SERVER},
        {"Allow", SIP_ALLOW},
        {"RAck", SIP_RACK},
        {"RSeq", SIP_RSEQ},
        {"Diversion", SIP_DIVERSION},
        {"History-Info", SIP_HISTORY_INFO},
        {"Remote-Party-ID", SIP_REMOTE_PARTY_ID},
        {"Replaces", SIP_REPLACES},
        {"Max-Breadth", SIP_MAX_BREADTH},
        {"Subject", SIP_HEADER_OTHER},
        {"Vib", SIP_HEADER_OTHER},
        {"s", SIP_HEADER_OTHER},
        {"Accept", SIP_HEADER_OTHER},
        {"X-A-Name-That-Is-Rather-Long", SIP_HEADER_OTHER},
        {"MSession-Expires", SIP_HEADER_OTHER},
    };
    (void)state;
    bool seen[SIP_HEADER_COUNT] = {false};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned form = 0; form < 3; form++) {
            char text[1024];
            char name[64];
            struct sip_view v;
            (void)snprintf(name, sizeof name, "%s", rows[i].name);
            for (char *p = name; form > 0 && *p != '\0'; p++) {
                if (form == 1 && *p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
                if (form == 2 && *p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
            }
            int n = snprintf(text, sizeof text, M_ALL "%s: 1\r\n\r\n", name);
            (void)sip_view_parse(&v, text, (size_t)n, NULL);
            assert_int_equal(v.line_count, 6);
            if (v.lines[5].id != rows[i].id) fail_msg("%s is %u", name, v.lines[5].id);
            assert_slice(sip_line_value(&v, 5), "1");
            seen[rows[i].id] = true;
        }
    }
    for (unsigned id = 0; id < SIP_HEADER_COUNT; id++)
        assert_true(seen[id]); /* no id without a row */
}

static void every_method_has_its_name(void **state)
{
    (void)state;
    for (unsigned m = 0; m < SIP_METHOD_OTHER; m++) {
        char text[1024];
        struct sip_view v;
        const char *name = sip_method_name((enum sip_method)m);
        int n = snprintf(text, sizeof text, "%s sip:b@h SIP/2.0\r\n" M_VIA M_FROM M_TO M_CALL_ID "CSeq: 1 %s\r\n\r\n",
                         name, name);
        assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
        assert_int_equal(v.method, m);
    }
}

static void every_fault_has_its_name(void **state)
{
    (void)state;
    for (unsigned f = 0; f < SIP_FAULT_COUNT; f++) {
        assert_true(strlen(sip_fault_name((enum sip_fault)f)) > 0);
        for (unsigned g = 0; g < f; g++)
            assert_string_not_equal(sip_fault_name((enum sip_fault)f), sip_fault_name((enum sip_fault)g));
    }
    assert_int_equal(sip_fault_answer(SIP_FAULT_TOO_LARGE), 513);
    assert_int_equal(sip_fault_answer(SIP_FAULT_VERSION), 505);
    assert_int_equal(sip_fault_answer(SIP_FAULT_VIA), 0);
}

/* head, then count times line, then the empty line; parsed. */
static enum sip_fault parse_repeated(const char *head, const char *line, size_t count, const char *tail,
                                     bool *answerable)
{
    struct buf b = {0};
    struct sip_view v;
    buf_text(&b, head);
    for (size_t i = 0; i < count; i++)
        buf_text(&b, line);
    buf_text(&b, tail);
    assert_false(b.failed);
    enum sip_fault fault = sip_view_parse(&v, b.p, b.n, answerable);
    buf_fini(&b);
    return fault;
}

static void caps(void **state)
{
    static const struct {
        const char *what, *head, *piece, *tail;
        size_t fits; /* so many pieces pass, one more does not */
        enum sip_fault fault;
    } rows[] = {
        {"header lines", M_ALL, "X: y\r\n", M_END, SIP_LINES_MAX - 5, SIP_FAULT_TOO_MANY},
        {"Via lines", M_ALL, "Via: SIP/2.0/UDP h\r\n", M_END, SIP_VIAS_MAX - 1, SIP_FAULT_TOO_MANY},
        {"Via values", M_ALL "Via: SIP/2.0/UDP h", ",SIP/2.0/UDP h", "\r\n\r\n", SIP_VIAS_MAX - 2, SIP_FAULT_TOO_MANY},
        {"Via parameters", M_INVITE "Via: SIP/2.0/UDP h", ";a", "\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END, 32,
         SIP_FAULT_VIA},
        {"line", M_ALL "X: ", "y", "\r\n\r\n", SIP_LINE_MAX - 5, SIP_FAULT_LINE_TOO_LONG},
        {"folded line", M_ALL "X: y", "\r\n y", "\r\n\r\n", (SIP_LINE_MAX - 6) / 4, SIP_FAULT_LINE_TOO_LONG},
        {"Call-ID", M_INVITE M_VIA M_FROM M_TO M_CSEQ "Call-ID: ", "c", "\r\n\r\n", SIP_LINE_MAX - 11,
         SIP_FAULT_LINE_TOO_LONG},
        {"branch", M_INVITE "Via: SIP/2.0/UDP h;branch=", "b", "\r\n" M_FROM M_TO M_CALL_ID M_CSEQ M_END,
         SIP_LINE_MAX - 28, SIP_FAULT_VIA},
        {"first line", "INVITE sip:b@h;x=", "y", " SIP/2.0\r\n" M_MUST M_END, SIP_LINE_MAX - 27, SIP_FAULT_FIRST_LINE},
        {"datagram", M_ALL M_END, "b", "", LIMIT_SIP_MESSAGE - sizeof(M_ALL M_END) + 1, SIP_FAULT_TOO_LARGE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum sip_fault fault = parse_repeated(rows[i].head, rows[i].piece, rows[i].fits, rows[i].tail, NULL);
        if (fault != SIP_FAULT_NONE) fail_msg("%s at its cap: %s", rows[i].what, sip_fault_name(fault));
        fault = parse_repeated(rows[i].head, rows[i].piece, rows[i].fits + 1, rows[i].tail, NULL);
        if (fault != rows[i].fault) fail_msg("%s over its cap: %s", rows[i].what, sip_fault_name(fault));
    }
    bool answerable = false;
    assert_int_equal(parse_repeated(M_ALL M_END, "b", 70000, "", &answerable), SIP_FAULT_TOO_LARGE);
    assert_true(answerable);
    assert_int_equal(parse_repeated("X", "b", 70000, "\r\n", &answerable), SIP_FAULT_FIRST_LINE);
}

/* What has left is read again for its ACK and CANCEL: with our lines it may be more than anybody may send. */
static void caps_of_what_is_kept(void **state)
{
    static const struct {
        const char *head, *piece, *tail;
        size_t most; /* so many pieces a message may come with, and so many more may be added */
        size_t ours;
    } rows[] = {
        {M_ALL, "X: y\r\n", M_END, SIP_LINES_MAX - 5, SIP_LINES_OURS},
        {M_ALL, "Via: SIP/2.0/UDP h\r\n", M_END, SIP_VIAS_MAX - 1, SIP_LINES_OURS},
        {M_ALL "Via: SIP/2.0/UDP h;x=", "y", "\r\n" M_END, SIP_LINE_MAX - 23, SIP_LINE_OURS},
        {M_ALL M_END, "b", "", LIMIT_SIP_MESSAGE - sizeof(M_ALL M_END) + 1, LIMIT_SIP_HARD - LIMIT_SIP_MESSAGE},
    };
    static struct sip_view v;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t more = 0; more < 2; more++) {
            struct buf b = {0};
            buf_text(&b, rows[i].head);
            for (size_t n = rows[i].most + rows[i].ours + more; n > 0; n--)
                buf_text(&b, rows[i].piece);
            buf_text(&b, rows[i].tail);
            if ((sip_view_parse_kept(&v, b.p, b.n) == SIP_FAULT_NONE) != (more == 0)) fail_msg("row %zu, %zu", i, more);
            buf_fini(&b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
        cmocka_unit_test(nul_anywhere_is_a_fault),
        cmocka_unit_test(fields_of_a_request),
        cmocka_unit_test(tags_are_looked_for_outside_quotes_and_brackets),
        cmocka_unit_test(white_space_everywhere),
        cmocka_unit_test(via_values),
        cmocka_unit_test(header_names_in_any_case),
        cmocka_unit_test(every_method_has_its_name),
        cmocka_unit_test(every_fault_has_its_name),
        cmocka_unit_test(caps),
        cmocka_unit_test(caps_of_what_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
