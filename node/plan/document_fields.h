/* document_fields: reads the mapping of one object, key by key, as its schema says.
 *
 * Errors carry the position of the key or value, name the object and the key, and show a right value. As
 * document_cursor.h, for whoever reads a document of ours. */
#ifndef TANDEM_PLAN_DOCUMENT_FIELDS_H
#define TANDEM_PLAN_DOCUMENT_FIELDS_H

#include "node/plan/document.h"
#include "node/plan/document_cursor.h"
#include "node/plan/schema.h"

struct field_reader {
    struct cursor cursor;
    struct arena *arena; /* where texts and lists live in the end */
    struct err_info *info;
    struct plan_faults *faults; /* that are gone past (info is there then); NULL: the first one is the end */
    struct buf items;           /* the list being read */
    char what[96];              /* the object being read, for errors: "trunk/hq-pbx" */
    const char *field;          /* the key being read, NULL: none */
};

/* Reads the rest of a mapping whose start was just taken from the cursor, or nothing when at is an empty scalar
 * ("hq:" alone). base is zeroed and gets defaults and values. */
MUST_CHECK enum err fields_read(struct field_reader *r, const struct schema *s, void *base, const struct yaml_node *at);

/* Reads the value of one field, whose node was just taken from the cursor (or is a scalar from elsewhere), into base,
 * where the field has its default. */
MUST_CHECK enum err fields_read_value(struct field_reader *r, const struct field *f, void *base,
                                      const struct yaml_node *v);
/* The same for a list of texts or codes that stand in one text between any of the separators. */
MUST_CHECK enum err fields_read_items(struct field_reader *r, const struct field *f, void *base, struct slice text,
                                      const char *separators);

/* An error at a node, prefixed with the object and the key. */
enum err fields_fail(struct field_reader *r, const struct yaml_node *at, enum err e, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* "unknown key" with the nearest of the names (stride bytes apart, each beginning with a const char *), or their list.
 */
enum err fields_unknown_key(struct field_reader *r, const struct yaml_node *key, const void *names, size_t stride,
                            size_t count);
/* After an error in a node that was begun at that depth of the cursor: notes it and skips the rest of the node. The
 * error itself where it ends the reading: none are collected, or nothing can be read behind it. ERR_OK stays. */
MUST_CHECK enum err fields_go_on(struct field_reader *r, enum err e, unsigned depth);
/* The same after an error in a key: its value is skipped too. */
MUST_CHECK enum err fields_skip_key(struct field_reader *r, enum err e, unsigned depth);
static inline size_t fields_fault_count(const struct field_reader *r)
{
    return r->faults != NULL ? r->faults->count : 0;
}
/* Copies a scalar into the arena. */
MUST_CHECK enum err fields_copy(struct field_reader *r, const struct yaml_node *v, struct slice *out);
/* "name:" with nothing behind it. */
static inline bool node_is_empty(const struct yaml_node *v)
{
    return v->kind == NODE_SCALAR && v->plain && v->text.n == 0;
}

#endif
