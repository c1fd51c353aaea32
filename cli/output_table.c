/* output_table: tables for people, through libsmartcols. Each kind of record is a table of its own, in the order in
 * which the kinds first came; a view can give a kind a line for each record instead, or stand a lone record upright. */
#include <libsmartcols.h>
#include <stdlib.h>

#include "cli/output_layout.h"

static const char *state_color(struct slice s)
{
    static const struct {
        const char *word;
        const char *color;
    } rows[] = {
        {"ok", "green"},        {"up", "green"},         {"alive", "green"},    {"yes", "green"},
        {"in step", "green"},   {"drained", "yellow"},   {"done", "green"},     {"answered", "green"},
        {"suspect", "yellow"},  {"stale", "yellow"},     {"joining", "yellow"}, {"warning", "yellow"},
        {"disabled", "yellow"}, {"registered", "green"}, {"trying", "yellow"},  {"refused", "red"},
        {"ringing", "yellow"},  {"dead", "red"},         {"down", "red"},       {"no", "red"},
        {"error", "red"},       {"failed", "red"},       {"evicted", "red"},    {"left", "yellow"},
        {"resting", "yellow"},  {"warn", "yellow"},      {"passed", "green"},   {"not asked", "yellow"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (slice_is(s, rows[i].word)) return rows[i].color;
    }
    return NULL;
}

static struct libscols_table *table_new(const struct output *o)
{
    struct libscols_table *t = scols_new_table();
    if (t == NULL) return NULL;
    int failed = scols_table_enable_colors(t, o->options.color);
    failed |= scols_table_set_termforce(t, o->options.width > 0 ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
    if (o->options.width > 0) failed |= scols_table_set_termwidth(t, o->options.width);
    failed |= scols_table_enable_noencoding(t, 1); /* cells are safe already, and may be UTF-8 */
    failed |= scols_table_set_column_separator(t, "  ");
    if (failed == 0) return t;
    scols_unref_table(t);
    return NULL;
}

static bool table_column(struct libscols_table *t, const char *heading, unsigned flags)
{
    int f = (flags & COLUMN_RIGHT) != 0 ? SCOLS_FL_RIGHT : 0;
    if ((flags & COLUMN_CUT) != 0) f |= SCOLS_FL_TRUNC;
    if ((flags & COLUMN_WRAP) != 0) f |= SCOLS_FL_WRAP;
    struct libscols_column *c = scols_table_new_column(t, heading, 0, f);
    if (c == NULL || (flags & COLUMN_WRAP) == 0) return c != NULL;
    return scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) == 0 &&
           scols_column_set_safechars(c, "\n") == 0;
}

/* width: break the text there, 0: nowhere. */
static bool set_cell(struct libscols_line *line, size_t k, const struct control_field *f, const struct output_column *c,
                     size_t width)
{
    struct buf text = {0};
    output_cell(f, c->form, &text);
    const char *color = (c->flags & COLUMN_STATE) != 0 ? state_color(buf_view(&text)) : NULL;
    if (width > 0) {
        struct buf lines = {0};
        layout_break(buf_view(&text), width, &lines);
        if (text.failed) lines.failed = true;
        buf_fini(&text);
        text = lines;
    }
    buf_add(&text, "", 1);
    bool ok = !text.failed && scols_line_set_data(line, k, text.p) == 0;
    if (ok && color != NULL) ok = scols_cell_set_color(scols_line_get_cell(line, k), color) == 0;
    buf_fini(&text);
    return ok;
}

static void table_print(struct output *o, struct libscols_table *t, bool ok)
{
    char *text = NULL;
    if (ok && scols_print_table_to_string(t, &text) == 0) {
        output_write(o, slice_of(text));
        output_write(o, SLICE("\n"));
    } else {
        o->failed = true;
    }
    free(text);
    scols_unref_table(t);
}

static bool of_kind(const struct output *o, size_t i, struct slice kind)
{
    return slice_eq(o->kept[i].kind, kind);
}

/* ---- one line for each record ---- */

static bool fill_line(struct libscols_table *t, const struct layout *l, const struct control_record *r)
{
    struct libscols_line *line = scols_table_new_line(t, NULL);
    bool ok = line != NULL;
    for (size_t k = 0; ok && k < l->count; k++) {
        const struct output_column *c = l->shown[k].column;
        ok = set_cell(line, k, control_find(r, c->field), c, l->shown[k].width);
    }
    return ok;
}

static void print_rows(struct output *o, const struct output_column *columns, struct slice kind)
{
    struct libscols_table *t = table_new(o);
    struct layout l;
    bool ok = t != NULL;
    layout_make(&l, o, columns, kind);
    for (size_t k = 0; ok && k < l.count; k++)
        ok = table_column(t, l.shown[k].column->heading, l.shown[k].column->flags);
    for (size_t i = 0; ok && i < o->kept_count; i++) {
        if (of_kind(o, i, kind)) ok = fill_line(t, &l, &o->kept[i]);
    }
    table_print(o, t, ok);
}

/* Columns of a kind without a view: the fields of its first record, named as they are. */
static void print_plain_rows(struct output *o, const struct control_record *first)
{
    struct output_column *columns = arena_alloc(&o->arena, (first->field_count + 1) * sizeof *columns);
    if (columns == NULL) {
        o->failed = true;
        return;
    }
    for (size_t k = 0; k < first->field_count; k++) {
        char *name = arena_printf(&o->arena, "%.*s", SLICE_ARG(first->fields[k].name));
        char *heading = arena_printf(&o->arena, "%.*s", SLICE_ARG(first->fields[k].name));
        if (name == NULL || heading == NULL) {
            o->failed = true;
            return;
        }
        for (char *c = heading; *c != '\0'; c++)
            *c = (char)(*c == '_' ? ' ' : *c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        columns[k] =
            (struct output_column){name, heading, FORM_PLAIN, first->fields[k].type == CONTROL_INT ? COLUMN_RIGHT : 0};
    }
    print_rows(o, columns, first->kind);
}

/* ---- one line for each field ---- */

static bool upright_line(struct libscols_table *t, const struct output_column *c, const struct control_record *r,
                         size_t width)
{
    struct libscols_line *line = scols_table_new_line(t, NULL);
    return line != NULL && scols_line_set_data(line, 0, c->heading) == 0 &&
           set_cell(line, 1, control_find(r, c->field), c, width);
}

static void print_upright(struct output *o, const struct output_view *v, const struct control_record *r)
{
    struct libscols_table *t = table_new(o);
    size_t names = 0; /* width of the widest one */
    bool ok = t != NULL && scols_table_enable_noheadings(t, 1) == 0 && table_column(t, "FIELD", 0) &&
              table_column(t, "VALUE", COLUMN_WRAP);
    for (size_t k = 0; v->columns[k].field != NULL; k++)
        if (strlen(v->columns[k].heading) > names) names = strlen(v->columns[k].heading);
    size_t width = o->options.width > names + 20 ? o->options.width - names - 2 : 0;
    for (size_t k = 0; ok && v->columns[k].field != NULL; k++) {
        const struct output_column *c = &v->columns[k];
        if ((c->flags & COLUMN_ODD) != 0 && !layout_has(control_find(r, c->field))) continue;
        ok = upright_line(t, c, r, width);
    }
    table_print(o, t, ok);
}

/* ---- the whole ---- */

static void write_record(struct output *o, const struct control_record *r)
{
    const struct output_view *v = output_view_of(o, r->kind);
    struct buf line = {0};
    if (v == NULL || v->line == NULL) {
        output_keep(o, r);
        return;
    }
    v->line(v->ctx, r, &line);
    if (line.failed) o->failed = true;
    output_write(o, buf_view(&line));
    if (line.n > 0) o->started = true;
    buf_fini(&line);
}

static bool kind_is_first(const struct output *o, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (of_kind(o, k, o->kept[i].kind)) return false;
    }
    return true;
}

static void write_all(struct output *o, int status, struct slice error)
{
    struct slice last = SLICE_NONE;
    (void)error; /* on stderr */
    for (size_t i = 0; i < o->kept_count && !o->failed; i++) {
        if (slice_eq(o->kept[i].kind, last) || !kind_is_first(o, i)) continue;
        last = o->kept[i].kind;
        const struct output_view *v = output_view_of(o, last);
        if (o->started) output_write(o, SLICE("\n"));
        o->started = true;
        if (v == NULL)
            print_plain_rows(o, &o->kept[i]);
        else if (v->upright)
            print_upright(o, v, &o->kept[i]);
        else
            print_rows(o, v->columns, last);
    }
    const struct output_view *first = o->options.views;
    if (!o->started && status == 0 && first != NULL && first->none != NULL) {
        output_write(o, slice_of(first->none));
        output_write(o, SLICE("\n"));
    }
}

const struct output_writer output_table = {write_record, write_all};
