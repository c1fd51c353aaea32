/* lint: sorts the objects, runs the rules, orders what they found. The rules are in lint_references.c, lint_routes.c,
 * lint_blocks.c and lint_loops.c; none takes more than O(n log n). */
#include "node/plan/lint_context.h"

#include <stdio.h>
#include <stdlib.h>

void lint_add(struct lint *l, enum lint_severity severity, const char *id, const struct plan_object *o, const char *fmt,
              ...)
{
    char text[1024];
    char key[PLAN_KEY_MAX];
    struct lint_findings *f = l->findings[severity];
    va_list ap;
    if (l->failed) return;
    if (f->count == LINT_FINDING_MAX) {
        f->truncated = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct lint_finding finding = {.severity = severity,
                                   .id = id,
                                   .line = o->line,
                                   .object = arena_copy(l->arena, (struct slice){key, plan_object_key_text(o, key)}),
                                   .text = arena_copy(l->arena, slice_of(text))};
    l->failed = finding.object.p == NULL || finding.text.p == NULL;
    if (!l->failed) f->list[f->count++] = finding;
}

static struct slice name_of(const struct plan_object *o)
{
    switch (o->kind) {
    case PLAN_SITE: return o->site.name;
    case PLAN_TRUNK: return o->trunk.name;
    case PLAN_ACCOUNT: return o->account.name;
    case PLAN_DEFAULTS:
    case PLAN_ROUTE:
    case PLAN_KIND_COUNT: break;
    }
    return SLICE_NONE;
}

const struct plan_object *lint_find(const struct lint *l, enum plan_kind kind, struct slice name, size_t *position)
{
    const struct lint_objects *o = &l->kinds[kind];
    size_t from = 0;
    size_t to = o->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = slice_cmp(name_of(o->list[middle]), name);
        if (order == 0) {
            if (position != NULL) *position = middle;
            return o->list[middle];
        }
        if (order < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

struct slice lint_site_of(const struct lint *l, const struct plan_target *t)
{
    const struct plan_object *o = NULL;
    switch (t->kind) {
    case PLAN_TO_SITE: return t->name;
    case PLAN_TO_TRUNK: o = lint_find(l, PLAN_TRUNK, t->name, NULL); return o != NULL ? o->trunk.site : SLICE_NONE;
    case PLAN_TO_ACCOUNT:
        o = lint_find(l, PLAN_ACCOUNT, t->name, NULL);
        return o != NULL ? o->account.site : SLICE_NONE;
    case PLAN_TO_REJECT: break;
    }
    return SLICE_NONE;
}

/* ---- order ---- */

static int compare_targets(const struct plan_target *a, const struct plan_target *b)
{
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->code != b->code) return a->code < b->code ? -1 : 1;
    return slice_cmp(a->name, b->name);
}

static int compare_objects(const void *left, const void *right)
{
    const struct plan_object *a = *(const struct plan_object *const *)left;
    const struct plan_object *b = *(const struct plan_object *const *)right;
    if (a->kind != PLAN_ROUTE) return slice_cmp(name_of(a), name_of(b));
    int order = slice_cmp(a->route.match, b->route.match);
    if (order == 0) order = slice_cmp(a->route.scope, b->route.scope);
    if (order != 0) return order;
    if (a->route.priority != b->route.priority) return a->route.priority < b->route.priority ? -1 : 1;
    return compare_targets(&a->route.target, &b->route.target);
}

static int compare_findings(const void *left, const void *right)
{
    const struct lint_finding *a = left;
    const struct lint_finding *b = right;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    int order = slice_cmp(a->object, b->object);
    if (order == 0) order = strcmp(a->id, b->id);
    return order != 0 ? order : slice_cmp(a->text, b->text);
}

/* ---- life ---- */

static bool sort_in(struct lint *l, const struct plan_object *const *objects, size_t count)
{
    size_t counts[PLAN_KIND_COUNT] = {0};
    for (size_t i = 0; i < count; i++)
        counts[objects[i]->kind]++;
    for (size_t k = 0; k < PLAN_KIND_COUNT; k++) {
        l->kinds[k].list = malloc((counts[k] + 1) * sizeof *l->kinds[k].list);
        l->kinds[k].used = calloc(counts[k] + 1, sizeof *l->kinds[k].used);
        if (l->kinds[k].list == NULL || l->kinds[k].used == NULL) return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct lint_objects *o = &l->kinds[objects[i]->kind];
        o->list[o->count++] = objects[i];
    }
    for (size_t k = 0; k < PLAN_KIND_COUNT; k++) {
        qsort(l->kinds[k].list, l->kinds[k].count, sizeof *l->kinds[k].list, compare_objects);
    }
    return true;
}

static bool lint_init(struct lint *l, struct arena *arena, const struct plan_object *const *objects, size_t count)
{
    *l = (struct lint){.arena = arena};
    l->findings[LINT_ERROR] = calloc(1, sizeof *l->findings[LINT_ERROR]);
    l->findings[LINT_WARNING] = calloc(1, sizeof *l->findings[LINT_WARNING]);
    return l->findings[LINT_ERROR] != NULL && l->findings[LINT_WARNING] != NULL && sort_in(l, objects, count);
}

static void lint_fini(struct lint *l)
{
    for (size_t k = 0; k < PLAN_KIND_COUNT; k++) {
        free(l->kinds[k].list);
        free(l->kinds[k].used);
    }
    free(l->findings[LINT_ERROR]);
    free(l->findings[LINT_WARNING]);
}

static enum err publish(struct lint *l, struct lint_report *out)
{
    struct lint_findings *errors = l->findings[LINT_ERROR];
    struct lint_findings *warnings = l->findings[LINT_WARNING];
    size_t room = LINT_FINDING_MAX - errors->count;
    size_t kept = warnings->count < room ? warnings->count : room;
    struct lint_report r = {.count = errors->count + kept,
                            .error_count = errors->count,
                            .truncated = errors->truncated || warnings->truncated || kept < warnings->count};
    r.findings = arena_alloc(l->arena, r.count * sizeof *r.findings);
    if (r.findings == NULL) return ERR_NOMEM;
    qsort(errors->list, errors->count, sizeof errors->list[0], compare_findings);
    qsort(warnings->list, warnings->count, sizeof warnings->list[0], compare_findings);
    memcpy(r.findings, errors->list, errors->count * sizeof *r.findings);
    memcpy(r.findings + errors->count, warnings->list, kept * sizeof *r.findings);
    *out = r;
    return ERR_OK;
}

enum err plan_lint(struct arena *arena, const struct plan_object *const *objects, size_t count, struct lint_report *out)
{
    struct lint l;
    enum err e = ERR_NOMEM;
    if (lint_init(&l, arena, objects, count)) {
        lint_references(&l);
        lint_routes(&l);
        lint_blocks(&l);
        lint_loops(&l);
        if (!l.failed) e = publish(&l, out);
    }
    lint_fini(&l);
    return e;
}
