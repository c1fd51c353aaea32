/* route: route explain: the decision that a call would get, with every candidate and why it stands where it does. */
#include "cli/commands.h"
#include "cli/conn.h"

static const struct output_column decision_columns[] = {
    {"number", "number", FORM_PLAIN, 0},           {"plan_number", "in the plan", FORM_PLAIN, 0},
    {"site", "as seen from", FORM_PLAIN, 0},       {"targets", "targets", FORM_PLAIN, 0},
    {"code", "answer without one", FORM_PLAIN, 0}, {"rule", "decided by rule", FORM_PLAIN, 0},
    {"plan_digest", "plan", FORM_DIGEST, 0},       {0},
};
static const struct output_column candidate_columns[] = {
    {"place", "PLACE", FORM_PLAIN, COLUMN_RIGHT},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"match", "MATCH", FORM_PLAIN, 0},
    {"scope", "ONLY FROM", FORM_PLAIN, 0},
    {"priority", "PRIORITY", FORM_PLAIN, COLUMN_RIGHT},
    {"weight", "WEIGHT", FORM_PLAIN, COLUMN_RIGHT},
    {"node", "BY NODE", FORM_PLAIN, 0},
    {"number_sent", "SENDS", FORM_PLAIN, 0},
    {"text", "WHY", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view route_views[] = {
    {.kind = "decision", .columns = decision_columns, .upright = true},
    {.kind = "candidate", .columns = candidate_columns},
    {0},
};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
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
    control_record_start(&b, &arena, "");
    control_text(&b, "number", slice_of(tree_arg(m, 0)));
    control_text(&b, "from", slice_of(from));
    control_text(&b, "at", slice_of(at));
    control_text(&b, "call_id", slice_of(tree_value(m, "call-id")));
    int status = CLI_DONE;
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "route explain", .args = &args, .each = each, .ctx = c});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    return status;
}
