/* A node whose state is lost asks for it back before a new epoch takes its place at everybody. */
#include "tests/unit/repl/drive.h"

#define EPOCH (DRIVE_EPOCH + 3) /* of the lost state: not the first that this database had */

/* One that has lost its state, in a cluster of n1, n2, n3. */
static struct drive with_nothing(const struct member_note members[2])
{
    struct drive d;
    struct repl_config c = config_of("n1");
    c.members = members;
    c.member_count = 2;
    drive_open(&d, &c);
    return d;
}

static struct repl_message knows(const struct drive *d, const struct member_note *self, uint64_t high)
{
    struct repl_message beat = heartbeat_of(d, self, 1);
    beat.heartbeat.your_state = (struct vector_entry){.epoch = EPOCH, .high = high};
    return beat;
}

static void speaks(struct drive *d, const char *name, uint64_t high)
{
    struct member_note self = note_of(name, MEMBER_ALIVE);
    drive_link(d, name, true);
    assert_int_equal(drive_message(d, name, knows(d, &self, high)), ERR_OK);
}

static struct state_record own(uint64_t version, const char *key)
{
    struct state_record r = record_of("n1", version, key);
    r.epoch = EPOCH;
    return r;
}

static void answers(struct drive *d, const char *name, const struct state_record *records, size_t count, uint64_t high,
                    bool more)
{
    struct vector_entry upto = {name_of("n1"), EPOCH, high};
    struct repl_message m = {.type = REPL_PUSH,
                             .push = {.records = records,
                                      .record_count = count,
                                      .state_upto = &upto,
                                      .state_upto_count = 1,
                                      .answer = true,
                                      .more = more}};
    assert_int_equal(drive_message(d, name, m), ERR_OK);
}

static const struct vector_entry *asked_of_n1(const struct drive *d, const char *name)
{
    const struct repl_message *m = sent(d, name, REPL_WANT);
    assert_non_null(m);
    for (size_t i = 0; i < m->want.state_count; i++) {
        if (strcmp(m->want.state[i].origin.s, "n1") == 0) return &m->want.state[i];
    }
    fail_msg("the want does not say what n1 has of its own");
    return NULL;
}

static void it_comes_back_in_parts_before_the_new_epoch(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    struct drive d = with_nothing(members);
    speaks(&d, "n2", 9);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0);
    assert_int_equal(asked_of_n1(&d, "n2")->epoch, EPOCH);
    assert_int_equal(asked_of_n1(&d, "n2")->high, 0);
    struct state_record first[] = {own(3, "a"), own(6, "b")};
    answers(&d, "n2", first, 2, 9, true);
    const struct repl_action *a = action(&d, REPL_DO_OWN_FOUND);
    assert_int_equal(a->record_count, 2);
    assert_true(slice_is(a->records[1].key, "b"));
    assert_int_equal(asked_of_n1(&d, "n2")->high, 6); /* and on from there */
    struct state_record rest[] = {own(8, "c"), own(9, "a")};
    rest[1].removed = true;
    rest[1].value = SLICE_NONE;
    answers(&d, "n2", rest, 2, 9, false);
    assert_int_equal(action(&d, REPL_DO_OWN_FOUND)->record_count, 2);
    assert_true(action(&d, REPL_DO_OWN_FOUND)->records[1].removed);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0); /* n3 may know more */
    speaks(&d, "n3", 9);
    assert_true(action(&d, REPL_DO_NEW_EPOCH)->of_state);
    assert_true(repl_state_epoch(d.r) > EPOCH);
    assert_int_equal(counted(&d, "own_records_found"), 4);
    assert_int_equal(counted(&d, "recover_timeouts"), 0);
    speaks(&d, "n3", 9); /* once */
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0);
    drive_close(&d);
}

static void who_knows_more_is_asked_for_the_rest(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    struct drive d = with_nothing(members);
    speaks(&d, "n2", 5);
    struct state_record r = own(5, "a");
    answers(&d, "n2", &r, 1, 5, false);
    speaks(&d, "n3", 7);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0);
    assert_int_equal(asked_of_n1(&d, "n3")->high, 5);
    r = own(7, "b");
    answers(&d, "n3", &r, 1, 7, false);
    assert_int_equal(action(&d, REPL_DO_OWN_FOUND)->record_count, 1);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 1);
    drive_close(&d);
}

/* Until then what is observed anew is stored, and shown to nobody. */
static void nothing_is_shown_meanwhile(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_DEAD)};
    struct drive d = with_nothing(members);
    speaks(&d, "n2", 5);
    assert_int_equal(drive_local_state(&d, 1, "new"), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->record_count, 1);
    assert_int_equal(a->upto_count, 0);
    drive_stored(&d, a->token);
    drive_tick(&d, 60);
    assert_null(sent(&d, "n2", REPL_PUSH));
    drive_close(&d);
}

static void a_donor_that_says_nothing_does_not_hold_it_up(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    struct drive d = with_nothing(members);
    size_t epochs = 0;
    speaks(&d, "n2", 5);
    speaks(&d, "n3", 5);
    for (unsigned i = 0; i < REPL_RECOVER_MS / 100 + 1; i++) {
        drive_tick(&d, 100);
        epochs += action_count(&d, REPL_DO_NEW_EPOCH);
        assert_int_equal(action_count(&d, REPL_DO_OWN_FOUND), 0);
    }
    assert_int_equal(epochs, 1);
    assert_int_equal(counted(&d, "recover_timeouts"), 1);
    drive_close(&d);
}

/* A disk that has something of ours is old, not lost: what stands on it is what holds. */
static void an_old_disk_asks_for_nothing_back(void **state)
{
    (void)state;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    struct vector_entry known = {name_of("n1"), EPOCH, 2};
    struct repl_config c = config_of("n1");
    struct drive d;
    c.members = members;
    c.member_count = 2;
    c.state_vector = &known;
    c.state_count = 1;
    drive_open(&d, &c);
    speaks(&d, "n2", 9);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 1);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_in_parts_before_the_new_epoch),
        cmocka_unit_test(who_knows_more_is_asked_for_the_rest),
        cmocka_unit_test(nothing_is_shown_meanwhile),
        cmocka_unit_test(a_donor_that_says_nothing_does_not_hold_it_up),
        cmocka_unit_test(an_old_disk_asks_for_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
