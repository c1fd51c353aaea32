/* udp: datagrams through recvmmsg and sendmmsg on a uv_poll.
 *
 * Receiving is bounded per poll event, so that a flood on one socket cannot hold the loop. Sending is queued: the
 * loop's prepare phase flushes, or a full batch does.
 *
 * ICMP errors come through the error queue (IP_RECVERR), which keeps the address that the datagram went to. The kernel
 * also hands the same error, once and without an address, to the next send or receive on the socket, which has nothing
 * to do with it: such a send is therefore tried again before its datagram is given up. uv_poll stops a handle on a bare
 * POLLERR; SO_SELECT_ERR_QUEUE makes the kernel add POLLPRI, which it does deliver. */
#include "node/edge/udp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_SLOTS 32
#define RING_SLOT_LEN 65536 /* no UDP payload is longer */
#define RECEIVE_PER_EVENT 256
#define ERRORS_PER_EVENT 256
#define SEND_BATCH 64
#define SEND_TRIES 3
#define SOCKET_BUFFER_LEN (4 * 1024 * 1024)
#define OUT_POOLED_LEN 2048
#define OUT_POOLED_MAX 1024

struct udp_ring {
    struct mmsghdr messages[RING_SLOTS];
    struct iovec parts[RING_SLOTS];
    union sock_address from[RING_SLOTS];
    _Alignas(struct cmsghdr) char stamp[CMSG_SPACE(sizeof(struct timespec))]; /* of the first */
    char data[RING_SLOTS][RING_SLOT_LEN];
};

/* A datagram on its way out, or the note that one (or with len 0: an address) failed. */
struct udp_out {
    struct list_node node;
    union sock_address to;
    uint64_t token;
    uint8_t listener;
    unsigned tries;
    size_t len;
    size_t cap;
    char data[];
};

/* Slot i takes a datagram, whatever came into it before. */
static void ring_offer(struct udp_ring *r, size_t i)
{
    r->parts[i] = (struct iovec){r->data[i], RING_SLOT_LEN};
    r->messages[i].msg_hdr = (struct msghdr){
        .msg_name = &r->from[i], .msg_namelen = sizeof r->from[i], .msg_iov = &r->parts[i], .msg_iovlen = 1};
    if (i > 0) return;
    r->messages[0].msg_hdr.msg_control = r->stamp;
    r->messages[0].msg_hdr.msg_controllen = sizeof r->stamp;
}

struct udp_ring *udp_ring_new(void)
{
    struct udp_ring *r = calloc(1, sizeof *r);
    for (size_t i = 0; r != NULL && i < RING_SLOTS; i++)
        ring_offer(r, i);
    return r;
}

void udp_ring_free(struct udp_ring *r)
{
    free(r);
}

/* ---- datagrams kept for reuse ---- */

static struct udp_out *out_new(struct transport *t, size_t len)
{
    struct udp_out *out = NULL;
    if (len <= OUT_POOLED_LEN && !list_empty(&t->udp_free)) {
        out = CONTAINER_OF(list_pop(&t->udp_free), struct udp_out, node);
        t->udp_free_count--;
    } else {
        size_t cap = len <= OUT_POOLED_LEN ? OUT_POOLED_LEN : len;
        out = malloc(sizeof *out + cap);
        if (out == NULL) return NULL;
        out->cap = cap;
    }
    list_init(&out->node);
    out->tries = 0;
    out->len = len;
    return out;
}

static void out_free(struct transport *t, struct udp_out *out)
{
    if (out->cap != OUT_POOLED_LEN || t->udp_free_count >= OUT_POOLED_MAX) {
        free(out);
        return;
    }
    list_append(t->udp_free.next, &out->node); /* in front: the last one used is the first one used again, warm */
    t->udp_free_count++;
}

static void out_free_list(struct list_node *list)
{
    struct list_node *n = NULL;
    while ((n = list_pop(list)) != NULL)
        free(CONTAINER_OF(n, struct udp_out, node));
}

/* ---- the socket ---- */

