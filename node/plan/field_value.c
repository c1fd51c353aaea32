/* field_value: see field_value.h. */
#include "node/plan/field_value.h"

#include <inttypes.h>
#include <stdio.h>

#include "node/base/time.h"
#include "node/plan/document_write.h"

#define SEPARATORS " ,;\t\r\n" /* no item of any list contains one of them */

/* ---- storage ---- */

/* The bytes that a field has at offset, and at other. */
static void sizes(const struct field *f, size_t *at_offset, size_t *at_other)
{
    *at_other = 0;
    switch (f->type) {
    case FIELD_TEXT: *at_offset = sizeof(struct slice); break;
    case FIELD_TEXTS:
    case FIELD_STRUCTS:
    case FIELD_CODES:
        *at_offset = sizeof(void *);
        *at_other = sizeof(size_t);
        break;
    case FIELD_FLAG: *at_offset = sizeof(bool); break;
    case FIELD_WORD:
    case FIELD_NUMBER:
    case FIELD_HEX: *at_offset = f->width; break;
    case FIELD_DURATION:
    case FIELD_RATE: *at_offset = sizeof(uint32_t); break;
    case FIELD_INNER:
        *at_offset = f->inner->size;
        *at_other = sizeof(bool);
        break;
    case FIELD_PASSWORD:
        *at_offset = sizeof(struct slice);
        *at_other = sizeof(bool);
        break;
    case FIELD_TARGET: *at_offset = sizeof(struct plan_target); break;
    case FIELD_LENGTH: *at_offset = *at_other = sizeof(uint8_t); break;
    case FIELD_TYPE_COUNT: *at_offset = 0; break;
    }
}

void field_value_copy(const struct field *f, void *to, const void *from)
{
    size_t n = 0;
    size_t other = 0;
    sizes(f, &n, &other);
    memmove(schema_at(to, f->offset), schema_at_const(from, f->offset), n);
    memmove(schema_at(to, f->other), schema_at_const(from, f->other), other);
    if (f->type != FIELD_PASSWORD) return;
    struct slice password;
    memcpy(&password, schema_at_const(from, f->offset), sizeof password);
    if (password.n > 0) f->forget(to);
}

void field_value_clear(const struct field *f, void *base)
{
    size_t n = 0;
    size_t other = 0;
    sizes(f, &n, &other);
    memset(schema_at(base, f->offset), 0, n);
    memset(schema_at(base, f->other), 0, other);
    if (f->fallback != 0) schema_set_number(f, base, f->fallback);
    if (f->type == FIELD_PASSWORD) f->forget(base);
}

/* ---- reading ---- */

/* A value that is YAML by itself: a mapping, or a list of them. */
static enum err read_yaml(struct field_reader *r, const struct field *f, void *base, struct slice text)
{
    struct yaml_node node;
    enum err e = cursor_open(&r->cursor, &cursor_plan, text, r->info);
    if (e == ERR_OK) e = cursor_next(&r->cursor, &node);
    if (e == ERR_OK) e = fields_read_value(r, f, base, &node);
    if (e == ERR_OK) e = cursor_next(&r->cursor, &node);
    cursor_close(&r->cursor);
    return e;
}

/* Spreadsheets write TRUE where somebody typed true. */
static struct slice flag_text(struct slice text)
{
    static const char *const words[] = {"true", "false", "yes", "no"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq_nocase(text, slice_of(words[i]))) return slice_of(words[i]);
    }
    return text;
}

enum err field_value_read(struct field_reader *r, const struct field *f, void *base, struct slice text, bool literal)
{
    struct yaml_node node = {.kind = NODE_SCALAR, .text = text, .plain = !literal};
    field_value_clear(f, base);
    if (text.n == 0) return ERR_OK;
    switch (f->type) {
    case FIELD_TEXTS:
    case FIELD_CODES: return fields_read_items(r, f, base, text, SEPARATORS);
    case FIELD_STRUCTS:
    case FIELD_INNER: return read_yaml(r, f, base, text);
    case FIELD_FLAG: node.text = flag_text(text); break;
    default: break;
    }
    return fields_read_value(r, f, base, &node);
}

/* ---- writing ---- */

static void write_items(const struct field *f, const void *base, struct buf *out)
{
    const void *items = NULL;
    size_t count = schema_list(f, base, &items);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) buf_add(out, " ", 1);
        if (f->type == FIELD_TEXTS)
            buf_slice(out, ((const struct slice *)items)[i]);
        else
            buf_printf(out, "%u", ((const uint16_t *)items)[i]);
    }
}

static void write_length(const struct field *f, const void *base, struct buf *out)
{
    unsigned least = *(const uint8_t *)schema_at_const(base, f->offset);
    unsigned most = *(const uint8_t *)schema_at_const(base, f->other);
    if (least != 0) buf_printf(out, "%u", least);
    if (least != most) buf_add(out, "-", 1);
    if (least != most && most != 0) buf_printf(out, "%u", most);
}

static void write_number(const struct field *f, const void *base, struct buf *out)
{
    char text[WALL_TEXT_SIZE];
    uint64_t value = schema_number(f, base);
    if (f->type == FIELD_DURATION)
        buf_text(out, duration_text(value * f->unit_ms, text));
    else
        buf_printf(out, "%" PRIu64 "%s", value, f->type == FIELD_RATE ? "/s" : "");
}

enum err field_value_write(const struct field *f, const void *base, struct buf *out)
{
    if (field_is_default(f, base)) return out->failed ? ERR_NOMEM : ERR_OK;
    switch (f->type) {
    case FIELD_TEXT: buf_slice(out, *(const struct slice *)schema_at_const(base, f->offset)); break;
    case FIELD_TEXTS:
    case FIELD_CODES: write_items(f, base, out); break;
    case FIELD_FLAG: buf_text(out, "yes"); break; /* a spreadsheet translates true, and writes it as it shows it */
    case FIELD_NUMBER:
    case FIELD_DURATION:
    case FIELD_RATE: write_number(f, base, out); break;
    case FIELD_PASSWORD: buf_text(out, "(set)"); break;
    case FIELD_TARGET: plan_target_text(schema_at_const(base, f->offset), out); break;
    case FIELD_LENGTH: write_length(f, base, out); break;
    case FIELD_WORD: buf_text(out, f->words[schema_number(f, base)]); break;
    case FIELD_INNER:
    case FIELD_STRUCTS: return field_value_text(f, base, out);
    case FIELD_HEX:
    case FIELD_TYPE_COUNT: break;
    }
    return out->failed ? ERR_NOMEM : ERR_OK;
}
