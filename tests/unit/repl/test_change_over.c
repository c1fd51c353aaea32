/* All of a snapshot is on disk: the store changes over to it, or does not. */
#include "tests/unit/repl/fetch_kit.h"

/* A floor that was on its way when the fetch began is now above that of what was fetched: deletions are missing in it.
 */
static void our_floor_moved_meanwhile(void **state)
{
    (void)state;
    for (int higher = 0; higher < 2; higher++) {
        struct repl_config c = config_of("n1");
        struct drive d = with_two(&c);
        struct member_note note = note_of("n3", MEMBER_ALIVE);
        struct repl_message beat = heartbeat_of(&d, &note, 1);
        uint64_t floor = higher ? WALL - 10 : WALL - 60;
        beat.heartbeat.floor.v = floor;
        assert_int_equal(drive_message(&d, "n3", beat), ERR_OK);
        struct repl_push offer = {.answer = true, .floor = {floor}};
        assert_int_equal(drive_message(&d, "n3", (struct repl_message){.type = REPL_PUSH, .push = offer}), ERR_OK);
        uint64_t adopting = action(&d, REPL_DO_ADOPT_FLOOR)->token;
        trimmed(&d, "n2", WALL - 50);
        assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.floor = {WALL - 50}}), ERR_OK);
        uint64_t put = action(&d, REPL_DO_PERSIST_PIECE)->token;
        assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.tail = true, .floor = {WALL - 50}}), ERR_OK);
        drive_stored(&d, put);
        assert_null(action_at(&d, REPL_DO_REPLACE, 0)); /* the store is busy with the floor */
        drive_stored_with(&d, adopting, floor, 0);
        assert_int_equal(action_count(&d, REPL_DO_REPLACE), !higher);
        assert_int_equal(counted(&d, "snapshots_given_up"), higher);
        drive_close(&d);
    }
}

static void the_plan_waits_while_the_store_changes_over(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    struct changeset one = change_of("n3", 1);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &one, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n3", push), ERR_OK); /* until then, changes are taken as ever */
    uint64_t storing = action(&d, REPL_DO_PERSIST_CHANGE)->token;
    struct vector_entry v = {name_of("n2"), DRIVE_EPOCH, 3};
    struct repl_snapshot s = {.vector = &v, .vector_count = 1};
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    uint64_t put = action(&d, REPL_DO_PERSIST_PIECE)->token;
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.tail = true}), ERR_OK);
    drive_stored(&d, put);
    assert_null(action_at(&d, REPL_DO_REPLACE, 0)); /* a change is being written */
    assert_int_equal(drive_local_change(&d, 5, "mine"), ERR_OK);
    assert_null(action_at(&d, REPL_DO_PERSIST_CHANGE, 0));
    drive_stored(&d, storing);
    uint64_t token = action(&d, REPL_DO_REPLACE)->token;
    one.id.seq = 2;
    assert_int_equal(drive_message(&d, "n3", push), ERR_OK);
    assert_null(action_at(&d, REPL_DO_PERSIST_CHANGE, 0));
    /* What is asked of us meanwhile is put off: it would be neither of the two. */
    assert_int_equal(drive_message(&d, "n3", (struct repl_message){.type = REPL_FETCH, .fetch = {.id = 9}}), ERR_OK);
    assert_true(sent(&d, "n3", REPL_SNAPSHOT)->snapshot.retry_ms > 0);
    struct vector_entry now[] = {v, {name_of("n3"), DRIVE_EPOCH, 1}};
    replaced(&d, token, now, 2);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE); /* ours; n3's comes again */
    assert_string_equal(a->changes[0].id.origin.s, "n1");
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 1);
    drive_close(&d);
}

static void a_refused_change_over_is_begun_again(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    struct vector_entry v = {name_of("n2"), DRIVE_EPOCH, 3};
    uint64_t token = all_pieces(&d, &v, 1);
    drive_store_failed(&d, token, ERR_CONFLICT);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    assert_int_equal(counted(&d, "snapshots_taken"), 0);
    assert_int_equal(repl_vector_get(&d.r->changes.have, &v.origin, DRIVE_EPOCH), 0);
    assert_int_equal(drive_local_change(&d, 5, "mine"), ERR_OK);
    assert_non_null(action_at(&d, REPL_DO_PERSIST_CHANGE, 0)); /* nothing waits for it */
    drive_tick(&d, REPL_FETCH_RETRY_MS);
    trimmed(&d, "n2", 0);
    assert_non_null(sent(&d, "n2", REPL_FETCH));
    drive_close(&d);
}

