/* The document: what is read into which field, that writing and reading again gives the same, and its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/plan/document.h"
#include "tests/unit/plan/plan_test.h"

static const char whole[] =
    "plan: 1\n"
    "defaults: { domain: example.org }\n"
    "sites:\n"
    "  hq:\n"
    "    blocks: [\"6\", 700-799]\n"
    "    dial: [ {match: 0, strip: 1, prepend: \"+49\"}, {match: =112} ]\n"
    "    media: relay\n"
    "  empty:\n"
    "  '010': {}\n"
    "trunks:\n"
    "  carrier:\n"
    "    site: hq\n"
    "    address:\n"
    "    - sip.carrier.example:5061\n"
    "    - '[2001:db8::1]:5061'\n"
    "    transport: tls\n"
    "    trust: [192.0.2.0/24, 2001:db8::/32]\n"
    "    trust_names: [sip.carrier.example, carrier.example]\n"
    "    probe: 1500ms\n"
    "    calls: 60\n"
    "    rate: 10/s\n"
    "    register: { user: '4930123', domain: carrier.example, login: u1, password: \"s: 'e\\\"cret\", expires: 10m }\n"
    "    in: [ {match: \"+49301234\", strip: 9} ]\n"
    "    out: [ {match: \"0\", prepend: \"9\"} ]\n"
    "    hide: true\n"
    "    disabled: true\n"
    "accounts:\n"
    "  cam-gw: { password: secret, numbers: [\"8\", =6000], strip: 1, prepend: \"77\", site: hq, max_contacts: 2, "
    "calls: 200, keepalive: crlf, keepalive_every: 40s, map: cams.csv }\n"
    "  no: { password: (set), disabled: yes }\n"
    "  hashed:\n"
    "    hashes:\n"
    "      md5: 00112233445566778899aabbccddeeff\n"
    "      sha256: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
    "      sha512_256: ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\n"
    "routes:\n"
    "- match: 010\n"
    "  to: trunk/carrier\n"
    "- { match: \"8150-8379\", to: account/cam-gw, priority: 20, weight: 0, scope: hq, length: 4-15, strip: 1,\n"
    "    prepend: \"34\", hours: \"Mo-Fr 08:00-18:00\", overflow: true, failover: [480, 503], note: \"Z\xc3\xbcrich: "
    "\\\"x\\\"\",\n"
    "    disabled: true }\n"
    "- { match: +, to: site/empty, length: 4- }\n"
    "- { match: \"*\", to: reject/404, length: -15 }\n"
    "- { match: \"#\", to: reject/603, length: 7 }\n"
    "remove: [trunk/old, route//6/trunk/old]\n";

static const struct plan_object *find(const struct plan_document *doc, enum plan_kind kind, const char *name)
{
    for (size_t i = 0; i < doc->object_count; i++) {
        const struct plan_object *o = &doc->objects[i];
        struct slice own = kind == PLAN_SITE      ? o->site.name
                           : kind == PLAN_TRUNK   ? o->trunk.name
                           : kind == PLAN_ACCOUNT ? o->account.name
                           : kind == PLAN_ROUTE   ? o->route.match
                                                  : SLICE_NONE;
        if (o->kind == kind && slice_is(own, name)) return o;
    }
    fail_msg("no %s", name);
    return NULL;
}

static void check_trunk(const struct plan_trunk *t)
{
    assert_true(slice_is(t->site, "hq"));
    assert_int_equal(t->address_count, 2);
    assert_true(slice_is(t->address[0], "sip.carrier.example:5061") && slice_is(t->address[1], "[2001:db8::1]:5061"));
    assert_int_equal(t->transport, PLAN_TLS);
    assert_int_equal(t->trust_count, 2);
    assert_true(slice_is(t->trust[1], "2001:db8::/32"));
    assert_int_equal(t->probe_ms, 1500);
    assert_int_equal(t->calls, 60);
    assert_int_equal(t->rate_per_s, 10);
    assert_true(t->registration.set && !t->registration.password_keep);
    assert_true(slice_is(t->registration.user, "4930123") && slice_is(t->registration.password, "s: 'e\"cret"));
    assert_true(slice_is(t->registration.domain, "carrier.example") && slice_is(t->registration.login, "u1"));
    assert_int_equal(t->registration.expires_s, 600);
    assert_int_equal(t->in_count, 1);
    assert_true(slice_is(t->in[0].match, "+49301234") && t->in[0].strip == 9 && t->in[0].prepend.n == 0);
    assert_int_equal(t->out_count, 1);
    assert_true(slice_is(t->out[0].prepend, "9"));
    assert_true(t->disabled);
}

static void check_accounts(const struct plan_document *doc)
{
    const struct plan_account *gw = &find(doc, PLAN_ACCOUNT, "cam-gw")->account;
    const struct plan_account *keep = &find(doc, PLAN_ACCOUNT, "no")->account;
    const struct plan_account *hashed = &find(doc, PLAN_ACCOUNT, "hashed")->account;
    assert_true(slice_is(gw->password, "secret") && !gw->password_keep && !gw->secret.set);
    assert_int_equal(gw->number_count, 2);
    assert_true(slice_is(gw->numbers[0], "8") && slice_is(gw->numbers[1], "=6000"));
    assert_true(gw->strip == 1 && slice_is(gw->prepend, "77") && slice_is(gw->site, "hq"));
    assert_true(gw->max_contacts == 2 && gw->calls == 200 && !gw->disabled);
    assert_true(keep->password_keep && keep->password.n == 0 && keep->max_contacts == 1 && keep->disabled);
    assert_true(hashed->secret.set && hashed->secret.md5[1] == 0x11 && hashed->secret.sha256[31] == 0x1f);
    assert_true(hashed->secret.sha512_256[0] == 0xff && hashed->secret.sha512_256[31] == 0xff);
}

static void check_routes(const struct plan_document *doc)
{
    const struct plan_route *plain = &find(doc, PLAN_ROUTE, "010")->route;
    const struct plan_route *full = &find(doc, PLAN_ROUTE, "8150-8379")->route;
    assert_true(plain->priority == 10 && plain->weight == 10 && plain->target.kind == PLAN_TO_TRUNK);
    assert_true(plain->scope.n == 0 && plain->length_min == 0 && plain->length_max == 0 && !plain->overflow);
    assert_true(full->priority == 20 && full->weight == 0 && slice_is(full->scope, "hq"));
    assert_true(full->length_min == 4 && full->length_max == 15 && full->strip == 1 && slice_is(full->prepend, "34"));
    assert_true(slice_is(full->hours, "Mo-Fr 08:00-18:00") && full->overflow && full->disabled);
    assert_int_equal(full->failover_count, 2);
    assert_true(full->failover[0] == 480 && full->failover[1] == 503);
    assert_true(slice_is(full->note, "Z\xc3\xbcrich: \"x\""));
    assert_true(find(doc, PLAN_ROUTE, "+")->route.length_min == 4 && find(doc, PLAN_ROUTE, "+")->route.length_max == 0);
    assert_true(find(doc, PLAN_ROUTE, "*")->route.length_min == 0 &&
                find(doc, PLAN_ROUTE, "*")->route.length_max == 15);
    assert_true(find(doc, PLAN_ROUTE, "#")->route.length_min == 7 && find(doc, PLAN_ROUTE, "#")->route.length_max == 7);
    assert_int_equal(find(doc, PLAN_ROUTE, "#")->route.target.code, 603);
    assert_int_equal(find(doc, PLAN_ROUTE, "*")->line, 42);
}

static void test_fields(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct plan_document doc = test_parse(&arena, SLICE(whole));
    assert_int_equal(doc.object_count, 13);
    assert_true(slice_is(doc.objects[0].defaults.domain, "example.org"));
    const struct plan_site *hq = &find(&doc, PLAN_SITE, "hq")->site;
    assert_int_equal(hq->block_count, 2);
    assert_true(slice_is(hq->blocks[1], "700-799") && hq->media_relay);
    assert_int_equal(hq->dial_count, 2);
    assert_true(slice_is(hq->dial[0].prepend, "+49") && hq->dial[0].strip == 1 && slice_is(hq->dial[1].match, "=112"));
    assert_int_equal(find(&doc, PLAN_SITE, "empty")->site.block_count, 0);
    assert_int_equal(find(&doc, PLAN_SITE, "010")->site.media_relay, false);
    check_trunk(&find(&doc, PLAN_TRUNK, "carrier")->trunk);
    check_accounts(&doc);
    check_routes(&doc);
    assert_int_equal(doc.remove_count, 2);
    assert_true(slice_is(doc.remove[1], "route//6/trunk/old"));
    assert_int_equal(doc.remove_place[0].line, 44);
    assert_int_equal(doc.remove_place[0].column, 10);
    arena_fini(&arena);
}

/* Every prefix of a good document is refused or read, never more: the sanitizers watch. */
static void test_cut(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof whole; n++) {
        struct arena arena = {0};
        struct plan_document doc = {0};
        struct err_info info = {.text = ""};
        char *exact = malloc(n + 1);
        assert_non_null(exact);
        memcpy(exact, whole, n);
        enum err e = plan_document_parse(&arena, (struct slice){exact, n}, &doc, &info);
        if (e != ERR_OK) assert_true(info.line > 0 && info.column > 0 && strlen(info.text) > 10);
        if (e != ERR_OK) assert_int_equal(doc.object_count, 0);
        free(exact);
        arena_fini(&arena);
    }
}

