#include "tests/unit/repl/drive.h"

static struct drive with_peers(bool two)
{
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    drive_join(&d, "n2");
    if (two) drive_join(&d, "n3");
    return d;
}

static struct repl_message push_of(const struct changeset *changes, size_t count, bool answer)
{
    return (struct repl_message){.type = REPL_PUSH,
                                 .push = {.changes = changes, .change_count = count, .answer = answer}};
}

static uint64_t have(const struct drive *d, const char *origin)
{
    struct node_name n = name_of(origin);
    (void)d;
    const struct repl_message *m = sent(d, "n2", REPL_WANT);
    if (m == NULL) fail_msg("n2 was not asked");
    for (size_t i = 0; i < m->want.plan_count; i++) {
        if (node_name_eq(&m->want.plan[i].origin, &n)) return m->want.plan[i].high;
    }
    return 0;
}

/* persist, then applied, then pushed to everybody; receipts as they come. */
static void a_local_change_goes_its_way(void **state)
{
    (void)state;
    struct drive d = with_peers(true);
    assert_int_equal(drive_local_change(&d, 77, "first"), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    uint64_t token = a->token;
    assert_int_equal(a->change_count, 1);
    assert_string_equal(a->changes[0].id.origin.s, "n1");
    assert_int_equal(a->changes[0].id.epoch, DRIVE_EPOCH);
    assert_int_equal(a->changes[0].id.seq, 1);
    assert_true(slice_is(a->changes[0].author, "root@n1"));
    assert_true(slice_is(a->changes[0].ops[0].key, "site/hq"));
    assert_null(sent(&d, "n2", REPL_PUSH)); /* not before it is durable */
    d.now_ms += 3;
    drive_stored(&d, token);
    a = action(&d, REPL_DO_APPLIED);
    assert_int_equal(a->token, 77);
    assert_int_equal(a->id.seq, 1);
    assert_non_null(sent(&d, "n2", REPL_PUSH));
    assert_non_null(sent(&d, "n3", REPL_PUSH));
    assert_true(slice_is(sent(&d, "n3", REPL_PUSH)->push.changes[0].message, "first"));

    struct log_id id = a->id;
    d.now_ms += 10;
    struct repl_message receipt = {.type = REPL_RECEIPT, .receipt = {&id, 1}};
    assert_int_equal(drive_message(&d, "n2", receipt), ERR_OK);
    a = action(&d, REPL_DO_RECEIPT);
    assert_string_equal(a->peer.s, "n2");
    assert_int_equal(a->id.seq, 1);
    assert_int_equal(a->elapsed_ms, 13);
    assert_int_equal(drive_message(&d, "n2", receipt), ERR_OK); /* once is enough */
    assert_int_equal(action_count(&d, REPL_DO_RECEIPT), 0);

    struct member_note self = note_of("n3", MEMBER_ALIVE);
    struct repl_message beat = heartbeat_of(&d, &self, 1);
    beat.heartbeat.your_plan = (struct vector_entry){.epoch = DRIVE_EPOCH, .high = 1};
    assert_int_equal(drive_message(&d, "n3", beat), ERR_OK); /* says the same, should the receipt be lost */
    assert_string_equal(action(&d, REPL_DO_RECEIPT)->peer.s, "n3");
    drive_close(&d);
}

static void numbers_are_given_out_one_at_a_time(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    assert_int_equal(drive_local_change(&d, 1, "a"), ERR_OK);
    uint64_t first = action(&d, REPL_DO_PERSIST_CHANGE)->token;
    assert_int_equal(drive_local_change(&d, 2, "b"), ERR_OK);
    assert_int_equal(drive_local_change(&d, 3, "c"), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    drive_store_failed(&d, first, ERR_FULL);
    const struct repl_action *a = action(&d, REPL_DO_REJECTED);
    assert_int_equal(a->token, 1);
    assert_int_equal(a->err, ERR_FULL);
    a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->changes[0].id.seq, 1); /* the number came back */
    drive_stored(&d, a->token);
    assert_int_equal(action(&d, REPL_DO_APPLIED)->token, 2);
    a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->changes[0].id.seq, 2);
    drive_stored(&d, a->token);
    assert_int_equal(action(&d, REPL_DO_APPLIED)->token, 3);
    assert_int_equal(drive_try(&d, (struct repl_event){.type = REPL_EV_STORED, .token = first}), ERR_NOTFOUND);
    drive_close(&d);
}

static void the_local_queue_is_bounded(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    for (unsigned i = 0; i < REPL_LOCAL_QUEUE; i++)
        assert_int_equal(drive_local_change(&d, i, "x"), ERR_OK);
    assert_int_equal(drive_local_change(&d, 99, "x"), ERR_FULL);
    drive_close(&d);
}

