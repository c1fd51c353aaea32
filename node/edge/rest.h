/* rest: the addresses that have asked to be left alone for a while: 503 with Retry-After (RFC 3261 §21.5.4).
 *
 * Pure: what became of a request, and the time, are fed in. It holds the addresses of one name; which requests keep
 * away from them is the owner's to say: the prober's for the calls to a trunk, the client's for its registrations. */
#ifndef TANDEM_EDGE_REST_H
#define TANDEM_EDGE_REST_H

#include "node/base/time.h"
#include "node/edge/address.h"
#include "node/sip/view.h"

#define REST_ADDRESSES 8
#define REST_MAX_S 300 /* whatever it asks for: nobody is lost for days to a wrong number */

struct rests {
    struct {
        union sock_address address;
        struct mono until; /* {0}: free */
    } list[REST_ADDRESSES];
};

/* What a final response asks for, in seconds, at most REST_MAX_S; 0: it does not. */
uint32_t rest_asked_s(const struct sip_view *v);
/* The address rests for so long from now. Where there is no room, the one that is back first is forgotten. */
void rests_add(struct rests *r, const union sock_address *address, uint32_t s, struct mono now);
/* Until when the address rests; {0}: it does not. */
struct mono rests_until(const struct rests *r, const union sock_address *address, struct mono now);
/* When the first of these is back; {0}: one of them does not rest. */
struct mono rests_all_until(const struct rests *r, const union sock_address *list, size_t count, struct mono now);
/* Forgets whoever is back. */
void rests_pass(struct rests *r, struct mono now);
/* When the next one is to be forgotten; MONO_NEVER: nobody rests. */
struct mono rests_next(const struct rests *r);
/* What is left of a rest, in whole seconds, rounded up; 0: nothing. */
static inline uint32_t rest_left_s(struct mono until, struct mono now)
{
    return (uint32_t)((mono_ms_between(now, until) + 999) / 1000);
}

#endif