static void write_all(struct arena *arena, const struct plan_document *doc, struct buf *out)
{
    assert_int_equal(plan_document_write(test_objects(arena, doc), doc->object_count, out), ERR_OK);
}

static const char written[] =
    "plan: 1\n"
    "defaults:\n"
    "  domain: example.org\n"
    "sites:\n"
    "  \"010\": {}\n"
    "  empty: {}\n"
    "  hq:\n"
    "    blocks: [\"6\", \"700-799\"]\n"
    "    dial: [{match: \"0\", strip: 1, prepend: \"+49\"}, {match: \"=112\"}]\n"
    "    media: relay\n"
    "trunks:\n"
    "  carrier:\n"
    "    site: hq\n"
    "    address: [\"sip.carrier.example:5061\", \"[2001:db8::1]:5061\"]\n"
    "    transport: tls\n"
    "    trust: [\"192.0.2.0/24\", \"2001:db8::/32\"]\n"
    "    trust_names: [sip.carrier.example, carrier.example]\n"
    "    probe: 1500ms\n"
    "    calls: 60\n"
    "    rate: 10/s\n"
    "    register: {user: \"4930123\", domain: carrier.example, login: u1, password: (set), expires: 10m}\n"
    "    in: [{match: \"+49301234\", strip: 9}]\n"
    "    out: [{match: \"0\", prepend: \"9\"}]\n"
    "    hide: true\n"
    "    disabled: true\n"
    "accounts:\n"
    "  cam-gw:\n"
    "    password: (set)\n"
    "    numbers: [\"8\", \"=6000\"]\n"
    "    strip: 1\n"
    "    prepend: \"77\"\n"
    "    site: hq\n"
    "    max_contacts: 2\n"
    "    calls: 200\n"
    "    keepalive: crlf\n"
    "    keepalive_every: 40s\n"
    "    map: cams.csv\n"
    "  hashed:\n"
    "    password: (set)\n"
    "  \"no\":\n"
    "    password: (set)\n"
    "    disabled: true\n"
    "routes:\n"
    "- {match: \"#\", to: reject/603, length: 7}\n"
    "- {match: \"*\", to: reject/404, length: \"-15\"}\n"
    "- {match: \"+\", to: site/empty, length: 4-}\n"
    "- {match: \"010\", to: trunk/carrier}\n"
    "- {match: \"8150-8379\", to: account/cam-gw, priority: 20, weight: 0, scope: hq, length: 4-15, strip: 1, prepend: "
    "\"34\", hours: \"Mo-Fr 08:00-18:00\", overflow: true, failover: [480, 503], note: \"Z\xc3\xbcrich: \\\"x\\\"\", "
    "disabled: true}\n";

