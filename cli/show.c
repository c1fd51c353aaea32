/* show: the commands that only list what a node says: the views in which a table shows it. Request and reply are the
 * same for all: records, and no arguments but the name of one node. */
#include "cli/commands.h"
#include "cli/conn.h"

#define PLAIN FORM_PLAIN

static const struct output_column status_columns[] = {
    {"verdict", "verdict", PLAIN, COLUMN_STATE | COLUMN_WRAP},
    {"node", "node", PLAIN, 0},
    {"site", "site", PLAIN, 0},
    {"cluster", "cluster", PLAIN, 0},
    {"version", "version", PLAIN, 0},
    {"started", "started", FORM_TIME, 0},
    {"plan_digest", "plan", FORM_DIGEST, 0},
    {"plan_changed", "plan changed", FORM_TIME, 0},
    {"plan_objects", "objects in the plan", PLAIN, 0},
    {"routes", "routes", PLAIN, 0},
    {"accounts", "accounts", PLAIN, 0},
    {"trunks", "trunks", PLAIN, 0},
    {"tombstones", "deletions remembered", PLAIN, COLUMN_ODD},
    {"floor", "forgotten up to", FORM_TIME, COLUMN_ODD},
    {"snapshot_from", "plan is fetched from", PLAIN, COLUMN_ODD},
    {"snapshot_objects", "objects fetched", PLAIN, COLUMN_ODD},
    {"unconfirmed", "unconfirmed", PLAIN, COLUMN_ODD},
    {"conflicts", "overridden edits", PLAIN, COLUMN_ODD},
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
    {"state", "STATUS", PLAIN, COLUMN_STATE},
    {"status_ms", "FOR", FORM_MS, COLUMN_RIGHT},
    {"heard_ms", "HEARD", FORM_MS, COLUMN_RIGHT},
    {"rtt_us", "RTT", FORM_US, COLUMN_RIGHT},
    {"changes", "CHANGES", PLAIN, COLUMN_STATE},
    {"data_age_ms", "DATA AGE", FORM_MS, COLUMN_RIGHT},
    {"version", "VERSION", PLAIN, COLUMN_WIDE},
    {"link", "LINK", PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_view node_views[] = {{.kind = "node", .columns = node_columns, .none = "No nodes."}, {0}};

static const struct output_column one_node_columns[] = {
    {"node", "node", PLAIN, 0},
    {"site", "site", PLAIN, 0},
    {"state", "status", PLAIN, COLUMN_STATE},
    {"since", "in this status since", FORM_TIME, 0},
    {"joined", "member since", FORM_TIME, 0},
    {"started", "started", FORM_TIME, 0},
    {"version", "version", PLAIN, 0},
    {"link", "link to it", PLAIN, 0},
    {"mesh", "mesh address", PLAIN, 0},
    {"sip", "SIP addresses", PLAIN, 0},
    {"rtt_us", "round trip", FORM_US, 0},
    {"heard_ms", "last heard", FORM_MS, 0},
    {"plan_digest", "its plan", FORM_DIGEST, 0},
    {"changes", "plan changes", PLAIN, COLUMN_STATE},
    {"states_in_step", "registrations in step", PLAIN, COLUMN_STATE},
    {"own_states_behind", "lacks of ours", PLAIN, 0},
    {"data_age_ms", "has all that is older than", FORM_MS, 0},
    {0},
};
static const struct output_view one_node_views[] = {{.kind = "node", .columns = one_node_columns, .upright = true},
                                                    {0}};

static const struct output_column registration_columns[] = {
    {"number", "NUMBER", PLAIN, COLUMN_CUT},
    {"account", "ACCOUNT", PLAIN, 0},
    {"node", "NODE", PLAIN, 0},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"contact", "CONTACT", PLAIN, COLUMN_CUT},
    {"nat", "NAT", PLAIN, 0},
    {"received", "FROM", PLAIN, COLUMN_WIDE},
    {"age_s", "AGE", FORM_S, COLUMN_RIGHT},
    {"expires_s", "EXPIRES", FORM_S, COLUMN_RIGHT},
    {"user_agent", "USER AGENT", PLAIN, COLUMN_CUT | COLUMN_WIDE},
    {0},
};
static const struct output_view registration_views[] = {
    {.kind = "registration",
     .columns = registration_columns,
     .none = "Nobody is registered.",
     .fields = "number,account,node,contact,nat,received,since,age_s,expires_s,user_agent,state"},
    {0}};

static const struct output_column failed_columns[] = {
    {"source", "SOURCE", PLAIN, 0},
    {"account", "ACCOUNT", PLAIN, COLUMN_CUT},
    {"reason", "REASON", PLAIN, 0},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"count", "COUNT", PLAIN, COLUMN_RIGHT},
    {"per_min", "PER MIN", PLAIN, COLUMN_RIGHT},
    {"first", "FIRST", FORM_TIME, 0},
    {"last", "LAST", FORM_TIME, 0},
    {0},
};
static const struct output_view failed_views[] = {{.kind = "failed",
                                                   .columns = failed_columns,
                                                   .none = "Nobody has failed.",
                                                   .fields = "source,account,reason,count,per_min,first,last,state"},
                                                  {0}};

