/* document_fields: see document_fields.h. One small reader per field type, found by a table. */
#include "node/plan/document_fields.h"

#include <stdio.h>

#include "node/base/time.h"
#include "node/plan/decide.h"
#include "node/plan/text.h"

#define ITEM_SIZE_MAX 64 /* bytes of one item of a list */

enum err fields_fail(struct field_reader *r, const struct yaml_node *at, enum err e, const char *fmt, ...)
{
    struct err_info detail;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail.text, sizeof detail.text, fmt, ap);
    va_end(ap);
    return err_fail_at(r->info, e, at->line, at->column, "%s%s%s%s%s", r->what, r->what[0] != '\0' ? ": " : "",
                       r->field != NULL ? r->field : "", r->field != NULL ? ": " : "", detail.text);
}

static enum err out_of_memory(struct field_reader *r)
{
    return err_fail(r->info, ERR_NOMEM, "no memory to read the document");
}

static enum err wrong_value(struct field_reader *r, const struct field *f, const struct yaml_node *v)
{
    char shown[TEXT_SHOWN];
    if (v->kind != NODE_SCALAR) {
        return fields_fail(r, v, ERR_SYNTAX, "one value is wanted here; write %s: %s", f->name, f->example);
    }
    if (node_is_empty(v)) {
        return fields_fail(
            r, v, ERR_SYNTAX, "has no value%s; write %s: %s",
            cursor_at_comment(&r->cursor, v) ? ", since a # begins a comment: what holds one needs quotes" : "",
            f->name, f->example);
    }
    return fields_fail(r, v, ERR_SYNTAX, "%s is no value for it; write %s: %s", text_shown(v->text, shown), f->name,
                       f->example);
}

/* ---- behind an error ---- */

static enum err skip_to(struct field_reader *r, unsigned depth)
{
    struct yaml_node skipped;
    enum err e = ERR_OK;
    while (e == ERR_OK && r->cursor.depth > depth)
        e = cursor_next(&r->cursor, &skipped);
    return e;
}

enum err fields_go_on(struct field_reader *r, enum err e, unsigned depth)
{
    struct plan_faults *f = r->faults;
    if (e == ERR_OK || f == NULL || e == ERR_NOMEM || r->cursor.ended) return e;
    if (f->count == PLAN_FAULTS_MAX) {
        f->more = true;
        return e;
    }
    f->items[f->count++] = *r->info;
    return skip_to(r, depth);
}

enum err fields_skip_key(struct field_reader *r, enum err e, unsigned depth)
{
    struct yaml_node value;
    e = fields_go_on(r, e, depth);
    if (e == ERR_OK) e = cursor_next(&r->cursor, &value);
    return e == ERR_OK ? skip_to(r, depth) : e;
}

enum err fields_copy(struct field_reader *r, const struct yaml_node *v, struct slice *out)
{
    *out = arena_copy(r->arena, v->text);
    return out->p != NULL ? ERR_OK : out_of_memory(r);
}

/* ---- single values ---- */

static enum err checked(struct field_reader *r, const struct field *f, const struct yaml_node *v)
{
    struct err_info detail = {.text = ""};
    enum err e = f->check(v->text, &detail);
    return e == ERR_OK ? ERR_OK : fields_fail(r, v, e, "%s", detail.text);
}

static enum err read_text(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    if (v->kind != NODE_SCALAR || node_is_empty(v) || (f->required && v->text.n == 0)) return wrong_value(r, f, v);
    if (v->text.n == 0) return ERR_OK; /* "" says the default */
    enum err e = checked(r, f, v);
    return e == ERR_OK ? fields_copy(r, v, schema_at(base, f->offset)) : e;
}

static enum err read_password(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    if (v->kind == NODE_SCALAR && v->plain && slice_is(v->text, "(set)")) {
        *(bool *)schema_at(base, f->other) = true;
        return ERR_OK;
    }
    if (v->kind != NODE_SCALAR || v->text.n == 0) {
        return fields_fail(r, v, ERR_SYNTAX, "one text in quotes is wanted here, or (set) to keep what is stored");
    }
    enum err e = checked(r, f, v);
    return e == ERR_OK ? fields_copy(r, v, schema_at(base, f->offset)) : e;
}

static enum err read_flag(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    bool yes = slice_is(v->text, "true") || slice_is(v->text, "yes");
    bool no = slice_is(v->text, "false") || slice_is(v->text, "no");
    if (v->kind != NODE_SCALAR || (!yes && !no)) return wrong_value(r, f, v);
    *(bool *)schema_at(base, f->offset) = yes;
    return ERR_OK;
}

