/* A call from one node to another over TCP and TLS: the first picks the target, the second proves that it was picked.
 */
#include "ua_kit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { UDP, TCP, TLS };

struct crossing {
    struct kit k;
    struct kit_node n1;
    struct kit_node n2;
    struct ua a;
    struct ua b;
    struct ua c;
    char dir[32];
};

static uint16_t port_of(const struct kit_node *n, size_t listener)
{
    return sock_address_port(&transport_listener_at(edge_transport(n->edge), listener)->local);
}

/* ---- one certificate for both nodes, which is its own authority ---- */

static void write_file(const char *dir, const char *name, X509 *cert, EVP_PKEY *key)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(cert != NULL ? PEM_write_X509(f, cert) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(f), 0);
}

static void make_certificate(const char *dir)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_non_null(key);
    assert_non_null(cert);
    X509_NAME *name = X509_get_subject_name(cert);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)"n1", 2, -1, 0), 1);
    assert_int_equal(X509_set_issuer_name(cert, name), 1);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    write_file(dir, "cert.pem", cert, NULL);
    write_file(dir, "ca.pem", cert, NULL);
    write_file(dir, "key.pem", NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void remove_certificate(const char *dir)
{
    static const char *const names[] = {"cert.pem", "ca.pem", "key.pem"};
    char path[64];
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* ---- the two nodes ---- */

/* Members that have TLS take calls from each other by nothing else. */
static int open_both(void **state, size_t listeners)
{
    static const char *const listen[] = {"udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"};
    struct crossing *x = calloc(1, sizeof *x);
    assert_non_null(x);
    (void)snprintf(x->dir, sizeof x->dir, "/tmp/tandem-crossing-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    make_certificate(x->dir);
    kit_init(&x->k);
    ua_open(&x->a);
    ua_open(&x->b);
    ua_open(&x->c);
    kit_open(&x->k, &x->n1, listen, listeners, x->dir);
    kit_open(&x->k, &x->n2, listen, listeners, x->dir);
    x->n1.trunk_port = x->a.port;
    (void)kit_target(&x->n2, "trunk/factory", x->b.port);
    *state = x;
    return 0;
}

static int plain_open(void **state)
{
    return open_both(state, 2);
}

static int tls_open(void **state)
{
    return open_both(state, 3);
}

static int crossing_close(void **state)
{
    struct crossing *x = *state;
    kit_close(&x->k, &x->n1, 0);
    kit_close(&x->k, &x->n2, 0);
    ua_close(&x->a);
    ua_close(&x->b);
    ua_close(&x->c);
    kit_fini(&x->k);
    remove_certificate(x->dir);
    free(x);
    return 0;
}

/* n1's target is served by n2, reached over this transport. */
static struct edge_target *through(struct crossing *x, size_t listener)
{
    struct edge_target *t = kit_target(&x->n1, "trunk/factory", port_of(&x->n2, listener));
    t->node = SLICE("n2");
    x->n1.hops[x->n1.target_count - 1][0].transport = listener == TLS   ? PLAN_TLS
                                                      : listener == TCP ? PLAN_TCP
                                                                        : PLAN_UDP;
    return t;
}

static void invite_to(struct crossing *x, const char *scheme, const char *branch, const char *lines)
{
    ua_send(&x->a, x->n1.port,
            "INVITE %s:8123@127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP "
            "127.0.0.1:%u;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
            "From: <sip:100@pbx>;tag=caller\r\nTo: <sip:8123@example.org>\r\nCall-ID: call-%s\r\nCSeq: 1 INVITE\r\n"
            "Contact: <sip:ua@127.0.0.1:%u>\r\n%sContent-Length: 0\r\n\r\n",
            scheme, x->n1.port, x->a.port, branch, branch, x->a.port, lines);
}

static void invite(struct crossing *x, const char *branch, const char *lines)
{
    invite_to(x, "sip", branch, lines);
}

static void in_dialog(struct ua *from, uint16_t node, const struct ua *to, const char *method, const char *routes,
                      bool by_caller)
{
    const char *caller = "<sip:100@pbx>;tag=caller";
    const char *callee = "<sip:8123@example.org>;tag=callee";
    ua_send(
        from, node,
        "%s sip:ua@127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
        "%sFrom: %s\r\nTo: %s\r\nCall-ID: call-i1\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
        method, to->port, from->port, method, routes, by_caller ? caller : callee, by_caller ? callee : caller, method);
}

static void answer(struct crossing *x, unsigned code)
{
    char contact[64];
    (void)snprintf(contact, sizeof contact, "Contact: <sip:ua@127.0.0.1:%u>\r\n", x->b.port);
    ua_answer(&x->b, &x->b.kept_v, code, contact);
}

static void a_call_over(struct crossing *x, size_t listener)
{
    char routes[2048];
    (void)through(x, listener);
    invite(x, "i1", "");
    ua_expect(&x->k, &x->b, "INVITE");
    ua_keep(&x->b);
    ua_has(&x->b, "Max-Forwards: 68\r\n");
    ua_lacks(&x->b, "tk=");
    assert_string_equal(x->n2.named, "trunk/factory");
    assert_string_equal(x->n2.dialled, "8123");
    assert_int_equal(x->n2.source, EDGE_SOURCE_MEMBER);
    assert_string_equal(x->n2.source_name, listener == TLS ? "n1" : "");
    answer(x, 180);
    ua_expect_code(&x->k, &x->a, 180);
    answer(x, 200);
    ua_expect_code(&x->k, &x->a, 200);
    ua_keep(&x->a);
    ua_route_set(&x->a.kept_v, true, routes, sizeof routes);
    in_dialog(&x->a, x->n1.port, &x->b, "ACK", routes, true);
    ua_expect(&x->k, &x->b, "ACK");
    ua_lacks(&x->b, "Route:");
    ua_route_set(&x->b.kept_v, false, routes, sizeof routes);
    in_dialog(&x->b, x->n2.port, &x->a, "BYE", routes, false);
    ua_expect(&x->k, &x->a, "BYE");
    ua_reply(&x->a, 200, "");
    ua_expect_code(&x->k, &x->b, 200);
    assert_int_equal(edge_load(x->n1.edge).calls, 0);
    assert_int_equal(edge_load(x->n2.edge).calls, 0);
    assert_string_equal(x->n1.reports[0].target, "trunk/factory");
}

static void over_udp(void **state)
{
    a_call_over(*state, UDP);
}

static void over_tcp(void **state)
{
    a_call_over(*state, TCP);
}

static void over_tls(void **state)
{
    a_call_over(*state, TLS);
}

/* The second node is told that it is a sips URI which was called: its trunk is one of UDP. */
static void sips_over_tls_and_then_not(void **state)
{
    struct crossing *x = *state;
    (void)through(x, TLS);
    invite_to(x, "sips", "i1", "");
    ua_expect_code(&x->k, &x->a, 480);
    ua_has(&x->a, "a sips URI is not called without TLS: trunk/factory");
    assert_int_equal(kit_count(&x->n1, "edge", "without_tls"), 0);
    assert_int_equal(kit_count(&x->n2, "edge", "without_tls"), 1);
    assert_string_equal(x->n2.dialled, "8123");
}

/* The second node's trunk is shown nothing of the first; what it sends back still finds the first as a member. */
static void over_tls_to_a_hidden_side(void **state)
{
    struct crossing *x = *state;
    char routes[2048];
    char port[16];
    struct arena arena = {0};
    struct sip_name_addr contact;
    (void)through(x, TLS);
    x->n2.targets[0].hide = true;
    invite(x, "i1", "");
    ua_expect(&x->k, &x->b, "INVITE");
    ua_keep(&x->b);
    (void)snprintf(port, sizeof port, ":%u", x->n1.port);
    ua_lacks(&x->b, port);
    (void)snprintf(port, sizeof port, ":%u", x->a.port);
    ua_lacks(&x->b, port);
    answer(x, 200);
    ua_expect_code(&x->k, &x->a, 200);
    ua_keep(&x->a);
    ua_route_set(&x->a.kept_v, true, routes, sizeof routes);
    in_dialog(&x->a, x->n1.port, &x->b, "ACK", routes, true);
    ua_expect(&x->k, &x->b, "ACK");
    ua_route_set(&x->b.kept_v, false, routes, sizeof routes);
    const char *sides = strstr(routes, ";hm=2");
    assert_true(sides != NULL && strstr(sides + 5, ";hm=2") != NULL); /* in either value, should one be left out */
    assert_int_equal(sip_name_addr_parse(&arena, sip_view_value(&x->b.kept_v, SIP_CONTACT), &contact), ERR_OK);
    ua_send(&x->b, x->n2.port,
            "BYE %.*s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKbye;rport\r\nMax-Forwards: 70\r\n"
            "%sFrom: <sip:8123@example.org>;tag=callee\r\nTo: <sip:100@pbx>;tag=caller\r\nCall-ID: call-i1\r\n"
            "CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            SLICE_ARG(contact.uri_text), x->b.port, routes);
    arena_fini(&arena);
    ua_expect(&x->k, &x->a, "BYE");
    ua_reply(&x->a, 200, "");
    ua_expect_code(&x->k, &x->b, 200);
    assert_int_equal(edge_load(x->n1.edge).calls, 0);
    assert_int_equal(edge_load(x->n2.edge).calls, 0);
}

/* The same of the first node's trunk: the nodes' cookies differ, and each finds the other as a member. */
static void over_tls_from_a_hidden_side(void **state)
{
    struct crossing *x = *state;
    char routes[2048];
    (void)through(x, TLS);
    x->n1.trunk_hidden = true;
    invite(x, "i1", "");
    ua_expect(&x->k, &x->b, "INVITE");
    ua_keep(&x->b);
    answer(x, 200);
    ua_expect_code(&x->k, &x->a, 200);
    ua_route_set(&x->a.v, true, routes, sizeof routes);
    in_dialog(&x->a, x->n1.port, &x->b, "ACK", routes, true);
    ua_expect(&x->k, &x->b, "ACK");
    ua_route_set(&x->b.kept_v, false, routes, sizeof routes);
    in_dialog(&x->b, x->n2.port, &x->a, "BYE", routes, false);
    ua_expect(&x->k, &x->a, "BYE");
    ua_reply(&x->a, 200, "");
    ua_expect_code(&x->k, &x->b, 200);
}

static void a_number_with_special_characters(void **state)
{
    struct crossing *x = *state;
    struct edge_target *t = through(x, TCP);
    t->number = SLICE("*21#+49");
    t->number_in_contact = true;
    t->text = SLICE("account/6001");
    invite(x, "i1", "");
    ua_expect(&x->k, &x->b, "INVITE");
    assert_string_equal(x->n2.dialled, "*21#+49");
    assert_string_equal(x->n2.named, "account/6001");
    assert_true(x->n2.number_in_contact);
}

static void cancelled_across(void **state)
{
    struct crossing *x = *state;
    (void)through(x, TCP);
    invite(x, "i1", "");
    ua_expect(&x->k, &x->b, "INVITE");
    ua_keep(&x->b);
    answer(x, 180);
    ua_expect_code(&x->k, &x->a, 180);
    static const char why[] = "\r\nReason: Q.850;cause=16;text=\"Normal call clearing\"\r\n";
    ua_send(&x->a, x->n1.port,
            "CANCEL sip:8123@127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP "
            "127.0.0.1:%u;branch=z9hG4bKi1;rport\r\nMax-Forwards: 70\r\n"
            "From: <sip:100@pbx>;tag=caller\r\nTo: <sip:8123@example.org>\r\nCall-ID: call-i1\r\nCSeq: 1 CANCEL"
            "%sContent-Length: 0\r\n\r\n",
            x->n1.port, x->a.port, why);
    ua_expect_code(&x->k, &x->a, 200);
    ua_expect(&x->k, &x->b, "CANCEL");
    ua_has(&x->b, why);
    ua_reply(&x->b, 200, "");
    answer(x, 487);
    ua_expect_code(&x->k, &x->a, 487);
    ua_expect(&x->k, &x->b, "ACK");
}

/* ---- what goes wrong ---- */

static void a_member_that_cannot(void **state)
{
    struct crossing *x = *state;
    (void)through(x, TCP);
    (void)kit_target(&x->n1, "trunk/backup", x->c.port);
    x->n2.target_count = 0;
    x->n2.code = 503;
    x->n2.words = "trunk/factory is at its limit";
    invite(x, "i1", "");
    ua_expect(&x->k, &x->c, "INVITE");
    ua_reply(&x->c, 486, "");
    ua_expect_code(&x->k, &x->a, 486);
}

static void a_member_that_says_why(void **state)
{
    struct crossing *x = *state;
    (void)through(x, TCP);
    x->n2.target_count = 0;
    x->n2.code = 480;
    x->n2.words = "trunk/factory is not at this node";
    invite(x, "i1", "");
    ua_expect_code(&x->k, &x->a, 480);
    ua_has(&x->a, "Reason: SIP;cause=480;text=\"trunk/factory is not at this node\"");
}

static void a_member_that_is_gone(void **state)
{
    struct crossing *x = *state;
    struct ua gone;
    ua_open(&gone);
    ua_close(&gone);
    (void)through(x, TLS);
    x->n1.hops[0][0].port = gone.port;
    (void)kit_target(&x->n1, "trunk/backup", x->c.port);
    invite(x, "i1", "");
    ua_expect(&x->k, &x->c, "INVITE");
}

/* A call crosses once: the second node uses no third one. */
static void never_a_third(void **state)
{
    struct crossing *x = *state;
    (void)through(x, TCP);
    x->n2.targets[0].node = SLICE("n3");
    invite(x, "i1", "");
    ua_expect_code(&x->k, &x->a, 404);
    ua_expect_nothing(&x->k, &x->b);
}

static void transit_request(struct crossing *x, const char *branch, const char *call_id, const char *user,
                            const char *target, const char *cookie)
{
    ua_send(&x->c, x->n2.port,
            "INVITE sip:%s@example.org SIP/2.0\r\nVia: SIP/2.0/UDP "
            "127.0.0.1:%u;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
            "Route: <sip:127.0.0.1:%u;lr;tt=%s%s>\r\nFrom: <sip:100@pbx>;tag=caller\r\nTo: <sip:8123@example.org>\r\n"
            "Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:ua@127.0.0.1:%u>\r\nContent-Length: 0\r\n\r\n",
            user, x->c.port, branch, x->n2.port, target, cookie, call_id, x->c.port);
}

static void forged_transit(void **state)
{
    struct crossing *x = *state;
    char genuine[64];
    /* n1 believes that c is the member: so c learns a genuine cookie for call-i1 to 8123. */
    struct edge_target *t = through(x, UDP);
    x->n1.hops[0][0].port = x->c.port;
    assert_true(slice_is(t->node, "n2"));
    invite(x, "i1", "");
    ua_expect(&x->k, &x->c, "INVITE");
    ua_has(&x->c, "INVITE sip:8123@example.org SIP/2.0\r\n");
    const char *tk = strstr(x->c.in, ";tk=");
    assert_non_null(tk);
    (void)snprintf(genuine, sizeof genuine, "%.28s", tk);
    transit_request(x, "t1", "call-i1", "8123", "trunk/factory", "");
    ua_expect_code(&x->k, &x->c, 403);
    transit_request(x, "t2", "call-i1", "8123", "trunk/factory", ";tk=0123456789abcdef01234567");
    ua_expect_code(&x->k, &x->c, 403);
    transit_request(x, "t3", "call-i1", "+900", "trunk/factory", genuine);
    ua_expect_code(&x->k, &x->c, 403);
    transit_request(x, "t4", "call-i1", "8123", "trunk/carrier", genuine);
    ua_expect_code(&x->k, &x->c, 403);
    transit_request(x, "t5", "call-i2", "8123", "trunk/factory", genuine);
    ua_expect_code(&x->k, &x->c, 403);
    assert_int_equal(kit_count(&x->n2, "edge", "refused_transit_cookie"), 5);
    assert_int_equal(x->n2.questions, 0);
    transit_request(x, "t6", "call-i1", "8123", "trunk/factory", genuine);
    ua_expect(&x->k, &x->b, "INVITE");
}

/* Who was evicted has the key, and no certificate that counts. */
static void a_genuine_cookie_without_tls(void **state)
{
    struct crossing *x = *state;
    for (size_t listener = UDP; listener <= TCP; listener++) {
        x->n1.target_count = 0;
        (void)through(x, listener);
        invite(x, listener == UDP ? "i1" : "i2", "");
        ua_expect_code(&x->k, &x->a, 403);
    }
    assert_int_equal(kit_count(&x->n2, "edge", "refused_transit_without_tls"), 2);
    assert_int_equal(x->n2.questions, 0);
}

#define WITH_NODES(test) cmocka_unit_test_setup_teardown(test, plain_open, crossing_close)
#define WITH_TLS(test) cmocka_unit_test_setup_teardown(test, tls_open, crossing_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODES(over_udp),
        WITH_NODES(over_tcp),
        WITH_TLS(over_tls),
        WITH_TLS(sips_over_tls_and_then_not),
        WITH_TLS(over_tls_to_a_hidden_side),
        WITH_TLS(over_tls_from_a_hidden_side),
        WITH_TLS(a_genuine_cookie_without_tls),
        WITH_NODES(a_number_with_special_characters),
        WITH_NODES(cancelled_across),
        WITH_NODES(a_member_that_cannot),
        WITH_NODES(a_member_that_says_why),
        WITH_TLS(a_member_that_is_gone),
        WITH_NODES(never_a_third),
        WITH_NODES(forged_transit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