static void test_write(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf first = {0};
    struct buf second = {0};
    struct plan_document doc = test_parse(&arena, SLICE(whole));
    write_all(&arena, &doc, &first);
    buf_add(&first, "", 1);
    assert_string_equal(first.p, written);
    first.n--;
    assert_null(strstr(first.p, "cret")); /* no secret is ever printed */
    struct plan_document again = test_parse(&arena, buf_view(&first));
    assert_int_equal(again.object_count, doc.object_count);
    assert_true(find(&again, PLAN_ACCOUNT, "cam-gw")->account.password_keep);
    assert_true(find(&again, PLAN_TRUNK, "carrier")->trunk.registration.password_keep);
    write_all(&arena, &again, &second);
    assert_true(slice_eq(buf_view(&first), buf_view(&second)));
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
}

static void test_as_many_faults_as_are_kept(void **state)
{
    (void)state;
    for (size_t n = PLAN_FAULTS_MAX - 1; n <= PLAN_FAULTS_MAX + 2; n++) {
        struct arena arena = {0};
        struct plan_document doc = {0};
        struct plan_faults faults;
        struct buf yaml = {0};
        buf_text(&yaml, "plan: 1\nroutes:\n");
        for (size_t i = 0; i < n; i++)
            buf_printf(&yaml, "- { match: \"%zu\", to: nowhere }\n", i);
        assert_int_equal(plan_document_check(&arena, buf_view(&yaml), &doc, &faults), ERR_SYNTAX);
        assert_int_equal(faults.count, n < PLAN_FAULTS_MAX ? n : PLAN_FAULTS_MAX);
        assert_int_equal(faults.more, n > PLAN_FAULTS_MAX);
        assert_int_equal(faults.items[faults.count - 1].line, 2 + faults.count);
        assert_int_equal(doc.object_count, 0);
        buf_fini(&yaml);
        arena_fini(&arena);
    }
}

