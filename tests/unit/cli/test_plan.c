/* test_plan: plan check, diff, apply, show and log against a fake node: what leaves the machine, and what is made of
 * the answers. */
#include "tests/unit/cli/fake_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/plan/document.h"
#include "proto/plan_codec.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* What the node heard, and the plan that it has. */
struct heard {
    struct buf request; /* the last plan apply or diff, packed */
    unsigned applies;
    struct arena arena;
    struct plan_document plan;
    const char *domain; /* the node's defaults, NULL: none */
};

static const char document[] = "plan: 1\n"
                               "defaults: { domain: example.org }\n"
                               "sites: { hq: { blocks: [\"6\"] } }\n"
                               "trunks:\n"
                               "  pbx: { site: hq, address: [\"10.1.0.10:5060\"], trust: [\"10.1.0.10/32\"],\n"
                               "         register: { user: u, password: trunkpass } }\n"
                               "accounts:\n"
                               "  \"6001\": { password: accountpass }\n"
                               "  \"6002\": { password: (set) }\n"
                               "routes:\n"
                               "  - { match: \"6\", to: trunk/pbx }\n"
                               "remove: [ account/6003 ]\n";

/* ---- the node ---- */

static void send_object(struct control_reply *r, const struct plan_object *o)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record record;
    struct buf packed = {0};
    char key[PLAN_KEY_MAX];
    size_t n = plan_object_key_text(o, key);
    control_record_start(&b, &arena, "object");
    if (plan_object_pack(o, &packed) == ERR_OK) {
        control_text(&b, "key", (struct slice){key, n});
        control_bytes(&b, "packed", buf_view(&packed));
        if (control_record_done(&b, &record) == ERR_OK) control_reply_record(r, &record);
    }
    buf_fini(&packed);
    arena_fini(&arena);
}

static void do_show(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct heard *h = ctx;
    struct slice prefix = control_get_text(&q->args, "object");
    size_t shown = 0;
    fake_say(r, "plan", "digest", DIGEST, NULL);
    for (size_t i = 0; i < h->plan.object_count; i++) {
        char key[PLAN_KEY_MAX];
        struct slice k = {key, plan_object_key_text(&h->plan.objects[i], key)};
        if (!slice_starts(k, prefix)) continue;
        send_object(r, &h->plan.objects[i]);
        shown++;
    }
    control_reply_end(r, prefix.n > 0 && shown == 0 ? 1 : 0,
                      prefix.n > 0 && shown == 0 ? SLICE("no such object") : SLICE_NONE);
}

static void hear(struct heard *h, const struct control_request *q)
{
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = *q};
    buf_reset(&h->request);
    h->applies++;
    if (control_frame_pack(&f, &h->request) != ERR_OK) abort();
}

static void do_apply(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    fake_say(r, "finding", "severity", "warning", "id", "no-trust", "object", "trunk/pbx", "line", "#0", "text",
             "it has none", NULL);
    if (slice_is(control_get_text(&q->args, "message"), "stale")) {
        control_reply_end(r, 3, SLICE("the plan moved"));
        return;
    }
    fake_say(r, "applied", "change", "here/1/7", "added", "#5", "changed", "#0", "removed", "#1", "digest", DIGEST,
             NULL);
    fake_say(r, "receipt", "node", "here", "ms", "#4", "durable", "?1", "note", "this node", NULL);
    fake_say(r, "receipt", "node", "there", "ms", "!", "durable", "?0", "note", "unreachable, will catch up", NULL);
    control_reply_end(r, 4, SLICE("not all of them have it"));
}

