/* proxy_forward: the bytes of a request as it leaves (RFC 3261 §16.6 items 1-8): edits to the bytes as received.
 *
 * All new header lines go in as one block before the first header, so that Via, Record-Route and Route stand above
 * those that came. Everything not named here passes unchanged, in order. */
#include "node/edge/identity.h"
#include "node/edge/session.h"
#include "node/edge/topology.h"

#include <stdio.h>

#include "node/edge/flow_token.h"
#include "node/sip/body.h"
#include "node/sip/cookie.h"

static const char *via_transport(enum plan_transport t)
{
    return t == PLAN_UDP ? "UDP" : t == PLAN_TCP ? "TCP" : "TLS";
}

uint64_t proxy_forward_loop_mark(const struct edge *e, const struct sip_view *v)
{
    struct slice cseq = {(const char *)&v->cseq, sizeof v->cseq};
    struct slice fields[] = {SLICE("loop"), v->uri, v->call_id, v->from_tag, sip_view_value(v, SIP_ROUTE), cseq};
    return edge_keyed_number(e, fields, 6);
}

bool proxy_forward_looped(const struct sip_view *v, uint64_t mark)
{
    char branch[SIP_TX_BRANCH];
    sip_tx_branch(0, mark, branch);
    const char *digits = branch + SIP_TX_BRANCH - 1 - 17; /* with its dot */
    for (unsigned i = v->first[SIP_VIA]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice value = sip_line_value(v, i);
        if (memmem(value.p, value.n, digits, 17) != NULL) return true;
    }
    return false;
}

static void add_via(struct edge *e, const struct forward *f)
{
    char branch[SIP_TX_BRANCH];
    struct buf *b = &e->lines;
    sip_tx_branch(f->id, f->relay != NULL ? f->relay->mark : 0, branch);
    buf_text(b, "Via: SIP/2.0/");
    buf_text(b, via_transport(f->to->transport));
    buf_text(b, " ");
    buf_text(b, e->places[f->to->listener].sent_by);
    buf_text(b, ";branch=");
    buf_text(b, branch);
    buf_text(b, ";rport\r\n");
}

/* Whether the URI leads to the flow's own port and transport. */
static bool leads_to_port(const struct sip_uri *uri, const struct flow *flow)
{
    enum plan_transport transport;
    if (!edge_uri_transport(uri, &transport) || transport != flow->transport) return false;
    return (uri->port != 0 ? uri->port : sip_default_port(transport)) == sock_address_port(&flow->remote);
}

/* Whether one whose contact is an address, or asks for its flow by "ob", is reached there and not by its contact: a
 * host that is another one, or behind a connection of its own, whose port is nobody's to dial. */
static bool needs_flow(const struct sip_uri *uri, const struct flow *flow, bool own_connection)
{
    union sock_address named;
    if (sip_uri_param(uri, "ob").p != NULL) return true;
    if (sock_address_parse(uri->host, 1, &named) != ERR_OK) return false;
    return !edge_uri_names(uri, &flow->remote) || (own_connection && !leads_to_port(uri, flow));
}

/* The caller is reached where its request came from, when its contact is another place. So is a trunk, but only by a
 * connection that it made, and where its contact is the same host, or has no name to prove by TLS: else that can be
 * dialled. One behind a proxy that stays on the way is met by that one's Route. */
static bool caller_needs_flow(struct edge *e, const struct sip_view *v, const struct forward *f)
{
    struct sip_name_addr contact;
    const struct flow *from = f->from;
    if (f->relay == NULL || from->member) return false;
    bool phone = f->relay->source_kind == EDGE_SOURCE_ACCOUNT;
    bool trunk = f->relay->source_kind == EDGE_SOURCE_TRUNK && from->accepted;
    if (!phone && !(trunk && v->first[SIP_RECORD_ROUTE] == SIP_NO_LINE)) return false;
    if (sip_name_addr_parse(&e->scratch, sip_view_value(v, SIP_CONTACT), &contact) != ERR_OK || contact.star)
        return false;
    if (trunk && from->transport != PLAN_TLS && !edge_uri_names(&contact.uri, &from->remote)) return false;
    return needs_flow(&contact.uri, from, from->accepted);
}

