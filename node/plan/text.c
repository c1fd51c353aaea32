/* text: see text.h. The distance is the optimal string alignment distance, over three rows. */
#include "node/plan/text.h"

#include <stdio.h>

#include "node/base/limits.h"

const char *text_shown(struct slice s, char out[TEXT_SHOWN])
{
    size_t room = TEXT_SHOWN - sizeof "\"...\"";
    size_t n = s.n < room ? s.n : room;
    size_t at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[at++] = (char)(c < 0x20 || c == 0x7f || c == '"' || c >= 0x80 ? '?' : c);
    }
    (void)snprintf(out + at, TEXT_SHOWN - at, "%s\"", n < s.n ? "..." : "");
    return out;
}

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

bool text_valid(struct slice s)
{
    size_t i = 0;
    while (i < s.n) {
        uint32_t code = 0;
        size_t len = utf8_next((const unsigned char *)s.p + i, s.n - i, &code);
        if (len == 0) return false;
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
        if (code == 0x2028 || code == 0x2029 || code == 0xfeff || (code & 0xfffe) == 0xfffe) return false;
        i += len;
    }
    return true;
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
