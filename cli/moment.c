#include "cli/moment.h"

#include <string.h>

#define MS_PER_DAY INT64_C(86400000)

/* So many digits, of which text is moved behind. False: there are others there. */
static bool digits(const char **text, unsigned count, int64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9') return false;
        *value = *value * 10 + (**text - '0');
    }
    return true;
}

static bool take(const char **text, char c)
{
    if (**text != c) return false;
    (*text)++;
    return true;
}

/* "03:12", "03:12:30", "03:12:30.123", each with or without a Z behind, up to the end. */
static bool clock_parse(const char *s, int64_t *ms)
{
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t thousandth = 0;
    if (!digits(&s, 2, &hour) || !take(&s, ':') || !digits(&s, 2, &minute)) return false;
    bool seconds = take(&s, ':');
    if (seconds && !digits(&s, 2, &second)) return false;
    if (seconds && take(&s, '.') && !digits(&s, 3, &thousandth)) return false;
    (void)take(&s, 'Z');
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + thousandth;
    return *s == '\0' && hour < 24 && minute < 60 && second < 60;
}

/* Days since 1970-01-01, in years that begin on 1 March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t march_month = (month + 9) % 12;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * march_month + 2) / 5 + day - 1 - 719468;
}

static bool date_parse(const char **s, int64_t *ms)
{
    const char *begin = *s;
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    char text[WALL_TEXT_SIZE];
    if (!digits(s, 4, &year) || !take(s, '-') || !digits(s, 2, &month) || !take(s, '-') || !digits(s, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1) return false;
    *ms = days_of(year, month, day) * MS_PER_DAY;
    return memcmp(wall_text((struct wall){*ms}, text), begin, (size_t)(*s - begin)) == 0; /* no 30 February */
}

enum err moment_parse(const char *text, struct wall now, struct wall *out)
{
    uint64_t ago = 0;
    int64_t day = 0;
    int64_t in_day = 0;
    const char *s = text;
    if (duration_parse(text, strlen(text), &ago) == ERR_OK) {
        out->ms = now.ms - (int64_t)ago;
        return ERR_OK;
    }
    if (clock_parse(text, &in_day)) {
        out->ms = now.ms - now.ms % MS_PER_DAY + in_day;
        if (out->ms > now.ms) out->ms -= MS_PER_DAY;
        return ERR_OK;
    }
    if (!date_parse(&s, &day)) return ERR_SYNTAX;
    if (*s != '\0' && !((take(&s, ' ') || take(&s, 'T')) && clock_parse(s, &in_day))) return ERR_SYNTAX;
    out->ms = day + in_day;
    return ERR_OK;
}
