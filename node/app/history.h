/* history: one change of the plan as its log tells it: what each object was before and after, and what became of it.
 *
 * "Before" is the newest earlier change-set of the same object over all logs. Logs may no longer reach back so far:
 * then it is not known, which is not the same as not there. Runs between store_read_begin and end, on any thread; it
 * may read the whole history. */
#ifndef TANDEM_APP_HISTORY_H
#define TANDEM_APP_HISTORY_H

#include "store/store.h"

enum history_before {
    HISTORY_UNKNOWN, /* the history does not reach back so far */
    HISTORY_ABSENT,  /* there was no such object */
    HISTORY_PRESENT
};

enum history_fate {
    HISTORY_IN_FORCE,
    HISTORY_REPLACED,  /* a newer change of the object stands */
    HISTORY_OVERRIDDEN /* the same, and its author had not seen this one; nobody has settled that */
};

struct history_op {
    enum change_op_kind kind;
    struct slice key;
    struct slice after; /* packed; empty: deleted */
    enum history_before known;
    struct slice before; /* packed; empty unless HISTORY_PRESENT */
    enum history_fate fate;
    struct stamp now; /* of the object, {0} when nothing is known of it any more */
    bool by_known;    /* the change that stands in its place */
    struct log_id by;
};

struct history_change {
    struct changeset change; /* its texts are in the arena */
    struct history_op *ops;  /* in the order of the change */
    size_t op_count;
};

/* ERR_NOTFOUND: no such change here; ERR_NOMEM; what the store says. */
MUST_CHECK enum err history_change(struct store_read *read, struct arena *arena, const struct log_id *id,
                                   struct history_change *out);

/* "hq-1/18f3a/12", as plan log prints it. */
bool history_parse_id(struct slice text, struct log_id *id);

#endif
