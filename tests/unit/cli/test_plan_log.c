/* plan log, plan show CHANGE, plan rollback and plan confirm: what is asked, and how the answer is shown. */
#include "tests/unit/cli/plan_node.h"

#include <stdlib.h>
#include <string.h>

#include "proto/plan_codec.h"

/* The one object of a document, packed. */
static struct slice packed_of(struct arena *arena, const char *yaml)
{
    struct plan_document d;
    struct buf bytes = {0};
    if (plan_document_parse(arena, slice_of(yaml), &d, NULL) != ERR_OK) abort();
    if (plan_object_pack(&d.objects[0], &bytes) != ERR_OK) abort();
    struct slice copy = arena_copy(arena, buf_view(&bytes));
    buf_fini(&bytes);
    return copy;
}

static void say_op(struct control_reply *r, const char *action, const char *object, const char *before,
                   const char *after, const char *state, const char *by)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record record;
    control_record_start(&b, &arena, "op");
    control_text(&b, "action", slice_of(action));
    control_text(&b, "object", slice_of(object));
    control_bool(&b, "before_known", strcmp(action, "put") != 0);
    if (before != NULL) control_bytes(&b, "before", packed_of(&arena, before));
    if (after != NULL) control_bytes(&b, "after", packed_of(&arena, after));
    control_text(&b, "state", slice_of(state));
    if (by != NULL) {
        control_text(&b, "by", slice_of(by));
    } else {
        control_null(&b, "by");
    }
    if (control_record_done(&b, &record) != ERR_OK) abort();
    control_reply_record(r, &record);
    arena_fini(&arena);
}

