/* test_show: whole runs of clusterctl against a fake node: listing, errors on the way, and how they end. */
#include "cli/progress.h"
#include "tests/unit/cli/fake_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct seen {
    char number[64];
    char from[64];
    char at[64];
    int64_t limit;
    char evicted[64];
};

static void do_status(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    assert_int_equal(q->args.field_count, 0);
    fake_say(r, "status", "node", "hq-1", "verdict", "no\x1b[31mt ok", "started", "2026-11-22T08:15:30.123Z", "routes",
             "#12", "plan_digest", "0123456789abcdef", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_nodes(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    control_reply_progress(r, SLICE("asking"), 1, 2);
    bool one = slice_is(control_get_text(&q->args, "node"), "campus-1");
    if (!one) {
        fake_say(r, "node", "node", "hq-1", "state", "alive", "status_ms", "#7300000", "rtt_us", "!", "changes",
                 "in step", "version", "0.1.0", NULL);
    }
    fake_say(r, "node", "node", "campus-1", "state", "dead", "since", "2026-11-22T08:15:30.123Z", "rtt_us", "#130000",
             "changes", "3 behind", "data_age_ms", "#250000", "link", "dialling: connection refused", NULL);
    control_reply_end(r, one ? 0 : 4, one ? SLICE_NONE : SLICE("campus-1 does not answer"));
}

static void do_calls(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    control_reply_end(r, 0, SLICE("the list is young"));
}

static void do_explain(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct seen *s = ctx;
    (void)snprintf(s->number, sizeof s->number, "%.*s", SLICE_ARG(control_get_text(&q->args, "number")));
    (void)snprintf(s->from, sizeof s->from, "%.*s", SLICE_ARG(control_get_text(&q->args, "from")));
    (void)snprintf(s->at, sizeof s->at, "%.*s", SLICE_ARG(control_get_text(&q->args, "at")));
    fake_say(r, "decision", "number", "06123", "plan_number", "+496123", "site", "hq", "node", "here", "targets", "#1",
             "code", "!", "rule", "#5", "plan_digest", "0123456789abcdef", NULL);
    fake_say(r, "candidate", "place", "#1", "target", "trunk/a", "match", "+49", "scope", "", "priority", "#10",
             "weight", "#10", "node", "hq-1", "number", "6123", "number_sent", "6123", "why", "chosen", "text",
             "among the targets", NULL);
    fake_say(r, "candidate", "place", "!", "target", "trunk/b", "match", "+", "scope", "", "priority", "#10", "weight",
             "#10", "node", "hq-1", "number_sent", "", "why", "shorter", "text", "a longer match was decided first",
             NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_log(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct seen *s = ctx;
    s->limit = control_get_int(&q->args, "limit", -1);
    fake_say(r, "change", "id", "hq-1/1/2", "time", "2026-11-22T08:15:30.123Z", "author", "alice", "ops", "#3",
             "message", "new desk", "summary", "put account/7", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_evict(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct seen *s = ctx;
    (void)snprintf(s->evicted, sizeof s->evicted, "%.*s", SLICE_ARG(control_get_text(&q->args, "node")));
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command commands[] = {
    {"status", do_status},         {"nodes", do_nodes},  {"calls", do_calls},
    {"route explain", do_explain}, {"plan log", do_log}, {"node evict", do_evict},
};

static void start(struct fake_node *n, struct seen *s)
{
    *s = (struct seen){0};
    fake_node_start(n, commands, sizeof commands / sizeof commands[0], s);
}

static void test_tables(void **state)
{
    (void)state;
    struct fake_node n;
    struct seen s;
    start(&n, &s);
    expect_run_has(n.path, "status", 0, "verdict              no?[31mt ok\nnode                 hq-1\n", "");
    expect_run_has(n.path, "status", 0,
                   "started              2026-11-22 08:15:30Z\nplan                 0123456789ab\n", "");
    expect_run(n.path, "nodes", 4,
               "NODE      SITE  STATUS    FOR  HEARD     RTT  CHANGES   DATA AGE  VERSION  LINK\n"
               "hq-1      -     alive   2.0 h      -       -  in step          -  0.1.0    -\n"
               "campus-1  -     dead        -      -  130 ms  3 behind   4.2 min  -        "
               "dialling: connection refused\n",
               "clusterctl: campus-1 does not answer\n");
    expect_run_has(n.path, "nodes campus-1", 0,
                   "node                        campus-1\n"
                   "site                        -\n"
                   "status                      dead\n"
                   "in this status since        2026-11-22 08:15:30Z\n",
                   "");
    expect_run(n.path, "calls", 0, "No calls.\n", "clusterctl: the list is young\n");
    expect_run_has(n.path, "calls -o csv", 0, "call_id,session_id,from,to,", "clusterctl: the list is young\n");
    expect_run(n.path, "route explain 06123", 0,
               "number              06123\nfrom                -\nin the plan         +496123\n"
               "as seen from        hq\ndecided at          here\ntargets             1\n"
               "answer without one  -\ndecided by rule     5\nplan                0123456789ab\n\n"
               "PLACE  TARGET   MATCH  PRIO  WEIGHT  BY NODE  SENDS  WHY\n"
               "    1  trunk/a  +49      10      10  hq-1     6123   among the targets\n"
               "    -  trunk/b  +        10      10  hq-1     -      a longer match was decided first\n\n"
               "PLACE  CARRIED BY  TARGET   NUMBER  THAT NODE                                                          "
               "         SENDS IT TO\n"
               "    1  hq-1        trunk/a  6123    not asked: node hq-1 cannot be asked from here: use its own "
               "control socket  -\n",
               "");
    expect_run(n.path, "plan log", 0,
               "CHANGE    TIME                  AUTHOR  OBJECTS  WHY       WHAT\n"
               "hq-1/1/2  2026-11-22 08:15:30Z  alice         3  new desk  put account/7\n",
               "");
    fake_node_stop(&n);
}

static void test_json(void **state)
{
    (void)state;
    struct fake_node n;
    struct seen s;
    start(&n, &s);
    expect_run(n.path, "nodes -o json", 4,
               "{\"schema_version\":1,\"records\":[\n"
               "{\"kind\":\"node\",\"node\":\"hq-1\",\"state\":\"alive\",\"status_ms\":7300000,\"rtt_us\":null,"
               "\"changes\":\"in step\",\"version\":\"0.1.0\"},\n"
               "{\"kind\":\"node\",\"node\":\"campus-1\",\"state\":\"dead\",\"since\":\"2026-11-22T08:15:30.123Z\","
               "\"rtt_us\":130000,"
               "\"changes\":\"3 behind\",\"data_age_ms\":250000,\"link\":\"dialling: connection refused\"}\n"
               "],\"error\":{\"status\":4,\"text\":\"campus-1 does not answer\"}}\n",
               "clusterctl: campus-1 does not answer\n");
    expect_run(n.path, "trunks -o json", 2,
               "{\"schema_version\":1,\"error\":{\"status\":2,\"text\":\"this node does not know the command 'trunks': "
               "is it of an "
               "older version?\"}}\n",
               NULL);
    /* usage errors too, wherever -o stands */
    expect_run(n.path, "stauts -o json", 2,
               "{\"schema_version\":1,\"error\":{\"status\":2,\"text\":\"unknown command 'stauts': did you mean "
               "'status'?\"}}\n",
               "clusterctl: unknown command 'stauts': did you mean 'status'?\n");
    expect_run(n.path, "plan apply x -o yaml", 2, NULL,
               "clusterctl: say why the plan changes, for its history: -m MESSAGE\n");
    fake_node_stop(&n);
}

static void test_arguments(void **state)
{
    (void)state;
    struct fake_node n;
    struct seen s;
    start(&n, &s);
    expect_run(n.path, "route explain 06123 --from trunk/a --at here", 0, NULL, "");
    expect_run(n.path, "plan log -n 5", 0, NULL, "");
    expect_run_has(n.path, "node evict campus-1", 2, "", "no terminal to ask at: give --yes");
    expect_run(n.path, "node evict campus-1 --yes", 0, "", "");
    expect_run(n.path, "--node there status", 5, "",
               "clusterctl: node there cannot be asked from here: use its own control socket\n");
    expect_run(n.path, "node evict campus-2 --yes --node=", 2, "",
               "clusterctl: --node: an empty name; without --node the node at the socket answers\n");
    expect_run_has(n.path, "route explain 1 --at there", 5, "", "node there cannot be asked");
    expect_run(n.path, "route explain 1 --from a", 2, "", "clusterctl: --from a: write trunk/NAME or account/NAME\n");
    expect_run_has(n.path, "route explain 1 --at a --node b", 2, "", "which of them");
    expect_run_has(n.path, "plan log -n x", 2, "", "--number x");
    fake_node_stop(&n);
    assert_string_equal(s.number, "06123");
    assert_string_equal(s.from, "trunk/a");
    assert_string_equal(s.at, "here");
    assert_int_equal(s.limit, 5);
    assert_string_equal(s.evicted, "campus-1");
}

/* ---- sockets ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Says its bytes to the first client and hangs up. */
struct rude {
    int fd;
    struct slice bytes;
};

static void *be_rude(void *arg)
{
    struct rude *r = arg;
    char request[4096];
    int fd = accept(r->fd, NULL, NULL);
    (void)!read(fd, request, sizeof request);
    (void)!write(fd, r->bytes.p, r->bytes.n);
    (void)close(fd);
    return NULL;
}

static void test_rude_nodes(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *err;
    } rows[] = {
        {{"", 0}, "hung up before its answer was complete"},
        {{"\0\0\0\5\x22", 5}, "hung up before its answer was complete"},
        {{"\xff\xff\xff\xff", 4}, "cannot be read"},
        {{"\0\0\0\2\x22\7", 6}, "cannot be read"},
        {{"\0\0\0\2\x0a\0", 6}, "cannot be read"}, /* a request is no reply */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char dir[] = "/tmp/tandem-cli-XXXXXX";
        char path[64];
        pthread_t thread;
        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof path, "%s/r.sock", dir);
        struct rude r = {.fd = listen_at(path), .bytes = rows[i].bytes};
        assert_int_equal(pthread_create(&thread, NULL, be_rude, &r), 0);
        expect_run_has(path, "status", 5, "", rows[i].err);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)close(r.fd);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(dir), 0);
    }
}

static int run_in(const char *run_dir, const char *env_socket, char **err)
{
    char program[] = "clusterctl";
    char word[] = "status";
    char *words[] = {program, word};
    char *out = NULL;
    size_t out_n = 0;
    size_t err_n = 0;
    struct cli c = {.in = stdin, .run_dir = run_dir, .env_socket = env_socket};
    c.out = open_memstream(&out, &out_n);
    c.err = open_memstream(err, &err_n);
    int status = cli_run(&c, 2, words);
    (void)fclose(c.out);
    (void)fclose(c.err);
    free(out);
    return status;
}

static void test_which_socket(void **state)
{
    (void)state;
    struct fake_node n;
    struct seen s;
    char *err = NULL;
    char other[96];
    start(&n, &s);
    assert_int_equal(run_in(n.dir, NULL, &err), 0); /* the only one */
    free(err);
    assert_int_equal(run_in(n.dir, "", &err), 0); /* an empty variable is none */
    free(err);
    assert_int_equal(run_in("/nonexistent", NULL, &err), 5);
    assert_non_null(strstr(err, "no node runs here"));
    free(err);
    (void)snprintf(other, sizeof other, "%s/b.sock", n.dir);
    int fd = listen_at(other);
    assert_int_equal(run_in(n.dir, NULL, &err), 2);
    assert_non_null(strstr(err, "b.sock"));
    assert_non_null(strstr(err, "n.sock"));
    free(err);
    (void)close(fd); /* stale now */
    assert_int_equal(run_in("/nonexistent", other, &err), 5);
    assert_non_null(strstr(err, "nobody answers"));
    free(err);
    assert_int_equal(run_in("/nonexistent", n.dir, &err), 2);
    assert_non_null(strstr(err, "is no socket: give -s the file"));
    free(err);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(run_in("/nonexistent", other, &err), 5);
    assert_non_null(strstr(err, "does not exist"));
    free(err);
    fake_node_stop(&n);
}

static void test_progress(void **state)
{
    (void)state;
    struct progress p = {0};
    char *said = NULL;
    size_t n = 0;
    struct cli c = {.err = open_memstream(&said, &n)};
    progress_at(&c, &p, "rows", 1, 1);
    progress_at(&c, &p, "rows", 2, 5000); /* no terminal */
    p = (struct progress){0};
    c.err_terminal = true;
    progress_at(&c, &p, "rows", 1, 1);
    progress_at(&c, &p, "rows", 2, 1000); /* not yet a second */
    progress_at(&c, &p, "rows", 3, 1001);
    progress_at(&c, &p, "rows", 4, 1900);
    progress_at(&c, &p, "rows", 5, 2001);
    progress_end(&c, &p);
    progress_end(&c, &p); /* it is gone */
    (void)fclose(c.err);
    assert_string_equal(said, "\r\033[Krows: 3\r\033[Krows: 5\r\033[K");
    free(said);
}

/* ---- doctor ---- */

static void do_nothing(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    control_reply_end(r, 0, SLICE_NONE);
}

/* A receipt says what a node has before its next heartbeat does: by the counts it is in step, by the vectors not yet.
 */
static void do_peers(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    fake_say(r, "node", "node", "hq-1", "state", "alive", "in_step", "?1", "changes", "in step", NULL);
    fake_say(r, "node", "node", "a", "state", "alive", "linked", "?1", "in_step", "?0", "changes", "in step", NULL);
    fake_say(r, "node", "node", "b", "state", "alive", "linked", "?1", "in_step", "?0", "changes", "3 behind", NULL);
    fake_say(r, "node", "node", "c", "state", "alive", "linked", "?1", "in_step", "?0", "changes", "", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command doctor_commands[] = {
    {"status", do_status}, {"doctor", do_nothing}, {"nodes", do_peers}, {"clock", do_nothing}, {"trunks", do_nothing},
};

static void test_doctor_of_peers(void **state)
{
    (void)state;
    struct fake_node n;
    struct seen s = {0};
    fake_node_start(&n, doctor_commands, sizeof doctor_commands / sizeof doctor_commands[0], &s);
    expect_run_has(n.path, "doctor -o csv", 3, "ok,peer,a,\"alive, linked, in step\",", "");
    expect_run_has(n.path, "doctor -o csv", 3, "warning,peer,b,its plan is 3 behind,", "");
    expect_run_has(n.path, "doctor -o csv", 3, "warning,peer,c,its plan is another one,", "");
    fake_node_stop(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress),        cmocka_unit_test(test_tables),     cmocka_unit_test(test_json),
        cmocka_unit_test(test_arguments),       cmocka_unit_test(test_rude_nodes), cmocka_unit_test(test_which_socket),
        cmocka_unit_test(test_doctor_of_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
