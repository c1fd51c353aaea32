/* The registering client without sockets: what each answer, silence and loss leads to, when the next request is due,
 * and what the requests say. Answers come as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/sip/register.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define OURS "<sip:493@10.0.0.1:5060;line=" TOKEN ">"
#define CHALLENGE "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n"

struct rig {
    struct registration r;
    struct mono now;
    uint64_t random;
    bool more_places;
    struct sip_register_answer last;
    struct arena arena;
};

static void rig_open(struct rig *g, uint32_t wanted_s)
{
    *g = (struct rig){.now = {1000000}};
    registration_init(&g->r, wanted_s);
}

static unsigned step(struct rig *g, struct registration_event ev)
{
    ev.now = g->now;
    ev.random = g->random;
    ev.more_places = g->more_places;
    return registration_step(&g->r, &ev);
}

static unsigned event(struct rig *g, enum registration_event_type type)
{
    return step(g, (struct registration_event){.type = type, .words = "no answer to REGISTER"});
}

/* A response with these header lines. */
static unsigned answer(struct rig *g, unsigned code, const char *lines)
{
    static struct sip_view v;
    static char text[4096];
    int n = snprintf(text, sizeof text,
                     "SIP/2.0 %u Words\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=5060\r\n"
                     "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n%s\r\n",
                     code, lines);
    assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
    arena_fini(&g->arena);
    assert_int_equal(sip_register_read(&g->arena, &v, SLICE(TOKEN), g->r.asked_s, &g->last), ERR_OK);
    return step(g, (struct registration_event){.type = REGISTRATION_ANSWER, .answer = &g->last.plain});
}

static void rig_close(struct rig *g)
{
    arena_fini(&g->arena);
}

static uint64_t due_ms(const struct rig *g)
{
    return mono_ms_between(g->now, g->r.due);
}

static void register_it(struct rig *g)
{
    rig_open(g, 600);
    assert_int_equal(event(g, REGISTRATION_START),
                     REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_SEND | REGISTRATION_DO_TELL);
    assert_int_equal(answer(g, 200, "Contact: " OURS ";expires=600\r\n"), REGISTRATION_DO_TELL);
    assert_true(registration_bound(&g->r));
}

/* ---- registered, and refreshed in time ---- */

static void it_is_refreshed_in_time(void **state)
{
    (void)state;
    struct rig g;
    for (uint64_t random = 0; random < 1000000; random += 99991) {
        rig_open(&g, 600);
        g.random = random;
        (void)event(&g, REGISTRATION_START);
        (void)answer(&g, 200, "Contact: " OURS ";expires=600\r\n");
        assert_in_range(due_ms(&g), 300000, 390001);
        rig_close(&g);
    }
    register_it(&g);
    assert_int_equal(event(&g, REGISTRATION_DUE), 0); /* too early */
    g.now = g.r.due;
    assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_SEND);
    assert_int_equal(g.r.state, REGISTRATION_ASKING);
    assert_int_equal(answer(&g, 100, ""), 0);
    assert_int_equal(answer(&g, 200, "Contact: " OURS ";expires=120\r\n"), REGISTRATION_DO_TELL);
    assert_in_range(due_ms(&g), 60000, 78001);
    assert_int_equal(answer(&g, 200, ""), 0); /* comes again: nothing is asked */
    rig_close(&g);
}

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

/* ---- who we are ---- */

static const struct {
    const char *name;
    enum hash_algorithm algorithm;
} algorithms[] = {{"MD5", HASH_MD5}, {"SHA-256", HASH_SHA256}, {"SHA-512-256", HASH_SHA512_256}};

