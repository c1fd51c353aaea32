/* Membership: who is met, dialled, suspected, dead, and out. Evictions: test_eviction.c; what is shown: test_shown.c.
 */
#include "tests/unit/repl/drive.h"

static void self_comes_first(void **state)
{
    (void)state;
    struct drive d = fresh();
    assert_int_equal(repl_member_count(d.r), 1);
    struct repl_member_view v = repl_member_at(d.r, 0);
    assert_string_equal(v.name.s, "n1");
    assert_int_equal(v.status, MEMBER_ALIVE);
    assert_true(slice_is(v.site, "hq"));
    struct node_name nobody = name_of("nobody");
    assert_int_equal(repl_member_status(d.r, &nobody), MEMBER_DEAD);
    drive_close(&d);
}

static void a_peer_that_speaks_is_a_member_and_is_dialled(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_heartbeat(&d, "n2");
    expect_member(&d, "n2", MEMBER_ALIVE);
    const struct repl_action *a = action(&d, REPL_DO_DIAL);
    assert_string_equal(a->peer.s, "n2");
    assert_true(slice_is(a->address, "10.0.0.2:7400"));
    drive_heartbeat(&d, "n2");
    assert_int_equal(action_count(&d, REPL_DO_DIAL) + action_count(&d, REPL_DO_MEMBER), 0);
    drive_close(&d);
}

static void a_new_link_is_greeted_with_every_note(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_heartbeat(&d, "n2");
    drive_tick(&d, 60000); /* n2 is no longer news */
    drive_link(&d, "n3", true);
    const struct repl_message *m = sent(&d, "n3", REPL_HEARTBEAT);
    assert_non_null(m);
    assert_int_equal(m->heartbeat.note_count, 3);
    assert_string_equal(m->heartbeat.notes[0].name.s, "n1");
    uint64_t token = sent_token(&d, "n3", REPL_HEARTBEAT);
    drive_tick(&d, 2200);
    m = sent(&d, "n3", REPL_HEARTBEAT);
    assert_int_equal(m->heartbeat.note_count, 3); /* until one is acknowledged */
    drive_sent(&d, "n3", token);                  /* not that one: it was the last but one */
    drive_sent(&d, "n3", token + 1);
    drive_tick(&d, 40000);
    drive_tick(&d, 2200);
    m = sent(&d, "n3", REPL_HEARTBEAT);
    assert_non_null(m);
    assert_true(m->heartbeat.note_count < 3 || counted(&d, "own_stalls") > 0);
    drive_close(&d);
}

static struct repl_message accusation_of(const struct drive *d, struct repl_accusation *a)
{
    struct repl_message m = heartbeat_of(d, NULL, 0);
    m.heartbeat.accusations = a;
    m.heartbeat.accusation_count = 1;
    return m;
}

/* When peer's heartbeat comes, and when ours goes to it after that, in ms; its acknowledgements come at once. */
static uint64_t turn_after(struct drive *d, const char *peer)
{
    drive_heartbeat(d, peer);
    uint64_t begin = d->now_ms;
    while (sent(d, peer, REPL_HEARTBEAT) == NULL)
        drive_tick(d, 10);
    uint64_t passed = d->now_ms - begin;
    drive_sent(d, peer, sent_token(d, peer, REPL_HEARTBEAT));
    for (unsigned i = 0; i < 100; i++)
        drive_tick(d, 10);
    return passed;
}

/* The lesser name beats every two seconds, the other answers between two beats. So each is heard often enough never to
 * be asked: by its beat, and by its acknowledgement of ours. */
static void two_neighbours_take_turns(void **state)
{
    (void)state;
    const char *const peers[] = {"m2", "n2"};
    for (size_t k = 0; k < 2; k++) {
        struct drive d = fresh();
        drive_join(&d, peers[k]);
        (void)turn_after(&d, peers[k]); /* which has news */
        for (unsigned i = 0; i < 20; i++) {
            uint64_t ms = turn_after(&d, peers[k]);
            if (k == 0) {
                assert_in_range(ms, 1000, 1010);
            } else {
                assert_in_range(ms, 790, 1220); /* two seconds after the last one, a tenth more or less */
            }
        }
        assert_int_equal(counted(&d, "probes_sent"), 0);
        drive_close(&d);
    }
}

