#include "tests/unit/repl/drive.h"

static struct drive with_peer(void)
{
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    drive_join(&d, "n2");
    return d;
}

static uint64_t observe(struct drive *d, uint64_t token, const char *key)
{
    assert_int_equal(drive_local_state(d, token, key), ERR_OK);
    return action(d, REPL_DO_PERSIST_STATE)->token;
}

static struct repl_message own_push(const struct state_record *records, size_t count, uint64_t after,
                                    const struct vector_entry *upto)
{
    return (struct repl_message){.type = REPL_PUSH,
                                 .push = {.records = records,
                                          .record_count = count,
                                          .state_upto = upto,
                                          .state_upto_count = 1,
                                          .state_after = after}};
}

static void a_record_is_stored_reported_and_pushed_in_a_batch(void **state)
{
    (void)state;
    struct drive d = with_peer();
    uint64_t first = observe(&d, 11, "binding/6001");
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->record_count, 1);
    uint64_t version = a->records[0].version;
    assert_string_equal(a->records[0].owner.s, "n1");
    assert_true(slice_is(a->records[0].key, "binding/6001"));
    assert_int_equal(a->upto_count, 1);
    assert_int_equal(a->upto[0].high, version);
    uint64_t second = observe(&d, 12, "binding/6002");
    assert_int_equal(action(&d, REPL_DO_PERSIST_STATE)->records[0].version, version + 1);
    drive_stored(&d, first);
    a = action(&d, REPL_DO_STATE_STORED);
    assert_int_equal(a->token, 11);
    assert_int_equal(a->err, ERR_OK);
    assert_null(sent(&d, "n2", REPL_PUSH));
    assert_true(d.out.deadline.us <= (d.now_ms + 50) * 1000);
    d.now_ms += 20;
    drive_stored(&d, second);
    drive_tick(&d, 29);
    assert_null(sent(&d, "n2", REPL_PUSH));
    drive_tick(&d, 1);
    const struct repl_message *m = sent(&d, "n2", REPL_PUSH);
    assert_non_null(m);
    assert_int_equal(m->push.record_count, 2);
    assert_int_equal(m->push.state_upto[0].high, version + 1);
    assert_true(m->push.state_after < version);
    uint64_t third = observe(&d, 13, "binding/6003");
    drive_stored(&d, third);
    drive_tick(&d, 50);
    m = sent(&d, "n2", REPL_PUSH);
    assert_int_equal(m->push.state_after, version + 1); /* goes on where the last one ended */
    drive_close(&d);
}

static void what_could_not_be_stored_does_not_exist(void **state)
{
    (void)state;
    struct drive d = with_peer();
    uint64_t first = observe(&d, 1, "a");
    uint64_t second = observe(&d, 2, "b");
    uint64_t version = action(&d, REPL_DO_PERSIST_STATE)->records[0].version;
    drive_stored(&d, second); /* out of order: reported in order */
    assert_int_equal(action_count(&d, REPL_DO_STATE_STORED), 0);
    drive_store_failed(&d, first, ERR_FULL);
    assert_int_equal(action_count(&d, REPL_DO_STATE_STORED), 2);
    assert_int_equal(action(&d, REPL_DO_STATE_STORED)->err, ERR_FULL);
    drive_tick(&d, 50);
    const struct repl_message *m = sent(&d, "n2", REPL_PUSH);
    assert_int_equal(m->push.record_count, 1);
    assert_int_equal(m->push.state_upto[0].high, version);
    assert_int_equal(drive_try(&d, (struct repl_event){.type = REPL_EV_STORED, .token = first}), ERR_NOTFOUND);
    drive_close(&d);
}

static void a_push_that_is_complete_raises_the_vector(void **state)
{
    (void)state;
    struct drive d = with_peer();
    struct state_record r[] = {record_of("n2", 4, "a"), record_of("n2", 6, "b")};
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 6};
    assert_int_equal(drive_message(&d, "n2", own_push(r, 2, 0, &upto)), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->record_count, 2);
    assert_int_equal(a->upto[0].high, 6);
    uint64_t token = a->token;
    r[0] = record_of("n2", 7, "a");
    upto.high = 7;
    assert_int_equal(drive_message(&d, "n2", own_push(r, 1, 6, &upto)), ERR_OK); /* builds on what is being stored */
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    drive_stored(&d, token);
    a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->upto[0].high, 7);
    drive_stored(&d, a->token);
    assert_int_equal(drive_message(&d, "n2", own_push(r, 1, 6, &upto)), ERR_OK); /* known */
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    assert_int_equal(counted(&d, "state_stale"), 1);
    drive_close(&d);
}

