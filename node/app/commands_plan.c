/* commands_plan: plan show and plan log.
 *
 * A plan or a history may be large. What takes long to read is read on a worker thread, with a reader of its own; what
 * is much to say goes out in pages, and the next one when the client has read the last. No reader stays begun in
 * between, so a plan that moves while it is shown ends the reply: half of one plan and half of another is none. */
#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

#define PAGE_RECORDS 500
#define LOG_ROWS_MAX 100000

static void send_object(struct control_reply *reply, struct slice key, struct slice packed)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "object");
    control_text(&b, "key", key);
    control_bytes(&b, "packed", packed);
    command_record(reply, &b);
    arena_fini(&arena);
}

static void send_digest(struct control_reply *reply, struct plan_digest digest)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[PLAN_DIGEST_TEXT];
    plan_digest_text(digest, text);
    control_record_start(&b, &arena, "plan");
    control_text(&b, "digest", slice_of(text));
    command_record(reply, &b);
    arena_fini(&arena);
}

/* ---- plan show: the objects as they are ---- */

struct show {
    struct node *n;
    struct control_reply *reply;
    struct slice prefix; /* of keys; the request's, which lives until the end */
    struct plan_digest digest;
    char last[PLAN_KEY_MAX]; /* the key shown last */
    size_t last_len;
    size_t shown;
    size_t page;
    bool started;
    bool more;
};

static void show_end(struct show *s, int status, const char *text)
{
    control_reply_end(s->reply, status, slice_of(text));
    free(s);
}

static bool visit_object(void *ctx, struct slice key, struct slice packed)
{
    struct show *s = ctx;
    if (!slice_starts(key, s->prefix)) return false;
    s->more = s->page == PAGE_RECORDS || control_reply_pending(s->reply) > CONTROL_PENDING_PAUSE;
    if (s->more || key.n > sizeof s->last) return false;
    send_object(s->reply, key, packed);
    memcpy(s->last, key.p, key.n);
    s->last_len = key.n;
    s->shown++;
    s->page++;
    return true;
}

static enum err show_objects(struct show *s, bool *moved)
{
    struct plan_digest digest;
    struct slice last = {s->last, s->last_len};
    s->page = 0;
    s->more = false;
    enum err e = node_read_begin(s->n);
    if (e != ERR_OK) return e;
    store_plan_digest(s->n->read, &digest);
    *moved = s->started && !plan_digest_eq(digest, s->digest);
    if (!s->started) send_digest(s->reply, digest);
    if (!s->started) s->digest = digest;
    s->started = true;
    if (!*moved) e = store_objects(s->n->read, s->shown > 0 ? last : s->prefix, s->shown > 0, visit_object, s);
    node_read_end(s->n);
    return e;
}

static void show_page(void *ctx, struct control_reply *reply)
{
    struct show *s = ctx;
    bool moved = false;
    if (s->n->stopping || control_reply_gone(reply)) {
        show_end(s, 5, "the node is stopping");
        return;
    }
    enum err e = show_objects(s, &moved);
    if (e != ERR_OK) {
        show_end(s, 1, err_name(e));
    } else if (moved) {
        show_end(s, 3, "the plan changed while it was being shown: ask again");
    } else if (s->more) {
        control_reply_on_drain(reply, show_page, s);
    } else if (s->prefix.n > 0 && s->shown == 0) {
        show_end(s, 1, "no such object; \"clusterctl plan show\" prints them all");
    } else {
        show_end(s, 0, "");
    }
}

/* ---- what is gathered on a worker thread and said in pages ---- */

struct row {
    struct log_id id;
    struct wall time;
    struct slice author;
    struct slice message;
    size_t ops;
    struct slice summary;
};

