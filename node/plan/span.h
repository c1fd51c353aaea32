/* span: matches as intervals of numbers in text order, and the question "which of these contains that one?".
 *
 * A prefix 6 is everything from "6" up to, but not including, what follows all texts that begin with 6; a range goes
 * from its first bound to all continuations of its second; an exact number is itself. Look-ups take O(log n) whatever
 * the nesting. Internal to node/plan: lint asks it about blocks and routes. */
#ifndef TANDEM_PLAN_SPAN_H
#define TANDEM_PLAN_SPAN_H

#include "node/plan/object.h"
#include "node/plan/pattern.h"

#define SPAN_NONE SIZE_MAX

struct span {
    struct slice low;
    struct slice high;
    bool open; /* high stands for everything that begins with it */
    unsigned specificity;
    uint32_t preference; /* among equal spans the lowest is found first */
    const struct plan_object *object;
    size_t parent; /* the nearest one before it that reaches at least as far; SPAN_NONE */
    size_t jump;   /* an ancestor, so that a climb of n steps takes O(log n) */
    unsigned depth;
};

struct span_index {
    struct span *spans; /* low ascending, then high descending, then preference descending */
    size_t count;
    size_t cap;
};

/* The span of a pattern; its texts stay the pattern's. */
struct span span_of(const struct pattern *p, const struct plan_object *object, uint32_t preference);
bool span_equal(const struct span *a, const struct span *b);
/* Low ascending, then high descending: 0 for equal spans. */
int span_cmp(const struct span *a, const struct span *b);
/* Whether a ends where b does or behind it. */
bool span_reaches(const struct span *a, const struct span *b);
/* Whether every number of b is one of a. */
bool span_contains(const struct span *a, const struct span *b);

/* Adds a span; ERR_NOMEM. Then span_index_build once, then look-ups. */
MUST_CHECK enum err span_index_add(struct span_index *x, struct span s);
void span_index_build(struct span_index *x);
void span_index_fini(struct span_index *x);
/* The innermost span that contains s whole (s itself if it is in), or SPAN_NONE. */
size_t span_index_find(const struct span_index *x, const struct span *s);
/* The innermost span before position at whose end lies at or behind the beginning of the span there, i.e. that overlaps
 * it; SPAN_NONE. Climb further with parent. */
size_t span_index_overlap(const struct span_index *x, size_t at);

#endif
