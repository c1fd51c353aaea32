/* Nodes that cannot be dialled: they park requests at the peers that they dial, and are linked both ways over that one
 * connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "line.h"
#include "node/mesh/internal.h"
#include "rig.h"

static int setup(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct rig *r = malloc(sizeof *r);
    assert_non_null(r);
    rig_init(r);
    for (size_t i = 0; i < 3; i++)
        rig_identity(r, "ca", names[i], (struct wall){0}, 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

static void dial(struct rig_node *n, const struct rig_node *to)
{
    assert_int_equal(mesh_dial(n->mesh, &to->name, mesh_listen_address(to->mesh)), ERR_OK);
}

/* a can be dialled, b cannot. */
static void open_pair(struct rig *r, struct rig_node *a, struct rig_node *b)
{
    rig_open(r, a, "a", "127.0.0.1:0");
    rig_open_parks(r, b, "b");
    dial(b, a);
    rig_wait_up(b, "a");
    rig_wait_up(a, "b");
}

static void close_pair(struct rig_node *a, struct rig_node *b)
{
    rig_close(b);
    rig_close(a);
}

struct count {
    const unsigned *value;
    unsigned least;
};

static bool reached(void *ctx)
{
    const struct count *c = ctx;
    return *c->value >= c->least;
}

static void wait_count(struct rig_node *n, const unsigned *value, unsigned least, const char *what)
{
    struct count c = {value, least};
    rig_wait(n->rig, reached, &c, what);
}

