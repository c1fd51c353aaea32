/* Keys, targets, validation of single objects, hashes of passwords, the plan digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/plan/object.h"

static struct plan_object route_object(const char *match)
{
    struct plan_object o;
    plan_object_init(&o, PLAN_ROUTE);
    o.route.match = slice_of(match);
    o.route.target = (struct plan_target){.kind = PLAN_TO_TRUNK, .name = SLICE("hq-pbx")};
    return o;
}

static void assert_key(const struct plan_object *o, const char *key)
{
    struct buf out = {0};
    plan_object_key(o, &out);
    assert_true(slice_is(buf_view(&out), key));
    assert_int_equal(plan_key_validate(buf_view(&out), NULL), ERR_OK);
    buf_fini(&out);
}

static void test_keys(void **state)
{
    (void)state;
    struct plan_object o = route_object("8150-8379");
    assert_key(&o, "route//8150-8379/trunk/hq-pbx");
    o.route.scope = SLICE("hq");
    o.route.target = (struct plan_target){.kind = PLAN_TO_REJECT, .code = 404};
    assert_key(&o, "route/hq/8150-8379/reject/404");
    plan_object_init(&o, PLAN_ACCOUNT);
    o.account.name = SLICE("6001");
    assert_key(&o, "account/6001");
    plan_object_init(&o, PLAN_DEFAULTS);
    assert_key(&o, "defaults");
    static const char *const bad[] = {"",        "trunk",        "trunk/",           "trunks/x", "defaults/x",
                                      "route/6", "route//6/t/x", "route//x/trunk/y", "site/a b", "route/a b/6/trunk/x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plan_key_validate(slice_of(bad[i]), NULL), ERR_SYNTAX);
    }
}

/* Two objects are the same exactly when their keys are. */
static void test_same(void **state)
{
    (void)state;
    struct plan_object list[10];
    for (size_t i = 0; i < 10; i++)
        list[i] = route_object("6");
    list[1].route.priority = 99; /* no part of the key */
    list[2].route.match = SLICE("7");
    list[3].route.scope = SLICE("hq");
    list[4].route.target.name = SLICE("x");
    list[5].route.target.kind = PLAN_TO_SITE;
    list[6].route.target = (struct plan_target){.kind = PLAN_TO_REJECT, .code = 404};
    list[7].route.target = (struct plan_target){.kind = PLAN_TO_REJECT, .code = 486};
    plan_object_init(&list[8], PLAN_TRUNK);
    list[8].trunk.name = SLICE("6");
    plan_object_init(&list[9], PLAN_ACCOUNT);
    list[9].account.name = SLICE("6");
    for (size_t i = 0; i < 10; i++) {
        for (size_t j = 0; j < 10; j++) {
            char a[PLAN_KEY_MAX];
            char b[PLAN_KEY_MAX];
            struct slice key_a = {a, plan_object_key_text(&list[i], a)};
            struct slice key_b = {b, plan_object_key_text(&list[j], b)};
            assert_int_equal(plan_object_same(&list[i], &list[j]), slice_eq(key_a, key_b));
            assert_int_equal(slice_eq(key_a, key_b), i == j || (i < 2 && j < 2));
        }
    }
}

static void test_longest_key(void **state)
{
    (void)state;
    char name[LIMIT_NAME];
    memset(name, 'n', sizeof name);
    struct plan_object o = route_object("12345678901234567890123456789012-22345678901234567890123456789012");
    o.route.scope = (struct slice){name, sizeof name};
    o.route.target = (struct plan_target){.kind = PLAN_TO_ACCOUNT, .name = {name, sizeof name}};
    char key[PLAN_KEY_MAX];
    assert_int_equal(plan_object_validate(&o, NULL), ERR_OK);
    assert_int_equal(plan_object_key_text(&o, key), 6 + LIMIT_NAME + 1 + 65 + 1 + 8 + LIMIT_NAME);
    char much[PLAN_KEY_MAX + 1];
    memset(much, 'n', sizeof much);
    o.route.scope = (struct slice){much, sizeof much};
    assert_int_equal(plan_object_key_text(&o, key), 0);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        enum plan_target_kind kind;
    } table[] = {
        {"trunk/hq-pbx", true, PLAN_TO_TRUNK},
        {"account/6001", true, PLAN_TO_ACCOUNT},
        {"site/hq", true, PLAN_TO_SITE},
        {"reject/404", true, PLAN_TO_REJECT},
        {"reject/699", true, PLAN_TO_REJECT},
        {"reject/399", false, 0},
        {"reject/700", false, 0},
        {"reject/0404", false, 0},
        {"reject/", false, 0},
        {"trunk/", false, 0},
        {"trunk", false, 0},
        {"hq-pbx", false, 0},
        {"Trunk/x", false, 0},
        {"trunk/a/b", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct plan_target t;
        struct buf out = {0};
        enum err e = plan_target_parse(slice_of(table[i].text), &t, NULL);
        if ((e == ERR_OK) != table[i].valid) fail_msg("%s", table[i].text);
        if (e != ERR_OK) continue;
        assert_int_equal(t.kind, table[i].kind);
        plan_target_text(&t, &out);
        assert_true(slice_is(buf_view(&out), table[i].text));
        buf_fini(&out);
    }
}

