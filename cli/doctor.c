/* doctor: everything that can be wrong, one line each: what the node finds around itself, what it knows of its peers,
 * trunks and plan, and how far the clocks of the nodes are apart. What is wrong comes first. */
#include <stdlib.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/members.h"

#define PEER_PATIENCE_MS 5000
#define OFFSET_WARNING_MS 500
#define OFFSET_FAILED_MS 5000 /* from there on a change is an entry from the future */

static const struct output_column check_columns[] = {
    {"state", "STATE", FORM_PLAIN, COLUMN_STATE},
    {"check", "CHECK", FORM_PLAIN, 0},
    {"object", "OF", FORM_PLAIN, COLUMN_WRAP},
    {"text", "FOUND", FORM_PLAIN, COLUMN_WRAP},
    {"mend", "WHAT TO DO", FORM_PLAIN, COLUMN_WRAP | COLUMN_RARE},
    {0},
};

static void total_line(void *ctx, const struct control_record *r, struct buf *out)
{
    long long failed = (long long)control_get_int(r, "failed", 0);
    long long warnings = (long long)control_get_int(r, "warnings", 0);
    (void)ctx;
    buf_printf(out, "%lld checks: %lld failed, %lld warning%s%s\n", (long long)control_get_int(r, "checks", 0), failed,
               warnings, warnings == 1 ? "" : "s", failed > 0 ? "; what happened lately: clusterctl events" : "");
}

static const struct output_view doctor_views[] = {
    {.kind = "doctor", .line = total_line}, {.kind = "check", .columns = check_columns}, {0}};

enum state { FAILED, WARNING, WELL, STATE_COUNT };
static const char *const state_names[] = {[FAILED] = "failed", [WARNING] = "warning", [WELL] = "ok"};

struct check {
    enum state state;
    struct slice check;
    struct slice object;
    struct slice text;
    struct slice mend;
};

struct doctor {
    struct cli *c;
    struct arena arena;
    struct check *items;
    size_t count;
    size_t cap;
    bool failed;               /* no memory */
    char node[LIMIT_NAME + 1]; /* that was asked */
};

static void add_slices(struct doctor *d, const struct check *what)
{
    if (d->count == d->cap) {
        size_t cap = d->cap > 0 ? 2 * d->cap : 32;
        struct check *items = realloc(d->items, cap * sizeof *items);
        if (items == NULL) {
            d->failed = true;
            return;
        }
        d->items = items;
        d->cap = cap;
    }
    struct check *k = &d->items[d->count++];
    *k = (struct check){what->state, arena_copy(&d->arena, what->check), arena_copy(&d->arena, what->object),
                        arena_copy(&d->arena, what->text), arena_copy(&d->arena, what->mend)};
    d->failed = d->failed || k->check.p == NULL || k->object.p == NULL || k->text.p == NULL || k->mend.p == NULL;
}

/* mend is not shown of what is well. */
static void add(struct doctor *d, enum state state, const char *check, const char *object, const char *mend,
                const char *fmt, ...) PRINTF_LIKE(6, 7);
static void add(struct doctor *d, enum state state, const char *check, const char *object, const char *mend,
                const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    add_slices(d, &(struct check){state, slice_of(check), slice_of(object), slice_of(text),
                                  state == WELL ? SLICE("") : slice_of(mend)});
}

static int ask(struct doctor *d, const char *command, conn_record *each)
{
    return conn_ask(d->c, &(struct conn_request){.command = command, .each = each, .ctx = d});
}

/* ---- around the node ---- */

static void each_check(void *ctx, const struct control_record *r)
{
    struct doctor *d = ctx;
    struct slice state = control_get_text(r, "state");
    if (!slice_is(r->kind, "check")) return;
    add_slices(d, &(struct check){slice_is(state, "ok")        ? WELL
                                  : slice_is(state, "warning") ? WARNING
                                                               : FAILED,
                                  control_get_text(r, "check"), control_get_text(r, "object"),
                                  control_get_text(r, "text"), control_get_text(r, "mend")});
}

/* ---- status ---- */

