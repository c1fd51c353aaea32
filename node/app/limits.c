/* limits: what the plan's calls: and rate: mean for a decision, with what usage.c counts.
 *
 * A limit of a target is held at the node that serves it: here it drops out of the decision, and a call that another
 * node sent for it is answered 503, upon which that node goes on to its next target. A limit of a source refuses the
 * call itself. */
#include "node/app/node.h"

#include "proto/plan_codec.h"

#define TARGET_NAME_MAX (LIMIT_NAME + 16)

/* The clock by which calls_report takes tokens. */
static struct mono loop_now(const struct node *n)
{
    return (struct mono){uv_now(n->loop) * 1000};
}

static struct slice target_name(const struct plan_target *t, char out[TARGET_NAME_MAX])
{
    struct slice kind = slice_of(plan_target_kind_name(t->kind));
    ASSERT(kind.n + 1 + t->name.n <= TARGET_NAME_MAX);
    memcpy(out, kind.p, kind.n);
    out[kind.n] = '/';
    memcpy(out + kind.n + 1, t->name.p, t->name.n);
    return (struct slice){out, kind.n + 1 + t->name.n};
}

void limits_candidate(struct node *n, struct candidate *c, uint32_t calls, uint32_t rate_per_s)
{
    char text[TARGET_NAME_MAX];
    size_t own = 0;
    while (own < c->node_count && c->nodes[own].n > 0)
        own++;
    if (own == c->node_count || c->health != TARGET_UP) return;
    /* Also one without limits: it may have had some, by which limits_admit_hook would still go. */
    if (usage_check(n->usage, target_name(&c->route.target, text), calls, rate_per_s, loop_now(n)) == USAGE_FREE)
        return;
    if (c->node_count == 1) { /* nobody else has it: the decision says so */
        c->health = TARGET_AT_LIMIT;
        return;
    }
    memmove(&c->nodes[own], &c->nodes[own + 1], (c->node_count - own - 1) * sizeof c->nodes[0]);
    c->node_count--;
    if (own < c->fresh_count) c->fresh_count--;
}

/* Says in out why it is full. */
static enum usage_verdict look(struct node *n, struct arena *arena, struct slice name, uint32_t calls,
                               uint32_t rate_per_s, struct edge_answer *out)
{
    enum usage_verdict v = usage_check(n->usage, name, calls, rate_per_s, loop_now(n));
    if (v == USAGE_FREE) return v;
    if (v == USAGE_CALLS) {
        out->reason = slice_of(arena_printf(arena, "%.*s has its limit of %u calls", SLICE_ARG(name), (unsigned)calls));
        out->retry_after_s = LIMITS_RETRY_S;
    } else {
        out->reason =
            slice_of(arena_printf(arena, "%.*s has its limit of %u calls/s", SLICE_ARG(name), (unsigned)rate_per_s));
        out->retry_after_s = 1;
    }
    out->code = 503;
    return v;
}

/* False: it is full; counted, and said in out. */
static bool admit(struct node *n, struct arena *arena, struct slice name, uint32_t calls, uint32_t rate_per_s,
                  bool source, struct edge_answer *out)
{
    enum usage_verdict v = look(n, arena, name, calls, rate_per_s, out);
    if (v == USAGE_FREE) return true;
    usage_refused(n->usage, name);
    if (v == USAGE_CALLS) {
        usage_count(n->usage, source ? source_calls_reached : target_calls_reached);
    } else {
        usage_count(n->usage, source ? source_rate_reached : target_rate_reached);
    }
    return false;
}

bool limits_source(struct node *n, struct arena *arena, const struct edge_source *source, uint32_t calls,
                   uint32_t rate_per_s, struct edge_answer *out)
{
    char text[TARGET_NAME_MAX];
    struct plan_object o;
    struct plan_target t = {.kind = source->kind == EDGE_SOURCE_TRUNK ? PLAN_TO_TRUNK : PLAN_TO_ACCOUNT,
                            .name = source->name};
    if (source->kind != EDGE_SOURCE_TRUNK && source->kind != EDGE_SOURCE_ACCOUNT) return true;
    struct slice name = target_name(&t, text);
    if (source->kind == EDGE_SOURCE_ACCOUNT) {
        /* Who has no call is below every limit: the plan need not be asked. */
        if (usage_view(n->usage, name).live == 0) return true;
        if (plan_get(n, arena, PLAN_ACCOUNT, source->name, &o) != ERR_OK) return true;
        calls = o.account.calls;
    }
    if (calls == 0 && rate_per_s == 0) return true;
    return admit(n, arena, name, calls, rate_per_s, true, out);
}

/* Both 0: none. */
static void target_limits(struct node *n, struct arena *arena, const struct plan_target *t, uint32_t *calls,
                          uint32_t *rate_per_s)
{
    struct plan_object o;
    enum plan_kind kind = t->kind == PLAN_TO_TRUNK ? PLAN_TRUNK : PLAN_ACCOUNT;
    *calls = *rate_per_s = 0;
    if (t->kind != PLAN_TO_TRUNK && t->kind != PLAN_TO_ACCOUNT) return;
    if (plan_get(n, arena, kind, t->name, &o) != ERR_OK) return;
    *calls = kind == PLAN_TRUNK ? o.trunk.calls : o.account.calls;
    *rate_per_s = kind == PLAN_TRUNK ? o.trunk.rate_per_s : 0;
}

bool limits_named(struct node *n, struct arena *arena, const struct plan_target *t, struct edge_answer *out)
{
    char text[TARGET_NAME_MAX];
    uint32_t calls = 0;
    uint32_t rate = 0;
    target_limits(n, arena, t, &calls, &rate);
    return (calls == 0 && rate == 0) || admit(n, arena, target_name(t, text), calls, rate, false, out);
}

bool limits_have_room(struct node *n, struct arena *arena, const struct plan_target *t, struct edge_answer *out)
{
    char text[TARGET_NAME_MAX];
    uint32_t calls = 0;
    uint32_t rate = 0;
    target_limits(n, arena, t, &calls, &rate);
    return (calls == 0 && rate == 0) || look(n, arena, target_name(t, text), calls, rate, out) == USAGE_FREE;
}

void limits_left_out(struct node *n, const struct plan_target *t)
{
    char text[TARGET_NAME_MAX];
    (void)limits_admit_hook(n, target_name(t, text));
}

bool limits_admit_hook(void *ctx, struct slice target)
{
    struct node *n = ctx;
    enum usage_verdict v = usage_full(n->usage, target, loop_now(n));
    if (v == USAGE_FREE) return true;
    usage_refused(n->usage, target);
    usage_count(n->usage, v == USAGE_CALLS ? target_calls_reached : target_rate_reached);
    return false;
}