static void nothing_beyond_a_gap_is_taken(void **state)
{
    (void)state;
    struct drive d = with_peer();
    struct state_record r = record_of("n2", 9, "a");
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 9};
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 5, &upto)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    assert_non_null(sent(&d, "n2", REPL_WANT));
    assert_int_equal(counted(&d, "state_gaps"), 1);
    drive_close(&d);
}

static void an_answer_raises_as_far_as_it_is_complete(void **state)
{
    (void)state;
    static const struct {
        bool more;
        uint64_t sender_high, want_high;
        size_t want_records;
    } rows[] = {{false, 9, 9, 2}, {true, 9, 8, 2}, {true, 6, 6, 1}, {false, 6, 6, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct drive d = with_peer();
        struct state_record r[] = {record_of("n3", 5, "a"), record_of("n3", 8, "b")};
        struct vector_entry upto = {name_of("n3"), DRIVE_EPOCH, rows[i].sender_high};
        struct repl_message m = own_push(r, 2, 0, &upto);
        m.push.answer = true;
        m.push.more = rows[i].more;
        assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
        const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
        assert_int_equal(a->record_count, rows[i].want_records);
        assert_int_equal(a->upto_count, 1);
        assert_int_equal(a->upto[0].high, rows[i].want_high);
        drive_close(&d);
    }
}

static void a_newer_epoch_replaces_an_older_one(void **state)
{
    (void)state;
    struct drive d = with_peer();
    struct state_record r = record_of("n2", 4, "a");
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 4};
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 0, &upto)), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_STATE)->token);
    r.epoch = upto.epoch = DRIVE_EPOCH + 5;
    r.version = upto.high = 1;
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 0, &upto)), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_STATE);
    assert_int_equal(a->upto[0].epoch, DRIVE_EPOCH + 5);
    assert_int_equal(a->upto[0].high, 1);
    drive_stored(&d, a->token);
    r.epoch = upto.epoch = DRIVE_EPOCH;
    r.version = upto.high = 90;
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 4, &upto)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    drive_close(&d);
}

static void nobody_speaks_for_another_unasked(void **state)
{
    (void)state;
    struct drive d = with_peer();
    struct state_record r = record_of("n3", 1, "a");
    struct vector_entry upto = {name_of("n3"), DRIVE_EPOCH, 1};
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 0, &upto)), ERR_SYNTAX);
    assert_int_equal(counted(&d, "messages_invalid"), 1);
    drive_close(&d);
}

static void a_failed_batch_is_asked_for_again(void **state)
{
    (void)state;
    struct drive d = with_peer();
    struct state_record r = record_of("n2", 4, "a");
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 4};
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 0, &upto)), ERR_OK);
    drive_store_failed(&d, action(&d, REPL_DO_PERSIST_STATE)->token, ERR_IO);
    r = record_of("n2", 5, "b");
    upto.high = 5;
    assert_int_equal(drive_message(&d, "n2", own_push(&r, 1, 4, &upto)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0); /* its ground is gone */
    drive_tick(&d, 1000);
    assert_non_null(sent(&d, "n2", REPL_WANT));
    drive_close(&d);
}

/* n1, which knows as many owners, or logs, as it may. */
static struct drive with_full_vectors(void)
{
    static struct vector_entry all[REPL_VECTOR_MAX - 1];
    struct drive d;
    struct repl_config c = config_of("n1");
    for (size_t i = 0; i < REPL_VECTOR_MAX - 1; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "o%05zu", i);
        all[i] = (struct vector_entry){name_of(name), DRIVE_EPOCH, 1};
    }
    c.plan_vector = c.state_vector = all;
    c.plan_count = c.state_count = REPL_VECTOR_MAX - 1; /* and its own */
    drive_open(&d, &c);
    drive_join(&d, "n2");
    return d;
}

