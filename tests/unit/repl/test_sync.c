#include "tests/unit/repl/drive.h"

static void differs(struct drive *d, const char *from)
{
    struct member_note self = note_of(from, MEMBER_ALIVE);
    struct repl_message beat = heartbeat_of(d, &self, 1);
    beat.heartbeat.plan_root[3] ^= 9;
    assert_int_equal(drive_message(d, from, beat), ERR_OK);
}

static struct drive with_peers(const char *const *names)
{
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    for (; *names != NULL; names++)
        drive_join(&d, *names);
    return d;
}

static struct repl_message answer_of(const struct changeset *changes, size_t count, bool more)
{
    return (struct repl_message){.type = REPL_PUSH,
                                 .push = {.changes = changes, .change_count = count, .answer = true, .more = more}};
}

static void equal_roots_ask_nothing(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct vector_entry plan[] = {{name_of("n1"), DRIVE_EPOCH, 4}, {name_of("n2"), DRIVE_EPOCH, 2}};
    struct vector_entry swapped[] = {plan[1], plan[0]};
    c.plan_vector = plan;
    c.plan_count = 2;
    drive_open(&d, &c);
    struct drive other;
    struct repl_config oc = config_of("n2");
    oc.plan_vector = swapped;
    oc.plan_count = 2;
    drive_open(&other, &oc);
    drive_link(&other, "n1", true);
    struct repl_message beat = *sent(&other, "n1", REPL_HEARTBEAT);
    repl_vector_root(&d.r->states.have, beat.heartbeat.state_root); /* of each one's own state they differ */
    drive_link(&d, "n2", true);
    assert_int_equal(drive_message(&d, "n2", beat), ERR_OK);
    assert_null(sent(&d, "n2", REPL_WANT));
    assert_true(view_of(&d, "n2").in_step);
    assert_true(view_of(&d, "n2").plan_known);
    drive_close(&other);
    drive_close(&d);
}

static void a_difference_is_asked_for_with_our_vectors(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct vector_entry plan[] = {{name_of("n3"), DRIVE_EPOCH, 4}};
    struct vector_entry have[] = {{name_of("n3"), DRIVE_EPOCH, 8}};
    c.plan_vector = plan;
    c.state_vector = have;
    c.plan_count = c.state_count = 1;
    drive_open(&d, &c);
    drive_join(&d, "n2");
    assert_null(sent(&d, "n2", REPL_WANT));
    differs(&d, "n2");
    const struct repl_message *m = sent(&d, "n2", REPL_WANT);
    assert_non_null(m);
    bool plan_seen = false;
    bool state_seen = false;
    for (size_t i = 0; i < m->want.plan_count; i++)
        plan_seen = plan_seen || m->want.plan[i].high == 4;
    for (size_t i = 0; i < m->want.state_count; i++)
        state_seen = state_seen || m->want.state[i].high == 8;
    assert_true(plan_seen && state_seen);
    assert_false(view_of(&d, "n2").in_step);
    drive_close(&d);
}

static void one_question_at_a_time_and_again_after_a_while(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", NULL});
    differs(&d, "n2");
    assert_non_null(sent(&d, "n2", REPL_WANT));
    differs(&d, "n2");
    assert_null(sent(&d, "n2", REPL_WANT));
    drive_tick(&d, 1000);
    assert_int_equal(counted(&d, "wants_timed_out"), 1);
    assert_non_null(sent(&d, "n2", REPL_WANT));
    uint64_t token = sent_token(&d, "n2", REPL_WANT);
    drive(&d, (struct repl_event){.type = REPL_EV_SEND_FAILED, .peer = name_of("n2"), .token = token});
    differs(&d, "n2"); /* one that never left is no question */
    assert_non_null(sent(&d, "n2", REPL_WANT));
    drive_close(&d);
}

