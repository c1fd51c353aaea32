/* The ladder: each rung by example. Against a model: test_decide_model.c. */
#include "decide_kit.h"

/* ---- by example ---- */

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
    {{"8 trunk/a resting"}, "6 503", "resting"}, /* it can be reached soon */
    {{"8 trunk/a resting", "8 trunk/b down"}, "6 503", "resting down"},
    {{"8 trunk/a resting", "8 trunk/b p=20"}, "4 0 b=8150", "resting chosen"},
    {{"8 trunk/a", "81 trunk/b resting overflow"}, "6 0 a=8150", "chosen resting"},
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
        in = input_of(cs, count);
        decide(&in, &d);
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
        in = input_of(cs, 2);
        decide(&in, &d);
        assert_int_equal(d.target_count, 1);
        assert_ptr_equal(d.targets[0].from, &cs[1]);
        cs[0].health = TARGET_UP;
        in = input_of(cs, 2);
        decide(&in, &d);
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
    in = input_of(cs, sizeof cs / sizeof cs[0]);
    decide(&in, &d);
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
        cmocka_unit_test(test_normalise), cmocka_unit_test(test_normalise_model),
        cmocka_unit_test(test_failover),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
