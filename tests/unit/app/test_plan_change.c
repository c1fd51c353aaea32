/* From what an operator asks to operations: secrets kept and sealed, what lint says anew, deletes, duplicates. */
#include "kit.h"

#include "node/app/plan_change.h"
#include "node/app/seal.h"
#include "node/plan/document.h"
#include "proto/plan_codec.h"

#define BASE                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org }\n"                                                                              \
    "sites: { hq: { blocks: [\"6\"] } }\n"                                                                             \
    "trunks:\n"                                                                                                        \
    "  pbx: { site: hq, address: [\"10.1.0.10:5060\"], trust: [\"10.1.0.10/32\"] }\n"                                  \
    "accounts:\n"                                                                                                      \
    "  \"6001\": { password: \"old\" }\n"                                                                              \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"

static const unsigned char cluster_key[HASH_KEY_LEN] = {1, 2, 3};

struct rig {
    struct kit kit;
    struct store *store;
    struct store_read *read;
    struct arena arena;
    struct plan_change change;
    struct wanted_put puts[LINT_EDITS_MAX + 200];
    struct err_info info;
};

static void rig_open(struct rig *r, const char *yaml)
{
    *r = (struct rig){.info = {{0}, 0, 0}};
    kit_init(&r->kit, NULL);
    r->store = kit_store_open(&r->kit);
    if (yaml != NULL) kit_store_plan(r->store, yaml);
    assert_int_equal(store_read_new(r->store, &r->read), ERR_OK);
}

static void rig_close(struct rig *r)
{
    arena_fini(&r->arena);
    store_read_free(r->read);
    kit_store_close(r->store);
    kit_fini(&r->kit);
}

/* Prepares the document as clusterctl would send it. */
static enum err prepare(struct rig *r, const char *yaml)
{
    struct plan_document doc;
    if (plan_document_parse(&r->arena, slice_of(yaml), &doc, &r->info) != ERR_OK) fail_msg("%s", r->info.text);
    for (size_t i = 0; i < doc.object_count; i++) {
        struct plan_object *o = &doc.objects[i];
        struct buf packed = {0};
        if (o->kind == PLAN_ACCOUNT && o->account.password.n > 0) {
            assert_int_equal(plan_account_hash_password(&o->account, SLICE("example.org")), ERR_OK);
        }
        assert_int_equal(plan_object_pack(o, &packed), ERR_OK);
        r->puts[i] = (struct wanted_put){.packed = arena_copy(&r->arena, buf_view(&packed))};
        r->puts[i].keep = o->kind == PLAN_ACCOUNT ? o->account.password_keep
                                                  : o->kind == PLAN_TRUNK && o->trunk.registration.password_keep;
        if (o->kind == PLAN_TRUNK) r->puts[i].secret = o->trunk.registration.password;
        buf_fini(&packed);
    }
    r->change = (struct plan_change){.puts = r->puts,
                                     .put_count = doc.object_count,
                                     .deletes = doc.remove,
                                     .delete_count = doc.remove_count,
                                     .cluster_key = cluster_key};
    r->info.text[0] = '\0';
    return plan_change_prepare(r->read, &r->arena, &r->change, &r->info);
}

static void ask(struct rig *r, const char *yaml, size_t added, size_t changed, size_t removed)
{
    if (prepare(r, yaml) != ERR_OK) fail_msg("%s", r->info.text);
    assert_int_equal(r->change.added, added);
    assert_int_equal(r->change.changed, changed);
    assert_int_equal(r->change.removed, removed);
    assert_int_equal(r->change.op_count, added + changed + removed);
}

static struct plan_object op_object(struct rig *r, size_t i)
{
    struct plan_object o;
    assert_int_equal(plan_object_unpack(&r->arena, r->change.ops[i].value, &o, NULL), ERR_OK);
    return o;
}

static void what_is_the_same_is_no_operation(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    ask(&r, BASE, 0, 0, 0);
    ask(&r, "plan: 1\nroutes:\n  - { match: \"6\", to: trunk/pbx, priority: 5 }\n", 0, 1, 0);
    assert_int_equal(r.change.ops[0].kind, CHANGE_PUT);
    assert_false(r.change.op_added[0]);
    ask(&r, "plan: 1\nroutes:\n  - { match: \"61\", to: trunk/pbx }\nremove: [\"account/6001\"]\n", 1, 0, 1);
    assert_true(r.change.op_added[0]);
    assert_int_equal(r.change.ops[1].kind, CHANGE_DELETE);
    assert_true(slice_is(r.change.ops[1].key, "account/6001"));
    assert_int_equal(r.change.ops[1].value.n, 0);
    rig_close(&r);
}

