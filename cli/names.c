/* names: the names that a node knows, one a line, for the completion of a shell, which asks for them at each TAB: so
 * what goes wrong is not said, and nobody waits long. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/text.h"

#define PATIENCE_MS 2000

static void name_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    text_safe(out, control_get_text(r, "name"));
    buf_text(out, "\n");
}

static const struct output_view name_views[] = {{.kind = "name", .line = name_line, .fields = "name"}, {0}};

static void each(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

int names_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct buf end = {0};
    int status = CLI_REFUSED;
    if (!cli_output(c, name_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_text(&b, "of", slice_of(tree_arg(m, 0)));
    control_text(&b, "begins", slice_of(tree_arg(m, 1)));
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = "names",
                                                    .args = &args,
                                                    .patience_ms = PATIENCE_MS,
                                                    .each = each,
                                                    .ctx = c,
                                                    .quiet = true,
                                                    .end_text = &end});
    }
    buf_fini(&end);
    arena_fini(&arena);
    return status;
}
