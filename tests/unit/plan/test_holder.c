/* Who holds what only one may hold: claims, lots, and that nothing moves back and forth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/plan/holder.h"

#define NODES 3

static void nodes_init(struct holder_node n[NODES])
{
    const struct slice names[NODES] = {SLICE("hq-1"), SLICE("hq-2"), SLICE("hq-3")};
    for (size_t i = 0; i < NODES; i++)
        n[i] = (struct holder_node){.name = names[i], .fit = true};
}

static void claims_come_first(void **state)
{
    struct holder_node n[NODES];
    (void)state;
    nodes_init(n);
    size_t drawn = holder_elect(SLICE("carrier"), n, NODES);
    size_t other = (drawn + 1) % NODES;
    n[other].claims = true;
    n[other].term = 1;
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), other);
    /* the later claim stands */
    n[drawn].claims = true;
    n[drawn].term = 2;
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), drawn);
    /* of equal ones the first by name, in whatever order they are listed */
    n[0] = (struct holder_node){SLICE("hq-9"), true, true, 5};
    n[1] = (struct holder_node){SLICE("hq-2"), true, true, 5};
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), 1);
}

static void who_is_not_fit_holds_nothing(void **state)
{
    struct holder_node n[NODES];
    (void)state;
    nodes_init(n);
    n[0].claims = true;
    n[0].term = 9;
    n[0].fit = false;
    size_t first = holder_elect(SLICE("carrier"), n, NODES);
    assert_int_not_equal(first, 0);
    n[first].fit = false;
    size_t second = holder_elect(SLICE("carrier"), n, NODES);
    assert_true(second < NODES && second != 0 && second != first);
    n[second].fit = false;
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), NODES);
    assert_int_equal(holder_elect(SLICE("carrier"), n, 0), 0);
}

/* A holder dies, another takes over, the first comes back with its old claim, the second dies: one move each time. */
static void no_move_back_and_forth(void **state)
{
    struct holder_node n[NODES];
    (void)state;
    nodes_init(n);
    size_t a = holder_elect(SLICE("carrier"), n, NODES);
    n[a].claims = true;
    n[a].term = holder_next_term(n, NODES);
    n[a].fit = false;
    size_t b = holder_elect(SLICE("carrier"), n, NODES);
    n[b].claims = true;
    n[b].term = holder_next_term(n, NODES);
    assert_int_equal(n[b].term, 2);
    n[a].fit = true; /* back, and still of the opinion that it holds it */
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), b);
    n[a].claims = false;
    n[b].fit = false;
    size_t c = holder_elect(SLICE("carrier"), n, NODES);
    assert_int_not_equal(c, b);
    n[c].claims = true;
    n[c].term = holder_next_term(n, NODES);
    n[b].fit = true;
    assert_int_equal(holder_elect(SLICE("carrier"), n, NODES), c);
}

/* The order in which a node lists the others, and itself, does not matter; many trunks are spread. */
static void lots_are_the_same_everywhere_and_spread(void **state)
{
    size_t drawn[NODES] = {0};
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct holder_node n[NODES];
        char what[16];
        (void)snprintf(what, sizeof what, "trunk-%u", i);
        nodes_init(n);
        size_t first = holder_elect(slice_of(what), n, NODES);
        struct slice name = n[first].name;
        drawn[first]++;
        struct holder_node turned[NODES] = {n[2], n[0], n[1]};
        assert_true(slice_eq(turned[holder_elect(slice_of(what), turned, NODES)].name, name));
    }
    for (size_t i = 0; i < NODES; i++)
        assert_in_range(drawn[i], 60, 140);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_come_first),
        cmocka_unit_test(who_is_not_fit_holds_nothing),
        cmocka_unit_test(no_move_back_and_forth),
        cmocka_unit_test(lots_are_the_same_everywhere_and_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
