/* Clusters in which some nodes cannot be dialled: every node chooses its links by itself, and all choices must fit
 * together. Then what one such node makes of the silence of the others. */
#include "tests/unit/repl/drive.h"

#define NODES_MAX 200

struct cluster {
    size_t count;
    struct drive nodes[NODES_MAX];
    bool dialled[NODES_MAX];
};

static struct node_name nth(size_t i)
{
    char text[32];
    (void)snprintf(text, sizeof text, "n%03zu", i);
    return name_of(text);
}

static size_t number_of(const struct node_name *name)
{
    return (size_t)strtoul(name->s + 1, NULL, 10);
}

/* Every hundredth in hundred can be dialled. */
static struct cluster *cluster_open(size_t count, unsigned dialled_of_100)
{
    struct cluster *c = calloc(1, sizeof *c);
    struct member_note *notes = calloc(count, sizeof *notes);
    assert_true(c != NULL && notes != NULL);
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        c->dialled[i] = i == 0 || i * 37 % 100 < dialled_of_100;
        notes[i] = note_of("x", MEMBER_ALIVE);
        notes[i].name = nth(i);
        if (!c->dialled[i]) notes[i].mesh_address = SLICE("");
    }
    for (size_t i = 0; i < count; i++) {
        struct repl_config config = config_of("x");
        config.self = notes[i].name;
        config.mesh_address = notes[i].mesh_address;
        config.members = notes;
        config.member_count = count;
        drive_open(&c->nodes[i], &config);
    }
    free(notes);
    return c;
}

static void cluster_close(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        drive_close(&c->nodes[i]);
    free(c);
}

/* What node i thinks of its link to node k; NULL: nothing. */
static const struct peer *view(const struct cluster *c, size_t i, size_t k)
{
    struct node_name name = nth(k);
    const struct member *m = repl_member_find(c->nodes[i].r, &name);
    return m != NULL ? m->peer : NULL;
}

static bool wanted(const struct cluster *c, size_t i, size_t k)
{
    const struct peer *p = view(c, i, k);
    return p != NULL && p->wanted;
}

static bool on_ring(const struct cluster *c, size_t i, size_t k)
{
    const struct peer *p = view(c, i, k);
    return p != NULL && p->wanted && p->ring;
}

static bool observed(const struct cluster *c, size_t i, size_t k)
{
    const struct peer *p = view(c, i, k);
    return p != NULL && p->observed;
}

static void expect_symmetry(const struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (wanted(c, i, k) != wanted(c, k, i)) fail_msg("%zu and %zu: one wants a link", i, k);
            if (on_ring(c, i, k) != on_ring(c, k, i)) fail_msg("%zu and %zu: one is a neighbour", i, k);
            if (observed(c, i, k) != observed(c, k, i)) fail_msg("%zu and %zu: one observes", i, k);
            if (wanted(c, i, k)) assert_true(c->dialled[i] || c->dialled[k]);
            if (observed(c, i, k)) assert_true(wanted(c, i, k));
        }
    }
}

/* How many nodes news reaches over the rings when the nodes in gone pass nothing on. */
static size_t reach(const struct cluster *c, size_t gone)
{
    bool seen[NODES_MAX] = {false};
    size_t queue[NODES_MAX];
    size_t head = 0;
    size_t tail = 0;
    size_t from = gone == 0 ? 1 : 0;
    seen[from] = true;
    queue[tail++] = from;
    while (head < tail) {
        size_t i = queue[head++];
        for (size_t k = 0; k < c->count; k++) {
            if (k == gone || seen[k] || !on_ring(c, i, k)) continue;
            seen[k] = true;
            queue[tail++] = k;
        }
    }
    return tail;
}

