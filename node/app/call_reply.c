#include "node/app/call_reply.h"

#include "node/app/explain.h"
#include "node/app/trace.h"
#include "proto/record_codec.h"

static void code_field(struct control_builder *b, uint32_t code)
{
    if (code > 0) {
        control_int(b, "code", code);
    } else {
        control_null(b, "code");
    }
}

void call_reply(struct node *n, struct control_reply *reply, struct arena *arena, const struct call_record *r,
                const char *state)
{
    struct slice self = slice_of(n->config.node);
    struct control_builder b;
    control_record_start(&b, arena, "call");
    control_text(&b, "call_id", r->call_id);
    control_text(&b, "session_id", r->session_id);
    control_text(&b, "from", r->from);
    control_text(&b, "to", r->dialled);
    control_text(&b, "source", r->source);
    control_text(&b, "from_address", r->from_address);
    control_text(&b, "target", r->target);
    control_text(&b, "node", r->node.n > 0 ? r->node : self);
    control_text(&b, "to_address", r->to_address);
    control_text(&b, "state", slice_of(state));
    command_time(&b, "started", r->started);
    command_time(&b, "answered", r->answered);
    command_time(&b, "ended", r->ended);
    if (r->answered.ms > 0 && r->ended.ms >= r->answered.ms) {
        control_int(&b, "talked_s", (r->ended.ms - r->answered.ms + 500) / 1000);
    } else {
        control_null(&b, "talked_s");
    }
    control_int(&b, "code", r->code);
    control_int(&b, "rule", r->rule);
    control_text(&b, "reason", r->reason);
    control_text(&b, "kept_at", self);
    command_record(reply, &b);
}

/* ---- where it was sent ---- */

static void send_attempt(struct node *n, struct control_reply *reply, const struct call_record *r, size_t i,
                         const struct call_attempt *a)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "attempt");
    control_int(&b, "attempt", (int64_t)i + 1);
    control_text(&b, "target", a->target);
    control_text(&b, "node", a->node.n > 0 ? a->node : slice_of(n->config.node));
    control_text(&b, "address", a->address);
    code_field(&b, a->code);
    control_text(&b, "text", a->words);
    if (a->at.ms >= r->started.ms) {
        control_int(&b, "after_ms", a->at.ms - r->started.ms);
    } else {
        control_null(&b, "after_ms");
    }
    command_record(reply, &b);
    arena_fini(&arena);
}

/* Those that failed, and the one that did not. */
static void send_attempts(struct node *n, struct control_reply *reply, const struct call_record *r)
{
    for (size_t i = 0; i < r->attempt_count; i++)
        send_attempt(n, reply, r, i, &r->attempts[i]);
    bool answered = r->answered.ms > 0;
    if (r->target.n == 0 || (!answered && r->ended.ms > 0)) return;
    send_attempt(n, reply, r, r->attempt_count,
                 &(struct call_attempt){.target = r->target,
                                        .node = r->node,
                                        .address = r->to_address,
                                        .words = answered ? SLICE("answered") : SLICE("is being tried"),
                                        .code = answered ? 200 : 0,
                                        .at = r->answered});
}

/* ---- how it was decided ---- */

static void send_candidate(struct control_reply *reply, const struct call_decision *d, const struct call_candidate *c)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "candidate");
    if (c->place > 0) {
        control_int(&b, "place", c->place);
    } else {
        control_null(&b, "place");
    }
    control_text(&b, "decided_at", d->named_by);
    control_text(&b, "target", c->target);
    control_text(&b, "match", c->match);
    control_text(&b, "scope", c->scope);
    control_int(&b, "priority", c->priority);
    control_int(&b, "weight", c->weight);
    control_text(&b, "node", c->nodes);
    control_text(&b, "number_sent", c->number);
    control_text(&b, "why", c->why);
    control_printf(&b, "text", "%s%s%.*s", decide_why_text(decide_why_of(c->why)), c->detail.n > 0 ? ": " : "",
                   SLICE_ARG(c->detail));
    command_record(reply, &b);
    arena_fini(&arena);
}

static void send_decision(struct control_reply *reply, const char *kind, const struct call_decision *d)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, kind);
    control_text(&b, "plan_number", d->plan_number);
    control_text(&b, "site", d->site);
    control_text(&b, "named_by", d->named_by);
    if (d->named_by.n > 0) {
        control_null(&b, "rule");
    } else {
        control_int(&b, "rule", d->rule);
    }
    code_field(&b, d->code);
    control_text(&b, "plan_digest", d->plan_digest);
    command_record(reply, &b);
    arena_fini(&arena);
}

static void send_candidates(struct control_reply *reply, const struct call_decision *d)
{
    for (uint32_t place = 1; place <= d->candidate_count; place++) {
        for (size_t i = 0; i < d->candidate_count; i++)
            if (d->candidates[i].place == place) send_candidate(reply, d, &d->candidates[i]);
    }
    for (size_t i = 0; i < d->candidate_count; i++)
        if (d->candidates[i].place == 0) send_candidate(reply, d, &d->candidates[i]);
}

/* What the plan of now would do with the same call. then NULL: nobody knows what was decided. */
static enum err send_today(struct node *n, struct control_reply *reply, struct arena *arena,
                           const struct call_record *r, const struct call_decision *then)
{
    struct routing_result result;
    struct slice kind;
    struct slice name = slice_cut(r->source, '/', &kind);
    struct edge_query q = {.dialled = r->dialled, .call_id = r->call_id, .call = true};
    if (slice_is(kind, "trunk")) q.source = (struct edge_source){.kind = EDGE_SOURCE_TRUNK, .name = name};
    if (slice_is(kind, "account")) q.source = (struct edge_source){.kind = EDGE_SOURCE_ACCOUNT, .name = name};
    enum err e = routing_decide(n, arena, &q, &result);
    if (e != ERR_OK) return e;
    struct call_decision now = trace_of(n, arena, &result);
    send_decision(reply, "today", &now);
    e = explain_candidates(n, reply, arena, "candidate_today", &result);
    if (e == ERR_OK && then != NULL) trace_difference(n, reply, r->started, then, &now);
    return e;
}

void call_reply_trace(struct node *n, struct control_reply *reply, struct arena *arena, const struct call_record *r,
                      const char *state)
{
    struct call_decision d;
    call_reply(n, reply, arena, r, state);
    send_attempts(n, reply, r);
    bool decided = r->decision.n > 0 && call_decision_unpack(arena, r->decision, &d) == ERR_OK;
    if (decided) {
        send_decision(reply, "decision", &d);
        send_candidates(reply, &d);
    }
    if (!decided || d.named_by.n == 0) (void)!send_today(n, reply, arena, r, decided ? &d : NULL);
}
