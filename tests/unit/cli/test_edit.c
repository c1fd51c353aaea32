/* test_edit: the commands that change one object: what they make of the stored one, what they refuse, and that they
 * look again when the plan moved. */
#include "tests/unit/cli/plan_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "node/plan/edit.h"

static const char plan[] = "plan: 1\n"
                           "defaults: { domain: a.example }\n"
                           "sites: { hq: { blocks: [\"6\"] } }\n"
                           "trunks:\n"
                           "  a: { site: hq, address: [h1, h2], probe: 10s, register: { user: u, expires: 600s } }\n"
                           "  ab: { site: hq, address: [h3] }\n"
                           "accounts: { \"6001\": { password: stored, calls: 2 } }\n"
                           "routes:\n"
                           "  - { match: \"6\", to: trunk/a, priority: 20, note: old }\n"
                           "  - { match: \"7\", to: trunk/a }\n"
                           "  - { match: \"7\", to: trunk/ab }\n"
                           "  - { match: \"6\", to: trunk/a, scope: hq }\n";

/* '_' in a line is a space within a word. */
static void test_changes(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *sent; /* behind "plan: 1\n" */
        const char *message;
    } rows[] = {
        {"route add 8150-8379 --to trunk/a --failover 408,503 --failover 500 --overflow yes",
         "routes:\n- {match: \"8150-8379\", to: trunk/a, overflow: true, failover: [408, 503, 500]}\n",
         "route add 8150-8379 --to trunk/a --overflow yes --failover 408,503,500"},
        {"route add =6001 --to reject/404 --scope hq -m why",
         "routes:\n- {match: \"=6001\", to: reject/404, scope: hq}\n", "why"},
        {"route set 6 --priority 30", "routes:\n- {match: \"6\", to: trunk/a, priority: 30, note: old}\n",
         "route set 6 --priority 30"},
        {"route set 6 --priority= --note a_b", "routes:\n- {match: \"6\", to: trunk/a, note: \"a b\"}\n",
         "route set 6 --priority '' --note 'a b'"},
        {"route set 6 --scope hq --weight 5", "routes:\n- {match: \"6\", to: trunk/a, weight: 5, scope: hq}\n", NULL},
        {"route set 7 --to trunk/ab --disabled yes", "routes:\n- {match: \"7\", to: trunk/ab, disabled: true}\n", NULL},
        {"route remove 6", "- route//6/trunk/a\n", "route remove 6"},
        {"route remove 6 --scope hq", "- route/hq/6/trunk/a\n", NULL},
        {"route remove 7 --to trunk/a", "- route//7/trunk/a\n", NULL},
        {"site add lab --blocks 8,900-999 --dial [{match:_\"0\",_strip:_1}]",
         "sites:\n  lab:\n    blocks: [\"8\", \"900-999\"]\n    dial: [{match: \"0\", strip: 1}]\n", NULL},
        {"site set hq --media relay", "sites:\n  hq:\n    blocks: [\"6\"]\n    media: relay\n", NULL},
        {"site remove hq", "- site/hq\n", NULL},
        {"trunk set a --address h9 --probe= --register-user v",
         "trunks:\n  a:\n    site: hq\n    address: [h9]\n    register: {user: v, expires: 10m}\n", NULL},
        {"trunk set ab --register-user v", "trunks:\n  ab:\n    site: hq\n    address: [h3]\n    register: {user: v}\n",
         NULL},
        {"trunk set a --register none", "trunks:\n  a:\n    site: hq\n    address: [h1, h2]\n    probe: 10s\n", NULL},
        {"trunk add t --site hq --address h --rate 5/s --transport tls",
         "trunks:\n  t:\n    site: hq\n    address: [h]\n    transport: tls\n    rate: 5/s\n", NULL},
        {"trunk remove a", "- trunk/a\n", NULL},
        {"account set 6001 --calls 3 --max-contacts 2",
         "accounts:\n  \"6001\":\n    password: (set)\n    max_contacts: 2\n    calls: 3\n", NULL},
        {"account remove 6001", "- account/6001\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_node p;
        struct buf got = {0};
        struct arena arena = {0};
        char want[512];
        plan_node_start(&p, plan);
        plan_node_run(&p, rows[i].line, 0, "change here/1/7", "");
        (void)snprintf(want, sizeof want, "plan: 1\n%s", rows[i].sent);
        plan_node_change(&p, &got);
        assert_string_equal(got.p, want);
        struct control_record args = plan_node_heard(&p, &arena);
        assert_true(slice_is(control_get_text(&args, "base_digest"), PLAN_NODE_DIGEST));
        if (rows[i].message != NULL) assert_true(slice_is(control_get_text(&args, "message"), rows[i].message));
        arena_fini(&arena);
        buf_fini(&got);
        plan_node_stop(&p);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
        const char *err;
    } rows[] = {
        {"route add 8", 2, "'route add' needs --to TARGET"},
        {"route add 6 --to trunk/a", 1, "route//6/trunk/a is there already: 'route set' changes it"},
        {"route add 6x --to trunk/a", 2, "match: \"6x\" is no match"},
        {"route add 8 --to a", 2, "to: \"a\" is no target"},
        {"route add 8 --to trunk/a --priority x", 2, "priority: \"x\" is no value for it"},
        {"route add =8 --to trunk/a --strip 1", 2, "leaves nothing of =8"},
        {"route set 6", 2, "say what to change"},
        {"route set 6 --to trunk/a", 2, "say what to change"},
        {"route set 9 --weight 1", 1, "there is no route for 9: 'plan show route/' lists them"},
        {"route set 6 --to trunk/ab --weight 1", 1, "there is no route for 6 to that target"},
        {"route set 6 --scope lab --weight 1", 1, "there is no route for 6 with the scope lab: "},
        {"route remove 7", 2, "there are 2 routes for 7: say which with --to: trunk/a, trunk/ab"},
        {"trunk add t --site hq", 2, "'trunk add' needs --address"},
        {"trunk add a --site hq --address h", 1, "trunk/a is there already"},
        {"trunk set t --calls 1", 1, "there is no trunk t: 'plan show trunk/' lists them"},
        {"trunk set a --address=", 2, "address: is missing"},
        {"trunk set a --disabled maybe", 2, "it can be yes or no"},
        {"trunk set ab --register-expires 600s", 2, "user: is missing"},
        {"site add x_y", 2, "'x y' is no name"},
        {"site remove lab", 1, "there is no site lab"},
        {"account add 7001 --password-file /nonexistent/f", 1, "No such file"},
        {"account add 7001 --password-file /dev/null", 1, "its first line is empty"},
        {"account passwd 6001", 2, "give --password-file FILE"},
        {"account passwd 7001", 1, "there is no account 7001"},
    };
    struct plan_node p;
    plan_node_start(&p, plan);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        plan_node_run(&p, rows[i].line, rows[i].status, "", rows[i].err);
        assert_int_equal(p.applies, 0);
    }
    plan_node_stop(&p);
}

