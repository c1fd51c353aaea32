/* Two transports on loopback: messages both ways, TCP, what fails and how it is told, the caps, and closing. What is
 * UDP's own: test_udp.c. */
#include "transport_kit.h"

/* ---- opening ---- */

static void test_open_refuses(void **state)
{
    struct kit_loop k;
    struct side holder;
    struct side s;
    (void)state;
    kit_loop_init(&k);
    for (int transport = PLAN_UDP; transport <= PLAN_TCP; transport++) {
        const char *name = plan_transport_name((enum plan_transport)transport);
        char listen[64];
        (void)snprintf(listen, sizeof listen, "%s:127.0.0.1:0", name);
        side_start(&holder, &k, listen);
        union sock_address free_one = closed_port(SOCK_DGRAM);
        char first[80];
        char host_port[SOCK_ADDRESS_TEXT];
        (void)snprintf(first, sizeof first, "udp:%s", sock_address_text(&free_one, host_port));
        const char *const list[] = {first, transport_listener_at(holder.t, 0)->text};
        struct transport_options o = side_options(&s, &k, list, 2);
        struct err_info info = {0};
        assert_int_equal(transport_open(&o, &s.t, &info), ERR_EXISTS);
        assert_non_null(strstr(info.text, list[1]));
        assert_non_null(strstr(info.text, "ss -l"));
        /* Nothing stayed bound. */
        o.listen_count = 1;
        side_open(&s, &o);
        side_stop(&s);
        side_stop(&holder);
    }
    static const struct {
        const char *listen;
        enum err err;
        const char *says;
    } rows[] = {
        {"udp:192.0.2.1:0", ERR_IO, "no address of this machine"},
        {"tcp:nowhere:5060", ERR_SYNTAX, "TRANSPORT:ADDRESS:PORT"},
        {"tls:127.0.0.1:0", ERR_AUTH, "certificate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_options o = side_options(&s, &k, &rows[i].listen, 1);
        struct err_info info = {0};
        assert_int_equal(transport_open(&o, &s.t, &info), rows[i].err);
        if (strstr(info.text, rows[i].says) == NULL) fail_msg("%s: %s", rows[i].listen, info.text);
    }
    kit_loop_fini(&k);
}

static void test_listeners(void **state)
{
    static const char *const list[] = {"udp:127.0.0.1:0", "tcp:127.0.0.1:0", "udp:0.0.0.0:0"};
    struct kit_loop k;
    struct side s;
    uint8_t at = 99;
    (void)state;
    kit_loop_init(&k);
    struct transport_options o = side_options(&s, &k, list, 3);
    side_open(&s, &o);
    assert_int_equal(transport_listener_count(s.t), 3);
    const struct transport_listener *udp = transport_listener_at(s.t, 0);
    const struct transport_listener *any = transport_listener_at(s.t, 2);
    uint16_t port = sock_address_port(&udp->local);
    char text[64];
    assert_int_not_equal(port, 0);
    (void)snprintf(text, sizeof text, "udp:127.0.0.1:%u", (unsigned)port);
    assert_string_equal(udp->text, text);
    assert_string_equal(udp->host_port, text + 4);

    assert_int_equal(transport_pick(s.t, PLAN_TCP, AF_INET, &at), ERR_OK);
    assert_int_equal(at, 1);
    assert_int_equal(transport_pick(s.t, PLAN_TCP, AF_INET6, &at), ERR_NOTFOUND);
    assert_int_equal(transport_pick(s.t, PLAN_TLS, AF_INET, &at), ERR_NOTFOUND);

    assert_true(transport_is_local(s.t, PLAN_UDP, SLICE("127.0.0.1"), port));
    assert_false(transport_is_local(s.t, PLAN_TCP, SLICE("127.0.0.1"), port));
    assert_false(transport_is_local(s.t, PLAN_UDP, SLICE("127.0.0.2"), port));
    assert_false(transport_is_local(s.t, PLAN_UDP, SLICE("127.0.0.1"), 0)); /* 5060 */
    assert_false(transport_is_local(s.t, PLAN_UDP, SLICE("localhost"), port));
    uint16_t any_port = sock_address_port(&any->local);
    assert_true(transport_is_local(s.t, PLAN_UDP, SLICE("127.0.0.1"), any_port));
    assert_false(transport_is_local(s.t, PLAN_UDP, SLICE("192.0.2.1"), any_port));
    side_stop(&s);
    kit_loop_fini(&k);
}

/* ---- there and back ---- */

static void echo_round(const char *listen, enum plan_transport transport)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    kit_loop_init(&k);
    side_start(&a, &k, listen);
    side_start(&b, &k, listen);
    b.echo = true;
    struct flow to = flow_to(transport, side_address(&b));
    struct slice text = sip_text("echo", 1000);
    assert_int_equal(side_send(&a, &to, false, text, 1), ERR_OK);
    run_until(&k, a.messages == 1);
    assert_int_equal(b.messages, 1);
    assert_true(slice_eq(buf_view(&a.last), text));
    assert_int_equal(a.last_flow.transport, transport);
    assert_false(a.last_flow.member);
    if (transport == PLAN_UDP) {
        union sock_address from = side_address(&a);
        assert_true(sock_address_eq(&b.last_flow.remote, &from));
    } else {
        /* The answer came on the connection that the request went out on. */
        assert_int_not_equal(b.last_flow.connection, 0);
        assert_int_equal(side_count(&a, "stream_connects"), 1);
        assert_int_equal(side_count(&b, "stream_connects"), 0);
    }
    assert_int_equal(a.failed + b.failed + a.faults + b.faults, 0);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

static void test_echo(void **state)
{
    (void)state;
    echo_round("udp:127.0.0.1:0", PLAN_UDP);
    echo_round("tcp:127.0.0.1:0", PLAN_TCP);
    if (!have_v6()) return;
    echo_round("udp:[::1]:0", PLAN_UDP);
    echo_round("tcp:[::1]:0", PLAN_TCP);
}

/* ---- TCP ---- */

static void test_tcp_splits(void **state)
{
    struct kit_loop k;
    struct side s;
    (void)state;
    kit_loop_init(&k);
    side_start(&s, &k, "tcp:127.0.0.1:0");
    int fd = raw_connect(side_address(&s), NULL);
    struct slice text = sip_text("bytes", 10);
    for (size_t i = 0; i < text.n; i++) {
        raw_write(fd, (struct slice){text.p + i, 1});
        (void)uv_run(&k.loop, UV_RUN_NOWAIT);
    }
    run_until(&k, s.messages == 1);
    assert_true(slice_eq(buf_view(&s.last), text));

    struct buf several = {0};
    for (unsigned i = 0; i < 20; i++)
        buf_slice(&several, sip_text("several", i * 100));
    raw_write(fd, buf_view(&several));
    run_until(&k, s.messages == 21);
    assert_int_equal(s.bytes, text.n + several.n);
    buf_fini(&several);

    /* A double CRLF is answered by a single one, half of one is not. */
    char answer[8];
    raw_write(fd, SLICE("\r\n\r\n"));
    ssize_t got = 0;
    run_until_seen(&k, (got = recv(fd, answer, sizeof answer, MSG_DONTWAIT)) > 0);
    assert_int_equal(got, 2);
    assert_memory_equal(answer, "\r\n", 2);
    raw_write(fd, SLICE("\r\n"));
    raw_write(fd, sip_text("end", 0));
    run_until(&k, s.messages == 22);
    assert_true(recv(fd, answer, sizeof answer, MSG_DONTWAIT) < 0);

    assert_int_equal(close(fd), 0);
    run_until(&k, s.lost == 1);
    assert_int_equal(s.lost_flow.connection, s.last_flow.connection);
    side_stop(&s);
    kit_loop_fini(&k);
}

static void test_tcp_garbage(void **state)
{
    static const struct {
        const char *data;
        bool closes;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
        {"\x16\x03\x01\x02 hello\n", true},
        {"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: -5\r\n\r\n", true},
        {"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n", false},
    };
    struct kit_loop k;
    struct side s;
    (void)state;
    kit_loop_init(&k);
    side_start(&s, &k, "tcp:127.0.0.1:0");
    s.echo = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char answer[64];
        int fd = raw_connect(side_address(&s), NULL);
        raw_write(fd, slice_of(rows[i].data));
        run_until(&k, s.faults == i + 1);
        run_until_seen(&k, recv(fd, answer, sizeof answer, MSG_DONTWAIT) == sizeof KIT_REFUSAL - 1);
        if (rows[i].closes) {
            run_until_seen(&k, raw_ended(fd));
        } else {
            raw_write(fd, sip_text("goes-on", 0));
            run_until(&k, s.messages == 1);
        }
        assert_int_equal(close(fd), 0);
        run_until(&k, s.lost == i + 1);
    }
    side_stop(&s);
    kit_loop_fini(&k);
}

