/* lint_gather: what must be there so that a part of a plan says of the objects that are judged what the whole would
 * say.
 *
 * A part has nothing that the plan has not, so that more of it never harms; that less of it does no harm is what is
 * argued here, rule by rule. Sites are all there: the blocks decide for everybody. */
#include "node/plan/lint_blocks.h"
#include "node/plan/lint_cover.h"
#include "node/plan/lint_loops.h"
#include "node/plan/lint_near.h"

#define COVER_STEPS 4096 /* borders that are looked at in one match */
#define SUGGESTED 1001   /* names among which a misspelt one is searched, and one more */

/* Keys that a question was answered with, for questions that lead to others. */
struct found {
    struct near *n;
    struct slice prefix; /* of the keys that are asked for */
    const struct plan_object **list;
    size_t count;
    size_t cap;
};

static bool keep(void *ctx, struct slice key)
{
    struct found *f = ctx;
    const struct plan_object *o = NULL;
    if (!slice_starts(key, f->prefix)) return false;
    enum err e = f->n->view->get(f->n->view->ctx, key, &o);
    if (e != ERR_OK) {
        if (e != ERR_NOTFOUND && f->n->err == ERR_OK) f->n->err = e;
        return f->n->err == ERR_OK;
    }
    if (f->count == f->cap) {
        size_t cap = f->cap == 0 ? 64 : 2 * f->cap;
        const struct plan_object **grown = arena_alloc(f->n->arena, cap * sizeof *grown);
        if (grown == NULL) {
            f->n->err = ERR_NOMEM;
            return false;
        }
        if (f->count > 0) memcpy(grown, f->list, f->count * sizeof *grown);
        f->list = grown;
        f->cap = cap;
    }
    f->list[f->count++] = o;
    return true;
}

static void find_around(struct found *f, struct slice number)
{
    f->count = 0;
    if (f->n->err == ERR_OK) f->n->err = f->n->view->around(f->n->view->ctx, number, keep, f);
}

static struct near_item *take_object(struct near *n, const struct plan_object *o)
{
    char key[PLAN_KEY_MAX];
    return near_take(n, (struct slice){key, plan_object_key_text(o, key)}, false);
}

/* ---- the group of a route, with what its routes name ---- */

/* Where there is none of that name, those among which it is searched. */
static void take_target(struct near *n, const struct plan_target *t)
{
    struct plan_object o = {.kind = t->kind == PLAN_TO_TRUNK ? PLAN_TRUNK : PLAN_ACCOUNT};
    if (t->kind != PLAN_TO_TRUNK && t->kind != PLAN_TO_ACCOUNT) return;
    if (t->kind == PLAN_TO_TRUNK) o.trunk.name = t->name;
    if (t->kind == PLAN_TO_ACCOUNT) o.account.name = t->name;
    if (take_object(n, &o) != NULL) return;
    near_prefix(n, t->kind == PLAN_TO_TRUNK ? SLICE("trunk/") : SLICE("account/"), SUGGESTED, false);
}

static void gather_group(struct near *n, const struct near_item *judged)
{
    char text[PLAN_KEY_MAX];
    struct found f = {.n = n, .prefix = near_group(&judged->object->route, text)};
    if (judged->grouped) return;
    n->err = n->view->keys(n->view->ctx, f.prefix, keep, &f);
    for (size_t i = 0; i < f.count && n->err == ERR_OK; i++) {
        struct near_item *item = take_object(n, f.list[i]);
        if (item != NULL) item->grouped = true;
        take_target(n, &f.list[i]->route.target);
    }
}

/* ---- longer matches that together cover a route ---- */

/* A number right behind a border: the border's text with zeros up to full length. */
static struct slice number_at(struct lint_border b, char out[LIMIT_NUMBER + 1])
{
    struct slice text = lint_border_text(b, out);
    size_t n = text.n < LIMIT_NUMBER ? text.n : LIMIT_NUMBER;
    memset(out + n, '0', LIMIT_NUMBER - n);
    return (struct slice){out, LIMIT_NUMBER};
}

