/* guard: connections to our listener that become nobody.
 *
 * NNG holds a connection that says nothing, or stops in the middle of its greeting, for ever, and shows it to nobody: a
 * thousand of them, from anybody, would use up the descriptors of the whole process. So every GUARD_MS the process
 * looks through its own descriptors, on a worker thread since there may be many. What is connected to our listener and
 * is none of NNG's pipes (which are those that got through TLS) is shut down when it has been there for GUARD_GREET_MS,
 * or when there are more than MESH_STRANGERS_MAX, the old ones first. NNG sees its end then, and closes it.
 *
 * The descriptor is looked at once more just before: in the moment after that NNG could close it and another part open
 * one of the same number, which would cost that one connection. What is not here: the accepting socket (watch.c). */
#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "node/mesh/accept.h"

#define GUARD_MS 2000
#define GUARD_GREET_MS 10000
#define GUARD_FOUND_MAX 65536

struct found {
    struct peer_address peer;
    int fd;
    bool pipe;  /* NNG knows it */
    bool again; /* it was there at the last look */
    struct mono since;
};

struct guard {
    uv_work_t work;
    struct listener *listener;
    in_port_t port; /* of the listener, in network order */
    struct found *found;
    size_t count;
    size_t cap;
};

/* ---- addresses ---- */

static bool address_of(const struct sockaddr_storage *sa, struct peer_address *out)
{
    *out = (struct peer_address){.family = (uint16_t)sa->ss_family};
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
        out->port = v4->sin_port;
        memcpy(out->bytes, &v4->sin_addr, sizeof v4->sin_addr);
        return true;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
    out->port = v6->sin6_port;
    memcpy(out->bytes, &v6->sin6_addr, sizeof v6->sin6_addr);
    return sa->ss_family == AF_INET6;
}

void guard_pipe_address(uint32_t pipe, struct peer_address *out)
{
    nng_sockaddr sa = {0};
    *out = (struct peer_address){0};
    if (nng_pipe_get_addr((nng_pipe){.id = pipe}, NNG_OPT_REMADDR, &sa) != 0) return;
    if (sa.s_family == NNG_AF_INET) {
        out->family = AF_INET;
        out->port = sa.s_in.sa_port;
        memcpy(out->bytes, &sa.s_in.sa_addr, sizeof sa.s_in.sa_addr);
    } else if (sa.s_family == NNG_AF_INET6) {
        out->family = AF_INET6;
        out->port = sa.s_in6.sa_port;
        memcpy(out->bytes, sa.s_in6.sa_addr, sizeof sa.s_in6.sa_addr);
    }
}

static int by_address(const void *a, const void *b)
{
    return memcmp(&((const struct found *)a)->peer, &((const struct found *)b)->peer, sizeof(struct peer_address));
}

static struct found *find(struct found *list, size_t count, const struct peer_address *peer)
{
    struct found key = {.peer = *peer};
    return count > 0 ? bsearch(&key, list, count, sizeof *list, by_address) : NULL;
}

/* ---- looking ---- */

/* A connection to our port, and from where. */
static bool is_guest(int fd, in_port_t port, struct peer_address *peer)
{
    struct sockaddr_storage sa = {0};
    struct peer_address own;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 || !address_of(&sa, &own) || own.port != port) return false;
    len = sizeof sa;
    return getpeername(fd, (struct sockaddr *)&sa, &len) == 0 && address_of(&sa, peer);
}

static bool add(struct guard *g, int fd, const struct peer_address *peer)
{
    if (g->count == GUARD_FOUND_MAX) return false;
    if (g->count == g->cap) {
        size_t cap = g->cap == 0 ? 64 : g->cap * 2;
        struct found *grown = realloc(g->found, cap * sizeof *grown);
        if (grown == NULL) return false;
        g->found = grown;
        g->cap = cap;
    }
    g->found[g->count++] = (struct found){.peer = *peer, .fd = fd};
    return true;
}

