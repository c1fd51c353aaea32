/* html: see the header. */
#include "node/control/html.h"

#include <inttypes.h>

#include "node/plan/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: they turn what follows them. */
static bool turns(struct slice c)
{
    const unsigned char *p = (const unsigned char *)c.p;
    if (c.n == 2) return p[0] == 0xd8 && p[1] == 0x9c;
    if (c.n != 3 || p[0] != 0xe2) return false;
    if (p[1] == 0x80) return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae);
    return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
}

/* Takes the first character off s. False: it must not be shown as it is. */
static bool take(struct slice *s, struct slice *c)
{
    unsigned char first = (unsigned char)s->p[0];
    size_t n = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n > s->n) n = 1;
    *c = (struct slice){s->p, n};
    bool fit = text_valid(*c) && !turns(*c);
    if (!fit && !text_is_utf8(*c)) c->n = 1; /* what follows may be well again */
    *s = (struct slice){s->p + c->n, s->n - c->n};
    return fit;
}

static void add_char(struct buf *out, struct slice c)
{
    switch (c.n == 1 ? c.p[0] : '\0') {
    case '&': buf_text(out, "&amp;"); break;
    case '<': buf_text(out, "&lt;"); break;
    case '>': buf_text(out, "&gt;"); break;
    case '"': buf_text(out, "&#34;"); break;
    case '\'': buf_text(out, "&#39;"); break;
    default: buf_slice(out, c); break;
    }
}

void html_cut(struct buf *out, struct slice s, size_t chars)
{
    struct slice c;
    for (size_t i = 0; s.n > 0 && i < chars; i++) {
        if (take(&s, &c))
            add_char(out, c);
        else
            buf_text(out, REPLACEMENT);
    }
    if (s.n > 0) buf_text(out, "\xe2\x80\xa6");
}

void html_text(struct buf *out, struct slice s)
{
    html_cut(out, s, SIZE_MAX);
}

void html_us(struct buf *out, uint64_t us)
{
    static const struct {
        uint64_t below_s;
        uint64_t unit_s;
        const char *word;
    } units[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {UINT64_MAX, 86400, "d"}};
    uint64_t s = us / 1000000;
    if (us < 10000) {
        buf_printf(out, "%" PRIu64 ".%" PRIu64 " ms", us / 1000, us / 100 % 10);
    } else if (s < 1) {
        buf_printf(out, "%" PRIu64 " ms", us / 1000);
    } else if (s < 10) {
        buf_printf(out, "%" PRIu64 ".%" PRIu64 " s", s, us / 100000 % 10);
    } else {
        size_t i = 0;
        while (s >= units[i].below_s)
            i++;
        buf_printf(out, "%" PRIu64 " %s", s / units[i].unit_s, units[i].word);
    }
}

void html_count(struct buf *out, uint64_t n)
{
    char text[DECIMAL_TEXT];
    struct slice digits = decimal_text(n, text);
    for (size_t i = 0; i < digits.n; i++) {
        if (i > 0 && (digits.n - i) % 3 == 0) buf_text(out, ",");
        buf_add(out, digits.p + i, 1);
    }
}
