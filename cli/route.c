/* route: route explain: the decision that a call would get at one node, and then what each node that would carry the
 * call does with it: those are asked themselves, by way of the first. */
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/explain.h"

#define HOPS_MAX 16          /* nodes that are asked: more than a call ever tries */
#define HOP_PATIENCE_MS 5000 /* a node that is slow to say what it would do is slow to do it */

static const struct output_column decision_columns[] = {
    {"number", "number", FORM_PLAIN, 0},
    {"from", "from", FORM_PLAIN, 0},
    {"plan_number", "in the plan", FORM_PLAIN, 0},
    {"site", "as seen from", FORM_PLAIN, 0},
    {"node", "decided at", FORM_PLAIN, 0},
    {"targets", "targets", FORM_PLAIN, 0},
    {"code", "answer without one", FORM_PLAIN, 0},
    {"if_all_fail", "answer if all fail", FORM_PLAIN, COLUMN_ODD | COLUMN_WRAP},
    {"rule", "decided by rule", FORM_PLAIN, 0},
    {"plan_digest", "plan", FORM_DIGEST, 0},
    {0},
};
static const struct output_column rewrite_columns[] = {
    {"object", "REWRITTEN BY", FORM_PLAIN, 0},
    {"rule", "RULE", FORM_PLAIN, 0},
    {"match", "MATCH", FORM_PLAIN, 0},
    {"strip", "STRIP", FORM_PLAIN, COLUMN_RIGHT},
    {"prepend", "PREPEND", FORM_PLAIN, 0},
    {"before", "BEFORE", FORM_PLAIN, 0},
    {"after", "AFTER", FORM_PLAIN, 0},
    {"change", "CHANGE", FORM_PLAIN, COLUMN_RARE | COLUMN_WIDE},
    {0},
};
const struct output_column explain_candidate_columns[] = {
    {"place", "PLACE", FORM_PLAIN, COLUMN_RIGHT},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"match", "MATCH", FORM_PLAIN, 0},
    {"scope", "ONLY FROM", FORM_PLAIN, COLUMN_RARE},
    {"priority", "PRIO", FORM_PLAIN, COLUMN_RIGHT},
    {"weight", "WEIGHT", FORM_PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"node", "BY NODE", FORM_PLAIN, COLUMN_WRAP},
    {"number_sent", "SENDS", FORM_PLAIN, 0},
    {"change", "CHANGE", FORM_PLAIN, COLUMN_RARE | COLUMN_WIDE},
    {"text", "WHY", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_column hop_candidate_columns[] = {
    {"decided_at", "AT NODE", FORM_PLAIN, 0}, {"place", "PLACE", FORM_PLAIN, COLUMN_RIGHT},
    {"target", "TARGET", FORM_PLAIN, 0},      {"match", "MATCH", FORM_PLAIN, 0},
    {"number_sent", "SENDS", FORM_PLAIN, 0},  {"change", "CHANGE", FORM_PLAIN, COLUMN_RARE | COLUMN_WIDE},
    {"text", "WHY", FORM_PLAIN, COLUMN_WRAP}, {0},
};
static const struct output_column hop_columns[] = {
    {"place", "PLACE", FORM_PLAIN, COLUMN_RIGHT},
    {"node", "CARRIED BY", FORM_PLAIN, 0},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"number", "NUMBER", FORM_PLAIN, 0},
    {"code", "ANSWERS", FORM_PLAIN, COLUMN_RARE},
    {"text", "THAT NODE", FORM_PLAIN, COLUMN_WRAP},
    {"sends_to", "SENDS IT TO", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_view route_views[] = {
    {.kind = "decision", .columns = decision_columns, .upright = true}, {.kind = "rewrite", .columns = rewrite_columns},
    {.kind = "candidate", .columns = explain_candidate_columns},        {.kind = "hop", .columns = hop_columns},
    {.kind = "hop_candidate", .columns = hop_candidate_columns},        {0},
};

/* What another node would be sent. */
struct hop {
    char node[LIMIT_NAME + 1];
    char target[LIMIT_NAME + 16];
    char number[LIMIT_NAME + 1];
    bool number_in_contact;
    int64_t place;
};

struct explain {
    struct cli *c;
    const char *call_id;
    char decided_at[LIMIT_NAME + 1];
    struct hop hops[HOPS_MAX];
    size_t hop_count;
    bool more;
    bool answered; /* the node that was asked last knows the question */
};

static void copy(char *out, size_t size, struct slice text)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(text));
}

static void add_hop(struct explain *x, const struct control_record *r, struct slice node)
{
    if (node.n == 0 || x->decided_at[0] == '\0' || slice_is(node, x->decided_at)) return;
    if (x->hop_count == HOPS_MAX) {
        x->more = true;
        return;
    }
    struct hop *h = &x->hops[x->hop_count++];
    copy(h->node, sizeof h->node, node);
    copy(h->target, sizeof h->target, control_get_text(r, "target"));
    copy(h->number, sizeof h->number, control_get_text(r, "number"));
    h->place = control_get_int(r, "place", 0);
    h->number_in_contact = control_get_int(r, "number_in_contact", 0) != 0;
}

