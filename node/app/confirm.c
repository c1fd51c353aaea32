#include "node/app/confirm.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

#define GRACE_MS 3000 /* of the first of the others, when the origin is not there */
#define RANK_MS 3000  /* more for each further one */
#define RANK_MAX 20
#define ORIGIN_MS 30000 /* more while the origin is there: it may be that its disk is full */
#define RETRY_MS 5000   /* after an undo that could not be stored */
#define TIME_TRIES 64   /* to find a time that no other change of ours has */

/* A change that is open. */
struct watch {
    struct list_node node; /* of node.watches */
    struct log_id id;
    struct mono due;
    struct mono not_before; /* after a failure */
    bool seen;              /* in the present look */
    bool busy;              /* an undo is under way */
};

static bool same_id(const struct log_id *a, const struct log_id *b)
{
    return a->seq == b->seq && a->epoch == b->epoch && node_name_eq(&a->origin, &b->origin);
}

/* ---- what still carries the change ---- */

/* The operations of an undo or of a confirmation: on the objects that still have the change's stamp. */
static enum err still_there(struct store_read *read, struct arena *arena, const struct changeset *c, bool undo,
                            struct plan_change *out)
{
    const struct stamp own = changeset_stamp(c);
    out->ops = arena_alloc(arena, c->op_count * sizeof *out->ops);
    struct stamp *seen = arena_alloc(arena, sizeof *seen);
    if (out->ops == NULL || seen == NULL) return ERR_NOMEM;
    *seen = own;
    for (size_t i = 0; i < c->op_count; i++) {
        struct stamp now;
        enum err e = store_object_stamp(read, c->ops[i].key, &now);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e;
        if (e == ERR_NOTFOUND || stamp_cmp(&now, &own) != 0 || c->ops[i].kind == CHANGE_ACCEPT) continue;
        struct change_op op = {
            .kind = c->ops[i].kind, .key = c->ops[i].key, .value = c->ops[i].value, .seen = seen, .seen_count = 1};
        if (undo) {
            op.kind = c->ops[i].before.n > 0 ? CHANGE_PUT : CHANGE_DELETE;
            op.value = c->ops[i].before;
        }
        out->ops[out->op_count++] = op;
    }
    return ERR_OK;
}

/* The change-set of an open row, in the arena. */
static enum err unpack_row(struct arena *arena, const struct store_pending *row, struct changeset *c)
{
    struct slice packed = arena_copy(arena, row->packed);
    if (packed.p == NULL) return ERR_NOMEM;
    enum err e = changeset_unpack(arena, packed, c, NULL);
    return e == ERR_SYNTAX || e == ERR_LIMIT ? ERR_CORRUPT : e; /* it was valid when it was stored */
}

/* ---- undoing ---- */

struct undo {
    uv_work_t work;
    struct change_wait wait;
    struct node *n;
    struct store_read *read;
    struct arena arena;
    struct log_id id;
    struct slice message;
    struct plan_change change; /* ops */
    struct log_id self;        /* the log that the undo will be in */
    struct hlc exactly;
    enum err err;
};

static struct watch *find_watch(const struct node *n, const struct log_id *id)
{
    for (struct list_node *i = n->watches.next; i != &n->watches; i = i->next) {
        struct watch *w = CONTAINER_OF(i, struct watch, node);
        if (same_id(&w->id, id)) return w;
    }
    return NULL;
}

static void undo_end(struct undo *u, enum err e)
{
    struct node *n = u->n;
    struct watch *w = find_watch(n, &u->id);
    char id[CHANGE_ID_TEXT];
    change_id_text(&u->id, id);
    if (e != ERR_OK) {
        log_event(&n->log, LOG_WARN, "confirm", "not-undone", "change=%s err=\"%s\"", id, err_name(e));
    }
    if (w != NULL) {
        w->busy = false;
        w->not_before = mono_add_ms(node_mono(), RETRY_MS);
    }
    if (u->read != NULL) store_read_free(u->read);
    list_remove(&u->wait.node);
    arena_fini(&u->arena);
    free(u);
}