/* A second look must not add to what the first one counted. */
static void it_may_look_again(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    ask(&r, "plan: 1\nroutes:\n  - { match: \"61\", to: trunk/pbx }\n", 1, 0, 0);
    struct plan_digest first = r.change.digest;
    kit_store_plan(r.store, "plan: 1\nroutes:\n  - { match: \"61\", to: trunk/pbx, priority: 7 }\n");
    assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_OK);
    assert_int_equal(r.change.added, 0);
    assert_int_equal(r.change.changed, 1);
    assert_int_equal(r.change.op_count, 1);
    assert_false(plan_digest_eq(first, r.change.digest));
    rig_close(&r);
}

static void an_account_keeps_its_password(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    ask(&r, "plan: 1\naccounts: { \"6001\": { password: (set), max_contacts: 3 } }\n", 0, 1, 0);
    struct plan_object o = op_object(&r, 0);
    struct plan_account same = {.name = SLICE("6001"), .password = SLICE("old")};
    assert_int_equal(plan_account_hash_password(&same, SLICE("example.org")), ERR_OK);
    assert_true(o.account.secret.set);
    assert_memory_equal(o.account.secret.sha256, same.secret.sha256, sizeof same.secret.sha256);
    assert_int_equal(o.account.max_contacts, 3);
    ask(&r, "plan: 1\naccounts: { \"6001\": { password: (set) } }\n", 0, 0, 0);
    ask(&r, "plan: 1\naccounts: { \"6001\": { password: new } }\n", 0, 1, 0);
    assert_memory_not_equal(op_object(&r, 0).account.secret.sha256, same.secret.sha256, sizeof same.secret.sha256);
    rig_close(&r);
}

static void a_password_that_is_not_there_cannot_be_kept(void **state)
{
    static const char *const cases[][2] = {
        {"plan: 1\naccounts: { \"6002\": { password: (set) } }\n", "account/6002: \"(set)\" keeps"},
        {"plan: 1\ntrunks: { new: { site: hq, address: [\"10.1.0.11\"], register: { user: x, password: (set) } } }\n",
         "trunk/new: \"(set)\" keeps"},
        {"plan: 1\ntrunks: { pbx: { site: hq, address: [\"10.1.0.11\"], register: { user: x, password: (set) } } }\n",
         "trunk/pbx: \"(set)\" keeps"},
    };
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(prepare(&r, cases[i][0]), ERR_SYNTAX);
        if (strstr(r.info.text, cases[i][1]) == NULL) fail_msg("%s", r.info.text);
    }
    rig_close(&r);
}

#define CARRIER(rest)                                                                                                  \
    "plan: 1\nsites: { hq: {} }\ntrunks: { carrier: { site: hq, address: [\"10.1.0.11\"], trust: [\"10.1.0.11/32\"], " \
    "register: { user: x" rest " } } }\n"

static void a_registration_password_is_sealed_and_kept(void **state)
{
    struct rig r;
    struct buf open = {0};
    (void)state;
    rig_open(&r, NULL);
    ask(&r, CARRIER(", password: \"s3cret\""), 2, 0, 0);
    struct plan_object o = op_object(&r, 1);
    assert_int_equal(unseal(cluster_key, SLICE("trunk/carrier"), o.trunk.registration.sealed, &open), ERR_OK);
    assert_true(slice_is(buf_view(&open), "s3cret"));
    for (size_t i = 0; i < r.change.op_count; i++) {
        if (memmem(r.change.ops[i].value.p, r.change.ops[i].value.n, "s3cret", 6) != NULL) fail_msg("in the clear");
    }
    /* Stored as it is, and then kept where the document brings none. */
    struct changeset c = {.id = {.epoch = 1, .seq = 1}, .time = {1 << 20}, .ops = r.change.ops, .op_count = 2};
    assert_int_equal(node_name_set(&c.id.origin, SLICE("n1")), ERR_OK);
    assert_int_equal(store_submit_changes(r.store, &c, 1, 1), ERR_OK);
    kit_store_wait(r.store);
    struct slice sealed = arena_copy(&r.arena, o.trunk.registration.sealed);
    static const char *const kept[] = {CARRIER(", password: (set)"), CARRIER("")};
    for (size_t i = 0; i < 2; i++)
        ask(&r, kept[i], 0, 0, 0);
    ask(&r, CARRIER(", password: (set), expires: 120s"), 0, 1, 0);
    assert_true(slice_eq(op_object(&r, 0).trunk.registration.sealed, sealed));
    buf_fini(&open);
    rig_close(&r);
}