static void do_show(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    if (!slice_is(control_get_text(&q->args, "change"), "here/1f/7")) {
        control_reply_end(r, 1, SLICE("no such change"));
        return;
    }
    fake_say(r, "change", "id", "here/1f/7", "time", "2026-11-22T08:15:30.123Z", "author", "alice@here", "message",
             "a new branch", "ops", "#5", "summary", "put site/lab and 3 more", NULL);
    say_op(r, "add", "site/lab", NULL, "plan: 1\nsites: { lab: { blocks: [\"7\"] } }\n", "in force", NULL);
    say_op(r, "change", "route//6/trunk/x", "plan: 1\nroutes: [ { match: \"6\", to: trunk/x } ]\n",
           "plan: 1\nroutes: [ { match: \"6\", to: trunk/x, priority: 20 } ]\n", "replaced", "there/2/9");
    say_op(r, "remove", "route//9/reject/404", "plan: 1\nroutes: [ { match: \"9\", to: reject/404 } ]\n", NULL,
           "in force", NULL);
    say_op(r, "put", "defaults", NULL, "plan: 1\ndefaults: { domain: a.example }\n", "replaced", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void hear(void *ctx, const struct control_request *q)
{
    struct plan_node *p = ctx;
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = *q};
    buf_reset(&p->request);
    if (control_frame_pack(&f, &p->request) != ERR_OK) abort();
}

static void do_log(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_confirm(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    fake_say(r, "confirmed", "change", "here/1f/7", "by", "here/1f/8", "objects", "#2", NULL);
    fake_say(r, "receipt", "node", "here", "ms", "#4", "durable", "?1", "note", "this node", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_rollback(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    fake_say(r, "applied", "change", "here/1f/9", "added", "#1", "changed", "#0", "removed", "#2", "digest",
             PLAN_NODE_DIGEST, "confirm_by", "2026-11-22T08:20:30.000Z", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_conflicts(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record record;
    hear(ctx, q);
    if (slice_is(control_get_text(&q->args, "object"), "site/")) {
        control_reply_end(r, 0, SLICE_NONE);
        return;
    }
    control_record_start(&b, &arena, "conflict");
    control_text(&b, "object", SLICE("route//6/trunk/x"));
    control_text(&b, "winner", SLICE("there/2/9"));
    control_text(&b, "winner_time", SLICE("2026-11-22T08:15:30.123Z"));
    control_text(&b, "winner_author", SLICE("bob@there"));
    control_text(&b, "winner_message", SLICE("sooner"));
    control_null(&b, "loser");
    control_text(&b, "loser_time", SLICE("2026-11-22T08:14:30.123Z"));
    control_text(&b, "loser_author", SLICE("here"));
    control_null(&b, "loser_message");
    control_bool(&b, "removed", false);
    control_bytes(&b, "packed", packed_of(&arena, "plan: 1\nroutes: [ { match: \"6\", to: trunk/x, priority: 7 } ]\n"));
    if (control_record_done(&b, &record) != ERR_OK) abort();
    control_reply_record(r, &record);
    arena_fini(&arena);
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_accept(void *ctx, const struct control_request *q, struct control_reply *r)
{
    hear(ctx, q);
    fake_say(r, "accepted", "change", "here/1f/8", "objects", "#1", NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

static const struct control_command commands[] = {
    {"plan show", do_show},           {"plan log", do_log},
    {"plan confirm", do_confirm},     {"plan rollback", do_rollback},
    {"plan conflicts", do_conflicts}, {"plan accept", do_accept},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void a_change_whole(void **state)
{
    struct fake_node n;
    struct plan_node p = {.moved = 0};
    (void)state;
    fake_node_start(&n, commands, COMMANDS, &p);
    expect_run(n.path, "plan show here/1f/7", 0,
               "change   here/1f/7\n"
               "time     2026-11-22 08:15:30Z\n"
               "author   alice@here\n"
               "why      a new branch\n"
               "objects  5\n"
               "\n"
               "+ site/lab\n"
               "  lab:\n"
               "    blocks: [\"7\"]\n"
               "~ route//6/trunk/x\n"
               "  priority: - -> 20\n"
               "  replaced by there/2/9\n"
               "- route//9/reject/404\n"
               "  - {match: \"9\", to: reject/404}\n"
               "~ defaults (what was before is no longer kept)\n"
               "  domain: a.example\n"
               "  replaced\n",
               "");
    expect_run_has(n.path, "plan show here/1f/7 -o json", 0,
                   "\"before\":\"plan: 1\\nroutes:\\n- {match: \\\"6\\\", to: trunk/x}\\n\"", "");
    expect_run(n.path, "plan show here/1f/8", 1, "", "clusterctl: no such change\n");
    fake_node_stop(&n);
}

static void a_log_of_one_object(void **state)
{
    struct fake_node n;
    struct plan_node p = {.moved = 0};
    struct arena arena = {0};
    (void)state;
    fake_node_start(&n, commands, COMMANDS, &p);
    expect_run(n.path, "plan log --object trunk/x -n 3", 0, "No change here is about such an object.\n", "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&args, "object"), "trunk/x"));
    assert_int_equal(control_get_int(&args, "limit", 0), 3);
    fake_node_stop(&n);
    buf_fini(&p.request);
    arena_fini(&arena);
}

static void a_confirmation(void **state)
{
    struct fake_node n;
    struct plan_node p = {.moved = 0};
    struct arena arena = {0};
    (void)state;
    fake_node_start(&n, commands, COMMANDS, &p);
    expect_run(n.path, "plan confirm", 0,
               "change here/1f/7 stands: confirmed by here/1f/8\n"
               "\n"
               "NODE  HAS IT  AFTER MS  NOTE\n"
               "here  yes            4  this node\n",
               "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_int_equal(control_get_text(&args, "change").n, 0);
    arena_fini(&arena);
    expect_run(n.path, "plan confirm here/1f/7 -m good --wait all --timeout 2s", 0, NULL, "");
    args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&args, "change"), "here/1f/7"));
    assert_true(slice_is(control_get_text(&args, "message"), "good"));
    assert_true(slice_is(control_get_text(&args, "wait"), "all"));
    assert_int_equal(control_get_int(&args, "timeout_ms", 0), 2000);
    fake_node_stop(&n);
    buf_fini(&p.request);
    arena_fini(&arena);
}

static void a_rollback(void **state)
{
    struct fake_node n;
    struct plan_node p = {.moved = 0};
    struct arena arena = {0};
    (void)state;
    fake_node_start(&n, commands, COMMANDS, &p);
    expect_run_has(n.path, "plan rollback here/1f/7", 2, "", "-m MESSAGE");
    expect_run_has(n.path, "plan rollback here/1f/7 -m x --confirm-within now", 2, "", "--confirm-within now");
    expect_run(n.path, "plan rollback here/1f/7 -m no --force --confirm-within 5m", 0,
               "change here/1f/9: 1 added, 0 changed, 2 removed; the plan is now 001122334455\n"
               "it is undone everywhere at 2026-11-22 08:20:30Z, unless you confirm it: clusterctl plan confirm "
               "here/1f/9\n",
               "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&args, "change"), "here/1f/7"));
    assert_int_equal(control_get_int(&args, "force", 0), 1);
    assert_int_equal(control_get_int(&args, "confirm_within_ms", 0), 300000);
    fake_node_stop(&n);
    buf_fini(&p.request);
    arena_fini(&arena);
}

static void what_was_overridden(void **state)
{
    struct fake_node n;
    struct plan_node p = {.moved = 0};
    struct arena arena = {0};
    (void)state;
    fake_node_start(&n, commands, COMMANDS, &p);
    expect_run(n.path, "plan conflicts", 0,
               "! route//6/trunk/x\n"
               "  stands      there/2/9  2026-11-22 08:15:30Z  bob@there: sooner\n"
               "  overridden  a change that is no longer kept  2026-11-22 08:14:30Z  here\n"
               "  - {match: \"6\", to: trunk/x, priority: 7}\n",
               "clusterctl: an edit of such an object, or 'plan conflicts --accept', ends its conflict\n");
    expect_run_has(n.path, "plan conflicts -o json", 0, "\"value\":\"plan: 1\\nroutes:", "");
    expect_run(n.path, "plan conflicts site/", 0, "", "clusterctl: nothing was overridden that nobody has looked at\n");
    expect_run_has(n.path, "plan conflicts -m x", 2, "", "go with --accept");
    expect_run(n.path, "plan conflicts route/ --accept -m seen", 0,
               "change here/1f/8: what stands is accepted for 1 object\n", "");
    struct control_record args = plan_node_heard(&p, &arena);
    assert_true(slice_is(control_get_text(&args, "object"), "route/"));
    assert_true(slice_is(control_get_text(&args, "message"), "seen"));
    fake_node_stop(&n);
    buf_fini(&p.request);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_whole), cmocka_unit_test(a_log_of_one_object), cmocka_unit_test(a_confirmation),
        cmocka_unit_test(a_rollback),     cmocka_unit_test(what_was_overridden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
