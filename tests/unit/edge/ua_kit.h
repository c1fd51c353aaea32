/* ua_kit: user agents on plain sockets of 127.0.0.1, beside the edges of edge_kit. */
#ifndef TANDEM_TEST_UA_KIT_H
#define TANDEM_TEST_UA_KIT_H

#include "edge_kit.h"

struct ua {
    int fd;
    uint16_t port;
    char in[65536];
    size_t len;
    struct sip_view v; /* the last message */
    struct sockaddr_in from;
    char kept[65536]; /* a message set aside */
    struct sip_view kept_v;
};

static inline void ua_open_at(struct ua *u, const char *host)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
    socklen_t len = sizeof a;
    memset(u, 0, sizeof *u);
    u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(u->fd >= 0);
    assert_int_equal(bind(u->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(u->fd, (struct sockaddr *)&a, &len), 0);
    u->port = ntohs(a.sin_port);
}

static inline void ua_open(struct ua *u)
{
    ua_open_at(u, "127.0.0.1");
}

static inline void ua_close(struct ua *u)
{
    (void)close(u->fd);
    u->fd = -1;
}

static inline void ua_send_bytes(struct ua *u, uint16_t port, const char *text, size_t n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    assert_int_equal(sendto(u->fd, text, n, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)n);
}

__attribute__((format(printf, 3, 4))) static inline void ua_send(struct ua *u, uint16_t port, const char *fmt, ...)
{
    char text[16384];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_in_range(n, 1, sizeof text - 1);
    ua_send_bytes(u, port, text, (size_t)n);
}

static inline bool ua_receive(struct ua *u)
{
    socklen_t len = sizeof u->from;
    ssize_t n = recvfrom(u->fd, u->in, sizeof u->in - 1, 0, (struct sockaddr *)&u->from, &len);
    if (n < 0) return false;
    u->len = (size_t)n;
    u->in[n] = '\0';
    assert_int_equal(sip_view_parse(&u->v, u->in, u->len, NULL), SIP_FAULT_NONE);
    return true;
}

/* The next message, whatever it is. */
static inline void ua_next(struct kit *k, struct ua *u)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    while (!ua_receive(u)) {
        kit_turn(k, u->fd);
        if (kit_ms() > end) fail_msg("no message came");
    }
}

/* A 100 goes out only when nothing else does for a while, which a loaded machine decides: it is passed over where
 * another code is expected. */
static inline void ua_expect_code(struct kit *k, struct ua *u, unsigned code)
{
    do {
        ua_next(k, u);
    } while (!u->v.request && u->v.code == 100 && code != 100);
    if (u->v.request || u->v.code != code) fail_msg("expected %u, got:\n%s", code, u->in);
}

static inline void ua_expect(struct kit *k, struct ua *u, const char *method)
{
    ua_next(k, u);
    if (!u->v.request || !slice_is(u->v.method_text, method)) fail_msg("expected %s, got:\n%s", method, u->in);
}

/* Turns the loop a few times; nothing may have come. Use only after an event that shows that the edge has done its
 * work. */
static inline void ua_expect_nothing(struct kit *k, struct ua *u)
{
    for (int i = 0; i < 4; i++)
        (void)uv_run(&k->loop, UV_RUN_NOWAIT);
    if (ua_receive(u)) fail_msg("unexpected:\n%s", u->in);
}

static inline void ua_keep(struct ua *u)
{
    memcpy(u->kept, u->in, u->len + 1);
    assert_int_equal(sip_view_parse(&u->kept_v, u->kept, u->len, NULL), SIP_FAULT_NONE);
}

/* Answers request v to where it came from. */
static inline void ua_answer(struct ua *u, const struct sip_view *v, unsigned code, const char *extra)
{
    struct buf b = {0};
    struct slice tag = code > 100 ? SLICE("callee") : SLICE("");
    assert_int_equal(sip_response_build(v, code, SLICE(""), tag, SLICE(""), 0, slice_of(extra), &b), ERR_OK);
    ua_send_bytes(u, ntohs(u->from.sin_port), b.p, b.n);
    buf_fini(&b);
}

static inline void ua_reply(struct ua *u, unsigned code, const char *extra)
{
    ua_answer(u, &u->v, code, extra);
}

/* Whether the message holds text; shown when not. */
#define ua_has(u, text)                                                                                                \
    do {                                                                                                               \
        if (strstr((u)->in, (text)) == NULL) fail_msg("\"%s\" is missing in:\n%s", (text), (u)->in);                   \
    } while (0)
#define ua_lacks(u, text)                                                                                              \
    do {                                                                                                               \
        if (strstr((u)->in, (text)) != NULL) fail_msg("\"%s\" stands in:\n%s", (text), (u)->in);                       \
    } while (0)

/* The value of a header's lines joined by commas, in the order of the message, or in reverse of values. */
static inline void ua_route_set(const struct sip_view *v, bool reverse, char *out, size_t size)
{
    struct slice values[16];
    size_t n = 0;
    for (unsigned i = v->first[SIP_RECORD_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        while (n < 16 && sip_value_next(&rest, &values[n]))
            n++;
    }
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(out);
        struct slice value = values[reverse ? n - 1 - i : i];
        (void)snprintf(out + at, size - at, "%s%.*s", i > 0 ? ", " : "Route: ", SLICE_ARG(value));
    }
    if (n > 0) (void)snprintf(out + strlen(out), size - strlen(out), "\r\n");
}

/* "Authorization: Digest ..." for the challenge in the last message. */
static inline void ua_authorize(const struct ua *u, const char *password, const char *method, const char *uri,
                                char *out, size_t size)
{
    static unsigned count;
    char cnonce[16];
    bool proxy = u->v.code == 407;
    (void)snprintf(cnonce, sizeof cnonce, "c%u", ++count);
    struct slice challenge = sip_view_value(&u->v, proxy ? SIP_PROXY_AUTHENTICATE : SIP_WWW_AUTHENTICATE);
    struct arena arena = {0};
    struct buf b = {0};
    assert_int_equal(digest_answer(&arena, challenge, SLICE("6001"), slice_of(password), slice_of(method),
                                   slice_of(uri), slice_of(cnonce), 1, &b),
                     ERR_OK);
    (void)snprintf(out, size, "%s: %.*s\r\n", proxy ? "Proxy-Authorization" : "Authorization", (int)b.n, b.p);
    buf_fini(&b);
    arena_fini(&arena);
}

#endif
