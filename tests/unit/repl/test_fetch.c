/* A snapshot is fetched: its pieces, its ends, its donor. What follows when all of it is there: test_change_over.c. */
#include "tests/unit/repl/fetch_kit.h"

/* ---- the way it goes ---- */

static void pieces_come_in_order_and_take_our_place(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    trimmed(&d, "n2", WALL - 50);
    const struct repl_fetch *q = &sent(&d, "n2", REPL_FETCH)->fetch;
    assert_false(q->tail);
    assert_int_equal(q->after.n, 0);
    assert_int_equal(q->have_count, 0);
    assert_true(repl_floor(d.r).fetching);
    assert_string_equal(repl_floor(d.r).donor.s, "n2");
    assert_int_equal(counted(&d, "snapshots_begun"), 1);

    struct vector_entry vector[] = {{name_of("n2"), DRIVE_EPOCH, 4}, {name_of("n3"), DRIVE_EPOCH, 0}};
    struct snapshot_object o[] = {object_of("site/a"), object_of("site/b"), object_of("site/c")};
    o[2].deleted = true;
    o[2].value = SLICE_NONE;
    struct repl_snapshot first = {
        .more = true, .floor = {WALL - 50}, .objects = o, .object_count = 2, .vector = vector, .vector_count = 2};
    assert_int_equal(piece(&d, "n2", first), ERR_OK);
    const struct repl_action *a = action(&d, REPL_DO_PERSIST_PIECE);
    assert_true(a->first);
    assert_int_equal(a->message.snapshot.object_count, 2);
    uint64_t tokens[3] = {a->token};
    q = &sent(&d, "n2", REPL_FETCH)->fetch; /* the next while this one goes to disk */
    assert_true(slice_is(q->after, "site/b"));
    assert_int_equal(repl_floor(d.r).objects, 2);

    struct repl_snapshot second = {.floor = {WALL - 50}, .objects = o + 2, .object_count = 1};
    assert_int_equal(piece(&d, "n2", second), ERR_OK);
    a = action(&d, REPL_DO_PERSIST_PIECE);
    assert_false(a->first);
    tokens[1] = a->token;
    q = &sent(&d, "n2", REPL_FETCH)->fetch;
    assert_true(q->tail);
    assert_int_equal(q->have_count, 1);
    assert_int_equal(q->have[0].high, 4);

    struct changeset gained[] = {change_of("n2", 5), change_of("n3", 1)};
    struct repl_snapshot tail = {
        .tail = true, .more = true, .floor = {WALL - 50}, .changes = gained, .change_count = 2};
    assert_int_equal(piece(&d, "n2", tail), ERR_OK);
    tokens[2] = action(&d, REPL_DO_PERSIST_PIECE)->token;
    q = &sent(&d, "n2", REPL_FETCH)->fetch;
    assert_int_equal(q->have_count, 2);
    assert_int_equal(q->have[0].high, 5);

    struct vector_entry cut[] = {{name_of("n2"), DRIVE_EPOCH, 2}};
    struct repl_snapshot last = {.tail = true, .floor = {WALL - 50}, .cut = cut, .cut_count = 1};
    assert_int_equal(piece(&d, "n2", last), ERR_OK);
    assert_null(action_at(&d, REPL_DO_PERSIST_PIECE, 0));
    drive_stored(&d, tokens[0]);
    drive_stored(&d, tokens[1]);
    assert_null(action_at(&d, REPL_DO_REPLACE, 0));
    drive_stored(&d, tokens[2]);
    a = action(&d, REPL_DO_REPLACE);
    struct vector_entry want[] = {{name_of("n2"), DRIVE_EPOCH, 5}, {name_of("n3"), DRIVE_EPOCH, 1}};
    assert_int_equal(a->upto_count, 2);
    assert_memory_equal(a->upto, want, sizeof want);
    assert_int_equal(a->floor.v, WALL - 50);
    assert_int_equal(a->cut_count, 1);
    assert_memory_equal(a->cut, cut, sizeof cut);

    struct repl_event ev = {.type = REPL_EV_STORED,
                            .token = a->token,
                            .vector = want,
                            .vector_count = 2,
                            .floor = {WALL - 50},
                            .tombstones = 1,
                            .time = {WALL + 9}};
    memset(ev.plan_digest.b, 7, sizeof ev.plan_digest.b);
    drive(&d, ev);
    assert_int_equal(counted(&d, "snapshots_taken"), 1);
    assert_int_equal(counted(&d, "changes_lost"), 0);
    assert_false(repl_floor(d.r).fetching);
    assert_int_equal(repl_floor(d.r).floor.v, WALL - 50);
    assert_int_equal(repl_floor(d.r).tombstones, 1);
    assert_int_equal(repl_vector_get(&d.r->changes.have, &want[0].origin, DRIVE_EPOCH), 5);
    assert_int_equal(repl_member_at(d.r, 0).plan_digest[0], 7);
    drive_heartbeat(&d, "n2");
    assert_true(view_of(&d, "n2").in_step);
    drive_close(&d);
}

