/* Fault sweep: the same day in the life of a core, with allocation i failing, for i = 0, 1, 2, ... An event that is
 * refused for want of memory is fed again; whatever else failed must be said later. In the end everything must have
 * happened. */
#include "tests/unit/repl/drive.h"

static size_t countdown = SIZE_MAX; /* allocations until one fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
    return countdown != SIZE_MAX && countdown-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

struct day {
    struct drive d;
    size_t dialled, applied, state_stored, persisted, records, answered, greeted, receipts, alarms;
    size_t raised, adopted, pieces, replaced, served, put_off;
    uint64_t tokens[16]; /* to be stored */
    size_t token_count;
    uint64_t floor_token;
    uint64_t replace_token;
};

static void note(struct day *day)
{
    for (size_t i = 0; i < day->d.out.count; i++) {
        const struct repl_action *a = &day->d.out.items[i];
        day->dialled += a->type == REPL_DO_DIAL;
        day->applied += a->type == REPL_DO_APPLIED;
        day->state_stored += a->type == REPL_DO_STATE_STORED;
        day->answered += a->type == REPL_DO_SEND_MISSING;
        day->greeted += a->type == REPL_DO_SEND && a->message.type == REPL_HEARTBEAT;
        day->receipts += a->type == REPL_DO_SEND && a->message.type == REPL_RECEIPT;
        day->alarms += a->type == REPL_DO_ALARM;
        day->raised += a->type == REPL_DO_RAISE_FLOOR;
        day->adopted += a->type == REPL_DO_ADOPT_FLOOR;
        day->pieces += a->type == REPL_DO_PERSIST_PIECE;
        day->replaced += a->type == REPL_DO_REPLACE;
        day->served += a->type == REPL_DO_SEND_SNAPSHOT;
        day->put_off += a->type == REPL_DO_SEND && a->message.type == REPL_SNAPSHOT;
        if (a->type == REPL_DO_RAISE_FLOOR || a->type == REPL_DO_ADOPT_FLOOR) day->floor_token = a->token;
        if (a->type == REPL_DO_REPLACE) day->replace_token = a->token;
        bool persist =
            a->type == REPL_DO_PERSIST_CHANGE || a->type == REPL_DO_PERSIST_STATE || a->type == REPL_DO_PERSIST_PIECE;
        if (!persist) continue;
        day->persisted += a->change_count;
        day->records += a->record_count;
        assert_true(day->token_count < 16);
        day->tokens[day->token_count++] = a->token;
    }
}

static void feed(struct day *day, struct repl_event ev)
{
    enum err e;
    do {
        e = drive_try(&day->d, ev);
        note(day);
    } while (e == ERR_NOMEM);
    assert_int_equal(e, ERR_OK);
}

static void store_all(struct day *day)
{
    while (day->token_count > 0) {
        uint64_t token = day->tokens[0];
        memmove(day->tokens, day->tokens + 1, --day->token_count * sizeof token);
        feed(day, (struct repl_event){.type = REPL_EV_STORED, .token = token, .tombstones = 1});
    }
}

static void pass(struct day *day, uint64_t ms)
{
    day->d.now_ms += ms;
    feed(day, (struct repl_event){.type = REPL_EV_TICK});
    store_all(day);
}

static void message(struct day *day, struct repl_message m)
{
    feed(day, (struct repl_event){.type = REPL_EV_MESSAGE, .peer = name_of("n2"), .message = &m});
}

