/* plan_log: what the history of the plan tells: plan log, and plan show of one change. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/plan_object_text.h"
#include "cli/text.h"

/* One request with one text or number, whose records go to each. */
static int ask(struct cli *c, const char *command, struct control_builder *b, conn_record *each)
{
    struct control_record args;
    int status = CLI_DONE;
    if (control_record_done(b, &args) == ERR_OK) {
        status = conn_ask(c, &(struct conn_request){.command = command, .args = &args, .each = each, .ctx = c});
    } else {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    arena_fini(b->arena);
    return status;
}

/* ---- plan log ---- */

static const struct output_column change_columns[] = {
    {"id", "CHANGE", FORM_PLAIN, 0},
    {"time", "TIME", FORM_TIME, 0},
    {"author", "AUTHOR", FORM_PLAIN, 0},
    {"ops", "OBJECTS", FORM_PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"message", "WHY", FORM_PLAIN, COLUMN_WRAP},
    {"state", "STATE", FORM_PLAIN, COLUMN_RARE | COLUMN_WRAP},
    {"summary", "WHAT", FORM_PLAIN, COLUMN_CUT | COLUMN_WIDE},
    {0},
};
#define CHANGE_VIEWS(words)                                                                                            \
    {                                                                                                                  \
        {.kind = "change",                                                                                             \
         .columns = change_columns,                                                                                    \
         .none = (words),                                                                                              \
         .fields = "id,time,author,message,ops,summary,state,confirm_by"},                                             \
            {0},                                                                                                       \
    }
static const struct output_view log_views[] = CHANGE_VIEWS("The plan has never changed.");
static const struct output_view object_log_views[] = CHANGE_VIEWS("No change here is about such an object.");

static void each_change(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    output_record(c->output, r);
}

int plan_log_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    uint64_t limit = 20;
    const char *number = tree_value(m, "number");
    const char *object = tree_value(m, "object");
    if (number != NULL && slice_u64(slice_of(number), INT32_MAX, &limit) != ERR_OK) {
        return cli_fail(c, CLI_USAGE, "--number %s: write how many changes", number);
    }
    if (!cli_output(c, object != NULL ? object_log_views : log_views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_int(&b, "limit", (int64_t)limit);
    if (object != NULL) control_text(&b, "object", slice_of(object));
    return ask(c, "plan log", &b, each_change);
}

/* ---- plan show CHANGE: lines for people ---- */

static void cell_line(struct buf *out, const char *name, const struct control_record *r, const char *field,
                      enum column_form form)
{
    const struct control_field *f = control_find(r, field);
    if (f == NULL || f->type == CONTROL_NULL) return;
    buf_printf(out, "%-9s", name);
    output_cell(f, form, out);
    buf_text(out, "\n");
}

static void change_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    cell_line(out, "change", r, "id", FORM_PLAIN);
    cell_line(out, "time", r, "time", FORM_TIME);
    cell_line(out, "author", r, "author", FORM_PLAIN);
    cell_line(out, "why", r, "message", FORM_PLAIN);
    cell_line(out, "state", r, "state", FORM_PLAIN);
    cell_line(out, "objects", r, "ops", FORM_PLAIN);
    buf_text(out, "\n");
}

static void paint(const struct cli *c, struct buf *out, const char *code, const char *text)
{
    buf_printf(out, c->color ? "\033[%sm%s\033[m" : "%.0s%s", code, text);
}

/* What became of it, where that is not what the change wanted. */
static void fate_line(const struct control_record *r, struct buf *out)
{
    struct slice state = control_get_text(r, "state");
    struct slice by = control_get_text(r, "by");
    if (slice_is(state, "in force")) return;
    buf_text(out, "  ");
    text_safe(out, state);
    if (by.n > 0) {
        buf_text(out, " by ");
        text_safe(out, by);
    }
    buf_text(out, "\n");
}

static void op_line(void *ctx, const struct control_record *r, struct buf *out)
{
    const struct cli *c = ctx;
    struct slice action = control_get_text(r, "action");
    bool gone = slice_is(action, "remove");
    bool add = slice_is(action, "add");
    paint(c, out, add ? "32" : gone ? "31" : "33", add ? "+" : gone ? "-" : "~");
    buf_text(out, " ");
    text_safe(out, control_get_text(r, "object"));
    if (control_get_int(r, "before_known", 1) == 0) buf_text(out, " (what was before is no longer kept)");
    buf_text(out, "\n");
    text_safe_lines(out, control_get_text(r, "detail"));
    fate_line(r, out);
}

/* ---- plan show CHANGE: what the node says, with its objects in words ---- */

/* What the line view shows under the object's key. An object of a newer version has no words here, which is no error.
 */
static void add_detail(struct control_builder *b, struct slice before, struct slice after)
{
    struct buf text = {0};
    enum err e = before.n > 0 && after.n > 0 ? plan_object_difference(before, after, &text)
                                             : plan_object_lines(after.n > 0 ? after : before, &text);
    if (e == ERR_OK) control_text(b, "detail", buf_view(&text));
    buf_fini(&text);
}

static void add_document(struct control_builder *b, const char *name, struct slice packed)
{
    struct buf text = {0};
    if (packed.n > 0 && plan_object_document(packed, &text) == ERR_OK) {
        control_text(b, name, buf_view(&text));
    } else {
        control_null(b, name);
    }
    buf_fini(&text);
}

static void copy_fields(struct control_builder *b, const struct control_record *r, const char *const *names)
{
    for (; *names != NULL; names++) {
        const struct control_field *f = control_find(r, *names);
        if (f == NULL || f->type == CONTROL_NULL) {
            control_null(b, *names);
        } else if (f->type == CONTROL_BOOL) {
            control_bool(b, *names, f->integer != 0);
        } else {
            control_text(b, *names, f->text);
        }
    }
}

static void send_op(struct cli *c, const struct control_record *r)
{
    static const char *const kept[] = {"action", "object", "before_known", "state", "by", NULL};
    struct arena arena = {0};
    struct control_builder b;
    struct control_record with;
    struct slice before = control_get_text(r, "before");
    struct slice after = control_get_text(r, "after");
    control_record_start(&b, &arena, "op");
    copy_fields(&b, r, kept);
    if (c->format == OUTPUT_TABLE) {
        if (before.n + after.n > 0) add_detail(&b, before, after);
    } else {
        add_document(&b, "before", before);
        add_document(&b, "after", after);
    }
    if (control_record_done(&b, &with) == ERR_OK) output_record(c->output, &with);
    arena_fini(&arena);
}

static void each_part(void *ctx, const struct control_record *r)
{
    struct cli *c = ctx;
    if (slice_is(r->kind, "op")) {
        send_op(c, r);
    } else {
        output_record(c->output, r);
    }
}

int plan_show_change(struct cli *c, const char *change)
{
    struct arena arena = {0};
    struct control_builder b;
    const struct output_view views[] = {
        {.kind = "change", .line = change_line}, {.kind = "op", .line = op_line, .ctx = c}, {0}};
    if (!cli_output(c, views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    control_text(&b, "change", slice_of(change));
    return cli_finish(c, ask(c, "plan show", &b, each_part));
}
