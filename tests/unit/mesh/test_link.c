/* Links that work: up, messages both ways, long messages, full queues, a peer that goes and comes back, seeds, relays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "rig.h"

static int setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    assert_non_null(r);
    rig_init(r);
    rig_identity(r, "ca", "a", (struct wall){0}, 0);
    rig_identity(r, "ca", "b", (struct wall){0}, 0);
    rig_identity(r, "ca", "c", (struct wall){0}, 0);
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

static bool beat_sent(void *ctx)
{
    return ((struct rig_node *)ctx)->sent[ERR_OK] > 0;
}

static void test_both_ways(void **state)
{
    struct rig_node a;
    struct rig_node b;
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    dial(&b, &a);
    rig_wait_up(&a, "b");
    rig_wait_up(&b, "a");
    assert_int_equal(rig_beat(&a, "b", 41, 7), ERR_OK);
    assert_int_equal(rig_beat(&b, "a", 42, 8), ERR_OK);
    rig_wait(*state, beat_sent, &a, "acknowledgement of b");
    rig_wait(*state, beat_sent, &b, "acknowledgement of a");
    assert_int_equal(a.last_incarnation, 42);
    assert_int_equal(b.last_incarnation, 41);
    assert_string_equal(a.last_from.s, "b");
    assert_string_equal(a.your_origin.s, "a");
    assert_int_equal(a.last_token, 7);
    rig_close(&a);
    rig_close(&b);
}

/* ---- long messages ---- */

static bool pushed(void *ctx)
{
    struct rig_node *n = ctx;
    return n->sent[ERR_OK] + n->sent[ERR_TIMEOUT] + n->sent[ERR_UNREACHABLE] + n->sent[ERR_FULL] >= 4;
}

static void test_long_messages(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t sum = 0;
    uint64_t small = 0;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    /* Two long ones in a row: the second must wait for the first, since the receiver joins one at a time. */
    assert_int_equal(rig_push(&a, "b", 150, 60000, 1, &sum), ERR_OK);
    assert_int_equal(rig_push(&a, "b", 100, 60000, 2, &sum), ERR_OK);
    assert_int_equal(rig_push(&a, "b", 1, 10, 3, &small), ERR_OK);
    assert_int_equal(rig_beat(&a, "b", 5, 4), ERR_OK);
    rig_wait(*state, pushed, &a, "acknowledgements");
    assert_int_equal(a.sent[ERR_OK], 4);
    assert_int_equal(b.records, 251);
    assert_int_equal(b.record_bytes, 250 * 60000 + 10);
    assert_int_equal(b.messages, 4);
    assert_true(rig_counter(&b, "fragments_received") > 56);
    assert_int_equal(rig_counter(&b, "fragments_dropped"), 0);
    rig_close(&a);
    rig_close(&b);
}

static bool wholes_sent(void *ctx)
{
    const struct rig_node *n = ctx;
    return n->sent[ERR_OK] + n->sent[ERR_TIMEOUT] + n->sent[ERR_UNREACHABLE] + n->sent[ERR_FULL] >= 24;
}

/* The receiver joins one message at a time, and its contexts are handled side by side: the next must not begin before
 * the one before it is acknowledged. */
static void test_many_long_messages(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t sum;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    for (uint64_t i = 0; i < 24; i++)
        assert_int_equal(rig_push(&a, "b", 5, 60000, i, &sum), ERR_OK);
    rig_wait(*state, wholes_sent, &a, "acknowledgements");
    assert_int_equal(a.sent[ERR_OK], 24);
    assert_int_equal(rig_counter(&b, "fragments_dropped"), 0);
    rig_close(&a);
    rig_close(&b);
}

static bool one_sent(void *ctx)
{
    return ((struct rig_node *)ctx)->sent[ERR_OK] == 1;
}

static void test_long_message_is_whole(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t sum = 0;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    assert_int_equal(rig_push(&a, "b", 40, 60000, 1, &sum), ERR_OK);
    rig_wait(*state, one_sent, &a, "acknowledgement");
    assert_true(b.record_sum == sum); /* it is acknowledged when it was handed up, not before */
    rig_close(&a);
    rig_close(&b);
}

/* ---- bounds ---- */

static bool all_ended(void *ctx)
{
    struct rig_node *n = ctx;
    unsigned ended = 0;
    for (size_t i = 0; i < ERR_COUNT; i++)
        ended += n->sent[i];
    return ended >= n->last_incarnation; /* the test keeps the number there */
}

