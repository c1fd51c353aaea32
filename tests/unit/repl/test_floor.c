#include "tests/unit/repl/drive.h"

#define WALL ((uint64_t)DRIVE_WALL_MS << 16)

/* n1 with n2 and n3, which have spoken, and one deletion to forget. */
static struct drive with_two(struct repl_config *c)
{
    struct drive d;
    c->tombstones = 1;
    drive_open(&d, c);
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    return d;
}

/* Members are n1, n2, n3: bits 1, 2 and 4. */
static struct repl_message in_step(const struct drive *d, const struct member_note *note, const char *steps)
{
    struct repl_message m = heartbeat_of(d, note, 1);
    m.heartbeat.step_key = d->r->floors.key;
    m.heartbeat.steps = slice_of(steps);
    return m;
}

static void hear(struct drive *d, const char *from, const char *steps)
{
    struct member_note note = note_of(from, MEMBER_ALIVE);
    assert_int_equal(drive_message(d, from, in_step(d, &note, steps)), ERR_OK);
}

static unsigned steps_now(const struct drive *d)
{
    return d->r->floors.key != 0 ? d->r->floors.steps[0] : 0;
}

/* Heartbeats to peer until one goes out. */
static const struct repl_heartbeat *next_heartbeat(struct drive *d, const char *peer)
{
    for (unsigned i = 0; i < 50; i++) {
        drive_tick(d, 100);
        const struct repl_message *m = sent(d, peer, REPL_HEARTBEAT);
        if (m != NULL) return &m->heartbeat;
    }
    fail_msg("no heartbeat");
    return NULL;
}

/* Ticks for so long; fails when the core raises or adopts. */
static void nothing_for(struct drive *d, uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += 100) {
        drive_tick(d, 100);
        assert_int_equal(action_count(d, REPL_DO_RAISE_FLOOR) + action_count(d, REPL_DO_ADOPT_FLOOR), 0);
        drive_heartbeat(d, "n2");
        drive_heartbeat(d, "n3");
        assert_int_equal(action_count(d, REPL_DO_RAISE_FLOOR) + action_count(d, REPL_DO_ADOPT_FLOOR), 0);
    }
}

/* ---- who says that it is in step ---- */

static void nothing_to_forget_is_not_spoken_of(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    drive_join(&d, "n2");
    const struct repl_heartbeat *h = next_heartbeat(&d, "n2");
    assert_int_equal(h->step_key, 0);
    assert_int_equal(h->steps.n, 0);
    for (unsigned i = 0; i < 60; i++) {
        drive_tick(&d, 100);
        assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    }
    drive_close(&d);
}

static void alone_it_forgets_when_the_plan_has_settled(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct vector_entry plan[] = {{name_of("n1"), DRIVE_EPOCH, 4}, {name_of("n9"), DRIVE_EPOCH, 2}};
    c.plan_vector = plan;
    c.plan_count = 2;
    c.tombstones = 3;
    drive_open(&d, &c);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_tick(&d, REPL_FLOOR_SETTLE_MS - 1);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    assert_true(mono_reached((struct mono){(d.now_ms + 1) * 1000}, d.out.deadline)); /* it wants to be asked then */
    drive_tick(&d, 1);
    const struct repl_action *a = action(&d, REPL_DO_RAISE_FLOOR);
    assert_int_equal(a->upto_count, 2);
    assert_memory_equal(a->upto, plan, sizeof plan);
    uint64_t token = a->token;
    drive_tick(&d, 5000);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0)); /* once */
    drive_stored_with(&d, token, WALL - 7, 0);
    assert_int_equal(repl_floor(d.r).floor.v, WALL - 7);
    assert_int_equal(repl_floor(d.r).tombstones, 0);
    assert_int_equal(counted(&d, "floors_raised"), 1);
    drive_link(&d, "n2", true);
    const struct repl_heartbeat *h = &sent(&d, "n2", REPL_HEARTBEAT)->heartbeat;
    assert_int_equal(h->floor.v, WALL - 7);
    assert_int_equal(h->step_key, 0);
    assert_int_equal(drive_try(&d, (struct repl_event){.type = REPL_EV_STORED, .token = token}), ERR_NOTFOUND);
    drive_close(&d);
}

