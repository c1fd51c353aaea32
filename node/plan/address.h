/* address: IP addresses, ranges of them (CIDR) and host:port, parsed by hand: strict C11 has no inet_pton, and nothing
 * here may ask a resolver. The SIP edge decides trust with address_in_range.
 *
 * Text forms: RFC 4291 §2.2 for IPv6 (no zone identifiers), four decimal bytes without leading zeros for IPv4 (some
 * resolvers read those as octal), RFC 4632 prefixes, RFC 3986 brackets where a port follows an IPv6 address. */
#ifndef TANDEM_PLAN_ADDRESS_H
#define TANDEM_PLAN_ADDRESS_H

#include "node/base/bytes.h"

enum address_family { ADDRESS_V4 = 4, ADDRESS_V6 = 6 };

struct address {
    enum address_family family;
    unsigned char bytes[16]; /* network order; IPv4 uses the first four, the rest is zero */
    uint16_t port;           /* 0: none given */
};

struct address_range {
    struct address base; /* host bits are zero */
    uint8_t prefix_len;  /* 1 .. 32 or 128 */
};

/* What stands in a trunk's address: a name to be resolved, or an address. */
struct address_host {
    struct slice host; /* without brackets and port; points into the parsed text */
    bool is_name;
    struct address address; /* when it is no name; with the port */
    uint16_t port;          /* 0: none given */
};

/* An address alone: "10.1.0.10", "2001:db8::1". ERR_SYNTAX. */
MUST_CHECK enum err address_parse(struct slice text, struct address *out);
/* "10.1.0.10", "10.1.0.10:5060", "2001:db8::1", "[2001:db8::1]:5060". ERR_SYNTAX. */
MUST_CHECK enum err address_port_parse(struct slice text, struct address *out);
/* "10.1.0.0/24", "2001:db8::/32", or an address alone. ERR_SYNTAX with the form, or with the range that was probably
 * meant when host bits are set. A prefix length of 0 is refused: it would trust everyone. */
MUST_CHECK enum err address_range_parse(struct slice text, struct address_range *out, struct err_info *info);
/* "sip.example.org", "sip.example.org:5060", or what address_port_parse takes. ERR_SYNTAX, ERR_LIMIT (LIMIT_HOST). */
MUST_CHECK enum err address_host_parse(struct slice text, struct address_host *out, struct err_info *info);
/* A DNS host name: labels of letters, digits and inner hyphens, the last one not all digits (that is a mistyped IPv4).
 */
bool address_name_valid(struct slice name);

/* Whether a lies in r; ports are not compared. An IPv4-mapped IPv6 address (::ffff:a.b.c.d, from a dual-stack socket)
 * counts as the IPv4 address. */
bool address_in_range(const struct address_range *r, const struct address *a);

/* Canonical text (RFC 5952), with ":port" and brackets when a port is set. Returns out. */
#define ADDRESS_TEXT 56
const char *address_text(const struct address *a, char out[ADDRESS_TEXT]);

#endif