/* Our own log had something that came too late: its numbers are used, so what follows gets a new one. */
static void our_own_lost_changes_begin_an_epoch(void **state)
{
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        struct repl_config c = config_of("n1");
        struct vector_entry had[] = {{name_of("n1"), DRIVE_EPOCH, 5}, {name_of("n7"), DRIVE_EPOCH, 4}};
        struct vector_entry donor = {name_of("n2"), DRIVE_EPOCH, 3};
        c.plan_vector = had;
        c.plan_count = 2;
        struct drive d = fetching(&c);
        uint64_t token = all_pieces(&d, &donor, 1);
        struct vector_entry now[] = {
            {name_of("n1"), DRIVE_EPOCH, ours ? 2 : 5}, donor, {name_of("n7"), DRIVE_EPOCH, 1}};
        replaced(&d, token, now, 3);
        drive_tick(&d, 0);
        assert_int_equal(counted(&d, "changes_lost"), ours ? 6 : 3);
        assert_int_equal(counted(&d, "new_epochs"), ours);
        assert_int_equal(repl_plan_epoch(d.r) > DRIVE_EPOCH, ours);
        assert_int_equal(repl_vector_get(&d.r->changes.have, &had[1].origin, DRIVE_EPOCH), 1);
        assert_int_equal(drive_local_change(&d, 5, "mine"), ERR_OK);
        const struct repl_action *a = action(&d, REPL_DO_PERSIST_CHANGE);
        assert_int_equal(a->changes[0].id.epoch, repl_plan_epoch(d.r));
        assert_int_equal(a->changes[0].id.seq, ours ? 1 : 6);
        drive_close(&d);
    }
}

static void losses_are_told(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct vector_entry had = {name_of("n7"), DRIVE_EPOCH, 4};
    c.plan_vector = &had;
    c.plan_count = 1;
    struct drive d = fetching(&c);
    uint64_t token = all_pieces(&d, NULL, 0);
    struct vector_entry now = {name_of("n7"), DRIVE_EPOCH, 1};
    replaced(&d, token, &now, 1);
    struct slice text = action(&d, REPL_DO_ALARM)->text;
    if (!slice_starts(text, SLICE("changes 2 to 4 of n7 were made on an old disk"))) fail_msg("%.*s", SLICE_ARG(text));
    drive_close(&d);
}

/* How many change-sets we hold is counted anew, not on top of what we had. */
static void what_we_hold_is_what_was_taken_over(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct vector_entry had = {name_of("n2"), DRIVE_EPOCH, 4};
    c.plan_vector = &had;
    c.plan_count = 1;
    struct drive d = fetching(&c);
    struct vector_entry now = {name_of("n2"), DRIVE_EPOCH, 6};
    uint64_t token = all_pieces(&d, &now, 1);
    replaced(&d, token, &now, 1);
    for (unsigned i = 0; i < 100 && sent(&d, "n2", REPL_HEARTBEAT) == NULL; i++)
        drive_tick(&d, 100);
    assert_int_equal(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.totals.plan, 6);
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    struct repl_message beat = heartbeat_of(&d, &note, 1);
    beat.heartbeat.totals = (struct repl_totals){true, 7};
    beat.heartbeat.plan_root[0] ^= 1;
    assert_int_equal(drive_message(&d, "n2", beat), ERR_OK);
    assert_int_equal(view_of(&d, "n2").plan_ahead, 1);
    assert_int_equal(view_of(&d, "n2").plan_behind, 0);
    drive_close(&d);
}

/* Many logs, that both know: the room is counted once, and where there is none the node goes on without. */
static void many_logs_are_taken_over(void **state)
{
    (void)state;
    static struct vector_entry all[REPL_VECTOR_MAX / 2 + 2];
    const size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "o%05zu", i);
        all[i] = (struct vector_entry){name_of(name), DRIVE_EPOCH, 1};
    }
    struct repl_config c = config_of("n1");
    c.plan_vector = all;
    c.plan_count = count;
    struct drive d = fetching(&c);
    uint64_t token = all_pieces(&d, all, count);
    replaced(&d, token, all, count);
    assert_int_equal(counted(&d, "snapshots_taken"), 1);
    drive_close(&d);
    static struct vector_entry others[REPL_VECTOR_MAX / 2 + 2];
    for (size_t i = 0; i < count; i++) {
        others[i] = all[i];
        others[i].epoch++;
    }
    d = fetching(&c);
    struct repl_snapshot s = {.vector = others, .vector_count = count};
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    uint64_t put = action(&d, REPL_DO_PERSIST_PIECE)->token;
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.tail = true}), ERR_OK);
    drive_stored(&d, put);
    assert_int_equal(counted(&d, "retries_without_memory"), 0);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_floor_moved_meanwhile),
        cmocka_unit_test(the_plan_waits_while_the_store_changes_over),
        cmocka_unit_test(a_refused_change_over_is_begun_again),
        cmocka_unit_test(our_own_lost_changes_begin_an_epoch),
        cmocka_unit_test(losses_are_told),
        cmocka_unit_test(what_we_hold_is_what_was_taken_over),
        cmocka_unit_test(many_logs_are_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