static void alone_it_forgets_what_is_deleted_later(void **state)
{
    (void)state;
    struct drive d = fresh();
    assert_int_equal(drive_local_change(&d, 1, "a deletion"), ERR_OK);
    drive_stored_with(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token, 0, 1);
    size_t raised = 0;
    for (unsigned i = 0; i < 100 && raised == 0; i++) {
        drive_tick(&d, 100);
        raised = action_count(&d, REPL_DO_RAISE_FLOOR);
    }
    assert_int_equal(raised, 1);
    drive_close(&d);
}

static void it_is_in_step_when_all_have_spoken(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note known[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE)};
    c.members = known;
    c.member_count = 2;
    c.tombstones = 1;
    drive_open(&d, &c);
    assert_int_equal(steps_now(&d), 0);
    drive_join(&d, "n2");
    assert_int_equal(steps_now(&d), 0);
    drive_join(&d, "n3");
    assert_int_equal(steps_now(&d), 1);
    drive_close(&d);
}

/* What undoes the change carries a time of the past: nothing may be forgotten that it has to be judged by. */
static void it_is_not_while_a_change_is_open(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct changeset settles = change_of("n2", 1);
    c.pending = 1;
    struct drive d = with_two(&c);
    hear(&d, "n2", "\x06");
    nothing_for(&d, 2 * REPL_FLOOR_SETTLE_MS);
    assert_int_equal(steps_now(&d), 6);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &settles, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    drive_stored_with(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token, 0, 1); /* and with that none is open */
    assert_int_equal(steps_now(&d), 1);
    drive_close(&d);
}

/* It may be that its disk is old. */
static void it_is_not_while_others_have_more_of_its_log(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    c.tombstones = 1;
    c.members = &note;
    c.member_count = 1;
    drive_open(&d, &c);
    drive_link(&d, "n2", true);
    struct repl_message beat = heartbeat_of(&d, &note, 1);
    beat.heartbeat.your_plan = (struct vector_entry){.epoch = DRIVE_EPOCH, .high = 2};
    beat.heartbeat.plan_root[0] ^= 1;
    assert_int_equal(drive_message(&d, "n2", beat), ERR_OK);
    assert_int_equal(steps_now(&d), 0);
    struct changeset mine[] = {change_of("n1", 1), change_of("n1", 2)};
    assert_int_equal(drive_message(&d, "n2",
                                   (struct repl_message){.type = REPL_PUSH,
                                                         .push = {.changes = mine, .change_count = 2, .answer = true}}),
                     ERR_OK);
    drive_stored_with(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token, 0, 1);
    assert_int_equal(steps_now(&d), 1); /* all of it is here */
    drive_close(&d);
}

static void it_is_not_before_its_clock_has_passed_all(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    c.time.v = WALL + ((uint64_t)(100000 + 20000) << 16); /* the driver's clock begins at 100 s */
    d = with_two(&c);
    assert_int_equal(steps_now(&d), 0);
    hear(&d, "n2", "\x06");
    assert_int_equal(steps_now(&d), 6);
    nothing_for(&d, 15000);
    assert_int_equal(steps_now(&d), 6);
    for (unsigned i = 0; i < 50 && d.r->floors.job == FLOOR_IDLE; i++) {
        drive_heartbeat(&d, "n2");
        drive_heartbeat(&d, "n3");
        drive_tick(&d, 200);
    }
    assert_int_equal(steps_now(&d), 7);
    assert_int_equal(d.r->floors.job, FLOOR_RAISING);
    drive_close(&d);
}

/* ---- the map ---- */