static void test_passwords(void **state)
{
    (void)state;
    struct plan_node p;
    struct buf got = {0};
    struct arena arena = {0};
    plan_node_start(&p, plan);
    plan_node_write(&p, "topsecret\r\nsecond line\n");
    plan_node_run(&p, "account add soft --password-file %", 0, "", "");
    assert_false(plan_node_mentions(&p, "topsecret"));
    plan_node_change(&p, &got);
    assert_string_equal(got.p, "plan: 1\naccounts:\n  soft:\n    password: (set)\n");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&args, "allow"), "unused-account"));
    assert_true(slice_is(control_get_text(&args, "message"), "account add soft --password-file ..."));
    plan_node_run(&p, "account passwd 6001 --password-file % --allow no-trust", 0, "", "");
    assert_false(plan_node_mentions(&p, "topsecret"));
    plan_node_change(&p, &got);
    assert_string_equal(got.p, "plan: 1\naccounts:\n  \"6001\":\n    password: (set)\n    calls: 2\n");
    plan_node_run(&p, "trunk set a --register-password-file %", 0, "", "");
    arena_fini(&arena);
    args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&control_find(&args, "puts")->items[0], "secret"), "topsecret"));
    arena_fini(&arena);
    buf_fini(&got);
    plan_node_stop(&p);
}

static void test_moved(void **state)
{
    (void)state;
    struct plan_node p;
    plan_node_start(&p, plan);
    p.moved = 3;
    plan_node_run(&p, "route set 6 --weight 1", 0, "change here/1/7", "");
    assert_int_equal(p.applies, 4);
    p.moved = 100;
    plan_node_run(&p, "route set 6 --weight 1", 3, "", "the plan moved");
    assert_int_equal(p.applies, 8);
    plan_node_stop(&p);
}

/* Every field that a document can have is an option, by the name that the schema gives. */
static void test_options_are_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        enum plan_kind kind;
    } rows[] = {
        {"site set", PLAN_SITE}, {"trunk set", PLAN_TRUNK}, {"account set", PLAN_ACCOUNT}, {"route set", PLAN_ROUTE}};
    struct arena arena = {0};
    struct tree tree;
    assert_int_equal(cli_tree_make(&arena, &tree), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan_field f;
        for (size_t k = 0; plan_field_at(rows[i].kind, k, &f); k++) {
            char name[64];
            bool found = strcmp(f.name, "match") == 0 && rows[i].kind == PLAN_ROUTE;
            (void)snprintf(name, sizeof name, "%s%s%s%s", f.group != NULL ? f.group : "", f.group != NULL ? "-" : "",
                           f.name, f.form == PLAN_FIELD_SECRET ? "-file" : "");
            for (char *c = name; *c != '\0'; c++)
                *c = (char)(*c == '_' ? '-' : *c);
            for (size_t n = 0; n < tree.command_count; n++) {
                if (strcmp(tree.commands[n].name, rows[i].command) != 0) continue;
                for (const struct tree_option *o = tree.commands[n].options; o->name != NULL; o++)
                    found = found || strcmp(o->name, name) == 0;
            }
            if (!found) fail_msg("%s has no --%s", rows[i].command, name);
            assert_non_null(f.help);
        }
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_options_are_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
