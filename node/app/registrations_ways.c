/* registrations_ways: the ways to the contacts of this node's bindings, and what becomes of a binding when its way is
 * lost: it ends like one that has expired, so that its numbers are withdrawn everywhere at once and nobody waits for an
 * answer of a gateway that is gone. A contact that can only be reached by the connection that it made has lost its way
 * with the process that held the connection: after a start it is not offered, and ends. */
#include "node/app/reach.h"
#include "node/app/registrations_entry.h"

static bool keepalive_of(struct node *n, struct arena *arena, const struct binding *b, const struct reach *reach,
                         struct edge_way_spec *spec)
{
    struct plan_object o;
    spec->keepalive = b->keepalive;
    spec->every_ms = b->keepalive_every_ms;
    if (!b->keepalive_known) { /* of an earlier run */
        spec->keepalive = PLAN_KEEPALIVE_OFF;
        if (node_read_begin(n) != ERR_OK) return false;
        if (plan_get(n, arena, PLAN_ACCOUNT, b->account, &o) == ERR_OK) {
            spec->keepalive = o.account.keepalive;
            spec->every_ms = o.account.keepalive_every_ms;
        }
        node_read_end(n);
    }
    if (spec->keepalive == PLAN_KEEPALIVE_AUTO) {
        bool nat = reach->nat && reach->transport == PLAN_UDP;
        spec->keepalive = nat ? PLAN_KEEPALIVE_OPTIONS : PLAN_KEEPALIVE_OFF;
    }
    return spec->keepalive != PLAN_KEEPALIVE_OFF;
}

bool way_wanted(struct node *n, struct arena *arena, const struct binding *b, struct edge_way_spec *spec)
{
    struct reach reach;
    *spec = (struct edge_way_spec){.keepalive = PLAN_KEEPALIVE_OFF};
    if (reach_of(arena, b, &reach) != ERR_OK) return false;
    spec->transport = reach.transport;
    spec->remote = reach.direct ? reach.own : reach.remote;
    if (reach.has_own && reach.transport != PLAN_UDP) spec->own = reach.own;
    bool kept = keepalive_of(n, arena, b, &reach, spec);
    return kept || reach.transport != PLAN_UDP;
}

bool entry_set_way(struct registrations *r, struct entry *e, const struct edge_way_spec *spec)
{
    struct edge *edge = r->n->edge;
    e->lost = e->wants_way = false;
    if (edge == NULL) {
        e->way = NULL;
        return true;
    }
    if (e->way != NULL && spec != NULL && edge_way_is(e->way, spec)) {
        edge_way_renewed(e->way);
        return true;
    }
    if (e->way != NULL) edge_way_close(e->way);
    e->way = NULL;
    if (spec == NULL) return true;
    struct edge_way_spec own = *spec;
    own.uri = (struct slice){e->key + e->account_len + 1, (size_t)(e->key_len - e->account_len - 1)};
    enum err err = edge_way_open(edge, &own, e, &e->way);
    return err != ERR_CLOSED || spec->own.any.sa_family != AF_UNSPEC;
}

void entry_end(struct registrations *r, struct entry *e)
{
    e->live = false;
    wheel_stop(&r->wheel, &e->timer);
    if (registrations_end_entry(r, e) != ERR_OK) wheel_start(&r->wheel, &e->timer, mono_add_ms(node_mono(), 1));
}

void registrations_way_lost(void *ctx, void *owner, const char *why)
{
    struct node *n = ctx;
    struct entry *e = owner;
    edge_way_close(e->way);
    e->way = NULL;
    log_event(&n->log, LOG_INFO, "registrar", "way-lost", "account=%.*s why=\"%s\"", (int)e->account_len, e->key, why);
    if (e->writing) {
        e->lost = true; /* what becomes of it is seen when the write has ended */
    } else {
        entry_end(n->registrations, e);
    }
}

/* ---- the start ---- */

bool registrations_load_way(struct registrations *r, struct entry *e, struct arena *arena, const struct binding *b)
{
    struct edge_way_spec spec;
    struct reach reach;
    if (reach_of(arena, b, &reach) != ERR_OK) return true;
    if (reach.transport != PLAN_UDP) return reach.has_own;
    e->wants_way = way_wanted(r->n, arena, b, &spec);
    return true;
}

void registrations_open_ways(struct node *n)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    while ((m = map_walk(&n->registrations->entries, &walk)) != NULL) {
        struct entry *e = CONTAINER_OF(m, struct entry, by_account);
        struct arena arena = {0};
        struct edge_way_spec spec;
        struct binding b;
        if (!e->wants_way || node_read_begin(n) != ERR_OK) continue;
        bool wanted = entry_binding(n, &arena, e, &b) == ERR_OK && way_wanted(n, &arena, &b, &spec);
        node_read_end(n);
        if (wanted) (void)entry_set_way(n->registrations, e, &spec);
        arena_fini(&arena);
    }
}
