/* trunk_kit: a world whose trunk/factory is looked after by the prober. */
#ifndef TANDEM_TEST_TRUNK_KIT_H
#define TANDEM_TEST_TRUNK_KIT_H

#include "call_kit.h"

static char addresses[2][32];

/* trunk/factory has w->b's address, and w->c's when there are two. */
static inline void look_after(struct world *w, size_t count, uint32_t probe_ms)
{
    const struct ua *const uas[] = {&w->b, &w->c};
    struct edge_trunk list[2];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%u", uas[i]->port);
        list[i] = (struct edge_trunk){
            .trunk = SLICE("factory"), .address = slice_of(addresses[i]), .transport = PLAN_UDP, .probe_ms = probe_ms};
    }
    assert_int_equal(edge_trunks_set(w->n.edge, list, count), ERR_OK);
}

static inline struct edge_trunk state_of(const struct world *w, size_t i)
{
    struct edge_trunk t;
    assert_true(edge_trunk_find(w->n.edge, SLICE("factory"), slice_of(addresses[i]), &t));
    return t;
}

#endif
