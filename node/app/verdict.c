/* verdict: how this node does, in one sentence, for status, for /healthz and for people in a hurry. */
#include "node/app/node.h"

#include <stdio.h>

static bool is_gone(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}

struct count {
    size_t all; /* with this node */
    size_t away;
    size_t behind; /* live, and another plan */
    char first_away[LIMIT_NAME + 1];
};

static struct count count_members(const struct node *n)
{
    struct count c = {.all = 1};
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (is_gone(m.status)) continue;
        c.all++;
        if (m.status != MEMBER_ALIVE) {
            if (c.away++ == 0) (void)snprintf(c.first_away, sizeof c.first_away, "%s", m.name.s);
        } else if (!m.in_step) {
            c.behind++;
        }
    }
    return c;
}

size_t node_members(const struct node *n)
{
    return count_members(n).all;
}

void verdict_look(struct node *n)
{
    if (count_members(n).behind == 0) {
        n->out_of_step_since = (struct mono){0};
    } else if (n->out_of_step_since.us == 0) {
        n->out_of_step_since = node_mono();
    }
}

/* A plan that has just changed is on its way, and where changes follow each other no heartbeat ever shows the last. */
static bool long_out_of_step(const struct node *n)
{
    struct mono now = node_mono();
    return n->out_of_step_since.us != 0 && mono_ms_between(n->out_of_step_since, now) > VERDICT_BEHIND_MS &&
           mono_ms_between(n->plan_stored_at, now) > VERDICT_BEHIND_MS;
}

static bool alarmed(const struct node *n)
{
    return n->alarm[0] != '\0' && mono_ms_between(n->alarm_at, node_mono()) < VERDICT_ALARM_MS;
}

struct down {
    char *out;
    size_t out_size;
};

static bool visit_trunk(void *ctx, const struct edge_trunk *t)
{
    struct down *d = ctx;
    if (!t->known || t->up) return true;
    (void)snprintf(d->out, d->out_size, "trunk %.*s is down (%.*s): see clusterctl trunks", SLICE_ARG(t->trunk),
                   SLICE_ARG(t->reason));
    return false;
}

/* Says of the first address of a trunk that is down here; "" when there is none. */
static void down_text(const struct node *n, char *out, size_t out_size)
{
    struct down d = {out, out_size};
    out[0] = '\0';
    if (n->edge != NULL && !edge_trunks_well(n->edge)) edge_trunks_each(n->edge, visit_trunk, &d);
}

void node_verdict(struct node *n, char *out, size_t out_size)
{
    struct err_info info = {0};
    if (store_state_health(n->store, &info) != ERR_OK || store_health(n->store, &info) != ERR_OK) {
        (void)snprintf(out, out_size, "%s", info.text);
        return;
    }
    struct count c = count_members(n);
    struct repl_floor_view f = repl_floor(n->repl);
    enum member_status own = repl_member_status(n->repl, &n->self);
    if (is_gone(own)) {
        (void)snprintf(out, out_size, "this node %s: it needs a new invitation to come back",
                       own == MEMBER_LEFT ? "has left the cluster" : "was evicted from the cluster");
    } else if (n->stopping) {
        (void)snprintf(out, out_size, "the node is stopping");
    } else if (n->drained) {
        (void)snprintf(out, out_size, "drained: it takes no new calls until clusterctl node drain --off");
    } else if (f.fetching) {
        (void)snprintf(out, out_size, "the plan is being fetched from %s, %llu objects so far", f.donor.s,
                       (unsigned long long)f.objects);
    } else if (c.away > 0) {
        (void)snprintf(out, out_size, "%zu of %zu nodes cannot be reached (%s%s): see clusterctl nodes", c.away, c.all,
                       c.first_away, c.away > 1 ? ", ..." : "");
    } else if (alarmed(n)) {
        (void)snprintf(out, out_size, "%s", n->alarm);
    } else if (c.behind > 0 && long_out_of_step(n)) {
        (void)snprintf(out, out_size, "%zu %s catching up with the plan: see clusterctl nodes", c.behind,
                       c.behind == 1 ? "node is" : "nodes are");
    } else {
        down_text(n, out, out_size);
        if (out[0] == '\0') (void)snprintf(out, out_size, "ok");
    }
}

bool node_fit(void *ctx, struct buf *text)
{
    struct node *n = ctx;
    char verdict[LIMIT_TEXT];
    node_verdict(n, verdict, sizeof verdict);
    buf_printf(text, "%s\n", verdict);
    return !n->stopping && !n->drained && store_state_health(n->store, NULL) == ERR_OK;
}
