/* The ladder: each rung by example, then against a naive model on random candidates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "node/base/rng.h"
#include "node/plan/decide.h"

#define CANDIDATES_MAX 24

/* ---- candidates from text ---- */

struct setting {
    const char *name;
    void (*set)(struct candidate *c, struct slice value);
};

static uint32_t to_number(struct slice value)
{
    uint64_t n = 0;
    assert_int_equal(slice_u64(value, UINT32_MAX, &n), ERR_OK);
    return (uint32_t)n;
}

static void set_priority(struct candidate *c, struct slice v)
{
    c->route.priority = to_number(v);
}
static void set_weight(struct candidate *c, struct slice v)
{
    c->route.weight = to_number(v);
}
static void set_scope(struct candidate *c, struct slice v)
{
    c->route.scope = v;
}
static void set_site(struct candidate *c, struct slice v)
{
    c->target_site = v;
}
static void set_hours(struct candidate *c, struct slice v)
{
    c->route.hours = slice_is(v, "night") ? SLICE("Mo-Su 20:00-06:00") : SLICE("Mo-Su 06:00-20:00");
}
static void set_strip(struct candidate *c, struct slice v)
{
    c->route.strip = (uint8_t)to_number(v);
}
static void set_prepend(struct candidate *c, struct slice v)
{
    c->route.prepend = v;
}
static void set_least(struct candidate *c, struct slice v)
{
    c->route.length_min = (uint8_t)to_number(v);
}
static void set_most(struct candidate *c, struct slice v)
{
    c->route.length_max = (uint8_t)to_number(v);
}
static void set_overflow(struct candidate *c, struct slice v)
{
    (void)v;
    c->route.overflow = true;
}
static void set_disabled(struct candidate *c, struct slice v)
{
    (void)v;
    c->route.disabled = true;
}
static void set_target_disabled(struct candidate *c, struct slice v)
{
    (void)v;
    c->target_disabled = true;
}
static void set_stale(struct candidate *c, struct slice v)
{
    (void)v;
    c->stale = true;
}
static void set_account(struct candidate *c, struct slice v)
{
    (void)v;
    c->from_account = true;
}
static void set_down(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_DOWN;
}
static void set_unbound(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_NO_BINDING;
}
static void set_gone(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_NODE_GONE;
}
static void set_drained(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_DRAINED;
}
static void set_full(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_AT_LIMIT;
}
static void set_unknown(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_UNKNOWN;
}

static const struct setting settings[] = {
    {"p", set_priority},        {"w", set_weight},          {"scope", set_scope},
    {"site", set_site},         {"hours", set_hours},       {"strip", set_strip},
    {"prepend", set_prepend},   {"least", set_least},       {"most", set_most},
    {"overflow", set_overflow}, {"disabled", set_disabled}, {"target-disabled", set_target_disabled},
    {"stale", set_stale},       {"number-of", set_account}, {"down", set_down},
    {"unbound", set_unbound},   {"gone", set_gone},         {"full", set_full},
    {"unknown", set_unknown},   {"drained", set_drained},
};

/* "MATCH TARGET setting=value ...". */
static struct candidate candidate_of(const char *text)
{
    struct candidate c = {.route = {.priority = 10, .weight = 10}};
    struct slice word;
    struct pattern p;
    struct slice rest = slice_cut(slice_of(text), ' ', &c.route.match);
    assert_int_equal(pattern_parse(c.route.match, &p, NULL), ERR_OK);
    c.specificity = pattern_specificity(&p);
    rest = slice_cut(rest, ' ', &word);
    assert_int_equal(plan_target_parse(word, &c.route.target, NULL), ERR_OK);
    while (rest.p != NULL) {
        struct slice name;
        size_t i = 0;
        rest = slice_cut(rest, ' ', &word);
        struct slice value = slice_cut(word, '=', &name);
        while (i < sizeof settings / sizeof settings[0] && !slice_is(name, settings[i].name))
            i++;
        if (i == sizeof settings / sizeof settings[0]) fail_msg("no setting %.*s", SLICE_ARG(name));
        settings[i].set(&c, value);
    }
    return c;
}

/* ---- by example: number 8150 from trunk/source, at site hq, a call of a source at branch, Monday noon ---- */

