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
    uint64_t tokens[16]; /* to be stored */
    size_t token_count;
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
        bool persist = a->type == REPL_DO_PERSIST_CHANGE || a->type == REPL_DO_PERSIST_STATE;
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
        feed(day, (struct repl_event){.type = REPL_EV_STORED, .token = token});
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
