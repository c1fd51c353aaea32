/* rollback: from a change of the past to a change that takes it back: each object gets the value that it had before. */
#ifndef TANDEM_APP_ROLLBACK_H
#define TANDEM_APP_ROLLBACK_H

#include "node/app/history.h"
#include "node/app/plan_change.h"

struct rollback {
    struct plan_change *change;
    struct log_id id; /* of the change that is taken back */
    /* out; in the arena of the look */
    struct history_op *later; /* objects that a later change has touched */
    size_t later_count;
};

/* Sets puts and deletes of r->change, and what stands in the way. Between store_read_begin and end. ERR_NOTFOUND (no
 * such change; its values before are no longer kept), ERR_NOMEM, what the store says: info has a sentence. */
MUST_CHECK enum err rollback_fill(struct rollback *r, struct store_read *read, struct arena *arena,
                                  struct err_info *info);

#endif
