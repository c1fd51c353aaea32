/* proxy_relay: birth, answers and death of a relay, and the server side of its transactions. */
#include "node/edge/proxy.h"

#include <stdio.h>
#include <stdlib.h>

/* The pool whose blocks hold n bytes; EDGE_MESSAGE_POOLS: none, the heap serves. */
static size_t pool_of(size_t n)
{
    size_t which = 0;
    while (which < EDGE_MESSAGE_POOLS && ((size_t)EDGE_MESSAGE_SMALLEST << which) < n)
        which++;
    return which;
}

bool proxy_message_set(struct edge *e, struct message *m, struct slice text)
{
    if (text.n > m->cap) {
        proxy_message_drop(e, m);
        size_t which = pool_of(text.n);
        size_t cap = which < EDGE_MESSAGE_POOLS ? (size_t)EDGE_MESSAGE_SMALLEST << which : text.n;
        m->p = which < EDGE_MESSAGE_POOLS ? pool_get(&e->message_pools[which], cap) : malloc(cap);
        if (m->p == NULL) return false;
        m->cap = (uint32_t)cap;
    }
    memcpy(m->p, text.p, text.n);
    m->n = (uint32_t)text.n;
    return true;
}

void proxy_message_drop(struct edge *e, struct message *m)
{
    if (m->p == NULL) return;
    size_t which = pool_of(m->cap);
    if (which < EDGE_MESSAGE_POOLS) {
        pool_put(&e->message_pools[which], m->p);
    } else {
        free(m->p);
    }
    *m = (struct message){0};
}

/* ---- birth ---- */

struct relay *proxy_relay_new(struct edge *e, const struct flow *from, const struct sip_view *v)
{
    struct relay *r = pool_get(&e->relay_pool, sizeof *r);
    if (r == NULL) {
        edge_count(e, EC_no_memory);
        return NULL;
    }
    *r = (struct relay){.edge = e, .from = *from, .invite = v->method == SIP_INVITE};
    list_init(&r->branches);
    bool reliable = from->transport != PLAN_UDP;
    if (!proxy_message_set(e, &r->request, (struct slice){v->data, v->len}) ||
        sip_tx_start_server(&e->tx, &r->server, r->key, v, reliable, edge_now(e)) != ERR_OK) {
        proxy_message_drop(e, &r->request);
        pool_put(&e->relay_pool, r);
        edge_count(e, EC_no_memory);
        return NULL;
    }
    r->reply_port = edge_reply_port(from, v);
    r->call_hash = map_hash(&e->tx.clients, v->call_id);
    list_append(&e->relays, &r->node);
    e->open_relays++;
    return r;
}

const struct sip_view *proxy_relay_request(struct relay *r)
{
    struct edge *e = r->edge;
    if (r->request.p == NULL) return NULL;
    if (sip_view_parse_kept(&e->again, r->request.p, r->request.n) != SIP_FAULT_NONE) return NULL;
    return &e->again;
}

/* ---- responses ---- */

static void drop_targets(struct relay *r)
{
    free(r->targets);
    free(r->addresses);
    free(r->auth);
    r->targets = NULL;
    r->addresses = NULL;
    r->auth = NULL;
    r->target_count = 0;
    r->address_count = 0;
    r->address_at = 0;
}

/* After the final response the targets and the bytes have served. */
static void close_relay(struct relay *r)
{
    if (r->final_sent) return;
    r->final_sent = true;
    r->edge->open_relays--;
    drop_targets(r);
    proxy_message_drop(r->edge, &r->request);
    proxy_message_drop(r->edge, &r->sdp);
    proxy_message_drop(r->edge, &r->best);
}

static void transmit(struct relay *r, struct slice text)
{
    struct flow to = r->from;
    sock_address_set_port(&to.remote, r->reply_port);
    /* A member's connection that has ended is made again as a member's. */
    if (transport_send(r->edge->transport, &to, to.member, text, 0) != ERR_OK) edge_count(r->edge, EC_send_failures);
}

/* A 2xx to INVITE is repeated by its sender, never by us (RFC 6026 §8.7); nothing is repeated on reliable transports.
 */
static void keep(struct relay *r, unsigned code, struct slice text)
{
    bool success = code >= 200 && code < 300;
    if (r->server.reliable || (r->invite && success)) {
        if (code >= 200) proxy_message_drop(r->edge, &r->last);
        return;
    }
    if (!proxy_message_set(r->edge, &r->last, text)) edge_count(r->edge, EC_no_memory);
}