static void answer_with(struct drive *d, const struct state_record *records, size_t count)
{
    struct vector_entry upto = {records[0].owner, DRIVE_EPOCH, records[count - 1].version};
    struct repl_message m = own_push(records, count, 0, &upto);
    m.push.answer = true;
    assert_int_equal(drive_message(d, "n2", m), ERR_OK);
}

static void with_no_room_for_more_the_known_go_on(void **state)
{
    (void)state;
    struct drive d = with_full_vectors();
    struct state_record stranger = record_of("zz", 1, "k");
    answer_with(&d, &stranger, 1);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    assert_int_equal(counted(&d, "state_dropped"), 1);
    struct state_record known = record_of("o00007", 2, "k");
    answer_with(&d, &known, 1);
    assert_int_equal(action(&d, REPL_DO_PERSIST_STATE)->record_count, 1);
    struct changeset change = change_of("zz", 1);
    struct repl_message m = {.type = REPL_PUSH, .push = {.changes = &change, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    change = change_of("o00007", 2);
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_int_equal(action(&d, REPL_DO_PERSIST_CHANGE)->change_count, 1);
    drive_close(&d);
}

/* What was taken back of a batch does not fill it. */
static void what_could_not_be_taken_takes_no_room(void **state)
{
    (void)state;
    static char big[LIMIT_OBJECT];
    struct state_record many[REPL_NEXT_BYTES / LIMIT_OBJECT - 1];
    struct drive d = with_full_vectors();
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i] = record_of("zz", 1 + i, "k");
        many[i].value = (struct slice){big, sizeof big};
    }
    for (unsigned i = 0; i < 2; i++)
        answer_with(&d, many, sizeof many / sizeof many[0]);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_STATE), 0);
    struct state_record known = record_of("o00007", 2, "k");
    known.value = (struct slice){big, sizeof big};
    answer_with(&d, &known, 1);
    assert_int_equal(action(&d, REPL_DO_PERSIST_STATE)->record_count, 1);
    drive_close(&d);
}

static void own_records_are_bounded(void **state)
{
    (void)state;
    struct drive d = with_peer();
    for (unsigned i = 0; i < REPL_STATE_QUEUE; i++)
        assert_int_equal(drive_local_state(&d, i, "k"), ERR_OK);
    assert_int_equal(drive_local_state(&d, 1, "k"), ERR_FULL);
    char key[REPL_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    key[REPL_KEY_MAX + 1] = '\0';
    assert_int_equal(drive_local_state(&d, 1, key), ERR_LIMIT);
    assert_int_equal(drive_local_state(&d, 1, ""), ERR_SYNTAX);
    drive_close(&d);
}

/* A run whose records were never shown, and a clock that has gone back since. */
static void versions_begin_above_all_on_the_disk(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct vector_entry own = {.origin = c.self, .epoch = 1, .high = 3};
    c.state_vector = &own;
    c.state_count = 1;
    c.state_version = (c.incarnation << 16) + 5;
    drive_open(&d, &c);
    drive_join(&d, "n2");
    (void)observe(&d, 1, "k");
    assert_true(action(&d, REPL_DO_PERSIST_STATE)->records[0].version > c.state_version);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_stored_reported_and_pushed_in_a_batch),
        cmocka_unit_test(what_could_not_be_stored_does_not_exist),
        cmocka_unit_test(a_push_that_is_complete_raises_the_vector),
        cmocka_unit_test(nothing_beyond_a_gap_is_taken),
        cmocka_unit_test(an_answer_raises_as_far_as_it_is_complete),
        cmocka_unit_test(a_newer_epoch_replaces_an_older_one),
        cmocka_unit_test(nobody_speaks_for_another_unasked),
        cmocka_unit_test(a_failed_batch_is_asked_for_again),
        cmocka_unit_test(with_no_room_for_more_the_known_go_on),
        cmocka_unit_test(what_could_not_be_taken_takes_no_room),
        cmocka_unit_test(own_records_are_bounded),
        cmocka_unit_test(versions_begin_above_all_on_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
