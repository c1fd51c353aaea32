/* actions: see actions.h. */
#include "node/repl/actions.h"

#include <stdlib.h>

void repl_actions_reset(struct repl_actions *a)
{
    for (size_t i = 0; i < a->held_count; i++)
        repl_batch_drop(a->held[i]);
    a->held_count = 0;
    a->count = 0;
    arena_reset(&a->arena);
}

void repl_actions_fini(struct repl_actions *a)
{
    repl_actions_reset(a);
    arena_fini(&a->arena);
    free(a->items);
    free(a->held);
    *a = (struct repl_actions){0};
}

static bool held_room(struct repl_actions *a)
{
    if (a->held_count < a->held_cap) return true;
    size_t cap = a->held_cap == 0 ? 8 : a->held_cap * 2;
    struct repl_batch **grown = realloc(a->held, cap * sizeof *grown);
    if (grown == NULL) return false;
    a->held = grown;
    a->held_cap = cap;
    return true;
}

struct repl_action *repl_action_add(struct repl_actions *out, enum repl_action_type type)
{
    if (out->count == out->cap) {
        size_t cap = out->cap == 0 ? 16 : out->cap * 2;
        struct repl_action *grown = realloc(out->items, cap * sizeof *grown);
        if (grown == NULL) return NULL;
        out->items = grown;
        out->cap = cap;
    }
    struct repl_action *a = &out->items[out->count++];
    *a = (struct repl_action){.type = type};
    return a;
}

struct repl_action *repl_action_add_held(struct repl_actions *out, enum repl_action_type type, struct repl_batch *batch)
{
    /* The pushes of one flood follow each other: one reference serves them all. */
    bool have = out->held_count > 0 && out->held[out->held_count - 1] == batch;
    if (!have && !held_room(out)) return NULL;
    struct repl_action *a = repl_action_add(out, type);
    if (a == NULL) return NULL;
    if (!have) {
        repl_batch_hold(batch);
        out->held[out->held_count++] = batch;
    }
    return a;
}
