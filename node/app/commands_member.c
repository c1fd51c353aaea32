/* commands_member: who comes and goes: what an invitation has to know, evict, leave. Drain: drain.c. */
#include "node/app/node.h"

#include <stdio.h>

static bool is_gone(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}

/* ---- invite ---- */

/* The name may have been used: then its new certificate has to be a later one than those that are refused. */
static void name_fields(struct node *n, struct control_builder *b, struct slice name)
{
    for (size_t i = 0; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (!slice_eq(name, node_name_slice(&m.name))) continue;
        control_text(b, "status", slice_of(member_status_name(m.status)));
        control_int(b, "barred", (int64_t)m.barred);
    }
}

NODE_COMMAND(command_invite_info)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct control_builder b;
    struct buf seeds = {0};
    for (size_t i = 0; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (m.mesh_address.n == 0 || is_gone(m.status)) continue;
        buf_printf(&seeds, "%s%.*s", seeds.n > 0 ? "," : "", SLICE_ARG(m.mesh_address));
    }
    control_record_start(&b, &arena, "invite");
    control_text(&b, "cluster", slice_of(n->identity.cluster));
    control_text(&b, "seeds", buf_view(&seeds));
    name_fields(n, &b, control_get_text(&request->args, "node"));
    command_record(reply, &b);
    buf_fini(&seeds);
    arena_fini(&arena);
    control_reply_end(reply, 0, SLICE(""));
}

/* ---- evict ---- */

NODE_COMMAND(command_evict)
{
    struct node *n = ctx;
    struct repl_event ev = {.type = REPL_EV_EVICT};
    struct slice name = control_get_text(&request->args, "node");
    if (node_name_set(&ev.peer, name) != ERR_OK || node_name_eq(&ev.peer, &n->self)) {
        control_reply_end(reply, 1,
                          SLICE("node evict: name another node of the cluster, as \"clusterctl nodes\" shows it"));
        return;
    }
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (!node_name_eq(&m.name, &ev.peer)) continue;
        replica_feed(n, &ev);
        control_reply_end(reply, 0, SLICE(""));
        return;
    }
    control_reply_end(reply, 1, SLICE("node evict: no node of that name; see \"clusterctl nodes\""));
}

/* ---- leave ---- */

struct company {
    size_t others;  /* members */
    size_t alive;   /* of them, linked with us */
    size_t keepers; /* of those, with every change of the plan that we have */
    bool last;      /* nobody else that is alive serves our site */
};

static struct company look_around(const struct node *n)
{
    struct company c = {.last = true};
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (is_gone(m.status)) continue;
        c.others++;
        if (m.status != MEMBER_ALIVE || !m.linked) continue;
        c.alive++;
        c.keepers += m.in_step || (m.totals_known && m.plan_behind == 0);
        c.last = c.last && !slice_is(m.site, n->config.site);
    }
    return c;
}

/* Why the node cannot leave, or NULL. What only we hold would go with us. */
static const char *hindrance(const struct node *n, const struct company *c, bool force)
{
    if (n->mesh == NULL) return "node leave: this node is on its own; there is no cluster that it could leave";
    if (c->others == 0) return "node leave: this node is the only member; there is nobody who would keep the plan";
    if (force) return NULL;
    if (c->alive == 0)
        return "node leave: no other node can be reached, so none would know; see \"clusterctl nodes\", or --force";
    if (c->keepers == 0) {
        return "node leave: no live node has every change of the plan that this one has, and what only it has would be "
               "lost: wait until one is in step (\"clusterctl nodes\"), or --force";
    }
    return NULL;
}

static void send_leaving(struct node *n, struct control_reply *reply, const struct company *c, bool left)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "leaving");
    control_text(&b, "node", slice_of(n->config.node));
    control_text(&b, "site", slice_of(n->config.site));
    control_bool(&b, "left", left);
    control_bool(&b, "last_of_site", c->last);
    control_int(&b, "registrations", (int64_t)registrations_count(n));
    control_int(&b, "calls", (int64_t)edge_load(n->edge).calls);
    command_record(reply, &b);
    arena_fini(&arena);
}

/* With "check" it only says what leaving would mean. */
NODE_COMMAND(command_leave)
{
    struct node *n = ctx;
    struct company c = look_around(n);
    bool check = control_get_int(&request->args, "check", 0) != 0;
    bool gone = is_gone(repl_member_status(n->repl, &n->self));
    const char *why = gone ? NULL : hindrance(n, &c, control_get_int(&request->args, "force", 0) != 0);
    if (why != NULL) {
        control_reply_end(reply, 1, slice_of(why));
        return;
    }
    if (!check && !gone) {
        struct repl_event ev = {.type = REPL_EV_LEAVE};
        n->drained = true;
        edge_refuse_new(n->edge, true);
        replica_feed(n, &ev);
        log_event(&n->log, LOG_WARN, "node", "left", "calls=%u", edge_load(n->edge).calls);
    }
    send_leaving(n, reply, &c, !check || gone);
    control_reply_end(reply, 0, SLICE(""));
}
