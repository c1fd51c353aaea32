#include "node/app/trace.h"

#include "proto/record_codec.h"

/* "n1 n2": most candidates have one, which then need not be copied. */
static struct slice nodes_text(const struct node *n, struct arena *arena, const struct candidate *c)
{
    struct slice self = slice_of(n->config.node);
    if (c->node_count == 0) return SLICE("");
    if (c->node_count == 1) return c->nodes[0].n > 0 ? c->nodes[0] : self;
    size_t len = 0;
    for (size_t i = 0; i < c->node_count; i++)
        len += (c->nodes[i].n > 0 ? c->nodes[i].n : self.n) + 1;
    char *out = arena_alloc(arena, len);
    if (out == NULL) return SLICE("");
    size_t at = 0;
    for (size_t i = 0; i < c->node_count; i++) {
        struct slice name = c->nodes[i].n > 0 ? c->nodes[i] : self;
        memcpy(out + at, name.p, name.n);
        at += name.n;
        out[at++] = ' ';
    }
    return (struct slice){out, at - 1};
}

static struct slice target_text(struct arena *arena, const struct plan_target *t)
{
    struct slice kind = slice_of(plan_target_kind_name(t->kind));
    if (t->kind == PLAN_TO_REJECT) return slice_of(arena_printf(arena, "reject/%u", (unsigned)t->code));
    char *out = arena_alloc(arena, kind.n + 1 + t->name.n);
    if (out == NULL) return SLICE("");
    memcpy(out, kind.p, kind.n);
    out[kind.n] = '/';
    memcpy(out + kind.n + 1, t->name.p, t->name.n);
    return (struct slice){out, kind.n + 1 + t->name.n};
}

static struct slice number_of(const struct routing_result *r, const struct candidate *c)
{
    for (size_t i = 0; c->place > 0 && i < r->decision.target_count; i++) {
        if (r->decision.targets[i].from == c) return routing_number(&r->decision.targets[i]);
    }
    return SLICE("");
}

struct call_decision trace_of(struct node *n, struct arena *arena, const struct routing_result *r)
{
    struct call_decision d = {.plan_number = {r->plan_number, r->plan_number_len},
                              .site = r->source_site,
                              .plan_digest = SLICE(""),
                              .named_by = SLICE(""),
                              .rule = r->decision.rule,
                              .code = r->decision.target_count > 0 ? 0 : r->decision.code};
    char *digest = arena_alloc(arena, PLAN_DIGEST_TEXT);
    struct call_candidate *list = arena_alloc(arena, r->candidate_count * sizeof *list);
    if (digest != NULL) {
        plan_digest_text(n->plan_digest, digest);
        d.plan_digest = slice_of(digest);
    }
    if (list == NULL) return d;
    for (size_t i = 0; i < r->candidate_count; i++) {
        const struct candidate *c = &r->candidates[i];
        bool told = c->why == WHY_DOWN || c->why == WHY_RESTING;
        list[i] = (struct call_candidate){.target = target_text(arena, &c->route.target),
                                          .match = c->route.match,
                                          .scope = c->route.scope,
                                          .nodes = nodes_text(n, arena, c),
                                          .number = number_of(r, c),
                                          .why = slice_of(decide_why_name(c->why)),
                                          .detail = told ? c->down_reason : SLICE(""),
                                          .priority = c->route.priority,
                                          .weight = c->route.weight,
                                          .place = c->place};
    }
    d.candidates = list;
    d.candidate_count = r->candidate_count;
    return d;
}

static struct slice pack(struct arena *arena, const struct call_decision *d)
{
    struct slice packed;
    return call_decision_pack(arena, d, &packed) == ERR_OK ? packed : SLICE("");
}

struct slice trace_pack(struct node *n, struct arena *arena, const struct routing_result *r)
{
    struct call_decision d = trace_of(n, arena, r);
    return pack(arena, &d);
}

struct slice trace_pack_named(struct arena *arena, struct slice by, struct slice target, unsigned code)
{
    struct call_candidate c = {.target = target,
                               .match = SLICE(""),
                               .scope = SLICE(""),
                               .nodes = SLICE(""),
                               .number = SLICE(""),
                               .why = code == 0 ? SLICE("chosen") : SLICE(""),
                               .detail = SLICE(""),
                               .place = code == 0};
    struct call_decision d = {.plan_number = SLICE(""),
                              .site = SLICE(""),
                              .plan_digest = SLICE(""),
                              .named_by = by.n > 0 ? by : SLICE("another node"),
                              .code = code,
                              .candidates = &c,
                              .candidate_count = 1};
    return pack(arena, &d);
}
