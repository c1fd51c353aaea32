/* lint_loops: following a number from route to route. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_LOOPS_H
#define TANDEM_PLAN_LINT_LOOPS_H

#include "node/plan/pattern.h"
#include "node/plan/object.h"

/* The route, or the account with that number among its numbers:, that a look-up finds: the innermost match around the
 * pattern (a prefix when only the first digits are known) among what is global and enabled. NULL: none. */
typedef const struct plan_object *lint_look_up(void *ctx, const struct pattern *number);

/* Where a loop was closed: after so many look-ups, with these first digits. */
struct lint_loop {
    unsigned hops;
    char digits[LIMIT_NUMBER + 1];
    size_t digits_len;
};

/* Whether a walk goes on at that object: a global route, in force at all times, that rewrites and leads to a site. */
bool lint_is_followed(const struct plan_object *o);
/* Whether what start sends to its site comes back to it. start is followed. */
bool lint_follow(const struct plan_object *start, lint_look_up *look_up, void *ctx, struct lint_loop *loop);

#endif
