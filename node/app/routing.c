/* routing: the edge's question "where does this go" answered from the replica.
 *
 * It gathers what the replica holds for a number and what is observed of each target, lets plan_decide decide, and
 * turns the decision into targets (hops.c knows the ways to them). "route explain" reads the same struct
 * routing_result. It decides nothing itself. */
#include <stdio.h>

#include "node/app/local_time.h"
#include "node/app/registered.h"
#include "node/app/trace.h"
#include "node/plan/pattern.h"
#include "proto/plan_codec.h"

#define CANDIDATES_MAX 96 /* room for a number that matches more than ROUTING_USUAL */
#define NAMED_SPECIFICITY (LIMIT_NUMBER + 2)

/* ---- which nodes serve a site: "" is this one ---- */

/* In the order in which they are tried. Who is last when there are too many is left out. */
enum rank { RANK_SELF, RANK_ALIVE, RANK_SUSPECT, RANK_COUNT };

struct offers {
    struct slice names[RANK_COUNT][DECIDE_NODE_MAX];
    size_t counts[RANK_COUNT];
    bool drained; /* a node could serve it, and is drained */
};

static void offer(struct offers *o, enum rank rank, struct slice name)
{
    for (size_t i = 0; i < o->counts[rank]; i++) {
        if (slice_eq(o->names[rank][i], name)) return;
    }
    if (o->counts[rank] < DECIDE_NODE_MAX) o->names[rank][o->counts[rank]++] = name;
}

static void take_offers(struct candidate *c, const struct offers *o)
{
    for (enum rank rank = RANK_SELF; rank < RANK_COUNT; rank++) {
        for (size_t i = 0; i < o->counts[rank] && c->node_count < DECIDE_NODE_MAX; i++) {
            c->nodes[c->node_count++] = o->names[rank][i];
        }
    }
    c->fresh_count = c->node_count;
}

static enum target_health health_of(const struct candidate *c, const struct offers *o, enum target_health none)
{
    if (c->node_count > 0) return TARGET_UP;
    return o->drained ? TARGET_DRAINED : none;
}

static void offer_self(const struct node *n, struct offers *o)
{
    if (n->drained) {
        o->drained = true;
    } else {
        offer(o, RANK_SELF, SLICE(""));
    }
}

/* Nodes of a site that may be there: a suspect may only be slow. */
static enum err site_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice site)
{
    struct offers o = {.counts = {0}};
    if (slice_is(site, n->config.site)) offer_self(n, &o);
    for (size_t i = 1; n->repl != NULL && i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if ((m.status != MEMBER_ALIVE && m.status != MEMBER_SUSPECT) || !slice_eq(m.site, site)) continue;
        if (node_is_drained(n, &m.name)) {
            o.drained = true;
            continue;
        }
        struct slice name = arena_copy(arena, node_name_slice(&m.name));
        if (name.p == NULL) return ERR_NOMEM;
        offer(&o, m.status == MEMBER_ALIVE ? RANK_ALIVE : RANK_SUSPECT, name);
    }
    take_offers(c, &o);
    c->health = health_of(c, &o, TARGET_NODE_GONE);
    return ERR_OK;
}

/* Nodes at which the trunk is down are left out; when it is down at all of them, so is the target. */
static void leave_out_down(struct node *n, struct arena *arena, struct candidate *c, const struct plan_trunk *t)
{
    size_t kept = 0;
    size_t fresh = 0;
    struct slice up[DECIDE_NODE_MAX];
    for (size_t i = 0; i < c->node_count; i++) {
        if (trunks_down_at(n, arena, t, c->nodes[i], &c->down_since, &c->down_reason)) continue;
        up[kept++] = c->nodes[i];
        if (i < c->fresh_count) fresh = kept;
    }
    if (kept == c->node_count) return;
    if (kept == 0) {
        c->health = TARGET_DOWN;
        return;
    }
    memcpy(c->nodes, up, kept * sizeof up[0]);
    c->node_count = kept;
    c->fresh_count = fresh;
}

