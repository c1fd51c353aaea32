/* commands_explain: route explain: the same decision that a call would get: how the number was made from what was
 * dialled, every candidate with the reason for its place, and what is done with those that this node serves. */
#include "node/app/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

static struct edge_source parse_source(struct slice text)
{
    struct slice kind;
    struct slice name = slice_cut(text, '/', &kind);
    if (name.n > 0 && slice_is(kind, "trunk")) return (struct edge_source){.kind = EDGE_SOURCE_TRUNK, .name = name};
    if (name.n > 0 && slice_is(kind, "account")) return (struct edge_source){.kind = EDGE_SOURCE_ACCOUNT, .name = name};
    return (struct edge_source){.kind = EDGE_SOURCE_UNKNOWN};
}

/* ---- order ---- */

static int compare(const void *left, const void *right)
{
    const struct candidate *a = *(const struct candidate *const *)left;
    const struct candidate *b = *(const struct candidate *const *)right;
    unsigned place_a = a->place > 0 ? a->place : UINT32_MAX;
    unsigned place_b = b->place > 0 ? b->place : UINT32_MAX;
    if (place_a != place_b) return place_a < place_b ? -1 : 1;
    if (a->specificity != b->specificity) return a->specificity > b->specificity ? -1 : 1;
    return a < b ? -1 : a > b; /* as the replica has them */
}

static const struct candidate **in_order(struct arena *arena, const struct routing_result *r)
{
    const struct candidate **list = arena_alloc(arena, r->candidate_count * sizeof *list);
    if (list == NULL) return NULL;
    for (size_t i = 0; i < r->candidate_count; i++)
        list[i] = &r->candidates[i];
    if (r->candidate_count > 1) qsort((void *)list, r->candidate_count, sizeof *list, compare);
    return list;
}

/* ---- records ---- */

/* What the caller hears when no target answers: the best of what the targets said, by RFC 3261 §16.7 item 6. */
static const char *when_all_fail(const struct routing_result *r)
{
    switch (r->decision.target_count) {
    case 0: return "";
    case 1: return "what that one answers; 408 when it says nothing, 503 when it cannot be reached";
    default: return "the best of what they answer; 408 for one that says nothing, 503 for one that cannot be reached";
    }
}

static void send_decision(struct node *n, struct control_reply *reply, const struct edge_query *q, struct slice from,
                          const struct routing_result *r)
{
    struct arena arena = {0};
    struct control_builder b;
    char digest[PLAN_DIGEST_TEXT];
    plan_digest_text(n->plan_digest, digest);
    control_record_start(&b, &arena, "decision");
    control_text(&b, "number", q->dialled);
    control_text(&b, "from", from);
    control_text(&b, "plan_number", (struct slice){r->plan_number, r->plan_number_len});
    control_text(&b, "site", r->source_site);
    control_text(&b, "node", slice_of(n->config.node));
    control_int(&b, "rule", r->decision.rule);
    control_int(&b, "targets", (int64_t)r->decision.target_count);
    if (r->decision.target_count > 0) {
        control_null(&b, "code");
    } else {
        control_int(&b, "code", r->decision.code);
    }
    control_text(&b, "if_all_fail", slice_of(when_all_fail(r)));
    control_text(&b, "plan_digest", slice_of(digest));
    if (q->plan_only) control_bool(&b, "plan_only", true);
    command_record(reply, &b);
    arena_fini(&arena);
}

/* ---- rule 1 ---- */

/* The id of the change that gave the object its present value; "" when it is no longer kept. */
static void change_fields(struct node *n, struct control_builder *b, struct slice key)
{
    struct slice packed = SLICE_NONE;
    struct stamp stamp;
    struct log_id id;
    char text[CHANGE_ID_TEXT] = "";
    if (store_object(n->read, key, &packed, &stamp) != ERR_OK) return;
    if (store_change_at(n->read, &stamp, &id) == ERR_OK) change_id_text(&id, text);
    control_text(b, "change", slice_of(text));
    command_time(b, "changed", (struct wall){(int64_t)(stamp.time.v >> 16)});
    control_text(b, "changed_at_node", node_name_slice(&stamp.origin));
}

