/* calls: calls and trace: what a node keeps of its calls, and how one of them was decided. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/explain.h"
#include "cli/members.h"
#include "node/base/time.h"

static const struct output_column call_columns[] = {
    {"started", "STARTED", FORM_TIME, 0},
    {"from", "FROM", FORM_PLAIN, COLUMN_CUT},
    {"to", "TO", FORM_PLAIN, COLUMN_CUT},
    {"source", "SOURCE", FORM_PLAIN, COLUMN_WIDE},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"node", "NODE", FORM_PLAIN, COLUMN_WIDE},
    {"state", "STATE", FORM_PLAIN, COLUMN_STATE},
    {"talked_s", "TALKED", FORM_S, COLUMN_RIGHT | COLUMN_WIDE},
    {"code", "CODE", FORM_PLAIN, COLUMN_RIGHT},
    {"rule", "RULE", FORM_PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"call_id", "CALL-ID", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view call_views[] = {
    {.kind = "call",
     .columns = call_columns,
     .none = "No calls.",
     .fields = "call_id,session_id,from,to,source,from_address,target,node,to_address,state,started,answered,ended,"
               "talked_s,code,rule,reason,kept_at"},
    {0}};

static const struct output_column one_call_columns[] = {
    {"call_id", "call", FORM_PLAIN, 0},
    {"session_id", "session", FORM_PLAIN, 0},
    {"from", "from", FORM_PLAIN, 0},
    {"to", "dialled", FORM_PLAIN, 0},
    {"source", "source", FORM_PLAIN, 0},
    {"from_address", "at", FORM_PLAIN, 0},
    {"target", "target", FORM_PLAIN, 0},
    {"node", "by node", FORM_PLAIN, 0},
    {"to_address", "sent to", FORM_PLAIN, 0},
    {"state", "state", FORM_PLAIN, 0},
    {"started", "started", FORM_TIME, 0},
    {"answered", "answered", FORM_TIME, 0},
    {"ended", "ended", FORM_TIME, 0},
    {"code", "code", FORM_PLAIN, 0},
    {"reason", "reason", FORM_PLAIN, 0},
    {"kept_at", "as seen by node", FORM_PLAIN, 0},
    {0},
};
#define DECISION_COLUMNS(when)                                                                                         \
    {                                                                                                                  \
        {"plan_number", (when), FORM_PLAIN, COLUMN_ODD}, {"site", "as seen from", FORM_PLAIN, COLUMN_ODD},             \
            {"named_by", "decided at", FORM_PLAIN, COLUMN_ODD},                                                        \
            {"code", "answer without one", FORM_PLAIN, COLUMN_ODD},                                                    \
            {"rule", "decided by rule", FORM_PLAIN, COLUMN_ODD}, {"plan_digest", "plan", FORM_DIGEST, COLUMN_ODD},     \
            {0},                                                                                                       \
    }
static const struct output_column then_columns[] = DECISION_COLUMNS("then, number");
static const struct output_column today_columns[] = DECISION_COLUMNS("today, number");
static const struct output_column attempt_columns[] = {
    {"attempt", "TRIED", FORM_PLAIN, COLUMN_RIGHT},
    {"target", "TARGET", FORM_PLAIN, 0},
    {"node", "BY NODE", FORM_PLAIN, 0},
    {"address", "AT", FORM_PLAIN, COLUMN_CUT},
    {"after_ms", "AFTER", FORM_MS, COLUMN_RIGHT},
    {"code", "CODE", FORM_PLAIN, COLUMN_RIGHT},
    {"text", "WHAT CAME OF IT", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_column difference_columns[] = {
    {"text", "WHAT DIFFERS", FORM_PLAIN, COLUMN_WRAP},
    {"change", "BY CHANGE", FORM_PLAIN, COLUMN_RARE},
    {"changed", "OF", FORM_TIME, COLUMN_RARE | COLUMN_WIDE},
    {0},
};
#define OTHER "other_"
static const struct output_view trace_views[] = {
    {.kind = "call", .columns = one_call_columns, .upright = true},
    {.kind = "attempt", .columns = attempt_columns},
    {.kind = "decision", .columns = then_columns, .upright = true},
    {.kind = "candidate", .columns = explain_candidate_columns},
    {.kind = "today", .columns = today_columns, .upright = true},
    {.kind = "candidate_today", .columns = explain_candidate_columns},
    {.kind = "difference", .columns = difference_columns},
    {.kind = OTHER "call", .columns = one_call_columns, .upright = true},
    {.kind = OTHER "attempt", .columns = attempt_columns},
    {.kind = OTHER "decision", .columns = then_columns, .upright = true},
    {.kind = OTHER "candidate", .columns = explain_candidate_columns},
    {.kind = OTHER "today", .columns = today_columns, .upright = true},
    {.kind = OTHER "candidate_today", .columns = explain_candidate_columns},
    {.kind = OTHER "difference", .columns = difference_columns},
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

int calls_run(struct cli *c, const struct tree_match *m)
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

/* ---- trace ---- */