/* Without the privilege to exceed the system's maximum, what it allows has to do. */
static void set_buffer(int fd, int force, int plain)
{
    int len = SOCKET_BUFFER_LEN;
    if (setsockopt(fd, SOL_SOCKET, force, &len, sizeof len) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, plain, &len, sizeof len);
    }
}

/* A datagram that must not be cut on its way needs no number from the kernel by which its pieces would be known, and
 * those come from a table that all of the machine shares. */
static void set_whole(int fd, bool whole)
{
    int how = whole ? IP_PMTUDISC_DO : IP_PMTUDISC_WANT;
    (void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof how);
}

static bool set_options(int fd, int family)
{
    int on = 1;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on); /* without it nothing looks old */
    if (setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &on, sizeof on) != 0) return false;
    if (family == AF_INET) {
        set_whole(fd, true);
        return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0;
    }
    return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) == 0;
}

enum err udp_socket_open(union sock_address *address, int *fd)
{
    socklen_t len = sock_address_len(address);
    int s = socket(address->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) return ERR_IO;
    if (!set_options(s, address->any.sa_family) || bind(s, &address->any, len) != 0 ||
        getsockname(s, &address->any, &len) != 0) {
        int why = errno;
        (void)close(s);
        errno = why;
        return why == EADDRINUSE ? ERR_EXISTS : ERR_IO;
    }
    *fd = s;
    return ERR_OK;
}

/* ---- errors ---- */

static void note_failed(struct listener *l, struct udp_out *out)
{
    transport_count(l->t, TC_udp_send_failed);
    out->listener = l->index;
    list_append(&l->t->udp_failed, &out->node);
}

static const struct sock_extended_err *extended_err(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            return (const struct sock_extended_err *)(const void *)CMSG_DATA(c);
        }
    }
    return NULL;
}

/* "Fragmentation needed" is no verdict on the address: the kernel has learned the path's size and fragments from now
 * on. */
static bool concerns_address(const struct sock_extended_err *e)
{
    return e != NULL && (e->ee_origin == SO_EE_ORIGIN_ICMP || e->ee_origin == SO_EE_ORIGIN_ICMP6) &&
           e->ee_errno != EMSGSIZE;
}

static void drain_errors(struct listener *l)
{
    for (unsigned i = 0; i < ERRORS_PER_EVENT; i++) {
        union sock_address to;
        memset(&to, 0, sizeof to);
        char payload[1];
        _Alignas(struct cmsghdr) char control[512];
        struct iovec part = {payload, sizeof payload};
        struct msghdr m = {.msg_name = &to,
                           .msg_namelen = sizeof to,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        if (recvmsg(l->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        if (!concerns_address(extended_err(&m)) || sock_address_port(&to) == 0) continue;
        transport_count(l->t, TC_udp_icmp_errors);
        struct udp_out *note = out_new(l->t, 0);
        if (note == NULL) continue;
        note->to = to;
        note->token = 0;
        note_failed(l, note);
    }
}

void udp_report(struct transport *t)
{
    struct list_node now;
    list_init(&now);
    struct list_node *n = NULL;
    while ((n = list_pop(&t->udp_failed)) != NULL)
        list_append(&now, n); /* what fails meanwhile waits for the next round */
    while (!t->closing && (n = list_pop(&now)) != NULL) {
        struct udp_out *out = CONTAINER_OF(n, struct udp_out, node);
        struct flow to = {.transport = PLAN_UDP, .listener = out->listener, .remote = out->to};
        uint64_t token = out->token;
        out_free(t, out);
        t->options.on_send_failed(t->options.ctx, &to, token);
    }
    out_free_list(&now);
}

/* ---- receiving ---- */

/* Some devices keep their NAT binding open with CRLF, some with NULs. */
static bool is_keepalive(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\r' && data[i] != '\n' && data[i] != '\0') return false;
    }
    return true;
}

static void deliver(struct listener *l, char *data, size_t len, const union sock_address *from)
{
    struct transport *t = l->t;
    if (is_keepalive(data, len)) {
        transport_count(t, TC_udp_keepalives);
        return;
    }
    if (sock_address_port(from) == 0) { /* nothing could be sent back */
        transport_count(t, TC_udp_unusable);
        return;
    }
    while (*data == '\r' || *data == '\n') { /* RFC 3261 §7.5: empty lines before a message are ignored */
        data++;
        len--;
    }
    struct flow flow = {.transport = PLAN_UDP, .listener = l->index, .remote = *from};
    struct sip_view view;
    bool answerable = false;
    enum sip_fault fault = sip_view_parse(&view, data, len, &answerable);
    if (fault == SIP_FAULT_NONE) {
        transport_count(t, TC_udp_received);
        t->options.on_message(t->options.ctx, &flow, &view);
    } else {
        transport_count_fault(t, fault);
        t->options.on_fault(t->options.ctx, &flow, &view, fault, answerable);
    }
}

/* The socket's buffer holds a few seconds of the densest traffic: what looks older was stamped by another clock than
 * ours, or ours has been set. */
#define AGE_MS_MAX 10000

/* How long ago the ring's first datagram came, by the kernel's stamp; the others came later. 0: unknown. */
static uint64_t age_ms(struct udp_ring *r)
{
    struct timespec now;
    struct timespec came;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&r->messages[0].msg_hdr);
    if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) return 0;
    memcpy(&came, CMSG_DATA(c), sizeof came);
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    int64_t ms = (now.tv_sec - came.tv_sec) * 1000 + (now.tv_nsec - came.tv_nsec) / 1000000;
    return ms > 0 && ms <= AGE_MS_MAX ? (uint64_t)ms : 0;
}