static const struct output_column trunk_columns[] = {
    {"trunk", "TRUNK", PLAIN, 0},
    {"site", "SITE", PLAIN, COLUMN_WIDE},
    {"node", "NODE", PLAIN, 0},
    {"address", "ADDRESS", PLAIN, COLUMN_CUT},
    {"transport", "TRANSPORT", PLAIN, COLUMN_WIDE},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"since", "SINCE", FORM_TIME, COLUMN_WIDE},
    {"expires", "UNTIL", FORM_TIME, COLUMN_WIDE},
    {"rtt_us", "ROUND TRIP", FORM_US, COLUMN_RIGHT | COLUMN_WIDE},
    {"calls", "CALLS", PLAIN, COLUMN_RIGHT},
    {"calls_limit", "OF", PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"rate_limit", "PER S", PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"refused", "REFUSED", PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"reason", "REASON", PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_view trunk_views[] = {
    {.kind = "trunk",
     .columns = trunk_columns,
     .none = "The plan has no trunks.",
     .fields = "trunk,site,node,address,what,transport,state,since,expires,rtt_us,reason,calls,refused,calls_limit,"
               "rate_limit"},
    {0}};

static const struct output_column account_columns[] = {
    {"account", "ACCOUNT", PLAIN, 0},
    {"site", "SITE", PLAIN, COLUMN_WIDE},
    {"state", "STATE", PLAIN, COLUMN_STATE},
    {"contacts", "CONTACTS", PLAIN, COLUMN_RIGHT},
    {"node", "AT", PLAIN, 0},
    {"numbers", "NUMBERS", PLAIN, COLUMN_CUT},
    {"calls", "CALLS", PLAIN, COLUMN_RIGHT},
    {"calls_limit", "OF", PLAIN, COLUMN_RIGHT},
    {"refused", "REFUSED", PLAIN, COLUMN_RIGHT},
    {0},
};
static const struct output_view account_views[] = {
    {.kind = "account",
     .columns = account_columns,
     .none = "The plan has no accounts.",
     .fields = "account,site,state,contacts,node,numbers,map,calls,calls_limit,refused"},
    {0}};

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
    {"status", status_views},    {"nodes", node_views},   {"registrations", registration_views},
    {"accounts", account_views}, {"trunks", trunk_views}, {"counters", counter_views},
};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

static int show_one_node(struct cli *c, const char *name)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    int status = CLI_DONE;
    if (!cli_output(c, one_node_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_text(&b, "node", slice_of(name));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "nodes", .args = &args, .each = each, .ctx = c});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    return status;
}

int show_run(struct cli *c, const struct tree_match *m)
{
    const struct output_view *views = NULL;
    for (size_t i = 0; i < sizeof shows / sizeof shows[0]; i++) {
        if (strcmp(shows[i].command, m->command->name) == 0) views = shows[i].views;
    }
    const char *name = tree_arg(m, 0); /* only nodes takes one */
    if (name != NULL) return show_one_node(c, name);
    const char *command = m->command->name;
    if (tree_given(m, "failed")) { /* only registrations has it */
        command = "registrations failed";
        views = failed_views;
    }
    if (!cli_output(c, views)) return CLI_REFUSED;
    return conn_ask(c, &(struct conn_request){.command = command, .each = each, .ctx = c});
}
