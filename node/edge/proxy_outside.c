/* proxy_outside: a request outside a dialog: who sent it, what the plan says of its number, or that it was meant for
 * us.
 *
 * An unknown source gets the same challenge whatever it asks for. Only plan targets are ever called.
 * Specification: RFC 3261 §16.3-16.5; DESIGN "The SIP edge". */
#include "node/edge/proxy_arrival.h"

#include "node/edge/client.h"
#include "node/edge/gruu.h"
#include "node/edge/identity.h"
#include "node/edge/registrar.h"
#include "node/edge/session.h"
#include "node/edge/topology.h"
#include "node/sip/cookie.h"

#define ABILITIES                                                                                                      \
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, SUBSCRIBE, NOTIFY, MESSAGE, "     \
    "PUBLISH\r\n"                                                                                                      \
    "Accept: application/sdp\r\n"                                                                                      \
    "Supported: path, outbound, gruu\r\n"

#define BREADTH_DEFAULT 60

/* ---- overload ---- */

/* Before anything is looked into: refusing has to be cheap. Also of an INVITE inside a dialog nothing is kept, as its
 * answer would be sent again and again: its ACK goes to the other side, which knows no such INVITE and leaves it. */
bool proxy_arrival_admitted(struct arrival *a)
{
    struct edge *e = a->e;
    char digits[DECIMAL_TEXT];
    struct sock_key key;
    uint64_t turn_ms = uv_hrtime() / 1000000 - uv_now(e->loop); /* since the loop woke */
    uint64_t age_ms = a->from->transport == PLAN_UDP ? transport_age_ms(e->transport) : OVERLOAD_NO_AGE;
    overload_sense(&e->overload, age_ms, turn_ms, edge_now(e));
    uint64_t chance = overload_on(&e->overload) ? random_next(e->random) : 0;
    sock_key_source(&key, &a->from->remote);
    uint64_t source = map_hash(&e->waiting, (struct slice){(const char *)key.bytes, sizeof key.bytes});
    bool inside = a->v->to_tag.n > 0;
    if (overload_admit(&e->overload, inside ? OVERLOAD_INSIDE : OVERLOAD_NEW, source, chance)) return true;
    buf_reset(&e->lines);
    buf_text(&e->lines, "Retry-After: ");
    buf_slice(&e->lines, decimal_text(overload_retry_s(chance), digits));
    buf_text(&e->lines, "\r\n");
    proxy_arrival_refuse(a, inside ? EC_refused_overload_inside : EC_refused_overload, 503, buf_view(&e->lines));
    return false;
}

/* ---- who sent it ---- */

/* A member that picked a target of ours names it in our Route; the cookie proves that it holds the cluster key. So may
 * one that was evicted, which only its certificate tells. */
static bool is_transit(const struct arrival *a)
{
    return a->routes.own > 0 && (a->routes.target.p != NULL || a->routes.transit_cookie.p != NULL);
}

static bool transit_cookie_ok(const struct arrival *a, struct mac *mac, const struct edge_query *q)
{
    const struct route_set *r = &a->routes;
    return mac != NULL &&
           sip_transit_cookie_ok(mac, r->transit_cookie, a->v->call_id, a->v->from_tag, r->target, q->dialled);
}

static bool identify_member(struct arrival *a, struct edge_query *q)
{
    const struct route_set *r = &a->routes;
    if (a->e->has_tls && !a->from->member) {
        proxy_arrival_refuse(a, EC_refused_transit_without_tls, 403, SLICE(""));
        return false;
    }
    if (!transit_cookie_ok(a, a->e->transit_mac, q) && !transit_cookie_ok(a, a->e->other_transit_mac, q)) {
        proxy_arrival_refuse(a, EC_refused_transit_cookie, 403, SLICE(""));
        return false;
    }
    q->source.kind = EDGE_SOURCE_MEMBER;
    q->source.inside = true;
    q->source.name = arena_copy(&a->e->scratch, transport_member_name(a->e->transport, a->from));
    q->named_target = arena_copy(&a->e->scratch, r->target);
    q->number_in_contact = r->number_in_contact;
    return true;
}

static bool identify_account(struct arrival *a, struct edge_query *q)
{
    struct plan_account account;
    enum auth_verdict verdict = edge_auth(a->e, &a->e->scratch, a->from, a->v, SIP_PROXY_AUTHORIZATION, &account);
    switch (verdict) {
    case AUTH_OK:
        q->source = (struct edge_source){.kind = EDGE_SOURCE_ACCOUNT, .name = account.name};
        a->asserted = identity_of_account(&a->e->scratch, a->v, &account);
        return true;
    case AUTH_REFUSED: edge_answer_stateless(a->e, a->from, a->v, 403, SLICE("")); break;
    case AUTH_NONE:
    case AUTH_STALE: edge_challenge(a->e, a->from, a->v, true, verdict == AUTH_STALE); break;
    case AUTH_DROPPED: break;
    }
    return false;
}

