/* overload: whether a new request is taken when more comes in than can be carried (RFC 5390, RFC 3261 §21.5.4).
 *
 * Two signs of overload: the kernel's receive queue fills, and the loop's turns take long. Either gives a share of new
 * requests that is refused, cheaply and with Retry-After, before the queue overflows and drops what belongs to calls in
 * progress; those are never asked about. Sources that ask for less than half of what each would get in equal parts are
 * not refused: who floods is left to his own quota.
 * Pure: time and chance come in. It counts sources by a hash, in a fixed table; two that share a place share a quota.
 */
#ifndef TANDEM_EDGE_OVERLOAD_H
#define TANDEM_EDGE_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "node/base/time.h"

#define OVERLOAD_PLACES 1024
#define OVERLOAD_WINDOW_MS 250
/* Refusing begins at the first and is total at the second. */
#define OVERLOAD_BACKLOG_FIRST 100 /* thousandths of the receive queue */
#define OVERLOAD_BACKLOG_LAST 500
#define OVERLOAD_LAG_FIRST_MS 100 /* one turn of the loop */
#define OVERLOAD_LAG_LAST_MS 500

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

/* What the transport and the loop show: backlog in thousandths, the time that the last turn took. */
void overload_sense(struct overload *o, unsigned backlog, uint64_t lag_ms);
static inline bool overload_on(const struct overload *o)
{
    return o->refuse > 0;
}
/* Whether one new request of this source is taken; chance is any random number. */
bool overload_admit(struct overload *o, uint64_t source, struct mono now, uint64_t chance);
/* Seconds for Retry-After, 1 to 5 by chance, so that they do not all come back at once. */
unsigned overload_retry_s(uint64_t chance);

#endif
