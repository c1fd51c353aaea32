#include "node/edge/overload.h"

void overload_sense(struct overload *o, uint64_t age_ms, uint64_t turn_ms)
{
    uint64_t late_ms = age_ms > turn_ms ? age_ms : turn_ms;
    if (late_ms <= OVERLOAD_FIRST_MS) {
        o->refuse = 0;
    } else if (late_ms >= OVERLOAD_LAST_MS) {
        o->refuse = 1000;
    } else {
        o->refuse = (unsigned)((late_ms - OVERLOAD_FIRST_MS) * 1000 / (OVERLOAD_LAST_MS - OVERLOAD_FIRST_MS));
    }
}

static void turn_window(struct overload *o, struct mono now)
{
    uint32_t window = (uint32_t)(now.us / (OVERLOAD_WINDOW_MS * UINT64_C(1000)));
    if (window == o->window) return;
    o->share = o->active > 0 ? o->taken / o->active : 0;
    o->alone = o->active <= 1;
    o->window = window;
    o->active = o->taken = 0;
}

static struct overload_place *place_of(struct overload *o, uint64_t source)
{
    struct overload_place *p = &o->places[source % OVERLOAD_PLACES];
    if (p->window != o->window || p->asked == 0) {
        *p = (struct overload_place){.window = o->window};
        o->active++;
    }
    p->asked++;
    return p;
}

bool overload_admit(struct overload *o, uint64_t source, struct mono now, uint64_t chance)
{
    turn_window(o, now);
    struct overload_place *p = place_of(o, source);
    bool small = !o->alone && p->admitted < (o->share + 1) / 2;
    if (o->refuse > 0 && !small && chance % 1000 < o->refuse) return false;
    p->admitted++;
    o->taken++;
    return true;
}

unsigned overload_retry_s(uint64_t chance)
{
    return 1 + (unsigned)(chance / 1000 % 5);
}
