/* address: see address.h. Every index is checked against the slice; nothing needs a terminating NUL. */
#include "node/plan/address.h"

#include <stdio.h>

#include "node/base/limits.h"
#include "node/plan/text.h"

#define V6_GROUPS 8

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool decimal(struct slice s, uint64_t max, uint64_t *value)
{
    if (s.n > 1 && s.p[0] == '0') return false;
    return slice_u64(s, max, value) == ERR_OK;
}

static bool parse_v4(struct slice s, unsigned char out[4])
{
    for (int i = 0; i < 4; i++) {
        struct slice part;
        uint64_t value = 0;
        s = slice_cut(s, '.', &part);
        if ((s.p == NULL) != (i == 3) || !decimal(part, 255, &value)) return false;
        out[i] = (unsigned char)value;
    }
    return true;
}

struct v6_scan {
    struct slice s;
    size_t at;
    uint16_t groups[V6_GROUPS];
    size_t count;
    size_t gap; /* groups before "::"; V6_GROUPS + 1 while there was none */
};

/* One group of 1-4 hexadecimal digits, or the dotted IPv4 tail, which stands for two. */
static bool v6_group(struct v6_scan *v)
{
    size_t start = v->at;
    unsigned value = 0;
    for (; v->at < v->s.n && v->at - start < 4 && hex_value(v->s.p[v->at]) >= 0; v->at++) {
        value = value << 4 | (unsigned)hex_value(v->s.p[v->at]);
    }
    if (v->at == start || v->count == V6_GROUPS) return false;
    if (v->at < v->s.n && v->s.p[v->at] == '.') {
        unsigned char tail[4];
        struct slice rest = {v->s.p + start, v->s.n - start};
        if (v->count > V6_GROUPS - 2 || !parse_v4(rest, tail)) return false;
        v->groups[v->count++] = (uint16_t)(tail[0] << 8 | tail[1]);
        v->groups[v->count++] = (uint16_t)(tail[2] << 8 | tail[3]);
        v->at = v->s.n;
        return true;
    }
    v->groups[v->count++] = (uint16_t)value;
    return true;
}

/* The ':' or "::" before the next group. */
static bool v6_separator(struct v6_scan *v)
{
    if (v->at >= v->s.n || v->s.p[v->at] != ':') return false;
    v->at++;
    if (v->at < v->s.n && v->s.p[v->at] == ':') {
        if (v->gap <= V6_GROUPS) return false;
        v->gap = v->count;
        v->at++;
        return true;
    }
    return v->at < v->s.n && v->count > 0; /* no single ':' at either end */
}

static bool parse_v6(struct slice s, unsigned char out[16])
{
    struct v6_scan v = {.s = s, .gap = V6_GROUPS + 1};
    if (s.n < 2 || (s.p[0] == ':' && !v6_separator(&v))) return false;
    while (v.at < s.n) {
        if (!v6_group(&v)) return false;
        if (v.at < s.n && !v6_separator(&v)) return false;
    }
    bool gapped = v.gap <= V6_GROUPS;
    if (gapped ? v.count >= V6_GROUPS : v.count != V6_GROUPS) return false;
    size_t zeros = V6_GROUPS - v.count;
    for (size_t i = 0, from = 0; i < V6_GROUPS; i++) {
        bool in_gap = gapped && i >= v.gap && i < v.gap + zeros;
        uint16_t group = in_gap ? 0 : v.groups[from++];
        out[2 * i] = (unsigned char)(group >> 8);
        out[2 * i + 1] = (unsigned char)(group & 0xff);
    }
    return true;
}

enum err address_parse(struct slice text, struct address *out)
{
    struct address a = {.family = ADDRESS_V4};
    if (!parse_v4(text, a.bytes)) {
        a = (struct address){.family = ADDRESS_V6};
        if (!parse_v6(text, a.bytes)) return ERR_SYNTAX;
    }
    *out = a;
    return ERR_OK;
}

