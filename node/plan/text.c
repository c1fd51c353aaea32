/* text: see text.h. The distance is the optimal string alignment distance, over three rows. */
#include "node/plan/text.h"

#include <stdio.h>

#include "node/base/limits.h"

/* Length of the UTF-8 sequence at p (n bytes are there), its code point in *code; 0 when malformed. */
static size_t utf8_next(const unsigned char *p, size_t n, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* below these the sequence is overlong */
    size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
    if (len == 0 || len > n || p[0] > 0xf4) return 0;
    uint32_t value = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
    *code = value;
    return len;
}

/* Whether a character beyond ASCII can be told from others by its looks: U+00A0 and U+00AD cannot. */
static bool is_plain_letter(uint32_t code)
{
    return code > 0xa0 && code < 0x250 && code != 0xad;
}

/* The character at p as it is shown; its length in the text. */
static size_t show_next(const unsigned char *p, size_t n, char out[16])
{
    uint32_t code = 0;
    size_t len = utf8_next(p, n, &code);
    if (len == 0 || code < 0x20 || code == 0x7f || code == '"')
        (void)snprintf(out, 16, "?");
    else if (code < 0x80 || is_plain_letter(code))
        (void)snprintf(out, 16, "%.*s", (int)len, (const char *)p);
    else
        (void)snprintf(out, 16, "<U+%04X>", (unsigned)code);
    return len + (len == 0);
}

const char *text_shown(struct slice s, char out[TEXT_SHOWN])
{
    const size_t room = TEXT_SHOWN - sizeof "...\"";
    size_t at = 0;
    size_t i = 0;
    out[at++] = '"';
    while (i < s.n) {
        char next[16];
        size_t len = show_next((const unsigned char *)s.p + i, s.n - i, next);
        size_t n = strlen(next);
        if (at + n > room) break;
        memcpy(out + at, next, n);
        at += n;
        i += len;
    }
    (void)snprintf(out + at, TEXT_SHOWN - at, "%s\"", i < s.n ? "..." : "");
    return out;
}

static bool within(uint32_t code, uint32_t first, uint32_t last)
{
    return code >= first && code <= last;
}

static bool is_blank(uint32_t code)
{
    return code == ' ' || code == '\t' || code == 0xa0 || code == 0xad || within(code, 0x2000, 0x200f) ||
           within(code, 0x2028, 0x202f) || within(code, 0x205f, 0x206f) || code == 0x3000 || code == 0xfeff;
}

static const char *odd_character(uint32_t code)
{
    if (is_blank(code)) return "is a blank, take it out";
    if (within(code, 0x2010, 0x2015) || code == 0x2212) return "is another dash, write -";
    if (within(code, 0xff01, 0xff5e)) return "is a full-width character, type it anew";
    if (code >= 0x80) return "is none of 0 to 9, + * #, type it anew";
    return memchr("()/.,", (int)code, 5) != NULL ? "stands between digits, take it out" : NULL;
}

const char *text_odd(struct slice s, char out[TEXT_ODD])
{
    uint32_t code = 0;
    size_t len = 1;
    out[0] = '\0';
    for (size_t i = 0; i < s.n; i++) {
        if ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') return out; /* it is something else altogether */
    }
    for (size_t i = 0; i < s.n && out[0] == '\0' && len > 0; i += len) {
        len = utf8_next((const unsigned char *)s.p + i, s.n - i, &code);
        const char *what = len > 0 ? odd_character(code) : NULL;
        if (what == NULL) continue;
        if (code == ' ' || code == '\t')
            (void)snprintf(out, TEXT_ODD, ": there is a blank in it, take it out");
        else if (code < 0x80)
            (void)snprintf(out, TEXT_ODD, ": a %c %s", (int)code, what);
        else
            (void)snprintf(out, TEXT_ODD, ": U+%04X %s", (unsigned)code, what);
    }
    return out;
}

/* Whether it is UTF-8, and every character fits (NULL: whatever they are). */
static bool all_fit(struct slice s, bool (*fits)(uint32_t code))
{
    size_t i = 0;
    while (i < s.n) {
        uint32_t code = 0;
        size_t len = utf8_next((const unsigned char *)s.p + i, s.n - i, &code);
        if (len == 0 || (fits != NULL && !fits(code))) return false;
        i += len;
    }
    return true;
}

static bool may_be_written(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
    return code != 0x2028 && code != 0x2029 && code != 0xfeff && (code & 0xfffe) != 0xfffe;
}

bool text_is_utf8(struct slice s)
{
    return all_fit(s, NULL);
}

bool text_valid(struct slice s)
{
    return all_fit(s, may_be_written);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

bool text_near(struct slice got, struct slice name, unsigned *distance)
{
    unsigned rows[3][LIMIT_NAME + 1];
    if (got.n == 0 || got.n > LIMIT_NAME || name.n == 0 || name.n > LIMIT_NAME) return false;
    unsigned *above2 = rows[0];
    unsigned *above = rows[1];
    unsigned *row = rows[2];
    for (unsigned j = 0; j <= name.n; j++)
        above[j] = above2[j] = j;
    for (unsigned i = 1; i <= got.n; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= name.n; j++) {
            bool same = got.p[i - 1] == name.p[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            bool swapped = i > 1 && j > 1 && got.p[i - 1] == name.p[j - 2] && got.p[i - 2] == name.p[j - 1];
            if (swapped && above2[j - 2] + 1 < row[j]) row[j] = above2[j - 2] + 1;
        }
        unsigned *oldest = above2;
        above2 = above;
        above = row;
        row = oldest;
    }
    size_t longer = got.n > name.n ? got.n : name.n;
    unsigned allowed = longer <= 3 ? 1 : longer <= 6 ? 2 : 3;
    if (above[name.n] > allowed || above[name.n] >= longer) return false;
    *distance = above[name.n];
    return true;
}
