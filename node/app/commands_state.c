/* commands_state: status and counters: what is observed, as records for clusterctl. Nodes: commands_nodes.c.
 * Registrations: commands_registrations.c. */
#include "node/app/confirm.h"
#include "node/app/conflicts.h"

#include <stdio.h>

#include "proto/plan_codec.h"

/* A reply under construction: one record at a time in an arena of the request's own. */
struct sender {
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    struct control_builder b;
};

static void start(struct sender *s, const char *kind)
{
    arena_fini(&s->arena);
    control_record_start(&s->b, &s->arena, kind);
}

static void finish(struct sender *s)
{
    command_record(s->reply, &s->b);
}

static void end(struct sender *s, enum err e)
{
    arena_fini(&s->arena);
    command_end(s->reply, e);
}

static void digest_field(struct sender *s, const char *name, const struct plan_digest *d)
{
    char text[PLAN_DIGEST_TEXT];
    plan_digest_text(*d, text);
    control_text(&s->b, name, slice_of(text));
}

/* ---- counters ---- */

size_t node_counters(struct node *n, const struct counter_table *out[], size_t cap)
{
    size_t count = edge_counters(n->edge, out, cap);
    if (count < cap) out[count++] = &n->stall.table;
    if (count < cap) out[count++] = store_counters(n->store);
    if (count < cap) out[count++] = repl_counters(n->repl);
    if (count < cap) out[count++] = usage_counters(n->usage);
    if (n->mesh != NULL && count < cap) out[count++] = mesh_counters(n->mesh);
    if (n->control != NULL && count < cap) out[count++] = control_counters(n->control);
    if (n->http != NULL && count < cap) out[count++] = http_counters(n->http); /* its own page adds them itself */
    return count;
}

NODE_COMMAND(command_counters)
{
    struct sender s = {.n = ctx, .reply = reply};
    const struct counter_table *tables[NODE_COUNTER_TABLES];
    (void)request;
    size_t count = node_counters(ctx, tables, NODE_COUNTER_TABLES);
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            start(&s, "counter");
            control_text(&s.b, "module", slice_of(tables[t]->module));
            control_text(&s.b, "name", slice_of(tables[t]->names[i]));
            control_int(&s.b, "value", (int64_t)counter_get(&tables[t]->values[i]));
            finish(&s);
        }
    }
    end(&s, ERR_OK);
}

/* ---- status ---- */

static size_t members_alive(const struct node *n)
{
    size_t alive = 0;
    for (size_t i = 0; i < repl_member_count(n->repl); i++)
        alive += repl_member_at(n->repl, i).status == MEMBER_ALIVE;
    return alive;
}

struct binding_count {
    const struct node *n;
    size_t count;
    size_t limit; /* 0: none */
};

static bool is_gone(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}

static bool count_binding(void *ctx, const struct state_record *record)
{
    struct binding_count *b = ctx;
    b->count += node_name_eq(&record->owner, &b->n->self) || !is_gone(repl_member_status(b->n->repl, &record->owner));
    return b->limit == 0 || b->count < b->limit;
}

/* Only while there is something to say: deletions that wait to be forgotten, a snapshot that is coming. */
static void replica_fields(struct sender *s)
{
    struct repl_floor_view f = repl_floor(s->n->repl);
    if (f.tombstones > 0) {
        control_int(&s->b, "tombstones", (int64_t)f.tombstones);
        if (f.floor.v > 0) command_time(&s->b, "floor", (struct wall){(int64_t)(f.floor.v >> 16)});
    }
    if (!f.fetching) return;
    control_text(&s->b, "snapshot_from", node_name_slice(&f.donor));
    control_int(&s->b, "snapshot_objects", (int64_t)f.objects);
}

/* The first change that waits for its confirmation, in words; how many there are in count. */
struct unconfirmed {
    struct wall now;
    size_t count;
    char first[CHANGE_ID_TEXT + 80];
};

static bool visit_unconfirmed(void *ctx, const struct store_pending *p)
{
    struct unconfirmed *u = ctx;
    char id[CHANGE_ID_TEXT];
    char state[64];
    if (u->count++ > 0) return true;
    change_id_text(&p->id, id);
    confirm_text(p, u->now, state, sizeof state);
    (void)snprintf(u->first, sizeof u->first, "%s: %s", id, state);
    return true;
}

