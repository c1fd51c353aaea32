/* bench_sip: what the pure SIP functions cost on one core: "group name value unit" lines. Each figure is the best of
 * several rounds, since the machine is shared. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/sip/cookie.h"
#include "node/sip/digest.h"
#include "node/sip/edit.h"

#define ROUNDS 9
#define ROUND_NS 15000000.0

static const char invite[] = "INVITE sip:8123@10.1.0.1:5060;transport=udp SIP/2.0\r\n"
                             "Via: SIP/2.0/UDP 10.1.0.20:5062;branch=z9hG4bK-524287-1---7d3f1c9a2b4e6f80;rport\r\n"
                             "Max-Forwards: 70\r\n"
                             "Contact: <sip:6001@10.1.0.20:5062;transport=udp;ob>\r\n"
                             "To: <sip:8123@example.org>\r\n"
                             "From: \"Front Desk\" <sip:6001@example.org>;tag=5c1f0a7e\r\n"
                             "Call-ID: 84711NmQ3YTQ3ZjE2NzY0\r\n"
                             "CSeq: 1 INVITE\r\n"
                             "Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE\r\n"
                             "Content-Type: application/sdp\r\n"
                             "Supported: replaces, outbound, 100rel, timer\r\n"
                             "User-Agent: Phone 1.0\r\n"
                             "Content-Length: 128\r\n"
                             "\r\n"
                             "v=0\r\no=- 1 1 IN IP4 10.1.0.20\r\ns=-\r\nc=IN IP4 10.1.0.20\r\nt=0 0\r\n"
                             "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

struct fixture {
    struct sip_view view;
    struct sip_edits edits;
    struct arena arena;
    struct buf out;
    struct buf via;
    struct mac *key;
    struct digest_nonces nonces;
    struct sip_credentials credentials[2]; /* SHA-256, MD5 */
    unsigned char ha1[32];
    char cookie[SIP_COOKIE_TEXT];
    char nonce[64];
    struct buf worst;   /* the largest message that is accepted, with what is dearest to read */
    struct buf refused; /* the same, with a fault at its end */
    uint64_t sum;       /* keeps the compiler honest */
};

static const struct wall now = {1790000000000};

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void view_parse(struct fixture *f)
{
    f->sum += sip_view_parse(&f->view, invite, sizeof invite - 1, NULL);
}

/* As much as a message may hold: 16 KB in 128 lines, 64 Vias, a URI of 32 parameters with escapes, which two readers
 * take apart. */
static void make_worst(struct fixture *f)
{
    struct buf *b = &f->worst;
    buf_text(b, "INVITE sip:%38123@10.1.0.1:5060");
    for (unsigned i = 0; i < SIP_PARAMS_MAX; i++)
        buf_printf(b, ";p%u=%%4%c%s", i, 'a' + (char)(i % 6), "0123456789abcdef0123456789abcdef");
    buf_text(b, " SIP/2.0\r\n");
    for (unsigned i = 0; i < SIP_VIAS_MAX; i++)
        buf_printf(b, "Via: SIP/2.0/UDP 10.1.0.20:5062;branch=z9hG4bK-524287-1---7d3f1c9a2b4e6f%u;rport;x=1\r\n", i);
    buf_text(b, "From: <sip:6001@example.org>;tag=a\r\nTo: <sip:8123@example.org>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n");
    for (unsigned lines = SIP_VIAS_MAX + 4; lines < SIP_LINES_MAX; lines++)
        buf_printf(b, "X-Filler-%u: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n", lines);
    size_t head = b->n;
    if (b->failed || head + 2 > LIMIT_SIP_MESSAGE) abort();
    buf_slice(&f->refused, buf_view(b));
    buf_text(&f->refused, "Content-Length: 1\r\n\r\n"); /* one line too many */
    buf_text(b, "\r\n");
    while (b->n < LIMIT_SIP_MESSAGE)
        buf_text(b, ".");
    if (b->failed || f->refused.failed) abort();
}

static void worst_accepted(struct fixture *f)
{
    struct sip_view *v = &f->view;
    struct sip_uri uri;
    if (sip_view_parse(v, f->worst.p, f->worst.n, NULL) != SIP_FAULT_NONE) abort();
    if (sip_uri_parse(&f->arena, v->uri, &uri) != ERR_OK || uri.param_count != SIP_PARAMS_MAX) abort();
    f->sum += uri.param_count;
}

static void refused(struct fixture *f)
{
    bool answerable = false;
    struct sip_view *v = &f->view;
    if (sip_view_parse(v, f->refused.p, f->refused.n, &answerable) != SIP_FAULT_TOO_MANY || !answerable) abort();
    buf_reset(&f->out);
    if (sip_response_build(v, 400, SLICE(""), SLICE("t"), SLICE("10.1.0.20"), 5062, SLICE(""), &f->out) != ERR_OK)
        abort();
    f->sum += f->out.n;
}

/* What a proxy notes for an INVITE that it forwards. */
static void edit_forward(struct fixture *f)
{
    struct sip_edits *e = &f->edits;
    sip_edits_init(e, &f->view);
    buf_reset(&f->out);
    buf_reset(&f->via);
    sip_via_with_received(&f->view, SLICE("10.1.0.20"), 5062, &f->via);
    sip_edit_replace(e, f->view.uri, SLICE("sip:34020000001320000123@10.2.0.20:5060"));
    sip_edit_insert_before(e, SIP_VIA, SLICE("Via: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bK0123456789abcdef\r\n"));
    sip_edit_replace(e, f->view.via.all, buf_view(&f->via));
    sip_edit_replace(e, sip_view_value(&f->view, SIP_MAX_FORWARDS), SLICE("69"));
    sip_edit_append(e, SLICE("Record-Route: <sip:10.1.0.1:5060;lr;ck=0123456789abcdef01234567>\r\n"));
    sip_edit_append(e,
                    SLICE("Session-ID: 0123456789abcdef0123456789abcdef;remote=00000000000000000000000000000000\r\n"));
    if (sip_edit_apply(e, &f->out) != ERR_OK) abort();
    f->sum += f->out.n;
}

