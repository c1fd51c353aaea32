#include "node/edge/lockout.h"

#include <stdlib.h>

enum err lockout_init(struct lockout *l, size_t sets, const struct lockout_terms *terms)
{
    *l = (struct lockout){.terms = *terms, .sets = sets};
    l->places = calloc(sets, sizeof *l->places);
    return l->places != NULL ? ERR_OK : ERR_NOMEM;
}

void lockout_fini(struct lockout *l)
{
    free(l->places);
    *l = (struct lockout){0};
}

/* Halved for each whole half-life; between two of them it falls in a straight line, which is never far from the curve.
 */
static uint32_t faded(const struct lockout *l, const struct lockout_place *p, uint32_t now_s)
{
    uint32_t age_s = now_s - p->at_s;
    if (age_s > INT32_MAX) age_s = 0; /* it was written for a time to come */
    uint32_t halvings = age_s / l->terms.half_life_s;
    if (halvings >= 32) return 0;
    uint64_t score = p->score >> halvings;
    uint64_t rest_s = age_s % l->terms.half_life_s;
    return (uint32_t)(score - score * rest_s / (2 * (uint64_t)l->terms.half_life_s));
}

/* Keys may differ in their upper half alone. */
static struct lockout_place *set_of(const struct lockout *l, uint64_t key)
{
    return l->places[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % l->sets];
}

static struct lockout_place *find(const struct lockout *l, uint64_t key)
{
    struct lockout_place *set = set_of(l, key);
    for (size_t i = 0; i < LOCKOUT_WAYS; i++) {
        if (set[i].score > 0 && set[i].key == key) return &set[i];
    }
    return NULL;
}

uint32_t lockout_score(const struct lockout *l, uint64_t key, uint32_t now_s)
{
    const struct lockout_place *p = find(l, key);
    return p != NULL ? faded(l, p, now_s) : 0;
}

/* The place with the lowest score; NULL when all are locked. */
static struct lockout_place *make_room(struct lockout *l, uint64_t key, uint32_t now_s)
{
    struct lockout_place *set = set_of(l, key);
    struct lockout_place *lowest = NULL;
    uint32_t lowest_score = l->terms.limit;
    for (size_t i = 0; i < LOCKOUT_WAYS; i++) {
        uint32_t score = faded(l, &set[i], now_s);
        if (score >= lowest_score) continue;
        lowest = &set[i];
        lowest_score = score;
    }
    return lowest;
}

uint32_t lockout_add(struct lockout *l, uint64_t key, uint32_t thousandths, uint32_t now_s)
{
    struct lockout_place *p = find(l, key);
    uint64_t score = thousandths;
    if (p != NULL) {
        score += faded(l, p, now_s);
    } else {
        p = make_room(l, key, now_s);
    }
    if (p == NULL) {
        l->untracked++;
        return 0;
    }
    if (score > l->terms.cap) score = l->terms.cap;
    *p = (struct lockout_place){.key = key, .score = (uint32_t)score, .at_s = now_s};
    return p->score;
}

void lockout_forget(struct lockout *l, uint64_t key)
{
    struct lockout_place *p = find(l, key);
    if (p != NULL) *p = (struct lockout_place){0};
}

void lockout_forget_low(struct lockout *l, uint32_t low)
{
    for (size_t i = 0; i < l->sets; i++) {
        for (size_t k = 0; k < LOCKOUT_WAYS; k++) {
            if ((uint32_t)l->places[i][k].key == low) l->places[i][k] = (struct lockout_place){0};
        }
    }
}

size_t lockout_count(const struct lockout *l, uint32_t now_s)
{
    size_t count = 0;
    for (size_t i = 0; i < l->sets; i++) {
        for (size_t k = 0; k < LOCKOUT_WAYS; k++)
            count += faded(l, &l->places[i][k], now_s) >= l->terms.limit;
    }
    return count;
}