/* Everybody counts the same observers of everybody, and these can hear it. */
static void expect_observers(const struct cluster *c)
{
    for (size_t k = 0; k < c->count; k++) {
        bool judges[NODES_MAX] = {false};
        size_t judge_count = 0;
        for (size_t i = 0; i < c->count; i++) {
            const struct member *observers[REPL_OBSERVERS_MAX];
            struct node_name name = nth(k);
            const struct member *m = repl_member_find(c->nodes[i].r, &name);
            if (m == NULL) continue; /* itself */
            size_t n = repl_overlay_observers(c->nodes[i].r, m, observers);
            assert_in_range(n, 1, REPL_OBSERVERS_MAX);
            if (judge_count == 0) {
                for (size_t o = 0; o < n; o++)
                    judges[observers[o] != NULL ? number_of(&observers[o]->name) : i] = true;
                judge_count = n;
            }
            assert_int_equal(n, judge_count);
            for (size_t o = 0; o < n; o++)
                assert_true(judges[observers[o] != NULL ? number_of(&observers[o]->name) : i]);
        }
        for (size_t i = 0; i < c->count; i++) {
            if (judges[i]) assert_true(observed(c, i, k));
        }
    }
}

static void all_choices_fit_together(void **state)
{
    static const size_t counts[] = {2, 3, 6, 7, 9, 12, 64, 65, 120};
    static const unsigned shares[] = {100, 70, 30, 5, 0}; /* of 100; the first node always */
    (void)state;
    for (size_t a = 0; a < sizeof counts / sizeof counts[0]; a++) {
        for (size_t b = 0; b < sizeof shares / sizeof shares[0]; b++) {
            struct cluster *c = cluster_open(counts[a], shares[b]);
            expect_symmetry(c);
            expect_observers(c);
            assert_int_equal(reach(c, SIZE_MAX), c->count);
            /* No one node holds them together, but where there is only one that can be dialled. */
            for (size_t gone = 0; shares[b] >= 30 && counts[a] > 6 && gone < c->count; gone += 1 + c->count / 20)
                assert_int_equal(reach(c, gone), c->count - 1);
            cluster_close(c);
        }
    }
}

/* Where all can be dialled, nothing is as it would not be without this. */
static void links_are_few_in_a_large_cluster(void **state)
{
    (void)state;
    for (unsigned share = 30; share <= 100; share += 70) {
        struct cluster *c = cluster_open(200, share);
        size_t most = 0;
        size_t sum = 0;
        for (size_t i = 0; i < c->count; i++) {
            size_t n = 0;
            for (size_t k = 0; k < c->count; k++)
                n += wanted(c, i, k) ? 1 : 0;
            most = n > most ? n : most;
            sum += n;
        }
        assert_true(sum / c->count <= (share == 100 ? 8 : 16));
        assert_true(most <= (share == 100 ? 8 : 60));
        cluster_close(c);
    }
}

/* ---- a node that cannot be dialled ---- */

static struct member_note apart(const char *name, enum member_status status)
{
    struct member_note n = note_of(name, status);
    n.mesh_address = SLICE("");
    return n;
}

/* hub can be dialled, b cannot; we cannot either. */
static struct drive spoke(void)
{
    struct drive d;
    struct member_note notes[] = {note_of("hub", MEMBER_ALIVE), apart("b", MEMBER_ALIVE)};
    struct repl_config c = config_of("n1");
    c.mesh_address = SLICE("");
    c.members = notes;
    c.member_count = 2;
    drive_open(&d, &c);
    return d;
}

static void spoke_hears(struct drive *d)
{
    struct member_note notes[] = {note_of("hub", MEMBER_ALIVE), apart("b", MEMBER_ALIVE)};
    assert_int_equal(drive_message(d, "hub", heartbeat_of(d, notes, 2)), ERR_OK);
}

static void only_who_can_be_dialled_is_dialled(void **state)
{
    (void)state;
    struct drive d;
    struct member_note notes[] = {note_of("hub", MEMBER_ALIVE), apart("b", MEMBER_ALIVE)};
    struct repl_config c = config_of("n1");
    c.mesh_address = SLICE("");
    c.members = notes;
    c.member_count = 2;
    d = (struct drive){.now_ms = 100000};
    assert_int_equal(repl_new(&c, &d.r), ERR_OK);
    drive_tick(&d, 0);
    assert_int_equal(action_count(&d, REPL_DO_DIAL), 1);
    assert_string_equal(action(&d, REPL_DO_DIAL)->peer.s, "hub");
    drive_close(&d);
    /* The hub waits for both: nobody is dialled on their account, whatever was known before. */
    c.mesh_address = SLICE("10.0.0.1:7400");
    c.self = name_of("n2");
    notes[0] = apart("a", MEMBER_ALIVE);
    d = (struct drive){.now_ms = 100000};
    assert_int_equal(repl_new(&c, &d.r), ERR_OK);
    drive_tick(&d, 0);
    assert_int_equal(action_count(&d, REPL_DO_DIAL), 2);
    assert_int_equal(action_at(&d, REPL_DO_DIAL, 0)->address.n, 0);
    assert_int_equal(action_at(&d, REPL_DO_DIAL, 1)->address.n, 0);
    drive_close(&d);
}

