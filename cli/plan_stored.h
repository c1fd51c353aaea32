/* plan_stored: the plan of the node, or a part of it, as objects that can be found by their key. */
#ifndef TANDEM_CLI_PLAN_STORED_H
#define TANDEM_CLI_PLAN_STORED_H

#include "cli/cli.h"
#include "node/base/map.h"
#include "node/plan/object.h"

struct plan_stored {
    struct arena arena;
    const struct plan_object **objects; /* in the order of their keys */
    struct slice *packed;               /* of each, as the node holds it */
    size_t count;
    size_t cap;
    struct map by_key;
    char digest[PLAN_DIGEST_TEXT]; /* of the whole plan that they come from */
    enum err err;
    struct err_info info;
};

/* An empty one; plan_stored_fini is due in any case. ERR_NOMEM. */
MUST_CHECK enum err plan_stored_init(struct plan_stored *s);
void plan_stored_fini(struct plan_stored *s);

/* Adds the objects whose keys begin with prefix ("": all of them). None is no failure. A failure is said; CLI_DONE or
 * the status. May be called again with another prefix that begins no key of the first. */
int plan_stored_fetch(struct cli *c, const char *prefix, struct plan_stored *s);

/* NULL: there is none with this key. position (may be NULL) is its place in objects. */
const struct plan_object *plan_stored_find(const struct plan_stored *s, struct slice key, size_t *position);

#endif
