/* edit: see edit.h. The k-th field is found by counting, so that nothing but the schema lists them. */
#include "node/plan/edit.h"

#include <stdio.h>

#include "node/plan/field_value.h"

/* The field, and the one whose mapping it stands in (NULL: none). */
struct place {
    const struct field *outer;
    const struct field *field;
};

static bool find(enum plan_kind kind, size_t k, struct place *out)
{
    const struct schema *s = schema_of(kind);
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->hidden) continue;
        *out = (struct place){NULL, f};
        if (k-- == 0) return true;
        for (size_t j = 0; f->type == FIELD_INNER && j < f->inner->count; j++) {
            *out = (struct place){f, &f->inner->fields[j]};
            if (!out->field->hidden && k-- == 0) return true;
        }
    }
    return false;
}

static enum plan_field_form form_of(const struct field *f)
{
    switch (f->type) {
    case FIELD_TEXTS:
    case FIELD_CODES: return PLAN_FIELD_LIST;
    case FIELD_FLAG: return PLAN_FIELD_FLAG;
    case FIELD_WORD: return PLAN_FIELD_WORD;
    case FIELD_STRUCTS: return PLAN_FIELD_RULES;
    case FIELD_PASSWORD: return PLAN_FIELD_SECRET;
    case FIELD_INNER: return PLAN_FIELD_GROUP;
    default: return PLAN_FIELD_VALUE;
    }
}

bool plan_field_at(enum plan_kind kind, size_t k, struct plan_field *out)
{
    struct place p;
    if (!find(kind, k, &p)) return false;
    *out = (struct plan_field){.group = p.outer != NULL ? p.outer->name : NULL,
                               .name = p.field->name,
                               .value = p.field->value,
                               .help = p.field->help,
                               .example = p.field->example,
                               .words = p.field->words,
                               .form = form_of(p.field),
                               .required = p.field->required};
    return true;
}

/* Where the fields of a mapping live; from now on it is there. */
static void *open_group(const struct field *outer, void *base)
{
    void *inner = schema_at(base, outer->offset);
    bool *there = schema_at(base, outer->other);
    if (!*there) schema_defaults(outer->inner, inner);
    *there = true;
    return inner;
}

enum err plan_field_set(struct arena *arena, struct plan_object *o, size_t k, struct slice text, struct err_info *info)
{
    struct field_reader r = {.arena = arena, .info = info};
    struct place p;
    char key[PLAN_KEY_MAX];
    ASSERT(find(o->kind, k, &p));
    size_t n = o->kind == PLAN_ROUTE ? 0 : plan_object_key_text(o, key);
    (void)snprintf(r.what, sizeof r.what, "%.*s%s%s", (int)n, key, p.outer != NULL ? ": " : "",
                   p.outer != NULL ? p.outer->name : "");
    void *base = schema_base(o);
    if (p.outer != NULL) base = open_group(p.outer, base);
    if (p.field->type == FIELD_INNER && slice_is(text, "none")) text = SLICE_NONE;
    enum err e = field_value_read(&r, p.field, base, text, true);
    buf_fini(&r.items);
    return e;
}
