/* commands_apply: plan apply, plan diff, plan rollback, plan confirm and plan accept, which differ in where their
 * operations come from.
 *
 *   QUEUED -> WORKING (plan_change on a worker thread) -> STORING (handed to the core) -> WAITING (for receipts) -> end
 *   a dry run: WORKING -> SAYING (what it would do) -> end
 *
 * One apply at a time goes from reading the plan to its change on disk (node.applying): so what was linted is what will
 * be, unless another node changes the plan in that moment; then it is looked at again. A diff waits for nobody. Until
 * the change is handed to the core nothing has happened: a client that goes away before takes its apply along.
 * Receipts: who was reachable when the change was stored is waited for; who was not is named, never counted. What a
 * request asks for is read in apply_request.c. */
#include "node/app/apply.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/app/confirm.h"
#include "node/app/conflicts.h"
#include "node/plan/diff.h"

#define LOOKS_MAX 4     /* at a plan that moves meanwhile */
#define WORKING_MS 1000 /* between two words about what takes long */
#define PAGE_OPS 500    /* said at once */
#define HEAVY 16777216u /* bytes of one request */

/* ---- the end ---- */

static void next_apply(struct node *n);

static void let_go(uv_work_t *work)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    arena_fini(&a->change_arena);
    arena_fini(&a->arena);
    (void)malloc_trim(0);
}

static void free_rest(struct apply *a)
{
    arena_fini(&a->change_arena);
    arena_fini(&a->arena);
    receipts_fini(&a->receipts);
    free(a);
}

static void after_let_go(uv_work_t *work, int status)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    (void)status;
    node_work_done(a->n);
    free_rest(a);
}

/* What a change of a million objects took is given back to the system, by a thread that nobody waits for. */
static void apply_free(struct apply *a)
{
    bool heavy = a->change_arena.used_total + a->arena.used_total > HEAVY;
    if (a->read != NULL) store_read_free(a->read);
    a->read = NULL;
    if (heavy && !a->n->stopping && node_work(a->n, &a->work, let_go, after_let_go) == ERR_OK) return;
    free_rest(a);
}

static void timer_closed(uv_handle_t *handle)
{
    apply_free(handle->data);
}

/* The next one may read the plan. */
static void step_aside(struct apply *a)
{
    if (a->n->applying != a) return;
    a->n->applying = NULL;
    next_apply(a->n);
}

/* Says the last word and lets go of everything. The client's next request may be served inside, so a is out of sight
 * before. */
static void apply_end(struct apply *a, int status, const char *text)
{
    list_remove(&a->node);
    change_wait_end(&a->wait);
    step_aside(a);
    control_reply_end(a->reply, status, slice_of(text));
    if (a->timer_open) {
        uv_close((uv_handle_t *)&a->timer, timer_closed);
    } else {
        apply_free(a);
    }
}

static void start_timer(struct apply *a, uv_timer_cb cb, uint64_t ms, uint64_t repeat_ms)
{
    if (!a->timer_open) {
        ASSERT(uv_timer_init(a->n->loop, &a->timer) == 0);
        a->timer_open = true;
        a->timer.data = a;
    }
    (void)uv_timer_start(&a->timer, cb, ms, repeat_ms);
}

/* ---- what is said ---- */

static bool list_has(struct slice list, const char *id)
{
    while (list.n > 0) {
        struct slice item;
        list = slice_cut(list, ',', &item);
        if (slice_is(slice_trim(item), id) || slice_is(slice_trim(item), "all")) return true;
    }
    return false;
}

static void send_finding(struct apply *a, const struct lint_finding *f)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "finding");
    control_text(&b, "severity", f->severity == LINT_ERROR ? SLICE("error") : SLICE("warning"));
    control_text(&b, "id", slice_of(f->id));
    control_text(&b, "object", f->object);
    control_int(&b, "line", f->line);
    control_text(&b, "text", f->text);
    command_record(a->reply, &b);
    arena_fini(&arena);
}

