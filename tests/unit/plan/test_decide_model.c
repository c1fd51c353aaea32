/* The ladder against a naive model, on random candidates. */
#include "decide_kit.h"

#define CANDIDATES_MAX 24

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
        [TARGET_DRAINED] = WHY_DRAINED,     [TARGET_RESTING] = WHY_RESTING};
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
                limited = limited || why == WHY_LIMIT || why == WHY_RESTING;
                known = known || why == WHY_HOURS || why == WHY_DISABLED || why == WHY_DOWN || why == WHY_NO_BINDING ||
                        why == WHY_NODE_GONE || why == WHY_LIMIT || why == WHY_RESTING || why == WHY_DRAINED;
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
        struct decide_input in = input_of(cs, 0);
        struct decision d;
        struct model m;
        in.source_site = slice_of(source_sites[rng_below(&rng, 4)]);
        in.candidate_count = fill(&rng, &in, cs, false);
        decide(&in, &d);
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
        struct decide_input in = input_of(cs, 0);
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
        in.candidate_count = n;
        decide(&in, &a);
        in.candidates = shuffled;
        decide(&in, &b);
        assert_int_equal(a.target_count, b.target_count);
        assert_int_equal(a.code, b.code);
        assert_int_equal(a.rule, b.rule);
        for (size_t i = 0; i < a.target_count; i++) {
            assert_int_equal(model_compare(&in, a.targets[i].from, b.targets[i].from), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_order_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
