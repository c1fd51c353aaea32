/* stall: how long the loop thread was kept from its sockets: the time between two looks at them that was not spent
 * waiting for them, up to a millisecond too much. What it is not: a cure, or an alarm. Loop thread only, except for
 * reading the counters.
 *
 * Two times are kept for each turn of the loop: all of it, and all but what the thread waited for a processor that ran
 * something else (Linux tells it in /proc/thread-self/schedstat). The second is our own doing: work, and waiting for
 * the disk. */
#ifndef TANDEM_APP_STALL_H
#define TANDEM_APP_STALL_H

#include <uv.h>

#include "node/base/counter.h"
#include "node/base/time.h"

#define STALL_SECONDS 60
#define STALL_RECENT_S 10

struct stall_times {
    uint64_t wall_us;
    uint64_t own_us;
};

#define STALL_COUNTERS(X)                                                                                              \
    X(turns)                                                                                                           \
    X(turns_over_5ms)                                                                                                  \
    X(turns_over_20ms)                                                                                                 \
    X(turns_over_100ms)
#define STALL_COUNTER_ENUM(id) STALL_##id,
enum stall_counter { STALL_COUNTERS(STALL_COUNTER_ENUM) STALL_COUNTER_COUNT };

struct stall {
    uv_loop_t *loop;
    uv_prepare_t prepare;
    uv_check_t check;
    bool open;
    uint64_t woke_ms;                          /* when the loop last came from its sockets, 0 never */
    int schedstat;                             /* of the thread that started it; -1: the system has none */
    uint64_t asked_ns;                         /* when it was last read, */
    uint64_t queued_ns;                        /* and how long the thread had waited for a processor by then */
    struct stall_times longest[STALL_SECONDS]; /* by second, a ring */
    uint64_t second;                           /* of the newest in it */
    _Atomic uint64_t counts[STALL_COUNTER_COUNT];
    struct counter_table table;
};

/* On the loop's thread, before it first runs. It keeps the loop alive for nobody. */
MUST_CHECK enum err stall_start(struct stall *s, uv_loop_t *loop);
/* s lives until the loop has turned once more. */
void stall_stop(struct stall *s);
/* The longest turn that ended in the last seconds (up to STALL_SECONDS), each of the two times by itself. */
struct stall_times stall_longest(const struct stall *s, unsigned seconds);

/* One turn, for stall.c and its test: it ended in this second of the monotonic clock. */
void stall_note(struct stall *s, uint64_t second, struct stall_times t);

#endif
