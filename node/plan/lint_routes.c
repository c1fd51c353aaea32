/* lint_routes: how routes stand to each other: the same identity or priority twice, a match that nothing satisfies, and
 * routes that never get a call because others always come first. */
#include "node/plan/lint_context.h"

#include <stdlib.h>

#include "node/plan/lint_cover.h"

/* ---- routes of one match and scope, by priority ---- */

static int by_target(const void *left, const void *right)
{
    const struct plan_route *a = &(*(const struct plan_object *const *)left)->route;
    const struct plan_route *b = &(*(const struct plan_object *const *)right)->route;
    if (a->target.kind != b->target.kind) return a->target.kind < b->target.kind ? -1 : 1;
    if (a->target.code != b->target.code) return a->target.code < b->target.code ? -1 : 1;
    return slice_cmp(a->target.name, b->target.name);
}

/* The group is sorted by priority first, so one target with two priorities is not next to itself. */
static void duplicates(struct lint *l, const struct plan_object *const *group, size_t count)
{
    const struct plan_object **copy = count > 1 ? malloc(count * sizeof *copy) : NULL;
    if (count < 2) return;
    if (copy == NULL) {
        l->failed = true;
        return;
    }
    memcpy(copy, group, count * sizeof *copy);
    qsort(copy, count, sizeof *copy, by_target);
    for (size_t i = 1; i < count; i++) {
        if (by_target(&copy[i - 1], &copy[i]) != 0) continue;
        lint_add(l, LINT_ERROR, "duplicate", copy[i],
                 "the same scope, match and target stand there twice (the other is in line %u): keep one",
                 copy[i - 1]->line);
    }
    free(copy);
}

static void same_priority(struct lint *l, const struct plan_object *const *group, size_t count)
{
    for (size_t i = 0, first = 0; i < count; i++) {
        const struct plan_route *r = &group[i]->route;
        if (r->priority != group[first]->route.priority) first = i;
        const struct plan_route *other = &group[first]->route;
        struct slice site = lint_site_of(l, &r->target);
        struct slice other_site = lint_site_of(l, &other->target);
        if (r->disabled || other->disabled || !slice_eq(r->hours, other->hours)) continue;
        if (site.n == 0 || other_site.n == 0 || slice_eq(site, other_site)) continue;
        lint_add(l, LINT_WARNING, "same-priority", group[i],
                 "%.*s has priority %u at two sites, %.*s and %.*s: give one of them another priority, or keep it if "
                 "calls shall be shared",
                 SLICE_ARG(r->match), r->priority, SLICE_ARG(other_site), SLICE_ARG(site));
        while (i + 1 < count && group[i + 1]->route.priority == r->priority)
            i++; /* one finding says it */
    }
}

static void behind_reject(struct lint *l, const struct plan_object *const *group, size_t count)
{
    const struct plan_object *reject = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct plan_route *r = &group[i]->route;
        if (reject != NULL && reject->route.priority < r->priority && !r->disabled) {
            lint_add(
                l, LINT_WARNING, "shadowed", group[i],
                "reject/%u for the same match has priority %u and comes first: lower this one's priority value, or "
                "remove it",
                reject->route.target.code, reject->route.priority);
        }
        if (reject == NULL && r->target.kind == PLAN_TO_REJECT && lint_is_unconditional(r)) reject = group[i];
    }
}

static void check_groups(struct lint *l)
{
    const struct lint_objects *o = &l->kinds[PLAN_ROUTE];
    for (size_t i = 0, n = 0; i < o->count; i += n) {
        const struct plan_object *const *group = o->list + i;
        for (n = 1; i + n < o->count && slice_eq(group[n]->route.match, group[0]->route.match) &&
                    slice_eq(group[n]->route.scope, group[0]->route.scope);) {
            n++;
        }
        duplicates(l, group, n);
        same_priority(l, group, n);
        behind_reject(l, group, n);
    }
}

/* ---- lengths ---- */

static void check_length(struct lint *l, const struct plan_object *o, const struct pattern *p)
{
    const struct plan_route *r = &o->route;
    unsigned least = (unsigned)p->low.n;
    bool too_short = r->length_max != 0 && r->length_max < least;
    bool too_long = p->kind == PATTERN_EXACT && r->length_min > least;
    if (!too_short && !too_long) return;
    lint_add(
        l, LINT_WARNING, "impossible-length", o,
        "%.*s has %s%u characters, which its length: does not allow, so it never matches: correct length: or match:",
        SLICE_ARG(r->match), p->kind == PATTERN_EXACT ? "" : "at least ", least);
}

/* ---- shadows: longer matches that together cover all of a route ---- */

/* Tells the spans around an unconditional one that this part of theirs is taken. It may stop behind one that is itself
 * unconditional and global: that one has told the wider ones. Deeper nesting than a number has characters is not looked
 * into. */
static void cover_parents(const struct span_index *x, struct lint_border *covers, const struct span *s)
{
    const struct lint_border begin = {s->low, false};
    const struct lint_border end = {s->high, true};
    unsigned told = 0; /* spans of a lower specificity know */
    size_t at = s->parent;
    for (unsigned steps = 0; at != SPAN_NONE && steps <= LIMIT_NUMBER; steps++, at = x->spans[at].parent) {
        const struct span *wide = &x->spans[at];
        const struct plan_route *r = &wide->object->route;
        if (wide->specificity < told) return;
        if (wide->specificity >= s->specificity) continue;
        if (lint_may_cover(&s->object->route, r, s) && lint_border_cmp(begin, covers[at]) <= 0 &&
            lint_border_cmp(end, covers[at]) > 0) {
            covers[at] = end;
        }
        if (lint_takes_all(r) && r->scope.n == 0) told = wide->specificity;
    }
}

static void check_shadows(struct lint *l, const struct span_index *x)
{
    struct lint_border *covers = malloc((x->count + 1) * sizeof *covers);
    if (covers == NULL) {
        l->failed = true;
        return;
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct span *s = &x->spans[i];
        covers[i] = (struct lint_border){s->low, false};
        if (s->open && lint_takes_all(&s->object->route)) cover_parents(x, covers, s);
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct span *s = &x->spans[i];
        struct lint_border end = {s->high, true};
        if (!s->open || lint_border_cmp(covers[i], end) < 0) continue;
        lint_add(l, LINT_WARNING, "shadowed", s->object,
                 "longer matches cover all of %.*s, so it gets no call: remove it, or set overflow: on the longer ones",
                 SLICE_ARG(s->object->route.match));
    }
    free(covers);
}

void lint_routes(struct lint *l)
{
    const struct lint_objects *o = &l->kinds[PLAN_ROUTE];
    struct span_index x = {0};
    check_groups(l);
    for (size_t i = 0; i < o->count && !l->failed; i++) {
        const struct plan_route *r = &o->list[i]->route;
        struct pattern p;
        if (pattern_parse(r->match, &p, NULL) != ERR_OK) continue;
        check_length(l, o->list[i], &p);
        if (!r->disabled) l->failed = span_index_add(&x, span_of(&p, o->list[i], r->priority)) != ERR_OK;
    }
    span_index_build(&x);
    if (!l->failed) check_shadows(l, &x);
    span_index_fini(&x);
}