/* Another node of the site would only ask the same address again. */
static void leave_alone(struct node *n, struct arena *arena, struct candidate *c, const struct plan_trunk *t)
{
    bool here = c->node_count > 0 && c->nodes[0].n == 0 && c->health == TARGET_UP;
    if (here && trunks_rest(n, arena, t, &c->rests_until, &c->down_reason)) c->health = TARGET_RESTING;
}

/* What the plan says of an account; of one whose number led here the index told it. */
static enum err read_account(struct node *n, struct arena *arena, struct candidate *c)
{
    struct plan_account_brief account;
    enum err e = plan_account_brief(n, c->route.target.name, &account);
    if (e != ERR_OK) return e;
    c->target_disabled = account.disabled;
    c->target_calls = account.calls;
    c->target_site = account.site.n > 0 ? arena_copy(arena, account.site) : SLICE("");
    return c->target_site.p != NULL ? ERR_OK : ERR_NOMEM;
}

/* What is known of the candidate's target. One that is not in the plan stays TARGET_UNKNOWN. */
static enum err observe(struct node *n, struct arena *arena, const struct edge_query *q, struct candidate *c)
{
    struct plan_object o;
    struct slice name = c->route.target.name;
    enum err e = ERR_OK;
    c->health = TARGET_UNKNOWN;
    switch (c->route.target.kind) {
    case PLAN_TO_REJECT: c->health = TARGET_UP; return ERR_OK;
    case PLAN_TO_SITE: c->target_site = name; return site_nodes(n, arena, c, name);
    case PLAN_TO_TRUNK:
        e = plan_get(n, arena, PLAN_TRUNK, name, &o);
        if (e != ERR_OK) break;
        c->target_disabled = o.trunk.disabled;
        c->target_site = o.trunk.site;
        e = site_nodes(n, arena, c, o.trunk.site);
        if (e == ERR_OK) leave_out_down(n, arena, c, &o.trunk);
        if (e == ERR_OK) leave_alone(n, arena, c, &o.trunk);
        if (e == ERR_OK && q->call) limits_candidate(n, c, o.trunk.calls, o.trunk.rate_per_s);
        return e;
    case PLAN_TO_ACCOUNT:
        if (!c->target_read) e = read_account(n, arena, c);
        if (e != ERR_OK) break;
        e = registered_nodes(n, arena, c, name, q->device);
        if (e == ERR_OK && q->call) limits_candidate(n, c, c->target_calls, 0);
        return e;
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* As if it were up wherever it is served. What the plan itself does not have, or has disabled, stays so. */
static void suppose_up(struct candidate *c)
{
    if (c->health != TARGET_UNKNOWN) c->health = TARGET_UP;
    c->node_count = c->fresh_count = 0;
    c->stale = false;
}

/* ---- gathering ---- */

bool routing_is_named(const struct candidate *c)
{
    return c->from_account && c->specificity == NAMED_SPECIFICITY;
}

struct slice routing_number(const struct decided_target *t)
{
    return routing_is_named(t->from) ? t->from->route.target.name : (struct slice){t->number, t->number_len};
}

/* Rule 2: the account whose name is the number. */
static enum err add_named(struct node *n, struct arena *arena, struct slice name, struct routing_result *out)
{
    struct plan_object o;
    if (out->normalised && !store_name_possible(n->read, name.n)) return ERR_OK;
    enum err e = plan_get(n, arena, PLAN_ACCOUNT, name, &o);
    if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_OK : e;
    struct candidate *c = &out->candidates[out->candidate_count++];
    *c = (struct candidate){.specificity = NAMED_SPECIFICITY, .from_account = true};
    c->route.match = o.account.name;
    c->route.target = (struct plan_target){.kind = PLAN_TO_ACCOUNT, .name = o.account.name};
    c->route.weight = PLAN_WEIGHT_DEFAULT;
    return ERR_OK;
}

static enum err gather(struct node *n, struct arena *arena, struct slice number, size_t cap, struct routing_result *out,
                       bool *more)
{
    size_t matched = 0;
    *more = false;
    out->candidate_count = 0;
    out->candidates = cap <= ROUTING_USUAL ? out->usual : arena_alloc(arena, (cap + 1) * sizeof *out->candidates);
    if (out->candidates == NULL) return ERR_NOMEM;
    enum err e = add_named(n, arena, number, out);
    if (e != ERR_OK || !out->normalised) return e;
    e = store_match(n->read, arena, number, out->candidates + out->candidate_count, cap, &matched, more);
    out->candidate_count += matched;
    return e;
}

static enum err normalise(struct node *n, struct arena *arena, const struct edge_query *q, struct routing_result *out)
{
    struct plan_object trunk;
    struct plan_object site;
    struct plan_trunk no_trunk = {.in_count = 0};
    const struct plan_trunk *source = &no_trunk;
    struct plan_site no_site = {.dial_count = 0};
    out->source_site = slice_of(n->config.site);
    if (q->named_target.n > 0) { /* a plan number already */
        out->normalised = number_normalise(q->dialled, out->plan_number, &out->plan_number_len) == ERR_OK;
        return ERR_OK;
    }
    if (q->source.kind == EDGE_SOURCE_TRUNK && plan_get(n, arena, PLAN_TRUNK, q->source.name, &trunk) == ERR_OK) {
        source = &trunk.trunk;
        out->source_site = trunk.trunk.site;
        out->source_calls = trunk.trunk.calls;
        out->source_rate_per_s = trunk.trunk.rate_per_s;
    }
    if (q->device != NULL) return ERR_OK; /* no rule is meant for the account's own name */
    enum err e = plan_get(n, arena, PLAN_SITE, out->source_site, &site);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    const struct plan_site *dial = e == ERR_OK ? &site.site : &no_site;
    e = decide_normalise(q->dialled, source->in, source->in_count, dial->dial, dial->dial_count, out->plan_number,
                         &out->plan_number_len, &out->matched_in, &out->matched_dial);
    out->normalised = e == ERR_OK;
    if (!out->normalised) out->plan_number_len = 0;
    return ERR_OK;
}

/* ---- the decision ---- */

/* kind "/" name; {NULL, 0}: no memory. */
static struct slice object_text(struct arena *arena, struct slice kind, struct slice name)
{
    char *text = arena_alloc(arena, kind.n + 1 + name.n);
    if (text == NULL) return SLICE_NONE;
    memcpy(text, kind.p, kind.n);
    text[kind.n] = '/';
    if (name.n > 0) memcpy(text + kind.n + 1, name.p, name.n);
    return (struct slice){text, kind.n + 1 + name.n};
}

static struct slice source_text(struct arena *arena, const struct edge_source *s)
{
    if (s->kind == EDGE_SOURCE_TRUNK) return object_text(arena, SLICE("trunk"), s->name);
    if (s->kind == EDGE_SOURCE_ACCOUNT) return object_text(arena, SLICE("account"), s->name);
    return SLICE("");
}

/* plan_decide knows numbers only. An account's name that is none ("alice") has one candidate, the account itself, and
 * is decided under a number that stands for it; routing_number gives the name back. */
static const struct slice stand_in = {"0", 1};

static void decide(struct node *n, struct arena *arena, const struct edge_query *q, struct routing_result *out)
{
    struct slice number = {out->plan_number, out->plan_number_len};
    struct decide_input input = {
        .number = out->normalised ? number : stand_in,
        .site = slice_of(n->config.site),
        .source_site = out->source_site,
        /* one device of an account may call another */
        .source = q->device != NULL ? SLICE("") : source_text(arena, &q->source),
        .call_id = q->call_id,
        .now = local_time_of(node_wall()),
        .candidates = out->candidates,
        .candidate_count = out->candidate_count,
    };
    plan_decide(&input, &out->decision);
    if (!out->normalised && out->decision.rule == 3) out->decision.rule = 2;
}

enum err routing_decide(struct node *n, struct arena *arena, const struct edge_query *q, struct routing_result *out)
{
    bool more = false;
    /* Field by field: the rooms for candidates and targets are large, and their counts say how much of them is set. */
    out->candidates = out->usual;
    out->candidate_count = out->plan_number_len = out->decision.target_count = 0;
    out->normalised = false;
    out->matched_in = out->matched_dial = -1;
    out->source_site = SLICE_NONE;
    out->decision.code = 0;
    out->decision.rule = 0;
    enum err e = normalise(n, arena, q, out);
    if (e != ERR_OK) return e;
    struct slice number = out->normalised ? (struct slice){out->plan_number, out->plan_number_len} : q->dialled;
    /* Of what a rule was meant for, and makes no number, there is no candidate: as it was dialled it is none either. */
    bool none = !out->normalised && (out->matched_in >= 0 || out->matched_dial >= 0);
    if (!none) e = gather(n, arena, number, ROUTING_USUAL, out, &more);
    if (e == ERR_OK && more) e = gather(n, arena, number, CANDIDATES_MAX, out, &more);
    for (size_t i = 0; e == ERR_OK && i < out->candidate_count; i++)
        e = observe(n, arena, q, &out->candidates[i]);
    for (size_t i = 0; e == ERR_OK && q->plan_only && i < out->candidate_count; i++)
        suppose_up(&out->candidates[i]);
    if (e == ERR_OK) decide(n, arena, q, out);
    return e;
}

/* ---- from the decision to the edge's targets ---- */

/* Whom a decision is turned into targets for. */
struct asked {
    bool local_only; /* the call crossed the mesh already, and goes to targets of this node */
    const struct edge_device *device;
};

/* Another node is told the device as we were. */
static void name_device(struct arena *arena, const struct edge_device *device, struct edge_target *t)
{
    struct edge_hop *hops = arena_alloc(arena, t->hop_count * sizeof *hops);
    t->one_device = true;
    if (hops == NULL) t->hop_count = 0;
    for (size_t i = 0; i < t->hop_count; i++) {
        hops[i] = t->hops[i];
        hops[i].request_uri = device->uri;
    }
    t->hops = hops;
}

/* One way to a target: served here (node "") or by a member. Nothing is added when there is none. */
static void add_target(struct node *n, struct arena *arena, const struct asked *asked, struct edge_answer *out,
                       struct edge_target *targets, const struct edge_target *wanted)
{
    struct edge_target *t = &targets[out->target_count];
    const struct plan_target *to = &wanted->route.target;
    if (to->kind == PLAN_TO_REJECT) return;
    *t = *wanted;
    t->text = object_text(arena, slice_of(plan_target_kind_name(to->kind)), to->name);
    if (t->text.p == NULL) return;
    enum err e = t->node.n > 0 ? hops_member(n, arena, t, t->node) : hops_own(n, arena, t, asked->device);
    if (e == ERR_OK && t->node.n > 0 && asked->device != NULL) name_device(arena, asked->device, t);
    if (e == ERR_OK && t->hop_count > 0) out->target_count++;
}

/* The ways to one target: the stale ones of its nodes, or the others. */
static void add_ways(struct node *n, struct arena *arena, const struct decided_target *d, bool stale,
                     const struct asked *asked, struct edge_answer *out, struct edge_target *targets)
{
    const struct candidate *c = d->from;
    struct edge_target t = {.route = c->route, .number = arena_copy(arena, routing_number(d))};
    t.number_in_contact = c->route.target.kind == PLAN_TO_ACCOUNT && !routing_is_named(c);
    size_t from = stale ? c->fresh_count : 0;
    size_t to = stale ? c->node_count : c->fresh_count;
    for (size_t k = from; k < to && t.number.p != NULL; k++) {
        t.node = c->nodes[k];
        if (asked->local_only && t.node.n > 0) continue;
        add_target(n, arena, asked, out, targets, &t);
    }
}

/* RFC 5627 §5.1, §6.1: a device that is away is known; a temporary address of one is not, from then on. */
static void without_device(const struct edge_device *device, struct edge_answer *out)
{
    if (out->target_count > 0 || out->code != 480) return;
    if (device->temporary) out->code = 404;
    out->reason = device->temporary ? SLICE("the temporary address of a device that has ended its registration")
                                    : SLICE("the device is not registered");
}

/* 503 where somebody can be reached again soon: why not now, and when. */
static void say_soon(const struct routing_result *r, struct edge_answer *out)
{
    for (size_t i = 0; i < r->candidate_count; i++) {
        const struct candidate *c = &r->candidates[i];
        if (c->why != WHY_LIMIT && c->why != WHY_RESTING) continue;
        unsigned s = c->why == WHY_LIMIT ? LIMITS_RETRY_S : trunks_rest_left_s(c->rests_until);
        if (out->retry_after_s > 0 && out->retry_after_s <= s) continue;
        out->retry_after_s = s;
        out->reason = c->why == WHY_LIMIT ? SLICE("every target has reached its limit")
                                          : SLICE("every target has asked to be left alone for a while");
    }
}

/* Stale ways come after all others, also those of a target that has others. */
static void answer_decision(struct node *n, struct arena *arena, const struct routing_result *r,
                            const struct asked *asked, struct edge_answer *out)
{
    const struct decision *d = &r->decision;
    size_t ways = 0;
    for (size_t i = 0; i < d->target_count; i++)
        ways += d->targets[i].from->node_count;
    struct edge_target *targets = arena_alloc(arena, ways * sizeof *targets);
    if (targets == NULL) return;
    out->targets = targets;
    out->rule = d->rule;
    out->code = d->target_count > 0 ? 480 : d->code;
    if (out->code == 503) say_soon(r, out);
    for (size_t i = 0; i < r->candidate_count; i++)
        if (r->candidates[i].why == WHY_LIMIT) limits_left_out(n, &r->candidates[i].route.target);
    for (size_t i = 0; i < d->target_count; i++)
        add_ways(n, arena, &d->targets[i], false, asked, out, targets);
    for (size_t i = 0; i < d->target_count; i++)
        add_ways(n, arena, &d->targets[i], true, asked, out, targets);
    if (out->target_count == 0 && d->target_count > 0) out->reason = SLICE("no way to the target at present");
    if (asked->device != NULL) without_device(asked->device, out);
}

void routing_own(struct node *n, struct arena *arena, const struct decided_target *d, struct edge_answer *out)
{
    struct edge_target *targets = arena_alloc(arena, d->from->node_count * sizeof *targets);
    const struct asked asked = {.local_only = true};
    *out = (struct edge_answer){.code = 480, .targets = targets};
    if (targets == NULL) return;
    add_ways(n, arena, d, false, &asked, out, targets);
    add_ways(n, arena, d, true, &asked, out, targets);
}

/* Whether a target that another node named is ours to serve. */
static bool is_ours(struct node *n, struct arena *arena, const struct plan_target *t)
{
    struct plan_object o;
    switch (t->kind) {
    case PLAN_TO_TRUNK:
        return plan_get(n, arena, PLAN_TRUNK, t->name, &o) == ERR_OK && !o.trunk.disabled &&
               slice_is(o.trunk.site, n->config.site);
    case PLAN_TO_ACCOUNT: return plan_get(n, arena, PLAN_ACCOUNT, t->name, &o) == ERR_OK && !o.account.disabled;
    case PLAN_TO_SITE: return slice_is(t->name, n->config.site);
    case PLAN_TO_REJECT: break;
    }
    return false;
}

/* Whether a target of ours that another node named can be served just now; why not is said in out. The first node may
 * have heard of it a moment too late, or not at all, and is told at once instead of by a timeout. */
static bool named_up(struct node *n, struct arena *arena, const struct plan_target *t, struct edge_answer *out)
{
    struct plan_object o;
    struct wall at;
    struct slice reason = SLICE("");
    const char *what = "is down";
    if (t->kind != PLAN_TO_TRUNK || plan_get(n, arena, PLAN_TRUNK, t->name, &o) != ERR_OK) return true;
    if (!trunks_down_at(n, arena, &o.trunk, SLICE(""), &at, &reason)) {
        if (!trunks_rest(n, arena, &o.trunk, &at, &reason)) return true;
        what = "has asked to be left alone";
        out->retry_after_s = trunks_rest_left_s(at);
    }
    out->code = 503;
    out->reason = slice_of(arena_printf(arena, "the named trunk %s: %.*s", what, SLICE_ARG(reason)));
    return false;
}

/* Whether a member, known by its certificate, is none any more. */
static bool is_gone(const struct node *n, struct slice member)
{
    struct node_name name;
    if (member.n == 0 || node_name_set(&name, member) != ERR_OK) return false;
    enum member_status s = repl_member_status(n->repl, &name);
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}

/* A call that crossed the mesh: the target that the first node named, and only if it is ours. A site leaves the choice
 * among our own targets to us. */
void routing_named(struct node *n, struct arena *arena, const struct edge_query *q, struct edge_answer *out)
{
    struct routing_result r;
    struct edge_target t = {.number = q->dialled, .number_in_contact = q->number_in_contact};
    const struct asked asked = {.local_only = true, .device = q->device};
    *out = (struct edge_answer){.code = 480};
    if (is_gone(n, q->source.name)) {
        out->code = 403;
        out->reason = SLICE("the sender has left the cluster or was evicted");
    } else if (plan_target_parse(q->named_target, &t.route.target, NULL) != ERR_OK) {
        out->reason = SLICE("the named target does not parse");
    } else if (!is_ours(n, arena, &t.route.target)) {
        out->reason = SLICE("the named target is not at this node");
    } else if (!named_up(n, arena, &t.route.target, out)) {
        return;
    } else if (q->call && !limits_named(n, arena, &t.route.target, out)) {
        return;
    } else if (t.route.target.kind == PLAN_TO_SITE) {
        if (routing_decide(n, arena, q, &r) == ERR_OK) {
            answer_decision(n, arena, &r, &asked, out);
            if (q->call) out->trace = trace_pack(n, arena, &r);
        }
    } else {
        struct edge_target *targets = arena_alloc(arena, sizeof *targets);
        if (targets == NULL) return;
        out->targets = targets;
        add_target(n, arena, &asked, out, targets, &t);
        if (out->target_count == 0) out->reason = SLICE("no way to the named target at present");
        if (q->device != NULL) without_device(q->device, out);
    }
}

void routing_hook(void *ctx, struct arena *arena, const struct edge_query *q, struct edge_answer *out)
{
    struct node *n = ctx;
    struct routing_result r;
    *out = (struct edge_answer){.code = 500};
    if (node_read_begin(n) != ERR_OK) return;
    if (q->named_target.n > 0) {
        routing_named(n, arena, q, out);
        if (q->call && out->trace.n == 0)
            out->trace =
                trace_pack_named(arena, q->source.name, q->named_target, out->target_count > 0 ? 0 : out->code);
    } else if (routing_decide(n, arena, q, &r) == ERR_OK) {
        bool admitted = !q->call || limits_source(n, arena, &q->source, r.source_calls, r.source_rate_per_s, out);
        const struct asked asked = {.local_only = false, .device = q->device};
        if (admitted) answer_decision(n, arena, &r, &asked, out);
        if (q->call) out->trace = trace_pack(n, arena, &r);
    }
    node_read_end(n);
}
