/* The evicted are out, until a later certificate takes the name up again. */
#include "tests/unit/repl/drive.h"

static void the_evicted_are_out_for_good(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    drive(&d, (struct repl_event){.type = REPL_EV_EVICT, .peer = name_of("n2")});
    expect_member(&d, "n2", MEMBER_EVICTED);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT)); /* it is told why */
    assert_non_null(sent(&d, "n3", REPL_HEARTBEAT));
    assert_string_equal(action(&d, REPL_DO_HANGUP)->peer.s, "n2");
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    self.incarnation += 1000;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &self, 1)), ERR_REFUSED);
    assert_int_equal(action_count(&d, REPL_DO_HANGUP), 1);
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &self, 1)), ERR_OK); /* nor by hearsay */
    assert_int_equal(view_of(&d, "n2").status, MEMBER_EVICTED);
    drive_link(&d, "n2", true);
    assert_int_equal(action_count(&d, REPL_DO_HANGUP), 1);
    assert_int_equal(drive_try(&d, (struct repl_event){.type = REPL_EV_EVICT, .peer = name_of("n9")}), ERR_NOTFOUND);
    drive_close(&d);
}

static void certificate(struct drive *d, const char *peer, uint64_t issued)
{
    drive(d, (struct repl_event){.type = REPL_EV_CERTIFICATE, .peer = name_of(peer), .issued = issued});
}

/* A later certificate takes the name up again; the earlier one stays out, whoever speaks for it, and in any order. */
static void an_evicted_name_comes_back_with_a_later_certificate(void **state)
{
    (void)state;
    struct drive d = fresh();
    uint64_t ahead = (uint64_t)DRIVE_WALL_MS / 1000 + 86400; /* by a CA whose clock is a day ahead; before its link */
    certificate(&d, "n2", ahead);
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    drive(&d, (struct repl_event){.type = REPL_EV_EVICT, .peer = name_of("n2")});
    uint64_t barred = view_of(&d, "n2").barred;
    assert_int_equal(barred, ahead);
    assert_int_equal(action(&d, REPL_DO_MEMBER)->member.barred, barred);
    certificate(&d, "n2", barred);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_EVICTED);
    certificate(&d, "n2", barred + 1);
    expect_member(&d, "n2", MEMBER_ALIVE);
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    self.incarnation = 7; /* of another machine, whose clock is behind */
    self.mesh_address = SLICE("10.0.0.9:7400");
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &self, 1)), ERR_OK);
    assert_true(slice_is(view_of(&d, "n2").mesh_address, "10.0.0.9:7400"));
    struct member_note old = note_of("n2", MEMBER_EVICTED); /* from one that has not heard */
    old.issued = ahead;
    old.barred = barred;
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &old, 1)), ERR_OK);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    old.barred = barred + 1; /* evicted once more, elsewhere */
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &old, 1)), ERR_OK);
    expect_member(&d, "n2", MEMBER_EVICTED);
    self.issued = barred + 2;
    self.barred = barred + 1;
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &self, 1)), ERR_OK);
    expect_member(&d, "n2", MEMBER_ALIVE);
    drive_close(&d);
}

static void our_own_eviction_ends_with_a_later_certificate(void **state)
{
    (void)state;
    struct member_note self = note_of("n1", MEMBER_EVICTED);
    struct repl_config c = config_of("n1");
    struct drive d;
    self.barred = 100;
    c.members = &self;
    c.member_count = 1;
    c.issued = 100;
    drive_open(&d, &c);
    assert_int_equal(view_of(&d, "n1").status, MEMBER_EVICTED);
    drive_close(&d);
    c.issued = 101;
    drive_open(&d, &c);
    assert_int_equal(view_of(&d, "n1").status, MEMBER_ALIVE);
    drive_join(&d, "n2");
    struct member_note notes[] = {note_of("n2", MEMBER_ALIVE), self}; /* it has not heard yet */
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 2)), ERR_OK);
    assert_int_equal(view_of(&d, "n1").status, MEMBER_ALIVE);
    notes[1].barred = 101;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 2)), ERR_OK);
    assert_int_equal(view_of(&d, "n1").status, MEMBER_EVICTED);
    drive_close(&d);
}

static void an_eviction_spreads_and_is_obeyed(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    struct member_note notes[] = {note_of("n2", MEMBER_ALIVE), note_of("n1", MEMBER_EVICTED)};
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 2)), ERR_OK);
    expect_member(&d, "n1", MEMBER_EVICTED);
    assert_int_equal(action_count(&d, REPL_DO_ALARM), 1);
    assert_int_equal(drive_local_change(&d, 1, "too late"), ERR_REFUSED);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_evicted_are_out_for_good),
        cmocka_unit_test(an_evicted_name_comes_back_with_a_later_certificate),
        cmocka_unit_test(our_own_eviction_ends_with_a_later_certificate),
        cmocka_unit_test(an_eviction_spreads_and_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