static void do_diff(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    fake_say(r, "op", "action", "add", "object", "site/hq", NULL);
    fake_say(r, "op", "action", "change", "object", "route//6/trunk/pbx", "detail", "  priority: 20 -> -\n", NULL);
    fake_say(r, "op", "action", "change", "object", "trunk/pbx", "detail", "  password: (set) -> (set, new)\n", NULL);
    fake_say(r, "op", "action", "remove", "object", "account/6003", NULL);
    fake_say(r, "applied", "change", "", "added", "#1", "changed", "#2", "removed", "#1", "digest", DIGEST, NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command commands[] = {
    {"plan show", do_show}, {"plan apply", do_apply}, {"plan diff", do_diff}};

/* ---- the bench ---- */

struct bench {
    struct fake_node node;
    struct heard heard;
    char dir[64];
    char file[96];
};

static void write_text(const struct bench *b, const char *text)
{
    FILE *f = fopen(b->file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void parse_plan(struct heard *h, const char *yaml)
{
    struct err_info info = {0};
    if (plan_document_parse(&h->arena, slice_of(yaml), &h->plan, &info) != ERR_OK) fail_msg("%s", info.text);
}

static void bench_open(struct bench *b, const char *yaml)
{
    *b = (struct bench){0};
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/tandem-plan-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->file, sizeof b->file, "%s/p.yaml", b->dir);
    write_text(b, yaml);
    fake_node_start(&b->node, commands, sizeof commands / sizeof commands[0], &b->heard);
}

static void bench_close(struct bench *b)
{
    fake_node_stop(&b->node);
    assert_int_equal(unlink(b->file), 0);
    assert_int_equal(rmdir(b->dir), 0);
    buf_fini(&b->heard.request);
    arena_fini(&b->heard.arena);
}

/* "%" in a line stands for the document's path. */
static const char *with_file(const struct bench *b, const char *line, char out[512])
{
    const char *at = strchr(line, '%');
    assert_non_null(at);
    (void)snprintf(out, 512, "%.*s%s%s", (int)(at - line), line, b->file, at + 1);
    return out;
}

static bool mentions(const struct buf *bytes, const char *text)
{
    return memmem(bytes->p, bytes->n, text, strlen(text)) != NULL;
}

static const struct control_record *put_of(const struct control_record *args, const char *key)
{
    const struct control_field *puts = control_find(args, "puts");
    assert_non_null(puts);
    for (size_t i = 0; i < puts->item_count; i++) {
        if (slice_is(control_get_text(&puts->items[i], "key"), key)) return &puts->items[i];
    }
    fail_msg("no put of %s", key);
    return NULL;
}

/* ---- plan check: no node ---- */

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *line;
        int status;
        const char *out;
        const char *err;
    } rows[] = {
        {"plan: 1\nsites: { hq: {} }\n", "plan check %", 0, "p.yaml: 1 object, 0 errors, 0 warnings\n", ""},
        {"plan: 1\nroutes:\n  - { match: \"6\", to: trunk/x }\n", "plan check %", 3,
         "p.yaml:3:5: error: route//6/trunk/x: ", "1 finding stands in the way"},
        {"plan: 1\nsites: { hq: {} }\ntrunks: { x: { site: hq, address: [\"10.0.0.1\"] } }\nroutes: [ {match: \"6\", "
         "to: trunk/x} ]\n",
         "plan check %", 3, "p.yaml:3:11: warning: trunk/x: ", "1 finding stands"},
        {"plan: 1\nsites: { hq: {} }\ntrunks: { x: { site: hq, address: [\"10.0.0.1\"] } }\nroutes: [ {match: \"6\", "
         "to: trunk/x} ]\n",
         "plan check % --allow shadowed,no-trust", 0, "[no-trust]\n", ""},
        {"plan: 1\n", "plan check % --allow no-trust,no-turst", 2, "",
         "--allow no-turst: there is no such warning; did you mean 'no-trust'? there are block-full, "
         "impossible-length, "},
        {"plan: 1\n", "plan diff % --allow unknown-target", 2, "", "there is no such warning; there are block-full, "},
        {"plan: 1\n", "plan apply % -m x --allow zebra", 2, "", "unused-trunk, and all"},
        {"plan: 1\nroutes:\n  - { match: \"6\", zebra: 1 }\n", "plan check %", 3,
         "p.yaml:3:19: error: route: unknown key \"zebra\"; known here: ",
         "1 fault in how the document is written: mend it, and"},
        {"plan: 1\nroutes:\n  - { match: \"6\", zebra: 1 }\n  - { match: \"7\" }\n", "plan check %", 3,
         "p.yaml:4:5: error: route: \"to\" is missing; write to: trunk/hq-pbx [form]\n",
         "2 faults in how the document is"},
        {"plan: 1\nroutes: [ {matc: 1} ]\nsite: {}\n", "plan check % -o json", 3,
         "\"id\":\"form\",\"file\":", "2 faults in how the document is written: mend them, and"},
        {"plan: 1\nroutes: [ {matc: 1} ]\nsite: {}\n", "plan apply % -m x", 3,
         "p.yaml:3:1: error: unknown key \"site\"", "2 faults"},
        {"plan: 1\nroutes: [ {matc: 1} ]\nsites: }\n", "plan diff %", 3, "p.yaml:3:8: error: YAML: ", "2 faults"},
        {"", "plan check %", 3, "p.yaml:1:1: error: the document is empty; begin with", "1 fault"},
        {"plan: 1\nsites: { hq: {} }\n", "plan check % -o json", 0, "\"kind\":\"checked\"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        char line[512];
        bench_open(&b, rows[i].yaml);
        expect_run_has(NULL, with_file(&b, rows[i].line, line), rows[i].status, rows[i].out, rows[i].err);
        bench_close(&b);
    }
    expect_run_has(NULL, "plan check /nonexistent/p.yaml", 1, "", "No such file");
}

/* ---- plan apply ---- */

static void test_apply(void **state)
{
    (void)state;
    struct bench b;
    char line[512];
    char want[512];
    struct arena arena = {0};
    struct control_frame f;
    size_t used = 0;
    bench_open(&b, document);
    (void)snprintf(want, sizeof want,
                   "%s:5:3: warning: trunk/pbx: it has none [no-trust]\n"
                   "change here/1/7: 5 added, 0 changed, 1 removed; the plan is now 001122334455\n\n"
                   "NODE   HAS IT  AFTER MS  NOTE\n"
                   "here   yes            4  this node\n"
                   "there  no             -  unreachable, will catch up\n",
                   b.file);
    expect_run(b.node.path,
               with_file(&b,
                         "plan apply % -m new_pbx --allow no-trust --allow=shadowed --wait all --timeout 2s --force",
                         line),
               4, want, "clusterctl: not all of them have it\n");

    /* what the node heard */
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    const struct control_record *args = &f.request.args;
    assert_true(slice_is(control_get_text(args, "message"), "new pbx"));
    assert_true(slice_is(control_get_text(args, "allow"), "no-trust,shadowed"));
    assert_true(slice_is(control_get_text(args, "wait"), "all"));
    assert_true(slice_is(control_get_text(args, "document"), b.file));
    assert_int_equal(control_get_int(args, "timeout_ms", 0), 2000);
    assert_int_equal(control_get_int(args, "force", 0), 1);
    assert_int_equal(control_get_int(args, "dry_run", 9), 0);
    assert_null(control_find(args, "base_digest"));
    assert_int_equal(control_find(args, "puts")->item_count, 6);
    assert_true(slice_is(control_get_text(&control_find(args, "deletes")->items[0], "key"), "account/6003"));

    /* the account's password left as a hash, the trunk's beside its object */
    const struct control_record *account = put_of(args, "account/6001");
    struct plan_object o;
    assert_int_equal(plan_object_unpack(&arena, control_get_text(account, "packed"), &o, NULL), ERR_OK);
    assert_true(o.account.secret.set);
    struct plan_account same = {.name = SLICE("6001"), .password = SLICE("accountpass")};
    assert_int_equal(plan_account_hash_password(&same, SLICE("example.org")), ERR_OK);
    assert_memory_equal(same.secret.sha256, o.account.secret.sha256, sizeof same.secret.sha256);
    assert_false(mentions(&b.heard.request, "accountpass"));
    assert_int_equal(control_get_int(account, "keep", 0), 0);
    assert_int_equal(control_get_int(put_of(args, "account/6002"), "keep", 0), 1);
    assert_true(slice_is(control_get_text(put_of(args, "trunk/pbx"), "secret"), "trunkpass"));
    assert_int_equal(control_get_int(put_of(args, "trunk/pbx"), "line", 0), 5);
    arena_fini(&arena);
    bench_close(&b);
}

static void test_realm(void **state)
{
    (void)state;
    static const char account_only[] = "plan: 1\naccounts: { \"6001\": { password: p } }\n";
    struct bench b;
    char line[512];
    bench_open(&b, account_only);
    parse_plan(&b.heard, "plan: 1\ndefaults: { domain: node.example }\n");
    expect_run(b.node.path, with_file(&b, "plan apply % -m x", line), 4, NULL, NULL);
    struct arena arena = {0};
    struct control_frame f;
    struct plan_object o;
    size_t used = 0;
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    assert_int_equal(
        plan_object_unpack(&arena, control_get_text(put_of(&f.request.args, "account/6001"), "packed"), &o, NULL),
        ERR_OK);
    struct plan_account same = {.name = SLICE("6001"), .password = SLICE("p")};
    assert_int_equal(plan_account_hash_password(&same, SLICE("node.example")), ERR_OK);
    assert_memory_equal(same.secret.md5, o.account.secret.md5, sizeof same.secret.md5);
    arena_fini(&arena);
    bench_close(&b);

    bench_open(&b, account_only); /* nobody has a domain */
    expect_run_has(b.node.path, with_file(&b, "plan apply % -m x", line), 1, "", "defaults: { domain: example.org }");
    assert_int_equal(b.heard.applies, 0);
    expect_run_has("/nonexistent/n.sock", with_file(&b, "plan apply % -m x", line), 5, "", "does not exist");
    bench_close(&b);
}

static void test_base_digest(void **state)
{
    (void)state;
    struct bench b;
    struct arena arena = {0};
    struct control_frame f;
    size_t used = 0;
    char line[512];
    bench_open(&b, "# a remark\n# plan digest " DIGEST "\nplan: 1\nsites: { hq: {} }\n");
    expect_run_has(b.node.path, with_file(&b, "plan apply % -m stale", line), 3, "warning", "the plan moved");
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    assert_true(slice_is(control_get_text(&f.request.args, "base_digest"), DIGEST));
    arena_fini(&arena);
    expect_run(b.node.path, with_file(&b, "plan apply % --dry-run", line), 4, NULL, NULL); /* a look is never refused */
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    assert_null(control_find(&f.request.args, "base_digest"));
    assert_int_equal(control_get_int(&f.request.args, "dry_run", 0), 1);
    arena_fini(&arena);
    bench_close(&b);
}

static void test_apply_refused_before_it_leaves(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
        const char *err;
    } rows[] = {
        {"plan apply %", 2, "-m MESSAGE"},
        {"plan apply % -m x --wait some", 2, "--wait some"},
        {"plan apply % -m x --wait 9999999", 2, "--wait 9999999"},
        {"plan apply % -m x --timeout soon", 2, "--timeout soon"},
        {"plan apply % -m x --base 12", 2, "--base 12"},
    };
    struct bench b;
    char line[512];
    bench_open(&b, document);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_run_has(b.node.path, with_file(&b, rows[i].line, line), rows[i].status, "", rows[i].err);
    }
    write_text(&b, "plan: 1\n");
    expect_run_has(b.node.path, with_file(&b, "plan apply % -m x", line), 1, "", "nothing in it");
    assert_int_equal(b.heard.applies, 0);
    bench_close(&b);
}

