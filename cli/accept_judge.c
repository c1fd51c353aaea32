/* accept_judge: see the header. A reject that stands behind other targets is no target: nothing can be tried there. */
#include "cli/accept_judge.h"

/* The k-th target that can be tried, NULL behind the last. */
static const struct accept_candidate *placed(const struct accept_answer *a, size_t k)
{
    for (size_t i = 0; a->code == 0 && i < a->count; i++) {
        const struct accept_candidate *one = &a->candidates[i];
        if (one->place == 0 || slice_starts(one->target, SLICE("reject/"))) continue;
        if (k-- == 0) return one;
    }
    return NULL;
}

/* The target's best candidate: one with a place stands before those without, and a longer match before a shorter. */
static const struct accept_candidate *find(const struct accept_answer *a, struct slice target)
{
    for (size_t i = 0; i < a->count; i++)
        if (slice_eq(a->candidates[i].target, target)) return &a->candidates[i];
    return NULL;
}

/* ---- words ---- */

void accept_expected_text(const struct accept_case *c, struct buf *out)
{
    if (c->code != 0) buf_printf(out, "%u", (unsigned)c->code);
    for (size_t i = 0; i < c->expect_count; i++)
        buf_printf(out, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(c->expect[i]));
    if (c->any_order) buf_text(out, " in any order");
}

void accept_got_text(const struct accept_answer *a, struct buf *out)
{
    const struct accept_candidate *one = NULL;
    if (a->code != 0) buf_printf(out, "%u", (unsigned)a->code);
    for (size_t i = 0; (one = placed(a, i)) != NULL; i++)
        buf_printf(out, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(one->target));
}

static void begin_reason(struct buf *why)
{
    if (why->n > 0) buf_text(why, "; ");
}

static void say_missing(const struct accept_answer *a, struct slice target, struct buf *why)
{
    const struct accept_candidate *one = find(a, target);
    begin_reason(why);
    if (one == NULL) {
        buf_printf(why, "the plan has no route for %.*s to %.*s", SLICE_ARG(a->number), SLICE_ARG(target));
    } else if (one->place > 0 && a->code == 0) {
        buf_printf(why, "%.*s has place %lld", SLICE_ARG(target), (long long)one->place);
    } else {
        buf_printf(why, "%.*s: %.*s", SLICE_ARG(target), SLICE_ARG(one->text));
    }
}

/* ---- judging ---- */

/* What a dead node has left behind is tried, but nobody can count on it. */
static void judge_stale(const struct accept_candidate *one, struct buf *why)
{
    if (!one->stale) return;
    begin_reason(why);
    buf_printf(why, "%.*s is registered at no node that is alive", SLICE_ARG(one->target));
}

static bool is_expected(const struct accept_case *c, struct slice target)
{
    for (size_t i = 0; i < c->expect_count; i++)
        if (slice_eq(c->expect[i], target)) return true;
    return false;
}

static void judge_given_order(const struct accept_case *c, const struct accept_answer *a, struct buf *why)
{
    for (size_t i = 0; i < c->expect_count; i++) {
        const struct accept_candidate *one = placed(a, i);
        if (one == NULL || !slice_eq(one->target, c->expect[i])) {
            say_missing(a, c->expect[i], why);
            return; /* what stands behind it is out of place by it */
        }
        judge_stale(one, why);
    }
}

static void judge_any_order(const struct accept_case *c, const struct accept_answer *a, struct buf *why)
{
    for (size_t i = 0; i < c->expect_count; i++) {
        const struct accept_candidate *one = find(a, c->expect[i]);
        if (one == NULL || one->place == 0 || a->code != 0) {
            say_missing(a, c->expect[i], why);
        } else {
            judge_stale(one, why);
        }
    }
}

static void judge_targets(const struct accept_case *c, const struct accept_answer *a, struct buf *why)
{
    const struct accept_candidate *one = NULL;
    if (c->any_order) {
        judge_any_order(c, a, why);
    } else {
        judge_given_order(c, a, why);
    }
    for (size_t i = 0; !c->first_only && (one = placed(a, i)) != NULL; i++) {
        if (is_expected(c, one->target)) continue;
        begin_reason(why);
        buf_printf(why, "%.*s is tried as well, by its match %.*s", SLICE_ARG(one->target), SLICE_ARG(one->match));
    }
}

static void judge_code(const struct accept_case *c, const struct accept_answer *a, struct buf *why)
{
    const struct accept_candidate *one = placed(a, 0);
    if (a->code == c->code) return;
    begin_reason(why);
    if (one != NULL) {
        buf_printf(why, "%.*s is tried, by its match %.*s", SLICE_ARG(one->target), SLICE_ARG(one->match));
    } else if (a->count > 0 && a->candidates[0].place > 0) { /* a reject, which is nothing to be tried */
        buf_printf(why, "%.*s answers it, by its match %.*s", SLICE_ARG(a->candidates[0].target),
                   SLICE_ARG(a->candidates[0].match));
    } else if (a->count > 0) {
        buf_printf(why, "%.*s: %.*s", SLICE_ARG(a->candidates[0].target), SLICE_ARG(a->candidates[0].text));
    } else {
        buf_text(why, "the plan has no route for it");
    }
}

bool accept_judge(const struct accept_case *c, const struct accept_answer *a, struct buf *why)
{
    const struct accept_candidate *first = placed(a, 0);
    const size_t before = why->n;
    if (c->code != 0) {
        judge_code(c, a, why);
    } else {
        judge_targets(c, a, why);
    }
    if (c->number.n > 0 && !slice_eq(c->number, a->number)) {
        const struct slice number = a->number.n > 0 ? a->number : SLICE("no number");
        begin_reason(why);
        buf_printf(why, "in the plan it is %.*s, not %.*s", SLICE_ARG(number), SLICE_ARG(c->number));
    }
    if (c->sends.n > 0 && first != NULL && !slice_eq(c->sends, first->sends)) {
        begin_reason(why);
        buf_printf(why, "%.*s is sent %.*s, not %.*s", SLICE_ARG(first->target), SLICE_ARG(first->sends),
                   SLICE_ARG(c->sends));
    }
    return why->n == before && !why->failed;
}
