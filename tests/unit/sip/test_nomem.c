/* Out of memory: allocation i of a parser or builder fails, for i = 0, 1, 2, ...: it says so, leaves its output alone,
 * and nothing leaks or is freed twice (the sanitizers look on). libosip2 allocates through the same counter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <osipparser2/osip_parser.h>
#include <stdlib.h>

#include "node/base/cloak.h"
#include "node/sip/cookie.h"
#include "node/sip/digest.h"
#include "node/sip/edit.h"
#include "node/sip/transaction.h"
#include "tests/unit/sip/message.h"

static size_t countdown = SIZE_MAX; /* allocations until one fails */
static bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
    if (countdown == SIZE_MAX || countdown-- > 0) return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

/* libosip2 does not always tell what it lacked: a value that it cannot read is then one that cannot be read. */
static bool osip_failed;

/* What libosip2 holds: when it lacked memory itself, it forgets some of it. */
#define HELD_MAX 256
static void *held[HELD_MAX];

static void hold(void *p)
{
    size_t i = 0;
    while (p != NULL && i < HELD_MAX && held[i] != NULL)
        i++;
    assert_true(i < HELD_MAX);
    if (p != NULL) held[i] = p;
}

static void release(void *p)
{
    for (size_t i = 0; p != NULL && i < HELD_MAX; i++) {
        if (held[i] == p) held[i] = NULL;
    }
}

static size_t free_held(void)
{
    size_t count = 0;
    for (size_t i = 0; i < HELD_MAX; i++) {
        count += held[i] != NULL;
        free(held[i]);
        held[i] = NULL;
    }
    return count;
}

static void *osip_malloc_here(size_t n)
{
    void *p = malloc(n);
    osip_failed = osip_failed || p == NULL;
    hold(p);
    return p;
}
static void *osip_realloc_here(void *old, size_t n)
{
    release(old);
    void *p = realloc(old, n);
    osip_failed = osip_failed || p == NULL;
    hold(p != NULL ? p : old);
    return p;
}
static void osip_free_here(void *p)
{
    release(p);
    free(p);
}

static const unsigned char key[HASH_KEY_LEN] = "the key of the tests, 32 bytes..";

/* ---- what is swept: each does one thing, and gives back what came of it ---- */

static struct arena arena;
static struct buf out;

static enum err uri(void)
{
    struct sip_uri u = {.port = 7};
    enum err e = sip_uri_parse(&arena, SLICE("sip:b%6fb;x=%41@[2001:db8::1]:5070;transport=tcp;a%62c=%64"), &u);
    if (e != ERR_OK) assert_int_equal(u.port, 7);
    if (e == ERR_OK) assert_true(slice_is(u.number, "bob"));
    return e;
}

static enum err tel(void)
{
    struct sip_uri u = {.port = 7};
    enum err e = sip_uri_parse(&arena, SLICE("tel:+49-30(1)2.34;phone-context=example.org"), &u);
    if (e == ERR_OK)
        assert_true(slice_is(u.number, "+4930"
                                       "1234"));
    return e;
}

static enum err address(void)
{
    struct sip_name_addr a = {.star = true};
    enum err e =
        sip_name_addr_parse(&arena, SLICE("\"B \\\" b\" <sip:b%6fb@h.example;lr;x=%41?y=z>;tag=\"1;2\";q=0.5"), &a);
    if (e != ERR_OK) assert_true(a.star);
    if (e == ERR_OK) assert_int_equal(a.param_count, 2);
    return e;
}

static enum err credentials(void)
{
    struct sip_credentials c = {.nc = SLICE("before")};
    enum err e = sip_credentials_parse(
        &arena,
        SLICE("Digest username=\"6001\", realm=\"example.org\", nonce=\"abc\", uri=\"sip:h\", qop=auth, nc=00000001, "
              "cnonce=\"x\", response=\"0123\", algorithm=SHA-256, opaque=\"\""),
        &c);
    if (e != ERR_OK) assert_true(slice_is(c.nc, "before"));
    if (e == ERR_OK) assert_true(slice_is(c.realm, "example.org"));
    return e;
}

static enum err challenge(void)
{
    struct sip_challenge c = {.stale = true};
    enum err e =
        sip_challenge_parse(&arena, SLICE("Digest realm=\"a\", nonce=\"b\", qop=\"auth,auth-int\", opaque=\"o\""), &c);
    if (e != ERR_OK) assert_true(c.stale);
    if (e == ERR_OK) assert_true(slice_is(c.nonce, "b"));
    return e;
}

