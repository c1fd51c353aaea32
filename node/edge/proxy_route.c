/* proxy_route: the Route set of a request: what of it is ours, whether that is genuine, and where it leads next.
 *
 * Specification: RFC 3261 §16.4, §16.6 items 6-7; RFC 5658 (double Record-Route). Strict routers: proxy_strict.c. */
#include "node/edge/proxy_arrival.h"

#include "node/edge/gruu.h"
#include "node/edge/topology.h"
#include "node/sip/cookie.h"

#define OWN_ROUTES_MAX 8
#define CROSSINGS_MAX 3   /* one, and those of a call that an outside system sent back to us behind the other node */
#define DEVICE_PARAM "gd" /* of our Route towards the node that has a device */
#define OWN_PARAMS ";lr;ck="
#define OWN_PARAMS_LEN (sizeof OWN_PARAMS - 1 + SIP_COOKIE_TEXT - 1)

static void note_own(struct route_set *r, const struct sip_uri *uri)
{
    r->cookie = sip_uri_param(uri, "ck");
    r->sides = topology_sides(uri);
    r->target = sip_uri_param(uri, "tt");
    r->transit_cookie = sip_uri_param(uri, "tk");
    r->number_in_contact = slice_is(sip_uri_param(uri, "tn"), "1");
    r->for_device = sip_uri_param(uri, DEVICE_PARAM).p != NULL;
}

/* Those of the last value count: of a call that came by several times it stands next to whom the request goes to. */
static void note_flows(struct route_set *r, const struct sip_uri *uri)
{
    for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++)
        r->flows[side] = sip_uri_param(uri, flow_token_param((enum flow_side)side));
}

/* Of a double Record-Route either value may have them. */
static void note_hidden(struct route_set *r, const struct sip_uri *uri)
{
    struct slice up = sip_uri_param(uri, "hu");
    struct slice down = sip_uri_param(uri, "hd");
    r->hidden_sides |= topology_sides(uri);
    if (up.n > 0) r->hidden_up = up;
    if (down.n > 0) r->hidden_down = down;
}

/* Our Record-Route as we wrote it, which is how it nearly always comes back. False: it may still be ours. */
static bool is_own_text(struct arrival *a, struct slice value)
{
    struct slice rest = edge_after_own_uri(a->e, value);
    if (rest.n != OWN_PARAMS_LEN + 1 || rest.p[OWN_PARAMS_LEN] != '>' || !slice_starts(rest, SLICE(OWN_PARAMS)))
        return false;
    struct slice cookie = {rest.p + sizeof OWN_PARAMS - 1, SIP_COOKIE_TEXT - 1};
    if (memchr(cookie.p, ';', cookie.n) != NULL || memchr(cookie.p, '>', cookie.n) != NULL) return false;
    if (a->routes.own == 0) a->routes.cookie = cookie;
    a->routes.flows[FLOW_OF_CALLER] = a->routes.flows[FLOW_OF_CALLEE] = SLICE_NONE;
    return true;
}

static bool made_with(const struct arrival *a, struct mac *mac, struct slice cookie, unsigned sides)
{
    const struct sip_view *v = a->v;
    return mac != NULL && sip_dialog_cookie_ok(mac, cookie, v->call_id, v->from_tag, v->to_tag, sides);
}

static bool is_cookie(const struct arrival *a, struct slice cookie, unsigned sides)
{
    return made_with(a, a->e->dialog_mac, cookie, sides) || made_with(a, a->e->other_dialog_mac, cookie, sides);
}

static bool count_own(struct route_set *r)
{
    if (++r->own > OWN_ROUTES_MAX) r->bad = true;
    return !r->bad;
}

/* It may hide other sides than we do. */
bool proxy_arrival_is_members(const struct arrival *a, const struct sip_uri *uri)
{
    struct slice cookie = sip_uri_param(uri, "ck");
    return cookie.n > 0 && (slice_eq(cookie, a->routes.cookie) || is_cookie(a, cookie, topology_sides(uri)));
}

/* Behind a member's value, which leads to that node: how often the request is to come back. */
static bool read_further(struct arrival *a, struct slice value)
{
    struct route_set *r = &a->routes;
    struct sip_name_addr addr;
    if (sip_name_addr_parse(&a->e->scratch, value, &addr) != ERR_OK || addr.star) return false;
    bool own = edge_is_ours(a->e, &addr.uri);
    if (!own && !proxy_arrival_is_members(a, &addr.uri)) return false;
    bool at_member = r->crossings % 2 == 1;
    if (own == at_member) r->crossings++;
    return r->crossings <= CROSSINGS_MAX;
}

