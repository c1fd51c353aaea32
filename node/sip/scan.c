#include "node/sip/scan.h"

#include "node/sip/block.h"

/* Sums of SIP_CH_*, sixteen to a row. Bytes from 0x80 are in SIP_CH_ADDR and SIP_CH_PLAIN
 * only. */
/* clang-format off */
const unsigned short sip_char_class[256] = {
    512, 512, 512, 512, 512, 512, 512, 512, 512, 640, 640, 512, 512, 640, 512, 512,
    512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512,
    640, 837, 0, 836, 836, 833, 836, 837, 836, 836, 837, 837, 260, 839, 839, 836,
    863, 863, 863, 863, 863, 863, 863, 863, 863, 863, 836, 772, 0, 836, 256, 836,
    836, 887, 887, 887, 887, 887, 887, 871, 871, 871, 871, 871, 871, 871, 871, 871,
    871, 871, 871, 871, 871, 871, 871, 871, 871, 871, 871, 836, 832, 836, 832, 839,
    833, 887, 887, 887, 887, 887, 887, 871, 871, 871, 871, 871, 871, 871, 871, 871,
    871, 871, 871, 871, 871, 871, 871, 871, 871, 871, 871, 832, 832, 832, 837, 512,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
    768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768, 768,
};
/* clang-format on */

/* What is neither in '-' to ':' nor in '@' to '~': all that is not in SIP_CH_VALUE, and little that is. */
static unsigned unusual(const char *p)
{
    return (block_upto(p, ',') | (block_upto(p, '?') ^ block_upto(p, ':'))) | (block_upto(p, '~') ^ 0xffffU);
}

const char *sip_skip_value(const char *p, const char *end)
{
    if (end - p < BLOCK) return sip_skip(p, end, SIP_CH_VALUE);
    for (;;) {
        for (unsigned mask = unusual(p); mask != 0; mask &= mask - 1) {
            const char *at = p + block_first(mask);
            if (!sip_char_is(*at, SIP_CH_VALUE)) return at;
        }
        if (end - p == BLOCK) return end;
        p = end - p < 2 * BLOCK ? end - BLOCK : p + BLOCK; /* the last block has bytes of the one before */
    }
}

const char *sip_skip_quoted(const char *p, const char *end)
{
    for (p++; p < end;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (quote == NULL) return NULL;
        const char *escape = memchr(p, '\\', (size_t)(quote - p));
        if (escape == NULL) return quote + 1;
        p = escape + 2; /* the escaped character, whatever it is */
    }
    return NULL;
}

/* The number at p, of so many digits at the most. */
static inline const char *scan_number(const char *p, const char *end, ptrdiff_t digits_max, unsigned *number)
{
    unsigned n = 0;
    if (end - p > digits_max) end = p + digits_max;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (unsigned)(*p - '0');
    *number = n;
    return p;
}

/* An IPv4 address at p; returns what follows, NULL when there is none. */
static const char *scan_ipv4(const char *p, const char *end)
{
    for (unsigned part = 0;; part++) {
        unsigned value = 0;
        const char *start = p;
        p = scan_number(p, end, 3, &value);
        if (p == start || value > 255) return NULL;
        if (part == 3) return p;
        if (p == end || *p++ != '.') return NULL;
    }
}

bool sip_is_ipv4(struct slice s)
{
    return s.n > 0 && scan_ipv4(s.p, s.p + s.n) == s.p + s.n;
}

