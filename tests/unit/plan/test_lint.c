/* Lint: each rule with what must and what must not be found; that it is not quadratic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/plan/lint.h"
#include "tests/unit/plan/plan_test.h"

/* Three sites with blocks 6, 8 and 9, and trunks at each. */
#define HOUSE                                                                                                          \
    "plan: 1\n"                                                                                                        \
    "sites: { hq: {blocks: [\"6\"]}, campus: {blocks: [\"8\"]}, lab: {blocks: [900-999]} }\n"                          \
    "trunks:\n"                                                                                                        \
    "  h: {site: hq, address: [h], trust: [10.1.0.1]}\n"                                                               \
    "  h2: {site: hq, address: [h], trust: [10.1.0.2]}\n"                                                              \
    "  c: {site: campus, address: [c], trust: [10.2.0.1]}\n"                                                           \
    "  l: {site: lab, address: [l], trust: [10.3.0.1]}\n"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define P "password: (set)"
#define ACCOUNTS "accounts:\n  gw: {" P ", site: campus}\n  gw2: {" P "}\n"
/* Keeps every trunk and account used. */
#define USED                                                                                                           \
    "routes:\n"                                                                                                        \
    "- {match: \"*1\", to: trunk/h}\n- {match: \"*2\", to: trunk/h2}\n- {match: \"*3\", to: trunk/c}\n"                \
    "- {match: \"*4\", to: trunk/l}\n- {match: \"*5\", to: account/gw}\n- {match: \"*6\", to: account/gw2}\n"
#define ROUTES(lines) HOUSE ACCOUNTS USED lines

