/* See pki.h. This file makes keys and certificates; pki_check.c reads and examines them. */
#include "cli/pki.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "cli/secret_file.h"

#define CLUSTER_KEY_LEN 32
#define SERIAL_LEN 16

/* The one place where libcrypto's error numbers become ours. */
static enum err crypto_fail(struct err_info *info, const char *what)
{
    unsigned long code = ERR_get_error();
    char text[160] = "no detail";
    if (code != 0) ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return err_fail(info, ERR_NOMEM, "%s: libcrypto: %s", what, text);
}

static enum err path_join(char out[PATH_MAX], const char *dir, const char *name, struct err_info *info)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_MAX) return err_fail(info, ERR_LIMIT, "%s: path too long", dir);
    return ERR_OK;
}

static EVP_PKEY *new_key(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

/* ---- certificates ---- */

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_LEN];
    if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and never shorter */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool add_name(X509_NAME *name, const char *field, struct slice text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text.p, (int)text.n, -1, 0) ==
           1;
}

static bool set_validity(X509 *cert, int64_t from_s, int64_t to_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s) != NULL;
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

struct extension {
    int nid;
    const char *value;
};

static bool add_extensions(X509 *cert, X509 *issuer, const struct extension *list, size_t count)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        if (!add_extension(cert, &ctx, list[i].nid, list[i].value)) return false;
    }
    return true;
}

