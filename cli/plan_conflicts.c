/* plan_conflicts: what a merge overrode although nobody had compared the two: shown, and accepted. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/plan_object_text.h"
#include "cli/plan_run.h"
#include "cli/text.h"

/* ---- lines for people ---- */

/* "  stands      hq/1f/7  2026-11-22 08:15:30Z  alice@hq: why" */
static void who_line(struct buf *out, const char *word, const struct control_record *r, const char *const names[4])
{
    const struct control_field *time = control_find(r, names[1]);
    struct slice id = control_get_text(r, names[0]);
    struct slice message = control_get_text(r, names[3]);
    buf_printf(out, "  %-11s ", word);
    text_safe(out, id.n > 0 ? id : SLICE("a change that is no longer kept"));
    buf_text(out, "  ");
    if (time != NULL) output_cell(time, FORM_TIME, out);
    buf_text(out, "  ");
    text_safe(out, control_get_text(r, names[2]));
    if (message.n > 0) buf_text(out, ": ");
    text_safe(out, message);
    buf_text(out, "\n");
}

static void conflict_line(void *ctx, const struct control_record *r, struct buf *out)
{
    static const char *const winner[] = {"winner", "winner_time", "winner_author", "winner_message"};
    static const char *const loser[] = {"loser", "loser_time", "loser_author", "loser_message"};
    const struct cli *c = ctx;
    buf_text(out, c->color ? "\033[33m!\033[m " : "! ");
    text_safe(out, control_get_text(r, "object"));
    buf_text(out, "\n");
    who_line(out, "stands", r, winner);
    who_line(out, "overridden", r, loser);
    if (control_get_int(r, "removed", 0) != 0) buf_text(out, "  (removed)\n");
    text_safe_lines(out, control_get_text(r, "detail"));
}

/* ---- what the node says, with the overridden value in words ---- */

struct conflicts {
    struct cli *c;
    size_t count;
};

static void add_value(struct conflicts *s, struct control_builder *b, struct slice packed)
{
    struct buf text = {0};
    bool table = s->c->format == OUTPUT_TABLE;
    enum err e = ERR_NOTFOUND;
    if (packed.n > 0) e = table ? plan_object_lines(packed, &text) : plan_object_document(packed, &text);
    if (e == ERR_OK) {
        control_text(b, table ? "detail" : "value", buf_view(&text));
    } else {
        control_null(b, table ? "detail" : "value");
    }
    buf_fini(&text);
}

static void each_conflict(void *ctx, const struct control_record *r)
{
    struct conflicts *s = ctx;
    struct arena arena = {0};
    struct control_builder b;
    struct control_record with;
    if (!slice_is(r->kind, "conflict")) return;
    s->count++;
    control_record_start(&b, &arena, "conflict");
    for (size_t i = 0; i < r->field_count; i++) {
        const struct control_field *f = &r->fields[i];
        const char *name = arena_printf(&arena, "%.*s", SLICE_ARG(f->name));
        if (name == NULL || f->type == CONTROL_BYTES) continue;
        if (f->type == CONTROL_TEXT) {
            control_text(&b, name, f->text);
        } else if (f->type == CONTROL_BOOL) {
            control_bool(&b, name, f->integer != 0);
        } else {
            control_null(&b, name);
        }
    }
    add_value(s, &b, control_get_text(r, "packed"));
    if (control_record_done(&b, &with) == ERR_OK) output_record(s->c->output, &with);
    arena_fini(&arena);
}

static int list(struct cli *c, const char *object)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct conflicts s = {.c = c};
    const struct output_view views[] = {
        {.kind = "conflict",
         .line = conflict_line,
         .ctx = c,
         .fields = "object,winner,winner_time,winner_author,winner_message,loser,loser_time,loser_author,"
                   "loser_message,removed,value"},
        {0}};
    if (!cli_output(c, views)) return CLI_REFUSED;
    control_record_start(&b, &arena, "");
    if (object != NULL) control_text(&b, "object", slice_of(object));
    int status = control_record_done(&b, &args) == ERR_OK ? CLI_DONE : cli_fail_err(c, ERR_NOMEM, NULL);
    if (status == CLI_DONE) {
        status = conn_ask(
            c, &(struct conn_request){.command = "plan conflicts", .args = &args, .each = each_conflict, .ctx = &s});
    }
    arena_fini(&arena);
    if (status == CLI_DONE && s.count == 0) cli_note(c, SLICE("nothing was overridden that nobody has looked at"));
    if (status == CLI_DONE && s.count > 0 && c->format == OUTPUT_TABLE) {
        cli_note(c, SLICE("an edit of such an object, or 'plan conflicts --accept', ends its conflict"));
    }
    return cli_finish(c, status);
}

/* ---- accepting ---- */

static enum err accept_args(const struct tree_match *m, const struct plan_send_options *o, struct arena *arena,
                            struct control_record *out)
{
    struct control_builder b;
    control_record_start(&b, arena, "");
    if (tree_arg(m, 0) != NULL) control_text(&b, "object", slice_of(tree_arg(m, 0)));
    if (o->message != NULL) control_text(&b, "message", slice_of(o->message));
    if (tree_value(m, "wait") != NULL) control_text(&b, "wait", slice_of(tree_value(m, "wait")));
    if (o->timeout_ms > 0) control_int(&b, "timeout_ms", (int64_t)o->timeout_ms);
    return control_record_done(&b, out);
}

static int accept(struct cli *c, const struct tree_match *m)
{
    struct plan_run p;
    struct arena arena = {0};
    struct control_record args;
    struct plan_send_options o = {.command = "plan accept", .message_optional = true};
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&p, c);
    if (status == CLI_DONE && accept_args(m, &o, &arena, &args) != ERR_OK) status = cli_fail_err(c, ERR_NOMEM, NULL);
    if (status == CLI_DONE) status = plan_send_args(&p, &o, &args);
    arena_fini(&arena);
    return plan_run_close(&p, status);
}

int plan_conflicts_run(struct cli *c, const struct tree_match *m)
{
    if (tree_given(m, "accept")) return accept(c, m);
    if (tree_given(m, "message") || tree_given(m, "wait") || tree_given(m, "timeout")) {
        return cli_fail(c, CLI_USAGE, "-m, --wait and --timeout go with --accept");
    }
    return list(c, tree_arg(m, 0));
}
