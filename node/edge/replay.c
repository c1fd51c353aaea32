#include "node/edge/replay.h"

#include <stddef.h>

bool edge_replay_fresh(struct replay *r, uint64_t session, uint32_t nc)
{
    struct replay_slot *set = r->slots[session % REPLAY_SETS];
    struct replay_slot *victim = &set[0];
    if (session == 0) session = 1;
    for (size_t i = 0; i < REPLAY_WAYS; i++) {
        struct replay_slot *s = &set[i];
        if (s->session == session) {
            if (nc <= s->nc) return false;
            s->nc = nc;
            return true;
        }
        /* Age is counted backwards from the present, so that the order number may wrap. */
        if (s->session == 0 || (victim->session != 0 && r->clock - s->order > r->clock - victim->order)) victim = s;
    }
    *victim = (struct replay_slot){.session = session, .nc = nc, .order = r->clock++};
    return true;
}
