/* vectors: arrays of vector entries as the writer uses them: how far each log is held, by the table or by somebody's
 * word. Internal to store/. */
#ifndef TANDEM_STORE_VECTORS_H
#define TANDEM_STORE_VECTORS_H

#include "store/changes.h"

/* The high of one log in v, which is sorted by (origin, epoch); 0 when it is not there. */
uint64_t vector_high(const struct vector_entry *v, size_t count, const struct node_name *origin, uint64_t epoch);

/* Each log of the table vector, until each returns another than ERR_OK, which is then returned. */
MUST_CHECK enum err vector_each(struct env_write *w,
                                enum err (*each)(void *ctx, const struct log_id *log, struct log_span span), void *ctx);

/* The table cut becomes v. */
MUST_CHECK enum err cut_write(struct env_write *w, const struct vector_entry *v, size_t count);

#endif
