/* usage: how many calls each trunk and account has at this node, and how fast new ones come: what calls: and rate: in
 * the plan are held against.
 *
 * A call holds its source and, while one of this node's own is tried or talks, its target. Each node counts its own
 * calls: a trunk whose site has two nodes may have its limit twice. The rate is a token bucket that holds one second's
 * worth. Where memory is short a call goes uncounted: limits are worth less than calls. */
#ifndef TANDEM_APP_USAGE_H
#define TANDEM_APP_USAGE_H

#include "node/base/bytes.h"
#include "node/base/counter.h"
#include "node/base/time.h"

#define USAGE_COUNTERS(X)                                                                                              \
    X(target_calls_reached) /* a target left out because of its calls: */                                              \
    X(target_rate_reached)                                                                                             \
    X(source_calls_reached) /* a call refused because of its source's calls: */                                        \
    X(source_rate_reached)                                                                                             \
    X(no_memory)

enum usage_counter { USAGE_COUNTERS(COUNTER_ENUM) USAGE_COUNTER_COUNT };

struct usage;
struct usage_of; /* of one trunk or account */

struct usage_view {
    uint32_t live;
    uint64_t refused; /* in this run */
};

MUST_CHECK enum err usage_new(uint64_t seed, struct usage **out);
void usage_free(struct usage *u);
const struct counter_table *usage_counters(const struct usage *u);
void usage_count(struct usage *u, enum usage_counter which);

/* One more call of name ("trunk/pbx"); it takes a token where there is a whole one. NULL: not counted. Each hold is
 * released once. */
struct usage_of *usage_hold(struct usage *u, struct slice name, struct mono now);
void usage_release(struct usage *u, struct usage_of *of);

/* What the plan allows now is remembered for usage_full; 0: no limit. */
enum usage_verdict { USAGE_FREE, USAGE_CALLS, USAGE_RATE };
enum usage_verdict usage_check(struct usage *u, struct slice name, uint32_t calls, uint32_t rate_per_s,
                               struct mono now);
/* The same by what the last usage_check of that name was told. */
enum usage_verdict usage_full(struct usage *u, struct slice name, struct mono now);
/* A call was not let through because of it. */
void usage_refused(struct usage *u, struct slice name);
void usage_each(const struct usage *u, void (*each)(void *ctx, struct slice name, struct usage_view view), void *ctx);
struct usage_view usage_view(const struct usage *u, struct slice name);

#endif
