/* bench_delay: how long a message takes through a proxy. It is caller and callee of whole calls (INVITE, 180, 200, ACK,
 * BYE, 200) at a steady rate; each request and response carries the time at which it was handed to the kernel, and the
 * kernel says when it came out at the other side (SO_TIMESTAMPNS), so that this program's own waiting does not count.
 *
 *   bench_delay PROXY CALLER CALLEE PORT NUMBER CALLS-PER-SECOND SECONDS
 *
 * Prints "edge delay_p50 VALUE ms" and so on, how many calls were lost, how many were refused with 503, and for each
 * second how many of the calls begun in it came to their end. Nothing is sent twice, and no call counts twice. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/sip/edit.h"
#include "node/sip/value.h"

#define SAMPLES_MAX 1000000
#define SECONDS_MAX 60
#define SENT "X-Sent: "

struct side {
    int fd;
    struct sockaddr_in own;
    struct sockaddr_in proxy;
    char sent_by[32];
};

struct bench {
    struct side caller;
    struct side callee;
    const char *number;
    uint64_t *delays_ns;
    size_t delay_count;
    uint64_t calls_done;
    uint64_t refused;
    uint8_t *over; /* for each call: it is done, or was refused */
    unsigned started;
    unsigned rate;
    unsigned done_of_second[SECONDS_MAX + 1];
    struct buf out;
    struct sip_view view;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in address(const char *text, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1) exit(2);
    return a;
}

static void open_side(struct side *s, const char *own, const char *proxy, const char *port)
{
    int on = 1;
    int size = 4 * 1024 * 1024;
    s->own = address(own, port);
    s->proxy = address(proxy, port);
    (void)snprintf(s->sent_by, sizeof s->sent_by, "%s:%s", own, port);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&s->own, sizeof s->own) != 0 ||
        setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) {
        perror("bench_delay");
        exit(1);
    }
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void send_out(struct bench *b, const struct side *s)
{
    if (b->out.failed || sendto(s->fd, b->out.p, b->out.n, 0, (const struct sockaddr *)&s->proxy, sizeof s->proxy) < 0)
        exit(1);
}

static void add_sent(struct bench *b)
{
    buf_printf(&b->out, SENT "%llu\r\n", (unsigned long long)now_ns(CLOCK_REALTIME));
}

static void invite(struct bench *b, unsigned call)
{
    static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                              "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    const struct side *s = &b->caller;
    buf_reset(&b->out);
    buf_printf(&b->out, "INVITE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-d%u-%d\r\n", b->number,
               b->callee.sent_by, s->sent_by, call, getpid());
    buf_printf(&b->out,
               "From: <sip:4930100@%s>;tag=c%u\r\nTo: <sip:%s@%s>\r\nCall-ID: delay-%u-%d\r\nCSeq: 1 INVITE\r\n",
               s->sent_by, call, b->number, s->sent_by, call, getpid());
    buf_printf(&b->out, "Contact: <sip:4930100@%s>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n",
               s->sent_by);
    add_sent(b);
    buf_printf(&b->out, "Content-Length: %zu\r\n\r\n%s", sizeof sdp - 1, sdp);
    send_out(b, s);
}

/* ACK or BYE after the 200 in b->view. */
static void in_dialog(struct bench *b, const char *method, unsigned cseq)
{
    const struct sip_view *v = &b->view;
    buf_reset(&b->out);
    buf_printf(&b->out, "%s sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s%.*s\r\n", method, b->callee.sent_by,
               b->caller.sent_by, method, SLICE_ARG(v->call_id));
    /* One proxy, and one listener of it: one value. */
    struct slice route = sip_view_value(v, SIP_RECORD_ROUTE);
    if (route.n > 0) buf_printf(&b->out, "Route: %.*s\r\n", SLICE_ARG(route));
    buf_printf(&b->out, "From: %.*s\r\nTo: %.*s\r\nCall-ID: %.*s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n",
               SLICE_ARG(sip_view_value(v, SIP_FROM)), SLICE_ARG(sip_view_value(v, SIP_TO)), SLICE_ARG(v->call_id),
               cseq, method);
    add_sent(b);
    buf_text(&b->out, "Content-Length: 0\r\n\r\n");
    send_out(b, &b->caller);
}

/* The ACK of the failure in b->view: of the INVITE's own transaction. */
static void refusal_ack(struct bench *b)
{
    const struct sip_view *v = &b->view;
    buf_reset(&b->out);
    buf_printf(&b->out, "ACK sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%.*s\r\n", b->number, b->callee.sent_by,
               b->caller.sent_by, SLICE_ARG(v->via.branch));
    buf_printf(&b->out, "From: %.*s\r\nTo: %.*s\r\nCall-ID: %.*s\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\n",
               SLICE_ARG(sip_view_value(v, SIP_FROM)), SLICE_ARG(sip_view_value(v, SIP_TO)), SLICE_ARG(v->call_id));
    buf_text(&b->out, "Content-Length: 0\r\n\r\n");
    send_out(b, &b->caller);
}

static void answer(struct bench *b, unsigned code)
{
    char extra[160];
    (void)snprintf(extra, sizeof extra, "Contact: <sip:%s>\r\n" SENT "%llu\r\n", b->callee.sent_by,
                   (unsigned long long)now_ns(CLOCK_REALTIME));
    buf_reset(&b->out);
    if (sip_response_build(&b->view, code, SLICE(""), SLICE("callee"), SLICE(""), 0, slice_of(extra), &b->out) !=
        ERR_OK)
        exit(1);
    send_out(b, &b->callee);
}

