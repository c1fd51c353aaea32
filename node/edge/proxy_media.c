/* proxy_media: leads the media of calls through the relay: each session description that passes gets the relay's
 * addresses in place of its own.
 *
 * A request waits for the relay before each place that it goes to, which gets ports of its own; a response or an ACK
 * waits before anybody has looked at it, and then goes on as if it had just come. Which of them is the offer and which
 * the answer follows from RFC 3264 as SIP carries it: the INVITE or, where it has none, its response (RFC 3261 §13.2.1,
 * then the ACK or the PRACK answers), PRACK (RFC 3262 §5), UPDATE (RFC 3311). A request whose media cannot be led is
 * refused, since nobody would hear anybody; a response or an ACK goes on as it came, since the call exists then and
 * must be able to end. */
#include "node/edge/media.h"
#include "node/edge/proxy_arrival.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/sip/body.h"

#define HEX_TEXT 17

/* A response or an ACK that waits. */
struct held {
    struct list_node node; /* in edge.held */
    struct edge *edge;
    struct flow from;
    struct message text;
    struct sip_view view;
};

/* ---- the description in a message ---- */

static bool read_sdp(struct edge *e, const struct sip_view *v, struct slice *sdp)
{
    if (v->body.n == 0) return false;
    if (sip_body_sdp(v, sdp)) return true;
    media_count(e->media, MC_unreadable);
    return false;
}

/* by_sender: who sends v makes the offer. */
static struct ng_request question(enum ng_command command, const struct sip_view *v, bool by_sender, struct slice id,
                                  struct slice sdp)
{
    struct slice sender = v->request ? v->from_tag : v->to_tag;
    struct slice other = v->request ? v->to_tag : v->from_tag;
    return (struct ng_request){.command = command,
                               .call_id = id,
                               .from_tag = by_sender ? sender : other,
                               .to_tag = by_sender ? other : sender,
                               .sdp = sdp};
}

/* What a description that goes to one of several places is known by; "" inside a dialog, whose tags say it. */
static struct slice branch_text(const struct relay *r, uint64_t branch, char out[HEX_TEXT])
{
    if (r->in_dialog || !r->offers) return SLICE("");
    int n = snprintf(out, HEX_TEXT, "%016" PRIx64, branch);
    return (struct slice){out, (size_t)n};
}

/* ---- requests ---- */

static const char *refusal_words(enum err err)
{
    switch (err) {
    case ERR_SYNTAX: return "the media relay does not take the session description";
    case ERR_REFUSED: return "the media relay refuses";
    case ERR_TIMEOUT:
    case ERR_UNREACHABLE: return "the media relay does not answer";
    default: return "there is no room for the media relay's session description";
    }
}

/* No other place is tried: it is none's failure but ours. Those that ring may still answer. */
static void refuse(struct relay *r, enum err err, struct slice words)
{
    media_count(r->edge->media, MC_requests_refused);
    r->settled = true;
    if (r->current == 0) r->target_at = r->target_count;
    proxy_relay_note(r, err == ERR_SYNTAX ? 488 : 500, refusal_words(err), words);
    if (r->current == 0) proxy_relay_finish(r);
}

static void request_led(void *ctx, enum err err, struct slice text)
{
    struct relay *r = ctx;
    r->held = false;
    if (r->final_sent) {
        proxy_relay_settle(r);
        return;
    }
    if (err == ERR_OK && text.n > LIMIT_SIP_MESSAGE) err = ERR_LIMIT;
    if (err == ERR_OK && !proxy_message_set(r->edge, &r->sdp, text)) err = ERR_NOMEM;
    r->described = err == ERR_OK;
    if (err == ERR_LIMIT || err == ERR_NOMEM) text = SLICE("");
    if (r->best_code >= 600 && !r->cancelled) { /* RFC 3261 §16.7 item 5: nobody else shall ring */
        if (r->current == 0) proxy_relay_finish(r);
    } else if (err == ERR_OK || r->cancelled) {
        proxy_relay_try(r, NULL);
    } else {
        refuse(r, err, text);
    }
    proxy_relay_settle(r);
}

static bool may_describe(enum sip_method m)
{
    return m == SIP_INVITE || m == SIP_UPDATE || m == SIP_PRACK;
}

void proxy_media_begin(struct relay *r, const struct sip_view *v)
{
    struct edge *e = r->edge;
    struct slice sdp;
    bool late = false;
    if (!may_describe(v->method) || !media_leads(e->media)) return;
    r->led = edge_call_media(e, r->call, v, &late).p != NULL;
    r->describes = r->led && read_sdp(e, v, &sdp);
    r->offers = r->describes && (v->method != SIP_PRACK || !late);
}

