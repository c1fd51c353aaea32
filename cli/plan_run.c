/* plan_run: a change of the plan on its way: what it would do, what is found wrong with it, and the receipts, as the
 * node says them. Findings and changes are lines, so that editors can jump to them; receipts are a table. Where a
 * change comes from (a document, a table, a command) is not known here. */
#include "cli/plan_run.h"

#include "cli/text.h"

/* ---- lines ---- */

static void paint(const struct cli *c, struct buf *out, const char *code, struct slice text)
{
    if (c->color) buf_printf(out, "\033[%sm", code);
    text_safe(out, text);
    if (c->color) buf_text(out, "\033[m");
}

/* "plan.yaml:12:5: error: route//6/trunk/x: no such trunk [unknown-target]" */
static void finding_line(void *ctx, const struct control_record *r, struct buf *out)
{
    struct plan_run *p = ctx;
    int64_t line = control_get_int(r, "line", 0);
    int64_t column = control_get_int(r, "column", 0);
    struct slice severity = control_get_text(r, "severity");
    if (p->file.name != NULL) {
        text_safe(out, slice_of(p->file.name));
        if (line > 0) buf_printf(out, ":%lld", (long long)line);
        if (line > 0 && column > 0) buf_printf(out, ":%lld", (long long)column);
        buf_text(out, ": ");
    }
    paint(p->c, out, slice_is(severity, "error") ? "31" : "33", severity);
    buf_text(out, ": ");
    text_safe(out, control_get_text(r, "object"));
    if (control_get_text(r, "object").n > 0) buf_text(out, ": ");
    text_safe(out, control_get_text(r, "text"));
    buf_text(out, " [");
    text_safe(out, control_get_text(r, "id"));
    buf_text(out, "]\n");
}

static void op_line(void *ctx, const struct control_record *r, struct buf *out)
{
    struct plan_run *p = ctx;
    struct slice action = control_get_text(r, "action");
    bool add = slice_is(action, "add");
    bool gone = slice_is(action, "remove");
    paint(p->c, out, add ? "32" : gone ? "31" : "33", add ? SLICE("+") : gone ? SLICE("-") : SLICE("~"));
    buf_text(out, " ");
    text_safe(out, control_get_text(r, "object"));
    buf_text(out, "\n");
    text_safe_lines(out, control_get_text(r, "detail"));
}

static void applied_line(void *ctx, const struct control_record *r, struct buf *out)
{
    struct slice change = control_get_text(r, "change");
    struct slice digest = control_get_text(r, "digest");
    (void)ctx;
    if (change.n > 0) {
        buf_text(out, "change ");
        text_safe(out, change);
        buf_text(out, ": ");
    }
    buf_printf(out,
               change.n > 0 ? "%lld added, %lld changed, %lld removed; the plan is now "
                            : "%lld to add, %lld to change, %lld to remove; the plan is ",
               (long long)control_get_int(r, "added", 0), (long long)control_get_int(r, "changed", 0),
               (long long)control_get_int(r, "removed", 0));
    if (digest.n > 12) digest.n = 12;
    text_safe(out, digest);
    buf_text(out, "\n");
    const struct control_field *by = control_find(r, "confirm_by");
    if (by == NULL || by->type == CONTROL_NULL) return;
    buf_text(out, "it is undone everywhere at ");
    output_cell(by, FORM_TIME, out);
    buf_text(out, ", unless you confirm it: clusterctl plan confirm ");
    text_safe(out, change);
    buf_text(out, "\n");
}

static void confirmed_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    buf_text(out, "change ");
    text_safe(out, control_get_text(r, "change"));
    buf_text(out, " stands: confirmed by ");
    text_safe(out, control_get_text(r, "by"));
    buf_text(out, "\n");
}

/* "1 error", "2 errors" */
static void amount(struct buf *out, int64_t n, const char *noun)
{
    buf_printf(out, "%lld %s%s", (long long)n, noun, n == 1 ? "" : "s");
}

static void checked_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    text_safe(out, control_get_text(r, "file"));
    buf_text(out, ": ");
    amount(out, control_get_int(r, "objects", 0), "object");
    buf_text(out, ", ");
    amount(out, control_get_int(r, "errors", 0), "error");
    buf_text(out, ", ");
    amount(out, control_get_int(r, "warnings", 0), "warning");
    buf_text(out, "\n");
}