static void test_write_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf out = {0};
    assert_int_equal(plan_document_write(NULL, 0, &out), ERR_OK);
    assert_true(slice_is(buf_view(&out), "plan: 1\n"));
    struct plan_document doc = test_parse(&arena, buf_view(&out));
    assert_int_equal(doc.object_count, 0);
    buf_fini(&out);
    arena_fini(&arena);
}

/* Texts that YAML readers like to take for something else come back as they went in. */
static void test_texts_survive(void **state)
{
    (void)state;
    static const char *const texts[] = {"no", "~",        "null", "1e3", "0x10",   "- x",  "a: b",
                                        "#x", "'",        "\\",   "%41", "{a: b}", "*x",   "&x",
                                        "!x", " spaces ", "a #b", "|",   ">x",     "@",    "`",
                                        "?",  "---",      "...",  "=",   "<<",     "1:30", "\xe2\x82\xac"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct arena arena = {0};
        struct buf out = {0};
        struct plan_object o;
        plan_object_init(&o, PLAN_ROUTE);
        o.route.match = SLICE("6");
        o.route.target = (struct plan_target){.kind = PLAN_TO_SITE, .name = SLICE("no")};
        o.route.scope = SLICE("1e3");
        o.route.note = slice_of(texts[i]);
        const struct plan_object *list[] = {&o};
        assert_int_equal(plan_object_validate(&o, NULL), ERR_OK);
        assert_int_equal(plan_document_write(list, 1, &out), ERR_OK);
        struct plan_document doc = test_parse(&arena, buf_view(&out));
        assert_int_equal(doc.object_count, 1);
        assert_true(slice_is(doc.objects[0].route.note, texts[i]));
        assert_true(slice_is(doc.objects[0].route.scope, "1e3"));
        assert_true(plan_object_same(&o, &doc.objects[0]));
        buf_fini(&out);
        arena_fini(&arena);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        enum err err;
        unsigned line;
        unsigned column;
    } table[] = {
        {SLICE("\xef\xbb\xbfplan: 1\n"), ERR_OK, 0, 0},
        {SLICE("plan: 1\r\nroutes:\r\n- {match: \"6\", to: reject/404}\r\n"), ERR_OK, 0, 0},
        {SLICE("--- \nplan: 1\n...\n"), ERR_OK, 0, 0},
        {SLICE("%YAML 1.1\n---\nplan: 1\n"), ERR_OK, 0, 0},
        {SLICE("\xff\xfep\0l\0a\0n\0"), ERR_SYNTAX, 1, 1},
        {SLICE("plan: 1\nroutes: [\xff]\n"), ERR_SYNTAX, 2, 10},
        {SLICE("plan: 1\0\n"), ERR_SYNTAX, 1, 8},
        {SLICE(""), ERR_SYNTAX, 1, 1},
        {SLICE("\n\n# nothing\n"), ERR_SYNTAX, 4, 1},
        {SLICE("plan: 1\n---\nplan: 1\n"), ERR_SYNTAX, 2, 1},
        {SLICE("%TAG !x! tag:x\n---\nplan: 1\n"), ERR_SYNTAX, 1, 1},
        {SLICE("plan: !!int 1\n"), ERR_SYNTAX, 1, 7},
        {SLICE("plan: &a 1\n"), ERR_SYNTAX, 1, 7},
        {SLICE("plan: 1\nsites: *a\n"), ERR_SYNTAX, 2, 8},
        {SLICE("plan: 2\n"), ERR_VERSION, 1, 7},
        {SLICE("plan: 1\nsites: {\"a\\0b\": {}}\n"), ERR_SYNTAX, 2, 9},
        {SLICE("plan: 1\nroutes:\n- {match: \"6\", to: reject/404, note: \"\\e[2J\"}\n"), ERR_SYNTAX, 3, 38},
        {SLICE("plan: 1\nroutes: [[[[[[[[[[[[\n"), ERR_SYNTAX, 2, 10},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct arena arena = {0};
        struct plan_document doc;
        struct err_info info = {.text = ""};
        enum err e = plan_document_parse(&arena, table[i].text, &doc, &info);
        if (e != table[i].err || info.line != table[i].line || info.column != table[i].column) {
            fail_msg("row %zu: %s %u:%u %s", i, err_name(e), info.line, info.column, info.text);
        }
        arena_fini(&arena);
    }
}

