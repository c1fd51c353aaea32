/* zone_kit: a world whose node asks a name server of the test's own. */
#ifndef TANDEM_TEST_ZONE_KIT_H
#define TANDEM_TEST_ZONE_KIT_H

#include "call_kit.h"
#include "dns_kit.h"

#include "node/edge/edge_internal.h"

static struct dns_server zone_server;

static inline void zone_dns_closed(void *ctx)
{
    *(bool *)ctx = true;
}

/* The node asks the server of this test, which knows zone; that stays. */
static inline void zone_ask(struct world *w, const struct record *zone, size_t zone_len)
{
    bool closed = false;
    dns_server_open(&zone_server, &w->k.loop, zone, zone_len);
    dns_close(w->n.edge->dns, zone_dns_closed, &closed);
    assert_int_equal(dns_open_at(&w->k.loop, NULL, zone_server.at, &w->n.edge->dns), ERR_OK);
    kit_until(&w->k, closed);
}

/* A test's teardown after zone_ask. */
static inline int zone_world_close(void **state)
{
    dns_server_close(&zone_server);
    return world_close(state);
}

#endif