static void news_does_not_wait_for_a_turn(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "m2");
    drive_join(&d, "n2");
    drive_heartbeat(&d, "m2");
    struct repl_accusation a = {name_of("n1"), repl_member_at(d.r, 0).incarnation, name_of("n2")};
    assert_int_equal(drive_message(&d, "n2", accusation_of(&d, &a)), ERR_OK);
    assert_non_null(sent(&d, "m2", REPL_HEARTBEAT));
    drive_close(&d);
}

/* Whatever is said of us, what we say of ourselves is still taken by others. */
static void an_incarnation_has_an_end(void **state)
{
    (void)state;
    for (int accused = 0; accused < 2; accused++) {
        struct drive d = fresh();
        drive_join(&d, "n2");
        struct repl_accusation a = {name_of("n1"), REPL_COUNT_MAX, name_of("n2")};
        struct member_note note = note_of("n1", MEMBER_ALIVE);
        note.incarnation = REPL_COUNT_MAX;
        struct repl_message m = accused ? accusation_of(&d, &a) : heartbeat_of(&d, &note, 1);
        assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
        for (unsigned i = 0; i < 100 && sent(&d, "n2", REPL_HEARTBEAT) == NULL; i++)
            drive_tick(&d, 100);
        struct node_name self = name_of("n1");
        assert_int_equal(repl_check_heartbeat(&self, sent(&d, "n2", REPL_HEARTBEAT)), ERR_OK);
        drive_close(&d);
    }
}

static void silence_is_suspicion_and_then_death(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_tick(&d, 1000);
    drive_tick(&d, 1000);
    drive_tick(&d, 499);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    drive_tick(&d, 1);
    expect_member(&d, "n2", MEMBER_SUSPECT);
    drive_tick(&d, 199);
    assert_int_equal(action_count(&d, REPL_DO_MEMBER), 0);
    drive_tick(&d, 1);
    expect_member(&d, "n2", MEMBER_DEAD);
    drive_tick(&d, 1000);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_DEAD); /* never forgotten */
    drive_heartbeat(&d, "n2");
    expect_member(&d, "n2", MEMBER_ALIVE);
    drive_close(&d);
}

static void the_silent_are_asked_for_a_sign_of_life(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    unsigned asked = 0;
    for (unsigned ms = 0; ms < 2400; ms += 25) {
        drive_tick(&d, 25);
        const struct repl_message *m = sent(&d, "n2", REPL_HEARTBEAT);
        if (m != NULL && m->heartbeat.answer) asked++;
        assert_false(asked > 0 && ms < 1200);
    }
    assert_in_range(asked, 7, 10);
    struct repl_message m = heartbeat_of(&d, NULL, 0);
    m.heartbeat.answer = true;
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT)); /* we answer at once, */
    assert_int_equal(drive_message(&d, "n2", m), ERR_OK);
    assert_null(sent(&d, "n2", REPL_HEARTBEAT)); /* but not to every request */
    drive_tick(&d, 50);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT));
    drive_close(&d);
}

