/* commands_plan: plan show, plan log, plan apply and plan diff.
 *
 * An apply goes: copy of the request -> worker thread (plan_change) -> back on the loop: refused, or handed to the
 * replication core -> durable here -> receipts of the members -> end. */
#include "node/app/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/app/plan_change.h"
#include "proto/plan_codec.h"

#define RECEIPT_WAIT_MS 5000

static void send_record(struct control_reply *reply, struct control_builder *b)
{
    struct control_record record;
    if (control_record_done(b, &record) == ERR_OK) control_reply_record(reply, &record);
}

static void change_id_text(const struct log_id *id, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%" PRIx64 "/%" PRIu64, id->origin.s, id->epoch, id->seq);
}

/* ---- plan show ---- */

struct show {
    struct control_reply *reply;
    struct slice prefix;
    size_t shown;
};

static void show_object(struct show *s, struct slice key, struct slice packed)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "object");
    control_text(&b, "key", key);
    control_bytes(&b, "packed", packed);
    send_record(s->reply, &b);
    arena_fini(&arena);
    s->shown++;
}

static bool visit_show(void *ctx, struct slice key, struct slice packed)
{
    struct show *s = ctx;
    if (!slice_starts(key, s->prefix)) return false;
    show_object(s, key, packed);
    return !control_reply_gone(s->reply);
}

struct find_change {
    struct slice wanted;
    struct show *show;
    bool found;
};

static bool visit_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct find_change *f = ctx;
    struct arena arena = {0};
    struct changeset c;
    char text[LIMIT_NAME + 48];
    change_id_text(id, text, sizeof text);
    if (!slice_is(f->wanted, text)) return true;
    f->found = true;
    if (changeset_unpack(&arena, packed, &c, NULL) == ERR_OK) {
        for (size_t i = 0; i < c.op_count; i++) {
            if (c.ops[i].kind == CHANGE_PUT) show_object(f->show, c.ops[i].key, c.ops[i].value);
        }
    }
    arena_fini(&arena);
    return false;
}

NODE_COMMAND(command_plan_show)
{
    struct node *n = ctx;
    struct show s = {.reply = reply, .prefix = control_get_text(&request->args, "object")};
    struct find_change f = {.wanted = control_get_text(&request->args, "change"), .show = &s};
    struct arena arena = {0};
    struct control_builder b;
    struct plan_digest digest;
    char text[PLAN_DIGEST_TEXT];
    enum err e = node_read_begin(n);
    if (e != ERR_OK) {
        control_reply_end(reply, 1, slice_of(err_name(e)));
        return;
    }
    store_plan_digest(n->read, &digest);
    plan_digest_text(digest, text);
    control_record_start(&b, &arena, "plan");
    control_text(&b, "digest", slice_of(text));
    send_record(reply, &b);
    arena_fini(&arena);
    if (f.wanted.n > 0) {
        e = store_history(n->read, SIZE_MAX, visit_change, &f);
    } else {
        e = store_objects(n->read, s.prefix, false, visit_show, &s);
    }
    node_read_end(n);
    if (e != ERR_OK) {
        control_reply_end(reply, 1, slice_of(err_name(e)));
    } else if (f.wanted.n > 0 && !f.found) {
        control_reply_end(reply, 1, SLICE("no such change; \"clusterctl plan log\" lists them"));
    } else if (s.prefix.n > 0 && s.shown == 0) {
        control_reply_end(reply, 1, SLICE("no such object; \"clusterctl plan show\" prints them all"));
    } else {
        control_reply_end(reply, 0, SLICE(""));
    }
}

/* ---- plan log ---- */

static void summary(const struct changeset *c, struct buf *out)
{
    for (size_t i = 0; i < c->op_count && i < 3; i++) {
        buf_printf(out, "%s%s %.*s", i > 0 ? ", " : "", c->ops[i].kind == CHANGE_PUT ? "put" : "remove",
                   SLICE_ARG(c->ops[i].key));
    }
    if (c->op_count > 3) buf_printf(out, " and %zu more", c->op_count - 3);
}

static bool visit_log(void *ctx, const struct log_id *id, struct slice packed)
{
    struct control_reply *reply = ctx;
    struct arena arena = {0};
    struct changeset c;
    struct control_builder b;
    struct buf text = {0};
    char id_text[LIMIT_NAME + 48];
    char when[WALL_TEXT_SIZE];
    change_id_text(id, id_text, sizeof id_text);
    if (changeset_unpack(&arena, packed, &c, NULL) == ERR_OK) {
        summary(&c, &text);
        control_record_start(&b, &arena, "change");
        control_text(&b, "id", slice_of(id_text));
        control_text(&b, "time", slice_of(wall_text((struct wall){(int64_t)(c.time.v >> 16)}, when)));
        control_text(&b, "author", c.author);
        control_text(&b, "message", c.message);
        control_int(&b, "ops", (int64_t)c.op_count);
        control_text(&b, "summary", buf_view(&text));
        send_record(reply, &b);
    }
    buf_fini(&text);
    arena_fini(&arena);
    return !control_reply_gone(reply);
}

