/* diff: what lies between two plans: objects added, changed and removed, and for a changed object each field's old and
 * new value. Which of them somebody meant is not asked here. */
#ifndef TANDEM_PLAN_DIFF_H
#define TANDEM_PLAN_DIFF_H

#include "node/plan/object.h"

/* An object as the replica holds it: its key and its packed bytes (canonical: equal objects have equal bytes). */
struct plan_item {
    struct slice key;
    struct slice packed;
};

enum plan_diff_kind { PLAN_ADDED, PLAN_CHANGED, PLAN_REMOVED };
const char *plan_diff_name(enum plan_diff_kind kind); /* "added" "changed" "removed" */

struct plan_diff_entry {
    enum plan_diff_kind kind;
    struct slice key;
    struct slice old_packed; /* empty when added */
    struct slice new_packed; /* empty when removed */
};

struct plan_diff {
    struct plan_diff_entry *entries; /* in key order (slice_cmp), in the arena; texts are the items' */
    size_t count;
};

/* Items in any order; a key must not stand twice on one side (ERR_EXISTS). ERR_NOMEM. */
MUST_CHECK enum err plan_diff(struct arena *arena, const struct plan_item *before, size_t before_count,
                              const struct plan_item *after, size_t after_count, struct plan_diff *out);

/* One line "  priority: 10 -> 20" for each field that differs between two objects of one kind; "-" stands for a key
 * that a document leaves out. Secrets show only as (set); a secret that changed shows as "(set) -> (set, new)".
 * ERR_NOMEM. */
MUST_CHECK enum err plan_object_diff(const struct plan_object *before, const struct plan_object *after,
                                     struct buf *out);

#endif