/* Splits "host", "host:port", "[v6]", "[v6]:port", and a bare IPv6 address. */
static bool split_port(struct slice text, struct slice *host, uint16_t *port)
{
    struct slice rest;
    uint64_t value = 0;
    *port = 0;
    if (text.n > 0 && text.p[0] == '[') {
        rest = slice_cut((struct slice){text.p + 1, text.n - 1}, ']', host);
        if (rest.p == NULL || memchr(host->p, ':', host->n) == NULL) return false;
        if (rest.n == 0) return true;
        if (rest.p[0] != ':') return false;
        rest = (struct slice){rest.p + 1, rest.n - 1};
    } else {
        rest = slice_cut(text, ':', host);
        if (rest.p == NULL) return true;
        if (rest.n > 0 && memchr(rest.p, ':', rest.n) != NULL) {
            *host = text; /* a second colon: IPv6 without a port */
            return true;
        }
    }
    if (!decimal(rest, 65535, &value) || value == 0) return false;
    *port = (uint16_t)value;
    return true;
}

enum err address_port_parse(struct slice text, struct address *out)
{
    struct slice host;
    struct address a;
    uint16_t port = 0;
    if (!split_port(text, &host, &port) || address_parse(host, &a) != ERR_OK) return ERR_SYNTAX;
    a.port = port;
    *out = a;
    return ERR_OK;
}

/* Clears the bits after the prefix; false when there was nothing to clear. */
static bool clear_host_bits(struct address_range *r)
{
    bool cleared = false;
    size_t bytes = r->base.family == ADDRESS_V4 ? 4 : 16;
    for (size_t i = 0; i < bytes; i++) {
        unsigned kept = r->prefix_len > 8 * i ? r->prefix_len - 8 * (unsigned)i : 0;
        unsigned char mask = (unsigned char)(kept >= 8 ? 0xff : 0xff00u >> kept);
        if ((r->base.bytes[i] & ~mask & 0xff) != 0) cleared = true;
        r->base.bytes[i] &= mask;
    }
    return cleared;
}

enum err address_range_parse(struct slice text, struct address_range *out, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    char meant[ADDRESS_TEXT];
    struct slice host;
    struct address_range r = {0};
    struct slice length = slice_cut(text, '/', &host);
    if (address_parse(host, &r.base) != ERR_OK) {
        return err_fail(info, ERR_SYNTAX, "%s is no address range; write 10.1.0.10/32, 10.1.0.0/24 or 2001:db8::/32",
                        text_shown(text, shown));
    }
    uint64_t bits = r.base.family == ADDRESS_V4 ? 32 : 128;
    uint64_t value = bits;
    if (length.p != NULL && !decimal(length, bits, &value)) {
        return err_fail(info, ERR_SYNTAX, "%s: the prefix length after '/' goes from 1 to %u", text_shown(text, shown),
                        (unsigned)bits);
    }
    if (value == 0) {
        return err_fail(info, ERR_SYNTAX, "%s would cover every address there is; name the ranges that are meant",
                        text_shown(text, shown));
    }
    r.prefix_len = (uint8_t)value;
    if (clear_host_bits(&r)) {
        return err_fail(info, ERR_SYNTAX,
                        "%s has bits set after its prefix; write %s/%u for the range or /%u for one address",
                        text_shown(text, shown), address_text(&r.base, meant), (unsigned)value, (unsigned)bits);
    }
    *out = r;
    return ERR_OK;
}

bool address_name_valid(struct slice name)
{
    bool all_digits = false;
    if (name.n == 0 || name.n > LIMIT_HOST) return false;
    for (struct slice rest = name; rest.p != NULL;) {
        struct slice label;
        rest = slice_cut(rest, '.', &label);
        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-') return false;
        all_digits = true;
        for (size_t i = 0; i < label.n; i++) {
            char c = label.p[i];
            bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            if (!letter && !is_digit(c) && c != '-') return false;
            if (!is_digit(c)) all_digits = false;
        }
    }
    return !all_digits;
}

