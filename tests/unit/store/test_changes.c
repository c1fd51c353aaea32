/* test_changes: change-sets: all or nothing, their log, and that the end does not depend on the order of their coming.
 */
#include "tests/unit/store/support.h"

#include <stdio.h>

#include "node/base/rng.h"

/* ---- one change-set ---- */

static void test_put_and_delete(void **state)
{
    (void)state;
    struct fixture f;
    struct change a;
    struct change b;
    struct plan_digest zero = {{0}};
    struct stamp stamp;
    struct slice packed;
    fixture_open(&f, NULL, 0);
    change_init(&a, "hq-1", 1, 1, 10);
    struct plan_object site = make_site("hq", "6");
    change_put(&a, &site);
    assert_int_equal(apply_err(&f, &a), ERR_OK);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_object(f.read, SLICE("site/hq"), &packed, &stamp), ERR_OK);
    assert_true(slice_eq(packed, a.ops[0].value));
    assert_int_equal(stamp.time.v, 10);
    assert_string_equal(stamp.origin.s, "hq-1");
    store_read_end(f.read);
    assert_false(plan_digest_eq(digest_now(&f), zero));
    change_init(&b, "hq-1", 1, 2, 11);
    change_delete(&b, "site/hq");
    assert_int_equal(apply_err(&f, &b), ERR_OK);
    assert_int_equal(object_err(&f, "site/hq"), ERR_NOTFOUND);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_object_stamp(f.read, SLICE("site/hq"), &stamp), ERR_OK);
    assert_int_equal(stamp.time.v, 11);
    assert_int_equal(store_object_stamp(f.read, SLICE("site/other"), &stamp), ERR_NOTFOUND);
    store_read_end(f.read);
    assert_true(plan_digest_eq(digest_now(&f), zero));
    assert_int_equal(counts_now(&f).kinds[PLAN_SITE], 0);
    change_fini(&a);
    change_fini(&b);
    fixture_close(&f);
}

/* The digest is what plan_codec.h says: the sum of the objects' hashes. */
static void test_digest_by_hand(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    struct plan_digest want = {{0}};
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object objects[] = {make_site("hq", "6"), make_route("", "6", "pbx"), make_account("cam", "8")};
    for (size_t i = 0; i < 3; i++) {
        unsigned char hash[HASH_SHA256_LEN];
        change_put(&c, &objects[i]);
        assert_int_equal(plan_object_hash(NULL, c.ops[i].key, c.ops[i].value, hash), ERR_OK);
        plan_digest_add(&want, hash);
    }
    struct store_completion done = apply(&f, &c);
    assert_int_equal(done.err, ERR_OK);
    assert_true(plan_digest_eq(done.plan_digest, want));
    change_fini(&c);
    fixture_close(&f);
}

/* A later op on the same key of one change-set wins. */
static void test_twice_in_one(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    char text[64];
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object a = make_account("cam", "8");
    struct plan_object b = make_account("cam", "9");
    struct plan_object z = make_account("zoo", "7");
    change_put(&c, &z); /* not in key order */
    change_put(&c, &a);
    change_put(&c, &b);
    change_delete(&c, "account/zoo");
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    match_text(&f, "8100", text, sizeof text);
    assert_string_equal(text, "");
    match_text(&f, "9100", text, sizeof text);
    assert_string_equal(text, "account/cam ");
    assert_int_equal(object_err(&f, "account/zoo"), ERR_NOTFOUND);
    assert_int_equal(counts_now(&f).kinds[PLAN_ACCOUNT], 1);
    change_fini(&c);
    fixture_close(&f);
}

/* ---- refusals ---- */

static void spoil_value(struct change *c)
{
    c->ops[2].value = SLICE("\xff\xff");
}
static void spoil_key(struct change *c)
{
    c->ops[2].key = SLICE("site/other");
}
static void spoil_rule(struct change *c)
{
    struct plan_object o = make_route("", "not a number", "pbx");
    struct buf packed = {0};
    assert_int_equal(plan_object_pack(&o, &packed), ERR_OK);
    c->ops[2].value = arena_copy(&c->arena, buf_view(&packed));
    buf_fini(&packed);
}