/* ---- plan diff ---- */

static void test_diff(void **state)
{
    (void)state;
    struct bench b;
    char line[512];
    bench_open(&b, document);
    expect_run(b.node.path, with_file(&b, "plan diff %", line), 0,
               "+ site/hq\n~ route//6/trunk/pbx\n  priority: 20 -> -\n~ trunk/pbx\n  password: (set) -> (set, new)\n- "
               "account/6003\n"
               "1 to add, 2 to change, 1 to remove; the plan is 001122334455\n",
               "");
    expect_run_has(b.node.path, with_file(&b, "plan diff % -o json", line), 0,
                   "{\"kind\":\"op\",\"action\":\"change\",\"object\":\"route//6/trunk/pbx\",\"detail\":\"  priority: "
                   "20 -> -\\n\"}",
                   "");
    bench_close(&b);
}

/* ---- a document that is too large to be held ---- */

#define LARGE_ROUTES 4500

/* Over 4 MB, by notes; tail stands behind the routes. */
static void write_large(const struct bench *b, const char *tail)
{
    char note[1001];
    FILE *f = fopen(b->file, "wb");
    assert_non_null(f);
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    (void)fprintf(f,
                  "# plan digest %s\nplan: 1\ndefaults: { domain: example.org }\nsites: { hq: {} }\n"
                  "accounts: { \"6001\": { password: accountpass } }\n"
                  "trunks: { pbx: { site: hq, address: [\"10.1.0.10\"], trust: [\"10.1.0.10/32\"] } }\nroutes:\n",
                  DIGEST);
    for (unsigned i = 0; i < LARGE_ROUTES; i++)
        (void)fprintf(f, "- { match: \"7%05u\", to: trunk/pbx, note: %s }\n", i, note);
    (void)fprintf(f, "%s", tail);
    assert_int_equal(fclose(f), 0);
}

