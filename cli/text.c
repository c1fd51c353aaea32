/* text: see the header. */
#include "cli/text.h"

#define WORD_MAX 64
#define FAR 1000

/* The length of the UTF-8 sequence at s (RFC 3629: no surrogates, no overlong forms), 0 when there is none. */
static size_t utf8_next(struct slice s, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > s.n) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    *code = c;
    return n;
}

static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void text_utf8(struct buf *out, struct slice s)
{
    while (s.n > 0) {
        uint32_t c = 0;
        size_t n = utf8_next(s, &c);
        if (n > 0)
            buf_add(out, s.p, n);
        else
            buf_add(out, "\xef\xbf\xbd", 3);
        n += n == 0;
        s = (struct slice){s.p + n, s.n - n};
    }
}

static void safe(struct buf *out, struct slice s, bool lines)
{
    while (s.n > 0) {
        uint32_t c = 0;
        size_t n = utf8_next(s, &c);
        bool layout = lines && (c == '\n' || c == '\t');
        if (n > 0 && (layout || !steers(c)))
            buf_add(out, s.p, n);
        else
            buf_add(out, "?", 1);
        n += n == 0;
        s = (struct slice){s.p + n, s.n - n};
    }
}

void text_safe(struct buf *out, struct slice s)
{
    safe(out, s, false);
}
void text_safe_lines(struct buf *out, struct slice s)
{
    safe(out, s, true);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over three rows. */
unsigned text_distance(const char *a, const char *b)
{
    size_t an = strlen(a);
    size_t bn = strlen(b);
    unsigned rows[3][WORD_MAX + 1];
    if (an > WORD_MAX || bn > WORD_MAX) return FAR;
    for (size_t k = 0; k <= bn; k++)
        rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= an; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *before = rows[(i + 2) % 3];
        const unsigned *two_before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t k = 1; k <= bn; k++) {
            now[k] = least(least(before[k] + 1, now[k - 1] + 1), before[k - 1] + (a[i - 1] != b[k - 1]));
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped) now[k] = least(now[k], two_before[k - 2] + 1);
        }
    }
    return rows[an % 3][bn];
}

/* Near enough: about a third of the word may be wrong. */
const char *text_nearest(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)(strlen(word) < 3 ? 1 : strlen(word) < 6 ? 2 : 3) + 1;
    for (size_t i = 0; i < count; i++) {
        unsigned d = text_distance(word, words[i]);
        if (d >= best_distance) continue;
        best = words[i];
        best_distance = d;
    }
    return best;
}
