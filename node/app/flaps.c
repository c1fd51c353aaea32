#include "node/app/flaps.h"

#include <stdlib.h>

#include "node/base/list.h"
#include "node/base/map.h"

#define UNIT 1024 /* of a penalty */

struct flap {
    struct map_node node;
    uint32_t penalty; /* at that time */
    struct mono at;
    bool damped;
    uint8_t account_len;
    char account[LIMIT_NAME];
};

struct flaps {
    struct map accounts;
};

struct flaps *flaps_new(uint64_t seed)
{
    struct flaps *f = calloc(1, sizeof *f);
    if (f != NULL && map_init(&f->accounts, 16, seed) != ERR_OK) {
        free(f);
        return NULL;
    }
    return f;
}

static void forget(struct flaps *f, struct flap *p)
{
    map_remove(&f->accounts, &p->node);
    free(p);
}

void flaps_free(struct flaps *f)
{
    struct map_walk walk = {0};
    struct map_node *n = NULL;
    if (f == NULL) return;
    while ((n = map_walk(&f->accounts, &walk)) != NULL)
        forget(f, CONTAINER_OF(n, struct flap, node));
    map_fini(&f->accounts);
    free(f);
}

static struct flap *find(const struct flaps *f, struct slice account)
{
    struct map_node *n = f->accounts.count > 0 ? map_first(&f->accounts, map_hash(&f->accounts, account)) : NULL;
    for (; n != NULL; n = map_next(n)) {
        struct flap *p = CONTAINER_OF(n, struct flap, node);
        if (slice_eq((struct slice){p->account, p->account_len}, account)) return p;
    }
    return NULL;
}

/* The penalty now: halved for each half-life, and by a straight line between two of them. */
static uint32_t penalty(const struct flap *p, struct mono now)
{
    uint64_t ms = mono_ms_between(p->at, now);
    uint64_t halves = ms / FLAPS_HALF_LIFE_MS;
    if (halves > 16) return 0;
    uint64_t whole = p->penalty >> halves;
    return (uint32_t)(whole - whole * (ms % FLAPS_HALF_LIFE_MS) / (2 * FLAPS_HALF_LIFE_MS));
}

static void make_room(struct flaps *f, struct mono now)
{
    struct map_walk walk = {0};
    struct map_node *n = NULL;
    struct flap *least = NULL;
    uint32_t lowest = UINT32_MAX;
    if (f->accounts.count < FLAPS_ACCOUNTS) return;
    while ((n = map_walk(&f->accounts, &walk)) != NULL) {
        struct flap *p = CONTAINER_OF(n, struct flap, node);
        uint32_t its = penalty(p, now);
        if (its < UNIT / 4) {
            forget(f, p);
        } else if (its < lowest) {
            lowest = its;
            least = p;
        }
    }
    if (f->accounts.count >= FLAPS_ACCOUNTS && least != NULL) forget(f, least);
}

void flaps_lost(struct flaps *f, struct slice account, struct mono now)
{
    struct flap *p = find(f, account);
    if (p == NULL) {
        make_room(f, now);
        p = calloc(1, sizeof *p);
        if (p == NULL || account.n > sizeof p->account) {
            free(p);
            return;
        }
        p->account_len = (uint8_t)account.n;
        memcpy(p->account, account.p, account.n);
        p->at = now;
        map_insert(&f->accounts, &p->node, map_hash(&f->accounts, account));
    }
    p->penalty = penalty(p, now) + UNIT;
    if (p->penalty > FLAPS_MOST * UNIT) p->penalty = FLAPS_MOST * UNIT;
    p->at = now;
    p->damped = p->damped || p->penalty >= FLAPS_DAMPED * UNIT - UNIT / 2;
}

bool flaps_damped(struct flaps *f, struct slice account, struct mono now)
{
    struct flap *p = find(f, account);
    if (p == NULL || !p->damped) return false;
    p->damped = penalty(p, now) >= FLAPS_REUSE * UNIT;
    return p->damped;
}
