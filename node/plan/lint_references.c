/* lint_references: whether every name that an object uses is there, stands for one object, and is used by another. */
#include "node/plan/lint_context.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/plan/pattern.h"
#include "node/plan/text.h"

#define SUGGEST_AMONG 1000 /* a longer list of names is not searched for what was meant */

/* "; did you mean NAME?" or nothing. */
static void suggest(const struct lint *l, enum plan_kind kind, struct slice name, char *out, size_t cap)
{
    const struct lint_objects *o = &l->kinds[kind];
    struct slice near = SLICE_NONE;
    unsigned best = 0;
    out[0] = '\0';
    for (size_t i = 0; i < o->count && o->count <= SUGGEST_AMONG; i++) {
        struct slice other = kind == PLAN_SITE    ? o->list[i]->site.name
                             : kind == PLAN_TRUNK ? o->list[i]->trunk.name
                                                  : o->list[i]->account.name;
        unsigned distance = 0;
        if (!text_near(name, other, &distance) || (near.p != NULL && distance >= best)) continue;
        near = other;
        best = distance;
    }
    if (near.p != NULL) (void)snprintf(out, cap, "; did you mean %.*s?", SLICE_ARG(near));
}

static void need(struct lint *l, const struct plan_object *o, enum plan_kind kind, struct slice name, const char *why)
{
    char meant[LIMIT_NAME + 32];
    size_t position = 0;
    if (lint_find(l, kind, name, &position) != NULL) {
        l->kinds[kind].used[position] = l->kinds[kind].used[position] || o->kind == PLAN_ROUTE;
        return;
    }
    suggest(l, kind, name, meant, sizeof meant);
    lint_add(l, LINT_ERROR, "unknown-target", o, "%s %s/%.*s, which is not in the plan: add it, or name another%s", why,
             plan_kind_name(kind), SLICE_ARG(name), meant);
}

static void need_target(struct lint *l, const struct plan_object *o)
{
    static const enum plan_kind kinds[] = {
        [PLAN_TO_TRUNK] = PLAN_TRUNK, [PLAN_TO_ACCOUNT] = PLAN_ACCOUNT, [PLAN_TO_SITE] = PLAN_SITE};
    const struct plan_target *t = &o->route.target;
    if (t->kind != PLAN_TO_REJECT) need(l, o, kinds[t->kind], t->name, "it leads to");
    if (o->route.scope.n > 0) need(l, o, PLAN_SITE, o->route.scope, "its scope is");
}

static void duplicates(struct lint *l, const struct lint_objects *o)
{
    for (size_t i = 1; i < o->count; i++) {
        if (!plan_object_same(o->list[i - 1], o->list[i])) continue;
        lint_add(l, LINT_ERROR, "duplicate", o->list[i], "it is described twice (the other is in line %u): keep one",
                 o->list[i - 1]->line);
    }
}

/* One range or name by which calls are known, and the trunk that they then come from. */
struct trust {
    struct slice what;
    const struct plan_object *trunk;
};

/* Case does not make two names of one. */
static int compare_names(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        if (char_lower(a.p[i]) != char_lower(b.p[i])) return char_lower(a.p[i]) - char_lower(b.p[i]);
    }
    return (a.n > b.n) - (a.n < b.n);
}

/* Of two at one site the first by name is the one that counts. */
static int compare_trust(const void *a, const void *b)
{
    const struct trust *x = a;
    const struct trust *y = b;
    int order = compare_names(x->what, y->what);
    if (order == 0) order = slice_cmp(x->trunk->trunk.site, y->trunk->trunk.site);
    return order != 0 ? order : slice_cmp(x->trunk->trunk.name, y->trunk->trunk.name);
}