/* Sends what later changes have made of what is to be taken back. */
static void send_later(struct apply *a)
{
    for (size_t i = 0; i < a->rollback.later_count; i++) {
        const struct history_op *op = &a->rollback.later[i];
        char by[CHANGE_ID_TEXT] = "a change that is no longer kept";
        char text[CHANGE_ID_TEXT + 80];
        if (op->by_known) change_id_text(&op->by, by);
        (void)snprintf(text, sizeof text, "changed since, by %s: that would be taken back too", by);
        send_finding(a,
                     &(struct lint_finding){
                         .severity = LINT_WARNING, .id = "changed-since", .object = op->key, .text = slice_of(text)});
    }
}

/* Sends what lint found; returns how many findings stand in the way. */
static size_t send_findings(struct apply *a)
{
    size_t blocking = 0;
    for (size_t i = 0; i < a->change.report.count; i++) {
        const struct lint_finding *f = &a->change.report.findings[i];
        send_finding(a, f);
        blocking += f->severity == LINT_ERROR || !list_has(a->allow, f->id);
    }
    return blocking;
}

static void send_applied(struct apply *a, const struct log_id *id)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[PLAN_DIGEST_TEXT];
    char id_text[CHANGE_ID_TEXT] = "";
    if (id != NULL) change_id_text(id, id_text);
    plan_digest_text(id != NULL ? a->n->plan_digest : a->change.digest, text);
    control_record_start(&b, &arena, "applied");
    control_text(&b, "change", slice_of(id_text));
    control_int(&b, "added", (int64_t)a->change.added);
    control_int(&b, "changed", (int64_t)a->change.changed);
    control_int(&b, "removed", (int64_t)a->change.removed);
    control_text(&b, "digest", slice_of(text));
    if (id != NULL) command_time(&b, "confirm_by", a->terms.confirm_by);
    command_record(a->reply, &b);
    arena_fini(&arena);
}

static void send_confirmed(struct apply *a, const struct log_id *id)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[CHANGE_ID_TEXT];
    control_record_start(&b, &arena, "confirmed");
    change_id_text(&a->terms.settles, text);
    control_text(&b, "change", slice_of(text));
    change_id_text(id, text);
    control_text(&b, "by", slice_of(text));
    control_int(&b, "objects", (int64_t)a->change.op_count);
    command_record(a->reply, &b);
    arena_fini(&arena);
}

static void send_accepted(struct apply *a, const struct log_id *id)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[CHANGE_ID_TEXT];
    change_id_text(id, text);
    control_record_start(&b, &arena, "accepted");
    control_text(&b, "change", slice_of(text));
    control_int(&b, "objects", (int64_t)a->change.op_count);
    command_record(a->reply, &b);
    arena_fini(&arena);
}

/* In what a changed object differs: "  priority: 10 -> 20\n". What differs and has no text is a sealed password. */
static void op_detail(struct apply *a, size_t i, struct arena *arena, struct control_builder *b)
{
    struct buf text = {0};
    struct plan_edit edit;
    enum err e = plan_change_edit(&a->change, i, arena, &edit);
    if (e != ERR_OK || edit.before == NULL || edit.after == NULL || edit.before->kind != edit.after->kind) return;
    e = plan_object_diff(edit.before, edit.after, &text);
    if (e == ERR_OK && text.n == 0) buf_text(&text, "  password: (set) -> (set, new)\n");
    if (e == ERR_OK && !text.failed) control_text(b, "detail", buf_view(&text));
    buf_fini(&text);
}

static void send_op(struct apply *a, size_t i)
{
    struct arena arena = {0};
    struct control_builder b;
    const char *action = a->change.ops[i].kind == CHANGE_DELETE ? "remove" : a->change.op_added[i] ? "add" : "change";
    control_record_start(&b, &arena, "op");
    control_text(&b, "action", slice_of(action));
    control_text(&b, "object", a->change.ops[i].key);
    op_detail(a, i, &arena, &b);
    if (a->change.fill != NULL) control_bytes(&b, "packed", a->change.ops[i].value); /* for an older clusterctl */
    command_record(a->reply, &b);
    arena_fini(&arena);
}

