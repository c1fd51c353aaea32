/* address: what the transports need of socket addresses beyond the public half in transport.h. */
#ifndef TANDEM_EDGE_ADDRESS_H
#define TANDEM_EDGE_ADDRESS_H

#include "node/edge/transport.h"

/* "udp:10.1.0.1:5060" -> its parts. ERR_SYNTAX with the form that is wanted. */
MUST_CHECK enum err listen_parse(struct slice text, enum plan_transport *transport, union sock_address *address,
                                 struct err_info *info);
socklen_t sock_address_len(const union sock_address *a);
void sock_address_set_port(union sock_address *a, uint16_t port);
/* 0.0.0.0 or ::. */
bool sock_address_is_any(const union sock_address *a);
bool sock_address_same_host(const union sock_address *a, const union sock_address *b);
/* 5061 for TLS, else 5060 (RFC 3261 §19.1.2). */
uint16_t sip_default_port(enum plan_transport transport);

/* An address as a map key: without padding, the same bytes for the same address. */
struct sock_key {
    unsigned char bytes[24];
};
void sock_key_remote(struct sock_key *k, enum plan_transport transport, const union sock_address *a);
/* The host alone; IPv6 by its /64, since that is what one subscriber is given. */
void sock_key_source(struct sock_key *k, const union sock_address *a);

/* The same for people: "192.0.2.7", "2001:db8:0:1::/64". Returns out. */
#define SOURCE_TEXT 52
const char *sock_source_text(const union sock_address *a, char out[SOURCE_TEXT]);
/* Such a text, or any IP address, to an address of that source. ERR_SYNTAX. */
MUST_CHECK enum err sock_source_parse(struct slice text, union sock_address *out);

#endif