/* The call that b->view belongs to, once: the proxy sends again what it believes lost, also of an earlier run. */
static bool ends(struct bench *b, unsigned *call)
{
    char *run = NULL;
    *call = (unsigned)strtoul(b->view.call_id.p + sizeof "delay-" - 1, &run, 10);
    if (*run != '-' || strtol(run + 1, NULL, 10) != getpid() || *call >= b->started || b->over[*call]) return false;
    b->over[*call] = 1;
    return true;
}

static void take(struct bench *b, const struct side *s)
{
    const struct sip_view *v = &b->view;
    unsigned call = 0;
    if (s == &b->callee) {
        if (v->method == SIP_INVITE) answer(b, 180);
        if (v->method == SIP_INVITE || v->method == SIP_BYE) answer(b, 200);
    } else if (v->code == 200 && v->method == SIP_INVITE) {
        in_dialog(b, "ACK", 1);
        in_dialog(b, "BYE", 2);
    } else if (v->code == 200 && v->method == SIP_BYE) {
        if (!ends(b, &call)) return;
        b->calls_done++;
        b->done_of_second[call / b->rate]++;
    } else if (v->code >= 300 && v->method == SIP_INVITE) {
        refusal_ack(b);
        if (v->code == 503 && ends(b, &call)) b->refused++;
    }
}

static void note_delay(struct bench *b, uint64_t arrived_ns)
{
    uint64_t sent_ns = 0;
    struct slice value = sip_view_other(&b->view, SLICE("X-Sent"));
    if (value.p == NULL || slice_u64(value, UINT64_MAX, &sent_ns) != ERR_OK || b->delay_count == SAMPLES_MAX) return;
    b->delays_ns[b->delay_count++] = arrived_ns > sent_ns ? arrived_ns - sent_ns : 0;
}

static void drain(struct bench *b, const struct side *s)
{
    static char data[65536];
    for (;;) {
        _Alignas(struct cmsghdr) char control[128];
        struct iovec part = {data, sizeof data};
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT);
        if (n < 0) return;
        struct timespec at = {0};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c != NULL && c->cmsg_type == SCM_TIMESTAMPNS) memcpy(&at, CMSG_DATA(c), sizeof at);
        if (sip_view_parse(&b->view, data, (size_t)n, NULL) != SIP_FAULT_NONE) continue;
        note_delay(b, (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec);
        take(b, s);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report(struct bench *b, unsigned seconds)
{
    qsort(b->delays_ns, b->delay_count, sizeof *b->delays_ns, by_value);
    if (b->delay_count == 0) b->delay_count = 1; /* of nothing */
    (void)printf("edge delay_p50 %.4f ms\n", (double)b->delays_ns[b->delay_count / 2] / 1e6);
    (void)printf("edge delay_p99 %.4f ms\n", (double)b->delays_ns[b->delay_count * 99 / 100] / 1e6);
    (void)printf("edge delay_calls_lost %llu calls\n", (unsigned long long)(b->started - b->calls_done - b->refused));
    (void)printf("edge refused %llu calls\n", (unsigned long long)b->refused);
    for (unsigned i = 0; i < seconds; i++)
        (void)printf("edge done_%u %u calls\n", i, b->done_of_second[i]);
}

static void run(struct bench *b, unsigned rate, unsigned seconds)
{
    uint64_t step_ns = 1000000000u / rate;
    uint64_t begin = now_ns(CLOCK_MONOTONIC);
    uint64_t end = begin + (uint64_t)(seconds + 3) * 1000000000u; /* some more for the last ones */
    for (uint64_t now = begin; now < end; now = now_ns(CLOCK_MONOTONIC)) {
        uint64_t due = begin + b->started * step_ns;
        bool more = b->started < rate * seconds;
        if (!more && b->calls_done + b->refused == b->started) break;
        if (more && now >= due) {
            invite(b, b->started++);
            continue;
        }
        uint64_t left = more ? due - now : end - now;
        struct timespec wait = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        struct pollfd fds[] = {{.fd = b->caller.fd, .events = POLLIN}, {.fd = b->callee.fd, .events = POLLIN}};
        if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR) exit(1);
        drain(b, &b->callee);
        drain(b, &b->caller);
    }
    report(b, seconds);
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc != 8) return 2;
    sip_library_init();
    b.delays_ns = malloc(SAMPLES_MAX * sizeof *b.delays_ns);
    if (b.delays_ns == NULL) return 1;
    open_side(&b.caller, argv[2], argv[1], argv[4]);
    open_side(&b.callee, argv[3], argv[1], argv[4]);
    b.number = argv[5];
    b.rate = (unsigned)atoi(argv[6]);
    unsigned seconds = (unsigned)atoi(argv[7]);
    if (b.rate == 0 || seconds > SECONDS_MAX) return 2;
    b.over = calloc(b.rate, seconds + 1);
    if (b.over == NULL) return 1;
    run(&b, b.rate, seconds);
    free(b.over);
    free(b.delays_ns);
    buf_fini(&b.out);
    return 0;
}
