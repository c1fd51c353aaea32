#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/app/config.h"

#define GOOD_TAIL "data: d\ncontrol: c.sock\nsip: { listen: [\"udp:127.0.0.1:5060\"] }\n"

static void the_documented_example(void **state)
{
    static const char text[] =
        "node: hq-1\nsite: hq\ncluster: example\ndata: /var/lib/tandem\n"
        "sip:     { listen: [\"udp:10.1.0.1:5060\", \"tcp:10.1.0.1:5060\", \"tls:[2001:db8::1]:5061\"], "
        "advertise: 10.1.0.1, no_answer: 2s, session: 0 }\n"
        "mesh:    { listen: \"10.1.0.1:7400\", advertise: \"10.1.0.1:7400\", seeds: [\"10.2.0.1:7400\"] }\n"
        "control: /run/tandem/hq-1.sock\nhttp:    \"127.0.0.1:8080\"\n"
        "calls: { keep: 2d, max: 5000, idle: 90m }\nhistory: 500\nlog: debug\n";
    struct arena arena = {0};
    struct config c;
    struct err_info info = {0};
    (void)state;
    assert_int_equal(config_parse(&arena, slice_of(text), &c, &info), ERR_OK);
    assert_string_equal(c.node, "hq-1");
    assert_string_equal(c.cluster, "example");
    assert_int_equal(c.sip_listen_count, 3);
    assert_string_equal(c.sip_listen[2], "tls:[2001:db8::1]:5061");
    assert_int_equal(c.sip_no_answer_ms, 2000);
    assert_int_equal(c.calls_keep_ms, UINT64_C(2) * 86400000);
    assert_int_equal(c.calls_max, 5000);
    assert_int_equal(c.calls_idle_ms, 5400000);
    assert_int_equal(c.sip_session_s, 0);
    assert_true(c.mesh);
    assert_string_equal(c.seeds[0], "10.2.0.1:7400");
    assert_string_equal(c.http, "127.0.0.1:8080");
    assert_int_equal(c.history, 500);
    assert_int_equal(c.log_level, LOG_DEBUG);
    arena_fini(&arena);
}

static void the_least_that_works(void **state)
{
    struct arena arena = {0};
    struct config c;
    (void)state;
    assert_int_equal(config_parse(&arena, slice_of("node: n\nsite: s\n" GOOD_TAIL), &c, NULL), ERR_OK);
    assert_false(c.mesh);
    assert_null(c.http);
    assert_string_equal(c.sip_advertise, "");
    assert_int_equal(c.sip_no_answer_ms, 4000);
    assert_int_equal(c.calls_keep_ms, CONFIG_CALLS_KEEP_MS);
    assert_int_equal(c.calls_max, CONFIG_CALLS_MAX);
    assert_int_equal(c.calls_idle_ms, CONFIG_CALLS_IDLE_MS);
    assert_int_equal(c.sip_session_s, 1800);
    assert_int_equal(c.history, 0);
    assert_int_equal(c.log_level, LOG_INFO);
    arena_fini(&arena);
}

