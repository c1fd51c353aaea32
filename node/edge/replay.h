/* replay: nonce counts seen, so that credentials read off the wire do not work twice (RFC 7616 §3.4, nc).
 *
 * A fixed table without allocation: each nonce hashes to a set of four slots, the oldest of a full set is overwritten.
 * Only nonces that went with right credentials are noted, so that strangers cannot wash it out. What falls out of it
 * may be replayed until the nonce is too old. */
#ifndef TANDEM_EDGE_REPLAY_H
#define TANDEM_EDGE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WAYS 4
#define REPLAY_SETS 16384

struct replay_slot {
    uint64_t session; /* hash of nonce, user and cnonce; 0: free */
    uint32_t nc;
    uint32_t order;
};

struct replay {
    uint32_t clock;
    struct replay_slot slots[REPLAY_SETS][REPLAY_WAYS];
};

/* Whether nc is new for this nonce (then it is noted). Counts must rise; 0 stands for credentials without a count, good
 * once. */
bool edge_replay_fresh(struct replay *r, uint64_t session, uint32_t nc);

#endif
