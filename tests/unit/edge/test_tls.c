/* TLS between two transports: who counts as a member, who is refused, and what a half-open handshake costs. The
 * certificates are made here, in a directory of their own that goes at the end. */
#include "transport_kit.h"

#include "node/edge/tls.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* ---- certificates ---- */

static char dir[] = "/tmp/tandem-test-tls-XXXXXX";

struct ca {
    X509 *cert;
    EVP_PKEY *key;
    char file[128];
};
static struct ca cluster;
static struct ca foreign;

/* A node's certificate and key as files. */
struct identity {
    char cert[128];
    char key[128];
};

static void write_cert(const char *file, X509 *cert)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
}

static void write_key(const char *file, EVP_PKEY *key)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* A certificate for name (cn_len bytes, which may hold a NUL; 0: no common name), signed by issuer or by itself. */
static const char *alternative_names; /* of the next certificate */
static const char *usage;             /* what it says it is for; NULL: anything */

static X509 *make_cert(EVP_PKEY *key, const char *cn, int cn_len, const struct ca *issuer)
{
    static long serial = 1;
    X509 *cert = X509_new();
    assert_non_null(cert);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    X509_NAME *subject = X509_get_subject_name(cert);
    if (cn_len > 0) {
        assert_int_equal(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)cn,
                                                    cn_len, -1, 0),
                         1);
    } else {
        assert_int_equal(X509_NAME_add_entry_by_NID(subject, NID_organizationName, MBSTRING_UTF8,
                                                    (const unsigned char *)"nobody", 6, -1, 0),
                         1);
    }
    assert_int_equal(X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer->cert) : subject), 1);
    if (alternative_names != NULL) add_extension(cert, NID_subject_alt_name, alternative_names);
    if (usage != NULL) add_extension(cert, NID_ext_key_usage, usage);
    if (issuer == NULL) add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, issuer != NULL ? issuer->key : key, EVP_sha256()) > 0);
    return cert;
}

static void make_ca(struct ca *ca, const char *name)
{
    ca->key = EVP_EC_gen("P-256");
    assert_non_null(ca->key);
    ca->cert = make_cert(ca->key, name, (int)strlen(name), NULL);
    (void)snprintf(ca->file, sizeof ca->file, "%s/%s.pem", dir, name);
    write_cert(ca->file, ca->cert);
}

static struct identity make_identity(const struct ca *ca, const char *cn, int cn_len)
{
    static unsigned number;
    struct identity id;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    X509 *cert = make_cert(key, cn, cn_len, ca);
    number++;
    (void)snprintf(id.cert, sizeof id.cert, "%s/%u.pem", dir, number);
    (void)snprintf(id.key, sizeof id.key, "%s/%u.key", dir, number);
    write_cert(id.cert, cert);
    write_key(id.key, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return id;
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) return -1;
    make_ca(&cluster, "cluster");
    make_ca(&foreign, "foreign");
    return 0;
}

static int teardown(void **state)
{
    char command[64];
    (void)state;
    X509_free(cluster.cert);
    EVP_PKEY_free(cluster.key);
    X509_free(foreign.cert);
    EVP_PKEY_free(foreign.key);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* ---- sides ---- */

static void tls_start(struct side *s, struct kit_loop *k, const struct identity *id, const char *ca_file,
                      const struct transport_limits *limits)
{
    static const char *const list[] = {"tls:127.0.0.1:0"};
    struct transport_options o = side_options(s, k, list, 1);
    o.tls_cert_file = id->cert;
    o.tls_key_file = id->key;
    o.tls_ca_file = ca_file;
    o.limits = limits;
    side_open(s, &o);
}

static struct identity node(const char *name)
{
    return make_identity(&cluster, name, (int)strlen(name));
}

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
    assert_string_equal(b.last_flow.peer_name, "hq-1");
    assert_true(a.last_flow.member);
    assert_string_equal(a.last_flow.peer_name, "campus-1");
    assert_int_equal(side_count(&b, "stream_accepted"), 1);
    /* Back over the same connection, and only to a member. */
    struct flow back = b.last_flow;
    b.echo = false;
    assert_int_equal(side_send(&b, &back, true, sip_text("back", 0), 1), ERR_OK);
    run_until(&k, a.messages == 101);
    assert_int_equal(side_count(&b, "stream_connects"), 0);
    side_stop(&a);
    run_until(&k, b.lost == 1);
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
        side_stop(&a);
        side_stop(&b);
        kit_loop_fini(&k);
    }
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
        side_stop(&a);
        side_stop(&b);
        kit_loop_fini(&k);
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
    side_stop(&a);
    side_stop(&b);
    kit_loop_fini(&k);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

/* A plain OpenSSL client; its socket does not block, and the loop is turned between its steps. */
struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static void client_start(struct client *c, const struct side *s, int version)
{
    c->fd = raw_connect(side_address(s), NULL);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    SSL_CTX_set_security_level(c->ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(c->ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(c->ctx, version), 1);
    c->ssl = SSL_new(c->ctx);
    assert_non_null(c->ssl);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    SSL_set_connect_state(c->ssl);
}

static void client_stop(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    assert_int_equal(close(c->fd), 0);
}

/* One try at the handshake: 1 done, 0 not yet, -1 refused. */
static int client_step(struct client *c)
{
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) return 1;
    int why = SSL_get_error(c->ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
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
        side_stop(&a);
        side_stop(&b);
        kit_loop_fini(&k);
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
        const char *cert, *key, *ca, *says;
    } rows[] = {
        {"/nonexistent/node.pem", hq.key, cluster.file, "/nonexistent/node.pem"},
        {hq.cert, "/nonexistent/node.key", cluster.file, "/nonexistent/node.key"},
        {hq.cert, other.key, cluster.file, other.key},
        {hq.cert, hq.key, "/nonexistent/ca.pem", "/nonexistent/ca.pem"},
        {hq.cert, hq.key, hq.key, hq.key},
        {hq.cert, NULL, cluster.file, "no key file"},
    };
    kit_loop_init(&k);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_options o = side_options(&s, &k, list, 1);
        struct err_info info = {0};
        o.tls_cert_file = rows[i].cert;
        o.tls_key_file = rows[i].key;
        o.tls_ca_file = rows[i].ca;
        assert_int_equal(transport_open(&o, &s.t, &info), ERR_AUTH);
        if (strstr(info.text, rows[i].says) == NULL) fail_msg("row %zu: %s", i, info.text);
    }
    kit_loop_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_no_ride),        cmocka_unit_test(test_public),
        cmocka_unit_test(test_names),          cmocka_unit_test(test_no_ride_for_another_name),
        cmocka_unit_test(test_versions),       cmocka_unit_test(test_names_of_clients),
        cmocka_unit_test(test_too_many_names), cmocka_unit_test(test_caps),
        cmocka_unit_test(test_half_open),      cmocka_unit_test(test_noise),
        cmocka_unit_test(test_close_busy),     cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