NODE_COMMAND(command_plan_log)
{
    struct node *n = ctx;
    int64_t limit = control_get_int(&request->args, "limit", 20);
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = store_history(n->read, limit > 0 ? (size_t)limit : SIZE_MAX, visit_log, reply);
        node_read_end(n);
    }
    control_reply_end(reply, e == ERR_OK ? 0 : 1, e == ERR_OK ? SLICE("") : slice_of(err_name(e)));
}

/* ---- plan apply, plan diff ---- */

struct apply {
    uv_work_t work;
    struct change_wait wait; /* linked while receipts are awaited */
    uv_timer_t timer;
    bool timer_open;
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    struct store_read *read;
    struct wanted_put *puts;
    struct slice *deletes;
    struct plan_change change;
    enum err err;
    struct err_info info;
    /* arguments */
    struct slice base_digest;
    struct slice message;
    struct slice allow;
    struct slice wait_for;
    int64_t timeout_ms;
    bool dry_run;
    bool force;
    unsigned tries;
    /* receipts */
    size_t expected;
    size_t received;
    struct mono started;
};

static void apply_free(struct apply *a)
{
    if (a->read != NULL) store_read_free(a->read);
    arena_fini(&a->arena);
    free(a);
}

static void timer_closed(uv_handle_t *handle)
{
    apply_free(handle->data);
}

/* Says the last word and lets go of everything. */
static void apply_end(struct apply *a, int status, const char *text)
{
    control_reply_end(a->reply, status, slice_of(text));
    if (a->timer_open) {
        uv_close((uv_handle_t *)&a->timer, timer_closed);
    } else {
        apply_free(a);
    }
}

static enum err copy_lists(struct apply *a, const struct control_record *args)
{
    const struct control_field *puts = control_find(args, "puts");
    const struct control_field *deletes = control_find(args, "deletes");
    size_t put_count = puts != NULL ? puts->item_count : 0;
    size_t delete_count = deletes != NULL ? deletes->item_count : 0;
    a->puts = arena_alloc(&a->arena, put_count * sizeof *a->puts);
    a->deletes = arena_alloc(&a->arena, delete_count * sizeof *a->deletes);
    if (a->puts == NULL || a->deletes == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < put_count; i++) {
        a->puts[i].packed = arena_copy(&a->arena, control_get_text(&puts->items[i], "packed"));
        a->puts[i].secret = arena_copy(&a->arena, control_get_text(&puts->items[i], "secret"));
        a->puts[i].keep = control_get_int(&puts->items[i], "keep", 0) != 0;
        if (a->puts[i].packed.p == NULL || a->puts[i].secret.p == NULL) return ERR_NOMEM;
    }
    for (size_t i = 0; i < delete_count; i++) {
        a->deletes[i] = arena_copy(&a->arena, control_get_text(&deletes->items[i], "key"));
        if (a->deletes[i].p == NULL) return ERR_NOMEM;
    }
    a->change.puts = a->puts;
    a->change.put_count = put_count;
    a->change.deletes = a->deletes;
    a->change.delete_count = delete_count;
    return ERR_OK;
}

static enum err copy_request(struct apply *a, const struct control_request *request)
{
    const struct control_record *args = &request->args;
    a->base_digest = arena_copy(&a->arena, control_get_text(args, "base_digest"));
    a->message = arena_copy(&a->arena, control_get_text(args, "message"));
    a->allow = arena_copy(&a->arena, control_get_text(args, "allow"));
    a->wait_for = arena_copy(&a->arena, control_get_text(args, "wait"));
    a->timeout_ms = control_get_int(args, "timeout_ms", RECEIPT_WAIT_MS);
    a->dry_run = control_get_int(args, "dry_run", 0) != 0 || slice_is(request->command, "plan diff");
    a->force = control_get_int(args, "force", 0) != 0;
    a->change.cluster_key = a->n->identity.cluster_key;
    if (a->base_digest.p == NULL || a->message.p == NULL || a->allow.p == NULL || a->wait_for.p == NULL)
        return ERR_NOMEM;
    return copy_lists(a, args);
}

static bool list_has(struct slice list, const char *id)
{
    while (list.n > 0) {
        struct slice item;
        list = slice_cut(list, ',', &item);
        if (slice_is(slice_trim(item), id) || slice_is(slice_trim(item), "all")) return true;
    }
    return false;
}