/* Three observers of n4, of whom we are one and hear nothing: it takes two. */
static void a_majority_of_observers_makes_it_dead(void **state)
{
    (void)state;
    struct drive d = fresh();
    const char *const names[] = {"n2", "n3", "n4"};
    for (size_t i = 0; i < 3; i++)
        drive_join(&d, names[i]);
    for (unsigned i = 0; i < 8; i++) {
        drive_tick(&d, 500);
        drive_heartbeat(&d, "n2");
        drive_heartbeat(&d, "n3");
    }
    assert_int_equal(view_of(&d, "n4").status, MEMBER_SUSPECT);
    struct repl_accusation a = {name_of("n4"), (uint64_t)DRIVE_WALL_MS - 1, name_of("n3")};
    assert_int_equal(drive_message(&d, "n3", accusation_of(&d, &a)), ERR_OK); /* of an earlier life */
    drive_tick(&d, 200);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_SUSPECT);
    a.incarnation++;
    assert_int_equal(drive_message(&d, "n2", accusation_of(&d, &a)), ERR_OK); /* passed on by n2 */
    drive_tick(&d, 100);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_SUSPECT);
    drive_tick(&d, 100);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_DEAD);
    struct member_note back = note_of("n4", MEMBER_ALIVE);
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &back, 1)), ERR_OK);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_DEAD); /* that was known */
    back.incarnation++;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &back, 1)), ERR_OK);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_ALIVE); /* it has refuted */
    drive_close(&d);
}

/* n3 restarted behind a partition and died there; n2 has heard of that life, and does not hear it any more. */
static void a_later_life_that_its_teller_doubts_is_not_alive(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    for (unsigned i = 0; i < 5; i++) {
        drive_tick(&d, 500);
        drive_heartbeat(&d, "n2");
    }
    struct repl_accusation a = {name_of("n3"), (uint64_t)DRIVE_WALL_MS, name_of("n2")};
    assert_int_equal(drive_message(&d, "n2", accusation_of(&d, &a)), ERR_OK);
    drive_tick(&d, 200);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_DEAD);
    struct member_note later = note_of("n3", MEMBER_SUSPECT);
    later.incarnation++;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &later, 1)), ERR_OK);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_SUSPECT);
    assert_int_equal(view_of(&d, "n3").incarnation, later.incarnation);
    drive_tick(&d, 300);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_SUSPECT); /* that life is judged anew */
    a.incarnation = later.incarnation;
    assert_int_equal(drive_message(&d, "n2", accusation_of(&d, &a)), ERR_OK);
    drive_tick(&d, 200);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_DEAD);
    drive_heartbeat(&d, "n3");
    assert_int_equal(view_of(&d, "n3").status, MEMBER_ALIVE);
    drive_close(&d);
}

/* We have asked it in vain for a while, and now another has lost patience: ours ends too. */
static void an_accusation_is_joined_by_who_hears_nothing_either(void **state)
{
    (void)state;
    struct drive d = fresh();
    const char *const names[] = {"n2", "n3", "n4"};
    for (size_t i = 0; i < 3; i++)
        drive_join(&d, names[i]);
    struct repl_accusation a = {name_of("n4"), (uint64_t)DRIVE_WALL_MS, name_of("n3")};
    for (unsigned i = 0; i < 20; i++) {
        drive_tick(&d, 100);
        drive_heartbeat(&d, "n2");
        drive_heartbeat(&d, "n3");
        if (i == 14) assert_int_equal(drive_message(&d, "n3", accusation_of(&d, &a)), ERR_OK);
    }
    assert_int_equal(view_of(&d, "n4").status, MEMBER_ALIVE); /* silent for 2 s: that may be loss */
    drive_tick(&d, 100);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_SUSPECT);
    assert_int_equal(counted(&d, "accusations_made"), 1);
    drive_tick(&d, 200);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_DEAD);
    drive_close(&d);
}

/* It is alive to us; it is told, so that it refutes what others may think. */
static void one_that_we_hear_is_not_accused_by_hearsay(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    struct repl_accusation a = {name_of("n3"), (uint64_t)DRIVE_WALL_MS, name_of("n2")};
    assert_int_equal(drive_message(&d, "n2", accusation_of(&d, &a)), ERR_OK);
    drive_tick(&d, 300);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_ALIVE);
    a = (struct repl_accusation){name_of("n1"), repl_member_at(d.r, 0).incarnation, name_of("n2")};
    assert_int_equal(drive_message(&d, "n3", accusation_of(&d, &a)), ERR_OK); /* and of ourselves */
    assert_int_equal(counted(&d, "accusations_refuted"), 1);
    const struct repl_message *m = sent(&d, "n2", REPL_HEARTBEAT);
    assert_non_null(m);
    assert_true(m->heartbeat.incarnation > a.incarnation);
    assert_string_equal(m->heartbeat.notes[0].name.s, "n1");
    drive_close(&d);
}

