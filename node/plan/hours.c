/* hours: see hours.h. One scanner hands out intervals; validation and the question "now?" are two readers of it.
 *
 *   hours    = rule *( ";" rule )
 *   rule     = days SP interval *( "," interval )
 *   days     = day [ "-" day ] *( "," day [ "-" day ] )       a range may wrap: Sa-Mo
 *   interval = HH:MM "-" HH:MM                                00:00 .. 23:59, and 24:00 as an end
 *
 * Spaces around ";" and "," do not matter. */
#include "node/plan/hours.h"

#include "node/plan/text.h"

#define HOURS_TEXT_MAX 512
#define DAY_MINUTES 1440

struct interval {
    unsigned days; /* bit 0 Monday .. bit 6 Sunday: the days on which it begins */
    unsigned begin;
    unsigned end; /* at most begin: it runs past midnight */
};

struct scan {
    struct slice rules; /* not yet begun; p NULL after the last */
    struct slice times; /* intervals left of the current rule; p NULL: none */
    unsigned days;
    const char *problem;
};

static bool scan_day(struct slice text, unsigned *day)
{
    static const char names[7][3] = {"Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"};
    for (unsigned d = 0; d < 7; d++) {
        if (slice_is(text, names[d])) {
            *day = d;
            return true;
        }
    }
    return false;
}

static bool scan_days(struct slice text, unsigned *days)
{
    *days = 0;
    while (text.p != NULL) {
        struct slice item;
        struct slice first;
        unsigned from = 0;
        unsigned to = 0;
        text = slice_cut(text, ',', &item);
        struct slice last = slice_cut(slice_trim(item), '-', &first);
        if (!scan_day(first, &from)) return false;
        to = from;
        if (last.p != NULL && !scan_day(last, &to)) return false;
        for (unsigned d = from;; d = (d + 1) % 7) {
            *days |= 1u << d;
            if (d == to) break;
        }
    }
    return *days != 0;
}

static bool scan_clock(struct slice text, unsigned *minute)
{
    uint64_t hour = 0;
    uint64_t min = 0;
    if (text.n != 5 || text.p[2] != ':') return false;
    if (slice_u64((struct slice){text.p, 2}, 24, &hour) != ERR_OK) return false;
    if (slice_u64((struct slice){text.p + 3, 2}, 59, &min) != ERR_OK) return false;
    *minute = (unsigned)(hour * 60 + min);
    return *minute <= DAY_MINUTES;
}

/* Splits the next rule into its days and its intervals at the first space that a digit follows. */
static bool scan_rule(struct scan *s)
{
    struct slice rule;
    s->rules = slice_cut(s->rules, ';', &rule);
    rule = slice_trim(rule);
    size_t at = 0;
    while (at < rule.n && !(rule.p[at] >= '0' && rule.p[at] <= '9'))
        at++;
    s->times = (struct slice){rule.p + at, rule.n - at};
    struct slice days = slice_trim((struct slice){rule.p, at});
    if (at == 0 || rule.p[at - 1] != ' ' || !scan_days(days, &s->days)) {
        s->problem = "begin with days out of Mo Tu We Th Fr Sa Su";
        return false;
    }
    return true;
}

/* The next interval; false at the end or at a problem. */
static bool scan_next(struct scan *s, struct interval *out)
{
    struct slice item;
    struct slice begin;
    if (s->problem != NULL || (s->times.p == NULL && s->rules.p == NULL)) return false;
    if (s->times.p == NULL && !scan_rule(s)) return false;
    s->times = slice_cut(s->times, ',', &item);
    struct slice end = slice_cut(slice_trim(item), '-', &begin);
    out->days = s->days;
    if (!scan_clock(begin, &out->begin) || !scan_clock(end, &out->end) || out->begin == DAY_MINUTES) {
        s->problem = "times go from 00:00 to 24:00, with two digits each";
        return false;
    }
    if (out->begin == out->end) {
        s->problem = "an interval that begins and ends at the same minute is none; all day is 00:00-24:00";
        return false;
    }
    return true;
}

static struct scan scan_start(struct slice text)
{
    return (struct scan){.rules = text};
}

enum err hours_validate(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct interval interval;
    if (text.n == 0) return ERR_OK;
    if (text.n > HOURS_TEXT_MAX) return err_fail(info, ERR_LIMIT, "hours have at most %d characters", HOURS_TEXT_MAX);
    struct scan s = scan_start(text);
    while (scan_next(&s, &interval))
        continue;
    if (s.problem == NULL) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s: %s; write for example \"Mo-Fr 08:00-18:00; Sa,Su 10:00-16:00\"",
                    text_shown(text, shown), s.problem);
}

bool hours_contain(struct slice text, struct local_time t)
{
    struct interval in;
    if (text.n == 0) return true;
    unsigned today = 1u << t.weekday % 7;
    unsigned yesterday = 1u << (t.weekday + 6) % 7;
    struct scan s = scan_start(text);
    while (scan_next(&s, &in)) {
        bool overnight = in.end < in.begin;
        if ((in.days & today) != 0 && t.minute >= in.begin && (overnight || t.minute < in.end)) return true;
        if (overnight && (in.days & yesterday) != 0 && t.minute < in.end) return true;
    }
    return false;
}
