#include "node/edge/replay.h"

#include <stddef.h>

#include "node/sip/digest.h"

/* How much later b is than a, as far as the low bits say. */
static int32_t between(uint32_t a, uint32_t b)
{
    return (int32_t)(b - a);
}

/* Whether a nonce of that time may still be taken. */
static bool matters(uint32_t made, uint32_t now)
{
    int32_t age = between(made, now);
    return age <= SIP_NONCE_LIFE_MS && age >= -SIP_NONCE_LIFE_MS;
}

static struct replay_slot *find(struct replay_set *set, uint64_t session)
{
    for (size_t i = 0; i < REPLAY_WAYS; i++) {
        if (set->slots[i].session == session) return &set->slots[i];
    }
    return NULL;
}

/* A free slot, or one whose nonce is of no use any more, or the oldest. */
static struct replay_slot *victim_of(struct replay_set *set, uint32_t now)
{
    struct replay_slot *oldest = &set->slots[0];
    for (size_t i = 0; i < REPLAY_WAYS; i++) {
        struct replay_slot *s = &set->slots[i];
        if (s->session == 0 || !matters(s->made, now)) return s;
        if (between(s->made, oldest->made) > 0) oldest = s;
    }
    return oldest;
}

static void note(struct replay_set *set, const struct replay_proof *p, uint64_t session)
{
    uint32_t now = (uint32_t)p->now.ms;
    struct replay_slot *s = victim_of(set, now);
    if (s->session != 0 && matters(s->made, now)) {
        bool later = !set->has_lost || !matters(set->lost, now) || between(set->lost, s->made) > 0;
        if (later) set->lost = s->made;
        set->has_lost = true;
    }
    *s = (struct replay_slot){.session = session, .nc = p->nc, .made = (uint32_t)p->made.ms};
}

/* Whether a nonce that is not in the set may have been in it. */
static bool may_be_lost(const struct replay_set *set, const struct replay_proof *p)
{
    return set->has_lost && matters(set->lost, (uint32_t)p->now.ms) && between((uint32_t)p->made.ms, set->lost) >= 0;
}

static bool good_elsewhere(const struct replay_proof *p)
{
    int64_t age_ms = p->now.ms - p->made.ms;
    return p->nc == 1 && age_ms <= REPLAY_ELSEWHERE_MS && age_ms >= -REPLAY_ELSEWHERE_MS;
}

bool edge_replay_fresh(struct replay *r, const struct replay_proof *p)
{
    struct replay_set *set = &r->sets[p->session % REPLAY_SETS];
    uint64_t session = p->session != 0 ? p->session : 1;
    struct replay_slot *s = find(set, session);
    if (s != NULL) {
        if (!p->own || p->nc <= s->nc) return false;
        s->nc = p->nc;
        return true;
    }
    if ((!p->own && !good_elsewhere(p)) || may_be_lost(set, p)) return false;
    note(set, p, session);
    return true;
}