/* Fills the source's part of q. False: answered, or dropped. */
static bool identify(struct arrival *a, const struct sip_uri *uri, struct edge_query *q)
{
    struct edge *e = a->e;
    if (is_transit(a)) return identify_member(a, q);
    if (lines_identify(e, a->from, a->v, uri, q)) return true;
    e->o.hooks.source(e->o.hooks.ctx, &a->e->scratch, a->from, &q->source);
    if (q->source.kind != EDGE_SOURCE_UNKNOWN) return true;
    if (edge_peer_names(e, a->from).n > 0) edge_count(e, EC_certificates_of_no_trunk);
    return identify_account(a, q);
}

/* ---- where it goes ---- */

static struct slice caller(struct arrival *a)
{
    struct sip_name_addr from;
    if (sip_name_addr_parse(&a->e->scratch, sip_view_value(a->v, SIP_FROM), &from) != ERR_OK) return SLICE("");
    return from.uri.number;
}

/* A call crosses the mesh at most once: what a member sent us goes to targets of our own. */
static size_t keep_own(struct edge_target *own, const struct edge_target *targets, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (targets[i].node.n == 0) own[kept++] = targets[i];
    }
    return kept;
}

/* Asks and keeps the targets; notes the failure when there are none. */
static void ask_plan(struct relay *r, const struct edge_query *q)
{
    struct edge *e = r->edge;
    struct edge_answer answer = {0};
    e->o.hooks.route(e->o.hooks.ctx, &e->scratch, q, &answer);
    const struct edge_target *targets = answer.targets;
    size_t count = answer.target_count;
    if (q->named_target.n > 0 && count > 0) {
        struct edge_target *own = arena_alloc(&e->scratch, count * sizeof *own);
        count = own != NULL ? keep_own(own, targets, count) : 0;
        targets = own;
    }
    if (r->call != NULL) {
        struct slice target = count > 0 ? targets[0].text : SLICE("");
        edge_call_decided(r->call, answer.rule, answer.trace, target, count > 0 ? targets[0].node : SLICE(""));
    }
    if (count == 0) {
        r->retry_after_s = (uint16_t)answer.retry_after_s;
        edge_count(e, EC_refused_no_target);
        proxy_relay_note(r, answer.code >= 300 && answer.code < 700 ? answer.code : 480, "", answer.reason);
    } else if (!proxy_relay_set_targets(r, targets, count)) {
        proxy_relay_note(r, 500, "no memory", SLICE(""));
    }
}

static bool forms_dialog(enum sip_method m)
{
    return m == SIP_INVITE || m == SIP_SUBSCRIBE || m == SIP_REFER;
}

static void relay_out(struct arrival *a, const struct edge_query *q, uint64_t mark, uint8_t breadth)
{
    struct edge *e = a->e;
    struct slice from = a->v->method == SIP_INVITE ? caller(a) : SLICE("");
    struct relay *r = proxy_relay_new(e, a->from, a->v);
    if (r == NULL) return;
    r->pop_count = (uint8_t)a->routes.own;
    r->forms_dialog = forms_dialog(a->v->method);
    r->secure = edge_uri_is_sips(a->v->uri);
    r->mark = mark;
    session_ask(r, a->v);
    r->from_inside = q->source.inside;
    r->hide_from = q->source.hide;
    r->source_kind = q->source.kind;
    if (a->asserted.n > 0 && a->asserted.n < sizeof r->asserted) memcpy(r->asserted, a->asserted.p, a->asserted.n);
    r->breadth = breadth;
    if (r->invite) r->call = edge_call_new(e, a->v, from, q->dialled, &q->source, r);
    ask_plan(r, q);
    proxy_media_begin(r, a->v);
    if (r->target_count == 0) {
        proxy_relay_finish(r);
    } else {
        proxy_relay_try(r, a->v);
    }
    proxy_relay_settle(r);
}

/* ---- the checks ---- */

static bool uri_usable(struct arrival *a, struct sip_uri *uri)
{
    if (sip_request_uri_parse(&a->e->scratch, a->v, uri) != ERR_OK) {
        proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
        return false;
    }
    if (slice_is(uri->scheme, "sip") || slice_is(uri->scheme, "sips") || slice_is(uri->scheme, "tel")) return true;
    proxy_arrival_refuse(a, EC_refused_scheme, 416, SLICE(""));
    return false;
}

static bool routes_usable(struct arrival *a)
{
    if (a->routes.bad) {
        proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
        return false;
    }
    if (!a->routes.has_next) return true;
    proxy_arrival_refuse(a, EC_refused_foreign_route, 403, SLICE(""));
    return false;
}

/* A dialog is known by its tags: RFC 3261 §8.1.1.3 requires the caller's. */
static bool tag_usable(struct arrival *a)
{
    if (a->v->from_tag.n > 0) return true;
    proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
    return false;
}

