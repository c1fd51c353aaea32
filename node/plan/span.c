/* span: see span.h. parent links are those of a stack of falling ends; jump links make it a skew-binary list. */
#include "node/plan/span.h"

#include <stdlib.h>

struct span span_of(const struct pattern *p, const struct plan_object *object, uint32_t preference)
{
    return (struct span){.low = p->low,
                         .high = p->kind == PATTERN_RANGE ? p->high : p->low,
                         .open = p->kind != PATTERN_EXACT,
                         .specificity = pattern_specificity(p),
                         .preference = preference,
                         .object = object,
                         .parent = SPAN_NONE,
                         .jump = SPAN_NONE};
}

/* Orders ends: an open one lies behind everything that begins with it. */
static int compare_ends(const struct span *a, const struct span *b)
{
    size_t n = a->high.n < b->high.n ? a->high.n : b->high.n;
    int order = n > 0 ? memcmp(a->high.p, b->high.p, n) : 0;
    if (order != 0) return order;
    if (a->high.n == b->high.n) return (a->open > b->open) - (a->open < b->open);
    bool a_shorter = a->high.n < b->high.n;
    bool shorter_open = a_shorter ? a->open : b->open;
    return a_shorter == shorter_open ? 1 : -1;
}

bool span_equal(const struct span *a, const struct span *b)
{
    return slice_eq(a->low, b->low) && compare_ends(a, b) == 0;
}

int span_cmp(const struct span *a, const struct span *b)
{
    int order = slice_cmp(a->low, b->low);
    return order != 0 ? order : compare_ends(b, a);
}

bool span_reaches(const struct span *a, const struct span *b)
{
    return compare_ends(a, b) >= 0;
}

bool span_contains(const struct span *a, const struct span *b)
{
    return slice_cmp(a->low, b->low) <= 0 && compare_ends(a, b) >= 0;
}

/* Between equal spans of equal preference, so that the same plan is always seen in the same order. */
static int compare_owners(const struct plan_object *a, const struct plan_object *b)
{
    if (a == NULL || b == NULL) return 0;
    if (a->kind != b->kind) return a->kind == PLAN_ROUTE ? -1 : 1;
    if (a->kind == PLAN_SITE) return slice_cmp(a->site.name, b->site.name);
    if (a->kind == PLAN_ACCOUNT) return slice_cmp(a->account.name, b->account.name);
    if (a->kind != PLAN_ROUTE) return 0;
    const struct plan_target *x = &a->route.target;
    const struct plan_target *y = &b->route.target;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->code != y->code) return x->code < y->code ? -1 : 1;
    int order = slice_cmp(x->name, y->name);
    return order != 0 ? order : slice_cmp(a->route.scope, b->route.scope);
}

static int compare_spans(const void *left, const void *right)
{
    const struct span *a = left;
    const struct span *b = right;
    int order = span_cmp(a, b);
    if (order == 0) order = (a->preference < b->preference) - (a->preference > b->preference);
    return order != 0 ? order : compare_owners(a->object, b->object);
}

enum err span_index_add(struct span_index *x, struct span s)
{
    if (x->count == x->cap) {
        size_t cap = x->cap > 0 ? 2 * x->cap : 256;
        struct span *grown = realloc(x->spans, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        x->spans = grown;
        x->cap = cap;
    }
    x->spans[x->count++] = s;
    return ERR_OK;
}

void span_index_fini(struct span_index *x)
{
    free(x->spans);
    *x = (struct span_index){0};
}

/* A span without parent is its own jump target. */
static void link_jump(struct span_index *x, size_t at)
{
    struct span *s = &x->spans[at];
    s->jump = at;
    s->depth = 0;
    if (s->parent == SPAN_NONE) return;
    const struct span *parent = &x->spans[s->parent];
    const struct span *skipped = &x->spans[parent->jump];
    s->depth = parent->depth + 1;
    bool even = parent->depth - skipped->depth == skipped->depth - x->spans[skipped->jump].depth;
    s->jump = even ? skipped->jump : s->parent;
}

/* From at upwards, the first whose end is not before that of s. */
static size_t climb(const struct span_index *x, size_t at, const struct span *s)
{
    while (at != SPAN_NONE && compare_ends(&x->spans[at], s) < 0) {
        const struct span *here = &x->spans[at];
        bool far = here->jump != at && compare_ends(&x->spans[here->jump], s) < 0;
        at = far ? here->jump : here->parent;
    }
    return at;
}

void span_index_build(struct span_index *x)
{
    if (x->count > 0) qsort(x->spans, x->count, sizeof *x->spans, compare_spans);
    for (size_t i = 0; i < x->count; i++) {
        size_t at = i > 0 ? i - 1 : SPAN_NONE;
        while (at != SPAN_NONE && compare_ends(&x->spans[at], &x->spans[i]) < 0)
            at = x->spans[at].parent;
        x->spans[i].parent = at;
        link_jump(x, i);
    }
}

size_t span_index_find(const struct span_index *x, const struct span *s)
{
    size_t from = 0;
    size_t to = x->count;
    while (from < to) { /* the first whose low is above that of s */
        size_t middle = from + (to - from) / 2;
        if (slice_cmp(x->spans[middle].low, s->low) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return climb(x, from > 0 ? from - 1 : SPAN_NONE, s);
}

size_t span_index_overlap(const struct span_index *x, size_t at)
{
    const struct span *s = &x->spans[at];
    const struct span begin = {.low = s->low, .high = s->low};
    return climb(x, at > 0 ? at - 1 : SPAN_NONE, &begin);
}
