/* test_plan_codec: plan objects there and back, canonical, at their bounds, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/plan_codec.h"

#define S(text) SLICE(text)

/* ---- samples: every field of every kind has a value of its own ---- */

static const struct slice blocks[] = {{"6", 1}, {"8150-8379", 9}};
static const struct plan_rule dial[] = {{{"0", 1}, 1, {"+49", 3}}, {{"=112", 4}, 0, {NULL, 0}}};
static const struct slice addresses[] = {{"10.1.0.10:5060", 14}, {"pbx.example.org", 15}};
static const struct slice trust[] = {{"10.1.0.10/32", 12}};
static const struct slice numbers[] = {{"8", 1}, {"=6001", 5}};
static const uint16_t failover[] = {408, 503};

static const struct slice names[] = {{"sip.carrier.example", 19}, {"carrier.example", 15}};

static struct plan_object sample(enum plan_kind kind)
{
    struct plan_object o;
    plan_object_init(&o, kind);
    switch (kind) {
    case PLAN_DEFAULTS: o.defaults.domain = S("example.org"); break;
    case PLAN_SITE: o.site = (struct plan_site){S("hq"), blocks, 2, dial, 2, true}; break;
    case PLAN_TRUNK:
        o.trunk = (struct plan_trunk){.name = S("hq-pbx"),
                                      .site = S("hq"),
                                      .address = addresses,
                                      .address_count = 2,
                                      .transport = PLAN_TLS,
                                      .trust = trust,
                                      .trust_count = 1,
                                      .trust_names = names,
                                      .trust_name_count = 2,
                                      .hide = true,
                                      .probe_ms = 10000,
                                      .calls = 60,
                                      .rate_per_s = 10,
                                      .identity = PLAN_IDENTITY_OUTSIDE,
                                      .registration = {.set = true,
                                                       .user = S("4930"),
                                                       .domain = S("carrier.example"),
                                                       .login = S("u1"),
                                                       .sealed = S("\x01\x00\xff"),
                                                       .expires_s = 600},
                                      .in = dial,
                                      .in_count = 2,
                                      .out = dial,
                                      .out_count = 1,
                                      .disabled = true};
        break;
    case PLAN_ACCOUNT:
        o.account =
            (struct plan_account){.name = S("cam-gw"),
                                  .secret = {.set = true, .md5 = {1}, .sha256 = {0, 2}, .sha512_256 = {0, 0, 3}},
                                  .numbers = numbers,
                                  .number_count = 2,
                                  .strip = 1,
                                  .prepend = S("340"),
                                  .site = S("campus"),
                                  .max_contacts = 2,
                                  .calls = 200,
                                  .keepalive = PLAN_KEEPALIVE_CRLF,
                                  .keepalive_every_ms = 40000,
                                  .map = S("cameras.csv"),
                                  .disabled = true};
        break;
    case PLAN_ROUTE:
        o.route = (struct plan_route){.scope = S("hq"),
                                      .match = S("8150-8379"),
                                      .length_min = 4,
                                      .length_max = 15,
                                      .target = {PLAN_TO_TRUNK, S("hq-pbx"), 0},
                                      .priority = 20,
                                      .weight = 30,
                                      .strip = 2,
                                      .prepend = S("+49"),
                                      .hours = S("Mo-Fr 08:00-18:00"),
                                      .overflow = true,
                                      .failover = failover,
                                      .failover_count = 2,
                                      .note = S("a note"),
                                      .disabled = true};
        break;
    case PLAN_KIND_COUNT: break;
    }
    return o;
}

/* ---- equality, field by field ---- */

static void assert_slice(struct slice a, struct slice b)
{
    assert_int_equal(a.n, b.n);
    if (a.n > 0) assert_memory_equal(a.p, b.p, a.n);
}

static void assert_slices(const struct slice *a, size_t an, const struct slice *b, size_t bn)
{
    assert_int_equal(an, bn);
    for (size_t i = 0; i < an; i++)
        assert_slice(a[i], b[i]);
}

static void assert_rules(const struct plan_rule *a, size_t an, const struct plan_rule *b, size_t bn)
{
    assert_int_equal(an, bn);
    for (size_t i = 0; i < an; i++) {
        assert_slice(a[i].match, b[i].match);
        assert_int_equal(a[i].strip, b[i].strip);
        assert_slice(a[i].prepend, b[i].prepend);
    }
}

