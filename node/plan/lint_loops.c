/* lint_loops: rewriting that leads back to its own match.
 *
 * A route to a site hands the rewritten number to that site's node, which looks it up again; when the look-up comes
 * back to the first route, no call can ever arrive. What leaves through a trunk or to an account is out of the plan's
 * sight (RFC 5393 and Max-Forwards end such loops), and rules of trunks and sites are applied once. Only global routes
 * without conditions are followed, so that what is reported is certain. */
#include "node/plan/lint_loops.h"

#include <stdlib.h>

#include "node/plan/lint_context.h"
#include "node/plan/span.h"

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
};

/* One rewriting. False when nothing is known about the result. */
static bool rewrite(struct walk *w, const struct plan_route *r)
{
    struct slice known = {w->digits, w->known};
    if (r->strip > w->known && w->whole) w->grown -= (int)w->known;
    if (r->strip <= w->known || !w->whole) w->grown -= r->strip;
    w->grown += (int)r->prepend.n;
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
    const struct plan_object *at = start;
    for (unsigned hop = 1; hop <= HOPS_MAX; hop++) {
        if (!rewrite(&w, &at->route)) return false;
        const struct pattern number = {w.whole ? PATTERN_EXACT : PATTERN_PREFIX, {w.digits, w.known}, SLICE_NONE};
        at = look_up(ctx, &number);
        if (at == NULL || !lint_is_followed(at)) return false;
        if (!plan_object_same(at, start)) continue;
        bool bounded = start->route.length_min != 0 || start->route.length_max != 0;
        if (bounded && w.grown != 0) return false; /* it leaves its own length: in the end */
        loop->hops = hop;
        loop->digits_len = w.known;
        memcpy(loop->digits, w.digits, w.known);
        return true;
    }
    return false;
}

/* The route that a look-up of the number finds. */
static const struct plan_object *look_up(void *ctx, const struct pattern *number)
{
    const struct span_index *x = ctx;
    struct span s = span_of(number, NULL, 0);
    size_t at = span_index_find(x, &s);
    return at != SPAN_NONE ? x->spans[at].object : NULL;
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

static bool add(struct span_index *x, struct slice match, const struct plan_object *o, uint32_t preference)
{
    struct pattern p;
    if (pattern_parse(match, &p, NULL) != ERR_OK) return true;
    return span_index_add(x, span_of(&p, o, preference)) == ERR_OK;
}

static bool fill(const struct lint *l, const struct plan_object *routes, struct span_index *x)
{
    const struct lint_objects *accounts = &l->kinds[PLAN_ACCOUNT];
    bool ok = true;
    for (size_t i = 0; i < l->routes.count && ok; i++) {
        const struct plan_route *r = &routes[i].route;
        if (!r->disabled && r->scope.n == 0) ok = add(x, r->match, &routes[i], r->priority);
    }
    for (size_t i = 0; i < accounts->count && ok; i++) {
        const struct plan_account *a = &accounts->list[i]->account;
        for (size_t j = 0; j < a->number_count && ok; j++) {
            ok = add(x, a->numbers[j], accounts->list[i], PLAN_PRIORITY_DEFAULT);
        }
    }
    span_index_build(x);
    return ok;
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
