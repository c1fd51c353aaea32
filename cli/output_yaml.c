/* output_yaml: the same document as JSON, through libyaml's emitter, which also escapes what is not printable. Texts
 * are quoted unless they are words that no reader takes for anything else. */
#include <stdlib.h>
#include <yaml.h>

#include "cli/output_formats.h"
#include "cli/text.h"

static void emit(struct output *o, yaml_event_t *event, int initialised)
{
    /* the emitter frees the event, also when it fails */
    if (initialised == 0 || o->failed) {
        if (initialised != 0) yaml_event_delete(event);
        o->failed = true;
        return;
    }
    if (yaml_emitter_emit(o->state, event) == 0) o->failed = true;
}

/* Letters, digits and - . _ /, beginning with a letter, and none of the words with a meaning of their own. */
static bool plain_word(struct slice s)
{
    static const char *const taken[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '/';
        if (!letter && (i == 0 || !other)) return false;
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        if (slice_eq_nocase(s, slice_of(taken[i]))) return false;
    }
    return s.n > 0;
}

static void scalar(struct output *o, struct slice s, bool plain)
{
    yaml_event_t e;
    struct buf valid = {0};
    text_utf8(&valid, s);
    if (valid.failed || valid.n > INT32_MAX) {
        o->failed = true;
    } else {
        yaml_char_t *p = (yaml_char_t *)(valid.p != NULL ? valid.p : (char *)(uintptr_t) "");
        emit(o, &e,
             yaml_scalar_event_initialize(&e, NULL, NULL, p, (int)valid.n, plain, 1,
                                          plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE));
    }
    buf_fini(&valid);
}

static void map_start(struct output *o)
{
    yaml_event_t e;
    emit(o, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

static void map_end(struct output *o)
{
    yaml_event_t e;
    emit(o, &e, yaml_mapping_end_event_initialize(&e));
}

static void list_start(struct output *o)
{
    yaml_event_t e;
    emit(o, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
}

static void list_end(struct output *o)
{
    yaml_event_t e;
    emit(o, &e, yaml_sequence_end_event_initialize(&e));
}

static void put_record(struct output *o, const struct control_record *r, bool with_kind);

static void put_field(struct output *o, const struct control_field *f)
{
    struct buf text = {0};
    if (f->type == CONTROL_LIST) {
        list_start(o);
        for (size_t i = 0; i < f->item_count; i++) {
            const struct control_field *item = output_scalar(&f->items[i]);
            if (item != NULL)
                put_field(o, item);
            else
                put_record(o, &f->items[i], false);
        }
        list_end(o);
        return;
    }
    if (f->type == CONTROL_NULL)
        buf_text(&text, "null");
    else
        output_plain(f, &text);
    bool number = f->type == CONTROL_INT || f->type == CONTROL_BOOL || f->type == CONTROL_NULL;
    scalar(o, buf_view(&text), number || plain_word(buf_view(&text)));
    if (text.failed) o->failed = true;
    buf_fini(&text);
}

static void put_record(struct output *o, const struct control_record *r, bool with_kind)
{
    map_start(o);
    if (with_kind) {
        scalar(o, SLICE("kind"), true);
        scalar(o, r->kind, plain_word(r->kind));
    }
    for (size_t i = 0; i < r->field_count; i++) {
        scalar(o, r->fields[i].name, plain_word(r->fields[i].name));
        put_field(o, &r->fields[i]);
    }
    map_end(o);
}

static void put_int(struct output *o, int value)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", value);
    scalar(o, slice_of(text), true);
}

static int write_bytes(void *ctx, unsigned char *bytes, size_t n)
{
    struct output *o = ctx;
    output_write(o, (struct slice){(const char *)bytes, n});
    if (n > 0) o->line_open = bytes[n - 1] != '\n';
    return o->failed ? 0 : 1;
}

static void start(struct output *o)
{
    yaml_event_t e;
    yaml_emitter_t *emitter = calloc(1, sizeof *emitter);
    if (emitter == NULL || yaml_emitter_initialize(emitter) == 0) {
        free(emitter);
        o->failed = true;
        return;
    }
    o->state = emitter;
    yaml_emitter_set_output(emitter, write_bytes, o);
    yaml_emitter_set_unicode(emitter, !o->options.terminal);
    yaml_emitter_set_width(emitter, -1);
    emit(o, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
    emit(o, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
    map_start(o);
    scalar(o, SLICE("schema_version"), true);
    put_int(o, OUTPUT_SCHEMA_VERSION);
}

static void records_start(struct output *o)
{
    scalar(o, SLICE("records"), true);
    list_start(o);
    o->started = true;
}

static void write_record(struct output *o, const struct control_record *r)
{
    if (!o->started) {
        start(o);
        if (!o->failed) records_start(o);
    }
    if (!o->failed) put_record(o, r, true);
}

static void write_end(struct output *o, int status, struct slice error)
{
    yaml_event_t e;
    if (o->state == NULL) start(o);
    if (!o->failed && !o->started && status == 0) records_start(o);
    if (!o->failed && o->started) list_end(o);
    if (!o->failed && status != 0) {
        scalar(o, SLICE("error"), true);
        map_start(o);
        scalar(o, SLICE("status"), true);
        put_int(o, status);
        scalar(o, SLICE("text"), true);
        scalar(o, error, false);
        map_end(o);
    }
    if (!o->failed) {
        map_end(o);
        emit(o, &e, yaml_document_end_event_initialize(&e, 1));
        emit(o, &e, yaml_stream_end_event_initialize(&e));
    }
    if (o->state != NULL) {
        if (yaml_emitter_flush(o->state) == 0) o->failed = true;
        yaml_emitter_delete(o->state);
        free(o->state);
        o->state = NULL;
    }
    if (o->line_open) output_write(o, SLICE("\n"));
}

const struct output_writer output_yaml = {write_record, write_end};