static void maps_are_joined_until_all_are_in(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    assert_int_equal(steps_now(&d), 1);
    hear(&d, "n2", "\x02");
    assert_int_equal(steps_now(&d), 3);
    nothing_for(&d, 4000);
    hear(&d, "n2", "\x04"); /* n3's own word came around */
    assert_int_equal(steps_now(&d), 7);
    assert_non_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_close(&d);
}

static void what_is_about_something_else_is_ignored(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    struct repl_message other = in_step(&d, &note, "\x06");
    other.heartbeat.step_key++;
    assert_int_equal(drive_message(&d, "n2", other), ERR_OK);
    static const struct slice lengths[] = {{"", 0}, {"\x06\x06", 2}, {"\x06\x06\x06\x06\x06\x06\x06\x06\x06", 9}};
    for (size_t i = 0; i < 3; i++) {
        struct repl_message m = in_step(&d, &note, "");
        m.heartbeat.steps = lengths[i];
        assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    }
    static char big[LIMIT_MEMBERS / 8 + 2];
    struct repl_message m = in_step(&d, &note, "");
    m.heartbeat.steps = (struct slice){big, sizeof big};
    assert_int_equal(drive_message(&d, "n2", m), ERR_LIMIT);
    assert_int_equal(steps_now(&d), 1);
    hear(&d, "n2", "\xfe"); /* bits that stand for nobody do no harm */
    nothing_for(&d, 1500);
    drive_tick(&d, 600);
    assert_non_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_close(&d);
}

static void the_evicted_are_not_waited_for(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    uint64_t key = d.r->floors.key;
    hear(&d, "n2", "\x02");
    drive(&d, (struct repl_event){.type = REPL_EV_EVICT, .peer = name_of("n3")});
    drive_tick(&d, 0);
    assert_true(d.r->floors.key != key); /* that it is out must be known to all */
    assert_int_equal(steps_now(&d), 1);
    hear(&d, "n2", "\x02");
    assert_int_equal(steps_now(&d), 3);
    drive_tick(&d, REPL_FLOOR_SETTLE_MS);
    assert_non_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_close(&d);
}

static void another_vector_asks_everybody_anew(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    hear(&d, "n2", "\x02");
    drive_tick(&d, 1900);
    uint64_t key = d.r->floors.key;
    struct changeset one = change_of("n2", 1);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &one, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    hear(&d, "n3", "\x04"); /* all are in step, but something is on its way to disk */
    assert_int_equal(steps_now(&d), 7);
    drive_tick(&d, 200);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    uint64_t token = d.r->changes.storing->token;
    drive_stored_with(&d, token, 0, 1);
    assert_true(d.r->floors.key != key);
    assert_int_equal(steps_now(&d), 1);
    hear(&d, "n3", "\x06");
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_tick(&d, REPL_FLOOR_SETTLE_MS);
    assert_non_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_close(&d);
}

/* Each peer is told until it has acknowledged, and again when there is more, or when it lives anew. */
static void a_map_is_told_once(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    const struct repl_heartbeat *h = next_heartbeat(&d, "n2");
    assert_int_equal(h->steps.n, 1);
    assert_int_equal(h->steps.p[0], 1);
    assert_int_equal(h->step_key, d.r->floors.key);
    h = next_heartbeat(&d, "n2");
    assert_int_equal(h->steps.n, 1); /* not acknowledged */
    drive_sent(&d, "n2", sent_token(&d, "n2", REPL_HEARTBEAT));
    h = next_heartbeat(&d, "n2");
    assert_int_equal(h->steps.n, 0);
    assert_int_equal(h->step_key, d.r->floors.key);
    hear(&d, "n3", "\x04");
    h = next_heartbeat(&d, "n2");
    assert_int_equal(h->steps.n, 1);
    assert_int_equal(h->steps.p[0], 5);
    drive_sent(&d, "n2", sent_token(&d, "n2", REPL_HEARTBEAT));
    drive_link(&d, "n2", false);
    drive_link(&d, "n2", true);
    assert_int_equal(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.steps.n, 1);
    drive_close(&d);
}