static enum err read_word(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    char shown[TEXT_SHOWN];
    char words[64] = "";
    if (v->kind != NODE_SCALAR || v->text.n == 0) return wrong_value(r, f, v);
    for (uint32_t i = 0; f->words[i] != NULL; i++) {
        size_t n = strlen(words);
        if (slice_is(v->text, f->words[i])) {
            schema_set_number(f, base, i);
            return ERR_OK;
        }
        (void)snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? " or " : "", f->words[i]);
    }
    return fields_fail(r, v, ERR_SYNTAX, "%s is not known; write %s", text_shown(v->text, shown), words);
}

static enum err store_number(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v,
                             uint64_t value)
{
    if (value < f->min || value > f->max) {
        return fields_fail(r, v, ERR_LIMIT, "%.*s is out of range; from %u to %u%s is allowed", SLICE_ARG(v->text),
                           f->min, f->max,
                           f->unit_ms == 1000 ? "s"
                           : f->unit_ms == 1  ? "ms"
                                              : "");
    }
    schema_set_number(f, base, (uint32_t)value);
    return ERR_OK;
}

static enum err read_number(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    static const struct slice suffix = {"/s", 2};
    uint64_t value = 0;
    struct slice digits = v->text;
    if (v->kind != NODE_SCALAR || digits.n > 19) return wrong_value(r, f, v);
    if (f->type == FIELD_RATE) {
        if (digits.n < suffix.n || !slice_starts((struct slice){digits.p + digits.n - suffix.n, suffix.n}, suffix)) {
            return wrong_value(r, f, v);
        }
        digits.n -= suffix.n;
    }
    if (slice_u64(digits, UINT64_MAX, &value) != ERR_OK) return wrong_value(r, f, v);
    return store_number(r, f, base, v, value);
}

static enum err read_duration(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    uint64_t ms = 0;
    if (v->kind != NODE_SCALAR || v->text.n > 19) return wrong_value(r, f, v);
    enum err e = duration_parse(v->text.p, v->text.n, &ms);
    if (e == ERR_LIMIT) ms = UINT64_MAX;
    if (e == ERR_SYNTAX) return wrong_value(r, f, v);
    if (e == ERR_OK && ms % f->unit_ms != 0)
        return fields_fail(r, v, ERR_SYNTAX, "whole seconds are wanted; write %s", f->example);
    return store_number(r, f, base, v, ms / f->unit_ms);
}

static enum err read_target(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    struct err_info detail = {.text = ""};
    struct plan_target *t = schema_at(base, f->offset);
    if (v->kind != NODE_SCALAR || v->text.n == 0) return wrong_value(r, f, v);
    enum err e = plan_target_parse(v->text, t, &detail);
    if (e != ERR_OK) return fields_fail(r, v, e, "%s", detail.text);
    if (t->kind == PLAN_TO_REJECT) return ERR_OK;
    t->name = arena_copy(r->arena, t->name);
    return t->name.p != NULL ? ERR_OK : out_of_memory(r);
}

/* "4" is exactly four, "4-15", "4-" and "-15". */
static enum err read_length(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    struct slice first;
    uint64_t least = 0;
    uint64_t most = 0;
    if (v->kind != NODE_SCALAR || v->text.n == 0 || v->text.n > 8) return wrong_value(r, f, v);
    struct slice last = slice_cut(v->text, '-', &first);
    bool bounds = last.p != NULL;
    if (!bounds) last = first;
    if (first.n + last.n == 0) return wrong_value(r, f, v);
    if (first.n > 0 && (slice_u64(first, f->max, &least) != ERR_OK || least == 0)) return wrong_value(r, f, v);
    if (last.n > 0 && (slice_u64(last, f->max, &most) != ERR_OK || most == 0)) return wrong_value(r, f, v);
    if (most != 0 && least > most) return wrong_value(r, f, v);
    *(uint8_t *)schema_at(base, f->offset) = (uint8_t)least;
    *(uint8_t *)schema_at(base, f->other) = (uint8_t)most;
    return ERR_OK;
}

static enum err read_hex(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    if (v->kind == NODE_SCALAR && hex_decode(v->text, schema_at(base, f->offset), f->width) == ERR_OK) return ERR_OK;
    return fields_fail(r, v, ERR_SYNTAX, "%s are wanted here", f->example); /* never shows the value */
}

/* ---- what contains other values ---- */

static enum err read_inner(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    if (v->kind != NODE_MAP)
        return fields_fail(r, v, ERR_SYNTAX, "a mapping is wanted here; write %s: %s", f->name, f->example);
    enum err e = fields_read(r, f->inner, schema_at(base, f->offset), v);
    if (e == ERR_OK) *(bool *)schema_at(base, f->other) = true;
    return e;
}

