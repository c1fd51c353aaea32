/* lint_loops: following a number from route to route. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_LOOPS_H
#define TANDEM_PLAN_LINT_LOOPS_H

#include "node/plan/object.h"
#include "node/plan/pattern.h"
#include "node/plan/span.h"

/* The route or account that a look-up at a node of the site finds: the innermost match around the pattern (a prefix
 * when only the first digits are known) among what is enabled and not scoped to another site. NULL: none. */
typedef const struct plan_object *lint_look_up(void *ctx, const struct pattern *number, struct slice site);

/* Where a loop was closed: after so many look-ups, with these first digits. */
struct lint_loop {
    unsigned hops;
    char digits[LIMIT_NUMBER + 1];
    size_t digits_len;
};

/* What answers it: all objects that may be found are added, then span_index_build, then it is asked. ERR_NOMEM. */
MUST_CHECK enum err lint_loops_add(struct span_index *x, const struct plan_object *o);
const struct plan_object *lint_loops_find(const struct span_index *x, const struct pattern *number, struct slice site);

/* Whether a walk goes on at that object: a global route, in force at all times, that rewrites and leads to a site. */
bool lint_is_followed(const struct plan_object *o);
/* Whether what start sends to its site comes back to it. start is followed. */
bool lint_follow(const struct plan_object *start, lint_look_up *look_up, void *ctx, struct lint_loop *loop);

#endif
