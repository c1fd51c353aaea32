/* proxy_cancel: the two requests that a proxy makes itself: the CANCEL of a branch and the ACK of a failure. Both
 * repeat the branch's own request: Request-URI, topmost Via, Route, From, Call-ID, CSeq number (RFC 3261 §9.1,
 * §17.1.1.3). A CANCEL says why (RFC 3326), so that a phone tells a call that was taken elsewhere from one that was
 * missed: what the caller's own CANCEL said, as it stands, or a code with words of the standard, which name nobody.
 * Also the end of a call that rings while the node stops. */
#include "node/edge/proxy.h"

#define STOPPED_RETRY_S 60 /* as those are told that call while the node drains */
#define REASONS_MAX 512    /* bytes of a caller's Reason lines that are kept; a line beyond them is left out */

static void add_line(struct buf *out, const char *name, struct slice value)
{
    buf_text(out, name);
    buf_slice(out, value);
    buf_text(out, "\r\n");
}

/* ---- Reason ---- */

/* The caller's Reason lines, for every CANCEL that is made from its own, now or with a late 1xx. */
static void keep_reasons(struct relay *r, const struct sip_view *cancel)
{
    struct buf *lines = &r->edge->lines;
    buf_reset(lines);
    for (unsigned i = cancel->first[SIP_REASON]; i != SIP_NO_LINE; i = cancel->lines[i].next) {
        const struct sip_line *line = &cancel->lines[i];
        size_t n = (size_t)(line->end - line->start);
        if (lines->n + n <= REASONS_MAX) buf_add(lines, cancel->data + line->start, n);
    }
    if (lines->n == 0) return;
    if (lines->failed || !proxy_message_set(r->edge, &r->reasons, buf_view(lines))) edge_count(r->edge, EC_no_memory);
}

static void add_reason(const struct branch *b, struct buf *out)
{
    const struct message *said = &b->relay->reasons;
    unsigned cause = b->cancel_cause;
    const char *words = cause == 200 ? "Call completed elsewhere" : sip_reason_phrase(cause);
    if (cause == 0) {
        buf_slice(out, (struct slice){said->p, said->n});
    } else {
        buf_printf(out, words[0] != '\0' ? "Reason: SIP;cause=%u;text=\"%s\"\r\n" : "Reason: SIP;cause=%u\r\n", cause,
                   words);
    }
}

/* ---- the requests ---- */

/* In e->out. sent: the branch's request; of: the branch that a CANCEL ends. */
static enum err build(struct edge *e, const struct sip_view *sent, const char *method, struct slice to,
                      const struct branch *of)
{
    struct buf *out = &e->out;
    buf_reset(out);
    buf_text(out, method);
    buf_text(out, " ");
    buf_slice(out, sent->uri);
    buf_text(out, " SIP/2.0\r\n");
    add_line(out, "Via: ", sent->via.all);
    for (unsigned i = sent->first[SIP_ROUTE]; i != SIP_NO_LINE; i = sent->lines[i].next) {
        add_line(out, "Route: ", sip_line_value(sent, i));
    }
    add_line(out, "From: ", sip_view_value(sent, SIP_FROM));
    add_line(out, "To: ", to);
    add_line(out, "Call-ID: ", sent->call_id);
    buf_printf(out, "CSeq: %u %s\r\n", (unsigned)sent->cseq, method);
    if (of != NULL) add_reason(of, out);
    buf_text(out, "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n");
    return out->failed ? ERR_NOMEM : ERR_OK;
}

static const struct sip_view *sent_request(struct branch *b)
{
    struct sip_view *v = &b->relay->edge->again;
    if (b->sent.p == NULL || sip_view_parse_kept(v, b->sent.p, b->sent.n) != SIP_FAULT_NONE) return NULL;
    return v;
}

void proxy_branch_ack(struct branch *b, const struct sip_view *response)
{
    struct edge *e = b->relay->edge;
    const struct sip_view *sent = sent_request(b);
    if (sent == NULL || build(e, sent, "ACK", sip_view_value(response, SIP_TO), NULL) != ERR_OK) {
        edge_count(e, EC_no_memory);
        return;
    }
    if (edge_send_hop(e, &b->to, proxy_branch_host(b), b->expect_member, buf_view(&e->out), 0) != ERR_OK)
        edge_count(e, EC_send_failures);
}

static void send_cancel(struct branch *b)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    const struct sip_view *sent = sent_request(b);
    struct branch *c = pool_get(&e->branch_pool, sizeof *c);
    b->cancel_sent = true;
    /* Whatever becomes of the CANCEL, the branch ends within this time (RFC 3261 §9.1). */
    sip_timer_start(&e->tx, &b->progress, mono_add_ms(edge_now(e), SIP_T64_MS));
    if (c == NULL || sent == NULL || build(e, sent, "CANCEL", sip_view_value(sent, SIP_TO), b) != ERR_OK)
        goto no_memory;
    *c = (struct branch){
        .relay = r, .to = b->to, .id = b->id, .expect_member = b->expect_member, .roams = b->roams, .is_cancel = true};
    if (!proxy_message_set(e, &c->sent, buf_view(&e->out))) goto no_memory;
    sip_timer_init(&c->progress, EDGE_TIMER_PROGRESS);
    list_append(&r->branches, &c->node);
    sip_tx_start_client(&e->tx, &c->client, c->id, SIP_CANCEL, c->to.transport != PLAN_UDP, edge_now(e));
    /* The connection may have ended while it rang: by its name it is made again. */
    if (edge_send_hop(e, &c->to, proxy_branch_host(b), c->expect_member, buf_view(&e->out), 0) != ERR_OK)
        edge_count(e, EC_send_failures);
    return;
no_memory:
    edge_count(e, EC_no_memory);
    if (c != NULL) pool_put(&e->branch_pool, c);
}

void proxy_branch_cancel(struct branch *b, unsigned cause)
{
    if (!b->relay->invite || b->is_cancel || b->cancel_sent) return;
    b->cancel_cause = (uint16_t)cause;
    if (b->client.state == SIP_TX_TRYING) b->cancel_wanted = true;
    if (b->client.state == SIP_TX_PROCEEDING) send_cancel(b);
}

void proxy_relay_cancel(struct relay *r, const struct sip_view *cancel)
{
    if (r->final_sent || r->cancelled) return;
    r->cancelled = true;
    if (cancel != NULL) keep_reasons(r, cancel);
    /* What send_cancel appends stands behind, and is a CANCEL itself: passed over. */
    for (struct list_node *n = r->branches.next; n != &r->branches; n = n->next) {
        proxy_branch_cancel(CONTAINER_OF(n, struct branch, node), cancel != NULL ? 0 : 503);
    }
    if (r->current == 0 && !r->held) proxy_relay_try(r, NULL);
    /* While a name is being resolved, or the media relay asked, the end of that finds the relay cancelled. */
}

void proxy_relay_stop(struct relay *r)
{
    bool hung_up = r->cancelled;
    if (r->final_sent || !r->invite) return;
    proxy_relay_cancel(r, NULL);
    r->best_code = 0; /* what was said by those tried so far is no reason for the caller to give up */
    if (hung_up) {
        proxy_relay_note(r, 487, "cancelled by the caller", SLICE(""));
    } else {
        edge_count(r->edge, EC_refused_draining);
        r->retry_after_s = STOPPED_RETRY_S;
        proxy_relay_note(r, 503, "the node was stopped before the call was answered", SLICE(""));
    }
    proxy_relay_finish(r);
}
