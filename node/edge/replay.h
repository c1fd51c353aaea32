/* replay: which proofs were used, so that credentials read off the wire do not work twice (RFC 7616 §3.4, nc).
 *
 * Each nonce has one counter: at the node that made it, in the run that made it. There nc must rise. At any other node,
 * and after a restart, a nonce is good for its first proof only and only while it is young: so a client whose answer to
 * a challenge is led to another node gets in, and whoever goes on with such a nonce is challenged once more, with one
 * of this node's own. What remains is that somebody who reads a first proof uses it at another node within
 * REPLAY_ELSEWHERE_MS, from the same address: he could as well have been faster than it.
 *
 * A fixed table without allocation: each nonce hashes to a set of four slots. Of a full set the oldest nonce is
 * overwritten, and from then on none of its age or older is taken there that is not in the set: it may have been the
 * one. Only nonces that went with right credentials are noted, so that strangers cannot wash the table out.
 *
 * Times are the low 32 bits of milliseconds: a set that was last used 49 days ago may ask for one challenge too many.
 */
#ifndef TANDEM_EDGE_REPLAY_H
#define TANDEM_EDGE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "node/base/time.h"

#define REPLAY_WAYS 4
#define REPLAY_SETS 16384
/* For the way to the client and back, and for clocks of two nodes that differ. */
#define REPLAY_ELSEWHERE_MS 10000

struct replay_slot {
    uint64_t session; /* hash of nonce, user and cnonce; 0: free */
    uint32_t nc;
    uint32_t made;
};

struct replay {
    struct replay_set {
        struct replay_slot slots[REPLAY_WAYS];
        uint32_t lost; /* the newest nonce that was overwritten, if has_lost */
        bool has_lost;
    } sets[REPLAY_SETS];
};

/* One right proof. */
struct replay_proof {
    uint64_t session;
    uint32_t nc;
    bool own; /* this run of this node made the nonce */
    struct wall made;
    struct wall now;
};
/* Whether it is used for the first time, as far as this node can know; then it is noted. */
bool edge_replay_fresh(struct replay *r, const struct replay_proof *p);

#endif
