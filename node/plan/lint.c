/* lint: sorts the objects, runs the rules, orders what they found. The rules are in lint_references.c, lint_routes.c,
 * lint_blocks.c, lint_loops.c and lint_rules.c; none takes more than O(n log n). */
#include "node/plan/lint_context.h"

#include <stdio.h>
#include <stdlib.h>

const char *const plan_lint_warnings[] = {
    "block-full", "impossible-length",  "lost-characters", "new-domain",        "no-password",
    "no-trust",   "overlapping-blocks", "same-priority",   "same-registration", "same-trust",
    "shadowed",   "shadowed-rule",      "unused-account",  "unused-trunk",      NULL};

bool plan_lint_is_warning(struct slice id)
{
    for (size_t i = 0; plan_lint_warnings[i] != NULL; i++) {
        if (slice_is(id, plan_lint_warnings[i])) return true;
    }
    return false;
}

void lint_add(struct lint *l, enum lint_severity severity, const char *id, const struct plan_object *o, const char *fmt,
              ...)
{
    char text[1024];
    char key[PLAN_KEY_MAX];
    struct lint_findings *f = l->findings[severity];
    va_list ap;
    ASSERT(severity == LINT_ERROR || plan_lint_is_warning(slice_of(id)));
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
                                   .column = o->column,
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

static int compare_objects(const void *left, const void *right)
{
    const struct plan_object *a = *(const struct plan_object *const *)left;
    const struct plan_object *b = *(const struct plan_object *const *)right;
    return slice_cmp(name_of(a), name_of(b));
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

void plan_lint_free(struct lint *l)
{
    if (l == NULL) return;
    for (size_t k = 0; k < PLAN_ROUTE; k++) {
        free((void *)l->kinds[k].list);
        free(l->kinds[k].used);
    }
    lint_table_fini(&l->routes);
    free(l->findings[LINT_ERROR]);
    free(l->findings[LINT_WARNING]);
    free(l);
}

enum err plan_lint_new(struct lint **out)
{
    struct lint *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NOMEM;
    l->findings[LINT_ERROR] = calloc(1, sizeof *l->findings[LINT_ERROR]);
    l->findings[LINT_WARNING] = calloc(1, sizeof *l->findings[LINT_WARNING]);
    enum err e = lint_table_init(&l->routes);
    if (l->findings[LINT_ERROR] == NULL || l->findings[LINT_WARNING] == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) *out = l;
    if (e != ERR_OK) plan_lint_free(l);
    return e;
}

enum err plan_lint_take(struct lint *l, const struct plan_object *o)
{
    if (o->kind == PLAN_ROUTE) return lint_table_add(&l->routes, o);
    struct lint_objects *k = &l->kinds[o->kind];
    if (k->count == k->cap) {
        size_t cap = k->cap == 0 ? 64 : 2 * k->cap;
        const struct plan_object **grown = realloc((void *)k->list, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        k->list = grown;
        k->cap = cap;
    }
    k->list[k->count++] = o;
    return ERR_OK;
}

static enum err sort_all(struct lint *l)
{
    for (size_t k = 0; k < PLAN_ROUTE; k++) {
        struct lint_objects *o = &l->kinds[k];
        o->used = calloc(o->count + 1, sizeof *o->used);
        if (o->used == NULL) return ERR_NOMEM;
        if (o->count > 0) qsort((void *)o->list, o->count, sizeof *o->list, compare_objects);
    }
    return lint_table_sort(&l->routes);
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

enum err plan_lint_run(struct lint *l, struct arena *arena, struct lint_report *out)
{
    l->arena = arena;
    enum err e = sort_all(l);
    if (e != ERR_OK) return e;
    lint_references(l);
    lint_routes(l);
    lint_blocks(l);
    lint_loops(l);
    lint_rules(l);
    return l->failed ? ERR_NOMEM : publish(l, out);
}

enum err plan_lint(struct arena *arena, const struct plan_object *const *objects, size_t count, struct lint_report *out)
{
    struct lint *l = NULL;
    enum err e = plan_lint_new(&l);
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = plan_lint_take(l, objects[i]);
    if (e == ERR_OK) e = plan_lint_run(l, arena, out);
    plan_lint_free(l);
    return e;
}
