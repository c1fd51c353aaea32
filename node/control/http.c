/* http: see the header. The listening socket is ours, so that its errors have words; libmicrohttpd does the rest. */
#include "node/control/http.h"

#include "node/control/host.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_CONNECTIONS 32
#define HTTP_PATIENCE_S 15
#define HTTP_REQUEST_BYTES 16384
#define HTTP_BACKLOG 64

#define HTTP_COUNTERS(X)                                                                                               \
    X(requests)                                                                                                        \
    X(not_found)                                                                                                       \
    X(host_refused) /* pages that were asked for by a name with a dot */                                               \
    X(bad_method)                                                                                                      \
    X(failed)

#define HTTP_COUNTER_ENUM(id) HTTP_COUNT_##id,
enum http_count { HTTP_COUNTERS(HTTP_COUNTER_ENUM) HTTP_COUNT_MAX };
static const char *const counter_names[HTTP_COUNT_MAX] = {HTTP_COUNTERS(COUNTER_NAME)};

struct http {
    struct http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;   /* its epoll descriptor */
    uv_timer_t timer; /* its next timeout */
    unsigned handles;
    unsigned port;
    void (*closed)(void *ctx);
    void *closed_ctx;
    _Atomic uint64_t counts[HTTP_COUNT_MAX];
    struct counter_table counters;
};

struct http_request {
    struct MHD_Connection *connection;
};

/* ---- pages ---- */

static unsigned page_metrics(struct http *h, struct buf *out)
{
    struct metrics_writer w = {.out = out};
    for (size_t i = 0; i < h->options.table_count; i++) {
        metrics_counters(&w, h->options.tables[i]);
    }
    metrics_counters(&w, &h->counters);
    if (h->options.gauges != NULL) h->options.gauges(h->options.ctx, &w);
    return MHD_HTTP_OK;
}

static unsigned page_healthz(struct http *h, struct buf *out)
{
    bool fit = h->options.healthz == NULL || h->options.healthz(h->options.ctx, out);
    if (out->n == 0) buf_text(out, fit ? "ok\n" : "not fit for calls\n");
    return fit ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned page_missing(struct http *h, struct buf *out)
{
    counter_add(&h->counts[HTTP_COUNT_not_found], 1);
    buf_text(out, "There is no such page. There are");
    for (size_t i = 0; i < h->options.page_count; i++)
        buf_printf(out, " %s,", h->options.pages[i].path);
    buf_text(out, " /metrics and /healthz.\n");
    return MHD_HTTP_NOT_FOUND;
}

/* Why, and what to do: the asker may be the operator, whose proxy or name server uses a full name. */
static unsigned page_refused(struct http *h, struct buf *out)
{
    counter_add(&h->counts[HTTP_COUNT_host_refused], 1);
    buf_text(out,
             "This page has no login, and a site that somebody visits could read it under a name of its own (DNS "
             "rebinding).\nIt is therefore shown only where the Host header is an address or a name without a dot.\n"
             "Open it by the node's address; a proxy in front of it sets Host to localhost.\n");
    return MHD_HTTP_FORBIDDEN;
}

/* The page of that path in *found, NULL when it is none of ours or is not shown. */
static unsigned page_other(struct http *h, const char *path, const struct http_request *request,
                           const struct http_page **found, struct buf *out)
{
    const struct http_page *page = NULL;
    for (size_t i = 0; i < h->options.page_count && page == NULL; i++) {
        if (strcmp(h->options.pages[i].path, path) == 0) page = &h->options.pages[i];
    }
    if (page == NULL) return page_missing(h, out);
    const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (page->near && !host_is_near(slice_of(host))) return page_refused(h, out);
    *found = page;
    return page->handler(h->options.ctx, request, out);
}

const char *http_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- one request ---- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *response, unsigned status, const char *type, const char *policy)
{
    return add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
           add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
           add_header(response, "X-Content-Type-Options", "nosniff") &&
           add_header(response, "Referrer-Policy", "no-referrer") &&
           add_header(response, "Content-Security-Policy", policy) &&
           add_header(response, MHD_HTTP_HEADER_ALLOW, status == MHD_HTTP_METHOD_NOT_ALLOWED ? "GET, HEAD" : NULL);
}