static void each_status(void *ctx, const struct control_record *r)
{
    struct doctor *d = ctx;
    const struct control_field *open = control_find(r, "unconfirmed");
    struct slice store = control_get_text(r, "store");
    int64_t conflicts = control_get_int(r, "conflicts", 0);
    (void)snprintf(d->node, sizeof d->node, "%.*s", SLICE_ARG(control_get_text(r, "node")));
    if (slice_is(store, "ok")) {
        add(d, WELL, "store", d->node, "", "it takes what is written");
    } else {
        add(d, FAILED, "store", d->node, "make room, or replace the disk; then restart the node", "%.*s",
            SLICE_ARG(store));
    }
    if (control_get_int(r, "drained", 0) != 0)
        add(d, WARNING, "node", d->node, "clusterctl node drain --off", "it is drained and takes no new calls");
    if (conflicts > 0)
        add(d, WARNING, "plan", "overridden edits", "clusterctl plan conflicts", "%lld that nobody has looked at",
            (long long)conflicts);
    if (open != NULL && open->type == CONTROL_TEXT)
        add(d, WARNING, "plan", "unconfirmed change", "clusterctl plan confirm, or let it undo itself", "%.*s",
            SLICE_ARG(open->text));
}

/* ---- peers ---- */

static void each_node(void *ctx, const struct control_record *r)
{
    struct doctor *d = ctx;
    struct slice state = control_get_text(r, "state");
    struct slice link = control_get_text(r, "link");
    struct slice changes = control_get_text(r, "changes");
    char name[LIMIT_NAME + 1];
    (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(control_get_text(r, "node")));
    if (strcmp(name, d->node) == 0 || slice_is(state, "left") || slice_is(state, "evicted")) return;
    if (slice_is(state, "dead") || slice_is(state, "unknown")) {
        add(d, FAILED, "peer", name, "see that it runs, and that its mesh port can be reached", "%.*s; link: %.*s",
            SLICE_ARG(state), SLICE_ARG(link));
    } else if (slice_is(state, "suspect") || slice_is(state, "drained")) {
        add(d, WARNING, "peer", name,
            slice_is(state, "drained") ? "clusterctl node drain --off, there" : "wait, then look again", "%.*s",
            SLICE_ARG(state));
    } else if (control_get_int(r, "linked", 0) == 0) {
        add(d, WARNING, "peer", name, "open its mesh port in the firewalls between the sites",
            "alive, without a link of ours: %.*s", SLICE_ARG(link));
    } else if (control_get_int(r, "in_step", 0) == 0 && !slice_is(changes, "in step")) {
        add(d, WARNING, "peer", name, "it catches up by itself; look again in a minute", "its plan is %.*s",
            SLICE_ARG(changes.n > 0 ? changes : SLICE("another one")));
    } else {
        add(d, WELL, "peer", name, "", "alive, linked, in step");
    }
}

/* ---- trunks ---- */

static void each_trunk(void *ctx, const struct control_record *r)
{
    struct doctor *d = ctx;
    struct slice state = control_get_text(r, "state");
    struct slice reason = control_get_text(r, "reason");
    struct slice node = control_get_text(r, "node");
    bool own = slice_is(node, d->node);
    char object[LIMIT_NAME + LIMIT_HOST + 32];
    (void)snprintf(object, sizeof object, "%.*s at %.*s", SLICE_ARG(control_get_text(r, "trunk")),
                   SLICE_ARG(control_get_text(r, "address")));
    if (slice_is(state, "down")) {
        add(d, own ? FAILED : WARNING, "trunk", object, "see that the other side runs and answers OPTIONS",
            "down as node %.*s sees it: %.*s", SLICE_ARG(node), SLICE_ARG(reason));
    } else if (slice_is(state, "suspect")) {
        add(d, WARNING, "trunk", object, "see that the other side runs", "a call to it failed a moment ago: %.*s",
            SLICE_ARG(reason));
    } else if (slice_is(state, "resting")) {
        add(d, WARNING, "trunk", object, "see why the other side has too much to do",
            "it has asked to be left alone: %.*s", SLICE_ARG(reason));
    } else if (slice_is(state, "disabled")) {
        add(d, WELL, "trunk", object, "", "disabled");
    } else if (slice_is(state, "up")) {
        add(d, WELL, "trunk", object, "", "up as node %.*s sees it", SLICE_ARG(node));
    } else if (node.n > 0 || slice_is(state, "not probed")) {
        add(d, WELL, "trunk", object, "", "%.*s: nothing is known of it", SLICE_ARG(state));
    } else {
        add(d, WARNING, "trunk", object, "see that a node of its site is alive", "%.*s", SLICE_ARG(state));
    }
}

/* ---- clocks ---- */

struct clock {
    bool known;
    int64_t wall_ms;
};

static void each_clock(void *ctx, const struct control_record *r)
{
    struct clock *k = ctx;
    const struct control_field *f = control_find(r, "wall_ms");
    k->known = f != NULL && f->type == CONTROL_INT;
    if (k->known) k->wall_ms = f->integer;
}