static bool has_finding(const struct rig *r, const char *id)
{
    for (size_t i = 0; i < r->change.report.count; i++) {
        if (strcmp(r->change.report.findings[i].id, id) == 0) return true;
    }
    return false;
}

static void old_warnings_stand_in_nobodys_way(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    kit_store_plan(r.store, "plan: 1\ntrunks: { idle: { site: hq, address: [\"10.1.0.12\"] } }\n");
    ask(&r, "plan: 1\nroutes:\n  - { match: \"61\", to: trunk/pbx, priority: 5 }\n", 1, 0, 0);
    assert_false(has_finding(&r, "unused-trunk"));
    assert_false(has_finding(&r, "no-trust"));
    ask(&r, "plan: 1\ntrunks: { idle2: { site: hq, address: [\"10.1.0.13\"] } }\n", 1, 0, 0);
    assert_true(has_finding(&r, "unused-trunk"));
    assert_true(has_finding(&r, "no-trust"));
    assert_int_equal(r.change.report.error_count, 0);
    ask(&r, "plan: 1\nremove: [\"trunk/pbx\"]\n", 0, 0, 1); /* routes still lead to it */
    assert_true(has_finding(&r, "unknown-target"));
    assert_true(r.change.report.error_count > 0);
    rig_close(&r);
}

/* ---- a change that is too large to be held unpacked ---- */

#define MANY (LINT_EDITS_MAX + 100)

static const char *many(struct buf *out, const char *head, unsigned odd)
{
    buf_reset(out);
    buf_printf(out, "plan: 1\n%sroutes:\n", head);
    for (unsigned i = 0; i < MANY; i++)
        buf_printf(out, "  - { match: \"9%04u\", to: trunk/%s, priority: %u }\n", i, i == odd ? "nobody" : "pbx",
                   i < 2 ? 7 + odd % 2 : 5);
    buf_add(out, "", 1);
    assert_false(out->failed);
    return out->p;
}

static void a_large_change_is_like_a_small_one(void **state)
{
    struct rig r;
    struct buf yaml = {0};
    struct plan_edit edit;
    (void)state;
    rig_open(&r, BASE);
    ask(&r, many(&yaml, "accounts: { \"6001\": { password: (set), max_contacts: 3 } }\n", 1001), MANY, 1, 0);
    assert_true(has_finding(&r, "unknown-target")); /* of a route that was never held */
    assert_int_equal(r.change.report.error_count, 1);
    assert_true(op_object(&r, 0).account.secret.set);
    assert_true(slice_is(op_object(&r, 2).route.match, "90001"));
    assert_int_equal(plan_change_edit(&r.change, 0, &r.arena, &edit), ERR_OK);
    assert_int_equal(edit.after->account.max_contacts, 3);
    assert_non_null(edit.before);
    assert_int_equal(plan_change_edit(&r.change, 2, &r.arena, &edit), ERR_OK);
    assert_null(edit.before);
    kit_store_plan(r.store, many(&yaml, "", MANY));
    ask(&r, many(&yaml, "", MANY), 0, 0, 0);
    ask(&r, many(&yaml, "remove: [account/6001]\n", MANY + 1), 0, 2, 1); /* few of many: what is near is looked at */
    assert_int_equal(plan_change_edit(&r.change, 1, &r.arena, &edit), ERR_OK);
    assert_int_equal(edit.before->route.priority + edit.after->route.priority, 15);
    assert_int_equal(plan_change_edit(&r.change, 2, &r.arena, &edit), ERR_OK);
    assert_null(edit.after);
    struct wanted_put *twice = arena_alloc(&r.arena, (r.change.put_count + 1) * sizeof *twice);
    memcpy(twice, r.puts, r.change.put_count * sizeof *twice);
    twice[r.change.put_count++] = r.puts[5];
    r.change.puts = twice;
    assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_SYNTAX);
    assert_non_null(strstr(r.info.text, "route//90005/trunk/pbx: given twice in one change"));
    buf_fini(&yaml);
    rig_close(&r);
}