static void few_peers_are_asked_at_once(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", "n3", "n4", NULL});
    differs(&d, "n2");
    assert_non_null(sent(&d, "n2", REPL_WANT));
    differs(&d, "n3");
    assert_non_null(sent(&d, "n3", REPL_WANT));
    differs(&d, "n4");
    assert_null(sent(&d, "n4", REPL_WANT));
    assert_int_equal(drive_message(&d, "n2", answer_of(NULL, 0, false)), ERR_OK);
    assert_non_null(sent(&d, "n4", REPL_WANT)); /* its turn */
    drive_close(&d);
}

/* "more": the next batch is asked for when this one is durable, not before. */
static void a_long_answer_is_fetched_batch_by_batch(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", NULL});
    differs(&d, "n2");
    for (uint64_t seq = 1; seq <= 5; seq++) {
        struct changeset c = change_of("n2", seq);
        assert_int_equal(drive_message(&d, "n2", answer_of(&c, 1, seq < 5)), ERR_OK);
        assert_null(sent(&d, "n2", REPL_WANT));
        drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
        assert_true((sent(&d, "n2", REPL_WANT) != NULL) == (seq < 5));
    }
    drive_close(&d);
}

static struct repl_message state_answer_of(const struct state_record *r, const struct vector_entry *upto)
{
    return (struct repl_message){
        .type = REPL_PUSH,
        .push = {.records = r, .record_count = 1, .state_upto = upto, .state_upto_count = 1, .answer = true}};
}

/* The disk fails with one answer on its way and another behind it: both are asked for again. */
static void a_failed_disk_frees_every_answer(void **state)
{
    (void)state;
    struct changeset c[] = {change_of("n2", 1), change_of("n3", 1)};
    struct state_record s[] = {record_of("n2", 1, "a"), record_of("n3", 1, "a")};
    struct vector_entry upto[] = {{name_of("n2"), DRIVE_EPOCH, 1}, {name_of("n3"), DRIVE_EPOCH, 1}};
    for (unsigned of_state = 0; of_state < 2; of_state++) {
        struct drive d = with_peers((const char *const[]){"n2", "n3", NULL});
        differs(&d, "n2");
        differs(&d, "n3");
        assert_int_equal(
            drive_message(&d, "n2", of_state ? state_answer_of(&s[0], &upto[0]) : answer_of(&c[0], 1, false)), ERR_OK);
        uint64_t token = action(&d, of_state ? REPL_DO_PERSIST_STATE : REPL_DO_PERSIST_CHANGE)->token;
        assert_int_equal(
            drive_message(&d, "n3", of_state ? state_answer_of(&s[1], &upto[1]) : answer_of(&c[1], 1, false)), ERR_OK);
        drive_store_failed(&d, token, ERR_FULL);
        drive_tick(&d, 1000);
        assert_non_null(sent(&d, "n2", REPL_WANT));
        assert_non_null(sent(&d, "n3", REPL_WANT));
        drive_close(&d);
    }
}

/* A peer that says "more" for ever and sends nothing new is not asked in a circle. */
static void an_empty_more_is_not_followed(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", NULL});
    differs(&d, "n2");
    assert_int_equal(drive_message(&d, "n2", answer_of(NULL, 0, true)), ERR_OK);
    assert_null(sent(&d, "n2", REPL_WANT));
    drive_close(&d);
}

static void a_question_is_answered_from_the_store(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", NULL});
    struct vector_entry plan = {name_of("n3"), DRIVE_EPOCH, 7};
    struct repl_message m = {.type = REPL_WANT, .want = {.plan = &plan, .plan_count = 1}};
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_SEND_MISSING);
    assert_string_equal(a->peer.s, "n2");
    assert_int_equal(a->want.plan_count, 1);
    assert_int_equal(a->want.plan[0].high, 7);
    assert_int_equal(a->want.state_count, 0);
    drive_close(&d);
}