static enum err item_text(struct field_reader *r, const struct field *f, void *item, const struct yaml_node *v)
{
    if (v->kind != NODE_SCALAR || v->text.n == 0) return wrong_value(r, f, v);
    enum err e = checked(r, f, v);
    return e == ERR_OK ? fields_copy(r, v, item) : e;
}

static enum err item_code(struct field_reader *r, const struct field *f, void *item, const struct yaml_node *v)
{
    char shown[TEXT_SHOWN];
    uint64_t code = 0;
    if (v->kind != NODE_SCALAR || v->text.n == 0) return wrong_value(r, f, v);
    if (slice_u64(v->text, 999, &code) != ERR_OK || !decide_failover_code((unsigned)code)) {
        return fields_fail(r, v, ERR_SYNTAX,
                           "%s is no code to try the next target on; use codes from 400 to 599, not 486 or 487",
                           text_shown(v->text, shown));
    }
    *(uint16_t *)item = (uint16_t)code;
    return ERR_OK;
}

static enum err read_item(struct field_reader *r, const struct field *f, void *item, const struct yaml_node *v)
{
    if (f->type == FIELD_TEXTS) return item_text(r, f, item, v);
    if (f->type == FIELD_CODES) return item_code(r, f, item, v);
    if (v->kind != NODE_MAP) return wrong_value(r, f, v);
    return fields_read(r, f->inner, item, v);
}

static size_t item_size(const struct field *f)
{
    return f->type == FIELD_TEXTS ? sizeof(struct slice) : f->type == FIELD_CODES ? sizeof(uint16_t) : f->inner->size;
}

static enum err same_before(struct field_reader *r, const struct field *f, const void *item, const struct yaml_node *at)
{
    char shown[TEXT_SHOWN];
    const struct slice *texts = (const struct slice *)(const void *)r->items.p;
    const struct slice *text = item;
    if (f->type != FIELD_TEXTS) return ERR_OK;
    for (size_t i = 0; i < r->items.n / sizeof *texts; i++) {
        if (slice_eq(texts[i], *text))
            return fields_fail(r, at, ERR_SYNTAX, "%s stands there twice", text_shown(*text, shown));
    }
    return ERR_OK;
}

static enum err keep_list(struct field_reader *r, const struct field *f, char *base, size_t count)
{
    if (count == 0 && !r->items.failed) return ERR_OK;
    void *list = r->items.failed ? NULL : arena_alloc(r->arena, r->items.n);
    if (list == NULL) return out_of_memory(r);
    memcpy(list, r->items.p, r->items.n);
    memcpy(schema_at(base, f->offset), &list, sizeof list);
    memcpy(schema_at(base, f->other), &count, sizeof count);
    return ERR_OK;
}

/* Reads one item behind the count items that are in r->items. */
static enum err add_item(struct field_reader *r, const struct field *f, size_t count, const struct yaml_node *at)
{
    _Alignas(max_align_t) char item[ITEM_SIZE_MAX] = {0};
    ASSERT(item_size(f) <= ITEM_SIZE_MAX);
    if (count == f->max) return fields_fail(r, at, ERR_LIMIT, "at most %u items are allowed", f->max);
    enum err e = read_item(r, f, item, at);
    r->field = f->name; /* reading an inner mapping has moved it */
    if (e == ERR_OK) e = same_before(r, f, item, at);
    if (e == ERR_OK) buf_add(&r->items, item, item_size(f));
    return e;
}

static enum err read_list(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v)
{
    size_t count = 0;
    const unsigned depth = r->cursor.depth;
    if (v->kind != NODE_LIST)
        return fields_fail(r, v, ERR_SYNTAX, "a list is wanted here; write %s: %s", f->name, f->example);
    buf_reset(&r->items);
    for (;; count++) {
        struct yaml_node at;
        enum err e = cursor_next(&r->cursor, &at);
        if (e != ERR_OK) return e;
        if (at.kind == NODE_END) break;
        e = add_item(r, f, count, &at);
        if (e != ERR_LIMIT) e = fields_go_on(r, e, depth); /* not once for each that is one too many */
        if (e != ERR_OK) return e;
    }
    if (count == 0 && f->required) return fields_fail(r, v, ERR_SYNTAX, "is empty; write %s: %s", f->name, f->example);
    return keep_list(r, f, base, r->items.n / item_size(f));
}

enum err fields_read_items(struct field_reader *r, const struct field *f, void *base, struct slice text,
                           const char *separators)
{
    size_t count = 0;
    struct yaml_node at = {.kind = NODE_SCALAR};
    buf_reset(&r->items);
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && (text.p[n] == '\0' || strchr(separators, text.p[n]) == NULL))
            n++;
        at.text = (struct slice){text.p, n};
        n += n < text.n;
        text = (struct slice){text.p + n, text.n - n};
        if (at.text.n == 0) continue; /* two separators in a row */
        enum err e = add_item(r, f, count++, &at);
        if (e != ERR_OK) return e;
    }
    return keep_list(r, f, base, count);
}