/* Our own server believes what our client says, with each algorithm. */
static void each_algorithm_is_answered(void **state)
{
    static const unsigned char secret[HASH_KEY_LEN] = "secret";
    struct mac *key = mac_new(secret);
    const struct digest_nonces nonces = {.key = key, .realm = SLICE("carrier"), .client = SLICE("c")};
    const struct wall now = {1700000000000};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rig g;
        struct buf lines = {0};
        struct buf out = {0};
        struct digest_offer offer = {{algorithms[i].algorithm}, 1};
        unsigned char ha1[32];
        struct slice parts[] = {SLICE("u1:carrier:secret")};
        struct sip_credentials c;
        rig_open(&g, 600);
        assert_int_equal(digest_challenge(&nonces, &offer, i == 1, false, now, &lines), ERR_OK);
        buf_add(&lines, "", 1);
        (void)event(&g, REGISTRATION_START);
        assert_int_equal(answer(&g, i == 1 ? 407 : 401, lines.p), REGISTRATION_DO_SEND);
        for (uint32_t nc = 1; nc <= 2; nc++) { /* the second time without being asked */
            char wanted[32];
            struct slice name;
            buf_reset(&out);
            assert_int_equal(sip_auth_lines(&g.r.auth, SLICE("u1"), SLICE("secret"), SLICE("REGISTER"),
                                            SLICE("sip:carrier"), SLICE("cn"), &out),
                             ERR_OK);
            struct slice value = slice_trim(slice_cut(buf_view(&out), ':', &name));
            assert_true(slice_is(name, i == 1 ? "Proxy-Authorization" : "Authorization"));
            assert_int_equal(sip_credentials_parse(&g.arena, value, &c), ERR_OK);
            assert_int_equal(hash_parts(algorithms[i].algorithm, parts, 1, ha1), ERR_OK);
            assert_int_equal(digest_verify(&nonces, &c, ha1, SLICE("REGISTER"), now), DIGEST_OK);
            (void)snprintf(wanted, sizeof wanted, "%08x", nc);
            assert_true(slice_is(c.nc, wanted));
        }
        buf_fini(&lines);
        buf_fini(&out);
        rig_close(&g);
    }
    mac_free(key);
}

static void the_first_known_algorithm_is_taken(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    assert_int_equal(answer(&g, 401,
                            "WWW-Authenticate: Digest realm=\"r\", nonce=\"a\", algorithm=SHA-1024, qop=\"auth\"\r\n"
                            "WWW-Authenticate: Digest realm=\"r\", nonce=\"b\", algorithm=SHA-512-256, qop=\"auth\"\r\n"
                            "WWW-Authenticate: Digest realm=\"r\", nonce=\"c\", algorithm=MD5, qop=\"auth\"\r\n"),
                     REGISTRATION_DO_SEND);
    assert_non_null(strstr(g.r.auth.server.text, "SHA-512-256"));
    rig_close(&g);
}

static void a_wrong_password(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_TELL);
    assert_true(g.r.refused);
    assert_string_equal(g.r.reason, "user or password is wrong: 401 Words");
    assert_in_range(due_ms(&g), REGISTRATION_PAUSE_MIN_MS, REGISTRATION_PAUSE_MIN_MS + REGISTRATION_REFUSED_MS);
    /* later it is tried again, and may be right by then */
    g.now = g.r.due;
    assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 200, ""), REGISTRATION_DO_TELL);
    assert_false(g.r.refused);
    rig_close(&g);
}

static void a_nonce_that_is_too_old(void **state)
{
    (void)state;
    struct rig g;
    static const char stale[] =
        "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n2\", algorithm=MD5, qop=\"auth\", stale=true\r\n";
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 401, CHALLENGE);
    assert_int_equal(answer(&g, 401, stale), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 401, stale), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 401, stale) & REGISTRATION_DO_SEND, 0); /* not for ever */
    assert_true(g.r.refused);
    rig_close(&g);
    /* at a refresh the nonce of last time is answered unasked, and its refusal says nothing of the password */
    register_it(&g);
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 200, ""), REGISTRATION_DO_TELL);
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
    rig_close(&g);
}

static void a_challenge_that_nobody_can_answer(void **state)
{
    static const char *const rows[] = {
        "", "WWW-Authenticate: Basic realm=\"x\"\r\n",
        "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=MD5-sess, qop=\"auth\"\r\n",
        "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=MD5, qop=\"auth-int\"\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        (void)event(&g, REGISTRATION_START);
        assert_int_equal(answer(&g, 401, rows[i]) & REGISTRATION_DO_SEND, 0);
        assert_true(g.r.refused);
        assert_non_null(strstr(g.r.reason, "that we do not have"));
        rig_close(&g);
    }
}

/* ---- other answers ---- */