static void send_rewrite(struct node *n, struct control_reply *reply, struct slice object, size_t index,
                         const struct plan_rule *rule, struct slice before, struct slice after)
{
    struct arena arena = {0};
    struct control_builder b;
    bool dial = slice_starts(object, SLICE("site/"));
    control_record_start(&b, &arena, "rewrite");
    control_text(&b, "object", object);
    control_printf(&b, "rule", "%s %zu", dial ? "dial" : "in", index + 1);
    control_text(&b, "match", rule->match);
    control_int(&b, "strip", rule->strip);
    control_text(&b, "prepend", rule->prepend);
    control_text(&b, "before", before);
    control_text(&b, "after", after);
    change_fields(n, &b, object);
    command_record(reply, &b);
    arena_fini(&arena);
}

/* The rules that made the plan number, each with the number before and after it. Between read begin and end. */
static enum err send_rewrites(struct node *n, struct control_reply *reply, struct arena *arena,
                              const struct edge_query *q, const struct routing_result *r)
{
    struct plan_object trunk;
    struct plan_object site;
    char text[LIMIT_NUMBER + 1];
    size_t len = 0;
    if (r->matched_in < 0 && r->matched_dial < 0) return ERR_OK;
    enum err e = number_normalise(q->dialled, text, &len);
    struct slice before = {text, len};
    struct slice after = {r->plan_number, r->plan_number_len};
    if (e == ERR_OK && r->matched_in >= 0 && plan_get(n, arena, PLAN_TRUNK, q->source.name, &trunk) == ERR_OK) {
        char mid[LIMIT_NUMBER + 1];
        const struct plan_rule *rule = &trunk.trunk.in[r->matched_in];
        e = number_rewrite(before, rule->strip, rule->prepend, mid, &len);
        if (e != ERR_OK) return e;
        struct slice object = slice_of(arena_printf(arena, "trunk/%.*s", SLICE_ARG(trunk.trunk.name)));
        send_rewrite(n, reply, object, (size_t)r->matched_in, rule, before, (struct slice){mid, len});
        memcpy(text, mid, len);
        before.n = len;
    }
    if (e == ERR_OK && r->matched_dial >= 0 && plan_get(n, arena, PLAN_SITE, r->source_site, &site) == ERR_OK) {
        struct slice object = slice_of(arena_printf(arena, "site/%.*s", SLICE_ARG(site.site.name)));
        send_rewrite(n, reply, object, (size_t)r->matched_dial, &site.site.dial[r->matched_dial], before, after);
    }
    return e;
}

/* ---- candidates ---- */

/* What the target is sent: of a trunk, after its own out rules. */
static struct slice number_sent(struct node *n, struct arena *arena, const struct routing_result *r,
                                const struct candidate *c)
{
    struct plan_object o;
    const struct decision *d = &r->decision;
    for (size_t i = 0; i < d->target_count; i++) {
        if (d->targets[i].from != c) continue;
        struct slice number = routing_number(&d->targets[i]);
        bool trunk =
            c->route.target.kind == PLAN_TO_TRUNK && plan_get(n, arena, PLAN_TRUNK, c->route.target.name, &o) == ERR_OK;
        return trunk ? hops_trunk_number(arena, &o.trunk, number) : number;
    }
    return SLICE("");
}

/* By which change, when and where the object behind the candidate was last written. */
static void changed_fields(struct node *n, struct control_builder *b, const struct candidate *c)
{
    struct plan_object o;
    char key[PLAN_KEY_MAX];
    plan_object_init(&o, c->from_account ? PLAN_ACCOUNT : PLAN_ROUTE);
    if (c->from_account) {
        o.account.name = c->route.target.name;
    } else {
        o.route = c->route;
    }
    size_t key_len = plan_object_key_text(&o, key);
    control_text(b, "object", (struct slice){key, key_len});
    change_fields(n, b, (struct slice){key, key_len});
}

