/* See credentials.h. */
#include "node/mesh/credentials.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define PEM_MAX 65536
#define WARN_DAYS 30
#define TRANSCRIPT_CONTEXT "tandem mesh hello 1"

struct credentials {
    struct arena arena;
    const char *ca_pem;
    const char *cert_pem;
    char *key_pem; /* secret */
    size_t key_pem_len;
    struct slice der;
    X509 *ca;
    X509 *cert;
    EVP_PKEY *key;
    X509_STORE *store;
    SSL_CTX *tls;
};

const char *credentials_ca_pem(const struct credentials *c)
{
    return c->ca_pem;
}

const char *credentials_cert_pem(const struct credentials *c)
{
    return c->cert_pem;
}

const char *credentials_key_pem(const struct credentials *c)
{
    return c->key_pem;
}

struct slice credentials_der(const struct credentials *c)
{
    return c->der;
}

SSL_CTX *credentials_tls(const struct credentials *c)
{
    return c->tls;
}

/* ---- words ---- */

static const char *date_text(const ASN1_TIME *t, char out[WALL_TEXT_SIZE])
{
    struct tm tm;
    if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, WALL_TEXT_SIZE, "%Y-%m-%d", &tm) == 0) {
        (void)snprintf(out, WALL_TEXT_SIZE, "?");
    }
    return out;
}

/* One field of a name, "?" unless it is there once and printable ASCII: it comes from strangers and goes to terminals.
 */
static const char *name_field(X509_NAME *name, int nid, char out[LIMIT_NAME + 1])
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    (void)snprintf(out, LIMIT_NAME + 1, "?");
    if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0) return out;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    const unsigned char *p = ASN1_STRING_get0_data(value);
    int n = ASN1_STRING_length(value);
    if (n <= 0 || n > LIMIT_NAME) return out;
    for (int i = 0; i < n; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f) return out;
    }
    memcpy(out, p, (size_t)n);
    out[n] = '\0';
    return out;
}

void certificate_words(X509 *cert, int verify_error, char *out, size_t out_size)
{
    char text[WALL_TEXT_SIZE];
    char issuer[LIMIT_NAME + 1];
    switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)snprintf(out, out_size, "certificate expired on %s",
                       cert != NULL ? date_text(X509_get0_notAfter(cert), text) : "?");
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)snprintf(out, out_size, "certificate is valid only from %s (check the clocks)",
                       cert != NULL ? date_text(X509_get0_notBefore(cert), text) : "?");
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)snprintf(out, out_size, "certificate is not from this cluster's CA (it is of %s)",
                       cert != NULL ? name_field(X509_get_issuer_name(cert), NID_organizationName, issuer) : "?");
        break;
    default:
        (void)snprintf(out, out_size, "certificate is not usable: %s", X509_verify_cert_error_string(verify_error));
        break;
    }
}

/* ---- reading ---- */

static enum err read_pem(struct credentials *c, const char *path, bool is_secret, char **out, size_t *n,
                         struct err_info *info)
{
    struct stat st;
    enum err err = ERR_OK;
    FILE *f = fopen(path, "rbe");
    if (f == NULL) return err_fail(info, ERR_AUTH, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        err = err_fail(info, ERR_AUTH, "%s: not a regular file", path);
    } else if (is_secret && (st.st_mode & 077) != 0) {
        err = err_fail(info, ERR_AUTH, "%s: the key's mode is %04o, so that others can reach it: chmod 600 %s", path,
                       (unsigned)(st.st_mode & 07777), path);
    } else if (st.st_size > PEM_MAX) {
        err = err_fail(info, ERR_AUTH, "%s: longer than %d bytes", path, PEM_MAX);
    }
    char *text = err == ERR_OK ? arena_alloc(&c->arena, PEM_MAX + 1) : NULL;
    if (err == ERR_OK && text == NULL) err = err_fail(info, ERR_NOMEM, "no memory");
    if (err == ERR_OK) {
        *n = fread(text, 1, PEM_MAX, f);
        *out = text;
        if (ferror(f) != 0) err = err_fail(info, ERR_AUTH, "%s: cannot be read", path);
    }
    (void)fclose(f);
    return err;
}

static X509 *parse_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return cert;
}