/* False: what follows does not concern us. */
static bool read_route(struct arrival *a, struct slice value)
{
    struct route_set *r = &a->routes;
    struct sip_name_addr addr;
    if (r->to_member) return read_further(a, value);
    if (is_own_text(a, value)) return count_own(r);
    if (sip_name_addr_parse(&a->e->scratch, value, &addr) != ERR_OK || addr.star) {
        r->bad = true;
        return false;
    }
    if (edge_is_ours(a->e, &addr.uri)) {
        if (r->own == 0) note_own(r, &addr.uri);
        note_flows(r, &addr.uri);
        note_hidden(r, &addr.uri);
        return count_own(r);
    }
    r->has_next = true;
    r->next = addr.uri;
    r->next_text = addr.uri_text;
    r->to_member = r->own > 0 && proxy_arrival_is_members(a, &addr.uri);
    r->crossings = r->to_member;
    return r->to_member;
}

void proxy_arrival_read_routes(struct arrival *a)
{
    const struct sip_view *v = a->v;
    for (unsigned i = v->first[SIP_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            if (!read_route(a, value)) return;
        }
    }
}

/* The Request-URI, or what it stands for when it is a cloak of ours; text is then that, else "". False: no URI. Where a
 * Route leads on nothing else is of interest. */
static bool request_uri(struct arrival *a, struct sip_uri *uri, struct slice *text)
{
    *text = SLICE("");
    if (a->routes.has_next && !topology_may_be_ours(a->v->uri)) return true;
    if (sip_request_uri_parse(&a->e->scratch, a->v, uri) != ERR_OK) return false;
    struct slice meant = topology_uri(a->e, uri);
    if (meant.p == NULL) return true;
    *text = meant;
    return sip_uri_parse(&a->e->scratch, meant, uri) == ERR_OK;
}

/* Whether the side that the request goes to is reached by a flow of its own, which is then the hop. */
static bool by_flow(struct arrival *a, struct edge_hop *hop, union sock_address *address)
{
    struct mac *const keys[] = {a->e->dialog_mac, a->e->other_dialog_mac};
    for (int k = 0; k < 2; k++) {
        for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++) {
            char host[INET6_ADDRSTRLEN];
            char text[SOCK_ADDRESS_TEXT];
            struct slice tag = side == FLOW_OF_CALLEE ? a->v->from_tag : a->v->to_tag; /* the caller's, if that is it */
            struct flow_dialog d = {keys[k], a->v->call_id, tag};
            if (keys[k] == NULL || a->routes.flows[side].n == 0) continue;
            if (!flow_token_read(&d, (enum flow_side)side, a->routes.flows[side], &hop->transport, address)) continue;
            edge_address_text(address, host);
            hop->host = arena_copy(&a->e->scratch, slice_of(host));
            hop->port = sock_address_port(address);
            hop->received = slice_of(arena_printf(&a->e->scratch, "%s:%s", plan_transport_name(hop->transport),
                                                  sock_address_text(address, text)));
            return hop->host.p != NULL && hop->received.n > 0;
        }
    }
    return false;
}

static bool flow_is_up(const struct arrival *a, enum plan_transport transport, const union sock_address *remote)
{
    const struct flow to = {.transport = transport, .remote = *remote};
    return transport == PLAN_UDP || transport_connected(a->e->transport, &to);
}

/* ---- a device of ours as the Request-URI (RFC 5627 §6.1) ---- */

/* The cookie for a member that has nothing to hide: we stand between it and the hidden side. */
static struct slice plain_cookie(const struct arrival *a, char out[SIP_COOKIE_TEXT])
{
    const struct sip_view *v = a->v;
    struct slice caller_tag = a->by_caller ? v->from_tag : v->to_tag;
    if (a->routes.sides == 0) return a->routes.cookie;
    enum err err = sip_dialog_cookie(a->e->dialog_mac, v->call_id, caller_tag, 0, out);
    return err == ERR_OK ? slice_of(out) : SLICE_NONE;
}

/* The Route that takes the request to the node that has the device, where nobody else is asked. */
static bool lead_to_member(struct arrival *a, const struct edge_device *device, struct edge_hop *hop)
{
    char cookie[SIP_COOKIE_TEXT];
    bool v6 = memchr(hop->host.p, ':', hop->host.n) != NULL;
    if (a->routes.for_device) return false; /* it has been sent on once */
    hop->request_uri = device->uri;
    hop->route = slice_of(arena_printf(&a->e->scratch, "<sip:%s%.*s%s:%u;transport=%s;lr;ck=%.*s;" DEVICE_PARAM ">",
                                       v6 ? "[" : "", SLICE_ARG(hop->host), v6 ? "]" : "",
                                       hop->port != 0 ? hop->port : sip_default_port(hop->transport),
                                       plan_transport_name(hop->transport), SLICE_ARG(plain_cookie(a, cookie))));
    a->routes.to_member = true;
    return hop->route.n > 0;
}

