/* proxy_target: where a request goes next: the addresses of a hop, the hops of a target, the targets of the decision,
 * in order, one at a time (DESIGN "The decision", failover). */
#include "node/edge/client.h"
#include "node/edge/prober.h"
#include "node/edge/topology.h"

#include <stdlib.h>

#define UDP_REQUEST_MAX 1300 /* RFC 3261 §18.1.1, where the path's MTU is not known */

static union sock_address *addresses_of(struct relay *r)
{
    return r->addresses != NULL ? r->addresses : &r->address;
}

bool proxy_relay_has_more(const struct relay *r)
{
    if (r->address_at < r->address_count || r->target_at + 1 < r->target_count) return true;
    return r->target_at < r->target_count && r->hop_at < r->targets[r->target_at].hop_count;
}

void proxy_relay_suspect(const struct relay *r, bool silent, const char *why)
{
    if (r->target_at >= r->target_count || r->hop_at == 0) return;
    const struct edge_target *t = &r->targets[r->target_at];
    if (t->node.n == 0) prober_suspect(r->edge->prober, t->text, &t->hops[r->hop_at - 1], silent, why);
}

static struct prober_place place_of(struct relay *r, size_t address)
{
    const struct edge_target *t = &r->targets[r->target_at];
    return (struct prober_place){t->text, &t->hops[r->hop_at - 1], addresses_of(r), r->address_count, address};
}

void proxy_relay_refused(struct relay *r, const struct sip_view *v)
{
    if (r->in_dialog || r->target_at >= r->target_count || r->hop_at == 0 || r->address_at == 0) return;
    struct prober_place at = place_of(r, r->address_at - 1u);
    if (r->targets[r->target_at].node.n == 0) prober_refused(r->edge->prober, &at, v);
}

/* ---- the targets, kept ---- */

/* What deep copies of texts and lists take beyond the arrays themselves. */
static size_t texts_len(const struct edge_target *t)
{
    size_t n = t->text.n + t->node.n + t->number.n;
    for (size_t i = 0; i < t->hop_count; i++) {
        const struct edge_hop *h = &t->hops[i];
        n += h->host.n + h->request_uri.n + h->received.n + h->route.n;
    }
    return n;
}