static void test_tcp_refused(void **state)
{
    struct kit_loop k;
    struct side a;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "tcp:127.0.0.1:0");
    struct flow to = flow_to(PLAN_TCP, closed_port(SOCK_STREAM));
    assert_int_equal(side_send(&a, &to, false, sip_text("1", 0), 101), ERR_OK);
    assert_int_equal(side_send(&a, &to, false, sip_text("2", 0), 102), ERR_OK);
    assert_int_equal(side_count(&a, "stream_connects"), 1);
    run_until(&k, a.failed == 2);
    assert_int_equal(a.tokens[0], 101);
    assert_int_equal(a.tokens[1], 102);
    assert_true(sock_address_eq(&a.failed_flow.remote, &to.remote));
    assert_int_equal(a.lost, 0); /* it never was a connection */
    side_stop(&a);
    kit_loop_fini(&k);
}

/* One connection serves both directions, and is found by number and by address; when it is gone, another is made. */
static void test_tcp_reuse(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "tcp:127.0.0.1:0");
    side_start(&b, &k, "tcp:127.0.0.1:0");
    struct flow to_b = flow_to(PLAN_TCP, side_address(&b));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(side_send(&a, &to_b, false, sip_text("r", 0), i), ERR_OK);
    run_until(&k, b.messages == 5);
    assert_int_equal(side_count(&b, "stream_accepted"), 1);
    struct flow back = b.last_flow;
    assert_int_equal(side_send(&b, &back, false, sip_text("by-number", 0), 1), ERR_OK);
    back.connection = 0;
    assert_int_equal(side_send(&b, &back, false, sip_text("by-address", 0), 1), ERR_OK);
    run_until(&k, a.messages == 2);
    assert_int_equal(side_count(&b, "stream_connects"), 0);
    /* The source address is the listener's. */
    union sock_address own = side_address(&a);
    assert_true(sock_address_same_host(&back.remote, &own));

    side_stop(&b);
    run_until(&k, a.lost == 1);
    assert_int_equal(side_send(&a, &to_b, false, sip_text("gone", 0), 55), ERR_OK);
    run_until(&k, a.failed == 1);
    assert_int_equal(a.tokens[0], 55);
    side_stop(&a);
    kit_loop_fini(&k);
}