struct listing {
    uv_work_t work;
    struct node *n;
    struct control_reply *reply;
    struct store_read *read;
    struct arena arena;
    enum err err;
    enum err (*gather)(struct listing *l);
    void (*send)(struct listing *l, size_t i);
    size_t count; /* of what gather found */
    size_t sent;
    /* one change */
    struct log_id id;
    struct changeset change;
    struct plan_digest digest;
    /* the log */
    size_t limit;
    struct row *rows;
    size_t row_cap;
};

static void listing_end(struct listing *l, int status, const char *text)
{
    control_reply_end(l->reply, status, slice_of(text));
    if (l->read != NULL) store_read_free(l->read);
    free(l->rows);
    arena_fini(&l->arena);
    free(l);
}

static void listing_page(void *ctx, struct control_reply *reply)
{
    struct listing *l = ctx;
    if (l->n->stopping || control_reply_gone(reply)) {
        listing_end(l, 5, "the node is stopping");
        return;
    }
    for (size_t i = 0; i < PAGE_RECORDS && l->sent < l->count; i++) {
        if (control_reply_pending(reply) > CONTROL_PENDING_PAUSE) break;
        l->send(l, l->sent++);
    }
    if (l->sent < l->count) {
        control_reply_on_drain(reply, listing_page, l);
    } else {
        listing_end(l, 0, "");
    }
}

static void listing_work(uv_work_t *work)
{
    struct listing *l = CONTAINER_OF(work, struct listing, work);
    l->err = store_read_begin(l->read);
    if (l->err != ERR_OK) return;
    l->err = l->gather(l);
    store_read_end(l->read);
}

static void listing_after_work(uv_work_t *work, int status)
{
    struct listing *l = CONTAINER_OF(work, struct listing, work);
    node_work_done(l->n);
    if (status != 0) {
        listing_end(l, 5, "the node is stopping");
    } else if (l->err == ERR_NOTFOUND) {
        listing_end(l, 1, "no such change; \"clusterctl plan log\" lists them");
    } else if (l->err != ERR_OK) {
        listing_end(l, 1, err_name(l->err));
    } else {
        listing_page(l, l->reply);
    }
}

/* like is copied. */
static void listing_start(const struct listing *like)
{
    struct listing *l = malloc(sizeof *l);
    if (l == NULL) {
        command_end(like->reply, ERR_NOMEM);
        return;
    }
    *l = *like;
    enum err e = store_read_new(l->n->store, &l->read);
    if (e == ERR_OK) e = node_work(l->n, &l->work, listing_work, listing_after_work);
    if (e != ERR_OK) listing_end(l, 1, err_name(e));
}

/* ---- plan show CHANGE ---- */

/* "hq-1/18f3a/12", as plan log prints it. */
static bool parse_change_id(struct slice text, struct log_id *id)
{
    struct slice origin;
    struct slice epoch;
    struct slice rest = slice_cut(text, '/', &origin);
    rest = slice_cut(rest, '/', &epoch);
    id->epoch = 0;
    for (size_t i = 0; i < epoch.n; i++) {
        char c = epoch.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) return false;
        id->epoch = id->epoch << 4 | digit;
    }
    return epoch.n > 0 && epoch.n <= 16 && node_name_set(&id->origin, origin) == ERR_OK &&
           slice_u64(rest, UINT64_MAX, &id->seq) == ERR_OK;
}

struct find_change {
    struct listing *l;
    bool found;
    enum err err;
};

static bool visit_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct find_change *f = ctx;
    struct slice copy = SLICE_NONE;
    if (id->seq != f->l->id.seq) return false;
    f->found = true;
    copy = arena_copy(&f->l->arena, packed);
    f->err = copy.p != NULL ? changeset_unpack(&f->l->arena, copy, &f->l->change, NULL) : ERR_NOMEM;
    return false;
}

static enum err gather_change(struct listing *l)
{
    struct find_change f = {.l = l};
    store_plan_digest(l->read, &l->digest);
    enum err e = store_log(l->read, &l->id.origin, l->id.epoch, l->id.seq, visit_change, &f);
    if (e == ERR_OK) e = f.err;
    if (e == ERR_OK && !f.found) e = ERR_NOTFOUND;
    l->count = l->change.op_count;
    return e;
}

