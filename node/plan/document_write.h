/* document_write: pieces of the document writer that the field-wise diff and the table view share. Internal to
 * node/plan. */
#ifndef TANDEM_PLAN_DOCUMENT_WRITE_H
#define TANDEM_PLAN_DOCUMENT_WRITE_H

#include "node/plan/schema.h"

/* Whether a document would leave the field's key out: it has its default value. */
bool field_is_default(const struct field *f, const void *base);
/* Appends the field's value as one line of YAML, "-" when it is left out. ERR_NOMEM. */
MUST_CHECK enum err field_value_text(const struct field *f, const void *base, struct buf *out);

/* Sorts objects into the order of a document. */
void document_sort(const struct plan_object **objects, size_t count);

#endif
