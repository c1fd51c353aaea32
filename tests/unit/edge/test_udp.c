/* What is UDP's own between two transports on loopback: bursts, noise, the errors that come back, queues, gathering,
 * and what is longer than the path takes. */
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "transport_kit.h"

#define MANY 1000
#define NARROW 1500 /* bytes that a narrow path takes at once */

static void test_udp_many(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "udp:127.0.0.1:0");
    side_start(&b, &k, "udp:127.0.0.1:0");
    struct flow to = flow_to(PLAN_UDP, side_address(&b));
    for (size_t i = 0; i < MANY; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c%zu", i);
        assert_int_equal(side_send(&a, &to, false, sip_text(id, i % 3 == 0 ? 4000 : 0), i), ERR_OK);
    }
    run_until(&k, b.messages == MANY);
    assert_int_equal(side_count(&a, "udp_sent"), MANY);
    assert_int_equal(side_count(&b, "udp_received"), MANY);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

/* What is no message: keep-alives, noise, empty datagrams. */
static void test_udp_noise(void **state)
{
    static const char *const datagrams[] = {"\r\n\r\n", "\r\n", "", "hello", "OPTIONS sip:a@b SIP/2.0\r\n\r\n"};
    struct kit_loop k;
    struct side s;
    (void)state;
    kit_loop_init(&k);
    side_start(&s, &k, "udp:127.0.0.1:0");
    union sock_address to = side_address(&s);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof datagrams / sizeof datagrams[0]; i++) {
        assert_true(sendto(fd, datagrams[i], strlen(datagrams[i]), 0, &to.any, sock_address_len(&to)) >= 0);
    }
    char padded[2000] = "\r\n\r\n";
    struct slice text = sip_text("after", 0);
    memcpy(padded + 4, text.p, text.n);
    assert_true(sendto(fd, padded, text.n + 4, 0, &to.any, sock_address_len(&to)) > 0);
    run_until(&k, s.messages == 1);
    assert_true(slice_eq(buf_view(&s.last), text));
    assert_int_equal(side_count(&s, "udp_keepalives"), 3);
    assert_int_equal(s.faults, 2);
    assert_int_equal(side_count(&s, "fault_first_line"), 1);
    assert_int_equal(close(fd), 0);
    side_stop(&s);
    kit_loop_fini(&k);
}

/* ICMP names the address, and does not take datagrams for others along: each batch ends with one that is refused, so
 * that the kernel hands the error to the first of the next. */
static void udp_refused(const char *listen, union sock_address dead)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    kit_loop_init(&k);
    side_start(&a, &k, listen);
    side_start(&b, &k, listen);
    struct flow to_dead = flow_to(PLAN_UDP, dead);
    struct flow to_b = flow_to(PLAN_UDP, side_address(&b));
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(side_send(&a, &to_b, false, sip_text("live", 0), 6), ERR_OK);
        assert_int_equal(side_send(&a, &to_dead, false, sip_text("dead", 0), 5), ERR_OK);
    }
    run_until(&k, b.messages == 200 && a.failed > 0);
    assert_true(sock_address_eq(&a.failed_flow.remote, &dead));
    assert_int_equal(a.failed_flow.transport, PLAN_UDP);
    for (size_t i = 0; i < a.failed; i++)
        assert_int_not_equal(a.tokens[i], 6);
    assert_int_equal(a.tokens[0], 0);
    /* The socket lives on. */
    assert_int_equal(side_send(&a, &to_b, false, sip_text("again", 0), 7), ERR_OK);
    run_until(&k, b.messages == 201);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

static void test_udp_refused(void **state)
{
    (void)state;
    union sock_address dead = closed_port(SOCK_DGRAM);
    udp_refused("udp:127.0.0.1:0", dead);
    if (!have_v6()) return;
    uint16_t port = sock_address_port(&dead);
    assert_int_equal(sock_address_parse(SLICE("::1"), port, &dead), ERR_OK);
    udp_refused("udp:[::1]:0", dead);
}