static void mistakes_are_named(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, BASE);
    assert_int_equal(prepare(&r, "plan: 1\nremove: [\"trunk/nobody\"]\n"), ERR_NOTFOUND);
    assert_non_null(strstr(r.info.text, "remove trunk/nobody: the plan has no such object"));
    assert_int_equal(prepare(&r, "plan: 1\nsites: { a: {} }\n"), ERR_OK);
    struct wanted_put twice[] = {r.puts[0], r.puts[0]};
    r.change.puts = twice;
    r.change.put_count = 2;
    assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_SYNTAX);
    assert_non_null(strstr(r.info.text, "site/a: given twice in one change"));
    struct slice gone = SLICE("site/a");
    r.change.put_count = 1;
    r.change.deletes = &gone;
    r.change.delete_count = 1;
    assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_SYNTAX); /* put and delete */
    struct wanted_put junk = {.packed = SLICE("\xff\xff junk")};
    r.change = (struct plan_change){.puts = &junk, .put_count = 1, .cluster_key = cluster_key};
    assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_SYNTAX);
    rig_close(&r);
}

/* ---- a small change against both plans as a whole ---- */

static const char *any(struct rng *rng, const char *const *list, size_t count)
{
    return list[rng_below(rng, count)];
}
#define ANY(rng, ...)                                                                                                  \
    any(rng, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void random_line(struct rng *rng, struct buf *out, const char *section)
{
    if (strcmp(section, "sites") == 0) {
        buf_printf(out, "  %s: { blocks: [\"%s\"] }\n", ANY(rng, "hq", "lab"), ANY(rng, "6", "60-64", "7", "600-659"));
    } else if (strcmp(section, "trunks") == 0) {
        buf_printf(out, "  %s: { site: %s, address: [\"10.1.0.10\"], trust: [\"10.1.0.10/32\"] }\n",
                   ANY(rng, "pbx", "other"), ANY(rng, "hq", "lab"));
    } else if (strcmp(section, "accounts") == 0) {
        buf_printf(out, "  \"%s\": { password: x, numbers: [\"%s\"] }\n", ANY(rng, "60", "61", "62", "gw"),
                   ANY(rng, "=63", "=64", "65", "600-649"));
    } else {
        buf_printf(out, "  - { match: \"%s\", to: %s, strip: %s }\n",
                   ANY(rng, "6", "60", "61", "62-69", "600-649", "650-699", "=60", "=61", "=62", "=63", "=64", "7"),
                   ANY(rng, "trunk/pbx", "trunk/other", "site/lab", "account/gw"), ANY(rng, "0", "1"));
    }
}

static void random_change(struct rng *rng, struct buf *out)
{
    const char *section = ANY(rng, "sites", "trunks", "accounts", "routes", "routes", "routes");
    buf_reset(out);
    buf_printf(out, "plan: 1\n%s:\n", section);
    random_line(rng, out, section);
    buf_add(out, "", 1);
    assert_false(out->failed);
}

static void take_report(const struct rig *r, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < r->change.report.count; i++) {
        const struct lint_finding *f = &r->change.report.findings[i];
        buf_printf(out, "%s %.*s: %.*s\n", f->id, SLICE_ARG(f->object), SLICE_ARG(f->text));
    }
    buf_add(out, "", 1);
}

static void what_is_near_says_what_the_whole_says(void **state)
{
    struct rig r;
    struct rng rng;
    struct buf yaml = {0};
    struct buf near = {0};
    struct buf whole = {0};
    size_t findings = 0;
    (void)state;
    rng_init(&rng, 7);
    rig_open(&r, BASE);
    for (unsigned round = 0; round < 120; round++) {
        random_change(&rng, &yaml);
        enum err e = prepare(&r, yaml.p);
        if (e != ERR_OK) fail_msg("%s: %s", yaml.p, r.info.text);
        take_report(&r, &near);
        findings += r.change.report.count;
        r.change.whole = true;
        assert_int_equal(plan_change_prepare(r.read, &r.arena, &r.change, &r.info), ERR_OK);
        take_report(&r, &whole);
        if (strcmp(near.p, whole.p) != 0) {
            fail_msg("round %u, %s: near\n%swhole\n%s", round, yaml.p, near.p, whole.p);
        }
        kit_store_plan(r.store, yaml.p);
    }
    assert_in_range(findings, 20, 1000);
    buf_fini(&yaml);
    buf_fini(&near);
    buf_fini(&whole);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_the_same_is_no_operation),
        cmocka_unit_test(it_may_look_again),
        cmocka_unit_test(an_account_keeps_its_password),
        cmocka_unit_test(a_password_that_is_not_there_cannot_be_kept),
        cmocka_unit_test(a_registration_password_is_sealed_and_kept),
        cmocka_unit_test(old_warnings_stand_in_nobodys_way),
        cmocka_unit_test(a_large_change_is_like_a_small_one),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(what_is_near_says_what_the_whole_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