/* The border at which the first of those that cover the part of wide behind at ends; false: nothing covers it. */
static bool next_border(const struct found *f, const struct span *wide, struct lint_border at, struct lint_border *next)
{
    const struct plan_route *r = &wide->object->route;
    bool any = false;
    for (size_t i = 0; i < f->count; i++) {
        struct pattern p;
        if (f->list[i]->kind != PLAN_ROUTE || !lint_takes_all(&f->list[i]->route)) continue;
        if (pattern_parse(f->list[i]->route.match, &p, NULL) != ERR_OK) continue;
        struct span s = span_of(&p, f->list[i], 0);
        if (!s.open || s.specificity <= wide->specificity || !span_contains(wide, &s)) continue;
        const struct lint_border end = {s.high, true};
        if (!lint_may_cover(&f->list[i]->route, r, &s) || lint_border_cmp((struct lint_border){s.low, false}, at) > 0 ||
            lint_border_cmp(end, at) <= 0) {
            continue;
        }
        if (!any || lint_border_cmp(end, *next) < 0) *next = end;
        any = true;
    }
    return any;
}

/* Whether something covers the numbers in the middle of what begins with each further digit: where one does not, the
 * borders need not be walked. */
static bool covered_at_samples(struct found *f, const struct span *wide)
{
    char number[LIMIT_NUMBER];
    if (!slice_eq(wide->low, wide->high) || wide->low.n + 2 > LIMIT_NUMBER) return true;
    memcpy(number, wide->low.p, wide->low.n);
    memset(number + wide->low.n + 1, '5', LIMIT_NUMBER - wide->low.n - 1);
    for (char digit = '0'; digit <= '9' && f->n->err == ERR_OK; digit++) {
        const struct slice at = {number, LIMIT_NUMBER};
        struct lint_border next;
        number[wide->low.n] = digit;
        find_around(f, at);
        if (!next_border(f, wide, (struct lint_border){at, false}, &next)) return false;
    }
    return true;
}

/* Where longer matches cover all of a route, everything that contains a number at which one of them ends: so the part
 * sees the same borders, and the same matches around each. Where they do not, a part shows no more of them. */
static void gather_cover(struct near *n, const struct plan_object *o)
{
    struct found f = {.n = n};
    struct pattern p;
    if (o->route.disabled || pattern_parse(o->route.match, &p, NULL) != ERR_OK || p.kind == PATTERN_EXACT) return;
    const struct span wide = span_of(&p, o, 0);
    const struct lint_border end = {wide.high, true};
    struct lint_border at = {wide.low, false};
    for (unsigned steps = 0; n->err == ERR_OK && lint_border_cmp(at, end) < 0; steps++) {
        char number[LIMIT_NUMBER + 1];
        if (steps == 2 && !covered_at_samples(&f, &wide)) return;
        if (steps == COVER_STEPS) n->err = ERR_LIMIT;
        find_around(&f, number_at(at, number));
        if (!next_border(&f, &wide, at, &at)) return;
        for (size_t i = 0; i < f.count && n->err == ERR_OK; i++)
            (void)take_object(n, f.list[i]);
    }
}

/* ---- the look-ups of a number that is rewritten ---- */

/* What the look-up of the whole plan finds, and all that stands around it. */
static const struct plan_object *look_up(void *ctx, const struct pattern *number, struct slice site)
{
    struct near *n = ctx;
    struct found f = {.n = n};
    struct span_index x = {0};
    const struct plan_object *innermost = NULL;
    const struct plan_object named = {.kind = PLAN_ACCOUNT, .account = {.name = number->low}};
    find_around(&f, number->low);
    for (size_t i = 0; i < f.count && n->err == ERR_OK; i++) {
        (void)take_object(n, f.list[i]);
        if (n->err == ERR_OK) n->err = lint_loops_add(&x, f.list[i]);
    }
    const struct near_item *account = n->err == ERR_OK ? take_object(n, &named) : NULL;
    if (account != NULL && n->err == ERR_OK) n->err = lint_loops_add(&x, account->object);
    span_index_build(&x);
    if (n->err == ERR_OK) innermost = lint_loops_find(&x, number, site);
    span_index_fini(&x);
    return innermost;
}

/* ---- how full the blocks of a site are ---- */

static enum err is_full(const struct plan_view *v, const struct lint_numbers *in, bool *full)
{
    uint64_t used = 0;
    *full = false;
    if (!lint_is_full(v->total, in->size)) return ERR_OK;
    enum err e = v->assigned(v->ctx, (struct slice){in->low, in->n}, (struct slice){in->high, in->n}, in->n, &used);
    *full = e == ERR_OK && lint_is_full(used, in->size);
    return e;
}