static void accepted_line(void *ctx, const struct control_record *r, struct buf *out)
{
    long long n = (long long)control_get_int(r, "objects", 0);
    (void)ctx;
    buf_text(out, "change ");
    text_safe(out, control_get_text(r, "change"));
    buf_printf(out, ": what stands is accepted for %lld object%s\n", n, n == 1 ? "" : "s");
}

static const struct output_column receipt_columns[] = {
    {"node", "NODE", FORM_PLAIN, 0},
    {"durable", "HAS IT", FORM_PLAIN, COLUMN_STATE},
    {"ms", "AFTER MS", FORM_PLAIN, COLUMN_RIGHT},
    {"note", "NOTE", FORM_PLAIN, COLUMN_CUT},
    {0},
};

int plan_run_open(struct plan_run *p, struct cli *c)
{
    *p = (struct plan_run){.c = c};
    const struct output_view views[] = {
        {.kind = "finding", .line = finding_line, .ctx = p},
        {.kind = "op", .line = op_line, .ctx = p},
        {.kind = "applied", .line = applied_line, .ctx = p},
        {.kind = "checked", .line = checked_line, .ctx = p},
        {.kind = "confirmed", .line = confirmed_line},
        {.kind = "accepted", .line = accepted_line},
        {.kind = "receipt", .columns = receipt_columns},
        {.kind = "effect_total", .line = plan_effect_line},
        {.kind = "effect", .columns = plan_effect_columns},
        {.kind = "asked", .columns = plan_asked_columns},
        {0},
    };
    _Static_assert(sizeof views == sizeof p->views, "all of them");
    memcpy(p->views, views, sizeof views);
    return cli_output(c, p->views) ? CLI_DONE : CLI_REFUSED;
}

int plan_run_close(struct plan_run *p, int status)
{
    status = cli_finish(p->c, status);
    plan_file_fini(&p->file);
    plan_kept_free(p->kept);
    return status;
}

/* ---- findings ---- */

/* The next name of --allow, which may be given several times with several names; false: there is none. */
struct allow {
    const struct tree_match *m;
    size_t k;
    struct slice rest;
};
static bool next_allowed(struct allow *a, struct slice *item)
{
    while (a->rest.n == 0) {
        a->rest = slice_of(tree_value_at(a->m, "allow", a->k++));
        if (a->rest.p == NULL) return false;
    }
    a->rest = slice_cut(a->rest, ',', item);
    *item = slice_trim(*item);
    return true;
}

/* Whether --allow names a warning. */
static bool allowed(const struct tree_match *m, struct slice id)
{
    struct slice item;
    for (struct allow a = {.m = m}; next_allowed(&a, &item);) {
        if (slice_eq(item, id) || slice_is(item, "all")) return true;
    }
    return false;
}

/* "did you mean 'no-trust'? " and all names that there are. */
static int no_warning(struct cli *c, struct slice item)
{
    char word[64];
    char near_text[96] = "";
    struct buf names = {0};
    size_t count = 0;
    for (; plan_lint_warnings[count] != NULL; count++)
        buf_printf(&names, "%s%s", count > 0 ? ", " : "", plan_lint_warnings[count]);
    (void)snprintf(word, sizeof word, "%.*s", SLICE_ARG(item));
    const char *near = text_nearest(word, plan_lint_warnings, count);
    if (near != NULL) (void)snprintf(near_text, sizeof near_text, "did you mean '%s'? ", near);
    int status = cli_fail(c, CLI_USAGE, "--allow %s: there is no such warning; %sthere are %.*s, and all", word,
                          near_text, SLICE_ARG(buf_view(&names)));
    buf_fini(&names);
    return status;
}

int plan_run_check_allow(struct cli *c, const struct tree_match *m)
{
    struct slice item;
    for (struct allow a = {.m = m}; next_allowed(&a, &item);) {
        if (item.n > 0 && !slice_is(item, "all") && !plan_lint_is_warning(item)) return no_warning(c, item);
    }
    return CLI_DONE;
}

