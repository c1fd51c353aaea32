#include "node/edge/dns_channel.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/list.h"

#define TIMEOUT_MS 1000 /* of the first try; c-ares doubles it for the next */
#define TRIES 2
#define RR_FIXED_LEN 10 /* type, class, TTL, length */

struct dns_channel {
    uv_loop_t *loop;
    ares_channel ares;
    bool library; /* ares_library_init was called */
    bool ready;   /* ares is initialised */
    uv_timer_t timer;
    struct list_node sockets;
    size_t handles; /* uv handles that are not closed yet */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct channel_socket {
    struct list_node node;
    struct dns_channel *c;
    ares_socket_t fd;
    int events;
    uv_poll_t poll;
};

struct question {
    void (*addresses)(void *ctx, const struct dns_addresses *answer);
    void (*services)(void *ctx, const struct dns_services *answer);
    void (*ways)(void *ctx, const struct dns_ways *answer);
    void *ctx;
};

static enum err translate(int status)
{
    switch (status) {
    case ARES_SUCCESS: return ERR_OK;
    case ARES_ENOMEM: return ERR_NOMEM;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: return ERR_CLOSED;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
    case ARES_EBADNAME: return ERR_NOTFOUND;
    default: return ERR_TIMEOUT;
    }
}

static uint32_t ttl_of(uint64_t ttl_s)
{
    if (ttl_s < 1) return 1;
    return ttl_s > DNS_TTL_MAX_S ? DNS_TTL_MAX_S : (uint32_t)ttl_s;
}

/* ---- the loop ---- */

static void channel_free(struct dns_channel *c)
{
    if (c->ready) ares_destroy(c->ares);
    if (c->library) ares_library_cleanup();
    free(c);
}

static void handle_closed(struct dns_channel *c)
{
    if (--c->handles > 0 || !c->closing) return;
    void (*closed)(void *ctx) = c->closed;
    void *ctx = c->closed_ctx;
    channel_free(c);
    closed(ctx);
}

static void on_timer(uv_timer_t *timer);

static void rearm(struct dns_channel *c)
{
    struct timeval tv;
    if (c->closing) return;
    if (ares_timeout(c->ares, NULL, &tv) == NULL) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct dns_channel *c = timer->data;
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm(c);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct channel_socket *s = poll->data;
    struct dns_channel *c = s->c;
    if (c->closing) return;
    /* libuv stops the handle on a socket error; c-ares learns of it by reading, and mostly closes the socket. */
    if (status < 0) events = UV_READABLE | UV_WRITABLE;
    ares_process_fd(c->ares, (events & UV_READABLE) ? s->fd : ARES_SOCKET_BAD,
                    (events & UV_WRITABLE) ? s->fd : ARES_SOCKET_BAD);
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll)) (void)uv_poll_start(poll, s->events, on_poll);
    rearm(c);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct channel_socket *s = handle->data;
    struct dns_channel *c = s->c;
    free(s);
    handle_closed(c);
}

static struct channel_socket *socket_find(struct dns_channel *c, ares_socket_t fd)
{
    for (struct list_node *n = c->sockets.next; n != &c->sockets; n = n->next) {
        struct channel_socket *s = CONTAINER_OF(n, struct channel_socket, node);
        if (s->fd == fd) return s;
    }
    return NULL;
}

/* Without memory the socket is not watched, and its question runs into its timeout. */
static struct channel_socket *socket_make(struct dns_channel *c, ares_socket_t fd)
{
    struct channel_socket *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    if (uv_poll_init(c->loop, &s->poll, fd) != 0) {
        free(s);
        return NULL;
    }
    c->handles++;
    s->c = c;
    s->fd = fd;
    s->poll.data = s;
    list_append(&c->sockets, &s->node);
    return s;
}

/* c-ares wants fd to be watched, or (neither) is about to close it. */
static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = ctx;
    struct channel_socket *s = socket_find(c, fd);
    if (!readable && !writable) {
        if (s == NULL) return;
        list_remove(&s->node);
        uv_close((uv_handle_t *)&s->poll, on_socket_closed);
        return;
    }
    if (s == NULL) s = socket_make(c, fd);
    if (s == NULL) return;
    s->events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    (void)uv_poll_start(&s->poll, s->events, on_poll);
}

/* ---- opening and closing ---- */

static enum err start_ares(struct dns_channel *c, const char *servers)
{
    char lookups[] = "fb"; /* /etc/hosts, then the servers; c-ares copies it */
    struct ares_options options = {.flags = ARES_FLAG_NOALIASES,
                                   .timeout = TIMEOUT_MS,
                                   .tries = TRIES,
                                   .lookups = lookups,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = c};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) return ERR_NOMEM;
    c->library = true;
    int status = ares_init_options(&c->ares, &options, mask);
    if (status != ARES_SUCCESS) return status == ARES_ENOMEM ? ERR_NOMEM : ERR_IO;
    c->ready = true;
    if (servers == NULL) return ERR_OK;
    status = ares_set_servers_ports_csv(c->ares, servers);
    if (status == ARES_SUCCESS) return ERR_OK;
    return status == ARES_ENOMEM ? ERR_NOMEM : ERR_SYNTAX;
}