typedef enum err field_read_fn(struct field_reader *r, const struct field *f, char *base, const struct yaml_node *v);

static field_read_fn *const readers[FIELD_TYPE_COUNT] = {
    [FIELD_TEXT] = read_text,     [FIELD_TEXTS] = read_list,        [FIELD_FLAG] = read_flag,
    [FIELD_WORD] = read_word,     [FIELD_NUMBER] = read_number,     [FIELD_DURATION] = read_duration,
    [FIELD_RATE] = read_number,   [FIELD_INNER] = read_inner,       [FIELD_STRUCTS] = read_list,
    [FIELD_HEX] = read_hex,       [FIELD_PASSWORD] = read_password, [FIELD_TARGET] = read_target,
    [FIELD_LENGTH] = read_length, [FIELD_CODES] = read_list,
};

enum err fields_read_value(struct field_reader *r, const struct field *f, void *base, const struct yaml_node *v)
{
    r->field = f->name;
    return readers[f->type](r, f, base, v);
}

/* ---- the mapping ---- */

static const char *name_at(const void *names, size_t stride, size_t i)
{
    const char *name = NULL;
    memcpy(&name, (const char *)names + i * stride, sizeof name);
    return name;
}

enum err fields_unknown_key(struct field_reader *r, const struct yaml_node *key, const void *names, size_t stride,
                            size_t count)
{
    char shown[TEXT_SHOWN];
    char all[200] = "";
    const char *near = NULL;
    unsigned best = 0;
    if (key->kind != NODE_SCALAR) return fields_fail(r, key, ERR_SYNTAX, "a key is wanted here, followed by ':'");
    for (size_t i = 0; i < count; i++) {
        const char *name = name_at(names, stride, i);
        size_t n = strlen(all);
        unsigned distance = 0;
        if (text_near(key->text, slice_of(name), &distance) && (near == NULL || distance < best)) {
            near = name;
            best = distance;
        }
        (void)snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", name);
    }
    (void)text_shown(key->text, shown);
    if (near != NULL) return fields_fail(r, key, ERR_SYNTAX, "unknown key %s; did you mean \"%s\"?", shown, near);
    return fields_fail(r, key, ERR_SYNTAX, "unknown key %s; known here: %s", shown, all);
}

static const struct field *find_field(const struct schema *s, const struct yaml_node *key)
{
    if (key->kind != NODE_SCALAR) return NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (slice_is(key->text, s->fields[i].name)) return &s->fields[i];
    }
    return NULL;
}

static enum err all_required(struct field_reader *r, const struct schema *s, uint32_t seen, const struct yaml_node *at)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (!f->required || (seen & 1u << i) != 0) continue;
        return fields_fail(r, at, ERR_SYNTAX, "\"%s\" is missing; write %s: %s", f->name, f->name, f->example);
    }
    return ERR_OK;
}

enum err fields_read(struct field_reader *r, const struct schema *s, void *base, const struct yaml_node *at)
{
    uint32_t seen = 0;
    bool unknown = false; /* a key: it may be the one that is missing */
    const char *outer = r->field;
    const unsigned depth = r->cursor.depth;
    struct yaml_node begin = *at;
    schema_defaults(s, base);
    while (begin.kind == NODE_MAP) {
        struct yaml_node key;
        struct yaml_node value;
        enum err e = cursor_next(&r->cursor, &key);
        if (e != ERR_OK) return e;
        if (key.kind == NODE_END) break;
        const struct field *f = find_field(s, &key);
        uint32_t bit = f != NULL ? 1u << (f - s->fields) : 0;
        unknown = unknown || f == NULL;
        if (f == NULL) {
            e = fields_unknown_key(r, &key, &s->fields[0].name, sizeof s->fields[0], s->count);
        } else if ((seen & bit) != 0) {
            e = fields_fail(r, &key, ERR_SYNTAX, "\"%s\" stands there twice", f->name);
        }
        if (e != ERR_OK) {
            e = fields_skip_key(r, e, depth);
            if (e != ERR_OK) return e;
            continue;
        }
        seen |= bit;
        r->field = f->name;
        e = cursor_next(&r->cursor, &value);
        if (e == ERR_OK) e = readers[f->type](r, f, base, &value);
        e = fields_go_on(r, e, depth);
        if (e != ERR_OK) return e;
        r->field = outer;
    }
    return unknown ? ERR_OK : all_required(r, s, seen, &begin);
}
