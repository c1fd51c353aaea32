/* Where the ACK of a 2xx goes, when its next hop is a name. */
#include "zone_kit.h"

static void send_ack(struct world *w, const char *routes)
{
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "ACK", .branch = "k2", .uri = "sip:ua@pbx.test", .to = CALLEE, .lines = routes});
}

/* The first address is of a family in which the node has no listener. */
static void the_first_address_that_has_a_way(void **state)
{
    struct world *w = *state;
    char routes[1024];
    const struct record zone[] = {
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 10, 0, w->b.port, "six.test"},
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 20, 0, w->b.port, "four.test"},
        {"six.test", ns_t_aaaa, 3600, "::1", 0, 0, 0, NULL},
        {"four.test", ns_t_a, 3600, "127.0.0.1", 0, 0, 0, NULL},
    };
    zone_ask(w, zone, sizeof zone / sizeof zone[0]);
    call_up(w, routes, sizeof routes);
    send_ack(w, routes);
    ua_expect(&w->k, &w->b, "ACK");
    assert_int_equal(kit_count(&w->n, "edge", "send_failures"), 0);
}

static void no_address_has_one(void **state)
{
    struct world *w = *state;
    char routes[1024];
    const struct record zone[] = {
        {"_sip._udp.pbx.test", ns_t_srv, 3600, NULL, 10, 0, w->b.port, "six.test"},
        {"six.test", ns_t_aaaa, 3600, "::1", 0, 0, 0, NULL},
    };
    zone_ask(w, zone, sizeof zone / sizeof zone[0]);
    call_up(w, routes, sizeof routes);
    uint64_t forwarded = kit_count(&w->n, "edge", "forwarded");
    send_ack(w, routes);
    kit_until(&w->k, kit_count(&w->n, "edge", "send_failures") == 1);
    assert_int_equal(kit_count(&w->n, "edge", "forwarded"), forwarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_address_that_has_a_way, world_open, zone_world_close),
        cmocka_unit_test_setup_teardown(no_address_has_one, world_open, zone_world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
