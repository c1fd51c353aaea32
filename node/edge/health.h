/* health: whether one address of a trunk counts as up or down, from what its probes brought.
 *
 * Pure: the prober feeds results and the time. One answer or one loss proves nothing: it takes HEALTH_MISSES losses in
 * a row to go down and HEALTH_ANSWERS answers in a row to come up. An address that goes down again soon after it came
 * up flaps: each time it must then answer twice as often as the last time before calls are sent to it again. */
#ifndef TANDEM_EDGE_HEALTH_H
#define TANDEM_EDGE_HEALTH_H

#include "node/base/time.h"

#define HEALTH_MISSES 3
#define HEALTH_ANSWERS 2
#define HEALTH_ANSWERS_MAX 32
#define HEALTH_STEADY_MS 300000 /* up for so long, it does not flap any more */

enum health_event {
    HEALTH_ANSWER, /* a response that says: I can take calls */
    HEALTH_MISS,   /* no response in time, or the transport cannot reach it */
    HEALTH_REFUSAL /* a response that says: I cannot (503) */
};

struct health {
    bool known; /* at least one result, or what an earlier run knew */
    bool up;    /* meaningful when known */
    uint8_t misses;
    uint8_t answers;
    uint8_t answers_needed;
    struct mono changed; /* when up last changed in this run, {0}: not yet */
};

/* Nothing is known; it counts as up. */
void health_init(struct health *h);
/* Goes on where an earlier run ended. */
void health_restore(struct health *h, bool up);
/* True: known or up changed. */
bool health_step(struct health *h, enum health_event ev, struct mono now);
/* How long to wait before the next probe: less than the interval while a change is in the air. */
uint64_t health_pause_ms(const struct health *h, uint64_t interval_ms);

#endif