static void receive(struct listener *l)
{
    struct transport *t = l->t;
    struct udp_ring *r = t->ring;
    for (int budget = RECEIVE_PER_EVENT; budget > 0;) {
        int n = recvmmsg(l->fd, r->messages, RING_SLOTS, MSG_DONTWAIT, NULL);
        if (n < 0) {
            if (errno == EAGAIN) return;
            if (errno != EINTR) transport_count(t, TC_udp_receive_errors);
            drain_errors(l);
            budget--;
            continue;
        }
        t->age_ms = age_ms(r);
        gather_note(&t->gather, (uint32_t)n, uv_now(t->loop));
        for (int i = 0; i < n && !t->closing; i++) {
            deliver(l, r->data[i], r->messages[i].msg_len, &r->from[i]);
            ring_offer(r, (size_t)i);
        }
        if (n < RING_SLOTS || t->closing) return;
        budget -= n;
    }
}

static void on_poll(uv_poll_t *handle, int status, int events);

static enum err poll_start(struct listener *l)
{
    int events = UV_READABLE | UV_PRIORITIZED | (l->blocked ? UV_WRITABLE : 0);
    return uv_poll_start(&l->handle.poll, events, on_poll) == 0 ? ERR_OK : ERR_IO;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct listener *l = handle->data;
    struct transport *t = l->t;
    /* A negative status means that libuv has stopped the handle: the socket's errors are read, and it is started again.
     */
    if (status < 0 || (events & UV_PRIORITIZED) != 0) drain_errors(l);
    if (events & UV_WRITABLE) {
        l->blocked = false;
        udp_flush(l);
    }
    if (events & UV_READABLE) receive(l);
    if (t->closing) return;
    if ((status < 0 || (events & UV_WRITABLE) != 0) && poll_start(l) != ERR_OK) {
        log_event(t->log, LOG_ERROR, "edge", "udp-stopped", "listen=%s", l->shown.text);
    }
}

enum err udp_attach(struct listener *l)
{
    if (uv_poll_init(l->t->loop, &l->handle.poll, l->fd) != 0) return ERR_IO;
    l->handle.poll.data = l;
    l->attached = true;
    transport_handle_opened(l->t);
    return poll_start(l);
}

/* ---- sending ---- */