/* RFC 5393 §5.3.3: a request without Max-Breadth gets 60; one that may not be forwarded to anybody is told so. */
static bool breadth_usable(struct arrival *a, uint8_t *breadth)
{
    uint64_t n = BREADTH_DEFAULT;
    struct slice value = sip_view_value(a->v, SIP_MAX_BREADTH);
    enum err e = value.p != NULL ? slice_u64(value, UINT64_MAX, &n) : ERR_OK;
    if (e == ERR_SYNTAX) {
        proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
        return false;
    }
    if (n == 0) {
        proxy_arrival_refuse(a, EC_refused_max_breadth, 440, SLICE(""));
        return false;
    }
    *breadth = (uint8_t)(e == ERR_LIMIT || n > UINT8_MAX ? UINT8_MAX : n);
    return true;
}

/* A Contact that a hidden side was given, and calls outside the dialog (RFC 3515, RFC 3891): the number that it stands
 * for is dialled, and the plan says where that leads. The URI's text, as it is then. */
static struct slice take_off_cloak(struct arrival *a, struct sip_uri *uri)
{
    struct sip_uri meant;
    struct slice text = topology_may_be_ours(a->v->uri) ? topology_uri(a->e, uri) : SLICE_NONE;
    if (text.p == NULL || sip_uri_parse(&a->e->scratch, text, &meant) != ERR_OK) return a->v->uri;
    *uri = meant;
    return text;
}

/* Who is dialled: a number, or one device of an account. */
static enum gruu_verdict take_device(struct arrival *a, struct sip_uri *uri, struct edge_query *q,
                                     struct edge_device *device)
{
    struct slice text = take_off_cloak(a, uri);
    enum gruu_verdict gruu = gruu_read(a->e, &a->e->scratch, uri, &q->dialled, device);
    if (gruu == GRUU_KNOWN) {
        device->uri = text;
        q->device = device;
    } else {
        q->dialled = arena_copy(&a->e->scratch, uri->number);
    }
    return gruu;
}

static bool needs_dialog(enum sip_method m)
{
    return m == SIP_BYE || m == SIP_PRACK || m == SIP_UPDATE;
}

/* True: the request was for us as a server, and is dealt with. */
static bool for_us(struct arrival *a, const struct sip_uri *uri)
{
    bool to_us = uri->user.n == 0 && edge_is_ours(a->e, uri);
    if (a->v->method == SIP_REGISTER) {
        if (to_us) {
            registrar_on_request(a->e, a->from, a->v);
        } else {
            proxy_arrival_refuse(a, EC_refused_register_elsewhere, 403, SLICE(""));
        }
        return true;
    }
    if (a->v->method != SIP_OPTIONS || (!to_us && !lines_is_called(a->e, a->from, uri))) return false;
    edge_answer_stateless(a->e, a->from, a->v, 200, SLICE(ABILITIES));
    return true;
}

/* Phones ask for this all the time, in words that need not be taken apart. */
static bool plainly_registers(const struct arrival *a)
{
    return a->v->method == SIP_REGISTER && edge_is_plainly_ours(a->e, a->from->listener, a->v->uri);
}

void proxy_arrival_outside(struct arrival *a)
{
    struct sip_uri uri;
    struct edge_query q = {0};
    struct edge_device device;
    proxy_arrival_read_routes(a);
    if (needs_dialog(a->v->method)) {
        proxy_arrival_refuse(a, EC_refused_no_dialog, 481, SLICE(""));
        return;
    }
    if (a->e->draining || a->e->refusing) {
        proxy_arrival_refuse(a, EC_refused_draining, 503, SLICE("Retry-After: 60\r\n"));
        return;
    }
    if (plainly_registers(a)) {
        if (routes_usable(a)) registrar_on_request(a->e, a->from, a->v);
        return;
    }
    if (!uri_usable(a, &uri) || !routes_usable(a) || for_us(a, &uri)) return;
    if (!tag_usable(a) || !proxy_arrival_may_pass(a) || !session_usable(a)) return;
    uint64_t mark = proxy_forward_loop_mark(a->e, a->v);
    if (proxy_forward_looped(a->v, mark)) {
        proxy_arrival_refuse(a, EC_refused_loop, 482, SLICE(""));
        return;
    }
    uint8_t breadth = 0;
    if (!breadth_usable(a, &breadth)) return;
    enum gruu_verdict gruu = take_device(a, &uri, &q, &device);
    q.call_id = arena_copy(&a->e->scratch, a->v->call_id);
    q.call = a->v->method == SIP_INVITE;
    if (q.dialled.p == NULL || q.call_id.p == NULL) {
        edge_count(a->e, EC_no_memory);
        return;
    }
    if (!identify(a, &uri, &q)) return; /* first: a stranger is told nothing */
    if (gruu == GRUU_UNKNOWN) {
        proxy_arrival_refuse(a, EC_refused_gruu, 404, SLICE(""));
    } else {
        relay_out(a, &q, mark, breadth);
    }
}
