/* prober_list: which addresses are looked after, as the plan has them, and what is known of each. Contract: edge.h. */
#include "node/edge/probe.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t place_hash(const struct prober *p, struct slice trunk, struct slice address)
{
    return map_hash(&p->by_place, trunk) * 31 + map_hash(&p->by_place, address);
}

static struct probe *find(const struct prober *p, struct slice trunk, struct slice address)
{
    struct map_node *n = map_first(&p->by_place, place_hash(p, trunk, address));
    for (; n != NULL; n = map_next(n)) {
        struct probe *b = CONTAINER_OF(n, struct probe, by_place);
        if (slice_eq(b->trunk, trunk) && slice_eq(b->address, address)) return b;
    }
    return NULL;
}

static struct probe *probe_new(struct prober *p, const struct edge_trunk *t)
{
    struct probe *b = calloc(1, sizeof *b + t->trunk.n + t->address.n);
    if (b == NULL) return NULL;
    memcpy(b->text, t->trunk.p, t->trunk.n);
    memcpy(b->text + t->trunk.n, t->address.p, t->address.n);
    b->prober = p;
    b->trunk = (struct slice){b->text, t->trunk.n};
    b->address = (struct slice){b->text + t->trunk.n, t->address.n};
    sip_timer_init(&b->deadline, PROBE_DEADLINE);
    if (address_host_parse(b->address, &b->at, NULL) != ERR_OK) {
        free(b); /* the plan holds no such address */
        return NULL;
    }
    health_init(&b->health);
    if (t->known) {
        health_restore(&b->health, t->up);
        b->since = t->since;
        (void)snprintf(b->reason, sizeof b->reason, "%.*s", SLICE_ARG(t->reason));
    }
    list_append(&p->probes, &b->node);
    map_insert(&p->by_place, &b->by_place, place_hash(p, b->trunk, b->address));
    return b;
}

static void probe_remove(struct probe *b)
{
    struct prober *p = b->prober;
    if (!b->resolving) {
        probe_free(b);
        return;
    }
    b->gone = true;
    map_remove(&p->by_place, &b->by_place);
    list_remove(&b->node);
    list_append(&p->removed, &b->node);
}

/* What was found out while it was probed. */
static void forget(struct probe *b)
{
    health_init(&b->health);
    b->since = (struct wall){0};
    b->rtt_us = 0;
    b->reason[0] = '\0';
}

enum err edge_trunks_set(struct edge *e, const struct edge_trunk *list, size_t list_count)
{
    struct prober *p = e->prober;
    enum err err = ERR_OK;
    if (e->closing) return ERR_CLOSED;
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next)
        CONTAINER_OF(n, struct probe, node)->kept = false;
    for (size_t i = 0; i < list_count; i++) {
        struct probe *b = find(p, list[i].trunk, list[i].address);
        bool fresh = b == NULL;
        if (fresh) b = probe_new(p, &list[i]);
        if (b == NULL) {
            err = ERR_NOMEM;
            continue;
        }
        uint32_t interval_ms = b->interval_ms;
        bool changed = fresh || b->transport != list[i].transport;
        b->kept = true;
        b->transport = list[i].transport;
        b->interval_ms = list[i].probe_ms;
        if (b->interval_ms > 0 && b->interval_ms < PROBER_INTERVAL_MIN_MS) b->interval_ms = PROBER_INTERVAL_MIN_MS;
        if (b->interval_ms == 0 && (fresh || interval_ms > 0)) forget(b);
        /* the first look soon, spread over a second */
        changed = changed || b->interval_ms != interval_ms;
        if (changed && !b->waiting) probe_schedule(b, 50 + random_below(e->random, 1000));
    }
    for (struct list_node *n = p->probes.next, *next; n != &p->probes; n = next) {
        next = n->next;
        if (!CONTAINER_OF(n, struct probe, node)->kept) probe_remove(CONTAINER_OF(n, struct probe, node));
    }
    prober_count_unwell(p);
    prober_arm(p);
    return err;
}

void edge_trunks_each(const struct edge *e, bool (*each)(void *ctx, const struct edge_trunk *t), void *ctx)
{
    const struct prober *p = e->prober;
    for (struct list_node *n = p->probes.next; n != &p->probes; n = n->next) {
        struct edge_trunk view = probe_view(CONTAINER_OF(n, struct probe, node));
        if (!each(ctx, &view)) return;
    }
}

bool edge_trunks_well(const struct edge *e)
{
    return e->prober->unwell == 0;
}

bool edge_trunks_rest(const struct edge *e)
{
    return e->prober->resting > 0;
}

bool edge_trunk_find(const struct edge *e, struct slice trunk, struct slice address, struct edge_trunk *out)
{
    const struct probe *b = find(e->prober, trunk, address);
    if (b != NULL) *out = probe_view(b);
    return b != NULL;
}
