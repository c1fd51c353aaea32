/* output_csv: RFC 4180 with a header row. Columns are all fields of all records in the order of their first appearance;
 * "kind" comes first when there are several; an empty list has the columns that its view names, so that who reads it
 * need not know an empty file from a broken one. Values stay as they are, a leading + included: it belongs to the
 * number; only what a spreadsheet would run gets an apostrophe in front, as in a table of the plan. */
#include <stdlib.h>

#include "cli/output_formats.h"
#include "cli/text.h"

struct columns {
    struct slice *names;
    size_t count;
    bool kinds;
};

/* Others choose what stands in a caller's name or a reason, and a spreadsheet would run it. A number with its sign is
 * none of that. */
static bool is_formula(struct slice s)
{
    if (s.n == 0 || memchr("=@\t\r+-", s.p[0], 6) == NULL) return false;
    if (s.p[0] != '+' && s.p[0] != '-') return true;
    for (size_t i = 1; i < s.n; i++) {
        if (memchr("0123456789 ().-", s.p[i], 15) == NULL) return true;
    }
    return false;
}

static void put_value(struct output *o, struct slice s)
{
    bool quote = false;
    struct buf out = {0};
    for (size_t i = 0; i < s.n; i++) {
        quote = quote || s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    }
    quote = quote || (s.n > 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' '));
    if (quote) buf_add(&out, "\"", 1);
    if (is_formula(s)) buf_add(&out, "'", 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') buf_add(&out, "\"", 1);
        buf_add(&out, s.p + i, 1);
    }
    if (quote) buf_add(&out, "\"", 1);
    if (out.failed) o->failed = true;
    output_write(o, buf_view(&out));
    buf_fini(&out);
}

static void put_field(struct output *o, const struct control_field *f)
{
    struct buf plain = {0};
    struct buf safe = {0};
    if (f != NULL) output_plain(f, &plain);
    if (o->options.terminal) text_safe(&safe, buf_view(&plain));
    put_value(o, o->options.terminal ? buf_view(&safe) : buf_view(&plain));
    if (plain.failed || safe.failed) o->failed = true;
    buf_fini(&plain);
    buf_fini(&safe);
}

static bool has_column(const struct columns *c, struct slice name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (slice_eq(c->names[i], name)) return true;
    }
    return false;
}

/* Records of one kind have the same fields as a rule, so that the search is short. */
static void find_columns(struct output *o, struct columns *c)
{
    for (size_t i = 0; i < o->kept_count; i++) {
        const struct control_record *r = &o->kept[i];
        if (!slice_eq(r->kind, o->kept[0].kind)) c->kinds = true;
        for (size_t k = 0; k < r->field_count; k++) {
            if (has_column(c, r->fields[k].name)) continue;
            struct slice *grown = realloc(c->names, (c->count + 1) * sizeof *grown);
            if (grown == NULL) {
                o->failed = true;
                return;
            }
            c->names = grown;
            c->names[c->count++] = r->fields[k].name;
        }
    }
}

static const struct control_field *field_of(const struct control_record *r, struct slice name)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (slice_eq(r->fields[i].name, name)) return &r->fields[i];
    }
    return NULL;
}

static void write_all(struct output *o, int status, struct slice error)
{
    struct columns c = {0};
    const struct output_view *list = o->options.views;
    /* errors go to stderr alone: a row of another shape would be taken for data */
    (void)error;
    if (o->kept_count > 0) find_columns(o, &c);
    if (o->kept_count == 0 && status == 0 && list != NULL && list->fields != NULL) {
        output_write(o, slice_of(list->fields));
        output_write(o, SLICE("\r\n"));
    }
    if (c.count > 0) {
        if (c.kinds) output_write(o, SLICE("kind,"));
        for (size_t i = 0; i < c.count; i++) {
            if (i > 0) output_write(o, SLICE(","));
            put_value(o, c.names[i]);
        }
        output_write(o, SLICE("\r\n"));
    }
    for (size_t r = 0; r < o->kept_count && !o->failed; r++) {
        if (c.kinds) put_value(o, o->kept[r].kind);
        for (size_t i = 0; i < c.count; i++) {
            if (i > 0 || c.kinds) output_write(o, SLICE(","));
            put_field(o, field_of(&o->kept[r], c.names[i]));
        }
        output_write(o, SLICE("\r\n"));
    }
    free(c.names);
}

const struct output_writer output_csv = {output_keep, write_all};
