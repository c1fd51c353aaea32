/* test_accept: accept run and accept report against a fake node: what is asked, what is compared, what is written, and
 * the page. With real nodes: tests/system/test_accept.py. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/accept_judge.h"
#include "cli/accept_report.h"
#include "tests/unit/cli/fake_node.h"

/* ---- judging ---- */

static struct accept_candidate candidates[] = {
    {.target = {"trunk/a", 7}, .match = {"7", 1}, .sends = {"97", 2}, .text = {"chosen", 6}, .place = 1},
    {.target = {"trunk/b", 7}, .match = {"7", 1}, .text = {"chosen", 6}, .place = 2},
    {.target = {"reject/410", 10}, .match = {"7", 1}, .text = {"chosen", 6}, .place = 3},
    {.target = {"trunk/c", 7}, .match = {"7", 1}, .text = {"it is down", 10}},
};
static struct accept_candidate refusal[] = {
    {.target = {"reject/410", 10}, .match = {"9", 1}, .text = {"chosen", 6}, .place = 1},
    {.target = {"trunk/c", 7}, .match = {"9", 1}, .text = {"a reject stands before it", 25}},
};
static struct accept_candidate left_behind[] = {
    {.target = {"account/7", 9}, .match = {"7", 1}, .text = {"stale at x", 10}, .place = 1, .stale = true},
    {.target = {"trunk/b", 7}, .match = {"7", 1}, .text = {"chosen", 6}, .place = 2},
};
static const struct accept_answer stale = {.known = true, .number = {"7", 1}, .candidates = left_behind, .count = 2};
static const struct accept_answer tried = {.known = true, .number = {"7", 1}, .candidates = candidates, .count = 4};
static const struct accept_answer refused = {
    .known = true, .number = {"9", 1}, .code = 410, .candidates = refusal, .count = 2};
static const struct accept_answer nothing = {.known = true, .number = {"5", 1}, .code = 404};

static const struct {
    const char *fields; /* of the case, behind dial: */
    const struct accept_answer *answer;
    const char *got;
    const char *why; /* "": it agrees */
} judgements[] = {
    {"expect: trunk/a", &tried, "trunk/a, trunk/b", ""},
    {"expect: trunk/b", &tried, "trunk/a, trunk/b", "trunk/b has place 2"},
    {"expect: trunk/c", &tried, "trunk/a, trunk/b", "trunk/c: it is down"},
    {"expect: trunk/d", &tried, "trunk/a, trunk/b", "the plan has no route for 7 to trunk/d"},
    {"expect: [trunk/a, trunk/b]", &tried, "trunk/a, trunk/b", ""},
    {"expect: [trunk/a]", &tried, "trunk/a, trunk/b", "trunk/b is tried as well, by its match 7"},
    {"expect: [trunk/b, trunk/a]", &tried, "trunk/a, trunk/b", "trunk/b has place 2"},
    {"expect: [trunk/b, trunk/a], order: any", &tried, "trunk/a, trunk/b", ""},
    {"expect: [trunk/b, trunk/c], order: any", &tried, "trunk/a, trunk/b",
     "trunk/c: it is down; trunk/a is tried as well, by its match 7"},
    {"expect: [trunk/a, trunk/b, trunk/c]", &tried, "trunk/a, trunk/b", "trunk/c: it is down"},
    {"expect: 404", &tried, "trunk/a, trunk/b", "trunk/a is tried, by its match 7"},
    {"expect: trunk/a, number: \"7\", sends: \"97\"", &tried, "trunk/a, trunk/b", ""},
    {"expect: trunk/a, number: \"8\", sends: \"7\"", &tried, "trunk/a, trunk/b",
     "in the plan it is 7, not 8; trunk/a is sent 97, not 7"},
    {"expect: account/7", &stale, "account/7, trunk/b", "account/7 is registered at no node that is alive"},
    {"expect: [account/7, trunk/b]", &stale, "account/7, trunk/b", "account/7 is registered at no node that is alive"},
    {"expect: [trunk/b, account/7], order: any", &stale, "account/7, trunk/b",
     "account/7 is registered at no node that is alive"},
    {"expect: 410", &refused, "410", ""},
    {"expect: 404", &refused, "410", "reject/410 answers it, by its match 9"},
    {"expect: trunk/c", &refused, "410", "trunk/c: a reject stands before it"},
    {"expect: 404", &nothing, "404", ""},
    {"expect: 480", &nothing, "404", "the plan has no route for it"},
    {"expect: trunk/a, sends: \"1\"", &nothing, "404", "the plan has no route for 5 to trunk/a"},
};

