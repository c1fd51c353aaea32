/* lint_cover: see lint_cover.h. */
#include "node/plan/lint_cover.h"

struct slice lint_border_text(struct lint_border b, char out[LINT_BORDER_MAX])
{
    size_t n = b.at.n;
    if (n > 0) memcpy(out, b.at.p, n);
    if (b.behind) {
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

int lint_border_cmp(struct lint_border a, struct lint_border b)
{
    char text_a[LINT_BORDER_MAX];
    char text_b[LINT_BORDER_MAX];
    return slice_cmp(lint_border_text(a, text_a), lint_border_text(b, text_b));
}

bool lint_is_unconditional(const struct plan_route *r)
{
    return !r->disabled && r->hours.n == 0 && r->length_min == 0 && r->length_max == 0;
}

bool lint_takes_all(const struct plan_route *r)
{
    return lint_is_unconditional(r) && !r->overflow;
}

/* Whether at every site where wide is a candidate, narrow is one too. */
static bool reaches(const struct plan_route *narrow, const struct plan_route *wide)
{
    return narrow->scope.n == 0 || slice_eq(narrow->scope, wide->scope);
}

/* Whether all numbers that wide is for, by its length:, have the characters that a span needs. */
static bool long_enough(const struct plan_route *wide, const struct span *s)
{
    if (wide->length_min != 0 && wide->length_min < s->low.n) return false;
    return wide->length_max == 0 || wide->length_max >= s->low.n;
}

bool lint_may_cover(const struct plan_route *narrow, const struct plan_route *wide, const struct span *s)
{
    return long_enough(wide, s) && reaches(narrow, wide);
}