/* What a dry run would do, page by page as the client reads: there may be a million operations, and calls go on. */
static void send_ops(void *ctx, struct control_reply *reply)
{
    struct apply *a = ctx;
    if (a->n->stopping || control_reply_gone(reply)) {
        apply_end(a, 5, "the node is stopping; nothing was changed");
        return;
    }
    for (size_t page = 0; a->said < a->change.op_count; page++) {
        if (page == PAGE_OPS || control_reply_pending(reply) > CONTROL_PENDING_PAUSE) {
            control_reply_on_drain(reply, send_ops, a);
            return;
        }
        send_op(a, a->said++);
    }
    send_applied(a, NULL);
    apply_end(a, a->dry_run_status, "");
}

/* ---- receipts ---- */

static void receipts_end(struct apply *a)
{
    char text[LIMIT_TEXT];
    bool enough = receipts_enough(&a->receipts);
    size_t missing = receipts_send_missing(&a->receipts, a->n, a->reply);
    if (enough) {
        receipts_note(&a->receipts, missing, text, sizeof text);
        apply_end(a, 0, text);
    } else if (a->n->stopping) {
        apply_end(a, 4, "the node is stopping; the change is durable here and the others will catch up");
    } else {
        apply_end(a, 4, "not every node has confirmed the change in time; it is durable here and they will catch up");
    }
}

static void on_receipt(struct change_wait *w, const struct node_name *peer, uint64_t elapsed_ms)
{
    struct apply *a = CONTAINER_OF(w, struct apply, wait);
    receipts_take(&a->receipts, a->reply, peer, elapsed_ms);
    if (receipts_enough(&a->receipts)) {
        receipts_end(a);
    } else {
        receipts_progress(&a->receipts, a->reply);
    }
}

static void on_receipt_timeout(uv_timer_t *timer)
{
    receipts_end(timer->data);
}

static void wait_for_receipts(struct apply *a)
{
    if (receipts_address(&a->receipts, a->n) != ERR_OK) {
        apply_end(a, 4, "durable here; no memory to wait for the others' receipts, they will catch up");
        return;
    }
    if (receipts_enough(&a->receipts)) {
        receipts_end(a);
        return;
    }
    receipts_progress(&a->receipts, a->reply);
    start_timer(a, on_receipt_timeout, a->receipts.timeout_ms, 0);
}

static void refused(struct apply *a, enum err err)
{
    char text[LIMIT_TEXT];
    if (err == ERR_UNREACHABLE) {
        apply_end(
            a, 1,
            "this node has not met a member of its cluster yet: until then it cannot know what was deleted there, "
            "and takes no change. See \"clusterctl nodes\" for the reason that its links are down; the first node of "
            "a cluster has no seeds");
        return;
    }
    const char *why = a->n->store_error[0] != '\0' ? a->n->store_error : err_name(err);
    (void)snprintf(text, sizeof text, "the change was refused and nothing of it applied: %s", why);
    apply_end(a, 1, text);
}

static void on_applied(struct change_wait *w, enum err err, const struct log_id *id)
{
    struct apply *a = CONTAINER_OF(w, struct apply, wait);
    uint64_t ms = mono_ms_between(a->started, node_mono());
    if (err != ERR_OK) {
        refused(a, err);
        return;
    }
    a->state = APPLY_WAITING;
    step_aside(a);
    if (a->source == FROM_CONFLICTS) {
        send_accepted(a, id);
    } else if (a->source == FROM_PENDING) {
        send_confirmed(a, id);
    } else {
        send_applied(a, id);
    }
    receipts_send(a->reply, &a->n->self, &ms, "this node");
    wait_for_receipts(a);
}

/* ---- the decision ---- */

/* "alice@hq-1". The name of one who asked through another node has that node's already. */
static struct slice author_of(struct apply *a)
{
    struct slice user = control_reply_user(a->reply);
    for (size_t i = 1; i < repl_member_count(a->n->repl); i++) {
        struct repl_member_view m = repl_member_at(a->n->repl, i);
        struct slice node = node_name_slice(&m.name);
        if (user.n <= node.n || user.p[user.n - node.n - 1] != '@') continue;
        if (slice_eq((struct slice){user.p + user.n - node.n, node.n}, node)) return user;
    }
    return slice_of(arena_printf(&a->change_arena, "%.*s@%s", SLICE_ARG(user), a->n->config.node));
}

