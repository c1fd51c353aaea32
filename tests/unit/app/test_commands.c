/* What clusterctl is told by a node on its own: plans and histories larger than a page, why a call goes where it goes,
 * what is observed. */
#include "commands_kit.h"

#include "proto/record_codec.h"

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

/* The op of a change about an object; NULL. */
static const struct control_record *op_of(const struct client *c, const char *object)
{
    for (size_t i = 0; i < client_count(c, "op"); i++) {
        const struct control_record *r = client_record(c, "op", i);
        if (slice_is(control_get_text(r, "object"), object)) return r;
    }
    return NULL;
}

static void expect_op(struct client *c, const char *object, const char *action, bool before, bool after,
                      const char *state)
{
    const struct control_record *r = op_of(c, object);
    assert_non_null(r);
    assert_string_equal(field_text(c, r, "action"), action);
    assert_int_equal(control_get_text(r, "before").n > 0, before);
    assert_int_equal(control_get_text(r, "after").n > 0, after);
    assert_string_equal(field_text(c, r, "state"), state);
    assert_int_equal(control_get_int(r, "before_known", 0), 1);
}

static void one_change_whole(void **state)
{
    struct kit k;
    struct client c;
    char id[CHANGE_ID_TEXT];
    char later[CHANGE_ID_TEXT];
    static const char *const unknown[] = {
        "n1/1/99", "n9/1/1", "n1", "", "n1/zz/1", "n1//1", "//", "n1/1/x", "n1/fffffffffffffffff/1"};
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, "plan: 1\nsites: { lab: {}, hq: { blocks: [\"6\", \"5\"] } }\nremove: [\"route//61/trunk/two\"]\n");
    ask(&c, &k, "plan log", NULL, NULL);
    assert_int_equal(client_count(&c, "change"), 2);
    assert_string_equal(field_text(&c, client_record(&c, "change", 0), "summary"),
                        "put site/lab, put site/hq, remove route//61/trunk/two"); /* newest first */
    (void)snprintf(id, sizeof id, "%s", field_text(&c, client_record(&c, "change", 0), "id"));
    client_close(&c);
    ask(&c, &k, "plan show", "change", id);
    assert_int_equal(c.status, 0);
    assert_int_equal(client_count(&c, "op"), 3);
    assert_string_equal(field_text(&c, client_record(&c, "change", 0), "id"), id);
    assert_string_equal(field_text(&c, client_record(&c, "change", 0), "message"), "because");
    expect_op(&c, "site/lab", "add", false, true, "in force");
    expect_op(&c, "site/hq", "change", true, true, "in force");
    expect_op(&c, "route//61/trunk/two", "remove", true, false, "in force");
    client_close(&c);

    apply_ok(&k, "plan: 1\nsites: { hq: { blocks: [\"6\"] } }\n");
    ask(&c, &k, "plan log", "object", "site/hq");
    assert_int_equal(client_count(&c, "change"), 3);
    (void)snprintf(later, sizeof later, "%s", field_text(&c, client_record(&c, "change", 0), "id"));
    client_close(&c);
    ask(&c, &k, "plan log", "object", "site/l");
    assert_int_equal(client_count(&c, "change"), 1);
    client_close(&c);
    ask(&c, &k, "plan show", "change", id);
    expect_op(&c, "site/hq", "change", true, true, "replaced");
    assert_string_equal(field_text(&c, op_of(&c, "site/hq"), "by"), later);
    expect_op(&c, "site/lab", "add", false, true, "in force");
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

