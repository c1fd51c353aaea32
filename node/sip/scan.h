/* scan: the small scanners that the view and the value parsers share: character classes, quoted strings, hosts,
 * parameters, and the outer shape of a name-addr and of a URI.
 *
 * They work within [p, end), copy nothing and decide only what is well formed. This header is internal to node/sip.
 * Specification: RFC 3261 §25.1, RFC 3966 §3. */
#ifndef TANDEM_SIP_SCAN_H
#define TANDEM_SIP_SCAN_H

#include "node/sip/view.h"

#define SIP_CH_TOKEN 1 /* token */
#define SIP_CH_HOST 2  /* host name: letters, digits, '-', '.', '_' */
#define SIP_CH_URI 4   /* may stand in a URI ('%' apart) */
#define SIP_CH_DIGIT 8
#define SIP_CH_HEX 16
#define SIP_CH_ALPHA 32
#define SIP_CH_VALUE 64  /* may stand in an unquoted parameter value: visible, but none of ; , " < > */
#define SIP_CH_SPACE 128 /* SP, HT, CR, LF: CR and LF are folds wherever lines were checked before */
#define SIP_CH_ADDR 256  /* may stand in the URI of an address: no white space, control character, < or quote */
#define SIP_CH_PLAIN 512 /* does not matter to who splits a header value: not one of , " < > */

extern const unsigned short sip_char_class[256];
static inline bool sip_char_is(char c, unsigned classes)
{
    return (sip_char_class[(unsigned char)c] & classes) != 0;
}

/* Whether s is the word in any case. The word is a literal of small letters, so that it is compared in place: the bit
 * of the case makes a letter of nothing else. */
#define sip_is_word(s, word) ((s).n == sizeof(word) - 1 && sip_folds_to((s).p, (word), sizeof(word) - 1))
static inline bool sip_folds_to(const char *p, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((p[i] | 0x20) != word[i]) return false;
    }
    return true;
}

static inline const char *sip_skip_space(const char *p, const char *end)
{
    while (p < end && sip_char_is(*p, SIP_CH_SPACE))
        p++;
    return p;
}
/* i counts up to zero, which takes no comparison. */
static inline const char *sip_skip(const char *p, const char *end, unsigned classes)
{
    ptrdiff_t i = p - end;
    while (i < 0 && sip_char_is(end[i], classes))
        i++;
    return end + i;
}
/* As sip_skip with SIP_CH_VALUE, for what may be long. */
const char *sip_skip_value(const char *p, const char *end);
/* p stands on the opening quote; returns what follows the closing one, NULL when there is none. */
const char *sip_skip_quoted(const char *p, const char *end);

bool sip_is_ipv4(struct slice s);
bool sip_is_ipv6(struct slice s); /* without brackets */

/* host [":" port] at p; white space is allowed around the colon (Via). host keeps the brackets of IPv6. Returns what
 * follows, NULL when it is malformed: an empty or impossible name, a number that is no IPv4 address, port 0 or above
 * 65535. port is 0 when absent. */
const char *sip_scan_host_port(const char *p, const char *end, struct slice *host, uint16_t *port);

struct sip_param_span {
    struct slice name;
    struct slice value; /* quotes kept; {NULL, 0} when there is none */
    const char *start;  /* of the name */
    const char *end;
};
/* name ["=" value] at p, which follows the semicolon; NULL when malformed. White space around each part is skipped. A
 * value may be empty here. */
const char *sip_scan_param(const char *p, const char *end, struct sip_param_span *out);

struct sip_addr_shape {
    struct slice display; /* quotes kept */
    struct slice uri;
    struct slice params; /* what follows the URI: "" or begins with a semicolon */
};
/* One name-addr or addr-spec over the whole of text; false when it is malformed. Parameters are not looked into. */
bool sip_scan_addr(struct slice text, struct sip_addr_shape *out);

/* A URI over the whole of text; false when it is malformed. Schemes other than sip, sips and tel are checked for their
 * characters only. */
bool sip_scan_uri(struct slice text, struct sip_uri_shape *out);

#endif
