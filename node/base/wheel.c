#include "node/base/wheel.h"

#define SLOT_BITS 6
#define SLOT_MASK (WHEEL_SLOTS - 1)
#define HORIZON ((UINT64_C(1) << (SLOT_BITS * WHEEL_LEVELS)) - 1)

void wheel_init(struct wheel *w, struct mono now)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
    w->now_tick = now.us / WHEEL_TICK_US;
    w->occupied = 0;
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
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && (differ >> (SLOT_BITS * (level + 1))) != 0)
        level++;
    uint64_t slot = (t->tick >> (SLOT_BITS * level)) & SLOT_MASK;
    list_append(&w->slots[level][slot], &t->node);
    if (level == 0) w->occupied |= UINT64_C(1) << slot;
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

/* Brings the timers of the slot that the present has entered on each higher level down to where they belong. */
static void cascade(struct wheel *w)
{
    for (int level = 1; level < WHEEL_LEVELS; level++) {
        if ((w->now_tick & ((UINT64_C(1) << (SLOT_BITS * level)) - 1)) != 0) return;
        struct list_node *slot = &w->slots[level][(w->now_tick >> (SLOT_BITS * level)) & SLOT_MASK];
        struct list_node moving;
        list_init(&moving);
        struct list_node *n = NULL;
        while ((n = list_pop(slot)) != NULL)
            list_append(&moving, n);
        while ((n = list_pop(&moving)) != NULL)
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
        struct list_node *slot = &w->slots[0][w->now_tick & SLOT_MASK];
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
    uint64_t turn = w->now_tick & ~(uint64_t)SLOT_MASK;
    uint64_t first = (w->now_tick + 1) & SLOT_MASK; /* 0: the turn is over, and a cascade may bring timers in */
    for (uint64_t left = first > 0 ? w->occupied >> first << first : 0; left != 0; left &= left - 1) {
        unsigned slot = (unsigned)__builtin_ctzll(left);
        if (!list_empty(&w->slots[0][slot])) return (struct mono){(turn + slot) * WHEEL_TICK_US};
        w->occupied &= ~(UINT64_C(1) << slot);
    }
    return (struct mono){(turn + WHEEL_SLOTS) * WHEEL_TICK_US};
}