static void test_refused_as_a_whole(void **state)
{
    void (*const spoil[])(struct change *) = {spoil_value, spoil_key, spoil_rule};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        struct change c;
        struct plan_digest zero = {{0}};
        struct arena arena = {0};
        struct store_start start;
        fixture_open(&f, NULL, 0);
        change_init(&c, "hq-1", 1, 1, 10);
        struct plan_object objects[] = {make_site("hq", "6"), make_route("", "6", "pbx"), make_site("last", NULL)};
        for (size_t k = 0; k < 3; k++)
            change_put(&c, &objects[k]);
        struct slice good = c.ops[2].value;
        struct slice good_key = c.ops[2].key;
        spoil[i](&c);
        struct store_completion done = apply(&f, &c);
        assert_int_equal(done.err, ERR_SYNTAX);
        assert_true(done.info.text[0] != '\0');
        assert_int_equal(done.stored_count, 0);
        assert_int_equal(counter(&f, "changes_refused"), 1);
        assert_true(plan_digest_eq(digest_now(&f), zero));
        assert_int_equal(object_err(&f, "site/hq"), ERR_NOTFOUND);
        assert_int_equal(store_read_begin(f.read), ERR_OK);
        assert_int_equal(store_load_start(f.read, &arena, &start), ERR_OK);
        store_read_end(f.read);
        assert_int_equal(start.plan_count, 0);
        c.ops[2].value = good; /* the same number, mended, is taken */
        c.ops[2].key = good_key;
        assert_int_equal(apply_err(&f, &c), ERR_OK);
        assert_int_equal(object_err(&f, "site/hq"), ERR_OK);
        arena_fini(&arena);
        change_fini(&c);
        fixture_close(&f);
    }
}

/* A gap is refused; what belongs to other logs in the same job is applied. */
static void test_gap(void **state)
{
    (void)state;
    struct fixture f;
    struct change c[4];
    fixture_open(&f, NULL, 0);
    change_init(&c[0], "hq-1", 1, 1, 10);
    change_init(&c[1], "hq-1", 1, 3, 12); /* 2 is missing */
    change_init(&c[2], "lab-1", 1, 1, 11);
    change_init(&c[3], "hq-1", 2, 1, 13); /* another epoch is another log */
    struct changeset sets[4];
    for (size_t i = 0; i < 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "s%zu", i);
        struct plan_object site = make_site(name, NULL);
        change_put(&c[i], &site);
        sets[i] = c[i].set;
    }
    assert_int_equal(store_submit_changes(f.store, sets, 4, 1), ERR_OK);
    struct store_completion done = fixture_wait(&f);
    assert_int_equal(done.err, ERR_CONFLICT);
    assert_int_equal(done.stored_count, 3);
    assert_non_null(strstr(done.info.text, "hq-1/1/3"));
    assert_int_equal(object_err(&f, "site/s0"), ERR_OK);
    assert_int_equal(object_err(&f, "site/s1"), ERR_NOTFOUND);
    assert_int_equal(object_err(&f, "site/s2"), ERR_OK);
    assert_int_equal(object_err(&f, "site/s3"), ERR_OK);
    assert_int_equal(counter(&f, "changes_gap"), 1);
    for (size_t i = 0; i < 4; i++)
        change_fini(&c[i]);
    fixture_close(&f);
}

/* A known id with other bytes changes nothing, and is counted. */
static void test_rewritten(void **state)
{
    (void)state;
    struct fixture f;
    struct change c[2];
    fixture_open(&f, NULL, 0);
    for (size_t i = 0; i < 2; i++) {
        change_init(&c[i], "hq-1", 1, 1, 10 + i);
        struct plan_object site = make_site(i == 0 ? "first" : "second", NULL);
        change_put(&c[i], &site);
        assert_int_equal(apply_err(&f, &c[i]), ERR_OK);
    }
    assert_int_equal(object_err(&f, "site/second"), ERR_NOTFOUND);
    assert_int_equal(counter(&f, "changes_rewritten"), 1);
    change_fini(&c[0]);
    change_fini(&c[1]);
    fixture_close(&f);
}

/* ---- log and history ---- */

struct seen {
    char text[256];
    size_t stop_after;
    size_t count;
};

static bool see(void *ctx, const struct log_id *id, struct slice packed)
{
    struct seen *s = ctx;
    struct arena arena = {0};
    struct changeset c;
    size_t n = strlen(s->text);
    assert_int_equal(changeset_unpack(&arena, packed, &c, NULL), ERR_OK);
    assert_true(node_name_eq(&c.id.origin, &id->origin) && c.id.seq == id->seq && c.id.epoch == id->epoch);
    (void)snprintf(s->text + n, sizeof s->text - n, "%s:%llu:%llu ", id->origin.s, (unsigned long long)id->epoch,
                   (unsigned long long)id->seq);
    arena_fini(&arena);
    return ++s->count != s->stop_after;
}

