/* diff: see diff.h. Both sides are sorted by key and merged. */
#include "node/plan/diff.h"

#include <stdlib.h>

#include "node/plan/document_write.h"

const char *plan_diff_name(enum plan_diff_kind kind)
{
    static const char *const names[] = {[PLAN_ADDED] = "added", [PLAN_CHANGED] = "changed", [PLAN_REMOVED] = "removed"};
    return (unsigned)kind <= PLAN_REMOVED ? names[kind] : "unknown";
}

static int compare_items(const void *a, const void *b)
{
    return slice_cmp(((const struct plan_item *)a)->key, ((const struct plan_item *)b)->key);
}

/* A sorted copy; ERR_EXISTS when a key repeats. *out is the caller's to free in any case. */
static enum err sorted_copy(const struct plan_item *items, size_t count, struct plan_item **out)
{
    struct plan_item *copy = malloc((count + 1) * sizeof *copy);
    *out = copy;
    if (copy == NULL) return ERR_NOMEM;
    if (count > 0) memcpy(copy, items, count * sizeof *copy);
    qsort(copy, count, sizeof *copy, compare_items);
    for (size_t i = 1; i < count; i++) {
        if (slice_eq(copy[i - 1].key, copy[i].key)) return ERR_EXISTS;
    }
    return ERR_OK;
}

/* Writes the differences to entries when it is not NULL; returns how many there are. */
static size_t merge(const struct plan_item *a, size_t na, const struct plan_item *b, size_t nb,
                    struct plan_diff_entry *entries)
{
    size_t i = 0;
    size_t j = 0;
    size_t n = 0;
    while (i < na || j < nb) {
        struct plan_diff_entry e = {0};
        int order = i == na ? 1 : j == nb ? -1 : slice_cmp(a[i].key, b[j].key);
        if (order < 0) {
            e = (struct plan_diff_entry){PLAN_REMOVED, a[i].key, a[i].packed, SLICE_NONE};
            i++;
        } else if (order > 0) {
            e = (struct plan_diff_entry){PLAN_ADDED, b[j].key, SLICE_NONE, b[j].packed};
            j++;
        } else {
            e = (struct plan_diff_entry){PLAN_CHANGED, b[j].key, a[i].packed, b[j].packed};
            bool same = slice_eq(a[i].packed, b[j].packed);
            i++;
            j++;
            if (same) continue;
        }
        if (entries != NULL) entries[n] = e;
        n++;
    }
    return n;
}

enum err plan_diff(struct arena *arena, const struct plan_item *before, size_t before_count,
                   const struct plan_item *after, size_t after_count, struct plan_diff *out)
{
    struct plan_item *a = NULL;
    struct plan_item *b = NULL;
    struct plan_diff d = {0};
    enum err e = sorted_copy(before, before_count, &a);
    if (e == ERR_OK) e = sorted_copy(after, after_count, &b);
    if (e != ERR_OK) goto out;
    d.count = merge(a, before_count, b, after_count, NULL);
    d.entries = arena_alloc(arena, d.count * sizeof *d.entries);
    e = d.entries != NULL ? ERR_OK : ERR_NOMEM;
    if (e != ERR_OK) goto out;
    (void)merge(a, before_count, b, after_count, d.entries);
    *out = d;
out:
    free(a);
    free(b);
    return e;
}

/* Whether the secret behind a password field differs, in whatever form it is held. */
static bool secret_changed(const struct plan_object *a, const struct plan_object *b)
{
    if (a->kind != PLAN_ACCOUNT || b->account.password_keep) return false;
    if (a->account.secret.set && b->account.secret.set) {
        return memcmp(&a->account.secret.sha256, &b->account.secret.sha256, sizeof a->account.secret.sha256) != 0;
    }
    return !slice_eq(a->account.password, b->account.password);
}

static enum err diff_field(const struct field *f, const struct plan_object *a, const struct plan_object *b,
                           struct buf *out)
{
    struct buf before = {0};
    struct buf after = {0};
    enum err e = field_value_text(f, schema_base_const(a), &before);
    if (e == ERR_OK) e = field_value_text(f, schema_base_const(b), &after);
    if (e != ERR_OK) goto out;
    bool same = slice_eq(buf_view(&before), buf_view(&after));
    if (same && f->type == FIELD_PASSWORD && secret_changed(a, b)) {
        buf_printf(out, "  %s: (set) -> (set, new)\n", f->name);
    } else if (!same) {
        buf_printf(out, "  %s: %.*s -> %.*s\n", f->name, SLICE_ARG(buf_view(&before)), SLICE_ARG(buf_view(&after)));
    }
    e = out->failed ? ERR_NOMEM : ERR_OK;
out:
    buf_fini(&before);
    buf_fini(&after);
    return e;
}

enum err plan_object_diff(const struct plan_object *before, const struct plan_object *after, struct buf *out)
{
    const struct schema *s = schema_of(before->kind);
    ASSERT(before->kind == after->kind);
    enum err e = ERR_OK;
    for (size_t i = 0; i < s->count && e == ERR_OK; i++)
        e = diff_field(&s->fields[i], before, after, out);
    return e;
}