static const struct example {
    const char *candidates[6];
    const char *decision; /* rule, code, targets with their numbers */
    const char *whys;     /* in the order of the candidates */
} examples[] = {
    /* no match */
    {{NULL}, "6 404", ""},
    /* rule 2 and 3: which match */
    {{"8 trunk/a"}, "3 0 a=8150", "chosen"},
    {{"8 trunk/a", "81 trunk/b"}, "3 0 b=8150", "shorter chosen"},
    {{"815 trunk/a", "8150-8379 trunk/b"}, "3 0 b=8150", "shorter chosen"},
    {{"8150-8379 trunk/a", "=8150 trunk/b"}, "3 0 b=8150", "shorter chosen"},
    {{"=8150 trunk/a", "=8150 account/8150 number-of"}, "2 0 8150=8150", "shorter chosen"},
    {{"=8150 trunk/a", "=8150 account/8150 number-of unbound"}, "4 0 a=8150", "chosen no-binding"},
    {{"8 trunk/a", "=8150 account/8150 number-of unbound"}, "6 480", "shorter no-binding"},
    {{"8 trunk/a", "=8150 account/8150 number-of unbound overflow"}, "6 0 a=8150", "chosen no-binding"},
    {{"=8150 account/other number-of w=0", "=8150 trunk/a w=0"}, "5 0 a=8150 other=8150", "chosen chosen"},
    /* scope */
    {{"8 trunk/a", "8 trunk/b scope=hq"}, "3 0 b=8150", "scope chosen"},
    {{"8 trunk/a", "8 trunk/b scope=branch"}, "3 0 b=8150", "scope chosen"},
    {{"8 trunk/a", "8 trunk/b scope=campus"}, "3 0 a=8150", "chosen scope"},
    {{"81 trunk/a", "8 trunk/b scope=hq"}, "3 0 a=8150", "chosen shorter"},
    {{"8 trunk/a", "8 trunk/b scope=hq down"}, "4 0 a=8150", "chosen down"},
    {{"8 trunk/a", "8 trunk/b scope=hq hours=night"}, "4 0 a=8150", "chosen hours"},
    /* length: outside it there is no match, so nothing is held back */
    {{"8 trunk/a", "81 trunk/b least=5"}, "3 0 a=8150", "chosen length"},
    {{"8 trunk/a", "81 trunk/b most=3"}, "3 0 a=8150", "chosen length"},
    {{"81 trunk/b least=4 most=4"}, "3 0 b=8150", "chosen"},
    {{"81 trunk/b most=3"}, "6 404", "length"},
    /* rule 4: dropped, and what the answer is */
    {{"8 trunk/a down"}, "6 480", "down"},
    {{"8 trunk/a gone"}, "6 480", "node-gone"},
    {{"8 trunk/a drained"}, "6 480", "drained"},
    {{"8 trunk/a drained p=1", "8 trunk/b p=2"}, "4 0 b=8150", "drained chosen"},
    {{"8 trunk/a full"}, "6 503", "limit"},
    {{"8 trunk/a full", "8 trunk/b down"}, "6 503", "limit down"},
    {{"8 trunk/a unknown"}, "6 404", "unknown-target"},
    {{"8 trunk/a hours=night"}, "6 480", "hours"},
    {{"8 trunk/a hours=day"}, "3 0 a=8150", "chosen"},
    {{"8 trunk/a disabled"}, "6 480", "disabled"},
    {{"8 trunk/a target-disabled"}, "6 480", "disabled"},
    {{"8 trunk/source"}, "6 404", "not-permitted"},
    {{"8 account/source"}, "3 0 source=8150", "chosen"},
    {{"8 trunk/a strip=4"}, "6 404", "rewrite"},
    {{"8 trunk/a prepend=12345678901234567890123456789"}, "6 404", "rewrite"},
    {{"8 trunk/a down", "8 trunk/b"}, "4 0 b=8150", "down chosen"},
    {{"8 trunk/a strip=1 prepend=34020000001320"}, "3 0 a=34020000001320150", "chosen"},
    /* rule 4 holds shorter matches back, unless it overflows */
    {{"8 trunk/a", "81 trunk/b down"}, "6 480", "shorter down"},
    {{"8 trunk/a", "81 trunk/b down overflow"}, "6 0 a=8150", "chosen down"},
    {{"8 trunk/a", "81 trunk/b down overflow", "81 trunk/c full"}, "6 0 a=8150", "chosen down limit"},
    {{"8 trunk/a full", "81 trunk/b down overflow"}, "6 503", "limit down"},
    {{"8 trunk/a", "81 trunk/b down", "815 trunk/c down overflow"}, "6 480", "shorter down down"},
    {{"8 trunk/a", "81 trunk/b disabled"}, "6 480", "shorter disabled"},
    /* the numbers of an account without a binding are withdrawn */
    {{"8 trunk/a", "81 account/gw number-of unbound"}, "3 0 a=8150", "chosen no-binding"},
    {{"8 trunk/a", "81 account/gw number-of target-disabled"}, "3 0 a=8150", "chosen disabled"},
    {{"8 trunk/a", "81 account/gw number-of gone"}, "6 480", "shorter node-gone"},
    {{"81 account/gw number-of unbound"}, "6 480", "no-binding"},
    {{"8 trunk/a", "81 account/gw unbound"}, "6 480", "shorter no-binding"},
    {{"8 trunk/a", "81 account/gw number-of unbound", "81 trunk/b down"}, "6 480", "shorter no-binding down"},
    /* rule 5: priority, own site, weight, name; what is stale comes last */
    {{"8 trunk/a p=20", "8 trunk/b p=10"}, "5 0 b=8150 a=8150", "chosen chosen"},
    {{"8 trunk/a", "8 trunk/b site=hq"}, "5 0 b=8150 a=8150", "chosen chosen"},
    {{"8 trunk/a p=9", "8 trunk/b site=hq"}, "5 0 a=8150 b=8150", "chosen chosen"},
    {{"8 trunk/b w=0", "8 trunk/a w=0"}, "5 0 a=8150 b=8150", "chosen chosen"},
    {{"8 trunk/a w=0", "8 trunk/b w=1"}, "5 0 b=8150 a=8150", "chosen chosen"},
    {{"8 trunk/a p=1 stale", "8 trunk/b p=99"}, "5 0 b=8150 a=8150", "chosen chosen"},
    /* a group that is stale as a whole gives way to the next one of its length, and to no shorter match */
    {{"=8150 account/8150 number-of stale", "=8150 trunk/b"}, "5 0 b=8150 8150=8150", "chosen chosen"},
    {{"=8150 account/8150 number-of stale", "=8150 trunk/b down"}, "2 0 8150=8150", "chosen down"},
    {{"=8150 account/8150 number-of stale", "8150 trunk/b"}, "2 0 8150=8150", "chosen shorter"},
    {{"8 account/a scope=hq stale", "8 trunk/b", "81 trunk/c full overflow"},
     "6 0 b=8150 a=8150",
     "chosen chosen limit"},
    {{"8 account/a scope=hq stale", "8 account/b stale w=0", "8 account/c stale w=0"},
     "5 0 a=8150 b=8150 c=8150",
     "chosen chosen chosen"},
    {{"8 account/a scope=hq stale", "8 reject/404"}, "5 404", "rejected chosen"},
    {{"=8150 account/8150 number-of stale", "=8150 trunk/b scope=hq", "=8150 trunk/c"},
     "5 0 b=8150 8150=8150",
     "chosen chosen scope"},
    {{"8 trunk/a p=1", "8 site/a p=2"}, "5 0 a=8150 a=8150", "chosen chosen"},
    {{"80-89 trunk/a p=1", "81 trunk/a p=2"}, "5 0 a=8150", "chosen repeated"},
    {{"80-89 trunk/a p=1", "81 trunk/a p=2 strip=1"}, "5 0 a=8150 a=150", "chosen chosen"},
    /* reject ends the list */
    {{"8 reject/404"}, "3 404", "chosen"},
    {{"8 reject/603", "8 trunk/a p=20"}, "5 603", "chosen rejected"},
    {{"8 trunk/a p=1", "8 reject/503 p=2", "8 trunk/b p=3"}, "5 0 a=8150", "chosen chosen rejected"},
    {{"8 trunk/a p=1 down", "8 reject/486 p=2"}, "4 486", "down chosen"},
    {{"81 reject/404", "8 trunk/a"}, "3 404", "chosen shorter"},
    {{"81 reject/404 hours=night overflow", "8 trunk/a"}, "6 0 a=8150", "hours chosen"},
    {{"81 reject/404 disabled overflow", "8 trunk/a"}, "6 0 a=8150", "disabled chosen"},
};

