/* Which proofs are taken once more: counts at the node that made the nonce, first proofs of others, a table that is
 * full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/edge/replay.h"
#include "node/sip/digest.h"

#define NOW INT64_C(1700000000000)

static struct replay table;

static bool use(uint64_t session, uint32_t nc, bool own, int64_t made_ms, int64_t now_ms)
{
    return edge_replay_fresh(
        &table, &(struct replay_proof){.session = session, .nc = nc, .own = own, .made = {made_ms}, .now = {now_ms}});
}

static int empty(void **state)
{
    (void)state;
    table = (struct replay){0};
    return 0;
}

static void counts_must_rise(void **state)
{
    (void)state;
    for (uint64_t session = 0; session < 50; session += 10) {
        assert_true(use(session, 1, true, NOW, NOW));
        assert_false(use(session, 1, true, NOW, NOW));
        assert_true(use(session, 5, true, NOW, NOW));
        assert_false(use(session, 4, true, NOW, NOW));
    }
    assert_true(use(99, 7, true, NOW, NOW + SIP_NONCE_LIFE_MS)); /* one that is new to us need not begin with 1 */
}

static void a_nonce_of_another_node_is_good_once_and_young(void **state)
{
    (void)state;
    assert_true(use(1, 1, false, NOW, NOW));
    assert_false(use(1, 1, false, NOW, NOW + 1));
    assert_false(use(1, 2, false, NOW, NOW + 1)); /* its counter is elsewhere */
    assert_false(use(2, 2, false, NOW, NOW));
    assert_true(use(3, 1, false, NOW, NOW + REPLAY_ELSEWHERE_MS));
    assert_false(use(4, 1, false, NOW, NOW + REPLAY_ELSEWHERE_MS + 1));
    assert_true(use(5, 1, false, NOW + REPLAY_ELSEWHERE_MS, NOW)); /* that node's clock is ahead */
    assert_false(use(6, 1, false, NOW + REPLAY_ELSEWHERE_MS + 1, NOW));
}

/* Sessions that share a set. */
static uint64_t in_one_set(unsigned i)
{
    return 7 + (uint64_t)i * REPLAY_SETS;
}

static void what_was_overwritten_is_not_taken_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= REPLAY_WAYS; i++)
        assert_true(use(in_one_set(i), 1, true, NOW + i, NOW + 100));
    assert_false(use(in_one_set(0), 1, true, NOW, NOW + 100)); /* it had to make room */
    assert_false(use(in_one_set(0), 2, true, NOW, NOW + 100));
    assert_false(use(in_one_set(90), 1, true, NOW - 1, NOW + 100)); /* as old: it may have been there */
    assert_true(use(in_one_set(91), 1, true, NOW + 50, NOW + 100)); /* a newer one cannot have been */
    for (unsigned i = 2; i <= REPLAY_WAYS; i++)
        assert_false(use(in_one_set(i), 1, true, NOW + i, NOW + 100));
    assert_true(use(0, 1, true, NOW - 1, NOW + 100)); /* another set */
}

static void what_is_too_old_makes_room_and_is_no_loss(void **state)
{
    (void)state;
    int64_t later = NOW + 2 * SIP_NONCE_LIFE_MS;
    for (unsigned i = 0; i < REPLAY_WAYS; i++)
        assert_true(use(in_one_set(i), 1, true, NOW, NOW));
    assert_true(use(in_one_set(10), 1, true, later, later));
    assert_true(use(in_one_set(11), 1, true, later - SIP_NONCE_LIFE_MS, later));
    /* What was lost long ago is forgotten, also when the low bits have come round. */
    for (unsigned i = 20; i < 30; i++)
        assert_true(use(in_one_set(i), 1, true, later + i, later + i));
    int64_t round = later + (INT64_C(1) << 31);
    assert_true(use(in_one_set(40), 1, true, round - 1000, round));
    assert_false(use(in_one_set(40), 1, true, round - 1000, round));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_must_rise, empty),
        cmocka_unit_test_setup(a_nonce_of_another_node_is_good_once_and_young, empty),
        cmocka_unit_test_setup(what_was_overwritten_is_not_taken_again, empty),
        cmocka_unit_test_setup(what_is_too_old_makes_room_and_is_no_loss, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
