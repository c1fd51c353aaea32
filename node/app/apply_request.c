/* apply_request: what a request to change the plan asks for: where its operations come from, and its terms. */
#include "node/app/apply.h"
#include "node/app/confirm.h"

/* How many byte strings bulk holds. ERR_SYNTAX. */
static enum err bulk_count(struct slice bulk, size_t *count)
{
    struct slice item;
    enum err e;
    *count = 0;
    while ((e = control_bulk_take(&bulk, &item)) == ERR_OK)
        ++*count;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* What comes in bulk stands behind what comes as records. */
static void take_bulk(struct apply *a, size_t put_at, struct slice puts, size_t delete_at, struct slice deletes)
{
    while (control_bulk_take(&puts, &a->puts[put_at].packed) == ERR_OK)
        put_at++;
    while (control_bulk_take(&deletes, &a->deletes[delete_at]) == ERR_OK)
        delete_at++;
}

static enum err take_lists(struct apply *a, const struct control_record *args)
{
    const struct control_field *puts = control_find(args, "puts");
    const struct control_field *deletes = control_find(args, "deletes");
    struct slice bulk_puts = control_get_text(args, "bulk_puts");
    struct slice bulk_deletes = control_get_text(args, "bulk_deletes");
    size_t put_records = puts != NULL ? puts->item_count : 0;
    size_t delete_records = deletes != NULL ? deletes->item_count : 0;
    size_t put_count = 0;
    size_t delete_count = 0;
    enum err e = bulk_count(bulk_puts, &put_count);
    if (e == ERR_OK) e = bulk_count(bulk_deletes, &delete_count);
    if (e != ERR_OK) return err_fail(&a->info, e, "the objects of the request cannot be read");
    put_count += put_records;
    delete_count += delete_records;
    a->puts = arena_alloc(&a->arena, (put_count + 1) * sizeof *a->puts);
    a->deletes = arena_alloc(&a->arena, (delete_count + 1) * sizeof *a->deletes);
    if (a->puts == NULL || a->deletes == NULL) return ERR_NOMEM;
    take_bulk(a, put_records, bulk_puts, delete_records, bulk_deletes);
    for (size_t i = 0; i < put_records; i++) {
        a->puts[i] = (struct wanted_put){.packed = control_get_text(&puts->items[i], "packed"),
                                         .secret = control_get_text(&puts->items[i], "secret"),
                                         .keep = control_get_int(&puts->items[i], "keep", 0) != 0};
    }
    for (size_t i = 0; i < delete_records; i++)
        a->deletes[i] = control_get_text(&deletes->items[i], "key");
    a->change = (struct plan_change){.keep_before = a->terms.confirm_within_ms > 0,
                                     .puts = a->puts,
                                     .put_count = put_count,
                                     .deletes = a->deletes,
                                     .delete_count = delete_count,
                                     .cluster_key = a->n->identity.cluster_key};
    return ERR_OK;
}

static enum err fill_rollback(struct plan_change *c, struct store_read *read, struct arena *arena,
                              struct err_info *info)
{
    struct apply *a = CONTAINER_OF(c, struct apply, change);
    return rollback_fill(&a->rollback, read, arena, info);
}

static enum err take_rollback(struct apply *a, const struct control_record *args)
{
    a->source = FROM_CHANGE;
    a->change = (struct plan_change){.fill = fill_rollback,
                                     .keep_before = a->terms.confirm_within_ms > 0,
                                     .cluster_key = a->n->identity.cluster_key};
    a->rollback.change = &a->change;
    if (history_parse_id(control_get_text(args, "change"), &a->rollback.id)) return ERR_OK;
    return err_fail(&a->info, ERR_SYNTAX, "not the id of a change: \"clusterctl plan log\" lists them");
}

/* No change named: the only one that is open. */
static enum err take_confirm(struct apply *a, const struct control_record *args)
{
    struct slice change = control_get_text(args, "change");
    a->source = FROM_PENDING;
    a->self = (struct log_id){.origin = a->n->self, .epoch = repl_plan_epoch(a->n->repl)};
    a->terms = (struct change_terms){.verdict = CHANGE_CONFIRMS};
    if (a->message.n == 0) a->message = SLICE("confirmed");
    if (change.n == 0 || history_parse_id(change, &a->terms.settles)) return ERR_OK;
    return err_fail(&a->info, ERR_SYNTAX, "not the id of a change: \"clusterctl plan log\" lists them");
}

static enum err take_accept(struct apply *a, const struct control_record *args)
{
    a->source = FROM_CONFLICTS;
    a->object = control_get_text(args, "object");
    if (a->message.n == 0) a->message = SLICE("accepted what stands");
    return ERR_OK;
}

static enum err take_terms(struct apply *a, const struct control_record *args)
{
    int64_t within_ms = control_get_int(args, "confirm_within_ms", 0);
    if (within_ms == 0) return ERR_OK;
    if (within_ms < CONFIRM_MIN_MS || (uint64_t)within_ms > CONFIRM_MAX_MS) {
        return err_fail(&a->info, ERR_LIMIT, "a change can wait for its confirmation from one second to seven days");
    }
    a->terms.confirm_within_ms = (uint64_t)within_ms;
    return ERR_OK;
}

static enum err take_source(struct apply *a, const struct control_request *request)
{
    if (slice_is(request->command, "plan rollback")) return take_rollback(a, &request->args);
    if (slice_is(request->command, "plan confirm")) return take_confirm(a, &request->args);
    if (slice_is(request->command, "plan accept")) return take_accept(a, &request->args);
    return take_lists(a, &request->args);
}

enum err apply_take_request(struct apply *a, const struct control_request *request)
{
    const struct control_record *args = &request->args;
    a->base_digest = control_get_text(args, "base_digest");
    a->message = control_get_text(args, "message");
    a->allow = control_get_text(args, "allow");
    a->dry_run = control_get_int(args, "dry_run", 0) != 0 || slice_is(request->command, "plan diff");
    a->force = control_get_int(args, "force", 0) != 0;
    receipts_arguments(&a->receipts, args);
    if (a->message.n > LIMIT_TEXT)
        return err_fail(&a->info, ERR_LIMIT, "the message has over %d characters", LIMIT_TEXT);
    enum err e = take_terms(a, args);
    if (e == ERR_OK) e = take_source(a, request);
    return e == ERR_OK ? store_read_new(a->n->store, &a->read) : e;
}