/* Beyond the full mesh: a few links, the same from both sides. */
static void a_large_cluster_is_linked_by_rings(void **state)
{
    (void)state;
    enum { NODES = 200 };
    static bool linked[NODES][NODES];
    struct member_note notes[NODES];
    char names[NODES][8];
    for (unsigned i = 0; i < NODES; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        notes[i] = note_of(names[i], MEMBER_ALIVE);
    }
    for (unsigned i = 0; i < NODES; i++) {
        struct repl_config c = config_of(names[i]);
        c.members = notes;
        c.member_count = NODES;
        struct drive d;
        drive_open(&d, &c);
        size_t count = action_count(&d, REPL_DO_DIAL);
        assert_in_range(count, 4, 2 * REPL_RINGS);
        for (size_t k = 0; k < count; k++)
            linked[i][atoi(action_at(&d, REPL_DO_DIAL, k)->peer.s + 1)] = true;
        drive_close(&d);
    }
    for (unsigned i = 0; i < NODES; i++) {
        for (unsigned k = 0; k < NODES; k++)
            assert_int_equal(linked[i][k], linked[k][i]);
    }
}

/* n2 named the root of its table, then ours changed. Until n2 names it again, nothing is known of a difference. */
static void an_old_root_is_no_difference(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    drive_tick(&d, 6000);
    struct repl_message root = heartbeat_of(&d, NULL, 0);
    root.heartbeat.member_root = repl_member_root(d.r);
    assert_int_equal(drive_message(&d, "n2", root), ERR_OK);
    struct member_note fourth = note_of("n4", MEMBER_ALIVE);
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &fourth, 1)), ERR_OK);
    for (unsigned ms = 0; ms < 10000; ms += 500) {
        drive_tick(&d, 500);
        const struct repl_message *m = sent(&d, "n2", REPL_HEARTBEAT);
        assert_true(m == NULL || m->heartbeat.note_count < 4); /* news, but not the table */
        assert_int_equal(drive_message(&d, "n2", (struct repl_message){.type = REPL_WANT}), ERR_OK);
        drive_heartbeat(&d, "n3");
    }
    assert_int_equal(drive_message(&d, "n2", root), ERR_OK); /* it still has not heard of n4 */
    drive_tick(&d, 2400);
    const struct repl_message *m = sent(&d, "n2", REPL_HEARTBEAT);
    assert_non_null(m);
    assert_int_equal(m->heartbeat.note_count, 4);
    drive_close(&d);
}

static void any_message_is_a_sign_of_life(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    for (unsigned i = 0; i < 8; i++) {
        drive_tick(&d, 1000);
        assert_int_equal(drive_message(&d, "n2", (struct repl_message){.type = REPL_PUSH}), ERR_OK);
    }
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    drive_close(&d);
}

/* After a stop of the whole process the others have not been silent; we have been deaf. */
static void our_own_stall_accuses_nobody(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_tick(&d, 30000);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    assert_int_equal(counted(&d, "own_stalls"), 1);
    for (unsigned i = 0; i < 5; i++)
        drive_tick(&d, 1000);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_DEAD);
    drive_close(&d);
}

static void an_accusation_is_refuted(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    uint64_t before = repl_member_at(d.r, 0).incarnation;
    struct member_note notes[] = {note_of("n2", MEMBER_ALIVE), note_of("n1", MEMBER_SUSPECT)};
    notes[1].incarnation = before;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 2)), ERR_OK);
    assert_true(repl_member_at(d.r, 0).incarnation > before);
    assert_non_null(sent(&d, "n2", REPL_HEARTBEAT)); /* at once */
    before = repl_member_at(d.r, 0).incarnation;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 2)), ERR_OK); /* old news */
    assert_int_equal(repl_member_at(d.r, 0).incarnation, before);
    drive_close(&d);
}

