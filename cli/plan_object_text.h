/* plan_object_text: packed objects, as the node sends them, in words for people and as documents. */
#ifndef TANDEM_CLI_PLAN_OBJECT_TEXT_H
#define TANDEM_CLI_PLAN_OBJECT_TEXT_H

#include "node/base/bytes.h"

/* Appends a plan document with this one object. ERR_SYNTAX, ERR_LIMIT: no object that this version knows; ERR_NOMEM. */
MUST_CHECK enum err plan_object_document(struct slice packed, struct buf *out);
/* Appends indented lines: its fields, as in a document. The same errors. */
MUST_CHECK enum err plan_object_lines(struct slice packed, struct buf *out);
/* Appends a line "  field: old -> new" for each difference. The same errors. */
MUST_CHECK enum err plan_object_difference(struct slice before, struct slice after, struct buf *out);

#endif
