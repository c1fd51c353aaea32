/* lint_change: what is wrong with a change, seen from both ends: what it makes worse, and what neither plan shows
 * alone. */
#include "node/plan/lint.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMED_MAX 5 /* accounts that a finding names */

/* ---- new-domain ---- */

static const struct plan_object *find_defaults(const struct plan_object *const *objects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (objects[i]->kind == PLAN_DEFAULTS) return objects[i];
    }
    return NULL;
}

static int compare_names(const void *left, const void *right)
{
    const struct plan_object *const *a = left;
    const struct plan_object *const *b = right;
    return slice_cmp((*a)->account.name, (*b)->account.name);
}

/* The accounts that hold hashes, by name. *out is the caller's to free in any case. */
static enum err hashed_accounts(const struct plan_object *const *objects, size_t count, const struct plan_object ***out,
                                size_t *found)
{
    *found = 0;
    *out = malloc((count + 1) * sizeof **out);
    if (*out == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (objects[i]->kind == PLAN_ACCOUNT && objects[i]->account.secret.set) (*out)[(*found)++] = objects[i];
    }
    if (*found > 1) qsort((void *)*out, *found, sizeof **out, compare_names);
    return ERR_OK;
}

/* Whether an account still has the hashes that it had. */
static bool keeps_hashes(const struct plan_object *o, const struct plan_object **before, size_t count)
{
    if (o->kind != PLAN_ACCOUNT || o->account.password.n > 0) return false;
    const struct plan_object **was = bsearch(&o, (void *)before, count, sizeof *before, compare_names);
    if (was == NULL) return false;
    if (o->account.password_keep) return true;
    const struct plan_secret *a = &o->account.secret;
    const struct plan_secret *b = &(*was)->account.secret;
    return a->set && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

static void describe(struct buf *text, struct slice from, struct slice to, const char *names, size_t stale)
{
    buf_printf(text, "the domain changes from %.*s to ", SLICE_ARG(from));
    if (to.n > 0)
        buf_slice(text, to);
    else
        buf_text(text, "none");
    buf_printf(text,
               ", and %zu account%s (%s%s) keep%s a password that was hashed with the old one: nobody could register "
               "with %s any more. Give %s a new password in the same change",
               stale, stale == 1 ? "" : "s", names, stale > NAMED_MAX ? ", ..." : "", stale == 1 ? "s" : "",
               stale == 1 ? "it" : "them", stale == 1 ? "it" : "each");
}

enum err plan_lint_domain(struct arena *arena, const struct plan_object *const *before, size_t before_count,
                          const struct plan_object *const *after, size_t after_count, struct lint_finding *out,
                          bool *found)
{
    const struct plan_object *old = find_defaults(before, before_count);
    const struct plan_object *new = find_defaults(after, after_count);
    struct slice from = old != NULL ? old->defaults.domain : SLICE_NONE;
    struct slice to = new != NULL ? new->defaults.domain : SLICE_NONE;
    const struct plan_object **hashed = NULL;
    size_t count = 0;
    size_t stale = 0;
    char names[NAMED_MAX * (LIMIT_NAME + 2) + 1] = "";
    *found = false;
    if (from.n == 0 || slice_eq(from, to)) return ERR_OK;
    enum err e = hashed_accounts(before, before_count, &hashed, &count);
    for (size_t i = 0; e == ERR_OK && i < after_count; i++) {
        if (!keeps_hashes(after[i], hashed, count)) continue;
        size_t n = strlen(names);
        if (stale++ < NAMED_MAX) {
            (void)snprintf(names + n, sizeof names - n, "%s%.*s", n > 0 ? ", " : "", SLICE_ARG(after[i]->account.name));
        }
    }
    free((void *)hashed);
    if (e != ERR_OK || stale == 0) return e;
    struct buf text = {0};
    describe(&text, from, to, names, stale);
    *out = (struct lint_finding){.severity = LINT_WARNING,
                                 .id = "new-domain",
                                 .object = SLICE("defaults"),
                                 .line = new != NULL ? new->line : 0,
                                 .column = new != NULL ? new->column : 0,
                                 .text = text.failed ? SLICE_NONE : arena_copy(arena, buf_view(&text))};
    buf_fini(&text);
    *found = out->text.p != NULL;
    return *found ? ERR_OK : ERR_NOMEM;
}

/* ---- the whole ---- */

static bool had_before(const struct lint_report *before, const struct lint_finding *f)
{
    for (size_t i = 0; i < before->count; i++) {
        if (strcmp(before->findings[i].id, f->id) == 0 && slice_eq(before->findings[i].object, f->object)) return true;
    }
    return false;
}

enum err plan_lint_change(struct arena *arena, const struct plan_object *const *before, size_t before_count,
                          const struct plan_object *const *after, size_t after_count, struct lint_report *out)
{
    struct lint_report old;
    struct lint_report report;
    struct lint_finding domain;
    bool has_domain = false;
    enum err e = plan_lint(arena, before, before_count, &old);
    if (e == ERR_OK) e = plan_lint(arena, after, after_count, &report);
    if (e == ERR_OK) e = plan_lint_domain(arena, before, before_count, after, after_count, &domain, &has_domain);
    if (e != ERR_OK) return e;
    struct lint_report kept = {.truncated = report.truncated};
    kept.findings = arena_alloc(arena, (report.count + 1) * sizeof *kept.findings);
    if (kept.findings == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < report.count; i++) {
        const struct lint_finding *f = &report.findings[i];
        if (had_before(&old, f)) continue;
        kept.error_count += f->severity == LINT_ERROR;
        kept.findings[kept.count++] = *f;
    }
    if (has_domain) kept.findings[kept.count++] = domain;
    *out = kept;
    return ERR_OK;
}
