/* test_events: whole runs of "clusterctl events" against a fake node: what is asked for, how it is shown, and the merge
 * of several nodes. */
#include "tests/unit/cli/fake_node.h"

#include <stdio.h>
#include <string.h>

/* What the node was asked last. */
struct seen {
    char level[16];
    char module[16];
    int64_t since_ms;
    int64_t until_ms;
    int64_t limit;
    int64_t after;
};

static void say_event(struct control_reply *r, const char *time, const char *node, const char *level, const char *event,
                      const char *text, const char *suppressed)
{
    fake_say(r, "event", "time", time, "node", node, "level", level, "module", "mesh", "event", event, "text", text,
             "suppressed", suppressed, "run", "#5", "number", "#8", NULL);
}

static void do_events(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct seen *s = ctx;
    (void)snprintf(s->level, sizeof s->level, "%.*s", SLICE_ARG(control_get_text(&q->args, "level")));
    (void)snprintf(s->module, sizeof s->module, "%.*s", SLICE_ARG(control_get_text(&q->args, "module")));
    s->since_ms = control_get_int(&q->args, "since_ms", -1);
    s->until_ms = control_get_int(&q->args, "until_ms", -1);
    s->limit = control_get_int(&q->args, "limit", -1);
    s->after = control_get_int(&q->args, "after", -1);
    if (strcmp(s->module, "none") != 0) {
        say_event(r, "2026-11-22T03:12:00.100Z", "here", "info", "link-up", "peer=there reason=\"all's well\"", "!");
        say_event(r, "2026-11-22T03:12:05.100Z", "here", "warn", "gone\x1b[2J", "a=1 \x1b]0;x\xe2\x80\xaey", "#3");
    }
    control_reply_end(r, 0, strcmp(s->module, "old") == 0 ? SLICE("node here remembers less") : SLICE_NONE);
}

