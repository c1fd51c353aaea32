/* lint_near: see lint_near.h: the set of objects, and the ways to add to it. */
#include "node/plan/lint_near.h"

#include <stdio.h>

#include "node/base/list.h"

enum err near_init(struct near *n, struct arena *arena, const struct plan_view *view)
{
    *n = (struct near){.arena = arena, .view = view};
    return map_init(&n->items, 64, 1); /* keys come from the plan, which is trusted */
}

void near_fini(struct near *n)
{
    map_fini(&n->items);
}

static void fail(struct near *n, enum err e)
{
    if (n->err == ERR_OK) n->err = e;
}

struct near_item *near_find(const struct near *n, struct slice key)
{
    struct map_node *m = map_first(&n->items, map_hash(&n->items, key));
    for (; m != NULL; m = map_next(m)) {
        struct near_item *item = CONTAINER_OF(m, struct near_item, by_key);
        if (slice_eq(item->key, key)) return item;
    }
    return NULL;
}

static struct near_item *add(struct near *n, struct slice key, const struct plan_object *o)
{
    struct near_item *item = arena_alloc(n->arena, sizeof *item);
    struct slice copy = arena_copy(n->arena, key);
    if (item == NULL || copy.p == NULL) {
        fail(n, ERR_NOMEM);
        return NULL;
    }
    *item = (struct near_item){.key = copy, .object = o};
    map_insert(&n->items, &item->by_key, map_hash(&n->items, copy));
    if (n->last != NULL) n->last->next = item;
    if (n->first == NULL) n->first = item;
    n->last = item;
    n->count++;
    return item;
}

struct near_item *near_take(struct near *n, struct slice key, bool judged)
{
    const struct plan_object *o = NULL;
    struct near_item *item = near_find(n, key);
    if (n->err != ERR_OK) return NULL;
    if (item == NULL) {
        enum err e = n->count < NEAR_MAX ? n->view->get(n->view->ctx, key, &o) : ERR_LIMIT;
        if (e == ERR_OK) item = add(n, key, o);
        if (e != ERR_OK && e != ERR_NOTFOUND) fail(n, e);
    }
    if (item != NULL) item->judged = item->judged || judged;
    return item;
}

/* ---- by their keys ---- */

struct walk {
    struct near *n;
    struct slice prefix;
    struct slice suffix;
    size_t most;
    bool judged;
};

static bool take_key(void *ctx, struct slice key)
{
    struct walk *w = ctx;
    if (!slice_starts(key, w->prefix) || w->most == 0) return false;
    if (key.n < w->suffix.n || memcmp(key.p + key.n - w->suffix.n, w->suffix.p, w->suffix.n) != 0) return true;
    w->most--;
    (void)near_take(w->n, key, w->judged);
    if (w->judged && w->suffix.n > 0) near_prefix(w->n, (struct slice){key.p, key.n - w->suffix.n + 1}, SIZE_MAX, true);
    return w->n->err == ERR_OK && w->most > 0;
}

void near_prefix(struct near *n, struct slice prefix, size_t most, bool judged)
{
    struct walk w = {.n = n, .prefix = prefix, .suffix = SLICE(""), .most = most, .judged = judged};
    enum err e = n->err == ERR_OK ? n->view->keys(n->view->ctx, prefix, take_key, &w) : ERR_OK;
    if (e != ERR_OK) fail(n, e);
}

void near_referrers(struct near *n, enum plan_kind kind, struct slice name, bool judged)
{
    char suffix[LIMIT_NAME + 16];
    int len = snprintf(suffix, sizeof suffix, "/%s/%.*s", plan_kind_name(kind), SLICE_ARG(name));
    struct walk w = {.n = n,
                     .prefix = SLICE("route/"),
                     .suffix = {suffix, (size_t)len},
                     .most = judged ? SIZE_MAX : 1,
                     .judged = judged};
    ASSERT(len > 0 && (size_t)len < sizeof suffix);
    enum err e = n->err == ERR_OK ? n->view->keys(n->view->ctx, w.prefix, take_key, &w) : ERR_OK;
    if (e != ERR_OK) fail(n, e);
}

struct slice near_group(const struct plan_route *r, char out[PLAN_KEY_MAX])
{
    int n = snprintf(out, PLAN_KEY_MAX, "route/%.*s/%.*s/", SLICE_ARG(r->scope), SLICE_ARG(r->match));
    ASSERT(n > 0 && n < PLAN_KEY_MAX);
    return (struct slice){out, (size_t)n};
}