static void test_large(void **state)
{
    (void)state;
    struct bench b;
    struct arena arena = {0};
    struct control_frame f;
    char line[512];
    size_t used = 0;
    size_t routes = 0;
    size_t others = 0;
    struct slice item;
    bench_open(&b, document);
    write_large(&b, "");
    expect_run(b.node.path, with_file(&b, "plan apply % -m large --allow all", line), 4, NULL, NULL);
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    assert_true(slice_is(control_get_text(&f.request.args, "base_digest"), DIGEST));
    assert_true(slice_is(control_get_text(&f.request.args, "message"), "large"));
    struct slice bulk = control_get_text(&f.request.args, "bulk_puts");
    while (control_bulk_take(&bulk, &item) == ERR_OK) {
        struct plan_object o;
        assert_int_equal(plan_object_unpack(&arena, item, &o, NULL), ERR_OK);
        others += o.kind != PLAN_ROUTE;
        if (o.kind == PLAN_ACCOUNT) assert_true(o.account.secret.set);
        if (o.kind != PLAN_ROUTE) continue;
        char match[16];
        (void)snprintf(match, sizeof match, "7%05zu", routes++);
        assert_true(slice_is(o.route.match, match));
        assert_int_equal(o.route.note.n, 1000);
    }
    assert_int_equal(routes, LARGE_ROUTES);
    assert_int_equal(others, 4);
    assert_false(mentions(&b.heard.request, "accountpass"));
    arena_fini(&arena);
    bench_close(&b);
}