/* Sends out, whose memory goes to the library. policy may be NULL. */
static enum MHD_Result respond(struct http *h, struct MHD_Connection *connection, unsigned status, const char *type,
                               const char *policy, struct buf *out)
{
    struct MHD_Response *response = NULL;
    enum MHD_Result sent = MHD_NO;
    if (!out->failed) {
        response = MHD_create_response_from_buffer(out->n, out->p,
                                                   out->p != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    }
    if (response != NULL) {
        *out = (struct buf){0};
        if (add_headers(response, status, type, policy)) sent = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
    }
    buf_fini(out);
    if (sent == MHD_NO) counter_add(&h->counts[HTTP_COUNT_failed], 1);
    return sent;
}

/* Calls the page of the path. */
static enum MHD_Result serve(struct http *h, struct MHD_Connection *connection, const char *url)
{
    struct http_request request = {.connection = connection};
    const struct http_page *page = NULL;
    struct buf out = {0};
    const char *type = "text/plain; charset=utf-8";
    unsigned status = 0;
    if (strcmp(url, "/metrics") == 0) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        status = page_metrics(h, &out);
    } else if (strcmp(url, "/healthz") == 0) {
        status = page_healthz(h, &out);
    } else {
        status = page_other(h, url, &request, &page, &out);
    }
    return respond(h, connection, status, page != NULL ? page->content_type : type, page != NULL ? page->policy : NULL,
                   &out);
}

/* The library calls first with the headers alone, then with pieces of the body, then without any. An answer to the
 * first call ends the connection, which is right for a method that we do not serve: its body is never read. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct http *h = ctx;
    (void)version;
    (void)upload;
    if (*state == NULL) {
        *state = h;
        counter_add(&h->counts[HTTP_COUNT_requests], 1);
        if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) return MHD_YES;
        struct buf empty = {0};
        counter_add(&h->counts[HTTP_COUNT_bad_method], 1);
        return respond(h, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", NULL, &empty);
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    return serve(h, connection, url);
}

static void on_library_log(void *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_library_log(void *ctx, const char *fmt, va_list ap)
{
    struct http *h = ctx;
    char text[256];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\r\n")] = '\0';
    log_event(h->options.log, LOG_DEBUG, "http", "library", "text=\"%s\"", text);
}

/* ---- on the loop ---- */

static void http_turn(struct http *h);

static void on_timer(uv_timer_t *t)
{
    http_turn(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    http_turn(p->data);
}

/* Lets the library work, and asks when it wants to be called although nothing arrives. */
static void http_turn(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    (void)MHD_run(h->daemon);
    if (MHD_get_timeout(h->daemon, &ms) != MHD_YES) {
        (void)uv_timer_stop(&h->timer);
        return;
    }
    ASSERT(uv_timer_start(&h->timer, on_timer, ms, 0) == 0);
}

/* ---- opening and closing ---- */

static enum err parse_listen(const char *text, struct sockaddr_storage *addr, struct err_info *info)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port = 0;
    if (colon != NULL && slice_u64(slice_of(colon + 1), 65535, &port) == ERR_OK) {
        bool v6 = text[0] == '[' && colon > text && colon[-1] == ']';
        const char *from = v6 ? text + 1 : text;
        (void)snprintf(host, sizeof host, "%.*s", (int)(colon - from - v6), from);
        int status = v6 ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)addr)
                        : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)addr);
        if (status == 0) return ERR_OK;
    }
    return err_fail(info, ERR_SYNTAX, "http: '%s' is no address with a port, such as 127.0.0.1:8080 or [::1]:8080",
                    text);
}

