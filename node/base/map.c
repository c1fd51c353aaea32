#include "node/base/map.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum err map_init(struct map *m, size_t count_hint, uint64_t seed)
{
    size_t buckets = 16;
    while (buckets < count_hint && buckets <= SIZE_MAX / 4 / sizeof(void *))
        buckets *= 2;
    *m = (struct map){.buckets = calloc(buckets, sizeof(struct map_node *)), .mask = buckets - 1, .seed = seed};
    return m->buckets != NULL ? ERR_OK : ERR_NOMEM;
}

void map_fini(struct map *m)
{
    free(m->buckets);
    *m = (struct map){0};
}

uint64_t map_hash(const struct map *m, struct slice key)
{
    return XXH3_64bits_withSeed(key.p, key.n, m->seed);
}

static void grow(struct map *m)
{
    size_t buckets = (m->mask + 1) * 2;
    struct map_node **table = calloc(buckets, sizeof *table);
    if (table == NULL) return;
    for (size_t i = 0; i <= m->mask; i++) {
        struct map_node *n = m->buckets[i];
        while (n != NULL) {
            struct map_node *next = n->next;
            struct map_node **slot = &table[n->hash & (buckets - 1)];
            n->next = *slot;
            *slot = n;
            n = next;
        }
    }
    free(m->buckets);
    m->buckets = table;
    m->mask = buckets - 1;
}

void map_insert(struct map *m, struct map_node *n, uint64_t hash)
{
    if (m->count > m->mask / 2) grow(m);
    n->hash = hash;
    n->next = m->buckets[hash & m->mask];
    m->buckets[hash & m->mask] = n;
    m->count++;
}

void map_remove(struct map *m, struct map_node *n)
{
    struct map_node **at = &m->buckets[n->hash & m->mask];
    while (*at != n) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    m->count--;
}

static struct map_node *same_hash(struct map_node *n, uint64_t hash)
{
    while (n != NULL && n->hash != hash)
        n = n->next;
    return n;
}

struct map_node *map_first(const struct map *m, uint64_t hash)
{
    return same_hash(m->buckets[hash & m->mask], hash);
}

struct map_node *map_next(const struct map_node *n)
{
    return same_hash(n->next, n->hash);
}

struct map_node *map_walk(const struct map *m, struct map_walk *w)
{
    while (w->next == NULL && w->bucket <= m->mask)
        w->next = m->buckets[w->bucket++];
    struct map_node *n = w->next;
    if (n != NULL) w->next = n->next;
    return n;
}
