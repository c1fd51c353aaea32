/* test_index: the prefix index against a naive scan of all patterns, and what a candidate looks like. */
#include "tests/unit/store/support.h"

#include <stdio.h>

#include "node/base/rng.h"

/* ---- by hand ---- */

static void test_prefix_exact_range(void **state)
{
    static const struct {
        const char *number;
        const char *want;
    } rows[] = {
        {"6001", "trunk/exact trunk/six "}, /* the exact key is the longest */
        {"60012", "trunk/six "},
        {"600", "trunk/six "},
        {"6", "trunk/six "},
        {"8150", "trunk/range "},
        {"8379999", "trunk/range "},
        {"8380", ""},
        {"8149", ""},
        {"815", ""}, /* shorter than a bound */
        {"+4930", "trunk/world "},
        {"*21*5", "trunk/star "},
        {"7", ""},
        {"", ""},
        {"123456789012345678901234567890123", ""}, /* longer than any number */
        {"12345678901234567890123456789012", "trunk/long "},
    };
    (void)state;
    struct fixture f;
    struct change c;
    char text[256];
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object objects[] = {
        make_route("", "6", "six"),           make_route("", "=6001", "exact"),
        make_route("", "8150-8379", "range"), make_route("", "+", "world"),
        make_route("", "*21", "star"),        make_route("", "=12345678901234567890123456789012", "long")};
    for (size_t i = 0; i < 6; i++)
        change_put(&c, &objects[i]);
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        match_text(&f, rows[i].number, text, sizeof text);
        if (strcmp(text, rows[i].want) != 0) fail_msg("%s: %s", rows[i].number, text);
    }
    change_fini(&c);
    fixture_close(&f);
}

static void test_candidate(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    struct candidate found[4];
    struct arena arena = {0};
    size_t count;
    bool more;
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object account = make_account("cam-gw", "8150-8379");
    struct plan_object route = make_route("hq", "8", "pbx");
    account.account.strip = 1;
    account.account.prepend = SLICE("340");
    account.account.site = SLICE("campus");
    account.account.calls = 7;
    route.route.priority = 20;
    route.route.hours = SLICE("Mo-Fr 08:00-18:00");
    change_put(&c, &account);
    change_put(&c, &route);
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_match(f.read, &arena, SLICE("8200"), found, 4, &count, &more), ERR_OK);
    store_read_end(f.read); /* texts live in the arena */
    assert_false(more);
    assert_int_equal(count, 2);
    assert_true(found[0].from_account);
    assert_int_equal(found[0].specificity, 4);
    assert_int_equal(found[0].route.target.kind, PLAN_TO_ACCOUNT);
    assert_true(slice_is(found[0].route.target.name, "cam-gw"));
    assert_true(slice_is(found[0].route.match, "8150-8379"));
    assert_true(slice_is(found[0].route.prepend, "340"));
    assert_int_equal(found[0].route.strip, 1);
    assert_true(found[0].target_read && !found[0].target_disabled);
    assert_int_equal(found[0].target_calls, 7);
    assert_true(slice_is(found[0].target_site, "campus"));
    assert_false(found[1].target_read);
    assert_int_equal(found[0].route.priority, PLAN_PRIORITY_DEFAULT);
    assert_false(found[1].from_account);
    assert_int_equal(found[1].specificity, 1);
    assert_true(slice_is(found[1].route.scope, "hq"));
    assert_true(slice_is(found[1].route.hours, "Mo-Fr 08:00-18:00"));
    assert_int_equal(found[1].route.priority, 20);
    /* Too little room. */
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_match(f.read, &arena, SLICE("8200"), found, 1, &count, &more), ERR_OK);
    store_read_end(f.read);
    assert_int_equal(count, 1);
    assert_true(more);
    arena_fini(&arena);
    change_fini(&c);
    fixture_close(&f);
}

/* An account whose numbers fall on one key twice has two entries there, and none once it is gone. */
static void test_account_overlapping_numbers(void **state)
{
    static const struct slice numbers[] = {{"820-829", 7}, {"82", 2}, {"=8200", 5}};
    (void)state;
    struct fixture f;
    struct change c;
    char text[256];
    fixture_open(&f, NULL, 0);
    change_init(&c, "hq-1", 1, 1, 10);
    struct plan_object account = make_account("cam", NULL);
    account.account.numbers = numbers;
    account.account.number_count = 3;
    change_put(&c, &account);
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    match_text(&f, "8200", text, sizeof text);
    assert_string_equal(text, "account/cam account/cam account/cam ");
    change_fini(&c);
    change_init(&c, "hq-1", 1, 2, 11);
    change_delete(&c, "account/cam");
    assert_int_equal(apply_err(&f, &c), ERR_OK);
    match_text(&f, "8200", text, sizeof text);
    assert_string_equal(text, "");
    change_fini(&c);
    fixture_close(&f);
}

