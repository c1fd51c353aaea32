#include "node/edge/health.h"

#define PAUSE_MIN_MS 500

void health_init(struct health *h)
{
    *h = (struct health){.up = true, .answers_needed = HEALTH_ANSWERS};
}

void health_restore(struct health *h, bool up)
{
    health_init(h);
    h->known = true;
    h->up = up;
}

static bool goes_down(struct health *h, struct mono now)
{
    bool flaps = h->changed.us > 0 && mono_ms_between(h->changed, now) < HEALTH_STEADY_MS;
    unsigned needed = flaps ? h->answers_needed * 2u : HEALTH_ANSWERS;
    h->answers_needed = (uint8_t)(needed < HEALTH_ANSWERS_MAX ? needed : HEALTH_ANSWERS_MAX);
    h->known = true;
    h->up = false;
    h->changed = now;
    return true;
}

static bool loss(struct health *h, struct mono now)
{
    h->answers = 0;
    if (h->misses < HEALTH_MISSES) h->misses++;
    return h->up && h->misses == HEALTH_MISSES && goes_down(h, now);
}

static bool answer(struct health *h, struct mono now)
{
    h->misses = 0;
    if (h->up) {
        bool first = !h->known;
        h->known = true;
        return first;
    }
    if (++h->answers < h->answers_needed) return false;
    h->answers = 0;
    h->up = true;
    h->changed = now;
    return true;
}

bool health_step(struct health *h, enum health_event ev, struct mono now)
{
    /* Who answers that it cannot is no less certain for being asked three times, but one overload passes by itself. */
    return ev == HEALTH_ANSWER ? answer(h, now) : loss(h, now);
}

uint64_t health_pause_ms(const struct health *h, uint64_t interval_ms)
{
    bool in_doubt = h->up ? h->misses > 0 : h->answers > 0;
    if (!in_doubt) return interval_ms;
    uint64_t pause = interval_ms / 4;
    if (pause < PAUSE_MIN_MS) pause = PAUSE_MIN_MS;
    return pause < interval_ms ? pause : interval_ms;
}