/* Large by its comments: its few routes are sent all the same. */
static void test_large_with_few_routes(void **state)
{
    (void)state;
    struct bench b;
    struct arena arena = {0};
    struct control_frame f;
    char line[512];
    size_t used = 0;
    size_t count = 0;
    struct slice item;
    bench_open(&b, document);
    FILE *out = fopen(b.file, "wb");
    assert_non_null(out);
    (void)fprintf(out, "plan: 1\nroutes:\n- { match: \"1\", to: reject/404 }\n");
    for (unsigned i = 0; i < 4500; i++)
        (void)fprintf(out, "# %01000u\n", i);
    (void)fprintf(out, "- { match: \"2\", to: reject/404 }\n");
    assert_int_equal(fclose(out), 0);
    expect_run(b.node.path, with_file(&b, "plan apply % -m few --allow all", line), 4, NULL, NULL);
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    struct slice bulk = control_get_text(&f.request.args, "bulk_puts");
    while (control_bulk_take(&bulk, &item) == ERR_OK)
        count++;
    assert_int_equal(count, 2);
    arena_fini(&arena);
    bench_close(&b);
}

/* What is wrong with one is told as with any other; what lint finds has its line. */
static void test_large_and_wrong(void **state)
{
    (void)state;
    struct bench b;
    char line[512];
    bench_open(&b, document);
    write_large(&b, "");
    expect_run_has(NULL, with_file(&b, "plan check %", line), 0, "p.yaml: 4504 objects, 0 errors, 0 warnings", "");
    write_large(&b, "- { match: \"8\", to: trunk/px }\n");
    expect_run_has(NULL, with_file(&b, "plan check %", line), 3, "p.yaml:4508:3: error: route//8/trunk/px: it leads to",
                   "1 finding stands in the way");
    write_large(&b, "- { match: \"700007\", to: trunk/pbx }\n");
    expect_run_has(NULL, with_file(&b, "plan check %", line), 3,
                   "p.yaml:4508:3: error: route//700007/trunk/pbx is already in line 15; keep one of them", "1 fault");
    expect_run_has(b.node.path, with_file(&b, "plan diff %", line), 3,
                   "p.yaml:4508:3: error: route//700007/trunk/pbx is already in line 15; keep one of them", "1 fault");
    write_large(&b, "remove: [ route//700007/trunk/pbx ]\n");
    expect_run_has(NULL, with_file(&b, "plan check %", line), 3, "both described and removed: see line 15", "1 fault");
    expect_run_has(b.node.path, with_file(&b, "plan diff %", line), 3, "both described and removed: see line 15",
                   "1 fault");
    write_large(&b, "- { match: \"8\", too: trunk/pbx }\n");
    expect_run_has(b.node.path, with_file(&b, "plan diff %", line), 3, "p.yaml:4508:17: error: route: unknown key",
                   "1 fault");
    write_large(&b, "\t- { match: \"8\" }\n");
    expect_run_has(b.node.path, with_file(&b, "plan diff %", line), 3, "YAML: a tab stands here; indent with spaces",
                   "1 fault");
    assert_int_equal(b.heard.applies, 0);
    bench_close(&b);
}