static void test_log_and_history(void **state)
{
    static const struct {
        const char *origin;
        uint64_t epoch, seq, time;
    } rows[] = {{"a", 1, 1, 50}, {"a", 1, 2, 90}, {"ab", 1, 1, 70}, {"a", 2, 1, 60}, {"b", 1, 1, 1}, {"a", 1, 3, 80}};
    (void)state;
    struct fixture f;
    struct node_name a = name_of("a");
    struct hlc newest = {1};
    fixture_open(&f, NULL, 0);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_history_newest(f.read, &newest), ERR_OK);
    assert_int_equal(newest.v, 0);
    store_read_end(f.read);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct change c;
        change_init(&c, rows[i].origin, rows[i].epoch, rows[i].seq, rows[i].time);
        assert_int_equal(apply_err(&f, &c), ERR_OK); /* no ops: still an entry of the log */
        change_fini(&c);
    }
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_history_newest(f.read, &newest), ERR_OK);
    assert_int_equal(newest.v, 90);
    struct seen all = {.text = ""};
    assert_int_equal(store_log(f.read, &a, 1, 2, see, &all), ERR_OK);
    assert_string_equal(all.text, "a:1:2 a:1:3 ");
    struct seen first = {.text = "", .stop_after = 1};
    assert_int_equal(store_log(f.read, &a, 1, 0, see, &first), ERR_OK);
    assert_string_equal(first.text, "a:1:1 ");
    struct seen history = {.text = ""};
    assert_int_equal(store_history(f.read, 4, see, &history), ERR_OK);
    assert_string_equal(history.text, "a:1:2 a:1:3 ab:1:1 a:2:1 ");
    struct seen none = {.text = ""};
    assert_int_equal(store_history(f.read, 0, see, &none), ERR_OK);
    assert_string_equal(none.text, "");
    store_read_end(f.read);
    fixture_close(&f);
}

/* ---- objects in order ---- */

struct keys {
    char text[512];
    size_t stop_after;
    size_t count;
};

static bool add_key(void *ctx, struct slice key, struct slice packed)
{
    struct keys *k = ctx;
    size_t n = strlen(k->text);
    assert_true(packed.n > 0);
    (void)snprintf(k->text + n, sizeof k->text - n, "%.*s ", SLICE_ARG(key));
    return ++k->count != k->stop_after;
}

static void test_objects_in_order(void **state)
{
    static const struct {
        const char *from;
        bool after;
        size_t stop_after;
        const char *want;
    } rows[] = {{"", false, 0, "account/cam route//6/trunk/pbx site/a site/c trunk/t "},
                {"", true, 0, "account/cam route//6/trunk/pbx site/a site/c trunk/t "},
                {"site/", false, 0, "site/a site/c trunk/t "},
                {"site/a", true, 0, "site/c trunk/t "},
                {"site/a", false, 1, "site/a "},
                {"zzz", false, 0, ""}};
    static char long_key[700];
    (void)state;
    struct fixture f;
    struct change c;
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object trunk;
    static const struct slice address[] = {{"10.1.0.1", 8}};
    plan_object_init(&trunk, PLAN_TRUNK);
    trunk.trunk.name = SLICE("t");
    trunk.trunk.site = SLICE("a");
    trunk.trunk.address = address;
    trunk.trunk.address_count = 1;
    struct plan_object objects[] = {make_site("c", NULL), make_route("", "6", "pbx"), make_site("a", NULL),
                                    make_site("b", NULL), make_account("cam", NULL),  trunk};
    for (size_t i = 0; i < 6; i++)
        change_put(&c, &objects[i]);
    change_delete(&c, "site/b");
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct keys k = {.text = "", .stop_after = rows[i].stop_after};
        assert_int_equal(store_objects(f.read, slice_of(rows[i].from), rows[i].after, add_key, &k), ERR_OK);
        assert_string_equal(k.text, rows[i].want);
    }
    /* A start longer than any key is still a place in the order. */
    memset(long_key, 's', sizeof long_key);
    struct keys k = {.text = ""};
    assert_int_equal(store_objects(f.read, (struct slice){long_key, sizeof long_key}, false, add_key, &k), ERR_OK);
    assert_string_equal(k.text, "trunk/t ");
    store_read_end(f.read);
    change_fini(&c);
    fixture_close(&f);
}

/* ---- the order of coming does not matter ---- */

#define ORIGINS 4
#define PER_ORIGIN 40

