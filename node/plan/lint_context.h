/* lint_context: what the rules of lint share: the objects sorted by kind and name, the routes in a table of their own,
 * and the list of findings. Internal to node/plan. */
#ifndef TANDEM_PLAN_LINT_CONTEXT_H
#define TANDEM_PLAN_LINT_CONTEXT_H

#include "node/plan/lint.h"
#include "node/plan/lint_table.h"

/* Objects of one kind other than routes, sorted by name. */
struct lint_objects {
    const struct plan_object **list;
    bool *used; /* by position: a route leads to it */
    size_t count;
    size_t cap;
};

struct lint_findings {
    struct lint_finding list[LINT_FINDING_MAX];
    size_t count;
    bool truncated;
};

struct lint {
    struct arena *arena; /* of the findings */
    struct lint_objects kinds[PLAN_ROUTE];
    struct lint_table routes;
    struct lint_findings *findings[2]; /* by severity */
    bool failed;                       /* no memory */
};

/* Adds a finding about an object; nothing once memory is out or the list is full. */
void lint_add(struct lint *l, enum lint_severity severity, const char *id, const struct plan_object *o, const char *fmt,
              ...) PRINTF_LIKE(5, 6);
/* The object of that kind and name, or NULL; *position (may be NULL) is where it stands in its list. */
const struct plan_object *lint_find(const struct lint *l, enum plan_kind kind, struct slice name, size_t *position);
/* The site that a target is at; empty when unknown, or for a reject. */
struct slice lint_site_of(const struct lint *l, const struct plan_target *t);

/* The rules, in files of their own. Each adds findings and sets failed when memory is out. */
void lint_references(
    struct lint *l); /* unknown-target, duplicate, unused-trunk, unused-account, no-trust, same-trust, no-password */
void lint_routes(struct lint *l); /* same-priority, impossible-length, shadowed */
void lint_blocks(struct lint *l); /* foreign-block, overlapping-blocks, block-full */
void lint_loops(struct lint *l);  /* translation-loop */
void lint_rules(struct lint *l);  /* shadowed-rule */

#endif
