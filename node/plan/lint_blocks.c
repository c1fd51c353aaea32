/* lint_blocks: the number space of each site: who routes into another one's, which blocks overlap, which are nearly
 * full. */
#include "node/plan/lint_blocks.h"

#include <stdlib.h>

#include "node/plan/lint_context.h"

#define FULL_PERCENT 80

/* ---- foreign-block ---- */

static struct slice site_name(const struct span *s)
{
    return s->object->site.name;
}

/* The innermost block around s, when no site called site has the same one; else SPAN_NONE. */
static size_t foreign_block(const struct span_index *blocks, const struct span *s, struct slice site)
{
    size_t found = span_index_find(blocks, s);
    for (size_t at = found; at != SPAN_NONE && span_equal(&blocks->spans[at], &blocks->spans[found]);
         at = blocks->spans[at].parent) {
        if (slice_eq(site_name(&blocks->spans[at]), site)) return SPAN_NONE;
    }
    return found;
}

static void check_match(struct lint *l, const struct span_index *blocks, const struct plan_object *o,
                        struct slice match, struct slice scope, struct slice site)
{
    struct pattern p;
    if (site.n == 0 || pattern_parse(match, &p, NULL) != ERR_OK) return;
    struct span s = span_of(&p, o, 0);
    size_t at = foreign_block(blocks, &s, site);
    if (at == SPAN_NONE || slice_eq(scope, site_name(&blocks->spans[at]))) return;
    struct slice owner = site_name(&blocks->spans[at]);
    lint_add(l, LINT_ERROR, "foreign-block", o,
             "%.*s lies in a block of site %.*s, but its first choice is at site %.*s: give a target at %.*s a lower "
             "priority value, make it a fallback of a route there, or correct the blocks",
             SLICE_ARG(match), SLICE_ARG(owner), SLICE_ARG(site), SLICE_ARG(owner));
}

/* Routes are sorted by match, scope and priority: the first that is in force, and its equals, are the first choice. */
static void check_foreign(struct lint *l, const struct span_index *blocks)
{
    struct plan_route first = {.priority = 0};
    bool any = false;
    for (size_t i = 0; i < l->routes.count; i++) {
        const struct plan_object o = lint_table_at(&l->routes, i);
        const struct plan_route *r = &o.route;
        if (r->disabled) continue;
        if (!any || !slice_eq(first.match, r->match) || !slice_eq(first.scope, r->scope)) first = *r;
        any = true;
        if (r->priority != first.priority) continue;
        check_match(l, blocks, &o, r->match, r->scope, lint_site_of(l, &r->target));
    }
    const struct lint_objects *o = &l->kinds[PLAN_ACCOUNT];
    for (size_t i = 0; i < o->count; i++) {
        const struct plan_account *a = &o->list[i]->account;
        for (size_t j = 0; j < a->number_count && !a->disabled; j++) {
            check_match(l, blocks, o->list[i], a->numbers[j], SLICE_NONE, a->site);
        }
    }
}

/* ---- overlapping-blocks ---- */

static void check_overlaps(struct lint *l, const struct span_index *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) {
        const struct span *s = &blocks->spans[i];
        size_t at = span_index_overlap(blocks, i);
        while (at != SPAN_NONE && slice_eq(site_name(&blocks->spans[at]), site_name(s)))
            at = blocks->spans[at].parent;
        if (at == SPAN_NONE) continue;
        const struct span *other = &blocks->spans[at];
        bool range = !slice_eq(s->low, s->high);
        bool other_range = !slice_eq(other->low, other->high);
        lint_add(l, LINT_WARNING, "overlapping-blocks", s->object,
                 "its block %.*s%s%.*s overlaps %.*s%s%.*s of site %.*s: let each number have one owner",
                 SLICE_ARG(s->low), range ? "-" : "", range ? (int)s->high.n : 0, s->high.p, SLICE_ARG(other->low),
                 other_range ? "-" : "", other_range ? (int)other->high.n : 0, other->high.p,
                 SLICE_ARG(site_name(other)));
    }
}

/* ---- block-full ---- */

/* Every number that is assigned one by one: names of accounts, and exact matches. */
struct numbers {
    struct slice *list; /* by length, then text */
    size_t count;
    size_t cap;
};

static int compare_numbers(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    return slice_cmp(*a, *b);
}

static bool add_number(struct numbers *x, struct slice number)
{
    if (x->count == x->cap) {
        size_t cap = x->cap > 0 ? 2 * x->cap : 256;
        struct slice *grown = realloc(x->list, cap * sizeof *grown);
        if (grown == NULL) return false;
        x->list = grown;
        x->cap = cap;
    }
    x->list[x->count++] = number;
    return true;
}

static bool add_exact(struct numbers *x, struct slice match)
{
    if (match.n < 2 || match.p[0] != '=') return true;
    return add_number(x, (struct slice){match.p + 1, match.n - 1});
}