/* A donor with an empty plan has one piece without an object, which is put aside all the same. */
static void an_empty_replica_is_one_too(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.floor = {0}}), ERR_OK);
    assert_true(action(&d, REPL_DO_PERSIST_PIECE)->first);
    uint64_t token = action(&d, REPL_DO_PERSIST_PIECE)->token;
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.tail = true}), ERR_OK);
    drive_stored(&d, token);
    assert_non_null(action_at(&d, REPL_DO_REPLACE, 0));
    drive_close(&d);
}

static void few_pieces_are_on_their_way_to_disk(void **state)
{
    (void)state;
    char key[] = "site/a";
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    uint64_t first = 0;
    for (size_t i = 0; i < REPL_PIECES_MAX; i++) {
        key[5] = (char)('a' + i);
        struct snapshot_object o = object_of(key);
        assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.more = true, .objects = &o, .object_count = 1}),
                         ERR_OK);
        if (i == 0) first = action(&d, REPL_DO_PERSIST_PIECE)->token;
        assert_int_equal(sent(&d, "n2", REPL_FETCH) != NULL, i + 1 < REPL_PIECES_MAX);
    }
    drive_tick(&d, 2 * REPL_FETCH_TIMEOUT_MS); /* the disk is slow, not the donor */
    assert_int_equal(counted(&d, "snapshots_given_up"), 0);
    drive_stored(&d, first);
    assert_true(slice_is(sent(&d, "n2", REPL_FETCH)->fetch.after, key));
    drive_close(&d);
}

/* ---- begun or not ---- */

static void a_lower_floor_is_no_donor(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    c.floor.v = WALL - 50;
    struct drive d = with_two(&c);
    trimmed(&d, "n2", WALL - 60);
    assert_null(sent(&d, "n2", REPL_FETCH));
    trimmed(&d, "n2", WALL - 50);
    assert_non_null(sent(&d, "n2", REPL_FETCH));
    trimmed(&d, "n3", WALL - 50); /* one at a time */
    assert_null(sent(&d, "n3", REPL_FETCH));
    assert_int_equal(counted(&d, "snapshots_begun"), 1);
    drive_close(&d);
}

static void what_was_not_asked_for_is_dropped(void **state)
{
    (void)state;
    struct snapshot_object o = object_of("site/a");
    struct repl_snapshot s = {.id = 1, .objects = &o, .object_count = 1};
    struct repl_config c = config_of("n1");
    struct drive d = with_two(&c);
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    assert_int_equal(counted(&d, "pieces_stale"), 1);
    trimmed(&d, "n2", 0);
    s.id = d.r->fetching.id + 1;
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    s.id = d.r->fetching.id;
    assert_int_equal(piece(&d, "n3", s), ERR_OK); /* not the donor */
    assert_int_equal(counted(&d, "pieces_stale"), 3);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 0);
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 1);
    assert_int_equal(piece(&d, "n2", s), ERR_OK); /* the same once more */
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 0);
    assert_int_equal(counted(&d, "pieces_stale"), 4);
    assert_int_equal(counted(&d, "snapshots_given_up"), 0);
    drive_close(&d);
}

/* ---- given up ---- */

