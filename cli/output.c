/* output: the choice of the writer, and what all of them need. */
#include "cli/output.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/output_formats.h"
#include "cli/text.h"
#include "node/base/time.h"

static const struct output_writer *writer_of(const struct output *o)
{
    switch (o->options.format) {
    case OUTPUT_JSON: return &output_json;
    case OUTPUT_YAML: return &output_yaml;
    case OUTPUT_CSV: return &output_csv;
    default: return &output_table;
    }
}

struct output *output_new(const struct output_options *options)
{
    struct output *o = calloc(1, sizeof *o);
    if (o != NULL) o->options = *options;
    return o;
}

void output_record(struct output *o, const struct control_record *r)
{
    if (!o->failed) writer_of(o)->record(o, r);
}

void output_fail(struct output *o)
{
    o->failed = true;
}

enum err output_finish(struct output *o, int status, struct slice error)
{
    if (!o->failed) writer_of(o)->finish(o, status, error);
    bool written = fflush(o->options.stream) == 0 && !ferror(o->options.stream);
    enum err e = !written ? ERR_IO : o->failed ? ERR_NOMEM : ERR_OK;
    arena_fini(&o->arena);
    free(o->kept);
    free(o);
    return e;
}

void output_write(struct output *o, struct slice s)
{
    if (s.n > 0 && fwrite(s.p, 1, s.n, o->options.stream) != s.n) o->failed = true;
}

/* ---- keeping records ---- */

static bool copy_text(struct arena *a, struct slice from, struct slice *to)
{
    *to = arena_copy(a, from);
    return to->p != NULL;
}

/* Depth is bounded by the codec. */
bool output_copy(struct arena *a, const struct control_record *from, struct control_record *to)
{
    struct control_field *fields = arena_alloc(a, from->field_count * sizeof *fields);
    if (fields == NULL || !copy_text(a, from->kind, &to->kind)) return false;
    for (size_t i = 0; i < from->field_count; i++) {
        const struct control_field *f = &from->fields[i];
        struct control_record *items = arena_alloc(a, f->item_count * sizeof *items);
        fields[i] = *f;
        fields[i].items = items;
        if (items == NULL || !copy_text(a, f->name, &fields[i].name) || !copy_text(a, f->text, &fields[i].text)) {
            return false;
        }
        for (size_t k = 0; k < f->item_count; k++) {
            if (!output_copy(a, &f->items[k], &items[k])) return false;
        }
    }
    to->fields = fields;
    to->field_count = from->field_count;
    return true;
}

void output_keep(struct output *o, const struct control_record *r)
{
    if (o->kept_count == o->kept_cap) {
        size_t cap = o->kept_cap == 0 ? 64 : 2 * o->kept_cap;
        struct control_record *grown = realloc(o->kept, cap * sizeof *grown);
        if (grown == NULL) {
            o->failed = true;
            return;
        }
        o->kept = grown;
        o->kept_cap = cap;
    }
    if (output_copy(&o->arena, r, &o->kept[o->kept_count]))
        o->kept_count++;
    else
        o->failed = true;
}

const struct output_view *output_view_of(const struct output *o, struct slice kind)
{
    for (const struct output_view *v = o->options.views; v != NULL && v->kind != NULL; v++) {
        if (slice_is(kind, v->kind)) return v;
    }
    return NULL;
}

/* ---- values as text ---- */

const struct control_field *output_scalar(const struct control_record *item)
{
    return item->field_count == 1 && item->fields[0].name.n == 0 ? &item->fields[0] : NULL;
}

void output_plain(const struct control_field *f, struct buf *out)
{
    switch (f->type) {
    case CONTROL_TEXT: buf_slice(out, f->text); break;
    case CONTROL_INT: buf_printf(out, "%" PRId64, f->integer); break;
    case CONTROL_BOOL: buf_text(out, f->integer != 0 ? "true" : "false"); break;
    case CONTROL_BYTES:
        for (size_t i = 0; i < f->text.n; i++)
            buf_printf(out, "%02x", (unsigned char)f->text.p[i]);
        break;
    case CONTROL_LIST:
        for (size_t i = 0; i < f->item_count; i++) {
            const struct control_field *scalar = output_scalar(&f->items[i]);
            if (i > 0) buf_add(out, " ", 1);
            if (scalar != NULL)
                output_plain(scalar, out);
            else
                buf_text(out, "...");
        }
        break;
    case CONTROL_NULL: break;
    }
}

/* "0.8 ms", "12 ms", "1.5 s", "3 min", "2 h", "4 d": two figures are enough to read a state by. */
static void span(int64_t us, struct buf *out)
{
    static const struct {
        int64_t below;
        int64_t unit;
        const char *name;
    } rows[] = {{1000000, 1000, "ms"},
                {120 * 1000000LL, 1000000, "s"},
                {7200 * 1000000LL, 60 * 1000000LL, "min"},
                {48 * 3600 * 1000000LL, 3600 * 1000000LL, "h"},
                {INT64_MAX, 86400 * 1000000LL, "d"}};
    size_t i = 0;
    if (us < 0) us = 0;
    while (us >= rows[i].below && i < 4)
        i++;
    double value = (double)us / (double)rows[i].unit;
    buf_printf(out, value < 10 && us > 0 ? "%.1f %s" : "%.0f %s", value, rows[i].name);
}

/* An RFC 3339 time without its T and fraction. */
static void time_text(struct slice iso, struct buf *out)
{
    if (iso.n < 20 || iso.p[10] != 'T' || iso.p[iso.n - 1] != 'Z') {
        text_safe(out, iso);
        return;
    }
    text_safe(out, (struct slice){iso.p, 10});
    buf_add(out, " ", 1);
    text_safe(out, (struct slice){iso.p + 11, 8});
    buf_add(out, "Z", 1);
}

static bool cell_number(const struct control_field *f, enum column_form form, struct buf *out)
{
    char iso[WALL_TEXT_SIZE];
    if (f->type != CONTROL_INT) return false;
    switch (form) {
    case FORM_TIME: time_text(slice_of(wall_text((struct wall){f->integer}, iso)), out); return true;
    case FORM_US: span(f->integer, out); return true;
    case FORM_MS: span(f->integer > INT64_MAX / 1000 ? INT64_MAX : f->integer * 1000, out); return true;
    case FORM_S: span(f->integer > INT64_MAX / 1000000 ? INT64_MAX : f->integer * 1000000, out); return true;
    default: return false;
    }
}

void output_cell(const struct control_field *f, enum column_form form, struct buf *out)
{
    struct buf plain = {0};
    if (f == NULL || f->type == CONTROL_NULL || (f->type == CONTROL_TEXT && f->text.n == 0)) {
        buf_add(out, "-", 1);
    } else if (f->type == CONTROL_BOOL) {
        buf_text(out, f->integer != 0 ? "yes" : "no");
    } else if (f->type == CONTROL_TEXT && form == FORM_TIME) {
        time_text(f->text, out);
    } else if (!cell_number(f, form, out)) {
        output_plain(f, &plain);
        struct slice s = buf_view(&plain);
        if (form == FORM_DIGEST && s.n > 12) s.n = 12;
        text_safe(out, s);
        if (plain.failed) out->failed = true;
    }
    buf_fini(&plain);
}