static void assert_trunk(const struct plan_trunk *a, const struct plan_trunk *b)
{
    assert_slice(a->name, b->name);
    assert_slice(a->site, b->site);
    assert_slices(a->address, a->address_count, b->address, b->address_count);
    assert_int_equal(a->transport, b->transport);
    assert_slices(a->trust, a->trust_count, b->trust, b->trust_count);
    assert_int_equal(a->probe_ms, b->probe_ms);
    assert_int_equal(a->calls, b->calls);
    assert_int_equal(a->rate_per_s, b->rate_per_s);
    assert_int_equal(a->identity, b->identity);
    assert_int_equal(a->registration.set, b->registration.set);
    assert_slice(a->registration.user, b->registration.user);
    assert_slice(a->registration.domain, b->registration.domain);
    assert_slice(a->registration.login, b->registration.login);
    assert_slice(a->registration.sealed, b->registration.sealed);
    assert_int_equal(a->registration.expires_s, b->registration.expires_s);
    assert_rules(a->in, a->in_count, b->in, b->in_count);
    assert_rules(a->out, a->out_count, b->out, b->out_count);
    assert_int_equal(a->disabled, b->disabled);
}

static void assert_account(const struct plan_account *a, const struct plan_account *b)
{
    assert_slice(a->name, b->name);
    assert_int_equal(a->secret.set, b->secret.set);
    assert_memory_equal(a->secret.md5, b->secret.md5, sizeof a->secret.md5);
    assert_memory_equal(a->secret.sha256, b->secret.sha256, sizeof a->secret.sha256);
    assert_memory_equal(a->secret.sha512_256, b->secret.sha512_256, sizeof a->secret.sha512_256);
    assert_slices(a->numbers, a->number_count, b->numbers, b->number_count);
    assert_int_equal(a->strip, b->strip);
    assert_slice(a->prepend, b->prepend);
    assert_slice(a->site, b->site);
    assert_int_equal(a->max_contacts, b->max_contacts);
    assert_int_equal(a->calls, b->calls);
    assert_int_equal(a->keepalive, b->keepalive);
    assert_int_equal(a->keepalive_every_ms, b->keepalive_every_ms);
    assert_slice(a->map, b->map);
    assert_int_equal(a->disabled, b->disabled);
}

static void assert_route(const struct plan_route *a, const struct plan_route *b)
{
    assert_slice(a->scope, b->scope);
    assert_slice(a->match, b->match);
    assert_int_equal(a->length_min, b->length_min);
    assert_int_equal(a->length_max, b->length_max);
    assert_int_equal(a->target.kind, b->target.kind);
    assert_slice(a->target.name, b->target.name);
    assert_int_equal(a->target.code, b->target.code);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->weight, b->weight);
    assert_int_equal(a->strip, b->strip);
    assert_slice(a->prepend, b->prepend);
    assert_slice(a->hours, b->hours);
    assert_int_equal(a->overflow, b->overflow);
    assert_int_equal(a->failover_count, b->failover_count);
    for (size_t i = 0; i < a->failover_count; i++)
        assert_int_equal(a->failover[i], b->failover[i]);
    assert_slice(a->note, b->note);
    assert_int_equal(a->disabled, b->disabled);
}

static void assert_object(const struct plan_object *a, const struct plan_object *b)
{
    assert_int_equal(a->kind, b->kind);
    switch (a->kind) {
    case PLAN_DEFAULTS: assert_slice(a->defaults.domain, b->defaults.domain); break;
    case PLAN_SITE:
        assert_slice(a->site.name, b->site.name);
        assert_slices(a->site.blocks, a->site.block_count, b->site.blocks, b->site.block_count);
        assert_rules(a->site.dial, a->site.dial_count, b->site.dial, b->site.dial_count);
        assert_int_equal(a->site.media_relay, b->site.media_relay);
        break;
    case PLAN_TRUNK: assert_trunk(&a->trunk, &b->trunk); break;
    case PLAN_ACCOUNT: assert_account(&a->account, &b->account); break;
    case PLAN_ROUTE: assert_route(&a->route, &b->route); break;
    case PLAN_KIND_COUNT: break;
    }
}