static EVP_PKEY *parse_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    /* The empty pass phrase keeps libcrypto from asking for one on the terminal. */
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    BIO_free(bio);
    return key;
}

static enum err read_files(struct credentials *c, const char *ca_file, const char *cert_file, const char *key_file,
                           struct err_info *info)
{
    char *ca = NULL;
    char *cert = NULL;
    size_t n;
    unsigned char *der = NULL;
    enum err err = read_pem(c, ca_file, false, &ca, &n, info);
    if (err == ERR_OK) err = read_pem(c, cert_file, false, &cert, &n, info);
    if (err == ERR_OK) err = read_pem(c, key_file, true, &c->key_pem, &c->key_pem_len, info);
    if (err != ERR_OK) return err;
    c->ca_pem = ca;
    c->cert_pem = cert;
    c->ca = parse_cert(ca);
    if (c->ca == NULL) return err_fail(info, ERR_AUTH, "%s: not a certificate in PEM", ca_file);
    c->cert = parse_cert(cert);
    if (c->cert == NULL) return err_fail(info, ERR_AUTH, "%s: not a certificate in PEM", cert_file);
    c->key = parse_key(c->key_pem);
    if (c->key == NULL) return err_fail(info, ERR_AUTH, "%s: not a private key in PEM", key_file);
    int len = i2d_X509(c->cert, &der);
    if (len > 0 && len <= MESH_CERTIFICATE_MAX)
        c->der = arena_copy(&c->arena, (struct slice){(char *)der, (size_t)len});
    OPENSSL_free(der);
    if (len > MESH_CERTIFICATE_MAX)
        return err_fail(info, ERR_AUTH, "%s: longer than %d bytes", cert_file, MESH_CERTIFICATE_MAX);
    return c->der.p != NULL ? ERR_OK : err_fail(info, ERR_NOMEM, "no memory");
}

/* ---- judging certificates ---- */

/* ERR_AUTH and the reason, without regard to names. */
static enum err check_chain(const struct credentials *c, X509 *cert, time_t now, int *reason)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    *reason = X509_V_ERR_OUT_OF_MEM;
    if (ctx == NULL || X509_STORE_CTX_init(ctx, c->store, cert, NULL) != 1) {
        X509_STORE_CTX_free(ctx);
        return ERR_NOMEM;
    }
    X509_STORE_CTX_set_time(ctx, 0, now);
    bool ok = X509_verify_cert(ctx) == 1;
    *reason = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return ok ? ERR_OK : ERR_AUTH;
}

static bool subject_is(X509 *cert, int nid, struct slice expected)
{
    char text[LIMIT_NAME + 1];
    return slice_is(expected, name_field(X509_get_subject_name(cert), nid, text));
}

static void warn_dates(const struct credentials *c, int reason, const struct log *log)
{
    char text[LIMIT_TEXT];
    int days = 0;
    int seconds = 0;
    if (reason != X509_V_OK) {
        certificate_words(c->cert, reason, text, sizeof text);
        log_event(log, LOG_ERROR, "mesh", "own-certificate", "reason=\"%s\" effect=\"no links\"", text);
    } else if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(c->cert)) == 1 && days < WARN_DAYS) {
        log_event(log, LOG_WARN, "mesh", "own-certificate",
                  "reason=\"expires in %d days\" mend=\"clusterctl node invite\"", days);
    }
}

static enum err check_own(const struct credentials *c, const char *ca_file, const char *cert_file, const char *key_file,
                          const struct node_name *self, struct slice cluster, const struct log *log,
                          struct err_info *info)
{
    char text[LIMIT_NAME + 1];
    char words[LIMIT_TEXT];
    int reason = X509_V_OK;
    if (!subject_is(c->ca, NID_organizationName, cluster))
        return err_fail(info, ERR_AUTH, "%s: is the CA of cluster %s, not of %.*s", ca_file,
                        name_field(X509_get_subject_name(c->ca), NID_organizationName, text), SLICE_ARG(cluster));
    if (!subject_is(c->cert, NID_commonName, node_name_slice(self)))
        return err_fail(info, ERR_AUTH, "%s: is the certificate of node %s, but this node is %s", cert_file,
                        name_field(X509_get_subject_name(c->cert), NID_commonName, text), self->s);
    if (X509_check_private_key(c->cert, c->key) != 1) {
        ERR_clear_error();
        return err_fail(info, ERR_AUTH, "%s: is not the key of %s", key_file, cert_file);
    }
    enum err err = check_chain(c, c->cert, time(NULL), &reason);
    if (err == ERR_AUTH && reason != X509_V_ERR_CERT_HAS_EXPIRED && reason != X509_V_ERR_CERT_NOT_YET_VALID) {
        certificate_words(c->cert, reason, words, sizeof words);
        return err_fail(info, ERR_AUTH, "%s: %.200s", cert_file, words);
    }
    if (err == ERR_NOMEM) return err_fail(info, ERR_NOMEM, "no memory");
    warn_dates(c, reason, log);
    return ERR_OK;
}

