/* lint_blocks: how many numbers a block has. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_BLOCKS_H
#define TANDEM_PLAN_LINT_BLOCKS_H

#include "node/plan/span.h"

#define LINT_MORE_MAX 18 /* digits more than a block's bounds have: a block of over 10^18 numbers is never full */

/* The numbers of a block that have so many digits more than its bounds. */
struct lint_numbers {
    char low[LIMIT_NUMBER];
    char high[LIMIT_NUMBER];
    size_t n;      /* digits */
    uint64_t size; /* how many there are */
};
/* False: there are none, or too many to be ever assigned. */
bool lint_block_numbers(const struct span *block, size_t more, struct lint_numbers *out);
/* Whether so many of them assigned are worth a warning. */
bool lint_is_full(uint64_t used, uint64_t size);

#endif
