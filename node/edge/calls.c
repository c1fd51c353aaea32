#include "node/edge/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/edge/media.h"
#include "node/edge/session.h"
#include "node/sip/cookie.h"

/* A fork of more at which all answer at once loses its record too early. */
#define CALLEES_MAX 4
/* No call needs so many to be set up. */
#define PRACKS_MAX 32

struct call {
    struct sip_dialog dialog;
    struct list_node node; /* in edge.calls */
    struct sip_timer idle;
    struct edge *edge;
    struct relay *relay; /* while its INVITE is in progress */
    uint64_t id;
    void *note; /* of who is told about it */
    struct mono touched;
    uint32_t session_s;
    struct mono session_ends; /* MONO_NEVER: nobody refreshes it */
    enum call_state state;
    enum edge_source_kind source_kind;
    struct slice from; /* these lie in text */
    struct slice dialled;
    struct slice source;
    struct wall started;
    struct wall answered;
    struct wall ended;
    unsigned code;
    unsigned rule;
    struct call_place from_place;
    struct call_place to_place;
    struct call_place under_way; /* of the attempt that has not come to nothing yet */
    struct remote_hosts caller_at;
    struct remote_hosts callee_at;
    bool restored; /* of an earlier run, in which the sides said where they are */
    bool led;      /* the media relay knows it */
    bool late;     /* the offer is not in the INVITE, but in its response (RFC 3261 §13.2.1) */
    char session_id[EDGE_SESSION_ID];
    uint64_t callees[CALLEES_MAX]; /* the tags of those that answered, hashed */
    bool ended_with[CALLEES_MAX];  /* by a BYE: kept, because the answer may be repeated */
    uint8_t callee_count;
    uint8_t prack_count; /* as far as they were needed */
    uint8_t cookie_len;
    char cookie[SIP_COOKIE_TEXT];
    char target[LIMIT_NAME + 16];
    char peer[LIMIT_NAME + 1];
    char text[];
};

static void report_with(struct call *c, struct slice reason, struct slice trace, const struct call_failure *failure)
{
    const struct edge_hooks *h = &c->edge->o.hooks;
    struct call_report r = {
        .id = c->id,
        .note = &c->note,
        .call_id = c->dialog.call_id,
        .from = c->from,
        .dialled = c->dialled,
        .source = {c->source_kind, c->source},
        .target = slice_of(c->target),
        .node = slice_of(c->peer),
        .state = c->state,
        .started = c->started,
        .answered = c->answered,
        .ended = c->ended,
        .code = c->code,
        .rule = c->rule,
        .reason = reason,
        .caller_tag = c->dialog.caller_tag,
        .session_s = c->session_s,
        .session_id = slice_of(c->session_id),
        .trace = trace,
        .from_place = c->from_place,
        .to_place = c->to_place,
        .failure = failure,
    };
    if (h->call != NULL) h->call(h->ctx, &r);
}

static void report(struct call *c, struct slice reason)
{
    report_with(c, reason, SLICE(""), NULL);
}