static const struct {
    const char *yaml;
    const char *findings; /* "id key" each, in order */
} examples[] = {
    {ROUTES(""), ""},
    /* unknown-target */
    {ROUTES("- {match: \"1\", to: trunk/nope}\n"), "unknown-target route//1/trunk/nope\n"},
    {ROUTES("- {match: \"1\", to: account/h}\n"), "unknown-target route//1/account/h\n"},
    {ROUTES("- {match: \"1\", to: site/h}\n"), "unknown-target route//1/site/h\n"},
    {ROUTES("- {match: \"1\", to: site/hq}\n- {match: \"2\", to: reject/404}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h, scope: nope}\n"), "unknown-target route/nope/1/trunk/h\n"},
    {HOUSE "accounts: {\"1\": {" P ", site: nope}}\n" USED,
     "unknown-target account/1\nunknown-target route//*5/account/gw\n"
     "unknown-target route//*6/account/gw2\n"},
    /* foreign-block */
    {ROUTES("- {match: \"8\", to: trunk/h}\n"), "foreign-block route//8/trunk/h\n"},
    {ROUTES("- {match: \"81\", to: trunk/h}\n"), "foreign-block route//81/trunk/h\n"},
    {ROUTES("- {match: 8100-8199, to: trunk/h}\n"), "foreign-block route//8100-8199/trunk/h\n"},
    {ROUTES("- {match: =8100, to: site/hq}\n"), "foreign-block route//=8100/site/hq\n"},
    {ROUTES("- {match: \"8\", to: trunk/c}\n- {match: \"8\", to: trunk/h, priority: 20}\n"), ""},
    {ROUTES("- {match: \"8\", to: trunk/c}\n- {match: \"81\", to: trunk/h, priority: 20}\n"),
     "foreign-block route//81/trunk/h\n"},
    {ROUTES("- {match: \"8\", to: trunk/c, disabled: true}\n- {match: \"8\", to: trunk/h, priority: 20}\n"),
     "foreign-block route//8/trunk/h\n"},
    {ROUTES("- {match: \"8\", to: trunk/h, disabled: true}\n"), ""},
    {ROUTES("- {match: \"8\", to: trunk/h, scope: campus}\n"), ""},
    {ROUTES("- {match: \"8\", to: trunk/h, scope: hq}\n"), "foreign-block route/hq/8/trunk/h\n"},
    {ROUTES("- {match: \"8\", to: reject/404}\n- {match: \"8\", to: account/gw2}\n"), ""},
    {ROUTES("- {match: 8-9, to: trunk/h}\n"), ""},
    {ROUTES("- {match: 950-959, to: trunk/h}\n"), "foreign-block route//950-959/trunk/h\n"},
    {ROUTES("- {match: 890-959, to: trunk/h}\n"), ""},
    {HOUSE "accounts:\n  gw: {" P ", site: campus, numbers: [\"61\"]}\n  gw2: {" P ", numbers: [\"62\"]}\n" USED,
     "foreign-block account/gw\n"},
    {HOUSE "accounts:\n  gw: {" P ", site: campus, numbers: [\"81\"]}\n  gw2: {" P "}\n" USED, ""},
    /* translation-loop */
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"12\"}\n"), "translation-loop route//1/site/hq\n"},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"22\"}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h, prepend: \"1\"}\n"), ""},
    {ROUTES("- {match: \"1\", to: site/hq, prepend: \"1\", length: 4-5}\n"), ""},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 2, prepend: \"12\", length: 4-5}\n"),
     "translation-loop route//1/site/hq\n"},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: site/campus, strip: 1, "
            "prepend: \"1\"}\n"),
     "translation-loop route//1/site/hq\ntranslation-loop route//2/site/campus\n"},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: trunk/c, strip: 1, prepend: "
            "\"1\"}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"12\"}\n- {match: \"12\", to: trunk/h}\n"), ""},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"12\"}\n- {match: \"1\", to: trunk/h, priority: 5}\n"),
     ""},
    {ROUTES("- {match: =17, to: site/hq, strip: 1, prepend: \"1\"}\n"), "translation-loop route//=17/site/hq\n"},
    {ROUTES("- {match: =17, to: site/hq, strip: 1, prepend: \"2\"}\n"), ""},
    {ROUTES("- {match: 100-199, to: site/hq, strip: 3, prepend: \"25\"}\n"), ""},
    {ROUTES("- {match: 100-199, to: site/hq, strip: 3, prepend: \"150\"}\n"),
     "translation-loop route//100-199/site/hq\n"},
    /* numbers of the one's length are none of the other's */
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\", length: 4}\n- {match: \"2\", to: site/campus, "
            "strip: 1, prepend: \"1\", length: 5}\n- {match: \"2\", to: trunk/c, priority: 200}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\", length: 4-5}\n- {match: \"2\", to: site/campus, "
            "strip: 1, prepend: \"1\", length: 5}\n"),
     "translation-loop route//1/site/hq\ntranslation-loop route//2/site/campus\n"},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: site/campus, prepend: "
            "\"1\", length: 4}\n"),
     ""},
    /* what is scoped to the site that is sent to comes first there */
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: site/campus, strip: 1, "
            "prepend: \"1\"}\n- {match: \"2\", to: trunk/h, scope: hq}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: site/campus, strip: 1, "
            "prepend: \"1\"}\n- {match: \"2\", to: trunk/c, scope: campus}\n"),
     "translation-loop route//1/site/hq\ntranslation-loop route//2/site/campus\n"},
    /* and the account that is the number before all routes */
    {HOUSE
     "accounts:\n  \"27\": {" P "}\n  gw: {" P "}\n  gw2: {" P "}\n" USED
     "- {match: =17, to: site/hq, strip: 1, prepend: \"2\"}\n- {match: \"2\", to: site/campus, strip: 1, prepend: "
     "\"1\"}\n",
     ""},
    /* shadowed-rule */
    {"plan: 1\nsites: { a: {dial: [{match: \"0\", strip: 1}, {match: \"00\", strip: 2, prepend: \"+\"}]} }\n",
     "shadowed-rule site/a\n"},
    {"plan: 1\nsites: { a: {dial: [{match: \"00\", strip: 2, prepend: \"+\"}, {match: \"0\", strip: 1}]} }\n", ""},
    {"plan: 1\nsites: { a: {dial: [{match: \"=0\", strip: 1}, {match: \"0\", strip: 1}, {match: \"=00\", strip: 1}]} "
     "}\n",
     "shadowed-rule site/a\n"},
    {"plan: 1\nsites: { a: {dial: [{match: \"=0\", strip: 1}, {match: \"=0\", strip: 1}, {match: \"=01\", strip: 1}]} "
     "}\n",
     "shadowed-rule site/a\n"},
    {"plan: 1\nsites: {a: {}}\ntrunks: { t: {site: a, address: [h], trust: [10.1.0.1], in: [{match: \"1\", strip: 1}, "
     "{match: \"12\", strip: 1}], out: [{match: \"4\", strip: 1}, {match: \"4\", strip: 2}]} }\n"
     "routes: [{match: \"1\", to: trunk/t}]\n",
     "shadowed-rule trunk/t\nshadowed-rule trunk/t\n"},
    /* same-priority */
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/c}\n"), "same-priority route//1/trunk/h\n"},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/h2}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/c, priority: 11}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/c, disabled: true}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/c, scope: hq}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h, hours: \"Mo 08:00-09:00\"}\n- {match: \"1\", to: trunk/c}\n"), ""},
    /* also where one that is not in force, at another time or at no site is the first of them */
    {ROUTES("- {match: \"1\", to: trunk/c, disabled: true}\n- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: "
            "trunk/l}\n"),
     "same-priority route//1/trunk/l\n"},
    {ROUTES("- {match: \"1\", to: trunk/c, hours: \"Mo 08:00-09:00\"}\n- {match: \"1\", to: trunk/h}\n"
            "- {match: \"1\", to: trunk/l}\n"),
     "same-priority route//1/trunk/l\n"},
    {ROUTES("- {match: \"1\", to: account/gw2}\n- {match: \"1\", to: site/hq}\n- {match: \"1\", to: site/lab}\n"),
     "same-priority route//1/site/lab\n"},
    /* overlapping-blocks, block-full */
    {"plan: 1\nsites: { a: {blocks: [\"6\"]}, b: {blocks: [\"61\"]} }\n", "overlapping-blocks site/b\n"},
    {"plan: 1\nsites: { a: {blocks: [\"6\"]}, b: {blocks: [\"6\"]} }\n", "overlapping-blocks site/b\n"},
    {"plan: 1\nsites: { a: {blocks: [\"6\", \"61\"]}, b: {blocks: [\"7\"]} }\n", ""},
    {"plan: 1\nsites: { a: {blocks: [600-649]}, b: {blocks: [650-699]} }\n", ""},
    {"plan: 1\nsites: { a: {blocks: [600-650]}, b: {blocks: [650-699]} }\n", "overlapping-blocks site/b\n"},
    {"plan: 1\nsites: { a: {blocks: [60-64]} }\naccounts: { \"60\": {" P "}, \"61\": {" P "}, \"62\": {" P
     "}, \"63\": {" P "} }\n",
     ""},
    {"plan: 1\nsites: { a: {blocks: [60-64]} }\naccounts: { \"60\": {" P "}, \"61\": {" P "}, \"62\": {" P
     "}, \"63\": {" P "}, \"64\": {" P "}, \"65\": {" P "} }\n",
     "block-full site/a\n"},
    {"plan: 1\nsites: { a: {blocks: [\"6\"]} }\naccounts: { \"60\": {" P "}, \"61\": {" P "}, \"62\": {" P
     "}, \"63\": {" P "}, \"64\": {" P "}, \"65\": {" P "},\n"
     " \"66\": {" P "}, \"67\": {" P ", numbers: [=68, =69]} }\n",
     "block-full site/a\n"},
    {"plan: 1\nsites: { a: {blocks: [\"6\"]} }\naccounts: { \"60\": {" P "}, \"61\": {" P "}, \"62\": {" P
     "}, \"63\": {" P "}, \"64\": {" P "}, \"65\": {" P "},\n"
     " \"66\": {" P "}, \"67\": {" P ", numbers: [=67]}, \"6888\": {" P "}, \"7\": {" P "} }\n",
     ""},
    /* unused, no-trust */
    {"plan: 1\nsites: {a: {}}\ntrunks: { t: {site: a, address: [h]} }\n", "no-trust trunk/t\nunused-trunk trunk/t\n"},
    {"plan: 1\nsites: {a: {}}\ntrunks: { t: {site: a, address: [h], trust_names: [h.example]} }\n",
     "unused-trunk trunk/t\n"},
    /* same-trust */
    {"plan: 1\nsites: {a: {}, b: {}}\ntrunks:\n"
     "  t: {site: a, address: [h], trust: [10.0.0.1], trust_names: [h.example]}\n"
     "  u: {site: a, address: [h], trust: [10.0.0.0/24], trust_names: [h2.example]}\n"
     "  v: {site: b, address: [h], trust: [10.0.0.1], trust_names: [h.example]}\n"
     "routes:\n- {match: \"1\", to: trunk/t}\n- {match: \"2\", to: trunk/u}\n- {match: \"3\", to: trunk/v}\n",
     ""},
    {"plan: 1\nsites: {a: {}}\ntrunks:\n"
     "  t: {site: a, address: [h], trust: [10.0.0.1]}\n  u: {site: a, address: [h], trust: [10.0.0.1]}\n"
     "  v: {site: a, address: [h], trust_names: [h.example]}\n  w: {site: a, address: [h], trust_names: [H.example]}\n"
     "routes:\n- {match: \"1\", to: trunk/t}\n- {match: \"2\", to: trunk/u}\n- {match: \"3\", to: trunk/v}\n"
     "- {match: \"4\", to: trunk/w}\n",
     "same-trust trunk/u\nsame-trust trunk/w\n"},
    /* no-password and same-registration of trunks; what registers needs no trust */
    {"plan: 1\nsites: {a: {}}\ntrunks:\n  t: {site: a, address: [h], register: {user: u}}\n"
     "  v: {site: a, address: [h], register: {user: v, " P "}}\nroutes: [{match: \"1\", to: trunk/t}, {match: \"2\", "
     "to: trunk/v}]\n",
     "no-password trunk/t\n"},
    {"plan: 1\nsites: {a: {}}\ntrunks:\n  t: {site: a, address: [h], register: {user: u, password: x}}\n"
     "  v: {site: a, address: [h, i], register: {user: u, " P "}}\n  w: {site: a, address: [i], register: {user: u, " P
     "}}\nroutes: [{match: \"1\", to: trunk/t}, {match: \"2\", to: trunk/v}, {match: \"3\", to: trunk/w}]\n",
     "same-registration trunk/v\n"},
    {"plan: 1\nsites: {a: {}}\ntrunks:\n  t: {site: a, address: [h], register: {user: u, domain: d, " P "}}\n"
     "  v: {site: a, address: [i], register: {user: u, domain: d, " P
     "}}\nroutes: [{match: \"1\", to: trunk/t}, {match: "
     "\"2\", to: trunk/v}]\n",
     "same-registration trunk/v\n"},
    {"plan: 1\naccounts: { soft: {" P "}, \"6001\": {" P "}, gw: {" P ", numbers: [\"7\"]} }\n",
     "unused-account account/soft\n"},
    {"plan: 1\naccounts: { \"6001\": {}, \"6002\": {password: x}, \"6003\": {hashes: {md5: "
     "00000000000000000000000000000000, sha256: " ZEROS ", sha512_256: " ZEROS "}} }\n",
     "no-password account/6001\n"},
    /* impossible-length */
    {ROUTES("- {match: \"123\", to: trunk/h, length: -2}\n"), "impossible-length route//123/trunk/h\n"},
    {ROUTES("- {match: 100-199, to: trunk/h, length: 2}\n"), "impossible-length route//100-199/trunk/h\n"},
    {ROUTES("- {match: =123, to: trunk/h, length: 4-}\n"), "impossible-length route//=123/trunk/h\n"},
    {ROUTES("- {match: \"123\", to: trunk/h, length: 3}\n- {match: =17, to: trunk/h, length: 2}\n"), ""},
    /* shadowed */
    {ROUTES("- {match: \"1\", to: reject/404}\n- {match: \"1\", to: trunk/h, priority: 11}\n"),
     "shadowed route//1/trunk/h\n"},
    {ROUTES(
         "- {match: \"1\", to: reject/404, hours: \"Mo 08:00-09:00\"}\n- {match: \"1\", to: trunk/h, priority: 11}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: reject/404}\n- {match: \"1\", to: trunk/h, priority: 9}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-19, to: trunk/h2}\n"), "shadowed route//1/trunk/h\n"},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-18, to: trunk/h2}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 11-19, to: trunk/h2}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-14, to: trunk/h2}\n- {match: 1500-1999, to: trunk/h2}\n"),
     "shadowed route//1/trunk/h\n"},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-14, to: trunk/h2}\n- {match: 16-19, to: trunk/h2}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-14, to: trunk/h2, overflow: true}\n- {match: 15-19, to: "
            "trunk/h2}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-14, to: trunk/h2, hours: \"Mo 08:00-09:00\"}\n- {match: "
            "15-19, to: trunk/h2}\n"),
     ""},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: 10-19, to: trunk/h2, scope: hq}\n"), ""},
    {ROUTES("- {match: \"1\", to: trunk/h, scope: hq}\n- {match: 10-19, to: trunk/h2}\n"),
     "shadowed route/hq/1/trunk/h\n"},
    {ROUTES("- {match: \"1\", to: trunk/h, length: 2}\n- {match: 1000-1999, to: trunk/h2}\n"), ""},
    {ROUTES("- {match: 150-159, to: trunk/h}\n- {match: 1500-1599, to: trunk/h2}\n"),
     "shadowed route//150-159/trunk/h\n"},
    {ROUTES("- {match: \"1\", to: trunk/h}\n- {match: \"1\", to: trunk/h2}\n- {match: 10-19, to: trunk/h2}\n"),
     "shadowed route//1/trunk/h\nshadowed route//1/trunk/h2\n"},
    {ROUTES("- {match: \"0\", to: trunk/h}\n- {match: 00-09, to: trunk/h2}\n"), "shadowed route//0/trunk/h\n"},
    {ROUTES("- {match: +9, to: trunk/h}\n- {match: +90-+99, to: trunk/h2}\n"), "shadowed route//+9/trunk/h\n"},
};

