/* plan: plan check, plan diff, plan apply and plan rollback. The first needs no node, but asks one about its plan if it
 * is told to; the next two send the document and let the node judge it against its plan; the last names a
 * change, and the node knows what it was. */
#include "cli/commands.h"
#include "cli/plan_run.h"

/* ---- plan check ---- */

static enum err send_checked(struct plan_run *p, size_t objects, size_t errors, size_t findings, bool truncated)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, &arena, "checked");
    control_text(&b, "file", slice_of(p->file.name));
    control_int(&b, "objects", (int64_t)objects);
    control_int(&b, "errors", (int64_t)errors);
    control_int(&b, "warnings", (int64_t)(findings - errors));
    control_bool(&b, "truncated", truncated);
    enum err e = control_record_done(&b, &r);
    if (e == ERR_OK) output_record(p->c->output, &r);
    arena_fini(&arena);
    return e;
}

static enum err lint_alone(struct plan_run *p, struct lint_report *report)
{
    size_t n = p->file.doc.object_count;
    const struct plan_object **objects = arena_alloc(&p->file.arena, n * sizeof *objects);
    if (objects == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        objects[i] = &p->file.doc.objects[i];
    return plan_lint(&p->file.arena, objects, n, report);
}

static int check_file(struct plan_run *p, const struct tree_match *m)
{
    struct lint_report report = {.count = 0};
    enum err e = lint_alone(p, &report);
    for (size_t i = 0; e == ERR_OK && i < report.count; i++)
        e = plan_run_finding(p, m, &report.findings[i]);
    if (e == ERR_OK) e = send_checked(p, p->file.doc.object_count, report.error_count, report.count, report.truncated);
    return e == ERR_OK ? plan_run_verdict(p, report.truncated) : cli_fail_err(p->c, e, NULL);
}

/* Over the plan of a node, which looks at it as plan diff has it do: that plan may be too large to be fetched. */
static int check_over(struct plan_run *p, const struct tree_match *m, const char *path)
{
    struct plan_send_options o = {.command = "plan diff", .dry_run = true, .findings_only = true};
    int status = plan_run_faults(p, m, plan_file_read_passing(p->c, path, &p->file));
    const size_t objects = plan_file_count(&p->file) - p->file.doc.remove_count;
    if (status == CLI_DONE) status = plan_send(p, m, &o);
    if (status != CLI_DONE && (status != CLI_FINDINGS || p->findings + p->domain == 0)) return status;
    enum err e = send_checked(p, objects, p->errors, p->findings + p->domain, false);
    return e == ERR_OK ? plan_run_verdict(p, false) : cli_fail_err(p->c, e, NULL);
}

/* ---- a document that is too large to be held, and no node ---- */

struct large {
    struct lint *lint;
    size_t routes;
};

static enum err take_route(void *ctx, const struct plan_object *route)
{
    struct large *l = ctx;
    l->routes++;
    return plan_lint_take(l->lint, route);
}

/* What a whole document would be refused for: a route that stands there twice, or is described and removed. */
static bool is_refused(const struct plan_file *f, const struct lint_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(report->findings[i].id, "duplicate") == 0) return true;
    }
    for (size_t i = 0; i < f->doc.remove_count; i++) {
        if (slice_starts(f->doc.remove[i], SLICE("route/"))) return true;
    }
    return false;
}

/* False: it is not one of those, or is to be read as a whole to say what is wrong with it. */
static bool lint_large(struct plan_run *p, const char *path, struct large *l, struct lint_report *report)
{
    if (plan_lint_new(&l->lint) != ERR_OK || !plan_file_pass(p->c, &p->file, path, take_route, l)) return false;
    for (size_t i = 0; i < p->file.doc.object_count; i++) {
        if (plan_lint_take(l->lint, &p->file.doc.objects[i]) != ERR_OK) return false;
    }
    return plan_lint_run(l->lint, &p->file.arena, report) == ERR_OK && !is_refused(&p->file, report);
}