static void what_makes_no_sense_ends_it(void **state)
{
    static struct snapshot_object a[1];
    static struct snapshot_object b[1];
    static struct changeset gap[1];
    static struct changeset next[1];
    a[0] = object_of("site/b");
    b[0] = object_of("site/a");
    gap[0] = change_of("n2", 3);
    next[0] = change_of("n2", 2);
    const struct {
        const char *what;
        bool tail_due;
        struct repl_snapshot s;
    } rows[] = {
        {"more without an object", false, {.more = true, .floor = {WALL - 50}}},
        {"a key that has been", false, {.more = true, .floor = {WALL - 50}, .objects = b, .object_count = 1}},
        {"the same key", false, {.more = true, .floor = {WALL - 50}, .objects = a, .object_count = 1}},
        {"another floor", false, {.more = true, .floor = {WALL - 49}, .objects = a, .object_count = 1}},
        {"a floor below ours", false, {.more = true, .floor = {WALL - 61}, .objects = a, .object_count = 1}},
        {"the tail too early", false, {.tail = true, .floor = {WALL - 50}}},
        {"objects in place of the tail", true, {.floor = {WALL - 50}}},
        {"a tail with a gap", true, {.tail = true, .floor = {WALL - 50}, .changes = gap, .change_count = 1}},
        {"a tail that is not to be had", true, {.tail = true, .more = true, .floor = {WALL - 50}}},
        {"another floor at the end", true, {.tail = true, .floor = {WALL - 40}}},
        {NULL, true, {.tail = true, .floor = {WALL - 50}, .changes = next, .change_count = 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct repl_config c = config_of("n1");
        c.floor.v = WALL - 60;
        struct drive d = with_two(&c);
        trimmed(&d, "n2", WALL - 50);
        struct vector_entry v = {name_of("n2"), DRIVE_EPOCH, 1};
        struct repl_snapshot first = {
            .floor = {WALL - 50}, .objects = a, .object_count = 1, .vector = &v, .vector_count = 1};
        first.more = !rows[i].tail_due;
        assert_int_equal(piece(&d, "n2", first), ERR_OK);
        drive_stored(&d, action(&d, REPL_DO_PERSIST_PIECE)->token);
        assert_int_equal(piece(&d, "n2", rows[i].s), ERR_OK);
        uint64_t given_up = counted(&d, "snapshots_given_up");
        if (given_up != (rows[i].what != NULL)) fail_msg("%s", rows[i].what != NULL ? rows[i].what : "a good tail");
        if (rows[i].what != NULL) {
            assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 0);
            assert_false(repl_floor(d.r).fetching);
            drive_tick(&d, REPL_FETCH_RETRY_MS);
            trimmed(&d, "n2", WALL - 40);
            assert_int_equal(sent(&d, "n2", REPL_FETCH)->fetch.after.n, 0); /* from the beginning */
        }
        drive_close(&d);
    }
}

static void a_donor_that_is_silent_is_left(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    uint64_t id = d.r->fetching.id;
    drive_tick(&d, REPL_FETCH_TIMEOUT_MS - 1);
    assert_int_equal(counted(&d, "snapshots_given_up"), 0);
    drive_tick(&d, 1);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    trimmed(&d, "n3", 0);
    assert_null(sent(&d, "n3", REPL_FETCH)); /* not at once */
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.id = id}), ERR_OK);
    assert_int_equal(counted(&d, "pieces_stale"), 1); /* too late */
    drive_tick(&d, REPL_FETCH_RETRY_MS);
    trimmed(&d, "n3", 0);
    assert_non_null(sent(&d, "n3", REPL_FETCH));
    drive_close(&d);
}

static void a_lost_link_ends_it(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    struct snapshot_object o = object_of("site/a");
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.more = true, .objects = &o, .object_count = 1}), ERR_OK);
    uint64_t token = action(&d, REPL_DO_PERSIST_PIECE)->token;
    drive_link(&d, "n2", false);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    trimmed(&d, "n3", 0);
    assert_null(sent(&d, "n3", REPL_FETCH)); /* a piece of the old one is still on its way to disk */
    drive_stored(&d, token);
    trimmed(&d, "n3", 0);
    assert_non_null(sent(&d, "n3", REPL_FETCH));
    assert_int_equal(piece(&d, "n3", (struct repl_snapshot){.objects = &o, .object_count = 1}), ERR_OK);
    assert_true(action(&d, REPL_DO_PERSIST_PIECE)->first);
    drive_close(&d);
}

static void put_off_it_waits_as_long_as_it_is_told(void **state)
{
    static const struct {
        uint32_t told, waits;
    } rows[] = {{1, 1},
                {2500, 2500},
                {REPL_FETCH_RETRY_MAX_MS, REPL_FETCH_RETRY_MAX_MS},
                {UINT32_MAX, REPL_FETCH_RETRY_MAX_MS}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct repl_config c = config_of("n1");
        struct drive d = fetching(&c);
        assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.retry_ms = rows[i].told}), ERR_OK);
        assert_int_equal(counted(&d, "snapshots_given_up"), 1);
        drive_tick(&d, rows[i].waits - 1);
        trimmed(&d, "n2", 0);
        assert_null(sent(&d, "n2", REPL_FETCH));
        drive_tick(&d, 1);
        trimmed(&d, "n2", 0);
        assert_non_null(sent(&d, "n2", REPL_FETCH));
        drive_close(&d);
    }
}

