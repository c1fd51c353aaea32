/* lockout: scores of wrong guesses that fade with time, in a table of a fixed size.
 *
 * A score counts thousandths of a guess and halves in each half-life; whoever has reached the limit is locked until it
 * has faded below. Keys are hashes with a secret salt. A key has a set of places; a newcomer takes the place of the
 * lowest score of his set, and never one that is locked. So whoever makes up keys without end pushes out others that he
 * made up, and neither frees a key that is locked nor wins back guesses for one that has used up more than he spends;
 * where all places of a set are locked, a newcomer is not counted, and that is. Pure: the time comes in, seconds of any
 * clock that does not step back. */
#ifndef TANDEM_EDGE_LOCKOUT_H
#define TANDEM_EDGE_LOCKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/base/err.h"

#define LOCKOUT_WAYS 8
#define LOCKOUT_GUESS 1000 /* one guess */

struct lockout_terms {
    uint32_t half_life_s;
    uint32_t limit; /* thousandths */
    uint32_t cap;   /* more is not remembered, so that a lock ends within a time that is known */
};

struct lockout_place {
    uint64_t key;
    uint32_t score; /* as of at_s; 0: free */
    uint32_t at_s;
};

struct lockout {
    struct lockout_terms terms;
    size_t sets;
    uint64_t untracked; /* guesses that found no place */
    struct lockout_place (*places)[LOCKOUT_WAYS];
};

MUST_CHECK enum err lockout_init(struct lockout *l, size_t sets, const struct lockout_terms *terms); /* ERR_NOMEM */
void lockout_fini(struct lockout *l); /* one that was never made, or failed, too */
uint32_t lockout_score(const struct lockout *l, uint64_t key, uint32_t now_s);
static inline bool lockout_is_locked(const struct lockout *l, uint64_t key, uint32_t now_s)
{
    return lockout_score(l, key, now_s) >= l->terms.limit;
}
/* Adds to the score and returns it; 0 when it found no place. */
uint32_t lockout_add(struct lockout *l, uint64_t key, uint32_t thousandths, uint32_t now_s);
void lockout_forget(struct lockout *l, uint64_t key);
/* Every key with this lower half. Looks at each place. */
void lockout_forget_low(struct lockout *l, uint32_t low);
/* Keys that are locked now. Looks at each place. */
size_t lockout_count(const struct lockout *l, uint32_t now_s);

#endif
