/* commands_history: plan log and plan show CHANGE: what the logs tell of the plan's changes. */
#include <stdio.h>
#include <stdlib.h>

#include "node/app/confirm.h"
#include "node/app/history.h"
#include "node/app/listing.h"
#include "proto/plan_codec.h"

#define LOG_ROWS_MAX 100000
#define NO_SUCH_CHANGE "no such change; \"clusterctl plan log\" lists them"

/* ---- a change in one row ---- */

struct row {
    struct log_id id;
    struct wall time;
    struct slice author;
    struct slice message;
    size_t ops;
    struct slice summary;
    struct slice state; /* "" or what is to be said of its confirmation */
    struct wall confirm_by;
};

static struct slice summary(struct arena *arena, const struct changeset *c)
{
    struct buf text = {0};
    static const char *const words[] = {[CHANGE_PUT] = "put", [CHANGE_DELETE] = "remove", [CHANGE_ACCEPT] = "accept"};
    for (size_t i = 0; i < c->op_count && i < 3; i++) {
        buf_printf(&text, "%s%s %.*s", i > 0 ? ", " : "", words[c->ops[i].kind], SLICE_ARG(c->ops[i].key));
    }
    if (c->op_count > 3) buf_printf(&text, " and %zu more", c->op_count - 3);
    struct slice copy = text.failed ? SLICE_NONE : arena_copy(arena, buf_view(&text));
    buf_fini(&text);
    return copy;
}

static void add_state(struct listing *l, const struct changeset *c, struct row *row)
{
    struct store_pending p;
    char text[CHANGE_ID_TEXT + 64];
    if (c->terms.confirm_by.ms == 0 || store_pending(l->read, &c->id, &p) != ERR_OK) return;
    confirm_text(&p, node_wall(), text, sizeof text);
    row->state = arena_copy(&l->arena, slice_of(text));
    row->confirm_by = p.state == PENDING_OPEN ? p.confirm_by : (struct wall){0};
}

static struct row row_of(struct listing *l, const struct changeset *c)
{
    struct arena *arena = &l->arena;
    struct row row = {.id = c->id,
                      .time = c->terms.made.ms > 0 ? c->terms.made : (struct wall){(int64_t)(c->time.v >> 16)},
                      .author = arena_copy(arena, c->author),
                      .message = arena_copy(arena, c->message),
                      .ops = c->op_count,
                      .summary = summary(arena, c)};
    add_state(l, c, &row);
    return row;
}

static void send_row(const struct listing *l, const struct row *row)
{
    struct arena arena = {0};
    struct control_builder b;
    char id[CHANGE_ID_TEXT];
    change_id_text(&row->id, id);
    control_record_start(&b, &arena, "change");
    control_text(&b, "id", slice_of(id));
    command_time(&b, "time", row->time);
    control_text(&b, "author", row->author);
    control_text(&b, "message", row->message);
    control_int(&b, "ops", (int64_t)row->ops);
    control_text(&b, "summary", row->summary);
    if (row->state.n > 0) {
        control_text(&b, "state", row->state);
    } else {
        control_null(&b, "state");
    }
    command_time(&b, "confirm_by", row->confirm_by);
    command_record(l->reply, &b);
    arena_fini(&arena);
}

/* ---- plan log ---- */

struct log_listing {
    struct listing l;
    size_t limit;
    struct slice object; /* the request's: a key or the beginning of one, "" all */
    struct row *rows;    /* in the arena */
    size_t row_cap;
};

static bool about(const struct changeset *c, struct slice object)
{
    bool found = object.n == 0;
    for (size_t i = 0; i < c->op_count && !found; i++)
        found = slice_starts(c->ops[i].key, object);
    return found;
}

