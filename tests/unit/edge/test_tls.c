/* TLS between two transports: who counts as a member, who is refused, and what a half-open handshake costs. Names:
 * test_tls_names.c. */
#include "tls_kit.h"

static void test_members(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity campus = node("campus-1");
    (void)state;
    kit_loop_init(&k);
    tls_start(&a, &k, &hq, cluster.file, NULL);
    tls_start(&b, &k, &campus, cluster.file, NULL);
    b.echo = true;
    struct flow to = flow_to(PLAN_TLS, side_address(&b));
    size_t sent = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct slice text = sip_text("member", i * 300);
        assert_int_equal(side_send(&a, &to, true, text, i), ERR_OK);
        sent += text.n;
    }
    run_until(&k, a.messages == 100);
    assert_int_equal(b.bytes, sent);
    assert_int_equal(a.bytes, sent);
    assert_true(b.last_flow.member);
    assert_true(slice_is(transport_member_name(b.t, &b.last_flow), "hq-1"));
    assert_true(a.last_flow.member);
    assert_true(slice_is(transport_member_name(a.t, &a.last_flow), "campus-1"));
    assert_int_equal(side_count(&b, "stream_accepted"), 1);
    /* Back over the same connection, and only to a member. */
    struct flow back = b.last_flow;
    b.echo = false;
    assert_int_equal(side_send(&b, &back, true, sip_text("back", 0), 1), ERR_OK);
    run_until(&k, a.messages == 101);
    assert_int_equal(side_count(&b, "stream_connects"), 0);
    side_stop(&a);
    run_until(&k, b.lost == 1);
    assert_true(slice_is(transport_member_name(b.t, &back), ""));
    side_stop(&b);
    kit_loop_fini(&k);
}

/* The server's view of clients that are no members: they are served as guests; and the client's view of such servers:
 * refused. */
static void test_strangers(void **state)
{
    static const struct {
        const char *cn;
        int cn_len;
        bool of_cluster;
        const char *what;
    } rows[] = {
        {"campus-1", 8, false, "another CA"},
        {"campus-1\0.evil", 14, true, "an embedded NUL"},
        {"campus 1", 8, true, "no node name"},
        {"", 0, true, "no name"},
    };
    struct identity hq = node("hq-1");
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kit_loop k;
        struct side a;
        struct side stranger;
        struct identity id = make_identity(rows[i].of_cluster ? &cluster : &foreign, rows[i].cn, rows[i].cn_len);
        kit_loop_init(&k);
        tls_start(&a, &k, &hq, cluster.file, NULL);
        tls_start(&stranger, &k, &id, cluster.file, NULL);

        struct flow to_a = flow_to(PLAN_TLS, side_address(&a));
        assert_int_equal(side_send(&stranger, &to_a, true, sip_text("hello", 0), 1), ERR_OK);
        run_until(&k, a.messages == 1);
        if (a.last_flow.member) fail_msg("%s was taken for a member", rows[i].what);
        /* The way back to it is no way to a member. */
        struct flow back = a.last_flow;
        assert_int_equal(side_send(&a, &back, false, sip_text("answer", 0), 1), ERR_OK);
        run_until(&k, stranger.messages == 1);

        struct flow to = flow_to(PLAN_TLS, side_address(&stranger));
        assert_int_equal(side_send(&a, &to, true, sip_text("secret", 0), 31), ERR_OK);
        assert_int_equal(side_send(&a, &to, true, sip_text("secret", 0), 32), ERR_OK);
        run_until(&k, a.failed == 2);
        assert_int_equal(a.tokens[0], 31);
        assert_int_equal(a.tokens[1], 32);
        assert_int_equal(stranger.messages, 1);
        assert_int_equal(side_count(&a, "tls_member_refused"), 1);
        side_stop(&stranger);
        side_stop(&a);
        kit_loop_fini(&k);
    }
}

/* expect_member does not ride on a connection that proved nothing. */
static void test_no_ride(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity evil = make_identity(&foreign, "campus-1", 8);
    (void)state;
    kit_loop_init(&k);
    tls_start(&a, &k, &hq, cluster.file, NULL);
    tls_start(&b, &k, &evil, cluster.file, NULL);
    struct flow to_a = flow_to(PLAN_TLS, side_address(&a));
    assert_int_equal(side_send(&b, &to_a, true, sip_text("in", 0), 1), ERR_OK);
    run_until(&k, a.messages == 1);
    struct flow back = a.last_flow; /* the stranger's own connection, by number and by address */
    assert_int_equal(side_send(&a, &back, true, sip_text("secret", 0), 2), ERR_OK);
    run_until(&k, a.failed == 1); /* another connection was tried, to where nobody listens */
    assert_int_equal(b.messages, 0);
    side_stop(&b);
    side_stop(&a);
    kit_loop_fini(&k);
}

