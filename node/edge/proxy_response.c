/* proxy_response: what comes back: responses, timers of the client side, failures to send (RFC 3261 §16.7-16.9). */
#include "node/edge/client.h"
#include "node/edge/identity.h"
#include "node/edge/keeper.h"
#include "node/edge/prober.h"
#include "node/edge/session.h"
#include "node/edge/topology.h"

static void stop_waiting(struct branch *b)
{
    if (!b->is_waiting) return;
    map_remove(&b->relay->edge->waiting, &b->waiting);
    b->is_waiting = false;
}

/* A response names the callee (RFC 3325 §5): it goes the other way. */
static void strip_identity(const struct branch *b, const struct sip_view *v, struct sip_edits *edits)
{
    struct relay *r = b->relay;
    bool from = r->in_dialog ? identity_flow_inside(r->edge, &b->to) || r->to_member : b->inside;
    bool to = r->in_dialog ? identity_flow_inside(r->edge, &r->from) : r->from_inside;
    identity_edits(v, from, to, edits);
}

static void pop_own(const struct sip_view *v, struct sip_edits *edits)
{
    const struct sip_line *line = &v->lines[v->first[SIP_VIA]];
    size_t next = v->via.more ? v->via.next_value : line->end;
    size_t from = v->via.more ? line->value : line->start;
    sip_edit_replace(edits, (struct slice){v->data + from, next - from}, SLICE(""));
}

bool proxy_pop_via(struct branch *b, const struct sip_view *v, struct slice lines)
{
    struct edge *e = b->relay->edge;
    char length[PROXY_LENGTH_LINE];
    struct sip_edits edits;
    sip_edits_init(&edits, v);
    if (!b->hide) pop_own(v, &edits);
    if (b->hide || b->relay->hide_from) topology_response(b, v, &edits);
    sip_edit_append(&edits, lines);
    sip_edit_append(&edits, proxy_forward_length(v, v->body.n, b->relay->from.transport, length));
    if (identity_concerns(v)) strip_identity(b, v, &edits);
    buf_reset(&e->out);
    if (sip_edit_apply(&edits, &e->out) == ERR_OK) return true;
    edge_count(e, EC_no_memory);
    return false;
}

static void pass(struct branch *b, const struct sip_view *v, struct slice lines)
{
    struct relay *r = b->relay;
    if (proxy_pop_via(b, v, lines)) proxy_relay_send(r, v->code, buf_view(&r->edge->out));
}

static void on_provisional(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    if (b->cancel_sent) return;
    if (!r->invite) {
        /* RFC 4320 §4.1: a proxy passes none but its own late 100. */
        sip_timer_stop(&e->tx, &b->progress);
        return;
    }
    sip_timer_start(&e->tx, &b->progress, mono_add_ms(edge_now(e), e->o.ring_ms));
    if (b->cancel_wanted) {
        proxy_branch_cancel(b, b->cancel_cause);
        return;
    }
    if (v->code == 100 || r->final_sent) return;
    pass(b, v, SLICE(""));
    if (r->call == NULL) return;
    edge_call_heard(r->call, v);
    edge_call_ringing(r->call);
}

/* code: of the answer of b that ends the search. */
static void cancel_others(struct relay *r, const struct branch *b, unsigned code)
{
    for (struct list_node *n = r->branches.next; n != &r->branches; n = n->next) {
        struct branch *other = CONTAINER_OF(n, struct branch, node);
        if (other != b) proxy_branch_cancel(other, code);
    }
}

/* One that was given up may answer after all, and of a fork any one may: before the targets go. */
static void name_answering(const struct branch *b, struct call *call)
{
    const struct relay *r = b->relay;
    edge_call_sent(call, &b->to);
    if (b->target < r->target_count) edge_call_target(call, r->targets[b->target].text, r->targets[b->target].node);
}

static void on_success(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    struct call *call = r->call;
    bool first = !r->final_sent;
    char text[SESSION_LINES];
    struct slice lines = SLICE("");
    sip_timer_stop(&r->edge->tx, &b->progress);
    (void)proxy_branch_leave(b);
    proxy_message_drop(r->edge, &b->sent);
    if (!r->invite && !first) {
        edge_count(r->edge, EC_responses_dropped);
        return;
    }
    bool timed = v->method == SIP_INVITE || v->method == SIP_UPDATE;
    uint32_t session_s = timed ? session_agreed(r, v, text, &lines) : 0;
    if (call != NULL) {
        name_answering(b, call);
        edge_call_heard(call, v);
    }
    pass(b, v, lines);
    if (!r->final_sent) return; /* it could not be made: it may come again, and is waited for as long as the branch */
    if (r->invite && !r->in_dialog && call == NULL) edge_call_another(r->edge, v);
    if (!first) return;
    r->call = NULL;
    if (timed && call == NULL) edge_call_refreshed(r->edge, v, session_s);
    if (timed && call != NULL) edge_call_session(call, session_s); /* before its record is written */
    if (call != NULL) edge_call_answered(call, v->code, v->to_tag);
    cancel_others(r, b, 200);
}

