/* csv_suspect: see csv_suspect.h. In whatever language the spreadsheet speaks: a decimal point may be a comma, and a
 * date may end in a point. */
#include "node/plan/csv_suspect.h"

static size_t digits_at(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

/* Behind "-12" and "12.5"; 0 when no number stands at the front. *decimals: its digits behind the point. */
static size_t number_end(struct slice s, size_t *decimals)
{
    size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    size_t n = digits_at(s, at);
    *decimals = 0;
    if (n == 0) return 0;
    at += n;
    if (at < s.n && (s.p[at] == '.' || s.p[at] == ',')) {
        *decimals = digits_at(s, at + 1);
        at += 1 + *decimals;
    }
    return at;
}

/* "8.61E+12", "8E12" */
static bool is_scientific(struct slice s)
{
    size_t decimals = 0;
    size_t at = number_end(s, &decimals);
    if (at == 0 || at + 1 >= s.n || (s.p[at] != 'E' && s.p[at] != 'e')) return false;
    at += 1 + (s.p[at + 1] == '+' || s.p[at + 1] == '-');
    return digits_at(s, at) > 0 && at + digits_at(s, at) == s.n;
}

/* "6001.0", and with any decimals "6.001". */
static bool is_decimal(struct slice s, bool zeros)
{
    size_t decimals = 0;
    if (number_end(s, &decimals) != s.n || decimals == 0) return false;
    for (size_t i = s.n - decimals; zeros && i < s.n; i++) {
        if (s.p[i] != '0') return false;
    }
    return true;
}

/* What a cell shows that is too narrow for its number. */
static bool is_narrow(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '#') return false;
    }
    return s.n >= 4;
}

/* "15.04.2026", "04/15/26", "2026-04-15", "04/15": two or three groups of digits. */
static bool is_numeric_date(struct slice s)
{
    size_t groups = 0;
    size_t at = 0;
    char separator = '\0';
    for (; at < s.n; at++) {
        size_t n = digits_at(s, at);
        if (n == 0 || n > 4 || n == 3) return false;
        groups++;
        at += n;
        if (at == s.n) break;
        if (memchr("./-", s.p[at], 3) == NULL || (separator != '\0' && s.p[at] != separator)) return false;
        separator = s.p[at];
    }
    return separator == '/' ? groups >= 2 : groups == 3;
}

/* "15. Apr", "Apr 15", "Mai-15": what becomes of 4-15. */
static bool names_month(struct slice s)
{
    static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "mai", "jun", "jul",
                                         "aug", "sep", "oct", "okt", "nov", "dec", "dez"};
    bool digit_near = digits_at(s, 0) > 0 || (s.n > 0 && digits_at(s, s.n - 1) > 0);
    for (size_t at = 0; digit_near && at + 3 <= s.n; at++) {
        for (size_t i = 0; i < sizeof months / sizeof months[0]; i++) {
            if (slice_eq_nocase((struct slice){s.p + at, 3}, slice_of(months[i]))) return true;
        }
    }
    return false;
}

const char *csv_damage(struct slice s)
{
    if (is_scientific(s)) return "a spreadsheet has made this of a long number, and its last digits are lost";
    if (is_decimal(s, true)) return "a spreadsheet has made a decimal number of it";
    if (is_narrow(s)) return "its column was too narrow in a spreadsheet, which wrote what it showed";
    return NULL;
}

const char *csv_trace(struct slice s)
{
    static const char *const errors[] = {"#NAME?", "#REF!", "#VALUE!", "#NUM!", "#N/A", "#DIV/0!", "Err:"};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (slice_starts(s, slice_of(errors[i]))) return "a spreadsheet has run this cell as a formula";
    }
    if (csv_damage(s) != NULL) return csv_damage(s);
    if (is_numeric_date(s) || names_month(s)) return "a spreadsheet has taken this for a date";
    if (is_decimal(s, false)) return "a spreadsheet has made a decimal number of it";
    return NULL;
}
