/* proxy_ack: ACK requests. That of a failure ends at our server transaction; that of a 2xx goes end to end, without a
 * transaction and without an answer, whatever is wrong with it (RFC 3261 §17.1.1.3, §13.2.2.4). */
#include "node/edge/proxy_arrival.h"

#include <stdlib.h>

/* What an ACK needs on its way out. */
struct ack_way {
    struct flow from;
    struct edge_hop hop;
    unsigned pop_count;
    bool to_member;
    bool hide;
};

/* One that waits for a name. */
struct ack {
    struct list_node node;
    struct edge *edge;
    struct ack_way way;
    bool done;
    bool waiting;
    struct message text;
    struct message uri;   /* what the hop wants in place of the Request-URI, */
    struct message route; /* and above the other routes */
    char host[LIMIT_HOST + 1];
};

static bool sent_to(struct edge *e, const struct sip_view *v, const struct ack_way *w,
                    const union sock_address *address)
{
    struct flow to;
    struct forward f = {.hop = &w->hop,
                        .from = &w->from,
                        .to = &to,
                        .pop_count = w->pop_count,
                        .hide = w->hide,
                        .id = random_next(e->random)};
    bool member = w->to_member && w->hop.transport == PLAN_TLS;
    /* as in proxy_target.c: who registered is found by its connection */
    struct slice host = w->hop.received.n > 0 && !w->hop.named ? SLICE("") : w->hop.host;
    return edge_flow_to(e, w->hop.transport, address, &w->from, &to) == ERR_OK &&
           proxy_forward_request(e, v, &f) == ERR_OK &&
           edge_send_hop(e, &to, host, member, buf_view(&e->out), 0) == ERR_OK;
}

/* The first of the addresses that takes it (RFC 3261 §16.6 item 7, RFC 3263 §4.3): nobody says that it did not arrive,
 * so what fails later is not tried again. */
static void send_to(struct edge *e, const struct sip_view *v, const struct ack_way *w,
                    const union sock_address *addresses, size_t count)
{
    size_t i = 0;
    while (i < count && !sent_to(e, v, w, &addresses[i]))
        i++;
    edge_count(e, i < count ? EC_forwarded : EC_send_failures);
}

static void ack_free(struct ack *w)
{
    list_remove(&w->node);
    proxy_message_drop(w->edge, &w->text);
    proxy_message_drop(w->edge, &w->uri);
    proxy_message_drop(w->edge, &w->route);
    free(w);
}

/* A text that the arrival lends; false: no memory. */
static bool keep(struct edge *e, struct message *m, struct slice *text)
{
    if (text->n == 0) return true;
    if (!proxy_message_set(e, m, *text)) return false;
    *text = (struct slice){m->p, m->n};
    return true;
}

static void ack_resolved(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct ack *w = ctx;
    struct edge *e = w->edge;
    w->done = true;
    if (err != ERR_OK || count == 0) {
        edge_count(e, EC_names_unresolved);
    } else if (!e->closing && sip_view_parse_kept(&e->again, w->text.p, w->text.n) == SIP_FAULT_NONE) {
        send_to(e, &e->again, &w->way, addresses, count);
    }
    if (w->waiting) ack_free(w);
}

static void ack_resolved_any(void *ctx, enum err err, enum plan_transport transport,
                             const union sock_address *addresses, size_t count)
{
    struct ack *w = ctx;
    w->way.hop.transport = transport;
    ack_resolved(w, err, addresses, count);
}

static void send_by_name(struct arrival *a, const struct ack_way *way)
{
    struct edge *e = a->e;
    struct slice host = way->hop.host;
    struct ack *w = calloc(1, sizeof *w);
    if (w == NULL || host.n > LIMIT_HOST || !proxy_message_set(e, &w->text, (struct slice){a->v->data, a->v->len})) {
        edge_count(e, EC_acks_dropped);
        free(w);
        return;
    }
    memcpy(w->host, host.p, host.n);
    w->edge = e;
    w->way = *way;
    w->way.hop.host = (struct slice){w->host, host.n};
    list_append(&e->acks, &w->node);
    if (!keep(e, &w->uri, &w->way.hop.request_uri) || !keep(e, &w->route, &w->way.hop.route)) {
        edge_count(e, EC_acks_dropped);
        ack_free(w);
        return;
    }
    const struct edge_hop *hop = &w->way.hop;
    enum err err = hop->any_transport ? dns_resolve_any(e->dns, hop->host, edge_transports(e), ack_resolved_any, w)
                                      : dns_resolve(e->dns, hop->host, hop->port, hop->transport, ack_resolved, w);
    if (err != ERR_OK) w->done = true;
    w->waiting = true;
    if (w->done) ack_free(w);
}

/* True: it belongs to a failure that was sent here. */
static bool absorbed(struct arrival *a)
{
    if (edge_refused_stateless(a->e, a->v)) {
        edge_count(a->e, EC_acks_absorbed);
        return true;
    }
    struct sip_tx *tx = sip_tx_find_server(&a->e->tx, a->v, SIP_INVITE);
    if (tx == NULL || tx->state == SIP_TX_ACCEPTED) return false;
    struct relay *r = CONTAINER_OF(tx, struct relay, server);
    edge_count(a->e, EC_acks_absorbed);
    proxy_relay_server_event(r, SIP_TX_ACK);
    proxy_relay_settle(r);
    return true;
}

/* led: its media has been seen to. */
static void pass_on(struct arrival *a, bool led)
{
    struct edge *e = a->e;
    struct ack_way way = {.from = *a->from};
    enum edge_counter why;
    union sock_address address;
    proxy_arrival_read_routes(a);
    if (a->routes.bad || a->routes.own == 0 || a->v->max_forwards == 0 || !proxy_arrival_cookie_ok(a) ||
        proxy_arrival_next_hop(a, &way.hop, &why) != 0) {
        edge_count(e, EC_acks_dropped);
        return;
    }
    if (!led && proxy_media_holds_ack(e, a->from, a->v)) return;
    way.pop_count = a->routes.pops;
    way.to_member = a->routes.to_member;
    way.hide = a->hide_to;
    uint16_t port = way.hop.port != 0 ? way.hop.port : sip_default_port(way.hop.transport);
    if (sock_address_parse(way.hop.host, port, &address) == ERR_OK) {
        send_to(e, a->v, &way, &address, 1);
    } else {
        send_by_name(a, &way);
    }
}

void proxy_arrival_ack(struct arrival *a)
{
    if (!absorbed(a)) pass_on(a, false);
}

void proxy_ack_led(struct edge *e, const struct flow *from, struct sip_view *v)
{
    pass_on(&(struct arrival){.e = e, .from = from, .v = v}, true);
}

void proxy_acks_free(struct edge *e)
{
    while (!list_empty(&e->acks))
        ack_free(CONTAINER_OF(e->acks.next, struct ack, node));
}