struct trace {
    struct cli *c;
    const char *call;
    bool other; /* these are the records of the second node */
    bool found;
    char call_id[160];            /* whole, as the first node has it */
    char kept_at[LIMIT_NAME + 1]; /* the node that answered */
    char beyond[LIMIT_NAME + 1];  /* the other node of the call, "" none */
};

static void copy(char *out, size_t size, struct slice text)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(text));
}

/* Who else has a record of this call: the node that decided it, or the one that served it. */
static void look_beyond(struct trace *t, const struct control_record *r)
{
    struct slice source = control_get_text(r, "source");
    struct slice node = control_get_text(r, "node");
    copy(t->call_id, sizeof t->call_id, control_get_text(r, "call_id"));
    copy(t->kept_at, sizeof t->kept_at, control_get_text(r, "kept_at"));
    if (t->kept_at[0] == '\0') return; /* a node of an older version */
    if (slice_starts(source, SLICE("node/"))) {
        copy(t->beyond, sizeof t->beyond, (struct slice){source.p + 5, source.n - 5});
    } else if (!slice_is(node, t->kept_at)) {
        copy(t->beyond, sizeof t->beyond, node);
    }
}

static void each_trace(void *ctx, const struct control_record *r)
{
    struct trace *t = ctx;
    struct control_record named = *r;
    char kind[LIMIT_NAME + sizeof OTHER];
    if (!t->other && slice_is(r->kind, "call")) look_beyond(t, r);
    t->found = true;
    bool told = slice_is(r->kind, "candidate") && control_get_text(r, "match").n == 0; /* by the node that decided */
    if (told && t->c->format == OUTPUT_TABLE) return;
    (void)snprintf(kind, sizeof kind, OTHER "%.*s", SLICE_ARG(r->kind));
    if (t->other) named.kind = slice_of(kind);
    output_record(t->c->output, &named);
}

/* Asks node, NULL for the one at the socket. end: the words of a refusal. */
static int trace_at(struct trace *t, const char *node, const char *call, struct buf *end)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct cli there = *t->c;
    int status = CLI_REFUSED;
    if (node != NULL) there.node = node;
    control_record_start(&b, &arena, "");
    control_text(&b, "call", slice_of(call));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(&there, &(struct conn_request){.command = "trace",
                                                         .args = &args,
                                                         .each = each_trace,
                                                         .ctx = t,
                                                         .quiet = node != NULL,
                                                         .end_text = end});
    }
    buf_fini(&there.failure);
    arena_fini(&arena);
    return status;
}

/* The first other node that knows the call. */
static int trace_anywhere(struct trace *t)
{
    struct members m = {0};
    int status = members_ask(t->c, &m);
    for (size_t i = 0; status == CLI_DONE && i < m.count && !t->found; i++) {
        struct buf end = {0};
        if (!m.items[i].self && m.items[i].alive) (void)trace_at(t, m.items[i].name, t->call, &end);
        buf_fini(&end);
    }
    members_fini(&m);
    return t->found ? CLI_DONE : CLI_REFUSED;
}

int trace_run(struct cli *c, const struct tree_match *m)
{
    struct trace t = {.c = c, .call = tree_arg(m, 0)};
    struct buf end = {0};
    if (!cli_output(c, trace_views)) return CLI_REFUSED;
    int status = trace_at(&t, NULL, t.call, &end);
    bool here_only = c->node[0] != '\0';
    if (status == CLI_REFUSED && !t.found && end.n > 0 && !here_only) status = trace_anywhere(&t);
    if (status != CLI_DONE && end.n > 0) (void)cli_fail(c, status, "%.*s", SLICE_ARG(buf_view(&end)));
    buf_fini(&end);
    if (status != CLI_DONE || t.beyond[0] == '\0') return status;
    t.other = true;
    t.found = false;
    if (trace_at(&t, t.beyond, t.call_id, &end) != CLI_DONE || !t.found) {
        struct buf note = {0};
        buf_printf(&note, "what node %s knows of this call is not shown: %.*s", t.beyond,
                   SLICE_ARG(end.n > 0 ? buf_view(&end) : SLICE("it does not answer")));
        cli_note(c, buf_view(&note));
        buf_fini(&note);
    }
    buf_fini(&end);
    return CLI_DONE;
}
