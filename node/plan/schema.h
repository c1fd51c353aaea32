/* schema: the one table of what a plan object consists of: each key of the document, where its value lives in the
 * struct, its bounds and its default. The document reader, the writer, the table view (CSV), validation, the field-wise
 * diff and the options of clusterctl all walk it, so a new key is one line here and is then read, written, checked,
 * compared and offered.
 *
 * It knows nothing of YAML, and rules that concern several fields of an object are in validate.c. Internal to
 * node/plan. */
#ifndef TANDEM_PLAN_SCHEMA_H
#define TANDEM_PLAN_SCHEMA_H

#include "node/plan/object.h"

enum field_type {
    FIELD_TEXT,     /* struct slice */
    FIELD_TEXTS,    /* const struct slice *, other: size_t count */
    FIELD_FLAG,     /* bool */
    FIELD_WORD,     /* bool or enum: index into words */
    FIELD_NUMBER,   /* uint8_t or uint32_t by width */
    FIELD_DURATION, /* uint32_t in units of unit_ms */
    FIELD_RATE,     /* uint32_t per second, "10/s" */
    FIELD_INNER,    /* a struct described by inner, other: bool, true when the key is there */
    FIELD_STRUCTS,  /* const array of structs described by inner, other: size_t count */
    FIELD_HEX,      /* width bytes; read, never written */
    FIELD_PASSWORD, /* struct slice, other: bool password_keep; written as "(set)" */
    FIELD_TARGET,   /* struct plan_target */
    FIELD_LENGTH,   /* two uint8_t: least at offset, most at other; "4-15" */
    FIELD_CODES,    /* const uint16_t *, other: size_t count */
    FIELD_TYPE_COUNT
};

struct schema;

struct field {
    const char *name;
    const char *example; /* a right value, for error texts */
    enum field_type type;
    bool required;
    bool hidden; /* read, never written: what it set is shown by another key */
    uint8_t width;
    uint16_t offset;
    uint16_t other;
    uint32_t min; /* numbers, durations, rates: in the field's unit */
    uint32_t max; /* the same; of a list: most items */
    uint32_t fallback;
    uint32_t unit_ms;
    enum err (*check)(struct slice text, struct err_info *info); /* FIELD_TEXT when not empty, FIELD_TEXTS per item */
    const char *const *words;                                    /* NULL-terminated */
    const struct schema *inner;
    bool (*stored)(const void *owner); /* FIELD_PASSWORD: whether the owner holds a secret in another form */
    void (*forget)(void *owner);       /* FIELD_PASSWORD: drops that form */
    const char *value;                 /* what a value is called in a synopsis: "SITE" */
    const char *help;                  /* one sentence for people, lower case, no full stop; no group has one */
};

struct schema {
    const struct field *fields;
    size_t count;
    size_t size; /* of the struct */
    bool named;  /* the struct begins with a slice that is its name, the key of its mapping */
};

/* One schema per kind; the struct is the kind's member of struct plan_object's union. */
const struct schema *schema_of(enum plan_kind kind);
/* Where that member is. */
void *schema_base(struct plan_object *o);
const void *schema_base_const(const struct plan_object *o);

/* Sets every field that has a default other than zero. Inner structs stay zero until their key is there. */
void schema_defaults(const struct schema *s, void *base);

/* Access to a field's storage by its width (1 or 4 bytes). */
uint32_t schema_number(const struct field *f, const void *base);
void schema_set_number(const struct field *f, void *base, uint32_t value);
static inline void *schema_at(void *base, uint16_t offset)
{
    return (char *)base + offset;
}
static inline const void *schema_at_const(const void *base, uint16_t offset)
{
    return (const char *)base + offset;
}
/* Items in an array field (FIELD_TEXTS, FIELD_STRUCTS, FIELD_CODES). */
size_t schema_list(const struct field *f, const void *base, const void **items);

#endif
