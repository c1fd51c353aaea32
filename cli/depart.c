/* depart: a node that takes no new calls for a while (drain), leaves (leave), or is shut out (evict). The node decides
 * whether it may; here a person at a terminal is asked whether it was meant. */
#include "cli/commands.h"
#include "cli/conn.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

/* ---- asking ---- */

static bool at_terminal(const struct cli *c)
{
    return c->err_terminal && isatty(fileno(c->in)) == 1;
}

/* CLI_DONE when the answer was yes. */
static int ask(struct cli *c, struct slice question)
{
    char line[16] = "";
    (void)fprintf(c->err, "%.*s [y/N] ", SLICE_ARG(question));
    (void)fflush(c->err);
    bool read = fgets(line, sizeof line, c->in) != NULL;
    line[strcspn(line, "\n")] = '\0';
    for (char *p = line; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (read && (strcmp(line, "y") == 0 || strcmp(line, "yes") == 0)) return CLI_DONE;
    return cli_fail(c, CLI_REFUSED, "nothing is changed");
}

/* ---- node drain ---- */

static void drain_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    struct slice node = control_get_text(r, "node");
    int64_t calls = control_get_int(r, "calls", 0);
    if (control_get_int(r, "drained", 0) == 0) {
        buf_printf(out, "%.*s takes new calls again\n", SLICE_ARG(node));
        return;
    }
    buf_printf(out,
               "%.*s takes no new calls and registrations, also after a restart; %lld call%s in progress here\n"
               "the others route around it; to end it: clusterctl node drain --off\n",
               SLICE_ARG(node), (long long)calls, calls == 1 ? " is" : "s are");
}

static const struct output_view drain_views[] = {{.kind = "drained", .line = drain_line}, {0}};

int node_drain_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    int status = CLI_DONE;
    if (!cli_output(c, drain_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_bool(&b, "off", tree_given(m, "off"));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "node drain", .args = &args, .each = each, .ctx = c});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    return status;
}

/* ---- node leave ---- */

static void leave_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    if (control_get_int(r, "left", 0) == 0) return;
    buf_printf(out, "%.*s has left the cluster; next: stop its tandemd\n", SLICE_ARG(control_get_text(r, "node")));
}

static const struct output_view leave_views[] = {{.kind = "leaving", .line = leave_line}, {0}};

struct leaving {
    struct buf question;
    bool left; /* it has already */
};

static void each_check(void *ctx, const struct control_record *r)
{
    struct leaving *l = ctx;
    if (!slice_is(r->kind, "leaving")) return;
    l->left = control_get_int(r, "left", 0) != 0;
    buf_printf(&l->question,
               "%.*s leaves the cluster for good: %lld registrations and %lld calls are here%s%.*s. Go on?",
               SLICE_ARG(control_get_text(r, "node")), (long long)control_get_int(r, "registrations", 0),
               (long long)control_get_int(r, "calls", 0),
               control_get_int(r, "last_of_site", 0) != 0 ? ", and no other node serves " : "",
               SLICE_ARG(control_get_int(r, "last_of_site", 0) != 0 ? control_get_text(r, "site") : SLICE("")));
}

static int ask_leave(struct cli *c, const struct tree_match *m, bool check, conn_record *with, void *ctx)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    int status = CLI_DONE;
    control_record_start(&b, &arena, "");
    control_bool(&b, "check", check);
    control_bool(&b, "force", tree_given(m, "force"));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "node leave", .args = &args, .each = with, .ctx = ctx});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    return status;
}

int node_leave_run(struct cli *c, const struct tree_match *m)
{
    struct leaving l = {.left = false};
    if (!cli_output(c, leave_views)) return CLI_REFUSED;
    int status = CLI_DONE;
    if (!tree_given(m, "yes")) {
        if (!at_terminal(c)) {
            return cli_fail(c, CLI_USAGE, "'node leave' is for good, and there is no terminal to ask at: give --yes");
        }
        status = ask_leave(c, m, true, each_check, &l);
        if (status == CLI_DONE && !l.left) status = ask(c, buf_view(&l.question));
        buf_fini(&l.question);
    }
    return status == CLI_DONE ? ask_leave(c, m, false, each, c) : status;
}

/* ---- node evict ---- */

int node_evict_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    char question[LIMIT_TEXT];
    int status = CLI_DONE;
    if (!cli_output(c, NULL)) return CLI_REFUSED;
    if (!tree_given(m, "yes") && !at_terminal(c)) {
        return cli_fail(c, CLI_USAGE, "'node evict' is for good, and there is no terminal to ask at: give --yes");
    }
    if (!tree_given(m, "yes")) {
        (void)snprintf(question, sizeof question,
                       "%.200s is shut out: its registrations go, and what only it has. Go on?", tree_arg(m, 0));
        status = ask(c, slice_of(question));
    }
    if (status != CLI_DONE) return status;
    control_record_start(&b, &arena, "");
    control_text(&b, "node", slice_of(tree_arg(m, 0)));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "node evict", .args = &args, .each = each, .ctx = c});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    return status;
}
