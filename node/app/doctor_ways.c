/* doctor_ways: whether the other nodes' SIP ports can be reached: a call crosses the mesh by SIP, and a firewall that
 * lets the mesh through may not let that. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/app/doctor.h"
#include "node/edge/address.h"

#define WAYS_MAX 256
#define PATIENCE_MS 2000

static int64_t monotonic_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A connection on its way: its descriptor, or -1 and why not. */
static int start(const struct doctor_way *way, int *error)
{
    enum plan_transport transport = PLAN_TCP;
    union sock_address to;
    *error = EINVAL;
    if (listen_parse(slice_of(way->address), &transport, &to, NULL) != ERR_OK || transport == PLAN_UDP) return -1;
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *error = fd >= 0 ? 0 : errno;
    if (fd < 0 || connect(fd, &to.any, sock_address_len(&to)) == 0 || errno == EINPROGRESS) return fd;
    *error = errno;
    (void)close(fd);
    return -1;
}

static int error_of(int fd)
{
    int error = 0;
    socklen_t n = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 ? error : errno;
}

static void tell(struct doctor *d, const struct doctor_way *way, int error)
{
    char object[LIMIT_NAME + LIMIT_HOST + 32];
    (void)snprintf(object, sizeof object, "SIP of %s, %s", way->node, way->address);
    if (error == 0) {
        doctor_add(d, "way", DOCTOR_OK, object, NULL, "can be reached");
    } else {
        doctor_add(d, "way", DOCTOR_FAILED, object,
                   error == ECONNREFUSED ? "see that the node runs and listens there"
                                         : "open the port in the firewalls between the sites, both ways",
                   "%s", error == ETIMEDOUT ? "does not answer" : strerror(error));
    }
}

/* Those that are connected, or failed, are closed and told of. */
static size_t take_ready(struct doctor *d, const struct doctor_way *ways, struct pollfd *fds, size_t count)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd < 0 || fds[i].revents == 0) continue;
        tell(d, &ways[i], error_of(fds[i].fd));
        (void)close(fds[i].fd);
        fds[i].fd = -1;
        ended++;
    }
    return ended;
}

void doctor_ways(struct doctor *d, const struct doctor_way *ways, size_t count)
{
    struct pollfd fds[WAYS_MAX];
    size_t open = 0;
    int64_t end = monotonic_ms() + PATIENCE_MS;
    if (count > WAYS_MAX) count = WAYS_MAX;
    for (size_t i = 0; i < count; i++) {
        int error = 0;
        fds[i] = (struct pollfd){.fd = start(&ways[i], &error), .events = POLLOUT};
        open += fds[i].fd >= 0;
        if (fds[i].fd < 0) tell(d, &ways[i], error);
    }
    for (int64_t left = PATIENCE_MS; open > 0 && left > 0; left = end - monotonic_ms()) {
        int ready = poll(fds, count, (int)left);
        if (ready < 0 && errno != EINTR) break;
        if (ready > 0) open -= take_ready(d, ways, fds, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd < 0) continue;
        tell(d, &ways[i], ETIMEDOUT);
        (void)close(fds[i].fd);
    }
}