enum err plan_run_finding(struct plan_run *p, const struct tree_match *m, const struct lint_finding *f)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, &arena, "finding");
    control_text(&b, "severity", f->severity == LINT_ERROR ? SLICE("error") : SLICE("warning"));
    control_text(&b, "id", slice_of(f->id));
    control_text(&b, "file", slice_of(p->file.name));
    control_int(&b, "line", f->line);
    control_int(&b, "column", f->column);
    control_text(&b, "object", f->object);
    control_text(&b, "text", f->text);
    enum err e = control_record_done(&b, &r);
    if (e == ERR_OK) output_record(p->c->output, &r);
    arena_fini(&arena);
    p->blocking += f->severity == LINT_ERROR || !allowed(m, slice_of(f->id));
    return e;
}

int plan_run_faults(struct plan_run *p, const struct tree_match *m, int status)
{
    const struct plan_faults *f = p->file.faults;
    if (f == NULL) return status;
    for (size_t i = 0; i < f->count; i++) {
        enum err e = plan_run_finding(p, m,
                                      &(struct lint_finding){.severity = LINT_ERROR,
                                                             .id = "form",
                                                             .line = f->items[i].line,
                                                             .column = f->items[i].column,
                                                             .object = SLICE(""),
                                                             .text = slice_of(f->items[i].text)});
        if (e != ERR_OK) return cli_fail_err(p->c, e, NULL);
    }
    return cli_fail(p->c, status,
                    "%s%zu fault%s in how the document is written: mend %s, and the plan itself is looked at",
                    f->more ? "more than " : "", f->count, f->count == 1 ? "" : "s", f->count == 1 ? "it" : "them");
}

int plan_run_verdict(struct plan_run *p, bool truncated)
{
    if (p->blocking == 0) return CLI_DONE;
    return cli_fail(p->c, CLI_FINDINGS,
                    "%s%zu finding%s in the way: mend what is wrong, or accept warnings with --allow",
                    truncated ? "more than " : "", p->blocking, p->blocking == 1 ? " stands" : "s stand");
}

/* ---- what the node says ---- */

/* A finding with its place in the document, which the node does not know. */
static void send_finding_at(struct plan_run *p, const struct control_record *r)
{
    struct control_field fields[16];
    struct control_record with = *r;
    const struct plan_place place = plan_file_place(&p->file, control_get_text(r, "object"));
    with.fields = fields;
    with.field_count = 0;
    for (size_t i = 0; i < r->field_count && with.field_count + 1 < 16; i++) {
        struct control_field *f = &fields[with.field_count++];
        *f = r->fields[i];
        if (!slice_is(f->name, "line") || f->type != CONTROL_INT) continue;
        if (f->integer == 0) f->integer = place.line;
        fields[with.field_count++] =
            (struct control_field){.name = SLICE("column"), .type = CONTROL_INT, .integer = (int64_t)place.column};
    }
    output_record(p->c->output, &with);
}

/* An op without the object itself: that is for programs, and holds the hashes of passwords. */
static void send_op(struct plan_run *p, const struct control_record *r)
{
    struct control_field fields[16];
    struct control_record shown = {.kind = r->kind, .fields = fields};
    for (size_t i = 0; i < r->field_count && shown.field_count < 16; i++) {
        if (r->fields[i].type != CONTROL_BYTES) fields[shown.field_count++] = r->fields[i];
    }
    if (p->kept != NULL) plan_kept_op(p->kept, r);
    output_record(p->c->output, &shown);
}

void plan_run_reply(void *ctx, const struct control_record *r)
{
    struct plan_run *p = ctx;
    bool finding = slice_is(r->kind, "finding");
    if (finding && p->domain && slice_is(control_get_text(r, "id"), "new-domain")) return; /* found here already */
    if (p->findings_only != NULL && !finding) return;
    const struct slice id = control_get_text(r, "id");
    const bool error = finding && slice_is(control_get_text(r, "severity"), "error");
    p->findings += finding;
    p->errors += error;
    if (p->findings_only != NULL) p->blocking += error || !allowed(p->findings_only, id);
    if (finding)
        send_finding_at(p, r);
    else if (slice_is(r->kind, "op"))
        send_op(p, r);
    else
        output_record(p->c->output, r);
}
