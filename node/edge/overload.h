/* overload: whether a new request is taken when more comes in than can be carried (RFC 5390, RFC 3261 §21.5.4).
 *
 * The sign of overload is time: how old a message is when it is looked at, by the kernel's own stamp, and how long the
 * loop has been at work since it woke. It gives a share of new requests that is refused, cheaply and with Retry-After,
 * before the queue overflows and drops what belongs to calls in progress; those are never asked about. Sources that ask
 * for less than half of what each would get in equal parts are not refused: who floods is left to his own quota. Pure:
 * time and chance come in. It counts sources by a hash, in a fixed table; two that share a place share a quota.
 */
#ifndef TANDEM_EDGE_OVERLOAD_H
#define TANDEM_EDGE_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "node/base/time.h"

#define OVERLOAD_PLACES 1024
#define OVERLOAD_WINDOW_MS 250
/* Refusing begins at the first and is total at the second. */
#define OVERLOAD_FIRST_MS 50
#define OVERLOAD_LAST_MS 250 /* half of T1: later, everybody sends again */

struct overload_place {
    uint32_t window; /* the number of the window that the counts are of */
    uint32_t asked;
    uint32_t admitted;
};

struct overload {
    unsigned refuse; /* thousandths of new requests that are refused */
    uint32_t window; /* number of the present window */
    uint32_t active; /* sources that asked in it, */
    uint32_t taken;  /* and requests admitted */
    uint32_t share;  /* admitted in the window before, for each source that asked then */
    bool alone;      /* one source asked then: there is nobody to protect from it */
    struct overload_place places[OVERLOAD_PLACES];
};

/* The age of what is looked at now, and how long the loop has been at work. */
void overload_sense(struct overload *o, uint64_t age_ms, uint64_t turn_ms);
static inline bool overload_on(const struct overload *o)
{
    return o->refuse > 0;
}
/* Whether one new request of this source is taken; chance is any random number. */
bool overload_admit(struct overload *o, uint64_t source, struct mono now, uint64_t chance);
/* Seconds for Retry-After, 1 to 5 by chance, so that they do not all come back at once. */
unsigned overload_retry_s(uint64_t chance);

#endif
