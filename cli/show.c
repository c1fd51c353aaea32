/* show: the commands that only list what a node says: the views in which a table shows it. Request and reply are the
 * same for all: no arguments, records. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/watch.h"

#define PLAIN FORM_PLAIN

static const struct output_column status_columns[] = {
    {"verdict", "verdict", PLAIN, COLUMN_STATE},
    {"node", "node", PLAIN, 0},
    {"site", "site", PLAIN, 0},
    {"cluster", "cluster", PLAIN, 0},
    {"version", "version", PLAIN, 0},
    {"started", "started", FORM_TIME, 0},
    {"plan_digest", "plan", FORM_DIGEST, 0},
    {"plan_objects", "objects in the plan", PLAIN, 0},
    {"routes", "routes", PLAIN, 0},
    {"accounts", "accounts", PLAIN, 0},
    {"trunks", "trunks", PLAIN, 0},
    {"members", "members", PLAIN, 0},
    {"members_alive", "members alive", PLAIN, 0},
    {"registrations", "registrations", PLAIN, 0},
    {"calls", "calls", PLAIN, 0},
    {"store", "store", PLAIN, COLUMN_STATE},
    {0},
};
static const struct output_view status_views[] = {{.kind = "status", .columns = status_columns, .upright = true}, {0}};

static const struct output_column node_columns[] = {
    {"node", "NODE", PLAIN, 0},
    {"site", "SITE", PLAIN, 0},
    {"status", "STATUS", PLAIN, COLUMN_STATE},
    {"rtt_us", "ROUND TRIP", FORM_US, COLUMN_RIGHT},
    {"heard_ms", "HEARD", FORM_MS, COLUMN_RIGHT},
    {"in_step", "IN STEP", PLAIN, COLUMN_STATE},
    {"plan_digest", "PLAN", FORM_DIGEST, 0},
    {"sip", "SIP", PLAIN, COLUMN_CUT},
    {"link", "LINK", PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view node_views[] = {{.kind = "node", .columns = node_columns, .none = "No nodes."}, {0}};

static const struct output_column registration_columns[] = {
    {"account", "ACCOUNT", PLAIN, 0},
    {"node", "NODE", PLAIN, 0},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"contact", "CONTACT", PLAIN, COLUMN_CUT},
    {"received", "FROM", PLAIN, 0},
    {"since", "SINCE", FORM_TIME, 0},
    {"expires_s", "EXPIRES", FORM_S, COLUMN_RIGHT},
    {"user_agent", "USER AGENT", PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view registration_views[] = {
    {.kind = "registration", .columns = registration_columns, .none = "Nobody is registered."}, {0}};

static const struct output_column call_columns[] = {
    {"started", "STARTED", FORM_TIME, 0},
    {"from", "FROM", PLAIN, COLUMN_CUT},
    {"to", "TO", PLAIN, COLUMN_CUT},
    {"source", "SOURCE", PLAIN, 0},
    {"target", "TARGET", PLAIN, 0},
    {"node", "NODE", PLAIN, 0},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"code", "CODE", PLAIN, COLUMN_RIGHT},
    {"rule", "RULE", PLAIN, COLUMN_RIGHT},
    {"call_id", "CALL-ID", PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view call_views[] = {{.kind = "call", .columns = call_columns, .none = "No calls."}, {0}};

static const struct output_column trunk_columns[] = {
    {"trunk", "TRUNK", PLAIN, 0},
    {"site", "SITE", PLAIN, 0},
    {"address", "ADDRESS", PLAIN, COLUMN_CUT},
    {"transport", "TRANSPORT", PLAIN, 0},
    {"status", "STATUS", PLAIN, COLUMN_STATE},
    {"reason", "REASON", PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view trunk_views[] = {
    {.kind = "trunk", .columns = trunk_columns, .none = "The plan has no trunks."}, {0}};

static const struct output_column counter_columns[] = {
    {"module", "MODULE", PLAIN, 0},
    {"name", "NAME", PLAIN, 0},
    {"value", "VALUE", PLAIN, COLUMN_RIGHT},
    {0},
};
static const struct output_view counter_views[] = {
    {.kind = "counter", .columns = counter_columns, .none = "No counters."}, {0}};

static const struct {
    const char *command;
    const struct output_view *views;
} shows[] = {
    {"status", status_views}, {"nodes", node_views},   {"registrations", registration_views},
    {"calls", call_views},    {"trunks", trunk_views}, {"counters", counter_views},
};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

static int show_once(struct cli *c, const struct tree_match *m)
{
    const struct output_view *views = NULL;
    for (size_t i = 0; i < sizeof shows / sizeof shows[0]; i++) {
        if (strcmp(shows[i].command, m->command->name) == 0) views = shows[i].views;
    }
    if (!cli_output(c, views)) return CLI_REFUSED;
    return conn_ask(c, &(struct conn_request){.command = m->command->name, .each = each, .ctx = c});
}

int show_run(struct cli *c, const struct tree_match *m)
{
    return tree_given(m, "watch") ? watch_run(c, m, show_once) : show_once(c, m);
}
