/* test_http: the web side over real sockets on loopback, on any free port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/control/http.h"

#define GUARD_MS 20000

struct bench {
    uv_loop_t loop;
    uv_timer_t guard;
    struct http *http;
    bool closed;
    bool fit;
};

static void no_sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    (void)level;
    (void)module;
    (void)ev;
    (void)pairs;
}
static const struct log no_log = {.max = LOG_DEBUG, .sink = no_sink};

static void on_guard(uv_timer_t *t)
{
    (void)t;
    fail_msg("what was waited for did not come");
}

static void gauges(void *ctx, struct metrics_writer *w)
{
    (void)ctx;
    metrics_gauge(w, "tandem_members", "Members.", NULL, 0, 2);
}

static bool healthz(void *ctx, struct buf *out)
{
    struct bench *b = ctx;
    if (!b->fit) buf_text(out, "no plan yet\n");
    return b->fit;
}

static unsigned hello(void *ctx, const struct http_request *request, struct buf *out)
{
    const char *name = http_query(request, "name");
    (void)ctx;
    buf_printf(out, "<p>%s</p>", name != NULL ? name : "nobody");
    return 200;
}

static const char *const count_names[] = {"drops"};
static _Atomic uint64_t count_values[1] = {7};
static const struct counter_table edge = {"edge", count_names, count_values, 1};
static const struct http_page pages[] = {
    {.path = "/hello", .content_type = "text/html; charset=utf-8", .handler = hello},
    {.path = "/near", .content_type = "text/html", .policy = "default-src 'none'", .near = true, .handler = hello}};

static enum err open_at(struct bench *b, const char *listen, struct http **out, struct err_info *info)
{
    const struct counter_table *const tables[] = {&edge}; /* gone when the first page is asked for */
    const struct http_options options = {.loop = &b->loop,
                                         .log = &no_log,
                                         .listen = listen,
                                         .tables = tables,
                                         .table_count = 1,
                                         .gauges = gauges,
                                         .healthz = healthz,
                                         .pages = pages,
                                         .page_count = sizeof pages / sizeof pages[0],
                                         .ctx = b};
    return http_open(&options, out, info);
}

static void bench_open(struct bench *b)
{
    struct err_info info = {0};
    *b = (struct bench){.fit = true};
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->guard), 0);
    assert_int_equal(uv_timer_start(&b->guard, on_guard, GUARD_MS, 0), 0);
    if (open_at(b, "127.0.0.1:0", &b->http, &info) != ERR_OK) fail_msg("%s", info.text);
}

static void on_closed(void *ctx)
{
    ((struct bench *)ctx)->closed = true;
}

static void bench_close(struct bench *b)
{
    http_close(b->http, on_closed, b);
    uv_close((uv_handle_t *)&b->guard, NULL);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_true(b->closed);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static int dial(const struct bench *b)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(b->http))};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What comes until the text until has come, or the end of the stream when it is NULL. */
