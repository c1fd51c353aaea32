/* plan_change: from what an operator asks to a list of operations: the same checks for apply, diff and a dry run.
 *
 * It reads one snapshot of the replica, overlays the wanted puts and deletes, and finds what lint says of the plan
 * after that it did not say before: of a small change by looking at what it concerns, of a large one by looking at both
 * plans. It runs on a worker thread with a reader of its own and touches nothing else of the node. */
#ifndef TANDEM_APP_PLAN_CHANGE_H
#define TANDEM_APP_PLAN_CHANGE_H

#include "node/plan/lint.h"
#include "node/repl/types.h"
#include "store/store.h"

struct wanted_put {
    struct slice packed;
    bool keep;           /* an account or trunk whose password stays as it is */
    bool exact;          /* a registration that brings no password has none */
    struct slice secret; /* clear text of a trunk's registration password, "" none */
};

struct plan_change {
    /* What is wanted depends on what there is: called first, in the snapshot that the rest is read from, to set puts
     * and deletes. NULL: they are there. Its errors end the look. */
    enum err (*fill)(struct plan_change *c, struct store_read *read, struct arena *arena, struct err_info *info);
    /* in; borrowed */
    const struct wanted_put *puts;
    size_t put_count;
    const struct slice *deletes; /* object keys */
    size_t delete_count;
    const unsigned char *cluster_key;
    bool keep_before; /* the operations say what they replace */
    bool whole;       /* both plans are looked at, however small the change is */
    /* out; in the arena */
    struct change_op *ops;
    size_t op_count;
    size_t added;
    size_t changed;
    size_t removed;
    bool *op_added;            /* per op: the object is new */
    struct slice *op_stored;   /* per op: what stands there, packed; empty when it is new */
    struct lint_report report; /* only what the plan did not have before */
    struct plan_digest digest; /* of the snapshot that was read */
    struct hlc after;          /* the newest stamp there of what the operations are about, deleted objects included */
};

/* May be called again for another look: everything below "out" is made anew. ERR_SYNTAX (an object that does not stand
 * up, one that is given twice, a password to be kept that is not there; info says which), ERR_NOTFOUND (a delete of
 * nothing), ERR_NOMEM, what the store says. */
MUST_CHECK enum err plan_change_prepare(struct store_read *read, struct arena *arena, struct plan_change *c,
                                        struct err_info *info);

/* What the i-th operation makes of what, unpacked into arena. ERR_NOMEM, ERR_SYNTAX. */
MUST_CHECK enum err plan_change_edit(const struct plan_change *c, size_t i, struct arena *arena, struct plan_edit *out);

#endif