static void too_brief(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 60);
    (void)event(&g, REGISTRATION_START);
    assert_int_equal(answer(&g, 423, "Min-Expires: 900\r\n"), REGISTRATION_DO_SEND);
    assert_int_equal(g.r.asked_s, 900);
    assert_int_equal(answer(&g, 200, ""), REGISTRATION_DO_TELL);
    assert_int_equal(g.r.granted_s, 900);
    g.now = g.r.due; /* it is remembered */
    (void)event(&g, REGISTRATION_DUE);
    assert_int_equal(g.r.asked_s, 900);
    rig_close(&g);
    static const char *const useless[] = {"", "Min-Expires: 30\r\n", "Min-Expires: 4000000000\r\n"};
    for (size_t i = 0; i < 3; i++) {
        rig_open(&g, 60);
        (void)event(&g, REGISTRATION_START);
        assert_int_equal(answer(&g, 423, useless[i]) & REGISTRATION_DO_SEND, 0);
        assert_true(g.r.refused);
        rig_close(&g);
    }
    rig_open(&g, 60);
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 423, "Min-Expires: 900\r\n");
    assert_int_equal(answer(&g, 423, "Min-Expires: 1800\r\n") & REGISTRATION_DO_SEND, 0); /* once in an attempt */
    rig_close(&g);
}

static void redirections(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    for (int i = 0; i < REGISTRATION_REDIRECTS; i++) {
        assert_int_equal(answer(&g, 302, "Contact: <tel:1>, <sip:other.example:5070>\r\n"),
                         REGISTRATION_DO_REDIRECT | REGISTRATION_DO_SEND);
        assert_true(slice_is(g.last.redirect, "sip:other.example:5070"));
    }
    assert_int_equal(answer(&g, 302, "Contact: <sip:other.example>\r\n") & REGISTRATION_DO_SEND, 0);
    assert_true(g.r.refused);
    rig_close(&g);
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    assert_int_equal(answer(&g, 301, "") & REGISTRATION_DO_SEND, 0);
    rig_close(&g);
}

/* code -> another place is asked; refused. */
static void which_answers_are_a_no(void **state)
{
    static const struct {
        unsigned code;
        bool refused;
    } rows[] = {{400, true},  {403, true},  {404, true},  {408, false}, {430, false}, {480, false},
                {500, false}, {503, false}, {504, false}, {600, true},  {603, true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        g.more_places = true;
        (void)event(&g, REGISTRATION_START);
        unsigned bits = answer(&g, rows[i].code, "");
        if (g.r.refused != rows[i].refused) fail_msg("%u", rows[i].code);
        if ((bits & REGISTRATION_DO_NEXT_PLACE) != (rows[i].refused ? 0 : REGISTRATION_DO_NEXT_PLACE))
            fail_msg("%u", rows[i].code);
        rig_close(&g);
    }
}

static void a_no_ends_what_there_was(void **state)
{
    (void)state;
    struct rig g;
    register_it(&g);
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    (void)answer(&g, 403, "");
    assert_false(registration_bound(&g.r));
    assert_string_equal(g.r.reason, "403 Words");
    rig_close(&g);
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 503, "Retry-After: 120 (busy)\r\n");
    assert_in_range(due_ms(&g), 120000, 132001);
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    (void)answer(&g, 503, "Retry-After: 99999999\r\n");
    assert_in_range(due_ms(&g), 3600000, 3960001);
    rig_close(&g);
}

/* ---- silence ---- */

static void it_never_gives_up(void **state)
{
    (void)state;
    struct rig g;
    uint64_t longest = 0;
    uint64_t shortest = UINT64_MAX;
    struct rng {
        uint64_t x;
    } rng = {88172645463325252u};
    rig_open(&g, 600);
    (void)event(&g, REGISTRATION_START);
    for (int i = 0; i < 2000; i++) {
        rng.x ^= rng.x << 13;
        rng.x ^= rng.x >> 7;
        rng.x ^= rng.x << 17;
        g.random = rng.x;
        unsigned bits = event(&g, i % 2 == 0 ? REGISTRATION_SILENCE : REGISTRATION_UNREACHABLE);
        assert_int_equal(bits, REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_TELL);
        uint64_t ms = due_ms(&g);
        if (i == 0) assert_in_range(ms, REGISTRATION_PAUSE_MIN_MS, REGISTRATION_PAUSE_MIN_MS + REGISTRATION_PAUSE_MS);
        if (i > 10 && ms > longest) longest = ms;
        if (i > 10 && ms < shortest) shortest = ms;
        g.now = g.r.due;
        assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_SEND);
    }
    /* full jitter: from nearly nothing to the cap, and never above it */
    assert_in_range(longest, REGISTRATION_PAUSE_MAX_MS * 9 / 10, REGISTRATION_PAUSE_MAX_MS + REGISTRATION_PAUSE_MIN_MS);
    assert_in_range(shortest, REGISTRATION_PAUSE_MIN_MS, REGISTRATION_PAUSE_MAX_MS / 10);
    assert_string_equal(g.r.reason, "no answer to REGISTER");
    rig_close(&g);
}