static int64_t now_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The time there as of now here, by half the way there and back; *error_ms is what that may be wrong by. */
static bool offset_of(struct doctor *d, const char *node, int64_t *offset_ms, int64_t *error_ms)
{
    struct cli there = *d->c;
    struct clock k = {.known = false};
    struct buf end = {0};
    int64_t wall = now_ms(CLOCK_REALTIME);
    int64_t from = now_ms(CLOCK_MONOTONIC);
    there.node = node;
    int status = conn_ask(&there, &(struct conn_request){.command = "clock",
                                                         .patience_ms = PEER_PATIENCE_MS,
                                                         .each = each_clock,
                                                         .ctx = &k,
                                                         .quiet = true,
                                                         .end_text = &end});
    buf_fini(&there.failure);
    buf_fini(&end);
    if (status != CLI_DONE || !k.known) return false;
    int64_t half = (now_ms(CLOCK_MONOTONIC) - from) / 2;
    *error_ms = half + 1; /* of the milliseconds that both sides cut off */
    *offset_ms = k.wall_ms - (wall + half);
    return true;
}

static void check_clock(struct doctor *d, const char *node, int64_t own_ms, int64_t own_error_ms)
{
    int64_t offset = 0;
    int64_t error = 0;
    if (!offset_of(d, node, &offset, &error)) {
        add(d, WARNING, "clock", node, "see the line of the peer", "it does not say what time it is there");
        return;
    }
    error += own_error_ms;
    int64_t apart = offset - own_ms < 0 ? own_ms - offset : offset - own_ms;
    enum state state = apart > OFFSET_FAILED_MS + error ? FAILED : apart > OFFSET_WARNING_MS + error ? WARNING : WELL;
    if (apart <= error) {
        add(d, WELL, "clock", node, "", "the same as here, within %lld ms", (long long)error);
    } else {
        add(d, state, "clock", node, "run NTP at both; a change from 5 s ahead raises an alarm and loses ties",
            "%lld ms %s ours, within %lld ms", (long long)apart, offset > own_ms ? "ahead of" : "behind",
            (long long)error);
    }
}

/* Against the clock of the node that was asked, which may be another machine's. */
static int check_clocks(struct doctor *d)
{
    struct members m;
    int64_t own = 0;
    int64_t error = 0;
    int status = members_ask(d->c, &m);
    bool known = status == CLI_DONE && offset_of(d, d->node, &own, &error);
    for (size_t i = 0; known && i < m.count; i++)
        if (!m.items[i].self && m.items[i].alive) check_clock(d, m.items[i].name, own, error);
    members_fini(&m);
    return status;
}

/* ---- the whole ---- */

static void show(struct doctor *d, const size_t counts[STATE_COUNT])
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, &arena, "doctor");
    control_text(&b, "node", slice_of(d->node));
    control_int(&b, "checks", (int64_t)d->count);
    control_int(&b, "failed", (int64_t)counts[FAILED]);
    control_int(&b, "warnings", (int64_t)counts[WARNING]);
    if (control_record_done(&b, &r) == ERR_OK) output_record(d->c->output, &r);
    for (size_t i = 0; i < STATE_COUNT * d->count; i++) {
        const struct check *k = &d->items[i % d->count];
        if (k->state != (enum state)(i / d->count)) continue;
        control_record_start(&b, &arena, "check");
        control_text(&b, "state", slice_of(state_names[k->state]));
        control_text(&b, "check", k->check);
        control_text(&b, "object", k->object);
        control_text(&b, "text", k->text);
        control_text(&b, "mend", k->mend);
        if (control_record_done(&b, &r) == ERR_OK) output_record(d->c->output, &r);
    }
    arena_fini(&arena);
}

static int examine(struct doctor *d)
{
    size_t counts[STATE_COUNT] = {0};
    int status = ask(d, "status", each_status);
    if (status == CLI_DONE) status = ask(d, "doctor", each_check);
    if (status == CLI_DONE) status = ask(d, "nodes", each_node);
    if (status == CLI_DONE) status = check_clocks(d);
    if (status == CLI_DONE) status = ask(d, "trunks", each_trunk);
    if (status == CLI_DONE && d->failed) status = cli_fail_err(d->c, ERR_NOMEM, NULL);
    if (status != CLI_DONE) return status;
    for (size_t i = 0; i < d->count; i++)
        counts[d->items[i].state]++;
    show(d, counts);
    return counts[FAILED] > 0 ? CLI_FINDINGS : CLI_DONE;
}

int doctor_run(struct cli *c, const struct tree_match *m)
{
    struct doctor d = {.c = c};
    (void)m;
    if (!cli_output(c, doctor_views)) return CLI_REFUSED;
    int status = examine(&d);
    free(d.items);
    arena_fini(&d.arena);
    return status;
}
