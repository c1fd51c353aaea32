/* csv_read: a table of routes or accounts, row by row, as the schema says. Two passes: the first counts the rows, so
 * that the result is one array. */
#include "node/plan/csv.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "node/base/list.h"
#include "node/base/map.h"
#include "node/plan/csv_cursor.h"
#include "node/plan/csv_names.h"
#include "node/plan/csv_suspect.h"
#include "node/plan/field_value.h"
#include "node/plan/pattern.h"
#include "node/plan/text.h"

enum column_role { COLUMN_EMPTY, COLUMN_NAME, COLUMN_FIELD, COLUMN_ACTION };

struct column {
    enum column_role role;
    size_t field; /* COLUMN_FIELD: its place in the schema */
};

struct entry {
    struct map_node node;
    const struct plan_csv_row *row;
};

struct plan_csv_reader {
    struct csv_cursor cursor;
    struct csv_cell cells[CSV_COLUMN_MAX];
    size_t cell_count;
    struct column columns[CSV_COLUMN_MAX];
    size_t column_count;
    const struct schema *schema;
    struct field_reader fields;
    struct buf text; /* of a cell in which quotes are doubled */
    struct arena scratch;
    struct map keys;
    bool passing; /* rows are not kept: which repeat others is not known */
    struct plan_csv *out;
    struct err_info *info;
};

static enum err no_memory(const struct plan_csv_reader *r)
{
    return err_fail(r->info, ERR_NOMEM, "no memory to read the table");
}