static void a_piece_that_is_not_stored_ends_it(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    struct snapshot_object o = object_of("site/a");
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.more = true, .objects = &o, .object_count = 1}), ERR_OK);
    uint64_t token = action(&d, REPL_DO_PERSIST_PIECE)->token;
    drive_store_failed(&d, token, ERR_FULL);
    assert_int_equal(counted(&d, "store_failures"), 1);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    assert_int_equal(drive_try(&d, (struct repl_event){.type = REPL_EV_STORED, .token = token}), ERR_NOTFOUND);
    drive_tick(&d, REPL_STORE_RETRY_MAX_MS - 1);
    trimmed(&d, "n2", 0);
    assert_null(sent(&d, "n2", REPL_FETCH));
    drive_tick(&d, 1);
    trimmed(&d, "n2", 0);
    assert_non_null(sent(&d, "n2", REPL_FETCH));
    drive_close(&d);
}

static void a_first_piece_below_our_floor(void **state)
{
    (void)state;
    struct repl_config c = config_of("n1");
    c.floor.v = WALL - 50;
    struct drive d = with_two(&c);
    trimmed(&d, "n2", WALL - 50);
    struct snapshot_object o = object_of("site/a");
    struct repl_snapshot s = {.floor = {WALL - 51}, .objects = &o, .object_count = 1};
    assert_int_equal(piece(&d, "n2", s), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 0);
    assert_int_equal(counted(&d, "snapshots_given_up"), 1);
    drive_close(&d);
}

/* ---- the donor ---- */

static enum err fetch(struct drive *d, const char *from, uint64_t id)
{
    struct repl_message m = {.type = REPL_FETCH, .fetch = {.id = id, .after = SLICE("site/a")}};
    return drive_message(d, from, m);
}

static void three_are_served_at_a_time(void **state)
{
    (void)state;
    static const char *const names[] = {"n2", "n3", "n4", "n5"};
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    for (size_t i = 0; i < 4; i++)
        drive_join(&d, names[i]);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fetch(&d, names[i], 11 + i), ERR_OK);
        const struct repl_action *a = action(&d, REPL_DO_SEND_SNAPSHOT);
        assert_string_equal(a->peer.s, names[i]);
        assert_int_equal(a->fetch.id, 11 + i);
        assert_true(slice_is(a->fetch.after, "site/a"));
    }
    assert_int_equal(fetch(&d, "n5", 14), ERR_OK);
    assert_null(action_at(&d, REPL_DO_SEND_SNAPSHOT, 0));
    const struct repl_snapshot *s = &sent(&d, "n5", REPL_SNAPSHOT)->snapshot;
    assert_int_equal(s->id, 14);
    assert_true(s->retry_ms >= REPL_FETCH_RETRY_MS && s->retry_ms < 3 * REPL_FETCH_RETRY_MS);
    assert_int_equal(counted(&d, "snapshots_put_off"), 1);
    assert_int_equal(fetch(&d, "n2", 15), ERR_OK); /* those that are being served go on */
    assert_non_null(action_at(&d, REPL_DO_SEND_SNAPSHOT, 0));
    drive_tick(&d, REPL_SNAPSHOT_BUSY_MS - 1);
    assert_int_equal(fetch(&d, "n5", 16), ERR_OK);
    assert_null(action_at(&d, REPL_DO_SEND_SNAPSHOT, 0));
    drive_tick(&d, 1); /* they ask for nothing any more */
    assert_int_equal(fetch(&d, "n5", 17), ERR_OK);
    assert_non_null(action_at(&d, REPL_DO_SEND_SNAPSHOT, 0));
    assert_int_equal(counted(&d, "pieces_sent"), 5);
    drive_close(&d);
}

/* ---- what no honest peer sends ---- */