enum err dns_channel_open(uv_loop_t *loop, const char *servers, struct dns_channel **out)
{
    struct dns_channel *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NOMEM;
    c->loop = loop;
    list_init(&c->sockets);
    enum err err = start_ares(c, servers);
    if (err != ERR_OK) {
        channel_free(c);
        return err;
    }
    (void)uv_timer_init(loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    c->handles = 1;
    *out = c;
    return ERR_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

/* ares_destroy must not run inside a callback of c-ares, and dns_close may: hence the detour over the timer. */
static void on_close_timer(uv_timer_t *timer)
{
    struct dns_channel *c = timer->data;
    c->closing = true;
    ares_destroy(c->ares); /* ends every question, closes every socket */
    c->ready = false;
    uv_close((uv_handle_t *)timer, on_timer_closed);
}

void dns_channel_close(struct dns_channel *c, void (*closed)(void *ctx), void *ctx)
{
    ASSERT(!c->closing);
    c->closing = true;
    c->closed = closed;
    c->closed_ctx = ctx;
    (void)uv_timer_start(&c->timer, on_close_timer, 0, 0);
}

/* ---- addresses ---- */

static void collect_addresses(const struct ares_addrinfo *info, struct dns_addresses *answer)
{
    uint64_t ttl = DNS_TTL_MAX_S;
    for (const struct ares_addrinfo_cname *n = info->cnames; n != NULL; n = n->next) {
        if (n->ttl >= 0 && (uint64_t)n->ttl < ttl) ttl = (uint64_t)n->ttl;
    }
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
        if (n->ai_ttl >= 0 && (uint64_t)n->ai_ttl < ttl) ttl = (uint64_t)n->ai_ttl;
        if (answer->count == DNS_RECORDS_MAX || n->ai_addrlen > sizeof answer->items[0]) continue;
        memcpy(&answer->items[answer->count++], n->ai_addr, n->ai_addrlen);
    }
    answer->ttl_s = ttl_of(ttl);
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct question *q = arg;
    struct dns_addresses answer = {.err = translate(status), .ttl_s = 1};
    if (answer.err == ERR_OK && info != NULL) collect_addresses(info, &answer);
    if (answer.err == ERR_OK && answer.count == 0) answer.err = ERR_NOTFOUND;
    ares_freeaddrinfo(info);
    q->addresses(q->ctx, &answer);
    free(q);
}

enum err dns_channel_addresses(struct dns_channel *c, const char *name,
                               void (*done)(void *ctx, const struct dns_addresses *answer), void *ctx)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL) return ERR_NOMEM;
    q->addresses = done;
    q->ctx = ctx;
    ares_getaddrinfo(c->ares, name, NULL, &hints, on_addresses, q);
    rearm(c);
    return ERR_OK;
}

bool dns_channel_in_hosts(struct dns_channel *c, const char *name)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct hostent *host = NULL;
        if (ares_gethostbyname_file(c->ares, name, families[i], &host) != ARES_SUCCESS) continue;
        ares_free_hostent(host);
        return true;
    }
    return false;
}

/* ---- services ---- */

static uint32_t be16(const unsigned char *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

/* Behind the name at p; NULL when it runs over the end. */
static const unsigned char *skip_name(const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        if (*p == 0) return p + 1;
        if ((*p & 0xc0) == 0xc0) return end - p >= 2 ? p + 2 : NULL;
        if (*p >= end - p) return NULL;
        p += *p + 1;
    }
    return NULL;
}

/* The lowest TTL of the answer section (this c-ares does not give SRV records theirs). */
static uint32_t answer_ttl(const unsigned char *data, size_t len)
{
    const unsigned char *end = data + len;
    uint64_t ttl = DNS_TTL_MAX_S;
    if (len < NS_HFIXEDSZ) return 1;
    const unsigned char *p = data + NS_HFIXEDSZ;
    for (uint32_t i = be16(data + 4); i > 0; i--) {
        p = skip_name(p, end);
        if (p == NULL || end - p < NS_QFIXEDSZ) return 1;
        p += NS_QFIXEDSZ;
    }
    for (uint32_t i = be16(data + 6); i > 0; i--) {
        p = skip_name(p, end);
        if (p == NULL || end - p < RR_FIXED_LEN) return 1;
        uint64_t own = (uint64_t)be16(p + 4) << 16 | be16(p + 6);
        uint32_t rdata_len = be16(p + 8);
        if (own < ttl) ttl = own;
        p += RR_FIXED_LEN;
        if ((size_t)(end - p) < rdata_len) return 1;
        p += rdata_len;
    }
    return ttl_of(ttl);
}