/* The smallest time from after on that no other change of ours has: stamps of one node are all different. */
static enum err own_time(struct store_read *read, const struct log_id *self, struct hlc after, struct hlc *out)
{
    for (unsigned i = 0; i < TIME_TRIES; i++) {
        struct log_id taken;
        const struct stamp wanted = {.time = {after.v + i}, .origin = self->origin, .epoch = self->epoch};
        enum err e = store_change_at(read, &wanted, &taken);
        if (e == ERR_NOTFOUND) {
            *out = wanted.time;
            return ERR_OK;
        }
        if (e != ERR_OK) return e;
    }
    return ERR_LIMIT;
}

static enum err undo_prepare(struct undo *u)
{
    struct store_pending row;
    struct changeset c;
    enum err e = store_pending(u->read, &u->id, &row);
    if (e == ERR_OK && row.state != PENDING_OPEN) return ERR_EXISTS; /* settled while we set out */
    if (e == ERR_OK) e = unpack_row(&u->arena, &row, &c);
    if (e == ERR_OK) e = still_there(u->read, &u->arena, &c, true, &u->change);
    if (e == ERR_OK) e = own_time(u->read, &u->self, (struct hlc){c.time.v + 1}, &u->exactly);
    if (e != ERR_OK) return e;
    char text[LIMIT_TEXT];
    char when[WALL_TEXT_SIZE];
    (void)snprintf(text, sizeof text, "not confirmed by %s: %.*s", wall_text(row.confirm_by, when),
                   SLICE_ARG(c.message));
    u->message = arena_copy(&u->arena, slice_of(text));
    return u->message.p != NULL ? ERR_OK : ERR_NOMEM;
}

static void undo_work(uv_work_t *work)
{
    struct undo *u = CONTAINER_OF(work, struct undo, work);
    u->err = store_read_begin(u->read);
    if (u->err != ERR_OK) return;
    u->err = undo_prepare(u);
    store_read_end(u->read);
}

static void on_undone(struct change_wait *w, enum err err, const struct log_id *id)
{
    struct undo *u = CONTAINER_OF(w, struct undo, wait);
    char of[CHANGE_ID_TEXT];
    char by[CHANGE_ID_TEXT];
    if (err == ERR_OK) {
        change_id_text(&u->id, of);
        change_id_text(id, by);
        log_event(&u->n->log, LOG_WARN, "confirm", "undone", "change=%s by=%s objects=%zu", of, by, u->change.op_count);
    }
    undo_end(u, err);
}

static void on_undo_receipt(struct change_wait *w, const struct node_name *peer, uint64_t elapsed_ms)
{
    (void)w;
    (void)peer;
    (void)elapsed_ms;
}

static void undo_after_work(uv_work_t *work, int status)
{
    struct undo *u = CONTAINER_OF(work, struct undo, work);
    struct node *n = u->n;
    char author[LIMIT_NAME + 16];
    node_work_done(n);
    if (status != 0 || n->stopping || u->err == ERR_EXISTS) {
        undo_end(u, ERR_OK);
        return;
    }
    if (u->err != ERR_OK) {
        undo_end(u, u->err);
        return;
    }
    (void)snprintf(author, sizeof author, "tandemd@%s", n->config.node);
    u->wait.on_applied = on_undone;
    u->wait.on_receipt = on_undo_receipt;
    struct change_request request = {
        .author = slice_of(author),
        .message = u->message,
        .ops = u->change.ops,
        .op_count = u->change.op_count,
        .terms = {.settles = u->id, .verdict = CHANGE_UNDOES, .says_seen = true, .made = node_wall()},
        .exactly = u->exactly};
    replica_change(n, &u->wait, &request);
}

