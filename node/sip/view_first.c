/* view_first: the request line and the status line (RFC 3261 §7.1, §7.2).
 *
 * What is not SIP at all is told apart from SIP that is wrong: the first gets silence, the second an answer. */
#include "node/sip/block.h"
#include "node/sip/scan.h"
#include "node/sip/view_parts.h"

COLD static bool other_version(struct slice s, bool *two)
{
    const char *end = s.p + s.n;
    if (s.n < 5 || !slice_eq_nocase((struct slice){s.p, 4}, SLICE("SIP/"))) return false;
    const char *p = sip_skip(s.p + 4, end, SIP_CH_DIGIT);
    if (p == s.p + 4 || p == end || *p != '.') return false;
    const char *minor = p + 1;
    p = sip_skip(minor, end, SIP_CH_DIGIT);
    *two = s.n == 7 && s.p[4] == '2' && s.p[6] == '0';
    return p > minor && p == end;
}

/* "SIP/" digits "." digits */
static bool version_shape(struct slice s, bool *two)
{
    *two = slice_eq(s, SLICE("SIP/2.0"));
    return *two || (s.n > 3 && s.p[3] == '/' && other_version(s, two));
}

static enum sip_fault status_line(struct sip_view *v, struct slice line, const char *space, bool two)
{
    const char *p = space + 1;
    const char *end = line.p + line.n;
    v->request = false;
    v->method = SIP_METHOD_OTHER;
    if (end - p < 3) return SIP_FAULT_FIRST_LINE;
    for (unsigned i = 0; i < 3; i++) {
        if (!sip_char_is(p[i], SIP_CH_DIGIT)) return SIP_FAULT_FIRST_LINE;
        v->code = v->code * 10 + (unsigned)(p[i] - '0');
    }
    p += 3;
    if (v->code < 100 || v->code > 699 || (p < end && *p != ' ')) return SIP_FAULT_FIRST_LINE;
    if (p < end) p++;
    v->reason = (struct slice){p, (size_t)(end - p)};
    return two ? SIP_FAULT_NONE : SIP_FAULT_VERSION;
}

static const char *last_space(struct slice s)
{
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == ' ') return s.p + i - 1;
    }
    return NULL;
}

static enum sip_fault request_line(struct sip_view *v, struct slice line, const char *space)
{
    bool two = false;
    struct slice rest = {space + 1, (size_t)(line.p + line.n - space - 1)};
    struct slice trimmed = slice_trim(rest);
    const char *before_version = last_space(trimmed);
    v->request = true;
    v->method_text = (struct slice){line.p, (size_t)(space - line.p)};
    v->method = sip_method_of(v->method_text);
    if (v->method_text.n == 0 || before_version == NULL) return SIP_FAULT_FIRST_LINE;
    if (sip_skip(line.p, space, SIP_CH_TOKEN) != space) return SIP_FAULT_FIRST_LINE;
    const char *version = before_version + 1;
    if (!version_shape((struct slice){version, (size_t)(trimmed.p + trimmed.n - version)}, &two))
        return SIP_FAULT_FIRST_LINE;
    v->uri = (struct slice){trimmed.p, (size_t)(before_version - trimmed.p)};
    if (!two) return SIP_FAULT_VERSION;
    /* Spaces too many stay an error: who reads the line otherwise would see another request (RFC 4475 §3.1.2.9). */
    if (rest.n == trimmed.n && sip_scan_uri(v->uri, &v->uri_shape)) return SIP_FAULT_NONE;
    v->uri_shape.scheme = SLICE_NONE;
    return SIP_FAULT_URI;
}

static bool is_control(unsigned char c)
{
    return (c < ' ' && c != '\t') || c == 0x7f;
}

/* Most lines end within a block that the message goes on behind. */
static bool has_control(struct slice line, const char *data_end)
{
    const char *p = line.p;
    const char *end = line.p + line.n;
    for (; data_end - p >= BLOCK; p += BLOCK) {
        unsigned mask = (block_upto(p, ' ' - 1) ^ block_equal(p, '\t')) | block_equal(p, 0x7f);
        if (end - p < BLOCK) return (mask & ((1U << (end - p)) - 1)) != 0;
        if (mask != 0) return true;
    }
    while (p < end && !is_control((unsigned char)*p))
        p++;
    return p < end;
}

enum sip_fault sip_first_line(struct sip_view *v, struct slice line, const char *data_end)
{
    bool two = false;
    const char *space = line.n > 0 ? memchr(line.p, ' ', line.n) : NULL;
    if (space == NULL || has_control(line, data_end)) return SIP_FAULT_FIRST_LINE;
    struct slice word = {line.p, (size_t)(space - line.p)};
    return version_shape(word, &two) ? status_line(v, line, space, two) : request_line(v, line, space);
}
