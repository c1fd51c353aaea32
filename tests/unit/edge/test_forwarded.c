/* What a proxy does not have to change passes unchanged: messages by chance, through a whole edge in both directions,
 * are the same lines in the same order at the other side, byte for byte, but for those that RFC 3261 §16.6 names. */
#include "call_kit.h"

#include "node/base/rng.h"

#define ROUNDS 240

static struct rng rng;

static unsigned below(unsigned n)
{
    return (unsigned)rng_below(&rng, n);
}

/* Lines of all kinds: compact and odd names, folds, lists, quotes, bytes beyond ASCII, empty values. */
static const char *const lines[] = {
    "Subject: a, b; c \"d\r\n",
    "s:\r\n",
    "Supported: 100rel, replaces\r\n",
    "k: path\r\n",
    "Contact: <sip:ua@192.0.2.7:5062;ob>;+sip.instance=\"<urn:uuid:0000-1>\"\r\n",
    "m: \"Tor \\\"1\\\"\" <sip:tor@192.0.2.8>, <sip:tor@192.0.2.9>;q=0.1\r\n",
    "User-Agent: Phone\r\n\t 1.0 (folded)\r\n",
    "X-Empty:\r\n",
    "x-mixed-Case   :   spaced   \r\n",
    "X-Utf: \xc3\xbcml\xc3\xa4ut \xff\r\n",
    "Accept: application/sdp;level=1, */*;q=0.1\r\n",
    "Allow: INVITE, ACK, CANCEL\r\n",
    "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n",
    "Alert-Info: <http://h/sound.wav>\r\n",
    "Call-Info: <http://h/a,b;c?d=\"e\">;purpose=icon,\r\n <http://h/x>\r\n",
    "Content-Type: multipart/mixed;boundary=\"'\"\r\n",
    "c: text/plain\r\n",
    "Date2: x\r\n",
    "Reply-To: sip:bob@h\r\n",
    "Replaces: 1@h;to-tag=a;from-tag=b\r\n",
    "Join: 1@h;to-tag=a;from-tag=b\r\n",
    "Refer-To: <sip:x@h?Replaces=1%40h%3Bto-tag%3Da>\r\n",
    "Geolocation: <cid:1@h>\r\n",
    "Warning: 307 isi.edu \"Session parameter 'foo' not understood\"\r\n",
    "Event: presence;id=7\r\n",
    "Content-Disposition: session;handling=optional\r\n",
    "Server: x\r\n",
    "Error-Info: <sip:not-in-service@h>\r\n",
    "Retry-After: 18000;duration=3600 (in a meeting)\r\n",
    "RSeq: 988789\r\n",
    "Via-Not: SIP/2.0/UDP h\r\n",
    "Session-ID: 00112233445566778899aabbccddeeff;remote=00000000000000000000000000000000\r\n",
    "P-Access-Network-Info: IEEE-802.11\r\n",
};
#define LINE_COUNT (sizeof lines / sizeof lines[0])

static void add_lines(struct buf *b, unsigned most)
{
    for (unsigned n = below(most); n > 0; n--)
        buf_text(b, lines[below(LINE_COUNT)]);
}

static void add_body(struct buf *b)
{
    char body[64];
    size_t n = below(sizeof body);
    for (size_t i = 0; i < n; i++)
        body[i] = (char)below(256);
    buf_printf(b, "%s: %zu\r\n\r\n", below(2) ? "Content-Length" : "l", n);
    buf_add(b, body, n);
}

/* Whether a line may differ, or be there on one side only. */
static bool is_ours(const struct sip_view *v, unsigned line, bool request)
{
    unsigned id = v->lines[line].id;
    return id == SIP_VIA || (request && (id == SIP_MAX_FORWARDS || id == SIP_RECORD_ROUTE || id == SIP_SESSION_ID ||
                                         id == SIP_MAX_BREADTH));
}

static unsigned next_line(const struct sip_view *v, unsigned line, bool request)
{
    while (line < v->line_count && is_ours(v, line, request))
        line++;
    return line;
}

static void compare(const struct sip_view *sent, const struct sip_view *got)
{
    unsigned i = 0;
    unsigned k = 0;
    bool request = sent->request;
    for (;; i++, k++) {
        i = next_line(sent, i, request);
        k = next_line(got, k, request);
        if (i == sent->line_count || k == got->line_count) break;
        struct slice was = {sent->data + sent->lines[i].start, (size_t)(sent->lines[i].end - sent->lines[i].start)};
        struct slice is = {got->data + got->lines[k].start, (size_t)(got->lines[k].end - got->lines[k].start)};
        if (!slice_eq(was, is)) fail_msg("sent: %.*sgot:  %.*s", SLICE_ARG(was), SLICE_ARG(is));
    }
    if (i != sent->line_count || k != got->line_count) fail_msg("lines are missing or too many:\n%s", got->data);
    assert_true(slice_eq(sent->body, got->body));
    assert_true(slice_eq(sent->reason, got->reason));
}

