/* What is shown of a member: how far behind it is and since when, and how much of our state it lacks. */
#include "tests/unit/repl/drive.h"

static enum err beat_with(struct drive *d, uint64_t plan, bool differ)
{
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    struct repl_message m = heartbeat_of(d, &self, 1);
    m.heartbeat.totals = (struct repl_totals){true, plan};
    if (differ) m.heartbeat.plan_root[0] ^= 1;
    return drive_message(d, "n2", m);
}

static void how_far_behind_and_since_when(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    assert_false(view_of(&d, "n2").totals_known); /* of an earlier version */
    assert_int_equal(beat_with(&d, 0, false), ERR_OK);
    uint64_t same_at = d.now_ms;
    assert_int_equal(view_of(&d, "n2").current.us, same_at * 1000);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_int_equal(drive_local_change(&d, seq, "one"), ERR_OK);
        drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    }
    drive_tick(&d, 500);
    assert_int_equal(view_of(&d, "n2").plan_behind, 3); /* also while nothing is heard of it */
    assert_int_equal(view_of(&d, "n2").plan_ahead, 0);
    assert_int_equal(beat_with(&d, 2, true), ERR_OK); /* two of its own, none of ours */
    assert_int_equal(view_of(&d, "n2").plan_behind, 3);
    assert_int_equal(view_of(&d, "n2").plan_ahead, 2);
    assert_int_equal(view_of(&d, "n2").current.us, same_at * 1000);
    const struct log_id id = {name_of("n1"), DRIVE_EPOCH, 3};
    struct repl_message receipt = {.type = REPL_RECEIPT, .receipt = {&id, 1}};
    assert_int_equal(drive_message(&d, "n2", receipt), ERR_OK);
    assert_int_equal(view_of(&d, "n2").plan_behind, 0); /* without waiting for its heartbeat */
    assert_int_equal(view_of(&d, "n2").plan_ahead, 2);
    assert_int_equal(beat_with(&d, 5, true), ERR_OK);
    assert_true(view_of(&d, "n2").current.us >= same_at * 1000);
    drive_tick(&d, 500);
    assert_int_equal(beat_with(&d, 3, false), ERR_OK);
    assert_int_equal(view_of(&d, "n2").current.us, d.now_ms * 1000);
    assert_int_equal(view_of(&d, "n2").plan_ahead, 0);
    assert_true(view_of(&d, "n2").state_in_step);
    drive_close(&d);
}

/* Two nodes that each lack another change of a third one have as many. */
static void as_many_are_not_the_same(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    assert_int_equal(drive_local_change(&d, 1, "one"), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    const struct log_id id = {name_of("n1"), DRIVE_EPOCH, 1};
    struct repl_message receipt = {.type = REPL_RECEIPT, .receipt = {&id, 1}};
    assert_int_equal(beat_with(&d, 0, true), ERR_OK);
    assert_int_equal(drive_message(&d, "n2", receipt), ERR_OK);
    assert_true(view_of(&d, "n2").totals_known); /* it has that one, and its next heartbeat says what else */
    assert_int_equal(view_of(&d, "n2").plan_behind, 0);
    assert_int_equal(beat_with(&d, 1, true), ERR_OK);
    assert_false(view_of(&d, "n2").in_step);
    assert_false(view_of(&d, "n2").totals_known);
    drive_close(&d);
}

/* A message of n2's earlier life comes behind those of its present one: it is asked once more, and not believed. */
static void an_earlier_life_does_not_speak_for_a_later(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    self.incarnation++;
    struct repl_message now = heartbeat_of(&d, &self, 1);
    now.heartbeat.incarnation = self.incarnation;
    assert_int_equal(drive_message(&d, "n2", now), ERR_OK);
    assert_true(view_of(&d, "n2").in_step);
    assert_int_equal(beat_with(&d, 0, true), ERR_OK);
    assert_true(view_of(&d, "n2").in_step);
    drive_tick(&d, REPL_OVERTAKEN_MS);
    assert_true(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.answer);
    drive_close(&d);
}

static void how_much_of_our_state_is_lacking(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    assert_false(view_of(&d, "n2").own_state_known);
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    struct repl_message m = heartbeat_of(&d, &self, 1);
    m.heartbeat.your_state = (struct vector_entry){
        .origin = name_of("n1"), .epoch = d.r->states.epoch, .high = d.r->states.have.items[0].high};
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_true(view_of(&d, "n2").own_state_known && view_of(&d, "n2").own_state_behind == 0);
    for (uint64_t k = 1; k <= 2; k++) {
        assert_int_equal(drive_local_state(&d, k, k == 1 ? "one" : "two"), ERR_OK);
        drive_stored(&d, action(&d, REPL_DO_PERSIST_STATE)->token);
    }
    assert_int_equal(view_of(&d, "n2").own_state_behind, 2);
    assert_false(view_of(&d, "n2").state_in_step);
    drive_close(&d);
}

/* The time of a status survives our restart; an alive that is only presumed keeps it when it proves true. */
static void since_when_survives_a_restart(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_DEAD)};
    struct repl_config c = config_of("n1");
    struct drive d;
    members[0].since = (struct wall){1111};
    members[1].since = (struct wall){2222};
    c.members = members;
    c.member_count = 2;
    drive_open(&d, &c);
    assert_int_equal(view_of(&d, "n3").since.ms, 2222);
    drive_join(&d, "n2");
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    assert_int_equal(view_of(&d, "n2").since.ms, 1111);
    drive_join(&d, "n3");
    assert_true(view_of(&d, "n3").since.ms > DRIVE_WALL_MS);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_far_behind_and_since_when),
        cmocka_unit_test(as_many_are_not_the_same),
        cmocka_unit_test(an_earlier_life_does_not_speak_for_a_later),
        cmocka_unit_test(how_much_of_our_state_is_lacking),
        cmocka_unit_test(since_when_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
