/* Where calls would have gone by a changed plan: by hand, and for all numbers of four digits against a store in which
 * the change has really been made. */
#include "kit.h"

#include <stdio.h>

#include "node/app/effect.h"

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org, digest: [md5] }\n"                                                               \
    "sites:\n"                                                                                                         \
    "  hq:     { blocks: [\"6\"], dial: [ {match: \"0\", strip: 1} ] }\n"                                              \
    "  campus: { blocks: [\"8\"] }\n"                                                                                  \
    "trunks:\n"                                                                                                        \
    "  pbx:  { site: hq, address: [\"10.1.0.10\"], in: [ {match: \"99\", strip: 2} ] }\n"                              \
    "  two:  { site: hq, address: [\"10.1.0.11\"] }\n"                                                                 \
    "  far:  { site: campus, address: [\"10.2.0.10\"] }\n"                                                             \
    "accounts:\n"                                                                                                      \
    "  \"6001\": { password: x }\n"                                                                                    \
    "  gw:     { password: x, numbers: [\"7\"], strip: 1, prepend: \"34\" }\n"                                         \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"6\", to: trunk/two, priority: 20 }\n"                                                              \
    "  - { match: \"8\", to: site/campus }\n"                                                                          \
    "  - { match: \"81\", to: trunk/far, hours: \"Mo-Fr 08:00-18:00\", overflow: true }\n"                             \
    "  - { match: \"9\", to: reject/410 }\n"
#define CHANGE                                                                                                         \
    "plan: 1\n"                                                                                                        \
    "remove: [route//9/reject/410, account/6001]\n"                                                                    \
    "sites: { hq: { blocks: [\"6\"], dial: [ {match: \"1\", strip: 1} ] } }\n"                                         \
    "trunks: { pbx: { site: hq, address: [\"10.1.0.10\"], disabled: true } }\n"                                        \
    "accounts: { gw: { password: x, numbers: [\"7\", \"55\"], strip: 2, prepend: \"34\" } }\n"                         \
    "routes:\n"                                                                                                        \
    "  - { match: \"6150-6379\", to: trunk/far, priority: 5 }\n"                                                       \
    "  - { match: \"=8123\", to: trunk/two, prepend: \"9\" }\n"                                                        \
    "  - { match: \"6\", to: trunk/two, priority: 20, overflow: true }\n"

static struct kit kits[2]; /* before the change, and after it */
static struct store *stores[2];
static struct store_read *reads[2];
static struct arena arena;
static struct wanted change;

static void take_change(void)
{
    struct plan_document doc = kit_document(&arena, CHANGE);
    change.puts = arena_alloc(&arena, doc.object_count * sizeof *change.puts);
    assert_non_null(change.puts);
    for (size_t i = 0; i < doc.object_count; i++)
        change.puts[change.put_count++] = (struct wanted_put){.packed = kit_packed(&arena, &doc.objects[i])};
    change.deletes = doc.remove;
    change.delete_count = doc.remove_count;
}

static int open_stores(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        kit_init(&kits[i], NULL);
        stores[i] = kit_store_open(&kits[i]);
        kit_store_plan(stores[i], PLAN);
        if (i == 1) kit_store_plan(stores[i], CHANGE);
        assert_int_equal(store_read_new(stores[i], &reads[i]), ERR_OK);
    }
    take_change();
    return 0;
}

static int close_stores(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        store_read_free(reads[i]);
        kit_store_close(stores[i]);
        kit_fini(&kits[i]);
    }
    arena_fini(&arena);
    return 0;
}

static const struct wanted nothing = {.put_count = 0};

static struct effect_places places(size_t store, const struct wanted *w, const struct call_record *r,
                                   const struct call_decision *d)
{
    struct effect x;
    struct effect_places p;
    struct err_info info = {0};
    assert_int_equal(store_read_begin(reads[store]), ERR_OK);
    assert_int_equal(effect_init(&x, reads[store], SLICE("hq"), w, &info), ERR_OK);
    assert_int_equal(effect_of_call(&x, r, d, &p), ERR_OK);
    effect_fini(&x);
    store_read_end(reads[store]);
    return p;
}

/* 2026-11-23 was a Monday. */
static const struct wall monday_noon = {INT64_C(1795435200000)};

static struct call_record call_to(const char *dialled, const char *source)
{
    return (struct call_record){
        .call_id = SLICE("a@b"), .dialled = slice_of(dialled), .source = slice_of(source), .started = monday_noon};
}