static void test_queue_full(void **state)
{
    struct rig_node a;
    struct rig_node b;
    unsigned taken = 0;
    unsigned full = 0;
    uint64_t expected = 0;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    for (uint64_t i = 1; i <= 1100; i++) { /* the loop does not turn meanwhile */
        enum err err = rig_beat(&a, "b", i, i);
        assert_true(err == ERR_OK || err == ERR_FULL);
        taken += err == ERR_OK;
        full += err == ERR_FULL;
        if (err == ERR_OK) expected ^= i;
    }
    assert_in_range(taken, 1024, 1024 + 16);
    assert_int_equal(rig_counter(&a, "queue_full"), full);
    a.last_incarnation = taken;
    rig_wait(*state, all_ended, &a, "all acknowledgements");
    assert_int_equal(a.sent[ERR_OK], taken);
    assert_int_equal(b.messages, taken);
    assert_true(a.tokens_xor == expected); /* each token once */
    rig_close(&a);
    rig_close(&b);
}

static void test_bytes_full(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t sum;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    /* One that is longer than the queue's bytes is taken when it is alone, a second is not. */
    assert_int_equal(rig_push(&a, "b", 400, 60000, 1, &sum), ERR_OK);
    assert_int_equal(rig_push(&a, "b", 400, 60000, 2, &sum), ERR_FULL);
    rig_wait(*state, one_sent, &a, "acknowledgement");
    assert_int_equal(b.records, 400);
    rig_close(&a);
    rig_close(&b);
}

static void test_over_a_bound(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    struct repl_message m = {.type = REPL_RECEIPT};
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    m.receipt.id_count = 1000000; /* not looked at: the number is enough */
    assert_int_equal(mesh_send(a.mesh, &name, &m, 1), ERR_LIMIT);
    assert_int_equal(a.sent[ERR_LIMIT], 0);
    rig_close(&a);
    rig_close(&b);
}

/* ---- coming and going ---- */

static void test_peer_returns(void **state)
{
    struct rig_node a;
    struct rig_node b;
    char address[64];
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_UNREACHABLE);
    dial(&a, &b);
    rig_wait_up(&a, "b");
    (void)snprintf(address, sizeof address, "%.*s", SLICE_ARG(mesh_listen_address(b.mesh)));
    for (unsigned round = 0; round < 3; round++) {
        rig_close(&b);
        rig_wait_down(&a, "b");
        assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_UNREACHABLE);
        rig_wait_text(&a, "b", "dialling: connection refused");
        rig_open(*state, &b, "b", address);
        rig_wait_up(&a, "b");
        a.sent[ERR_OK] = 0;
        assert_int_equal(rig_beat(&a, "b", 10 + round, 1), ERR_OK);
        rig_wait(*state, one_sent, &a, "acknowledgement after the return");
        assert_int_equal(b.last_incarnation, 10 + round);
    }
    assert_int_equal(rig_counter(&a, "links_lost"), 3);
    rig_close(&a);
    rig_close(&b);
}

static void test_loss_ends_each_message_once(void **state)
{
    struct rig_node a;
    struct rig_node b;
    uint64_t expected = 0;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    for (uint64_t i = 1; i <= 300; i++) {
        assert_int_equal(rig_beat(&a, "b", i, i), ERR_OK);
        expected ^= i;
    }
    a.last_incarnation = 300;
    rig_close(&b);
    rig_wait(*state, all_ended, &a, "the end of all messages");
    rig_wait_down(&a, "b");
    rig_turn(*state, 100);
    assert_int_equal(a.sent[ERR_OK] + a.sent[ERR_UNREACHABLE] + a.sent[ERR_TIMEOUT], 300);
    assert_true(a.tokens_xor == expected);
    rig_close(&a);
}