/* ---- objects ---- */

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PLAN_KIND_COUNT; kind++) {
        struct plan_object full = sample((enum plan_kind)kind);
        struct arena arena = {0};
        struct buf packed = {0};
        struct buf again = {0};
        struct plan_object back;
        struct err_info info = {{0}, 0, 0};
        assert_int_equal(plan_object_pack(&full, &packed), ERR_OK);
        enum err e = plan_object_unpack(&arena, buf_view(&packed), &back, &info);
        if (e != ERR_OK) fail_msg("%s", info.text);
        assert_object(&full, &back);
        /* Canonical: what was unpacked packs to the same bytes, since the plan digest is taken over them. */
        assert_int_equal(plan_object_pack(&back, &again), ERR_OK);
        assert_slice(buf_view(&packed), buf_view(&again));
        buf_fini(&packed);
        buf_fini(&again);
        arena_fini(&arena);
    }
}

/* Nothing of a clear-text password is in the packed bytes. */
static void test_no_clear_text(void **state)
{
    (void)state;
    struct plan_object o = sample(PLAN_TRUNK);
    struct buf packed = {0};
    o.trunk.registration.password = S("sesame-sesame");
    assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
    assert_null(memmem(packed.p, packed.n, "sesame", 6));
    buf_reset(&packed);
    o = sample(PLAN_ACCOUNT);
    o.account.password = S("sesame-sesame");
    o.account.password_keep = true;
    assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
    assert_null(memmem(packed.p, packed.n, "sesame", 6));
    buf_fini(&packed);
}

static void test_truncated(void **state)
{
    (void)state;
    struct plan_object o = sample(PLAN_ROUTE);
    struct buf packed = {0};
    struct plan_object back;
    assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
    for (size_t n = 0; n < packed.n; n++) {
        struct arena arena = {0};
        char *exact = malloc(n + 1); /* so that a read past the end is seen */
        assert_non_null(exact);
        memcpy(exact, packed.p, n);
        assert_int_not_equal(plan_object_unpack(&arena, (struct slice){exact, n}, &back, NULL), ERR_OK);
        free(exact);
        arena_fini(&arena);
    }
    buf_fini(&packed);
}

struct bad_object {
    const char *name;
    enum err err;
    void (*spoil)(struct plan_object *o);
};

static void spoil_match(struct plan_object *o)
{
    o->route.match = S("sip:");
}
static void spoil_hours(struct plan_object *o)
{
    o->route.hours = S("always");
}
static void spoil_target(struct plan_object *o)
{
    o->route.target.name = S("a b");
}
static void spoil_strip(struct plan_object *o)
{
    o->route.strip = 200;
}
static void spoil_note(struct plan_object *o)
{
    static char long_note[LIMIT_TEXT + 2];
    memset(long_note, 'x', sizeof long_note);
    o->route.note = (struct slice){long_note, LIMIT_TEXT + 1};
}
static void spoil_reject(struct plan_object *o)
{
    o->route.target = (struct plan_target){PLAN_TO_REJECT, SLICE_NONE, 200};
}

