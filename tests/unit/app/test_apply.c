/* plan apply and plan diff: those that go well, are refused, meet each other, lose their client, their node or the
 * disk.
 */
#include "commands_kit.h"

#include <signal.h>
#include <sys/resource.h>

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
        /* Not so many at a time that the node takes no more connections. */
        if (turns % 10 == 9) kit_until(&k, no_applies, &k, "the applies to end");
    }
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

/* Many objects come in bulk, beside records for those with secrets. */
static void objects_in_bulk(void **state)
{
    struct kit k;
    struct client c = {.kit = &k};
    struct arena arena = {0};
    struct control_builder b;
    struct buf puts = {0};
    struct buf deletes = {0};
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    struct plan_document d = kit_document(&arena, "plan: 1\nsites: { a: {}, b: {}, c: {} }\n");
    for (size_t i = 0; i < d.object_count; i++)
        control_bulk_add(&puts, kit_packed(&arena, &d.objects[i]));
    control_bulk_add(&deletes, SLICE("route//61/trunk/two"));
    for (unsigned turn = 0; turn < 2; turn++) {
        c = (struct client){.kit = &k};
        control_record_start(&b, &c.arena, "");
        args_document(&c, &b, "plan: 1\naccounts: { \"6002\": { password: \"new\" } }\n");
        control_text(&b, "allow", SLICE("all"));
        control_bytes(&b, "bulk_puts", buf_view(&puts));
        struct slice bulk = buf_view(&deletes);
        if (turn == 0) bulk.n--; /* cut off */
        control_bytes(&b, "bulk_deletes", bulk);
        client_ask(&c, &k, "plan apply", "", &b);
        assert_int_equal(c.status, turn == 0 ? 1 : 0);
        if (turn == 0) assert_string_equal(c.text, "the objects of the request cannot be read");
        if (turn == 1) {
            const struct control_record *r = client_record(&c, "applied", 0);
            assert_int_equal(control_get_int(r, "added", 0), 4);
            assert_int_equal(control_get_int(r, "removed", 0), 1);
        }
        client_close(&c);
    }
    buf_fini(&puts);
    buf_fini(&deletes);
    arena_fini(&c.arena);
    kit_fini(&k);
    arena_fini(&arena);
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
        cmocka_unit_test(objects_in_bulk),
        cmocka_unit_test(a_full_disk_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