/* Who registered is behind a connection of its own; a registrar of ours (named) is not. */
static bool callee_needs_flow(struct edge *e, const struct forward *f)
{
    struct sip_uri contact;
    if (f->hop->received.n == 0 || sip_uri_parse(&e->scratch, f->hop->request_uri, &contact) != ERR_OK) return false;
    return needs_flow(&contact, f->to, f->to->transport != PLAN_UDP && !f->hop->named);
}

/* sides: who is shown nothing, of which the cookie is made too. flows: parameters. */
static enum err add_record_route(struct edge *e, const struct sip_view *v, const char *place, const char *cookie,
                                 unsigned sides, bool faces_callee, const char *flows)
{
    enum err err = ERR_OK;
    buf_text(&e->lines, "Record-Route: <");
    buf_text(&e->lines, place);
    buf_text(&e->lines, ";lr;ck=");
    buf_text(&e->lines, cookie);
    buf_text(&e->lines, flows);
    if (sides != 0) err = topology_route_params(e, v, sides, faces_callee, &e->lines);
    buf_text(&e->lines, ">\r\n");
    return err;
}

/* ";fc=...;fd=..." of the sides that need it. hidden: somebody sees them who is shown no addresses. */
#define FLOWS_TEXT (2 * (4 + CLOAK_LEN(FLOW_TOKEN_TEXT)))
static enum err flow_params(struct edge *e, const struct sip_view *v, const struct forward *f, bool hidden,
                            char out[FLOWS_TEXT])
{
    const struct flow_dialog d = {e->dialog_mac, v->call_id, v->from_tag};
    const struct flow *flows[2] = {[FLOW_OF_CALLER] = caller_needs_flow(e, v, f) ? f->from : NULL,
                                   [FLOW_OF_CALLEE] = callee_needs_flow(e, f) ? f->to : NULL};
    size_t n = 0;
    out[0] = '\0';
    for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++) {
        char token[FLOW_TOKEN_TEXT];
        if (flows[side] == NULL) continue;
        enum err err = flow_token_make(&d, (enum flow_side)side, flows[side], token);
        if (err != ERR_OK) return err;
        struct slice text = hidden ? topology_cloak(e, slice_of(token)) : slice_of(token);
        if (text.p == NULL) return ERR_NOMEM;
        n += (size_t)snprintf(out + n, FLOWS_TEXT - n, ";%s=%.*s", flow_token_param((enum flow_side)side),
                              SLICE_ARG(text));
    }
    return ERR_OK;
}

/* Two, where the request leaves by another door than it came in: each side then sees an address that it can reach (RFC
 * 5658). */
static enum err add_record_routes(struct edge *e, const struct sip_view *v, const struct forward *f, bool sips)
{
    char cookie[SIP_COOKIE_TEXT];
    unsigned sides = (f->relay != NULL && f->relay->hide_from ? TOPOLOGY_CALLER : 0) | (f->hide ? TOPOLOGY_CALLEE : 0);
    enum err err = sip_dialog_cookie(e->dialog_mac, v->call_id, v->from_tag, sides, cookie);
    char flows[FLOWS_TEXT];
    if (err == ERR_OK) err = flow_params(e, v, f, sides != 0, flows);
    bool two = f->from->listener != f->to->listener;
    if (err == ERR_OK)
        err = add_record_route(e, v, edge_place_uri(&e->places[f->to->listener], sips), cookie, sides, true, flows);
    if (err == ERR_OK && two)
        err = add_record_route(e, v, edge_place_uri(&e->places[f->from->listener], sips), cookie, sides, false, flows);
    if (err != ERR_OK) return err;
    if (f->relay != NULL && f->relay->call != NULL && sides == 0)
        edge_call_set_cookie(f->relay->call, slice_of(cookie));
    return ERR_OK;
}

