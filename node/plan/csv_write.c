/* csv_write: routes or accounts as a table for spreadsheets, and what has to be done so that they leave it alone. */
#include "node/plan/csv.h"

#include "node/plan/csv_names.h"
#include "node/plan/csv_suspect.h"
#include "node/plan/document_write.h"
#include "node/plan/field_value.h"

const char *csv_column_name(enum plan_kind kind, size_t i)
{
    const struct schema *s = schema_of(kind);
    if (s->named && i-- == 0) return CSV_NAME;
    for (size_t k = 0; k < s->count; k++) {
        if (!s->fields[k].hidden && i-- == 0) return s->fields[k].name;
    }
    return i == 0 ? CSV_ACTION : NULL;
}

/* Whether a spreadsheet would show and save a number as it stands: no zero in front, and not so long that it turns
 * into 8.61E+12. */
static bool is_safe_number(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    }
    return s.n <= 11 && (s.p[0] != '0' || s.n == 1);
}

/* Whether a cell needs the apostrophe: a spreadsheet would run it or rewrite it, or it would be read as a sign. */
static bool needs_apostrophe(const struct field *f, struct slice s)
{
    if (s.n == 0) return false;
    if (f != NULL && f->type == FIELD_PASSWORD) return false; /* it is the sign itself */
    if (memchr("=+-@'\t\r", s.p[0], 7) != NULL || slice_is(s, CSV_REMOVE) || csv_damage(s) != NULL) return true;
    bool digit = (s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '.';
    return digit && !is_safe_number(s);
}

static void put_cell(struct slice s, bool apostrophe, char separator, struct buf *out)
{
    bool quote = s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t');
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == separator || s.p[i] == '"' || s.p[i] == '\r' || s.p[i] == '\n';
    if (quote) buf_add(out, "\"", 1);
    if (apostrophe) buf_add(out, "'", 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') buf_add(out, "\"", 1);
        buf_add(out, s.p + i, 1);
    }
    if (quote) buf_add(out, "\"", 1);
}

enum err plan_csv_line(const struct plan_object *o, char separator, struct buf *cell, struct buf *out)
{
    const struct schema *s = schema_of(o->kind);
    const void *base = schema_base_const(o);
    if (s->named) {
        struct slice name = *(const struct slice *)base;
        put_cell(name, needs_apostrophe(NULL, name), separator, out);
        buf_add(out, &separator, 1);
    }
    for (size_t k = 0; k < s->count; k++) {
        const struct field *f = &s->fields[k];
        if (f->hidden) continue;
        buf_reset(cell);
        enum err e = field_value_write(f, base, cell);
        if (e != ERR_OK) return e;
        put_cell(buf_view(cell), needs_apostrophe(f, buf_view(cell)), separator, out);
        buf_add(out, &separator, 1);
    }
    buf_text(out, "\r\n"); /* behind the empty cell of the last column, the action */
    return out->failed ? ERR_NOMEM : ERR_OK;
}

void plan_csv_head(enum plan_kind kind, char separator, struct buf *out)
{
    const char *name = NULL;
    for (size_t i = 0; (name = csv_column_name(kind, i)) != NULL; i++) {
        if (i > 0) buf_add(out, &separator, 1);
        buf_text(out, name);
    }
    buf_text(out, "\r\n");
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80) return false;
    }
    return true;
}

enum err plan_csv_write(enum plan_kind kind, const struct plan_object **objects, size_t count, char separator,
                        struct buf *out)
{
    struct buf rows = {0};
    struct buf cell = {0};
    enum err e = ERR_OK;
    document_sort(objects, count);
    plan_csv_head(kind, separator, &rows);
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if (objects[i]->kind == kind) e = plan_csv_line(objects[i], separator, &cell, &rows);
    }
    if (e == ERR_OK) {
        if (!is_ascii(buf_view(&rows))) buf_text(out, PLAN_CSV_MARK);
        buf_slice(out, buf_view(&rows));
        if (rows.failed || out->failed) e = ERR_NOMEM;
    }
    buf_fini(&cell);
    buf_fini(&rows);
    return e;
}