static void bad_messages_change_nothing(void **state)
{
    static char big[LIMIT_OBJECT + 1];
    (void)state;
    struct snapshot_object o[10];
    for (size_t i = 0; i < 10; i++)
        o[i] = object_of("site/m");
    o[0].key = SLICE_NONE;
    o[1].key = (struct slice){big, REPL_CHANGE_KEY_MAX + 1};
    o[2].value = (struct slice){big, sizeof big};
    o[3].value = SLICE_NONE;
    o[4].deleted = true;
    o[5].stamp.epoch = 0;
    o[6].stamp.origin = (struct node_name){{0}};
    struct snapshot_object twice[] = {object_of("site/m"), object_of("site/m")};
    struct snapshot_object down[] = {object_of("site/m"), object_of("site/l")};
    struct vector_entry bad_entry = {name_of("n2"), 0, 1};
    struct vector_entry entry = {name_of("n2"), 1, 1};
    struct changeset change = change_of("n2", 0);
    struct changeset good = change_of("n2", 1);
    struct repl_snapshot s[] = {
        {.objects = &o[0], .object_count = 1},
        {.objects = &o[1], .object_count = 1},
        {.objects = &o[2], .object_count = 1},
        {.objects = &o[3], .object_count = 1},
        {.objects = &o[4], .object_count = 1},
        {.objects = &o[5], .object_count = 1},
        {.objects = &o[6], .object_count = 1},
        {.objects = twice, .object_count = 2},
        {.objects = down, .object_count = 2},
        {.objects = &o[7], .object_count = 200001},
        {.changes = &good, .change_count = 200001, .tail = true},
        {.vector = &bad_entry, .vector_count = 1},
        {.vector = &entry, .vector_count = REPL_VECTOR_MAX + 1},
        {.cut = &bad_entry, .cut_count = 1, .tail = true},
        {.changes = &change, .change_count = 1, .tail = true},
        {.changes = &good, .change_count = 1},               /* changes belong into the tail */
        {.cut = &entry, .cut_count = 1},                     /* and so does the cut */
        {.objects = &o[7], .object_count = 1, .tail = true}, /* objects do not */
        {.vector = &entry, .vector_count = 1, .tail = true},
    };
    struct repl_fetch q[] = {
        {.after = {big, REPL_CHANGE_KEY_MAX + 1}},
        {.have = &bad_entry, .have_count = 1, .tail = true},
        {.have = &entry, .have_count = REPL_VECTOR_MAX + 1, .tail = true},
    };
    struct repl_config c = config_of("n1");
    struct drive d = fetching(&c);
    size_t count = 0;
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++, count++) {
        enum err e = piece(&d, "n2", s[i]);
        if (e != ERR_SYNTAX && e != ERR_LIMIT) fail_msg("piece %zu gave %s", i, err_name(e));
        assert_int_equal(d.out.count, 0);
    }
    for (size_t i = 0; i < sizeof q / sizeof q[0]; i++, count++) {
        enum err e = drive_message(&d, "n3", (struct repl_message){.type = REPL_FETCH, .fetch = q[i]});
        if (e != ERR_SYNTAX && e != ERR_LIMIT) fail_msg("question %zu gave %s", i, err_name(e));
        assert_int_equal(d.out.count, 0);
    }
    struct repl_push p = {.answer = true, .cut = &bad_entry, .cut_count = 1};
    assert_int_equal(drive_message(&d, "n3", (struct repl_message){.type = REPL_PUSH, .push = p}), ERR_SYNTAX);
    assert_int_equal(counted(&d, "messages_invalid"), count + 1);
    assert_true(repl_floor(d.r).fetching); /* and it goes on */
    assert_int_equal(piece(&d, "n2", (struct repl_snapshot){.objects = &o[7], .object_count = 1}), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_PERSIST_PIECE), 1);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_in_order_and_take_our_place),
        cmocka_unit_test(an_empty_replica_is_one_too),
        cmocka_unit_test(few_pieces_are_on_their_way_to_disk),
        cmocka_unit_test(a_lower_floor_is_no_donor),
        cmocka_unit_test(what_was_not_asked_for_is_dropped),
        cmocka_unit_test(what_makes_no_sense_ends_it),
        cmocka_unit_test(a_donor_that_is_silent_is_left),
        cmocka_unit_test(a_lost_link_ends_it),
        cmocka_unit_test(put_off_it_waits_as_long_as_it_is_told),
        cmocka_unit_test(a_piece_that_is_not_stored_ends_it),
        cmocka_unit_test(a_first_piece_below_our_floor),
        cmocka_unit_test(three_are_served_at_a_time),
        cmocka_unit_test(bad_messages_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
