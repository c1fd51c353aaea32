#include "node/app/rollback.h"

#include <stdio.h>

#include "proto/plan_codec.h"

#define NAMED_MAX 3

/* Says of which objects nobody knows any more what they were. */
static enum err forgotten(const struct history_change *h, size_t count, struct err_info *info)
{
    char names[NAMED_MAX * (PLAN_KEY_MAX + 2) + 8];
    size_t at = 0;
    size_t named = 0;
    for (size_t i = 0; i < h->op_count && named < NAMED_MAX; i++) {
        if (h->ops[i].known != HISTORY_UNKNOWN || h->ops[i].kind == CHANGE_ACCEPT) continue;
        int n = snprintf(names + at, sizeof names - at, "%s%.*s", named++ > 0 ? ", " : "", SLICE_ARG(h->ops[i].key));
        at += n > 0 ? (size_t)n : 0;
        if (at >= sizeof names) break;
    }
    return err_fail(info, ERR_NOTFOUND,
                    "the history of this node no longer reaches back before that change, so it is not known what %zu "
                    "object%s were: %s%s. Write them as they shall be, with \"plan apply\"",
                    count, count == 1 ? "" : "s", names, count > named ? ", ..." : "");
}

static enum err check_known(const struct history_change *h, struct err_info *info)
{
    size_t unknown = 0;
    for (size_t i = 0; i < h->op_count; i++)
        unknown += h->ops[i].known == HISTORY_UNKNOWN && h->ops[i].kind != CHANGE_ACCEPT;
    return unknown == 0 ? ERR_OK : forgotten(h, unknown, info);
}

/* What was absent before is removed, unless it is gone already. */
static enum err take_op(const struct history_op *op, struct store_read *read, struct wanted_put *puts,
                        struct slice *deletes, struct plan_change *c)
{
    struct slice packed;
    if (op->kind == CHANGE_ACCEPT) return ERR_OK; /* it changed nothing */
    if (op->known == HISTORY_PRESENT) {
        puts[c->put_count++] = (struct wanted_put){.packed = op->before, .exact = true};
        return ERR_OK;
    }
    enum err e = store_object(read, op->key, &packed, NULL);
    if (e == ERR_OK) deletes[c->delete_count++] = op->key;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err rollback_fill(struct rollback *r, struct store_read *read, struct arena *arena, struct err_info *info)
{
    struct history_change h;
    struct plan_change *c = r->change;
    r->later_count = 0;
    c->put_count = c->delete_count = 0;
    enum err e = history_change(read, arena, &r->id, &h);
    if (e == ERR_NOTFOUND) return err_fail(info, e, "no such change; \"clusterctl plan log\" lists them");
    if (e == ERR_OK) e = check_known(&h, info);
    if (e != ERR_OK) return e;
    struct wanted_put *puts = arena_alloc(arena, h.op_count * sizeof *puts);
    struct slice *deletes = arena_alloc(arena, h.op_count * sizeof *deletes);
    r->later = arena_alloc(arena, h.op_count * sizeof *r->later);
    if (puts == NULL || deletes == NULL || r->later == NULL) return ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < h.op_count; i++) {
        if (h.ops[i].fate != HISTORY_IN_FORCE) r->later[r->later_count++] = h.ops[i];
        e = take_op(&h.ops[i], read, puts, deletes, c);
    }
    c->puts = puts;
    c->deletes = deletes;
    return e;
}