static void run(struct decide_input *in, struct decision *d, struct candidate *cs, size_t count)
{
    *in = (struct decide_input){.number = SLICE("8150"),
                                .site = SLICE("hq"),
                                .source = SLICE("trunk/source"),
                                .call_id = SLICE("call-1"),
                                .now = {0, 720},
                                .candidates = cs,
                                .candidate_count = count,
                                .source_site = SLICE("branch")};
    memset(d, 0xee, sizeof *d);
    plan_decide(in, d);
}

static void test_examples(void **state)
{
    (void)state;
    for (size_t e = 0; e < sizeof examples / sizeof examples[0]; e++) {
        struct candidate cs[6];
        struct decide_input in;
        struct decision d;
        struct buf got = {0};
        struct buf whys = {0};
        size_t count = 0;
        for (; count < 6 && examples[e].candidates[count] != NULL; count++)
            cs[count] = candidate_of(examples[e].candidates[count]);
        run(&in, &d, cs, count);
        buf_printf(&got, "%u %u", d.rule, d.code);
        for (size_t i = 0; i < d.target_count; i++) {
            const struct decided_target *t = &d.targets[i];
            buf_printf(&got, " %.*s=%.*s", SLICE_ARG(t->from->route.target.name), (int)t->number_len, t->number);
            assert_int_equal(t->from->place, i + 1);
        }
        for (size_t i = 0; i < count; i++) {
            buf_printf(&whys, "%s%s", i > 0 ? " " : "", decide_why_name(cs[i].why));
            assert_int_equal(cs[i].why == WHY_CHOSEN, cs[i].place != 0);
        }
        if (!slice_is(buf_view(&got), examples[e].decision) || !slice_is(buf_view(&whys), examples[e].whys)) {
            fail_msg("example %zu (%s): %.*s (%.*s)", e, count > 0 ? examples[e].candidates[0] : "none",
                     SLICE_ARG(buf_view(&got)), SLICE_ARG(buf_view(&whys)));
        }
        buf_fini(&got);
        buf_fini(&whys);
    }
}