static struct repl_queue queue_of(const struct drive *d, const char *name)
{
    for (size_t i = 0; i < REPL_QUEUE_COUNT; i++) {
        struct repl_queue q = repl_queue_at(d->r, i);
        assert_true(q.used <= q.limit);
        if (strcmp(q.name, name) == 0) return q;
    }
    fail_msg("no queue \"%s\"", name);
    return (struct repl_queue){0};
}

static void queues_are_shown(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    assert_int_equal(queue_of(&d, "local changes").used, 0);
    for (unsigned i = 0; i < REPL_LOCAL_QUEUE; i++)
        assert_int_equal(drive_local_change(&d, i, "x"), ERR_OK);
    assert_int_equal(queue_of(&d, "local changes").used, REPL_LOCAL_QUEUE);
    struct changeset late = change_of("n2", 3);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &late, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    assert_int_equal(queue_of(&d, "held changes").used, 1);
    assert_true(queue_of(&d, "bytes of held changes").used > 0);
    assert_int_equal(queue_of(&d, "members").used, 1);
    drive_close(&d);
}

static void caps_hold_for_the_operator_too(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    static char big[LIMIT_OBJECT + 1];
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = {big, sizeof big}};
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE, .ops = &op, .op_count = 1};
    assert_int_equal(drive_try(&d, ev), ERR_LIMIT);
    op.value.n = 1;
    op.key = (struct slice){big, REPL_CHANGE_KEY_MAX + 1};
    assert_int_equal(drive_try(&d, ev), ERR_LIMIT);
    op.key = SLICE_NONE;
    assert_int_equal(drive_try(&d, ev), ERR_SYNTAX);
    ev.op_count = 0;
    assert_int_equal(drive_try(&d, ev), ERR_SYNTAX);
    drive_close(&d);
}

/* An undo has its own place in time, and does not move the clock; what settles another change may be empty. */
static void a_change_with_a_time_of_its_own(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = SLICE("v"), .before = SLICE("w")};
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE, .ops = &op, .op_count = 1, .exactly = {77}};
    ev.terms = (struct change_terms){.settles = {.epoch = 1, .seq = 4}, .verdict = CHANGE_UNDOES};
    assert_int_equal(drive_try(&d, ev), ERR_SYNTAX); /* it names nobody's */
    assert_int_equal(node_name_set(&ev.terms.settles.origin, SLICE("n2")), ERR_OK);
    ev.terms.verdict = (enum change_verdict)3;
    assert_int_equal(drive_try(&d, ev), ERR_SYNTAX);
    ev.terms.verdict = CHANGE_UNDOES;
    drive(&d, ev);
    assert_int_equal(action(&d, REPL_DO_REJECTED)->err, ERR_EXISTS); /* no change is open */
    struct repl_event other = {.type = REPL_EV_LOCAL_CHANGE, .ops = &op, .op_count = 1};
    drive(&d, other);
    drive(&d, (struct repl_event){
                  .type = REPL_EV_STORED, .token = action(&d, REPL_DO_PERSIST_CHANGE)->token, .pending = 1});
    drive(&d, ev);
    const struct changeset *c = action(&d, REPL_DO_PERSIST_CHANGE)->changes;
    assert_int_equal(c->time.v, 77);
    assert_int_equal(c->terms.settles.seq, 4);
    assert_true(slice_is(c->ops[0].before, "w"));
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    ev.op_count = 0;
    ev.exactly = (struct hlc){0};
    drive(&d, ev);
    c = action(&d, REPL_DO_PERSIST_CHANGE)->changes;
    assert_int_equal(c->op_count, 0);
    assert_true(c->time.v > 77);
    drive_close(&d);
}

/* Whoever has seen a change that has to be confirmed gives later edits a time behind what may settle it. */
static void room_for_what_settles_a_change(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = SLICE("v")};
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE, .ops = &op, .op_count = 1};
    ev.terms = (struct change_terms){.confirm_by = {1}, .confirm_within_ms = 1000};
    drive(&d, ev);
    uint64_t first = action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].time.v;
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    ev.terms = (struct change_terms){.settles = {.seq = 0}};
    drive(&d, ev);
    uint64_t second = action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].time.v;
    assert_true(second > first + CHANGE_SETTLE_ROOM);
    drive_close(&d);
}