static void undo_start(struct node *n, struct watch *w)
{
    struct undo *u = calloc(1, sizeof *u);
    w->not_before = mono_add_ms(node_mono(), RETRY_MS);
    if (u == NULL) return;
    u->n = n;
    u->id = w->id;
    u->self = (struct log_id){.origin = n->self, .epoch = repl_plan_epoch(n->repl)};
    list_init(&u->wait.node);
    w->busy = true;
    enum err e = store_read_new(n->store, &u->read);
    if (e == ERR_OK) e = node_work(n, &u->work, undo_work, undo_after_work);
    if (e != ERR_OK) undo_end(u, e);
}

/* ---- when ---- */

/* How many of the members that we see, the origin aside, come before us. */
static uint64_t own_rank(const struct node *n, const struct node_name *origin)
{
    uint64_t rank = 0;
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (m.status != MEMBER_ALIVE || node_name_eq(&m.name, origin)) continue;
        rank += memcmp(&m.name, &n->self, sizeof n->self) < 0;
    }
    return rank < RANK_MAX ? rank : RANK_MAX;
}

static uint64_t grace_ms(const struct node *n, const struct node_name *origin)
{
    if (node_name_eq(origin, &n->self)) return 0;
    bool there = repl_member_status(n->repl, origin) == MEMBER_ALIVE;
    return GRACE_MS + RANK_MS * own_rank(n, origin) + (there ? ORIGIN_MS : 0);
}

static struct mono due_of(const struct node *n, const struct store_pending *p)
{
    struct mono now = node_mono();
    bool arrives = n->watching; /* and is not found at the start */
    bool ours = node_name_eq(&p->id.origin, &n->self);
    uint64_t all = p->confirm_within_ms < CONFIRM_MAX_MS ? p->confirm_within_ms : CONFIRM_MAX_MS;
    if (arrives && (ours || repl_member_status(n->repl, &p->id.origin) == MEMBER_ALIVE)) return mono_add_ms(now, all);
    int64_t left = p->confirm_by.ms - node_wall().ms;
    if (left < 0) left = 0;
    return mono_add_ms(now, (uint64_t)left < all ? (uint64_t)left : all);
}

static bool visit_open(void *ctx, const struct store_pending *p)
{
    struct node *n = ctx;
    struct watch *w = find_watch(n, &p->id);
    if (w == NULL) {
        w = calloc(1, sizeof *w);
        if (w == NULL) return false; /* the next look finds it */
        w->id = p->id;
        w->due = due_of(n, p);
        list_append(&n->watches, &w->node);
    }
    w->seen = true;
    return true;
}

/* Those that are settled are forgotten; those that are due are undone. */
static void look_at_all(struct node *n)
{
    struct mono now = node_mono();
    for (struct list_node *i = n->watches.next; i != &n->watches;) {
        struct watch *w = CONTAINER_OF(i, struct watch, node);
        i = i->next;
        if (w->busy) continue;
        if (!w->seen) {
            list_remove(&w->node);
            free(w);
        } else if (mono_reached(now, w->not_before) &&
                   mono_reached(now, mono_add_ms(w->due, grace_ms(n, &w->id.origin)))) {
            undo_start(n, w);
        }
    }
}

void confirm_look(struct node *n)
{
    if (n->stopping || n->repl == NULL || node_read_begin(n) != ERR_OK) return;
    for (struct list_node *i = n->watches.next; i != &n->watches; i = i->next)
        CONTAINER_OF(i, struct watch, node)->seen = false;
    enum err e = store_pending_open(n->read, visit_open, n);
    node_read_end(n);
    n->watching = true;
    if (e == ERR_OK) look_at_all(n);
}

void confirm_stop(struct node *n)
{
    for (struct list_node *i = list_pop(&n->watches); i != NULL; i = list_pop(&n->watches))
        free(CONTAINER_OF(i, struct watch, node));
    for (struct list_node *i = n->waiting_changes.next; i != &n->waiting_changes;) {
        struct change_wait *w = CONTAINER_OF(i, struct change_wait, node);
        i = i->next;
        if (w->on_applied == on_undone) undo_end(CONTAINER_OF(w, struct undo, wait), ERR_OK);
    }
}