static void test_judge(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof judgements / sizeof judgements[0]; i++) {
        struct arena arena = {0};
        struct accept_file f;
        struct plan_faults faults;
        struct buf got = {0};
        struct buf why = {0};
        const char *text = arena_printf(&arena, "accept: 1\ncases: [ { dial: 1, %s } ]\n", judgements[i].fields);
        assert_int_equal(accept_file_parse(&arena, slice_of(text), &f, &faults), ERR_OK);
        bool good = accept_judge(f.cases, judgements[i].answer, &why);
        accept_got_text(judgements[i].answer, &got);
        if (!slice_is(buf_view(&why), judgements[i].why) || !slice_is(buf_view(&got), judgements[i].got))
            fail_msg("%s: %.*s: %.*s", judgements[i].fields, SLICE_ARG(buf_view(&got)), SLICE_ARG(buf_view(&why)));
        assert_int_equal(good, judgements[i].why[0] == '\0');
        buf_fini(&got);
        buf_fini(&why);
        arena_fini(&arena);
    }
}

/* ---- a node ---- */

static void do_nodes(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    fake_say(r, "node", "node", "here", "status", "alive", "link", "this node", NULL);
    fake_say(r, "node", "node", "there", "status", "alive", "link", "linked", NULL);
    fake_say(r, "node", "node", "gone", "status", "dead", "link", "dialling", NULL);
    fake_say(r, "node", "node", "former", "status", "left", "link", "", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_status(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    fake_say(r, "status", "node", "here", "cluster", "test-1", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

struct asked {
    unsigned count;
    bool old; /* it does not know plan_only */
    bool moves;
};

static void do_explain(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct asked *a = ctx;
    const struct slice number = control_get_text(&q->args, "number");
    const bool plan_only = control_get_int(&q->args, "plan_only", 0) != 0;
    char text[8];
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(number));
    a->count++;
    if (slice_is(control_get_text(&q->args, "from"), "trunk/nobody")) {
        control_reply_end(r, 1, SLICE("--from: the plan has no such trunk or account"));
        return;
    }
    fake_say(r, "decision", "plan_number", text, "targets", "#1", "code", "!", "plan_digest",
             a->moves && a->count > 1 ? "fedcba9876543210" : "0123456789abcdef",
             plan_only && !a->old ? "plan_only" : "x", "?1", NULL);
    fake_say(r, "candidate", "place", "#1", "target", "trunk/a", "match", "7", "number_sent", text, "text",
             "among the targets", NULL);
    fake_say(r, "candidate", "place", "!", "target", "trunk/b", "match", "7", "number_sent", "", "text",
             "it says <b>\x1b[31m & dies", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command commands[] = {
    {"nodes", do_nodes}, {"status", do_status}, {"route explain", do_explain}};

static void start(struct fake_node *n, struct asked *a, const char *cases)
{
    char path[128];
    fake_node_start(n, commands, sizeof commands / sizeof commands[0], a);
    (void)snprintf(path, sizeof path, "%s/c.yaml", n->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(cases, f);
    assert_int_equal(fclose(f), 0);
}

static void stop(struct fake_node *n)
{
    static const char *const names[] = {"c.yaml", "c.report.json"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", n->dir, names[i]);
        (void)unlink(path);
    }
    fake_node_stop(n);
}

/* "%" in the line is the folder. */
static void expect(const struct fake_node *n, const char *line, int status, const char *out, const char *err)
{
    char whole[512];
    const char *at = strchr(line, '%');
    assert_non_null(at);
    (void)snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - line), line, n->dir, at + 1);
    expect_run_has(n->path, whole, status, out, err);
}

static void test_run(void **state)
{
    (void)state;
    struct fake_node n;
    struct asked a = {0};
    start(&n, &a,
          "accept: 1\ncases:\n"
          "  - { name: one, dial: \"7\", at: here, expect: trunk/a }\n"
          "  - { name: two, dial: \"7\", at: here, expect: trunk/b }\n"
          "  - { name: three, dial: \"7\", at: here, from: trunk/nobody, expect: trunk/a }\n"
          "  - { name: four, dial: \"7\", expect: trunk/a }\n"
          "  - { name: five, dial: \"7\", at: [there, former], expect: trunk/a }\n");
    expect(&n, "accept run %/c.yaml", 3, "2 passed, 2 failed, 4 not asked", NULL);
    assert_int_equal(a.count, 4);
    expect(&n, "accept run %/c.yaml -o csv", 3, ",passed,one,3,here,7,,trunk/a,trunk/a,,trunk/a,",
           "2 of 8 checks failed");
    expect(&n, "accept run %/c.yaml -o csv", 3, ",failed,two,4,here,7,,trunk/b,trunk/a,trunk/b: it says <b>", NULL);
    expect(&n, "accept run %/c.yaml -o csv", 3,
           ",failed,three,5,here,7,trunk/nobody,trunk/a,,from: the plan has no such", NULL);
    expect(&n, "accept run %/c.yaml -o csv", 3, ",passed,four,6,here,", NULL);
    expect(&n, "accept run %/c.yaml -o csv", 3, ",not asked,four,6,there,7,,trunk/a,,node there cannot be asked", NULL);
    expect(&n, "accept run %/c.yaml -o csv", 3, ",not asked,four,6,gone,7,,trunk/a,,it cannot be reached", NULL);
    expect(&n, "accept run %/c.yaml -o csv", 3, ",not asked,five,7,former,7,,trunk/a,,the cluster has no such node",
           NULL);
    expect(&n, "accept report %/c.report.json", 0, "2 passed, 2 failed, 4 not asked", "");
    expect(&n, "accept report %/c.yaml -o json", 0, "\"result\":\"not asked\",\"case\":\"five\"", "");
    expect(&n, "accept report %/c.yaml --html", 0, "trunk/b: it says &lt;b&gt;?[31m &amp; dies", "");
    expect(&n, "accept report %/c.yaml --html -o json", 2, "", "--html is a format by itself");
    stop(&n);
}

/* A device or a pipe would be renamed away. One of our own stands for it: where this fails, nothing else is harmed. */
static void expect_not_over_a_pipe(const struct fake_node *n)
{
    char pipe[128];
    char line[256];
    struct stat st;
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", n->dir);
    (void)snprintf(line, sizeof line, "accept run %s/c.yaml --report %s", n->dir, pipe);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    expect_run_has(n->path, line, 1, "1 passed", "pipe: no regular file; -o json");
    assert_int_equal(stat(pipe, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(unlink(pipe), 0);
}

/* Each option, and each way in which the whole can end. */
static void test_options(void **state)
{
    (void)state;
    struct fake_node n;
    struct asked a = {0};
    start(&n, &a, "accept: 1\ncases:\n  - { dial: \"7\", at: here, expect: trunk/a }\n");
    expect(&n, "accept run %/c.yaml --no-report", 0, "1 passed, 0 failed, 0 not asked", "");
    expect(&n, "accept report %/c.yaml", 1, "", "c.report.json: No such file");
    expect(&n, "accept run %/c.yaml", 0, NULL, "c.report.json: see 'accept report'");
    expect(&n, "accept report %/c.yaml", 0, "1 passed", "");
    expect(&n, "accept run %/c.yaml --report /nonexistent/r.json", 1, "1 passed",
           "the report cannot be written: No such");
    expect_not_over_a_pipe(&n);
    expect(&n, "accept run %/c.yaml --report x --no-report", 2, "", "which of them is meant?");
    expect_run_has(n.path, "accept run -", 2, "", "say where the report goes");
    expect(&n, "accept run %/c.yaml --no-report --plan-only", 0, "what the plan decides, whatever is up", "");
    a.old = true;
    expect(&n, "accept run %/c.yaml --no-report --plan-only", 4, "it is of an older version",
           "1 of 1 checks could not");
    expect(&n, "accept report %/c.yaml", 0, "1 passed", ""); /* of the run that wrote one */
    expect(&n, "accept run %/none.yaml", 1, "", "none.yaml: No such file");
    stop(&n);
    start(&n, &a,
          "accept: 1\ncases:\n  - { dial: \"7\", at: [here], expect: trunk/a }\n  - { dial: 8, at: here, expect: "
          "trunk/a }\n");
    a = (struct asked){.moves = true};
    expect(&n, "accept run %/c.yaml --no-report", 0, "its plan changed meanwhile", "");
    expect(&n, "accept run %/c.yaml -s /nonexistent --no-report", 5, "", "does not exist");
    stop(&n);
    start(&n, &a, ""); /* it is read before anybody is asked */
    expect(&n, "accept run %/c.yaml -s /nonexistent --no-report", 1, "", "c.yaml:1:1: the document is empty");
    stop(&n);
}

/* ---- the page ---- */

static void test_page(void **state)
{
    (void)state;
    static const char json[] =
        "{\"schema_version\":1,\"records\":[\n"
        "{\"kind\":\"acceptance\",\"file\":\"a<b>.yaml\",\"cluster\":\"c&d\",\"by\":\"e'f\",\"at\":\"2026-11-30T17:00:"
        "00.000Z\","
        "\"plan_only\":true,\"passed\":1,\"failed\":0,\"not_asked\":1},\n"
        "{\"kind\":\"result\",\"result\":\"passed\",\"case\":\"</td><script>alert(1)</"
        "script>\",\"line\":3,\"node\":\"\\\"n\","
        "\"dialled\":\"7\",\"from\":\"\",\"expected\":\"404\",\"got\":\"404\",\"why\":\"\",\"plan_only\":true},\n"
        "{\"kind\":\"result\",\"result\":\"not asked\",\"node\":\"n\",\"why\":\"\\u202e\\u0085\\u001b[1m\"},\n"
        "{\"kind\":\"later\",\"x\":1},\n"
        "{\"kind\":\"node\",\"node\":\"n\",\"plan_digest\":\"ab\",\"passed\":1},\n"
        "{\"kind\":\"node\",\"node\":\"m\",\"plan_digest\":\"cd\"}]}";
    struct accept_report r = {.plan_only = false};
    struct err_info info = {.text = ""};
    struct buf page = {0};
    if (accept_report_read(slice_of(json), &r, &info) != ERR_OK) fail_msg("%s", info.text);
    accept_report_page(&r, &page);
    buf_add(&page, "", 1);
    assert_false(page.failed);
    static const char *const there[] = {"<td class=\"w\">&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;</td>",
                                        "<dd>a&lt;b&gt;.yaml</dd>",
                                        "<dd>c&amp;d</dd>",
                                        "<dd>e&#39;f</dd>",
                                        "<td>&quot;n</td>",
                                        "<td class=\"w\">???[1m</td>",
                                        "2026-11-30 17:00:00Z",
                                        "as if everything were up",
                                        "Not passed: 1 passed, 0 failed, 1 not asked",
                                        "The nodes did not have the same plan."};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (strstr(page.p, there[i]) == NULL) fail_msg("%s is not in\n%s", there[i], page.p);
    assert_null(strstr(page.p, "<script"));
    buf_fini(&page);
    arena_fini(&r.arena);
}

static void test_reports_that_are_none(void **state)
{
    (void)state;
    static const char head[] =
        "{\"schema_version\":1,\"records\":[{\"kind\":\"acceptance\",\"at\":\"x\",\"passed\":1}]}";
    static const char *const rows[] = {"",
                                       "1",
                                       "{",
                                       "[]",
                                       "{}",
                                       "{\"schema_version\":1}",
                                       "{\"schema_version\":1,\"records\":[]}",
                                       "{\"schema_version\":1,\"records\":[1]}",
                                       "{\"schema_version\":1,\"records\":[{\"kind\":\"node\"}]}",
                                       "{\"schema_version\":1,\"records\":[{\"kind\":\"result\"}]}",
                                       "{\"schema_version\":2,\"records\":[{}]}",
                                       head,
                                       "{\"schema_version\":1,\"schema_version\":1,\"records\":[]}"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct accept_report r = {.plan_only = false};
        struct err_info info = {.text = ""};
        assert_int_equal(accept_report_read(slice_of(rows[i]), &r, &info), ERR_SYNTAX);
        assert_string_not_equal(info.text, "");
        arena_fini(&r.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_judge), cmocka_unit_test(test_run),
                                       cmocka_unit_test(test_options), cmocka_unit_test(test_page),
                                       cmocka_unit_test(test_reports_that_are_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