static void test_both_ways(void **state)
{
    struct rig_node a;
    struct rig_node b;
    char text[LIMIT_TEXT];
    open_pair(*state, &a, &b);
    assert_int_equal(rig_beat(&a, "b", 41, 7), ERR_OK);
    assert_int_equal(rig_beat(&b, "a", 42, 8), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    wait_count(&b, &b.sent[ERR_OK], 1, "the acknowledgement of a");
    assert_int_equal(a.last_incarnation, 42);
    assert_int_equal(b.last_incarnation, 41);
    assert_string_equal(b.last_from.s, "a");
    assert_string_equal(b.your_origin.s, "b");
    assert_int_equal(a.last_token, 7);
    mesh_link_text(a.mesh, &b.name, text, sizeof text);
    assert_string_equal(text, "linked (it dials us)");
    mesh_link_text(b.mesh, &a.name, text, sizeof text);
    assert_string_equal(text, "linked");
    assert_int_equal(rig_counter(&a, "links_up"), 1);
    assert_int_equal(rig_counter(&a, "polls_refused"), 0);
    close_pair(&a, &b);
}

/* Many messages, more than there are polls; each is acknowledged once. */
static void test_many_messages(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t expected = 0;
    uint64_t sum;
    open_pair(*state, &a, &b);
    for (uint64_t i = 1; i <= 500; i++) {
        assert_int_equal(rig_push(&a, "b", 1, 100, i, &sum), ERR_OK);
        expected ^= i;
    }
    wait_count(&a, &a.sent[ERR_OK], 500, "500 acknowledgements");
    assert_int_equal(a.tokens_xor, expected);
    assert_int_equal(b.records, 500);
    assert_int_equal(a.sent[ERR_OK], 500);
    /* The queue is the one of every link: bounded, and what is over it is refused and counted. */
    enum err err = ERR_OK;
    unsigned taken = 0;
    while ((err = rig_push(&a, "b", 1, 100, 1, &sum)) == ERR_OK)
        taken++;
    assert_int_equal(err, ERR_FULL);
    assert_true(taken >= MESH_QUEUE_MESSAGES);
    assert_int_equal(rig_counter(&a, "queue_full"), 1);
    close_pair(&a, &b);
}

static void test_long_messages(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t sum = 0;
    open_pair(*state, &a, &b);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(rig_push(&a, "b", 80, 60000, i, &sum), ERR_OK);
    assert_int_equal(rig_beat(&a, "b", 5, 4), ERR_OK); /* overtakes */
    wait_count(&a, &a.sent[ERR_OK], 4, "acknowledgements");
    assert_int_equal(b.record_bytes, 240 * 60000);
    assert_true(rig_counter(&b, "fragments_received") >= 54);
    assert_int_equal(rig_counter(&b, "fragments_dropped"), 0);
    /* And the other way, over requests. */
    assert_int_equal(rig_push(&b, "a", 100, 60000, 5, &sum), ERR_OK);
    wait_count(&b, &b.sent[ERR_OK], 1, "acknowledgement of a");
    assert_int_equal(a.record_sum, sum);
    close_pair(&a, &b);
}

static void test_relays(void **state)
{
    struct rig_node a;
    struct rig_node b;
    open_pair(*state, &a, &b);
    a.answer_relays = b.answer_relays = true;
    assert_int_equal(mesh_relay(a.mesh, &b.name, SLICE("status"), 5), ERR_OK);
    wait_count(&a, &a.relay_replies, 1, "the reply of b");
    assert_string_equal(b.relay_text, "status");
    assert_int_equal(a.relay_err, ERR_OK);
    assert_int_equal(mesh_relay(b.mesh, &a.name, SLICE("nodes"), 6), ERR_OK);
    wait_count(&b, &b.relay_replies, 1, "the reply of a");
    assert_string_equal(a.relay_text, "nodes");
    assert_int_equal(b.relay_err, ERR_OK);
    close_pair(&a, &b);
}

/* ---- ends ---- */

static void test_each_side_restarts(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    char address[LIMIT_HOST];
    open_pair(r, &a, &b);
    rig_close(&b);
    rig_wait_down(&a, "b");
    rig_wait_text(&a, "b", "waiting for it to dial us: connection lost");
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_UNREACHABLE);
    rig_open_parks(r, &b, "b");
    dial(&b, &a);
    rig_wait_up(&a, "b");
    assert_int_equal(rig_beat(&a, "b", 2, 2), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    (void)snprintf(address, sizeof address, "%.*s", SLICE_ARG(mesh_listen_address(a.mesh)));
    rig_close(&a);
    rig_wait_down(&b, "a");
    rig_open(r, &a, "a", address);
    rig_wait_up(&b, "a");
    rig_wait_up(&a, "b");
    assert_int_equal(rig_beat(&a, "b", 3, 3), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    close_pair(&a, &b);
}

/* The line between them goes silent without a word to either: each notices by what it sends, and the next connection
 * takes the place of the one that a may still think to be there. */
static void test_silent_line(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    struct line line;
    rig_open(r, &a, "a", "127.0.0.1:0");
    rig_open_parks(r, &b, "b");
    line_open(&line, &r->loop, (unsigned)atoi(strrchr(mesh_listen_address(a.mesh).p, ':') + 1));
    assert_int_equal(mesh_dial(b.mesh, &a.name, slice_of(line.address)), ERR_OK);
    rig_wait_up(&a, "b");
    line_silence(&line);
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_OK);
    assert_int_equal(rig_beat(&b, "a", 1, 1), ERR_OK);
    uint64_t start = uv_hrtime();
    rig_wait_down(&a, "b");
    assert_in_range((uv_hrtime() - start) / 1000000, MESH_DEAD_MS - 100, 10000);
    assert_int_equal(a.sent[ERR_TIMEOUT], 1);
    assert_int_equal(rig_counter(&a, "links_timed_out"), 1);
    rig_wait_up(&b, "a"); /* over a new connection */
    rig_wait_up(&a, "b");
    assert_true(line.count >= 2);
    assert_int_equal(rig_beat(&a, "b", 2, 2), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    assert_int_equal(b.last_incarnation, 2);
    /* Only b notices: a has nothing to send. Its link moves to the new connection all the same. */
    unsigned ups = a.peers[0].ups;
    line_silence(&line);
    assert_int_equal(rig_beat(&b, "a", 3, 3), ERR_OK);
    wait_count(&a, &a.peers[0].ups, ups + 1, "the link over the third connection");
    assert_int_equal(rig_beat(&a, "b", 4, 4), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 2, "the acknowledgement of b");
    line_close(&line);
    close_pair(&a, &b);
}

/* ---- the core's wishes ---- */

static void test_hang_up_and_expect(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t polls;
    open_pair(*state, &a, &b);
    mesh_hangup(a.mesh, &b.name);
    assert_false(rig_up(&a, "b"));
    polls = rig_counter(&a, "polls_taken");
    rig_turn(*state, 300);
    assert_false(rig_up(&a, "b")); /* though requests of it are here */
    assert_true(rig_counter(&a, "polls_taken") - polls <= MESH_POLL_SLOTS);
    assert_true(rig_up(&b, "a"));
    assert_int_equal(mesh_dial(a.mesh, &b.name, SLICE("")), ERR_OK);
    rig_wait_up(&a, "b");
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    close_pair(&a, &b);
}

/* b was dialled at an address where nobody is any more; then it calls, and then it can be dialled again. */
static void test_from_one_kind_to_the_other(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    rig_open(r, &a, "a", "127.0.0.1:0");
    rig_open_parks(r, &b, "b");
    assert_int_equal(mesh_dial(a.mesh, &b.name, SLICE("127.0.0.1:1")), ERR_OK);
    rig_wait_text(&a, "b", "dialling: connection refused");
    assert_int_equal(mesh_dial(a.mesh, &b.name, SLICE("")), ERR_OK);
    rig_wait_text(&a, "b", "waiting for it to dial us");
    assert_int_equal(mesh_dial(a.mesh, &b.name, SLICE("127.0.0.1:1")), ERR_OK);
    dial(&b, &a);
    rig_wait_up(&a, "b"); /* in spite of the address */
    rig_close(&b);
    rig_wait_down(&a, "b");
    rig_open(r, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    rig_wait_text(&a, "b", "linked");
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 1, "the acknowledgement of b");
    close_pair(&a, &b);
}

static void test_evicted(void **state)
{
    struct rig_node a;
    struct rig_node b;
    open_pair(*state, &a, &b);
    assert_int_equal(mesh_evict(a.mesh, &b.name, b.issued), ERR_OK);
    assert_false(rig_up(&a, "b"));
    rig_wait_text(&b, "a", "refused: by the peer: evicted from the cluster"); /* at once, by its polls */
    assert_false(rig_up(&b, "a"));
    rig_turn(*state, 200);
    assert_false(rig_up(&a, "b"));
    close_pair(&a, &b);
}

/* Two that cannot be dialled at one that can; what is sent inside the callbacks is taken too. */
static void test_two_callers(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    struct rig_node c;
    open_pair(r, &a, &b);
    rig_open_parks(r, &c, "c");
    assert_int_equal(mesh_dial_seed(c.mesh, mesh_listen_address(a.mesh)), ERR_OK);
    rig_wait_up(&a, "c");
    rig_wait_up(&c, "a");
    assert_int_equal(rig_beat(&a, "b", 11, 1), ERR_OK);
    assert_int_equal(rig_beat(&a, "c", 12, 2), ERR_OK);
    wait_count(&a, &a.sent[ERR_OK], 2, "both acknowledgements");
    assert_int_equal(b.last_incarnation, 11);
    assert_int_equal(c.last_incarnation, 12);
    rig_close(&c);
    rig_wait_down(&a, "c");
    assert_true(rig_up(&a, "b"));
    close_pair(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_side_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang_up_and_expect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_one_kind_to_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evicted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_callers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