void proxy_relay_send(struct relay *r, unsigned code, struct slice text)
{
    bool late = r->final_sent;
    /* A late 2xx finds its server transaction perhaps gone: it still goes out (RFC 3261 §16.7 item 5). */
    bool alive = sip_tx_live(&r->server);
    unsigned actions =
        alive ? sip_tx_step(&r->edge->tx, &r->server, sip_tx_event_of(code), edge_now(r->edge)) : SIP_TX_DO_SEND;
    if ((actions & SIP_TX_DO_SEND) == 0) {
        edge_count(r->edge, EC_responses_dropped);
        return;
    }
    transmit(r, text);
    if (!late && sip_tx_live(&r->server)) keep(r, code, text);
    if (code >= 200) close_relay(r);
}

void proxy_relay_answer_lines(struct relay *r, const struct sip_view *v, unsigned code, struct slice lines)
{
    struct edge *e = r->edge;
    if (v == NULL) v = proxy_relay_request(r);
    if (v != NULL && edge_response(e, &r->from, v, code, lines) == ERR_OK) {
        proxy_relay_send(r, code, buf_view(&e->out));
        return;
    }
    edge_count(e, EC_no_memory);
    if (code >= 200) proxy_relay_drop(r); /* without memory for an answer: silence, the sender's timer ends it */
}

void proxy_relay_answer(struct relay *r, const struct sip_view *v, unsigned code, unsigned cause, struct slice words)
{
    struct edge *e = r->edge;
    buf_reset(&e->lines);
    edge_reason_line(e, cause, words);
    if (code == 503 && r->retry_after_s > 0) buf_printf(&e->lines, "Retry-After: %u\r\n", r->retry_after_s);
    proxy_relay_answer_lines(r, v, code, buf_view(&e->lines));
}

/* ---- the best failure ---- */

/* RFC 3261 §16.7 item 6: 6xx before all, then the lowest class; among 4xx those that tell the caller how to mend the
 * request. */
static unsigned rank(unsigned code)
{
    if (code >= 600) return 0;
    if (code == 401 || code == 407 || code == 415 || code == 420 || code == 484) return 400;
    return code >= 400 && code < 500 ? 401 : code / 100 * 100 + 1;
}

static bool better(const struct relay *r, unsigned code)
{
    return r->best_code == 0 || rank(code) < rank(r->best_code);
}

/* For the call's record, also what is not the best of all answers. */
static void record_failure(struct relay *r, unsigned code, struct slice words)
{
    if (r->call == NULL || r->target_at >= r->target_count) return;
    const struct edge_target *t = &r->targets[r->target_at];
    edge_call_failed(r->call, t->text, t->node, code, words);
}

void proxy_relay_note(struct relay *r, unsigned code, const char *words, struct slice detail)
{
    if (r->final_sent) return;
    record_failure(r, code, slice_of(words));
    if (!better(r, code)) return;
    proxy_message_drop(r->edge, &r->best);
    r->best_code = code;
    r->best_of_member = false;
    (void)snprintf(r->best_words, sizeof r->best_words, "%s%s%.*s", words, words[0] != '\0' && detail.n > 0 ? ": " : "",
                   SLICE_ARG(detail));
}

static bool is_challenge(unsigned code)
{
    return code == 401 || code == 407;
}

/* RFC 3261 §16.7 item 7: the caller is to answer everybody who asks who it is, not only the one whose 401 or 407 is
 * the best. */
static void add_challenges(struct relay *r, const struct sip_view *v)
{
    static const enum sip_header ids[] = {SIP_WWW_AUTHENTICATE, SIP_PROXY_AUTHENTICATE};
    struct edge *e = r->edge;
    struct slice best = {r->best.p, r->best.n};
    const char *head_end = best.n > 0 ? memmem(best.p, best.n, "\r\n\r\n", 4) : NULL;
    if (head_end == NULL) return; /* there was no memory for it */
    size_t head = (size_t)(head_end - best.p) + strlen("\r\n");
    buf_reset(&e->out);
    buf_slice(&e->out, (struct slice){best.p, head});
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (unsigned at = v->first[ids[i]]; at != SIP_NO_LINE; at = v->lines[at].next)
            buf_slice(&e->out, (struct slice){v->data + v->lines[at].start, v->lines[at].end - v->lines[at].start});
    }
    buf_slice(&e->out, (struct slice){best.p + head, best.n - head});
    if (e->out.n > LIMIT_SIP_MESSAGE) {
        edge_count(e, EC_challenges_too_long);
    } else if (e->out.failed || !proxy_message_set(e, &r->best, buf_view(&e->out))) {
        edge_count(e, EC_no_memory);
    }
}

