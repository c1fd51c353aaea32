/* wheel: a hierarchical timer wheel: start and stop in O(1), one tick of 10 ms, horizon about 46 hours.
 *
 * The lowest level reaches over 40 s, so that the 32 s that a transaction lingers (RFC 3261's 64 * T1) are one place in
 * it: bringing a timer down from a higher level touches memory that nobody has looked at for long.
 *
 * Pure: time arrives with wheel_advance. A timer fires at or up to one tick after its deadline, never before. Timers
 * due in one advance fire in the order of their ticks; callbacks may start and stop any timer. */
#ifndef TANDEM_BASE_WHEEL_H
#define TANDEM_BASE_WHEEL_H

#include "node/base/list.h"
#include "node/base/time.h"

#define WHEEL_TICK_US 10000
#define WHEEL_NEAR_SLOTS 4096
#define WHEEL_FAR_LEVELS 2
#define WHEEL_FAR_SLOTS 64

struct wheel_timer {
    struct list_node node;
    uint64_t tick; /* when it is due */
};

struct wheel {
    struct list_node near[WHEEL_NEAR_SLOTS];
    struct list_node far[WHEEL_FAR_LEVELS][WHEEL_FAR_SLOTS];
    uint64_t occupied[WHEEL_NEAR_SLOTS / 64]; /* near slots that hold a timer; an empty one may still be marked */
    uint64_t now_tick;
    size_t count;
};

void wheel_init(struct wheel *w, struct mono now);
void wheel_timer_init(struct wheel_timer *t);
static inline bool wheel_timer_active(const struct wheel_timer *t)
{
    return list_linked(&t->node);
}
/* (Re)starts t for the instant at; beyond the horizon it fires at the horizon. */
void wheel_start(struct wheel *w, struct wheel_timer *t, struct mono at);
void wheel_stop(struct wheel *w, struct wheel_timer *t); /* stopping a stopped timer is allowed */
/* Calls fire for each timer due at now; t is stopped before its call. Not to be called from within fire. */
void wheel_advance(struct wheel *w, struct mono now, void (*fire)(void *ctx, struct wheel_timer *t), void *ctx);
/* A bound on when wheel_advance should next be called: never later than the first deadline; MONO_NEVER when empty. */
struct mono wheel_next(struct wheel *w);

#endif