/* What the kernel itself refuses comes back with its token; what does not fit the listener is refused at once. */
static void test_udp_unsendable(void **state)
{
    static char big[LIMIT_SIP_HARD];
    struct kit_loop k;
    struct side a;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "udp:127.0.0.1:0");
    struct flow to = flow_to(PLAN_UDP, closed_port(SOCK_DGRAM));
    memset(big, 'x', sizeof big);
    assert_int_equal(side_send(&a, &to, false, (struct slice){big, sizeof big}, 9), ERR_OK); /* over 65507 */
    run_until(&k, a.failed == 1);
    assert_int_equal(a.tokens[0], 9);

    struct slice text = sip_text("x", 0);
    assert_int_equal(side_send(&a, &to, false, (struct slice){big, 0}, 1), ERR_LIMIT);
    to.listener = 1;
    assert_int_equal(side_send(&a, &to, false, text, 1), ERR_UNREACHABLE);
    to.listener = 0;
    sock_address_set_port(&to.remote, 0);
    assert_int_equal(side_send(&a, &to, false, text, 1), ERR_UNREACHABLE);
    assert_int_equal(sock_address_parse(SLICE("::1"), 5060, &to.remote), ERR_OK);
    assert_int_equal(side_send(&a, &to, false, text, 1), ERR_UNREACHABLE);
    to = flow_to(PLAN_TLS, closed_port(SOCK_STREAM));
    assert_int_equal(side_send(&a, &to, false, text, 1), ERR_UNREACHABLE);
    side_stop(&a);
    kit_loop_fini(&k);
}

static void test_udp_queue_full(void **state)
{
    static const char *const list[] = {"udp:127.0.0.1:0"};
    struct kit_loop k;
    struct side a;
    struct transport_limits limits;
    (void)state;
    kit_loop_init(&k);
    transport_limits_default(&limits);
    limits.udp_datagrams = 10; /* below a batch, so nothing is written before the loop turns */
    struct transport_options o = side_options(&a, &k, list, 1);
    o.limits = &limits;
    side_open(&a, &o);
    struct flow to = flow_to(PLAN_UDP, side_address(&a));
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(side_send(&a, &to, false, sip_text("q", 0), i), ERR_OK);
    assert_int_equal(side_send(&a, &to, false, sip_text("q", 0), 10), ERR_FULL);
    assert_int_equal(side_count(&a, "udp_queue_full"), 1);
    run_until(&k, a.messages == 10);
    assert_int_equal(side_send(&a, &to, false, sip_text("q", 0), 11), ERR_OK);
    run_until(&k, a.messages == 11);
    side_stop(&a);
    kit_loop_fini(&k);
}

static void test_udp_gathers(void **state)
{
    struct kit_loop k;
    struct side a;
    unsigned sent = 0;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "udp:127.0.0.1:0");
    struct flow to = flow_to(PLAN_UDP, side_address(&a));
    while (sent < 20) {
        assert_int_equal(side_send(&a, &to, false, sip_text("q", 0), ++sent), ERR_OK);
        run_until(&k, a.messages == sent);
    }
    assert_int_equal(side_count(&a, "udp_gathers"), 0);
    while (side_count(&a, "udp_gathers") == 0 && sent < 1000000) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(side_send(&a, &to, false, sip_text("q", 0), ++sent), ERR_OK);
        run_until(&k, a.messages == sent);
    }
    assert_true(side_count(&a, "udp_gathers") > 0);
    side_stop(&a);
    kit_loop_fini(&k);
}

/* A loopback of our own, as narrow as a wire. */
static bool narrow_loopback(void)
{
    struct ifreq r = {.ifr_name = "lo"};
    if (unshare(CLONE_NEWNET) != 0) return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    r.ifr_mtu = NARROW;
    assert_int_equal(ioctl(fd, SIOCSIFMTU, &r), 0);
    r.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
    assert_int_equal(close(fd), 0);
    return true;
}

/* What the path does not take at once goes in pieces, and those around it whole. The last one: it leaves the network.
 */
static void test_udp_pieces(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    (void)state;
    if (!narrow_loopback()) skip();
    kit_loop_init(&k);
    side_start(&a, &k, "udp:127.0.0.1:0");
    side_start(&b, &k, "udp:127.0.0.1:0");
    struct flow to = flow_to(PLAN_UDP, side_address(&b));
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(side_send(&a, &to, false, sip_text("c", i % 3 == 1 ? 3 * NARROW : 0), i), ERR_OK);
    run_until(&k, b.messages == 9);
    assert_int_equal(side_count(&a, "udp_sent"), 9);
    assert_int_equal(side_count(&a, "udp_send_failed"), 0);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp_many),       cmocka_unit_test(test_udp_noise),
        cmocka_unit_test(test_udp_refused),    cmocka_unit_test(test_udp_unsendable),
        cmocka_unit_test(test_udp_queue_full), cmocka_unit_test(test_udp_gathers),
        cmocka_unit_test(test_udp_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
