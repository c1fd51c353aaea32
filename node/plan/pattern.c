/* pattern: see pattern.h. Bounds of a range are digit strings of up to LIMIT_NUMBER characters, so all arithmetic is
 * decimal and on text: no integer would hold them. */
#include "node/plan/pattern.h"

#include "node/plan/text.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Characters at the front that both bounds share; what follows must be digits, or "from .. to" means nothing. */
static size_t common(struct slice a, struct slice b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

static bool digits_from(struct slice s, size_t at)
{
    while (at < s.n && is_digit(s.p[at]))
        at++;
    return at == s.n;
}

static enum err parse_range(struct slice text, struct slice low, struct slice high, struct pattern *p,
                            struct err_info *info)
{
    char shown[TEXT_SHOWN];
    char odd[TEXT_ODD];
    (void)text_shown(text, shown);
    if (!number_valid(low) || !number_valid(high)) {
        return err_fail(info, ERR_SYNTAX, "%s is no range%s; write the first and the last number, as in 8150-8379",
                        shown, text_odd(text, odd));
    }
    if (low.n != high.n) {
        return err_fail(info, ERR_SYNTAX, "%s: both bounds of a range need the same number of digits, as in 8150-8379",
                        shown);
    }
    size_t shared = common(low, high);
    if (!digits_from(low, shared) || !digits_from(high, shared)) {
        return err_fail(info, ERR_SYNTAX,
                        "%s: where the bounds of a range differ, only digits make sense, as in *20-*29", shown);
    }
    if (slice_cmp(low, high) >= 0) {
        return err_fail(info, ERR_SYNTAX, "%s: the first bound must be below the second; for one prefix write it alone",
                        shown);
    }
    *p = (struct pattern){PATTERN_RANGE, low, high};
    return ERR_OK;
}

enum err pattern_parse(struct slice text, struct pattern *p, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    char odd[TEXT_ODD];
    struct slice low;
    bool exact = text.n > 0 && text.p[0] == '=';
    if (text.n > 2 * LIMIT_NUMBER + 1) {
        return err_fail(info, ERR_LIMIT, "%s: a number has at most %d characters", text_shown(text, shown),
                        LIMIT_NUMBER);
    }
    struct slice high = slice_cut(text, '-', &low);
    if (high.p != NULL && !exact) return parse_range(text, low, high, p, info);
    struct slice number = exact ? (struct slice){text.p + 1, text.n - 1} : text;
    if (number.n > LIMIT_NUMBER) {
        return err_fail(info, ERR_LIMIT, "%s: a number has at most %d characters", text_shown(text, shown),
                        LIMIT_NUMBER);
    }
    if (!number_valid(number)) {
        return err_fail(
            info, ERR_SYNTAX,
            "%s is no match%s; write a prefix like 6 or +49, one number like =6001, or a range like 8150-8379",
            text_shown(text, shown), text_odd(text, odd));
    }
    *p = (struct pattern){exact ? PATTERN_EXACT : PATTERN_PREFIX, number, SLICE_NONE};
    return ERR_OK;
}

unsigned pattern_specificity(const struct pattern *p)
{
    return p->kind == PATTERN_EXACT ? LIMIT_NUMBER + 1 : (unsigned)p->low.n;
}

bool pattern_matches(const struct pattern *p, struct slice number)
{
    if (p->kind == PATTERN_EXACT) return slice_eq(p->low, number);
    if (p->kind == PATTERN_PREFIX) return slice_starts(number, p->low);
    if (number.n < p->low.n) return false;
    struct slice front = {number.p, p->low.n};
    size_t shared = common(p->low, p->high);
    return digits_from(front, shared) && slice_cmp(front, p->low) >= 0 && slice_cmp(front, p->high) <= 0;
}

/* The most trailing digits that can be left open at cur: they are all 0 here, and with all 9 the number is still at
 * most high. The key keeps at least one character. */
static size_t open_digits(const char *cur, struct slice high, size_t shared)
{
    char last[LIMIT_NUMBER];
    size_t least = shared > 0 ? shared : 1;
    size_t open = 0;
    memcpy(last, cur, high.n);
    while (high.n - open > least && cur[high.n - open - 1] == '0') {
        last[high.n - open - 1] = '9';
        if (memcmp(last, high.p, high.n) > 0) break;
        open++;
    }
    return open;
}

/* Adds one to the digits shared .. n-1; false when they were all 9. */
static bool increment(char *digits, size_t shared, size_t n)
{
    while (n > shared && digits[n - 1] == '9')
        digits[--n] = '0';
    if (n == shared) return false;
    digits[n - 1]++;
    return true;
}

static void range_keys(const struct pattern *p, void (*each)(void *ctx, struct slice key), void *ctx)
{
    char cur[LIMIT_NUMBER];
    size_t n = p->low.n;
    size_t shared = common(p->low, p->high);
    memcpy(cur, p->low.p, n);
    for (;;) {
        size_t open = open_digits(cur, p->high, shared);
        each(ctx, (struct slice){cur, n - open});
        if (!increment(cur, shared, n - open) || memcmp(cur, p->high.p, n) > 0) return;
    }
}

void pattern_keys(const struct pattern *p, void (*each)(void *ctx, struct slice key), void *ctx)
{
    char key[PATTERN_KEY_MAX];
    if (p->kind == PATTERN_RANGE) {
        range_keys(p, each, ctx);
        return;
    }
    memcpy(key, p->low.p, p->low.n);
    key[p->low.n] = '=';
    each(ctx, (struct slice){key, p->low.n + (p->kind == PATTERN_EXACT)});
}