static bool collect(const struct lint *l, struct numbers *x)
{
    const struct lint_objects *accounts = &l->kinds[PLAN_ACCOUNT];
    size_t distinct = 0;
    bool ok = true;
    for (size_t i = 0; i < accounts->count && ok; i++) {
        const struct plan_account *a = &accounts->list[i]->account;
        ok = !number_valid(a->name) || add_number(x, a->name);
        for (size_t j = 0; j < a->number_count && ok; j++)
            ok = add_exact(x, a->numbers[j]);
    }
    for (size_t i = 0; i < l->routes.count && ok; i++)
        ok = add_exact(x, lint_table_match(&l->routes, i));
    if (x->count > 0) qsort(x->list, x->count, sizeof *x->list, compare_numbers);
    for (size_t i = 0; i < x->count; i++) {
        if (distinct == 0 || !slice_eq(x->list[distinct - 1], x->list[i])) x->list[distinct++] = x->list[i];
    }
    x->count = distinct;
    return ok;
}

/* How many numbers are below (or, with past, at or below) the text, among those of its length. */
static size_t position(const struct numbers *x, struct slice text, bool past)
{
    size_t from = 0;
    size_t to = x->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = compare_numbers(&x->list[middle], &text);
        if (order < 0 || (past && order == 0)) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* The digits from the first where the bounds differ, as an integer: false when there are too many. */
static bool range_size(const struct span *s, uint64_t *size)
{
    size_t at = 0;
    uint64_t low = 0;
    uint64_t high = 0;
    while (at < s->low.n && s->low.p[at] == s->high.p[at])
        at++;
    if (s->low.n - at > LINT_MORE_MAX) return false;
    if (at < s->low.n && (slice_u64((struct slice){s->low.p + at, s->low.n - at}, UINT64_MAX, &low) != ERR_OK ||
                          slice_u64((struct slice){s->high.p + at, s->high.n - at}, UINT64_MAX, &high) != ERR_OK)) {
        return false;
    }
    *size = high - low + 1;
    return true;
}

bool lint_block_numbers(const struct span *block, size_t more, struct lint_numbers *out)
{
    out->n = block->low.n + more;
    if (out->n > LIMIT_NUMBER || !range_size(block, &out->size)) return false;
    memcpy(out->low, block->low.p, block->low.n);
    memcpy(out->high, block->high.p, block->high.n);
    memset(out->low + block->low.n, '0', more);
    memset(out->high + block->high.n, '9', more);
    for (size_t i = 0; i < more; i++) {
        if (out->size > UINT64_MAX / 1000) return false;
        out->size *= 10;
    }
    return out->size >= 2;
}

bool lint_is_full(uint64_t used, uint64_t size)
{
    return used * UINT64_C(100) > size * FULL_PERCENT;
}

/* Numbers of one length, more digits than the bounds have: is the block nearly full of them? */
static void check_full(struct lint *l, const struct numbers *x, const struct span *s, size_t more)
{
    struct lint_numbers in;
    if (!lint_block_numbers(s, more, &in)) return;
    size_t used = position(x, (struct slice){in.high, in.n}, true) - position(x, (struct slice){in.low, in.n}, false);
    if (!lint_is_full(used, in.size)) return;
    lint_add(l, LINT_WARNING, "block-full", s->object,
             "%zu of the %llu numbers of %zu digits in its block %.*s%s%.*s are assigned, over %d %%: give the site "
             "another block in time",
             used, (unsigned long long)in.size, in.n, SLICE_ARG(s->low), slice_eq(s->low, s->high) ? "" : "-",
             slice_eq(s->low, s->high) ? 0 : (int)s->high.n, s->high.p, FULL_PERCENT);
}

static void check_fullness(struct lint *l, const struct span_index *blocks)
{
    struct numbers x = {0};
    if (!collect(l, &x)) l->failed = true;
    for (size_t i = 0; i < blocks->count && !l->failed; i++) {
        const struct span *s = &blocks->spans[i];
        for (size_t more = 0; more <= LINT_MORE_MAX; more++)
            check_full(l, &x, s, more);
    }
    free(x.list);
}

void lint_blocks(struct lint *l)
{
    const struct lint_objects *sites = &l->kinds[PLAN_SITE];
    struct span_index blocks = {0};
    for (size_t i = 0; i < sites->count; i++) {
        const struct plan_site *site = &sites->list[i]->site;
        for (size_t j = 0; j < site->block_count && !l->failed; j++) {
            struct pattern p;
            if (pattern_parse(site->blocks[j], &p, NULL) != ERR_OK) continue;
            l->failed = span_index_add(&blocks, span_of(&p, sites->list[i], 0)) != ERR_OK;
        }
    }
    span_index_build(&blocks);
    if (!l->failed) check_foreign(l, &blocks);
    if (!l->failed) check_overlaps(l, &blocks);
    if (!l->failed) check_fullness(l, &blocks);
    span_index_fini(&blocks);
}
