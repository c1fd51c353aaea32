/* view_lines: the pass over the header lines: where each one ends, what its name is, and its place in the index.
 * Contract: view_parts.h.
 *
 * Text is looked at by blocks. All that a line must not hold, and its end, are control characters up to CR: one search
 * finds them all, and a line of text has but one of them, its CR, and a tab now and then.
 *
 * A header is recognised by its length, then by all its letters together: for most names one comparison. Folding the
 * case with 0x20 is exact here: CR is the only other byte that folds into a name's characters, and the LF behind it
 * does not. */
#include "node/sip/block.h"
#include "node/sip/scan.h"
#include "node/sip/view_parts.h"

/* ---- the end of a line ---- */

/* at: a control character up to CR. Whether the line ends with it; if not, whether the line is still clean. */
static inline bool ends_at(const char *at, const char *end, struct sip_line_end *line)
{
    if (*at == '\r' && at + 1 < end && at[1] == '\n') {
        line->p = at + 2;
        return true;
    }
    if (*at == '\n') {
        *line = (struct sip_line_end){at + 1, false};
        return true;
    }
    if (*at == '\r' || *at == '\0') line->clean = false;
    return false;
}

struct sip_line_end sip_line_end(const char *p, const char *end)
{
    struct sip_line_end line = {NULL, true};
    ptrdiff_t i = p - end;
    for (; i <= -BLOCK; i += BLOCK) {
        for (unsigned mask = block_upto(end + i, '\r'); mask != 0; mask &= mask - 1) {
            if (ends_at(end + i + block_first(mask), end, &line)) return line;
        }
    }
    for (; i < 0; i++) {
        if ((unsigned char)end[i] <= '\r' && ends_at(end + i, end, &line)) return line;
    }
    return (struct sip_line_end){NULL, false};
}

/* ---- its name ---- */

#define HEADER_NAME_MAX 20

/* Sorted by length; the last one ends the search for the longest. The names lie in the table itself, each with room for
 * a block: one cache line less than behind a pointer. */
static const struct header {
    char name[HEADER_NAME_MAX + 2];
    uint8_t len;
    uint8_t id;
} headers[] = {
    {"to", 2, SIP_TO},
    {"via", 3, SIP_VIA},
    {"from", 4, SIP_FROM},
    {"cseq", 4, SIP_CSEQ},
    {"path", 4, SIP_PATH},
    {"rack", 4, SIP_RACK},
    {"rseq", 4, SIP_RSEQ},
    {"route", 5, SIP_ROUTE},
    {"allow", 5, SIP_ALLOW},
    {"reason", 6, SIP_REASON},
    {"server", 6, SIP_SERVER},
    {"contact", 7, SIP_CONTACT},
    {"call-id", 7, SIP_CALL_ID},
    {"expires", 7, SIP_EXPIRES},
    {"require", 7, SIP_REQUIRE},
    {"privacy", 7, SIP_PRIVACY},
    {"replaces", 8, SIP_REPLACES},
    {"supported", 9, SIP_SUPPORTED},
    {"diversion", 9, SIP_DIVERSION},
    {"user-agent", 10, SIP_USER_AGENT},
    {"session-id", 10, SIP_SESSION_ID},
    {"min-expires", 11, SIP_MIN_EXPIRES},
    {"retry-after", 11, SIP_RETRY_AFTER},
    {"max-breadth", 11, SIP_MAX_BREADTH},
    {"unsupported", 11, SIP_UNSUPPORTED},
    {"max-forwards", 12, SIP_MAX_FORWARDS},
    {"record-route", 12, SIP_RECORD_ROUTE},
    {"content-type", 12, SIP_CONTENT_TYPE},
    {"history-info", 12, SIP_HISTORY_INFO},
    {"authorization", 13, SIP_AUTHORIZATION},
    {"proxy-require", 13, SIP_PROXY_REQUIRE},
    {"service-route", 13, SIP_SERVICE_ROUTE},
    {"content-length", 14, SIP_CONTENT_LENGTH},
    {"session-expires", 15, SIP_SESSION_EXPIRES},
    {"remote-party-id", 15, SIP_REMOTE_PARTY_ID},
    {"www-authenticate", 16, SIP_WWW_AUTHENTICATE},
    {"proxy-authenticate", 18, SIP_PROXY_AUTHENTICATE},
    {"proxy-authorization", 19, SIP_PROXY_AUTHORIZATION},
    {"p-asserted-identity", 19, SIP_ASSERTED_IDENTITY},
    {"p-preferred-identity", 20, SIP_PREFERRED_IDENTITY},
    {"", 0, SIP_HEADER_OTHER},
};

/* Where the names of a length begin in headers. A test walks every name. */
static const uint8_t first_of_length[HEADER_NAME_MAX + 1] = {
    0, 0, 0, 1, 2, 7, 9, 11, 16, 17, 19, 21, 25, 29, 32, 33, 35, 36, 36, 37, 39,
};

static enum sip_header compact_form(char c)
{
    switch (c | 0x20) {
    case 'v': return SIP_VIA;
    case 'f': return SIP_FROM;
    case 't': return SIP_TO;
    case 'i': return SIP_CALL_ID;
    case 'm': return SIP_CONTACT;
    case 'l': return SIP_CONTENT_LENGTH;
    case 'c': return SIP_CONTENT_TYPE;
    case 'k': return SIP_SUPPORTED;
    case 'x': return SIP_SESSION_EXPIRES;
    default: return SIP_HEADER_OTHER;
    }
}

