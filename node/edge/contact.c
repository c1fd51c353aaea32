#include "node/edge/contact.h"

#include "node/plan/address.h"

struct slice contact_fault_text(enum contact_fault fault)
{
    switch (fault) {
    case CONTACT_OURS: return SLICE("the contact is this server itself");
    case CONTACT_TRUNK: return SLICE("the contact is a trunk of this server");
    case CONTACT_LOOPBACK: return SLICE("the contact is a loopback address, which means another machine here");
    case CONTACT_NOWHERE: return SLICE("the contact is an address that no call can be sent to");
    case CONTACT_FINE: break;
    }
    return SLICE("");
}

static bool is_loopback(const union sock_address *a)
{
    if (a->any.sa_family == AF_INET) return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static bool is_nowhere(const union sock_address *a)
{
    if (sock_address_is_any(a)) return true;
    if (a->any.sa_family == AF_INET6) return IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr);
    return ntohl(a->v4.sin_addr.s_addr) >= 0xe0000000; /* multicast, reserved, broadcast */
}

struct trunk_search {
    const struct sip_uri *uri;
    uint16_t port;
    bool found;
};

static bool look_at_trunk(void *ctx, const struct edge_trunk *t)
{
    struct trunk_search *s = ctx;
    struct address_host at;
    if (address_host_parse(t->address, &at, NULL) != ERR_OK) return true;
    uint16_t port = at.port != 0 ? at.port : sip_default_port(t->transport);
    s->found = port == s->port && slice_eq_nocase(at.host, s->uri->host);
    return !s->found;
}

static bool is_trunk_address(struct edge *e, const struct sip_uri *uri)
{
    enum plan_transport transport = PLAN_UDP;
    if (!edge_uri_transport(uri, &transport)) return false;
    struct trunk_search s = {.uri = uri, .port = uri->port != 0 ? uri->port : sip_default_port(transport)};
    edge_trunks_each(e, look_at_trunk, &s);
    return s.found;
}

/* The trunk whose calls may come from there; "" none. */
static struct slice trusted_at(struct edge *e, const union sock_address *address)
{
    struct flow at = {.transport = PLAN_UDP, .remote = *address};
    struct edge_source source = {.kind = EDGE_SOURCE_UNKNOWN};
    e->o.hooks.source(e->o.hooks.ctx, &e->scratch, &at, &source);
    return source.kind == EDGE_SOURCE_TRUNK ? source.name : SLICE("");
}

struct host_search {
    const union sock_address *address;
    struct slice trunk;
};

static bool look_at_host(void *ctx, const struct edge_trunk *t)
{
    struct host_search *s = ctx;
    struct address_host at;
    union sock_address literal;
    if (address_host_parse(t->address, &at, NULL) != ERR_OK || sock_address_parse(at.host, 1, &literal) != ERR_OK)
        return true;
    if (sock_address_same_host(&literal, s->address)) s->trunk = t->trunk;
    return s->trunk.n == 0;
}

struct slice contact_trunk_at(struct edge *e, const union sock_address *address)
{
    struct host_search s = {.address = address, .trunk = trusted_at(e, address)};
    if (s.trunk.n == 0) edge_trunks_each(e, look_at_host, &s);
    return s.trunk;
}

enum contact_fault contact_check(struct edge *e, const struct flow *from, const struct sip_uri *uri)
{
    union sock_address a;
    if (edge_is_ours(e, uri)) return CONTACT_OURS;
    bool literal = sock_address_parse(uri->host, uri->port != 0 ? uri->port : 5060, &a) == ERR_OK;
    bool loopback = literal ? is_loopback(&a) : slice_eq_nocase(uri->host, SLICE("localhost"));
    if (loopback && !is_loopback(&from->remote)) return CONTACT_LOOPBACK;
    if (literal && is_nowhere(&a)) return CONTACT_NOWHERE;
    if (literal && sock_address_same_host(&a, &from->remote)) return CONTACT_FINE;
    if (is_trunk_address(e, uri) || (literal && trusted_at(e, &a).n > 0)) return CONTACT_TRUNK;
    return CONTACT_FINE;
}