static struct slice put(char **at, struct slice s)
{
    struct slice kept = {*at, s.n};
    if (s.n > 0) memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

/* Finds its place; id, source and state are set. */
static struct call *call_make(struct edge *e, struct slice call_id, struct slice caller_tag, struct slice from,
                              struct slice dialled, const struct edge_source *source)
{
    struct call *c = malloc(sizeof *c + call_id.n + caller_tag.n + from.n + dialled.n + source->name.n);
    if (c == NULL) {
        edge_count(e, EC_no_memory);
        return NULL;
    }
    *c = (struct call){.edge = e, .source_kind = source->kind, .state = CALL_TRYING};
    char *at = c->text;
    c->dialog.call_id = put(&at, call_id);
    c->dialog.caller_tag = put(&at, caller_tag);
    c->from = put(&at, from);
    c->dialled = put(&at, dialled);
    c->source = put(&at, source->name);
    c->touched = edge_now(e);
    c->session_ends = MONO_NEVER;
    sip_dialogs_add(&e->dialogs, &c->dialog);
    list_append(&e->calls, &c->node);
    sip_timer_init(&c->idle, EDGE_TIMER_CALL);
    sip_timer_start(&e->tx, &c->idle, mono_add_ms(c->touched, e->o.call_idle_ms));
    return c;
}

struct call *edge_call_new(struct edge *e, const struct sip_view *v, struct slice from, struct slice dialled,
                           const struct edge_source *source, struct relay *relay)
{
    struct call *c = call_make(e, v->call_id, v->from_tag, from, dialled, source);
    if (c == NULL) return NULL;
    c->relay = relay;
    c->id = ++e->last_call_id;
    c->from_place = (struct call_place){relay->from.transport, relay->from.remote};
    remote_note(e, v, &c->caller_at);
    edge_session_id(e, v, c->session_id);
    c->started = edge_wall();
    edge_count(e, EC_calls_started);
    return c;
}

void edge_call_sent(struct call *c, const struct flow *to)
{
    c->to_place = c->under_way = (struct call_place){to->transport, to->remote};
}

static void keep(char *out, size_t size, struct slice text)
{
    size_t n = text.n < size ? text.n : size - 1;
    if (n > 0) memcpy(out, text.p, n);
    out[n] = '\0';
}

void edge_call_decided(struct call *c, unsigned rule, struct slice trace, struct slice target, struct slice node)
{
    c->rule = rule;
    keep(c->target, sizeof c->target, target);
    keep(c->peer, sizeof c->peer, node);
    report_with(c, SLICE(""), trace, NULL);
}

void edge_call_target(struct call *c, struct slice target, struct slice node)
{
    if (slice_is(target, c->target) && slice_is(node, c->peer)) return;
    keep(c->target, sizeof c->target, target);
    keep(c->peer, sizeof c->peer, node);
    report(c, SLICE(""));
}

void edge_call_failed(struct call *c, struct slice target, struct slice node, unsigned code, struct slice words)
{
    const struct call_failure failure = {target, node, code, words, edge_wall(), c->under_way};
    c->under_way = (struct call_place){.address.any.sa_family = 0};
    report_with(c, SLICE(""), SLICE(""), &failure);
}

void edge_call_ringing(struct call *c)
{
    if (c->state != CALL_TRYING) return;
    c->state = CALL_RINGING;
    report(c, SLICE(""));
}

void edge_call_heard(struct call *c, const struct sip_view *response)
{
    remote_note(c->edge, response, &c->callee_at);
}

static uint64_t hash_of(const struct edge *e, struct slice tag)
{
    return map_hash(&e->dialogs.map, tag);
}

/* Its place, or callee_count. */
static size_t find_callee(const struct call *c, uint64_t hash)
{
    size_t i = 0;
    while (i < c->callee_count && c->callees[i] != hash)
        i++;
    return i;
}

static void add_callee(struct call *c, struct slice tag)
{
    uint64_t hash = hash_of(c->edge, tag);
    if (c->callee_count < CALLEES_MAX && find_callee(c, hash) == c->callee_count) c->callees[c->callee_count++] = hash;
}

static struct call *first_call(const struct edge *e, const struct sip_view *v)
{
    struct sip_dialog *d = sip_dialogs_find(&e->dialogs, v->call_id, v->from_tag, v->to_tag);
    return d != NULL ? CONTAINER_OF(d, struct call, dialog) : NULL;
}

static struct call *next_call(const struct call *c, const struct sip_view *v)
{
    struct sip_dialog *d = sip_dialogs_next(&c->dialog, v->from_tag, v->to_tag);
    return d != NULL ? CONTAINER_OF(d, struct call, dialog) : NULL;
}

static bool is_by_caller(const struct call *c, const struct sip_view *v)
{
    return slice_eq(v->from_tag, c->dialog.caller_tag);
}

/* The place of the callee in whose dialog the message is, or callee_count. */
static size_t callee_of(const struct call *c, const struct sip_view *v)
{
    return find_callee(c, hash_of(c->edge, is_by_caller(c, v) ? v->to_tag : v->from_tag));
}

/* Whether the message belongs to the call, and not to another with the caller's tag. Who answered a call of an earlier
 * run is not known. */
static bool concerns(const struct call *c, const struct sip_view *v)
{
    return c->state == CALL_ANSWERED && (c->callee_count == 0 || callee_of(c, v) < c->callee_count);
}

void edge_call_another(struct edge *e, const struct sip_view *response)
{
    struct call *answered = NULL;
    for (struct call *c = first_call(e, response); c != NULL; c = next_call(c, response)) {
        if (c->state != CALL_ANSWERED || !is_by_caller(c, response)) continue;
        if (callee_of(c, response) < c->callee_count) return;
        if (answered == NULL) answered = c;
    }
    if (answered == NULL) return;
    add_callee(answered, response->to_tag);
    edge_call_heard(answered, response);
}

/* False: it was at its end before, or the call is still being set up, whose end the INVITE's own answer is. */
static bool ends_with(struct call *c, const struct sip_view *bye)
{
    if (!concerns(c, bye)) return false;
    if (c->callee_count == 0) return true;
    bool *ended = &c->ended_with[callee_of(c, bye)];
    bool before = *ended;
    *ended = true;
    return !before;
}

static bool all_ended(const struct call *c)
{
    for (size_t i = 0; i < c->callee_count; i++) {
        if (!c->ended_with[i]) return false;
    }
    return true;
}

void edge_call_answered(struct call *c, unsigned code, struct slice callee_tag)
{
    c->relay = NULL;
    add_callee(c, callee_tag);
    c->state = CALL_ANSWERED;
    c->answered = edge_wall();
    c->touched = edge_now(c->edge);
    c->code = code;
    edge_count(c->edge, EC_calls_answered);
    report(c, SLICE(""));
}

static void drop(struct call *c)
{
    struct edge *e = c->edge;
    if (c->relay != NULL) proxy_relay_call_gone(c->relay);
    sip_timer_stop(&e->tx, &c->idle);
    sip_dialogs_remove(&e->dialogs, &c->dialog);
    list_remove(&c->node);
    free(c);
}

/* The source is in it: else who knows another's Call-ID and tag could call with them, and lead his media elsewhere. */
static struct slice media_id(struct call *c)
{
    return slice_of(arena_printf(&c->edge->scratch, "%.*s;%.*s;%d/%.*s", SLICE_ARG(c->dialog.call_id),
                                 SLICE_ARG(c->dialog.caller_tag), (int)c->source_kind, SLICE_ARG(c->source)));
}

struct slice edge_call_media(struct edge *e, struct call *c, const struct sip_view *v, bool *late)
{
    if (c == NULL) c = first_call(e, v);
    if (c == NULL) return SLICE_NONE;
    c->led = true;
    if (v->request && v->method == SIP_INVITE) c->late = v->body.n == 0;
    if (late != NULL) *late = c->late;
    return media_id(c);
}

void edge_call_end(struct call *c, unsigned code, struct slice reason)
{
    if (c->led || c->restored) media_end(c->edge->media, media_id(c), c->dialog.caller_tag);
    if (c->state != CALL_ANSWERED) edge_count(c->edge, EC_calls_failed);
    c->state = CALL_ENDED;
    c->ended = edge_wall();
    c->code = code;
    report(c, reason);
    drop(c);
}

void edge_call_set_cookie(struct call *c, struct slice cookie)
{
    if (cookie.n > sizeof c->cookie) return;
    memcpy(c->cookie, cookie.p, cookie.n);
    c->cookie_len = (uint8_t)cookie.n;
}

struct slice edge_call_cookie(const struct edge *e, const struct sip_view *v)
{
    struct call *c = first_call(e, v);
    return c != NULL ? (struct slice){c->cookie, c->cookie_len} : SLICE("");
}

/* Of a call that came by several times the record of the last pass names the callee, that of the first the caller. What
 * is no dialog of an answered call is not the call's. */
struct slice edge_call_trunk(struct edge *e, const struct sip_view *v)
{
    const struct call *found = NULL;
    for (struct call *c = first_call(e, v); c != NULL; c = next_call(c, v)) {
        if (c->state == CALL_ANSWERED && !concerns(c, v)) continue;
        if (found == NULL || (c->id > found->id) == is_by_caller(c, v)) found = c;
    }
    if (found == NULL) return SLICE("");
    if (is_by_caller(found, v)) {
        bool here = found->peer[0] == '\0' && slice_starts(slice_of(found->target), SLICE("trunk/"));
        return here ? arena_copy(&e->scratch, slice_of(found->target)) : SLICE("");
    }
    if (found->source_kind != EDGE_SOURCE_TRUNK) return SLICE("");
    return slice_of(arena_printf(&e->scratch, "trunk/%.*s", SLICE_ARG(found->source)));
}

static enum call_side side_of(const struct call *c, const struct sip_view *v, struct slice host, uint16_t port,
                              const union sock_address *address)
{
    bool to_callee = is_by_caller(c, v);
    const struct call_place *seen = to_callee ? &c->to_place : &c->from_place;
    const struct remote_hosts *said = to_callee ? &c->callee_at : &c->caller_at;
    if (address != NULL && sock_address_same_host(address, &seen->address)) return CALL_SIDE_SEEN;
    bool unknown = c->restored || said->count == 0;
    return unknown || remote_has(c->edge, said, host, port) ? CALL_SIDE_SAID : CALL_SIDE_ELSEWHERE;
}

enum call_side edge_call_side(struct edge *e, const struct sip_view *v, struct slice host, uint16_t port,
                              const union sock_address *address)
{
    enum call_side best = CALL_SIDE_UNKNOWN;
    for (struct call *c = first_call(e, v); c != NULL && best != CALL_SIDE_SEEN; c = next_call(c, v)) {
        if (c->state == CALL_ANSWERED && !concerns(c, v)) continue;
        enum call_side side = side_of(c, v, host, port, address);
        if (side > best) best = side;
    }
    return best;
}

static bool completes(struct call *c)
{
    if (c->state == CALL_ANSWERED || c->prack_count == PRACKS_MAX) return false;
    c->prack_count++;
    return true;
}

bool edge_call_request(struct edge *e, const struct sip_view *v)
{
    bool needed = false;
    for (struct call *c = first_call(e, v), *next = NULL; c != NULL; c = next) {
        next = next_call(c, v);
        c->touched = edge_now(e);
        remote_note(e, v, is_by_caller(c, v) ? &c->caller_at : &c->callee_at);
        if (v->method == SIP_PRACK && completes(c)) needed = true;
        if (v->method != SIP_BYE || !ends_with(c, v)) continue;
        needed = true;
        if (!all_ended(c)) continue;
        edge_call_end(c, c->code, is_by_caller(c, v) ? SLICE("the caller hung up") : SLICE("the callee hung up"));
    }
    return needed;
}

static struct mono due_of(const struct call *c)
{
    return mono_min(mono_add_ms(c->touched, c->edge->o.call_idle_ms), c->session_ends);
}

static struct mono session_end(const struct edge *e, uint32_t session_s)
{
    uint64_t ms = (session_s + UINT64_C(1) * session_grace_s(session_s)) * 1000;
    return session_s > 0 ? mono_add_ms(edge_now(e), ms) : MONO_NEVER;
}

void edge_call_session(struct call *c, uint32_t session_s)
{
    c->session_s = session_s;
    c->session_ends = session_end(c->edge, session_s);
    sip_timer_start(&c->edge->tx, &c->idle, due_of(c));
}

void edge_call_refreshed(struct edge *e, const struct sip_view *response, uint32_t session_s)
{
    for (struct call *c = first_call(e, response); c != NULL; c = next_call(c, response)) {
        if (!concerns(c, response)) continue;
        edge_call_session(c, session_s);
        remote_note(e, response, is_by_caller(c, response) ? &c->callee_at : &c->caller_at);
    }
}

/* A dialog may pass more than once, by way of a proxy that stands behind a trunk: each time from another source. */
static bool is_there(const struct edge *e, const struct call_report *known)
{
    struct sip_dialog *d = sip_dialogs_find(&e->dialogs, known->call_id, known->caller_tag, SLICE(""));
    for (; d != NULL; d = sip_dialogs_next(d, known->caller_tag, SLICE(""))) {
        const struct call *c = CONTAINER_OF(d, struct call, dialog);
        bool same_source = c->source_kind == known->source.kind && slice_eq(c->source, known->source.name);
        if (same_source && slice_eq(c->dialled, known->dialled)) return true;
    }
    return false;
}

enum err edge_call_restore(struct edge *e, const struct call_report *known)
{
    if (e->closing) return ERR_CLOSED;
    if (is_there(e, known)) return ERR_EXISTS;
    edge_wake(e);
    struct call *c = call_make(e, known->call_id, known->caller_tag, known->from, known->dialled, &known->source);
    if (c == NULL) return ERR_NOMEM;
    c->id = known->id;
    c->state = CALL_ANSWERED;
    c->started = known->started;
    c->answered = known->answered;
    c->code = known->code;
    c->restored = true;
    c->rule = known->rule;
    c->from_place = known->from_place;
    c->to_place = known->to_place;
    keep(c->target, sizeof c->target, known->target);
    keep(c->peer, sizeof c->peer, known->node);
    keep(c->session_id, sizeof c->session_id, known->session_id);
    c->session_s = known->session_s;
    c->session_ends = session_end(e, c->session_s);
    sip_timer_start(&e->tx, &c->idle, due_of(c));
    edge_count(e, EC_calls_restored);
    return ERR_OK;
}

void edge_call_timer(struct sip_timer *timer)
{
    struct call *c = CONTAINER_OF(timer, struct call, idle);
    if (c->relay != NULL) c->touched = edge_now(c->edge); /* still being set up: that has timers of its own */
    struct mono due = due_of(c);
    if (!mono_reached(edge_now(c->edge), due)) {
        sip_timer_start(&c->edge->tx, timer, due);
        return;
    }
    if (mono_reached(edge_now(c->edge), c->session_ends)) {
        edge_count(c->edge, EC_calls_unrefreshed);
        edge_call_end(c, c->code, SLICE("nobody refreshed the session: both sides are gone"));
        return;
    }
    char reason[64];
    char idle[WALL_TEXT_SIZE];
    edge_count(c->edge, EC_calls_expired);
    int n = snprintf(reason, sizeof reason, "no request in the dialog for %s",
                     duration_text(c->edge->o.call_idle_ms, idle));
    edge_call_end(c, c->code, (struct slice){reason, (size_t)n});
}

void edge_calls_free(struct edge *e)
{
    while (!list_empty(&e->calls))
        drop(CONTAINER_OF(e->calls.next, struct call, node));
}
