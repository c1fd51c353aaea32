/* document_write: objects as the YAML document that document_read reads, through libyaml's emitter.
 *
 * The same plan always gives the same bytes. Routes, rules and lists are written in one line each, so that a text diff
 * of two documents reads well. Texts that could be taken for a number or a word with a meaning are quoted. */
#include "node/plan/document_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <yaml.h>

#include "node/base/time.h"
#include "node/plan/document.h"

/* ---- the emitter ---- */

struct writer {
    yaml_emitter_t emitter;
    bool failed; /* no memory; what follows does nothing */
};

static int append(void *data, unsigned char *bytes, size_t n)
{
    struct buf *out = data;
    buf_add(out, bytes, n);
    return out->failed ? 0 : 1;
}

/* made: whether the event could be built. The emitter owns it afterwards. */
static void emit(struct writer *w, yaml_event_t *event, int made)
{
    if (w->failed) {
        if (made != 0) yaml_event_delete(event);
        return;
    }
    if (made == 0 || yaml_emitter_emit(&w->emitter, event) == 0) w->failed = true;
}

static void open_map(struct writer *w, yaml_mapping_style_t style)
{
    yaml_event_t event;
    emit(w, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style));
}

static void close_map(struct writer *w)
{
    yaml_event_t event;
    emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static void open_list(struct writer *w, yaml_sequence_style_t style)
{
    yaml_event_t event;
    emit(w, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style));
}

