#include "node/app/reach.h"

#include "node/edge/address.h"
#include "node/sip/value.h"

static enum plan_transport transport_of(const struct sip_uri *uri)
{
    struct slice named = sip_uri_param(uri, "transport");
    if (slice_eq_nocase(named, SLICE("tls")) || slice_is(uri->scheme, "sips")) return PLAN_TLS;
    return slice_eq_nocase(named, SLICE("tcp")) ? PLAN_TCP : PLAN_UDP;
}

/* What stands next to us: the first of its Path, or the contact itself. False: it cannot be read. */
static bool next_to_us(struct arena *arena, const struct binding *b, const struct sip_uri *contact, struct sip_uri *out)
{
    struct sip_name_addr proxy;
    struct slice rest = b->path;
    struct slice first;
    if (!sip_value_next(&rest, &first)) {
        *out = *contact;
        return true;
    }
    if (sip_name_addr_parse(arena, first, &proxy) != ERR_OK || proxy.star) return false;
    *out = proxy.uri;
    return true;
}

enum err reach_of(struct arena *arena, const struct binding *b, struct reach *out)
{
    struct sip_uri contact;
    struct sip_uri uri;
    struct reach made = {.nat = true};
    enum err err = listen_parse(b->received, &made.transport, &made.remote, NULL);
    if (err != ERR_OK) return err;
    bool readable = sip_uri_parse(arena, b->contact, &contact) == ERR_OK;
    if (readable) made.bulk = sip_uri_param(&contact, "bnc").p != NULL;
    if (readable && next_to_us(arena, b, &contact, &uri)) {
        uint16_t port = uri.port != 0 ? uri.port : sip_default_port(made.transport);
        bool same =
            sock_address_parse(uri.host, port, &made.own) == ERR_OK && sock_address_same_host(&made.own, &made.remote);
        made.nat = !same;
        made.has_own = same && transport_of(&uri) == made.transport;
        made.direct = made.has_own && made.transport == PLAN_UDP;
    }
    *out = made;
    return ERR_OK;
}
