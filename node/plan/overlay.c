/* overlay: a plan with a few changes laid over it; see view.h. What the changes touch is answered from them, the rest
 * by the plan below. */
#include "node/plan/pattern.h"
#include "node/plan/view.h"

size_t plan_object_matches(const struct plan_object *o, const struct slice **out)
{
    *out = NULL;
    if (o == NULL) return 0;
    if (o->kind == PLAN_ROUTE) {
        *out = &o->route.match;
        return 1;
    }
    if (o->kind != PLAN_ACCOUNT) return 0;
    *out = o->account.numbers;
    return o->account.number_count;
}

/* The first edit whose key is not below key. */
static size_t first_from(const struct plan_overlay *o, struct slice key)
{
    size_t from = 0;
    size_t to = o->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (slice_cmp(o->edits[middle].key, key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static const struct plan_edit *edit_of(const struct plan_overlay *o, struct slice key)
{
    size_t at = first_from(o, key);
    return at < o->count && slice_eq(o->edits[at].key, key) ? &o->edits[at] : NULL;
}

static enum err get(void *ctx, struct slice key, const struct plan_object **out)
{
    const struct plan_overlay *o = ctx;
    const struct plan_edit *edit = edit_of(o, key);
    if (edit == NULL) return o->below->get(o->below->ctx, key, out);
    *out = edit->after;
    return edit->after != NULL ? ERR_OK : ERR_NOTFOUND;
}

/* ---- keys in order ---- */

struct merge {
    const struct plan_overlay *o;
    size_t at; /* the next edit */
    plan_view_visit *visit;
    void *ctx;
    bool stopped;
};

/* New objects below key (all that are left, when key is none); false once the visitor has enough. */
static bool visit_new(struct merge *m, const struct slice *key)
{
    while (!m->stopped && m->at < m->o->count) {
        const struct plan_edit *edit = &m->o->edits[m->at];
        if (key != NULL && slice_cmp(edit->key, *key) >= 0) break;
        m->at++;
        if (edit->after != NULL && edit->before == NULL) m->stopped = !m->visit(m->ctx, edit->key);
    }
    return !m->stopped;
}

static bool visit_below(void *ctx, struct slice key)
{
    struct merge *m = ctx;
    if (!visit_new(m, &key)) return false;
    const struct plan_edit *edit = edit_of(m->o, key);
    if (edit == NULL || edit->after != NULL) m->stopped = !m->visit(m->ctx, key);
    return !m->stopped;
}

static enum err keys(void *ctx, struct slice from, plan_view_visit *visit, void *visit_ctx)
{
    const struct plan_overlay *o = ctx;
    struct merge m = {.o = o, .at = first_from(o, from), .visit = visit, .ctx = visit_ctx};
    enum err e = o->below->keys(o->below->ctx, from, visit_below, &m);
    if (e == ERR_OK) (void)visit_new(&m, NULL);
    return e;
}

/* ---- by number ---- */

struct touch {
    struct slice low;
    struct slice high;
    bool within; /* else: around low */
    bool found;
};

static void test_key(void *ctx, struct slice key)
{
    struct touch *t = ctx;
    if (t->within) {
        t->found =
            t->found || (slice_cmp(key, t->low) >= 0 && (slice_cmp(key, t->high) <= 0 || slice_starts(key, t->high)));
        return;
    }
    bool exact = key.n == t->low.n + 1 && key.p[t->low.n] == '=' && slice_starts(key, t->low);
    t->found = t->found || exact || slice_starts(t->low, key);
}

static bool touches(struct touch *t, const struct plan_object *o)
{
    const struct slice *matches;
    size_t count = plan_object_matches(o, &matches);
    t->found = false;
    for (size_t i = 0; i < count && !t->found; i++) {
        struct pattern p;
        if (pattern_parse(matches[i], &p, NULL) == ERR_OK) pattern_keys(&p, test_key, t);
    }
    return t->found;
}

static bool visit_untouched(void *ctx, struct slice key)
{
    struct merge *m = ctx;
    if (edit_of(m->o, key) != NULL) return true;
    m->stopped = !m->visit(m->ctx, key);
    return !m->stopped;
}

static void visit_touched(struct merge *m, struct touch t)
{
    for (size_t i = 0; i < m->o->count && !m->stopped; i++) {
        const struct plan_edit *edit = &m->o->edits[i];
        if (touches(&t, edit->after)) m->stopped = !m->visit(m->ctx, edit->key);
    }
}

static enum err around(void *ctx, struct slice number, plan_view_visit *visit, void *visit_ctx)
{
    const struct plan_overlay *o = ctx;
    struct merge m = {.o = o, .visit = visit, .ctx = visit_ctx};
    enum err e = o->below->around(o->below->ctx, number, visit_untouched, &m);
    if (e == ERR_OK) visit_touched(&m, (struct touch){.low = number});
    return e;
}

static enum err within(void *ctx, struct slice low, struct slice high, plan_view_visit *visit, void *visit_ctx)
{
    const struct plan_overlay *o = ctx;
    struct merge m = {.o = o, .visit = visit, .ctx = visit_ctx};
    enum err e = o->below->within(o->below->ctx, low, high, visit_untouched, &m);
    if (e == ERR_OK) visit_touched(&m, (struct touch){.low = low, .high = high, .within = true});
    return e;
}

/* ---- numbers that are assigned one by one ---- */

struct exact {
    const struct plan_view *view;
    struct slice number;
    bool found;
    enum err err;
};

static bool is_exact(struct slice match, struct slice number)
{
    return match.n == number.n + 1 && match.p[0] == '=' && slice_eq((struct slice){match.p + 1, number.n}, number);
}

static bool visit_exact(void *ctx, struct slice key)
{
    struct exact *x = ctx;
    const struct plan_object *o = NULL;
    const struct slice *matches;
    x->err = x->view->get(x->view->ctx, key, &o);
    if (x->err != ERR_OK) return false;
    size_t count = plan_object_matches(o, &matches);
    for (size_t i = 0; i < count && !x->found; i++)
        x->found = is_exact(matches[i], x->number);
    return !x->found;
}

enum err plan_view_assigned(const struct plan_view *v, struct slice number, bool *yes)
{
    char key[PLAN_KEY_MAX] = "account/";
    const struct plan_object *account = NULL;
    struct exact x = {.view = v, .number = number};
    size_t n = strlen(key);
    memcpy(key + n, number.p, number.n);
    enum err e = v->get(v->ctx, (struct slice){key, n + number.n}, &account);
    *yes = e == ERR_OK;
    if (e != ERR_NOTFOUND) return e;
    e = v->around(v->ctx, number, visit_exact, &x);
    *yes = x.found;
    return e == ERR_OK ? x.err : e;
}

/* The k-th number that an object assigns by itself; false behind the last. Empty: what stands there is none. */
static bool number_at(const struct plan_object *o, size_t k, struct slice *number)
{
    const struct slice *matches;
    size_t count = plan_object_matches(o, &matches);
    if (o == NULL || k > count) return false;
    *number = SLICE_NONE;
    if (k == count) {
        if (o->kind == PLAN_ACCOUNT && number_valid(o->account.name)) *number = o->account.name;
    } else if (matches[k].n > 1 && matches[k].p[0] == '=') {
        *number = (struct slice){matches[k].p + 1, matches[k].n - 1};
    }
    return true;
}

struct tally {
    const struct plan_overlay *o;
    const struct plan_view *after;
    struct slice low;
    struct slice high;
    size_t n;
    uint64_t gained;
    uint64_t lost;
};

/* Whether an edit before the i-th, or the k-th number of side 0 or 1 of that one, says the same number already. */
static bool told_before(const struct tally *t, size_t i, unsigned side, size_t k, struct slice number)
{
    for (size_t j = 0; j <= i; j++) {
        for (unsigned s = 0; s < 2; s++) {
            const struct plan_object *o = s == 0 ? t->o->edits[j].before : t->o->edits[j].after;
            struct slice other;
            for (size_t m = 0; number_at(o, m, &other); m++) {
                if (j == i && s == side && m == k) return false;
                if (slice_eq(other, number)) return true;
            }
        }
    }
    return false;
}

static enum err tally_number(struct tally *t, struct slice number)
{
    bool was = false;
    bool is = false;
    if (number.n != t->n || slice_cmp(number, t->low) < 0) return ERR_OK;
    if (slice_cmp(number, t->high) > 0 && !slice_starts(number, t->high)) return ERR_OK;
    enum err e = plan_view_assigned(t->o->below, number, &was);
    if (e == ERR_OK) e = plan_view_assigned(t->after, number, &is);
    t->gained += !was && is;
    t->lost += was && !is;
    return e;
}

static enum err assigned(void *ctx, struct slice low, struct slice high, size_t n, uint64_t *count)
{
    struct plan_overlay *o = ctx;
    const struct plan_view after = plan_overlay_view(o);
    struct tally t = {.o = o, .after = &after, .low = low, .high = high, .n = n};
    enum err e = o->below->assigned(o->below->ctx, low, high, n, count);
    for (size_t i = 0; e == ERR_OK && i < o->count; i++) {
        for (unsigned side = 0; side < 2; side++) {
            struct slice number;
            for (size_t k = 0; e == ERR_OK && number_at(side == 0 ? o->edits[i].before : o->edits[i].after, k, &number);
                 k++) {
                if (number.n == n && !told_before(&t, i, side, k, number)) e = tally_number(&t, number);
            }
        }
    }
    if (e == ERR_OK) *count = *count + t.gained - t.lost;
    return e;
}

struct plan_view plan_overlay_view(struct plan_overlay *o)
{
    return (struct plan_view){.ctx = o,
                              .get = get,
                              .keys = keys,
                              .around = around,
                              .within = within,
                              .assigned = assigned,
                              .total = o->below->total + o->count * (LIMIT_LIST + 1)};
}