/* Room for one more: in place of one that is tried later, when there is none left. NULL: it would be the last. */
static struct dns_srv *service_room(struct dns_services *answer, uint16_t priority)
{
    struct dns_srv *last = &answer->items[0];
    if (answer->count < DNS_RECORDS_MAX) return &answer->items[answer->count++];
    for (size_t i = 1; i < DNS_RECORDS_MAX; i++) {
        if (answer->items[i].priority > last->priority) last = &answer->items[i];
    }
    return last->priority > priority ? last : NULL;
}

static void collect_services(const struct ares_srv_reply *list, struct dns_services *answer)
{
    for (const struct ares_srv_reply *r = list; r != NULL; r = r->next) {
        size_t len = strlen(r->host);
        struct dns_srv *srv = len <= LIMIT_HOST ? service_room(answer, r->priority) : NULL;
        if (srv == NULL) continue;
        srv->priority = r->priority;
        srv->weight = r->weight;
        srv->port = r->port;
        memcpy(srv->target, len > 0 ? r->host : ".", (len > 0 ? len : 1) + 1);
    }
}

static void on_services(void *arg, int status, int timeouts, unsigned char *data, int len)
{
    (void)timeouts;
    struct question *q = arg;
    struct ares_srv_reply *list = NULL;
    struct dns_services answer = {.ttl_s = 1};
    if (status == ARES_SUCCESS) status = ares_parse_srv_reply(data, len, &list);
    answer.err = translate(status);
    if (answer.err == ERR_OK) {
        collect_services(list, &answer);
        answer.ttl_s = answer_ttl(data, (size_t)len);
        if (answer.count == 0) answer.err = ERR_NOTFOUND;
    }
    if (list != NULL) ares_free_data(list);
    q->services(q->ctx, &answer);
    free(q);
}

enum err dns_channel_services(struct dns_channel *c, const char *name,
                              void (*done)(void *ctx, const struct dns_services *answer), void *ctx)
{
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL) return ERR_NOMEM;
    q->services = done;
    q->ctx = ctx;
    ares_query(c->ares, name, ns_c_in, ns_t_srv, on_services, q);
    rearm(c);
    return ERR_OK;
}

/* ---- ways ---- */

static bool is_service(const unsigned char *text, const char *service)
{
    return slice_eq_nocase(slice_of((const char *)text), slice_of(service));
}

static void collect_ways(const struct ares_naptr_reply *list, struct dns_ways *answer)
{
    static const struct {
        const char *service;
        enum plan_transport transport;
    } known[] = {{"SIP+D2U", PLAN_UDP}, {"SIP+D2T", PLAN_TCP}, {"SIPS+D2T", PLAN_TLS}};
    for (const struct ares_naptr_reply *r = list; r != NULL && answer->count < DNS_RECORDS_MAX; r = r->next) {
        struct dns_naptr *way = &answer->items[answer->count];
        size_t len = strlen(r->replacement);
        bool service = is_service(r->flags, "s");
        /* A regular expression stands in place of the replacement; SIP has none of these. */
        if ((!service && !is_service(r->flags, "a")) || len == 0 || len >= sizeof way->target || r->regexp[0] != '\0')
            continue;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (!is_service(r->service, known[i].service)) continue;
            *way = (struct dns_naptr){
                .order = r->order, .preference = r->preference, .transport = known[i].transport, .service = service};
            memcpy(way->target, r->replacement, len + 1);
            answer->count++;
        }
    }
}

static void on_ways(void *arg, int status, int timeouts, unsigned char *data, int len)
{
    (void)timeouts;
    struct question *q = arg;
    struct ares_naptr_reply *list = NULL;
    struct dns_ways answer = {.ttl_s = 1};
    if (status == ARES_SUCCESS) status = ares_parse_naptr_reply(data, len, &list);
    answer.err = translate(status);
    if (answer.err == ERR_OK) {
        collect_ways(list, &answer);
        answer.ttl_s = answer_ttl(data, (size_t)len);
        if (answer.count == 0) answer.err = ERR_NOTFOUND;
    }
    if (list != NULL) ares_free_data(list);
    q->ways(q->ctx, &answer);
    free(q);
}

enum err dns_channel_ways(struct dns_channel *c, const char *name,
                          void (*done)(void *ctx, const struct dns_ways *answer), void *ctx)
{
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL) return ERR_NOMEM;
    q->ways = done;
    q->ctx = ctx;
    ares_query(c->ares, name, ns_c_in, ns_t_naptr, on_ways, q);
    rearm(c);
    return ERR_OK;
}
