/* lint: what is wrong with a plan as a whole, found before anything is touched. Runs in clusterctl without a node, and
 * in the node on every change. Errors refuse a change; warnings need --allow NAME.
 *
 * Errors: unknown-target, duplicate, foreign-block (a first-choice route inside another site's block),
 * translation-loop. Warnings: same-priority (same match and priority from two sites), shadowed, overlapping-blocks,
 * unused-trunk, unused-account, impossible-length, no-trust, block-full (over 80 % assigned). */
#ifndef TANDEM_PLAN_LINT_H
#define TANDEM_PLAN_LINT_H

#include "node/plan/object.h"

enum lint_severity { LINT_ERROR, LINT_WARNING };

struct lint_finding {
    enum lint_severity severity;
    const char *id;      /* stable: "unknown-target" */
    struct slice object; /* key of the object concerned */
    unsigned line;       /* in its document, 0 when it is not from one */
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

#endif
