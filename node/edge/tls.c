#include "node/edge/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/edge/tls_names.h"
#include "node/plan/object.h"

struct tls_context {
    SSL_CTX *server;        /* what is shown to everybody */
    SSL_CTX *member_server; /* what is shown to members, where that is another certificate; else NULL */
    SSL_CTX *member;        /* client towards members */
    SSL_CTX *guest;         /* client towards everyone else; its store has the system's authorities */
    bool has_ca;
};

struct tls_session {
    SSL *ssl;
    BIO *in;                 /* owned by ssl */
    BIO *out;                /* owned by ssl */
    X509_STORE *authorities; /* the system's; a reference */
    SSL_CTX *member_server;  /* the context's; a reference, NULL where it has none */
    bool judge;              /* the certificate is judged against the cluster CA */
    bool chained;            /* the handshake proved a chain to the system's authorities */
    bool unproved;           /* it did not verify */
    char error[160];
};

/* ---- contexts ---- */

/* The first reason in OpenSSL's queue, which is then empty: those that follow say only who was told of it. */
static const char *openssl_reason(char *out, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    (void)snprintf(out, size, "%s", reason != NULL ? reason : "unknown reason");
    ERR_clear_error();
    return out;
}

/* A key that needs a passphrase is refused; OpenSSL would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)writing;
    (void)ctx;
    if (size > 0) out[0] = '\0';
    return -1;
}

static SSL_CTX *context_base(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);
    if (c == NULL) return NULL;
    if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1) {
        SSL_CTX_free(c);
        return NULL;
    }
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(c, 0);
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    /* Buffers go back when idle: thousands of connections are kept open. */
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    return c;
}

static enum err file_bad(struct err_info *info, const char *what, const char *file)
{
    char reason[120];
    return err_fail(info, ERR_AUTH, "TLS %s %s cannot be used: %s", what, file, openssl_reason(reason, sizeof reason));
}

static enum err use_identity(SSL_CTX *c, const char *cert_file, const char *key_file, struct err_info *info)
{
    if (key_file == NULL) return err_fail(info, ERR_AUTH, "TLS certificate %s has no key file beside it", cert_file);
    if (SSL_CTX_use_certificate_chain_file(c, cert_file) != 1) return file_bad(info, "certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(c, key_file, SSL_FILETYPE_PEM) != 1) return file_bad(info, "key", key_file);
    if (SSL_CTX_check_private_key(c) != 1) return file_bad(info, "key", key_file);
    return ERR_OK;
}

static enum err trust_cluster(struct tls_context *c, const char *ca_file, struct err_info *info)
{
    /* Clients are not told this CA's name: a trunk would then keep back its certificate, which is of another one. */
    SSL_CTX *const all[] = {c->server, c->member_server, c->member};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != NULL && SSL_CTX_load_verify_locations(all[i], ca_file, NULL) != 1)
            return file_bad(info, "CA", ca_file);
    }
    return ERR_OK;
}

/* Lets a certificate that does not verify pass, and remembers that it did not. */
static int note_unproved(int ok, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *s = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
    if (s == NULL) return 0;
    if (!ok) s->unproved = true;
    return 1;
}