/* "there" is alive, but the fake node does not pass requests on. */
static void do_nodes(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    fake_say(r, "node", "node", "here", "status", "alive", "link", "this node", NULL);
    fake_say(r, "node", "node", "there", "status", "alive", "link", "linked", NULL);
    fake_say(r, "node", "node", "dead-1", "status", "dead", "link", "down", NULL);
    fake_say(r, "node", "node", "left-1", "status", "left", "link", "", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command commands[] = {{"events", do_events}, {"nodes", do_nodes}};

static void start(struct fake_node *n, struct seen *s)
{
    *s = (struct seen){.after = -1};
    fake_node_start(n, commands, sizeof commands / sizeof commands[0], s);
}

static void they_are_shown(void **state)
{
    struct fake_node n;
    struct seen s;
    (void)state;
    start(&n, &s);
    expect_run(n.path, "events", 0,
               "TIME                  LEVEL  MODULE  EVENT     SUPPRESSED  TEXT\n"
               "2026-11-22 03:12:00Z  info   mesh    link-up            -  peer=there reason=\"all's well\"\n"
               "2026-11-22 03:12:05Z  warn   mesh    gone?[2J           3  a=1 ?]0;x?y\n",
               "");
    expect_run(n.path, "events -o json", 0,
               "{\"schema_version\":1,\"records\":[\n"
               "{\"kind\":\"event\",\"time\":\"2026-11-22T03:12:00.100Z\",\"node\":\"here\",\"level\":\"info\","
               "\"module\":\"mesh\",\"event\":\"link-up\",\"text\":\"peer=there reason=\\\"all's well\\\"\","
               "\"suppressed\":null,\"run\":5,\"number\":8,\"pairs\":[{\"key\":\"peer\",\"value\":\"there\"},"
               "{\"key\":\"reason\",\"value\":\"all's well\"}]},\n"
               "{\"kind\":\"event\",\"time\":\"2026-11-22T03:12:05.100Z\",\"node\":\"here\",\"level\":\"warn\","
               "\"module\":\"mesh\",\"event\":\"gone\\u001B[2J\",\"text\":\"a=1 \\u001B]0;x\xe2\x80\xaey\","
               "\"suppressed\":3,\"run\":5,\"number\":8,\"pairs\":[{\"key\":\"a\",\"value\":\"1\"}]}\n]}\n",
               "");
    expect_run_has(n.path, "events -o yaml", 0, "  pairs:\n  - key: peer\n    value: there\n", "");
    expect_run(n.path, "events --module old -o csv", 0,
               "time,node,level,module,event,text,suppressed,run,number\r\n"
               "2026-11-22T03:12:00.100Z,here,info,mesh,link-up,\"peer=there reason=\"\"all's well\"\"\",,5,8\r\n"
               "2026-11-22T03:12:05.100Z,here,warn,mesh,gone\x1b[2J,a=1 \x1b]0;x\xe2\x80\xaey,3,5,8\r\n",
               "clusterctl: node here remembers less\n");
    expect_run(n.path, "events --module none", 0, "No such events are remembered.\n", "");
    expect_run(n.path, "events --module none -o csv", 0, "time,node,level,module,event,text,suppressed,run,number\r\n",
               "");
    fake_node_stop(&n);
}

static void what_is_asked_for(void **state)
{
    struct fake_node n;
    struct seen s;
    (void)state;
    start(&n, &s);
    expect_run(n.path, "events", 0, NULL, "");
    assert_string_equal(s.level, "");
    assert_true(s.since_ms == -1 && s.until_ms == -1 && s.limit == 0 && s.after == -1);
    expect_run(n.path,
               "events --level warn --module mesh --since 2026-11-22_03:12 --until 2026-11-22T03:13:01.5Z --last 7", 2,
               "", NULL);
    expect_run(n.path, "events --level warn --module mesh --since 2026-11-22_03:12 --until 2026-11-22T03:13:01Z -n 7",
               0, NULL, "");
    assert_string_equal(s.level, "warn");
    assert_string_equal(s.module, "mesh");
    assert_int_equal(s.since_ms, 1795317120000);
    assert_int_equal(s.until_ms, 1795317181999);
    assert_int_equal(s.limit, 7);
    expect_run_has(n.path, "events --level debug", 2, "", "--level debug: it can be error, warn or info");
    expect_run_has(n.path, "events --since soon", 2, "", "--since soon: write how long ago (10m, 2h), a time of day");
    expect_run_has(n.path, "events --until later", 2, "", "--until later: write");
    expect_run_has(n.path, "events --last few", 2, "", "--last few: write a number, 0 for all");
    expect_run_has(n.path, "events --since 1h --until 2h", 2, "", "--since is later than --until");
    expect_run_has(n.path, "events --watch --until 2h", 2, "", "nothing new is before that time");
    expect_run_has(n.path, "--node there events", 5, "", "node there cannot be asked");
    fake_node_stop(&n);
}

/* Who cannot be asked is named, who left is not missed, and what the others say is shown. */
static void of_all_nodes(void **state)
{
    struct fake_node n;
    struct seen s;
    (void)state;
    start(&n, &s);
    expect_run(n.path, "events --all -n 1", 4,
               "TIME                  NODE  LEVEL  MODULE  EVENT     SUPPRESSED  TEXT\n"
               "2026-11-22 03:12:05Z  here  warn   mesh    gone?[2J           3  a=1 ?]0;x?y\n",
               "clusterctl: node there could not be asked: node there cannot be asked from here: use its own control "
               "socket\n"
               "clusterctl: node dead-1 could not be asked: it cannot be reached\n"
               "clusterctl: 2 of 3 nodes could not be asked, and what happened there is not shown: there, dead-1\n");
    expect_run_has(n.path, "events --all -o json", 4,
                   "\"error\":{\"status\":4,\"text\":\"2 of 3 nodes could not be asked, and what happened there is not "
                   "shown: there, dead-1\"}}\n",
                   NULL);
    fake_node_stop(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_shown),
        cmocka_unit_test(what_is_asked_for),
        cmocka_unit_test(of_all_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