/* ---- size ---- */

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double parse_many(unsigned count, unsigned accounts)
{
    struct arena arena = {0};
    struct buf text = {0};
    buf_text(&text, "plan: 1\naccounts:\n");
    for (unsigned i = 0; i < accounts; i++)
        buf_printf(&text, "  \"%u\": { password: secret }\n", i);
    buf_text(&text, "routes:\n");
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "- { match: \"%07u\", to: trunk/hq-pbx }\n", i);
    assert_false(text.failed);
    double start = seconds();
    struct plan_document doc = test_parse(&arena, buf_view(&text));
    double took = seconds() - start;
    assert_int_equal(doc.object_count, count + accounts);
    buf_fini(&text);
    arena_fini(&arena);
    return took;
}

/* Ten times the objects take about ten times the time, not a hundred: TANDEM_BIG=1 also tries a million. */
static void test_linear(void **state)
{
    (void)state;
    double small = parse_many(4000, 1000);
    double big = parse_many(40000, 10000);
    if (big > 40 * small) fail_msg("%.3f s for 5,000 objects, %.3f s for 50,000", small, big);
    if (getenv("TANDEM_BIG") != NULL) (void)printf("1,000,000 routes: %.2f s\n", parse_many(1000000, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_write),         cmocka_unit_test(test_as_many_faults_as_are_kept),
        cmocka_unit_test(test_write_nothing), cmocka_unit_test(test_texts_survive),
        cmocka_unit_test(test_bytes),         cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