/* Our Route values, which are as good for the other side: it meets them in the other order. */
static void keep_route(struct edge *e, const struct sip_view *v, unsigned count)
{
    struct slice own[UINT8_MAX];
    unsigned n = 0;
    for (unsigned i = v->first[SIP_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        while (n < count && sip_value_next(&rest, &own[n]))
            n++;
    }
    while (n > 0) {
        buf_text(&e->lines, "Record-Route: ");
        buf_slice(&e->lines, own[--n]);
        buf_text(&e->lines, "\r\n");
    }
}

/* The Route that names the target to the member that serves it. */
static enum err add_transit_route(struct edge *e, const struct sip_view *v, const struct forward *f)
{
    char cookie[SIP_COOKIE_TEXT];
    char port[8] = "";
    const struct edge_hop *h = f->hop;
    const struct edge_target *t = f->target;
    bool v6 = h->host.n > 0 && memchr(h->host.p, ':', h->host.n) != NULL;
    enum err err = sip_transit_cookie(e->transit_mac, v->call_id, v->from_tag, t->text, t->number, cookie);
    if (err != ERR_OK) return err;
    if (h->port != 0) (void)snprintf(port, sizeof port, ":%u", h->port);
    buf_printf(&e->lines, "Route: <sip:%s%.*s%s%s;transport=%s;lr;tt=%.*s;tk=%s%s>\r\n", v6 ? "[" : "",
               SLICE_ARG(h->host), v6 ? "]" : "", port, plan_transport_name(h->transport), SLICE_ARG(t->text), cookie,
               t->number_in_contact ? ";tn=1" : "");
    return ERR_OK;
}

/* RFC 7989: a call without a Session-ID gets one. */
static void add_session_id(struct edge *e, const struct sip_view *v)
{
    if (v->first[SIP_SESSION_ID] != SIP_NO_LINE) return;
    char text[EDGE_SESSION_ID];
    edge_session_id(e, v, text);
    buf_text(&e->lines, "Session-ID: ");
    buf_text(&e->lines, text);
    buf_text(&e->lines, ";remote=00000000000000000000000000000000\r\n");
}

/* Another node is inside whatever stands behind it. */
static bool target_inside(const struct forward *f)
{
    return f->target != NULL && (f->target->node.n > 0 || f->target->inside);
}

/* Inside a dialog nobody has asked the plan who the sides are: their addresses say it. */
static void strip_identity(struct edge *e, const struct sip_view *v, const struct forward *f, struct sip_edits *edits)
{
    const struct relay *r = f->relay;
    bool asked = r != NULL && !r->in_dialog;
    bool from = asked ? r->from_inside : identity_flow_inside(e, f->from);
    bool to = asked ? target_inside(f) : (r != NULL && r->to_member) || identity_flow_inside(e, f->to);
    identity_edits(v, from, to, edits);
}

/* RFC 3261 §16.6 item 4: our Record-Route is a sips URI where the Request-URI, or the topmost Route, is one. */
static bool leaves_by_sips(const struct forward *f, struct slice uri)
{
    return edge_uri_is_sips(uri) || slice_starts(f->hop->route, SLICE("<sips:"));
}

struct slice proxy_forward_length(const struct sip_view *v, size_t body, enum plan_transport by,
                                  char out[PROXY_LENGTH_LINE])
{
    if (by == PLAN_UDP || v->first[SIP_CONTENT_LENGTH] != SIP_NO_LINE) return SLICE("");
    int n = snprintf(out, PROXY_LENGTH_LINE, "Content-Length: %zu\r\n", body);
    return (struct slice){out, (size_t)n};
}

/* uri: the Request-URI as it leaves. */
static enum err add_lines(struct edge *e, const struct sip_view *v, const struct forward *f, struct slice uri)
{
    enum err err = ERR_OK;
    buf_reset(&e->lines);
    add_via(e, f);
    if (f->record_route) err = add_record_routes(e, v, f, leaves_by_sips(f, uri));
    if (f->relay != NULL && f->relay->keeps_route) keep_route(e, v, f->pop_count);
    if (err == ERR_OK && f->target != NULL && f->target->node.n > 0) err = add_transit_route(e, v, f);
    if (f->hop->route.n > 0) {
        buf_text(&e->lines, "Route: ");
        buf_slice(&e->lines, f->hop->route);
        buf_text(&e->lines, "\r\n");
    }
    if (f->auth.n > 0) buf_slice(&e->lines, f->auth);
    if (v->max_forwards < 0) buf_text(&e->lines, "Max-Forwards: 70\r\n");
    if (f->breadth > 0 && v->first[SIP_MAX_BREADTH] == SIP_NO_LINE) {
        char digits[DECIMAL_TEXT];
        buf_text(&e->lines, "Max-Breadth: ");
        buf_slice(&e->lines, decimal_text(f->breadth, digits));
        buf_text(&e->lines, "\r\n");
    }
    if (f->record_route) add_session_id(e, v);
    if (f->relay != NULL) session_request_lines(e, f->relay, v);
    if (f->relay != NULL && f->relay->asserted[0] != '\0')
        identity_assert(e, v, slice_of(f->relay->asserted), target_inside(f));
    return err;
}

/* The Request-URI of a call that crosses the mesh: the number at our domain, or at the member. */
static struct slice transit_uri(struct edge *e, const struct forward *f)
{
    struct slice domain = e->o.hooks.domain(e->o.hooks.ctx);
    size_t from = e->via.n;
    buf_text(&e->via, f->relay != NULL && f->relay->secure ? "sips:" : "sip:");
    edge_add_user(&e->via, f->target->number);
    buf_text(&e->via, "@");
    buf_slice(&e->via, domain.n > 0 ? domain : f->target->node);
    return e->via.failed ? SLICE_NONE : (struct slice){e->via.p + from, e->via.n - from};
}

/* Credentials for our realm end here; those for realms further on pass (RFC 3261 §22.3). */
static void remove_own_auth(struct edge *e, const struct sip_view *v, struct sip_edits *edits)
{
    if (v->first[SIP_PROXY_AUTHORIZATION] == SIP_NO_LINE) return;
    struct slice realm = edge_realm(e);
    for (unsigned i = v->first[SIP_PROXY_AUTHORIZATION]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct sip_credentials c;
        struct slice value = sip_line_value(v, i);
        if (memmem(value.p, value.n, realm.p, realm.n) == NULL) continue; /* parsing costs more */
        if (sip_credentials_parse(&e->scratch, value, &c) != ERR_OK) continue;
        if (slice_eq(c.realm, realm)) sip_edit_remove_line(edits, i);
    }
}

enum err proxy_forward_request(struct edge *e, const struct sip_view *v, const struct forward *f)
{
    char hops[DECIMAL_TEXT];
    char breadth[DECIMAL_TEXT];
    char address[INET6_ADDRSTRLEN];
    char session[SESSION_TEXT];
    char length[PROXY_LENGTH_LINE];
    char digits[DECIMAL_TEXT];
    struct sip_edits edits;
    struct slice uri = f->hop->request_uri;
    bool transit = f->target != NULL && f->target->node.n > 0;

    buf_reset(&e->via);
    edge_address_text(&f->from->remote, address);
    sip_via_with_received(v, slice_of(address), sock_address_port(&f->from->remote), &e->via);
    size_t via_len = e->via.n;
    if (transit && !f->target->one_device) uri = transit_uri(e, f);
    enum err err = add_lines(e, v, f, uri.n > 0 ? uri : v->uri);
    if (err != ERR_OK) return err;
    if (e->via.failed || e->lines.failed) return ERR_NOMEM;

    sip_edits_init(&edits, v);
    if (uri.n > 0) sip_edit_replace(&edits, v->uri, uri);
    sip_edit_insert(&edits, v->first_line_end, buf_view(&e->lines));
    if (f->hide) {
        topology_request(e, v, f->to->listener, &edits);
    } else {
        sip_edit_replace(&edits, v->via.all, (struct slice){e->via.p, via_len});
    }
    if (v->max_forwards > 0) {
        struct slice left = decimal_text((unsigned)v->max_forwards - 1, hops);
        sip_edit_replace(&edits, sip_view_value(v, SIP_MAX_FORWARDS), left);
    }
    if (f->relay != NULL) session_edits(f->relay, v, session, &edits);
    if (f->breadth > 0 && v->first[SIP_MAX_BREADTH] != SIP_NO_LINE) {
        struct slice share = decimal_text(f->breadth, breadth);
        sip_edit_replace(&edits, sip_view_value(v, SIP_MAX_BREADTH), share);
    }
    for (unsigned i = 0; i < f->pop_count; i++)
        sip_edit_pop_value(&edits, SIP_ROUTE);
    remove_own_auth(e, v, &edits);
    size_t body = f->sdp.n > 0 ? sip_body_exchange(&edits, f->sdp, digits) : v->body.n;
    sip_edit_append(&edits, proxy_forward_length(v, body, f->to->transport, length));
    if (identity_concerns(v)) strip_identity(e, v, f, &edits);
    buf_reset(&e->out);
    return sip_edit_apply(&edits, &e->out);
}
