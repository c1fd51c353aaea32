#include "node/base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_DAY 86400000

/* Civil date from days since 1970-01-01 (the proleptic Gregorian calendar, 400-year eras that begin on 1 March). */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

const char *wall_text(struct wall t, char out[WALL_TEXT_SIZE])
{
    int year = 0;
    int month = 0;
    int day = 0;
    if (t.ms < 0 || t.ms >= INT64_C(253402300800000)) {
        (void)snprintf(out, WALL_TEXT_SIZE, "-");
        return out;
    }
    civil_from_days(t.ms / MS_PER_DAY, &year, &month, &day);
    int in_day = (int)(t.ms % MS_PER_DAY);
    (void)snprintf(out, WALL_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year % 10000, month, day,
                   in_day / 3600000, in_day / 60000 % 60, in_day / 1000 % 60, in_day % 1000);
    return out;
}

static const struct unit {
    const char *name;
    uint64_t ms;
} units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum err duration_parse(const char *text, size_t len, uint64_t *ms)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > UINT64_C(1000000000000)) return ERR_LIMIT;
    }
    if (i == 0) return ERR_SYNTAX;
    if (i == len) {
        if (value != 0) return ERR_SYNTAX;
        *ms = 0;
        return ERR_OK;
    }
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        size_t unit_len = strlen(units[u].name);
        if (len - i != unit_len || memcmp(text + i, units[u].name, unit_len) != 0) continue;
        if (value > UINT64_C(366) * MS_PER_DAY / units[u].ms) return ERR_LIMIT;
        *ms = value * units[u].ms;
        return ERR_OK;
    }
    return ERR_SYNTAX;
}

const char *duration_text(uint64_t ms, char out[WALL_TEXT_SIZE])
{
    size_t u = 0;
    if (ms == 0) {
        (void)snprintf(out, WALL_TEXT_SIZE, "0");
        return out;
    }
    while (ms % units[u].ms != 0)
        u++;
    (void)snprintf(out, WALL_TEXT_SIZE, "%" PRIu64 "%s", ms / units[u].ms, units[u].name);
    return out;
}