/* A peer whose process stands still: its connection lives, but nothing is answered. Its loop simply is not run. */
static void test_silent_peer(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct rig *r = *state;
    struct rig other = *r;
    struct err_info info = {0};
    uint64_t sum;
    assert_int_equal(uv_loop_init(&other.loop), 0);
    rig_open(r, &a, "a", NULL);
    struct mesh_options o = rig_options(r, &b, "b", "b", "127.0.0.1:0");
    o.loop = &other.loop;
    assert_int_equal(mesh_open(&o, &b.mesh, &info), ERR_OK);
    free((void *)(uintptr_t)o.ca_file);
    free((void *)(uintptr_t)o.cert_file);
    free((void *)(uintptr_t)o.key_file);
    dial(&a, &b);
    while (!rig_up(&a, "b")) {
        (void)uv_run(&r->loop, UV_RUN_ONCE);
        (void)uv_run(&other.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_OK);
    assert_int_equal(rig_push(&a, "b", 5, 60000, 2, &sum), ERR_OK);
    assert_int_equal(rig_push(&a, "b", 5, 60000, 3, &sum), ERR_OK);
    uint64_t start = uv_hrtime();
    rig_wait_down(&a, "b");
    assert_in_range((uv_hrtime() - start) / 1000000, 1500, 10000);
    assert_int_equal(a.sent[ERR_TIMEOUT], 3);
    /* The second long message waited for the first, though there was room for it on the way. */
    assert_int_equal(rig_counter(&a, "fragments_sent"), 2);
    assert_int_equal(rig_counter(&a, "links_timed_out"), 1);
    struct mesh *closing = b.mesh;
    mesh_close(closing, NULL, NULL);
    assert_int_equal(uv_run(&other.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&other.loop), 0);
    rig_close(&a);
}

static void test_hangup_and_move(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    char text[LIMIT_TEXT];
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    mesh_link_text(a.mesh, &name, text, sizeof text);
    assert_string_equal(text, "not linked: no address known");
    assert_int_equal(mesh_dial(a.mesh, &name, SLICE("127.0.0.1:1")), ERR_OK);
    rig_wait_text(&a, "b", "connection refused");
    dial(&a, &b);
    rig_wait_up(&a, "b");
    mesh_link_text(a.mesh, &name, text, sizeof text);
    assert_string_equal(text, "linked");
    mesh_hangup(a.mesh, &name);
    assert_false(rig_up(&a, "b"));
    mesh_link_text(a.mesh, &name, text, sizeof text);
    assert_string_equal(text, "not linked: hung up");
    rig_turn(*state, 300);
    assert_false(rig_up(&a, "b"));
    dial(&a, &b);
    rig_wait_up(&a, "b");
    /* A new address while it is up does not cut it. */
    assert_int_equal(mesh_dial(a.mesh, &name, SLICE("127.0.0.1:1")), ERR_OK);
    rig_turn(*state, 300);
    assert_true(rig_up(&a, "b"));
    assert_int_equal(a.peers[0].downs, 1);
    static const char *const bad[] = {"b",     "b:",     ":1",    "b:65536", "b:x",
                                      "::1:5", "[::1:5", "a b:1", "a/b:1",   "user@b:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(mesh_dial(a.mesh, &name, slice_of(bad[i])), ERR_SYNTAX);
    rig_close(&a);
    rig_close(&b);
}

/* An address that swallows connection attempts, as a host does that is switched off: a listener whose queue is full. */
static void test_host_returns(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    char address[64];
    int client[4];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    for (size_t i = 0; i < 4; i++) {
        client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(client[i], (struct sockaddr *)&sa, sizeof sa);
    }
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(sa.sin_port));
    rig_open(*state, &a, "a", NULL);
    assert_int_equal(mesh_dial(a.mesh, &name, slice_of(address)), ERR_OK);
    rig_wait_text(&a, "b", "dialling: connection timed out");
    for (size_t i = 0; i < 4; i++)
        (void)close(client[i]);
    (void)close(fd);
    rig_open(*state, &b, "b", address);
    rig_wait_up(&a, "b");
    assert_true(rig_counter(&a, "dials_restarted") <= 1); /* the kernel's next attempt may have been first */
    rig_close(&a);
    rig_close(&b);
}

static void redial_inside(struct rig_node *n)
{
    struct node_name name = rig_name("b");
    mesh_hangup(n->mesh, &name);
    assert_int_equal(mesh_dial(n->mesh, &name, SLICE("127.0.0.1:1")), ERR_OK);
}

static void close_inside(struct rig_node *n)
{
    struct mesh *m = n->mesh;
    n->mesh = NULL;
    mesh_close(m, NULL, NULL);
}

static void test_calls_inside_callbacks(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct rig_node c;
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    rig_open(*state, &c, "c", NULL);
    a.on_down = redial_inside;
    c.on_down = close_inside;
    dial(&a, &b);
    dial(&c, &b);
    rig_wait_up(&a, "b");
    rig_wait_up(&c, "b");
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(rig_beat(&a, "b", i, i), ERR_OK);
        assert_int_equal(rig_beat(&c, "b", i, i), ERR_OK);
    }
    rig_close(&b);
    rig_wait_down(&a, "b");
    rig_wait_down(&c, "b");
    a.on_down = NULL;
    rig_wait_text(&a, "b", "connection refused");
    rig_close(&a);
}

/* ---- three nodes, seeds ---- */

static void test_three_nodes(void **state)
{
    struct rig_node n[3];
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        rig_open(*state, &n[i], names[i], "127.0.0.1:0");
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            if (i != k) dial(&n[i], &n[k]);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            if (i == k) continue;
            rig_wait_up(&n[i], names[k]);
            assert_int_equal(rig_beat(&n[i], names[k], 100 * i + k, 1), ERR_OK);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        while (n[i].messages < 2 || n[i].sent[ERR_OK] < 2)
            (void)uv_run(&((struct rig *)*state)->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 3; i++)
        rig_close(&n[i]);
}