static bool is_name(const char *p, const struct header *h)
{
    unsigned i = 0;
    while (i < h->len && (p[i] | ' ') == h->name[i])
        i++;
    return i == h->len;
}

static enum sip_header header_of(const char *p, size_t n)
{
    if (n == 1) return compact_form(*p);
    if (n > HEADER_NAME_MAX) return SIP_HEADER_OTHER;
    for (const struct header *h = headers + first_of_length[n]; h->len == n; h++) {
        if (is_name(p, h)) return (enum sip_header)h->id;
    }
    return SIP_HEADER_OTHER;
}

/* Any name, byte by byte. */
COLD static const char *slow_name(const char *p, const char *end, struct sip_line *line)
{
    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *name_end = colon;
    if (colon == NULL) return NULL;
    while (name_end > p && (name_end[-1] == ' ' || name_end[-1] == '\t'))
        name_end--;
    size_t n = (size_t)(name_end - p);
    line->id = (uint8_t)header_of(p, n);
    line->name_len = (uint16_t)n;
    if (line->id == SIP_HEADER_OTHER && (n == 0 || sip_skip(p, name_end, SIP_CH_TOKEN) != name_end)) return NULL;
    return colon;
}

/* Nearly every name is a known one of at most 15 letters: then the block at p holds all of it and its colon. That it
 * ends before the line does is known with it, since no name holds a CR. */
static const char *known_name(const char *p, const char *data_end, struct sip_line *line)
{
    unsigned mask = data_end - p >= BLOCK ? block_equal(p, ':') : 0;
    if (mask == 0) return NULL;
    unsigned n = block_first(mask);
    for (const struct header *h = headers + first_of_length[n]; h->len == n; h++) {
        if ((block_unlike(p, ' ', h->name) & ((1U << n) - 1)) != 0) continue;
        line->id = h->id;
        line->name_len = (uint16_t)n;
        return p + n;
    }
    return NULL;
}

/* ---- the index ---- */

void sip_note(struct sip_pass *s, enum sip_fault f)
{
    if (s->fault == SIP_FAULT_NONE) s->fault = f;
}

/* Puts the line at the end of those of its id. */
static void link_line(struct sip_pass *s, unsigned id, uint8_t i)
{
    struct sip_view *v = s->v;
    if (v->first[id] == SIP_NO_LINE) {
        v->first[id] = i;
    } else {
        v->lines[v->last[id]].next = i;
        if (id <= SIP_MAX_FORWARDS ? id != SIP_VIA : id == SIP_CONTENT_LENGTH) sip_note(s, SIP_FAULT_DUPLICATE);
    }
    v->last[id] = i;
}

/* One header line with its folds, from p to line_end (after the last CRLF). False: it is no header line. */
static bool take_line(struct sip_pass *s, const char *p, const char *line_end)
{
    struct sip_view *v = s->v;
    const char *data = v->data;
    const char *end = line_end - 2;
    uint8_t i = v->line_count;
    struct sip_line *line = &v->lines[i];
    const char *colon = known_name(p, s->end, line);
    if (colon == NULL) colon = slow_name(p, end, line);
    if (colon == NULL) return false;
    const char *value = sip_skip_space(colon + 1, end);
    while (end > value && sip_char_is(end[-1], SIP_CH_SPACE))
        end--;
    line->start = (uint16_t)(p - data);
    line->next = SIP_NO_LINE;
    line->value = (uint16_t)(value - data);
    line->value_len = (uint16_t)(end - value);
    line->end = (uint16_t)(line_end - data);
    v->line_count = (uint8_t)(i + 1);
    link_line(s, line->id, i);
    return true;
}

static struct sip_head_end head_end(const char *p, enum sip_head how)
{
    return (struct sip_head_end){p, how};
}

struct sip_head_end sip_scan_lines(struct sip_pass *s, const char *p)
{
    const char *end = s->end;
    for (unsigned count = 0;; count++) {
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n') return head_end(p + 2, SIP_HEAD_DONE);
        struct sip_line_end line = sip_line_end(p, end);
        if (line.p == NULL) return head_end(p, SIP_HEAD_CUT);
        while (sip_line_folds(line.p, end)) {
            struct sip_line_end more = sip_line_end(line.p, end);
            if (more.p == NULL) return head_end(p, SIP_HEAD_CUT);
            line = (struct sip_line_end){more.p, line.clean && more.clean};
        }
        if (count == SIP_LINES_MAX + s->ours) {
            sip_note(s, SIP_FAULT_TOO_MANY);
            return head_end(p, SIP_HEAD_STOPPED);
        }
        if (line.clean && line.p - p > SIP_LINE_MAX + (s->ours > 0 ? SIP_LINE_OURS : 0)) {
            sip_note(s, SIP_FAULT_LINE_TOO_LONG);
        } else if (!line.clean || !take_line(s, p, line.p)) {
            sip_note(s, SIP_FAULT_LINE);
        }
        p = line.p;
    }
}
