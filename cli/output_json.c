/* output_json: {"schema_version": 1, "records": [...]}, one record a line, so that line tools can read it too. When a
 * command fails, "error" follows; one that failed before its first record has no "records". */
#include <jansson.h>

#include "cli/output_formats.h"
#include "cli/text.h"

static json_t *text_value(struct slice s)
{
    struct buf valid = {0};
    json_t *v = NULL;
    text_utf8(&valid, s);
    if (!valid.failed) v = json_stringn(valid.p != NULL ? valid.p : "", valid.n);
    buf_fini(&valid);
    return v;
}

static json_t *record_value(const struct control_record *r, bool with_kind);

static json_t *field_value(const struct control_field *f);

static json_t *list_value(const struct control_field *f)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < f->item_count; i++) {
        const struct control_field *scalar = output_scalar(&f->items[i]);
        json_t *item = scalar != NULL ? field_value(scalar) : record_value(&f->items[i], false);
        if (json_array_append_new(list, item) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

static json_t *field_value(const struct control_field *f)
{
    struct buf hex = {0};
    json_t *v = NULL;
    switch (f->type) {
    case CONTROL_TEXT: return text_value(f->text);
    case CONTROL_INT: return json_integer(f->integer);
    case CONTROL_BOOL: return json_boolean(f->integer != 0);
    case CONTROL_LIST: return list_value(f);
    case CONTROL_BYTES:
        output_plain(f, &hex);
        if (!hex.failed) v = text_value(buf_view(&hex));
        buf_fini(&hex);
        return v;
    case CONTROL_NULL: break;
    }
    return json_null();
}

/* NULL: no memory. jansson's setters refuse a NULL value, so one check at the end of each is enough. */
static json_t *record_value(const struct control_record *r, bool with_kind)
{
    json_t *o = json_object();
    bool ok = o != NULL;
    if (ok && with_kind) ok = json_object_set_new(o, "kind", text_value(r->kind)) == 0;
    for (size_t i = 0; ok && i < r->field_count; i++) {
        /* names are lower_snake_case, by the codec */
        char name[LIMIT_NAME + 1];
        (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(r->fields[i].name));
        ok = json_object_set_new(o, name, field_value(&r->fields[i])) == 0;
    }
    if (ok) return o;
    json_decref(o);
    return NULL;
}

/* On a terminal everything beyond ASCII is escaped: JSON alone would let C1 control characters through. */
static void dump(struct output *o, json_t *v)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | (o->options.terminal ? JSON_ENSURE_ASCII : 0);
    if (v == NULL || json_dumpf(v, o->options.stream, flags) != 0) o->failed = true;
    json_decref(v);
}

static void start(struct output *o)
{
    char text[64];
    (void)snprintf(text, sizeof text, "{\"schema_version\":%d,", OUTPUT_SCHEMA_VERSION);
    output_write(o, slice_of(text));
}

static void write_record(struct output *o, const struct control_record *r)
{
    if (!o->started) start(o);
    output_write(o, o->started ? SLICE(",\n") : SLICE("\"records\":[\n"));
    o->started = true;
    dump(o, record_value(r, true));
}

static void write_end(struct output *o, int status, struct slice error)
{
    if (!o->started) start(o);
    if (o->started)
        output_write(o, SLICE("\n]"));
    else if (status == 0)
        output_write(o, SLICE("\"records\":[]"));
    if (status != 0) {
        output_write(o, o->started ? SLICE(",\"error\":") : SLICE("\"error\":"));
        dump(o, json_pack("{s:i, s:o}", "status", status, "text", text_value(error)));
    }
    output_write(o, SLICE("}\n"));
}

const struct output_writer output_json = {write_record, write_end};
