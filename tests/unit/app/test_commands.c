/* What clusterctl is told by a node on its own: applies that go well, are refused, meet each other, lose their client
 * or their node; plans and histories larger than a page; why a call goes where it goes. */
#include "kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org }\n"                                                                              \
    "sites: { hq: { blocks: [\"6\"] } }\n"                                                                             \
    "trunks:\n"                                                                                                        \
    "  pbx: { site: hq, address: [\"10.1.0.10:5060\"], trust: [\"10.1.0.10/32\"],\n"                                   \
    "         out: [ {match: \"6\", strip: 1, prepend: \"9\"} ] }\n"                                                   \
    "  two: { site: hq, address: [\"10.1.0.11:5060\"], trust: [\"10.1.0.11/32\"], disabled: true }\n"                  \
    "accounts:\n"                                                                                                      \
    "  \"6001\": { password: \"old\" }\n"                                                                              \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"61\", to: trunk/pbx, priority: 20 }\n"                                                             \
    "  - { match: \"61\", to: trunk/two, priority: 10 }\n"

static void open_node(struct kit *k)
{
    kit_init(k, NULL);
    kit_start(k);
}

/* plan apply; options as text fields "name", "value", ..., NULL. */
static void apply(struct client *c, struct kit *k, const char *command, const char *yaml, ...)
{
    struct control_builder b;
    va_list ap;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    args_document(c, &b, yaml);
    control_text(&b, "message", SLICE("because"));
    va_start(ap, yaml);
    for (const char *name = va_arg(ap, const char *); name != NULL; name = va_arg(ap, const char *))
        control_text(&b, name, slice_of(va_arg(ap, const char *)));
    va_end(ap);
    client_ask(c, k, command, "", &b);
}

static void apply_ok(struct kit *k, const char *yaml)
{
    struct client c;
    apply(&c, k, "plan apply", yaml, "allow", "all", NULL);
    if (c.status != 0) fail_msg("%d %s", c.status, c.text);
    client_close(&c);
}

static void ask(struct client *c, struct kit *k, const char *command, const char *name, const char *value)
{
    struct control_builder b;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    if (name != NULL) control_text(&b, name, slice_of(value));
    client_ask(c, k, command, "", &b);
}

static void plan_digest_of(struct kit *k, char out[PLAN_DIGEST_TEXT])
{
    struct client c;
    ask(&c, k, "status", NULL, NULL);
    (void)snprintf(out, PLAN_DIGEST_TEXT, "%s", field_text(&c, client_record(&c, "status", 0), "plan_digest"));
    client_close(&c);
}

/* ---- apply ---- */

static void an_apply_and_its_record(void **state)
{
    struct kit k;
    struct client c;
    char digest[PLAN_DIGEST_TEXT];
    (void)state;
    open_node(&k);
    apply(&c, &k, "plan apply", PLAN, "allow", "all", NULL);
    assert_int_equal(c.status, 0);
    const struct control_record *r = client_record(&c, "applied", 0);
    assert_int_equal(control_get_int(r, "added", -1), 8);
    assert_non_null(strstr(field_text(&c, r, "change"), "n1/"));
    plan_digest_of(&k, digest);
    assert_string_equal(field_text(&c, r, "digest"), digest);
    assert_string_equal(field_text(&c, client_record(&c, "receipt", 0), "note"), "this node");
    client_close(&c);
    apply(&c, &k, "plan apply", PLAN, NULL);
    assert_int_equal(c.status, 0);
    assert_string_equal(c.text, "nothing to change: the plan already says so");
    client_close(&c);
    ask(&c, &k, "plan log", NULL, NULL);
    assert_int_equal(client_count(&c, "change"), 1);
    r = client_record(&c, "change", 0);
    assert_string_equal(field_text(&c, r, "message"), "because");
    assert_non_null(strstr(field_text(&c, r, "author"), "@n1"));
    assert_int_equal(control_get_int(r, "ops", 0), 8);
    client_close(&c);
    kit_fini(&k);
}

