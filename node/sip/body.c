#include "node/sip/body.h"

#include "node/sip/scan.h"
#include "node/sip/value.h"

#define BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

/* Whether a Content-Type is "application/sdp", whatever its parameters. */
static bool is_sdp(struct slice type)
{
    struct slice name;
    (void)slice_cut(type, ';', &name);
    return slice_eq_nocase(slice_trim(name), SLICE("application/sdp"));
}

static bool is_multipart(struct slice type)
{
    struct slice name;
    (void)slice_cut(type, '/', &name);
    return slice_eq_nocase(slice_trim(name), SLICE("multipart"));
}

/* Of a Content-Type; false: it has none that can be used. */
static bool read_boundary(struct slice type, struct slice *boundary)
{
    const char *end = type.p + type.n;
    const char *p = memchr(type.p, ';', type.n);
    while (p != NULL && p < end && *p == ';') {
        struct sip_param_span param;
        p = sip_scan_param(p + 1, end, &param);
        if (p == NULL || !slice_eq_nocase(param.name, SLICE("boundary"))) continue;
        *boundary = sip_unquote(param.value);
        return boundary->n > 0 && boundary->n <= BOUNDARY_MAX;
    }
    return false;
}

/* "--boundary", white space or "--", the end of the line (RFC 2046 §5.1.1): the boundary of a multipart inside this one
 * may begin with ours. */
static bool is_delimiter(const char *p, const char *end, struct slice boundary)
{
    size_t n = boundary.n + 2;
    if ((size_t)(end - p) < n || p[0] != '-' || p[1] != '-' || memcmp(p + 2, boundary.p, boundary.n) != 0) return false;
    return p + n == end || sip_char_is(p[n], SIP_CH_SPACE) || p[n] == '-';
}

/* The next delimiter, at the beginning of rest or of a later line; NULL: none. */
static const char *find_delimiter(struct slice rest, struct slice boundary)
{
    const char *end = rest.p + rest.n;
    for (const char *p = rest.p; p != NULL;) {
        if (is_delimiter(p, end, boundary)) return p;
        p = memchr(p, '\n', (size_t)(end - p));
        if (p != NULL) p++;
    }
    return NULL;
}

static struct slice between(const char *from, const char *to)
{
    return (struct slice){from, (size_t)(to - from)};
}

/* Takes the head of a part off its front; whether that says that a session description follows, as it stands. */
static bool take_head(struct slice *part)
{
    bool sdp = false;
    while (part->n > 0) {
        struct slice line;
        struct slice name;
        *part = slice_cut(*part, '\n', &line);
        struct slice value = slice_trim(slice_cut(line, ':', &name));
        name = slice_trim(name);
        if (name.n == 0) return sdp;
        if (slice_eq_nocase(name, SLICE("Content-Type"))) sdp = is_sdp(value);
        if (slice_eq_nocase(name, SLICE("Content-Transfer-Encoding")) && slice_eq_nocase(value, SLICE("base64")))
            return false;
    }
    return false;
}

static bool find_part(struct slice body, struct slice boundary, struct slice *sdp)
{
    const char *end = body.p + body.n;
    const char *at = find_delimiter(body, boundary);
    while (at != NULL) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL) return false;
        const char *next = find_delimiter(between(line_end + 1, end), boundary);
        if (next == NULL) return false;
        struct slice part = between(line_end + 1, next);
        if (part.n >= 2 && part.p[part.n - 2] == '\r') part.n -= 2; /* that line break is the delimiter's */
        if (take_head(&part) && part.n > 0) {
            *sdp = part;
            return true;
        }
        at = next;
    }
    return false;
}

static bool is_encoded(const struct sip_view *v)
{
    struct slice encoding = sip_view_other(v, SLICE("Content-Encoding"));
    if (encoding.p == NULL) encoding = sip_view_other(v, SLICE("e"));
    return encoding.n > 0 && !slice_eq_nocase(encoding, SLICE("identity"));
}

bool sip_body_sdp(const struct sip_view *v, struct slice *sdp)
{
    struct slice type = sip_view_value(v, SIP_CONTENT_TYPE);
    struct slice boundary;
    if (v->body.n == 0 || type.n == 0 || is_encoded(v)) return false;
    if (is_sdp(type)) {
        *sdp = v->body;
        return true;
    }
    return is_multipart(type) && read_boundary(type, &boundary) && find_part(v->body, boundary, sdp);
}

size_t sip_body_exchange(struct sip_edits *edits, struct slice text, char digits[DECIMAL_TEXT])
{
    const struct sip_view *v = edits->view;
    struct slice length = sip_view_value(v, SIP_CONTENT_LENGTH);
    struct slice sdp;
    if (!sip_body_sdp(v, &sdp)) return v->body.n;
    size_t n = v->body.n - sdp.n + text.n;
    sip_edit_replace(edits, sdp, text);
    if (length.p != NULL) sip_edit_replace(edits, length, decimal_text(n, digits));
    return n;
}