/* What the store has copied; to be freed by a thread that nobody waits for. */
struct leftovers {
    uv_work_t work;
    struct node *n;
    struct arena request;
    struct arena change;
};

static void leftovers_work(uv_work_t *work)
{
    struct leftovers *l = CONTAINER_OF(work, struct leftovers, work);
    arena_fini(&l->request);
    arena_fini(&l->change);
    (void)malloc_trim(0);
}

static void leftovers_free(uv_work_t *work, int status)
{
    struct leftovers *l = CONTAINER_OF(work, struct leftovers, work);
    (void)status;
    node_work_done(l->n);
    free(l);
}

/* Takes the objects of a large change off a, so that they do not lie about while it is stored. NULL: it is none. */
static struct leftovers *leftovers_take(struct apply *a)
{
    bool heavy = a->change_arena.used_total + a->arena.used_total > HEAVY;
    struct leftovers *l = heavy ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) return NULL;
    *l = (struct leftovers){.n = a->n, .request = a->arena, .change = a->change_arena};
    a->arena = a->change_arena = (struct arena){0};
    return l;
}

static void leftovers_let_go(struct leftovers *l)
{
    if (l == NULL || (!l->n->stopping && node_work(l->n, &l->work, leftovers_work, leftovers_free) == ERR_OK)) return;
    arena_fini(&l->request);
    arena_fini(&l->change);
    free(l);
}

static void hand_over(struct apply *a)
{
    a->state = APPLY_STORING;
    a->started = node_mono();
    a->wait.on_applied = on_applied;
    a->wait.on_receipt = on_receipt;
    a->terms.says_seen = true;
    if (a->source == FROM_PENDING) a->terms.made = node_wall();
    if (a->terms.confirm_within_ms > 0) {
        a->terms.confirm_by = (struct wall){node_wall().ms + (int64_t)a->terms.confirm_within_ms};
    }
    struct slice author = author_of(a);
    struct leftovers *l = leftovers_take(a);
    replica_change(a->n, &a->wait,
                   &(struct change_request){.author = author,
                                            .message = a->message,
                                            .ops = a->change.ops,
                                            .op_count = a->change.op_count,
                                            .terms = a->terms,
                                            .after = a->change.after,
                                            .exactly = a->exactly});
    leftovers_let_go(l); /* a may be gone */
}

static bool base_moved(const struct apply *a)
{
    char seen[PLAN_DIGEST_TEXT];
    plan_digest_text(a->change.digest, seen);
    return a->base_digest.n > 0 && !a->force && !slice_is(a->base_digest, seen);
}

/* Refuses, or hands the operations to the core. What says again what is there already is not linted. */
static void apply_decide(struct apply *a)
{
    char text[LIMIT_TEXT];
    if (a->source == FROM_PENDING || a->source == FROM_CONFLICTS) {
        if (control_reply_gone(a->reply)) {
            apply_end(a, 1, "the client has gone");
        } else {
            hand_over(a);
        }
        return;
    }
    if (base_moved(a)) {
        apply_end(a, 3, "the plan moved since you looked: run \"plan diff\" again, or --force to apply all the same");
        return;
    }
    size_t later = a->force ? 0 : a->rollback.later_count;
    send_later(a);
    size_t blocking = send_findings(a);
    if (a->dry_run) {
        a->state = APPLY_SAYING;
        a->dry_run_status = blocking + later > 0 ? 3 : 0;
        if (a->findings_only) a->said = a->change.op_count;
        send_ops(a, a->reply);
    } else if (later > 0) {
        (void)snprintf(text, sizeof text, "later changes have touched %zu of its objects: --force takes those back too",
                       later);
        apply_end(a, 3, text);
    } else if (blocking > 0) {
        (void)snprintf(text, sizeof text, "%zu finding%s in the way: mend %s, or accept warnings with --allow",
                       blocking, blocking == 1 ? " stands" : "s stand", blocking == 1 ? "it" : "them");
        apply_end(a, 3, text);
    } else if (a->change.op_count == 0) {
        send_applied(a, NULL);
        apply_end(a, 0, "nothing to change: the plan already says so");
    } else if (a->change.op_count > LIMIT_CHANGE_OPS) {
        (void)snprintf(text, sizeof text, "the change has %zu objects, and one change at most %d: apply it in parts",
                       a->change.op_count, LIMIT_CHANGE_OPS);
        apply_end(a, 1, text);
    } else if (control_reply_gone(a->reply)) {
        apply_end(a, 1, "the client has gone");
    } else {
        hand_over(a);
    }
}