static void a_node_is_dialled_where_it_listens(void **state)
{
    static const struct {
        const char *mesh;
        const char *advertise;
    } cases[] = {{"{ listen: \"10.1.0.1:7400\" }", "10.1.0.1:7400"},
                 {"{ listen: \"0.0.0.0:7400\" }", ""},
                 {"{ listen: \"[::]:7400\" }", ""},
                 {"{ listen: \"0.0.0.0:7400\", advertise: \"10.1.0.9:7400\" }", "10.1.0.9:7400"},
                 {"{ seeds: [\"10.2.0.1:7400\"] }", ""},
                 {"{ listen: \"10.1.0.1:7400\", reachable: no }", ""},
                 {"{ listen: \"10.1.0.1:7400\", reachable: yes }", "10.1.0.1:7400"},
                 {"{ seeds: [\"10.2.0.1:7400\"], reachable: no }", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct config c;
        char *text = arena_printf(&arena, "node: n\nsite: s\nmesh: %s\n" GOOD_TAIL, cases[i].mesh);
        assert_int_equal(config_parse(&arena, slice_of(text), &c, NULL), ERR_OK);
        assert_string_equal(c.mesh_advertise, cases[i].advertise);
        arena_fini(&arena);
    }
}

/* Each mistake, where it is, and the whole text that the operator reads. */
static void mistakes_are_explained(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        unsigned column;
        const char *said;
    } cases[] = {
        {"", 1, 1, "the file is empty: a configuration has at least node, site, data, sip and control"},
        {"node: [", 2, 1, "not YAML: did not find expected node content"},
        {"node: a\nsip:\n\tlisten: [\"udp:1.2.3.4:5060\"]\n", 3, 1, "not YAML: a tab stands here; indent with spaces"},
        {"nod: x\n", 1, 1,
         "unknown key \"nod\": write one of node, site, cluster, data, sip, mesh, control, http, media, calls, "
         "history, log"},
        {"node: \"a b\"\n", 1, 7, "node: expected a name of letters, digits, '.', '_' or '-', 63 at most, not \"a b\""},
        {"node: a\nnode: b\n", 2, 1, "node: given twice; keep one"},
        {"node: a\n", 1, 1, "configuration: the key \"site\" is missing"},
        {"node: a\nsite: b\nsip: { listen: \"udp:1.2.3.4:5060\" }\n", 3, 16,
         "listen: expected a list, such as [\"...\"]"},
        {"node: a\nsite: b\nsip: { listen: [\"udp:1.2.3.4\"] }\n", 3, 17,
         "listen: expected transport:address:port, such as \"udp:10.1.0.1:5060\", not \"udp:1.2.3.4\""},
        {"node: a\nsite: b\nsip: { listen: [\"sctp:1.2.3.4:5060\"] }\n", 3, 17,
         "listen: expected transport:address:port, such as \"udp:10.1.0.1:5060\", not \"sctp:1.2.3.4:5060\""},
        {"node: a\nsite: b\nsip: { listen: [\"udp:pbx.example.org:5060\"] }\n", 3, 17,
         "listen: expected transport:address:port, such as \"udp:10.1.0.1:5060\", not \"udp:pbx.example.org:5060\""},
        {"node: a\nsite: b\nsip: { listen: [\"udp:10.1.0.256:5060\"] }\n", 3, 17,
         "listen: expected transport:address:port, such as \"udp:10.1.0.1:5060\", not \"udp:10.1.0.256:5060\""},
        {"node: a\nsite: b\nsip: { listen: [\"udp:[2001:db8::g]:5060\"] }\n", 3, 17,
         "listen: expected transport:address:port, such as \"udp:10.1.0.1:5060\", not \"udp:[2001:db8::g]:5060\""},
        {"node: a\nsite: b\nsip: { listen: [] }\n", 3, 16,
         "listen: is empty; expected transport:address:port, such as \"udp:10.1.0.1:5060\""},
        {"node: a\nsite: b\ncontrol: /run/tandem/tandem/tandem/tandem/tandem/tandem/tandem/tandem/tandem/tandem/tandem/"
         "tandem/tandem/tandem/n.sock\n",
         3, 10,
         "control: expected a path of 107 characters at most, not "
         "\"/run/tandem/tandem/tandem/tandem/tandem/tandem/tandem/tandem\""},
        {"node: a\nsite: b\nmesh: { seeds: [\"10.2.0.1\"] }\n", 3, 17,
         "seeds: expected an address with a port, such as \"10.1.0.1:7400\", not \"10.2.0.1\""},
        {"node: a\nsite: b\nhttp: \"127.0.0.1:99999\"\n", 3, 7,
         "http: expected an address with a port, such as \"10.1.0.1:7400\", not \"127.0.0.1:99999\""},
        {"node: a\nsite: b\nmedia: { relay: localhost:2223 }\n", 3, 17,
         "relay: expected the address and port at which rtpengine is told what to do, such as \"127.0.0.1:2223\", not "
         "\"localhost:2223\""},
        {"node: a\nsite: b\nmedia: {}\n", 3, 8, "media: the key \"relay\" is missing"},
        {"node: a\nsite: b\nhistory: 99\n", 3, 10,
         "history: expected a number of change-sets from 100 to 1000000, not \"99\""},
        {"node: a\nsite: b\nhistory: 1000001\n", 3, 10,
         "history: expected a number of change-sets from 100 to 1000000, not \"1000001\""},
        {"node: a\nsite: b\nhistory: many\n", 3, 10,
         "history: expected a number of change-sets from 100 to 1000000, not \"many\""},
        {"node: a\nsite: b\nlog: loud\n", 3, 6, "log: expected error, warn, info or debug, not \"loud\""},
        {"node: a\nsite: b\nsip: { session: 10s }\n", 3, 17,
         "session: expected 0, or a duration from 90s to 24h, such as 30m, not \"10s\""},
        {"node: a\nsite: b\ncalls: { keep: 1s }\n", 3, 16,
         "keep: expected a duration from 1m to 366d, such as 30d, not \"1s\""},
        {"node: a\nsite: b\ncalls: { idle: 10s }\n", 3, 16,
         "idle: expected a duration from 1m to 7d, such as 12h, not \"10s\""},
        {"node: a\nsite: b\ncalls: { max: many }\n", 3, 15, "max: expected a number from 0 to 100000000, not \"many\""},
        {"node: a\nsite: b\nsip: { listen: [\"udp:10.1.0.1:5060\"], certificate: c.pem }\n", 3, 52,
         "certificate: its key is missing: add key: \"FILE\" beside it"},
        {"node: a\nsite: b\nsip: { key: k.pem, listen: [\"udp:10.1.0.1:5060\"] }\n", 3, 13,
         "key: its certificate is missing: add certificate: \"FILE\" beside it"},
        {"node: a\nsite: b\nmesh: { reachable: maybe }\n", 3, 20, "reachable: expected yes or no, not \"maybe\""},
        {"node: a\nsite: b\nmesh: { advertise: \"10.1.0.9:7400\", reachable: no }\n", 3, 20,
         "advertise: an address at which others dial a node that says \"reachable: no\"; remove one of them"},
        {"node: a\nsite: b\nmesh: { listen: \"0.0.0.0:7400\", reachable: yes }\n", 3, 44,
         "reachable: yes needs the address at which others dial this node: add advertise: \"ADDRESS:PORT\""},
        {"node: a\nsite: b\nmesh: yes\n", 3, 7, "mesh: expected a mapping of keys to values"},
        {"node: a\nsite: b\n" GOOD_TAIL "---\nnode: c\n", 6, 1,
         "a second document: a configuration is one; remove what follows \"---\""},
        {"node: a\nsite: b\n" GOOD_TAIL "---\n[", 8, 1, "not YAML: did not find expected node content"},
        {"node: { x: y }\n", 1, 7,
         "node: expected a name of letters, digits, '.', '_' or '-', 63 at most, not a list or mapping"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct config c;
        struct err_info info = {0};
        assert_int_equal(config_parse(&arena, slice_of(cases[i].text), &c, &info), ERR_SYNTAX);
        assert_string_equal(info.text, cases[i].said);
        assert_int_equal(info.line, cases[i].line);
        assert_int_equal(info.column, cases[i].column);
        arena_fini(&arena);
    }
}

static void a_missing_file_says_so(void **state)
{
    struct arena arena = {0};
    struct config c;
    struct err_info info = {0};
    (void)state;
    assert_int_equal(config_read(&arena, "/nonexistent/node.yaml", &c, &info), ERR_NOTFOUND);
    assert_string_equal(info.text, "/nonexistent/node.yaml: No such file or directory");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_example),
        cmocka_unit_test(the_least_that_works),
        cmocka_unit_test(a_node_is_dialled_where_it_listens),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(a_missing_file_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
