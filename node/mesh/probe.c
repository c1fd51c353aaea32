/* See probe.h. Two handles, a resolver request, a connection and writes may be open; the memory goes when the last of
 * them has ended. */
#include "node/mesh/probe.h"

#include <netdb.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/bytes.h"
#include "node/base/limits.h"
#include "node/mesh/credentials.h"
#include "node/mesh/internal.h"

#define PROBE_TIMEOUT_MS 3000

struct probe {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_getaddrinfo_t dns;
    uv_connect_t connection;
    char host[LIMIT_HOST + 1];
    struct sockaddr_storage from; /* AF_UNSPEC: none */
    unsigned open;                /* handles and the resolver request that have not ended */
    bool closing;                 /* done was called or will not be */
    bool connected;
    enum probe_kind kind;
    SSL *ssl;
    BIO *in;
    BIO *out;
    char words[LIMIT_TEXT]; /* of the verification that failed, "" none */
    char read_buf[4096];
    void (*done)(void *ctx, enum probe_result result, const char *text);
    void (*ended)(void *owner);
    void *ctx;
    void *owner;
};

struct probe_write {
    uv_write_t req;
    char data[];
};

enum err probe_split(const char *address, char *host, char *port)
{
    struct slice a = slice_of(address);
    const char *colon = strrchr(address, ':');
    uint64_t number;
    if (colon == NULL || colon == address) return ERR_SYNTAX;
    struct slice h = {address, (size_t)(colon - address)};
    struct slice p = {colon + 1, a.n - h.n - 1};
    if (p.n > 5 || slice_u64(p, 65535, &number) != ERR_OK) return ERR_SYNTAX;
    bool bracketed = h.n > 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (bracketed) h = (struct slice){h.p + 1, h.n - 2};
    if (h.n == 0 || h.n > LIMIT_HOST || (!bracketed && memchr(h.p, ':', h.n) != NULL)) return ERR_SYNTAX;
    for (size_t i = 0; i < h.n; i++) {
        if (h.p[i] <= 0x20 || h.p[i] >= 0x7f || strchr("[]/@?#%\\\"'", h.p[i]) != NULL) return ERR_SYNTAX;
    }
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    memcpy(port, p.p, p.n);
    port[p.n] = '\0';
    return ERR_OK;
}

/* ---- ending ---- */

static void one_ended(struct probe *p)
{
    if (--p->open > 0) return;
    void (*ended)(void *owner) = p->ended;
    void *owner = p->owner;
    SSL_free(p->ssl); /* and its two BIOs */
    free(p);
    ended(owner);
}

static void on_closed(uv_handle_t *h)
{
    one_ended(h->data);
}

static void close_all(struct probe *p)
{
    p->closing = true;
    uv_close((uv_handle_t *)&p->tcp, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
    (void)uv_cancel((uv_req_t *)&p->dns); /* in vain when it runs already; its callback comes in every case */
}

void probe_cancel(struct probe *p)
{
    if (p->closing) return;
    p->done = NULL;
    close_all(p);
}

static void finish(struct probe *p, enum probe_result result, const char *text)
{
    if (p->closing) return;
    p->closing = true; /* a probe_cancel out of done is then in vain */
    if (p->done != NULL) p->done(p->ctx, result, text);
    close_all(p);
}

static void on_timeout(uv_timer_t *t)
{
    struct probe *p = t->data;
    if (p->connected) {
        finish(p, PROBE_SILENT, "connected, but no answer in TLS");
    } else {
        finish(p, PROBE_TIMEOUT, "connection timed out");
    }
}

/* ---- TLS ---- */

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct probe *p = SSL_get_app_data(ssl);
    if (ok == 0 && p->words[0] == '\0') {
        certificate_words(X509_STORE_CTX_get_current_cert(store), X509_STORE_CTX_get_error(store), p->words,
                          sizeof p->words);
    }
    return ok;
}

static void on_written(uv_write_t *w, int status)
{
    (void)status; /* the end of reading tells */
    free(CONTAINER_OF(w, struct probe_write, req));
}

static void send_bytes(struct probe *p, const void *data, size_t n)
{
    struct probe_write *w = malloc(sizeof *w + n);
    if (w == NULL) {
        finish(p, PROBE_SILENT, "no memory for a look at it");
        return;
    }
    memcpy(w->data, data, n);
    uv_buf_t buf = uv_buf_init(w->data, (unsigned)n);
    if (uv_write(&w->req, (uv_stream_t *)&p->tcp, &buf, 1, on_written) != 0) free(w);
}

static void flush(struct probe *p)
{
    char data[4096];
    int n;
    while (!p->closing && (n = BIO_read(p->out, data, sizeof data)) > 0)
        send_bytes(p, data, (size_t)n);
}

/* Our certificate was refused when the other side says so in an alert. */
static void tls_failed(struct probe *p)
{
    unsigned long code = ERR_peek_error();
    int alert = ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET;
    char text[LIMIT_TEXT];
    ERR_clear_error();
    if (p->words[0] != '\0') {
        finish(p, PROBE_TLS_THEIRS, p->words);
    } else if (ERR_GET_LIB(code) == ERR_LIB_SSL && alert > 0 && alert < 256) {
        (void)snprintf(text, sizeof text, "it does not take our certificate: %s", SSL_alert_desc_string_long(alert));
        finish(p, PROBE_TLS_OURS, text);
    } else {
        finish(p, PROBE_SILENT, "what answers there does not speak TLS");
    }
}