bool credentials_own_fault(const struct credentials *c, struct wall now, char *out, size_t out_size)
{
    char words[LIMIT_TEXT];
    int reason = X509_V_OK;
    if (check_chain(c, c->cert, (time_t)(now.ms / 1000), &reason) != ERR_AUTH) return false;
    certificate_words(c->cert, reason, words, sizeof words);
    (void)snprintf(out, out_size, "our %.200s", words);
    return true;
}

static enum err make_tls(struct credentials *c, struct err_info *info)
{
    c->tls = SSL_CTX_new(TLS_client_method());
    /* 1.2 at most: there the client knows at the end of its handshake whether its certificate was taken. */
    if (c->tls == NULL || SSL_CTX_set_min_proto_version(c->tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(c->tls, TLS1_2_VERSION) != 1 || SSL_CTX_use_certificate(c->tls, c->cert) != 1 ||
        SSL_CTX_use_PrivateKey(c->tls, c->key) != 1)
        return err_fail(info, ERR_AUTH, "TLS: certificate or key is of a kind that OpenSSL does not take");
    SSL_CTX_set1_cert_store(c->tls, c->store);
    SSL_CTX_set_verify(c->tls, SSL_VERIFY_PEER, NULL);
    return ERR_OK;
}

enum err credentials_load(const char *ca_file, const char *cert_file, const char *key_file,
                          const struct node_name *self, struct slice cluster, const struct log *log,
                          struct credentials **out, struct err_info *info)
{
    struct credentials *c = calloc(1, sizeof *c);
    if (c == NULL) return err_fail(info, ERR_NOMEM, "no memory");
    enum err err = read_files(c, ca_file, cert_file, key_file, info);
    ERR_clear_error();
    if (err == ERR_OK) {
        c->store = X509_STORE_new();
        if (c->store == NULL || X509_STORE_add_cert(c->store, c->ca) != 1) err = err_fail(info, ERR_NOMEM, "no memory");
    }
    if (err == ERR_OK) err = check_own(c, ca_file, cert_file, key_file, self, cluster, log, info);
    if (err == ERR_OK) err = make_tls(c, info);
    ERR_clear_error();
    if (err != ERR_OK) {
        credentials_free(c);
        return err;
    }
    *out = c;
    return ERR_OK;
}

void credentials_free(struct credentials *c)
{
    if (c == NULL) return;
    SSL_CTX_free(c->tls);
    X509_STORE_free(c->store);
    EVP_PKEY_free(c->key);
    X509_free(c->cert);
    X509_free(c->ca);
    if (c->key_pem != NULL) secret_wipe(c->key_pem, c->key_pem_len);
    arena_fini(&c->arena);
    free(c);
}

/* ---- proofs ---- */

/* Every part with its length before it, so that two transcripts are never the same bytes. */
static enum err transcript_bytes(const struct hello_transcript *t, enum hello_role role, struct buf *out)
{
    const struct slice parts[] = {SLICE(TRANSCRIPT_CONTEXT),
                                  t->cluster,
                                  node_name_slice(&t->client),
                                  node_name_slice(&t->server),
                                  {(const char *)t->client_nonce, MESH_NONCE_LEN},
                                  {(const char *)t->server_nonce, MESH_NONCE_LEN}};
    char role_byte = (char)role;
    buf_add(out, &role_byte, 1);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        unsigned char len[2] = {(unsigned char)(parts[i].n >> 8), (unsigned char)parts[i].n};
        buf_add(out, len, sizeof len);
        buf_slice(out, parts[i]);
    }
    return out->failed ? ERR_NOMEM : ERR_OK;
}