static size_t fill_batch(struct listener *l, struct mmsghdr *messages, struct iovec *parts)
{
    size_t count = 0;
    for (struct list_node *n = l->queue.next; n != &l->queue && count < SEND_BATCH; n = n->next, count++) {
        struct udp_out *out = CONTAINER_OF(n, struct udp_out, node);
        parts[count] = (struct iovec){out->data, out->len};
        messages[count].msg_hdr = (struct msghdr){
            .msg_name = &out->to, .msg_namelen = sock_address_len(&out->to), .msg_iov = &parts[count], .msg_iovlen = 1};
    }
    return count;
}

/* How many of the queue's first went out; -1 and errno. One alone goes faster by the simple call. */
static int send_batch(struct listener *l)
{
    struct mmsghdr messages[SEND_BATCH];
    struct iovec parts[SEND_BATCH];
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (l->queued > 1) return sendmmsg(l->fd, messages, (unsigned)fill_batch(l, messages, parts), flags);
    const struct udp_out *out = CONTAINER_OF(l->queue.next, struct udp_out, node);
    return sendto(l->fd, out->data, out->len, flags, &out->to.any, sock_address_len(&out->to)) < 0 ? -1 : 1;
}

/* The first of the queue, which is longer than the path takes in one; false and errno. */
static bool send_in_pieces(struct listener *l)
{
    const struct udp_out *out = CONTAINER_OF(l->queue.next, struct udp_out, node);
    if (out->to.any.sa_family != AF_INET) return false; /* the kernel has cut it where that could be done */
    set_whole(l->fd, false);
    ssize_t n =
        sendto(l->fd, out->data, out->len, MSG_DONTWAIT | MSG_NOSIGNAL, &out->to.any, sock_address_len(&out->to));
    int why = errno;
    set_whole(l->fd, true);
    errno = why;
    return n >= 0;
}

static struct udp_out *dequeue(struct listener *l)
{
    l->queued--;
    return CONTAINER_OF(list_pop(&l->queue), struct udp_out, node);
}

static void wait_writable(struct listener *l)
{
    transport_count(l->t, TC_udp_blocked);
    l->blocked = true;
    if (l->attached && !uv_is_closing(&l->handle.any) && poll_start(l) != ERR_OK) l->blocked = false;
}

void udp_flush(struct listener *l)
{
    while (!l->blocked && !list_empty(&l->queue)) {
        int sent = send_batch(l);
        if (sent < 0 && errno == EMSGSIZE && send_in_pieces(l)) sent = 1;
        for (int i = 0; i < sent; i++)
            out_free(l->t, dequeue(l));
        if (sent > 0) counter_add(&l->t->counts[TC_udp_sent], (uint64_t)sent);
        if (sent >= 0 || errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
            wait_writable(l);
            return;
        }
        drain_errors(l);
        struct udp_out *first = CONTAINER_OF(l->queue.next, struct udp_out, node);
        if (++first->tries >= SEND_TRIES) note_failed(l, dequeue(l));
    }
}

enum err udp_send(struct listener *l, const union sock_address *to, struct slice data, uint64_t token)
{
    struct transport *t = l->t;
    if (l->queued >= t->limits.udp_datagrams) {
        transport_count(t, TC_udp_queue_full);
        return ERR_FULL;
    }
    struct udp_out *out = out_new(t, data.n);
    if (out == NULL) return ERR_NOMEM;
    memcpy(out->data, data.p, data.n);
    out->to = *to;
    out->token = token;
    out->listener = l->index;
    list_append(&l->queue, &out->node);
    l->queued++;
    if (l->queued % SEND_BATCH == 0) udp_flush(l);
    return ERR_OK;
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    (void)close(l->fd);
    l->fd = -1;
    transport_handle_closed(l->t);
}

void udp_close(struct listener *l)
{
    out_free_list(&l->queue);
    l->queued = 0;
    if (l->attached) uv_close(&l->handle.any, on_closed);
}

void udp_drop_all(struct transport *t)
{
    out_free_list(&t->udp_free);
    out_free_list(&t->udp_failed);
    t->udp_free_count = 0;
}