static int check_large(struct plan_run *p, const struct tree_match *m, bool *done)
{
    struct large l = {.routes = 0};
    struct lint_report report = {.count = 0};
    enum err e = ERR_OK;
    *done = lint_large(p, tree_arg(m, 0), &l, &report);
    for (size_t i = 0; *done && e == ERR_OK && i < report.count; i++)
        e = plan_run_finding(p, m, &report.findings[i]);
    if (*done && e == ERR_OK) {
        e = send_checked(p, p->file.doc.object_count + l.routes, report.error_count, report.count, report.truncated);
    }
    plan_lint_free(l.lint);
    if (!*done) plan_file_fini(&p->file);
    if (e != ERR_OK) return cli_fail_err(p->c, e, NULL);
    return *done ? plan_run_verdict(p, report.truncated) : CLI_DONE;
}

int plan_check_run(struct cli *c, const struct tree_match *m)
{
    struct plan_run p;
    bool done = c->socket != NULL;
    int status = plan_run_check_allow(c, m);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&p, c);
    if (status == CLI_DONE && done) status = check_over(&p, m, tree_arg(m, 0));
    if (status == CLI_DONE && !done) status = check_large(&p, m, &done);
    if (status == CLI_DONE && !done) status = plan_run_faults(&p, m, plan_file_read(c, tree_arg(m, 0), &p.file));
    if (status == CLI_DONE && !done) status = check_file(&p, m);
    return plan_run_close(&p, status);
}

/* ---- plan diff, plan apply ---- */

static int change_run(struct cli *c, const struct tree_match *m, struct plan_send_options o)
{
    struct plan_run p;
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&p, c);
    if (status == CLI_DONE) status = plan_run_faults(&p, m, plan_file_read_passing(c, tree_arg(m, 0), &p.file));
    if (status == CLI_DONE && plan_file_count(&p.file) == 0) {
        status = cli_fail(c, CLI_REFUSED, "%s: there is nothing in it", p.file.name);
    }
    if (status == CLI_DONE) status = plan_send(&p, m, &o);
    return plan_run_close(&p, status);
}

int plan_diff_run(struct cli *c, const struct tree_match *m)
{
    return change_run(c, m, (struct plan_send_options){.command = "plan diff", .dry_run = true});
}

int plan_apply_run(struct cli *c, const struct tree_match *m)
{
    return change_run(c, m, (struct plan_send_options){.command = "plan apply"});
}

/* ---- plan rollback ---- */

int plan_rollback_run(struct cli *c, const struct tree_match *m)
{
    struct plan_run p;
    struct plan_send_options o = {.command = "plan rollback", .change = tree_arg(m, 0)};
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&p, c);
    if (status == CLI_DONE && plan_file_take(&p.file, NULL, 0, NULL, NULL, 0, SLICE_NONE) != ERR_OK) {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    if (status == CLI_DONE && tree_given(m, "effect") && (p.kept = plan_kept_new()) == NULL) {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    if (status == CLI_DONE) status = plan_send(&p, m, &o);
    return plan_run_close(&p, status);
}

/* ---- plan confirm ---- */

static enum err confirm_args(const struct tree_match *m, const struct plan_send_options *o, struct arena *arena,
                             struct control_record *out)
{
    struct control_builder b;
    control_record_start(&b, arena, "");
    if (tree_arg(m, 0) != NULL) control_text(&b, "change", slice_of(tree_arg(m, 0)));
    if (o->message != NULL) control_text(&b, "message", slice_of(o->message));
    if (tree_value(m, "wait") != NULL) control_text(&b, "wait", slice_of(tree_value(m, "wait")));
    if (o->timeout_ms > 0) control_int(&b, "timeout_ms", (int64_t)o->timeout_ms);
    return control_record_done(&b, out);
}

int plan_confirm_run(struct cli *c, const struct tree_match *m)
{
    struct plan_run p;
    struct arena arena = {0};
    struct control_record args;
    struct plan_send_options o = {.command = "plan confirm", .message_optional = true};
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&p, c);
    if (status == CLI_DONE && confirm_args(m, &o, &arena, &args) != ERR_OK) status = cli_fail_err(c, ERR_NOMEM, NULL);
    if (status == CLI_DONE) status = plan_send_args(&p, &o, &args);
    arena_fini(&arena);
    return plan_run_close(&p, status);
}
