/* changes: one change-set into the plan environment: log, history, objects, index, totals. Internal to store/. */
#ifndef TANDEM_STORE_CHANGES_H
#define TANDEM_STORE_CHANGES_H

#include "store/tables.h"

/* What one transaction did, for the counters: they are raised when it is committed. */
struct change_tally {
    uint64_t applied;
    uint64_t duplicates;
    uint64_t rewritten; /* of the duplicates: other bytes under a known id */
    uint64_t gaps;
    uint64_t refused; /* did not unpack or validate */
    uint64_t ops_won;
    uint64_t ops_lost;
};

/* Applies one packed change-set. *refused says of an error that it concerns this change-set alone and that nothing was
 * written: ERR_SYNTAX, ERR_LIMIT (it or one of its objects breaks a rule), ERR_CONFLICT (not the next of its log).
 * After any other error the transaction must be aborted. A change-set that is in the log already is ERR_OK and changes
 * nothing. */
MUST_CHECK enum err change_apply(struct env_write *w, struct totals *t, struct slice packed, struct change_tally *tally,
                                 bool *refused, struct err_info *info);

/* The ops of one change-set into objects, index and totals. Each op's value must have been validated. */
MUST_CHECK enum err plan_apply(struct env_write *w, struct totals *t, const struct changeset *c,
                               struct change_tally *tally);

#endif
