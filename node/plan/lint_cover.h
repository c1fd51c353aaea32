/* lint_cover: when longer matches together take every call of a wider one: which of them count, and the borders between
 * numbers at which one ends and the next begins. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_COVER_H
#define TANDEM_PLAN_LINT_COVER_H

#include "node/plan/span.h"

/* A place among the numbers in text order: at itself, or behind everything that begins with it. */
struct lint_border {
    struct slice at;
    bool behind;
};
/* The border as a text to compare: trailing zeros say nothing (8150 begins where 815 does), and behind 829 comes 83. */
#define LINT_BORDER_MAX (LIMIT_NUMBER + 1)
struct slice lint_border_text(struct lint_border b, char out[LINT_BORDER_MAX]);
int lint_border_cmp(struct lint_border a, struct lint_border b);

/* Enabled, and without conditions of time or length. */
bool lint_is_unconditional(const struct plan_route *r);
/* Takes every call to its match, for good. */
bool lint_takes_all(const struct plan_route *r);
/* Whether narrow, whose span is s, takes its part of the calls of wide wherever wide is a candidate; that it takes all
 * of its own is not asked here. */
bool lint_may_cover(const struct plan_route *narrow, const struct plan_route *wide, const struct span *s);

#endif
