#include "node/app/usage.h"

#include <stdlib.h>

#include "node/base/list.h"
#include "node/base/map.h"

#define TOKEN UINT64_C(1000000) /* a token in the unit in which they grow: rate per microsecond */

struct usage_of {
    struct map_node by_name;
    uint32_t live;
    uint32_t calls; /* what the plan allows, as last heard; 0: no limit */
    uint32_t rate_per_s;
    uint64_t tokens; /* in 1/TOKEN */
    struct mono filled;
    uint64_t refused;
    uint8_t name_len;
    char name[];
};

struct usage {
    struct map names;
    _Atomic uint64_t counts[USAGE_COUNTER_COUNT];
    struct counter_table table;
};

enum err usage_new(uint64_t seed, struct usage **out)
{
    static const char *const names[] = {USAGE_COUNTERS(COUNTER_NAME)};
    struct usage *u = calloc(1, sizeof *u);
    if (u == NULL) return ERR_NOMEM;
    enum err e = map_init(&u->names, 64, seed);
    if (e != ERR_OK) {
        free(u);
        return e;
    }
    u->table = (struct counter_table){"limits", names, u->counts, USAGE_COUNTER_COUNT};
    *out = u;
    return ERR_OK;
}

void usage_free(struct usage *u)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    if (u == NULL) return;
    while ((m = map_walk(&u->names, &walk)) != NULL) {
        map_remove(&u->names, m);
        free(CONTAINER_OF(m, struct usage_of, by_name));
    }
    map_fini(&u->names);
    free(u);
}

const struct counter_table *usage_counters(const struct usage *u)
{
    return &u->table;
}

void usage_count(struct usage *u, enum usage_counter which)
{
    counter_add(&u->counts[which], 1);
}

static struct usage_of *find(const struct usage *u, struct slice name)
{
    struct map_node *m = map_first(&u->names, map_hash(&u->names, name));
    for (; m != NULL; m = map_next(m)) {
        struct usage_of *of = CONTAINER_OF(m, struct usage_of, by_name);
        if (slice_eq((struct slice){of->name, of->name_len}, name)) return of;
    }
    return NULL;
}

static struct usage_of *find_or_add(struct usage *u, struct slice name)
{
    struct usage_of *of = find(u, name);
    if (of != NULL || name.n > UINT8_MAX) return of;
    of = calloc(1, sizeof *of + name.n);
    if (of == NULL) {
        usage_count(u, no_memory);
        return NULL;
    }
    of->name_len = (uint8_t)name.n;
    memcpy(of->name, name.p, name.n);
    map_insert(&u->names, &of->by_name, map_hash(&u->names, name));
    return of;
}

/* A bucket that was never looked at is full. */
static void fill(struct usage_of *of, struct mono now)
{
    uint64_t full = of->rate_per_s * TOKEN;
    uint64_t us = now.us > of->filled.us ? now.us - of->filled.us : 0;
    if (us > 1000000) us = 1000000;
    of->tokens += us * of->rate_per_s;
    if (of->tokens > full) of->tokens = full;
    of->filled = now;
}

struct usage_of *usage_hold(struct usage *u, struct slice name, struct mono now)
{
    struct usage_of *of = find_or_add(u, name);
    if (of == NULL) return NULL;
    of->live++;
    if (of->rate_per_s == 0) return of;
    fill(of, now);
    if (of->tokens >= TOKEN) of->tokens -= TOKEN; /* what is refused leaves the part that has grown */
    return of;
}

/* One that is not limited need not be remembered. */
static bool is_idle(const struct usage_of *of)
{
    return of->live == 0 && of->calls == 0 && of->rate_per_s == 0 && of->refused == 0;
}

void usage_release(struct usage *u, struct usage_of *of)
{
    if (of == NULL) return;
    ASSERT(of->live > 0);
    of->live--;
    if (!is_idle(of)) return;
    map_remove(&u->names, &of->by_name);
    free(of);
}

static enum usage_verdict verdict(struct usage_of *of, struct mono now)
{
    if (of->calls > 0 && of->live >= of->calls) return USAGE_CALLS;
    if (of->rate_per_s == 0) return USAGE_FREE;
    fill(of, now);
    return of->tokens >= TOKEN ? USAGE_FREE : USAGE_RATE;
}

enum usage_verdict usage_check(struct usage *u, struct slice name, uint32_t calls, uint32_t rate_per_s, struct mono now)
{
    struct usage_of *of = calls > 0 || rate_per_s > 0 ? find_or_add(u, name) : find(u, name);
    if (of == NULL) return USAGE_FREE;
    of->calls = calls;
    if (of->rate_per_s != rate_per_s) {
        of->rate_per_s = rate_per_s;
        of->tokens = rate_per_s * TOKEN;
        of->filled = now;
    }
    return verdict(of, now);
}

enum usage_verdict usage_full(struct usage *u, struct slice name, struct mono now)
{
    struct usage_of *of = find(u, name);
    return of != NULL ? verdict(of, now) : USAGE_FREE;
}

void usage_refused(struct usage *u, struct slice name)
{
    struct usage_of *of = find(u, name);
    if (of != NULL) of->refused++;
}

struct usage_view usage_view(const struct usage *u, struct slice name)
{
    const struct usage_of *of = find(u, name);
    return of != NULL ? (struct usage_view){of->live, of->refused} : (struct usage_view){0};
}

void usage_each(const struct usage *u, void (*each)(void *ctx, struct slice name, struct usage_view view), void *ctx)
{
    struct map_walk walk = {0};
    for (const struct map_node *m = map_walk(&u->names, &walk); m != NULL; m = map_walk(&u->names, &walk)) {
        const struct usage_of *of =
            (const struct usage_of *)(const void *)((const char *)m - offsetof(struct usage_of, by_name));
        each(ctx, (struct slice){of->name, of->name_len}, (struct usage_view){of->live, of->refused});
    }
}
