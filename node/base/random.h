/* random: numbers that nobody can foresee, however many others they have seen: AES-256 in counter mode (as in NIST SP
 * 800-90A §10.2), a few KB at once, so that a number costs little more than reading it. What has been given out cannot
 * be found in memory afterwards: each stretch brings the key of the next one, and a number is wiped as it is taken.
 * For everything that a stranger sees or would profit from knowing. Where a run must be repeatable: rng.h. Not for a
 * process that forks: both would draw the same. */
#ifndef TANDEM_BASE_RANDOM_H
#define TANDEM_BASE_RANDOM_H

#include "node/base/hash.h"

struct random;

/* The key comes from the system, and serves nothing else. One thread at a time. NULL: no memory. */
struct random *random_new(const unsigned char key[HASH_KEY_LEN]);
void random_free(struct random *r); /* NULL allowed; wipes the key */
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t bound); /* 0 .. bound-1; bound > 0 */

#endif