enum err address_host_parse(struct slice text, struct address_host *out, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct address_host h = {0};
    if (text.n > LIMIT_HOST + 6) return err_fail(info, ERR_LIMIT, "a host has at most %d characters", LIMIT_HOST);
    bool split = split_port(text, &h.host, &h.port);
    if (split && address_parse(h.host, &h.address) == ERR_OK) {
        h.address.port = h.port;
        *out = h;
        return ERR_OK;
    }
    if (!split || !address_name_valid(h.host)) {
        return err_fail(info, ERR_SYNTAX,
                        "%s is no host; write 10.1.0.10, 10.1.0.10:5060, [2001:db8::1]:5060 or sip.example.org:5060",
                        text_shown(text, shown));
    }
    h.is_name = true;
    *out = h;
    return ERR_OK;
}

/* The IPv4 address inside an IPv4-mapped one (RFC 4291 §2.5.5.2); anything else unchanged. */
static struct address unmapped(const struct address *a)
{
    static const unsigned char prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct address plain = *a;
    if (a->family != ADDRESS_V6 || memcmp(a->bytes, prefix, sizeof prefix) != 0) return plain;
    plain = (struct address){.family = ADDRESS_V4, .port = a->port};
    memcpy(plain.bytes, a->bytes + sizeof prefix, 4);
    return plain;
}

static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0) return false;
    unsigned rest = bits % 8;
    return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

bool address_in_range(const struct address_range *r, const struct address *a)
{
    if (r->base.family == a->family) return same_prefix(r->base.bytes, a->bytes, r->prefix_len);
    struct address plain = unmapped(a);
    return r->base.family == plain.family && same_prefix(r->base.bytes, plain.bytes, r->prefix_len);
}

static uint16_t group_of(const struct address *a, size_t i)
{
    return (uint16_t)(a->bytes[2 * i] << 8 | a->bytes[2 * i + 1]);
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 §4.2). */
static size_t zero_run(const struct address *a, size_t *start)
{
    size_t best = 1;
    for (size_t i = 0; i < V6_GROUPS; i++) {
        size_t n = 0;
        while (i + n < V6_GROUPS && group_of(a, i + n) == 0)
            n++;
        if (n <= best) continue;
        best = n;
        *start = i;
    }
    return best > 1 ? best : 0;
}

static size_t v6_text(const struct address *a, char *out, size_t cap)
{
    size_t start = V6_GROUPS;
    size_t run = zero_run(a, &start);
    size_t at = 0;
    for (size_t i = 0; i < V6_GROUPS; i++) {
        if (run > 0 && i == start) {
            at += (size_t)snprintf(out + at, cap - at, "::");
            i += run - 1;
            continue;
        }
        bool colon = i > 0 && !(run > 0 && i == start + run);
        at += (size_t)snprintf(out + at, cap - at, "%s%x", colon ? ":" : "", (unsigned)group_of(a, i));
    }
    return at;
}

const char *address_text(const struct address *a, char out[ADDRESS_TEXT])
{
    size_t at = 0;
    bool brackets = a->family == ADDRESS_V6 && a->port != 0;
    if (brackets) out[at++] = '[';
    if (a->family == ADDRESS_V6) {
        at += v6_text(a, out + at, ADDRESS_TEXT - at);
    } else {
        at += (size_t)snprintf(out + at, ADDRESS_TEXT - at, "%u.%u.%u.%u", a->bytes[0], a->bytes[1], a->bytes[2],
                               a->bytes[3]);
    }
    if (brackets) out[at++] = ']';
    out[at] = '\0';
    if (a->port != 0) (void)snprintf(out + at, ADDRESS_TEXT - at, ":%u", a->port);
    return out;
}
