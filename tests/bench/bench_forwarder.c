/* bench_forwarder: the floor: a datagram from B goes to A, any other to B. No parsing, recvmmsg and sendmmsg.
 *
 *   bench_forwarder OWN-ADDRESS PORT A-ADDRESS PORT B-ADDRESS PORT */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 32
#define DATAGRAM 4096

static struct sockaddr_in address(const char *host, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) exit(2);
    return a;
}

static int same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

static void forward(int fd, struct mmsghdr *messages, struct sockaddr_in *sources, int count, struct sockaddr_in *a,
                    struct sockaddr_in *b)
{
    for (int i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_name = same(&sources[i], b) ? a : b;
        messages[i].msg_hdr.msg_iov->iov_len = messages[i].msg_len;
    }
    int sent = 0;
    while (sent < count) {
        int n = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);
        if (n > 0) {
            sent += n;
        } else {
            sent++; /* a refused datagram is dropped, as any network would */
        }
    }
    for (int i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_name = &sources[i];
        messages[i].msg_hdr.msg_namelen = sizeof sources[i];
        messages[i].msg_hdr.msg_iov->iov_len = DATAGRAM;
    }
}

int main(int argc, char **argv)
{
    static char data[BATCH][DATAGRAM];
    static struct sockaddr_in sources[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int size = 4 * 1024 * 1024;
    if (argc != 7) return 2;
    struct sockaddr_in own = address(argv[1], argv[2]);
    struct sockaddr_in a = address(argv[3], argv[4]);
    struct sockaddr_in b = address(argv[5], argv[6]);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
        perror("bench_forwarder");
        return 1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], DATAGRAM};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &sources[i], .msg_namelen = sizeof sources[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, -1) < 0) return 1;
        int n = recvmmsg(fd, messages, BATCH, 0, NULL);
        if (n > 0) forward(fd, messages, sources, n, &a, &b);
    }
}