static void test_seeds(void **state)
{
    struct rig_node a;
    struct rig_node b;
    char by_name[64];
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", "127.0.0.1:0");
    /* Itself, the same peer by two addresses, and one where nobody is. */
    assert_int_equal(mesh_dial_seed(a.mesh, mesh_listen_address(a.mesh)), ERR_OK);
    assert_int_equal(mesh_dial_seed(a.mesh, mesh_listen_address(b.mesh)), ERR_OK);
    assert_int_equal(mesh_dial_seed(a.mesh, mesh_listen_address(b.mesh)), ERR_OK);
    (void)snprintf(by_name, sizeof by_name, "localhost%s", strrchr(mesh_listen_address(b.mesh).p, ':'));
    assert_int_equal(mesh_dial_seed(a.mesh, slice_of(by_name)), ERR_OK);
    assert_int_equal(mesh_dial_seed(a.mesh, SLICE("127.0.0.1:1")), ERR_OK);
    assert_int_equal(mesh_dial_seed(a.mesh, SLICE("nonsense")), ERR_SYNTAX);
    rig_wait_up(&a, "b");
    rig_turn(*state, 500);
    assert_int_equal(rig_counter(&a, "links_up"), 1);
    assert_int_equal(rig_counter(&a, "peer_refused"), 0);
    assert_int_equal(a.peers[0].ups, 1);
    assert_string_equal(a.peers[1].name.s, "");
    /* The name is known now, and its address is used. */
    dial(&a, &b);
    rig_turn(*state, 100);
    assert_int_equal(a.peers[0].downs, 0);
    rig_close(&a);
    rig_close(&b);
}

/* The address that gossip told does not work from here; the seed's does. */
static void test_seed_saves_a_bad_address(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    rig_open(*state, &a, "a", NULL);
    rig_open(*state, &b, "b", "127.0.0.1:0");
    assert_int_equal(mesh_dial(a.mesh, &name, SLICE("127.0.0.1:1")), ERR_OK);
    rig_wait_text(&a, "b", "connection refused");
    assert_int_equal(mesh_dial_seed(a.mesh, mesh_listen_address(b.mesh)), ERR_OK);
    rig_wait_up(&a, "b");
    rig_close(&a);
    rig_close(&b);
}

/* ---- relays ---- */

static bool relay_replied(void *ctx)
{
    return ((struct rig_node *)ctx)->relay_replies > 0;
}

static bool relay_came(void *ctx)
{
    return ((struct rig_node *)ctx)->relays > 0;
}

static void test_relay(void **state)
{
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    size_t n = 3000000;
    char *text = calloc(1, n);
    assert_non_null(text);
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", "127.0.0.1:0");
    assert_int_equal(mesh_relay(a.mesh, &name, SLICE("status"), 5), ERR_UNREACHABLE);
    dial(&a, &b);
    dial(&b, &a);
    rig_wait_up(&a, "b");
    rig_wait_up(&b, "a");
    b.answer_relays = true;
    assert_int_equal(mesh_relay(a.mesh, &name, SLICE("status"), 5), ERR_OK);
    rig_wait(*state, relay_replied, &a, "reply");
    assert_string_equal(b.relay_text, "status");
    assert_int_equal(a.relay_token, 5);
    assert_int_equal(a.relay_err, ERR_OK);
    assert_int_equal(a.relay_reply_len, 4);
    /* Late, and long. */
    b.answer_relays = false;
    b.relays = a.relay_replies = 0;
    assert_int_equal(mesh_relay(a.mesh, &name, SLICE("plan show"), 6), ERR_OK);
    rig_wait(*state, relay_came, &b, "request");
    assert_int_equal(mesh_relay_reply(b.mesh, b.relay_id, (struct slice){text, n}), ERR_OK);
    assert_int_equal(mesh_relay_reply(b.mesh, b.relay_id, SLICE("again")), ERR_NOTFOUND);
    rig_wait(*state, relay_replied, &a, "long reply");
    assert_int_equal(a.relay_reply_len, n);
    /* Never: the peer goes. */
    a.relay_replies = 0;
    b.relays = 0;
    assert_int_equal(mesh_relay(a.mesh, &name, SLICE("status"), 7), ERR_OK);
    rig_wait(*state, relay_came, &b, "request");
    rig_close(&b);
    rig_wait(*state, relay_replied, &a, "the end of the request");
    assert_int_equal(a.relay_err, ERR_UNREACHABLE);
    assert_int_equal(a.relay_token, 7);
    rig_close(&a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_long_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_message_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_over_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_ends_each_message_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hangup_and_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_inside_callbacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_three_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seeds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seed_saves_a_bad_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