static void close_list(struct writer *w)
{
    yaml_event_t event;
    emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static void scalar(struct writer *w, struct slice text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    static const yaml_char_t none[1] = "";
    const yaml_char_t *p = text.n > 0 ? (const yaml_char_t *)text.p : none;
    emit(w, &event, yaml_scalar_event_initialize(&event, NULL, NULL, p, (int)text.n, 1, 1, style));
}

static void word(struct writer *w, const char *text)
{
    scalar(w, slice_of(text), YAML_PLAIN_SCALAR_STYLE);
}

/* Letters first, then letters, digits and -._/ : nothing that any YAML reader takes for something else. */
static bool is_plain(struct slice text)
{
    static const char *const meanings[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inner = (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '/';
        if (!letter && (i == 0 || !inner)) return false;
    }
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (slice_eq_nocase(text, slice_of(meanings[i]))) return false;
    }
    return text.n > 0;
}

static void text(struct writer *w, struct slice s)
{
    scalar(w, s, is_plain(s) ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* Starts a document whose bytes go to out. False when memory is out; stop is due in any case. */
static bool start(struct writer *w, struct buf *out)
{
    yaml_event_t event;
    memset(w, 0, sizeof *w);
    if (yaml_emitter_initialize(&w->emitter) == 0) {
        w->failed = true;
        return false;
    }
    yaml_emitter_set_output(&w->emitter, append, out);
    yaml_emitter_set_unicode(&w->emitter, 1);
    yaml_emitter_set_width(&w->emitter, -1); /* one route, one line */
    emit(w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    return true;
}

static enum err stop(struct writer *w)
{
    yaml_event_t event;
    emit(w, &event, yaml_document_end_event_initialize(&event, 1));
    emit(w, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&w->emitter);
    return w->failed ? ERR_NOMEM : ERR_OK;
}

/* ---- fields ---- */

static struct slice text_at(const struct field *f, const void *base)
{
    return *(const struct slice *)schema_at_const(base, f->offset);
}

static bool flag_at(const void *base, uint16_t offset)
{
    return *(const bool *)schema_at_const(base, offset);
}

static bool password_is_set(const struct field *f, const void *base)
{
    return text_at(f, base).n > 0 || flag_at(base, f->other) || f->stored(base);
}

static uint8_t byte_at(const void *base, uint16_t offset)
{
    return *(const uint8_t *)schema_at_const(base, offset);
}

static uint32_t word_at(const struct field *f, const void *base)
{
    if (f->width == sizeof(bool)) return flag_at(base, f->offset);
    return schema_number(f, base);
}

bool field_is_default(const struct field *f, const void *base)
{
    const void *items = NULL;
    switch (f->type) {
    case FIELD_TEXT: return text_at(f, base).n == 0;
    case FIELD_TEXTS:
    case FIELD_STRUCTS:
    case FIELD_CODES: return schema_list(f, base, &items) == 0;
    case FIELD_FLAG: return !flag_at(base, f->offset);
    case FIELD_WORD: return word_at(f, base) == 0;
    case FIELD_NUMBER:
    case FIELD_DURATION:
    case FIELD_RATE: return schema_number(f, base) == f->fallback;
    case FIELD_INNER: return !flag_at(base, f->other);
    case FIELD_PASSWORD: return !password_is_set(f, base);
    case FIELD_LENGTH: return byte_at(base, f->offset) == 0 && byte_at(base, f->other) == 0;
    case FIELD_TARGET: return false;
    case FIELD_HEX:
    case FIELD_TYPE_COUNT: break;
    }
    return true;
}

static void write_struct(struct writer *w, const struct schema *s, const void *base, yaml_mapping_style_t style);

static void write_number(struct writer *w, const struct field *f, uint64_t value)
{
    char out[WALL_TEXT_SIZE];
    if (f->type == FIELD_DURATION) {
        word(w, duration_text(value * f->unit_ms, out));
        return;
    }
    (void)snprintf(out, sizeof out, "%" PRIu64 "%s", value, f->type == FIELD_RATE ? "/s" : "");
    word(w, out);
}

static void write_length(struct writer *w, unsigned least, unsigned most)
{
    char out[16] = "";
    size_t n = 0;
    if (least != 0) n += (size_t)snprintf(out, sizeof out, "%u", least);
    if (least != most) n += (size_t)snprintf(out + n, sizeof out - n, "-");
    if (least != most && most != 0) (void)snprintf(out + n, sizeof out - n, "%u", most);
    scalar(w, slice_of(out), least != 0 ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static void write_target(struct writer *w, const struct plan_target *t)
{
    struct buf out = {0};
    plan_target_text(t, &out);
    w->failed = w->failed || out.failed;
    text(w, buf_view(&out));
    buf_fini(&out);
}

static void write_list(struct writer *w, const struct field *f, const void *base)
{
    const void *items = NULL;
    size_t count = schema_list(f, base, &items);
    open_list(w, YAML_FLOW_SEQUENCE_STYLE);
    for (size_t i = 0; i < count; i++) {
        if (f->type == FIELD_TEXTS) {
            text(w, ((const struct slice *)items)[i]);
        } else if (f->type == FIELD_CODES) {
            write_number(w, f, ((const uint16_t *)items)[i]);
        } else {
            write_struct(w, f->inner, (const char *)items + i * f->inner->size, YAML_FLOW_MAPPING_STYLE);
        }
    }
    close_list(w);
}

static void write_value(struct writer *w, const struct field *f, const void *base)
{
    switch (f->type) {
    case FIELD_TEXT: text(w, text_at(f, base)); break;
    case FIELD_TEXTS:
    case FIELD_STRUCTS:
    case FIELD_CODES: write_list(w, f, base); break;
    case FIELD_FLAG: word(w, "true"); break;
    case FIELD_WORD: word(w, f->words[word_at(f, base)]); break;
    case FIELD_NUMBER:
    case FIELD_DURATION:
    case FIELD_RATE: write_number(w, f, schema_number(f, base)); break;
    case FIELD_INNER: write_struct(w, f->inner, schema_at_const(base, f->offset), YAML_FLOW_MAPPING_STYLE); break;
    case FIELD_PASSWORD: word(w, "(set)"); break;
    case FIELD_LENGTH: write_length(w, byte_at(base, f->offset), byte_at(base, f->other)); break;
    case FIELD_TARGET: write_target(w, schema_at_const(base, f->offset)); break;
    case FIELD_HEX:
    case FIELD_TYPE_COUNT: break; /* hidden: never asked for */
    }
}

static void write_struct(struct writer *w, const struct schema *s, const void *base, yaml_mapping_style_t style)
{
    open_map(w, style);
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->hidden || (!f->required && field_is_default(f, base))) continue;
        word(w, f->name);
        write_value(w, f, base);
    }
    close_map(w);
}

static bool ends_with(const struct buf *b, const char *text)
{
    size_t n = strlen(text);
    return b->n >= n && memcmp(b->p + b->n - n, text, n) == 0;
}

enum err field_value_text(const struct field *f, const void *base, struct buf *out)
{
    struct writer w;
    if (f->hidden || field_is_default(f, base)) {
        buf_text(out, "-");
        return out->failed ? ERR_NOMEM : ERR_OK;
    }
    if (start(&w, out)) write_value(&w, f, base);
    enum err e = stop(&w);
    if (ends_with(out, "\n...\n")) out->n -= 4; /* the end mark that libyaml puts after a plain scalar */
    if (ends_with(out, "\n")) out->n--;
    return e;
}

/* ---- the document ---- */

static int compare_routes(const struct plan_object *a, const struct plan_object *b)
{
    char key_a[PLAN_KEY_MAX];
    char key_b[PLAN_KEY_MAX];
    int order = slice_cmp(a->route.match, b->route.match);
    if (order != 0) return order;
    return slice_cmp((struct slice){key_a, plan_object_key_text(a, key_a)},
                     (struct slice){key_b, plan_object_key_text(b, key_b)});
}

int plan_document_order(const struct plan_object *a, const struct plan_object *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == PLAN_ROUTE) return compare_routes(a, b);
    if (a->kind == PLAN_DEFAULTS) return 0;
    return slice_cmp(*(const struct slice *)schema_base_const(a), *(const struct slice *)schema_base_const(b));
}

static int compare_objects(const void *left, const void *right)
{
    return plan_document_order(*(const struct plan_object *const *)left, *(const struct plan_object *const *)right);
}

void document_sort(const struct plan_object **objects, size_t count)
{
    if (count > 1) qsort((void *)objects, count, sizeof *objects, compare_objects);
}

static const char *const section_names[PLAN_KIND_COUNT] = {
    [PLAN_DEFAULTS] = "defaults", [PLAN_SITE] = "sites",   [PLAN_TRUNK] = "trunks",
    [PLAN_ACCOUNT] = "accounts",  [PLAN_ROUTE] = "routes",
};

/* One section from sorted[0] on; returns how many objects it had. */
static size_t write_section(struct writer *w, const struct plan_object *const *sorted, size_t count)
{
    enum plan_kind kind = sorted[0]->kind;
    const struct schema *s = schema_of(kind);
    size_t n = 0;
    word(w, section_names[kind]);
    if (kind == PLAN_DEFAULTS) {
        write_struct(w, s, schema_base_const(sorted[0]), YAML_BLOCK_MAPPING_STYLE);
        return 1;
    }
    if (s->named) {
        open_map(w, YAML_BLOCK_MAPPING_STYLE);
    } else {
        open_list(w, YAML_BLOCK_SEQUENCE_STYLE);
    }
    for (; n < count && sorted[n]->kind == kind && !w->failed; n++) {
        const void *base = schema_base_const(sorted[n]);
        if (s->named) text(w, *(const struct slice *)base);
        write_struct(w, s, base, s->named ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
    }
    if (s->named) {
        close_map(w);
    } else {
        close_list(w);
    }
    return n;
}

static void write_sections(struct writer *w, const struct plan_object *const *sorted, size_t count)
{
    open_map(w, YAML_BLOCK_MAPPING_STYLE);
    word(w, "plan");
    word(w, "1");
    for (size_t i = 0; i < count && !w->failed;)
        i += write_section(w, sorted + i, count - i);
    close_map(w);
}

enum err plan_document_write(const struct plan_object *const *objects, size_t count, struct buf *out)
{
    struct writer w;
    const struct plan_object **sorted = malloc((count + 1) * sizeof *sorted);
    if (sorted == NULL) return ERR_NOMEM;
    if (count > 0) memcpy(sorted, objects, count * sizeof *sorted);
    document_sort(sorted, count);
    if (start(&w, out)) write_sections(&w, sorted, count);
    enum err e = stop(&w);
    free(sorted);
    return e;
}