static unsigned port_of(const struct sockaddr_storage *addr)
{
    if (addr->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
    return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

static enum err listen_at(const char *text, int *out, unsigned *port, struct err_info *info)
{
    struct sockaddr_storage addr = {0};
    socklen_t n = sizeof addr;
    int on = 1;
    enum err e = parse_listen(text, &addr, info);
    if (e != ERR_OK) return e;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_fail(info, ERR_IO, "http: no socket: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&addr,
             addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0 &&
        listen(fd, HTTP_BACKLOG) == 0 && getsockname(fd, (struct sockaddr *)&addr, &n) == 0) {
        *out = fd;
        *port = port_of(&addr);
        return ERR_OK;
    }
    int failed = errno;
    (void)close(fd);
    if (failed == EADDRINUSE) {
        return err_fail(info, ERR_EXISTS,
                        "http: %s is already in use: stop the program that holds it (ss -ltnp lists them) or give "
                        "http another port",
                        text);
    }
    return err_fail(info, ERR_IO, "http: cannot listen on %s: %s", text, strerror(failed));
}

static void http_free(struct http *h)
{
    free((void *)(uintptr_t)h->options.tables);
    free((void *)(uintptr_t)h->options.pages);
    free(h);
}

/* NULL: no memory. An empty list is copied too. */
static void *list_copy(const void *list, size_t count, size_t size)
{
    void *copy = calloc(count + 1, size);
    if (copy != NULL && count > 0) memcpy(copy, list, count * size);
    return copy;
}

static struct http *http_new(const struct http_options *options)
{
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    h->options = *options;
    h->options.tables = list_copy(options->tables, options->table_count, sizeof *options->tables);
    h->options.pages = list_copy(options->pages, options->page_count, sizeof *options->pages);
    h->counters = (struct counter_table){"http", counter_names, h->counts, HTTP_COUNT_MAX};
    if (h->options.tables != NULL && h->options.pages != NULL) return h;
    http_free(h);
    return NULL;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;
    if (--h->handles > 0) return;
    void (*closed)(void *) = h->closed;
    void *ctx = h->closed_ctx;
    MHD_stop_daemon(h->daemon); /* after the poll handle: the descriptor is the library's */
    http_free(h);
    if (closed != NULL) closed(ctx);
}

void http_close(struct http *h, void (*closed)(void *ctx), void *ctx)
{
    h->closed = closed;
    h->closed_ctx = ctx;
    uv_close((uv_handle_t *)&h->poll, on_handle_closed);
    uv_close((uv_handle_t *)&h->timer, on_handle_closed);
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER,
                            on_library_log, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_PATIENCE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_BYTES, MHD_OPTION_END);
}

enum err http_open(const struct http_options *options, struct http **out, struct err_info *info)
{
    int fd = -1;
    struct http *h = http_new(options);
    if (h == NULL) return err_fail(info, ERR_NOMEM, "no memory for http");
    enum err e = listen_at(options->listen, &fd, &h->port, info);
    if (e != ERR_OK) goto out;

    e = err_fail(info, ERR_NOMEM, "http: the library cannot start");
    h->daemon = start_daemon(h, fd);
    if (h->daemon == NULL) goto out;
    fd = -1; /* the library's from here on */

    e = err_fail(info, ERR_IO, "http: the library has no descriptor to wait on");
    const union MHD_DaemonInfo *epoll = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (epoll == NULL || uv_poll_init(options->loop, &h->poll, epoll->epoll_fd) != 0) goto out;
    ASSERT(uv_timer_init(options->loop, &h->timer) == 0);
    h->poll.data = h;
    h->timer.data = h;
    h->handles = 2;
    ASSERT(uv_poll_start(&h->poll, UV_READABLE, on_poll) == 0);
    log_event(options->log, LOG_INFO, "http", "listening", "address=%s port=%u", options->listen, h->port);
    *out = h;
    return ERR_OK;
out:
    if (h->daemon != NULL) MHD_stop_daemon(h->daemon);
    if (fd >= 0) (void)close(fd);
    http_free(h);
    return e;
}

unsigned http_port(const struct http *h)
{
    return h->port;
}
const struct counter_table *http_counters(const struct http *h)
{
    return &h->counters;
}