static void by_hand(void **state)
{
    static const struct {
        const char *dialled;
        const char *source;
        const char *before;
        const char *after;
    } rows[] = {
        {"6001", "", "account/6001", "trunk/two"},
        {"6200", "", "trunk/pbx", "trunk/far"},
        {"6400", "", "trunk/pbx", "trunk/two"},
        {"06400", "", "trunk/pbx", "answer 404"}, /* the dial rule is another one */
        {"16400", "", "answer 404", "trunk/two"},
        {"996400", "trunk/pbx", "trunk/two", "answer 404"}, /* never back to where it came from; no in rule any more */
        {"7123", "", "account/gw as 34123", "account/gw as 3423"},
        {"5512", "", "answer 404", "account/gw as 3412"},
        {"8123", "", "trunk/far", "trunk/two as 98123"},
        {"8200", "", "site/campus", "site/campus"},
        {"9", "", "answer 410", "answer 404"},
        {"alice", "", "answer 404", "answer 404"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct call_record r = call_to(rows[i].dialled, rows[i].source);
        struct effect_places p = places(0, &change, &r, NULL);
        if (strcmp(p.before, rows[i].before) != 0 || strcmp(p.after, rows[i].after) != 0) {
            fail_msg("%s: %s -> %s, not %s -> %s", rows[i].dialled, p.before, p.after, rows[i].before, rows[i].after);
        }
        assert_int_equal(p.moved, strcmp(p.before, p.after) != 0);
    }
}

/* What was down at the time is down in both, and hours are those of the call. */
static void as_it_was_then(void **state)
{
    struct call_candidate down[] = {{.target = SLICE("trunk/pbx"), .why = SLICE("down")},
                                    {.target = SLICE("trunk/pbx"), .why = SLICE("hours")},
                                    {.target = SLICE("trunk/pbx"), .why = SLICE("down")}};
    struct call_decision d = {.candidates = down, .candidate_count = 1};
    struct call_record r = call_to("6400", "");
    (void)state;
    struct effect_places p = places(0, &change, &r, &d);
    assert_string_equal(p.before, "trunk/two");
    assert_false(p.moved);
    d = (struct call_decision){.candidates = down + 1, .candidate_count = 2}; /* what its other route says is no news */
    assert_string_equal(places(0, &change, &r, &d).before, "trunk/two");
    r = call_to("8150", "");
    assert_string_equal(places(0, &nothing, &r, NULL).before, "trunk/far");
    r.started.ms += INT64_C(12) * 3600 * 1000; /* at midnight */
    assert_string_equal(places(0, &nothing, &r, NULL).before, "site/campus");
}

static void the_same_as_with_the_change_made(void **state)
{
    struct effect foretold;
    struct effect made;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(store_read_begin(reads[i]), ERR_OK);
    assert_int_equal(effect_init(&foretold, reads[0], SLICE("hq"), &change, NULL), ERR_OK);
    assert_int_equal(effect_init(&made, reads[1], SLICE("hq"), &nothing, NULL), ERR_OK);
    for (unsigned number = 0; number < 10000; number++) {
        static const char *const sources[] = {"", "trunk/pbx", "account/6001"};
        char dialled[8];
        struct effect_places p;
        struct effect_places q;
        (void)snprintf(dialled, sizeof dialled, "%04u", number);
        struct call_record r = call_to(dialled, sources[number % 3]);
        assert_int_equal(effect_of_call(&foretold, &r, NULL, &p), ERR_OK);
        assert_int_equal(effect_of_call(&made, &r, NULL, &q), ERR_OK);
        if (strcmp(p.after, q.before) != 0) fail_msg("%s: %s, not %s", dialled, p.after, q.before);
        assert_false(q.moved);
    }
    effect_fini(&foretold);
    effect_fini(&made);
    for (size_t i = 0; i < 2; i++)
        store_read_end(reads[i]);
}

static void an_object_that_does_not_stand_up(void **state)
{
    struct wanted_put bad = {.packed = SLICE("\xff\xff")};
    struct wanted w = {.puts = &bad, .put_count = 1};
    struct effect x;
    struct err_info info = {0};
    (void)state;
    assert_int_equal(effect_init(&x, reads[0], SLICE("hq"), &w, &info), ERR_SYNTAX);
    effect_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(as_it_was_then),
        cmocka_unit_test(the_same_as_with_the_change_made),
        cmocka_unit_test(an_object_that_does_not_stand_up),
    };
    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, open_stores, close_stores);
}