/* ---- the look at the plan ---- */

static void apply_work(uv_work_t *work)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    if (a->source == FROM_CONFLICTS) {
        a->err = conflicts_prepare(a->read, &a->change_arena, a->object, &a->change, &a->info);
    } else if (a->source == FROM_PENDING) {
        a->err =
            confirm_prepare(a->read, &a->change_arena, &a->self, &a->terms.settles, &a->change, &a->exactly, &a->info);
    } else {
        a->err = plan_change_prepare(a->read, &a->change_arena, &a->change, &a->info);
    }
}

static void apply_after_work(uv_work_t *work, int status);

/* Who waits for a large change hears that it goes on. */
static void still_working(uv_timer_t *timer)
{
    struct apply *a = timer->data;
    if (a->state == APPLY_WORKING) control_reply_progress(a->reply, SLICE("looking at the plan"), 0, 0);
    if (a->state == APPLY_STORING) control_reply_progress(a->reply, SLICE("storing the change"), 0, 0);
}

static enum err look(struct apply *a)
{
    arena_fini(&a->change_arena);
    a->info = (struct err_info){{0}, 0, 0};
    a->looks++;
    a->state = APPLY_WORKING;
    start_timer(a, still_working, WORKING_MS, WORKING_MS);
    return node_work(a->n, &a->work, apply_work, apply_after_work);
}

static void apply_after_work(uv_work_t *work, int status)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    node_work_done(a->n);
    if (status != 0 || a->n->stopping) {
        apply_end(a, 5, "the node is stopping; nothing was changed");
        return;
    }
    if (a->err != ERR_OK) {
        apply_end(a, 1, a->info.text[0] != '\0' ? a->info.text : err_name(a->err));
        return;
    }
    /* Another node's change came in while we looked: so that what was linted is what will be, look again. */
    bool moved = !plan_digest_eq(a->change.digest, a->n->plan_digest);
    if (moved && !a->dry_run && a->looks < LOOKS_MAX && look(a) == ERR_OK) return;
    apply_decide(a);
}

/* Lets the first one that waits for its turn begin. */
static void next_apply(struct node *n)
{
    struct list_node *i = n->applies.next;
    while (i != &n->applies && n->applying == NULL && !n->stopping) {
        struct apply *a = CONTAINER_OF(i, struct apply, node);
        i = i->next;
        if (a->state != APPLY_QUEUED) continue;
        n->applying = a;
        if (look(a) == ERR_OK) return;
        n->applying = NULL;
        apply_end(a, 1, "no memory; nothing was changed");
        i = n->applies.next; /* the end may have served another request */
    }
}

void applies_stop(struct node *n)
{
    struct list_node *i = n->applies.next;
    while (i != &n->applies) {
        struct apply *a = CONTAINER_OF(i, struct apply, node);
        i = i->next;
        if (a->state == APPLY_WORKING) continue; /* ends when the worker has */
        if (a->state == APPLY_QUEUED || a->state == APPLY_SAYING) {
            apply_end(a, 5, "the node is stopping; nothing was changed");
        } else if (a->state == APPLY_STORING) {
            apply_end(a, 5, "the node is stopping; whether the change was stored, \"plan log\" tells after its start");
        } else {
            receipts_end(a);
        }
        i = n->applies.next;
    }
}

NODE_COMMAND(command_plan_apply)
{
    struct node *n = ctx;
    struct apply *a = calloc(1, sizeof *a);
    if (a == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    a->n = n;
    a->reply = reply;
    list_init(&a->wait.node);
    list_append(&n->applies, &a->node);
    enum err e = n->stopping ? ERR_CLOSED : apply_take_request(a, request);
    if (e == ERR_OK && a->dry_run) e = look(a);
    if (e != ERR_OK) {
        apply_end(a, 1, a->info.text[0] != '\0' ? a->info.text : err_name(e));
    } else if (!a->dry_run) {
        next_apply(n);
    }
}