/* ---- raising ---- */

static struct drive about_to_raise(struct repl_config *c)
{
    struct drive d = with_two(c);
    hear(&d, "n2", "\x06");
    drive_tick(&d, REPL_FLOOR_SETTLE_MS);
    return d;
}

static void the_plan_waits_while_the_floor_moves(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = about_to_raise(&c);
    uint64_t token = action(&d, REPL_DO_RAISE_FLOOR)->token;
    assert_int_equal(drive_local_change(&d, 5, "mine"), ERR_OK);
    assert_null(action_at(&d, REPL_DO_PERSIST_CHANGE, 0));
    struct changeset one = change_of("n2", 1);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &one, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    assert_null(action_at(&d, REPL_DO_PERSIST_CHANGE, 0));
    uint64_t floor = WALL + (UINT64_C(200000) << 16);
    drive_stored_with(&d, token, floor, 0);
    /* Now both go to disk: ours with a time above the floor; theirs may be refused there. */
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_CHANGE), 2);
    assert_true(action_at(&d, REPL_DO_PERSIST_CHANGE, 0)->changes[0].time.v > floor);
    drive_close(&d);
}

static void a_refused_raise_is_tried_again(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = about_to_raise(&c);
    drive_store_failed(&d, action(&d, REPL_DO_RAISE_FLOOR)->token, ERR_FULL);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    assert_int_equal(counted(&d, "floors_refused"), 1);
    drive_tick(&d, REPL_FLOOR_RETRY_MS - 1);
    assert_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    assert_int_equal(drive_local_change(&d, 5, "mine"), ERR_OK); /* nothing waits for it */
    drive_stored_with(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token, 0, 1);
    assert_int_equal(steps_now(&d), 1);
    hear(&d, "n2", "\x06");
    drive_tick(&d, REPL_FLOOR_SETTLE_MS);
    assert_non_null(action_at(&d, REPL_DO_RAISE_FLOOR, 0));
    drive_close(&d);
}

/* ---- taking over ---- */

static void beat_with_floor(struct drive *d, const char *from, uint64_t floor)
{
    struct member_note note = note_of(from, MEMBER_ALIVE);
    struct repl_message m = heartbeat_of(d, &note, 1);
    m.heartbeat.floor.v = floor;
    if (m.heartbeat.time.v < floor) m.heartbeat.time.v = floor;
    assert_int_equal(drive_message(d, from, m), ERR_OK);
}

static enum err offer(struct drive *d, const char *from, uint64_t floor, const struct vector_entry *cut, size_t count)
{
    struct repl_push p = {.answer = true, .floor = {floor}, .cut = cut, .cut_count = count};
    return drive_message(d, from, (struct repl_message){.type = REPL_PUSH, .push = p});
}

static void a_higher_floor_is_asked_for_and_taken_over(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct vector_entry plan[] = {{name_of("n2"), DRIVE_EPOCH, 4}};
    c.plan_vector = plan;
    c.plan_count = 1;
    c.floor.v = WALL - 50;
    struct drive d = with_two(&c);
    assert_int_equal(repl_floor(d.r).floor.v, WALL - 50);
    beat_with_floor(&d, "n2", WALL - 60);
    assert_null(sent(&d, "n2", REPL_WANT));
    assert_true(view_of(&d, "n2").in_step);
    beat_with_floor(&d, "n2", WALL - 10);
    assert_int_equal(sent(&d, "n2", REPL_WANT)->want.floor.v, WALL - 50);
    struct vector_entry cut[] = {{name_of("n2"), DRIVE_EPOCH, 3}, {name_of("n3"), DRIVE_EPOCH, 0}};
    assert_int_equal(offer(&d, "n2", WALL - 10, cut, 2), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_ADOPT_FLOOR);
    assert_int_equal(a->floor.v, WALL - 10);
    assert_int_equal(a->upto_count, 2);
    assert_memory_equal(a->upto, cut, sizeof cut);
    uint64_t token = a->token;
    assert_int_equal(offer(&d, "n2", WALL - 10, cut, 2), ERR_OK);
    assert_null(action_at(&d, REPL_DO_ADOPT_FLOOR, 0)); /* one at a time */
    drive_stored_with(&d, token, WALL - 10, 0);
    assert_int_equal(counted(&d, "floors_adopted"), 1);
    assert_int_equal(repl_floor(d.r).floor.v, WALL - 10);
    assert_true(view_of(&d, "n2").in_step);
    drive_close(&d);
}

