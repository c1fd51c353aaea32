/* Changes that have to be confirmed: confirmed, undone in time, after a restart, beside later edits; and what is said
 * of them. One node; what several do is in test_cluster.c and in the system tests. */
#include "commands_kit.h"

#include "proto/plan_codec.h"

#define CHANGE                                                                                                         \
    "plan: 1\n"                                                                                                        \
    "sites: { lab: {}, hq: { blocks: [\"6\", \"5\"] } }\n"                                                             \
    "remove: [\"route//61/trunk/two\"]\n"

/* An apply that has to be confirmed; id gets its change. */
static void apply_within(struct kit *k, const char *yaml, int64_t ms, char id[CHANGE_ID_TEXT])
{
    struct client c = {.kit = k};
    struct control_builder b;
    control_record_start(&b, &c.arena, "");
    args_document(&c, &b, yaml);
    control_text(&b, "allow", SLICE("all"));
    control_text(&b, "message", SLICE("try it"));
    control_int(&b, "confirm_within_ms", ms);
    client_ask(&c, k, "plan apply", "", &b);
    if (c.status != 0) fail_msg("%s", c.text);
    const struct control_record *r = client_record(&c, "applied", 0);
    assert_true(control_get_text(r, "confirm_by").n > 0);
    (void)snprintf(id, CHANGE_ID_TEXT, "%s", field_text(&c, r, "change"));
    client_close(&c);
}

/* What plan log says of a change's state, into out. */
static void state_of(struct kit *k, const char *id, char *out, size_t out_size)
{
    struct client c;
    out[0] = '\0';
    ask(&c, k, "plan log", NULL, NULL);
    for (size_t i = 0; i < client_count(&c, "change"); i++) {
        const struct control_record *r = client_record(&c, "change", i);
        if (!slice_is(control_get_text(r, "id"), id)) continue;
        (void)snprintf(out, out_size, "%s", field_text(&c, r, "state"));
    }
    client_close(&c);
}

static bool undone(void *ctx)
{
    return kit_logged(ctx, "confirm/undone");
}

struct wanted_digest {
    struct kit *k;
    const char *digest;
};

static bool is_digest(void *ctx)
{
    const struct wanted_digest *w = ctx;
    char now[PLAN_DIGEST_TEXT];
    plan_digest_text(w->k->node.plan_digest, now);
    return strcmp(now, w->digest) == 0;
}

static void nobody_confirms(void **state)
{
    struct kit k;
    char before[PLAN_DIGEST_TEXT];
    char now[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    char text[200];
    struct client c;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, before);
    apply_within(&k, CHANGE, 1500, id);
    plan_digest_of(&k, now);
    assert_string_not_equal(now, before);
    state_of(&k, id, text, sizeof text);
    assert_non_null(strstr(text, "unconfirmed, undone in "));
    ask(&c, &k, "status", NULL, NULL);
    assert_non_null(strstr(field_text(&c, client_record(&c, "status", 0), "unconfirmed"), id));
    client_close(&c);

    struct wanted_digest w = {&k, before};
    kit_until(&k, is_digest, &w, "the change to be undone");
    kit_until(&k, undone, &k, "it to be said");
    state_of(&k, id, text, sizeof text);
    assert_non_null(strstr(text, "undone by n1/"));
    ask(&c, &k, "status", NULL, NULL);
    assert_int_equal(control_get_text(client_record(&c, "status", 0), "unconfirmed").n, 0);
    client_close(&c);
    ask(&c, &k, "plan confirm", "change", id);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "that change was undone, by n1/"));
    client_close(&c);
    ask(&c, &k, "plan log", NULL, NULL);
    const struct control_record *r = client_record(&c, "change", 0);
    assert_non_null(strstr(field_text(&c, r, "message"), "not confirmed by 2"));
    assert_non_null(strstr(field_text(&c, r, "message"), "Z: try it"));
    assert_string_equal(field_text(&c, r, "author"), "tandemd@n1");
    client_close(&c);
    kit_turn(&k, 2500);
    ask(&c, &k, "plan log", NULL, NULL);
    assert_int_equal(client_count(&c, "change"), 3); /* once is enough */
    client_close(&c);
    kit_fini(&k);
}

