/* tls_kit: certificates of two authorities, made in a directory of their own that goes at the end, transports that have
 * them, and a plain client. */
#ifndef TANDEM_TEST_TLS_KIT_H
#define TANDEM_TEST_TLS_KIT_H

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

static inline void write_cert(const char *file, X509 *cert)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
}

static inline void write_key(const char *file, EVP_PKEY *key)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
}

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* A certificate for name (cn_len bytes, which may hold a NUL; 0: no common name), signed by issuer or by itself. */
static const char *alternative_names; /* of the next certificate */
static const char *usage;             /* what it says it is for; NULL: anything */

static inline X509 *make_cert(EVP_PKEY *key, const char *cn, int cn_len, const struct ca *issuer)
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

static inline void make_ca(struct ca *ca, const char *name)
{
    ca->key = EVP_EC_gen("P-256");
    assert_non_null(ca->key);
    ca->cert = make_cert(ca->key, name, (int)strlen(name), NULL);
    (void)snprintf(ca->file, sizeof ca->file, "%s/%s.pem", dir, name);
    write_cert(ca->file, ca->cert);
}

static inline struct identity make_identity(const struct ca *ca, const char *cn, int cn_len)
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

static inline int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) return -1;
    make_ca(&cluster, "cluster");
    make_ca(&foreign, "foreign");
    return 0;
}

static inline int teardown(void **state)
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

/* With a certificate for all who are no members beside that of the member; either may be NULL. */
static inline void tls_start_public(struct side *s, struct kit_loop *k, const struct identity *id,
                                    const struct identity *shown)
{
    static const char *const list[] = {"tls:127.0.0.1:0"};
    struct transport_options o = side_options(s, k, list, 1);
    if (id != NULL) o.tls = (struct tls_files){.cert = id->cert, .key = id->key, .ca = cluster.file};
    o.tls.public_cert = shown->cert;
    o.tls.public_key = shown->key;
    side_open(s, &o);
}

static inline void tls_start(struct side *s, struct kit_loop *k, const struct identity *id, const char *ca_file,
                             const struct transport_limits *limits)
{
    static const char *const list[] = {"tls:127.0.0.1:0"};
    struct transport_options o = side_options(s, k, list, 1);
    o.tls.cert = id->cert;
    o.tls.key = id->key;
    o.tls.ca = ca_file;
    o.limits = limits;
    side_open(s, &o);
}

static inline struct identity node(const char *name)
{
    return make_identity(&cluster, name, (int)strlen(name));
}

/* A plain OpenSSL client; its socket does not block, and the loop is turned between its steps. */
struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static inline void client_start(struct client *c, const struct side *s, int version)
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

static inline void client_stop(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    assert_int_equal(close(c->fd), 0);
}

/* One try at the handshake: 1 done, 0 not yet, -1 refused. */
static inline int client_step(struct client *c)
{
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) return 1;
    int why = SSL_get_error(c->ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static inline void both_stop(struct kit_loop *k, struct side *a, struct side *b)
{
    side_stop(a);
    side_stop(b);
    kit_loop_fini(k);
}

#endif