static struct repl_message knows(const struct drive *d, const struct member_note *self, uint64_t plan, uint64_t have)
{
    struct repl_message beat = heartbeat_of(d, self, 1);
    beat.heartbeat.your_plan = (struct vector_entry){.epoch = DRIVE_EPOCH, .high = plan};
    beat.heartbeat.your_state = (struct vector_entry){.epoch = DRIVE_EPOCH, .high = have};
    return beat;
}

static void an_old_disk_begins_a_new_epoch(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE)};
    struct vector_entry own = {name_of("n1"), DRIVE_EPOCH, 5};
    c.plan_vector = &own;
    c.state_vector = &own;
    c.plan_count = c.state_count = 1;
    c.members = members;
    c.member_count = 1;
    drive_open(&d, &c);
    assert_int_equal(drive_local_change(&d, 1, "waits until n2 has spoken"), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_int_equal(drive_message(&d, "n2", knows(&d, members, 9, 7)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 2);
    assert_int_equal(action_count(&d, REPL_DO_ALARM), 2);
    uint64_t epoch = repl_plan_epoch(d.r);
    assert_true(epoch > DRIVE_EPOCH);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->changes[0].id.epoch, epoch);
    assert_int_equal(a->changes[0].id.seq, 1);
    a = action(&d, REPL_DO_PERSIST_STATE); /* shows the new epoch, should nothing be left to report */
    assert_int_equal(a->record_count, 0);
    assert_int_equal(a->upto[0].epoch, repl_state_epoch(d.r));
    assert_int_equal(drive_message(&d, "n2", knows(&d, members, 9, 7)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0); /* once */
    struct changeset old = change_of("n1", 6);
    assert_int_equal(drive_message(&d, "n2", answer_of(&old, 1, false)), ERR_OK);
    assert_int_equal(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].id.seq, 6); /* the old log comes back */
    drive_close(&d);
}

/* Every way in which somebody can tell us that our disk is old. */
static void each_kind_of_message_shows_it(void **state)
{
    (void)state;
    struct vector_entry own = {name_of("n1"), DRIVE_EPOCH, 3};
    struct changeset change = change_of("n1", 3);
    struct log_id id = change.id;
    const struct repl_message rows[] = {
        {.type = REPL_WANT, .want = {.plan = &own, .plan_count = 1}},
        {.type = REPL_PUSH, .push = {.changes = &change, .change_count = 1}},
        {.type = REPL_RECEIPT, .receipt = {&id, 1}},
        {.type = REPL_WANT, .want = {.state = &own, .state_count = 1}},
        {.type = REPL_PUSH, .push = {.answer = true, .state_upto = &own, .state_upto_count = 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct drive d;
        struct repl_config c = config_of("n1");
        drive_open(&d, &c);
        assert_int_equal(drive_message(&d, "n2", rows[i]), ERR_OK);
        assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 1);
        assert_true(action(&d, REPL_DO_NEW_EPOCH)->of_state == (i >= 3));
        drive_close(&d);
    }
}

/* An epoch that no clock gave: behind it there is no other, and what we would say in one nobody could take. */
static void an_epoch_without_a_next_is_not_believed(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    struct repl_message m = heartbeat_of(&d, &note, 1);
    m.heartbeat.your_plan = (struct vector_entry){.epoch = REPL_COUNT_MAX, .high = 1};
    m.heartbeat.your_state = (struct vector_entry){.epoch = REPL_COUNT_MAX, .high = 1};
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0);
    assert_true(repl_plan_epoch(d.r) <= REPL_COUNT_MAX);
    assert_true(repl_state_epoch(d.r) <= REPL_COUNT_MAX);
    differs(&d, "n2");
    struct node_name self = name_of("n1");
    assert_int_equal(repl_check_want(&self, sent(&d, "n2", REPL_WANT)), ERR_OK);
    drive_close(&d);
    /* A change-set of such a log is kept, but a log of ours it is not after a start either. */
    struct repl_config c = config_of("n1");
    struct vector_entry had = {self, REPL_COUNT_MAX, 1};
    c.plan_vector = &had;
    c.plan_count = 1;
    c.members = &note;
    c.member_count = 1;
    drive_open(&d, &c);
    assert_int_equal(drive_local_change(&d, 1, "nobody speaks"), ERR_OK);
    drive_tick(&d, REPL_HOLD_MS);
    assert_true(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].id.epoch <= REPL_COUNT_MAX);
    drive_close(&d);
}

