#include "node/edge/overload.h"

#include <string.h>

/* ---- how many are taken ---- */

#define LEAST_TAKEN (OVERLOAD_ALL / 100) /* of which more can be made again within a second */
#define EMPTY_MS 2                       /* no queue: what is taken grows by a fifth */
#define PART_ROUNDS 8
#define FAR_MS 50 /* as far above the target as it is believed */
/* Millionths for each millisecond: of the queue above its target, and of its growth since the look before. */
#define BY_LENGTH 2000
#define BY_GROWTH 10000

void overload_init(struct overload *o)
{
    *o = (struct overload){.steady = OVERLOAD_ALL, .at_once = OVERLOAD_ALL};
}

static int64_t within(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

static void steer(struct overload *o)
{
    const int64_t all = OVERLOAD_ALL;
    o->sudden = o->steady == OVERLOAD_ALL && !o->sudden && o->least >= EMPTY_MS;
    if (o->sudden) return; /* a queue is what two looks saw */
    int64_t above = within((int64_t)o->least - OVERLOAD_TARGET_MS, -OVERLOAD_TARGET_MS, FAR_MS);
    int64_t growth = (int64_t)o->least - (int64_t)o->before;
    int64_t slowest = o->least < EMPTY_MS ? all * 6 / 5 : all / 2;
    int64_t factor = within(all - BY_LENGTH * above - BY_GROWTH * growth, slowest, all * 5 / 4);
    o->steady = (uint32_t)within(o->steady * factor / all, LEAST_TAKEN, all);
    o->before = o->least;
}

/* ---- of whom ---- */

/* What the source asks for in a window, by the last two. */
static uint32_t asked(const struct overload *o, const struct overload_place *p, enum overload_kind kind)
{
    if (p->window == o->window) return p->asked[kind] > p->before[kind] ? p->asked[kind] : p->before[kind];
    return p->window + 1 == o->window ? p->asked[kind] : 0;
}

struct asking {
    uint64_t sum;  /* of those that ask for up to so much */
    uint64_t more; /* sources that ask for more, */
    uint64_t rest; /* and what they ask for */
    uint32_t most;
};

static struct asking ask(const struct overload *o, uint64_t part)
{
    struct asking a = {0};
    for (size_t i = 0; i < OVERLOAD_PLACES; i++) {
        uint32_t n = asked(o, &o->places[i], OVERLOAD_NEW) + asked(o, &o->places[i], OVERLOAD_INSIDE);
        if (n > a.most) a.most = n;
        if (n * UINT64_C(1000) <= part) {
            a.sum += n;
        } else {
            a.more++;
            a.rest += n;
        }
    }
    return a;
}

/* The part of which all together are what may be taken: it grows by what those leave who ask for less. */
static uint64_t part_of_each(const struct overload *o)
{
    struct asking a = ask(o, 0);
    uint64_t may = (a.sum + a.rest) * o->steady / (OVERLOAD_ALL / 1000);
    uint64_t part = 0;
    if (a.more == 0) return 1000; /* the first who asks */
    if (o->steady == OVERLOAD_ALL) return a.most * UINT64_C(1000);
    for (int i = 0; i < PART_ROUNDS && a.more > 0; i++) {
        uint64_t next = (may - a.sum * 1000) / a.more;
        if (next == part) break;
        part = next;
        a = ask(o, part);
    }
    return part;
}

/* ---- time ---- */

static void turn_window(struct overload *o, uint32_t window)
{
    if (window == o->window) return;
    /* One who was alone may have company from now on. */
    o->least_part = o->taken * UINT64_C(1000) / 2 / (o->active > 1 ? o->active : 2);
    o->asked_before = window == o->window + 1 ? o->asked : 0;
    o->window = window;
    o->active = o->asked = o->taken = 0;
}

static void turn_look(struct overload *o, struct mono now)
{
    uint32_t look = (uint32_t)(now.us / (OVERLOAD_LOOK_MS * UINT64_C(1000)));
    if (look == o->look) return;
    if (o->looked) steer(o);
    /* Where nothing came there was no queue. */
    for (uint32_t i = o->look + 1; i != look && o->steady < OVERLOAD_ALL; i++) {
        o->least = 0;
        steer(o);
    }
    o->look = look;
    o->looked = false;
    o->parted = false;
    turn_window(o, (uint32_t)(now.us / (OVERLOAD_WINDOW_MS * UINT64_C(1000))));
}

/* What is left of OVERLOAD_ALL at once. */
static uint64_t at_once(uint64_t late_ms)
{
    if (late_ms <= OVERLOAD_FIRST_MS) return OVERLOAD_ALL;
    if (late_ms >= OVERLOAD_LAST_MS) return 0;
    return OVERLOAD_ALL / (OVERLOAD_LAST_MS - OVERLOAD_FIRST_MS) * (OVERLOAD_LAST_MS - late_ms);
}

void overload_sense(struct overload *o, uint64_t age_ms, uint64_t turn_ms, struct mono now)
{
    turn_look(o, now);
    uint64_t late_ms = turn_ms;
    if (age_ms != OVERLOAD_NO_AGE) {
        uint32_t age = (uint32_t)(age_ms < UINT32_MAX ? age_ms : UINT32_MAX);
        o->least = o->looked && o->least < age ? o->least : age;
        o->looked = true;
        if (age_ms > late_ms) late_ms = age_ms;
    }
    o->at_once = (uint32_t)at_once(late_ms);
}

static struct overload_place *place_of(struct overload *o, uint64_t source)
{
    struct overload_place *p = &o->places[source % OVERLOAD_PLACES];
    bool asks = p->asked[OVERLOAD_NEW] + p->asked[OVERLOAD_INSIDE] > 0;
    if (p->window == o->window && asks) return p;
    struct overload_place next = {.window = o->window};
    if (p->window + 1 == o->window) memcpy(next.before, p->asked, sizeof next.before);
    *p = next;
    o->active++;
    return p;
}

/* Thousandths of requests that may be taken of each source in this window, of those that so much of is left at once. */
static uint64_t part_now(struct overload *o, uint32_t at_once)
{
    if (!o->parted) o->part = part_of_each(o);
    o->parted = true;
    uint64_t part = o->part * at_once / OVERLOAD_ALL;
    return part > o->least_part ? part : o->least_part;
}

/* One of so many that ask for the part, which is in thousandths. */
static bool has_part(uint64_t part, uint32_t n, uint64_t chance)
{
    return chance % OVERLOAD_ALL * n * 1000 < part * OVERLOAD_ALL;
}

static bool admits_inside(struct overload *o, const struct overload_place *p, uint64_t chance)
{
    uint32_t n = asked(o, p, OVERLOAD_INSIDE);
    return o->steady == OVERLOAD_ALL || n <= OVERLOAD_FEW || has_part(part_now(o, OVERLOAD_ALL), n, chance);
}

static bool admits_new(struct overload *o, const struct overload_place *p, uint64_t chance)
{
    bool many = ++o->asked > OVERLOAD_FEW || o->asked_before > OVERLOAD_FEW;
    if (!many || !overload_on(o)) return true;
    uint64_t part = part_now(o, o->at_once);
    uint64_t inside = asked(o, p, OVERLOAD_INSIDE) * UINT64_C(1000);
    return has_part(part > inside ? part - inside : 0, asked(o, p, OVERLOAD_NEW), chance);
}

bool overload_admit(struct overload *o, enum overload_kind kind, uint64_t source, uint64_t chance)
{
    struct overload_place *p = place_of(o, source);
    p->asked[kind]++;
    bool taken = kind == OVERLOAD_INSIDE ? admits_inside(o, p, chance) : admits_new(o, p, chance);
    if (taken) o->taken++;
    return taken;
}

unsigned overload_retry_s(uint64_t chance)
{
    return 1 + (unsigned)(chance / OVERLOAD_ALL % 5);
}