static void refusals(void **state)
{
    struct kit k;
    struct client c;
    char digest[PLAN_DIGEST_TEXT];
    char after[PLAN_DIGEST_TEXT];
    char longest[LIMIT_TEXT + 2];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, digest);

    apply(&c, &k, "plan apply", "plan: 1\ntrunks: { idle: { site: hq, address: [\"10.1.0.12\"] } }\n", NULL);
    assert_int_equal(c.status, 3);
    assert_int_equal(client_count(&c, "finding"), 2);
    assert_string_equal(c.text, "2 findings stand in the way: mend them, or accept warnings with --allow");
    client_close(&c);
    apply(&c, &k, "plan apply", "plan: 1\ntrunks: { idle: { site: hq, address: [\"10.1.0.12\"] } }\n", "allow",
          "no-trust", NULL);
    assert_int_equal(c.status, 3);
    assert_string_equal(c.text, "1 finding stands in the way: mend it, or accept warnings with --allow");
    client_close(&c);
    apply(&c, &k, "plan apply", "plan: 1\nremove: [\"trunk/pbx\"]\n", "allow", "all",
          NULL); /* an error is not allowed */
    assert_int_equal(c.status, 3);
    client_close(&c);
    apply(&c, &k, "plan apply", "plan: 1\nremove: [\"trunk/nobody\"]\n", NULL);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "the plan has no such object"));
    client_close(&c);
    apply(&c, &k, "plan apply", "plan: 1\nsites: { hq: {} }\n", "base_digest", "0000", "allow", "all", NULL);
    assert_int_equal(c.status, 3);
    assert_non_null(strstr(c.text, "the plan moved since you looked"));
    client_close(&c);
    memset(longest, 'm', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct control_builder b;
    c = (struct client){.kit = &k};
    control_record_start(&b, &c.arena, "");
    control_text(&b, "message", slice_of(longest));
    client_ask(&c, &k, "plan apply", "", &b);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "the message has over 1024 characters"));
    client_close(&c);

    plan_digest_of(&k, after);
    assert_string_equal(digest, after);
    apply(&c, &k, "plan apply", "plan: 1\nsites: { lab: {} }\n", "base_digest", digest, NULL); /* what was seen */
    assert_int_equal(c.status, 0);
    client_close(&c);
    kit_fini(&k);
}

static void a_diff_changes_nothing(void **state)
{
    struct kit k;
    struct client c;
    char before[PLAN_DIGEST_TEXT];
    char after[PLAN_DIGEST_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, before);
    apply(&c, &k, "plan diff",
          "plan: 1\nsites: { lab: {} }\nroutes:\n  - { match: \"6\", to: trunk/pbx, priority: 3 }\nremove: "
          "[\"trunk/two\", "
          "\"route//61/trunk/two\"]\n",
          "allow", "all", NULL);
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "op"), 4);
    static const char *const expected[][2] = {{"add", "site/lab"},
                                              {"change", "route//6/trunk/pbx"},
                                              {"remove", "trunk/two"},
                                              {"remove", "route//61/trunk/two"}};
    for (size_t i = 0; i < 4; i++) {
        const struct control_record *r = client_record(&c, "op", i);
        assert_string_equal(field_text(&c, r, "action"), expected[i][0]);
        assert_string_equal(field_text(&c, r, "object"), expected[i][1]);
    }
    client_close(&c);
    plan_digest_of(&k, after);
    assert_string_equal(before, after);
    kit_fini(&k);
}

/* ---- applies that meet ---- */

static void big_plan(struct kit *k, size_t routes)
{
    char *yaml = malloc(routes * 160 + 1000);
    size_t at = (size_t)sprintf(yaml, PLAN);
    for (size_t i = 0; i < routes; i++)
        at += (size_t)sprintf(yaml + at, "  - { match: \"62%06zu\", to: trunk/pbx, note: \"%0100d\" }\n", i, 0);
    kit_plan(k, yaml);
    free(yaml);
}

static void start_apply(struct client *c, struct kit *k, const char *yaml, const char *base)
{
    struct control_builder b;
    client_open(c, k);
    control_record_start(&b, &c->arena, "");
    args_document(c, &b, yaml);
    control_text(&b, "allow", SLICE("all"));
    control_text(&b, "base_digest", slice_of(base));
    client_send(c, "plan apply", "", &b);
}