/* Trunks of two sites may share an address: each site takes its own. */
static void check_trust(struct lint *l, const struct lint_objects *o)
{
    size_t count = 0;
    for (size_t i = 0; i < o->count; i++)
        count += o->list[i]->trunk.trust_count + o->list[i]->trunk.trust_name_count;
    struct trust *all = arena_alloc(l->arena, count * sizeof *all);
    if (all == NULL) {
        l->failed = true;
        return;
    }
    count = 0;
    for (size_t i = 0; i < o->count; i++) {
        const struct plan_trunk *t = &o->list[i]->trunk;
        for (size_t k = 0; k < t->trust_count; k++)
            all[count++] = (struct trust){t->trust[k], o->list[i]};
        for (size_t k = 0; k < t->trust_name_count; k++)
            all[count++] = (struct trust){t->trust_names[k], o->list[i]};
    }
    qsort(all, count, sizeof *all, compare_trust);
    for (size_t i = 1; i < count; i++) {
        const struct plan_trunk *first = &all[i - 1].trunk->trunk;
        const struct plan_trunk *t = &all[i].trunk->trunk;
        if (!slice_eq_nocase(all[i].what, all[i - 1].what) || !slice_eq(first->site, t->site)) continue;
        lint_add(l, LINT_WARNING, "same-trust", all[i].trunk,
                 "%.*s is in the trust of trunk/%.*s too, and its calls count as from there: keep it in one of them",
                 SLICE_ARG(all[i].what), SLICE_ARG(first->name));
    }
}

/* Two that register the same there: of a registrar that keeps one contact, each takes it from the other. */
static void same_registration(struct lint *l, size_t at)
{
    const struct lint_objects *o = &l->kinds[PLAN_TRUNK];
    const struct plan_trunk *t = &o->list[at]->trunk;
    for (size_t i = 0; i < at; i++) {
        const struct plan_trunk *other = &o->list[i]->trunk;
        if (!other->registration.set || !slice_eq(other->registration.user, t->registration.user)) continue;
        if (!slice_eq(other->registration.domain, t->registration.domain)) continue;
        if (t->registration.domain.n == 0 && !slice_eq(other->address[0], t->address[0])) continue;
        lint_add(l, LINT_WARNING, "same-registration", o->list[at],
                 "trunk/%.*s registers %.*s there too, so each can take the other's place: keep one of them",
                 SLICE_ARG(other->name), SLICE_ARG(t->registration.user));
        return;
    }
}

static void check_registration(struct lint *l, size_t at)
{
    const struct plan_object *o = l->kinds[PLAN_TRUNK].list[at];
    const struct plan_registration *r = &o->trunk.registration;
    if (!r->set) return;
    if (r->sealed.n == 0 && r->password.n == 0 && !r->password_keep) {
        lint_add(l, LINT_WARNING, "no-password", o,
                 "it registers without a password, which few registrars take: write register: { password: \"...\" }");
    }
    if (o->trunk.address_count > 0) same_registration(l, at);
}

static void check_trunks(struct lint *l)
{
    const struct lint_objects *o = &l->kinds[PLAN_TRUNK];
    for (size_t i = 0; i < o->count; i++) {
        const struct plan_trunk *t = &o->list[i]->trunk;
        bool brings = plan_trunk_trusted(t) || t->registration.set; /* calls to what we registered are known by it */
        need(l, o->list[i], PLAN_SITE, t->site, "it is at");
        if (!o->used[i]) {
            lint_add(l, LINT_WARNING, "unused-trunk", o->list[i],
                     brings ? "no route leads to it, so it only brings calls in: add a route, or remove it"
                            : "no route leads to it: add a route, or remove it");
        }
        check_registration(l, i);
        if (!brings) {
            lint_add(l, LINT_WARNING, "no-trust", o->list[i],
                     "without trust: it can take calls but bring none in: write trust: [ADDRESS/32] for its addresses");
        }
    }
    check_trust(l, o);
}

static void check_accounts(struct lint *l)
{
    const struct lint_objects *o = &l->kinds[PLAN_ACCOUNT];
    for (size_t i = 0; i < o->count; i++) {
        const struct plan_account *a = &o->list[i]->account;
        if (a->site.n > 0) need(l, o->list[i], PLAN_SITE, a->site, "it is at");
        if (!a->secret.set && a->password.n == 0 && !a->password_keep) {
            lint_add(l, LINT_WARNING, "no-password", o->list[i],
                     "it has no password, so nobody can register with it: write password: \"...\", or remove it");
        }
        if (o->used[i] || a->number_count > 0 || number_valid(a->name)) continue;
        lint_add(l, LINT_WARNING, "unused-account", o->list[i],
                 "nobody can call it: its name is no number, it has no numbers:, and no route leads to it");
    }
}

void lint_references(struct lint *l)
{
    for (size_t k = 0; k < PLAN_ROUTE; k++)
        duplicates(l, &l->kinds[k]);
    for (size_t i = 0; i < l->routes.count; i++) {
        const struct plan_object route = lint_table_at(&l->routes, i);
        need_target(l, &route); /* marks what is used */
    }
    check_trunks(l);
    check_accounts(l);
}
