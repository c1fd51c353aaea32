/* view_table: the names of methods, headers and faults.
 *
 * A header is recognised by its length, then by all its letters together: for most names one comparison. Folding the
 * case with 0x20 is exact here: CR is the only other byte that folds into a name's characters, and the LF behind it
 * does not. */
#include "node/sip/block.h"
#include "node/sip/scan.h"
#include "node/sip/view_parts.h"

static const char *const method_names[SIP_METHOD_OTHER] = {
    [SIP_INVITE] = "INVITE",     [SIP_ACK] = "ACK",         [SIP_BYE] = "BYE",     [SIP_CANCEL] = "CANCEL",
    [SIP_REGISTER] = "REGISTER", [SIP_OPTIONS] = "OPTIONS", [SIP_PRACK] = "PRACK", [SIP_SUBSCRIBE] = "SUBSCRIBE",
    [SIP_NOTIFY] = "NOTIFY",     [SIP_PUBLISH] = "PUBLISH", [SIP_INFO] = "INFO",   [SIP_REFER] = "REFER",
    [SIP_MESSAGE] = "MESSAGE",   [SIP_UPDATE] = "UPDATE",
};

const char *sip_method_name(enum sip_method m)
{
    return (unsigned)m < SIP_METHOD_OTHER ? method_names[m] : "OTHER";
}

enum sip_method sip_method_of(struct slice name)
{
    for (unsigned m = 0; m < SIP_METHOD_OTHER; m++) {
        if (name.n > 0 && name.p[0] == method_names[m][0] && slice_is(name, method_names[m])) return (enum sip_method)m;
    }
    return SIP_METHOD_OTHER;
}

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
static const char *slow_name(const char *p, const char *end, struct sip_line *line)
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
const char *sip_line_name(const char *p, const char *end, const char *data_end, struct sip_line *line)
{
    unsigned mask = data_end - p >= BLOCK ? block_equal(p, ':') : 0;
    if (mask == 0) return slow_name(p, end, line);
    unsigned n = block_first(mask);
    for (const struct header *h = headers + first_of_length[n]; h->len == n; h++) {
        if ((block_unlike(p, ' ', h->name) & ((1U << n) - 1)) != 0) continue;
        line->id = h->id;
        line->name_len = (uint16_t)n;
        return p + n;
    }
    return slow_name(p, end, line);
}

static const struct {
    const char *name;
    unsigned answer;
} faults[SIP_FAULT_COUNT] = {
    [SIP_FAULT_NONE] = {"none", 0},
    [SIP_FAULT_TOO_LARGE] = {"too_large", 513},
    [SIP_FAULT_FIRST_LINE] = {"first_line", 0},
    [SIP_FAULT_VERSION] = {"version", 505},
    [SIP_FAULT_LINE] = {"line", 400},
    [SIP_FAULT_TOO_MANY] = {"too_many", 400},
    [SIP_FAULT_LINE_TOO_LONG] = {"line_too_long", 400},
    [SIP_FAULT_MISSING] = {"missing", 400},
    [SIP_FAULT_DUPLICATE] = {"duplicate", 400},
    [SIP_FAULT_VIA] = {"via", 0},
    [SIP_FAULT_VALUE] = {"value", 400},
    [SIP_FAULT_CSEQ] = {"cseq", 400},
    [SIP_FAULT_URI] = {"uri", 400},
    [SIP_FAULT_LENGTH] = {"length", 400},
    [SIP_FAULT_INCOMPLETE] = {"incomplete", 0},
};

const char *sip_fault_name(enum sip_fault f)
{
    return (unsigned)f < SIP_FAULT_COUNT ? faults[f].name : "unknown";
}

unsigned sip_fault_answer(enum sip_fault f)
{
    return (unsigned)f < SIP_FAULT_COUNT ? faults[f].answer : 0;
}
