/* calls: calls and trace: what a node keeps of its calls, and how one of them was decided. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/watch.h"
#include "node/base/time.h"

static const struct output_column call_columns[] = {
    {"started", "STARTED", FORM_TIME, 0},
    {"from", "FROM", FORM_PLAIN, COLUMN_CUT},
    {"to", "TO", FORM_PLAIN, COLUMN_CUT},
    {"source", "SOURCE", FORM_PLAIN, 0},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"node", "NODE", FORM_PLAIN, 0},
    {"state", "STATE", FORM_PLAIN, COLUMN_STATE},
    {"talked_s", "TALKED", FORM_S, COLUMN_RIGHT},
    {"code", "CODE", FORM_PLAIN, COLUMN_RIGHT},
    {"rule", "RULE", FORM_PLAIN, COLUMN_RIGHT},
    {"call_id", "CALL-ID", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view call_views[] = {{.kind = "call", .columns = call_columns, .none = "No calls."}, {0}};

static const struct output_column one_call_columns[] = {
    {"call_id", "call", FORM_PLAIN, 0},       {"session_id", "session", FORM_PLAIN, 0},
    {"from", "from", FORM_PLAIN, 0},          {"to", "dialled", FORM_PLAIN, 0},
    {"source", "source", FORM_PLAIN, 0},      {"from_address", "at", FORM_PLAIN, 0},
    {"target", "target", FORM_PLAIN, 0},      {"node", "by node", FORM_PLAIN, 0},
    {"to_address", "sent to", FORM_PLAIN, 0}, {"state", "state", FORM_PLAIN, 0},
    {"started", "started", FORM_TIME, 0},     {"answered", "answered", FORM_TIME, 0},
    {"ended", "ended", FORM_TIME, 0},         {"code", "code", FORM_PLAIN, 0},
    {"reason", "reason", FORM_PLAIN, 0},      {0},
};
#define DECISION_COLUMNS(when)                                                                                         \
    {                                                                                                                  \
        {"plan_number", (when), FORM_PLAIN, 0}, {"site", "as seen from", FORM_PLAIN, 0},                               \
            {"named_by", "decided at", FORM_PLAIN, 0}, {"code", "answer without one", FORM_PLAIN, 0},                  \
            {"rule", "decided by rule", FORM_PLAIN, 0}, {"plan_digest", "plan", FORM_DIGEST, 0}, {0},                  \
    }
static const struct output_column then_columns[] = DECISION_COLUMNS("then, number");
static const struct output_column today_columns[] = DECISION_COLUMNS("today, number");
static const struct output_column candidate_columns[] = {
    {"place", "PLACE", FORM_PLAIN, COLUMN_RIGHT},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"match", "MATCH", FORM_PLAIN, 0},
    {"scope", "ONLY FROM", FORM_PLAIN, 0},
    {"priority", "PRIORITY", FORM_PLAIN, COLUMN_RIGHT},
    {"weight", "WEIGHT", FORM_PLAIN, COLUMN_RIGHT},
    {"node", "BY NODE", FORM_PLAIN, 0},
    {"number_sent", "NUMBER", FORM_PLAIN, 0},
    {"text", "WHY", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view trace_views[] = {
    {.kind = "call", .columns = one_call_columns, .upright = true},
    {.kind = "decision", .columns = then_columns, .upright = true},
    {.kind = "candidate", .columns = candidate_columns},
    {.kind = "today", .columns = today_columns, .upright = true},
    {.kind = "candidate_today", .columns = candidate_columns},
    {0},
};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

/* Ends what was built; sends it. */
static int ask(struct cli *c, const char *command, struct control_builder *b)
{
    struct control_record args;
    if (control_record_done(b, &args) != ERR_OK) return cli_fail_err(c, ERR_NOMEM, NULL);
    return conn_ask(c, &(struct conn_request){.command = command, .args = &args, .each = each, .ctx = c});
}

static int calls_once(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    const char *since = tree_value(m, "since");
    const char *limit = tree_value(m, "limit");
    uint64_t ms = 0;
    uint64_t count = 0;
    if (since != NULL && (duration_parse(since, strlen(since), &ms) != ERR_OK || ms == 0)) {
        return cli_fail(c, CLI_USAGE, "--since %s: write a duration, such as 30m, 2h or 7d", since);
    }
    if (limit != NULL && slice_u64(slice_of(limit), INT32_MAX, &count) != ERR_OK) {
        return cli_fail(c, CLI_USAGE, "--limit %s: write a number, 0 for all", limit);
    }
    if (!cli_output(c, call_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    if (tree_given(m, "live")) control_bool(&b, "live", true);
    if (since != NULL) control_int(&b, "since_ms", (int64_t)ms);
    if (limit != NULL) control_int(&b, "limit", (int64_t)count);
    control_text(&b, "number", slice_of(tree_value(m, "number")));
    int status = ask(c, "calls", &b);
    arena_fini(&arena);
    return status;
}

int calls_run(struct cli *c, const struct tree_match *m)
{
    return tree_given(m, "watch") ? watch_run(c, m, calls_once) : calls_once(c, m);
}

int trace_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    if (!cli_output(c, trace_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_text(&b, "call", slice_of(tree_arg(m, 0)));
    int status = ask(c, "trace", &b);
    arena_fini(&arena);
    return status;
}
