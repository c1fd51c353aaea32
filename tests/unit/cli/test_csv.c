/* test_csv: plan export and plan import against a node that has a plan: what is written, what is sent, and what never
 * leaves the machine. */
#include "tests/unit/cli/plan_node.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

static const char plan[] = "plan: 1\n"
                           "defaults: { domain: a.example }\n"
                           "accounts:\n"
                           "  \"6001\": { password: stored, site: hq }\n"
                           "  \"0071\": { password: stored }\n"
                           "routes:\n"
                           "  - { match: \"6\", to: trunk/a, note: \"x;y\" }\n"
                           "  - { match: \"+49\", to: trunk/a, priority: 20 }\n";

static void test_export(void **state)
{
    (void)state;
    struct plan_node p;
    plan_node_start(&p, plan);
    expect_run(p.node.path, "plan export --csv routes", 0,
               "match,to,priority,weight,scope,length,strip,prepend,hours,overflow,failover,note,disabled,action\r\n"
               "'+49,trunk/a,20,,,,,,,,,,,\r\n6,trunk/a,,,,,,,,,,x;y,,\r\n",
               "");
    expect_run(
        p.node.path, "plan export --csv accounts --separator semicolon -", 0,
        "name;password;numbers;strip;prepend;site;max_contacts;calls;keepalive;keepalive_every;map;disabled;action\r\n"
        "'0071;(set);;;;;;;;;;;\r\n6001;(set);;;;hq;;;;;;;\r\n",
        "");
    plan_node_run(&p, "plan export --csv routes %", 0, "", "2 routes are in ");
    plan_node_run(&p, "plan import % -m back", 0, "", "nothing to change");
    plan_node_run(&p, "plan export", 2, "", "--csv routes or --csv accounts");
    plan_node_run(&p, "plan export --csv routes /nonexistent/x", 1, "", "No such file");
    plan_node_run(&p, "plan export --csv routes /dev/full", 1, "", "/dev/full: No space left");
    plan_node_stop(&p);
    /* Routes with a scope stand elsewhere among the keys than in a table; text beyond ASCII needs a mark. */
    plan_node_start(&p,
                    "plan: 1\nroutes:\n- {match: \"9\", to: trunk/a, scope: a}\n- {match: \"7\", to: trunk/a}\n"
                    "- {match: \"5\", to: trunk/a, scope: hq}\n- {match: \"7\", to: trunk/a, scope: hq}\n"
                    "- {match: \"7\", to: trunk/b, note: \"B\xc3\xbcro\"}\n- {match: \"7\", to: trunk/a, scope: a}\n");
    expect_run(p.node.path, "plan export --csv routes", 0,
               "\xef\xbb\xbfmatch,to,priority,weight,scope,length,strip,prepend,hours,overflow,failover,note,disabled,"
               "action\r\n5,trunk/a,,,hq,,,,,,,,,\r\n7,trunk/a,,,,,,,,,,,,\r\n7,trunk/b,,,,,,,,,,B\xc3\xbcro,,\r\n"
               "7,trunk/a,,,a,,,,,,,,,\r\n7,trunk/a,,,hq,,,,,,,,,\r\n9,trunk/a,,,a,,,,,,,,,\r\n",
               "");
    plan_node_stop(&p);
    plan_node_start(&p, "plan: 1\n"); /* an empty plan is a table without rows */
    expect_run(
        p.node.path, "plan export --csv accounts", 0,
        "name,password,numbers,strip,prepend,site,max_contacts,calls,keepalive,keepalive_every,map,disabled,action\r\n",
        "");
    plan_node_stop(&p);
}