/* The account of that name may come with any specificity above LIMIT_NUMBER: it still gives way to an exact route. */
static void test_named_specificity(void **state)
{
    (void)state;
    for (unsigned specificity = LIMIT_NUMBER + 1; specificity < LIMIT_NUMBER + 5; specificity++) {
        struct candidate cs[] = {candidate_of("=8150 account/8150 number-of unbound"), candidate_of("=8150 trunk/a")};
        struct decide_input in;
        struct decision d;
        cs[0].specificity = specificity;
        run(&in, &d, cs, 2);
        assert_int_equal(d.target_count, 1);
        assert_ptr_equal(d.targets[0].from, &cs[1]);
        cs[0].health = TARGET_UP;
        run(&in, &d, cs, 2);
        assert_int_equal(d.rule, 2);
        assert_ptr_equal(d.targets[0].from, &cs[0]);
    }
}

static void test_too_many(void **state)
{
    (void)state;
    struct candidate cs[DECIDE_TARGET_MAX + 4];
    char names[DECIDE_TARGET_MAX + 4][24];
    struct decide_input in;
    struct decision d;
    size_t too_many = 0;
    for (size_t i = 0; i < sizeof cs / sizeof cs[0]; i++) {
        (void)snprintf(names[i], sizeof names[i], "8 trunk/t%02zu w=0", i);
        cs[i] = candidate_of(names[i]);
    }
    run(&in, &d, cs, sizeof cs / sizeof cs[0]);
    assert_int_equal(d.target_count, DECIDE_TARGET_MAX);
    for (size_t i = 0; i < sizeof cs / sizeof cs[0]; i++)
        too_many += cs[i].why == WHY_TOO_MANY;
    assert_int_equal(too_many, 4);
    assert_ptr_equal(d.targets[DECIDE_TARGET_MAX - 1].from, &cs[DECIDE_TARGET_MAX - 1]);
}

/* ---- weights ---- */

static void test_weights(void **state)
{
    (void)state;
    enum { CALLS = 20000 };
    unsigned first[3] = {0};
    unsigned b_before_c = 0;
    for (unsigned call = 0; call < CALLS; call++) {
        struct candidate cs[] = {candidate_of("8 trunk/a w=60"), candidate_of("8 trunk/b w=30"),
                                 candidate_of("8 trunk/c w=10")};
        char id[32];
        (void)snprintf(id, sizeof id, "%u@10.1.0.1", call);
        struct decide_input in = {
            .number = SLICE("8150"), .call_id = slice_of(id), .candidates = cs, .candidate_count = 3};
        struct decision d;
        struct decision again;
        plan_decide(&in, &d);
        plan_decide(&in, &again);
        assert_int_equal(d.target_count, 3);
        first[d.targets[0].from - cs]++;
        b_before_c += cs[1].place < cs[2].place;
        for (size_t i = 0; i < 3; i++)
            assert_ptr_equal(d.targets[i].from, again.targets[i].from);
        /* without the first, the rest keeps its order */
        struct candidate *gone = &cs[d.targets[0].from - cs];
        gone->health = TARGET_DOWN;
        plan_decide(&in, &again);
        assert_int_equal(again.target_count, 2);
        assert_ptr_equal(again.targets[0].from, d.targets[1].from);
    }
    /* four standard deviations of a binomial draw */
    assert_in_range(first[0], 12000 - 280, 12000 + 280);
    assert_in_range(first[1], 6000 - 260, 6000 + 260);
    assert_in_range(first[2], 2000 - 170, 2000 + 170);
    assert_in_range(b_before_c, 15000 - 250, 15000 + 250);
}

/* ---- against a naive model ---- */

/* The model thinks in a list of levels, each asked in turn; it knows nothing of ranks or tallies. Weights are all 0, so
 * that the order within a level is known. */
struct model {
    enum decide_why whys[CANDIDATES_MAX];
    size_t order[CANDIDATES_MAX]; /* targets */
    size_t count;
    unsigned code;
};