static void take(struct bench *b, int fd, const char *until, struct buf *in)
{
    buf_reset(in);
    for (;;) {
        char *room = buf_room(in, 65536);
        assert_non_null(room);
        ssize_t n = recv(fd, room, 65535, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            assert_null(until);
            room[0] = '\0';
            return;
        }
        if (n > 0) {
            in->n += (size_t)n;
            in->p[in->n] = '\0';
            if (until != NULL && strstr(in->p, until) != NULL) return;
        } else {
            (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        }
    }
}

static void expect(const struct buf *in, const char *text)
{
    if (strstr(in->p, text) == NULL) fail_msg("no '%s' in:\n%s", text, in->p);
}

static void test_pages(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool fit;
        const char *want[4];
    } rows[] = {
        {"GET /metrics",
         true,
         {"200 OK", "tandem_edge_drops_total 7\n", "tandem_members 2\n", "tandem_http_requests_total 1\n"}},
        {"GET /healthz", true, {"200 OK", "\r\n\r\nok\n"}},
        {"GET /healthz", false, {"503 ", "no plan yet\n"}},
        {"HEAD /healthz", true, {"200 OK", "Content-Length: 3\r\n"}},
        {"GET /hello?name=J%C3%B6rg", true, {"200 OK", "text/html", "<p>J\xc3\xb6rg</p>"}},
        {"GET /hello", true, {"200 OK", "<p>nobody</p>"}},
        {"GET /", true, {"404 ", "There is no such page. There are /hello, /near, /metrics and /healthz.\n"}},
        {"HEAD /near", true, {"200 OK", "Content-Length: 13\r\n"}},
        {"GET /near", true, {"200 OK", "Content-Security-Policy: default-src 'none'\r\n", "no-referrer", "nosniff"}},
        {"POST /metrics", true, {"405 ", "Allow: GET, HEAD"}},
        {"DELETE /hello", true, {"405 "}},
        {"nonsense", true, {"400 "}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        struct buf in = {0};
        char text[256];
        bench_open(&b);
        b.fit = rows[i].fit;
        int fd = dial(&b);
        (void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", rows[i].request);
        put(fd, text);
        take(&b, fd, NULL, &in);
        for (size_t k = 0; k < 4 && rows[i].want[k] != NULL; k++)
            expect(&in, rows[i].want[k]);
        (void)close(fd);
        buf_fini(&in);
        bench_close(&b);
    }
}

/* Asks with that line of headers, "" none. */
static void ask_with(struct bench *b, const char *path, const char *version, const char *line, struct buf *in)
{
    char text[256];
    int fd = dial(b);
    (void)snprintf(text, sizeof text, "GET %s HTTP/%s\r\n%sConnection: close\r\n\r\n", path, version, line);
    put(fd, text);
    take(b, fd, NULL, in);
    (void)close(fd);
}

static void test_host(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0};
    bench_open(&b);
    ask_with(&b, "/near", "1.1", "Host: node-1:8080\r\n", &in);
    expect(&in, "200 OK");
    ask_with(&b, "/near", "1.1", "Host: name.of.a.stranger\r\n", &in);
    expect(&in, "403 ");
    expect(&in, "text/plain");
    expect(&in, "a proxy in front of it sets Host to localhost.\n");
    assert_null(strstr(in.p, "nobody"));
    ask_with(&b, "/near", "1.0", "", &in);
    expect(&in, "403 ");
    ask_with(&b, "/hello", "1.1", "Host: name.of.a.stranger\r\n", &in);
    expect(&in, "200 OK");
    ask_with(&b, "/metrics", "1.1", "Host: name.of.a.stranger\r\n", &in);
    expect(&in, "tandem_http_host_refused_total 2\n");
    buf_fini(&in);
    bench_close(&b);
}

static void test_kept_connection_and_slow_neighbour(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0};
    bench_open(&b);
    int slow = dial(&b);
    int fd = dial(&b);
    put(slow, "GET /hel");
    for (int i = 0; i < 3; i++) {
        put(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        take(&b, fd, "\r\n\r\nok\n", &in);
    }
    put(slow, "thz HTTP/1.1\r\nHost: x\r\n\r\n");
    take(&b, slow, "404 ", &in);
    (void)close(fd);
    (void)close(slow);
    buf_fini(&in);
    bench_close(&b);
}

static void test_oversize_request(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0};
    struct buf text = {0};
    bench_open(&b);
    int fd = dial(&b);
    buf_text(&text, "GET /metrics HTTP/1.1\r\nHost: x\r\n");
    while (text.n < 30000)
        buf_text(&text, "X-Filler: ffffffffffffffffffffffffffffffffffffffff\r\n");
    buf_add(&text, "", 1);
    put(fd, text.p);
    take(&b, fd, NULL, &in);
    if (in.n > 0) expect(&in, "431 ");
    (void)close(fd);
    buf_fini(&in);
    buf_fini(&text);
    bench_close(&b);
}

static void test_listen_errors(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "8080",         ":8080",         "localhost:80", "127.0.0.1:", "[::1]", "127.0.0.1:65536",
        "::1:8080:x", "1.2.3.4.5:80", "[127.0.0.1]:80"};
    struct bench b;
    struct err_info info = {0};
    struct http *none = NULL;
    char text[64];
    bench_open(&b);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (open_at(&b, bad[i], &none, &info) != ERR_SYNTAX) fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(info.text, "127.0.0.1:8080"));
    }
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", http_port(b.http));
    assert_int_equal(open_at(&b, text, &none, &info), ERR_EXISTS);
    assert_null(none);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_kept_connection_and_slow_neighbour),
        cmocka_unit_test(test_oversize_request),
        cmocka_unit_test(test_listen_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