static void a_silent_member_makes_it_a_new_epoch_too(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    struct vector_entry own = {name_of("n1"), DRIVE_EPOCH, 5};
    c.plan_vector = &own;
    c.plan_count = 1;
    c.members = members;
    c.member_count = 2;
    drive_open(&d, &c);
    assert_int_equal(drive_local_change(&d, 1, "x"), ERR_OK);
    assert_int_equal(drive_message(&d, "n2", knows(&d, members, 5, 0)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    for (unsigned i = 0; i < 4; i++)
        drive_tick(&d, 1000);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    drive_tick(&d, 1000);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_true(a->changes[0].id.epoch > DRIVE_EPOCH);
    assert_int_equal(action_count(&d, REPL_DO_ALARM), 0); /* nothing is known to be wrong */
    drive_close(&d);
}

/* There is no place for another log: that is said, and all else goes on. */
static void a_new_epoch_without_room_is_refused(void **state)
{
    (void)state;
    static struct vector_entry all[REPL_VECTOR_MAX - 1];
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    for (size_t i = 0; i < REPL_VECTOR_MAX - 1; i++)
        all[i] = (struct vector_entry){name_of("n9"), 1 + i, 1};
    c.plan_vector = all;
    c.plan_count = REPL_VECTOR_MAX - 1;
    c.members = members;
    c.member_count = 2;
    drive_open(&d, &c);
    drive_join(&d, "n2");
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(drive_local_change(&d, i, "n3 never speaks"), ERR_OK);
    drive_tick(&d, REPL_HOLD_MS);
    assert_int_equal(action_count(&d, REPL_DO_REJECTED), 2);
    assert_int_equal(action(&d, REPL_DO_REJECTED)->err, ERR_LIMIT);
    assert_int_equal(counted(&d, "retries_without_memory"), 0);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT));
    drive_close(&d);
}

static void when_all_have_spoken_the_log_goes_on(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_EVICTED)};
    struct vector_entry own = {name_of("n1"), DRIVE_EPOCH, 5};
    c.plan_vector = &own;
    c.state_vector = &own;
    c.plan_count = c.state_count = 1;
    c.members = members;
    c.member_count = 2;
    drive_open(&d, &c);
    assert_int_equal(drive_local_change(&d, 1, "x"), ERR_OK);
    assert_int_equal(drive_local_state(&d, 2, "binding"), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->upto_count, 0); /* stored, but not shown: our entry stays */
    assert_true(a->records[0].version > 5);
    uint64_t token = a->token;
    drive_stored(&d, token);
    assert_int_equal(action_count(&d, REPL_DO_STATE_STORED), 1); /* a REGISTER need not wait for anybody */
    struct vector_entry nothing = {name_of("n2"), DRIVE_EPOCH, 1};
    struct repl_message want = {.type = REPL_WANT, .want = {.plan = &nothing, .plan_count = 1}};
    assert_int_equal(drive_message(&d, "n2", want), ERR_OK);
    assert_true(action(&d, REPL_DO_SEND_MISSING)->plan_only); /* the store would show it */
    drive_link(&d, "n2", true);
    assert_int_equal(drive_message(&d, "n2", knows(&d, members, 5, 5)), ERR_OK);
    a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->changes[0].id.epoch, DRIVE_EPOCH);
    assert_int_equal(a->changes[0].id.seq, 6);
    a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->record_count, 0);
    assert_int_equal(a->upto[0].epoch, DRIVE_EPOCH); /* now our entry rises over it */
    token = a->token;
    assert_int_equal(drive_message(&d, "n2", want), ERR_OK);
    assert_true(action(&d, REPL_DO_SEND_MISSING)->plan_only); /* not before that is durable */
    drive_stored(&d, token);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT)); /* and the peers are shown that there is something */
    assert_int_equal(action_count(&d, REPL_DO_NEW_EPOCH), 0);
    assert_int_equal(drive_message(&d, "n2", want), ERR_OK);
    assert_false(action(&d, REPL_DO_SEND_MISSING)->plan_only);
    drive_close(&d);
}