/* What neither the plan before nor the one after shows alone. Of "before" every account has hashes. */
static const struct {
    const char *before;
    const char *after;
    const char *findings; /* "id key" each */
    const char *text;     /* part of the last one's */
} changes[] = {
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}, \"2\": {password: x}}\n",
     "defaults: {domain: b.example}\naccounts: {\"1\": {password: (set)}, \"2\": {password: y}}\n",
     "new-domain defaults\n", "1 account (1) keeps a password"},
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}, \"2\": {password: x}}\n",
     "accounts: {\"1\": {password: (set)}, \"2\": {password: (set)}}\n", "new-domain defaults\n",
     "to none, and 2 accounts (1, 2) keep"},
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}}\n",
     "defaults: {domain: b.example}\naccounts: {\"1\": {password: y}, \"2\": {password: z}}\n", "", ""},
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}}\n",
     "defaults: {domain: A.example}\naccounts: {\"1\": {password: (set)}}\n", "new-domain defaults\n", "1 account (1)"},
    {"accounts: {\"1\": {password: x}}\n", "defaults: {domain: b.example}\naccounts: {\"1\": {password: (set)}}\n", "",
     ""},
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}}\n", "defaults: {domain: b.example}\n", "", ""},
    {"defaults: {domain: a.example}\naccounts: {\"1\": {password: x}, old: {password: x}}\n",
     "accounts: {\"1\": {password: y}, old: {password: y}, gw: {password: z}, \"3\": {}}\n",
     "no-password account/3\nunused-account account/gw\n", ""}, /* that of "old" is an old one */
};