/* Each change to a valid object that must not pass, as it might come from a wire. */
static void test_validation(void **state)
{
    (void)state;
    static const struct slice address[] = {SLICE("10.1.0.10:5060")};
    static const struct slice bad_trust[] = {SLICE("10.1.0.10/24")};
    static const struct slice twice[] = {SLICE("8"), SLICE("8")};
    static const struct slice empty_item[] = {SLICE("")};
    static const uint16_t codes[] = {486};
    static const struct plan_rule no_match[] = {{.match = SLICE_NONE}};
    static const struct plan_rule range_match[] = {{.match = SLICE("1-2")}};
    struct slice many[LIMIT_LIST + 1];
    char text[LIMIT_LIST + 1][8];
    struct plan_object trunk;
    struct plan_object account;
    struct plan_object site;
    struct plan_object route = route_object("6");
    plan_object_init(&trunk, PLAN_TRUNK);
    trunk.trunk.name = SLICE("t");
    trunk.trunk.site = SLICE("hq");
    trunk.trunk.address = address;
    trunk.trunk.address_count = 1;
    plan_object_init(&account, PLAN_ACCOUNT);
    account.account.name = SLICE("a");
    plan_object_init(&site, PLAN_SITE);
    site.site.name = SLICE("s");
    for (size_t i = 0; i <= LIMIT_LIST; i++) {
        (void)snprintf(text[i], sizeof text[i], "%zu", 1000 + i);
        many[i] = slice_of(text[i]);
    }
    assert_int_equal(plan_object_validate(&trunk, NULL), ERR_OK);
    assert_int_equal(plan_object_validate(&account, NULL), ERR_OK);
    assert_int_equal(plan_object_validate(&site, NULL), ERR_OK);
    assert_int_equal(plan_object_validate(&route, NULL), ERR_OK);

#define BROKEN(object, change, says)                                                                                   \
    do {                                                                                                               \
        struct plan_object o = (object);                                                                               \
        struct err_info info = {.text = ""};                                                                           \
        change;                                                                                                        \
        if (plan_object_validate(&o, &info) == ERR_OK) fail_msg("passes: " #change);                                   \
        if (strstr(info.text, says) == NULL) fail_msg(#change " says: %s", info.text);                                 \
    } while (0)

    BROKEN(route, o.kind = PLAN_KIND_COUNT, "unknown kind");
    BROKEN(route, o.route.match = SLICE("6x"), "route: match:");
    BROKEN(route, o.route.match = SLICE_NONE, "match: is missing");
    BROKEN(route, o.route.scope = SLICE("a/b"), "scope:");
    BROKEN(route, o.route.prepend = SLICE("abc"), "prepend:");
    BROKEN(route, o.route.strip = LIMIT_NUMBER + 1, "outside 0 to 32");
    BROKEN(route, o.route.priority = PLAN_NUMBER_MAX + 1, "priority:");
    BROKEN(route, o.route.hours = SLICE("always"), "hours:");
    BROKEN(route, o.route.note = SLICE("a\nb"), "note:");
    BROKEN(route, o.route.length_max = LIMIT_NUMBER + 1, "length:");
    BROKEN(route, (o.route.length_min = 5, o.route.length_max = 4), "length:");
    BROKEN(route, o.route.target.kind = 7, "to:");
    BROKEN(route, o.route.target.name = SLICE_NONE, "to:");
    BROKEN(route, (o.route.target = (struct plan_target){.kind = PLAN_TO_REJECT, .code = 200}), "to:");
    BROKEN(route, (o.route.target = (struct plan_target){.kind = PLAN_TO_REJECT, .code = 404}, o.route.strip = 1),
           "goes nowhere");
    BROKEN(route, (o.route.match = SLICE("=6001"), o.route.strip = 4), "leaves nothing");
    BROKEN(route, (o.route.failover = codes, o.route.failover_count = 1), "failover: 486");
    BROKEN(trunk, o.trunk.name = SLICE_NONE, "no name");
    BROKEN(trunk, o.trunk.name = SLICE("a b"), "no name");
    BROKEN(trunk, o.trunk.site = SLICE_NONE, "site: is missing");
    BROKEN(trunk, o.trunk.address_count = 0, "address: is missing");
    BROKEN(trunk, o.trunk.transport = 9, "transport:");
    BROKEN(trunk, (o.trunk.trust = bad_trust, o.trunk.trust_count = 1), "trunk/t: trust:");
    BROKEN(trunk, o.trunk.probe_ms = 86400001, "probe:");
    BROKEN(trunk, (o.trunk.in = no_match, o.trunk.in_count = 1), "match: is missing");
    BROKEN(trunk, (o.trunk.out = range_match, o.trunk.out_count = 1), "rewriting rule");
    BROKEN(trunk, (o.trunk.registration.set = true, o.trunk.registration.expires_s = 600), "user: is missing");
    BROKEN(trunk, (o.trunk.registration.set = true, o.trunk.registration.user = SLICE("u")), "expires:");
    BROKEN(account, o.account.max_contacts = 0, "max_contacts:");
    BROKEN(account, o.account.max_contacts = 33, "max_contacts:");
    BROKEN(account, o.account.keepalive = 9, "keepalive:");
    BROKEN(account, o.account.keepalive_every_ms = 999, "keepalive_every:");
    BROKEN(account, o.account.map = SLICE("../x"), "map:");
    BROKEN(account, o.account.map = SLICE(".."), "map:");
    BROKEN(account, (o.account.numbers = twice, o.account.number_count = 2), "twice");
    BROKEN(account, (o.account.numbers = empty_item, o.account.number_count = 1), "empty item");
    BROKEN(account, (o.account.numbers = many, o.account.number_count = LIMIT_LIST + 1), "at most 256");
    BROKEN(account, (o.account.password = SLICE("x"), o.account.secret.set = true), "keep one");
    BROKEN(account, o.account.password = SLICE("a\nb"), "password:");
    BROKEN(site, (o.site.blocks = empty_item, o.site.block_count = 1), "blocks:");
#undef BROKEN
    account.account.numbers = many;
    account.account.number_count = LIMIT_LIST;
    assert_int_equal(plan_object_validate(&account, NULL), ERR_OK);
}

/* RFC 7616 §3.9.1 gives user, realm and password; the hashes below are of "Mufasa:http-auth@example.org:Circle of
 * Life", computed with openssl dgst. */
static void test_hash_password(void **state)
{
    (void)state;
    struct plan_account a = {.name = SLICE("Mufasa"), .password = SLICE("Circle of Life")};
    char hex[65];
    assert_int_equal(plan_account_hash_password(&a, SLICE("http-auth@example.org")), ERR_OK);
    assert_true(a.secret.set);
    hex_encode(a.secret.md5, sizeof a.secret.md5, hex);
    assert_string_equal(hex, "3d78807defe7de2157e2b0b6573a855f");
    hex_encode(a.secret.sha256, sizeof a.secret.sha256, hex);
    assert_string_equal(hex, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    assert_true(slice_is(a.password, "Circle of Life"));
    struct plan_account none = {.name = SLICE("x")};
    assert_int_equal(plan_account_hash_password(&none, SLICE("r")), ERR_SYNTAX);
    assert_false(none.secret.set);
}

static void test_digest(void **state)
{
    (void)state;
    unsigned char one[HASH_SHA256_LEN];
    unsigned char two[HASH_SHA256_LEN];
    struct plan_digest ab = {{0}};
    struct plan_digest ba = {{0}};
    char text[PLAN_DIGEST_TEXT];
    memset(one, 0xff, sizeof one);
    memset(two, 0, sizeof two);
    two[0] = 1;
    two[31] = 0x80;
    plan_digest_add(&ab, one);
    plan_digest_add(&ab, two);
    plan_digest_add(&ba, two);
    plan_digest_add(&ba, one);
    assert_true(plan_digest_eq(ab, ba));
    plan_digest_sub(&ab, one);
    plan_digest_text(ab, text);
    assert_string_equal(text, "0100000000000000000000000000000000000000000000000000000000000080");
    plan_digest_sub(&ab, two);
    assert_true(plan_digest_eq(ab, (struct plan_digest){{0}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),    cmocka_unit_test(test_same),       cmocka_unit_test(test_longest_key),
        cmocka_unit_test(test_targets), cmocka_unit_test(test_validation), cmocka_unit_test(test_hash_password),
        cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
