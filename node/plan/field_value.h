/* field_value: the value of one field as one text: a cell of a table, an option of a command. What a text means and
 * what an error says is the document reader's (document_fields.h); only lists look different here: their items stand
 * one behind the other. Internal to node/plan. */
#ifndef TANDEM_PLAN_FIELD_VALUE_H
#define TANDEM_PLAN_FIELD_VALUE_H

#include "node/plan/document_fields.h"

/* Gives the field the value that text has; "" is its default. Items of a list stand between spaces or commas; what has
 * keys of its own is YAML in one line. literal: (set) is no sign to keep a password, but the password. Errors in
 * r->info, without a position. */
MUST_CHECK enum err field_value_read(struct field_reader *r, const struct field *f, void *base, struct slice text,
                                     bool literal);
/* Appends the text that field_value_read takes, nothing for the default. Items stand between spaces. ERR_NOMEM. */
MUST_CHECK enum err field_value_write(const struct field *f, const void *base, struct buf *out);

/* The value of another object of that schema; a password takes the place of what is stored, one to be kept does not. */
void field_value_copy(const struct field *f, void *to, const void *from);
/* Back to the default. */
void field_value_clear(const struct field *f, void *base);

#endif
