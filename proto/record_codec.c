/* record_codec: call records as protobuf bytes. They are packed by hand, in the order of the fields' numbers: each call
 * packs a decision and two records, and protobuf-c goes through the descriptor twice for each. Schema:
 * proto/record.proto. */
#include "proto/record_codec.h"

#include "node/base/limits.h"
#include "proto/arena_alloc.h"
#include "proto/wire.h"
#include "record.pb-c.h"

#define CANDIDATES_MAX 256

/* ---- a message inside ---- */

#define INSIDE_ROOM WIRE_FIELD_ROOM

/* What was written from inside to end becomes a field at p, which is INSIDE_ROOM before it: moved up to its length. */
static char *close_inside(char *p, unsigned field, const char *inside, const char *end)
{
    size_t n = (size_t)(end - inside);
    p = wire_put_varint(wire_put_varint(p, field << 3 | WIRE_BYTES), n);
    memmove(p, inside, n);
    return p + n;
}

/* ---- a decision ---- */

static size_t candidate_room(const struct call_candidate *c)
{
    return c->target.n + c->match.n + c->scope.n + c->nodes.n + c->number.n + c->why.n + c->detail.n +
           10 * WIRE_FIELD_ROOM;
}

static char *put_candidate(char *p, const struct call_candidate *c)
{
    p = wire_put_text(p, 1, c->target);
    p = wire_put_text(p, 2, c->match);
    p = wire_put_text(p, 3, c->scope);
    p = wire_put_text(p, 4, c->nodes);
    p = wire_put_text(p, 5, c->number);
    p = wire_put_text(p, 6, c->why);
    p = wire_put_text(p, 7, c->detail);
    p = wire_put_number(p, 8, c->priority);
    p = wire_put_number(p, 9, c->weight);
    return wire_put_number(p, 10, c->place);
}

enum err call_decision_pack(struct arena *arena, const struct call_decision *d, struct slice *packed)
{
    size_t room = d->plan_number.n + d->site.n + d->plan_digest.n + d->named_by.n + 6 * WIRE_FIELD_ROOM;
    for (size_t i = 0; i < d->candidate_count; i++)
        room += candidate_room(&d->candidates[i]) + INSIDE_ROOM;
    char *start = arena_alloc(arena, room);
    if (start == NULL) return ERR_NOMEM;
    char *p = wire_put_text(start, 1, d->plan_number);
    p = wire_put_text(p, 2, d->site);
    p = wire_put_text(p, 3, d->plan_digest);
    p = wire_put_text(p, 4, d->named_by);
    p = wire_put_number(p, 5, d->rule);
    p = wire_put_number(p, 6, d->code);
    for (size_t i = 0; i < d->candidate_count; i++) {
        char *inside = p + INSIDE_ROOM;
        p = close_inside(p, 7, inside, put_candidate(inside, &d->candidates[i]));
    }
    ASSERT((size_t)(p - start) <= room);
    *packed = (struct slice){start, (size_t)(p - start)};
    return ERR_OK;
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

/* ---- a call ---- */

static char *put_attempt(char *p, const struct call_attempt *a)
{
    p = wire_put_text(p, 1, a->target);
    p = wire_put_text(p, 2, a->node);
    p = wire_put_text(p, 3, a->address);
    p = wire_put_text(p, 4, a->words);
    p = wire_put_number(p, 5, a->code);
    return wire_put_number(p, 6, wire_zigzag(a->at.ms));
}

static size_t record_room(const struct call_record *r)
{
    size_t room = r->call_id.n + r->session_id.n + r->from.n + r->dialled.n + r->source.n + r->from_address.n +
                  r->target.n + r->node.n + r->to_address.n + r->reason.n + r->decision.n + r->caller_tag.n +
                  19 * WIRE_FIELD_ROOM;
    for (size_t i = 0; i < r->attempt_count; i++) {
        const struct call_attempt *a = &r->attempts[i];
        room += a->target.n + a->node.n + a->address.n + a->words.n + 6 * WIRE_FIELD_ROOM + INSIDE_ROOM;
    }
    return room;
}

enum err call_record_pack(const struct call_record *r, struct buf *out)
{
    size_t room = record_room(r);
    char *start = buf_room(out, room);
    if (start == NULL) return ERR_NOMEM;
    char *p = wire_put_text(start, 1, r->call_id);
    p = wire_put_text(p, 2, r->session_id);
    p = wire_put_text(p, 3, r->from);
    p = wire_put_text(p, 4, r->dialled);
    p = wire_put_text(p, 5, r->source);
    p = wire_put_text(p, 6, r->from_address);
    p = wire_put_text(p, 7, r->target);
    p = wire_put_text(p, 8, r->node);
    p = wire_put_text(p, 9, r->to_address);
    p = wire_put_text(p, 10, r->reason);
    p = wire_put_text(p, 11, r->decision);
    p = wire_put_number(p, 12, (uint64_t)r->state);
    p = wire_put_number(p, 13, wire_zigzag(r->started.ms));
    p = wire_put_number(p, 14, wire_zigzag(r->answered.ms));
    p = wire_put_number(p, 15, wire_zigzag(r->ended.ms));
    p = wire_put_number(p, 16, r->code);
    p = wire_put_number(p, 17, r->rule);
    p = wire_put_text(p, 18, r->caller_tag);
    p = wire_put_number(p, 19, r->session_s);
    for (size_t i = 0; i < r->attempt_count && i < CALL_ATTEMPTS_MAX; i++) {
        char *inside = p + INSIDE_ROOM;
        p = close_inside(p, 20, inside, put_attempt(inside, &r->attempts[i]));
    }
    ASSERT((size_t)(p - start) <= room);
    out->n += (size_t)(p - start);
    return ERR_OK;
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