/* Eight at once that all saw the same plan: one wins, the others are told that it moved. */
static void two_at_once_are_one_after_the_other(void **state)
{
    struct kit k;
    struct client c[8];
    char digest[PLAN_DIGEST_TEXT];
    size_t done = 0;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, digest);
    for (size_t i = 0; i < 8; i++) {
        char yaml[80];
        (void)snprintf(yaml, sizeof yaml, "plan: 1\nsites: { s%zu: {} }\n", i);
        start_apply(&c[i], &k, yaml, digest);
    }
    for (size_t i = 0; i < 8; i++) {
        client_wait(&c[i]);
        done += c[i].status == 0;
        if (c[i].status != 0) assert_int_equal(c[i].status, 3);
        client_close(&c[i]);
    }
    assert_int_equal(done, 1);
    kit_fini(&k);
}

/* Without a base each is linted against what the one before has made: a second definition is a change, not an addition.
 */
static void each_sees_what_the_one_before_did(void **state)
{
    struct kit k;
    struct client c[4];
    size_t added = 0;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    for (size_t i = 0; i < 4; i++) {
        char yaml[80];
        (void)snprintf(yaml, sizeof yaml, "plan: 1\nsites: { lab: { blocks: [\"7%zu\"] } }\n", i);
        start_apply(&c[i], &k, yaml, "");
    }
    for (size_t i = 0; i < 4; i++) {
        client_wait(&c[i]);
        assert_int_equal(c[i].status, 0);
        added += (size_t)control_get_int(client_record(&c[i], "applied", 0), "added", 0);
        client_close(&c[i]);
    }
    assert_int_equal(added, 1);
    kit_fini(&k);
}

static bool no_applies(void *ctx)
{
    struct kit *k = ctx;
    return list_empty(&k->node.applies);
}

/* Clients that go away at any moment take nothing of the node along. */
static void clients_that_vanish(void **state)
{
    struct kit k;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    for (unsigned turns = 0; turns < 40; turns++) {
        struct client c[3];
        char yaml[80];
        for (size_t i = 0; i < 3; i++) {
            (void)snprintf(yaml, sizeof yaml, "plan: 1\nsites: { v%u-%zu: {} }\n", turns, i);
            start_apply(&c[i], &k, yaml, "");
        }
        for (unsigned t = 0; t < turns; t++)
            (void)uv_run(k.loop, UV_RUN_NOWAIT);
        for (size_t i = 0; i < 3; i++)
            client_close(&c[i]);
    }
    kit_until(&k, no_applies, &k, "the applies to end");
    apply_ok(&k, "plan: 1\nsites: { after: {} }\n");
    kit_fini(&k);
}

static bool an_apply_is_at_work(void *ctx)
{
    struct kit *k = ctx;
    return !list_empty(&k->node.applies);
}

/* Nobody is there to be told what happened, so nothing does: as long as the change is not handed to the core. */
static void a_client_that_vanishes_takes_its_apply_along(void **state)
{
    struct kit k;
    struct client c;
    struct plan_digest before;
    (void)state;
    open_node(&k);
    big_plan(&k, 20000); /* takes some time to look at */
    before = k.node.plan_digest;
    start_apply(&c, &k, "plan: 1\nsites: { lab: {} }\n", "");
    kit_until(&k, an_apply_is_at_work, &k, "the apply to begin");
    client_close(&c);
    kit_until(&k, no_applies, &k, "the apply to end");
    kit_turn(&k, 50);
    assert_true(plan_digest_eq(before, k.node.plan_digest));
    kit_fini(&k);
}

/* The node stops in the middle: whoever still listens hears so, and memory is given back. */
static void a_node_that_stops_in_the_middle(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 30; turns += 3) {
        struct kit k;
        struct client c[3];
        char yaml[80];
        open_node(&k);
        apply_ok(&k, PLAN);
        for (size_t i = 0; i < 3; i++) {
            (void)snprintf(yaml, sizeof yaml, "plan: 1\nsites: { v%zu: {} }\n", i);
            start_apply(&c[i], &k, yaml, "");
        }
        for (unsigned t = 0; t < turns; t++)
            (void)uv_run(k.loop, UV_RUN_NOWAIT);
        kit_stop(&k);
        for (size_t i = 0; i < 3; i++) {
            kit_turn(&k, 1);
            if (c[i].ended && c[i].status != 0) assert_non_null(strstr(c[i].text, "the node is stopping"));
            client_close(&c[i]);
        }
        kit_start(&k);
        kit_fini(&k);
    }
}