/* Which lengths the numbers have that are names: of several, through change and removal. */
static void test_names(void **state)
{
    (void)state;
    struct fixture f;
    struct change c;
    fixture_open(&f, NULL, 0);
    static const struct {
        const char *put;
        const char *gone;
        bool possible; /* of four characters, afterwards */
    } rows[] = {{"alice", NULL, false},        {"60015", NULL, false},        {"6001", NULL, true},
                {"6002", NULL, true},          {NULL, "account/6001", true},  {"6002", NULL, true},
                {NULL, "account/6002", false}, {NULL, "account/6002", false}, {"6002", NULL, true},
                {NULL, "account/alice", true}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        change_init(&c, "hq-1", 1, i + 1, 10 + i);
        struct plan_object o = make_account(rows[i].put != NULL ? rows[i].put : "", NULL);
        o.account.calls = i; /* another account each time */
        if (rows[i].put != NULL) change_put(&c, &o);
        if (rows[i].gone != NULL) change_delete(&c, rows[i].gone);
        assert_int_equal(apply_err(&f, &c), ERR_OK);
        change_fini(&c);
        assert_int_equal(store_read_begin(f.read), ERR_OK);
        if (store_name_possible(f.read, 4) != rows[i].possible) fail_msg("row %u", i);
        assert_int_equal(store_name_possible(f.read, 5), i > 0);
        assert_false(store_name_possible(f.read, 6));
        store_read_end(f.read);
    }
    fixture_close(&f);
}

/* Thousands of routes on one key, scoped to as many sites: added and replaced in one change-set each. */
static void test_crowded_key(void **state)
{
    enum { COUNT = 3000 };
    (void)state;
    struct fixture f;
    struct candidate *found = calloc(COUNT + 1, sizeof *found);
    struct arena arena = {0};
    size_t count;
    bool more;
    assert_non_null(found);
    fixture_open(&f, NULL, 0);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct change c;
        change_init(&c, "hq-1", 1, seq, 10 + seq);
        c.many_cap = COUNT;
        c.many = calloc(COUNT, sizeof *c.many);
        assert_non_null(c.many);
        for (unsigned i = 0; i < COUNT; i++) {
            char scope[16];
            (void)snprintf(scope, sizeof scope, "s%u", i);
            struct plan_object o = make_route(scope, "112", "pbx");
            o.route.priority = (uint32_t)seq;
            change_put(&c, &o);
        }
        assert_int_equal(apply_err(&f, &c), ERR_OK);
        assert_int_equal(store_read_begin(f.read), ERR_OK);
        assert_int_equal(store_match(f.read, &arena, SLICE("112"), found, COUNT + 1, &count, &more), ERR_OK);
        store_read_end(f.read);
        assert_int_equal(count, COUNT);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(found[i].route.priority, seq);
        change_fini(&c);
    }
    free(found);
    arena_fini(&arena);
    fixture_close(&f);
}

/* ---- against a naive scan ---- */

#define PATTERNS 300
#define ROUNDS 12

struct model {
    char match[PATTERNS][80];
    bool live[PATTERNS];
};

static void random_digits(struct rng *rng, char *out, size_t n)
{
    /* Few symbols, so that patterns meet. */
    for (size_t i = 0; i < n; i++)
        out[i] = "01289"[rng_below(rng, 5)];
    out[n] = '\0';
}

static void random_match(struct rng *rng, char *out, size_t cap)
{
    char a[LIMIT_NUMBER + 1];
    char b[LIMIT_NUMBER + 1];
    size_t n = 1 + (size_t)rng_below(rng, rng_below(rng, 8) == 0 ? LIMIT_NUMBER : 5);
    random_digits(rng, a, n);
    random_digits(rng, b, n);
    int d = strcmp(a, b);
    switch (rng_below(rng, 4)) {
    case 0: (void)snprintf(out, cap, "=%s", a); return;
    case 1:
        if (d != 0 && n <= 8) {
            (void)snprintf(out, cap, "%s-%s", d < 0 ? a : b, d < 0 ? b : a);
            return;
        }
        break;
    case 2: (void)snprintf(out, cap, "+%.*s", (int)(n < LIMIT_NUMBER ? n : n - 1), a); return;
    default: break;
    }
    (void)snprintf(out, cap, "%s", a);
}

