/* test_member: from "ca init" to an installed identity, without a node and with one that knows seeds. */
#include "tests/unit/cli/fake_node.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/join_file.h"

struct world {
    char cluster[64]; /* that the node says it belongs to */
    bool refuse;
    bool taken; /* the name is a member's */
};

static void do_invite_info(void *ctx, const struct control_request *q, struct control_reply *r)
{
    const struct world *w = ctx;
    (void)q;
    fake_say(r, "invite", "cluster", w->cluster, "seeds", "10.1.0.1:7400, 10.2.0.1:7400", w->taken ? "status" : NULL,
             "alive", NULL);
    control_reply_end(r, w->refuse ? 1 : 0, w->refuse ? SLICE("not now") : SLICE_NONE);
}

static const struct control_command commands[] = {{"node invite-info", do_invite_info}};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

struct bench {
    char dir[64];
};

static void bench_open(struct bench *b)
{
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/tandem-member-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
}

static void bench_close(struct bench *b)
{
    assert_int_equal(nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* "%" stands for the bench's directory. */
static const char *in(const struct bench *b, const char *line, char out[512])
{
    size_t n = 0;
    for (const char *p = line; *p != '\0'; p++) {
        int k = *p == '%' ? snprintf(out + n, 512 - n, "%s", b->dir) : snprintf(out + n, 512 - n, "%c", *p);
        n += (size_t)k;
        assert_true(n < 512);
    }
    return out;
}

static void read_join(const struct bench *b, const char *name, struct arena *arena, struct join_file *j)
{
    char path[512];
    struct err_info info = {0};
    if (join_read(arena, in(b, name, path), j, &info) != ERR_OK) fail_msg("%s", info.text);
}

static void test_offline(void **state)
{
    (void)state;
    struct bench b;
    struct arena arena = {0};
    struct join_file j;
    struct stat st;
    char line[512];
    bench_open(&b);
    expect_run_has(NULL, in(&b, "ca init --cluster example --dir %/ca", line), 0, "cluster    example-", "");
    expect_run_has(NULL, in(&b, "ca init --cluster example --dir %/ca", line), 1, "", "");
    expect_run_has(NULL, in(&b, "node invite hq-1 --site hq --ca %/ca --out %/a.join", line), 0, "join file",
                   "no seeds: right for the first");
    expect_run_has(
        NULL,
        in(&b, "node invite c-1 --site campus --ca %/ca --seed 10.1.0.1:7400 --seed [::1]:7400 --out %/b.join -o json",
           line),
        0, "\"seeds\":\"10.1.0.1:7400 [::1]:7400\"", "");
    read_join(&b, "%/b.join", &arena, &j);
    assert_true(slice_is(j.identity.node, "c-1"));
    assert_true(slice_is(j.identity.site, "campus"));
    assert_int_equal(j.seed_count, 2);
    assert_true(slice_is(j.seeds[1], "[::1]:7400"));
    arena_fini(&arena);
    expect_run_has(NULL, in(&b, "node join %/b.join --data %/data", line), 0, "c-1", "");
    assert_int_equal(stat(in(&b, "%/data/tls/node.key", line), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    expect_run_has(NULL, in(&b, "node join %/a.join --data %/data", line), 1, "", ""); /* another node's data */
    expect_run_has(NULL, in(&b, "node join %/a.join --data %/data --force", line), 0, "hq-1", ""); /* on purpose */
    bench_close(&b);
}

static void test_with_a_node(void **state)
{
    (void)state;
    struct bench b;
    struct world w = {.cluster = "other-00000000"};
    struct fake_node n;
    struct arena arena = {0};
    struct join_file j;
    char line[512];
    bench_open(&b);
    fake_node_start(&n, commands, 1, &w);
    expect_run_has(NULL, in(&b, "ca init --cluster example --dir %/ca", line), 0, NULL, "");
    expect_run_has(n.path, in(&b, "node invite x --site hq --ca %/ca --out %/x.join", line), 1, "",
                   "belongs to the cluster other-00000000");
    assert_int_equal(access(in(&b, "%/x.join", line), F_OK), -1);
    expect_run_has(NULL, in(&b, "node invite y --site hq --ca %/ca --seed 10.9.0.1:1 --out %/y.join", line), 0, NULL,
                   "");
    read_join(&b, "%/y.join", &arena, &j);
    (void)snprintf(w.cluster, sizeof w.cluster, "%.*s", SLICE_ARG(j.identity.cluster)); /* between two requests */
    arena_fini(&arena);
    expect_run_has(n.path, in(&b, "node invite x --site hq --ca %/ca --out %/x.join", line), 0, NULL, "");
    read_join(&b, "%/x.join", &arena, &j);
    assert_int_equal(j.seed_count, 2);
    assert_true(slice_is(j.seeds[1], "10.2.0.1:7400"));
    arena_fini(&arena);
    w.taken = true;
    expect_run_has(n.path, in(&b, "node invite x --site hq --ca %/ca --out %/x2.join", line), 0, NULL,
                   "x is a member already, and alive: this invitation renews its certificate");
    expect_run_has(NULL, in(&b, "-s /nonexistent/n.sock node invite z --site hq --ca %/ca --out %/z.join", line), 5, "",
                   "does not exist");
    fake_node_stop(&n);
    bench_close(&b);
}

static void test_usage(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *err;
    } rows[] = {
        {"ca init", "--cluster NAME"},
        {"ca init --cluster a/b", "letters, digits"},
        {"node invite x --ca d", "--site SITE"},
        {"node invite x --site s", "--ca DIR"},
        {"node invite a/b --site s --ca d", "is no name for a node"},
        {"node invite x --site s --ca d --seed nonsense", "--seed nonsense"},
        {"node join f", "--data DIR"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_run_has(NULL, rows[i].line, 2, "", rows[i].err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offline),
        cmocka_unit_test(test_with_a_node),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