static void a_full_disk_says_so(void **state)
{
    struct kit k;
    struct client c;
    struct rlimit old;
    char *yaml = malloc(400000);
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    (void)signal(SIGXFSZ, SIG_IGN);
    size_t at = (size_t)sprintf(yaml, "plan: 1\nroutes:\n");
    for (int i = 0; i < 2000; i++)
        at += (size_t)sprintf(yaml + at, "  - { match: \"6%05d\", to: trunk/pbx, note: \"%0100d\" }\n", i, i);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {.rlim_cur = 200 * 1024, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    apply(&c, &k, "plan apply", yaml, "allow", "all", NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(c.status, 1);
    if (strstr(c.text, "nothing of it applied: plan changes are not accepted: no space") == NULL)
        fail_msg("%s", c.text);
    client_close(&c);
    kit_turn(&k, 1500); /* the store looks every second whether there is space again */
    apply(&c, &k, "plan apply", yaml, "allow", "all", NULL);
    if (c.status != 0) fail_msg("%s", c.text);
    client_close(&c);
    free(yaml);
    kit_fini(&k);
}

/* ---- plan show and plan log ---- */

static void a_plan_in_pages(void **state)
{
    struct kit k;
    struct client c;
    (void)state;
    open_node(&k);
    big_plan(&k, 3000);
    ask(&c, &k, "plan show", NULL, NULL);
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "plan"), 1);
    assert_int_equal(client_count(&c, "object"), 3008);
    for (size_t i = 1; i < 3008; i++) {
        struct slice before = control_get_text(client_record(&c, "object", i - 1), "key");
        assert_true(slice_cmp(before, control_get_text(client_record(&c, "object", i), "key")) < 0);
        if (i % 100 != 0) i += 98; /* client_record walks the list */
    }
    client_close(&c);
    ask(&c, &k, "plan show", "object", "trunk/");
    assert_int_equal(client_count(&c, "object"), 2);
    client_close(&c);
    ask(&c, &k, "plan show", "object", "trunk/nobody");
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "no such object"));
    client_close(&c);
    kit_fini(&k);
}

/* A client that does not read is not written to without end; when the plan moves meanwhile, it is told. */
static void a_slow_reader(void **state)
{
    struct kit k;
    struct client c;
    (void)state;
    open_node(&k);
    big_plan(&k, 20000);
    for (unsigned moves = 0; moves < 2; moves++) {
        client_open(&c, &k);
        c.reading = false;
        client_send(&c, "plan show", "", NULL);
        kit_turn(&k, 300);
        assert_false(c.ended);
        if (moves == 1) kit_plan(&k, "plan: 1\nsites: { lab: {} }\n");
        c.reading = true;
        c.connect.cb(&c.connect, 0); /* now it reads */
        client_wait(&c);
        assert_int_equal(c.status, moves == 1 ? 3 : 0);
        if (moves == 0) assert_int_equal(client_count(&c, "object"), 20008);
        if (moves == 1) assert_non_null(strstr(c.text, "changed while it was being shown"));
        client_close(&c);
    }
    client_open(&c, &k); /* and one that never reads, and a node that stops */
    c.reading = false;
    client_send(&c, "plan show", "", NULL);
    kit_turn(&k, 100);
    kit_stop(&k);
    client_close(&c);
    kit_fini(&k);
}

static void one_change_with_what_it_removed(void **state)
{
    struct kit k;
    struct client c;
    char id[CHANGE_ID_TEXT];
    static const char *const unknown[] = {
        "n1/1/99", "n9/1/1", "n1", "", "n1/zz/1", "n1//1", "//", "n1/1/x", "n1/fffffffffffffffff/1"};
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, "plan: 1\nsites: { lab: {} }\nremove: [\"route//61/trunk/two\"]\n");
    ask(&c, &k, "plan log", NULL, NULL);
    assert_int_equal(client_count(&c, "change"), 2);
    assert_string_equal(field_text(&c, client_record(&c, "change", 0), "summary"),
                        "put site/lab, remove route//61/trunk/two"); /* newest first */
    (void)snprintf(id, sizeof id, "%s", field_text(&c, client_record(&c, "change", 0), "id"));
    client_close(&c);
    ask(&c, &k, "plan show", "change", id);
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "object"), 1);
    assert_string_equal(field_text(&c, client_record(&c, "removed", 0), "key"), "route//61/trunk/two");
    assert_int_equal(client_count(&c, "plan"), 1);
    client_close(&c);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        if (unknown[i][0] == '\0') continue;
        ask(&c, &k, "plan show", "change", unknown[i]);
        assert_int_equal(c.status, 1);
        assert_non_null(strstr(c.text, "clusterctl plan log"));
        client_close(&c);
    }
    kit_fini(&k);
}

