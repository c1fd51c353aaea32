/* bans: sources that are not listened to. A ban is taken back by the node that made it: each one that has made one is
 * asked. */
#include "cli/commands.h"
#include "cli/conn.h"

#define OWNERS_MAX 64

static const struct output_column ban_columns[] = {
    {"source", "SOURCE", FORM_PLAIN, 0},
    {"node", "NODE", FORM_PLAIN, 0},
    {"since", "SINCE", FORM_TIME, 0},
    {"left_s", "ENDS IN", FORM_S, COLUMN_RIGHT},
    {"reason", "REASON", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_view ban_views[] = {
    {.kind = "ban", .columns = ban_columns, .none = "Nobody is banned.", .fields = "source,node,since,left_s,reason"},
    {0}};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

int bans_run(struct cli *c, const struct tree_match *m)
{
    (void)m;
    if (!cli_output(c, ban_views)) return CLI_REFUSED;
    return conn_ask(c, &(struct conn_request){.command = "bans", .each = each, .ctx = c});
}

/* ---- ban remove ---- */

static void unbanned_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    struct slice node = control_get_text(r, "node");
    struct slice source = control_get_text(r, "source");
    if (control_get_int(r, "banned", 0) != 0)
        buf_printf(out, "%.*s: %.*s is listened to again\n", SLICE_ARG(node), SLICE_ARG(source));
    else
        buf_printf(out, "%.*s: had not banned %.*s; what it failed at is forgotten\n", SLICE_ARG(node),
                   SLICE_ARG(source));
}

static const struct output_view unbanned_views[] = {{.kind = "unbanned", .line = unbanned_line}, {0}};

struct owners {
    char names[OWNERS_MAX][LIMIT_NAME + 1];
    size_t count;
};

static void each_owner(void *ctx, const struct control_record *r)
{
    struct owners *o = ctx;
    struct slice node = control_get_text(r, "node");
    if (!slice_is(r->kind, "ban") || node.n > LIMIT_NAME || o->count == OWNERS_MAX) return;
    (void)snprintf(o->names[o->count++], sizeof o->names[0], "%.*s", SLICE_ARG(node));
}

struct asked {
    struct cli *c;
    char node[LIMIT_NAME + 1]; /* who answered */
};

static void each_unbanned(void *ctx, const struct control_record *r)
{
    struct asked *a = ctx;
    (void)snprintf(a->node, sizeof a->node, "%.*s", SLICE_ARG(control_get_text(r, "node")));
    output_record(a->c->output, r);
}

/* At the node that was meant first, which also forgets what the source failed at there, then at each other that banned
 * it. */
static int remove_everywhere(struct cli *c, const struct control_record *args, const struct owners *owners)
{
    struct asked first = {.c = c};
    const char *meant = c->node;
    int status = conn_ask(
        c, &(struct conn_request){.command = "ban remove", .args = args, .each = each_unbanned, .ctx = &first});
    for (size_t i = 0; status != CLI_UNREACHABLE && i < owners->count; i++) {
        struct asked other = {.c = c};
        if (strcmp(owners->names[i], first.node) == 0) continue;
        c->node = owners->names[i];
        int one = conn_ask(
            c, &(struct conn_request){.command = "ban remove", .args = args, .each = each_unbanned, .ctx = &other});
        if (one != CLI_DONE) status = CLI_PARTIAL;
    }
    c->node = meant;
    return status;
}

int bans_remove_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct owners owners = {.count = 0};
    if (!cli_output(c, unbanned_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_text(&b, "source", slice_of(tree_arg(m, 0)));
    int status = CLI_DONE;
    if (control_record_done(&b, &args) != ERR_OK) status = cli_fail_err(c, ERR_NOMEM, NULL);
    if (status == CLI_DONE)
        status =
            conn_ask(c, &(struct conn_request){.command = "bans", .args = &args, .each = each_owner, .ctx = &owners});
    if (status == CLI_DONE) status = remove_everywhere(c, &args, &owners);
    arena_fini(&arena);
    return status;
}
