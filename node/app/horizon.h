/* horizon: lets this node's removals go.
 *
 * A removal stays a record, or whoever missed it would show for ever what is gone; so each phone that comes back from
 * another port leaves one behind, on every node. When there are more of them than of what holds, all that holds is
 * shown again in higher versions, and then a record says that nothing up to the last old version does: STATE_HORIZON.
 * What is shown again is thus never missing anywhere, and costs no more than the removals did.
 *
 *   WAIT -- many new versions, or a start --> COUNT -- more gone than there --> SHOW -- nothing old holds --> WAIT */
#ifndef TANDEM_APP_HORIZON_H
#define TANDEM_APP_HORIZON_H

#include "node/base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct node;

enum horizon_phase { HORIZON_COUNT, HORIZON_SHOW, HORIZON_WAIT };

struct horizon {
    enum horizon_phase phase;
    uint64_t epoch;    /* of our state; another one begins all anew */
    uint64_t at;       /* looked at up to this version */
    uint64_t upto;     /* WAIT: for this version. SHOW: the horizon to come */
    struct mono until; /* SHOW: given up then, something is not shown again */
    uint64_t removed, live;
};

/* Once a second; bounded work. */
void horizon_tick(struct node *n);

#endif
