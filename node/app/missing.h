/* missing: what a peer that sent its vectors (REPL_WANT) lacks of this node's replica, gathered from the store in one
 * bounded batch. The asker asks again until nothing more comes; no session is kept. What the log has no more is not in
 * it: then the answer says that a snapshot is to be fetched. */
#ifndef TANDEM_APP_MISSING_H
#define TANDEM_APP_MISSING_H

#include "store/store.h"

struct missing {
    struct repl_push push; /* an answer, ready to be sent: changes carry their packed bytes */
    /* internal */
    struct store_start have;
    struct arena arena;
    struct changeset *changes;
    size_t change_cap;
    struct state_record *records;
    size_t record_cap;
    size_t bytes;
    size_t bytes_max;
    size_t items_max;
    enum err err;
};

/* Between read begin and end, and valid until then: texts point into the map or into missing's arena. Change-sets come
 * first, per log in order of seq; then state records, per owner in order of version. About LIMIT_MESH_CHUNK bytes at
 * most, but one item of any size, or one owner's records whole up to REPL_OWNER_BYTES. plan_only: no state.
 * missing_fini is due in any case. ERR_NOMEM, what the store says. */
#define MISSING_LOG_MAX (UINT64_C(4) << 20) /* bytes; a new node is given a snapshot instead of a longer log */
MUST_CHECK enum err missing_gather(struct store_read *read, const struct repl_want *want, bool plan_only,
                                   struct missing *m);
void missing_fini(struct missing *m);

#endif