/* ---- in words ---- */

static void span_text(int64_t ms, char *out, size_t out_size)
{
    int64_t s = ms > 0 ? (ms + 999) / 1000 : 0;
    if (s >= 3600)
        (void)snprintf(out, out_size, "%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
    else if (s >= 60)
        (void)snprintf(out, out_size, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
    else
        (void)snprintf(out, out_size, "%llds", (long long)s);
}

void confirm_text(const struct store_pending *p, struct wall now, char *out, size_t out_size)
{
    char by[CHANGE_ID_TEXT];
    char span[32];
    out[0] = '\0';
    if (p == NULL) return;
    if (p->state == PENDING_OPEN) {
        span_text(p->confirm_by.ms - now.ms, span, sizeof span);
        (void)snprintf(out, out_size, "unconfirmed, undone in %s", span);
        return;
    }
    change_id_text(&p->by, by);
    (void)snprintf(out, out_size, "%s by %s", p->state == PENDING_CONFIRMED ? "confirmed" : "undone", by);
}

/* ---- confirming ---- */

struct only_open {
    struct log_id id;
    size_t count;
};

static bool visit_only(void *ctx, const struct store_pending *p)
{
    struct only_open *o = ctx;
    o->id = p->id;
    return ++o->count < 2;
}

static enum err find_only(struct store_read *read, struct log_id *id, struct err_info *info)
{
    struct only_open o = {.count = 0};
    enum err e = store_pending_open(read, visit_only, &o);
    if (e != ERR_OK) return e;
    if (o.count == 0) return err_fail(info, ERR_NOTFOUND, "no change waits for a confirmation");
    if (o.count > 1) {
        return err_fail(info, ERR_CONFLICT,
                        "several changes wait for a confirmation: name one; \"clusterctl plan log\" shows them");
    }
    *id = o.id;
    return ERR_OK;
}

static enum err read_open(struct store_read *read, const struct log_id *id, struct store_pending *row,
                          struct err_info *info)
{
    char by[CHANGE_ID_TEXT];
    struct slice packed;
    enum err e = store_pending(read, id, row);
    if (e == ERR_NOTFOUND) {
        return store_change(read, id, &packed) == ERR_OK
                   ? err_fail(info, ERR_EXISTS, "that change needs no confirmation: it stands")
                   : err_fail(info, ERR_NOTFOUND, "no such change here; \"clusterctl plan log\" lists them");
    }
    if (e != ERR_OK || row->state == PENDING_OPEN) return e;
    change_id_text(&row->by, by);
    return err_fail(info, ERR_EXISTS,
                    row->state == PENDING_CONFIRMED
                        ? "that change is confirmed already, by %s"
                        : "that change was undone, by %s: roll that one back, or apply it anew",
                    by);
}

static enum err prepare(struct store_read *read, struct arena *arena, const struct log_id *self, struct log_id *id,
                        struct plan_change *c, struct hlc *exactly, struct err_info *info)
{
    struct store_pending row;
    struct changeset change;
    enum err e = id->seq == 0 ? find_only(read, id, info) : ERR_OK;
    if (e == ERR_OK) e = read_open(read, id, &row, info);
    if (e == ERR_OK) e = unpack_row(arena, &row, &change);
    if (e == ERR_OK) e = still_there(read, arena, &change, false, c);
    struct hlc from = {change.time.v + CHANGE_SETTLE_ROOM / 2};
    return e == ERR_OK ? own_time(read, self, from, exactly) : e;
}

enum err confirm_prepare(struct store_read *read, struct arena *arena, const struct log_id *self, struct log_id *id,
                         struct plan_change *c, struct hlc *exactly, struct err_info *info)
{
    c->ops = NULL;
    c->op_count = 0;
    enum err e = store_read_begin(read);
    if (e != ERR_OK) return e;
    store_plan_digest(read, &c->digest);
    e = prepare(read, arena, self, id, c, exactly, info);
    store_read_end(read);
    return e;
}