/* A member that could be dialled returns as one that cannot, and again as one that can. */
static void a_member_moves_behind_a_wall(void **state)
{
    (void)state;
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    drive_join(&d, "n2");
    drive_link(&d, "n2", false);
    struct member_note moved = apart("n2", MEMBER_ALIVE);
    moved.incarnation++;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &moved, 1)), ERR_OK);
    assert_int_equal(action(&d, REPL_DO_DIAL)->address.n, 0);
    moved = note_of("n2", MEMBER_ALIVE);
    moved.incarnation += 2;
    assert_int_equal(drive_message(&d, "n2", heartbeat_of(&d, &moved, 1)), ERR_OK);
    assert_true(slice_is(action(&d, REPL_DO_DIAL)->address, "10.0.0.2:7400"));
    drive_close(&d);
}

static void others_are_hidden_while_nobody_speaks_of_them(void **state)
{
    (void)state;
    struct drive d = spoke();
    drive_link(&d, "hub", true);
    spoke_hears(&d);
    assert_int_equal(view_of(&d, "hub").status, MEMBER_ALIVE);
    assert_int_equal(view_of(&d, "b").status, MEMBER_ALIVE);
    for (unsigned i = 0; i < 20; i++) { /* b is not heard itself, and that is no silence of it */
        drive_tick(&d, 500);
        spoke_hears(&d);
    }
    assert_int_equal(view_of(&d, "b").status, MEMBER_ALIVE);
    /* The hub falls silent: its other observers cannot tell us anything, so our word alone makes it dead. */
    for (unsigned i = 0; i < 40; i++)
        drive_tick(&d, 100);
    assert_int_equal(view_of(&d, "hub").status, MEMBER_DEAD);
    assert_int_equal(view_of(&d, "b").status, MEMBER_SUSPECT);
    assert_int_equal(counted(&d, "accusations_made"), 1);
    /* It speaks again, with nothing new to say of b. */
    drive_heartbeat(&d, "hub");
    drive_tick(&d, 10);
    assert_int_equal(view_of(&d, "hub").status, MEMBER_ALIVE);
    assert_int_equal(view_of(&d, "b").status, MEMBER_ALIVE);
    drive_close(&d);
}

/* ---- receipts ---- */

static void receipts_pass_through_the_hub(void **state)
{
    (void)state;
    struct drive hub;
    struct repl_config c = config_of("hub");
    struct member_note a = apart("a", MEMBER_ALIVE);
    struct member_note b = apart("b", MEMBER_ALIVE);
    drive_open(&hub, &c);
    drive_link(&hub, "a", true);
    drive_link(&hub, "b", true);
    drive_heartbeat(&hub, "z");
    assert_int_equal(drive_message(&hub, "a", heartbeat_of(&hub, &a, 1)), ERR_OK);
    assert_int_equal(drive_message(&hub, "b", heartbeat_of(&hub, &b, 1)), ERR_OK);
    struct log_id id = {name_of("a"), DRIVE_EPOCH, 3};
    struct repl_message m = {.type = REPL_RECEIPT, .receipt = {.ids = &id, .id_count = 1}};
    assert_int_equal(drive_message(&hub, "b", m), ERR_OK);
    const struct repl_message *passed = sent(&hub, "a", REPL_RECEIPT);
    assert_non_null(passed);
    assert_string_equal(passed->receipt.by.s, "b");
    assert_int_equal(passed->receipt.ids[0].seq, 3);
    /* Not further: it names somebody already. */
    m.receipt.by = name_of("z");
    assert_int_equal(drive_message(&hub, "b", m), ERR_OK);
    assert_null(sent(&hub, "a", REPL_RECEIPT));
    drive_close(&hub);
}

