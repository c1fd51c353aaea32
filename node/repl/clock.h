/* clock: the hybrid clock (Kulkarni et al., "Logical Physical Clocks", 2014): wall-clock milliseconds in the upper 48
 * bits, a counter in the lower 16. It is never behind what was issued or seen, except that what is more than
 * REPL_FUTURE_MS ahead of the wall clock is not followed: one node with a wrong clock must not drag the cluster along.
 */
#ifndef TANDEM_REPL_CLOCK_H
#define TANDEM_REPL_CLOCK_H

#include "node/repl/types.h"

struct repl_clock {
    struct hlc last;
};

/* A new time, greater than every one issued or followed before. */
struct hlc repl_clock_tick(struct repl_clock *c, struct wall wall);
/* The present time without issuing one. */
struct hlc repl_clock_read(const struct repl_clock *c, struct wall wall);
/* Whether seen lies more than REPL_FUTURE_MS ahead of wall. */
bool repl_clock_future(struct hlc seen, struct wall wall);
/* Follows seen unless it is from the future: then false, and the clock stays as it was. */
bool repl_clock_follow(struct repl_clock *c, struct hlc seen, struct wall wall);

#endif
