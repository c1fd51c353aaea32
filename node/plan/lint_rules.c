/* lint_rules: rules of sites and trunks that no number ever reaches, since of those that match the first one counts. */
#include "node/plan/lint_context.h"

/* Whether every number that late is for is taken by early. */
static bool pre_empts(const struct plan_rule *early, const struct plan_rule *late)
{
    const struct slice a = early->match;
    struct slice b = late->match;
    if (a.n > 0 && a.p[0] == '=') return slice_eq(a, b);
    if (b.n > 0 && b.p[0] == '=') b = (struct slice){b.p + 1, b.n - 1};
    return slice_starts(b, a);
}

static void check_rules(struct lint *l, const struct plan_object *o, const char *name, const struct plan_rule *rules,
                        size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (!pre_empts(&rules[k], &rules[i])) continue;
            lint_add(
                l, LINT_WARNING, "shadowed-rule", o,
                "in %s: the rule for %.*s never counts, since the one for %.*s stands before it and the first that "
                "matches wins: put it first, or remove it",
                name, SLICE_ARG(rules[i].match), SLICE_ARG(rules[k].match));
            break;
        }
    }
}

void lint_rules(struct lint *l)
{
    const struct lint_objects *sites = &l->kinds[PLAN_SITE];
    const struct lint_objects *trunks = &l->kinds[PLAN_TRUNK];
    for (size_t i = 0; i < sites->count; i++)
        check_rules(l, sites->list[i], "dial", sites->list[i]->site.dial, sites->list[i]->site.dial_count);
    for (size_t i = 0; i < trunks->count; i++) {
        const struct plan_trunk *t = &trunks->list[i]->trunk;
        check_rules(l, trunks->list[i], "in", t->in, t->in_count);
        check_rules(l, trunks->list[i], "out", t->out, t->out_count);
    }
}
