/* lint_loops: rewriting that leads back to its own match.
 *
 * A route to a site hands the rewritten number to that site's node, which looks it up again; when the look-up comes
 * back to the first route, no call can ever arrive. What leaves through a trunk or to an account is out of the plan's
 * sight (RFC 5393 and Max-Forwards end such loops), and rules of trunks and sites are applied once. Only global routes
 * without hours are followed, and only numbers that have their lengths, so that what is reported is certain. */
#include "node/plan/lint_loops.h"

#include <stdlib.h>

#include "node/plan/lint_context.h"

#define HOPS_MAX 16

static bool is_rewrite(const struct plan_route *r)
{
    return r->strip > 0 || r->prepend.n > 0;
}

bool lint_is_followed(const struct plan_object *o)
{
    if (o->kind != PLAN_ROUTE) return false; /* an account: the call arrives */
    const struct plan_route *r = &o->route;
    return r->target.kind == PLAN_TO_SITE && is_rewrite(r) && r->hours.n == 0 && !r->disabled && r->scope.n == 0;
}

/* The characters that every number of the match begins with. */
static struct slice known_digits(const struct pattern *p)
{
    size_t n = 0;
    if (p->kind != PATTERN_RANGE) return p->low;
    while (n < p->low.n && p->low.p[n] == p->high.p[n])
        n++;
    return (struct slice){p->low.p, n};
}

struct walk {
    char digits[LIMIT_NUMBER + 1]; /* the number so far, as far as it is known */
    size_t known;
    bool whole; /* that is all of it */
    int grown;  /* characters that it has gained since the start */
    int least;  /* and how many it may have */
    int most;
    bool bounded; /* a route on the way says how many */
};

/* Whether the route is for some of the numbers; of the others nothing is said from here on. */
static bool enter(struct walk *w, const struct plan_route *r)
{
    if (r->length_min > w->least) w->least = r->length_min;
    if (r->length_max != 0 && r->length_max < w->most) w->most = r->length_max;
    w->bounded = w->bounded || r->length_min != 0 || r->length_max != 0;
    return w->least <= w->most;
}

static int rewritten(int length, const struct plan_route *r)
{
    return (length > r->strip ? length - r->strip : 0) + (int)r->prepend.n;
}

/* One rewriting. False when nothing is known about the result. */
static bool rewrite(struct walk *w, const struct plan_route *r)
{
    struct slice known = {w->digits, w->known};
    if (r->strip > w->known && w->whole) w->grown -= (int)w->known;
    if (r->strip <= w->known || !w->whole) w->grown -= r->strip;
    w->grown += (int)r->prepend.n;
    w->least = rewritten(w->least, r);
    w->most = rewritten(w->most, r);
    if (number_rewrite(known, r->strip, r->prepend, w->digits, &w->known) != ERR_OK) return false;
    return w->known > 0;
}

bool lint_follow(const struct plan_object *start, lint_look_up *look_up, void *ctx, struct lint_loop *loop)
{
    struct walk w = {0};
    struct pattern p;
    if (pattern_parse(start->route.match, &p, NULL) != ERR_OK) return false;
    struct slice known = known_digits(&p);
    memcpy(w.digits, known.p, known.n);
    w.known = known.n;
    w.whole = p.kind == PATTERN_EXACT;
    w.least = (int)p.low.n;
    w.most = w.whole ? w.least : LIMIT_NUMBER;
    const struct plan_object *at = start;
    if (!enter(&w, &at->route)) return false;
    for (unsigned hop = 1; hop <= HOPS_MAX; hop++) {
        if (!rewrite(&w, &at->route)) return false;
        const struct pattern number = {w.whole ? PATTERN_EXACT : PATTERN_PREFIX, {w.digits, w.known}, SLICE_NONE};
        at = look_up(ctx, &number, at->route.target.name);
        if (at == NULL || !lint_is_followed(at) || !enter(&w, &at->route)) return false;
        if (!plan_object_same(at, start)) continue;
        if (w.bounded && w.grown != 0) return false; /* it leaves a length: in the end */
        loop->hops = hop;
        loop->digits_len = w.known;
        memcpy(loop->digits, w.digits, w.known);
        return true;
    }
    return false;
}

/* ---- what a look-up finds ---- */

