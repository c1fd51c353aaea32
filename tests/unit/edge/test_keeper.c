/* The ways to registered contacts over real connections: how long they last. */
#include "call_kit.h"

#include "node/edge/edge_internal.h"
#include "node/edge/transport_internal.h"

static unsigned lost;

static void on_lost(void *ctx, void *owner, const char *why)
{
    (void)ctx;
    (void)owner;
    (void)why;
    lost++;
}

/* A connection to the node; *own is its end here. */
static int dial(struct world *w, union sock_address *own)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = transport_listener_at(edge_transport(w->n.edge), 1)->local.v4;
    socklen_t len = sizeof own->v4;
    memset(own, 0, sizeof *own);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, &own->any, &len), 0);
    kit_until(&w->k, edge_connected(w->n.edge, PLAN_TCP, own));
    return fd;
}

/* Who has registered over a connection waits for calls there. */
static void a_connection_that_is_waited_at(void **state)
{
    struct world *w = *state;
    union sock_address own;
    struct edge_way *way = NULL;
    w->n.edge->transport->limits.idle_ms = 100;
    w->n.edge->o.hooks.way_lost = on_lost;
    int fd = dial(w, &own);
    kit_until(&w->k, !edge_connected(w->n.edge, PLAN_TCP, &own));
    (void)close(fd);
    fd = dial(w, &own);
    const struct edge_way_spec spec = {.transport = PLAN_TCP, .remote = own, .keepalive = PLAN_KEEPALIVE_OFF};
    assert_int_equal(edge_way_open(w->n.edge, &spec, &lost, &way), ERR_OK);
    uint64_t end = kit_ms() + 400;
    while (kit_ms() < end)
        kit_turn(&w->k, -1);
    assert_true(edge_connected(w->n.edge, PLAN_TCP, &own));
    assert_int_equal(lost, 0);
    edge_way_close(way);
    kit_until(&w->k, !edge_connected(w->n.edge, PLAN_TCP, &own));
    assert_int_equal(kit_count(&w->n, "transport", "stream_timeout_idle"), 2);
    (void)close(fd);
    /* who goes is lost at once, held or not */
    fd = dial(w, &own);
    const struct edge_way_spec again = {.transport = PLAN_TCP, .remote = own, .keepalive = PLAN_KEEPALIVE_OFF};
    assert_int_equal(edge_way_open(w->n.edge, &again, &lost, &way), ERR_OK);
    (void)close(fd);
    kit_until(&w->k, lost == 1);
    edge_way_close(way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_that_is_waited_at, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