static void test_changes(void **state)
{
    (void)state;
    for (size_t e = 0; e < sizeof changes / sizeof changes[0]; e++) {
        struct arena arena = {0};
        struct buf got = {0};
        struct buf before = {0};
        struct buf after = {0};
        struct lint_report report;
        buf_printf(&before, "plan: 1\n%s", changes[e].before);
        buf_printf(&after, "plan: 1\n%s", changes[e].after);
        struct plan_document old = test_parse(&arena, buf_view(&before));
        struct plan_document new = test_parse(&arena, buf_view(&after));
        for (size_t i = 0; i < old.object_count; i++) {
            struct plan_object *o = &old.objects[i];
            if (o->kind != PLAN_ACCOUNT) continue;
            assert_int_equal(plan_account_hash_password(&o->account, SLICE("a.example")), ERR_OK);
            o->account.password = SLICE_NONE;
        }
        assert_int_equal(plan_lint_change(&arena, test_objects(&arena, &old), old.object_count,
                                          test_objects(&arena, &new), new.object_count, &report),
                         ERR_OK);
        for (size_t i = 0; i < report.count; i++)
            buf_printf(&got, "%s %.*s\n", report.findings[i].id, SLICE_ARG(report.findings[i].object));
        if (!slice_is(buf_view(&got), changes[e].findings)) {
            fail_msg("%s\nto\n%s\ngives\n%.*s", changes[e].before, changes[e].after, SLICE_ARG(buf_view(&got)));
        }
        if (report.count > 0) assert_non_null(strstr(report.findings[report.count - 1].text.p, changes[e].text));
        buf_fini(&got);
        buf_fini(&before);
        buf_fini(&after);
        arena_fini(&arena);
    }
}