/* Sends what lint found; returns how many findings stand in the way. */
static size_t send_findings(struct apply *a)
{
    size_t blocking = 0;
    for (size_t i = 0; i < a->change.report.count; i++) {
        const struct lint_finding *f = &a->change.report.findings[i];
        struct arena arena = {0};
        struct control_builder b;
        control_record_start(&b, &arena, "finding");
        control_text(&b, "severity", f->severity == LINT_ERROR ? SLICE("error") : SLICE("warning"));
        control_text(&b, "id", slice_of(f->id));
        control_text(&b, "object", f->object);
        control_int(&b, "line", f->line);
        control_text(&b, "text", f->text);
        send_record(a->reply, &b);
        arena_fini(&arena);
        blocking += f->severity == LINT_ERROR || !list_has(a->allow, f->id);
    }
    return blocking;
}

static void send_applied(struct apply *a, const struct log_id *id)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[PLAN_DIGEST_TEXT];
    char id_text[LIMIT_NAME + 48] = "";
    if (id != NULL) change_id_text(id, id_text, sizeof id_text);
    plan_digest_text(id != NULL ? a->n->plan_digest : a->change.digest, text);
    control_record_start(&b, &arena, "applied");
    control_text(&b, "change", slice_of(id_text));
    control_int(&b, "added", (int64_t)a->change.added);
    control_int(&b, "changed", (int64_t)a->change.changed);
    control_int(&b, "removed", (int64_t)a->change.removed);
    control_text(&b, "digest", slice_of(text));
    send_record(a->reply, &b);
    arena_fini(&arena);
}

static void send_ops(struct apply *a)
{
    for (size_t i = 0; i < a->change.op_count; i++) {
        struct arena arena = {0};
        struct control_builder b;
        control_record_start(&b, &arena, "op");
        control_text(&b, "action",
                     a->change.ops[i].kind == CHANGE_DELETE ? SLICE("remove")
                     : a->change.op_added[i]                ? SLICE("add")
                                                            : SLICE("change"));
        control_text(&b, "object", a->change.ops[i].key);
        send_record(a->reply, &b);
        arena_fini(&arena);
    }
}

static void send_receipt(struct apply *a, struct slice node, uint64_t ms, bool durable, const char *note)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "receipt");
    control_text(&b, "node", node);
    if (durable)
        control_int(&b, "ms", (int64_t)ms);
    else
        control_null(&b, "ms");
    control_bool(&b, "durable", durable);
    control_text(&b, "note", slice_of(note));
    send_record(a->reply, &b);
    arena_fini(&arena);
}

/* Members that will get it later are named, never counted. */
static size_t send_unreachable(struct apply *a)
{
    size_t away = 0;
    for (size_t i = 1; i < repl_member_count(a->n->repl); i++) {
        struct repl_member_view m = repl_member_at(a->n->repl, i);
        if (m.status == MEMBER_ALIVE || m.status == MEMBER_EVICTED || m.status == MEMBER_LEFT) continue;
        send_receipt(a, node_name_slice(&m.name), 0, false, "unreachable, will catch up");
        away++;
    }
    return away;
}

static void receipts_end(struct apply *a)
{
    change_wait_end(&a->wait);
    size_t away = send_unreachable(a);
    if (a->received < a->expected) {
        apply_end(a, 4,
                  "not every live node has confirmed the change in time; it is durable here and they will catch up");
    } else if (away > 0) {
        apply_end(a, 4, "done on the nodes that can be reached; the others will catch up");
    } else {
        apply_end(a, 0, "");
    }
}

static void on_receipt(struct change_wait *w, const struct node_name *peer, uint64_t elapsed_ms)
{
    struct apply *a = CONTAINER_OF(w, struct apply, wait);
    send_receipt(a, node_name_slice(peer), elapsed_ms, true, "");
    if (++a->received >= a->expected) receipts_end(a);
}

static void on_receipt_timeout(uv_timer_t *timer)
{
    receipts_end(timer->data);
}

/* --wait: how many members must confirm before the answer. "live" (default), "all", or a number that includes this
 * node. */
static size_t receipts_expected(const struct apply *a)
{
    uint64_t wanted = 0;
    size_t live = 0;
    size_t all = 0;
    for (size_t i = 1; i < repl_member_count(a->n->repl); i++) {
        enum member_status s = repl_member_at(a->n->repl, i).status;
        live += s == MEMBER_ALIVE;
        all += s != MEMBER_EVICTED && s != MEMBER_LEFT;
    }
    if (slice_is(a->wait_for, "all")) return all;
    if (slice_u64(a->wait_for, LIMIT_MEMBERS, &wanted) == ERR_OK) return wanted > 0 ? (size_t)wanted - 1 : 0;
    return live;
}