/* Of one match the account of that name comes first, then what is scoped, then by priority. */
enum { PREFER_NAMED, PREFER_SCOPED, PREFER_GLOBAL };

static enum err add(struct span_index *x, struct slice match, const struct plan_object *o, uint32_t preference)
{
    struct pattern p;
    if (pattern_parse(match, &p, NULL) != ERR_OK) return ERR_OK;
    return span_index_add(x, span_of(&p, o, preference));
}

static enum err add_account(struct span_index *x, const struct plan_object *o)
{
    const struct plan_account *a = &o->account;
    const struct pattern name = {PATTERN_EXACT, a->name, SLICE_NONE};
    enum err e = number_valid(a->name) ? span_index_add(x, span_of(&name, o, PREFER_NAMED)) : ERR_OK;
    for (size_t i = 0; i < a->number_count && e == ERR_OK; i++)
        e = add(x, a->numbers[i], o, PREFER_GLOBAL + PLAN_PRIORITY_DEFAULT);
    return e;
}

enum err lint_loops_add(struct span_index *x, const struct plan_object *o)
{
    if (o->kind == PLAN_ACCOUNT) return add_account(x, o);
    if (o->kind != PLAN_ROUTE || o->route.disabled) return ERR_OK;
    return add(x, o->route.match, o, o->route.scope.n > 0 ? PREFER_SCOPED : PREFER_GLOBAL + o->route.priority);
}

static bool is_elsewhere(const struct plan_object *o, struct slice site)
{
    return o->kind == PLAN_ROUTE && o->route.scope.n > 0 && !slice_eq(o->route.scope, site);
}

const struct plan_object *lint_loops_find(const struct span_index *x, const struct pattern *number, struct slice site)
{
    const struct span s = span_of(number, NULL, 0);
    size_t at = span_index_find(x, &s);
    while (at != SPAN_NONE && is_elsewhere(x->spans[at].object, site))
        at = x->spans[at].parent;
    return at != SPAN_NONE ? x->spans[at].object : NULL;
}

/* ---- the whole plan ---- */

static const struct plan_object *look_up(void *ctx, const struct pattern *number, struct slice site)
{
    return lint_loops_find(ctx, number, site);
}

static void check_loop(struct lint *l, struct span_index *x, const struct plan_object *start)
{
    struct lint_loop loop;
    if (!lint_follow(start, look_up, x, &loop)) return;
    lint_add(l, LINT_ERROR, "translation-loop", start,
             "its strip: and prepend: make %.*s... of the number, which leads back to this route after %u look-up%s: "
             "rewrite to a number that another route takes, or send it to a trunk or account",
             (int)loop.digits_len, loop.digits, loop.hops, loop.hops > 1 ? "s" : "");
}

static bool fill(const struct lint *l, const struct plan_object *routes, struct span_index *x)
{
    const struct lint_objects *accounts = &l->kinds[PLAN_ACCOUNT];
    enum err e = ERR_OK;
    for (size_t i = 0; i < l->routes.count && e == ERR_OK; i++)
        e = lint_loops_add(x, &routes[i]);
    for (size_t i = 0; i < accounts->count && e == ERR_OK; i++)
        e = lint_loops_add(x, accounts->list[i]);
    span_index_build(x);
    return e == ERR_OK;
}

/* Whole objects are made only where there is something to follow. */
static void check_all(struct lint *l)
{
    const size_t count = l->routes.count;
    struct span_index x = {0};
    struct plan_object *routes = malloc(count * sizeof *routes);
    l->failed = l->failed || routes == NULL;
    for (size_t i = 0; i < count && routes != NULL; i++)
        routes[i] = lint_table_at(&l->routes, i);
    if (routes != NULL && !fill(l, routes, &x)) l->failed = true;
    for (size_t i = 0; i < count && !l->failed; i++) {
        if (lint_is_followed(&routes[i])) check_loop(l, &x, &routes[i]);
    }
    span_index_fini(&x);
    free(routes);
}

void lint_loops(struct lint *l)
{
    for (size_t i = 0; i < l->routes.count; i++) {
        const struct plan_object route = lint_table_at(&l->routes, i);
        if (!lint_is_followed(&route)) continue;
        check_all(l);
        return;
    }
}