/* Versions before 1.2 are refused; renegotiation of 1.2 is, too, and takes only its own connection down. */
static void test_versions(void **state)
{
    static const struct {
        int version;
        int result;
    } rows[] = {{TLS1_VERSION, -1}, {TLS1_1_VERSION, -1}, {TLS1_2_VERSION, 1}, {TLS1_3_VERSION, 1}};
    struct kit_loop k;
    struct side s;
    struct identity hq = node("hq-1");
    (void)state;
    kit_loop_init(&k);
    tls_start(&s, &k, &hq, cluster.file, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c;
        int result = 0;
        client_start(&c, &s, rows[i].version);
        run_until_seen(&k, (result = client_step(&c)) != 0);
        assert_int_equal(result, rows[i].result);
        if (result == 1) { /* a client without any certificate is a guest */
            size_t before = s.messages;
            struct slice text = sip_text("guest", 0);
            assert_int_equal(SSL_write(c.ssl, text.p, (int)text.n), (int)text.n);
            run_until(&k, s.messages == before + 1);
            assert_false(s.last_flow.member);
        }
        if (rows[i].version == TLS1_2_VERSION) {
            assert_int_equal(SSL_renegotiate(c.ssl), 1);
            run_until_seen(&k, (result = client_step(&c)) < 0 || !SSL_renegotiate_pending(c.ssl));
            assert_int_equal(result, -1);
        }
        client_stop(&c);
    }
    side_stop(&s);
    kit_loop_fini(&k);
}

/* Guests are capped per source, members behind the same address are not; and so are handshakes that do not end. */
static void test_caps(void **state)
{
    struct kit_loop k;
    struct side s;
    struct side member;
    struct client guests[3];
    struct identity hq = node("hq-1");
    struct identity campus = node("campus-1");
    struct transport_limits limits;
    int silent[20];
    (void)state;
    transport_limits_default(&limits);
    limits.source_guests = 2;
    kit_loop_init(&k);
    tls_start(&s, &k, &hq, cluster.file, &limits);
    for (size_t i = 0; i < 3; i++) {
        client_start(&guests[i], &s, TLS1_2_VERSION);
        run_until_seen(&k, client_step(&guests[i]) != 0);
    }
    run_until(&k, side_count(&s, "stream_refused_source_full") == 1);
    assert_int_equal(side_count(&s, "tls_handshakes"), 3);
    run_until_seen(&k, raw_ended(guests[2].fd));

    tls_start(&member, &k, &campus, cluster.file, NULL);
    struct flow to = flow_to(PLAN_TLS, side_address(&s));
    assert_int_equal(side_send(&member, &to, true, sip_text("m", 0), 1), ERR_OK);
    run_until(&k, s.messages == 1);
    assert_true(s.last_flow.member);

    /* Connections that say nothing: 16 are borne beside the two guests. */
    for (size_t i = 0; i < 20; i++)
        silent[i] = raw_connect(side_address(&s), NULL);
    run_until(&k, side_count(&s, "stream_refused_source_full") == 1 + 4);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(close(silent[i]), 0);
    for (size_t i = 0; i < 3; i++)
        client_stop(&guests[i]);
    side_stop(&member);
    side_stop(&s);
    kit_loop_fini(&k);
}

/* A handshake that does not end is ended, at either side. */
static void test_half_open(void **state)
{
    struct kit_loop k;
    struct side s;
    struct identity hq = node("hq-1");
    struct transport_limits limits;
    (void)state;
    transport_limits_default(&limits);
    limits.handshake_ms = 50;
    kit_loop_init(&k);
    tls_start(&s, &k, &hq, cluster.file, &limits);
    int fd = raw_connect(side_address(&s), NULL);
    run_until(&k, side_count(&s, "stream_timeout_handshake") == 1);
    run_until_seen(&k, raw_ended(fd));
    assert_int_equal(close(fd), 0);

    /* A listener whose connections nobody accepts. */
    union sock_address mute = closed_port(SOCK_STREAM);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &mute.any, sock_address_len(&mute)), 0);
    assert_int_equal(listen(fd, 4), 0);
    struct flow to = flow_to(PLAN_TLS, mute);
    assert_int_equal(side_send(&s, &to, true, sip_text("x", 0), 3), ERR_OK);
    run_until(&k, s.failed == 1);
    assert_int_equal(s.tokens[0], 3);
    assert_int_equal(s.lost, 0);
    assert_int_equal(close(fd), 0);
    side_stop(&s);
    kit_loop_fini(&k);
}

