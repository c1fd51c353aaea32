/* commands_explain: route explain: the same decision that a call would get, with the reason for every candidate. */
#include "node/app/node.h"

#include <stdio.h>

#include "proto/plan_codec.h"

static struct edge_source parse_source(struct slice text)
{
    struct slice kind;
    struct slice name = slice_cut(text, '/', &kind);
    if (name.n > 0 && slice_is(kind, "trunk")) return (struct edge_source){EDGE_SOURCE_TRUNK, name};
    if (name.n > 0 && slice_is(kind, "account")) return (struct edge_source){EDGE_SOURCE_ACCOUNT, name};
    return (struct edge_source){.kind = EDGE_SOURCE_UNKNOWN};
}

static void send_record(struct control_reply *reply, struct control_builder *b)
{
    struct control_record record;
    if (control_record_done(b, &record) == ERR_OK) control_reply_record(reply, &record);
}

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
    control_int(&b, "rule", r->decision.rule);
    control_int(&b, "targets", (int64_t)r->decision.target_count);
    if (r->decision.target_count > 0)
        control_null(&b, "code");
    else
        control_int(&b, "code", r->decision.code);
    control_text(&b, "plan_digest", slice_of(digest));
    send_record(reply, &b);
    arena_fini(&arena);
}

static const struct decided_target *placed(const struct decision *d, const struct candidate *c)
{
    return c->place > 0 && c->place <= d->target_count ? &d->targets[c->place - 1] : NULL;
}

static void send_candidate(struct node *n, struct control_reply *reply, const struct routing_result *r,
                           const struct candidate *c)
{
    struct arena arena = {0};
    struct control_builder b;
    struct buf target = {0};
    struct buf nodes = {0};
    const struct decided_target *t = placed(&r->decision, c);
    plan_target_text(&c->route.target, &target);
    for (size_t i = 0; i < c->node_count; i++) {
        buf_printf(&nodes, "%s%.*s", i > 0 ? " " : "",
                   SLICE_ARG(c->nodes[i].n > 0 ? c->nodes[i] : slice_of(n->config.node)));
    }
    control_record_start(&b, &arena, "candidate");
    if (c->place > 0)
        control_int(&b, "place", c->place);
    else
        control_null(&b, "place");
    control_text(&b, "target", buf_view(&target));
    control_text(&b, "match", c->route.match);
    control_text(&b, "scope", c->route.scope);
    control_int(&b, "priority", c->route.priority);
    control_int(&b, "weight", c->route.weight);
    control_int(&b, "specificity", c->specificity);
    control_text(&b, "node", buf_view(&nodes));
    control_text(&b, "number_sent", t != NULL ? (struct slice){t->number, t->number_len} : SLICE(""));
    control_text(&b, "why", slice_of(decide_why_name(c->why)));
    control_text(&b, "text", slice_of(decide_why_text(c->why)));
    send_record(reply, &b);
    buf_fini(&target);
    buf_fini(&nodes);
    arena_fini(&arena);
}

NODE_COMMAND(command_route_explain)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct routing_result r;
    struct slice number = control_get_text(&request->args, "number");
    struct slice from = control_get_text(&request->args, "from");
    struct edge_query q = {
        .dialled = number, .source = parse_source(from), .call_id = control_get_text(&request->args, "call_id")};
    if (from.n > 0 && q.source.kind == EDGE_SOURCE_UNKNOWN) {
        control_reply_end(reply, 1, SLICE("--from: write trunk/NAME or account/NAME"));
        return;
    }
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = routing_decide(n, &arena, &q, SLICE(""), &r);
        if (e == ERR_OK) {
            send_decision(n, reply, number, &r);
            for (size_t i = 0; i < r.candidate_count; i++)
                send_candidate(n, reply, &r, &r.candidates[i]);
        }
        node_read_end(n);
    }
    control_reply_end(reply, e == ERR_OK ? 0 : 1, e == ERR_OK ? SLICE("") : slice_of(err_name(e)));
    arena_fini(&arena);
}
