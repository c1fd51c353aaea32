#include "proto/record_codec.h"

#include "node/base/limits.h"
#include "proto/arena_alloc.h"
#include "record.pb-c.h"

#define CANDIDATES_MAX 256

enum err call_decision_pack(struct arena *scratch, const struct call_decision *d, struct buf *out)
{
    Tandem__Record__Decision m = TANDEM__RECORD__DECISION__INIT;
    Tandem__Record__Candidate *items = arena_array(scratch, d->candidate_count, sizeof *items);
    Tandem__Record__Candidate **list = arena_array(scratch, d->candidate_count, sizeof *list);
    if (items == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < d->candidate_count; i++) {
        const struct call_candidate *c = &d->candidates[i];
        list[i] = &items[i];
        tandem__record__candidate__init(list[i]);
        items[i].target = bytes_out(c->target);
        items[i].match = bytes_out(c->match);
        items[i].scope = bytes_out(c->scope);
        items[i].nodes = bytes_out(c->nodes);
        items[i].number = bytes_out(c->number);
        items[i].why = bytes_out(c->why);
        items[i].detail = bytes_out(c->detail);
        items[i].priority = c->priority;
        items[i].weight = c->weight;
        items[i].place = c->place;
    }
    m.plan_number = bytes_out(d->plan_number);
    m.site = bytes_out(d->site);
    m.plan_digest = bytes_out(d->plan_digest);
    m.named_by = bytes_out(d->named_by);
    m.rule = d->rule;
    m.code = d->code;
    m.candidates = list;
    m.n_candidates = d->candidate_count;
    return proto_pack(&m.base, out);
}

enum err call_decision_unpack(struct arena *arena, struct slice packed, struct call_decision *d)
{
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__record__decision__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__Record__Decision *m = raw;
    if (m->n_candidates > CANDIDATES_MAX) return ERR_LIMIT;
    struct call_candidate *list = arena_array(arena, m->n_candidates, sizeof *list);
    if (list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->n_candidates; i++) {
        const Tandem__Record__Candidate *c = m->candidates[i];
        list[i] = (struct call_candidate){.target = bytes_in(c->target),
                                          .match = bytes_in(c->match),
                                          .scope = bytes_in(c->scope),
                                          .nodes = bytes_in(c->nodes),
                                          .number = bytes_in(c->number),
                                          .why = bytes_in(c->why),
                                          .detail = bytes_in(c->detail),
                                          .priority = c->priority,
                                          .weight = c->weight,
                                          .place = c->place};
    }
    *d = (struct call_decision){.plan_number = bytes_in(m->plan_number),
                                .site = bytes_in(m->site),
                                .plan_digest = bytes_in(m->plan_digest),
                                .named_by = bytes_in(m->named_by),
                                .rule = m->rule,
                                .code = m->code,
                                .candidates = list,
                                .candidate_count = m->n_candidates};
    return ERR_OK;
}

enum err call_record_pack(const struct call_record *r, struct buf *out)
{
    Tandem__Record__Call m = TANDEM__RECORD__CALL__INIT;
    Tandem__Record__Attempt items[CALL_ATTEMPTS_MAX];
    Tandem__Record__Attempt *list[CALL_ATTEMPTS_MAX];
    for (size_t i = 0; i < r->attempt_count && i < CALL_ATTEMPTS_MAX; i++) {
        const struct call_attempt *a = &r->attempts[i];
        tandem__record__attempt__init(&items[i]);
        items[i].target = bytes_out(a->target);
        items[i].node = bytes_out(a->node);
        items[i].address = bytes_out(a->address);
        items[i].words = bytes_out(a->words);
        items[i].code = a->code;
        items[i].at_ms = a->at.ms;
        list[m.n_attempts++] = &items[i];
    }
    m.attempts = list;
    m.call_id = bytes_out(r->call_id);
    m.session_id = bytes_out(r->session_id);
    m.from = bytes_out(r->from);
    m.dialled = bytes_out(r->dialled);
    m.source = bytes_out(r->source);
    m.from_address = bytes_out(r->from_address);
    m.target = bytes_out(r->target);
    m.node = bytes_out(r->node);
    m.to_address = bytes_out(r->to_address);
    m.reason = bytes_out(r->reason);
    m.decision = bytes_out(r->decision);
    m.state = (uint32_t)r->state;
    m.started_ms = r->started.ms;
    m.answered_ms = r->answered.ms;
    m.ended_ms = r->ended.ms;
    m.code = r->code;
    m.rule = r->rule;
    m.caller_tag = bytes_out(r->caller_tag);
    m.session_s = r->session_s;
    return proto_pack(&m.base, out);
}

enum err call_record_unpack(struct arena *arena, struct slice packed, struct call_record *r)
{
    void *raw = NULL;
    if (packed.n > LIMIT_OBJECT) return ERR_LIMIT;
    enum err e = proto_unpack(arena, &tandem__record__call__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__Record__Call *m = raw;
    if (m->state > CALL_ENDED) return ERR_SYNTAX;
    if (m->n_attempts > CALL_ATTEMPTS_MAX) return ERR_LIMIT;
    struct call_attempt *attempts = arena_array(arena, m->n_attempts, sizeof *attempts);
    if (attempts == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->n_attempts; i++) {
        const Tandem__Record__Attempt *a = m->attempts[i];
        attempts[i] = (struct call_attempt){.target = bytes_in(a->target),
                                            .node = bytes_in(a->node),
                                            .address = bytes_in(a->address),
                                            .words = bytes_in(a->words),
                                            .code = a->code,
                                            .at = {a->at_ms}};
    }
    *r = (struct call_record){.call_id = bytes_in(m->call_id),
                              .session_id = bytes_in(m->session_id),
                              .from = bytes_in(m->from),
                              .dialled = bytes_in(m->dialled),
                              .source = bytes_in(m->source),
                              .from_address = bytes_in(m->from_address),
                              .target = bytes_in(m->target),
                              .node = bytes_in(m->node),
                              .to_address = bytes_in(m->to_address),
                              .reason = bytes_in(m->reason),
                              .decision = bytes_in(m->decision),
                              .attempts = attempts,
                              .attempt_count = m->n_attempts,
                              .state = (enum call_state)m->state,
                              .started = {m->started_ms},
                              .answered = {m->answered_ms},
                              .caller_tag = bytes_in(m->caller_tag),
                              .session_s = m->session_s,
                              .ended = {m->ended_ms},
                              .code = m->code,
                              .rule = m->rule};
    return ERR_OK;
}