/* An error at the k-th cell of the row: "cell B12: ...". */
static enum err fail_cell(const struct plan_csv_reader *r, size_t k, enum err e, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static enum err fail_cell(const struct plan_csv_reader *r, size_t k, enum err e, const char *fmt, ...)
{
    struct err_info detail;
    char letters[3] = {(char)('A' + k % 26), '\0', '\0'};
    va_list ap;
    if (k >= 26) {
        letters[1] = letters[0];
        letters[0] = (char)('A' + k / 26 - 1);
    }
    va_start(ap, fmt);
    (void)vsnprintf(detail.text, sizeof detail.text, fmt, ap);
    va_end(ap);
    return err_fail_at(r->info, e, r->cells[k].line, csv_column(&r->cells[k]), "cell %s%u: %s", letters, r->cursor.row,
                       detail.text);
}

static bool row_is_blank(const struct plan_csv_reader *r)
{
    for (size_t k = 0; k < r->cell_count; k++) {
        if (r->cells[k].raw.n > 0) return false;
    }
    return true;
}

/* The next row with something in it; cell_count is 0 at the end. */
static enum err next_row(struct plan_csv_reader *r)
{
    do {
        enum err e = csv_row(&r->cursor, r->cells, &r->cell_count);
        if (e != ERR_OK || r->cell_count == 0) return e;
    } while (row_is_blank(r));
    return ERR_OK;
}

/* ---- the header ---- */

static bool header_has(const struct plan_csv_reader *r, const char *name)
{
    for (size_t k = 0; k < r->cell_count; k++) {
        if (slice_eq_nocase(r->cells[k].raw, slice_of(name))) return true;
    }
    return false;
}

static enum err find_kind(struct plan_csv_reader *r)
{
    static const char *const keys[] = {"match", "name"};
    char shown[TEXT_SHOWN];
    unsigned distance = 0;
    r->out->kind = header_has(r, CSV_NAME) ? PLAN_ACCOUNT : PLAN_ROUTE;
    r->schema = schema_of(r->out->kind);
    ASSERT(r->schema->count <= 32);
    if (header_has(r, keys[0]) || header_has(r, keys[1])) return ERR_OK;
    for (size_t k = 0; k < r->cell_count; k++) {
        for (size_t i = 0; i < 2; i++) {
            if (!text_near(r->cells[k].raw, slice_of(keys[i]), &distance)) continue;
            return fail_cell(r, k, ERR_SYNTAX, "unknown column %s; did you mean \"%s\"?",
                             text_shown(r->cells[k].raw, shown), keys[i]);
        }
    }
    return fail_cell(r, 0, ERR_SYNTAX,
                     "the first row must name the columns: \"match\", \"to\" and others for routes, \"name\" and "
                     "others for accounts");
}

static enum err unknown_column(const struct plan_csv_reader *r, size_t k)
{
    char shown[TEXT_SHOWN];
    char all[240] = "";
    const char *near = NULL;
    unsigned best = 0;
    const char *name = NULL;
    (void)text_shown(r->cells[k].raw, shown);
    for (size_t i = 0; (name = csv_column_name(r->out->kind, i)) != NULL; i++) {
        size_t n = strlen(all);
        unsigned distance = 0;
        if (text_near(r->cells[k].raw, slice_of(name), &distance) && (near == NULL || distance < best)) {
            near = name;
            best = distance;
        }
        (void)snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", name);
    }
    if (near != NULL) return fail_cell(r, k, ERR_SYNTAX, "unknown column %s; did you mean \"%s\"?", shown, near);
    return fail_cell(r, k, ERR_SYNTAX, "unknown column %s; those of %ss are %s", shown, plan_kind_name(r->out->kind),
                     all);
}

static enum err read_column(struct plan_csv_reader *r, size_t k)
{
    struct column *c = &r->columns[k];
    struct slice name = r->cells[k].raw;
    *c = (struct column){.role = COLUMN_EMPTY};
    if (name.n == 0) return ERR_OK;
    for (size_t i = 0; i < k; i++) {
        if (!slice_eq_nocase(r->cells[i].raw, name)) continue;
        return fail_cell(r, k, ERR_SYNTAX, "the column %.*s is there twice; keep one", SLICE_ARG(r->cells[i].raw));
    }
    if (r->schema->named && slice_eq_nocase(name, SLICE(CSV_NAME))) c->role = COLUMN_NAME;
    if (slice_eq_nocase(name, SLICE(CSV_ACTION))) c->role = COLUMN_ACTION;
    for (size_t i = 0; c->role == COLUMN_EMPTY && i < r->schema->count; i++) {
        const struct field *f = &r->schema->fields[i];
        if (f->hidden || !slice_eq_nocase(name, slice_of(f->name))) continue;
        *c = (struct column){COLUMN_FIELD, i};
        r->out->columns |= UINT32_C(1) << i;
    }
    return c->role != COLUMN_EMPTY ? ERR_OK : unknown_column(r, k);
}

static enum err read_header(struct plan_csv_reader *r)
{
    enum err e = next_row(r);
    if (e != ERR_OK) return e;
    if (r->cell_count == 0) {
        return err_fail_at(r->info, ERR_SYNTAX, 1, 1, "the table is empty; its first row must name the columns");
    }
    e = find_kind(r);
    for (size_t k = 0; e == ERR_OK && k < r->cell_count; k++)
        e = read_column(r, k);
    if (e != ERR_OK) return e;
    r->column_count = r->cell_count;
    for (size_t i = 0; i < r->schema->count; i++) {
        const struct field *f = &r->schema->fields[i];
        if (!f->required || (r->out->columns & UINT32_C(1) << i) != 0) continue;
        return fail_cell(r, 0, ERR_SYNTAX, "there is no column \"%s\"; every %s needs one", f->name,
                         plan_kind_name(r->out->kind));
    }
    return ERR_OK;
}

/* ---- cells ---- */

/* ="0049": how a table tells a spreadsheet that a cell is text. */
static bool is_text_formula(struct slice s)
{
    return s.n > 3 && slice_starts(s, SLICE("=\"")) && memchr(s.p + 2, '"', s.n - 2) == s.p + s.n - 1;
}

/* What a cell says; *literal when an apostrophe stood before it, or it was ="...". */
static struct slice cell_text(struct plan_csv_reader *r, size_t k, bool *literal)
{
    struct slice text = r->cells[k].raw;
    if (r->cells[k].doubled) {
        buf_reset(&r->text);
        csv_text(&r->cells[k], &r->text);
        text = buf_view(&r->text);
    }
    *literal = true;
    if (is_text_formula(text)) return (struct slice){text.p + 2, text.n - 3};
    *literal = text.n > 0 && text.p[0] == '\'';
    if (*literal) text = (struct slice){text.p + 1, text.n - 1};
    return text;
}

/* What a spreadsheet has done to a cell that would otherwise pass; a note may say what it likes. */
static const char *damage(const struct field *f, struct slice text, bool literal)
{
    if (literal || f->type == FIELD_PASSWORD || strcmp(f->name, "note") == 0) return NULL;
    return csv_damage(text);
}

/* A cell that is no value of its column. */
static enum err fail_value(const struct plan_csv_reader *r, size_t k, enum err e, const struct field *f,
                           struct slice text, const char *detail)
{
    char shown[TEXT_SHOWN];
    if (!text_is_utf8(r->cells[k].raw))
        return fail_cell(r, k, ERR_SYNTAX, "%s: this is not UTF-8 text; save the table as CSV UTF-8", f->name);
    const char *trace = f->type != FIELD_PASSWORD ? csv_trace(text) : NULL;
    if (trace == NULL) return fail_cell(r, k, e, "%s", detail);
    return fail_cell(r, k, e, "%s: %s: %s; make the column text there before you fill it in", f->name,
                     text_shown(text, shown), trace);
}

static enum err read_field(struct plan_csv_reader *r, size_t k, struct plan_csv_row *row)
{
    const struct field *f = &r->schema->fields[r->columns[k].field];
    uint32_t bit = UINT32_C(1) << r->columns[k].field;
    struct err_info detail = {.text = ""};
    bool literal = false;
    struct slice text = cell_text(r, k, &literal);
    if (r->text.failed) return no_memory(r);
    if (!literal && slice_is(text, CSV_REMOVE)) {
        if (f->required) {
            return fail_cell(r, k, ERR_SYNTAX,
                             "%s: it cannot be taken away; " CSV_REMOVE " in the column " CSV_ACTION " removes the %s",
                             f->name, plan_kind_name(r->out->kind));
        }
        row->cleared |= bit;
        return ERR_OK;
    }
    if (text.n == 0) { /* a lone apostrophe: no text at all */
        if (!f->required) row->cleared |= bit;
        return ERR_OK;
    }
    if (!literal && f->type == FIELD_PASSWORD && slice_is(text, "(set)")) return ERR_OK;
    const char *damaged = damage(f, text, literal);
    if (damaged != NULL) {
        char shown[TEXT_SHOWN];
        return fail_cell(r, k, ERR_SYNTAX,
                         "%s: %s: %s; make the column text there, or write what is meant behind an apostrophe", f->name,
                         text_shown(text, shown), damaged);
    }
    r->fields.info = &detail;
    enum err e = field_value_read(&r->fields, f, schema_base(&row->object), text, literal);
    row->given |= bit;
    if (e == ERR_OK) return ERR_OK;
    if (e == ERR_NOMEM) return no_memory(r);
    return fail_value(r, k, e, f, text, detail.text);
}

static enum err read_name(struct plan_csv_reader *r, size_t k, struct plan_csv_row *row)
{
    char shown[TEXT_SHOWN];
    bool literal = false;
    struct slice text = cell_text(r, k, &literal);
    if (r->text.failed) return no_memory(r);
    const char *damaged = literal ? NULL : csv_damage(text);
    if (damaged != NULL) {
        return fail_cell(r, k, ERR_SYNTAX,
                         "%s: %s: %s; make the column text there, or write what is meant behind an apostrophe",
                         CSV_NAME, text_shown(text, shown), damaged);
    }
    if (!plan_name_valid(text)) {
        const char *trace = csv_trace(text);
        return fail_cell(r, k, ERR_SYNTAX, "%s is no name; use 1 to %d letters, digits, '.', '_' and '-'%s%s",
                         text_shown(text, shown), LIMIT_NAME, trace != NULL ? ": " : "", trace != NULL ? trace : "");
    }
    struct slice name = arena_copy(r->fields.arena, text);
    if (name.p == NULL) return no_memory(r);
    memcpy(schema_base(&row->object), &name, sizeof name);
    return ERR_OK;
}

static enum err read_action(struct plan_csv_reader *r, size_t k, struct plan_csv_row *row)
{
    char shown[TEXT_SHOWN];
    row->remove = slice_eq_nocase(r->cells[k].raw, SLICE(CSV_REMOVE));
    if (row->remove) return ERR_OK;
    return fail_cell(r, k, ERR_SYNTAX, "%s is no action; write " CSV_REMOVE " to remove the %s, or nothing",
                     text_shown(r->cells[k].raw, shown), plan_kind_name(r->out->kind));
}

static enum err read_cell(struct plan_csv_reader *r, size_t k, struct plan_csv_row *row)
{
    char shown[TEXT_SHOWN];
    if (r->cells[k].raw.n == 0) return ERR_OK;
    switch (k < r->column_count ? r->columns[k].role : COLUMN_EMPTY) {
    case COLUMN_NAME: return read_name(r, k, row);
    case COLUMN_FIELD: return read_field(r, k, row);
    case COLUMN_ACTION: return read_action(r, k, row);
    case COLUMN_EMPTY: break;
    }
    return fail_cell(r, k, ERR_SYNTAX,
                     "%s stands under no heading; give its column a name, or put quotes around a "
                     "cell that holds a '%s'",
                     text_shown(r->cells[k].raw, shown),
                     r->cursor.separator == '\t' ? "tab" : (char[]){r->cursor.separator, '\0'});
}

/* ---- rows ---- */

static const char *separator_name(char c)
{
    return c == '\t' ? "tabs" : c == ';' ? "semicolons" : "commas";
}

/* The place of a column in the row, for errors. */
static size_t column_of(const struct plan_csv_reader *r, enum column_role role, size_t field)
{
    for (size_t k = 0; k < r->column_count && k < r->cell_count; k++) {
        if (r->columns[k].role == role && (role != COLUMN_FIELD || r->columns[k].field == field)) return k;
    }
    return 0;
}

/* The column of what the row is about: its name, or its match. */
static size_t identity_column(const struct plan_csv_reader *r)
{
    size_t match = 0;
    if (r->out->kind != PLAN_ROUTE) return column_of(r, COLUMN_NAME, 0);
    while (r->schema->fields[match].offset != offsetof(struct plan_route, match))
        match++;
    return column_of(r, COLUMN_FIELD, match);
}

static enum err check_identity(const struct plan_csv_reader *r, const struct plan_csv_row *row)
{
    if (r->schema->named && ((const struct slice *)schema_base_const(&row->object))->n == 0) {
        return fail_cell(r, column_of(r, COLUMN_NAME, 0), ERR_SYNTAX, "the " CSV_NAME " is missing in this row");
    }
    for (size_t i = 0; i < r->schema->count; i++) {
        const struct field *f = &r->schema->fields[i];
        if (!f->required || (row->given & UINT32_C(1) << i) != 0) continue;
        return fail_cell(r, column_of(r, COLUMN_FIELD, i), ERR_SYNTAX, "\"%s\" is missing in this row; write %s",
                         f->name, f->example);
    }
    return ERR_OK;
}

/* A single number that is shorter than the row itself says that numbers are. */
static enum err check_length(const struct plan_csv_reader *r, const struct plan_csv_row *row)
{
    struct pattern p;
    const struct plan_route *route = &row->object.route;
    if (r->out->kind != PLAN_ROUTE || row->remove || pattern_parse(route->match, &p, NULL) != ERR_OK) return ERR_OK;
    if (p.kind != PATTERN_EXACT || p.low.n >= route->length_min) return ERR_OK;
    return fail_cell(r, identity_column(r), ERR_SYNTAX,
                     "match: %.*s has %zu digits, but length says %u at least: if a spreadsheet took zeros from its "
                     "front, write them again behind an apostrophe ('=0...)",
                     SLICE_ARG(route->match), p.low.n, route->length_min);
}

static enum err enter_key(struct plan_csv_reader *r, const struct plan_csv_row *row)
{
    char text[PLAN_KEY_MAX];
    struct slice key = {text, plan_object_key_text(&row->object, text)};
    uint64_t hash = map_hash(&r->keys, key);
    for (struct map_node *n = map_first(&r->keys, hash); n != NULL; n = map_next(n)) {
        const struct entry *other = CONTAINER_OF(n, struct entry, node);
        if (!plan_object_same(&other->row->object, &row->object)) continue;
        return fail_cell(r, 0, ERR_SYNTAX, "%.*s is already in line %u; keep one of them", SLICE_ARG(key),
                         other->row->object.line);
    }
    struct entry *entry = arena_alloc(&r->scratch, sizeof *entry);
    if (entry == NULL) return no_memory(r);
    entry->row = row;
    map_insert(&r->keys, &entry->node, hash);
    return ERR_OK;
}

/* "88,trunk/x" in a table whose first row has semicolons between its cells. */
static enum err check_separator(const struct plan_csv_reader *r)
{
    const struct csv_cell *cell = &r->cells[0];
    if (r->cell_count > 1 || r->column_count < 2 || cell->quoted) return ERR_OK;
    for (const char *other = ",;\t"; *other != '\0'; other++) {
        if (*other == r->cursor.separator || memchr(cell->raw.p, *other, cell->raw.n) == NULL) continue;
        return fail_cell(r, 0, ERR_SYNTAX, "%s stand between the cells of this row, but %s between those of the first",
                         separator_name(*other), separator_name(r->cursor.separator));
    }
    return ERR_OK;
}

static enum err read_row(struct plan_csv_reader *r, struct plan_csv_row *row)
{
    plan_object_init(&row->object, r->out->kind);
    row->object.line = r->cells[0].line;
    enum err e = check_separator(r);
    for (size_t k = 0; e == ERR_OK && k < r->cell_count; k++)
        e = read_cell(r, k, row);
    if (e == ERR_OK) e = check_identity(r, row);
    if (e != ERR_OK) return e;
    row->object.column = csv_column(&r->cells[identity_column(r)]);
    e = check_length(r, row);
    return e == ERR_OK && !r->passing ? enter_key(r, row) : e;
}

/* How many rows follow the header. The cursor is left where it was. */
static enum err count_rows(struct plan_csv_reader *r, size_t *count)
{
    struct csv_cursor begin = r->cursor;
    enum err e = next_row(r);
    *count = 0;
    while (e == ERR_OK && r->cell_count > 0) {
        if (++*count > LIMIT_CHANGE_OPS) {
            return err_fail_at(r->info, ERR_LIMIT, r->cells[0].line, 1, "a table has at most %d rows; split it",
                               LIMIT_CHANGE_OPS);
        }
        e = next_row(r);
    }
    r->cursor = begin;
    return e;
}

static enum err read_rows(struct plan_csv_reader *r)
{
    size_t count = 0;
    struct plan_csv_row *rows = NULL;
    enum err e = count_rows(r, &count);
    if (e != ERR_OK) return e;
    rows = arena_alloc(r->fields.arena, count * sizeof *rows);
    if (rows == NULL || map_init(&r->keys, count, XXH3_64bits(r->cursor.rest.p, r->cursor.rest.n)) != ERR_OK) {
        return no_memory(r);
    }
    for (size_t i = 0; i < count; i++) {
        e = next_row(r);
        if (e == ERR_OK) e = read_row(r, &rows[i]);
        if (e != ERR_OK) return e;
    }
    r->out->rows = rows;
    r->out->row_count = count;
    return ERR_OK;
}

static void reader_fini(struct plan_csv_reader *r)
{
    if (r->text.cap > 0) secret_wipe(r->text.p, r->text.cap); /* it may have held a password */
    buf_fini(&r->text);
    buf_fini(&r->fields.items);
    map_fini(&r->keys);
    arena_fini(&r->scratch);
}

enum err plan_csv_parse(struct arena *arena, struct slice text, struct plan_csv *out, struct err_info *info)
{
    struct plan_csv csv = {.kind = PLAN_ROUTE};
    struct plan_csv_reader r = {.fields = {.arena = arena}, .out = &csv, .info = info};
    enum err e = csv_open(&r.cursor, text, info);
    if (e == ERR_OK) e = read_header(&r);
    if (e == ERR_OK) e = read_rows(&r);
    if (e == ERR_OK) *out = csv;
    reader_fini(&r);
    return e;
}

/* ---- row by row ---- */

/* The reader with what it points to. */
struct passing {
    struct plan_csv_reader r;
    struct plan_csv csv;
    struct slice text;
};

enum err plan_csv_open(struct slice text, struct plan_csv_reader **out, struct err_info *info)
{
    struct passing *p = calloc(1, sizeof *p);
    if (p == NULL) return err_fail(info, ERR_NOMEM, "no memory to read the table");
    p->csv.kind = PLAN_ROUTE;
    p->text = text;
    p->r = (struct plan_csv_reader){.fields = {.arena = &p->r.scratch}, .passing = true, .out = &p->csv, .info = info};
    enum err e = csv_open(&p->r.cursor, text, info);
    if (e == ERR_OK) e = read_header(&p->r);
    *out = &p->r;
    if (e == ERR_OK) return ERR_OK;
    plan_csv_close(&p->r);
    *out = NULL;
    return e;
}

static struct passing *passing_of(const struct plan_csv_reader *r)
{
    return CONTAINER_OF((uintptr_t)r, struct passing, r);
}

const struct plan_csv *plan_csv_table(const struct plan_csv_reader *r)
{
    return &passing_of(r)->csv;
}

enum err plan_csv_next(struct plan_csv_reader *r, struct plan_csv_row *row, size_t *at)
{
    arena_reset(&r->scratch);
    enum err e = next_row(r);
    if (e != ERR_OK) return e;
    if (r->cell_count == 0) return ERR_NOTFOUND;
    if (at != NULL) *at = (size_t)(r->cells[0].line_start - passing_of(r)->text.p);
    *row = (struct plan_csv_row){.given = 0};
    return read_row(r, row);
}

void plan_csv_seek(struct plan_csv_reader *r, size_t at, unsigned line)
{
    const struct slice text = passing_of(r)->text;
    r->cursor.rest = (struct slice){text.p + at, text.n - at};
    r->cursor.line_start = r->cursor.rest.p;
    r->cursor.line = line;
}

void plan_csv_close(struct plan_csv_reader *r)
{
    if (r == NULL) return;
    reader_fini(r);
    free(passing_of(r));
}