/* The answers upon which the next target is tried. */
static void failover_field(struct control_builder *b, const struct candidate *c)
{
    struct buf codes = {0};
    for (unsigned code = 400; code < 600; code++) {
        if (decide_failover(&c->route, code)) buf_printf(&codes, "%s%u", codes.n > 0 ? " " : "", code);
    }
    control_text(b, "failover", buf_view(&codes));
    buf_fini(&codes);
}

/* A node that registered the account and is dead may be back sooner than we know, so it is tried, and last. */
static void why_fields(const struct node *n, struct control_builder *b, const struct candidate *c)
{
    struct buf stale = {0};
    for (size_t i = c->fresh_count; i < c->node_count; i++) {
        buf_printf(&stale, "%s%.*s", i > c->fresh_count ? ", " : "",
                   SLICE_ARG(c->nodes[i].n > 0 ? c->nodes[i] : slice_of(n->config.node)));
    }
    bool mark = c->why == WHY_CHOSEN && c->stale;
    control_text(b, "why", mark ? SLICE("stale") : slice_of(decide_why_name(c->why)));
    if (c->why == WHY_CHOSEN && stale.n > 0) {
        control_printf(b, "text", "among the targets; stale at %.*s: tried last", SLICE_ARG(buf_view(&stale)));
    } else if (c->why == WHY_DOWN) {
        char since[WALL_TEXT_SIZE];
        bool known = c->down_since.ms != 0;
        control_printf(b, "text", "%s: %.*s%s%s", decide_why_text(c->why), SLICE_ARG(c->down_reason),
                       known ? ", since " : "", known ? wall_text(c->down_since, since) : "");
        command_time(b, "since", c->down_since);
        control_text(b, "reason", c->down_reason);
    } else if (c->why == WHY_RESTING) {
        char until[WALL_TEXT_SIZE];
        control_printf(b, "text", "%s: %.*s, until %s", decide_why_text(c->why), SLICE_ARG(c->down_reason),
                       wall_text(c->rests_until, until));
        command_time(b, "until", c->rests_until);
        control_text(b, "reason", c->down_reason);
    } else {
        control_text(b, "text", slice_of(decide_why_text(c->why)));
    }
    control_text(b, "stale_nodes", buf_view(&stale));
    buf_fini(&stale);
}

/* What its node is asked for: the number before the trunk's own rules. */
static void number_fields(struct node *n, struct arena *arena, struct control_builder *b,
                          const struct routing_result *r, const struct candidate *c)
{
    struct slice number = SLICE("");
    for (size_t i = 0; i < r->decision.target_count; i++)
        if (r->decision.targets[i].from == c) number = routing_number(&r->decision.targets[i]);
    control_text(b, "number", number);
    control_text(b, "number_sent", number_sent(n, arena, r, c));
    control_bool(b, "number_in_contact", c->route.target.kind == PLAN_TO_ACCOUNT && !routing_is_named(c));
}

static void send_candidate(struct node *n, struct control_reply *reply, const char *kind,
                           const struct routing_result *r, const struct candidate *c)
{
    struct arena arena = {0};
    struct control_builder b;
    struct buf target = {0};
    struct buf nodes = {0};
    plan_target_text(&c->route.target, &target);
    for (size_t i = 0; i < c->node_count; i++) {
        buf_printf(&nodes, "%s%.*s", i > 0 ? " " : "",
                   SLICE_ARG(c->nodes[i].n > 0 ? c->nodes[i] : slice_of(n->config.node)));
    }
    control_record_start(&b, &arena, kind);
    control_text(&b, "decided_at", slice_of(n->config.node));
    if (c->place > 0) {
        control_int(&b, "place", c->place);
    } else {
        control_null(&b, "place");
    }
    control_text(&b, "target", buf_view(&target));
    control_text(&b, "match", c->route.match);
    control_text(&b, "scope", c->route.scope);
    control_int(&b, "priority", c->route.priority);
    control_int(&b, "weight", c->route.weight);
    control_int(&b, "specificity", c->specificity);
    control_text(&b, "node", buf_view(&nodes));
    control_bool(&b, "stale", c->stale);
    number_fields(n, &arena, &b, r, c);
    failover_field(&b, c);
    why_fields(n, &b, c);
    changed_fields(n, &b, c);
    command_record(reply, &b);
    buf_fini(&target);
    buf_fini(&nodes);
    arena_fini(&arena);
}