static void each(void *ctx, const struct control_record *r)
{
    struct explain *x = ctx;
    struct slice nodes = control_get_text(r, "node");
    output_record(x->c->output, r);
    if (slice_is(r->kind, "decision")) copy(x->decided_at, sizeof x->decided_at, nodes);
    if (!slice_is(r->kind, "candidate") || control_get_int(r, "place", 0) == 0) return;
    while (nodes.n > 0) {
        struct slice node;
        nodes = slice_cut(nodes, ' ', &node);
        add_hop(x, r, node);
    }
}

/* A node of an older version takes the question for one about its own decision. */
static void each_hop(void *ctx, const struct control_record *r)
{
    struct explain *x = ctx;
    bool hop = slice_is(r->kind, "hop");
    x->answered = x->answered || hop;
    if (hop || slice_is(r->kind, "hop_candidate")) output_record(x->c->output, r);
}

/* In place of the answer of a node that cannot be asked. */
static void say_unasked(struct explain *x, const struct hop *h, struct slice why)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, &arena, "hop");
    control_text(&b, "node", slice_of(h->node));
    control_text(&b, "target", slice_of(h->target));
    control_text(&b, "number", slice_of(h->number));
    control_int(&b, "place", h->place);
    control_null(&b, "takes");
    control_null(&b, "code");
    control_printf(&b, "text", "not asked: %.*s", SLICE_ARG(why.n > 0 ? why : SLICE("it does not answer")));
    control_text(&b, "sends_to", SLICE(""));
    control_list(&b, "ways", NULL, 0);
    if (control_record_done(&b, &r) == ERR_OK) output_record(x->c->output, &r);
    arena_fini(&arena);
}

static void ask_hop(struct explain *x, const struct hop *h)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct buf end = {0};
    struct cli there = *x->c;
    there.node = h->node;
    control_record_start(&b, &arena, "");
    control_text(&b, "number", slice_of(h->number));
    control_text(&b, "named", slice_of(h->target));
    control_text(&b, "via", slice_of(x->decided_at));
    control_text(&b, "call_id", slice_of(x->call_id));
    control_int(&b, "place", h->place);
    control_bool(&b, "number_in_contact", h->number_in_contact);
    int status = CLI_REFUSED;
    x->answered = false;
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(&there, &(struct conn_request){.command = "route explain",
                                                         .args = &args,
                                                         .patience_ms = HOP_PATIENCE_MS,
                                                         .each = each_hop,
                                                         .ctx = x,
                                                         .quiet = true,
                                                         .end_text = &end});
    }
    if (status != CLI_DONE) {
        say_unasked(x, h, buf_view(&end));
    } else if (!x->answered) {
        say_unasked(x, h, SLICE("it is of an older version"));
    }
    buf_fini(&end);
    arena_fini(&arena);
}

static int explain(struct explain *x, const struct control_record *args)
{
    int status =
        conn_ask(x->c, &(struct conn_request){.command = "route explain", .args = args, .each = each, .ctx = x});
    for (size_t i = 0; status == CLI_DONE && i < x->hop_count; i++)
        ask_hop(x, &x->hops[i]);
    if (x->more)
        cli_note(x->c, SLICE("more nodes could carry the call than are asked: those after the first 16 are not shown"));
    return status;
}

int route_explain_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    const char *from = tree_value(m, "from");
    const char *at = tree_value(m, "at");
    if (from != NULL && strncmp(from, "trunk/", 6) != 0 && strncmp(from, "account/", 8) != 0) {
        return cli_fail(c, CLI_USAGE, "--from %s: write trunk/NAME or account/NAME", from);
    }
    if (at != NULL && c->node[0] != '\0' && strcmp(at, c->node) != 0) {
        return cli_fail(c, CLI_USAGE, "--at %s and --node %s: which of them shall decide?", at, c->node);
    }
    if (at != NULL) c->node = at; /* the node that decides is the node that is asked */
    if (!cli_output(c, route_views)) return CLI_REFUSED;
    struct explain *x = calloc(1, sizeof *x);
    control_record_start(&b, &arena, "");
    control_text(&b, "number", slice_of(tree_arg(m, 0)));
    control_text(&b, "from", slice_of(from));
    control_text(&b, "at", slice_of(at));
    control_text(&b, "call_id", slice_of(tree_value(m, "call-id")));
    int status = CLI_DONE;
    if (x != NULL && control_record_done(&b, &args) == ERR_OK) {
        x->c = c;
        x->call_id = tree_value(m, "call-id");
        status = explain(x, &args);
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    free(x);
    arena_fini(&arena);
    return status;
}
