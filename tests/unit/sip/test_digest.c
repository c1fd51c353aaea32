/* Digest authentication: published examples, a whole exchange per algorithm, and each way to be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/sip/digest.h"

static const unsigned char secret[HASH_KEY_LEN] = "a key of thirty-two bytes ......";
static const struct wall now = {1790000000000};

/* RFC 7616 §3.9.1 (MD5 and SHA-256), and the same identity for the other forms. */
static void published_examples(void **state)
{
    static const struct {
        const char *algorithm, *qop, *response;
    } rows[] = {
        {", algorithm=MD5", ", qop=\"auth, auth-int\"", "8ca523f5e9506fed4657c9700eebdbec"},
        {"", ", qop=\"auth\"", "8ca523f5e9506fed4657c9700eebdbec"},
        {", algorithm=SHA-256", ", qop=\"auth-int,auth\"",
         "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
        {", algorithm=SHA-512-256", ", qop=\"auth\"",
         "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0"},
        {", algorithm=md5", "", "7b2cc3b30e75b4777ea31027084363fd"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct buf out = {0};
        struct sip_credentials c;
        char challenge[1024];
        (void)snprintf(
            challenge, sizeof challenge,
            "Digest realm=\"http-auth@example.org\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
            "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"%s%s",
            rows[i].algorithm, rows[i].qop);
        assert_int_equal(digest_answer(&arena, slice_of(challenge), SLICE("Mufasa"), SLICE("Circle of Life"),
                                       SLICE("GET"), SLICE("/dir/index.html"),
                                       SLICE("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"), 1, &out),
                         ERR_OK);
        assert_int_equal(sip_credentials_parse(&arena, buf_view(&out), &c), ERR_OK);
        if (!slice_is(c.response, rows[i].response)) fail_msg("%zu: %.*s", i, SLICE_ARG(c.response));
        assert_true(slice_is(c.opaque, "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"));
        assert_true(slice_is(c.nc, rows[i].qop[0] != '\0' ? "00000001" : ""));
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void unusable_challenges(void **state)
{
    static const char *const rows[] = {
        "Basic realm=\"r\"",
        "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess",
        "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-1",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "Digest realm=\"r\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct buf out = {0};
        assert_int_equal(digest_answer(&arena, slice_of(rows[i]), SLICE("u"), SLICE("p"), SLICE("REGISTER"),
                                       SLICE("sip:h"), SLICE("c"), 1, &out),
                         ERR_SYNTAX);
        assert_int_equal(out.n, 0);
        buf_fini(&out);
        arena_fini(&arena);
    }
    struct arena arena = {0};
    struct buf out = {0};
    assert_int_equal(digest_answer(&arena, SLICE("Digest realm=\"r\", nonce=\"n\""), SLICE("u\", evil=\""), SLICE("p"),
                                   SLICE("REGISTER"), SLICE("sip:h"), SLICE("c"), 1, &out),
                     ERR_SYNTAX);
    arena_fini(&arena);
    buf_fini(&out);
}

static bool keeping; /* every test is made without and with what is kept */

struct exchange {
    struct digest_nonces nonces;
    struct digest_kept *kept;
    struct arena arena;
    struct mac *key;
    struct buf challenge;
    struct buf answer;
    struct sip_credentials c;
    unsigned char ha1[HASH_ALGORITHM_COUNT][32];
};

/* What these tests offer: line 0 is SHA-256, 1 is MD5. */
static const struct digest_offer offer = {{HASH_SHA256, HASH_MD5}, 2};

/* A challenge at t, answered by someone with the password; line 0 is SHA-256, 1 is MD5. */
static void exchange_open(struct exchange *x, unsigned line, const char *password, struct wall t)
{
    *x = (struct exchange){0};
    x->key = mac_new(secret);
    assert_non_null(x->key);
    x->kept = keeping ? calloc(1, sizeof *x->kept) : NULL;
    assert_true(!keeping || x->kept != NULL);
    x->nonces = (struct digest_nonces){
        .key = x->key, .realm = SLICE("example.org"), .client = SLICE("192.0.2.7"), .kept = x->kept};
    assert_int_equal(digest_challenge(&x->nonces, &offer, false, false, t, &x->challenge), ERR_OK);
    struct slice rest = buf_view(&x->challenge);
    struct slice value = SLICE_NONE;
    for (unsigned i = 0; i <= line; i++) {
        struct slice one;
        struct slice name;
        rest = slice_cut(rest, '\n', &one);
        value = slice_trim(slice_cut(one, ':', &name));
        assert_true(slice_is(name, "WWW-Authenticate"));
    }
    assert_int_equal(digest_answer(&x->arena, value, SLICE("6001"), slice_of(password), SLICE("REGISTER"),
                                   SLICE("sip:example.org"), SLICE("c0ffee"), 1, &x->answer),
                     ERR_OK);
    assert_int_equal(sip_credentials_parse(&x->arena, buf_view(&x->answer), &x->c), ERR_OK);
    for (unsigned a = 0; a < HASH_ALGORITHM_COUNT; a++) {
        struct slice identity[] = {SLICE("6001:example.org:secret")};
        assert_int_equal(hash_parts((enum hash_algorithm)a, identity, 1, x->ha1[a]), ERR_OK);
    }
}

static void exchange_close(struct exchange *x)
{
    mac_free(x->key);
    free(x->kept);
    buf_fini(&x->challenge);
    buf_fini(&x->answer);
    arena_fini(&x->arena);
}

static enum digest_verdict verdict(struct exchange *x, struct wall at)
{
    enum hash_algorithm a = HASH_MD5;
    if (digest_algorithm(&x->c, &a) != ERR_OK) a = HASH_MD5;
    return digest_verify(&x->nonces, &x->c, x->ha1[a], SLICE("REGISTER"), at);
}

/* What a nonce says of itself cannot be changed. */
static void a_nonce_names_its_maker(void **state)
{
    struct exchange x;
    struct digest_nonce nonce;
    char changed[128];
    (void)state;
    exchange_open(&x, 0, "secret", now);
    assert_int_equal(digest_nonce_read(x.c.nonce, &nonce), ERR_OK);
    assert_int_equal(nonce.made.ms, now.ms);
    assert_int_equal(nonce.maker, 0);
    exchange_close(&x);
    exchange_open(&x, 0, "secret", now);
    x.nonces.maker = 0xdeadbeef; /* another node: it takes it, and sees that it is not its own */
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    buf_reset(&x.challenge);
    assert_int_equal(digest_challenge(&x.nonces, &offer, false, false, now, &x.challenge), ERR_OK);
    struct sip_challenge c;
    struct slice line;
    struct slice name;
    (void)slice_cut(buf_view(&x.challenge), '\r', &line);
    line = slice_trim(slice_cut(line, ':', &name));
    assert_int_equal(sip_challenge_parse(&x.arena, line, &c), ERR_OK);
    assert_int_equal(digest_nonce_read(c.nonce, &nonce), ERR_OK);
    assert_int_equal(nonce.maker, 0xdeadbeef);
    (void)snprintf(changed, sizeof changed, "%.*s", SLICE_ARG(x.c.nonce));
    changed[20] = changed[20] == '0' ? '1' : '0';
    x.c.nonce = slice_of(changed);
    assert_int_equal(verdict(&x, now), DIGEST_BAD_NONCE);
    assert_int_equal(digest_nonce_read(SLICE("0123"), &nonce), ERR_SYNTAX);
    exchange_close(&x);
}

static void exchanges(void **state)
{
    static const int64_t ages[] = {0, SIP_NONCE_LIFE_MS, -SIP_NONCE_LIFE_MS, SIP_NONCE_LIFE_MS + 1,
                                   -SIP_NONCE_LIFE_MS - 1};
    (void)state;
    for (unsigned line = 0; line < 2; line++) {
        struct exchange x;
        exchange_open(&x, line, "secret", now);
        enum hash_algorithm a;
        assert_int_equal(digest_algorithm(&x.c, &a), ERR_OK);
        assert_int_equal(a, line == 0 ? HASH_SHA256 : HASH_MD5);
        for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
            assert_int_equal(verdict(&x, (struct wall){now.ms + ages[i]}), i < 3 ? DIGEST_OK : DIGEST_STALE);
        }
        exchange_close(&x);
        exchange_open(&x, line, "Secret", now);
        assert_int_equal(verdict(&x, now), DIGEST_WRONG);
        /* With an old nonce nobody learns whether the password was right. */
        assert_int_equal(verdict(&x, (struct wall){now.ms + 2 * SIP_NONCE_LIFE_MS}), DIGEST_STALE);
        exchange_close(&x);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct exchange x;
    for (unsigned kind = 0; kind < 15; kind++) {
        enum digest_verdict expected = DIGEST_UNSUPPORTED;
        char nonce[128];
        exchange_open(&x, 0, "secret", now);
        (void)snprintf(nonce, sizeof nonce, "%.*s", SLICE_ARG(x.c.nonce));
        switch (kind) {
        case 0: x.c.qop = SLICE_NONE; break;
        case 1: x.c.qop = SLICE("auth-int"); break;
        case 2: x.c.cnonce = SLICE_NONE; break;
        case 3: x.c.nc = SLICE("1"); break;
        case 4: x.c.nc = SLICE("0000000g"); break;
        case 5: x.c.algorithm = SLICE("SHA-256-sess"); break;
        case 6:
            x.c.realm = SLICE("example.com");
            expected = DIGEST_BAD_NONCE;
            break;
        case 7:
            nonce[0] ^= 1;
            expected = DIGEST_BAD_NONCE;
            break;
        case 8:
            nonce[47] = nonce[47] == '0' ? '1' : '0';
            expected = DIGEST_BAD_NONCE;
            break;
        case 9:
            nonce[47] = '\0';
            expected = DIGEST_BAD_NONCE;
            break;
        case 10:
            x.c.uri = SLICE("sip:example.net");
            expected = DIGEST_WRONG;
            break;
        case 11:
            x.c.nc = SLICE("00000002");
            expected = DIGEST_WRONG;
            break;
        case 12:
            x.c.response.n--;
            expected = DIGEST_WRONG;
            break;
        case 13:
            x.c.response = SLICE("zz");
            expected = DIGEST_WRONG;
            break;
        default:
            x.c.algorithm = SLICE("MD5");
            expected = DIGEST_WRONG;
            break;
        }
        x.c.nonce = slice_of(nonce);
        if (verdict(&x, now) != expected) fail_msg("kind %u: %d", kind, (int)verdict(&x, now));
        exchange_close(&x);
    }
    exchange_open(&x, 0, "secret", now);
    assert_int_equal(digest_verify(&x.nonces, &x.c, x.ha1[HASH_SHA256], SLICE("INVITE"), now), DIGEST_WRONG);
    exchange_close(&x);
}

static void another_key_is_another_cluster(void **state)
{
    (void)state;
    struct exchange x;
    static const unsigned char other[HASH_KEY_LEN] = "another key";
    exchange_open(&x, 0, "secret", now);
    struct mac *another = mac_new(other);
    assert_non_null(another);
    x.nonces.key = another;
    assert_int_equal(verdict(&x, now), keeping ? DIGEST_OK : DIGEST_BAD_NONCE); /* what is kept goes with one key */
    x.nonces.kept = NULL;
    assert_int_equal(verdict(&x, now), DIGEST_BAD_NONCE);
    x.nonces.other = x.key; /* while keys are exchanged both are good */
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    mac_free(another);
    exchange_close(&x);
}

static void another_client_has_no_use_for_it(void **state)
{
    (void)state;
    struct exchange x;
    exchange_open(&x, 0, "secret", now);
    x.nonces.client = SLICE("192.0.2.8");
    assert_int_equal(verdict(&x, now), DIGEST_BAD_NONCE);
    /* Nor does a client whose address runs on into the realm. */
    x.nonces.client = SLICE("192.0.2.7e");
    x.nonces.realm = SLICE("xample.org");
    x.c.realm = SLICE("xample.org");
    assert_int_equal(verdict(&x, now), DIGEST_BAD_NONCE);
    exchange_close(&x);
}

/* What is kept of one request says nothing of another, and what is pushed out is worked out again. */
static void only_the_same_is_kept(void **state)
{
    (void)state;
    struct exchange x;
    exchange_open(&x, 1, "secret", now);
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    assert_int_equal(digest_verify(&x.nonces, &x.c, x.ha1[HASH_MD5], SLICE("INVITE"), now), DIGEST_WRONG);
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    struct slice uri = x.c.uri;
    x.c.uri = SLICE("sip:example.or");
    assert_int_equal(verdict(&x, now), DIGEST_WRONG);
    x.c.uri = uri;
    x.c.algorithm = SLICE("SHA-256");
    assert_int_equal(verdict(&x, now), DIGEST_WRONG);
    x.c.algorithm = SLICE("MD5");
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    struct buf more = {0};
    for (int i = 1; i < 3000; i++) {
        buf_reset(&more);
        assert_int_equal(digest_challenge(&x.nonces, &offer, false, false, (struct wall){now.ms + i}, &more), ERR_OK);
    }
    assert_int_equal(verdict(&x, now), DIGEST_OK);
    buf_fini(&more);
    exchange_close(&x);
}

static void algorithms_have_names_in_any_case(void **state)
{
    enum hash_algorithm a = HASH_ALGORITHM_COUNT;
    (void)state;
    assert_int_equal(digest_algorithm_named(SLICE("sha-512-256"), &a), ERR_OK);
    assert_int_equal(a, HASH_SHA512_256);
    assert_int_equal(digest_algorithm_named(SLICE("MD5"), &a), ERR_OK);
    assert_int_equal(a, HASH_MD5);
    assert_int_equal(digest_algorithm_named(SLICE("SHA-1"), &a), ERR_SYNTAX);
    assert_int_equal(digest_offer_all().algorithms[0], HASH_SHA256);
}

static void the_form_of_a_challenge(void **state)
{
    (void)state;
    struct mac *key = mac_new(secret);
    struct buf out = {0};
    assert_non_null(key);
    struct digest_nonces nonces = {.key = key, .realm = SLICE("example.org"), .client = SLICE("192.0.2.7")};
    assert_int_equal(digest_challenge(&nonces, &offer, true, true, now, &out), ERR_OK);
    struct slice second;
    struct slice first;
    second = slice_cut(buf_view(&out), '\n', &first);
    assert_true(slice_starts(first, SLICE("Proxy-Authenticate: Digest realm=\"example.org\", nonce=\"")));
    assert_true(slice_starts(second, SLICE("Proxy-Authenticate: Digest realm=\"example.org\", nonce=\"")));
    assert_non_null(strstr(first.p, ", algorithm=SHA-256, qop=\"auth\", stale=true\r\n"));
    assert_non_null(strstr(second.p, ", algorithm=MD5, qop=\"auth\", stale=true\r\n"));
    buf_reset(&out);
    nonces.realm = SLICE("a\"b");
    assert_int_equal(digest_challenge(&nonces, &offer, false, false, now, &out), ERR_SYNTAX);
    nonces.realm = SLICE("a\r\nX: y");
    assert_int_equal(digest_challenge(&nonces, &offer, false, false, now, &out), ERR_SYNTAX);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    mac_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples),
        cmocka_unit_test(unusable_challenges),
        cmocka_unit_test(a_nonce_names_its_maker),
        cmocka_unit_test(exchanges),
        cmocka_unit_test(refusals),
        cmocka_unit_test(another_key_is_another_cluster),
        cmocka_unit_test(another_client_has_no_use_for_it),
        cmocka_unit_test(only_the_same_is_kept),
        cmocka_unit_test(algorithms_have_names_in_any_case),
        cmocka_unit_test(the_form_of_a_challenge),
    };
    int failed = cmocka_run_group_tests_name("all worked out", tests, NULL, NULL);
    keeping = true;
    return failed + cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