static bool says_unsettled(struct drive *d, const char *peer)
{
    const struct repl_message *m = sent(d, peer, REPL_HEARTBEAT);
    assert_non_null(m);
    return m->heartbeat.your_plan.epoch != 0 && m->heartbeat.your_plan.high == 0;
}

/* n2 may come back with an older disk: what its earlier life wrote is not lost as long as it is on its way to ours. */
static void what_is_on_its_way_to_the_disk_is_owned_up_to(void **state)
{
    (void)state;
    struct drive d = with_peers((const char *const[]){"n2", NULL});
    struct changeset change = change_of("n2", 1);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &change, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    uint64_t token = action(&d, REPL_DO_PERSIST_CHANGE)->token;
    drive_tick(&d, 2200);
    assert_false(says_unsettled(&d, "n2")); /* it is the same life that wrote it */
    drive_link(&d, "n2", false);
    drive_link(&d, "n2", true);
    assert_true(says_unsettled(&d, "n2"));
    drive_stored(&d, token);
    drive_tick(&d, 2200);
    assert_int_equal(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.your_plan.high, 1);

    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 4};
    struct state_record record = record_of("n2", 4, "a");
    push = (struct repl_message){
        .type = REPL_PUSH, .push = {.records = &record, .record_count = 1, .state_upto = &upto, .state_upto_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    token = action(&d, REPL_DO_PERSIST_STATE)->token;
    drive_link(&d, "n2", false);
    drive_link(&d, "n2", true);
    assert_true(says_unsettled(&d, "n2"));
    drive_stored(&d, token);
    drive_tick(&d, 2200);
    assert_false(says_unsettled(&d, "n2"));
    drive_close(&d);
}

/* And who hears that waits with its first number. */
static void no_number_is_used_before_all_is_settled(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE)};
    c.members = members;
    c.member_count = 1;
    drive_open(&d, &c);
    drive_link(&d, "n2", true);
    struct repl_message unsettled = heartbeat_of(&d, members, 1);
    unsettled.heartbeat.your_plan = (struct vector_entry){name_of("n1"), 1, 0};
    assert_int_equal(drive_message(&d, "n2", unsettled), ERR_OK);
    assert_int_equal(drive_local_change(&d, 1, "x"), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, members, 1)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 1);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_roots_ask_nothing),
        cmocka_unit_test(a_difference_is_asked_for_with_our_vectors),
        cmocka_unit_test(one_question_at_a_time_and_again_after_a_while),
        cmocka_unit_test(few_peers_are_asked_at_once),
        cmocka_unit_test(a_long_answer_is_fetched_batch_by_batch),
        cmocka_unit_test(a_failed_disk_frees_every_answer),
        cmocka_unit_test(an_empty_more_is_not_followed),
        cmocka_unit_test(a_question_is_answered_from_the_store),
        cmocka_unit_test(an_old_disk_begins_a_new_epoch),
        cmocka_unit_test(each_kind_of_message_shows_it),
        cmocka_unit_test(an_epoch_without_a_next_is_not_believed),
        cmocka_unit_test(a_silent_member_makes_it_a_new_epoch_too),
        cmocka_unit_test(a_new_epoch_without_room_is_refused),
        cmocka_unit_test(when_all_have_spoken_the_log_goes_on),
        cmocka_unit_test(what_is_on_its_way_to_the_disk_is_owned_up_to),
        cmocka_unit_test(no_number_is_used_before_all_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
