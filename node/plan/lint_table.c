/* lint_table: see lint_table.h. */
#include "node/plan/lint_table.h"

#include <stdlib.h>

#include "node/base/list.h"

/* Something that routes share, and its place among its like. */
struct shared {
    struct map_node node;
    struct slice said;
    uint32_t place;
};

enum err lint_table_init(struct lint_table *t)
{
    *t = (struct lint_table){.count = 0};
    return map_init(&t->shared, 64, 1); /* the plan is the operator's own */
}

void lint_table_fini(struct lint_table *t)
{
    free(t->rows);
    free(t->targets);
    free(t->traits);
    buf_fini(&t->texts);
    map_fini(&t->shared);
    arena_fini(&t->arena);
    *t = (struct lint_table){.count = 0};
}

/* Room for one more item. What is not used yet costs no memory. */
static enum err room(void *items, size_t count, size_t *cap, size_t size)
{
    void *grown = NULL;
    if (count < *cap) return ERR_OK;
    const size_t wanted = *cap == 0 ? 64 : 2 * *cap;
    memcpy(&grown, items, sizeof grown);
    grown = realloc(grown, wanted * size);
    if (grown == NULL) return ERR_NOMEM;
    memcpy(items, &grown, sizeof grown);
    *cap = wanted;
    return ERR_OK;
}

/* ---- what is shared ---- */

static struct shared *find_shared(const struct lint_table *t, struct slice said)
{
    struct map_node *n = map_first(&t->shared, map_hash(&t->shared, said));
    for (; n != NULL; n = map_next(n)) {
        struct shared *s = CONTAINER_OF(n, struct shared, node);
        if (slice_eq(s->said, said)) return s;
    }
    return NULL;
}

static struct shared *add_shared(struct lint_table *t, struct slice said, size_t place)
{
    struct shared *s = arena_alloc(&t->arena, sizeof *s);
    if (s == NULL) return NULL;
    *s = (struct shared){.said = arena_copy(&t->arena, said), .place = (uint32_t)place};
    if (s->said.p == NULL) return NULL;
    map_insert(&t->shared, &s->node, map_hash(&t->shared, said));
    return s;
}

static bool same_target(const struct plan_target *a, const struct plan_target *b)
{
    return a->kind == b->kind && a->code == b->code && slice_eq(a->name, b->name);
}

static enum err share_target(struct lint_table *t, const struct plan_target *target, uint32_t *place)
{
    struct buf said = {0};
    *place = t->count > 0 ? t->rows[t->count - 1].target : 0; /* most often that of the route before it */
    if (t->count > 0 && same_target(&t->targets[*place], target)) return ERR_OK;
    buf_text(&said, "t");
    plan_target_text(target, &said);
    enum err e = said.failed ? ERR_NOMEM : ERR_OK;
    struct shared *s = e == ERR_OK ? find_shared(t, buf_view(&said)) : NULL;
    if (e == ERR_OK && s == NULL) {
        struct plan_target copy = *target;
        e = room(&t->targets, t->target_count, &t->target_cap, sizeof *t->targets);
        copy.name = arena_copy(&t->arena, target->name);
        if (e == ERR_OK) s = add_shared(t, buf_view(&said), t->target_count);
        if (s == NULL || copy.name.p == NULL) e = ERR_NOMEM;
        if (e == ERR_OK) t->targets[t->target_count++] = copy;
    }
    buf_fini(&said);
    if (e == ERR_OK) *place = s->place;
    return e;
}

static bool same_traits(const struct plan_route *a, const struct plan_route *b)
{
    return a->length_min == b->length_min && a->length_max == b->length_max && a->strip == b->strip &&
           a->overflow == b->overflow && a->disabled == b->disabled && slice_eq(a->scope, b->scope) &&
           slice_eq(a->prepend, b->prepend) && slice_eq(a->hours, b->hours);
}

static enum err share_traits(struct lint_table *t, const struct plan_route *r, uint32_t *place)
{
    struct buf said = {0};
    *place = t->count > 0 ? t->rows[t->count - 1].traits : 0;
    if (t->count > 0 && same_traits(&t->traits[*place], r)) return ERR_OK;
    buf_printf(&said, "r%u %u %u %d %d %.*s %.*s %.*s", r->length_min, r->length_max, r->strip, r->overflow,
               r->disabled, SLICE_ARG(r->scope), SLICE_ARG(r->prepend), SLICE_ARG(r->hours));
    enum err e = said.failed ? ERR_NOMEM : ERR_OK;
    struct shared *s = e == ERR_OK ? find_shared(t, buf_view(&said)) : NULL;
    if (e == ERR_OK && s == NULL) {
        const struct plan_route copy = {.scope = arena_copy(&t->arena, r->scope),
                                        .length_min = r->length_min,
                                        .length_max = r->length_max,
                                        .strip = r->strip,
                                        .prepend = arena_copy(&t->arena, r->prepend),
                                        .hours = arena_copy(&t->arena, r->hours),
                                        .overflow = r->overflow,
                                        .disabled = r->disabled};
        e = room(&t->traits, t->trait_count, &t->trait_cap, sizeof *t->traits);
        if (e == ERR_OK) s = add_shared(t, buf_view(&said), t->trait_count);
        if (s == NULL || copy.scope.p == NULL || copy.prepend.p == NULL || copy.hours.p == NULL) e = ERR_NOMEM;
        if (e == ERR_OK) t->traits[t->trait_count++] = copy;
    }
    buf_fini(&said);
    if (e == ERR_OK) *place = s->place;
    return e;
}

