/* overload: whether a request is taken when more comes in than can be carried (RFC 5390, RFC 3261 §21.5.4).
 *
 * The sign of overload is time: how old a datagram is when it is looked at, by the kernel's own stamp, and how long
 * the loop has been at work since it woke. Two laws say what part of the requests is refused, cheaply and with
 * Retry-After. Steady: when even the youngest datagram of a while was old, there is a queue that does not go away; the
 * part that is taken then shrinks and grows until the queue is OVERLOAD_TARGET_MS long (a PI controller as in RFC
 * 8033, but of the logarithm, so that it is as quick at any load). A short queue keeps a call cheap: what it needs is
 * still in the processor's cache, nobody sends twice, and nobody must be told to wait. At once: what is so old that
 * everybody is about to send again is refused whatever has been before. One burst, or one moment in which the machine
 * stood still, is neither; and where no more than OVERLOAD_FEW ask in a window nobody is refused, since so few are
 * never what a node cannot carry.
 *
 * What may be taken is shared among the sources, the same part for each, and what one does not ask for goes to the
 * others: who asks for little is not refused, and who floods is left to his own part, which never falls at once below
 * half of what each got a moment ago.
 *
 * Inside dialogs a source's requests come out of its own part first, and its new ones have what they leave: calls in
 * progress go before new calls. They are refused only where they are more than that part by themselves, by the steady
 * law alone, and OVERLOAD_FEW of a source in a window never. What ends or completes a call is not asked about at all:
 * the caller of this knows it.
 *
 * Pure: time and chance come in. It counts sources by a hash, in a fixed table; two that share a place share a part. */
#ifndef TANDEM_EDGE_OVERLOAD_H
#define TANDEM_EDGE_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "node/base/time.h"

#define OVERLOAD_PLACES 1024
#define OVERLOAD_WINDOW_MS 250
#define OVERLOAD_FEW 50
#define OVERLOAD_LOOK_MS 50 /* how long a queue must have lasted */
#define OVERLOAD_TARGET_MS 20
/* Refusing at once begins at the first and is total at the second. */
#define OVERLOAD_FIRST_MS 100
#define OVERLOAD_LAST_MS 250 /* half of T1: later, everybody sends again */
#define OVERLOAD_ALL 1000000

enum overload_kind { OVERLOAD_NEW, OVERLOAD_INSIDE, OVERLOAD_KINDS };

struct overload_place {
    uint32_t window; /* the number of the window that the counts are of */
    uint32_t asked[OVERLOAD_KINDS];
    uint32_t before[OVERLOAD_KINDS]; /* asked in the window before */
};

struct overload {
    uint32_t steady;       /* millionths of the requests that are taken by the steady law, */
    uint32_t at_once;      /* millionths of the new ones of them that are left at once */
    uint32_t look;         /* number of the present look */
    bool looked;           /* a datagram has come in it: */
    uint32_t least;        /* the age of the youngest, in ms, */
    uint32_t before;       /* and what it was in the look before; */
    bool sudden;           /* none was old until then, so that it was not believed */
    uint32_t window;       /* number of the present window */
    uint32_t active;       /* sources that asked in it, */
    uint32_t asked;        /* new requests in it, */
    uint32_t asked_before; /* in the window before, */
    uint32_t taken;        /* and how many were taken, of both kinds */
    uint64_t least_part;   /* half of what each got in the window before in equal parts, in thousandths of a request */
    uint64_t part;         /* what each may have by the steady law, likewise; */
    bool parted;           /* it is known in this look */
    struct overload_place places[OVERLOAD_PLACES];
};

void overload_init(struct overload *o);
/* The age of what is looked at now, and how long the loop has been at work. */
#define OVERLOAD_NO_AGE UINT64_MAX /* it is no datagram: how long it waited nobody knows */
void overload_sense(struct overload *o, uint64_t age_ms, uint64_t turn_ms, struct mono now);
static inline bool overload_on(const struct overload *o)
{
    return o->steady < OVERLOAD_ALL || o->at_once < OVERLOAD_ALL;
}
/* Whether one request of this source is taken, after the look at it; chance is any random number. */
bool overload_admit(struct overload *o, enum overload_kind kind, uint64_t source, uint64_t chance);
/* Seconds for Retry-After, 1 to 5 by chance, so that they do not all come back at once. */
unsigned overload_retry_s(uint64_t chance);

#endif