static void a_log_with_a_limit(void **state)
{
    struct kit k;
    struct client c;
    struct control_builder b;
    static const struct {
        int64_t limit;
        size_t rows;
    } cases[] = {{3, 3}, {0, 31}, {-1, 31}, {1000000, 31}};
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    for (int i = 0; i < 31; i++)
        kit_store_plan(s, i % 2 == 0 ? "plan: 1\nsites: { a: {} }\n" : "plan: 1\nremove: [\"site/a\"]\n");
    kit_store_close(s);
    kit_start(&k);
    ask(&c, &k, "plan log", NULL, NULL);
    assert_int_equal(client_count(&c, "change"), 20);
    client_close(&c);
    for (size_t i = 0; i < 4; i++) {
        c = (struct client){.kit = &k};
        control_record_start(&b, &c.arena, "");
        control_int(&b, "limit", cases[i].limit);
        client_ask(&c, &k, "plan log", "", &b);
        assert_int_equal(c.status, 0);
        assert_int_equal(client_count(&c, "change"), cases[i].rows);
        client_close(&c);
    }
    kit_fini(&k);
}

/* ---- route explain ---- */

static void explain(struct client *c, struct kit *k, const char *number, const char *name, const char *value)
{
    struct control_builder b;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    control_text(&b, "number", slice_of(number));
    if (name != NULL) control_text(&b, name, slice_of(value));
    client_ask(c, k, "route explain", "", &b);
}

static void candidates_in_order_with_reasons(void **state)
{
    struct kit k;
    struct client c;
    static const struct {
        const char *target;
        const char *match;
        const char *why;
    } expected[] = {{"trunk/two", "61", "chosen"},
                    {"trunk/pbx", "61", "chosen"},
                    {"trunk/off", "61", "disabled"},
                    {"trunk/pbx", "6", "shorter"}};
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, "plan: 1\ntrunks:\n"
                 "  off: { site: hq, address: [\"10.1.0.12\"], disabled: true }\n"
                 "  two: { site: hq, address: [\"10.1.0.11:5060\"] }\n"
                 "routes:\n  - { match: \"61\", to: trunk/off }\n");
    explain(&c, &k, "6100", NULL, NULL);
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "candidate"), 4);
    for (size_t i = 0; i < 4; i++) {
        const struct control_record *r = client_record(&c, "candidate", i);
        assert_string_equal(field_text(&c, r, "target"), expected[i].target);
        assert_string_equal(field_text(&c, r, "match"), expected[i].match);
        assert_string_equal(field_text(&c, r, "why"), expected[i].why);
        assert_string_equal(field_text(&c, r, "changed_at_node"), "n1");
        assert_memory_equal(field_text(&c, r, "changed"), "20", 2);
    }
    assert_string_equal(field_text(&c, client_record(&c, "candidate", 1), "number_sent"), "9100"); /* by its out rule */
    const struct control_record *d = client_record(&c, "decision", 0);
    assert_string_equal(field_text(&c, d, "site"), "hq");
    assert_string_equal(field_text(&c, d, "plan_number"), "6100");
    assert_int_equal(control_get_int(d, "targets", -1), 2);
    client_close(&c);
    kit_fini(&k);
}

static void explain_has_odd_questions(void **state)
{
    struct kit k;
    struct client c;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 60000);
    assert_int_equal(kit_write(&k, &b, 1, NULL, 0), ERR_OK);
    explain(&c, &k, "6001", NULL, NULL);
    assert_string_equal(field_text(&c, client_record(&c, "candidate", 0), "target"), "account/6001");
    assert_string_equal(field_text(&c, client_record(&c, "candidate", 0), "number_sent"), "6001");
    assert_int_equal(control_get_int(client_record(&c, "decision", 0), "rule", 0), 2);
    client_close(&c);
    explain(&c, &k, "", NULL, NULL);
    assert_int_equal(control_get_int(client_record(&c, "decision", 0), "code", 0), 404);
    client_close(&c);
    explain(&c, &k, "6100", "from", "trunk/pbx");
    assert_string_equal(field_text(&c, client_record(&c, "candidate", 1), "why"), "disabled");
    client_close(&c);
    explain(&c, &k, "6100", "from", "trunk/nobody");
    assert_int_equal(c.status, 1);
    assert_string_equal(c.text, "--from: the plan has no such trunk or account");
    client_close(&c);
    explain(&c, &k, "6100", "from", "pbx");
    assert_int_equal(c.status, 1);
    client_close(&c);
    explain(&c, &k, "6100", "at", "n1");
    assert_int_equal(c.status, 0);
    client_close(&c);
    explain(&c, &k, "6100", "at", "n2");
    assert_int_equal(c.status, 2);
    client_close(&c);
    kit_fini(&k);
}