static void send_op(struct listing *l, size_t i)
{
    const struct change_op *op = &l->change.ops[i];
    struct arena arena = {0};
    struct control_builder b;
    if (i == 0) send_digest(l->reply, l->digest);
    if (op->kind == CHANGE_PUT) {
        send_object(l->reply, op->key, op->value);
        return;
    }
    control_record_start(&b, &arena, "removed");
    control_text(&b, "key", op->key);
    command_record(l->reply, &b);
    arena_fini(&arena);
}

NODE_COMMAND(command_plan_show)
{
    struct node *n = ctx;
    struct slice change = control_get_text(&request->args, "change");
    if (change.n > 0) {
        struct listing l = {.n = n, .reply = reply, .gather = gather_change, .send = send_op};
        if (parse_change_id(change, &l.id)) {
            listing_start(&l);
        } else {
            control_reply_end(reply, 1, SLICE("not the id of a change: \"clusterctl plan log\" lists them"));
        }
        return;
    }
    struct show *s = calloc(1, sizeof *s);
    if (s == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    *s = (struct show){.n = n, .reply = reply, .prefix = control_get_text(&request->args, "object")};
    show_page(s, reply);
}

/* ---- plan log ---- */

static struct slice summary(struct arena *arena, const struct changeset *c)
{
    struct buf text = {0};
    for (size_t i = 0; i < c->op_count && i < 3; i++) {
        buf_printf(&text, "%s%s %.*s", i > 0 ? ", " : "", c->ops[i].kind == CHANGE_PUT ? "put" : "remove",
                   SLICE_ARG(c->ops[i].key));
    }
    if (c->op_count > 3) buf_printf(&text, " and %zu more", c->op_count - 3);
    struct slice copy = text.failed ? SLICE_NONE : arena_copy(arena, buf_view(&text));
    buf_fini(&text);
    return copy;
}

static bool visit_log(void *ctx, const struct log_id *id, struct slice packed)
{
    struct listing *l = ctx;
    struct arena scratch = {0};
    struct changeset c;
    if (l->count == l->row_cap) {
        size_t cap = l->row_cap == 0 ? 32 : l->row_cap * 2;
        struct row *grown = realloc(l->rows, cap * sizeof *grown);
        if (grown == NULL) {
            l->err = ERR_NOMEM;
            return false;
        }
        l->rows = grown;
        l->row_cap = cap;
    }
    l->err = changeset_unpack(&scratch, packed, &c, NULL);
    if (l->err == ERR_OK) {
        l->rows[l->count++] = (struct row){.id = *id,
                                           .time = {(int64_t)(c.time.v >> 16)},
                                           .author = arena_copy(&l->arena, c.author),
                                           .message = arena_copy(&l->arena, c.message),
                                           .ops = c.op_count,
                                           .summary = summary(&l->arena, &c)};
    }
    arena_fini(&scratch);
    if (l->err != ERR_NOMEM) l->err = ERR_OK; /* one that cannot be read does not hide the others */
    return l->err == ERR_OK;
}

static enum err gather_log(struct listing *l)
{
    enum err e = store_history(l->read, l->limit, visit_log, l);
    return e == ERR_OK ? l->err : e;
}

static void send_row(struct listing *l, size_t i)
{
    const struct row *row = &l->rows[i];
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
    command_record(l->reply, &b);
    arena_fini(&arena);
}

NODE_COMMAND(command_plan_log)
{
    struct listing l = {.n = ctx, .reply = reply, .gather = gather_log, .send = send_row, .limit = LOG_ROWS_MAX};
    int64_t limit = control_get_int(&request->args, "limit", 20);
    if (limit > 0 && limit < LOG_ROWS_MAX) l.limit = (size_t)limit;
    listing_start(&l);
}