/* Whether another place may be tried after this failure. */
static bool moves_on(const struct relay *r, unsigned code)
{
    if (r->cancelled || r->in_dialog || code >= 600 || r->target_at >= r->target_count) return false;
    if (code == 430) return true; /* RFC 5626 §5.3: the flow is lost, which says nothing of the others */
    return decide_failover(&r->targets[r->target_at].route, code);
}

/* A current branch has failed, and the failure is noted: the others are waited for, also one that is about to go out,
 * then comes the next place or the end. */
static void after_failure(struct relay *r)
{
    if (r->current > 0 || r->held) return;
    if (!r->settled && !r->cancelled && proxy_relay_has_more(r)) {
        proxy_relay_try(r, NULL);
    } else {
        proxy_relay_finish(r);
    }
}

/* A registrar with which we are registered asks who we are: it is told, in another request. True: that is on its way.
 */
static bool answered_challenge(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    enum sip_auth_verdict verdict = SIP_AUTH_UNUSABLE;
    r->refused_us = false;
    if ((v->code != 401 && v->code != 407) || !lines_challenged(b, v, &verdict)) return false;
    bool answer = verdict == SIP_AUTH_ANSWER && !r->cancelled;
    if (answer && proxy_relay_again(b)) return true;
    /* Its challenge was for us: the caller has no answer to it, and another target may do. */
    r->refused_us = true;
    struct slice target = r->target_at < r->target_count ? r->targets[r->target_at].text : SLICE("");
    if (r->cancelled) {
        proxy_relay_note(r, 487, "cancelled by the caller", SLICE(""));
    } else if (!answer) {
        proxy_relay_note(r, 503, "does not take the password that we have for it", target);
    }
    r->settled = r->settled || !moves_on(r, 503);
    return false;
}

static void on_failure(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    sip_timer_stop(&r->edge->tx, &b->progress);
    bool current = proxy_branch_leave(b);
    if (!r->invite) proxy_message_drop(r->edge, &b->sent); /* INVITE: the ACK is made from it */
    if (r->final_sent || !current) return;
    proxy_relay_refused(r, v);
    if (b->timed_out) {
        proxy_relay_note(r, 408, "no final answer in time", SLICE(""));
        r->settled = true;
    } else if (answered_challenge(b, v)) {
        return;
    } else if (!r->refused_us) {
        proxy_relay_note_response(b, v);
        r->settled = r->settled || !moves_on(r, v->code);
        if (v->code >= 600) cancel_others(r, b, v->code); /* RFC 3261 §16.7 item 5: nobody else shall ring */
    }
    after_failure(r);
}

/* Whoever has heard of a branch could otherwise answer it. */
static bool may_answer(const struct branch *b, const struct flow *from, const struct sip_view *v)
{
    const struct edge *e = b->relay->edge;
    if (map_hash(&e->tx.clients, v->call_id) != b->relay->call_hash) return false;
    return b->roams ? from->transport == b->to.transport : edge_may_answer(e, &b->to, from);
}

static void take(struct branch *b, const struct sip_view *v)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    unsigned actions = sip_tx_step(&e->tx, &b->client, sip_tx_event_of(v->code), edge_now(e));
    stop_waiting(b);
    b->answered = true;
    if (r->by_tcp && b->current) { /* there is somebody: no second try by UDP */
        r->by_tcp = false;
        r->address_at++;
    }
    if (actions & SIP_TX_DO_ACK) proxy_branch_ack(b, v);
    if ((actions & SIP_TX_DO_PASS) && !b->is_cancel) {
        if (v->code < 200) {
            on_provisional(b, v);
        } else if (v->code < 300) {
            on_success(b, v);
        } else {
            on_failure(b, v);
        }
    }
    if (actions & SIP_TX_DO_FREE) proxy_branch_free(b);
    proxy_relay_settle(r);
}

void proxy_on_response(struct edge *e, const struct flow *from, struct sip_view *v)
{
    edge_count(e, EC_responses);
    struct sip_tx *tx = sip_tx_find_client(&e->tx, v);
    if (tx == NULL) {
        if (!prober_on_response(e->prober, from, v) && !lines_on_response(e->registrations, from, v) &&
            !keeper_on_response(e->keeper, from, v))
            edge_count(e, EC_responses_unmatched);
        return;
    }
    struct branch *b = CONTAINER_OF(tx, struct branch, client);
    if (!may_answer(b, from, v)) {
        edge_count(e, EC_responses_unmatched);
    } else if (!proxy_media_holds(b, from, v)) {
        take(b, v);
    }
}

void proxy_response_led(struct edge *e, const struct flow *from, struct sip_view *v)
{
    struct sip_tx *tx = sip_tx_find_client(&e->tx, v);
    struct branch *b = tx != NULL ? CONTAINER_OF(tx, struct branch, client) : NULL;
    if (b != NULL && may_answer(b, from, v)) {
        take(b, v);
    } else {
        edge_count(e, EC_responses_unmatched); /* its transaction has ended meanwhile */
    }
}

