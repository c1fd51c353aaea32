/* control_record: building records in an arena, and finding their fields. Nothing here knows about bytes on a wire. */
#include "proto/control_codec.h"

#include <stdio.h>

#define BUILDER_CAP_FIRST 16

void control_record_start(struct control_builder *b, struct arena *arena, const char *kind)
{
    *b = (struct control_builder){.arena = arena, .kind = slice_of(kind)};
}

/* The next field, NULL when memory is out. The array doubles within the arena; what it leaves behind goes with the
 * arena. */
static struct control_field *builder_next(struct control_builder *b, const char *name, enum control_type type)
{
    if (b->failed) return NULL;
    if (b->count == b->cap) {
        size_t cap = b->cap == 0 ? BUILDER_CAP_FIRST : 2 * b->cap;
        struct control_field *fields = arena_alloc(b->arena, cap * sizeof *fields);
        if (fields == NULL) {
            b->failed = true;
            return NULL;
        }
        if (b->count > 0) memcpy(fields, b->fields, b->count * sizeof *fields);
        b->fields = fields;
        b->cap = cap;
    }
    struct control_field *f = &b->fields[b->count++];
    *f = (struct control_field){.name = slice_of(name), .type = type};
    return f;
}

static void builder_copy(struct control_builder *b, const char *name, enum control_type type, struct slice value)
{
    struct control_field *f = builder_next(b, name, type);
    if (f == NULL) return;
    f->text = arena_copy(b->arena, value);
    if (f->text.p == NULL) b->failed = true;
}

void control_text(struct control_builder *b, const char *name, struct slice value)
{
    builder_copy(b, name, CONTROL_TEXT, value);
}

void control_bytes(struct control_builder *b, const char *name, struct slice value)
{
    builder_copy(b, name, CONTROL_BYTES, value);
}

void control_printf(struct control_builder *b, const char *name, const char *fmt, ...)
{
    struct control_field *f = builder_next(b, name, CONTROL_TEXT);
    if (f == NULL) return;
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n >= 0 ? arena_alloc(b->arena, (size_t)n + 1) : NULL;
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
        f->text = (struct slice){text, (size_t)n};
    } else {
        b->failed = true;
    }
    va_end(again);
}

void control_int(struct control_builder *b, const char *name, int64_t value)
{
    struct control_field *f = builder_next(b, name, CONTROL_INT);
    if (f != NULL) f->integer = value;
}

void control_bool(struct control_builder *b, const char *name, bool value)
{
    struct control_field *f = builder_next(b, name, CONTROL_BOOL);
    if (f != NULL) f->integer = value;
}

void control_null(struct control_builder *b, const char *name)
{
    (void)builder_next(b, name, CONTROL_NULL);
}

void control_list(struct control_builder *b, const char *name, const struct control_record *items, size_t count)
{
    struct control_field *f = builder_next(b, name, CONTROL_LIST);
    if (f == NULL) return;
    struct control_record *copy = arena_alloc(b->arena, count * sizeof *copy);
    if (copy == NULL) {
        b->failed = true;
        return;
    }
    if (count > 0) memcpy(copy, items, count * sizeof *copy);
    f->items = copy;
    f->item_count = count;
}

enum err control_record_done(struct control_builder *b, struct control_record *out)
{
    if (b->failed) return ERR_NOMEM;
    *out = (struct control_record){.kind = b->kind, .fields = b->fields, .field_count = b->count};
    return ERR_OK;
}

const struct control_field *control_find(const struct control_record *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (slice_is(r->fields[i].name, name)) return &r->fields[i];
    }
    return NULL;
}

struct slice control_get_text(const struct control_record *r, const char *name)
{
    const struct control_field *f = control_find(r, name);
    return f != NULL && (f->type == CONTROL_TEXT || f->type == CONTROL_BYTES) ? f->text : SLICE_NONE;
}

int64_t control_get_int(const struct control_record *r, const char *name, int64_t fallback)
{
    const struct control_field *f = control_find(r, name);
    return f != NULL && (f->type == CONTROL_INT || f->type == CONTROL_BOOL) ? f->integer : fallback;
}

#define BULK_HEAD 4

void control_bulk_add(struct buf *bulk, struct slice item)
{
    char head[BULK_HEAD];
    for (size_t i = 0; i < BULK_HEAD; i++)
        head[i] = (char)(item.n >> (8 * (BULK_HEAD - 1 - i)) & 0xff);
    buf_slice(bulk, (struct slice){head, sizeof head});
    buf_slice(bulk, item);
}

enum err control_bulk_take(struct slice *bulk, struct slice *item)
{
    size_t n = 0;
    if (bulk->n == 0) return ERR_NOTFOUND;
    if (bulk->n < BULK_HEAD) return ERR_SYNTAX;
    for (size_t i = 0; i < BULK_HEAD; i++)
        n = n << 8 | (unsigned char)bulk->p[i];
    if (n > bulk->n - BULK_HEAD) return ERR_SYNTAX;
    *item = (struct slice){bulk->p + BULK_HEAD, n};
    *bulk = (struct slice){bulk->p + BULK_HEAD + n, bulk->n - BULK_HEAD - n};
    return ERR_OK;
}
