/* commands_explain: route explain: the same decision that a call would get, with the reason for every candidate: those
 * that are tried in their order, then the others, longest match first. */
#include "node/app/node.h"

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

static void send_decision(struct node *n, struct control_reply *reply, struct slice number,
                          const struct routing_result *r)
{
    struct arena arena = {0};
    struct control_builder b;
    char digest[PLAN_DIGEST_TEXT];
    plan_digest_text(n->plan_digest, digest);
    control_record_start(&b, &arena, "decision");
    control_text(&b, "number", number);
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
    control_text(&b, "plan_digest", slice_of(digest));
    command_record(reply, &b);
    arena_fini(&arena);
}

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

/* When and where the object behind the candidate was last written. */
static void changed_fields(struct node *n, struct control_builder *b, const struct candidate *c)
{
    struct plan_object o;
    char key[PLAN_KEY_MAX];
    struct slice packed = SLICE_NONE;
    struct stamp stamp;
    plan_object_init(&o, c->from_account ? PLAN_ACCOUNT : PLAN_ROUTE);
    if (c->from_account) {
        o.account.name = c->route.target.name;
    } else {
        o.route = c->route;
    }
    size_t key_len = plan_object_key_text(&o, key);
    if (store_object(n->read, (struct slice){key, key_len}, &packed, &stamp) != ERR_OK) return;
    command_time(b, "changed", (struct wall){(int64_t)(stamp.time.v >> 16)});
    control_text(b, "changed_at_node", node_name_slice(&stamp.origin));
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
        control_printf(b, "text", "%s: %.*s, since %s", decide_why_text(c->why), SLICE_ARG(c->down_reason),
                       wall_text(c->down_since, since));
        command_time(b, "since", c->down_since);
        control_text(b, "reason", c->down_reason);
    } else {
        control_text(b, "text", slice_of(decide_why_text(c->why)));
    }
    control_text(b, "stale_nodes", buf_view(&stale));
    buf_fini(&stale);
}

static void send_candidate(struct node *n, struct control_reply *reply, const struct routing_result *r,
                           const struct candidate *c)
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
    control_record_start(&b, &arena, "candidate");
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
    control_text(&b, "number_sent", number_sent(n, &arena, r, c));
    why_fields(n, &b, c);
    changed_fields(n, &b, c);
    command_record(reply, &b);
    buf_fini(&target);
    buf_fini(&nodes);
    arena_fini(&arena);
}

/* ---- the command ---- */

/* Between read begin and end. */
static enum err explain(struct node *n, struct control_reply *reply, struct arena *arena, const struct edge_query *q)
{
    struct routing_result r;
    enum err e = routing_decide(n, arena, q, &r);
    const struct candidate **list = e == ERR_OK ? in_order(arena, &r) : NULL;
    if (list == NULL) return e != ERR_OK ? e : ERR_NOMEM;
    send_decision(n, reply, q->dialled, &r);
    for (size_t i = 0; i < r.candidate_count; i++)
        send_candidate(n, reply, &r, list[i]);
    return ERR_OK;
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
                           .call = true};
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
    if (known) e = explain(n, reply, &arena, &q);
    node_read_end(n);
    if (known) {
        command_end(reply, e);
    } else {
        control_reply_end(reply, 1, SLICE("--from: the plan has no such trunk or account"));
    }
    arena_fini(&arena);
}