/* ---- no response ---- */

/* The branch came to nothing: no answer (408) or no way to send (503). */
static void branch_failed(struct branch *b, unsigned code, const char *words)
{
    struct relay *r = b->relay;
    bool current = proxy_branch_leave(b);
    if (b->is_cancel || r->final_sent || !current) return;
    struct slice target = r->target_at < r->target_count ? r->targets[r->target_at].text : SLICE("");
    if (r->cancelled) {
        proxy_relay_note(r, 487, "cancelled by the caller", SLICE(""));
    } else {
        proxy_relay_note(r, code, words, target);
        /* where TCP was only the first try of a large request, UDP has the say */
        if (!r->in_dialog && !r->by_tcp) proxy_relay_suspect(r, code == 408, words);
        if (r->by_tcp) proxy_tcp_failed(r->edge, &b->to.remote);
    }
    after_failure(r);
}

void proxy_client_event(struct edge *e, struct sip_tx *tx, enum sip_tx_event ev)
{
    struct branch *b = CONTAINER_OF(tx, struct branch, client);
    struct relay *r = b->relay;
    unsigned actions = sip_tx_step(&e->tx, tx, ev, edge_now(e));
    if ((actions & SIP_TX_DO_RESEND) && b->sent.p != NULL) {
        struct slice text = {b->sent.p, b->sent.n};
        if (transport_send(e->transport, &b->to, b->expect_member, text, b->is_cancel ? 0 : b->id) != ERR_OK) {
            edge_count(e, EC_send_failures);
        }
    }
    if (actions & SIP_TX_DO_TIMED_OUT) {
        edge_count(e, EC_timeouts);
        branch_failed(b, 408, "no answer");
    }
    if (actions & SIP_TX_DO_FAILED) {
        edge_count(e, EC_send_failures);
        branch_failed(b, 503, "cannot be reached");
    }
    if (actions & SIP_TX_DO_FREE) proxy_branch_free(b);
    proxy_relay_settle(r);
}

/* Nothing at all came within no_answer_ms: the next one is tried; this branch goes on listening, but sends no more.
 * Where there is nothing to wait for, since the caller has hung up or a 6xx has decided, it is left as well, but goes
 * on asking: whoever hears it late must be cancelled. Where it is the last hope, that is asked again later. */
static void abandon(struct branch *b)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    bool decided = r->cancelled || r->best_code >= 600;
    if (!b->current) return;
    if (!decided && !proxy_relay_has_more(r)) {
        sip_timer_start(&e->tx, &b->progress, mono_add_ms(edge_now(e), e->o.no_answer_ms));
        return;
    }
    edge_count(e, EC_timeouts);
    if (!decided) sip_tx_quiet(&e->tx, &b->client);
    if (!b->cancel_wanted) proxy_branch_cancel(b, 408);
    branch_failed(b, 408, "no answer");
}

void proxy_progress_timer(struct edge *e, struct sip_timer *timer)
{
    struct branch *b = CONTAINER_OF(timer, struct branch, progress);
    struct relay *r = b->relay;
    if (!b->answered) {
        abandon(b);
    } else if (b->cancel_sent) {
        /* The other side answered neither: RFC 3261 §9.1 lets go after 64 * T1. Who rang that long is the last one. */
        r->settled = r->settled || b->timed_out;
        branch_failed(b, b->timed_out ? 408 : 487, "no end after CANCEL");
        proxy_branch_free(b);
    } else {
        edge_count(e, EC_timer_c);
        b->timed_out = true;
        proxy_branch_cancel(b, 408);
    }
    proxy_relay_settle(r);
}

void proxy_on_send_failed(struct edge *e, const struct flow *to, uint64_t token)
{
    if (token != 0) {
        struct sip_tx *tx = sip_tx_find_id(&e->tx, token);
        if (tx != NULL) {
            proxy_client_event(e, tx, SIP_TX_ERROR);
        } else {
            (void)(prober_on_send_failed(e->prober, token) || lines_on_send_failed(e->registrations, token) ||
                   keeper_on_send_failed(e->keeper, token));
        }
        return;
    }
    if (to->transport != PLAN_UDP) return;
    prober_on_unreachable(e->prober, &to->remote);
    lines_on_unreachable(e->registrations, &to->remote);
    struct sock_key key;
    sock_key_remote(&key, PLAN_UDP, &to->remote);
    uint64_t hash = map_hash(&e->waiting, (struct slice){(const char *)key.bytes, sizeof key.bytes});
    /* Each event takes its branch out of the map, and may put others in: begin again each time. */
    for (struct map_node *n = map_first(&e->waiting, hash); n != NULL;) {
        struct branch *b = CONTAINER_OF(n, struct branch, waiting);
        if (!sock_address_eq(&b->to.remote, &to->remote)) {
            n = map_next(n);
            continue;
        }
        stop_waiting(b);
        proxy_client_event(e, &b->client, SIP_TX_ERROR);
        n = map_first(&e->waiting, hash);
    }
}