static void what_may_not_be_taken_over(void **state)
{
    static const struct {
        const char *what;
        uint64_t said, floor, high;
        bool answer;
        size_t adopts;
    } rows[] = {
        {"the floor that we have", WALL - 50, WALL - 50, 4, true, 0},
        {"a lower one", WALL - 60, WALL - 60, 4, true, 0},
        {"a part of the cut is missing", WALL - 10, WALL - 10, 5, true, 0},
        {"unasked", WALL - 10, WALL - 10, 4, false, 0},
        {"its heartbeats say less", WALL - 50, WALL - 10, 4, true, 0},
        {"the end of time", WALL - 10, UINT64_MAX, 4, true, 0},
        {"a good one", WALL - 10, WALL - 10, 4, true, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct repl_config c = config_of("n1");
        struct vector_entry plan[] = {{name_of("n2"), DRIVE_EPOCH, 4}};
        c.plan_vector = plan;
        c.plan_count = 1;
        c.floor.v = WALL - 50;
        struct drive d = with_two(&c);
        beat_with_floor(&d, "n2", rows[i].said);
        struct vector_entry cut = {name_of("n2"), DRIVE_EPOCH, rows[i].high};
        struct repl_push p = {.answer = rows[i].answer, .floor = {rows[i].floor}, .cut = &cut, .cut_count = 1};
        assert_int_equal(drive_message(&d, "n2", (struct repl_message){.type = REPL_PUSH, .push = p}), ERR_OK);
        if (action_count(&d, REPL_DO_ADOPT_FLOOR) != rows[i].adopts) fail_msg("%s", rows[i].what);
        assert_int_equal(repl_floor(d.r).floor.v, WALL - 50);
        drive_close(&d);
    }
}

static void a_clock_behind_its_own_floor_is_no_honest_peer(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    struct repl_message m = heartbeat_of(&d, &note, 1);
    m.heartbeat.floor.v = m.heartbeat.time.v + 1;
    assert_int_equal(drive_message(&d, "n2", m), ERR_SYNTAX);
    assert_int_equal(counted(&d, "messages_invalid"), 1);
    assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_OK);
    assert_true(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].time.v < m.heartbeat.floor.v + WALL);
    drive_close(&d);
}

static void a_stray_leads_to_a_snapshot(void **state)
{
    (void)state;
    for (int conflict = 0; conflict < 2; conflict++) {
        struct repl_config c = config_of("n1");
        struct drive d = with_two(&c);
        beat_with_floor(&d, "n2", WALL - 10);
        assert_int_equal(offer(&d, "n2", WALL - 10, NULL, 0), ERR_OK);
        drive_store_failed(&d, action(&d, REPL_DO_ADOPT_FLOOR)->token, conflict ? ERR_CONFLICT : ERR_FULL);
        assert_int_equal(counted(&d, "floors_refused"), 1);
        assert_int_equal(sent(&d, "n2", REPL_FETCH) != NULL, conflict);
        assert_int_equal(repl_floor(d.r).fetching, conflict);
        if (!conflict) {
            beat_with_floor(&d, "n2", WALL - 10);
            assert_int_equal(offer(&d, "n2", WALL - 10, NULL, 0), ERR_OK);
            assert_null(action_at(&d, REPL_DO_ADOPT_FLOOR, 0)); /* not at once */
            drive_tick(&d, REPL_FLOOR_RETRY_MS);
            assert_int_equal(offer(&d, "n2", WALL - 10, NULL, 0), ERR_OK);
            assert_non_null(action_at(&d, REPL_DO_ADOPT_FLOOR, 0));
        }
        drive_close(&d);
    }
}