/* 60 idle connections from one address do not keep others out, and the 61st is refused. */
static void test_tcp_source_cap(void **state)
{
    struct kit_loop k;
    struct side s;
    int fds[61];
    (void)state;
    kit_loop_init(&k);
    side_start(&s, &k, "tcp:127.0.0.1:0");
    for (size_t i = 0; i < 61; i++)
        fds[i] = raw_connect(side_address(&s), "127.0.0.1");
    run_until(&k, side_count(&s, "stream_refused_source_full") == 1);
    assert_int_equal(side_count(&s, "stream_accepted"), 60);
    run_until_seen(&k, raw_ended(fds[60]));
    int other = raw_connect(side_address(&s), "127.0.0.2");
    raw_write(other, sip_text("other", 0));
    run_until(&k, s.messages == 1);
    /* A place becomes free when one leaves. */
    assert_int_equal(close(fds[0]), 0);
    run_until(&k, s.lost == 1);
    fds[0] = raw_connect(side_address(&s), "127.0.0.1");
    raw_write(fds[0], sip_text("again", 0));
    run_until(&k, s.messages == 2);
    for (size_t i = 0; i < 61; i++)
        assert_int_equal(close(fds[i]), 0);
    assert_int_equal(close(other), 0);
    run_until(&k, s.lost == 62);
    side_stop(&s);
    kit_loop_fini(&k);
}