/* Each place has ports of its own, so that of several that answer each one is heard, and nobody else. */
bool proxy_media_ready(struct relay *r, const struct sip_view *v)
{
    struct edge *e = r->edge;
    char branch[HEX_TEXT];
    struct slice sdp;
    if (!r->describes || r->described) return true;
    if (v == NULL) v = proxy_relay_request(r);
    struct slice id = v != NULL ? edge_call_media(e, r->call, v, NULL) : SLICE_NONE;
    if (id.p == NULL || !sip_body_sdp(v, &sdp)) return true; /* the record is gone: nothing is known of the call */
    struct ng_request q = question(r->offers ? NG_OFFER : NG_ANSWER, v, r->offers, id, sdp);
    r->sdp_branch = random_next(e->random);
    q.branch = branch_text(r, r->sdp_branch, branch);
    enum err err = media_ask(e->media, &q, request_led, r);
    r->held = err == ERR_OK;
    if (err != ERR_OK) refuse(r, err, SLICE(""));
    return false;
}

/* ---- responses and ACKs ---- */

static void held_free(struct held *h)
{
    list_remove(&h->node);
    proxy_message_drop(h->edge, &h->text);
    free(h);
}

/* The message with that description, in e->out. */
static bool exchange(struct edge *e, const struct sip_view *v, struct slice text)
{
    char digits[DECIMAL_TEXT];
    struct sip_edits edits;
    sip_edits_init(&edits, v);
    (void)sip_body_exchange(&edits, text, digits);
    buf_reset(&e->out);
    return text.n <= LIMIT_SIP_MESSAGE && sip_edit_apply(&edits, &e->out) == ERR_OK;
}

static void held_led(void *ctx, enum err err, struct slice text)
{
    struct held *h = ctx;
    struct edge *e = h->edge;
    struct sip_view *v = &h->view;
    bool parsed = sip_view_parse_kept(v, h->text.p, h->text.n) == SIP_FAULT_NONE;
    bool done = err == ERR_OK && parsed && exchange(e, v, text) && proxy_message_set(e, &h->text, buf_view(&e->out));
    if (!done) media_count(e->media, MC_passed_as_they_came);
    if (done) parsed = sip_view_parse_kept(v, h->text.p, h->text.n) == SIP_FAULT_NONE;
    if (parsed && v->request) {
        proxy_ack_led(e, &h->from, v);
    } else if (parsed) {
        proxy_response_led(e, &h->from, v);
    }
    held_free(h);
}

/* False: it could not be asked. */
static bool hold(struct edge *e, const struct flow *from, const struct sip_view *v, const struct ng_request *q)
{
    struct held *h = calloc(1, sizeof *h);
    if (h != NULL) {
        h->edge = e;
        h->from = *from;
        list_append(&e->held, &h->node);
        if (proxy_message_set(e, &h->text, (struct slice){v->data, v->len}) &&
            media_ask(e->media, q, held_led, h) == ERR_OK)
            return true;
        held_free(h);
    }
    media_count(e->media, MC_passed_as_they_came);
    return false;
}

bool proxy_media_holds(struct branch *b, const struct flow *from, const struct sip_view *v)
{
    struct relay *r = b->relay;
    struct edge *e = r->edge;
    struct slice sdp;
    if (!r->led || b->is_cancel || v->code <= 100 || v->code >= 300 || !read_sdp(e, v, &sdp)) return false;
    struct slice id = edge_call_media(e, r->call, v, NULL);
    if (id.p == NULL) return false;
    char branch[HEX_TEXT];
    struct ng_request q = question(r->offers ? NG_ANSWER : NG_OFFER, v, !r->offers, id, sdp);
    q.branch = branch_text(r, b->sdp_branch, branch);
    return hold(e, from, v, &q);
}

bool proxy_media_holds_ack(struct edge *e, const struct flow *from, const struct sip_view *v)
{
    struct slice sdp;
    bool late = false;
    if (v->body.n == 0 || !media_leads(e->media)) return false;
    struct slice id = edge_call_media(e, NULL, v, &late);
    if (id.p == NULL || !late || !read_sdp(e, v, &sdp)) return false;
    struct ng_request q = question(NG_ANSWER, v, false, id, sdp);
    return hold(e, from, v, &q);
}

void proxy_held_free(struct edge *e)
{
    while (!list_empty(&e->held))
        held_free(CONTAINER_OF(e->held.next, struct held, node));
}