static void keep_text(struct slice *s, char **at)
{
    if (s->n > 0) memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

static void keep_target(struct edge_target *t, struct edge_hop **hop_at, uint16_t **code_at, char **text_at)
{
    struct edge_hop *hops = *hop_at;
    uint16_t *codes = *code_at;
    if (t->hop_count > 0) memcpy(hops, t->hops, t->hop_count * sizeof *hops);
    if (t->route.failover_count > 0) memcpy(codes, t->route.failover, t->route.failover_count * sizeof *codes);
    *hop_at += t->hop_count;
    *code_at += t->route.failover_count;
    t->hops = hops;
    /* Of the route only the codes are looked at again. */
    t->route = (struct plan_route){.failover = codes, .failover_count = t->route.failover_count};
    keep_text(&t->text, text_at);
    keep_text(&t->node, text_at);
    keep_text(&t->number, text_at);
    for (size_t i = 0; i < t->hop_count; i++) {
        keep_text(&hops[i].host, text_at);
        keep_text(&hops[i].request_uri, text_at);
        keep_text(&hops[i].received, text_at);
        keep_text(&hops[i].route, text_at);
    }
}

bool proxy_relay_set_targets(struct relay *r, const struct edge_target *targets, size_t count)
{
    size_t hops = 0;
    size_t codes = 0;
    size_t texts = 0;
    for (size_t i = 0; i < count; i++) {
        hops += targets[i].hop_count;
        codes += targets[i].route.failover_count;
        texts += texts_len(&targets[i]);
    }
    struct edge_target *block =
        malloc(count * sizeof *block + hops * sizeof(struct edge_hop) + codes * sizeof(uint16_t) + texts);
    if (block == NULL) {
        edge_count(r->edge, EC_no_memory);
        return false;
    }
    memcpy(block, targets, count * sizeof *block);
    struct edge_hop *hop_at = (struct edge_hop *)(void *)(block + count);
    uint16_t *code_at = (uint16_t *)(void *)(hop_at + hops);
    char *text_at = (char *)(code_at + codes);
    for (size_t i = 0; i < count; i++)
        keep_target(&block[i], &hop_at, &code_at, &text_at);
    r->targets = block;
    r->target_count = count;
    return true;
}

/* ---- the addresses of a hop ---- */

/* One is kept in place; several get a block of their own. */
static void set_addresses(struct relay *r, const union sock_address *list, size_t count)
{
    if (count > RELAY_ADDRESSES) count = RELAY_ADDRESSES;
    free(r->addresses);
    r->addresses = count > 1 ? malloc(count * sizeof *list) : NULL;
    if (r->addresses == NULL && count > 1) count = 1; /* no memory: the first must do */
    if (count > 0) memcpy(addresses_of(r), list, count * sizeof *list);
    r->address_at = 0;
    r->by_tcp = false;
    r->address_count = (uint8_t)count;
}

static void resolved(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct relay *r = ctx;
    r->held = false;
    if (r->edge->closing) return; /* the transport may be gone; the edge frees us */
    set_addresses(r, addresses, err == ERR_OK ? count : 0);
    if (r->address_count == 0) {
        edge_count(r->edge, EC_names_unresolved);
        if (!r->final_sent) {
            proxy_relay_suspect(r, false, "its name has no address");
            proxy_relay_note(r, 503, "no address for the name", r->targets[r->target_at].hops[r->hop_at - 1].host);
        }
    }
    if (r->inside_resolve) return; /* answered from the cache: the loop in proxy_relay_try goes on */
    proxy_relay_try(r, NULL);
    proxy_relay_settle(r);
}

static void resolved_any(void *ctx, enum err err, enum plan_transport transport, const union sock_address *addresses,
                         size_t count)
{
    struct relay *r = ctx;
    r->chosen = transport;
    resolved(r, err, addresses, count);
}

/* Sets the addresses now, or later with r->held set meanwhile. */
static void resolve(struct relay *r, const struct edge_hop *hop)
{
    enum plan_transport transport = hop->transport;
    uint16_t port = hop->port != 0 ? hop->port : sip_default_port(transport);
    set_addresses(r, NULL, 0);
    if ((hop->received.n > 0 && listen_parse(hop->received, &transport, &r->address, NULL) == ERR_OK) ||
        sock_address_parse(hop->host, port, &r->address) == ERR_OK) {
        r->address_count = 1;
        return;
    }
    r->held = true;
    r->inside_resolve = true;
    r->chosen = transport;
    enum err err = hop->any_transport
                       ? dns_resolve_any(r->edge->dns, hop->host, edge_transports(r->edge), resolved_any, r)
                       : dns_resolve(r->edge->dns, hop->host, hop->port, transport, resolved, r);
    if (err != ERR_OK && r->held) {
        resolved(r, ERR_NOTFOUND, NULL, 0);
    }
    r->inside_resolve = false;
}

/* ---- one attempt ---- */

static enum plan_transport hop_transport(const struct edge_hop *hop)
{
    enum plan_transport transport = hop->transport;
    union sock_address ignored;
    if (hop->received.n > 0 && listen_parse(hop->received, &transport, &ignored, NULL) != ERR_OK) return hop->transport;
    return transport;
}

static struct branch *branch_new(struct relay *r, const struct flow *to, uint64_t id)
{
    struct edge *e = r->edge;
    struct branch *b = pool_get(&e->branch_pool, sizeof *b);
    if (b == NULL) return NULL;
    *b = (struct branch){.relay = r, .to = *to, .id = id};
    sip_timer_init(&b->progress, EDGE_TIMER_PROGRESS);
    if (!proxy_message_set(e, &b->sent, buf_view(&e->out))) {
        pool_put(&e->branch_pool, b);
        return NULL;
    }
    list_append(&r->branches, &b->node);
    return b;
}

static void wait_for_answer(struct branch *b)
{
    struct edge *e = b->relay->edge;
    uint32_t ms = e->o.no_answer_ms;
    sip_timer_start(&e->tx, &b->progress, mono_add_ms(edge_now(e), ms));
    if (b->to.transport != PLAN_UDP) return;
    struct sock_key key;
    sock_key_remote(&key, PLAN_UDP, &b->to.remote);
    map_insert(&e->waiting, &b->waiting,
               map_hash(&e->waiting, (struct slice){(const char *)key.bytes, sizeof key.bytes}));
    b->is_waiting = true;
}

/* The most hops of the target that are tried together. */
static size_t together(const struct edge_target *t)
{
    size_t most = 1;
    for (size_t i = 1, run = 1; i < t->hop_count; i++) {
        run = t->hops[i].with_previous ? run + 1 : 1;
        if (run > most) most = run;
    }
    return most;
}

/* RFC 5393 §5.3.3.1: what the branches of a fork get adds up to what the request had. Where that does not reach, the
 * contacts are tried one after the other. */
static uint8_t share_of_breadth(const struct relay *r)
{
    size_t most = together(&r->targets[r->target_at]);
    return (uint8_t)(r->breadth >= most ? r->breadth / most : r->breadth);
}

/* Whether the next hop is tried together with the one before it. It is, where its address is known at once: nobody
 * waits for a name while others ring. */
static bool next_is_together(const struct relay *r)
{
    union sock_address ignored;
    if (r->cancelled || r->target_at >= r->target_count || r->hop_at >= r->targets[r->target_at].hop_count)
        return false;
    const struct edge_hop *hop = &r->targets[r->target_at].hops[r->hop_at];
    if (!hop->with_previous || r->breadth < together(&r->targets[r->target_at])) return false;
    return hop->received.n > 0 || sock_address_parse(hop->host, 1, &ignored) == ERR_OK;
}

static bool has_no_tcp(const struct edge *e, const union sock_address *address)
{
    for (size_t i = 0; i < EDGE_NO_TCP_MAX; i++) {
        const struct edge_no_tcp *n = &e->no_tcp[i];
        if (!mono_reached(edge_now(e), n->until) && sock_address_eq(&n->address, address)) return true;
    }
    return false;
}

void proxy_tcp_failed(struct edge *e, const union sock_address *address)
{
    if (has_no_tcp(e, address)) return;
    e->no_tcp[e->no_tcp_at++ % EDGE_NO_TCP_MAX] =
        (struct edge_no_tcp){*address, mono_add_ms(edge_now(e), EDGE_NO_TCP_MS)};
}

/* RFC 3261 §18.1.1: a request that fragments, or nearly so, goes by a connection. True: *to is now by TCP. A contact
 * behind NAT is only reached the way it came. The address is then asked a second time, by UDP. */
static bool by_tcp_first(struct relay *r, const struct edge_hop *hop, struct flow *to)
{
    struct edge *e = r->edge;
    struct flow tcp;
    bool asked = r->by_tcp;
    r->by_tcp = false;
    if (asked || to->transport != PLAN_UDP || e->out.n <= UDP_REQUEST_MAX || hop->received.n > 0) return false;
    if (r->current > 0 || next_is_together(r) || has_no_tcp(e, &to->remote)) return false;
    if (edge_flow_to(e, PLAN_TCP, &to->remote, &r->from, &tcp) != ERR_OK) return false;
    edge_count(e, EC_too_large_for_udp);
    *to = tcp;
    r->by_tcp = true;
    return true;
}

/* Credentials of ours for the place that is tried, where it has asked for them. */
static enum err add_auth(struct relay *r, const struct sip_view *v, struct forward *f, struct buf *lines)
{
    if (r->auth == NULL) return ERR_OK;
    struct slice uri = f->hop->request_uri.n > 0 ? f->hop->request_uri : v->uri;
    enum err err = lines_auth_lines(r, v->method_text, uri, lines);
    f->auth = buf_view(lines);
    return err;
}

struct slice proxy_branch_host(const struct branch *b)
{
    const struct relay *r = b->relay;
    if (b->target >= r->target_count) return SLICE("");
    const struct edge_hop *hop = &r->targets[b->target].hops[b->hop];
    /* a phone behind NAT is found by its connection, whatever its contact is called */
    return hop->received.n > 0 && !hop->named ? SLICE("") : hop->host;
}

/* False: it could not be sent; the failure is noted. */
static bool attempt(struct relay *r, const union sock_address *address, const struct sip_view *v)
{
    struct edge *e = r->edge;
    const struct edge_target *t = &r->targets[r->target_at];
    const struct edge_hop *hop = &t->hops[r->hop_at - 1];
    struct flow to;
    enum plan_transport transport = hop->any_transport ? r->chosen : hop_transport(hop);
    if (r->secure && transport != PLAN_TLS) { /* RFC 3261 §26.2.2, RFC 5630 §4 */
        edge_count(e, EC_without_tls);
        proxy_relay_note(r, 480, "a sips URI is not called without TLS", t->text);
        return false;
    }
    if (edge_flow_to(e, transport, address, &r->from, &to) != ERR_OK) {
        proxy_relay_note(r, 503, "no listener for the transport of", t->text);
        return false;
    }
    if (r->bound && proxy_inside_strays(e, &to.remote, t->text)) {
        edge_count(e, EC_refused_elsewhere);
        proxy_relay_note(r, 403, "leads to a trunk that the call is not with", SLICE(""));
        return false;
    }
    bool expect_member = (t->node.n > 0 || r->to_member) && to.transport == PLAN_TLS;
    if (v == NULL) v = proxy_relay_request(r);
    struct forward f = {.relay = r,
                        .target = t,
                        .hop = hop,
                        .from = &r->from,
                        .to = &to,
                        .pop_count = r->pop_count,
                        .record_route = r->forms_dialog,
                        .hide = r->in_dialog ? r->hide_to : t->hide,
                        .breadth = share_of_breadth(r),
                        .sdp = {r->sdp.p, r->sdp.n},
                        .id = random_next(e->random)};
    bool kept = v != NULL && (!f.hide || r->vias.p != NULL || topology_keep_vias(r, v));
    struct buf auth = {0};
    enum err err = kept ? add_auth(r, v, &f, &auth) : ERR_NOMEM;
    if (err == ERR_OK) err = proxy_forward_request(e, v, &f);
    if (err == ERR_OK && by_tcp_first(r, hop, &to)) {
        r->address_at--; /* where TCP fails, UDP has to do */
        err = proxy_forward_request(e, v, &f);
    }
    buf_fini(&auth);
    if (err != ERR_OK) {
        proxy_relay_note(r, 500, "the request could not be built", SLICE(""));
        return false;
    }
    struct branch *b = branch_new(r, &to, f.id);
    if (b == NULL) {
        edge_count(e, EC_no_memory);
        proxy_relay_note(r, 500, "no memory", SLICE(""));
        return false;
    }
    b->expect_member = expect_member;
    b->roams = hop->received.n > 0 && !hop->named;
    b->inside = t->node.n > 0 || t->inside;
    b->hide = f.hide;
    b->sdp_branch = r->sdp_branch;
    b->target = (uint16_t)r->target_at;
    b->hop = (uint16_t)(r->hop_at - 1);
    if (r->call != NULL) edge_call_sent(r->call, &to);
    sip_tx_start_client(&e->tx, &b->client, b->id, v->method, to.transport != PLAN_UDP, edge_now(e));
    err = edge_send_hop(e, &b->to, proxy_branch_host(b), expect_member, buf_view(&e->out), b->id);
    if (err != ERR_OK) {
        edge_count(e, EC_send_failures);
        if (r->by_tcp) proxy_tcp_failed(e, &to.remote);
        if (!r->by_tcp) proxy_relay_suspect(r, false, "cannot be sent to");
        proxy_relay_note(r, 503, "cannot send to", t->text);
        proxy_branch_free(b);
        return false;
    }
    edge_count(e, EC_forwarded);
    wait_for_answer(b);
    b->current = true;
    r->current++;
    return true;
}

bool proxy_relay_again(struct branch *b)
{
    struct relay *r = b->relay;
    union sock_address address = b->to.remote;
    return attempt(r, &address, NULL);
}

/* Another place has challenges of its own. */
static void forget_auth(struct relay *r)
{
    free(r->auth);
    r->auth = NULL;
}

static void name_target(struct relay *r)
{
    const struct edge_target *t = &r->targets[r->target_at];
    if (r->call != NULL) edge_call_target(r->call, t->text, t->node);
}

/* Whether the target takes another call: the first one was asked about when the plan was. */
static bool is_admitted(struct relay *r)
{
    const struct edge_hooks *h = &r->edge->o.hooks;
    const struct edge_target *t = &r->targets[r->target_at];
    if (r->call == NULL || t->node.n > 0 || h->admit == NULL || h->admit(h->ctx, t->text)) return true;
    proxy_relay_note(r, 503, "at its limit", t->text);
    return false;
}

/* Whether the address at address_at has asked to be left alone. What belongs to a dialog has nowhere else to go. */
static bool is_resting(struct relay *r)
{
    if (!edge_trunks_rest(r->edge) || r->in_dialog || r->targets[r->target_at].node.n > 0) return false;
    struct prober_place at = place_of(r, r->address_at);
    uint32_t s = prober_rest_s(r->edge->prober, &at);
    if (s == 0) return false;
    edge_count(r->edge, EC_rests_kept);
    if (r->retry_after_s == 0 || s < r->retry_after_s) r->retry_after_s = (uint16_t)s;
    proxy_relay_note(r, 503, "has asked to be left alone for a while", at.target);
    return true;
}

void proxy_relay_try(struct relay *r, const struct sip_view *v)
{
    while (!r->final_sent && !r->held) {
        if (r->current > 0 && r->address_at == r->address_count && !next_is_together(r)) return;
        if (r->cancelled) {
            proxy_relay_note(r, 487, "cancelled by the caller", SLICE(""));
            proxy_relay_finish(r);
            return;
        }
        if (r->auth != NULL) forget_auth(r);
        if (r->address_at < r->address_count) {
            bool rests = is_resting(r);
            if (!rests && !proxy_media_ready(r, v)) return;
            const union sock_address *address = &addresses_of(r)[r->address_at++];
            bool sent = !rests && attempt(r, address, v);
            r->described = false;
            if (sent && !next_is_together(r)) return;
            if (sent) set_addresses(r, NULL, 0); /* together with others, a contact has one address */
        } else if (r->target_at < r->target_count && r->hop_at < r->targets[r->target_at].hop_count) {
            if (r->hop_at == 0) name_target(r);
            resolve(r, &r->targets[r->target_at].hops[r->hop_at++]);
        } else if (!r->settled && r->target_at + 1 < r->target_count) {
            edge_count(r->edge, EC_failovers);
            r->target_at++;
            r->hop_at = is_admitted(r) ? 0 : r->targets[r->target_at].hop_count;
        } else {
            proxy_relay_finish(r);
        }
    }
}