static void on_applied(struct change_wait *w, enum err err, const struct log_id *id)
{
    struct apply *a = CONTAINER_OF(w, struct apply, wait);
    if (err != ERR_OK) {
        struct err_info info = {0};
        char text[LIMIT_TEXT];
        change_wait_end(w);
        if (store_health(a->n->store, &info) != ERR_OK) {
            (void)snprintf(text, sizeof text, "the change was refused and nothing of it applied: %s", info.text);
        } else {
            (void)snprintf(text, sizeof text, "the change was refused and nothing of it applied: %s", err_name(err));
        }
        apply_end(a, 1, text);
        return;
    }
    send_applied(a, id);
    send_receipt(a, node_name_slice(&a->n->self), mono_ms_between(a->started, node_mono()), true, "this node");
    a->expected = receipts_expected(a);
    if (a->expected == 0) {
        receipts_end(a);
        return;
    }
    if (uv_timer_init(a->n->loop, &a->timer) == 0) {
        a->timer_open = true;
        a->timer.data = a;
        (void)uv_timer_start(&a->timer, on_receipt_timeout, (uint64_t)(a->timeout_ms > 0 ? a->timeout_ms : 1), 0);
    }
}

static void apply_work(uv_work_t *work)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    a->err = plan_change_prepare(a->read, &a->arena, &a->change, &a->info);
}

/* Refuses, or hands the operations to the core. */
static void apply_decide(struct apply *a)
{
    char text[LIMIT_TEXT];
    char seen[PLAN_DIGEST_TEXT];
    plan_digest_text(a->change.digest, seen);
    if (a->base_digest.n > 0 && !a->force && !slice_is(a->base_digest, seen)) {
        apply_end(a, 3, "the plan moved since you looked: run \"plan diff\" again, or --force to apply all the same");
        return;
    }
    size_t blocking = send_findings(a);
    if (a->dry_run) {
        send_ops(a);
        send_applied(a, NULL);
        apply_end(a, blocking > 0 ? 3 : 0, "");
        return;
    }
    if (blocking > 0) {
        (void)snprintf(text, sizeof text, "%zu findings stand in the way: mend them, or accept warnings with --allow",
                       blocking);
        apply_end(a, 3, text);
        return;
    }
    if (a->change.op_count == 0) {
        send_applied(a, NULL);
        apply_end(a, 0, "nothing to change: the plan already says so");
        return;
    }
    struct slice user = control_reply_user(a->reply);
    const char *author = arena_printf(&a->arena, "%.*s@%s", SLICE_ARG(user), a->n->config.node);
    a->started = node_mono();
    a->wait.on_applied = on_applied;
    a->wait.on_receipt = on_receipt;
    replica_change(a->n, &a->wait, slice_of(author), a->message, a->change.ops, a->change.op_count);
}

static void apply_after_work(uv_work_t *work, int status)
{
    struct apply *a = CONTAINER_OF(work, struct apply, work);
    if (status != 0 || a->n->stopping) {
        apply_end(a, 5, "the node is stopping");
        return;
    }
    if (a->err != ERR_OK) {
        apply_end(a, 1, a->info.text[0] != '\0' ? a->info.text : err_name(a->err));
        return;
    }
    /* Somebody else's change came in while we looked: look again, so that what was linted is what will be. */
    if (!plan_digest_eq(a->change.digest, a->n->plan_digest) && a->tries++ < 3) {
        struct plan_change *c = &a->change;
        *c = (struct plan_change){.puts = c->puts,
                                  .put_count = c->put_count,
                                  .deletes = c->deletes,
                                  .delete_count = c->delete_count,
                                  .cluster_key = c->cluster_key};
        if (uv_queue_work(a->n->loop, &a->work, apply_work, apply_after_work) == 0) return;
    }
    apply_decide(a);
}

NODE_COMMAND(command_plan_apply)
{
    struct apply *a = calloc(1, sizeof *a);
    if (a == NULL) {
        control_reply_end(reply, 1, SLICE("no memory"));
        return;
    }
    a->n = ctx;
    a->reply = reply;
    list_init(&a->wait.node);
    enum err e = copy_request(a, request);
    if (e == ERR_OK) e = store_read_new(a->n->store, &a->read);
    if (e == ERR_OK && uv_queue_work(a->n->loop, &a->work, apply_work, apply_after_work) != 0) e = ERR_NOMEM;
    if (e != ERR_OK) apply_end(a, 1, err_name(e));
}
