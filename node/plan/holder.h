/* holder: which of a site's nodes holds what only one may hold: the registration of a trunk.
 *
 * Every node of the site computes it for itself from what it knows of the others, and claims what falls to it. A claim
 * has a term, higher than every term that its maker knew, so that of two claims the later one stands: who comes back
 * after it was given up finds that it has been replaced, and nothing moves back and forth. Pure; no clock is compared.
 */
#ifndef TANDEM_PLAN_HOLDER_H
#define TANDEM_PLAN_HOLDER_H

#include "node/base/bytes.h"

struct holder_node {
    struct slice name;
    bool fit;      /* it is there, takes calls, and knows how */
    bool claims;   /* it says that it holds it */
    uint64_t term; /* of its last claim, 0: none known */
};

/* The index of the holder; count when there is none. 1. Of those that are fit and claim it, the one with the highest
 * term, then the first by name. 2. Else one of those that are fit, the same everywhere, and another for each thing, so
 * that many are spread over the site's nodes. */
size_t holder_elect(struct slice what, const struct holder_node *nodes, size_t count);
/* The term of a new claim. */
uint64_t holder_next_term(const struct holder_node *nodes, size_t count);

#endif