static void test_import(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *line;
        const char *sent; /* behind "plan: 1\n" */
    } rows[] = {
        {"match,to,priority\n6,trunk/a,30\n'+49,trunk/a,\n", "plan import % -m x",
         "routes:\n- {match: \"6\", to: trunk/a, priority: 30, note: \"x;y\"}\n"},
        {"match,to,note\n6,trunk/a,REMOVE\n7,trunk/b,new\n", "plan import % -m x --mode merge",
         "routes:\n- {match: \"6\", to: trunk/a}\n- {match: \"7\", to: trunk/b, note: new}\n"},
        {"match,to,action\n6,trunk/a,REMOVE\n", "plan import % -m x", "- route//6/trunk/a\n"},
        {"match,to,note\n'+49,trunk/a,\n", "plan import % -m x --mode replace", "- route//6/trunk/a\n"},
        {"match,to,priority\n'+49,trunk/a,\n", "plan import % -m x --mode replace",
         "routes:\n- {match: \"+49\", to: trunk/a}\n- route//6/trunk/a\n"},
        {"name,site,password\n6001,lab,\n", "plan import % -m x",
         "accounts:\n  \"6001\":\n    password: (set)\n    site: lab\n"},
        {"name,site,password\n6001,,(set)\n'0071,,(set)\n", "plan import % -m x --mode replace",
         "accounts:\n  \"6001\":\n    password: (set)\n"},
        {"name,password\n6001,REMOVE\n", "plan import % -m x", "accounts:\n  \"6001\":\n    site: hq\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_node p;
        struct buf got = {0};
        struct arena arena = {0};
        char want[512];
        plan_node_start(&p, plan);
        plan_node_write(&p, rows[i].csv);
        plan_node_run(&p, rows[i].line, 0, "change here/1/7", "");
        (void)snprintf(want, sizeof want, "plan: 1\n%s", rows[i].sent);
        plan_node_change(&p, &got);
        assert_string_equal(got.p, want);
        struct control_record args = plan_node_heard(&p, &arena);
        assert_true(slice_is(control_get_text(&args, "base_digest"), PLAN_NODE_DIGEST));
        assert_true(slice_is(control_get_text(&args, "message"), "x"));
        arena_fini(&arena);
        buf_fini(&got);
        plan_node_stop(&p);
    }
}

static void test_password(void **state)
{
    (void)state;
    struct plan_node p;
    struct buf got = {0};
    plan_node_start(&p, plan);
    plan_node_write(&p, "name,password\n6001,topsecret\n");
    plan_node_run(&p, "plan import % -m x", 0, "", "");
    assert_false(plan_node_mentions(&p, "topsecret"));
    plan_node_change(&p, &got);
    assert_string_equal(got.p, "plan: 1\naccounts:\n  \"6001\":\n    password: (set)\n    site: hq\n");
    buf_fini(&got);
    plan_node_stop(&p);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *line;
        int status;
        const char *out;
        const char *err;
    } rows[] = {
        {"match,to\n8.61E+12,trunk/a\n", "plan import % -m x", 3, "", "t.csv:2:1: cell A2: match: \"8.61E+12\""},
        {"match,to\n", "plan import % -m x --mode replace", 1, "", "there is no row in it"},
        {"match,to,action\n9,trunk/a,REMOVE\n", "plan import % -m x", 3, "",
         "t.csv:2:1: route//9/trunk/a is not in the plan"},
        {"match,to\n49,trunk/a\n", "plan import % -m x", 3,
         "t.csv:2:1: warning: route//49/trunk/a: it is new, but the plan has route//+49/trunk/a", "1 finding stands"},
        {"name,calls\n71,2\n", "plan import % -m x", 3, "account/71: it is new, but the plan has account/0071", ""},
        {"plan: 1\n", "plan import % -m x", 2, "", "'plan apply "},
        {"match,to\n7,trunk/a\n", "plan import %", 2, "", "-m MESSAGE"},
        {"match,to\n7,trunk/a\n", "plan import % -m x --mode some", 2, "", "merge or replace"},
        {"match,to\n7,trunk/a\n", "plan apply % -m x", 2, "", "is a table: 'plan import "},
        {"match,to\n7,trunk/a\n", "plan import /nonexistent/t.csv -m x", 1, "", "No such file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_node p;
        plan_node_start(&p, plan);
        plan_node_write(&p, rows[i].csv);
        plan_node_run(&p, rows[i].line, rows[i].status, rows[i].out, rows[i].err);
        assert_int_equal(p.applies, 0);
        plan_node_stop(&p);
    }
}