COLD bool sip_is_ipv6(struct slice s)
{
    const char *p = s.p;
    const char *end = s.p + s.n;
    unsigned groups = 0;
    bool gap = false;
    if (s.n < 2) return false;
    if (*p == ':') {
        if (p[1] != ':') return false;
        gap = true;
        p += 2;
    }
    while (p < end) {
        const char *start = p;
        p = sip_skip(p, end, SIP_CH_HEX);
        if (p < end && *p == '.') {
            if (!sip_is_ipv4((struct slice){start, (size_t)(end - start)})) return false;
            groups += 2;
            break;
        }
        if (p == start || p - start > 4) return false;
        groups++;
        if (p == end) break;
        if (*p++ != ':' || p == end) return false;
        if (*p == ':') {
            if (gap) return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

/* A host name whose last label is a number cannot be one (RFC 3261 §25.1 toplabel): then it must be an IPv4 address. */
static bool host_name_ok(struct slice s)
{
    if (s.n == 0 || s.n > 255 || s.p[0] == '.' || s.p[0] == '-') return false;
    size_t end = s.p[s.n - 1] == '.' ? s.n - 1 : s.n;
    size_t at = end;
    while (at > 0 && sip_char_is(s.p[at - 1], SIP_CH_DIGIT))
        at--;
    if (at == end) return s.p[end - 1] != '.' && s.p[end - 1] != '-';
    if (at > 0 && s.p[at - 1] != '.') return true;
    return sip_is_ipv4(s);
}

static const char *scan_host(const char *p, const char *end, struct slice *host)
{
    const char *start = p;
    if (p < end && *p == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        if (close == NULL || !sip_is_ipv6((struct slice){p + 1, (size_t)(close - p - 1)})) return NULL;
        *host = (struct slice){start, (size_t)(close + 1 - start)};
        return close + 1;
    }
    /* Nearly every host is an IPv4 address: one pass tells. */
    p = scan_ipv4(start, end);
    bool whole = p != NULL && (p == end || !sip_char_is(*p, SIP_CH_HOST));
    if (!whole) p = sip_skip(start, end, SIP_CH_HOST);
    *host = (struct slice){start, (size_t)(p - start)};
    return whole || host_name_ok(*host) ? p : NULL;
}

const char *sip_scan_host_port(const char *p, const char *end, struct slice *host, uint16_t *port)
{
    *port = 0;
    p = scan_host(p, end, host);
    if (p == NULL) return NULL;
    const char *colon = sip_skip_space(p, end);
    if (colon == end || *colon != ':') return p;
    unsigned value = 0;
    p = scan_number(sip_skip_space(colon + 1, end), end, 6, &value);
    if (value == 0 || value > 65535) return NULL;
    *port = (uint16_t)value;
    return p;
}

const char *sip_scan_param(const char *p, const char *end, struct sip_param_span *out)
{
    p = sip_skip_space(p, end);
    out->start = p;
    p = sip_skip(p, end, SIP_CH_TOKEN);
    out->name = (struct slice){out->start, (size_t)(p - out->start)};
    out->value = SLICE_NONE;
    out->end = p;
    if (out->name.n == 0) return NULL;
    p = sip_skip_space(p, end);
    if (p == end || *p != '=') return p;
    p = sip_skip_space(p + 1, end);
    const char *start = p;
    if (p < end && *p == '"') {
        p = sip_skip_quoted(p, end);
        if (p == NULL) return NULL;
    } else {
        p = sip_skip_value(p, end);
    }
    out->value = (struct slice){start, (size_t)(p - start)};
    out->end = p;
    return sip_skip_space(p, end);
}

/* Words before "<": tokens, and what is not ASCII, since many phones leave their quotes out. */
static bool display_ok(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((signed char)s.p[i] >= 0 && !sip_char_is(s.p[i], SIP_CH_TOKEN | SIP_CH_SPACE)) return false;
    }
    return true;
}

/* Over what may stand in the URI of an address; most of it may stand in a value. */
static const char *skip_addr_uri(const char *p, const char *end)
{
    for (;;) {
        p = sip_skip_value(p, end);
        if (p == end || *p == '>' || !sip_char_is(*p, SIP_CH_ADDR)) return p;
        p++;
    }
}

/* An absolute URI as far as an address needs it: scheme, colon, something. */
static bool addr_uri_ok(struct slice s)
{
    const struct slice usual = SLICE("sip:");
    if (slice_starts(s, usual)) return s.n > usual.n;
    const char *end = s.p + s.n;
    const char *p = sip_skip(s.p, end, SIP_CH_ALPHA | SIP_CH_DIGIT | SIP_CH_TOKEN);
    return p > s.p && sip_char_is(*s.p, SIP_CH_ALPHA) && end - p >= 2 && *p == ':';
}

/* What stands before "<"; returns where that is, NULL when malformed. An addr-spec has no "<": what follows it. */
COLD static const char *scan_display(const char *p, const char *end, struct slice *display)
{
    const char *start = p;
    if (p < end && *p == '"') {
        p = sip_skip_quoted(p, end);
        if (p == NULL) return NULL;
        *display = (struct slice){start, (size_t)(p - start)};
        p = sip_skip_space(p, end);
        return p < end && *p == '<' ? p : NULL;
    }
    while (p < end && *p != '<' && *p != ';')
        p++;
    if (p == end || *p == ';') return p;
    *display = slice_trim((struct slice){start, (size_t)(p - start)});
    return display_ok(*display) ? p : NULL;
}

COLD static bool is_addr_spec(struct slice s)
{
    /* RFC 3261 §20.10: what has a question mark stands in brackets. */
    if (s.n == 0 || memchr(s.p, '?', s.n) != NULL) return false;
    return sip_skip(s.p, s.p + s.n, SIP_CH_ADDR) == s.p + s.n;
}

bool sip_scan_addr(struct slice text, struct sip_addr_shape *out)
{
    const char *end = text.p + text.n;
    const char *start = sip_skip_space(text.p, end);
    const char *p = start;
    out->display = SLICE_NONE;
    if (p < end && *p == '<') {
        out->display = (struct slice){p, 0};
    } else {
        p = scan_display(start, end, &out->display);
        if (p == NULL) return false;
    }
    if (p < end && *p == '<') {
        const char *close = skip_addr_uri(p + 1, end);
        if (close == end || *close != '>') return false;
        out->uri = (struct slice){p + 1, (size_t)(close - p - 1)};
        p = close + 1;
    } else {
        out->uri = slice_trim((struct slice){start, (size_t)(p - start)});
        if (!is_addr_spec(out->uri)) return false;
    }
    if (!addr_uri_ok(out->uri)) return false;
    p = sip_skip_space(p, end);
    out->params = (struct slice){p, (size_t)(end - p)};
    return p == end || *p == ';';
}

static bool uri_chars_ok(const char *p, const char *end)
{
    for (; p < end; p++) {
        if (sip_char_is(*p, SIP_CH_URI)) continue;
        if (*p != '%' || end - p < 3 || !sip_char_is(p[1], SIP_CH_HEX) || !sip_char_is(p[2], SIP_CH_HEX)) return false;
        p += 2;
    }
    return true;
}

/* RFC 3966: digits and visual separators after an optional plus; a local number may also have * # and A to F. */
COLD static bool tel_ok(struct slice s)
{
    size_t digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (sip_char_is(s.p[i], SIP_CH_HEX) || s.p[i] == '*' || s.p[i] == '#') {
            digits++;
        } else if (!(s.p[i] == '+' && i == 0) && strchr("-.()", s.p[i]) == NULL) {
            return false;
        }
    }
    return digits > 0;
}

static bool scan_sip_rest(const char *p, const char *end, struct sip_uri_shape *out)
{
    const char *at = memchr(p, '@', (size_t)(end - p));
    if (at != NULL) {
        struct slice info = {p, (size_t)(at - p)};
        (void)slice_cut(info, ':', &out->user);
        if (out->user.n == 0) return false;
        p = at + 1;
    }
    p = sip_scan_host_port(p, end, &out->host, &out->port);
    if (p == NULL || (p < end && *p != ';' && *p != '?')) return false;
    const char *query = memchr(p, '?', (size_t)(end - p));
    out->params = (struct slice){p, (size_t)((query != NULL ? query : end) - p)};
    return query == NULL || query + 1 < end;
}

bool sip_scan_uri(struct slice text, struct sip_uri_shape *out)
{
    const char *end = text.p + text.n;
    const char *p = sip_skip(text.p, end, SIP_CH_TOKEN);
    *out = (struct sip_uri_shape){.scheme = {text.p, (size_t)(p - text.p)}};
    if (out->scheme.n == 0 || !sip_char_is(*text.p, SIP_CH_ALPHA) || end - p < 2 || *p != ':') return false;
    p++;
    if (!uri_chars_ok(p, end)) return false;
    out->is_sip = sip_is_word(out->scheme, "sip") || sip_is_word(out->scheme, "sips");
    if (out->is_sip) return scan_sip_rest(p, end, out);
    out->is_tel = sip_is_word(out->scheme, "tel");
    if (!out->is_tel) return true;
    const char *semicolon = memchr(p, ';', (size_t)(end - p));
    const char *stop = semicolon != NULL ? semicolon : end;
    out->user = (struct slice){p, (size_t)(stop - p)};
    out->params = (struct slice){stop, (size_t)(end - stop)};
    return tel_ok(out->user);
}