static unsigned device_hop(struct arrival *a, struct slice account, const struct edge_device *device,
                           struct edge_hop *hop, enum edge_counter *why)
{
    struct edge *e = a->e;
    struct edge_answer answer = {0};
    struct edge_query q = {.dialled = account, .device = device, .call_id = a->v->call_id};
    *why = EC_refused_no_target;
    a->to_device = true;
    e->o.hooks.route(e->o.hooks.ctx, &e->scratch, &q, &answer);
    for (size_t i = 0; i < answer.target_count; i++) {
        const struct edge_target *t = &answer.targets[i];
        if (t->hop_count == 0) continue;
        *hop = t->hops[0];
        if (t->node.n == 0 || lead_to_member(a, device, hop)) return 0;
    }
    return answer.target_count == 0 && answer.code >= 300 && answer.code < 700 ? answer.code : 480;
}

unsigned proxy_arrival_next_hop(struct arrival *a, struct edge_hop *hop, enum edge_counter *why)
{
    struct sip_uri parsed;
    struct slice meant;
    *why = EC_refused_loop;
    if (a->routes.crossings > CROSSINGS_MAX) return 482;
    *why = EC_refused_syntax;
    a->routes.pops = a->routes.own;
    if (!request_uri(a, &parsed, &meant)) return 400;
    *why = EC_refused_cloak;
    if (!topology_open(a)) return 403;
    const struct sip_uri *uri = a->routes.has_next ? &a->routes.next : &parsed;
    a->named_host = uri->host;
    a->named_port = uri->port;
    if (!a->routes.has_next) {
        struct slice account;
        struct edge_device device;
        *why = EC_refused_gruu;
        enum gruu_verdict gruu = gruu_read(a->e, &a->e->scratch, uri, &account, &device);
        device.uri = meant.n > 0 ? meant : a->v->uri;
        if (gruu == GRUU_UNKNOWN) return 404;
        if (gruu == GRUU_KNOWN) return device_hop(a, account, &device, hop, why);
        *why = EC_refused_own_address; /* a Contact that names us: it would come straight back */
        if (edge_is_ours(a->e, uri)) return 404;
    }
    *hop = (struct edge_hop){.host = uri->host, .port = uri->port, .request_uri = meant, .route = a->hidden_route};
    if (a->routes.has_next && sip_uri_param(uri, "lr").p == NULL) {
        *why = EC_refused_syntax;
        if (!proxy_strict_hop(a, meant.n > 0 ? meant : a->v->uri, hop)) return 400;
    }
    struct edge_hop flow = *hop;
    union sock_address remote;
    if (!a->routes.has_next && a->hidden_route.n == 0 && by_flow(a, &flow, &remote)) {
        if (flow_is_up(a, flow.transport, &remote)) {
            *hop = flow;
            return 0;
        }
        /* Its host may be dialled at the contact, as for a call; else RFC 5626 §5.3.1: who asks may try another way, we
         * have none. */
        *why = EC_refused_flow_lost;
        if (!edge_uri_names(uri, &remote)) return 430;
    }
    union sock_address literal;
    hop->any_transport = uri->port == 0 && slice_is(uri->scheme, "sip") && sip_uri_param(uri, "transport").p == NULL &&
                         sock_address_parse(uri->host, 1, &literal) != ERR_OK;
    *why = EC_refused_scheme;
    return uri->host.n > 0 && edge_uri_transport(uri, &hop->transport) ? 0 : 416;
}

bool proxy_arrival_cookie_ok(const struct arrival *a)
{
    const struct sip_view *v = a->v;
    struct slice known = edge_call_cookie(a->e, v);
    bool same = a->routes.sides == 0 && known.n > 0 && a->routes.cookie.n == known.n &&
                secret_equal(known.p, a->routes.cookie.p, known.n);
    return same || is_cookie(a, a->routes.cookie, a->routes.sides);
}

bool proxy_arrival_may_pass(struct arrival *a)
{
    struct edge *e = a->e;
    struct slice tags = sip_view_value(a->v, SIP_PROXY_REQUIRE);
    if (a->v->max_forwards == 0) {
        proxy_arrival_refuse(a, EC_refused_max_forwards, 483, SLICE(""));
        return false;
    }
    if (tags.p == NULL) return true;
    /* We know no option that a proxy must support: each one named is unsupported (RFC 3261 §16.3 item 5). */
    buf_reset(&e->lines);
    buf_text(&e->lines, "Unsupported: ");
    buf_slice(&e->lines, tags);
    buf_text(&e->lines, "\r\n");
    proxy_arrival_refuse(a, EC_refused_proxy_require, 420, buf_view(&e->lines));
    return false;
}