static void a_received_change_is_stored_then_passed_on(void **state)
{
    (void)state;
    struct drive d = with_peers(true);
    struct changeset c = change_of("n2", 1);
    assert_int_equal(drive_message(&d, "n2", push_of(&c, 1, false)), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_true(slice_is(a->changes[0].packed, "the original bytes"));
    uint64_t token = a->token;
    assert_int_equal(drive_message(&d, "n3", push_of(&c, 1, false)), ERR_OK); /* the same by another way */
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_int_equal(counted(&d, "changes_duplicate"), 1);
    drive_stored(&d, token);
    assert_null(sent(&d, "n2", REPL_PUSH)); /* it made it */
    assert_non_null(sent(&d, "n3", REPL_PUSH));
    const struct repl_message *m = sent(&d, "n2", REPL_RECEIPT);
    assert_non_null(m);
    assert_int_equal(m->receipt.ids[0].seq, 1);
    drive_close(&d);
}

static void an_answer_is_not_flooded(void **state)
{
    (void)state;
    struct drive d = with_peers(true);
    struct changeset c = change_of("n2", 1);
    assert_int_equal(drive_message(&d, "n2", push_of(&c, 1, true)), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    assert_null(sent(&d, "n3", REPL_PUSH));
    drive_close(&d);
}

static void a_gap_is_asked_for_and_closes(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct changeset c[] = {change_of("n2", 1), change_of("n2", 2), change_of("n2", 3)};
    assert_int_equal(drive_message(&d, "n2", push_of(&c[2], 1, false)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_int_equal(have(&d, "n2"), 0);
    assert_int_equal(drive_message(&d, "n2", push_of(&c[1], 1, false)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_int_equal(drive_message(&d, "n2", push_of(&c[0], 1, true)), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->change_count, 3); /* what was held follows */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(a->changes[i].id.seq, i + 1);
    drive_close(&d);
}

/* The memory of a log's future must not survive its origin: that one may have lost it with its disk. */
static void what_is_held_dies_with_its_origin(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct changeset c[] = {change_of("n2", 1), change_of("n2", 2)};
    assert_int_equal(drive_message(&d, "n2", push_of(&c[1], 1, false)), ERR_OK);
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    self.incarnation++;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &self, 1)), ERR_OK);
    assert_int_equal(drive_message(&d, "n2", push_of(&c[0], 1, false)), ERR_OK);
    assert_int_equal(action(&d, REPL_DO_PERSIST_CHANGE)->change_count, 1);
    drive_close(&d);
}

static void held_changes_are_bounded(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    for (uint64_t seq = 500; seq > 100; seq--) {
        struct changeset c = change_of("n2", seq);
        assert_int_equal(drive_message(&d, "n2", push_of(&c, 1, false)), ERR_OK);
    }
    assert_int_equal(counted(&d, "changes_held"), 400);
    assert_int_equal(counted(&d, "changes_dropped"), 400 - 64);
    drive_close(&d);
}

static void a_failed_disk_loses_nothing(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct changeset c[] = {change_of("n2", 1), change_of("n2", 2)};
    assert_int_equal(drive_message(&d, "n2", push_of(&c[0], 1, false)), ERR_OK);
    uint64_t token = action(&d, REPL_DO_PERSIST_CHANGE)->token;
    assert_int_equal(drive_message(&d, "n2", push_of(&c[1], 1, false)), ERR_OK); /* waits behind it */
    drive_store_failed(&d, token, ERR_IO);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 0);
    assert_null(sent(&d, "n2", REPL_PUSH));
    struct member_note self = note_of("n2", MEMBER_ALIVE);
    struct repl_message beat = heartbeat_of(&d, &self, 1);
    beat.heartbeat.plan_root[0] ^= 1;
    assert_int_equal(drive_message(&d, "n2", beat), ERR_OK);
    assert_null(sent(&d, "n2", REPL_WANT)); /* left alone for a while */
    drive_tick(&d, 1000);
    assert_int_equal(have(&d, "n2"), 0);
    assert_int_equal(drive_message(&d, "n2", push_of(c, 2, true)), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
    assert_int_equal(a->change_count, 2);
    drive_stored(&d, a->token);
    assert_int_equal(sent(&d, "n2", REPL_RECEIPT)->receipt.ids[0].seq, 2);
    drive_close(&d);
}

static void the_future_is_stored_and_alarmed(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    struct hlc before = repl_now(d.r);
    struct changeset c = change_of("n2", 1);
    c.time.v += (uint64_t)3600000 << 16;
    assert_int_equal(drive_message(&d, "n2", push_of(&c, 1, false)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 1);
    assert_int_equal(action_count(&d, REPL_DO_ALARM), 1);
    assert_int_equal(repl_now(d.r).v, before.v);
    c.id.seq = 2;
    assert_int_equal(drive_message(&d, "n2", push_of(&c, 1, false)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_ALARM), 0); /* the same alarm once a minute */
    drive_close(&d);
}

static void large_pushes_are_split(void **state)
{
    (void)state;
    struct drive d = with_peers(false);
    static char big[LIMIT_OBJECT];
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = {big, sizeof big}};
    struct changeset c[9];
    for (size_t i = 0; i < 9; i++) {
        c[i] = change_of("n3", i + 1);
        c[i].ops = &op;
        c[i].packed = (struct slice){big, sizeof big};
    }
    drive_join(&d, "n4");
    assert_int_equal(drive_message(&d, "n2", push_of(c, 9, false)), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    size_t messages = 0;
    size_t changes = 0;
    for (size_t i = 0; i < d.out.count; i++) {
        if (d.out.items[i].type != REPL_DO_SEND || d.out.items[i].message.type != REPL_PUSH) continue;
        assert_string_equal(d.out.items[i].peer.s, "n4");
        messages++;
        changes += d.out.items[i].message.push.change_count;
    }
    assert_int_equal(changes, 9);
    assert_int_equal(messages, 3);
    drive_close(&d);
}

/* An object whose stamp is from the future is edited with a later one; the clock itself stays where it is. */
static void a_change_is_later_than_what_it_replaces(void **state)
{
    static const struct change_op op = {.kind = CHANGE_PUT, .key = {"site/hq", 7}, .value = {"packed", 6}};
    static const struct {
        uint64_t ahead_ms;
        bool above;
    } rows[] = {{0, false}, {3600000, true}, {UINT64_C(10) * 365 * 86400000, true}, {0, false}};
    (void)state;
    struct drive d = with_peers(false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        d.now_ms += 10;
        uint64_t wall = ((uint64_t)DRIVE_WALL_MS + d.now_ms) << 16;
        struct hlc after = {wall + (rows[i].ahead_ms << 16)};
        drive(&d, (struct repl_event){.type = REPL_EV_LOCAL_CHANGE,
                                      .token = i,
                                      .author = SLICE("root@n1"),
                                      .text = SLICE("edit"),
                                      .ops = &op,
                                      .op_count = 1,
                                      .after = i == 0 ? (struct hlc){0} : after});
        const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
        uint64_t time = a->changes[0].time.v;
        assert_true(i == 0 ? time == wall : time > after.v);
        assert_true(rows[i].above || time < wall + (1 << 16));
        drive_stored(&d, a->token);
        assert_true(repl_now(d.r).v < wall + (1 << 16));
    }
    drive_close(&d);
}

/* Two changes on two objects that a wrong clock has stamped alike: what tells them apart later is their time. */
static void no_two_changes_of_ours_have_one_time(void **state)
{
    (void)state;
    struct drive d = fresh();
    const struct hlc future = {((uint64_t)DRIVE_WALL_MS + 3600000) << 16};
    uint64_t last = 0;
    for (unsigned i = 0; i < 3; i++) {
        static const struct change_op ops[] = {{.kind = CHANGE_DELETE, .key = {"site/a", 6}},
                                               {.kind = CHANGE_DELETE, .key = {"site/b", 6}},
                                               {.kind = CHANGE_DELETE, .key = {"site/c", 6}}};
        drive(&d, (struct repl_event){.type = REPL_EV_LOCAL_CHANGE, .ops = &ops[i], .op_count = 1, .after = future});
        const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
        assert_true(a->changes[0].time.v > last);
        last = a->changes[0].time.v;
        drive_stored(&d, a->token);
    }
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_changes_of_ours_have_one_time),
        cmocka_unit_test(a_local_change_goes_its_way),
        cmocka_unit_test(a_change_is_later_than_what_it_replaces),
        cmocka_unit_test(numbers_are_given_out_one_at_a_time),
        cmocka_unit_test(the_local_queue_is_bounded),
        cmocka_unit_test(queues_are_shown),
        cmocka_unit_test(caps_hold_for_the_operator_too),
        cmocka_unit_test(a_change_with_a_time_of_its_own),
        cmocka_unit_test(room_for_what_settles_a_change),
        cmocka_unit_test(a_received_change_is_stored_then_passed_on),
        cmocka_unit_test(an_answer_is_not_flooded),
        cmocka_unit_test(a_gap_is_asked_for_and_closes),
        cmocka_unit_test(what_is_held_dies_with_its_origin),
        cmocka_unit_test(held_changes_are_bounded),
        cmocka_unit_test(a_failed_disk_loses_nothing),
        cmocka_unit_test(the_future_is_stored_and_alarmed),
        cmocka_unit_test(large_pushes_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
