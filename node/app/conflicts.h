/* conflicts: what a merge overrode although its author had not seen what took its place: listed, and accepted. */
#ifndef TANDEM_APP_CONFLICTS_H
#define TANDEM_APP_CONFLICTS_H

#include "node/app/plan_change.h"

#define CONFLICTS_COUNTED 1000 /* more are said to be so many or more */

/* How many there are, CONFLICTS_COUNTED at most. Between store_read_begin and end. */
MUST_CHECK enum err conflicts_count(struct store_read *read, size_t *count);

/* The operations that accept what stands in place of each object whose key begins with object: c->ops, op_count,
 * digest, after. Begins and ends the reader. ERR_NOTFOUND (there is none; info has a sentence), ERR_NOMEM, what the
 * store says.
 */
MUST_CHECK enum err conflicts_prepare(struct store_read *read, struct arena *arena, struct slice object,
                                      struct plan_change *c, struct err_info *info);

#endif