static void test_examples(void **state)
{
    (void)state;
    for (size_t e = 0; e < sizeof examples / sizeof examples[0]; e++) {
        struct arena arena = {0};
        struct buf got = {0};
        struct lint_report report;
        struct plan_document doc = test_parse(&arena, slice_of(examples[e].yaml));
        assert_int_equal(plan_lint(&arena, test_objects(&arena, &doc), doc.object_count, &report), ERR_OK);
        for (size_t i = 0; i < report.count; i++) {
            buf_printf(&got, "%s %.*s\n", report.findings[i].id, SLICE_ARG(report.findings[i].object));
            assert_true(report.findings[i].line > 0);
        }
        if (!slice_is(buf_view(&got), examples[e].findings)) {
            fail_msg("%s\ngives\n%.*s", examples[e].yaml, SLICE_ARG(buf_view(&got)));
        }
        buf_fini(&got);
        arena_fini(&arena);
    }
}

/* A document has each key once; a plan that is put together from two may not. */
static void test_duplicates(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct lint_report report;
    struct plan_document doc = test_parse(&arena, SLICE(ROUTES("- {match: \"1\", to: trunk/h, priority: 5}\n"
                                                               "- {match: \"1\", to: trunk/h2, priority: 6}\n")));
    struct plan_object copy = doc.objects[doc.object_count - 2];
    const struct plan_object **list = arena_alloc(&arena, (doc.object_count + 2) * sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < doc.object_count; i++)
        list[i] = &doc.objects[i];
    copy.route.priority = 7; /* the priority is not part of the key */
    list[doc.object_count] = &copy;
    list[doc.object_count + 1] = &doc.objects[0];
    assert_int_equal(plan_lint(&arena, list, doc.object_count + 2, &report), ERR_OK);
    assert_int_equal(report.error_count, 2);
    assert_string_equal(report.findings[0].id, "duplicate");
    assert_true(slice_is(report.findings[0].object, "site/hq"));
    assert_string_equal(report.findings[1].id, "duplicate");
    assert_true(slice_is(report.findings[1].object, "route//1/trunk/h"));
    arena_fini(&arena);
}