enum err explain_candidates(struct node *n, struct control_reply *reply, struct arena *arena, const char *kind,
                            const struct routing_result *r)
{
    const struct candidate **list = in_order(arena, r);
    if (list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < r->candidate_count; i++)
        send_candidate(n, reply, kind, r, list[i]);
    return ERR_OK;
}

/* ---- the command ---- */

static bool is_served_here(const struct candidate *c)
{
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].n == 0) return true;
    return false;
}

/* Between read begin and end. */
static enum err explain(struct node *n, struct control_reply *reply, struct arena *arena, const struct edge_query *q,
                        struct slice from)
{
    struct routing_result r;
    enum err e = routing_decide(n, arena, q, &r);
    if (e != ERR_OK) return e;
    send_decision(n, reply, q, from, &r);
    e = send_rewrites(n, reply, arena, q, &r);
    if (e == ERR_OK) e = explain_candidates(n, reply, arena, "candidate", &r);
    for (size_t i = 0; e == ERR_OK && i < r.decision.target_count; i++)
        if (is_served_here(r.decision.targets[i].from)) hop_own(n, reply, arena, &r.decision.targets[i]);
    return e;
}

/* Whether a call could come from there. */
static bool source_exists(struct node *n, struct arena *arena, const struct edge_source *s)
{
    struct plan_object o;
    switch (s->kind) {
    case EDGE_SOURCE_TRUNK: return plan_get(n, arena, PLAN_TRUNK, s->name, &o) == ERR_OK;
    case EDGE_SOURCE_ACCOUNT: return plan_get(n, arena, PLAN_ACCOUNT, s->name, &o) == ERR_OK;
    case EDGE_SOURCE_UNKNOWN:
    case EDGE_SOURCE_MEMBER: break;
    }
    return true;
}

NODE_COMMAND(command_route_explain)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct slice from = control_get_text(&request->args, "from");
    struct slice at = control_get_text(&request->args, "at");
    struct edge_query q = {.dialled = control_get_text(&request->args, "number"),
                           .source = parse_source(from),
                           .call_id = control_get_text(&request->args, "call_id"),
                           .plan_only = control_get_int(&request->args, "plan_only", 0) != 0};
    q.call = !q.plan_only;
    if (control_get_text(&request->args, "named").n > 0) {
        hop_answer(n, request, reply);
        return;
    }
    if (from.n > 0 && q.source.kind == EDGE_SOURCE_UNKNOWN) {
        control_reply_end(reply, 1, SLICE("--from: write trunk/NAME or account/NAME"));
        return;
    }
    if (at.n > 0 && !slice_is(at, n->config.node)) { /* clusterctl asks that node itself */
        control_reply_end(reply, 2, SLICE("--at: this is another node; ask that one, with --node"));
        return;
    }
    enum err e = node_read_begin(n);
    if (e != ERR_OK) {
        command_end(reply, e);
        return;
    }
    bool known = source_exists(n, &arena, &q.source);
    if (known) e = explain(n, reply, &arena, &q, from);
    node_read_end(n);
    if (known) {
        command_end(reply, e);
    } else {
        control_reply_end(reply, 1, SLICE("--from: the plan has no such trunk or account"));
    }
    arena_fini(&arena);
}
