/* lint: what is wrong with a plan as a whole, found before anything is touched. Runs in clusterctl without a node, and
 * in the node on every change. Errors refuse a change; warnings need --allow NAME (plan_lint_warnings has the names).
 *
 * Errors: unknown-target, duplicate, foreign-block (a first-choice route inside another site's block),
 * translation-loop. Warnings: same-priority (same match and priority from two sites), shadowed, shadowed-rule,
 * overlapping-blocks, unused-trunk, unused-account, impossible-length, no-trust, same-trust, no-password (of an
 * account, or of a trunk that registers), same-registration, block-full (over 80 % assigned); of a change also
 * new-domain (stored passwords become worthless). */
#ifndef TANDEM_PLAN_LINT_H
#define TANDEM_PLAN_LINT_H

#include "node/plan/object.h"
#include "node/plan/view.h"

enum lint_severity { LINT_ERROR, LINT_WARNING };

/* The names of all warnings, in alphabetical order; NULL ends them. Among them are those of a change (new-domain) and
 * of a table of it (lost-characters). */
extern const char *const plan_lint_warnings[];
bool plan_lint_is_warning(struct slice id);

struct lint_finding {
    enum lint_severity severity;
    const char *id;      /* stable: "unknown-target" */
    struct slice object; /* key of the object concerned */
    unsigned line;       /* in its document, 0 when it is not from one */
    unsigned column;     /* 0: not known */
    struct slice text;   /* why, and what to do */
};

#define LINT_FINDING_MAX 1000

struct lint_report {
    struct lint_finding *findings; /* in the arena; errors first, then by line and object */
    size_t count;
    size_t error_count;
    bool truncated;
};

/* objects: the whole plan as it would be. Findings live in arena. ERR_NOMEM only. */
MUST_CHECK enum err plan_lint(struct arena *arena, const struct plan_object *const *objects, size_t count,
                              struct lint_report *out);

/* The same of a plan that comes object by object and is too large to be held as objects: what lint needs of a route is
 * copied in about 32 bytes, other objects are borrowed until plan_lint_free. Run once. ERR_NOMEM, ERR_LIMIT (over 2^32
 * routes, or 4 GB of their matches). */
struct lint;
MUST_CHECK enum err plan_lint_new(struct lint **out);
MUST_CHECK enum err plan_lint_take(struct lint *l, const struct plan_object *o);
MUST_CHECK enum err plan_lint_run(struct lint *l, struct arena *arena, struct lint_report *out);
void plan_lint_free(struct lint *l);

/* What is wrong with a change: the findings of the plan after it that the plan before it had not, and new-domain, which
 * neither plan shows alone. In after, an account with password_keep has the secret of the one before. ERR_NOMEM only.
 */
MUST_CHECK enum err plan_lint_change(struct arena *arena, const struct plan_object *const *before, size_t before_count,
                                     const struct plan_object *const *after, size_t after_count,
                                     struct lint_report *out);

/* The same for a few edits of a plan that is asked piece by piece: edits, sorted by key, lead from before to the plan
 * after. It finds what plan_lint_change finds but new-domain, and looks only at what the edits can make worse and at
 * what decides that. ERR_LIMIT: they concern too much, or too much may be found; lint both plans as a whole. ERR_NOMEM,
 * and what the view says. */
MUST_CHECK enum err plan_lint_edits(struct arena *arena, const struct plan_view *before, const struct plan_edit *edits,
                                    size_t count, struct lint_report *out);
#define LINT_EDITS_MAX 1000 /* more are ERR_LIMIT at once */

/* new-domain alone: defaults.domain is the realm of every stored hash (RFC 7616 §3.4.2), so that accounts which keep
 * theirs over a change of it can never register again. Other objects than defaults and accounts are not looked at.
 * *found: there is such a finding. ERR_NOMEM only. */
MUST_CHECK enum err plan_lint_domain(struct arena *arena, const struct plan_object *const *before, size_t before_count,
                                     const struct plan_object *const *after, size_t after_count,
                                     struct lint_finding *out, bool *found);

#endif
