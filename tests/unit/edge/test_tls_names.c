/* What a certificate says of who has it: the names of public servers, and of clients. */
#include "tls_kit.h"

/* Towards others than members the chain goes to the system's authorities, which OpenSSL lets the environment name. */
static void test_public(void **state)
{
    struct identity hq = node("hq-1");
    struct identity carrier = make_identity(&foreign, "sip.carrier.example", 19);
    (void)state;
    for (int trusted = 0; trusted <= 1; trusted++) {
        struct kit_loop k;
        struct side a;
        struct side b;
        kit_loop_init(&k);
        assert_int_equal(setenv("SSL_CERT_FILE", trusted ? foreign.file : cluster.file, 1), 0);
        tls_start(&a, &k, &hq, cluster.file, NULL);
        tls_start(&b, &k, &carrier, foreign.file, NULL);
        struct flow to = flow_to(PLAN_TLS, side_address(&b));
        assert_int_equal(side_send(&a, &to, false, sip_text("call", 0), 8), ERR_OK);
        if (trusted) {
            run_until(&k, b.messages == 1);
            assert_false(b.last_flow.member); /* we show no certificate there */
        } else {
            run_until(&k, a.failed == 1);
            assert_int_equal(a.tokens[0], 8);
            assert_int_equal(b.messages, 0);
        }
        both_stop(&k, &a, &b);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* Two members that show others a certificate of another authority: among themselves they are members. */
static void members_know_each_other(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity campus = node("campus-1");
    struct identity shown = make_identity(&foreign, "sip.hq.example", 14);
    (void)state;
    kit_loop_init(&k);
    tls_start_public(&a, &k, &hq, &shown);
    tls_start_public(&b, &k, &campus, &shown);
    struct flow to = flow_to(PLAN_TLS, side_address(&b));
    b.echo = true;
    assert_int_equal(side_send(&a, &to, true, sip_text("call", 0), 8), ERR_OK);
    run_until(&k, a.messages == 1);
    assert_true(b.last_flow.member);
    assert_true(slice_is(transport_member_name(b.t, &b.last_flow), "hq-1"));
    assert_true(slice_is(transport_member_name(a.t, &a.last_flow), "campus-1"));
    both_stop(&k, &a, &b);
}

/* Others see the public one: as the server's, and where they ask, as the client's. */
static void others_are_shown_the_public_one(void **state)
{
    struct identity hq = node("hq-1");
    struct identity shown = make_identity(&foreign, "sip.hq.example", 14);
    struct identity carrier = make_identity(&foreign, "sip.carrier.example", 19);
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    for (int alone = 0; alone <= 1; alone++) {
        struct kit_loop k;
        struct side a;
        struct side b;
        kit_loop_init(&k);
        tls_start_public(&a, &k, alone ? NULL : &hq, &shown);
        tls_start_public(&b, &k, NULL, &carrier);
        struct flow to = flow_to(PLAN_TLS, side_address(&b));
        assert_int_equal(side_send(&a, &to, false, sip_text("call", 0), 8), ERR_OK);
        run_until(&k, b.messages == 1);
        assert_string_equal(transport_peer_names(b.t, &b.last_flow).p, "sip.hq.example");
        to = flow_to(PLAN_TLS, side_address(&a));
        to.domain = transport_domain(b.t, SLICE("sip.hq.example"));
        assert_int_equal(transport_send_host(b.t, &to, SLICE("sip.hq.example"), sip_text("call", 0), 9), ERR_OK);
        run_until(&k, a.messages == 1);
        both_stop(&k, &a, &b);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* A renewed certificate is shown from the next connection on; one that cannot be used changes nothing. */
static void renewed(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity carrier = make_identity(&foreign, "sip.carrier.example", 19);
    struct identity first = make_identity(&foreign, "first.example", 13);
    struct identity second = make_identity(&foreign, "second.example", 14);
    struct err_info info = {0};
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    kit_loop_init(&k);
    tls_start_public(&a, &k, &hq, &first);
    tls_start_public(&b, &k, NULL, &carrier);
    struct flow to = flow_to(PLAN_TLS, side_address(&a));
    to.domain = transport_domain(b.t, SLICE("first.example"));
    assert_int_equal(transport_send_host(b.t, &to, SLICE("first.example"), sip_text("c1", 0), 1), ERR_OK);
    run_until(&k, a.messages == 1);
    struct tls_files files = {hq.cert, hq.key, cluster.file, second.cert, first.key};
    assert_int_equal(transport_tls_reload(a.t, &files, &info), ERR_AUTH);
    assert_non_null(strstr(info.text, first.key));
    files.public_key = second.key;
    assert_int_equal(transport_tls_reload(a.t, &files, &info), ERR_OK);
    assert_int_equal(transport_send_host(b.t, &to, SLICE("first.example"), sip_text("c2", 0), 2), ERR_OK);
    run_until(&k, a.messages == 2); /* over the connection that is there */
    to.domain = transport_domain(b.t, SLICE("second.example"));
    assert_int_equal(transport_send_host(b.t, &to, SLICE("second.example"), sip_text("c3", 0), 3), ERR_OK);
    run_until(&k, a.messages == 3);
    both_stop(&k, &a, &b);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* The certificate must be for the name by which the hop is called (RFC 5922 §7). */
static void test_names(void **state)
{
    static const struct {
        const char *cn;
        int cn_len;
        const char *names; /* NULL: no alternative names */
        const char *host;
        bool proved;
    } cases[] = {
        {"sip.carrier.example", 19, NULL, "sip.carrier.example", true},
        {"sip.carrier.example", 19, NULL, "SIP.Carrier.Example", true},
        {"sip.carrier.example", 19, NULL, "other.example", false},
        {"sip.carrier.example\0.evil.example", 33, NULL, "sip.carrier.example", false},
        {"x", 1, "DNS:sip.carrier.example", "sip.carrier.example", true},
        {"sip.carrier.example", 19, "DNS:other.example", "sip.carrier.example", false}, /* the common name is out */
        {"x", 1, "DNS:*.carrier.example", "sip.carrier.example", false},
        {"x", 1, "URI:sip:carrier.example,DNS:sip.carrier.example", "carrier.example", true},
        {"x", 1, "URI:sip:carrier.example,DNS:sip.carrier.example", "sip.carrier.example", false},
        {"x", 1, "URI:sip:me@carrier.example", "carrier.example", false},
        {"x", 1, "IP:127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", 9, NULL, "127.0.0.1", false},
    };
    struct identity hq = node("hq-1");
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit_loop k;
        struct side a;
        struct side b;
        alternative_names = cases[i].names;
        struct identity carrier = make_identity(&foreign, cases[i].cn, cases[i].cn_len);
        alternative_names = NULL;
        kit_loop_init(&k);
        tls_start(&a, &k, &hq, cluster.file, NULL);
        tls_start(&b, &k, &carrier, foreign.file, NULL);
        struct flow to = flow_to(PLAN_TLS, side_address(&b));
        to.domain = transport_domain(a.t, slice_of(cases[i].host));
        assert_int_equal(transport_send_host(a.t, &to, slice_of(cases[i].host), sip_text("call", 0), 8), ERR_OK);
        if (cases[i].proved) {
            run_until(&k, b.messages == 1);
        } else {
            run_until(&k, a.failed == 1);
            assert_int_equal(a.tokens[0], 8);
            assert_int_equal(b.messages, 0);
            assert_int_equal(side_count(&a, "tls_name_refused"), 1);
        }
        both_stop(&k, &a, &b);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* A connection that proved one name carries nothing for another at the same address. */
static void test_no_ride_for_another_name(void **state)
{
    struct kit_loop k;
    struct side a;
    struct side b;
    struct identity hq = node("hq-1");
    struct identity carrier = make_identity(&foreign, "one.example", 11);
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    kit_loop_init(&k);
    tls_start(&a, &k, &hq, cluster.file, NULL);
    tls_start(&b, &k, &carrier, foreign.file, NULL);
    struct flow to = flow_to(PLAN_TLS, side_address(&b));
    struct flow other = to;
    to.domain = transport_domain(a.t, SLICE("one.example"));
    other.domain = transport_domain(a.t, SLICE("two.example"));
    assert_true(to.domain != 0 && other.domain != 0 && to.domain != other.domain);
    assert_int_equal(transport_send_host(a.t, &to, SLICE("one.example"), sip_text("c1", 0), 1), ERR_OK);
    run_until(&k, b.messages == 1);
    assert_int_equal(transport_send_host(a.t, &other, SLICE("two.example"), sip_text("c2", 0), 2), ERR_OK);
    run_until(&k, a.failed == 1);
    assert_int_equal(b.messages, 1);
    assert_int_equal(transport_send(a.t, &other, false, sip_text("c3", 0), 3), ERR_UNREACHABLE);
    assert_int_equal(transport_send(a.t, &to, false, sip_text("c4", 0), 4), ERR_OK); /* it is still there */
    run_until(&k, b.messages == 2);
    both_stop(&k, &a, &b);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* Whether the names that the peer of a's last message proved are exactly those, a comma after each. */
static bool proved_are(struct side *a, const char *wanted)
{
    char text[2 * TLS_NAMES_MAX];
    size_t n = 0;
    struct slice names = transport_peer_names(a->t, &a->last_flow);
    for (size_t i = 0; i < names.n && n < sizeof text - 1; i++)
        text[n++] = names.p[i] != '\0' ? names.p[i] : ',';
    text[n] = '\0';
    return strcmp(text, wanted) == 0;
}

/* What a trunk may be known by: its client certificate, when the system's authorities vouch for it. */
static void test_names_of_clients(void **state)
{
    static const struct {
        const char *cn;
        const char *names; /* alternative ones */
        const char *usage; /* NULL: of any */
        const struct ca *issuer;
        const char *proved;
        const char *counted; /* NULL: nothing is */
    } cases[] = {
        {"sip.Carrier.example", NULL, NULL, &foreign, "sip.carrier.example,", NULL},
        {"x.example", "DNS:a.example,DNS:B.example", NULL, &foreign, "a.example,b.example,", NULL},
        {"x.example", "URI:sip:c.example,DNS:a.example", NULL, &foreign, "c.example,", NULL},
        {"x.example", "DNS:*.a.example,DNS:b.example", NULL, &foreign, "b.example,", NULL},
        {"x.example", "IP:127.0.0.1", NULL, &foreign, "", NULL},
        {"a.example", NULL, "clientAuth", &foreign, "a.example,", NULL},
        {"a.example", NULL, "serverAuth", &foreign, "a.example,", NULL},
        {"a.example", NULL, "codeSigning", &foreign, "", "tls_certificate_unproved"},
        {"sip.carrier.example", NULL, NULL, &cluster, "", NULL}, /* a member's: that is what it is then */
        {"not a node", NULL, NULL, &cluster, "", "tls_certificate_unproved"},
        {"sip.carrier.example", NULL, NULL, NULL, "", "tls_certificate_unproved"}, /* vouches for itself */
    };
    struct identity hq = node("hq-1");
    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit_loop k;
        struct side a;
        struct client c;
        struct slice text = sip_text("call", 0);
        alternative_names = cases[i].names;
        usage = cases[i].usage;
        struct identity id = make_identity(cases[i].issuer, cases[i].cn, (int)strlen(cases[i].cn));
        alternative_names = usage = NULL;
        kit_loop_init(&k);
        tls_start(&a, &k, &hq, cluster.file, NULL);
        client_start(&c, &a, TLS1_2_VERSION);
        assert_int_equal(SSL_use_certificate_file(c.ssl, id.cert, SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_use_PrivateKey_file(c.ssl, id.key, SSL_FILETYPE_PEM), 1);
        run_until_seen(&k, client_step(&c) != 0);
        assert_int_equal(SSL_write(c.ssl, text.p, (int)text.n), (int)text.n);
        run_until(&k, a.messages == 1);
        if (!proved_are(&a, cases[i].proved)) fail_msg("case %zu proves otherwise", i);
        assert_int_equal(side_count(&a, "tls_certificate_unproved"), cases[i].counted != NULL);
        struct flow gone = a.last_flow;
        client_stop(&c);
        run_until(&k, a.lost == 1);
        assert_int_equal(transport_peer_names(a.t, &gone).n, 0);
        side_stop(&a);
        kit_loop_fini(&k);
    }
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* A certificate of more names than are kept. */
static void test_too_many_names(void **state)
{
    struct kit_loop k;
    struct side a;
    struct client c;
    struct buf names = {0};
    struct slice text = sip_text("call", 0);
    struct identity hq = node("hq-1");
    (void)state;
    for (unsigned i = 0; i < 500; i++)
        buf_printf(&names, "%sDNS:n%u.carrier.example", i > 0 ? "," : "", i);
    buf_add(&names, "", 1);
    alternative_names = names.p;
    struct identity id = make_identity(&foreign, "x", 1);
    alternative_names = NULL;
    buf_fini(&names);
    assert_int_equal(setenv("SSL_CERT_FILE", foreign.file, 1), 0);
    kit_loop_init(&k);
    tls_start(&a, &k, &hq, cluster.file, NULL);
    client_start(&c, &a, TLS1_3_VERSION);
    assert_int_equal(SSL_use_certificate_file(c.ssl, id.cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_use_PrivateKey_file(c.ssl, id.key, SSL_FILETYPE_PEM), 1);
    run_until_seen(&k, client_step(&c) != 0);
    assert_int_equal(SSL_write(c.ssl, text.p, (int)text.n), (int)text.n);
    run_until(&k, a.messages == 1);
    struct slice kept = transport_peer_names(a.t, &a.last_flow);
    assert_in_range(kept.n, TLS_NAMES_MAX - 30, TLS_NAMES_MAX);
    assert_string_equal(kept.p, "n0.carrier.example");
    assert_int_equal(side_count(&a, "tls_names_left_out"), 1);
    client_stop(&c);
    side_stop(&a);
    kit_loop_fini(&k);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(members_know_each_other),
        cmocka_unit_test(others_are_shown_the_public_one),
        cmocka_unit_test(renewed),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_ride_for_another_name),
        cmocka_unit_test(test_names_of_clients),
        cmocka_unit_test(test_too_many_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
