/* piece: one piece of this node's replica for a peer that fetches it (REPL_FETCH), read from the store in one batch.
 * The asker asks for the next one; no session is kept. */
#ifndef TANDEM_APP_PIECE_H
#define TANDEM_APP_PIECE_H

#include "store/store.h"

struct piece {
    struct repl_snapshot snapshot; /* ready to be sent */
    /* internal */
    struct store_start have;
    struct arena arena;
    struct snapshot_object *objects;
    size_t object_cap;
    struct changeset *changes;
    size_t change_cap;
    size_t bytes;
    enum err err;
};

/* Between read begin and end, and valid until then: texts point into the map or into piece's arena. About
 * LIMIT_MESH_CHUNK bytes, but one item of any size. piece_fini is due in any case. ERR_NOMEM, what the store says. */
MUST_CHECK enum err piece_read(struct store_read *read, const struct repl_fetch *fetch, struct piece *p);
void piece_fini(struct piece *p);

#endif