static enum err answer_to_challenge(void)
{
    return digest_answer(&arena, SLICE("Digest realm=\"a\", nonce=\"b\", qop=\"auth\", algorithm=SHA-256"), SLICE("u"),
                         SLICE("p"), SLICE("REGISTER"), SLICE("sip:h"), SLICE("c"), 1, &out);
}

static enum err challenge_made(void)
{
    struct digest_offer offer = digest_offer_all();
    struct mac *m = mac_new(key);
    if (m == NULL) return ERR_NOMEM;
    struct digest_nonces nonces = {.key = m, .realm = SLICE("example.org"), .client = SLICE("192.0.2.1")};
    enum err e = digest_challenge(&nonces, &offer, true, false, (struct wall){1}, &out);
    mac_free(m);
    return e;
}

static const char message[] = M_INVITE M_VIA "Via: SIP/2.0/UDP h2;branch=z9hG4bKz\r\n" M_FROM M_TO M_CALL_ID M_CSEQ
                                             "Route: <sip:a;lr>, <sip:b;lr>\r\nMax-Forwards: 9\r\n" M_END;

static enum err response(void)
{
    struct sip_view v;
    assert_int_equal(sip_view_parse(&v, message, sizeof message - 1, NULL), SIP_FAULT_NONE); /* allocates nothing */
    return sip_response_build(&v, 200, SLICE(""), SLICE("tag"), SLICE("192.0.2.1"), 5060, SLICE("X-Y: z\r\n"), &out);
}

static enum err edited(void)
{
    struct sip_view v;
    struct sip_edits e;
    assert_int_equal(sip_view_parse(&v, message, sizeof message - 1, NULL), SIP_FAULT_NONE);
    sip_edits_init(&e, &v);
    sip_edit_pop_value(&e, SIP_ROUTE);
    sip_edit_insert_before(&e, SIP_VIA, SLICE(M_VIA));
    sip_edit_append(&e, SLICE("X-Y: z\r\n"));
    return sip_edit_apply(&e, &out);
}

static enum err cloaks(void)
{
    struct cloak *c = cloak_new(key);
    struct buf text = {0};
    if (c == NULL) return ERR_NOMEM;
    enum err e = cloak_put_on(c, SLICE("sip:6001@10.1.0.60"), &text);
    if (e == ERR_OK) e = cloak_take_off(c, buf_view(&text), &out);
    if (e == ERR_OK) assert_true(slice_is(buf_view(&out), "sip:6001@10.1.0.60"));
    buf_fini(&text);
    cloak_free(c);
    return e;
}

static enum err tables(void)
{
    struct sip_tx_table t;
    enum err e = sip_tx_table_init(&t, 7, (struct mono){0});
    if (e == ERR_OK) sip_tx_table_fini(&t);
    return e;
}

static const struct {
    const char *name;
    enum err (*run)(void);
} rows[] = {
    {"uri", uri},
    {"tel", tel},
    {"address", address},
    {"credentials", credentials},
    {"challenge", challenge},
    {"answer_to_challenge", answer_to_challenge},
    {"challenge_made", challenge_made},
    {"response", response},
    {"edited", edited},
    {"cloaks", cloaks},
    {"tables", tables},
};

/* ---- the sweep ---- */

static void each_allocation(void **state)
{
    (void)state;
    osip_set_allocators(osip_malloc_here, osip_realloc_here, osip_free_here);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        size_t i = 0;
        do {
            has_failed = osip_failed = false;
            countdown = i++;
            enum err e = rows[r].run();
            countdown = SIZE_MAX;
            size_t forgotten = free_held();
            if (forgotten > 0 && !osip_failed) fail_msg("%s: %zu blocks of libosip2 are left", rows[r].name, forgotten);
            if (has_failed && e == ERR_OK)
                fail_msg("%s: allocation %zu failed, and nobody said so", rows[r].name, i - 1);
            bool told = e == ERR_NOMEM || (osip_failed && e == ERR_SYNTAX);
            if (has_failed && !told) fail_msg("%s: allocation %zu failed: %s", rows[r].name, i - 1, err_name(e));
            if (!has_failed && e != ERR_OK) fail_msg("%s: %s", rows[r].name, err_name(e));
            arena_fini(&arena);
            buf_fini(&out);
        } while (has_failed);
        if (i < 2) fail_msg("%s allocates nothing: this checks nothing", rows[r].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    sip_library_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
