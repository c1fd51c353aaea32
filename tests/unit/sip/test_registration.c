/* The registering client without sockets: what each answer, silence and loss leads to, and when the next request is
 * due. What the messages say: test_register.c. */
#include "registration_kit.h"

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

/* When to come back is what the place says that can be asked first; the others are passed over until then. */
static void who_is_back_first_is_waited_for(void **state)
{
    static const struct {
        const char *first; /* NULL: silence */
        const char *second;
        uint32_t rest_s; /* instead of an answer of the second: it rests so long yet */
        uint64_t least_ms;
        uint64_t most_ms;
    } cases[] = {
        {"Retry-After: 60\r\n", "Retry-After: 20\r\n", 0, 20000, 22001},
        {"Retry-After: 20\r\n", "Retry-After: 3000\r\n", 0, 20000, 22001},
        {NULL, "Retry-After: 60\r\n", 0, 0, 10000},
        {"Retry-After: 60\r\n", "", 0, 0, 10000},
        {"Retry-After: 60\r\n", NULL, 30, 30000, 33001},
        {NULL, NULL, 30, 0, 10000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig g;
        rig_open(&g, 600);
        g.random = 7919;
        (void)event(&g, REGISTRATION_START);
        g.more_places = true;
        (void)(cases[i].first != NULL ? answer(&g, 503, cases[i].first) : event(&g, REGISTRATION_SILENCE));
        g.more_places = false;
        if (cases[i].second != NULL) {
            (void)answer(&g, 503, cases[i].second);
        } else {
            (void)step(&g, (struct registration_event){
                               .type = REGISTRATION_UNREACHABLE, .words = "rests", .rest_s = cases[i].rest_s});
        }
        assert_in_range(due_ms(&g), cases[i].least_ms, cases[i].most_ms);
        rig_close(&g);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_refreshed_in_time),
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
        cmocka_unit_test(who_is_back_first_is_waited_for),
        cmocka_unit_test(a_failed_refresh),
        cmocka_unit_test(a_lost_connection_is_made_again_soon),
        cmocka_unit_test(it_is_given_back),
        cmocka_unit_test(giving_back_ends_in_any_case),
        cmocka_unit_test(what_is_under_way_is_waited_for),
        cmocka_unit_test(and_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