/* ---- what is observed ---- */

static void registrations_and_their_state(void **state)
{
    struct kit k;
    struct client c;
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_plan(s, PLAN);
    kit_store_member(s, "n2", "campus", MEMBER_DEAD);
    kit_store_binding(s, "n2", 1, "6001", "sip:b@192.0.2.7");
    kit_store_close(s);
    kit_start(&k);
    struct binding list[2] = {kit_binding("6001", "sip:a@192.0.2.7", 60000),
                              kit_binding("old", "sip:o@192.0.2.7", 60000)};
    assert_int_equal(kit_write(&k, list, 2, NULL, 0), ERR_OK);
    ask(&c, &k, "registrations", NULL, NULL);
    assert_int_equal(client_count(&c, "registration"), 3);
    static const char *const expected[] = {"up", "stale", "not in the plan"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(field_text(&c, client_record(&c, "registration", i), "state"), expected[i]);
    assert_in_range(control_get_int(client_record(&c, "registration", 0), "expires_s", -1), 50, 60);
    client_close(&c);
    ask(&c, &k, "nodes", NULL, NULL);
    assert_int_equal(client_count(&c, "node"), 2);
    client_close(&c);
    ask(&c, &k, "trunks", NULL, NULL);
    assert_int_equal(client_count(&c, "trunk"), 2);
    client_close(&c);
    ask(&c, &k, "counters", NULL, NULL);
    bool repl = false;
    for (size_t i = 0; i < client_count(&c, "counter"); i++)
        repl = repl || strcmp(field_text(&c, client_record(&c, "counter", i), "module"), "repl") == 0;
    assert_true(repl);
    client_close(&c);
    ask(&c, &k, "node evict", "node", "n2");
    assert_int_equal(c.status, 0);
    client_close(&c);
    ask(&c, &k, "node evict", "node", "n1");
    assert_int_equal(c.status, 1);
    client_close(&c);
    ask(&c, &k, "node evict", "node", "n7");
    assert_int_equal(c.status, 1);
    client_close(&c);
    kit_fini(&k);
}

/* A command for another node on a node that has no mesh. */
static void nobody_to_relay_to(void **state)
{
    struct kit k;
    struct client c = {.kit = &k};
    (void)state;
    open_node(&k);
    client_ask(&c, &k, "status", "n2", NULL);
    assert_int_equal(c.status, 5);
    assert_non_null(strstr(c.text, "node n2 cannot be asked through the mesh: unreachable"));
    client_close(&c);
    c = (struct client){.kit = &k};
    client_ask(&c, &k, "status", "no/name", NULL);
    assert_int_equal(c.status, 2);
    client_close(&c);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_apply_and_its_record),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_diff_changes_nothing),
        cmocka_unit_test(two_at_once_are_one_after_the_other),
        cmocka_unit_test(each_sees_what_the_one_before_did),
        cmocka_unit_test(clients_that_vanish),
        cmocka_unit_test(a_client_that_vanishes_takes_its_apply_along),
        cmocka_unit_test(a_node_that_stops_in_the_middle),
        cmocka_unit_test(a_full_disk_says_so),
        cmocka_unit_test(a_plan_in_pages),
        cmocka_unit_test(a_slow_reader),
        cmocka_unit_test(one_change_with_what_it_removed),
        cmocka_unit_test(a_log_with_a_limit),
        cmocka_unit_test(candidates_in_order_with_reasons),
        cmocka_unit_test(explain_has_odd_questions),
        cmocka_unit_test(registrations_and_their_state),
        cmocka_unit_test(nobody_to_relay_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
