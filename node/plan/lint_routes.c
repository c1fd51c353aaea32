/* lint_routes: how routes stand to each other: the same identity or priority twice, a match that nothing satisfies, and
 * routes that never get a call because others always come first. */
#include "node/plan/lint_context.h"

#include <stdlib.h>

#include "node/plan/span.h"

/* ---- routes of one match and scope, by priority ---- */

static bool is_unconditional(const struct plan_route *r)
{
    return !r->disabled && r->hours.n == 0 && r->length_min == 0 && r->length_max == 0;
}

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
        if (reject == NULL && r->target.kind == PLAN_TO_REJECT && is_unconditional(r)) reject = group[i];
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

/* How far, from its beginning, a span is covered: up to at itself, or behind everything that begins with it. */
struct cover {
    struct slice at;
    bool behind;
};

/* The border as a text to compare: trailing zeros say nothing (8150 begins where 815 does), and behind 829 comes 83. */
#define BORDER_MAX (LIMIT_NUMBER + 1)
static struct slice border(struct cover c, char out[BORDER_MAX])
{
    size_t n = c.at.n;
    if (n > 0) memcpy(out, c.at.p, n);
    if (c.behind) {
        while (n > 0 && out[n - 1] == '9')
            n--;
        if (n > 0) {
            out[n - 1]++;
        } else {
            out[n++] = '9' + 1;
        }
    }
    while (n > 0 && out[n - 1] == '0')
        n--;
    return (struct slice){out, n};
}

static int compare_borders(struct cover a, struct cover b)
{
    char text_a[BORDER_MAX];
    char text_b[BORDER_MAX];
    return slice_cmp(border(a, text_a), border(b, text_b));
}

/* Whether at every site where wide is a candidate, narrow is one too. */
static bool reaches(const struct plan_route *narrow, const struct plan_route *wide)
{
    return narrow->scope.n == 0 || slice_eq(narrow->scope, wide->scope);
}

/* Takes every call to its match, for good. */
static bool takes_all(const struct plan_route *r)
{
    return is_unconditional(r) && !r->overflow;
}

/* Whether all numbers that wide is for, by its length:, have the characters that a span needs. */
static bool long_enough(const struct plan_route *wide, const struct span *s)
{
    if (wide->length_min != 0 && wide->length_min < s->low.n) return false;
    return wide->length_max == 0 || wide->length_max >= s->low.n;
}

/* Tells the spans around an unconditional one that this part of theirs is taken. It may stop behind one that is itself
 * unconditional and global: that one has told the wider ones. Deeper nesting than a number has characters is not looked
 * into. */
static void cover_parents(const struct span_index *x, struct cover *covers, const struct span *s)
{
    const struct cover begin = {s->low, false};
    const struct cover end = {s->high, true};
    unsigned told = 0; /* spans of a lower specificity know */
    size_t at = s->parent;
    for (unsigned steps = 0; at != SPAN_NONE && steps <= LIMIT_NUMBER; steps++, at = x->spans[at].parent) {
        const struct span *wide = &x->spans[at];
        const struct plan_route *r = &wide->object->route;
        if (wide->specificity < told) return;
        if (wide->specificity >= s->specificity) continue;
        if (long_enough(r, s) && reaches(&s->object->route, r) && compare_borders(begin, covers[at]) <= 0 &&
            compare_borders(end, covers[at]) > 0) {
            covers[at] = end;
        }
        if (takes_all(r) && r->scope.n == 0) told = wide->specificity;
    }
}

static void check_shadows(struct lint *l, const struct span_index *x)
{
    struct cover *covers = malloc((x->count + 1) * sizeof *covers);
    if (covers == NULL) {
        l->failed = true;
        return;
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct span *s = &x->spans[i];
        covers[i] = (struct cover){s->low, false};
        if (s->open && takes_all(&s->object->route)) cover_parents(x, covers, s);
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct span *s = &x->spans[i];
        struct cover end = {s->high, true};
        if (!s->open || compare_borders(covers[i], end) < 0) continue;
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
