/* commands_hop: the second half of route explain: what the node that serves a target does with a call for it. That node
 * alone knows its registrations, its limits and how it reaches its trunks, so it is asked, as the call itself would ask
 * it: with the target that the first node has named. */
#include "node/app/explain.h"

struct hop {
    struct slice target;
    struct slice number; /* what the first node sends */
    int64_t place;       /* of the target in the decision */
    const struct edge_answer *answer;
    bool drained;
};

/* "udp:10.1.0.20:5060" */
static void way_text(const struct edge_hop *h, struct buf *out)
{
    bool v6 = memchr(h->host.p, ':', h->host.n) != NULL;
    if (h->received.n > 0) {
        buf_slice(out, h->received);
        return;
    }
    buf_printf(out, v6 ? "%s:[%.*s]" : "%s:%.*s", plan_transport_name(h->transport), SLICE_ARG(h->host));
    if (h->port != 0) buf_printf(out, ":%u", (unsigned)h->port);
}

static void ways_fields(struct arena *arena, struct control_builder *b, const struct edge_answer *a)
{
    struct buf all = {0};
    size_t count = 0;
    for (size_t i = 0; i < a->target_count; i++)
        count += a->targets[i].hop_count;
    struct control_record *ways = arena_alloc(arena, (count + 1) * sizeof *ways);
    size_t at = 0;
    for (size_t i = 0; ways != NULL && i < a->target_count; i++) {
        for (size_t k = 0; k < a->targets[i].hop_count; k++) {
            const struct edge_hop *h = &a->targets[i].hops[k];
            struct control_builder way;
            struct buf text = {0};
            way_text(h, &text);
            buf_printf(&all, "%s%.*s", at > 0 ? " " : "", SLICE_ARG(buf_view(&text)));
            control_record_start(&way, arena, "way");
            control_text(&way, "target", a->targets[i].text);
            control_text(&way, "address", buf_view(&text));
            control_text(&way, "request_uri", h->request_uri);
            control_text(&way, "number_sent", a->targets[i].number);
            control_bool(&way, "together", h->with_previous);
            if (control_record_done(&way, &ways[at]) == ERR_OK) at++;
            buf_fini(&text);
        }
    }
    control_text(b, "sends_to", buf_view(&all));
    control_list(b, "ways", ways, ways != NULL ? at : 0);
    buf_fini(&all);
}

static void send_hop(struct node *n, struct control_reply *reply, const struct hop *hop)
{
    struct arena arena = {0};
    struct control_builder b;
    const struct edge_answer *a = hop->answer;
    bool takes = !hop->drained && a->target_count > 0;
    control_record_start(&b, &arena, "hop");
    control_text(&b, "node", slice_of(n->config.node));
    control_text(&b, "target", hop->target);
    control_text(&b, "number", hop->number);
    control_int(&b, "place", hop->place);
    control_bool(&b, "takes", takes);
    if (takes) {
        control_null(&b, "code");
        control_text(&b, "text", SLICE("takes it"));
    } else if (hop->drained) {
        control_int(&b, "code", 503);
        control_text(&b, "text", SLICE("it is drained"));
    } else {
        control_int(&b, "code", a->code);
        control_text(&b, "text", a->reason.n > 0 ? a->reason : SLICE("it has no target for it"));
    }
    ways_fields(&arena, &b, a);
    command_record(reply, &b);
    arena_fini(&arena);
}

void hop_own(struct node *n, struct control_reply *reply, struct arena *arena, const struct decided_target *d)
{
    struct edge_answer answer;
    struct buf target = {0};
    plan_target_text(&d->from->route.target, &target);
    routing_own(n, arena, d, &answer);
    if (answer.target_count == 0) answer.reason = SLICE("no way to the target at present");
    send_hop(n, reply,
             &(struct hop){
                 .target = buf_view(&target), .number = routing_number(d), .place = d->from->place, .answer = &answer});
    buf_fini(&target);
}

/* A site leaves the choice to us: what we would choose is shown as well. Between read begin and end. */
static enum err explain_named(struct node *n, struct control_reply *reply, struct arena *arena,
                              const struct edge_query *q, int64_t place)
{
    struct edge_answer answer = {0};
    struct plan_target t;
    struct routing_result r;
    routing_named(n, arena, q, &answer);
    bool parsed = plan_target_parse(q->named_target, &t, NULL) == ERR_OK;
    if (parsed && answer.target_count > 0 && !limits_have_room(n, arena, &t, &answer)) answer.target_count = 0;
    send_hop(
        n, reply,
        &(struct hop){
            .target = q->named_target, .number = q->dialled, .place = place, .answer = &answer, .drained = n->drained});
    if (!parsed || t.kind != PLAN_TO_SITE) return ERR_OK;
    enum err e = routing_decide(n, arena, q, &r);
    return e == ERR_OK ? explain_candidates(n, reply, arena, "hop_candidate", &r) : e;
}

void hop_answer(struct node *n, const struct control_request *request, struct control_reply *reply)
{
    struct arena arena = {0};
    const struct control_record *args = &request->args;
    struct edge_query q = {.dialled = control_get_text(args, "number"),
                           .source = {.kind = EDGE_SOURCE_MEMBER, .name = control_get_text(args, "via")},
                           .call_id = control_get_text(args, "call_id"),
                           .named_target = control_get_text(args, "named"),
                           .number_in_contact = control_get_int(args, "number_in_contact", 0) != 0};
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = explain_named(n, reply, &arena, &q, control_get_int(args, "place", 0));
        node_read_end(n);
    }
    command_end(reply, e);
    arena_fini(&arena);
}