static void response(struct fixture *f)
{
    buf_reset(&f->out);
    if (sip_response_build(&f->view, 100, SLICE_NONE, SLICE_NONE, SLICE("10.1.0.20"), 5062, SLICE_NONE, &f->out) !=
        ERR_OK)
        abort();
    f->sum += f->out.n;
}

static void uri_parse(struct fixture *f)
{
    struct sip_uri uri;
    if (sip_uri_parse(&f->arena, f->view.uri, &uri) != ERR_OK) abort();
    f->sum += uri.param_count;
}

static void name_addr_parse(struct fixture *f)
{
    struct sip_name_addr a;
    if (sip_name_addr_parse(&f->arena, sip_view_value(&f->view, SIP_CONTACT), &a) != ERR_OK) abort();
    f->sum += a.param_count;
}

static void credentials_parse(struct fixture *f)
{
    struct sip_credentials c;
    if (sip_credentials_parse(
            &f->arena,
            SLICE("Digest username=\"6001\", realm=\"example.org\", nonce=\"0123456789abcdef0123456789abcdef\", "
                  "uri=\"sip:example.org\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5, "
                  "cnonce=\"c0ffee\", qop=auth, nc=00000001"),
            &c) != ERR_OK)
        abort();
    f->sum += c.nc.n;
}

static void digest_sha256(struct fixture *f)
{
    f->sum += digest_verify(&f->nonces, &f->credentials[0], f->ha1, SLICE("REGISTER"), now);
}

static void digest_md5(struct fixture *f)
{
    f->sum += digest_verify(&f->nonces, &f->credentials[1], f->ha1, SLICE("REGISTER"), now);
}

static void challenge(struct fixture *f)
{
    struct digest_offer offer = digest_offer_all();
    buf_reset(&f->out);
    if (digest_challenge(&f->nonces, &offer, false, false, now, &f->out) != ERR_OK) abort();
}

static void cookie(struct fixture *f)
{
    f->sum += sip_dialog_cookie_ok(f->key, slice_of(f->cookie), f->view.call_id, f->view.from_tag, SLICE_NONE, 0);
}

static void prepare(struct fixture *f)
{
    static const unsigned char secret[HASH_KEY_LEN] = "bench";
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    f->key = mac_new(secret);
    f->nonces = (struct digest_nonces){.key = f->key, .realm = SLICE("example.org"), .client = SLICE("192.0.2.7")};
    if (f->key == NULL || sip_view_parse(&f->view, invite, sizeof invite - 1, NULL) != SIP_FAULT_NONE) abort();
    if (sip_dialog_cookie(f->key, f->view.call_id, f->view.from_tag, 0, f->cookie) != ERR_OK) abort();
    challenge(f);
    const char *nonce = strstr(f->out.p, "nonce=\"") + 7;
    (void)snprintf(f->nonce, sizeof f->nonce, "%.*s", (int)strcspn(nonce, "\""), nonce);
    /* A wrong response costs what a right one does. */
    for (unsigned i = 0; i < 2; i++) {
        f->credentials[i] = (struct sip_credentials){
            .username = SLICE("6001"),
            .realm = SLICE("example.org"),
            .nonce = slice_of(f->nonce),
            .uri = SLICE("sip:example.org"),
            .response = {zeros, i == 0 ? 64 : 32},
            .algorithm = i == 0 ? SLICE("SHA-256") : SLICE("MD5"),
            .cnonce = SLICE("c0ffee"),
            .qop = SLICE("auth"),
            .nc = SLICE("00000001"),
        };
        if (digest_verify(&f->nonces, &f->credentials[i], f->ha1, SLICE("REGISTER"), now) != DIGEST_WRONG) abort();
    }
}

static void measure(struct fixture *f, const char *name, void (*run)(struct fixture *))
{
    double best = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = 0;
        double start = now_ns();
        double spent = 0;
        while (spent < ROUND_NS) {
            for (unsigned i = 0; i < 1000; i++)
                run(f);
            arena_fini(&f->arena);
            count += 1000;
            spent = now_ns() - start;
        }
        double each = spent / (double)count;
        if (round == 0 || each < best) best = each;
    }
    (void)printf("sip %s %.0f ns\n", name, best);
}

int main(void)
{
    static struct fixture f;
    sip_library_init();
    prepare(&f);
    measure(&f, "view_parse_invite", view_parse);
    measure(&f, "edit_forward", edit_forward);
    measure(&f, "response_100", response);
    measure(&f, "uri_parse", uri_parse);
    measure(&f, "name_addr_parse", name_addr_parse);
    measure(&f, "credentials_parse", credentials_parse);
    measure(&f, "dialog_cookie_check", cookie);
    measure(&f, "digest_challenge", challenge);
    measure(&f, "digest_verify_sha256", digest_sha256);
    measure(&f, "digest_verify_md5", digest_md5);
    make_worst(&f); /* last: the view is of these messages from here on */
    measure(&f, "worst_message_accepted", worst_accepted);
    measure(&f, "worst_message_refused", refused);
    mac_free(f.key);
    buf_fini(&f.out);
    buf_fini(&f.via);
    buf_fini(&f.worst);
    buf_fini(&f.refused);
    return f.sum == 0; /* never */
}