/* Worker thread. */
static void on_work(uv_work_t *w)
{
    struct guard *g = CONTAINER_OF(w, struct guard, work);
    struct peer_address peer;
    const struct dirent *e;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char *end = NULL;
        long fd = strtol(e->d_name, &end, 10);
        if (end == e->d_name || *end != '\0' || !is_guest((int)fd, g->port, &peer)) continue;
        if (!add(g, (int)fd, &peer)) break;
    }
    if (dir != NULL) (void)closedir(dir);
    if (g->count > 0) qsort(g->found, g->count, sizeof *g->found, by_address);
}

/* ---- judging ---- */

/* False: NNG does not say where one of its pipes comes from, so nobody can be told apart. */
static bool mark_pipes(const struct listener *s, struct guard *g)
{
    struct map_walk walk = {0};
    struct map_node *n;
    while ((n = map_walk(&s->peers, &walk)) != NULL) {
        const struct peer_pipe *p = CONTAINER_OF(n, struct peer_pipe, node);
        if (p->address.family == 0) return false;
        struct found *f = find(g->found, g->count, &p->address);
        if (f != NULL) f->pipe = true;
    }
    return true;
}

/* Since when each has been there, and how many are no pipes. */
static size_t mark_times(const struct listener *s, struct guard *g, struct mono now)
{
    size_t strangers = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct found *f = &g->found[i];
        const struct found *before = s->guard != NULL ? find(s->guard->found, s->guard->count, &f->peer) : NULL;
        f->again = before != NULL;
        f->since = before != NULL ? before->since : now;
        strangers += f->pipe ? 0 : 1;
    }
    return strangers;
}

static size_t shut(struct listener *s, const struct guard *g, struct found *f)
{
    struct peer_address peer;
    if (!is_guest(f->fd, g->port, &peer) || memcmp(&peer, &f->peer, sizeof peer) != 0) return 0;
    (void)shutdown(f->fd, SHUT_RDWR);
    f->pipe = true; /* done with */
    mesh_count(s->mesh, MESH_COUNT_strangers_closed);
    return 1;
}

static void judge(struct listener *s, struct guard *g, struct mono now)
{
    size_t strangers = mark_times(s, g, now);
    size_t closed = 0;
    for (int fresh = 0; fresh < 2; fresh++) {
        for (size_t i = 0; i < g->count; i++) {
            struct found *f = &g->found[i];
            bool old = mono_reached(now, mono_add_ms(f->since, GUARD_GREET_MS));
            bool too_many = strangers - closed > MESH_STRANGERS_MAX && f->again == (fresh == 0);
            if (!f->pipe && (old || too_many)) closed += shut(s, g, f);
        }
    }
    if (closed > 0) {
        log_event(s->mesh->options.log, LOG_WARN, "mesh", "strangers-closed", "count=%zu of=%zu", closed, strangers);
    }
}

static void guard_free(struct guard *g)
{
    if (g == NULL) return;
    free(g->found);
    free(g);
}

static void on_looked(uv_work_t *w, int status)
{
    struct guard *g = CONTAINER_OF(w, struct guard, work);
    struct listener *s = g->listener;
    struct mesh *m = s->mesh;
    (void)status; /* is never cancelled */
    s->guarding = false;
    if (!m->closing && mark_pipes(s, g)) {
        judge(s, g, mesh_now());
        guard_free(s->guard);
        s->guard = g;
    } else {
        guard_free(g);
    }
    mesh_pending_done(m);
}

void guard_tick(struct listener *s, struct mono now)
{
    const char *port = strrchr(s->address, ':');
    if (s->guarding || !mono_reached(now, s->guard_at)) return;
    s->guard_at = mono_add_ms(now, GUARD_MS);
    struct guard *g = calloc(1, sizeof *g);
    if (g == NULL) return; /* the next look */
    g->listener = s;
    g->port = htons((in_port_t)strtoul(port + 1, NULL, 10));
    if (uv_queue_work(s->mesh->options.loop, &g->work, on_work, on_looked) != 0) {
        guard_free(g);
        return;
    }
    s->guarding = true;
    s->mesh->pending++;
}

void guard_fini(struct listener *s)
{
    guard_free(s->guard);
    s->guard = NULL;
}