/* ---- plan show ---- */

static void test_show(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, document);
    parse_plan(&b.heard, "plan: 1\nsites: { hq: { blocks: [\"6\"] } }\nroutes: [ { match: \"010\", to: site/hq, note: "
                         "\"J\xc3\xb6rg\" } ]\n");
    expect_run(b.node.path, "plan show", 0,
               "# plan digest " DIGEST "\nplan: 1\nsites:\n  hq:\n    blocks: [\"6\"]\nroutes:\n"
               "- {match: \"010\", to: site/hq, note: \"J\xc3\xb6rg\"}\n",
               "");
    expect_run(b.node.path, "plan show site/hq", 0, "plan: 1\nsites:\n  hq:\n    blocks: [\"6\"]\n", "");
    expect_run(b.node.path, "plan show site/hq -o json", 0,
               "{\n  \"schema_version\": 1,\n  \"digest\": \"" DIGEST
               "\",\n  \"plan\": {\n    \"plan\": \"1\",\n    \"sites\": {\n"
               "      \"hq\": {\n        \"blocks\": [\n          \"6\"\n        ]\n      }\n    }\n  }\n}\n",
               "");
    expect_run(b.node.path, "plan show -o csv", 0,
               "object,summary\r\nsite/hq,blocks 6\r\nroute//010/site/hq,010 to site/hq priority 10 weight 10\r\n", "");
    expect_run(b.node.path, "plan show trunk/x", 1, "", "clusterctl: no such object\n");
    expect_run(b.node.path, "plan show trunk/x -o json", 1,
               "{\"schema_version\":1,\"error\":{\"status\":1,\"text\":\"no such object\"}}\n", NULL);
    expect_run_has(b.node.path, "plan show nonsense", 2, "", "neither the key of an object");
    bench_close(&b);
}

/* What is shown is taken back, with the same bytes. */
static void test_show_then_apply(void **state)
{
    (void)state;
    struct bench b;
    struct run r;
    char line[512];
    bench_open(&b, document);
    parse_plan(&b.heard, document);
    run_cli(&r, b.node.path, "plan show");
    assert_int_equal(r.status, 0);
    write_text(&b, r.out);
    run_end(&r);
    expect_run(b.node.path, with_file(&b, "plan apply % -m back", line), 4, NULL, NULL);
    struct arena arena = {0};
    struct control_frame f;
    size_t used = 0;
    assert_int_equal(control_frame_unpack(&arena, buf_view(&b.heard.request), &f, &used), ERR_OK);
    struct buf packed = {0};
    for (size_t i = 0; i < b.heard.plan.object_count; i++) {
        const struct plan_object *o = &b.heard.plan.objects[i];
        char key[PLAN_KEY_MAX];
        if (o->kind == PLAN_ACCOUNT || o->kind == PLAN_TRUNK) continue; /* their secrets are kept by the node */
        key[plan_object_key_text(o, key)] = '\0';
        buf_reset(&packed);
        assert_int_equal(plan_object_pack(o, &packed), ERR_OK);
        assert_true(slice_eq(control_get_text(put_of(&f.request.args, key), "packed"), buf_view(&packed)));
    }
    buf_fini(&packed);
    arena_fini(&arena);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_realm),
        cmocka_unit_test(test_base_digest),
        cmocka_unit_test(test_apply_refused_before_it_leaves),
        cmocka_unit_test(test_diff),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_large_with_few_routes),
        cmocka_unit_test(test_large_and_wrong),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_then_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