static void test_tcp_listener_cap(void **state)
{
    static const char *const list[] = {"tcp:127.0.0.1:0"};
    struct kit_loop k;
    struct side s;
    int fds[4];
    struct transport_limits limits;
    (void)state;
    kit_loop_init(&k);
    transport_limits_default(&limits);
    limits.listener_guests = 3;
    struct transport_options o = side_options(&s, &k, list, 1);
    o.limits = &limits;
    side_open(&s, &o);
    for (size_t i = 0; i < 4; i++) {
        char source[16];
        (void)snprintf(source, sizeof source, "127.0.0.%zu", i + 1);
        fds[i] = raw_connect(side_address(&s), source);
    }
    run_until(&k, side_count(&s, "stream_refused_listener_full") == 1);
    assert_int_equal(side_count(&s, "stream_accepted"), 3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(close(fds[i]), 0);
    side_stop(&s);
    kit_loop_fini(&k);
}

/* Each deadline closes the connection and has its counter. */
static void test_tcp_deadlines(void **state)
{
    static const char *const list[] = {"tcp:127.0.0.1:0"};
    static const struct {
        const char *sends;
        const char *counter;
        uint32_t message_ms, idle_ms;
    } rows[] = {
        {"", "stream_timeout_message", 30, 60000},         {"OPTIONS sip:a@b SI", "stream_timeout_message", 30, 60000},
        {"\r\n\r\n", "stream_timeout_message", 30, 60000}, /* pings are no message */
        {"whole", "stream_timeout_idle", 60000, 30},       {"whole and a half", "stream_timeout_message", 30, 60000},
    };
    struct kit_loop k;
    (void)state;
    kit_loop_init(&k);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct side s;
        struct transport_limits limits;
        transport_limits_default(&limits);
        limits.message_ms = rows[i].message_ms;
        limits.idle_ms = rows[i].idle_ms;
        struct transport_options o = side_options(&s, &k, list, 1);
        o.limits = &limits;
        side_open(&s, &o);
        int fd = raw_connect(side_address(&s), NULL);
        if (strncmp(rows[i].sends, "whole", 5) == 0) {
            raw_write(fd, sip_text("whole", 0));
            if (rows[i].sends[5] != '\0') raw_write(fd, SLICE("OPTIONS"));
        } else {
            raw_write(fd, slice_of(rows[i].sends));
        }
        run_until_seen(&k, raw_ended(fd));
        assert_int_equal(side_count(&s, rows[i].counter), 1);
        run_until(&k, s.lost == 1);
        assert_int_equal(close(fd), 0);
        side_stop(&s);
    }
    kit_loop_fini(&k);
}

/* A peer that connects but does not read: the queue is capped, and what was not written is reported when it goes. */
static void test_tcp_slow_reader(void **state)
{
    struct kit_loop k;
    struct side a;
    (void)state;
    kit_loop_init(&k);
    side_start(&a, &k, "tcp:127.0.0.1:0");
    union sock_address local;
    socklen_t len = sizeof local.v4;
    assert_int_equal(sock_address_parse(SLICE("127.0.0.1"), 0, &local), ERR_OK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &local.any, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, &local.any, &len), 0);
    struct flow to = flow_to(PLAN_TCP, local);
    uint64_t sent = 0;
    while (sent < KIT_TOKENS_MAX) { /* 4 MiB queued, and what the kernel takes: some hundred of these */
        enum err err = side_send(&a, &to, false, sip_text("slow", 60000), ++sent);
        if (err == ERR_FULL) break;
        assert_int_equal(err, ERR_OK);
        (void)uv_run(&k.loop, UV_RUN_NOWAIT);
    }
    assert_true(sent > 60 && sent < KIT_TOKENS_MAX);
    assert_int_equal(side_count(&a, "stream_queue_full"), 1);
    int peer = accept(fd, NULL, NULL);
    assert_true(peer >= 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    assert_int_equal(close(peer), 0);
    run_until(&k, a.lost == 1);
    assert_true(a.failed > 60);
    assert_int_equal(a.tokens[a.failed - 1], sent - 1); /* in order, up to the last that was accepted */
    assert_int_equal(close(fd), 0);
    side_stop(&a);
    kit_loop_fini(&k);
}

static void limited_start(struct side *s, struct kit_loop *k, const struct transport_limits *limits)
{
    static const char *const list[] = {"tcp:127.0.0.1:0"};
    struct transport_options o = side_options(s, k, list, 1);
    o.limits = limits;
    side_open(s, &o);
    s->echo = true;
}

/* Who does not read the answers is read no further, and misses nothing when he does; or he is closed. */
static void test_tcp_deaf_guest(void **state)
{
    struct transport_limits limits;
    struct kit_loop k;
    struct side a;
    (void)state;
    transport_limits_default(&limits);
    kit_loop_init(&k);
    limited_start(&a, &k, &limits);
    int fd = raw_connect(side_address(&a), NULL);
    struct talker c = {.put = raw_put, .get = raw_get, .ctx = &fd, .text = sip_text("deaf", 2000)};
    run_until_seen(&k, talks_in_vain(&c, &a)); /* the echo fails when 4 MiB wait */
    assert_true(side_count(&a, "stream_reading_paused") > 0);
    run_until_seen(&k, is_answered(&c));
    assert_int_equal(a.messages, c.sent / c.text.n);
    assert_int_equal(side_count(&a, "stream_queue_full"), 0);
    assert_int_equal(close(fd), 0);
    side_stop(&a);

    limits.message_ms = 500;
    limited_start(&a, &k, &limits);
    fd = raw_connect(side_address(&a), NULL);
    run_until_seen(&k, talks_in_vain(&c, &a) || a.lost == 1);
    run_until(&k, a.lost == 1);
    assert_int_equal(side_count(&a, "stream_timeout_write"), 1);
    assert_int_equal(close(fd), 0);
    side_stop(&a);
    kit_loop_fini(&k);
}

