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

/* The last before i, from first on, that shares calls with it: in force at the same hours, at a site. */
static const struct plan_route *sharer(const struct lint *l, const struct plan_object *const *group, size_t first,
                                       size_t i)
{
    for (size_t k = i; k-- > first;) {
        const struct plan_route *r = &group[k]->route;
        if (!r->disabled && slice_eq(r->hours, group[i]->route.hours) && lint_site_of(l, &r->target).n > 0) return r;
    }
    return NULL;
}

static void same_priority(struct lint *l, const struct plan_object *const *group, size_t count)
{
    for (size_t i = 0, first = 0; i < count; i++) {
        const struct plan_route *r = &group[i]->route;
        if (r->priority != group[first]->route.priority) first = i;
        struct slice site = r->disabled ? SLICE_NONE : lint_site_of(l, &r->target);
        const struct plan_route *other = site.n > 0 ? sharer(l, group, first, i) : NULL;
        struct slice other_site = other != NULL ? lint_site_of(l, &other->target) : site;
        if (slice_eq(site, other_site)) continue;
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

static void check_group(struct lint *l, const struct plan_object *const *group, size_t count)
{
    duplicates(l, group, count);
    same_priority(l, group, count);
    behind_reject(l, group, count);
}

/* The routes of one match and scope, as many as there are from position on, as objects. */
struct group {
    struct plan_object *objects;
    const struct plan_object **list;
    size_t cap;
};

static bool group_fits(struct group *g, size_t count)
{
    if (count <= g->cap) return true;
    free(g->objects);
    free((void *)g->list);
    g->cap = 2 * count;
    g->objects = malloc(g->cap * sizeof *g->objects);
    g->list = malloc(g->cap * sizeof *g->list);
    return g->objects != NULL && g->list != NULL;
}

static size_t group_count(const struct lint_table *t, size_t position)
{
    const struct plan_object first = lint_table_at(t, position);
    size_t n = 1;
    while (position + n < t->count && slice_eq(lint_table_match(t, position + n), first.route.match)) {
        const struct plan_object other = lint_table_at(t, position + n);
        if (!slice_eq(other.route.scope, first.route.scope)) break;
        n++;
    }
    return n;
}

static void check_groups(struct lint *l)
{
    struct group g = {.cap = 0};
    for (size_t i = 0, n = 0; i < l->routes.count && !l->failed; i += n) {
        n = group_count(&l->routes, i);
        if (n == 1) continue; /* nothing to stand to each other */
        l->failed = !group_fits(&g, n);
        for (size_t k = 0; k < n && !l->failed; k++) {
            g.objects[k] = lint_table_at(&l->routes, i + k);
            g.list[k] = &g.objects[k];
        }
        if (!l->failed) check_group(l, g.list, n);
    }
    free(g.objects);
    free((void *)g.list);
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

/* Routes that are in force, by their spans. What surrounds one stands before it; each number is a place here. */
struct shades {
    const struct lint_table *routes;
    uint32_t *positions; /* of the routes, in the order of their spans */
    uint32_t *parents;   /* the nearest one before it that reaches at least as far; NONE */
    uint32_t *covers;    /* it is covered up to the end of that one; NONE: only up to its own beginning */
    size_t count;
};
#define NONE UINT32_MAX

/* The span of a match that is known to be one. */
static struct span span_at(const struct shades *s, uint32_t place)
{
    struct pattern p = {.kind = PATTERN_PREFIX, .low = lint_table_match(s->routes, s->positions[place])};
    const char *dash = NULL;
    if (p.low.p[0] == '=') {
        p = (struct pattern){.kind = PATTERN_EXACT, .low = {p.low.p + 1, p.low.n - 1}};
    } else if ((dash = memchr(p.low.p, '-', p.low.n)) != NULL) {
        const size_t n = (size_t)(dash - p.low.p);
        p = (struct pattern){PATTERN_RANGE, {p.low.p, n}, {dash + 1, p.low.n - n - 1}};
    }
    return span_of(&p, NULL, 0);
}

/* What surrounds comes first; among equals what is preferred comes last. Positions stand in the order of priority. */
static int compare_shades(const void *ctx, uint32_t left, uint32_t right)
{
    const struct shades *s = ctx;
    const struct span a = span_at(s, left);
    const struct span b = span_at(s, right);
    const int order = span_cmp(&a, &b);
    if (order != 0) return order;
    const struct plan_object x = lint_table_at(s->routes, s->positions[left]);
    const struct plan_object y = lint_table_at(s->routes, s->positions[right]);
    if (x.route.priority != y.route.priority) return x.route.priority > y.route.priority ? -1 : 1;
    return left < right ? -1 : 1;
}

static struct lint_border covered_up_to(const struct shades *s, uint32_t place)
{
    if (s->covers[place] == NONE) return (struct lint_border){span_at(s, place).low, false};
    return (struct lint_border){span_at(s, s->covers[place]).high, true};
}

/* Tells the spans around an unconditional one that this part of theirs is taken. It may stop behind one that is itself
 * unconditional and global: that one has told the wider ones. Deeper nesting than a number has characters is not looked
 * into. */
static void cover_parents(const struct shades *s, uint32_t place, const struct span *span,
                          const struct plan_route *route)
{
    const struct lint_border begin = {span->low, false};
    const struct lint_border end = {span->high, true};
    unsigned told = 0; /* spans of a lower specificity know */
    uint32_t at = s->parents[place];
    for (unsigned steps = 0; at != NONE && steps <= LIMIT_NUMBER; steps++, at = s->parents[at]) {
        const struct span wide = span_at(s, at);
        const struct plan_object o = lint_table_at(s->routes, s->positions[at]);
        if (wide.specificity < told) return;
        if (wide.specificity >= span->specificity) continue;
        if (lint_may_cover(route, &o.route, span) && lint_border_cmp(begin, covered_up_to(s, at)) <= 0 &&
            lint_border_cmp(end, covered_up_to(s, at)) > 0) {
            s->covers[at] = place;
        }
        if (lint_takes_all(&o.route) && o.route.scope.n == 0) told = wide.specificity;
    }
}

static void find_parents(const struct shades *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct span here = span_at(s, i);
        uint32_t at = i > 0 ? i - 1 : NONE;
        while (at != NONE) {
            const struct span other = span_at(s, at);
            if (span_reaches(&other, &here)) break;
            at = s->parents[at];
        }
        s->parents[i] = at;
    }
}

static void check_shadows(struct lint *l, const struct shades *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct span span = span_at(s, i);
        const struct plan_object o = lint_table_at(s->routes, s->positions[i]);
        s->covers[i] = NONE;
        if (span.open && lint_takes_all(&o.route)) cover_parents(s, i, &span, &o.route);
    }
    for (uint32_t i = 0; i < s->count; i++) {
        const struct span span = span_at(s, i);
        const struct lint_border end = {span.high, true};
        if (!span.open || s->covers[i] == NONE || lint_border_cmp(covered_up_to(s, i), end) < 0) continue;
        const struct plan_object o = lint_table_at(s->routes, s->positions[i]);
        lint_add(l, LINT_WARNING, "shadowed", &o,
                 "longer matches cover all of %.*s, so it gets no call: remove it, or set overflow: on the longer ones",
                 SLICE_ARG(o.route.match));
    }
}

/* The routes in force, whose positions are in place already, by their spans. */
static bool shades_sort(struct shades *s)
{
    uint32_t *order = malloc((s->count + 1) * sizeof *order);
    bool ok = order != NULL;
    for (uint32_t i = 0; ok && i < s->count; i++)
        order[i] = i;
    ok = ok && lint_sort(order, s->count, compare_shades, s) == ERR_OK;
    for (size_t i = 0; ok && i < s->count; i++)
        order[i] = s->positions[order[i]];
    if (ok && s->count > 0) memcpy(s->positions, order, s->count * sizeof *order);
    free(order);
    return ok;
}

void lint_routes(struct lint *l)
{
    struct shades s = {.routes = &l->routes, .positions = malloc((l->routes.count + 1) * sizeof *s.positions)};
    l->failed = l->failed || s.positions == NULL;
    if (!l->failed) check_groups(l);
    for (size_t i = 0; i < l->routes.count && !l->failed; i++) {
        const struct plan_object o = lint_table_at(&l->routes, i);
        struct pattern p;
        if (pattern_parse(o.route.match, &p, NULL) != ERR_OK) continue;
        check_length(l, &o, &p);
        if (!o.route.disabled) s.positions[s.count++] = (uint32_t)i;
    }
    l->failed = l->failed || !shades_sort(&s);
    if (!l->failed) {
        s.parents = malloc((s.count + 1) * sizeof *s.parents);
        s.covers = malloc((s.count + 1) * sizeof *s.covers);
        l->failed = s.parents == NULL || s.covers == NULL;
    }
    if (!l->failed) find_parents(&s);
    if (!l->failed) check_shadows(l, &s);
    free(s.positions);
    free(s.parents);
    free(s.covers);
}