/* Change-sets of several origins that meet on few keys, with colliding times. */
static void make_history(struct change *changes, struct rng *rng)
{
    static const char *const origins[ORIGINS] = {"a", "b", "c", "d"};
    for (size_t o = 0; o < ORIGINS; o++) {
        uint64_t time = 1;
        for (size_t i = 0; i < PER_ORIGIN; i++) {
            struct change *c = &changes[o * PER_ORIGIN + i];
            time += 1 + rng_below(rng, 3); /* an origin's own times grow; others' are often equal */
            change_init(c, origins[o], 1, i + 1, time);
            for (uint64_t n = rng_below(rng, 4); n-- > 0;) {
                static const char *const names[] = {"n0", "n1", "n2", "n3"};
                static const char *const matches[] = {"1", "12", "=123", "100-199", "2"};
                uint64_t kind = rng_below(rng, 4);
                const char *name = names[rng_below(rng, 4)];
                const char *match = matches[rng_below(rng, 5)];
                struct plan_object account = make_account(name, match);
                struct plan_object route = make_route("", match, name);
                struct plan_object site = make_site(name, match[0] == '=' ? NULL : match);
                char key[64];
                route.route.priority = (uint32_t)rng_below(rng, 100);
                (void)snprintf(key, sizeof key, "account/%s", name);
                if (kind == 0) change_put(c, &account);
                if (kind == 1) change_put(c, &route);
                if (kind == 2) change_put(c, &site);
                if (kind == 3) change_delete(c, key);
            }
        }
    }
}

/* Any interleaving that keeps each log's order, in jobs of random size. */
static void replay(struct fixture *f, struct change *changes, struct rng *rng)
{
    size_t next[ORIGINS] = {0};
    size_t left = ORIGINS * PER_ORIGIN;
    while (left > 0) {
        struct changeset sets[8];
        size_t n = 0;
        size_t want = 1 + (size_t)rng_below(rng, 8);
        while (n < want && left > 0) {
            size_t o = (size_t)rng_below(rng, ORIGINS);
            if (next[o] == PER_ORIGIN) continue;
            sets[n++] = changes[o * PER_ORIGIN + next[o]++].set;
            left--;
        }
        assert_int_equal(store_submit_changes(f->store, sets, n, 1), ERR_OK);
        struct store_completion done = fixture_wait(f);
        if (done.err != ERR_OK) fail_msg("%s", done.info.text);
    }
}

struct dump {
    struct buf text;
};

static bool dump_object(void *ctx, struct slice key, struct slice packed)
{
    struct dump *d = ctx;
    buf_slice(&d->text, key);
    buf_printf(&d->text, "=%zu:", packed.n);
    buf_slice(&d->text, packed);
    return true;
}

static void dump_store(struct fixture *f, struct dump *d)
{
    static const char *const numbers[] = {"1", "12", "123", "1234", "155", "199", "200", "2", "3"};
    char text[512];
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_objects(f->read, SLICE_NONE, false, dump_object, d), ERR_OK);
    store_read_end(f->read);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        match_text(f, numbers[i], text, sizeof text);
        buf_printf(&d->text, "%s: %s\n", numbers[i], text);
    }
}

static void test_order_independence(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct rng rng;
        struct change *changes = calloc(ORIGINS * PER_ORIGIN, sizeof *changes);
        struct fixture f[2];
        struct dump dumps[2] = {{{0}}, {{0}}};
        assert_non_null(changes);
        rng_init(&rng, seed);
        make_history(changes, &rng);
        for (size_t i = 0; i < 2; i++) {
            fixture_open(&f[i], NULL, 0);
            replay(&f[i], changes, &rng);
            dump_store(&f[i], &dumps[i]);
        }
        assert_true(plan_digest_eq(digest_now(&f[0]), digest_now(&f[1])));
        assert_true(slice_eq(buf_view(&dumps[0].text), buf_view(&dumps[1].text)));
        struct store_plan_counts counts[2] = {counts_now(&f[0]), counts_now(&f[1])};
        assert_memory_equal(&counts[0], &counts[1], sizeof counts[0]);
        assert_true(counter(&f[0], "ops_lost") > 0); /* else the orders never met */
        for (size_t i = 0; i < 2; i++) {
            buf_fini(&dumps[i].text);
            fixture_close(&f[i]);
        }
        for (size_t i = 0; i < ORIGINS * PER_ORIGIN; i++)
            change_fini(&changes[i]);
        free(changes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_delete),
        cmocka_unit_test(test_digest_by_hand),
        cmocka_unit_test(test_twice_in_one),
        cmocka_unit_test(test_refused_as_a_whole),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_rewritten),
        cmocka_unit_test(test_log_and_history),
        cmocka_unit_test(test_objects_in_order),
        cmocka_unit_test(test_order_independence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
