/* lint_edits: what a few edits make worse in a large plan: the part of the plan after them that can have new findings
 * is linted, and where it has some, the same objects in the plan before. */
#include "node/plan/lint_near.h"

/* The part as a list of objects, for plan_lint. */
static enum err lint_part(struct near *n, struct lint_report *report)
{
    const struct plan_object **list = arena_alloc(n->arena, (n->count + 1) * sizeof *list);
    size_t count = 0;
    if (list == NULL) return ERR_NOMEM;
    for (const struct near_item *i = n->first; i != NULL; i = i->next)
        list[count++] = i->object;
    enum err e = plan_lint(n->arena, list, count, report);
    return e == ERR_OK && report->truncated ? ERR_LIMIT : e;
}

/* Whether a finding of the part is one of the whole, and may be new. What is not asked about an object (whether a route
 * leads to it, how full it is) is as it was. */
static bool counts(const struct near *n, const struct lint_finding *f)
{
    const struct near_item *item = near_find(n, f->object);
    if (item == NULL || !item->judged) return false;
    if (slice_starts(slice_of(f->id), SLICE("unused-"))) return item->evidence;
    if (strcmp(f->id, "block-full") == 0) return item->numbers;
    return true;
}

static void keep_judged(const struct near *n, struct lint_report *r)
{
    size_t kept = 0;
    r->error_count = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (!counts(n, &r->findings[i])) continue;
        r->error_count += r->findings[i].severity == LINT_ERROR;
        r->findings[kept++] = r->findings[i];
    }
    r->count = kept;
}

static bool has(const struct lint_report *r, const struct lint_finding *f)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->findings[i].id, f->id) == 0 && slice_eq(r->findings[i].object, f->object)) return true;
    }
    return false;
}

/* Takes out what the plan before had at the same objects. */
static enum err drop_old(struct arena *arena, const struct plan_view *before, struct lint_report *r)
{
    struct near n;
    struct lint_report old;
    size_t kept = 0;
    enum err e = near_init(&n, arena, before);
    for (size_t i = 0; e == ERR_OK && i < r->count; i++) {
        struct near_item *item = near_take(&n, r->findings[i].object, true);
        bool unused = slice_starts(slice_of(r->findings[i].id), SLICE("unused-"));
        if (item != NULL) item->evidence = item->evidence || unused;
    }
    if (e == ERR_OK) near_gather(&n, before);
    if (e == ERR_OK) e = n.err;
    if (e == ERR_OK) e = lint_part(&n, &old);
    near_fini(&n);
    if (e != ERR_OK) return e;
    r->error_count = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (has(&old, &r->findings[i])) continue;
        r->error_count += r->findings[i].severity == LINT_ERROR;
        r->findings[kept++] = r->findings[i];
    }
    r->count = kept;
    return ERR_OK;
}

enum err plan_lint_edits(struct arena *arena, const struct plan_view *before, const struct plan_edit *edits,
                         size_t count, struct lint_report *out)
{
    struct plan_overlay overlay = {.below = before, .edits = edits, .count = count};
    const struct plan_view after = plan_overlay_view(&overlay);
    struct lint_report report;
    struct near n;
    if (count > LINT_EDITS_MAX) return ERR_LIMIT;
    enum err e = near_init(&n, arena, &after);
    if (e == ERR_OK) near_affected(&n, edits, count);
    if (e == ERR_OK) near_gather(&n, before);
    if (e == ERR_OK) e = n.err;
    if (e == ERR_OK) e = lint_part(&n, &report);
    if (e == ERR_OK) keep_judged(&n, &report);
    near_fini(&n);
    if (e == ERR_OK && report.count > 0) e = drop_old(arena, before, &report);
    if (e == ERR_OK) *out = report;
    return e;
}