static void somebody_confirms(void **state)
{
    struct kit k;
    char with[PLAN_DIGEST_TEXT];
    char now[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    char text[200];
    struct client c;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    ask(&c, &k, "plan confirm", NULL, NULL);
    assert_int_equal(c.status, 1);
    assert_string_equal(c.text, "no change waits for a confirmation");
    client_close(&c);
    apply_within(&k, CHANGE, 3000, id);
    plan_digest_of(&k, with);
    ask(&c, &k, "plan confirm", NULL, NULL);
    if (c.status != 0) fail_msg("%s", c.text);
    const struct control_record *r = client_record(&c, "confirmed", 0);
    assert_string_equal(field_text(&c, r, "change"), id);
    assert_int_equal(control_get_int(r, "objects", 0), 3);
    assert_int_equal(client_count(&c, "receipt"), 1);
    client_close(&c);
    state_of(&k, id, text, sizeof text);
    assert_non_null(strstr(text, "confirmed by n1/"));
    ask(&c, &k, "plan confirm", "change", id);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "confirmed already"));
    client_close(&c);
    kit_turn(&k, 5000); /* past the deadline */
    assert_false(kit_logged(&k, "confirm/undone"));
    plan_digest_of(&k, now);
    assert_string_equal(now, with);

    static const char *const refused[][2] = {{"n1/1/99", "no such change"}, {"today", "not the id"}};
    for (size_t i = 0; i < 2; i++) {
        ask(&c, &k, "plan confirm", "change", refused[i][0]);
        assert_int_equal(c.status, 1);
        assert_non_null(strstr(c.text, refused[i][1]));
        client_close(&c);
    }
    apply_within(&k, "plan: 1\nsites: { a: {} }\n", 60000, id);
    apply_within(&k, "plan: 1\nsites: { b: {} }\n", 60000, id);
    ask(&c, &k, "plan confirm", NULL, NULL);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "several changes wait"));
    client_close(&c);
    kit_fini(&k);
}

/* What later changes made of the same objects stays. */
static void a_later_edit_stays(void **state)
{
    struct kit k;
    char id[CHANGE_ID_TEXT];
    struct client c;
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_within(&k, CHANGE, 2000, id);
    apply_ok(&k, "plan: 1\nsites: { hq: { blocks: [\"6\", \"4\"] } }\n");
    kit_until(&k, undone, &k, "the change to be undone");
    ask(&c, &k, "plan show", "object", "site/");
    assert_int_equal(client_count(&c, "object"), 1); /* lab is gone */
    struct plan_object o;
    struct arena arena = {0};
    assert_int_equal(plan_object_unpack(&arena, control_get_text(client_record(&c, "object", 0), "packed"), &o, NULL),
                     ERR_OK);
    assert_true(slice_is(o.site.blocks[1], "4"));
    arena_fini(&arena);
    client_close(&c);
    ask(&c, &k, "plan show", "object", "route//61/trunk/two");
    assert_int_equal(c.status, 0); /* and this one is there again */
    client_close(&c);
    kit_fini(&k);
}

/* The deadline is in the replica: it is kept also when it passes while nobody is there. */
static void a_restart_in_between(void **state)
{
    struct kit k;
    char before[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, before);
    apply_within(&k, CHANGE, 2000, id);
    kit_stop(&k);
    kit_forget_log(&k);
    kit_start(&k);
    struct wanted_digest w = {&k, before};
    kit_until(&k, is_digest, &w, "the change to be undone");
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_confirms),
        cmocka_unit_test(somebody_confirms),
        cmocka_unit_test(a_later_edit_stays),
        cmocka_unit_test(a_restart_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