static void check_number(struct fixture *f, const struct model *m, const char *number)
{
    static struct candidate found[PATTERNS + 1];
    struct arena arena = {0};
    size_t count;
    bool more;
    bool seen[PATTERNS] = {false};
    size_t want = 0;
    size_t last_key = INT32_MAX;
    assert_int_equal(store_match(f->read, &arena, slice_of(number), found, PATTERNS + 1, &count, &more), ERR_OK);
    assert_false(more);
    for (size_t i = 0; i < count; i++) {
        struct pattern p;
        assert_int_equal(pattern_parse(found[i].route.match, &p, NULL), ERR_OK);
        assert_true(pattern_matches(&p, slice_of(number)));
        assert_int_equal(found[i].specificity, pattern_specificity(&p));
        size_t at = (size_t)atoi(found[i].route.target.name.p + 1); /* "t17" */
        assert_true(at < PATTERNS && m->live[at] && !seen[at]);
        assert_true(slice_is(found[i].route.match, m->match[at]));
        seen[at] = true;
        /* Longest key first: known for prefixes and exact numbers, whose key is as long as their specificity. */
        if (p.kind != PATTERN_RANGE) {
            size_t key = p.kind == PATTERN_EXACT ? p.low.n + 1 : p.low.n;
            assert_true(key <= last_key);
            last_key = key;
        }
    }
    for (size_t i = 0; i < PATTERNS; i++) {
        struct pattern p;
        if (!m->live[i]) continue;
        assert_int_equal(pattern_parse(slice_of(m->match[i]), &p, NULL), ERR_OK);
        if (!pattern_matches(&p, slice_of(number))) continue;
        want++;
        if (!seen[i]) fail_msg("%s does not find %s", number, m->match[i]);
    }
    assert_int_equal(count, want);
    arena_fini(&arena);
}

static void change_randomly(struct change *c, struct model *m, struct rng *rng, unsigned round)
{
    c->many_cap = PATTERNS;
    c->many = calloc(PATTERNS, sizeof *c->many);
    assert_non_null(c->many);
    for (unsigned i = 0; i < PATTERNS; i++) {
        char target[16];
        (void)snprintf(target, sizeof target, "t%u", i);
        if (round > 0 && rng_below(rng, 4) != 0) continue;
        if (m->live[i]) { /* identity holds the match: another match is another route */
            char key[128];
            (void)snprintf(key, sizeof key, "route//%s/trunk/%s", m->match[i], target);
            change_delete(c, key);
            m->live[i] = false;
        } else {
            random_match(rng, m->match[i], sizeof m->match[i]);
            struct plan_object o = make_route("", m->match[i], target);
            change_put(c, &o);
            m->live[i] = true;
        }
    }
}

static void test_against_naive_scan(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture f;
        struct rng rng;
        struct model *m = calloc(1, sizeof *m);
        assert_non_null(m);
        rng_init(&rng, seed);
        fixture_open(&f, NULL, 0);
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct change c;
            change_init(&c, "hq-1", 1, round + 1, 100 + round);
            change_randomly(&c, m, &rng, round);
            struct store_completion done = apply(&f, &c);
            if (done.err != ERR_OK) fail_msg("%s", done.info.text);
            change_fini(&c);
            assert_int_equal(store_read_begin(f.read), ERR_OK);
            for (unsigned i = 0; i < 300; i++) {
                char number[LIMIT_NUMBER + 2];
                size_t n = 1 + (size_t)rng_below(&rng, 8);
                random_digits(&rng, number + 1, n);
                number[0] = '+';
                check_number(&f, m, number + (rng_below(&rng, 4) != 0));
            }
            for (unsigned i = 0; i < PATTERNS; i++) { /* numbers at the very edges of patterns */
                if (!m->live[i]) continue;
                const char *at = m->match[i][0] == '=' ? m->match[i] + 1 : m->match[i];
                char number[LIMIT_NUMBER + 2];
                (void)snprintf(number, sizeof number, "%.*s", (int)strcspn(at, "-"), at);
                check_number(&f, m, number);
            }
            store_read_end(f.read);
        }
        free(m);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_exact_range),          cmocka_unit_test(test_candidate),
        cmocka_unit_test(test_account_overlapping_numbers), cmocka_unit_test(test_crowded_key),
        cmocka_unit_test(test_against_naive_scan),          cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
