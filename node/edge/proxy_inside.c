/* proxy_inside: a request inside a dialog: proved by our cookie, and led to the other side of its call.
 *
 * The cookie proves the dialog, not what Route and Request-URI name, which who sends the request writes himself. So
 * what may begin something (a re-INVITE, a REFER, a MESSAGE, ...) passes only while there is a call, and only to where
 * its other side is: else one call would open every door for which the plan is asked, and for as long as one likes.
 * What ends or completes something (ACK, BYE, PRACK) follows the Route set alone, so that no call is lost with its
 * record; so does what belongs to a subscription, of which there is none. Specification: RFC 3261 §12.2, §16.4-16.6. */
#include "node/edge/client.h"
#include "node/edge/contact.h"
#include "node/edge/proxy_arrival.h"
#include "node/edge/session.h"

#define ELSEWHERE_REASON "Reason: SIP;cause=403;text=\"it leads to no other side of a call\"\r\n"

static bool dialog_proved(struct arrival *a)
{
    if (a->routes.bad) {
        proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
    } else if (a->routes.own == 0) {
        proxy_arrival_refuse(a, EC_refused_no_dialog, 481, SLICE(""));
    } else if (!proxy_arrival_cookie_ok(a)) {
        proxy_arrival_refuse(a, EC_refused_cookie, 403, SLICE(""));
    } else {
        return true;
    }
    return false;
}

/* ---- where it may go ---- */

/* The way of a request. */
struct way {
    bool last; /* by its method */
    bool begins;
    unsigned code; /* of a refusal, 0: none, */
    enum edge_counter why;
    struct edge_hop hop;
    bool by_name; /* the hop's address is known when it is resolved */
    union sock_address address;
    enum call_side side;
    struct slice trunk; /* "trunk/NAME" of the other side, where that is of use; "" */
};

/* Another node of ours knows the side that is behind it; and has the call, when a device of it has moved to us. */
static enum call_side side_of(const struct arrival *a, const struct way *w)
{
    bool from_member = a->routes.for_device && (a->from->member || !a->e->has_tls);
    if (a->routes.has_next && a->routes.to_member) return CALL_SIDE_SEEN;
    if (a->to_device && from_member) return CALL_SIDE_SEEN;
    return edge_call_side(a->e, a->v, a->named_host, a->named_port, w->by_name ? NULL : &w->address);
}

bool proxy_inside_strays(struct edge *e, const union sock_address *to, struct slice trunk)
{
    struct slice kind;
    struct slice name = contact_trunk_at(e, to);
    return name.n > 0 && !slice_eq(slice_cut(trunk, '/', &kind), name);
}

/* Whether what there is no record of may be a call: the node may have ended before it had written that one down. By
 * now it would be idle for too long. */
static bool may_be_lost(const struct edge *e)
{
    return !mono_reached(edge_now(e), mono_add_ms(e->began, e->o.call_idle_ms));
}

static bool may_go(const struct arrival *a, const struct way *w)
{
    switch (w->side) {
    case CALL_SIDE_UNKNOWN: return may_be_lost(a->e);
    case CALL_SIDE_ELSEWHERE: return false;
    case CALL_SIDE_SAID: return w->by_name || a->to_device || !proxy_inside_strays(a->e, &w->address, w->trunk);
    case CALL_SIDE_SEEN: break;
    }
    return true;
}

static void find_way(struct arrival *a, struct way *w)
{
    w->begins = !w->last && a->v->method != SIP_SUBSCRIBE && a->v->method != SIP_NOTIFY;
    if (w->begins || lines_any(a->e->registrations)) w->trunk = edge_call_trunk(a->e, a->v);
    w->code = proxy_arrival_next_hop(a, &w->hop, &w->why);
    if (w->code != 0) return;
    w->by_name = sock_address_parse(w->hop.host, 1, &w->address) != ERR_OK;
    w->side = side_of(a, w);
    if (!w->begins || may_go(a, w)) return;
    w->code = 403;
    w->why = EC_refused_elsewhere;
}

/* A BYE ends the call (RFC 3261 §15.1.1), also where the other side is gone; but not one that is sent past it. */
static bool concerns_call(const struct arrival *a, const struct way *w)
{
    if (w->code != 0) return a->v->method == SIP_BYE && (w->code == 430 || w->code == 480);
    return w->side != CALL_SIDE_ELSEWHERE;
}

/* ---- on its way ---- */

static void relay_on(struct arrival *a, const struct way *w)
{
    struct relay *r = proxy_relay_new(a->e, a->from, a->v);
    if (r == NULL) return;
    r->in_dialog = true;
    r->bound = w->begins && w->by_name && w->side == CALL_SIDE_SAID;
    /* RFC 6665 §4.3: a subscriber takes its route set from the first NOTIFY. */
    r->keeps_route = a->v->method == SIP_NOTIFY && a->routes.pops == a->routes.own && a->routes.hidden_sides == 0;
    session_ask(r, a->v);
    r->to_member = a->routes.to_member;
    r->hide_from = a->hide_from;
    r->hide_to = a->hide_to;
    r->pop_count = (uint8_t)a->routes.pops;
    /* Named are trunks that may ask who we are, and that which alone may be met. */
    struct slice trunk = r->bound || lines_any(a->e->registrations) ? w->trunk : SLICE("");
    if (!proxy_relay_set_targets(r, &(struct edge_target){.text = trunk, .hops = &w->hop, .hop_count = 1}, 1)) {
        proxy_relay_free(r);
        return;
    }
    proxy_media_begin(r, a->v);
    proxy_relay_try(r, a->v);
    proxy_relay_settle(r);
}

void proxy_arrival_inside(struct arrival *a)
{
    /* What ends or completes a call is taken whatever the load; whether it does, the call's record says. */
    struct way w = {.last = a->v->method == SIP_BYE || a->v->method == SIP_PRACK, .trunk = SLICE("")};
    if (!w.last && !proxy_arrival_admitted(a)) return;
    proxy_arrival_read_routes(a);
    a->proved = dialog_proved(a);
    if (!a->proved || !proxy_arrival_may_pass(a) || !session_usable(a)) return;
    find_way(a, &w);
    bool needed = concerns_call(a, &w) && edge_call_request(a->e, a->v);
    if (w.last && !needed && !proxy_arrival_admitted(a)) return;
    if (w.code == 0) {
        relay_on(a, &w);
    } else {
        proxy_arrival_refuse(a, w.why, w.code, w.why == EC_refused_elsewhere ? SLICE(ELSEWHERE_REASON) : SLICE(""));
    }
}