/* Nobody is registered, and no node is at the site of the trunk. */
static void explain_what_the_plan_alone_decides(void **state)
{
    struct kit k;
    struct client c;
    struct control_builder b;
    static const struct {
        const char *number;
        int code; /* as things are */
        int targets;
        int plan_code; /* 0: it has targets by the plan */
    } rows[] = {{"6001", 480, 1, 0}, {"81", 480, 2, 0}, {"82", 480, 0, 480}, {"5", 404, 0, 404}};
    (void)state;
    open_node(&k);
    apply_ok(&k, PLAN);
    apply_ok(&k, "plan: 1\nsites: { far: {} }\ntrunks:\n"
                 "  far: { site: far, address: [\"10.1.0.13\"] }\n"
                 "  off: { site: far, address: [\"10.1.0.12\"], disabled: true }\n"
                 "routes:\n  - { match: \"81\", to: trunk/far }\n  - { match: \"81\", to: account/6001, priority: 5 }\n"
                 "  - { match: \"82\", to: trunk/off }\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        explain(&c, &k, rows[i].number, NULL, NULL);
        assert_int_equal(control_get_int(client_record(&c, "decision", 0), "code", 0), rows[i].code);
        assert_null(control_find(client_record(&c, "decision", 0), "plan_only"));
        client_close(&c);
        c = (struct client){.kit = &k};
        control_record_start(&b, &c.arena, "");
        control_text(&b, "number", slice_of(rows[i].number));
        control_bool(&b, "plan_only", true);
        client_ask(&c, &k, "route explain", "", &b);
        assert_int_equal(control_get_int(client_record(&c, "decision", 0), "targets", -1), rows[i].targets);
        assert_int_equal(control_get_int(client_record(&c, "decision", 0), "code", 0), rows[i].plan_code);
        assert_int_equal(control_get_int(client_record(&c, "decision", 0), "plan_only", 0), 1);
        assert_int_equal(client_count(&c, "hop"), 0); /* nobody would carry it */
        if (i == 1) {
            assert_string_equal(field_text(&c, client_record(&c, "candidate", 0), "target"), "account/6001");
            assert_string_equal(field_text(&c, client_record(&c, "candidate", 1), "target"), "trunk/far");
            assert_string_equal(field_text(&c, client_record(&c, "candidate", 1), "number_sent"), "81");
        }
        client_close(&c);
    }
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

static void members_that_are_none_any_more(void **state)
{
    struct kit k;
    struct client c = {.kit = &k};
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_member(s, "n2", "campus", MEMBER_DEAD);
    kit_store_member(s, "left", "campus", MEMBER_LEFT);
    kit_store_member(s, "out", "campus", MEMBER_EVICTED);
    kit_store_close(s);
    kit_start(&k);
    client_ask(&c, &k, "status", NULL, NULL);
    assert_int_equal(control_get_int(client_record(&c, "status", 0), "members", 0), 2);
    assert_int_equal(control_get_int(client_record(&c, "status", 0), "members_alive", 0), 1);
    client_close(&c);
    kit_fini(&k);
}

/* What "trace" is asked for are mostly calls that have ended, and those are in the store. */
static void names_of_calls_that_ended(void **state)
{
    struct kit k;
    struct client c = {.kit = &k};
    struct buf packed = {0};
    (void)state;
    kit_init(&k, NULL);
    struct call_record r = {
        .call_id = SLICE("a84b4c76@pc33"), .from = SLICE("6001"), .dialled = SLICE("7001"), .state = CALL_ENDED};
    r.started = node_wall();
    assert_int_equal(call_record_pack(&r, &packed), ERR_OK);
    struct store_call_put put = {.value = buf_view(&packed)};
    store_call_key(r.started, 1, 1, put.key);
    struct store *s = kit_store_open(&k);
    assert_int_equal(store_submit_calls(s, &put, 1, 100, 0, 1), ERR_OK);
    kit_store_wait(s);
    kit_store_close(s);
    buf_fini(&packed);
    kit_start(&k);
    struct control_builder b;
    control_record_start(&b, &c.arena, "");
    control_text(&b, "of", SLICE("call"));
    control_text(&b, "begins", SLICE("a84"));
    client_ask(&c, &k, "names", NULL, &b);
    assert_non_null(client_record(&c, "name", 0));
    assert_string_equal(field_text(&c, client_record(&c, "name", 0), "name"), "a84b4c76@pc33");
    assert_null(client_record(&c, "name", 1));
    client_close(&c);
    kit_fini(&k);
}

/* A command for another node on a node that has no mesh. */
static void nobody_to_relay_to(void **state)
{
    struct kit k;
    struct client c = {.kit = &k};
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_member(s, "n2", "campus", MEMBER_DEAD);
    kit_store_close(s);
    kit_start(&k);
    client_ask(&c, &k, "status", "n2", NULL);
    assert_int_equal(c.status, 5);
    assert_non_null(strstr(c.text, "node n2 cannot be asked through the mesh: unreachable"));
    client_close(&c);
    c = (struct client){.kit = &k};
    client_ask(&c, &k, "status", "n22", NULL); /* a slip */
    assert_int_equal(c.status, 5);
    assert_string_equal(c.text, "no node n22 is known here; see \"clusterctl nodes\"");
    client_close(&c);
    c = (struct client){.kit = &k};
    client_ask(&c, &k, "status", "no/name", NULL);
    assert_int_equal(c.status, 2);
    client_close(&c);
    kit_fini(&k);
}

static bool finds_no_site(struct kit *k)
{
    struct client c;
    ask(&c, k, "doctor", NULL, NULL);
    assert_int_equal(c.status, 0);
    bool found = false;
    for (size_t i = 0; i < client_count(&c, "check"); i++)
        found = found || strcmp(field_text(&c, client_record(&c, "check", i), "check"), "site") == 0;
    client_close(&c);
    return found;
}

/* The node's own site is in the plan, or the doctor says so. */
static void a_site_that_the_plan_does_not_know(void **state)
{
    struct kit k;
    (void)state;
    kit_init(&k, NULL);
    kit_start(&k);
    assert_true(finds_no_site(&k));
    apply_ok(&k, PLAN);
    assert_false(finds_no_site(&k));
    kit_fini(&k);
}

/* Pieces of the trunks, and those nodes first that need somebody. */
static void what_a_screen_takes(void **state)
{
    (void)state;
    static const struct {
        const char *after;
        size_t limit;
        size_t want;
        const char *first;
    } rows[] = {{"", 0, 2, "pbx"},    {"", 1, 1, "pbx"}, {"", 2, 2, "pbx"},   {"pbx", 1, 1, "two"},
                {"pbx", 0, 1, "two"}, {"two", 5, 0, ""}, {"pb", 1, 1, "pbx"}, {"zzz", 5, 0, ""}};
    struct kit k;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_member(s, "a", "far", MEMBER_LEFT);
    kit_store_member(s, "b", "far", MEMBER_DEAD);
    kit_store_close(s);
    kit_start(&k);
    kit_plan(&k, PLAN);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {.kit = &k};
        struct control_builder b;
        control_record_start(&b, &c.arena, "");
        control_text(&b, "after", slice_of(rows[i].after));
        control_int(&b, "limit", (int64_t)rows[i].limit);
        client_ask(&c, &k, "trunks", "", &b);
        assert_int_equal(client_count(&c, "trunk"), rows[i].want);
        if (rows[i].want > 0)
            assert_string_equal(field_text(&c, client_record(&c, "trunk", 0), "trunk"), rows[i].first);
        client_close(&c);
    }
    for (int64_t limit = 0; limit <= 3; limit++) {
        static const char *const order[4][3] = {{"n1", "a", "b"}, {"n1"}, {"n1", "b"}, {"n1", "b", "a"}};
        struct client c = {.kit = &k};
        struct control_builder b;
        control_record_start(&b, &c.arena, "");
        control_int(&b, "limit", limit);
        client_ask(&c, &k, "nodes", "", &b);
        assert_int_equal(client_count(&c, "node"), limit == 0 ? 3 : limit);
        for (size_t i = 0; i < client_count(&c, "node"); i++)
            assert_string_equal(field_text(&c, client_record(&c, "node", i), "node"), order[limit][i]);
        client_close(&c);
    }
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_in_pages),
        cmocka_unit_test(a_slow_reader),
        cmocka_unit_test(one_change_whole),
        cmocka_unit_test(a_log_with_a_limit),
        cmocka_unit_test(candidates_in_order_with_reasons),
        cmocka_unit_test(explain_has_odd_questions),
        cmocka_unit_test(explain_what_the_plan_alone_decides),
        cmocka_unit_test(registrations_and_their_state),
        cmocka_unit_test(members_that_are_none_any_more),
        cmocka_unit_test(names_of_calls_that_ended),
        cmocka_unit_test(nobody_to_relay_to),
        cmocka_unit_test(a_site_that_the_plan_does_not_know),
        cmocka_unit_test(what_a_screen_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
