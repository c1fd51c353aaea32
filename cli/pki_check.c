/* pki_check: reads certificates back and says in words what is wrong with them. See pki.h. */
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "cli/pki.h"
#include "cli/secret_file.h"

bool pki_token_valid(struct slice s)
{
    if (s.n == 0 || s.n > LIMIT_NAME) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
        if (!ok) return false;
    }
    return true;
}

const char *pki_date(struct wall t, char out[WALL_TEXT_SIZE])
{
    (void)wall_text(t, out);
    char *end = strchr(out, 'T');
    if (end != NULL) *end = '\0';
    return out;
}

static X509 *parse_cert(struct slice pem)
{
    BIO *bio = pem.n <= SECRET_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

static EVP_PKEY *parse_key(struct slice pem)
{
    BIO *bio = pem.n <= SECRET_FILE_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static struct wall cert_time(const ASN1_TIME *t)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1) return (struct wall){0};
    return (struct wall){(int64_t)timegm(&tm) * 1000};
}

/* The one value of a field of the subject. A NUL inside makes the lengths differ, and the token rule refuses it. */
static bool subject_field(X509 *cert, int nid, char out[LIMIT_NAME + 1])
{
    X509_NAME *name = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0) return false;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    struct slice text = {(const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
    if (!pki_token_valid(text)) return false;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static bool subject_is(X509 *cert, int nid, struct slice expected)
{
    char text[LIMIT_NAME + 1];
    return subject_field(cert, nid, text) && slice_is(expected, text);
}

/* The chain without regard to time, so that each reason has its own words. */
static bool signed_by(X509 *cert, X509 *ca)
{
    bool ok = false;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (store != NULL && ctx != NULL && X509_STORE_add_cert(store, ca) == 1 &&
        X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_X509_STRICT) == 1 &&
        X509_STORE_CTX_init(ctx, store, cert, NULL) == 1)
        ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return ok;
}

static enum err check_dates(X509 *cert, const char *what, struct wall now, struct err_info *info)
{
    char text[WALL_TEXT_SIZE];
    struct wall from = cert_time(X509_get0_notBefore(cert));
    struct wall to = cert_time(X509_get0_notAfter(cert));
    if (now.ms > to.ms)
        return err_fail(info, ERR_AUTH, "%s expired on %s: invite the node again", what, pki_date(to, text));
    if (now.ms < from.ms)
        return err_fail(info, ERR_AUTH, "%s is valid only from %s: check this machine's clock", what,
                        pki_date(from, text));
    return ERR_OK;
}

static enum err check_parts(const struct pki_identity *id, X509 *ca, X509 *cert, EVP_PKEY *key, struct wall now,
                            struct err_info *info)
{
    unsigned char cluster_key[32];
    bool hex_ok = hex_decode(slice_trim(id->cluster_key), cluster_key, sizeof cluster_key) == ERR_OK;
    secret_wipe(cluster_key, sizeof cluster_key);
    if (!hex_ok) return err_fail(info, ERR_SYNTAX, "the cluster key is not 64 hexadecimal digits");
    if (!subject_is(ca, NID_organizationName, id->cluster))
        return err_fail(info, ERR_AUTH, "the CA certificate is not of cluster %.*s", SLICE_ARG(id->cluster));
    if (!signed_by(cert, ca)) return err_fail(info, ERR_AUTH, "the certificate is not signed by this cluster's CA");
    if (!subject_is(cert, NID_commonName, id->node))
        return err_fail(info, ERR_AUTH, "the certificate is not of node %.*s", SLICE_ARG(id->node));
    if (!subject_is(cert, NID_organizationalUnitName, id->site))
        return err_fail(info, ERR_AUTH, "the certificate is not of site %.*s", SLICE_ARG(id->site));
    if (X509_check_private_key(cert, key) != 1) {
        ERR_clear_error();
        return err_fail(info, ERR_AUTH, "the private key is not that of the certificate");
    }
    enum err err = check_dates(ca, "the CA certificate", now, info);
    return err != ERR_OK ? err : check_dates(cert, "the certificate", now, info);
}

enum err pki_check(struct pki_identity *identity, struct wall now, struct err_info *info)
{
    X509 *ca = parse_cert(identity->ca);
    X509 *cert = parse_cert(identity->certificate);
    EVP_PKEY *key = parse_key(identity->key);
    enum err err;
    if (ca == NULL) {
        err = err_fail(info, ERR_SYNTAX, "the CA certificate does not parse");
    } else if (cert == NULL) {
        err = err_fail(info, ERR_SYNTAX, "the node's certificate does not parse");
    } else if (key == NULL) {
        err = err_fail(info, ERR_SYNTAX, "the node's private key does not parse");
    } else {
        identity->expires = cert_time(X509_get0_notAfter(cert));
        err = check_parts(identity, ca, cert, key, now, info);
    }
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

/* ---- what is installed ---- */

static enum err names_of(struct arena *arena, struct pki_identity *id, struct err_info *info)
{
    char node[LIMIT_NAME + 1];
    char site[LIMIT_NAME + 1];
    X509 *cert = parse_cert(id->certificate);
    bool ok = cert != NULL && subject_field(cert, NID_commonName, node) &&
              subject_field(cert, NID_organizationalUnitName, site);
    if (cert != NULL) id->expires = cert_time(X509_get0_notAfter(cert));
    X509_free(cert);
    if (!ok) return err_fail(info, ERR_SYNTAX, "the installed node.pem is no certificate of a node");
    id->node = arena_copy(arena, slice_of(node));
    id->site = arena_copy(arena, slice_of(site));
    return id->node.p != NULL && id->site.p != NULL ? ERR_OK : err_fail(info, ERR_NOMEM, "no memory");
}

enum err pki_read_identity(struct arena *arena, const char *data_dir, struct pki_identity *out, struct err_info *info)
{
    struct pki_identity id = {0};
    const struct {
        const char *name;
        struct slice *content;
        bool is_secret;
    } files[] = {{"ca.pem", &id.ca, false},
                 {"node.pem", &id.certificate, false},
                 {"node.key", &id.key, true},
                 {"cluster", &id.cluster, false},
                 {"cluster.key", &id.cluster_key, true}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/tls/%s", data_dir, files[i].name);
        if (n < 0 || n >= PATH_MAX) return err_fail(info, ERR_LIMIT, "%s: path too long", data_dir);
        enum err err = secret_file_read(arena, path, files[i].is_secret, files[i].content, info);
        if (err != ERR_OK) return err;
    }
    id.cluster = slice_trim(id.cluster);
    if (!pki_token_valid(id.cluster)) return err_fail(info, ERR_SYNTAX, "%s/tls/cluster: not a cluster id", data_dir);
    enum err err = names_of(arena, &id, info);
    if (err == ERR_OK) *out = id;
    return err;
}