struct range {
    struct near *n;
    struct slice high;
};

static bool take_account(void *ctx, struct slice key)
{
    struct range *r = ctx;
    if (slice_cmp(key, r->high) > 0) return false;
    (void)near_take(r->n, key, false);
    return r->n->err == ERR_OK;
}

static bool take_any(void *ctx, struct slice key)
{
    struct near *n = ctx;
    (void)near_take(n, key, false);
    return n->err == ERR_OK;
}

static void take_numbers(struct near *n, const struct lint_numbers *in)
{
    char from[PLAN_KEY_MAX] = "account/";
    char to[PLAN_KEY_MAX] = "account/";
    const size_t head = strlen(from);
    memcpy(from + head, in->low, in->n);
    memcpy(to + head, in->high, in->n);
    struct range r = {n, {to, head + in->n}};
    enum err e = n->view->keys(n->view->ctx, (struct slice){from, head + in->n}, take_account, &r);
    if (e == ERR_OK) {
        const struct slice low = {in->low, in->n};
        e = n->view->within(n->view->ctx, low, (struct slice){in->high, in->n}, take_any, n);
    }
    if (e != ERR_OK && n->err == ERR_OK) n->err = e;
}

/* Whether a block of the site is full; takes the numbers of those that are where take is not NULL. */
static enum err full_blocks(const struct plan_view *v, const struct plan_site *site, struct near *take, bool *any)
{
    enum err e = ERR_OK;
    *any = false;
    for (size_t i = 0; i < site->block_count; i++) {
        struct pattern p;
        if (pattern_parse(site->blocks[i], &p, NULL) != ERR_OK) continue;
        const struct span s = span_of(&p, NULL, 0);
        for (size_t more = 0; more <= LINT_MORE_MAX && e == ERR_OK; more++) {
            struct lint_numbers in;
            bool full = false;
            if (lint_block_numbers(&s, more, &in)) e = is_full(v, &in, &full);
            if (full && take != NULL) take_numbers(take, &in);
            *any = *any || full;
        }
    }
    return e;
}

/* A block that becomes full by the change brings its numbers along; where one was full before, it is no news. */
static void gather_numbers(struct near *n, struct near_item *item, const struct plan_view *before)
{
    const struct plan_object *was = NULL;
    bool full = false;
    bool old = false;
    enum err e = full_blocks(n->view, &item->object->site, NULL, &full);
    if (e == ERR_OK && full) e = before->get(before->ctx, item->key, &was);
    if (e == ERR_OK && full) e = full_blocks(before, &was->site, NULL, &old);
    if (e == ERR_NOTFOUND) e = ERR_OK;
    item->numbers = full && !old;
    if (e == ERR_OK && item->numbers) e = full_blocks(n->view, &item->object->site, n, &full);
    if (e != ERR_OK && n->err == ERR_OK) n->err = e;
}

static void gather_route(struct near *n, const struct near_item *item)
{
    struct lint_loop loop;
    gather_group(n, item);
    gather_cover(n, item->object);
    if (lint_is_followed(item->object)) (void)lint_follow(item->object, look_up, n, &loop);
}

/* Whom a trunk trusts is held against all others. */
static void gather_named(struct near *n, const struct near_item *item)
{
    const struct plan_object *o = item->object;
    if (o->kind == PLAN_TRUNK && !n->trunks) near_prefix(n, SLICE("trunk/"), SIZE_MAX, false);
    n->trunks = n->trunks || o->kind == PLAN_TRUNK;
    if (!item->evidence || item->searched) return;
    near_referrers(n, o->kind, o->kind == PLAN_TRUNK ? o->trunk.name : o->account.name, false);
}

void near_gather(struct near *n, const struct plan_view *before)
{
    near_prefix(n, SLICE("site/"), SIZE_MAX, false);
    for (struct near_item *i = n->first; i != NULL && n->err == ERR_OK; i = i->next) {
        if (!i->judged) continue;
        switch (i->object->kind) {
        case PLAN_ROUTE: gather_route(n, i); break;
        case PLAN_TRUNK:
        case PLAN_ACCOUNT: gather_named(n, i); break;
        case PLAN_SITE:
            if (i->numbers) gather_numbers(n, i, before);
            break;
        case PLAN_DEFAULTS:
        case PLAN_KIND_COUNT: break;
        }
    }
}