static void unconfirmed_field(struct sender *s, const struct unconfirmed *u)
{
    if (u->count == 0) {
        control_null(&s->b, "unconfirmed");
    } else if (u->count == 1) {
        control_text(&s->b, "unconfirmed", slice_of(u->first));
    } else {
        control_printf(&s->b, "unconfirmed", "%s, and %zu more", u->first, u->count - 1);
    }
}

/* Where all else is well, what the plan waits for. */
static void plan_verdict(const struct unconfirmed *u, size_t conflicts, char *out, size_t out_size)
{
    if (strcmp(out, "ok") != 0) return;
    if (u->count > 0) {
        (void)snprintf(out, out_size, "a change waits to be confirmed: see clusterctl plan log");
    } else if (conflicts > 0) {
        (void)snprintf(out, out_size, "a merge overrode %zu edit%s: see clusterctl plan conflicts", conflicts,
                       conflicts == 1 ? "" : "s");
    }
}

/* Argument: limit, so many registrations are counted at most: of a hundred thousand that takes the loop's time. */
NODE_COMMAND(command_status)
{
    struct node *n = ctx;
    struct sender s = {.n = n, .reply = reply};
    struct store_plan_counts counts = {{0}};
    struct plan_digest digest = {{0}};
    struct err_info info = {0};
    int64_t limit = control_get_int(&request->args, "limit", 0);
    struct binding_count bindings = {.n = n, .limit = limit > 0 ? (size_t)limit : 0};
    size_t conflicts = 0;
    struct unconfirmed open = {.now = node_wall()};
    struct hlc changed = {0};
    char verdict[LIMIT_TEXT];
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        store_plan_counts(n->read, &counts);
        store_plan_digest(n->read, &digest);
        e = store_history_newest(n->read, &changed);
        if (e == ERR_OK) e = store_state_find(n->read, STATE_BINDING, SLICE(""), count_binding, &bindings);
        if (e == ERR_OK) e = store_pending_open(n->read, visit_unconfirmed, &open);
        if (e == ERR_OK) e = conflicts_count(n->read, &conflicts);
        node_read_end(n);
    }
    node_verdict(n, verdict, sizeof verdict);
    plan_verdict(&open, conflicts, verdict, sizeof verdict);
    start(&s, "status");
    control_text(&s.b, "verdict", slice_of(verdict));
    control_text(&s.b, "node", slice_of(n->config.node));
    control_text(&s.b, "site", slice_of(n->config.site));
    control_text(&s.b, "cluster", slice_of(n->identity.cluster));
    control_text(&s.b, "version", SLICE(TANDEM_VERSION));
    command_time(&s.b, "started", n->started);
    digest_field(&s, "plan_digest", &digest);
    command_time(&s.b, "plan_changed", (struct wall){(int64_t)(changed.v >> 16)});
    uint64_t objects = 0;
    for (size_t k = 0; k < PLAN_KIND_COUNT; k++)
        objects += counts.kinds[k];
    control_int(&s.b, "plan_objects", (int64_t)objects);
    control_int(&s.b, "routes", (int64_t)counts.kinds[PLAN_ROUTE]);
    control_int(&s.b, "accounts", (int64_t)counts.kinds[PLAN_ACCOUNT]);
    control_int(&s.b, "trunks", (int64_t)counts.kinds[PLAN_TRUNK]);
    control_bool(&s.b, "drained", n->drained);
    unconfirmed_field(&s, &open);
    control_int(&s.b, "conflicts", (int64_t)conflicts);
    control_int(&s.b, "members", (int64_t)node_members(n));
    control_int(&s.b, "members_alive", (int64_t)members_alive(n));
    control_int(&s.b, "registrations", (int64_t)bindings.count);
    control_int(&s.b, "calls", (int64_t)edge_load(n->edge).calls);
    replica_fields(&s);
    struct stall_times stall = stall_longest(&n->stall, STALL_SECONDS);
    control_int(&s.b, "loop_stall_us", (int64_t)stall.wall_us);
    control_int(&s.b, "loop_stall_own_us", (int64_t)stall.own_us);
    bool stored = store_state_health(n->store, &info) == ERR_OK && store_health(n->store, &info) == ERR_OK;
    control_text(&s.b, "store", slice_of(stored ? "ok" : info.text));
    finish(&s);
    end(&s, e);
}