/* Plain text, noise and cut-off handshakes on the TLS port. */
static void test_noise(void **state)
{
    static const struct slice rows[] = {
        {"OPTIONS sip:a@b SIP/2.0\r\n\r\n", 27}, {"\x16\x03\x01\x00\x05hello", 10}, {"\x16\x03\x01\x40", 4}, {"", 0}};
    struct kit_loop k;
    struct side s;
    struct identity hq = node("hq-1");
    (void)state;
    kit_loop_init(&k);
    tls_start(&s, &k, &hq, cluster.file, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = raw_connect(side_address(&s), NULL);
        raw_write(fd, rows[i]);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        run_until_seen(&k, raw_ended(fd));
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(s.messages + s.faults + s.lost, 0); /* none of them ever was usable */
    assert_int_equal(side_count(&s, "tls_handshake_failed"), 4);
    side_stop(&s);
    kit_loop_fini(&k);
}

static ssize_t tls_put(void *ssl, const char *p, size_t n)
{
    return SSL_write(ssl, p, (int)n);
}

static ssize_t tls_get(void *ssl, char *p, size_t n)
{
    return SSL_read(ssl, p, (int)n);
}

/* A stranger who does not read the answers is read no further, and misses nothing when he does; a member is read on. */
static void test_deaf_guest(void **state)
{
    struct transport_limits limits;
    struct kit_loop k;
    struct side a;
    struct side b;
    struct client c;
    struct identity hq = node("hq-1");
    struct identity shop = node("shop-1");
    int done = 0;
    (void)state;
    transport_limits_default(&limits);
    kit_loop_init(&k);
    tls_start(&a, &k, &hq, cluster.file, &limits);
    a.echo = true;
    client_start(&c, &a, TLS1_3_VERSION);
    SSL_set_mode(c.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    run_until_seen(&k, (done = client_step(&c)) != 0);
    assert_int_equal(done, 1);
    struct talker t = {.put = tls_put, .get = tls_get, .ctx = c.ssl, .text = sip_text("deaf", 2000)};
    run_until_seen(&k, talks_in_vain(&t, &a)); /* the echo fails when 4 MiB wait */
    assert_true(side_count(&a, "stream_reading_paused") > 0);
    run_until_seen(&k, is_answered(&t));
    assert_int_equal(a.messages, t.sent / t.text.n);
    client_stop(&c);
    side_stop(&a);

    limits.guest_bytes = 1;
    tls_start(&a, &k, &hq, cluster.file, &limits);
    tls_start(&b, &k, &shop, cluster.file, &limits);
    b.echo = true;
    struct flow to = flow_to(PLAN_TLS, side_address(&b));
    assert_int_equal(side_send(&a, &to, true, sip_text("member", 0), 1), ERR_OK);
    run_until(&k, a.messages == 1);
    assert_int_equal(side_count(&b, "stream_reading_paused"), 0);
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
}

/* Closing in the middle of handshakes and with data queued. */
static void test_close_busy(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity campus = node("campus-1");
    (void)state;
    for (unsigned turns = 0; turns < 6; turns++) {
        kit_loop_init(&k);
        tls_start(&a, &k, &hq, cluster.file, NULL);
        tls_start(&b, &k, &campus, cluster.file, NULL);
        struct flow to = flow_to(PLAN_TLS, side_address(&b));
        for (unsigned i = 0; i < 10; i++) {
            assert_int_equal(side_send(&a, &to, true, sip_text("b", 5000), i), ERR_OK);
        }
        for (unsigned i = 0; i < turns; i++)
            (void)uv_run(&k.loop, UV_RUN_NOWAIT);
        both_stop(&k, &a, &b);
    }
}

static void test_files(void **state)
{
    static const char *const list[] = {"tls:127.0.0.1:0"};
    struct identity hq = node("hq-1");
    struct identity other = node("other");
    struct kit_loop k;
    struct side s;
    (void)state;
    const struct {
        struct tls_files files;
        const char *says;
    } rows[] = {
        {{"/nonexistent/node.pem", hq.key, cluster.file, NULL, NULL}, "/nonexistent/node.pem"},
        {{hq.cert, "/nonexistent/node.key", cluster.file, NULL, NULL}, "/nonexistent/node.key"},
        {{hq.cert, other.key, cluster.file, NULL, NULL}, other.key},
        {{hq.cert, hq.key, "/nonexistent/ca.pem", NULL, NULL}, "/nonexistent/ca.pem"},
        {{hq.cert, hq.key, hq.key, NULL, NULL}, hq.key},
        {{hq.cert, NULL, cluster.file, NULL, NULL}, "no key file"},
        {{hq.cert, hq.key, cluster.file, "/nonexistent/sip.pem", hq.key}, "/nonexistent/sip.pem"},
        {{hq.cert, hq.key, cluster.file, other.cert, hq.key}, hq.key},
        {{NULL, NULL, NULL, other.cert, NULL}, other.cert},
    };
    kit_loop_init(&k);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_options o = side_options(&s, &k, list, 1);
        struct err_info info = {0};
        o.tls = rows[i].files;
        assert_int_equal(transport_open(&o, &s.t, &info), ERR_AUTH);
        if (strstr(info.text, rows[i].says) == NULL) fail_msg("row %zu: %s", i, info.text);
    }
    kit_loop_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),    cmocka_unit_test(test_strangers),  cmocka_unit_test(test_no_ride),
        cmocka_unit_test(test_versions),   cmocka_unit_test(test_caps),       cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_noise),      cmocka_unit_test(test_close_busy), cmocka_unit_test(test_files),
        cmocka_unit_test(test_deaf_guest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
