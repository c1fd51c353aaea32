/* test_plan_over: a document seen over the plan of a node: plan check with a socket, and the domain that plan apply
 * looks after. */
#include "tests/unit/cli/plan_node.h"

#include <stdio.h>

static const char plan[] = "plan: 1\n"
                           "defaults: { domain: a.example }\n"
                           "sites: { hq: { blocks: [\"6\"] } }\n"
                           "trunks: { a: { site: hq, address: [h] } }\n" /* an old finding: no trust, unused */
                           "accounts: { \"6001\": { password: stored }, \"6002\": { password: stored } }\n";

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int status;
        const char *out;
    } rows[] = {
        {"plan: 1\nroutes:\n- {match: \"6\", to: trunk/a}\n", 0, "p.yaml: 1 object, 0 errors, 0 warnings"},
        {"plan: 1\nroutes:\n- {match: \"6\", to: trunk/b}\n", 3, "p.yaml:3:3: error: route//6/trunk/b"},
        {"plan: 1\nremove: [site/hq]\n", 3, "error: trunk/a: it is at site/hq, which is not in the plan"},
        {"plan: 1\naccounts: { \"6001\": {password: (set)}, \"6002\": {password: x} }\n", 0,
         "2 objects, 0 errors, 0 w"},
        {"plan: 1\naccounts:\n  \"6003\": {}\n", 3, "p.yaml:3:3: warning: account/6003: it has no password"},
        {"plan: 1\naccounts:\n  \"6003\": {}\nroutes:\n- {match: \"6\", to: trunk/b}\n", 3,
         "p.yaml: 2 objects, 1 error, 1 warning"},
        {"plan: 1\ndefaults: {domain: b.example}\naccounts: { \"6001\": {password: (set)}, \"6002\": {password: x} }\n",
         3,
         "p.yaml:2:11: warning: defaults: the domain changes from a.example to b.example, and 1 account (6001) keeps"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_node p;
        char line[256];
        plan_node_start(&p, plan);
        plan_node_file(&p, "p.yaml");
        plan_node_write(&p, rows[i].yaml);
        (void)snprintf(line, sizeof line, "plan check %% -s %s", p.node.path);
        plan_node_run(&p, line, rows[i].status, rows[i].out, "");
        struct run r;
        (void)snprintf(line, sizeof line, "plan check %s -s %s", p.file, p.node.path);
        run_cli(&r, p.node.path, line);
        assert_null(strstr(r.out, "an/operation"));
        run_end(&r);
        plan_node_stop(&p);
    }
}

static void test_domain(void **state)
{
    (void)state;
    static const char yaml[] = "plan: 1\ndefaults: {domain: b.example}\n";
    static const char both[] = "plan: 1\ndefaults: {domain: b.example}\n"
                               "accounts: { \"6001\": {password: x}, \"6002\": {password: y} }\n";
    struct plan_node p;
    plan_node_start(&p, plan);
    plan_node_file(&p, "p.yaml");
    plan_node_write(&p, yaml);
    plan_node_run(&p, "plan apply % -m x", 3, "2 accounts (6001, 6002) keep a password", "1 finding stands in the way");
    assert_int_equal(p.applies, 0);
    plan_node_run(&p, "plan apply % -m x --dry-run", 3, "[new-domain]\n", "");
    plan_node_run(&p, "plan apply % -m x --allow new-domain", 0, "[new-domain]\nchange here/1/7", "");
    assert_int_equal(p.applies, 2);
    plan_node_write(&p, both);
    plan_node_run(&p, "plan apply % -m x", 0, "change here/1/7", "");
    plan_node_write(&p, "plan: 1\nremove: [defaults]\n");
    plan_node_run(&p, "plan apply % -m x", 3, "the domain changes from a.example to none", "");
    plan_node_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_domain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