static void handshake(struct probe *p)
{
    int rv = SSL_do_handshake(p->ssl);
    int error = rv == 1 ? SSL_ERROR_NONE : SSL_get_error(p->ssl, rv);
    flush(p); /* the alert too, when it failed */
    if (rv == 1) {
        finish(p, PROBE_FINE, "TLS is up");
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        tls_failed(p);
    }
}

static bool tls_start(struct probe *p, SSL_CTX *tls)
{
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    p->ssl = SSL_new(tls);
    if (p->in == NULL || p->out == NULL || p->ssl == NULL) {
        BIO_free(p->in);
        BIO_free(p->out);
        SSL_free(p->ssl);
        p->ssl = NULL;
        return false;
    }
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_app_data(p->ssl, p);
    SSL_set_verify(p->ssl, SSL_VERIFY_PEER, on_verify);
    SSL_set_connect_state(p->ssl);
    return SSL_set1_host(p->ssl, MESH_SERVER_NAME) == 1 && SSL_set_tlsext_host_name(p->ssl, MESH_SERVER_NAME) == 1;
}

/* ---- connection ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct probe *p = h->data;
    (void)suggested;
    *buf = uv_buf_init(p->read_buf, sizeof p->read_buf);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct probe *p = stream->data;
    if (p->closing || n == 0) return;
    if (p->kind == PROBE_LISTENER) {
        finish(p, PROBE_FINE, "the listener answers");
    } else if (n < 0) {
        finish(p, PROBE_SILENT, "connection closed in the TLS handshake");
    } else if (BIO_write(p->in, buf->base, (int)n) == (int)n) {
        handshake(p);
    } else {
        finish(p, PROBE_SILENT, "no memory for a look at it");
    }
}

static const char *connect_words(int status)
{
    switch (status) {
    case UV_ECONNREFUSED: return "connection refused";
    case UV_ETIMEDOUT: return "connection timed out";
    case UV_ENETUNREACH: return "no route: the network is unreachable";
    case UV_EHOSTUNREACH: return "no route: the host is unreachable";
    case UV_EACCES:
    case UV_EPERM: return "connection forbidden by a filter on this machine";
    default: return uv_strerror(status);
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct probe *p = req->handle->data;
    if (p->closing) return;
    if (status != 0 || uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read) != 0) {
        finish(p, PROBE_CONNECT, status != 0 ? connect_words(status) : "connection failed");
        return;
    }
    p->connected = true;
    if (p->kind == PROBE_LISTENER) {
        /* A record type that TLS does not have: it is refused without any cryptography. */
        send_bytes(p, "tandem watchdog\r\n", 17);
    } else {
        handshake(p);
    }
}

static void connect_to(struct probe *p, const struct sockaddr *sa)
{
    const struct sockaddr *from = (const struct sockaddr *)&p->from;
    int rv = from->sa_family == sa->sa_family ? uv_tcp_bind(&p->tcp, from, 0) : 0;
    if (rv == 0) rv = uv_tcp_connect(&p->connection, &p->tcp, sa, on_connect);
    if (rv != 0) finish(p, PROBE_CONNECT, connect_words(rv));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct probe *p = req->data;
    char text[LIMIT_TEXT];
    if (!p->closing) {
        if (status != 0 || res == NULL) {
            (void)snprintf(text, sizeof text, "the host name %s does not resolve: %s", p->host,
                           status != 0 ? uv_strerror(status) : "no address");
            finish(p, PROBE_NAME, text);
        } else {
            connect_to(p, res->ai_addr);
        }
    }
    uv_freeaddrinfo(res);
    one_ended(p);
}

enum err probe_start(uv_loop_t *loop, SSL_CTX *tls, enum probe_kind kind, const char *address,
                     const struct sockaddr *from, void (*done)(void *ctx, enum probe_result result, const char *text),
                     void (*ended)(void *owner), void *ctx, void *owner, struct probe **out)
{
    char host[LIMIT_HOST + 1];
    char port[6];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    enum err err = probe_split(address, host, port);
    if (err != ERR_OK) return err;
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    p->kind = kind;
    memcpy(p->host, host, sizeof host);
    if (from != NULL)
        memcpy(&p->from, from, from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    p->done = done;
    p->ended = ended;
    p->ctx = ctx;
    p->owner = owner;
    if (kind == PROBE_PEER && !tls_start(p, tls)) {
        SSL_free(p->ssl);
        free(p);
        return ERR_NOMEM;
    }
    p->dns.data = p;
    /* A literal address goes the same way; it is resolved without asking anyone. */
    if (uv_getaddrinfo(loop, &p->dns, on_resolved, host, port, &hints) != 0) {
        SSL_free(p->ssl);
        free(p);
        return ERR_IO;
    }
    (void)uv_tcp_init(loop, &p->tcp);
    (void)uv_timer_init(loop, &p->timer);
    p->tcp.data = p;
    p->timer.data = p;
    p->open = 3;
    (void)uv_timer_start(&p->timer, on_timeout, PROBE_TIMEOUT_MS, 0);
    *out = p;
    return ERR_OK;
}