static void test_allowed_and_moved(void **state)
{
    (void)state;
    struct plan_node p;
    struct arena arena = {0};
    plan_node_start(&p, plan);
    plan_node_write(&p, "match,to\n49,trunk/a\n");
    plan_node_run(&p, "plan import % -m x --allow lost-characters", 0, "[lost-characters]\nchange here/1/7", "");
    p.moved = 1;
    plan_node_run(&p, "plan import % -m x --allow all", 3, "", "try again");
    assert_int_equal(p.applies, 2); /* a table is not merged a second time by itself */
    plan_node_run(&p, "plan import % -m x --allow all --dry-run", 0, "", "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_null(control_find(&args, "base_digest"));
    assert_int_equal(control_get_int(&args, "dry_run", 0), 1);
    arena_fini(&arena);
    plan_node_stop(&p);
}

/* A large table travels in bulk: no record for each object, and nothing is lost. */
static void test_bulk(void **state)
{
    (void)state;
    struct plan_node p;
    struct arena arena = {0};
    struct buf table = {0};
    struct slice item;
    size_t count = 0;
    plan_node_start(&p, plan);
    buf_text(&table, "match,to,action\r\n6,trunk/a,REMOVE\r\n");
    for (unsigned i = 0; i < 1500; i++)
        buf_printf(&table, "7%04u,trunk/a,\r\n", i);
    buf_add(&table, "", 1);
    plan_node_write(&p, table.p);
    plan_node_run(&p, "plan import % -m many", 0, "added", "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_int_equal(control_find(&args, "puts")->item_count, 0);
    assert_int_equal(control_find(&args, "deletes")->item_count, 0);
    struct slice bulk = control_get_text(&args, "bulk_puts");
    for (; control_bulk_take(&bulk, &item) == ERR_OK; count++) {
        struct plan_object o;
        assert_int_equal(plan_object_unpack(&arena, item, &o, NULL), ERR_OK);
        assert_int_equal(o.kind, PLAN_ROUTE);
    }
    assert_int_equal(count, 1500);
    bulk = control_get_text(&args, "bulk_deletes");
    assert_int_equal(control_bulk_take(&bulk, &item), ERR_OK);
    assert_true(slice_is(item, "route//6/trunk/a"));
    assert_int_equal(bulk.n, 0);
    buf_fini(&table);
    arena_fini(&arena);
    plan_node_stop(&p);
}

/* A table over 4 MB, which is compared with the plan as that comes in: the same outcome as with a small one. */
static void write_large(struct plan_node *p, const char *tail)
{
    char note[1001];
    struct buf table = {0};
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    buf_text(&table, "match,to,priority,note,action\r\n");
    for (unsigned i = 0; i < 4500; i++)
        buf_printf(&table, "7%05u,trunk/a,,%s,\r\n", i, note);
    buf_text(&table, tail);
    buf_add(&table, "", 1);
    assert_false(table.failed);
    plan_node_write(p, table.p);
    buf_fini(&table);
}

static void test_large(void **state)
{
    (void)state;
    struct plan_node p;
    struct arena arena = {0};
    struct slice item;
    size_t fresh = 0;
    unsigned priority = 0;
    plan_node_start(&p, "plan: 1\nroutes:\n- {match: \"6\", to: trunk/a}\n- {match: \"=0815\", to: trunk/a}\n"
                        "- {match: \"700000\", to: trunk/a, priority: 20}\n- {match: \"8\", to: trunk/a}\n");
    write_large(&p, "6,trunk/a,,,REMOVE\r\n815,trunk/a,,,\r\n8,trunk/a,10,,\r\n");
    plan_node_run(&p, "plan import % -m large", 3,
                  "route//815/trunk/a: it is new, but the plan has route//=0815/trunk/a",
                  "1 finding stands in the way");
    plan_node_run(&p, "plan import % -m large --allow lost-characters", 0, "added", "");
    struct control_record args = plan_node_heard(&p, &arena);
    struct slice bulk = control_get_text(&args, "bulk_puts");
    while (control_bulk_take(&bulk, &item) == ERR_OK) {
        struct plan_object o;
        assert_int_equal(plan_object_unpack(&arena, item, &o, NULL), ERR_OK);
        assert_false(slice_is(o.route.match, "8")); /* it says so already */
        fresh += slice_starts(o.route.match, SLICE("7"));
        if (slice_is(o.route.match, "700000")) priority = o.route.priority;
    }
    assert_int_equal(fresh, 4500);
    assert_int_equal(priority, 20); /* a blank cell leaves what is there */
    bulk = control_get_text(&args, "bulk_deletes");
    assert_int_equal(control_bulk_take(&bulk, &item), ERR_OK);
    assert_true(slice_is(item, "route//6/trunk/a"));
    assert_int_equal(bulk.n, 0);
    plan_node_run(&p, "plan import % -m large --mode replace --allow all", 0, "added", "");
    arena_fini(&arena);
    args = plan_node_heard(&p, &arena);
    bulk = control_get_text(&args, "bulk_deletes");
    size_t gone = 0;
    while (control_bulk_take(&bulk, &item) == ERR_OK)
        gone++;
    assert_int_equal(gone, 2); /* and the one that the table does not name */
    write_large(&p, "9,trunk/a,,,REMOVE\r\n");
    plan_node_run(&p, "plan import % -m large", 3, "", ":4502:1: route//9/trunk/a is not in the plan");
    write_large(&p, "700007,trunk/a,,,\r\n");
    plan_node_run(&p, "plan import % -m large", 3, "",
                  ":4502:1: cell A4502: route//700007/trunk/a is already in line 9");
    write_large(&p, "8.61E+12,trunk/a,,,\r\n");
    plan_node_run(&p, "plan import % -m large", 3, "", "a spreadsheet has made this of a long number");
    arena_fini(&arena);
    plan_node_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_allowed_and_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
