/* proxy_request: a request comes in: absorbed, refused, or sent on its way.
 *
 * Inside a dialog the Route set decides, proved by our cookie, and the call's record (proxy_inside.c); outside one the
 * source is identified and the plan is asked (proxy_outside.c). What neither proves goes nowhere: never an open relay.
 * Specification: RFC 3261 §16.3-16.5, §16.10, §16.12. */
#include "node/edge/guard.h"
#include "node/edge/proxy_arrival.h"

void proxy_arrival_refuse(struct arrival *a, enum edge_counter why, unsigned code, struct slice extra)
{
    edge_count(a->e, why);
    if (a->e->log->max >= LOG_DEBUG) {
        char remote[SOCK_ADDRESS_TEXT];
        log_event(a->e->log, LOG_DEBUG, "edge", "refused", "code=%u method=%.*s from=%s why=%s", code,
                  SLICE_ARG(a->v->method_text), sock_address_text(&a->from->remote, remote), a->e->table.names[why]);
    }
    struct relay *r = a->proved && a->v->method == SIP_INVITE ? proxy_relay_new(a->e, a->from, a->v) : NULL;
    if (r == NULL) {
        edge_answer_stateless(a->e, a->from, a->v, code, extra);
        return;
    }
    proxy_relay_answer_lines(r, a->v, code, extra);
    proxy_relay_settle(r);
}

/* ---- CANCEL ---- */

static void on_cancel(struct arrival *a)
{
    struct edge *e = a->e;
    struct sip_tx *tx = sip_tx_find_server(&e->tx, a->v, SIP_INVITE);
    if (tx == NULL) {
        proxy_arrival_refuse(a, EC_cancels_unmatched, 481, SLICE(""));
        return;
    }
    struct relay *r = CONTAINER_OF(tx, struct relay, server);
    edge_count(e, EC_cancels);
    edge_answer_stateless(e, a->from, a->v, 200, SLICE(""));
    proxy_relay_cancel(r, a->v);
    proxy_relay_settle(r);
}

/* ---- the door ---- */

/* The transaction that the request repeats; NULL: none. Without credentials a REGISTER begins none: it is challenged,
 * and its repetition is challenged again. */
static struct sip_tx *repeated(const struct arrival *a)
{
    bool challenged = a->v->method == SIP_REGISTER && a->v->first[SIP_AUTHORIZATION] == SIP_NO_LINE;
    return challenged ? NULL : sip_tx_find_server(&a->e->tx, a->v, a->v->method);
}

static void judge(struct arrival *a)
{
    struct edge *e = a->e;
    if (a->v->method == SIP_ACK) {
        proxy_arrival_ack(a);
        return;
    }
    struct sip_tx *tx = repeated(a);
    if (tx != NULL) {
        edge_count(e, EC_requests_repeated);
        proxy_relay_server_event(CONTAINER_OF(tx, struct relay, server), SIP_TX_REQUEST);
        return;
    }
    if (a->v->method == SIP_CANCEL) {
        on_cancel(a);
        return;
    }
    if (a->v->to_tag.n > 0) {
        proxy_arrival_inside(a);
    } else if (!guard_drops(e, a->from, a->v) && proxy_arrival_admitted(a)) {
        proxy_arrival_outside(a);
    }
}

COLD static void judge_strict(struct edge *e, const struct flow *from, struct sip_view *v)
{
    struct buf text = {0};
    struct sip_view loose;
    bool strict = proxy_strict_undo(e, v, &text, &loose);
    judge(&(struct arrival){.e = e, .from = from, .v = strict ? &loose : v});
    buf_fini(&text);
}

void proxy_on_request(struct edge *e, const struct flow *from, struct sip_view *v)
{
    edge_count(e, EC_requests);
    if (proxy_strict_suspected(v)) {
        judge_strict(e, from, v);
    } else {
        judge(&(struct arrival){.e = e, .from = from, .v = v});
    }
    arena_reset(&e->scratch);
}