static void live(struct day *day)
{
    struct member_note notes[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE), note_of("n4", MEMBER_LEFT)};
    struct changeset c[] = {change_of("n2", 1), change_of("n3", 1), change_of("n2", 3), change_of("n2", 2)};
    c[1].time.v += (uint64_t)3600000 << 16;
    struct state_record s[] = {record_of("n2", 1, "a"), record_of("n2", 2, "b")};
    struct vector_entry upto = {name_of("n2"), DRIVE_EPOCH, 2};
    struct change_op op = {.kind = CHANGE_PUT, .key = SLICE("k"), .value = SLICE("v")};

    feed(day, (struct repl_event){.type = REPL_EV_LINK_UP, .peer = name_of("n2")});
    feed(day, (struct repl_event){.type = REPL_EV_LINK_UP, .peer = name_of("n3")});
    message(day, heartbeat_of(&day->d, notes, 3));
    message(day, heartbeat_of(&day->d, notes + 1, 1));
    store_all(day);
    feed(day, (struct repl_event){.type = REPL_EV_LOCAL_CHANGE, .author = SLICE("me"), .ops = &op, .op_count = 1});
    feed(day,
         (struct repl_event){.type = REPL_EV_LOCAL_STATE, .kind = STATE_BAN, .key = SLICE("k"), .value = SLICE("v")});
    message(day, (struct repl_message){.type = REPL_PUSH, .push = {.changes = c, .change_count = 3}});
    store_all(day);
    message(day, (struct repl_message){.type = REPL_PUSH, .push = {.changes = c + 3, .change_count = 1}});
    message(day,
            (struct repl_message){
                .type = REPL_PUSH,
                .push = {.records = s, .record_count = 2, .state_upto = &upto, .state_upto_count = 1, .answer = true}});
    for (unsigned i = 0; i < 12; i++) {
        pass(day, 500);
        message(day, heartbeat_of(&day->d, notes, 1));
        /* What did not fit in memory comes again, as it would from a peer that is asked. */
        message(day,
                (struct repl_message){.type = REPL_PUSH, .push = {.changes = c, .change_count = 4, .answer = true}});
        store_all(day);
    }
    message(day, (struct repl_message){.type = REPL_WANT, .want = {.plan = &upto, .plan_count = 1}});
}

/* ---- forgetting deletions ---- */

static struct repl_message beat_with_steps(const struct day *day, const struct member_note *note, const char *steps,
                                           uint64_t floor)
{
    struct repl_message m = heartbeat_of(&day->d, note, 1);
    m.heartbeat.step_key = day->d.r->floors.key;
    m.heartbeat.steps = slice_of(steps);
    m.heartbeat.floor.v = floor;
    return m;
}

static void floor_moves(struct day *day)
{
    struct member_note n2 = note_of("n2", MEMBER_ALIVE);
    uint64_t wall = (uint64_t)DRIVE_WALL_MS << 16;
    while (day->floor_token == 0) {
        message(day, beat_with_steps(day, &n2, "\x06", 0));
        pass(day, 300);
    }
    feed(day, (struct repl_event){.type = REPL_EV_STORED, .token = day->floor_token, .floor = {wall - 9}});
    day->floor_token = 0;
    while (day->floor_token == 0) {
        message(day, beat_with_steps(day, &n2, "", wall - 5));
        message(day, (struct repl_message){.type = REPL_PUSH, .push = {.answer = true, .floor = {wall - 5}}});
    }
    feed(day, (struct repl_event){.type = REPL_EV_STORED, .token = day->floor_token, .floor = {wall - 5}});
}

static void floor_day(struct day *day)
{
    feed(day, (struct repl_event){.type = REPL_EV_LINK_UP, .peer = name_of("n2")});
    feed(day, (struct repl_event){.type = REPL_EV_LINK_UP, .peer = name_of("n3")});
    struct member_note n3 = note_of("n3", MEMBER_ALIVE);
    struct repl_message beat = heartbeat_of(&day->d, &n3, 1);
    feed(day, (struct repl_event){.type = REPL_EV_MESSAGE, .peer = name_of("n3"), .message = &beat});
    floor_moves(day);
    assert_int_equal(day->raised, 1);
    assert_int_equal(day->adopted, 1);
    assert_int_equal(repl_floor(day->d.r).floor.v, ((uint64_t)DRIVE_WALL_MS << 16) - 5);
}

/* ---- a snapshot ---- */

static void piece(struct day *day, struct repl_snapshot s)
{
    s.id = day->d.r->fetching.id;
    message(day, (struct repl_message){.type = REPL_SNAPSHOT, .snapshot = s});
    store_all(day);
}