/* ---- rows ---- */

enum err lint_table_add(struct lint_table *t, const struct plan_object *route)
{
    const struct plan_route *r = &route->route;
    struct lint_row row = {
        .text = (uint32_t)t->texts.n, .priority = r->priority, .line = route->line, .column = route->column};
    const unsigned char len = (unsigned char)r->match.n;
    if (t->texts.n > UINT32_MAX - 256 || t->count == UINT32_MAX || r->match.n > UINT8_MAX) return ERR_LIMIT;
    enum err e = room(&t->rows, t->count, &t->cap, sizeof *t->rows);
    if (e == ERR_OK) e = share_target(t, &r->target, &row.target);
    if (e == ERR_OK) e = share_traits(t, r, &row.traits);
    if (e != ERR_OK) return e;
    buf_add(&t->texts, &len, 1);
    buf_slice(&t->texts, r->match);
    if (t->texts.failed) return ERR_NOMEM;
    t->rows[t->count++] = row;
    return ERR_OK;
}

struct slice lint_table_match(const struct lint_table *t, size_t position)
{
    const char *p = t->texts.p + t->rows[position].text;
    return (struct slice){p + 1, (unsigned char)p[0]};
}

struct plan_object lint_table_at(const struct lint_table *t, size_t position)
{
    const struct lint_row *row = &t->rows[position];
    struct plan_object o = {
        .kind = PLAN_ROUTE, .line = row->line, .column = row->column, .route = t->traits[row->traits]};
    o.route.match = lint_table_match(t, position);
    o.route.target = t->targets[row->target];
    o.route.priority = row->priority;
    return o;
}

/* ---- order ---- */

static int compare_targets(const struct plan_target *a, const struct plan_target *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->code != b->code) return a->code < b->code ? -1 : 1;
    return slice_cmp(a->name, b->name);
}

static int compare_rows(const void *ctx, uint32_t left, uint32_t right)
{
    const struct lint_table *t = ctx;
    const struct lint_row *a = &t->rows[left];
    const struct lint_row *b = &t->rows[right];
    int order = slice_cmp(lint_table_match(t, left), lint_table_match(t, right));
    if (order == 0 && a->traits != b->traits) order = slice_cmp(t->traits[a->traits].scope, t->traits[b->traits].scope);
    if (order != 0) return order;
    if (a->priority != b->priority) return a->priority < b->priority ? -1 : 1;
    return a->target == b->target ? 0 : compare_targets(&t->targets[a->target], &t->targets[b->target]);
}

/* Puts row order[i] at i, cycle by cycle, and order[i] becomes i. */
static void permute(struct lint_row *rows, uint32_t *order, size_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct lint_row first = rows[i];
        uint32_t at = i;
        while (order[at] != i) {
            const uint32_t from = order[at];
            rows[at] = rows[from];
            order[at] = at;
            at = from;
        }
        rows[at] = first;
        order[at] = at;
    }
}

/* Texts in the order of the rows, so that walking these walks through memory. */
static enum err settle_texts(struct lint_table *t)
{
    struct buf texts = {0};
    if (t->texts.n > 0 && buf_room(&texts, t->texts.n) == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < t->count; i++) {
        const struct slice match = lint_table_match(t, i);
        t->rows[i].text = (uint32_t)texts.n;
        buf_add(&texts, match.p - 1, match.n + 1);
    }
    buf_fini(&t->texts);
    t->texts = texts;
    return ERR_OK;
}

enum err lint_table_sort(struct lint_table *t)
{
    uint32_t *order = malloc((t->count + 1) * sizeof *order);
    enum err e = order != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; i < t->count && e == ERR_OK; i++)
        order[i] = (uint32_t)i;
    if (e == ERR_OK) e = lint_sort(order, t->count, compare_rows, t);
    if (e == ERR_OK) permute(t->rows, order, t->count);
    free(order);
    return e == ERR_OK ? settle_texts(t) : e;
}

/* Merges runs of width from one array into the other. */
static void merge(const uint32_t *from, uint32_t *to, size_t count, size_t width,
                  int (*compare)(const void *ctx, uint32_t a, uint32_t b), const void *ctx)
{
    for (size_t begin = 0; begin < count; begin += 2 * width) {
        const size_t middle = begin + width < count ? begin + width : count;
        const size_t end = begin + 2 * width < count ? begin + 2 * width : count;
        size_t a = begin;
        size_t b = middle;
        for (size_t k = begin; k < end; k++) {
            const bool first = a < middle && (b == end || compare(ctx, from[a], from[b]) <= 0);
            to[k] = first ? from[a++] : from[b++];
        }
    }
}

enum err lint_sort(uint32_t *items, size_t count, int (*compare)(const void *ctx, uint32_t a, uint32_t b),
                   const void *ctx)
{
    uint32_t *other = malloc((count + 1) * sizeof *other);
    uint32_t *from = items;
    uint32_t *to = other;
    if (other == NULL) return ERR_NOMEM;
    for (size_t width = 1; width < count; width *= 2) {
        merge(from, to, count, width, compare, ctx);
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != items && count > 0) memcpy(items, from, count * sizeof *items);
    free(other);
    return ERR_OK;
}
