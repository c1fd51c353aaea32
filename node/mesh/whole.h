/* whole: joins the fragments of one long frame. They may come in any order; each but the last is LIMIT_MESH_CHUNK long.
 *
 * A sender has one whole on the way at a time: a fragment of a newer one ends the older. Bounded by MESH_WHOLE_MAX for
 * one and WHOLE_BUDGET for all of a mesh. No I/O. */
#ifndef TANDEM_MESH_WHOLE_H
#define TANDEM_MESH_WHOLE_H

#include "proto/mesh_codec.h"

#define WHOLE_BUDGET (2 * (size_t)MESH_WHOLE_MAX)
#define WHOLE_CHUNKS (MESH_WHOLE_MAX / LIMIT_MESH_CHUNK)

struct whole {
    uint64_t id; /* of the present one, or of the last one that ended */
    size_t total;
    size_t received;
    char *bytes; /* NULL: none is on its way */
    unsigned char seen[WHOLE_CHUNKS / 8];
};

/* *budget is what all wholes of a mesh hold together. On ERR_OK *done says whether the whole is complete: the caller
 * then takes it by whole_take. ERR_LIMIT (offset or length is not one of a chunk), ERR_EXISTS (came twice, or of a
 * whole that ended), ERR_FULL (over the budget), ERR_NOMEM. */
MUST_CHECK enum err whole_add(struct whole *w, size_t *budget, uint64_t id, uint64_t total, uint64_t offset,
                              struct slice data, bool *done);
/* The complete bytes, malloc'ed, now the caller's, who gives their number back to the budget when it frees them. */
struct slice whole_take(struct whole *w);
/* Drops what is there. */
void whole_drop(struct whole *w, size_t *budget);

#endif