/* The rows double in the arena. */
static enum err keep_row(struct log_listing *log, const struct changeset *c)
{
    struct listing *l = &log->l;
    if (l->count == log->row_cap) {
        size_t cap = log->row_cap == 0 ? 32 : log->row_cap * 2;
        struct row *grown = arena_alloc(&l->arena, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        if (l->count > 0) memcpy(grown, log->rows, l->count * sizeof *grown);
        log->rows = grown;
        log->row_cap = cap;
    }
    log->rows[l->count++] = row_of(l, c);
    return ERR_OK;
}

/* One that cannot be read does not hide the others. */
static bool visit_log(void *ctx, const struct log_id *id, struct slice packed)
{
    struct log_listing *log = ctx;
    struct arena scratch = {0};
    struct changeset c;
    (void)id;
    enum err e = changeset_unpack(&scratch, packed, &c, NULL);
    if (e == ERR_OK && about(&c, log->object)) e = keep_row(log, &c);
    arena_fini(&scratch);
    if (e == ERR_NOMEM) log->l.err = e;
    return e != ERR_NOMEM && log->l.count < log->limit;
}

static enum err gather_log(struct listing *l)
{
    struct log_listing *log = CONTAINER_OF(l, struct log_listing, l);
    enum err e = store_history(l->read, SIZE_MAX, visit_log, log);
    return e == ERR_OK ? l->err : e;
}

static void send_log_row(struct listing *l, size_t i)
{
    send_row(l, &CONTAINER_OF(l, struct log_listing, l)->rows[i]);
}

NODE_COMMAND(command_plan_log)
{
    struct log_listing *log = calloc(1, sizeof *log);
    int64_t limit = control_get_int(&request->args, "limit", 20);
    if (log == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    log->l = (struct listing){.n = ctx, .reply = reply, .gather = gather_log, .send = send_log_row};
    log->limit = limit > 0 && limit < LOG_ROWS_MAX ? (size_t)limit : LOG_ROWS_MAX;
    log->object = control_get_text(&request->args, "object");
    listing_start_take(&log->l);
}

/* ---- plan show CHANGE ---- */

struct change_listing {
    struct listing l;
    struct log_id id;
    struct row row;
    struct history_change change;
};

static enum err gather_change(struct listing *l)
{
    struct change_listing *c = CONTAINER_OF(l, struct change_listing, l);
    enum err e = history_change(l->read, &l->arena, &c->id, &c->change);
    if (e != ERR_OK) return e;
    c->row = row_of(l, &c->change.change);
    l->count = 1 + c->change.op_count;
    return ERR_OK;
}

static const char *action_of(const struct history_op *op)
{
    if (op->kind != CHANGE_PUT) return op->kind == CHANGE_DELETE ? "remove" : "accept";
    return op->known == HISTORY_PRESENT ? "change" : op->known == HISTORY_ABSENT ? "add" : "put";
}

static void send_op(const struct listing *l, const struct history_op *op)
{
    struct arena arena = {0};
    struct control_builder b;
    char by[CHANGE_ID_TEXT];
    control_record_start(&b, &arena, "op");
    control_text(&b, "action", slice_of(action_of(op)));
    control_text(&b, "object", op->key);
    control_bool(&b, "before_known", op->known != HISTORY_UNKNOWN || op->kind == CHANGE_ACCEPT);
    if (op->before.n > 0) {
        control_bytes(&b, "before", op->before);
    } else {
        control_null(&b, "before");
    }
    if (op->after.n > 0) {
        control_bytes(&b, "after", op->after);
    } else {
        control_null(&b, "after");
    }
    static const char *const fates[] = {
        [HISTORY_IN_FORCE] = "in force", [HISTORY_REPLACED] = "replaced", [HISTORY_OVERRIDDEN] = "overridden"};
    control_text(&b, "state", slice_of(fates[op->fate]));
    if (op->by_known && op->fate != HISTORY_IN_FORCE) {
        change_id_text(&op->by, by);
        control_text(&b, "by", slice_of(by));
    } else {
        control_null(&b, "by");
    }
    command_record(l->reply, &b);
    arena_fini(&arena);
}

static void send_change(struct listing *l, size_t i)
{
    struct change_listing *c = CONTAINER_OF(l, struct change_listing, l);
    if (i == 0) {
        send_row(l, &c->row);
    } else {
        send_op(l, &c->change.ops[i - 1]);
    }
}

void history_show(struct node *n, const struct control_request *request, struct control_reply *reply)
{
    struct log_id id;
    if (!history_parse_id(control_get_text(&request->args, "change"), &id)) {
        control_reply_end(reply, 1, SLICE("not the id of a change: \"clusterctl plan log\" lists them"));
        return;
    }
    struct change_listing *c = calloc(1, sizeof *c);
    if (c == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    c->l =
        (struct listing){.n = n, .reply = reply, .gather = gather_change, .send = send_change, .none = NO_SUCH_CHANGE};
    c->id = id;
    listing_start_take(&c->l);
}