/* Of three others two are gone at once: it is we who are cut off, and we accuse nobody. */
static void the_isolated_accuse_nobody(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    drive_join(&d, "n4");
    for (unsigned i = 0; i < 20; i++) {
        drive_tick(&d, 500);
        drive_heartbeat(&d, "n4");
        const struct repl_message *m = sent(&d, "n4", REPL_HEARTBEAT);
        assert_true(m == NULL || m->heartbeat.accusation_count == 0);
    }
    assert_int_equal(view_of(&d, "n2").status, MEMBER_SUSPECT);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_SUSPECT);
    assert_true(repl_isolated(d.r));
    drive_heartbeat(&d, "n3");
    assert_false(repl_isolated(d.r));
    const struct repl_message *m = sent(&d, "n4", REPL_HEARTBEAT);
    if (m == NULL) {
        drive_tick(&d, REPL_TELL_MS);
        m = sent(&d, "n4", REPL_HEARTBEAT);
    }
    assert_non_null(m); /* n2 is silent still */
    assert_int_equal(m->heartbeat.accusation_count, 1);
    drive_close(&d);
}

static void notes_bring_members_but_no_deaths(void **state)
{
    (void)state;
    struct drive d = fresh();
    struct member_note notes[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_ALIVE), note_of("n4", MEMBER_DEAD)};
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 3)), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_DIAL), 3);
    assert_int_equal(view_of(&d, "n4").status, MEMBER_DEAD);
    drive_heartbeat(&d, "n3");
    notes[1].status = MEMBER_DEAD;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, 3)), ERR_OK);
    assert_int_equal(view_of(&d, "n3").status, MEMBER_ALIVE); /* we hear it */
    drive_close(&d);
}

/* Others may think it dead who cannot hear it: it is told by those who do, and refutes. */
static void one_that_we_hear_learns_of_its_death(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    drive_tick(&d, 10);
    struct member_note dead = note_of("n2", MEMBER_DEAD);
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &dead, 1)), ERR_OK);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_ALIVE);
    drive_tick(&d, 2200);
    const struct repl_message *m = sent(&d, "n2", REPL_HEARTBEAT);
    assert_non_null(m);
    assert_int_equal(m->heartbeat.accusation_count, 1);
    assert_string_equal(m->heartbeat.accusations[0].name.s, "n2");
    assert_int_equal(m->heartbeat.accusations[0].incarnation, dead.incarnation);
    struct member_note newer = note_of("n2", MEMBER_ALIVE);
    newer.incarnation++;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &newer, 1)), ERR_OK);
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &dead, 1)), ERR_OK); /* of an earlier life */
    drive_tick(&d, 2200);
    assert_int_equal(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.accusation_count, 0);
    drive_close(&d);
}

static void a_newer_incarnation_moves_the_address(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_heartbeat(&d, "n2");
    struct member_note note = note_of("n2", MEMBER_ALIVE);
    note.mesh_address = SLICE("10.9.9.9:7400");
    note.incarnation--;
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &note, 1)), ERR_OK);
    assert_true(slice_is(view_of(&d, "n2").mesh_address, "10.0.0.2:7400"));
    note.incarnation += 2;
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, &note, 1)), ERR_OK);
    assert_true(slice_is(action(&d, REPL_DO_DIAL)->address, "10.9.9.9:7400"));
    drive_close(&d);
}

