/* view_table: the names of methods, headers and faults.
 *
 * A header is recognised by its length, then its first letter, then the rest: for most names one comparison. Folding
 * the case with 0x20 is exact here, because a CR (the only other byte that folds into a name's characters) never
 * reaches it. */
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

/* Sorted by length. */
static const struct {
    const char *name;
    uint8_t id;
} headers[] = {
    {"to", SIP_TO},
    {"via", SIP_VIA},
    {"from", SIP_FROM},
    {"cseq", SIP_CSEQ},
    {"path", SIP_PATH},
    {"rack", SIP_RACK},
    {"rseq", SIP_RSEQ},
    {"route", SIP_ROUTE},
    {"allow", SIP_ALLOW},
    {"reason", SIP_REASON},
    {"server", SIP_SERVER},
    {"contact", SIP_CONTACT},
    {"call-id", SIP_CALL_ID},
    {"expires", SIP_EXPIRES},
    {"require", SIP_REQUIRE},
    {"privacy", SIP_PRIVACY},
    {"replaces", SIP_REPLACES},
    {"supported", SIP_SUPPORTED},
    {"diversion", SIP_DIVERSION},
    {"user-agent", SIP_USER_AGENT},
    {"session-id", SIP_SESSION_ID},
    {"min-expires", SIP_MIN_EXPIRES},
    {"retry-after", SIP_RETRY_AFTER},
    {"max-breadth", SIP_MAX_BREADTH},
    {"unsupported", SIP_UNSUPPORTED},
    {"max-forwards", SIP_MAX_FORWARDS},
    {"record-route", SIP_RECORD_ROUTE},
    {"content-type", SIP_CONTENT_TYPE},
    {"history-info", SIP_HISTORY_INFO},
    {"authorization", SIP_AUTHORIZATION},
    {"proxy-require", SIP_PROXY_REQUIRE},
    {"service-route", SIP_SERVICE_ROUTE},
    {"content-length", SIP_CONTENT_LENGTH},
    {"session-expires", SIP_SESSION_EXPIRES},
    {"remote-party-id", SIP_REMOTE_PARTY_ID},
    {"www-authenticate", SIP_WWW_AUTHENTICATE},
    {"proxy-authenticate", SIP_PROXY_AUTHENTICATE},
    {"proxy-authorization", SIP_PROXY_AUTHORIZATION},
    {"p-asserted-identity", SIP_ASSERTED_IDENTITY},
    {"p-preferred-identity", SIP_PREFERRED_IDENTITY},
};

/* Where the names of a length begin in headers; the next entry is where they end. A test walks every name. */
static const uint8_t first_of_length[HEADER_NAME_MAX + 2] = {
    0, 0, 0, 1, 2, 7, 9, 11, 16, 17, 19, 21, 25, 29, 32, 33, 35, 36, 36, 37, 39, 40,
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

static uint64_t word(const char *p, uint64_t fold)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w | fold;
}

/* Whether the n bytes at p are the known name but for their case: eight at a time, the last eight overlapping. */
static bool is_name(const char *p, const char *known, size_t n)
{
    const uint64_t fold = UINT64_C(0x2020202020202020);
    size_t i = 0;
    if ((p[0] | 0x20) != known[0]) return false;
    if (n < sizeof fold) {
        while (i < n && (p[i] | 0x20) == known[i])
            i++;
        return i == n;
    }
    for (; i + sizeof fold <= n; i += sizeof fold) {
        if (word(p + i, fold) != word(known + i, 0)) return false;
    }
    return word(p + n - sizeof fold, fold) == word(known + n - sizeof fold, 0);
}

enum sip_header sip_header_of(struct slice name)
{
    if (name.n == 1) return compact_form(name.p[0]);
    if (name.n == 0 || name.n > HEADER_NAME_MAX) return SIP_HEADER_OTHER;
    for (unsigned h = first_of_length[name.n]; h < first_of_length[name.n + 1]; h++) {
        if (is_name(name.p, headers[h].name, name.n)) return (enum sip_header)headers[h].id;
    }
    return SIP_HEADER_OTHER;
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
