/* lint_table: the routes of a plan in about 32 bytes each, so that a million of them are linted on a laptop beside
 * everything else. What many routes share (targets; scope and conditions) is held once. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_TABLE_H
#define TANDEM_PLAN_LINT_TABLE_H

#include "node/base/map.h"
#include "node/plan/object.h"

struct lint_row {
    uint32_t text;   /* of its match, behind its length, in texts */
    uint32_t target; /* in targets */
    uint32_t traits; /* in traits */
    uint32_t priority;
    uint32_t line;
    uint32_t column;
};

/* Once it is sorted, rows stand in the order of match, scope, priority and target. */
struct lint_table {
    struct lint_row *rows;
    size_t count;
    size_t cap;
    struct buf texts;
    struct plan_target *targets;
    size_t target_count;
    size_t target_cap;
    struct plan_route *traits; /* routes without match, target and priority */
    size_t trait_count;
    size_t trait_cap;
    struct map shared; /* of both, by what they say */
    struct arena arena;
};

MUST_CHECK enum err lint_table_init(struct lint_table *t);
void lint_table_fini(struct lint_table *t);
/* Copies what lint asks about. ERR_NOMEM, ERR_LIMIT (4 GB of texts). */
MUST_CHECK enum err lint_table_add(struct lint_table *t, const struct plan_object *route);
MUST_CHECK enum err lint_table_sort(struct lint_table *t);

/* The route at a position; its texts are the table's. */
struct plan_object lint_table_at(const struct lint_table *t, size_t position);
struct slice lint_table_match(const struct lint_table *t, size_t position);

/* Sorts numbers by an order that needs a context; equal ones keep theirs. ERR_NOMEM. */
MUST_CHECK enum err lint_sort(uint32_t *items, size_t count, int (*compare)(const void *ctx, uint32_t a, uint32_t b),
                              const void *ctx);

#endif