static void other_places_are_asked_first(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, 600);
    g.more_places = true;
    (void)event(&g, REGISTRATION_START);
    unsigned next = REGISTRATION_DO_NEXT_PLACE | REGISTRATION_DO_SEND | REGISTRATION_DO_TELL;
    assert_int_equal(event(&g, REGISTRATION_SILENCE), next);
    assert_int_equal(event(&g, REGISTRATION_UNREACHABLE), next);
    g.more_places = false;
    assert_int_equal(event(&g, REGISTRATION_SILENCE), REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_TELL);
    rig_close(&g);
}

/* A refresh that fails leaves the binding until its time is up; then people are told. */
static void a_failed_refresh(void **state)
{
    (void)state;
    struct rig g;
    register_it(&g);
    struct mono end = g.r.bound_until;
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    (void)event(&g, REGISTRATION_SILENCE);
    assert_true(registration_bound(&g.r));
    while (g.now.us < end.us) {
        g.now = registration_deadline(&g.r);
        unsigned bits = event(&g, REGISTRATION_DUE);
        if (g.now.us >= end.us) assert_int_equal(bits & REGISTRATION_DO_TELL, REGISTRATION_DO_TELL);
        if (bits & REGISTRATION_DO_SEND) (void)event(&g, REGISTRATION_SILENCE);
    }
    assert_false(registration_bound(&g.r));
    rig_close(&g);
}

static void a_lost_connection_is_made_again_soon(void **state)
{
    (void)state;
    struct rig g;
    register_it(&g);
    g.random = 12345;
    assert_int_equal(event(&g, REGISTRATION_FLOW_LOST), REGISTRATION_DO_TELL);
    assert_in_range(due_ms(&g), REGISTRATION_PAUSE_MIN_MS, REGISTRATION_PAUSE_MIN_MS + REGISTRATION_FLOW_MS);
    g.now = g.r.due;
    assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_SEND);
    rig_close(&g);
}

/* ---- the end ---- */

static void it_is_given_back(void **state)
{
    (void)state;
    struct rig g;
    register_it(&g);
    assert_int_equal(event(&g, REGISTRATION_STOP), REGISTRATION_DO_SEND | REGISTRATION_DO_TELL);
    assert_int_equal(g.r.asked_s, 0);
    assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
    assert_int_equal(answer(&g, 200, ""), REGISTRATION_DO_TELL | REGISTRATION_DO_END);
    assert_int_equal(g.r.state, REGISTRATION_OFF);
    assert_int_equal(registration_deadline(&g.r).us, UINT64_MAX);
    /* and taken again */
    assert_int_equal(event(&g, REGISTRATION_START),
                     REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_SEND | REGISTRATION_DO_TELL);
    assert_int_equal(g.r.asked_s, 600);
    rig_close(&g);
}

static void giving_back_ends_in_any_case(void **state)
{
    (void)state;
    struct rig g;
    unsigned end = REGISTRATION_DO_TELL | REGISTRATION_DO_END;
    register_it(&g);
    (void)event(&g, REGISTRATION_STOP);
    assert_int_equal(event(&g, REGISTRATION_SILENCE), end);
    rig_close(&g);
    register_it(&g);
    (void)event(&g, REGISTRATION_STOP);
    g.now = registration_deadline(&g.r);
    assert_int_equal(event(&g, REGISTRATION_DUE), end);
    rig_close(&g);
    register_it(&g);
    (void)event(&g, REGISTRATION_STOP);
    assert_int_equal(answer(&g, 500, ""), end);
    rig_close(&g);
    rig_open(&g, 600);
    assert_int_equal(event(&g, REGISTRATION_STOP), 0);
    (void)event(&g, REGISTRATION_START);
    (void)answer(&g, 403, "");
    assert_int_equal(event(&g, REGISTRATION_STOP), end); /* nothing is there to be given back */
    rig_close(&g);
}