static void test_truncated(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buf text = {0};
    struct lint_report report;
    buf_text(&text, HOUSE "accounts:\n");
    for (unsigned i = 0; i < 3000; i++)
        buf_printf(&text, "  a%u: {}\n", i); /* a warning each */
    buf_text(&text, "routes:\n");
    for (unsigned i = 0; i < 300; i++)
        buf_printf(&text, "- {match: \"%u\", to: trunk/nope}\n", i); /* an error each */
    struct plan_document doc = test_parse(&arena, buf_view(&text));
    assert_int_equal(plan_lint(&arena, test_objects(&arena, &doc), doc.object_count, &report), ERR_OK);
    assert_int_equal(report.count, LINT_FINDING_MAX);
    assert_int_equal(report.error_count, 300);
    assert_true(report.truncated);
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct lint_report report;
    assert_int_equal(plan_lint(&arena, NULL, 0, &report), ERR_OK);
    assert_int_equal(report.count, 0);
    assert_false(report.truncated);
    arena_fini(&arena);
}

/* ---- size ---- */

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nested prefixes and ranges, rewriting between sites, equal matches: what could make a rule slow. */
static double lint_many(unsigned count)
{
    struct arena arena = {0};
    struct buf text = {0};
    struct lint_report report;
    buf_text(&text, ROUTES(""));
    for (unsigned i = 0; i < count; i++) {
        switch (i % 4) {
        case 0: buf_printf(&text, "- {match: \"4%06u\", to: trunk/h}\n", i); break;
        case 1: buf_printf(&text, "- {match: \"5%06u\", to: site/hq, strip: 1, prepend: \"7\"}\n", i); break;
        case 2: buf_printf(&text, "- {match: 2%06u-2999999, to: trunk/h2}\n", i); break;
        default: buf_printf(&text, "- {match: \"1\", to: account/x%u}\n", i); break;
        }
    }
    struct plan_document doc = test_parse(&arena, buf_view(&text));
    double start = seconds();
    assert_int_equal(plan_lint(&arena, test_objects(&arena, &doc), doc.object_count, &report), ERR_OK);
    double took = seconds() - start;
    buf_fini(&text);
    arena_fini(&arena);
    return took;
}

static void test_not_quadratic(void **state)
{
    (void)state;
    double small = lint_many(5000);
    double big = lint_many(50000);
    if (big > 40 * small) fail_msg("%.3f s for 5,000 routes, %.3f s for 50,000", small, big);
    if (getenv("TANDEM_BIG") != NULL) (void)printf("1,000,000 routes: %.2f s\n", lint_many(999990));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),  cmocka_unit_test(test_changes), cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_nothing), cmocka_unit_test(test_not_quadratic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
