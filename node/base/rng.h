/* rng: xoshiro256** from the caller's seed, repeatable: for simulations and jitter. Whoever has seen four numbers in a
 * row knows all that come: what strangers see is drawn from random.h. */
#ifndef TANDEM_BASE_RNG_H
#define TANDEM_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0 .. bound-1; bound > 0 */

#endif