/* Whatever was given up for want of memory is begun again, as by any other answer of the peer. */
static void take_a_snapshot(struct day *day)
{
    struct snapshot_object o[] = {{.key = SLICE("site/a"), .value = SLICE("packed")},
                                  {.key = SLICE("site/b"), .deleted = true}};
    struct changeset gained = change_of("n2", 5);
    struct vector_entry v = {name_of("n2"), DRIVE_EPOCH, 4};
    struct vector_entry cut = {name_of("n2"), DRIVE_EPOCH, 2};
    for (size_t i = 0; i < 2; i++)
        o[i].stamp = (struct stamp){.time = {7}, .origin = name_of("n2"), .epoch = DRIVE_EPOCH};
    while (day->replace_token == 0) {
        struct member_note n2 = note_of("n2", MEMBER_ALIVE);
        message(day, heartbeat_of(&day->d, &n2, 1));
        message(day, (struct repl_message){.type = REPL_PUSH, .push = {.answer = true, .trimmed = true}});
        piece(day,
              (struct repl_snapshot){.more = true, .objects = o, .object_count = 1, .vector = &v, .vector_count = 1});
        piece(day, (struct repl_snapshot){.objects = o + 1, .object_count = 1});
        piece(day, (struct repl_snapshot){.tail = true, .more = true, .changes = &gained, .change_count = 1});
        piece(day, (struct repl_snapshot){.tail = true, .cut = &cut, .cut_count = 1});
        pass(day, 1100);
    }
}

static void snapshot_day(struct day *day)
{
    feed(day, (struct repl_event){.type = REPL_EV_LINK_UP, .peer = name_of("n2")});
    take_a_snapshot(day);
    message(day, (struct repl_message){.type = REPL_FETCH, .fetch = {.id = 3, .after = SLICE("site/a")}});
    assert_int_equal(day->put_off, 1);
    struct vector_entry now[] = {{name_of("n2"), DRIVE_EPOCH, 5}, {name_of("n3"), DRIVE_EPOCH, 7}};
    feed(day,
         (struct repl_event){.type = REPL_EV_STORED, .token = day->replace_token, .vector = now, .vector_count = 2});
    message(day, (struct repl_message){.type = REPL_FETCH, .fetch = {.id = 4, .have = now, .have_count = 2}});
    assert_int_equal(day->served, 1);
    assert_true(day->pieces >= 3);
    assert_int_equal(day->replaced, 1);
    assert_int_equal(repl_vector_get(&day->d.r->changes.have, &now[1].origin, DRIVE_EPOCH), 7);
    assert_int_equal(repl_vector_get(&day->d.r->changes.planned, &now[0].origin, DRIVE_EPOCH), 5);
}

static bool short_day(size_t fail_at, uint64_t tombstones, void (*live_it)(struct day *day))
{
    struct day *day = test_calloc(1, sizeof *day);
    struct repl_config config = config_of("n1");
    config.tombstones = tombstones;
    day->d.now_ms = 100000;
    countdown = fail_at;
    while (repl_new(&config, &day->d.r) == ERR_NOMEM)
        continue;
    live_it(day);
    bool failed = countdown == SIZE_MAX;
    countdown = SIZE_MAX;
    drive_close(&day->d);
    test_free(day);
    return failed;
}

static void each_allocation_may_fail_on_the_way_to_a_floor(void **state)
{
    (void)state;
    size_t i = 0;
    while (short_day(i, 1, floor_day))
        i++;
    assert_true(i > 30);
}

static void each_allocation_may_fail_on_the_way_to_a_snapshot(void **state)
{
    (void)state;
    size_t i = 0;
    while (short_day(i, 0, snapshot_day))
        i++;
    assert_true(i > 25);
}

static bool day_with(size_t fail_at)
{
    struct day *day = test_calloc(1, sizeof *day);
    struct repl_config config = config_of("n1");
    day->d.now_ms = 100000;
    countdown = fail_at;
    while (repl_new(&config, &day->d.r) == ERR_NOMEM)
        continue;
    live(day);
    bool failed = countdown == SIZE_MAX; /* it wrapped: the failure happened */
    countdown = SIZE_MAX;
    assert_int_equal(day->applied, 1);
    assert_int_equal(day->state_stored, 1);
    assert_int_equal(day->persisted, 1 + 4);
    assert_int_equal(day->records, 1 + 2);
    assert_int_equal(day->dialled, 2);
    assert_true(day->answered >= 1);
    assert_true(day->greeted >= 4);
    assert_true(day->receipts >= 1);
    assert_int_equal(day->alarms, 1);
    assert_int_equal(repl_member_count(day->d.r), 4);
    drive_close(&day->d);
    test_free(day);
    return failed;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    size_t i = 0;
    while (day_with(i))
        i++;
    assert_true(i > 50); /* the sweep saw something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(each_allocation_may_fail_on_the_way_to_a_floor),
        cmocka_unit_test(each_allocation_may_fail_on_the_way_to_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
