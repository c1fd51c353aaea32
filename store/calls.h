/* calls: records of calls in the state environment. The oldest go when there are too many, or when they are too old.
 * Internal to store/. */
#ifndef TANDEM_STORE_CALLS_H
#define TANDEM_STORE_CALLS_H

#include "store/store.h"
#include "store/tables.h"

struct calls_tally {
    uint64_t written;
    uint64_t trimmed;
};

MUST_CHECK enum err calls_put(struct env_write *w, const struct store_call_put *put, struct calls_tally *tally);
/* Removes the oldest: those that began before oldest_ms, and those beyond the newest keep; at most budget of them, so
 * that no transaction becomes a long one. */
MUST_CHECK enum err calls_trim(struct env_write *w, uint64_t keep, int64_t oldest_ms, uint64_t budget,
                               struct calls_tally *tally);

#endif
