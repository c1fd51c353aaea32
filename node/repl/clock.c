/* clock: see clock.h. The counter carries into the milliseconds by itself: 65,536 events within one millisecond put the
 * clock a millisecond ahead of the wall, which is harmless. */
#include "node/repl/clock.h"

#define COUNTER_BITS 16

static uint64_t of_wall(struct wall wall)
{
    return wall.ms > 0 ? (uint64_t)wall.ms << COUNTER_BITS : 0;
}

struct hlc repl_clock_read(const struct repl_clock *c, struct wall wall)
{
    uint64_t now = of_wall(wall);
    return now > c->last.v ? (struct hlc){now} : c->last;
}

struct hlc repl_clock_tick(struct repl_clock *c, struct wall wall)
{
    uint64_t now = of_wall(wall);
    c->last.v = now > c->last.v ? now : c->last.v + 1;
    return c->last;
}

bool repl_clock_future(struct hlc seen, struct wall wall)
{
    struct wall bound = {wall.ms + REPL_FUTURE_MS};
    return seen.v > (of_wall(bound) | ((1u << COUNTER_BITS) - 1));
}

bool repl_clock_follow(struct repl_clock *c, struct hlc seen, struct wall wall)
{
    if (repl_clock_future(seen, wall)) return false;
    if (seen.v > c->last.v) c->last = seen;
    return true;
}