/* The Vias below the topmost one. */
static void compare_vias(const struct sip_view *longer, const struct sip_view *shorter)
{
    unsigned k = shorter->first[SIP_VIA];
    for (unsigned i = longer->lines[longer->first[SIP_VIA]].next; i != SIP_NO_LINE; i = longer->lines[i].next) {
        assert_int_not_equal(k, SIP_NO_LINE);
        struct slice sent = sip_line_value(shorter, k);
        struct slice got = sip_line_value(longer, i);
        /* the caller's own is filled in: rport=, received= */
        if (k != shorter->first[SIP_VIA]) assert_true(slice_eq(sent, got));
        k = shorter->lines[k].next;
    }
    assert_int_equal(k, SIP_NO_LINE);
}

static void one_round(struct world *w, unsigned round)
{
    static const char *const methods[] = {"MESSAGE", "INFO", "OPTIONS", "PUBLISH", "NEWMETHOD", "INVITE"};
    const char *method = methods[below(6)];
    struct sip_view sent;
    struct buf b = {0};
    char mine[64];
    (void)snprintf(mine, sizeof mine, "call-%u", round);
    buf_printf(&b, "%s sip:8123@127.0.0.1:%u SIP/2.0\r\n", method, w->n.port);
    add_lines(&b, 4);
    buf_printf(&b, "%s: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%u;rport\r\n", below(2) ? "Via" : "v", w->a.port, round);
    if (below(2)) buf_text(&b, "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx,\r\n SIP/2.0/UDP 192.0.2.2\r\n");
    add_lines(&b, 8);
    buf_text(&b, "From: " CALLER "\r\n");
    if (below(2)) buf_text(&b, "Max-Forwards: 12\r\n");
    buf_printf(&b, "t: \"x, y\" <sip:8123@example.org>\r\n%s: %s\r\nCSeq: 1 %s\r\n", below(2) ? "i" : "Call-ID", mine,
               method);
    if (below(3) == 0) buf_text(&b, "Record-Route: <sip:192.0.2.5;lr>\r\n");
    add_lines(&b, 12);
    add_body(&b);
    assert_false(b.failed);
    assert_int_equal(sip_view_parse(&sent, b.p, b.n, NULL), SIP_FAULT_NONE);
    ua_send_bytes(&w->a, w->n.port, b.p, b.n);
    ua_expect(&w->k, &w->b, method);
    compare(&sent, &w->b.v);
    compare_vias(&w->b.v, &sent);

    struct buf reply = {0};
    struct sip_view answered;
    bool invite = w->b.v.method == SIP_INVITE;
    unsigned code = invite ? 486 : 200;
    buf_reset(&b);
    buf_printf(&b, "SIP/2.0 %u What the \xc3\xb6ther said\r\n", code);
    add_lines(&b, 4);
    for (unsigned i = w->b.v.first[SIP_VIA]; i != SIP_NO_LINE; i = w->b.v.lines[i].next)
        buf_printf(&b, "Via: %.*s\r\n", SLICE_ARG(sip_line_value(&w->b.v, i)));
    buf_printf(&b, "From: " CALLER "\r\nTo: " CALLEE "\r\n");
    add_lines(&b, 8);
    buf_printf(&b, "Call-ID: %s\r\nCSeq: 1 %s\r\n", mine, method);
    add_lines(&b, 8);
    add_body(&b);
    buf_slice(&reply, buf_view(&b));
    assert_int_equal(sip_view_parse(&answered, reply.p, reply.n, NULL), SIP_FAULT_NONE);
    ua_send_bytes(&w->b, w->n.port, reply.p, reply.n);
    ua_expect_code(&w->k, &w->a, code);
    compare(&answered, &w->a.v);
    if (invite) {
        ua_expect(&w->k, &w->b, "ACK");
        char branch[16];
        (void)snprintf(branch, sizeof branch, "%u", round);
        uint64_t before = kit_count(&w->n, "edge", "acks_absorbed");
        ua_request(&w->a, &w->n, &(struct request){.method = "ACK", .branch = branch, .call_id = mine, .to = CALLEE});
        kit_until(&w->k, kit_count(&w->n, "edge", "acks_absorbed") == before + 1);
    }
    buf_fini(&b);
    buf_fini(&reply);
}

static void nothing_else_changes(void **state)
{
    const char *seed = getenv("KIT_SEED");
    uint64_t n = seed != NULL ? strtoull(seed, NULL, 10) : 20261129;
    rng_init(&rng, n);
    print_message("seed %llu (KIT_SEED)\n", (unsigned long long)n);
    for (unsigned round = 0; round < ROUNDS; round++)
        one_round(*state, round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(nothing_else_changes, world_open, world_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
