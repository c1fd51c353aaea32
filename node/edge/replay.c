#include "node/edge/replay.h"

#include <stddef.h>

bool edge_replay_fresh(struct replay *r, uint64_t nonce_hash, uint32_t nc)
{
    struct replay_slot *set = r->slots[nonce_hash % REPLAY_SETS];
    struct replay_slot *victim = &set[0];
    if (nonce_hash == 0) nonce_hash = 1;
    for (size_t i = 0; i < REPLAY_WAYS; i++) {
        struct replay_slot *s = &set[i];
        if (s->nonce == nonce_hash) {
            if (nc <= s->nc) return false;
            s->nc = nc;
            return true;
        }
        /* Age is counted backwards from the present, so that the order number may wrap. */
        if (s->nonce == 0 || (victim->nonce != 0 && r->clock - s->order > r->clock - victim->order)) victim = s;
    }
    *victim = (struct replay_slot){.nonce = nonce_hash, .nc = nc, .order = r->clock++};
    return true;
}