void proxy_relay_note_response(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    if (r->final_sent) return;
    record_failure(r, v->code, v->reason);
    if (!better(r, v->code)) {
        if (is_challenge(v->code) && is_challenge(r->best_code)) add_challenges(r, v);
        return;
    }
    if (!proxy_pop_via(b, v, SLICE("")) || !proxy_message_set(e, &r->best, buf_view(&e->out))) {
        edge_count(e, EC_no_memory);
        proxy_message_drop(e, &r->best);
    }
    r->best_code = v->code;
    r->best_of_member = r->target_at < r->target_count && r->targets[r->target_at].node.n > 0;
    (void)snprintf(r->best_words, sizeof r->best_words, "%u %.*s", v->code, SLICE_ARG(v->reason));
}

/* RFC 4320 §4.2: a 408 to a non-INVITE only adds to the storm. The transaction stays as after an answer, so that the
 * request is known when it comes again. */
static void fall_silent(struct relay *r)
{
    struct edge *e = r->edge;
    (void)sip_tx_step(&e->tx, &r->server, SIP_TX_FAILURE, edge_now(e));
    proxy_message_drop(e, &r->last);
    close_relay(r);
}

void proxy_relay_finish(struct relay *r)
{
    struct call *call = r->call;
    if (r->final_sent) return;
    unsigned code = r->best_code != 0 ? r->best_code : 500;
    struct slice words = slice_of(r->best_words);
    if (!r->invite && code == 408) {
        fall_silent(r);
        return;
    }
    r->call = NULL; /* it ends here, also where there is no memory for an answer */
    if (r->best.p != NULL && (code != 503 || r->best_of_member)) {
        struct message best = r->best;
        r->best = (struct message){0};
        proxy_relay_send(r, code, (struct slice){best.p, best.n});
        proxy_message_drop(r->edge, &best);
    } else {
        /* One target's 503 must not keep the caller away from all of us: RFC 3261 §16.7 item 6. */
        unsigned cause = code;
        if (r->best.p != NULL) code = 500;
        proxy_relay_answer(r, NULL, code, cause, words);
    }
    if (call != NULL) edge_call_end(call, code, words);
}

void proxy_relay_drop(struct relay *r)
{
    struct call *call = r->call;
    sip_tx_remove(&r->edge->tx, &r->server);
    proxy_message_drop(r->edge, &r->last);
    close_relay(r);
    r->call = NULL;
    if (call != NULL) edge_call_end(call, 408, SLICE("no answer"));
}

void proxy_relay_call_gone(struct relay *r)
{
    r->call = NULL;
}

/* ---- events of the server transaction ---- */

void proxy_relay_server_event(struct relay *r, enum sip_tx_event ev)
{
    struct edge *e = r->edge;
    unsigned actions = sip_tx_step(&e->tx, &r->server, ev, edge_now(e));
    if ((actions & SIP_TX_DO_RESEND) && r->last.p != NULL) transmit(r, (struct slice){r->last.p, r->last.n});
    if (actions & SIP_TX_DO_TRYING) proxy_relay_answer(r, NULL, 100, 0, SLICE(""));
    if (actions & SIP_TX_DO_TIMED_OUT) edge_count(e, EC_unacknowledged);
    if (actions & SIP_TX_DO_FREE) proxy_message_drop(r->edge, &r->last);
}

/* ---- death ---- */

bool proxy_branch_leave(struct branch *b)
{
    if (!b->current) return false;
    b->current = false;
    b->relay->current--;
    return true;
}

void proxy_branch_free(struct branch *b)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    sip_tx_remove(&e->tx, &b->client);
    sip_timer_stop(&e->tx, &b->progress);
    if (b->is_waiting) map_remove(&e->waiting, &b->waiting);
    proxy_branch_leave(b);
    list_remove(&b->node);
    proxy_message_drop(e, &b->sent);
    pool_put(&e->branch_pool, b);
}

void proxy_relay_settle(struct relay *r)
{
    if (!list_empty(&r->branches) || r->held) return;
    proxy_relay_finish(r); /* nobody is left whose answer could be passed on */
    if (!sip_tx_live(&r->server)) proxy_relay_free(r);
}

void proxy_relay_free(struct relay *r)
{
    struct edge *e = r->edge;
    while (!list_empty(&r->branches))
        proxy_branch_free(CONTAINER_OF(r->branches.next, struct branch, node));
    sip_tx_remove(&e->tx, &r->server);
    if (!r->final_sent) e->open_relays--;
    list_remove(&r->node);
    drop_targets(r);
    proxy_message_drop(e, &r->request);
    proxy_message_drop(e, &r->sdp);
    proxy_message_drop(e, &r->last);
    proxy_message_drop(e, &r->best);
    proxy_message_drop(e, &r->vias);
    proxy_message_drop(e, &r->reasons);
    pool_put(&e->relay_pool, r);
}
