/* plan_objects: trunks and sites of the plan, decoded once and kept until the plan changes: every call asks for
 * several. Accounts are many and asked for one at a time; they are decoded each time.
 *
 * Invariant: what is kept was decoded from the plan whose digest the reader shows. A reader that shows another one
 * retires the generation. Its memory goes at the next tick, never while the code that was handed it runs. */
#include "node/app/node.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

#define KEPT_MAX 4096 /* objects; what is beyond is decoded each time */

struct kept {
    struct map_node node;
    struct plan_object object;
};

struct plan_generation {
    struct plan_generation *older;
    struct plan_digest digest;
    struct map map;
    struct arena arena;
};

static void generation_free(struct plan_generation *g)
{
    map_fini(&g->map);
    arena_fini(&g->arena);
    free(g);
}

/* The generation of the plan that the reader shows; NULL: no memory. */
static struct plan_generation *generation_now(struct node *n)
{
    struct plan_digest now;
    struct plan_generation *newest = n->plan_objects;
    store_plan_digest(n->read, &now);
    if (newest != NULL && plan_digest_eq(now, newest->digest)) return newest;
    struct plan_generation *g = calloc(1, sizeof *g);
    if (g == NULL || map_init(&g->map, 0, rng_next(&n->rng)) != ERR_OK) {
        free(g);
        return NULL;
    }
    g->digest = now;
    g->older = newest;
    n->plan_objects = g;
    return g;
}

static struct slice name_of(const struct plan_object *o)
{
    return o->kind == PLAN_TRUNK ? o->trunk.name : o->site.name;
}

static uint64_t hash_of(const struct plan_generation *g, enum plan_kind kind, struct slice name)
{
    return map_hash(&g->map, name) + (uint64_t)kind;
}

bool plan_objects_find(struct node *n, enum plan_kind kind, struct slice name, struct plan_object *out)
{
    struct plan_generation *g = kind == PLAN_TRUNK || kind == PLAN_SITE ? generation_now(n) : NULL;
    struct map_node *m = g != NULL ? map_first(&g->map, hash_of(g, kind, name)) : NULL;
    for (; m != NULL; m = map_next(m)) {
        const struct kept *k = CONTAINER_OF(m, struct kept, node);
        if (k->object.kind != kind || !slice_eq(name_of(&k->object), name)) continue;
        *out = k->object;
        return true;
    }
    return false;
}

void plan_objects_keep(struct node *n, struct slice packed)
{
    struct plan_generation *g = generation_now(n);
    if (g == NULL || g->map.count >= KEPT_MAX) return;
    struct kept *k = arena_alloc(&g->arena, sizeof *k);
    if (k == NULL || plan_object_unpack_stored(&g->arena, packed, &k->object, NULL) != ERR_OK) return;
    if (k->object.kind != PLAN_TRUNK && k->object.kind != PLAN_SITE) return;
    map_insert(&g->map, &k->node, hash_of(g, k->object.kind, name_of(&k->object)));
}

void plan_objects_tick(struct node *n)
{
    struct plan_generation *g = n->plan_objects;
    if (g == NULL) return;
    while (g->older != NULL) {
        struct plan_generation *retired = g->older;
        g->older = retired->older;
        generation_free(retired);
    }
}

void plan_objects_free(struct node *n)
{
    plan_objects_tick(n);
    if (n->plan_objects != NULL) generation_free(n->plan_objects);
    n->plan_objects = NULL;
}
