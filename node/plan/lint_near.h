/* lint_near: the part of a large plan that must be seen to judge a few of its objects.
 *
 * Two questions, in files of their own. lint_affected.c: which objects may have a finding after some edits that they
 * had not before; these are judged. lint_gather.c: what else must be there so that the rules of lint, run over the
 * part, say of each judged object what they would say over the whole. The rules themselves stand in neither: a part is
 * a plan, and is linted as one. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_NEAR_H
#define TANDEM_PLAN_LINT_NEAR_H

#include "node/base/map.h"
#include "node/plan/lint.h"

#define NEAR_MAX 20000 /* objects; a change that concerns more is judged with the whole plan */

struct near_item {
    struct map_node by_key;
    struct near_item *next; /* in the order of their coming */
    struct slice key;
    const struct plan_object *object;
    bool judged;
    bool grouped;  /* a route whose whole group is there */
    bool evidence; /* a trunk or account of which it must be known whether a route leads to it */
    bool searched; /* and of which every such route is there */
    bool numbers;  /* a site of which it must be known how full its blocks are */
};

struct near {
    struct arena *arena;
    const struct plan_view *view; /* the plan that the part is of */
    struct map items;
    struct near_item *first;
    struct near_item *last;
    size_t count;
    bool trunks;  /* all of them are there */
    enum err err; /* the first failure; then nothing more is taken in */
};

MUST_CHECK enum err near_init(struct near *n, struct arena *arena, const struct plan_view *view);
void near_fini(struct near *n);

/* Takes the object with that key in, if the plan has it. NULL: it has not, or something failed. */
struct near_item *near_take(struct near *n, struct slice key, bool judged);
struct near_item *near_find(const struct near *n, struct slice key);
/* Takes in the routes to kind/NAME: all of them with their groups, to be judged, or the first one as evidence. */
void near_referrers(struct near *n, enum plan_kind kind, struct slice name, bool judged);
/* Takes in every object whose key begins with prefix, at most so many. */
void near_prefix(struct near *n, struct slice prefix, size_t most, bool judged);
/* The prefix of the keys of a route's group: those with its match and scope. */
struct slice near_group(const struct plan_route *r, char out[PLAN_KEY_MAX]);

/* The edits, sorted by key, lead from before to n->view. */
void near_affected(struct near *n, const struct plan_edit *edits, size_t count);
/* Completes the part around what is judged. before: whether a site was full then, which makes its numbers needless. */
void near_gather(struct near *n, const struct plan_view *before);

#endif