static X509 *new_cert(EVP_PKEY *key, int64_t from_s, int64_t to_s)
{
    X509 *cert = X509_new();
    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        set_validity(cert, from_s, to_s) && X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_ca_cert(EVP_PKEY *key, struct slice name, struct slice id)
{
    static const struct extension list[] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                            {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                            {NID_subject_key_identifier, "hash"}};
    char common[80];
    int64_t now = (int64_t)time(NULL);
    (void)snprintf(common, sizeof common, "Tandem CA %.*s", SLICE_ARG(name));
    X509 *cert = new_cert(key, now - PKI_SKEW_S, now + PKI_CA_DAYS * INT64_C(86400));
    if (cert != NULL && add_name(X509_get_subject_name(cert), "O", id) &&
        add_name(X509_get_subject_name(cert), "CN", slice_of(common)) &&
        X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
        add_extensions(cert, cert, list, sizeof list / sizeof list[0]) && X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_node_cert(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, struct slice id,
                            const struct pki_request *request, int64_t from_s, int64_t to_s)
{
    char names[LIMIT_NAME + 32];
    char issued[24];
    int64_t now = (int64_t)time(NULL);
    (void)snprintf(issued, sizeof issued, "%" PRId64, now > request->after_s ? now : request->after_s + 1);
    (void)snprintf(names, sizeof names, "DNS:tandem,DNS:%.*s", SLICE_ARG(request->node));
    const struct extension list[] = {
        {NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth,clientAuth"}, {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid"},      {NID_subject_alt_name, names}};
    X509 *cert = new_cert(key, from_s, to_s);
    if (cert != NULL && add_name(X509_get_subject_name(cert), "O", id) &&
        add_name(X509_get_subject_name(cert), "OU", request->site) &&
        add_name(X509_get_subject_name(cert), "CN", request->node) &&
        add_name(X509_get_subject_name(cert), "serialNumber", slice_of(issued)) &&
        X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 &&
        add_extensions(cert, ca, list, sizeof list / sizeof list[0]) && X509_sign(cert, ca_key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* ---- PEM ---- */

static enum err bio_text(BIO *bio, struct arena *arena, struct slice *out, struct err_info *info)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    if (n <= 0) return crypto_fail(info, "PEM");
    *out = arena_copy(arena, (struct slice){text, (size_t)n});
    return out->p != NULL ? ERR_OK : err_fail(info, ERR_NOMEM, "no memory");
}

static enum err cert_pem(X509 *cert, struct arena *arena, struct slice *out, struct err_info *info)
{
    BIO *bio = BIO_new(BIO_s_mem());
    enum err err = bio != NULL && PEM_write_bio_X509(bio, cert) == 1 ? bio_text(bio, arena, out, info)
                                                                     : crypto_fail(info, "certificate");
    BIO_free(bio);
    return err;
}

static enum err key_pem(EVP_PKEY *key, struct arena *arena, struct slice *out, struct err_info *info)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    enum err err = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1
                       ? bio_text(bio, arena, out, info)
                       : crypto_fail(info, "private key");
    BIO_free(bio);
    return err;
}

/* ---- the CA directory ---- */

static enum err cluster_id(struct slice name, char id[LIMIT_NAME + 1], struct err_info *info)
{
    unsigned char salt[4];
    char hex[2 * sizeof salt + 1];
    if (!pki_token_valid(name) || name.n > PKI_CLUSTER_NAME_MAX)
        return err_fail(info, ERR_SYNTAX,
                        "cluster name \"%.*s\": 1 to %d of letters, digits, '.', '_' and '-' are allowed",
                        SLICE_ARG(name), PKI_CLUSTER_NAME_MAX);
    if (RAND_bytes(salt, sizeof salt) != 1) return crypto_fail(info, "random numbers");
    hex_encode(salt, sizeof salt, hex);
    (void)snprintf(id, LIMIT_NAME + 1, "%.*s-%s", SLICE_ARG(name), hex);
    return ERR_OK;
}

static enum err cluster_key_text(char text[2 * CLUSTER_KEY_LEN + 2], struct err_info *info)
{
    unsigned char key[CLUSTER_KEY_LEN];
    if (RAND_priv_bytes(key, sizeof key) != 1) return crypto_fail(info, "random numbers");
    hex_encode(key, sizeof key, text);
    secret_wipe(key, sizeof key);
    text[2 * CLUSTER_KEY_LEN] = '\n';
    text[2 * CLUSTER_KEY_LEN + 1] = '\0';
    return ERR_OK;
}

/* ca.key first and exclusively: it is the lock against a second run. */
static enum err write_ca(const char *dir, struct slice key, struct slice cert, struct slice cluster_key,
                         struct err_info *info)
{
    static const char *const names[] = {"ca.key", "ca.pem", "cluster.key"};
    const struct slice contents[] = {key, cert, cluster_key};
    static const mode_t modes[] = {0600, 0644, 0600};
    char path[PATH_MAX];
    enum err err = secret_dir_make(dir, info);
    for (size_t i = 0; err == ERR_OK && i < 3; i++) {
        err = path_join(path, dir, names[i], info);
        if (err == ERR_OK) err = secret_file_create(path, contents[i], modes[i], info);
    }
    if (err == ERR_EXISTS)
        return err_fail(
            info, ERR_EXISTS,
            "%s holds a certificate authority already (or part of one); it is left as it is: give another directory",
            dir);
    return err != ERR_OK ? err : secret_dir_sync(dir, info);
}

enum err pki_ca_init(const char *dir, struct slice cluster_name, char id[LIMIT_NAME + 1], struct err_info *info)
{
    struct arena arena = {0};
    struct slice key_text = SLICE_NONE;
    struct slice cert_text;
    char cluster_key[2 * CLUSTER_KEY_LEN + 2];
    char made[LIMIT_NAME + 1];
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    enum err err = cluster_id(cluster_name, made, info);
    if (err == ERR_OK) err = cluster_key_text(cluster_key, info);
    if (err != ERR_OK) return err;
    key = new_key();
    cert = key != NULL ? make_ca_cert(key, cluster_name, slice_of(made)) : NULL;
    err = cert != NULL ? key_pem(key, &arena, &key_text, info) : crypto_fail(info, "CA certificate");
    if (err == ERR_OK) err = cert_pem(cert, &arena, &cert_text, info);
    if (err == ERR_OK) err = write_ca(dir, key_text, cert_text, slice_of(cluster_key), info);
    if (err == ERR_OK) memcpy(id, made, sizeof made);
    secret_wipe(cluster_key, sizeof cluster_key);
    if (key_text.p != NULL) secret_wipe((void *)(uintptr_t)key_text.p, key_text.n);
    X509_free(cert);
    EVP_PKEY_free(key);
    arena_fini(&arena);
    return err;
}

/* ---- issuing ---- */

struct ca {
    X509 *cert;
    EVP_PKEY *key;
    struct slice cert_text;
    struct slice cluster_key;
    struct slice id;
};

static void ca_fini(struct ca *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
}

static enum err ca_parse(struct ca *ca, const char *dir, struct slice key_text, struct arena *arena,
                         struct err_info *info)
{
    char id[LIMIT_NAME + 2];
    BIO *cert_bio = BIO_new_mem_buf(ca->cert_text.p, (int)ca->cert_text.n);
    BIO *key_bio = BIO_new_mem_buf(key_text.p, (int)key_text.n);
    if (cert_bio != NULL) ca->cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    if (key_bio != NULL) ca->key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    ERR_clear_error();
    if (ca->cert == NULL) return err_fail(info, ERR_SYNTAX, "%s/ca.pem: not a certificate", dir);
    if (ca->key == NULL) return err_fail(info, ERR_SYNTAX, "%s/ca.key: not a private key", dir);
    if (X509_check_private_key(ca->cert, ca->key) != 1) {
        ERR_clear_error();
        return err_fail(info, ERR_AUTH, "%s: ca.key is not the key of ca.pem", dir);
    }
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(ca->cert), NID_organizationName, id, sizeof id);
    if (n <= 0 || n > LIMIT_NAME || !pki_token_valid(slice_of(id)))
        return err_fail(info, ERR_SYNTAX, "%s/ca.pem: carries no cluster id: not made by \"clusterctl ca init\"", dir);
    ca->id = arena_copy(arena, slice_of(id));
    return ca->id.p != NULL ? ERR_OK : err_fail(info, ERR_NOMEM, "no memory");
}

static enum err ca_read(const char *dir, struct arena *arena, struct ca *ca, struct err_info *info)
{
    char path[PATH_MAX];
    struct slice key_text = SLICE_NONE;
    enum err err = path_join(path, dir, "ca.key", info);
    if (err == ERR_OK) err = secret_file_read(arena, path, true, &key_text, info);
    if (err == ERR_NOTFOUND)
        return err_fail(info, err,
                        "%s: no certificate authority here (no ca.key): run this where \"clusterctl ca init\" was run",
                        dir);
    if (err == ERR_OK) err = path_join(path, dir, "ca.pem", info);
    if (err == ERR_OK) err = secret_file_read(arena, path, false, &ca->cert_text, info);
    if (err == ERR_OK) err = path_join(path, dir, "cluster.key", info);
    if (err == ERR_OK) err = secret_file_read(arena, path, true, &ca->cluster_key, info);
    if (err == ERR_OK) err = ca_parse(ca, dir, key_text, arena, info);
    if (key_text.p != NULL) secret_wipe((void *)(uintptr_t)key_text.p, key_text.n);
    return err;
}

static enum err ca_end(const struct ca *ca, int64_t *end_s, struct err_info *info)
{
    struct tm tm;
    char text[WALL_TEXT_SIZE];
    if (ASN1_TIME_to_tm(X509_get0_notAfter(ca->cert), &tm) != 1) return crypto_fail(info, "CA certificate");
    *end_s = (int64_t)timegm(&tm);
    if (*end_s <= (int64_t)time(NULL))
        return err_fail(info, ERR_AUTH, "the CA certificate expired on %s",
                        pki_date((struct wall){*end_s * 1000}, text));
    return ERR_OK;
}

enum err pki_issue(struct arena *arena, const char *dir, const struct pki_request *request, struct pki_identity *out,
                   struct err_info *info)
{
    struct ca ca = {0};
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    int64_t end = 0;
    if (!pki_token_valid(request->node))
        return err_fail(info, ERR_SYNTAX,
                        "node name \"%.*s\": 1 to %d of letters, digits, '.', '_' and '-' are allowed",
                        SLICE_ARG(request->node), LIMIT_NAME);
    if (!pki_token_valid(request->site))
        return err_fail(info, ERR_SYNTAX,
                        "site name \"%.*s\": 1 to %d of letters, digits, '.', '_' and '-' are allowed",
                        SLICE_ARG(request->site), LIMIT_NAME);
    enum err err = ca_read(dir, arena, &ca, info);
    if (err == ERR_OK) err = ca_end(&ca, &end, info);
    if (err != ERR_OK) goto out;
    int64_t from = request->begins.ms != 0 ? request->begins.ms / 1000 : (int64_t)time(NULL) - PKI_SKEW_S;
    int64_t to = from + (request->days != 0 ? request->days : PKI_NODE_DAYS) * INT64_C(86400);
    if (to > end) to = end;
    struct pki_identity made = {
        .cluster = ca.id, .ca = ca.cert_text, .cluster_key = ca.cluster_key, .expires = {to * 1000}};
    key = new_key();
    cert = key != NULL ? make_node_cert(key, ca.cert, ca.key, ca.id, request, from, to) : NULL;
    err = cert != NULL ? cert_pem(cert, arena, &made.certificate, info) : crypto_fail(info, "node certificate");
    if (err == ERR_OK) err = key_pem(key, arena, &made.key, info);
    made.node = arena_copy(arena, request->node);
    made.site = arena_copy(arena, request->site);
    if (err == ERR_OK && (made.node.p == NULL || made.site.p == NULL)) err = err_fail(info, ERR_NOMEM, "no memory");
    if (err == ERR_OK) *out = made;
out:
    X509_free(cert);
    EVP_PKEY_free(key);
    ca_fini(&ca);
    return err;
}
