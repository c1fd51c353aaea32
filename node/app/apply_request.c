/* apply_request: what a request to change the plan asks for: where its operations come from, and its terms. */
#include "node/app/apply.h"
#include "node/app/confirm.h"
#include "node/app/wanted.h"

static enum err take_lists(struct apply *a, const struct control_record *args)
{
    struct wanted wanted;
    enum err e = wanted_read(&a->arena, args, &wanted, &a->info);
    if (e != ERR_OK) return e;
    a->puts = wanted.puts;
    a->deletes = wanted.deletes;
    a->change = (struct plan_change){.keep_before = a->terms.confirm_within_ms > 0,
                                     .puts = wanted.puts,
                                     .put_count = wanted.put_count,
                                     .deletes = wanted.deletes,
                                     .delete_count = wanted.delete_count,
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
    a->findings_only = control_get_int(args, "findings_only", 0) != 0;
    a->force = control_get_int(args, "force", 0) != 0;
    receipts_arguments(&a->receipts, args);
    if (a->message.n > LIMIT_TEXT)
        return err_fail(&a->info, ERR_LIMIT, "the message has over %d characters", LIMIT_TEXT);
    enum err e = take_terms(a, args);
    if (e == ERR_OK) e = take_source(a, request);
    return e == ERR_OK ? store_read_new(a->n->store, &a->read) : e;
}