static enum decide_why model_health(const struct decide_input *in, const struct candidate *c)
{
    static const enum decide_why of_health[] = {
        [TARGET_UP] = WHY_CHOSEN,           [TARGET_DOWN] = WHY_DOWN,      [TARGET_NO_BINDING] = WHY_NO_BINDING,
        [TARGET_NODE_GONE] = WHY_NODE_GONE, [TARGET_AT_LIMIT] = WHY_LIMIT, [TARGET_UNKNOWN] = WHY_UNKNOWN_TARGET,
        [TARGET_DRAINED] = WHY_DRAINED};
    char source[80];
    size_t left = in->number.n > c->route.strip ? in->number.n - c->route.strip : 0;
    (void)snprintf(source, sizeof source, "%s/%.*s", plan_target_kind_name(c->route.target.kind),
                   SLICE_ARG(c->route.target.name));
    if (!hours_contain(c->route.hours, in->now)) return WHY_HOURS;
    if (c->route.disabled) return WHY_DISABLED;
    if (c->route.target.kind == PLAN_TO_REJECT) return WHY_CHOSEN;
    if (c->health == TARGET_UNKNOWN) return WHY_UNKNOWN_TARGET;
    if (c->target_disabled) return WHY_DISABLED;
    if (slice_is(in->source, source)) return WHY_NOT_PERMITTED;
    if (c->health != TARGET_UP) return of_health[c->health];
    return left + c->route.prepend.n == 0 ? WHY_REWRITE : WHY_CHOSEN;
}

static bool model_named(const struct decide_input *in, const struct candidate *c)
{
    return c->from_account && slice_eq(c->route.match, SLICE("=8150")) && slice_eq(c->route.target.name, in->number);
}

/* Whether candidate c belongs to the level of this specificity and class (0 named, 1 scoped, 2 global). */
static bool model_in_level(const struct decide_input *in, const struct candidate *c, unsigned specificity,
                           unsigned class)
{
    bool scope_fits =
        c->route.scope.n == 0 || slice_eq(c->route.scope, in->site) || slice_eq(c->route.scope, in->source_site);
    bool length_fits =
        in->number.n >= c->route.length_min && (c->route.length_max == 0 || in->number.n <= c->route.length_max);
    unsigned own = model_named(in, c) ? 0 : c->route.scope.n > 0 ? 1 : 2;
    return scope_fits && length_fits && c->specificity == specificity && own == class;
}

static int model_compare(const struct decide_input *in, const struct candidate *a, const struct candidate *b)
{
    int own_a = slice_eq(a->target_site, in->site) ? 0 : 1;
    int own_b = slice_eq(b->target_site, in->site) ? 0 : 1;
    int order = (int)a->stale - (int)b->stale;
    if (order == 0) order = (int)a->route.priority - (int)b->route.priority;
    if (order == 0) order = own_a - own_b;
    if (order == 0) order = slice_cmp(a->route.target.name, b->route.target.name);
    if (order == 0) order = (int)a->route.target.kind - (int)b->route.target.kind;
    if (order == 0) order = (int)a->route.target.code - (int)b->route.target.code;
    if (order == 0) order = slice_cmp(a->route.scope, b->route.scope);
    if (order == 0) order = slice_cmp(a->route.match, b->route.match);
    if (order == 0) order = (int)a->from_account - (int)b->from_account;
    return order;
}

static bool model_same_target(const struct candidate *a, const struct candidate *b)
{
    return a->route.target.kind == b->route.target.kind && slice_eq(a->route.target.name, b->route.target.name) &&
           (a->route.strip == b->route.strip || (a->route.strip >= 4 && b->route.strip >= 4)) &&
           slice_eq(a->route.prepend, b->route.prepend);
}