static void leaving_is_said_to_all(void **state)
{
    (void)state;
    struct drive d = fresh();
    drive_join(&d, "n2");
    drive(&d, (struct repl_event){.type = REPL_EV_LEAVE});
    expect_member(&d, "n1", MEMBER_LEFT);
    assert_int_equal(sent(&d, "n2", REPL_HEARTBEAT)->heartbeat.notes[0].status, MEMBER_LEFT);
    struct drive other = fresh();
    drive_join(&other, "n3");
    struct member_note note = note_of("n3", MEMBER_LEFT);
    assert_int_equal(drive_message(&other, "n3", heartbeat_of(&other, &note, 1)), ERR_OK);
    expect_member(&other, "n3", MEMBER_LEFT);
    assert_int_equal(action_count(&other, REPL_DO_HANGUP), 1);
    drive_close(&other);
    drive_close(&d);
}

static void known_members_are_dialled_at_the_start(void **state)
{
    (void)state;
    struct drive d;
    struct member_note members[] = {note_of("n2", MEMBER_ALIVE), note_of("n3", MEMBER_EVICTED),
                                    note_of("n4", MEMBER_DEAD), note_of("n1", MEMBER_ALIVE)};
    struct repl_config c = config_of("n1");
    c.members = members;
    c.member_count = 4;
    drive_open(&d, &c);
    assert_int_equal(action_count(&d, REPL_DO_DIAL), 2);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_SUSPECT); /* not heard in this run */
    assert_int_equal(view_of(&d, "n3").status, MEMBER_EVICTED);
    assert_int_equal(repl_member_count(d.r), 4);
    for (unsigned i = 0; i < 4; i++)
        drive_tick(&d, 1000);
    assert_int_equal(view_of(&d, "n2").status, MEMBER_DEAD);
    drive_close(&d);
}

static void members_are_bounded(void **state)
{
    (void)state;
    struct drive d = fresh();
    struct member_note *notes = calloc(LIMIT_MEMBERS, sizeof *notes);
    assert_non_null(notes);
    for (unsigned i = 0; i < LIMIT_MEMBERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%u", i);
        notes[i] = note_of(name, MEMBER_DEAD);
    }
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, notes, LIMIT_MEMBERS)), ERR_OK);
    assert_int_equal(repl_member_count(d.r), LIMIT_MEMBERS + 1);
    assert_int_equal(counted(&d, "members_over_limit"), 1);
    drive_heartbeat(&d, "n2"); /* those that we have are still heard */
    assert_int_equal(drive_message(&d, "n3", heartbeat_of(&d, NULL, 0)), ERR_LIMIT);
    free(notes);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(self_comes_first),
        cmocka_unit_test(a_peer_that_speaks_is_a_member_and_is_dialled),
        cmocka_unit_test(a_new_link_is_greeted_with_every_note),
        cmocka_unit_test(two_neighbours_take_turns),
        cmocka_unit_test(news_does_not_wait_for_a_turn),
        cmocka_unit_test(an_incarnation_has_an_end),
        cmocka_unit_test(silence_is_suspicion_and_then_death),
        cmocka_unit_test(the_silent_are_asked_for_a_sign_of_life),
        cmocka_unit_test(a_majority_of_observers_makes_it_dead),
        cmocka_unit_test(a_later_life_that_its_teller_doubts_is_not_alive),
        cmocka_unit_test(an_accusation_is_joined_by_who_hears_nothing_either),
        cmocka_unit_test(one_that_we_hear_is_not_accused_by_hearsay),
        cmocka_unit_test(a_large_cluster_is_linked_by_rings),
        cmocka_unit_test(an_old_root_is_no_difference),
        cmocka_unit_test(any_message_is_a_sign_of_life),
        cmocka_unit_test(our_own_stall_accuses_nobody),
        cmocka_unit_test(an_accusation_is_refuted),
        cmocka_unit_test(the_isolated_accuse_nobody),
        cmocka_unit_test(notes_bring_members_but_no_deaths),
        cmocka_unit_test(one_that_we_hear_learns_of_its_death),
        cmocka_unit_test(a_newer_incarnation_moves_the_address),
        cmocka_unit_test(leaving_is_said_to_all),
        cmocka_unit_test(known_members_are_dialled_at_the_start),
        cmocka_unit_test(members_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
