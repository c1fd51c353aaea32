/* view: a plan that is too large to be read as a whole, asked piece by piece; and the same plan with a few changes laid
 * over it. Whoever holds a plan says how it is asked; the questions are those that the index of a replica answers.
 *
 * Keys that are handed to a visitor are valid during the call; objects live as long as the view's owner says, at least
 * until its last use here. What a visitor is told is never less than there is, but the same key may come twice. */
#ifndef TANDEM_PLAN_VIEW_H
#define TANDEM_PLAN_VIEW_H

#include "node/plan/object.h"

/* Returning false stops. */
typedef bool plan_view_visit(void *ctx, struct slice key);

struct plan_view {
    void *ctx;
    /* The object with that key. ERR_NOTFOUND, and whatever reading may end in. */
    enum err (*get)(void *ctx, struct slice key, const struct plan_object **out);
    /* Keys in order, from the first one that is not below from. */
    enum err (*keys)(void *ctx, struct slice from, plan_view_visit *visit, void *visit_ctx);
    /* The routes and accounts that stand in the prefix index under a key that begins number, or is "number=": among
     * them all whose match, or one of whose numbers:, contains everything that begins with number. */
    enum err (*around)(void *ctx, struct slice number, plan_view_visit *visit, void *visit_ctx);
    /* Those that stand there under a key from low up to all that begins with high. */
    enum err (*within)(void *ctx, struct slice low, struct slice high, plan_view_visit *visit, void *visit_ctx);
    /* How many numbers of n characters in that range are assigned one by one: by an exact match or by the name of an
     * account. */
    enum err (*assigned)(void *ctx, struct slice low, struct slice high, size_t n, uint64_t *count);
    uint64_t total; /* no more numbers are assigned one by one than this */
};

/* What becomes of one object. before NULL: it is new; after NULL: it goes. */
struct plan_edit {
    struct slice key;
    const struct plan_object *before;
    const struct plan_object *after;
};

/* The plan after the edits, which are sorted by key. Both are borrowed. */
struct plan_overlay {
    const struct plan_view *below;
    const struct plan_edit *edits;
    size_t count;
};
struct plan_view plan_overlay_view(struct plan_overlay *o);

/* The matches of a route, or an account's numbers. */
size_t plan_object_matches(const struct plan_object *o, const struct slice **out);

/* Whether number is assigned by itself in the plan. */
MUST_CHECK enum err plan_view_assigned(const struct plan_view *v, struct slice number, bool *yes);

#endif