/* RFC 3261 §10.2: no second request before the first has its end. */
static void what_is_under_way_is_waited_for(void **state)
{
    static const struct {
        unsigned code; /* 0: no answer */
        bool was_bound;
        bool given_back; /* else nothing was ever bound */
    } rows[] = {{200, false, true}, {200, true, true}, {0, false, true},    {0, true, true},   {401, false, false},
                {401, true, true},  {403, true, true}, {403, false, false}, {302, true, true}, {503, false, false}};
    unsigned send = REGISTRATION_DO_SEND | REGISTRATION_DO_TELL;
    unsigned end = REGISTRATION_DO_TELL | REGISTRATION_DO_END;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        (void)event(&g, REGISTRATION_START);
        if (rows[i].was_bound) {
            (void)answer(&g, 200, "");
            g.now = g.r.due;
            (void)event(&g, REGISTRATION_DUE);
        }
        assert_int_equal(event(&g, REGISTRATION_STOP), 0);
        assert_int_equal(event(&g, REGISTRATION_STOP), 0);
        assert_int_equal(event(&g, REGISTRATION_DUE), 0);
        assert_int_equal(answer(&g, 100, ""), 0);
        assert_int_equal(g.r.asked_s, 600);
        unsigned bits = rows[i].code == 0 ? event(&g, REGISTRATION_SILENCE) : answer(&g, rows[i].code, "");
        if (bits != (rows[i].given_back ? send : end)) fail_msg("row %zu: %u", i, bits);
        if (rows[i].given_back) {
            assert_int_equal(g.r.asked_s, 0);
            assert_false(registration_bound(&g.r));
            assert_int_equal(answer(&g, 401, CHALLENGE), REGISTRATION_DO_SEND);
            assert_int_equal(answer(&g, 200, ""), end);
        }
        rig_close(&g);
    }
}

static void and_not_for_ever(void **state)
{
    (void)state;
    struct rig g;
    register_it(&g);
    g.now = g.r.due;
    (void)event(&g, REGISTRATION_DUE);
    g.now = (struct mono){g.r.bound_until.us - 1000}; /* it ends meanwhile */
    assert_int_equal(event(&g, REGISTRATION_STOP), 0);
    g.now = registration_deadline(&g.r);
    assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_TELL);
    g.now = registration_deadline(&g.r);
    assert_int_equal(event(&g, REGISTRATION_DUE), REGISTRATION_DO_SEND | REGISTRATION_DO_TELL);
    assert_int_equal(g.r.asked_s, 0);
    assert_in_range(due_ms(&g), 1, REGISTRATION_LEAVE_MS);
    rig_close(&g);
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
        cmocka_unit_test(it_is_refreshed_in_time),
        cmocka_unit_test(what_is_granted),
        cmocka_unit_test(service_routes_are_kept),
        cmocka_unit_test(the_proxy_next_to_us_is_the_last_of_the_path),
        cmocka_unit_test(each_algorithm_is_answered),
        cmocka_unit_test(the_first_known_algorithm_is_taken),
        cmocka_unit_test(a_wrong_password),
        cmocka_unit_test(a_nonce_that_is_too_old),
        cmocka_unit_test(a_challenge_that_nobody_can_answer),
        cmocka_unit_test(too_brief),
        cmocka_unit_test(redirections),
        cmocka_unit_test(which_answers_are_a_no),
        cmocka_unit_test(a_no_ends_what_there_was),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(it_never_gives_up),
        cmocka_unit_test(other_places_are_asked_first),
        cmocka_unit_test(a_failed_refresh),
        cmocka_unit_test(a_lost_connection_is_made_again_soon),
        cmocka_unit_test(it_is_given_back),
        cmocka_unit_test(giving_back_ends_in_any_case),
        cmocka_unit_test(what_is_under_way_is_waited_for),
        cmocka_unit_test(and_not_for_ever),
        cmocka_unit_test(the_request),
        cmocka_unit_test(a_nat_is_seen),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