/* ---- times ---- */

static void what_is_written_is_newer_than_any_floor(void **state)
{
    (void)state;
    uint64_t ahead = WALL + (UINT64_C(3700000) << 16); /* an hour; the driver began at 100 s */
    for (int own = 0; own < 2; own++) {
        struct repl_config c = config_of("n1");
        if (own) c.floor.v = ahead;
        struct drive d;
        drive_open(&d, &c);
        drive_join(&d, "n2");
        if (!own) beat_with_floor(&d, "n2", ahead);
        assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_OK);
        assert_true(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].time.v > ahead);
        drive_close(&d);
    }
}

static void what_comes_too_late_is_dropped_and_counted(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    c.floor.v = WALL + 1;
    struct drive d = with_two(&c);
    struct changeset late[] = {change_of("n2", 1), change_of("n3", 2)};
    late[1].id.seq = 1;
    late[1].time.v = WALL + 2;
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = late, .change_count = 2}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    assert_int_equal(counted(&d, "changes_below_floor"), 1);
    assert_int_equal(action(&d, REPL_DO_PERSIST_CHANGE)->change_count, 1);
    assert_string_equal(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].id.origin.s, "n3");
    drive_close(&d);
}

/* A new node could write something older than what the cluster has forgotten: it must have heard a floor and a clock
 * first, which come with a heartbeat. */
static void a_node_that_joins_writes_nothing_before_it_met_a_member(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    c.joins = true;
    drive_open(&d, &c);
    assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_UNREACHABLE);
    drive_link(&d, "n2", true);
    assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_UNREACHABLE);
    struct changeset one = change_of("n2", 1);
    struct repl_message push = {.type = REPL_PUSH, .push = {.changes = &one, .change_count = 1}};
    assert_int_equal(drive_message(&d, "n2", push), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_UNREACHABLE);
    beat_with_floor(&d, "n2", WALL + 5);
    assert_int_equal(drive_local_change(&d, 1, "mine"), ERR_OK);
    assert_true(action(&d, REPL_DO_PERSIST_CHANGE)->changes[0].time.v > WALL + 5);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_forget_is_not_spoken_of),
        cmocka_unit_test(alone_it_forgets_when_the_plan_has_settled),
        cmocka_unit_test(alone_it_forgets_what_is_deleted_later),
        cmocka_unit_test(it_is_in_step_when_all_have_spoken),
        cmocka_unit_test(it_is_not_while_a_change_is_open),
        cmocka_unit_test(it_is_not_while_others_have_more_of_its_log),
        cmocka_unit_test(it_is_not_before_its_clock_has_passed_all),
        cmocka_unit_test(maps_are_joined_until_all_are_in),
        cmocka_unit_test(what_is_about_something_else_is_ignored),
        cmocka_unit_test(the_evicted_are_not_waited_for),
        cmocka_unit_test(another_vector_asks_everybody_anew),
        cmocka_unit_test(a_map_is_told_once),
        cmocka_unit_test(the_plan_waits_while_the_floor_moves),
        cmocka_unit_test(a_refused_raise_is_tried_again),
        cmocka_unit_test(a_higher_floor_is_asked_for_and_taken_over),
        cmocka_unit_test(what_may_not_be_taken_over),
        cmocka_unit_test(a_clock_behind_its_own_floor_is_no_honest_peer),
        cmocka_unit_test(a_stray_leads_to_a_snapshot),
        cmocka_unit_test(what_is_written_is_newer_than_any_floor),
        cmocka_unit_test(what_comes_too_late_is_dropped_and_counted),
        cmocka_unit_test(a_node_that_joins_writes_nothing_before_it_met_a_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