static void test_refused(void **state)
{
    static const struct bad_object bad[] = {{"match", ERR_SYNTAX, spoil_match},   {"hours", ERR_SYNTAX, spoil_hours},
                                            {"target", ERR_SYNTAX, spoil_target}, {"strip", ERR_LIMIT, spoil_strip},
                                            {"note", ERR_LIMIT, spoil_note},      {"reject", ERR_SYNTAX, spoil_reject}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plan_object o = sample(PLAN_ROUTE);
        struct plan_object back = {.kind = PLAN_KIND_COUNT};
        struct arena arena = {0};
        struct buf packed = {0};
        struct err_info info = {{0}, 0, 0};
        bad[i].spoil(&o);
        assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
        enum err e = plan_object_unpack(&arena, buf_view(&packed), &back, &info);
        if (e != bad[i].err) fail_msg("%s: %s", bad[i].name, err_name(e));
        assert_true(info.text[0] != '\0');
        assert_int_equal(back.kind, PLAN_KIND_COUNT); /* published on success only */
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

/* Bytes that no packer of ours writes. */
static void test_hostile_bytes(void **state)
{
    static const struct {
        struct slice bytes;
        enum err err;
    } rows[] = {
        {{"", 0}, ERR_SYNTAX},                                    /* no kind at all */
        {{"\x7a\x00", 2}, ERR_SYNTAX},                            /* only an unknown field */
        {{"\x2a\x03\x28\xff\x01", 5}, ERR_SYNTAX},                /* route with target kind 255 */
        {{"\x2a\x06\x50\xff\xff\xff\xff\x0f", 8}, ERR_LIMIT},     /* route with strip 2^32 - 1 */
        {{"\x2a\x02\x50\x21", 4}, ERR_LIMIT},                     /* with strip 33 */
        {{"\x2a\x05\x1a\x00\x18\xac\x02", 7}, ERR_SYNTAX},        /* a number field with a length */
        {{"\x2a\xff\xff\xff\xff\x0f", 6}, ERR_SYNTAX},            /* length far past the end */
        {{"\x22\x08\x0a\x01x\x12\x03\x0a\x01y", 10}, ERR_SYNTAX}, /* account with a hash of one byte */
        {{"\x1a\x05\x0a\x01t\x20\x07", 7}, ERR_SYNTAX},           /* trunk with transport 7 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct plan_object back;
        struct err_info info = {{0}, 0, 0};
        enum err e = plan_object_unpack_stored(&arena, rows[i].bytes, &back, &info);
        if (e != rows[i].err) fail_msg("row %zu: %s (%s)", i, err_name(e), info.text);
        arena_fini(&arena);
    }
}

/* A field of a newer version is no error, and the bytes with it are what a digest sees. */
static void test_unknown_field(void **state)
{
    (void)state;
    struct plan_object o = sample(PLAN_DEFAULTS);
    struct plan_object back;
    struct arena arena = {0};
    struct buf packed = {0};
    unsigned char without[HASH_SHA256_LEN];
    unsigned char with[HASH_SHA256_LEN];
    assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
    assert_int_equal(plan_object_hash(NULL, S("defaults"), buf_view(&packed), without), ERR_OK);
    buf_add(&packed, "\xf2\x06\x03new", 6); /* field 110 */
    assert_int_equal(plan_object_unpack(&arena, buf_view(&packed), &back, NULL), ERR_OK);
    assert_object(&o, &back);
    assert_int_equal(plan_object_hash(NULL, S("defaults"), buf_view(&packed), with), ERR_OK);
    assert_memory_not_equal(with, without, sizeof with);
    buf_fini(&packed);
    arena_fini(&arena);
}

/* What the prefix index keeps of a route: the same bytes for two that differ in their match, and all else of them. */
static void test_route_form(void **state)
{
    (void)state;
    struct plan_object o = sample(PLAN_ROUTE);
    struct plan_object other = o;
    struct plan_object back;
    struct arena arena = {0};
    struct buf packed = {0};
    struct buf forms[2] = {{0}, {0}};
    other.route.match = S("=12345678901234567890123456789012"); /* lengths on the wire differ too */
    for (int i = 0; i < 2; i++) {
        buf_reset(&packed);
        assert_int_equal(plan_object_pack(i == 0 ? &o : &other, &packed), ERR_OK);
        buf_add(&packed, "\xf2\x06\x03new", 6); /* of a newer version, behind the route */
        assert_int_equal(plan_route_form(buf_view(&packed), &forms[i]), ERR_OK);
    }
    assert_true(slice_eq(buf_view(&forms[0]), buf_view(&forms[1])));
    assert_memory_equal(forms[0].p + forms[0].n - 6, "\xf2\x06\x03new", 6);
    assert_int_equal(plan_object_unpack_stored(&arena, buf_view(&forms[0]), &back, NULL), ERR_OK);
    assert_int_equal(back.route.match.n, 0);
    back.route.match = o.route.match;
    assert_object(&o, &back);
    buf_reset(&packed); /* inside the route: field 110 of it */
    buf_add(&packed, "\x2a\x0c\x12\x02\x36\x37\xf2\x06\x03new\x40\x05", 14);
    buf_reset(&forms[0]);
    assert_int_equal(plan_route_form(buf_view(&packed), &forms[0]), ERR_OK);
    assert_int_equal(forms[0].n, 10);
    assert_memory_equal(forms[0].p, "\x2a\x08\xf2\x06\x03new\x40\x05", 10);
    buf_fini(&packed);
    buf_fini(&forms[0]);
    buf_fini(&forms[1]);
    arena_fini(&arena);
}

static void test_route_form_hostile(void **state)
{
    static const struct slice rows[] = {{"", 0},
                                        {"\x22\x00", 2},
                                        {"\x2a\x05\x12\x09", 4},
                                        {"\x2a\x02\x12\x09", 4},
                                        {"\x28\x01", 2},
                                        {"\x2a\xff\xff\xff\xff\x0f", 6}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        if (plan_route_form(rows[i], &out) != ERR_CORRUPT) fail_msg("row %zu", i);
        buf_fini(&out);
    }
}

static void test_hash_separates_key(void **state)
{
    (void)state;
    unsigned char a[HASH_SHA256_LEN];
    unsigned char b[HASH_SHA256_LEN];
    assert_int_equal(plan_object_hash(NULL, S("site/a"), S("bc"), a), ERR_OK);
    assert_int_equal(plan_object_hash(NULL, S("site/ab"), S("c"), b), ERR_OK);
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- what is read without an object between ---- */

/* What routing reads of an account is what the whole object says. */
static void brief_and_whole_agree(void **state)
{
    (void)state;
    for (enum plan_kind kind = PLAN_DEFAULTS; kind < PLAN_KIND_COUNT; kind++) {
        struct buf packed = {0};
        struct plan_object o = sample(kind);
        struct plan_account_brief brief;
        assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
        enum err e = plan_account_brief_read(buf_view(&packed), &brief);
        assert_int_equal(e, kind == PLAN_ACCOUNT ? ERR_OK : ERR_NOTFOUND);
        if (kind == PLAN_ACCOUNT) {
            assert_slice(brief.site, o.account.site);
            assert_int_equal(brief.calls, o.account.calls);
            assert_int_equal(brief.disabled, o.account.disabled);
        }
        /* Cut or changed anywhere it reads nothing that is not there. */
        for (size_t n = 0; n < packed.n; n++)
            (void)!plan_account_brief_read((struct slice){packed.p, n}, &brief);
        for (size_t n = 0; n < packed.n; n++) {
            packed.p[n] = (char)(packed.p[n] ^ 0xff);
            (void)!plan_account_brief_read(buf_view(&packed), &brief);
            packed.p[n] = (char)(packed.p[n] ^ 0xff);
        }
        buf_fini(&packed);
    }
}

/* Whatever the bytes are: an account that is read without the object is the account that the object has. */
static void compare_readings(struct slice packed)
{
    struct arena arena = {0};
    struct plan_account read;
    struct plan_object o;
    if (plan_account_read(&arena, packed, &read)) {
        assert_int_equal(plan_object_unpack_stored(&arena, packed, &o, NULL), ERR_OK);
        assert_int_equal(o.kind, PLAN_ACCOUNT);
        assert_account(&read, &o.account);
    }
    arena_fini(&arena);
}

static void read_and_unpacked_agree(void **state)
{
    (void)state;
    for (enum plan_kind kind = PLAN_DEFAULTS; kind < PLAN_KIND_COUNT; kind++) {
        struct arena arena = {0};
        struct buf packed = {0};
        struct plan_object o = sample(kind);
        struct plan_account read;
        assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
        assert_int_equal(plan_account_read(&arena, buf_view(&packed), &read), kind == PLAN_ACCOUNT);
        for (size_t n = 0; n <= packed.n; n++)
            compare_readings((struct slice){packed.p, n});
        for (size_t n = 0; n < packed.n; n++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                packed.p[n] = (char)(packed.p[n] ^ 1 << bit);
                compare_readings(buf_view(&packed));
                packed.p[n] = (char)(packed.p[n] ^ 1 << bit);
            }
        }
        buf_fini(&packed);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),         cmocka_unit_test(test_no_clear_text),
        cmocka_unit_test(test_truncated),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile_bytes),      cmocka_unit_test(test_unknown_field),
        cmocka_unit_test(test_route_form),         cmocka_unit_test(test_route_form_hostile),
        cmocka_unit_test(test_hash_separates_key), cmocka_unit_test(brief_and_whole_agree),
        cmocka_unit_test(read_and_unpacked_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
