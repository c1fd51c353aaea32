/* plan rollback: what a change added, changed and removed, taken back; later changes in its way; a history that no
 * longer reaches back. */
#include "commands_kit.h"

#include "node/app/history.h"
#include "proto/plan_codec.h"

#define SECOND                                                                                                         \
    "plan: 1\n"                                                                                                        \
    "sites: { lab: {}, hq: { blocks: [\"6\", \"5\"] } }\n"                                                             \
    "accounts: { \"6001\": { password: \"new\" } }\n"                                                                  \
    "remove: [\"route//61/trunk/two\"]\n"

#define CARRIER(registration)                                                                                          \
    "plan: 1\n"                                                                                                        \
    "trunks: { carrier: { site: hq, address: [\"10.1.0.13\"], register: " registration " } }\n"

/* The id of the i-th newest change. */
static void id_of(struct kit *k, size_t i, char out[CHANGE_ID_TEXT])
{
    struct client c;
    ask(&c, k, "plan log", NULL, NULL);
    (void)snprintf(out, CHANGE_ID_TEXT, "%s", field_text(&c, client_record(&c, "change", i), "id"));
    client_close(&c);
}

static void roll_back(struct client *c, struct kit *k, const char *change, bool force, bool dry_run)
{
    struct control_builder b;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    control_text(&b, "change", slice_of(change));
    control_text(&b, "message", SLICE("back"));
    control_text(&b, "allow", SLICE("all"));
    control_bool(&b, "force", force);
    control_bool(&b, "dry_run", dry_run);
    client_ask(c, k, "plan rollback", "", &b);
}

static void everything_as_before(void **state)
{
    struct kit k;
    struct client c;
    char before[PLAN_DIGEST_TEXT];
    char after[PLAN_DIGEST_TEXT];
    char now[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    plan_digest_of(&k, before);
    apply_ok(&k, SECOND);
    plan_digest_of(&k, after);
    id_of(&k, 0, id);

    roll_back(&c, &k, id, false, true); /* a look */
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "op"), 4);
    assert_true(control_get_text(client_record(&c, "op", 1), "packed").n > 0);
    client_close(&c);
    plan_digest_of(&k, now);
    assert_string_equal(now, after);

    roll_back(&c, &k, id, false, false);
    if (c.status != 0) fail_msg("%s", c.text);
    const struct control_record *r = client_record(&c, "applied", 0);
    assert_int_equal(control_get_int(r, "added", -1), 1);
    assert_int_equal(control_get_int(r, "changed", -1), 2);
    assert_int_equal(control_get_int(r, "removed", -1), 1);
    client_close(&c);
    plan_digest_of(&k, now);
    assert_string_equal(now, before); /* the password too */

    id_of(&k, 0, id); /* and the taking back, taken back */
    roll_back(&c, &k, id, false, false);
    assert_int_equal(c.status, 0);
    client_close(&c);
    plan_digest_of(&k, now);
    assert_string_equal(now, after);
    roll_back(&c, &k, id, false, false);
    assert_int_equal(c.status, 3); /* it was, and everything of it was changed since */
    client_close(&c);
    kit_fini(&k);
}

/* A trunk that registered without a password does so again. */
static void a_password_that_was_not_there(void **state)
{
    struct kit k;
    struct client c;
    char before[PLAN_DIGEST_TEXT];
    char now[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, CARRIER("{ user: \"4930\" }"));
    plan_digest_of(&k, before);
    apply_ok(&k, CARRIER("{ user: \"4930\", password: \"geheim\" }"));
    id_of(&k, 0, id);
    roll_back(&c, &k, id, false, false);
    if (c.status != 0) fail_msg("%s", c.text);
    assert_int_equal(control_get_int(client_record(&c, "applied", 0), "changed", -1), 1);
    client_close(&c);
    plan_digest_of(&k, now);
    assert_string_equal(now, before);
    kit_fini(&k);
}

static void later_changes_are_in_the_way(void **state)
{
    struct kit k;
    struct client c;
    char digest[PLAN_DIGEST_TEXT];
    char now[PLAN_DIGEST_TEXT];
    char id[CHANGE_ID_TEXT];
    char later[CHANGE_ID_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, SECOND);
    id_of(&k, 0, id);
    apply_ok(&k, "plan: 1\nsites: { hq: { blocks: [\"6\", \"7\"] } }\nremove: [\"site/lab\"]\n");
    id_of(&k, 0, later);
    plan_digest_of(&k, digest);
    roll_back(&c, &k, id, false, false);
    assert_int_equal(c.status, 3);
    assert_string_equal(c.text, "later changes have touched 2 of its objects: --force takes those back too");
    assert_int_equal(client_count(&c, "finding"), 2);
    const struct control_record *r = client_record(&c, "finding", 0);
    assert_string_equal(field_text(&c, r, "id"), "changed-since");
    assert_non_null(strstr(field_text(&c, r, "text"), later));
    client_close(&c);
    plan_digest_of(&k, now);
    assert_string_equal(now, digest);

    roll_back(&c, &k, id, true, false);
    if (c.status != 0) fail_msg("%s", c.text);
    r = client_record(&c, "applied", 0); /* site/lab is gone already */
    assert_int_equal(control_get_int(r, "removed", -1), 0);
    client_close(&c);
    ask(&c, &k, "plan show", "object", "site/hq");
    struct plan_object o;
    struct arena arena = {0};
    assert_int_equal(plan_object_unpack(&arena, control_get_text(client_record(&c, "object", 0), "packed"), &o, NULL),
                     ERR_OK);
    assert_int_equal(o.site.block_count, 1);
    arena_fini(&arena);
    client_close(&c);
    kit_fini(&k);
}

/* What would break the plan is refused, as with plan apply. */
static void lint_looks_at_it(void **state)
{
    struct kit k;
    struct client c;
    char id[CHANGE_ID_TEXT];
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, "plan: 1\ntrunks: { three: { site: hq, address: [\"10.1.0.12\"] } }\n");
    id_of(&k, 0, id);
    apply_ok(&k, "plan: 1\nroutes: [ { match: \"66\", to: trunk/three } ]\n");
    roll_back(&c, &k, id, false, false);
    assert_int_equal(c.status, 3);
    assert_string_equal(field_text(&c, client_record(&c, "finding", 0), "id"), "unknown-target");
    client_close(&c);
    roll_back(&c, &k, "n1/1/77", false, false);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "no such change"));
    client_close(&c);
    roll_back(&c, &k, "yesterday", false, false);
    assert_int_equal(c.status, 1);
    assert_non_null(strstr(c.text, "not the id of a change"));
    client_close(&c);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_as_before),
        cmocka_unit_test(a_password_that_was_not_there),
        cmocka_unit_test(later_changes_are_in_the_way),
        cmocka_unit_test(lint_looks_at_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