enum err credentials_sign(const struct credentials *c, const struct hello_transcript *t, enum hello_role role,
                          unsigned char *sig, size_t *sig_len)
{
    struct buf bytes = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    enum err err = transcript_bytes(t, role, &bytes);
    *sig_len = MESH_SIGNATURE_MAX;
    if (err == ERR_OK && (ctx == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, c->key) != 1 ||
                          EVP_DigestSign(ctx, sig, sig_len, (const unsigned char *)bytes.p, bytes.n) != 1))
        err = ERR_NOMEM;
    EVP_MD_CTX_free(ctx);
    buf_fini(&bytes);
    ERR_clear_error();
    return err;
}

static bool signature_holds(X509 *cert, struct slice signature, const struct hello_transcript *t, enum hello_role role)
{
    struct buf bytes = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = transcript_bytes(t, role, &bytes) == ERR_OK && ctx != NULL &&
              EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, X509_get0_pubkey(cert)) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n, (const unsigned char *)bytes.p,
                               bytes.n) == 1;
    EVP_MD_CTX_free(ctx);
    buf_fini(&bytes);
    ERR_clear_error();
    return ok;
}

enum err credentials_verify(const struct credentials *c, struct slice certificate, struct slice signature,
                            const struct hello_transcript *t, enum hello_role role, struct wall now,
                            struct err_info *info)
{
    const unsigned char *der = (const unsigned char *)certificate.p;
    const struct node_name *name = role == HELLO_SERVER ? &t->server : &t->client;
    char text[LIMIT_TEXT];
    int reason = X509_V_OK;
    if (certificate.n > MESH_CERTIFICATE_MAX) return err_fail(info, ERR_AUTH, "certificate too long");
    X509 *cert = d2i_X509(NULL, &der, (long)certificate.n);
    ERR_clear_error();
    if (cert == NULL || (const char *)der != certificate.p + certificate.n) {
        X509_free(cert);
        return err_fail(info, ERR_AUTH, "certificate does not parse");
    }
    enum err err = check_chain(c, cert, (time_t)(now.ms / 1000), &reason);
    if (err != ERR_OK) {
        certificate_words(cert, reason, text, sizeof text);
        err = err_fail(info, ERR_AUTH, "%.200s", text);
    } else if (!subject_is(cert, NID_commonName, node_name_slice(name))) {
        err = err_fail(info, ERR_AUTH, "certificate is of %s, not of %s",
                       name_field(X509_get_subject_name(cert), NID_commonName, text), name->s);
    } else if (!signature_holds(cert, signature, t, role)) {
        err = err_fail(info, ERR_AUTH, "signature of the hello is wrong");
    }
    X509_free(cert);
    return err;
}

/* ---- when a certificate was issued ---- */

static uint64_t issued_of(X509 *cert)
{
    char text[24] = "";
    uint64_t issued = 0;
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_serialNumber, text, sizeof text);
    return n > 0 && slice_u64(slice_of(text), INT64_MAX, &issued) == ERR_OK ? issued : 0;
}

uint64_t credentials_issued(struct slice certificate)
{
    const unsigned char *der = (const unsigned char *)certificate.p;
    if (certificate.n > MESH_CERTIFICATE_MAX) return 0;
    X509 *cert = d2i_X509(NULL, &der, (long)certificate.n);
    uint64_t issued = cert != NULL ? issued_of(cert) : 0;
    X509_free(cert);
    ERR_clear_error();
    return issued;
}

/* NULL: there is none. */
static X509 *cert_in_file(const char *cert_file)
{
    BIO *bio = BIO_new_file(cert_file, "r");
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

uint64_t credentials_issued_file(const char *cert_file)
{
    X509 *cert = cert_in_file(cert_file);
    uint64_t issued = cert != NULL ? issued_of(cert) : 0;
    X509_free(cert);
    ERR_clear_error();
    return issued;
}

bool credentials_name_file(const char *cert_file, char out[LIMIT_NAME + 1])
{
    X509 *cert = cert_in_file(cert_file);
    if (cert == NULL) return false;
    (void)name_field(X509_get_subject_name(cert), NID_commonName, out);
    X509_free(cert);
    return true;
}
