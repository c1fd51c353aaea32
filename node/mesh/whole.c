/* See whole.h. */
#include "node/mesh/whole.h"

#include <stdlib.h>

void whole_drop(struct whole *w, size_t *budget)
{
    if (w->bytes == NULL) return;
    free(w->bytes);
    *budget -= w->total;
    w->bytes = NULL;
}

static enum err whole_start(struct whole *w, size_t *budget, uint64_t id, size_t total)
{
    whole_drop(w, budget);
    if (total > WHOLE_BUDGET - *budget) return ERR_FULL;
    /* Not touched before its fragments come, so a lie about total costs address space only. */
    char *bytes = malloc(total);
    if (bytes == NULL) return ERR_NOMEM;
    *w = (struct whole){.id = id, .total = total, .bytes = bytes};
    *budget += total;
    return ERR_OK;
}

enum err whole_add(struct whole *w, size_t *budget, uint64_t id, uint64_t total, uint64_t offset, struct slice data,
                   bool *done)
{
    *done = false;
    if (total > MESH_WHOLE_MAX || offset >= total || offset % LIMIT_MESH_CHUNK != 0) return ERR_LIMIT;
    size_t expected = total - offset < LIMIT_MESH_CHUNK ? (size_t)(total - offset) : LIMIT_MESH_CHUNK;
    if (data.n != expected) return ERR_LIMIT;
    if (id < w->id || (id == w->id && w->bytes == NULL)) return ERR_EXISTS;
    if (id > w->id) {
        enum err err = whole_start(w, budget, id, (size_t)total);
        if (err != ERR_OK) return err;
    }
    size_t chunk = (size_t)offset / LIMIT_MESH_CHUNK;
    unsigned char bit = (unsigned char)(1u << (chunk % 8));
    if (total != w->total) return ERR_LIMIT;
    if ((w->seen[chunk / 8] & bit) != 0) return ERR_EXISTS;
    w->seen[chunk / 8] |= bit;
    memcpy(w->bytes + offset, data.p, data.n);
    w->received += data.n;
    *done = w->received == w->total;
    return ERR_OK;
}

struct slice whole_take(struct whole *w)
{
    struct slice taken = {w->bytes, w->total};
    w->bytes = NULL;
    return taken;
}