static void model_place(const struct decide_input *in, struct model *m, size_t *members, size_t count, bool *ended)
{
    bool rejected = *ended;
    for (size_t i = 1; i < count; i++) { /* insertion sort */
        for (size_t j = i; j > 0 && model_compare(in, &in->candidates[members[j]], &in->candidates[members[j - 1]]) < 0;
             j--) {
            size_t swap = members[j];
            members[j] = members[j - 1];
            members[j - 1] = swap;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct candidate *c = &in->candidates[members[i]];
        bool repeated = false;
        for (size_t j = 0; j < m->count; j++)
            repeated = repeated || model_same_target(c, &in->candidates[m->order[j]]);
        if (rejected) {
            m->whys[members[i]] = WHY_REJECTED;
        } else if (c->route.target.kind == PLAN_TO_REJECT) {
            rejected = true;
            if (m->count == 0) m->code = c->route.target.code;
        } else if (m->count == DECIDE_TARGET_MAX) {
            m->whys[members[i]] = WHY_TOO_MANY;
        } else if (repeated) {
            m->whys[members[i]] = WHY_REPEATED;
        } else {
            m->order[m->count++] = members[i];
        }
    }
    *ended = rejected;
}

static void model_decide(const struct decide_input *in, struct model *m)
{
    bool limited = false;
    bool known = false;
    *m = (struct model){.code = 0};
    for (size_t i = 0; i < in->candidate_count; i++) {
        const struct candidate *c = &in->candidates[i];
        bool any = false;
        for (unsigned class = 0; class < 3; class ++)
            any = any || model_in_level(in, c, c->specificity, class);
        bool here =
            c->route.scope.n == 0 || slice_eq(c->route.scope, in->site) || slice_eq(c->route.scope, in->source_site);
        m->whys[i] = any ? WHY_SHORTER : here ? WHY_LENGTH : WHY_SCOPE;
    }
    for (unsigned specificity = LIMIT_NUMBER + 1; specificity > 0; specificity--) {
        bool held = false;
        bool overflow = false;
        bool decided = false;
        bool ended = false;
        size_t late[3][CANDIDATES_MAX]; /* classes that are stale as a whole */
        size_t late_counts[3] = {0};
        for (unsigned class = 0; class < 3 && !decided; class ++) {
            size_t *standing = late[class];
            size_t count = 0;
            bool fresh = false;
            for (size_t i = 0; i < in->candidate_count; i++) {
                const struct candidate *c = &in->candidates[i];
                if (!model_in_level(in, c, specificity, class)) continue;
                enum decide_why why = m->whys[i] = model_health(in, c);
                bool withdrawn = c->from_account && class != 0 && (why == WHY_NO_BINDING || why == WHY_DISABLED);
                if (why == WHY_CHOSEN) {
                    standing[count++] = i;
                    fresh = fresh || !c->stale;
                    continue;
                }
                held = held || !withdrawn;
                overflow = overflow || (!withdrawn && c->route.overflow);
                limited = limited || why == WHY_LIMIT;
                known = known || why == WHY_HOURS || why == WHY_DISABLED || why == WHY_DOWN || why == WHY_NO_BINDING ||
                        why == WHY_NODE_GONE || why == WHY_LIMIT || why == WHY_DRAINED;
            }
            if (!fresh) {
                late_counts[class] = count;
                continue;
            }
            decided = true;
            model_place(in, m, standing, count, &ended);
            for (size_t i = 0; class == 1 && i < in->candidate_count; i++) {
                if (model_in_level(in, &in->candidates[i], specificity, 2)) m->whys[i] = WHY_SCOPE;
            }
        }
        for (unsigned class = 0; class < 3; class ++) {
            decided = decided || late_counts[class] > 0;
            model_place(in, m, late[class], late_counts[class], &ended);
        }
        if (decided) return;
        if (held && !overflow) break;
    }
    m->code = limited ? 503 : known ? 480 : 404;
}

static bool one_in(struct rng *rng, uint64_t n)
{
    return rng_below(rng, n) == 0;
}

static struct candidate random_candidate(struct rng *rng, bool weighted)
{
    static const char *const matches[] = {"8", "81", "815", "8150", "=8150", "80-89", "810-819", "8150-8379", "81"};
    static const char *const targets[] = {"trunk/a", "trunk/b",      "trunk/c",    "account/a", "account/8150",
                                          "site/a",  "trunk/source", "reject/404", "reject/486"};
    static const char *const sites[] = {"", "hq", "campus", "branch"};
    struct candidate c = candidate_of("8 trunk/a");
    struct pattern p;
    c.route.match = slice_of(matches[rng_below(rng, 9)]);
    assert_int_equal(pattern_parse(c.route.match, &p, NULL), ERR_OK);
    c.specificity = pattern_specificity(&p);
    assert_int_equal(plan_target_parse(slice_of(targets[rng_below(rng, 9)]), &c.route.target, NULL), ERR_OK);
    c.from_account = c.route.target.kind == PLAN_TO_ACCOUNT && one_in(rng, 2);
    if (!c.from_account && one_in(rng, 3)) c.route.scope = slice_of(sites[rng_below(rng, 4)]);
    c.route.priority = (uint32_t)rng_below(rng, 3);
    c.route.weight = weighted ? (uint32_t)rng_below(rng, 4) : 0;
    c.route.overflow = one_in(rng, 2);
    c.route.disabled = one_in(rng, 10);
    c.target_disabled = one_in(rng, 10);
    c.stale = one_in(rng, 6);
    c.target_site = slice_of(sites[rng_below(rng, 4)]);
    if (one_in(rng, 5)) c.route.hours = one_in(rng, 2) ? SLICE("Mo 11:00-13:00") : SLICE("Mo 13:00-11:00");
    if (one_in(rng, 6)) c.route.length_min = (uint8_t)rng_below(rng, 7);
    if (one_in(rng, 6)) c.route.length_max = (uint8_t)rng_below(rng, 7);
    if (one_in(rng, 5)) c.route.strip = (uint8_t)rng_below(rng, 6);
    if (one_in(rng, 5)) c.route.prepend = SLICE("9");
    if (one_in(rng, 2)) c.health = (enum target_health)rng_below(rng, TARGET_UNKNOWN + 1);
    return c;
}

static void compare_with_model(const struct decide_input *in, const struct decision *d, const struct model *m,
                               int round)
{
    if (d->target_count != m->count || d->code != m->code) {
        fail_msg("round %d: %zu targets, code %u; the model has %zu, %u", round, d->target_count, d->code, m->count,
                 m->code);
    }
    for (size_t i = 0; i < m->count; i++) {
        size_t at = (size_t)(d->targets[i].from - in->candidates);
        if (at != m->order[i]) fail_msg("round %d: target %zu is %zu; the model has %zu", round, i, at, m->order[i]);
    }
    for (size_t i = 0; i < in->candidate_count; i++) {
        if (in->candidates[i].why == m->whys[i]) continue;
        fail_msg("round %d: candidate %zu is %s; the model has %s", round, i, decide_why_name(in->candidates[i].why),
                 decide_why_name(m->whys[i]));
    }
}

static bool is_copy(const struct candidate *cs, size_t n, const struct decide_input *in, const struct candidate *c)
{
    for (size_t i = 0; i < n; i++) {
        if (model_compare(in, &cs[i], c) == 0) return true;
    }
    return false;
}

static size_t fill(struct rng *rng, struct decide_input *in, struct candidate *cs, bool weighted)
{
    size_t wanted = rng_below(rng, CANDIDATES_MAX + 1);
    size_t n = 0;
    for (size_t i = 0; i < wanted; i++) {
        struct candidate c = random_candidate(rng, weighted);
        if (!is_copy(cs, n, in, &c)) cs[n++] = c; /* a plan has no two routes of one identity */
    }
    return n;
}

static void test_model(void **state)
{
    (void)state;
    struct rng rng;
    unsigned codes[700] = {0};
    unsigned with_targets = 0;
    rng_init(&rng, 2026);
    for (int round = 0; round < 40000; round++) {
        struct candidate cs[CANDIDATES_MAX];
        static const char *const source_sites[] = {"", "", "campus", "branch"};
        struct decide_input in = {.site = SLICE("hq"), .source_site = slice_of(source_sites[rng_below(&rng, 4)])};
        struct decision d;
        struct model m;
        size_t n = fill(&rng, &in, cs, false);
        run(&in, &d, cs, n);
        model_decide(&in, &m);
        compare_with_model(&in, &d, &m, round);
        codes[d.code]++;
        with_targets += d.target_count > 1;
    }
    /* the random plans reach every kind of end */
    assert_true(codes[404] > 100 && codes[480] > 100 && codes[503] > 100 && codes[486] > 100 && with_targets > 1000);
}

/* The order of the array says nothing: shuffled candidates get the same decision, also with weights. */
static void test_order_free(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 99);
    for (int round = 0; round < 5000; round++) {
        struct candidate cs[CANDIDATES_MAX];
        struct candidate shuffled[CANDIDATES_MAX];
        struct decide_input in = {.site = SLICE("hq")};
        struct decision a;
        struct decision b;
        size_t n = fill(&rng, &in, cs, true);
        memcpy(shuffled, cs, sizeof cs);
        for (size_t i = n; i > 1; i--) {
            size_t j = rng_below(&rng, i);
            struct candidate swap = shuffled[i - 1];
            shuffled[i - 1] = shuffled[j];
            shuffled[j] = swap;
        }
        run(&in, &a, cs, n);
        run(&in, &b, shuffled, n);
        assert_int_equal(a.target_count, b.target_count);
        assert_int_equal(a.code, b.code);
        assert_int_equal(a.rule, b.rule);
        for (size_t i = 0; i < a.target_count; i++) {
            assert_int_equal(model_compare(&in, a.targets[i].from, b.targets[i].from), 0);
        }
    }
}

