#include "node/base/wheel.h"

#include <string.h>

#define NEAR_BITS 12
#define NEAR_MASK ((UINT64_C(1) << NEAR_BITS) - 1)
#define FAR_BITS 6
#define FAR_MASK ((UINT64_C(1) << FAR_BITS) - 1)
#define FAR_SHIFT(level) (NEAR_BITS + FAR_BITS * (level)) /* of the digit of the tick that names its slot there */
#define HORIZON ((UINT64_C(1) << FAR_SHIFT(WHEEL_FAR_LEVELS)) - 1)
_Static_assert(WHEEL_NEAR_SLOTS == NEAR_MASK + 1 && WHEEL_FAR_SLOTS == FAR_MASK + 1, "a slot for each digit");

void wheel_init(struct wheel *w, struct mono now)
{
    for (int slot = 0; slot < WHEEL_NEAR_SLOTS; slot++)
        list_init(&w->near[slot]);
    for (int level = 0; level < WHEEL_FAR_LEVELS; level++) {
        for (int slot = 0; slot < WHEEL_FAR_SLOTS; slot++)
            list_init(&w->far[level][slot]);
    }
    memset(w->occupied, 0, sizeof w->occupied);
    w->now_tick = now.us / WHEEL_TICK_US;
    w->count = 0;
}

void wheel_timer_init(struct wheel_timer *t)
{
    list_init(&t->node);
    t->tick = 0;
}

/* A timer lives on the lowest level on which its tick and the present differ only in that level's digit or below. */
static void place(struct wheel *w, struct wheel_timer *t)
{
    uint64_t differ = t->tick ^ w->now_tick;
    if (differ <= NEAR_MASK) {
        uint64_t slot = t->tick & NEAR_MASK;
        list_append(&w->near[slot], &t->node);
        w->occupied[slot / 64] |= UINT64_C(1) << slot % 64;
        return;
    }
    int level = 0;
    while (level < WHEEL_FAR_LEVELS - 1 && differ >> FAR_SHIFT(level + 1) != 0)
        level++;
    list_append(&w->far[level][t->tick >> FAR_SHIFT(level) & FAR_MASK], &t->node);
}

void wheel_start(struct wheel *w, struct wheel_timer *t, struct mono at)
{
    wheel_stop(w, t);
    uint64_t tick = at.us / WHEEL_TICK_US + (at.us % WHEEL_TICK_US != 0);
    if (tick <= w->now_tick) tick = w->now_tick + 1;
    /* Half of the horizon keeps every slot of the top level unambiguous. */
    if (tick - w->now_tick > HORIZON / 2) tick = w->now_tick + HORIZON / 2;
    t->tick = tick;
    place(w, t);
    w->count++;
}

void wheel_stop(struct wheel *w, struct wheel_timer *t)
{
    if (!wheel_timer_active(t)) return;
    list_remove(&t->node);
    w->count--;
}

/* Brings the timers of the slot that the present has entered on each far level down to where they belong. */
static void cascade(struct wheel *w)
{
    for (int level = 0; level < WHEEL_FAR_LEVELS; level++) {
        if ((w->now_tick & ((UINT64_C(1) << FAR_SHIFT(level)) - 1)) != 0) return;
        struct list_node *slot = &w->far[level][w->now_tick >> FAR_SHIFT(level) & FAR_MASK];
        struct list_node *n = NULL;
        while ((n = list_pop(slot)) != NULL)
            place(w, CONTAINER_OF(n, struct wheel_timer, node));
    }
}

void wheel_advance(struct wheel *w, struct mono now, void (*fire)(void *ctx, struct wheel_timer *t), void *ctx)
{
    uint64_t target = now.us / WHEEL_TICK_US;
    while (w->now_tick < target) {
        if (w->count == 0) {
            w->now_tick = target;
            return;
        }
        w->now_tick++;
        cascade(w);
        struct list_node *slot = &w->near[w->now_tick & NEAR_MASK];
        struct list_node *n = NULL;
        while ((n = list_pop(slot)) != NULL) {
            w->count--;
            fire(ctx, CONTAINER_OF(n, struct wheel_timer, node));
        }
    }
}

struct mono wheel_next(struct wheel *w)
{
    if (w->count == 0) return MONO_NEVER;
    uint64_t turn = w->now_tick & ~NEAR_MASK;
    uint64_t slot = (w->now_tick + 1) & NEAR_MASK; /* 0: the turn is over, and a cascade may bring timers in */
    while (slot > 0 && slot < WHEEL_NEAR_SLOTS) {
        uint64_t left = w->occupied[slot / 64] >> slot % 64;
        if (left == 0) {
            slot = (slot | 63) + 1;
            continue;
        }
        slot += (unsigned)__builtin_ctzll(left);
        if (!list_empty(&w->near[slot])) return (struct mono){(turn + slot) * WHEEL_TICK_US};
        w->occupied[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    }
    return (struct mono){(turn + WHEEL_NEAR_SLOTS) * WHEEL_TICK_US};
}
