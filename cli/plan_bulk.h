/* plan_bulk: the routes of a document that is too large to be held: packed into a file without a name as they are read,
 * and from there sent. Of each only a hash of its key and its line stay in memory. */
#ifndef TANDEM_CLI_PLAN_BULK_H
#define TANDEM_CLI_PLAN_BULK_H

#include <stdio.h>

#include "node/plan/document.h"

struct bulk_route;
struct plan_bulk {
    FILE *file; /* NULL: there is none */
    uint64_t size;
    struct buf pending; /* not written yet */
    struct bulk_route *routes;
    size_t count;
    size_t cap;
    bool sorted;
};

/* ERR_IO: no such file can be made here. plan_bulk_fini is due in any case. */
MUST_CHECK enum err plan_bulk_open(struct plan_bulk *b);
void plan_bulk_fini(struct plan_bulk *b);

/* Takes a route. ERR_NOMEM, ERR_LIMIT (more than one change may have), ERR_IO. */
MUST_CHECK enum err plan_bulk_route(struct plan_bulk *b, const struct plan_object *route);
/* Takes another object, which is only sent. */
MUST_CHECK enum err plan_bulk_object(struct plan_bulk *b, const struct plan_object *o);
/* Before look-ups and before sending. ERR_EXISTS: two routes may have one key. ERR_IO. */
MUST_CHECK enum err plan_bulk_close(struct plan_bulk *b);

/* Where the route with that key stands; line 0: there is none. */
struct plan_place plan_bulk_place(const struct plan_bulk *b, struct slice key);

#endif