/* A member says so by the name that it asks for. */
static int choose_certificate(SSL *ssl, int *alert, void *ctx)
{
    const struct tls_session *s = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    (void)ctx; /* the context may be gone already */
    if (name == NULL || strcmp(name, TLS_MEMBER_NAME) != 0) return SSL_TLSEXT_ERR_NOACK;
    return SSL_set_SSL_CTX(ssl, s->member_server) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum err use_files(struct tls_context *c, const struct tls_files *f, struct err_info *info)
{
    bool is_public = f->public_cert != NULL;
    enum err err =
        use_identity(c->server, is_public ? f->public_cert : f->cert, is_public ? f->public_key : f->key, info);
    if (err == ERR_OK && is_public) err = use_identity(c->guest, f->public_cert, f->public_key, info);
    if (err == ERR_OK && f->cert != NULL) err = use_identity(c->member, f->cert, f->key, info);
    if (err == ERR_OK && c->member_server != NULL) err = use_identity(c->member_server, f->cert, f->key, info);
    if (err == ERR_OK && f->ca != NULL) err = trust_cluster(c, f->ca, info);
    return err;
}

enum err tls_context_new(const struct tls_files *files, struct tls_context **out, struct err_info *info)
{
    enum err err = ERR_NOMEM;
    bool two = files->public_cert != NULL && files->cert != NULL;
    struct tls_context *c = calloc(1, sizeof *c);
    ERR_clear_error();
    if (c == NULL) goto out;
    c->server = context_base(TLS_server_method());
    c->member_server = two ? context_base(TLS_server_method()) : NULL;
    c->member = context_base(TLS_client_method());
    c->guest = context_base(TLS_client_method());
    if (c->server == NULL || (two && c->member_server == NULL) || c->member == NULL || c->guest == NULL) {
        err = err_fail(info, ERR_NOMEM, "TLS cannot be set up: no memory");
        goto out;
    }
    c->has_ca = files->ca != NULL;
    err = use_files(c, files, info);
    if (err != ERR_OK) goto out;
    if (two) (void)SSL_CTX_set_tlsext_servername_callback(c->server, choose_certificate); /* cannot fail */
    SSL_CTX_set_verify(c->server, SSL_VERIFY_PEER, note_unproved);
    SSL_CTX_set_verify(c->member, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify(c->guest, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_default_verify_paths(c->guest); /* without authorities nobody verifies, which is safe */
    ERR_clear_error();
    *out = c;
    c = NULL;
out:
    tls_context_free(c);
    return err;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL) return;
    SSL_CTX_free(c->server);
    SSL_CTX_free(c->member_server);
    SSL_CTX_free(c->member);
    SSL_CTX_free(c->guest);
    free(c);
}

static int64_t end_of(const SSL_CTX *c)
{
    const X509 *cert = c != NULL ? SSL_CTX_get0_certificate(c) : NULL;
    struct tm tm;
    return cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

struct tls_ends tls_context_ends(const struct tls_context *c)
{
    return (struct tls_ends){.member_s = end_of(c->member), .public_s = end_of(c->guest)};
}

/* ---- sessions ---- */

struct tls_session *tls_session_new(struct tls_context *c, enum tls_role role)
{
    SSL_CTX *base = role == TLS_SERVER ? c->server : role == TLS_CLIENT_MEMBER ? c->member : c->guest;
    struct tls_session *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->judge = c->has_ca && role != TLS_CLIENT_PUBLIC;
    s->chained = role == TLS_CLIENT_PUBLIC;
    s->ssl = SSL_new(base);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (s->ssl == NULL || s->in == NULL || s->out == NULL) {
        BIO_free(s->in);
        BIO_free(s->out);
        SSL_free(s->ssl);
        free(s);
        ERR_clear_error();
        return NULL;
    }
    s->authorities = SSL_CTX_get_cert_store(c->guest);
    if (X509_STORE_up_ref(s->authorities) != 1) s->authorities = NULL;
    if (c->member_server != NULL && SSL_CTX_up_ref(c->member_server) == 1) s->member_server = c->member_server;
    SSL_set_bio(s->ssl, s->in, s->out);
    (void)SSL_set_app_data(s->ssl, s);
    if (role == TLS_SERVER) {
        SSL_set_accept_state(s->ssl);
    } else {
        SSL_set_connect_state(s->ssl);
    }
    if (role == TLS_CLIENT_MEMBER && SSL_set_tlsext_host_name(s->ssl, TLS_MEMBER_NAME) != 1) {
        tls_session_free(s);
        return NULL;
    }
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (s == NULL) return;
    SSL_free(s->ssl);
    X509_STORE_free(s->authorities);
    SSL_CTX_free(s->member_server);
    free(s);
}

enum err tls_session_feed(struct tls_session *s, const void *data, size_t n)
{
    size_t done = 0;
    if (n == 0) return ERR_OK;
    if (BIO_write_ex(s->in, data, n, &done) == 1 && done == n) return ERR_OK;
    ERR_clear_error();
    return ERR_NOMEM;
}

void tls_session_take(struct tls_session *s, struct buf *out)
{
    size_t n = BIO_ctrl_pending(s->out);
    if (n == 0) return;
    char *room = buf_room(out, n);
    size_t done = 0;
    if (room != NULL && BIO_read_ex(s->out, room, n, &done) == 1) out->n += done;
}

/* What a call that did not succeed means. */
static enum tls_progress progress_of(struct tls_session *s, int result)
{
    int why = SSL_get_error(s->ssl, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return TLS_WAIT;
    if (why == SSL_ERROR_ZERO_RETURN) {
        (void)snprintf(s->error, sizeof s->error, "closed by the peer");
        return TLS_FAILED;
    }
    long verdict = SSL_get_verify_result(s->ssl);
    char reason[80];
    (void)openssl_reason(reason, sizeof reason);
    if (verdict != X509_V_OK && !s->unproved) {
        (void)snprintf(s->error, sizeof s->error, "%s: %s", reason, X509_verify_cert_error_string(verdict));
    } else {
        (void)snprintf(s->error, sizeof s->error, "%s", reason);
    }
    return TLS_FAILED;
}

enum tls_progress tls_session_handshake(struct tls_session *s)
{
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl);
    return result == 1 ? TLS_READY : progress_of(s, result);
}

enum tls_progress tls_session_read(struct tls_session *s, char *out, size_t *n)
{
    size_t room = *n;
    *n = 0;
    ERR_clear_error();
    int result = SSL_read_ex(s->ssl, out, room, n);
    return result == 1 ? TLS_READY : progress_of(s, result);
}

enum err tls_session_write(struct tls_session *s, struct slice data)
{
    size_t done = 0;
    ERR_clear_error();
    /* The output grows in memory, so a write is never partial and never waits once the handshake is done. */
    if (SSL_write_ex(s->ssl, data.p, data.n, &done) == 1 && done == data.n) return ERR_OK;
    ERR_clear_error();
    return ERR_IO;
}

void tls_session_shutdown(struct tls_session *s)
{
    ERR_clear_error();
    if (SSL_is_init_finished(s->ssl)) (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}

/* The one common name, when it is a node's name. Whole-length comparison of characters refuses an embedded NUL. */
static bool node_name_of(const X509 *cert, char name[LIMIT_NAME + 1])
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return false;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, value);
    bool good = len > 0 && len <= LIMIT_NAME && plan_name_valid((struct slice){(const char *)text, (size_t)len});
    if (good) {
        memcpy(name, text, (size_t)len);
        name[len] = '\0';
    }
    OPENSSL_free(text);
    return good;
}

bool tls_session_member(const struct tls_session *s, char name[LIMIT_NAME + 1])
{
    if (!s->judge || s->unproved || SSL_get_verify_result(s->ssl) != X509_V_OK) return false;
    X509 *cert = SSL_get1_peer_certificate(s->ssl); /* none: the verify result says OK, so this is the proof */
    if (cert == NULL) return false;
    bool member = node_name_of(cert, name);
    X509_free(cert);
    ERR_clear_error();
    return member;
}

/* ---- names of others ---- */

enum err tls_session_ask(struct tls_session *s, const char *host)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    bool literal = ip != NULL;
    ASN1_OCTET_STRING_free(ip);
    ERR_clear_error();
    return literal || SSL_set_tlsext_host_name(s->ssl, host) == 1 ? ERR_OK : ERR_NOMEM;
}

bool tls_session_proves(const struct tls_session *s, const char *host)
{
    X509 *cert = SSL_get1_peer_certificate(s->ssl);
    if (cert == NULL) return false;
    bool proved = tls_names_prove(cert, host);
    X509_free(cert);
    ERR_clear_error();
    return proved;
}

enum tls_names tls_session_names(struct tls_session *s, struct buf *out)
{
    enum tls_names result = TLS_NAMES_UNPROVED;
    X509 *cert = SSL_get1_peer_certificate(s->ssl);
    if (cert == NULL) return TLS_NAMES_NO_CERTIFICATE;
    const char *why = s->chained ? NULL : tls_names_doubt(s->authorities, cert, SSL_get_peer_cert_chain(s->ssl));
    if (why == NULL) {
        result = tls_names_list(cert, out) ? TLS_NAMES_ALL : TLS_NAMES_MORE;
    } else {
        (void)snprintf(s->error, sizeof s->error, "%s", why);
    }
    X509_free(cert);
    ERR_clear_error();
    return result;
}

const char *tls_session_error(const struct tls_session *s)
{
    return s->error;
}
