/* dns_channel: questions to DNS servers and /etc/hosts through c-ares on the loop. No cache and no order of preference:
 * dns_cache.c and dns.c have them. */
#ifndef TANDEM_EDGE_DNS_CHANNEL_H
#define TANDEM_EDGE_DNS_CHANNEL_H

#include "node/edge/transport.h"

#define DNS_RECORDS_MAX 8
#define DNS_TTL_MAX_S 86400

struct dns_srv {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    char target[LIMIT_HOST + 1]; /* "." : the service is not offered */
};

/* One way to a domain (RFC 3403, RFC 3263 §4.1). */
struct dns_naptr {
    uint16_t order;
    uint16_t preference;
    enum plan_transport transport;
    bool service;                 /* replacement is asked for SRV, else for addresses */
    char target[LIMIT_HOST + 17]; /* "_sip._udp.example.org" */
};

struct dns_channel;

/* What a question brought. ERR_OK with at least one record; ERR_NOTFOUND: authoritatively none; ERR_TIMEOUT: no usable
 * answer; ERR_CLOSED, ERR_NOMEM. ttl_s: 1 .. DNS_TTL_MAX_S. Borrowed for the call. */
struct dns_addresses {
    enum err err;
    uint32_t ttl_s;
    size_t count;
    union sock_address items[DNS_RECORDS_MAX]; /* port 0 */
};
struct dns_services {
    enum err err;
    uint32_t ttl_s;
    size_t count;
    struct dns_srv items[DNS_RECORDS_MAX]; /* in no order; those of the lowest priorities when there are more */
};

struct dns_ways { /* those that are none of SIP are left out */
    enum err err;
    uint32_t ttl_s;
    size_t count;
    struct dns_naptr items[DNS_RECORDS_MAX];
};

/* servers: as in dns_open_at. ERR_SYNTAX, ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err dns_channel_open(uv_loop_t *loop, const char *servers, struct dns_channel **out);
/* Questions in progress end with ERR_CLOSED, on the loop; then closed is called. */
void dns_channel_close(struct dns_channel *c, void (*closed)(void *ctx), void *ctx);

/* done is called once, perhaps before the return. ERR_NOMEM: it will not be called. */
MUST_CHECK enum err dns_channel_addresses(struct dns_channel *c, const char *name,
                                          void (*done)(void *ctx, const struct dns_addresses *answer), void *ctx);
MUST_CHECK enum err dns_channel_services(struct dns_channel *c, const char *name,
                                         void (*done)(void *ctx, const struct dns_services *answer), void *ctx);
MUST_CHECK enum err dns_channel_ways(struct dns_channel *c, const char *name,
                                     void (*done)(void *ctx, const struct dns_ways *answer), void *ctx);
/* Whether /etc/hosts gives the name an address. */
bool dns_channel_in_hosts(struct dns_channel *c, const char *name);

#endif