/* At each answer; but never where we made the connection. */
static void test_tcp_paused_often(void **state)
{
    struct transport_limits limits;
    struct kit_loop k;
    struct side a;
    struct side b;
    (void)state;
    transport_limits_default(&limits);
    limits.guest_bytes = 1;
    kit_loop_init(&k);
    limited_start(&a, &k, &limits);
    limited_start(&b, &k, &limits);
    a.echo = false;
    struct flow to = flow_to(PLAN_TCP, side_address(&b));
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(side_send(&a, &to, false, sip_text("often", 9 * i), i + 1), ERR_OK);
    run_until(&k, a.messages == 100);
    assert_true(side_count(&b, "stream_reading_paused") > 0);
    assert_int_equal(side_count(&a, "stream_reading_paused"), 0);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

/* ---- closing ---- */

/* Closing with connections half made, bytes queued and datagrams waiting: no callback but closed, no leak. */
static void test_close_busy(void **state)
{
    static const char *const list[] = {"udp:127.0.0.1:0", "tcp:127.0.0.1:0"};
    struct kit_loop k;
    struct side a;
    struct side b;
    (void)state;
    kit_loop_init(&k);
    struct transport_options o = side_options(&a, &k, list, 2);
    side_open(&a, &o);
    side_start(&b, &k, "tcp:127.0.0.1:0");
    struct flow connected = flow_to(PLAN_TCP, side_address(&b));
    assert_int_equal(side_send(&a, &connected, false, sip_text("up", 0), 1), ERR_OK);
    run_until(&k, b.messages == 1);

    struct flow refused = flow_to(PLAN_TCP, closed_port(SOCK_STREAM));
    struct flow dead = flow_to(PLAN_UDP, closed_port(SOCK_DGRAM));
    struct slice text = sip_text("busy", 3000);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(side_send(&a, &connected, false, text, i), ERR_OK);
        assert_int_equal(side_send(&a, &refused, false, text, i), ERR_OK);
        assert_int_equal(side_send(&a, &dead, false, text, i), ERR_OK);
    }
    side_stop(&a);
    assert_int_equal(a.failed + a.lost, 0);
    run_until(&k, b.lost == 1);
    assert_int_equal(b.messages, 51); /* what could be written at once was */
    side_stop(&b);
    kit_loop_fini(&k);
}

static void test_close_in_callback(void **state)
{
    (void)state;
    for (int transport = PLAN_UDP; transport <= PLAN_TCP; transport++) {
        struct kit_loop k;
        struct side a;
        struct side b;
        bool udp = transport == PLAN_UDP;
        kit_loop_init(&k);
        side_start(&a, &k, udp ? "udp:127.0.0.1:0" : "tcp:127.0.0.1:0");
        side_start(&b, &k, udp ? "udp:127.0.0.1:0" : "tcp:127.0.0.1:0");
        b.close_on_message = true;
        struct flow to = flow_to((enum plan_transport)transport, side_address(&b));
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(side_send(&a, &to, false, sip_text("c", 0), i), ERR_OK);
        run_until(&k, b.closed);
        assert_int_equal(b.messages, 1);
        side_stop(&b);
        side_stop(&a);
        kit_loop_fini(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_refuses),
        cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_tcp_splits),
        cmocka_unit_test(test_tcp_garbage),
        cmocka_unit_test(test_tcp_refused),
        cmocka_unit_test(test_tcp_reuse),
        cmocka_unit_test(test_tcp_source_cap),
        cmocka_unit_test(test_tcp_listener_cap),
        cmocka_unit_test(test_tcp_deadlines),
        cmocka_unit_test(test_tcp_slow_reader),
        cmocka_unit_test(test_tcp_deaf_guest),
        cmocka_unit_test(test_tcp_paused_often),
        cmocka_unit_test(test_close_busy),
        cmocka_unit_test(test_close_in_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