/* ---- rule 1 and failover ---- */

static void test_normalise(void **state)
{
    (void)state;
    static const struct plan_rule in[] = {
        {SLICE("=112"), 0, SLICE_NONE}, {SLICE("+49301234"), 9, SLICE_NONE}, {SLICE("9"), 4, SLICE_NONE}};
    static const struct plan_rule dial[] = {{SLICE("00"), 2, SLICE("+")}, {SLICE("0"), 1, SLICE("+49")}};
    static const struct {
        const char *dialled;
        enum err err;
        const char *number;
        int in;
        int dial;
    } table[] = {
        {"6001", ERR_OK, "6001", -1, -1},
        {"+493012346001", ERR_OK, "6001", 1, -1},
        {"030 123", ERR_OK, "+4930123", -1, 1},
        {"0044 20", ERR_OK, "+4420", -1, 0},
        {"+49301234030", ERR_OK, "+4930", 1, 1},
        {"112", ERR_OK, "112", 0, -1},
        {"9123", ERR_SYNTAX, NULL, 2, -1},
        {"x", ERR_SYNTAX, NULL, -1, -1},
        {"01234567890123456789012345678901", ERR_LIMIT, NULL, -1, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char out[LIMIT_NUMBER + 1];
        size_t len = 0;
        int by_in = 7;
        int by_dial = 7;
        enum err e = decide_normalise(slice_of(table[i].dialled), in, 3, dial, 2, out, &len, &by_in, &by_dial);
        if (e != table[i].err) fail_msg("%s: %s", table[i].dialled, err_name(e));
        assert_int_equal(by_in, table[i].in);
        assert_int_equal(by_dial, table[i].dial);
        if (e == ERR_OK) assert_string_equal(out, table[i].number);
    }
}

/* Rule 1 once more, on NUL-terminated texts: the first rule that matches cuts and adds. -1: no rule; -2: the result is
 * no number. */
static int model_rules(const struct plan_rule *rules, size_t count, char number[128])
{
    for (size_t i = 0; i < count; i++) {
        char match[64];
        char made[256];
        (void)snprintf(match, sizeof match, "%.*s", SLICE_ARG(rules[i].match));
        bool hit = match[0] == '=' ? strcmp(match + 1, number) == 0 : strncmp(match, number, strlen(match)) == 0;
        if (!hit) continue;
        const char *rest = strlen(number) > rules[i].strip ? number + rules[i].strip : "";
        (void)snprintf(made, sizeof made, "%.*s%s", SLICE_ARG(rules[i].prepend), rest);
        assert_true(strlen(made) < 128);
        strcpy(number, made);
        return strlen(number) == 0 || strlen(number) > LIMIT_NUMBER ? -2 : (int)i;
    }
    return -1;
}

static size_t random_rules(struct rng *rng, struct plan_rule rules[4])
{
    static const char *const matches[] = {"0", "00", "=0", "=0112", "1", "11", "+", "+49", "9", "=9", "01", "*1"};
    static const char *const prepends[] = {"", "+", "+49", "9", "0", "11111111111111111111111111111"};
    const size_t count = rng_below(rng, 5);
    for (size_t i = 0; i < count; i++) {
        rules[i] = (struct plan_rule){slice_of(matches[rng_below(rng, 12)]), (uint8_t)rng_below(rng, 4),
                                      slice_of(prepends[rng_below(rng, 6)])};
    }
    return count;
}

static void test_normalise_model(void **state)
{
    struct rng rng;
    unsigned rewritten = 0;
    unsigned refused = 0;
    (void)state;
    rng_init(&rng, 11);
    for (int round = 0; round < 40000; round++) {
        static const char digits[] = "0019+*";
        struct plan_rule in[4];
        struct plan_rule dial[4];
        const size_t in_count = random_rules(&rng, in);
        const size_t dial_count = random_rules(&rng, dial);
        char number[128] = "";
        char dialled[32] = "";
        char out[LIMIT_NUMBER + 1];
        size_t len = 0;
        int by_in = 7;
        int by_dial = 7;
        const size_t n = 1 + rng_below(&rng, 6);
        for (size_t i = 0; i < n; i++) {
            const char c = digits[rng_below(&rng, sizeof digits - 1)];
            number[i] = c;
            (void)snprintf(dialled + strlen(dialled), sizeof dialled - strlen(dialled), one_in(&rng, 5) ? "%c-" : "%c",
                           c);
        }
        const int model_in = model_rules(in, in_count, number);
        const int model_dial = model_in == -2 ? -1 : model_rules(dial, dial_count, number);
        const enum err e =
            decide_normalise(slice_of(dialled), in, in_count, dial, dial_count, out, &len, &by_in, &by_dial);
        if ((e == ERR_OK) != (model_in != -2 && model_dial != -2))
            fail_msg("round %d: %s: %s", round, dialled, err_name(e));
        refused += e != ERR_OK;
        if (e != ERR_OK) continue;
        assert_int_equal(by_in, model_in);
        assert_int_equal(by_dial, model_dial);
        if (len != strlen(number) || memcmp(out, number, len) != 0)
            fail_msg("round %d: %s, not %s", round, out, number);
        rewritten += by_in >= 0 && by_dial >= 0;
    }
    assert_true(rewritten > 1000 && refused > 100);
}

static void test_failover(void **state)
{
    (void)state;
    static const uint16_t codes[] = {480, 486, 600, 487};
    struct plan_route usual = {.failover_count = 0};
    struct plan_route own = {.failover = codes, .failover_count = 4};
    for (unsigned code = 100; code < 700; code++) {
        bool expected = code == 408 || code == 500 || code == 502 || code == 503 || code == 504;
        assert_int_equal(decide_failover(&usual, code), expected);
        assert_int_equal(decide_failover(&own, code), code == 480);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (enum decide_why w = WHY_CHOSEN; w < WHY_COUNT; w++) {
        assert_non_null(decide_why_name(w));
        assert_non_null(decide_why_text(w));
        for (enum decide_why other = WHY_CHOSEN; other < w; other++) {
            assert_string_not_equal(decide_why_name(w), decide_why_name(other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),  cmocka_unit_test(test_named_specificity),
        cmocka_unit_test(test_too_many),  cmocka_unit_test(test_weights),
        cmocka_unit_test(test_model),     cmocka_unit_test(test_order_free),
        cmocka_unit_test(test_normalise), cmocka_unit_test(test_normalise_model),
        cmocka_unit_test(test_failover),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