static void a_change_of_one_that_we_cannot_be_linked_with_is_receipted(void **state)
{
    (void)state;
    struct drive d = spoke();
    struct changeset change = change_of("b", 1);
    struct repl_message m = {.type = REPL_PUSH, .push = {.changes = &change, .change_count = 1}};
    drive_link(&d, "hub", true);
    spoke_hears(&d);
    assert_int_equal(drive_message(&d, "hub", m), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    const struct repl_message *said = sent(&d, "hub", REPL_RECEIPT);
    assert_non_null(said);
    assert_int_equal(said->receipt.id_count, 1);
    assert_string_equal(said->receipt.ids[0].origin.s, "b");
    assert_int_equal(said->receipt.ids[0].seq, 1);
    assert_string_equal(said->receipt.by.s, "");
    drive_close(&d);
}

static void our_change_is_receipted_by_one_that_we_cannot_be_linked_with(void **state)
{
    (void)state;
    struct drive d = spoke();
    drive_link(&d, "hub", true);
    spoke_hears(&d);
    if (action_count(&d, REPL_DO_PERSIST_STATE) > 0) drive_stored(&d, action(&d, REPL_DO_PERSIST_STATE)->token);
    assert_int_equal(drive_local_change(&d, 5, "one"), ERR_OK);
    drive_stored(&d, action(&d, REPL_DO_PERSIST_CHANGE)->token);
    struct log_id id = action(&d, REPL_DO_APPLIED)->id;
    struct repl_message m = {.type = REPL_RECEIPT, .receipt = {.ids = &id, .id_count = 1, .by = name_of("b")}};
    assert_int_equal(drive_message(&d, "hub", m), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_RECEIPT), 1); /* of b alone: the hub has said nothing of itself */
    assert_string_equal(action(&d, REPL_DO_RECEIPT)->peer.s, "b");
    m.receipt.by = name_of("nobody");
    assert_int_equal(drive_message(&d, "hub", m), ERR_OK);
    assert_int_equal(action_count(&d, REPL_DO_RECEIPT), 0);
    drive_close(&d);
}

/* State of one reaches the other through the hub soon: its heartbeat shows at once that there is something to fetch. */
static void state_is_shown_to_those_that_it_cannot_be_pushed_to(void **state)
{
    (void)state;
    struct drive hub;
    struct repl_config c = config_of("hub");
    struct member_note a = apart("a", MEMBER_ALIVE);
    struct member_note b = apart("b", MEMBER_ALIVE);
    struct state_record record = record_of("a", 1, "6001");
    struct vector_entry upto = {name_of("a"), DRIVE_EPOCH, 1};
    drive_open(&hub, &c);
    drive_link(&hub, "a", true);
    drive_link(&hub, "b", true);
    assert_int_equal(drive_message(&hub, "a", heartbeat_of(&hub, &a, 1)), ERR_OK);
    assert_int_equal(drive_message(&hub, "b", heartbeat_of(&hub, &b, 1)), ERR_OK);
    drive_tick(&hub, 20); /* what is news is said */
    struct repl_message m = {
        .type = REPL_PUSH,
        .push = {.records = &record, .record_count = 1, .state_upto = &upto, .state_upto_count = 1, .state_after = 0}};
    assert_int_equal(drive_message(&hub, "a", m), ERR_OK);
    drive_stored(&hub, action(&hub, REPL_DO_PERSIST_STATE)->token);
    drive_tick(&hub, REPL_STATE_BATCH_MS);
    assert_non_null(sent(&hub, "b", REPL_HEARTBEAT));
    assert_null(sent(&hub, "a", REPL_HEARTBEAT));
    drive_close(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_choices_fit_together),
        cmocka_unit_test(links_are_few_in_a_large_cluster),
        cmocka_unit_test(only_who_can_be_dialled_is_dialled),
        cmocka_unit_test(a_member_moves_behind_a_wall),
        cmocka_unit_test(others_are_hidden_while_nobody_speaks_of_them),
        cmocka_unit_test(receipts_pass_through_the_hub),
        cmocka_unit_test(a_change_of_one_that_we_cannot_be_linked_with_is_receipted),
        cmocka_unit_test(our_change_is_receipted_by_one_that_we_cannot_be_linked_with),
        cmocka_unit_test(state_is_shown_to_those_that_it_cannot_be_pushed_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
