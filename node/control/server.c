/* server: the listener of the control socket, and the way from a request to its handler. Connections are in client.c,
 * answers in reply.c. */
#include "node/control/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_BACKLOG 64
#define CONTROL_MODE 0660

static const char *const counter_names[CONTROL_COUNT_MAX] = {CONTROL_COUNTERS(COUNTER_NAME)};

enum err control_uv_err(int uv_status)
{
    switch (uv_status) {
    case 0: return ERR_OK;
    case UV_ENOMEM: return ERR_NOMEM;
    case UV_EADDRINUSE: return ERR_EXISTS;
    case UV_ENOENT:
    case UV_ENOTDIR: return ERR_NOTFOUND;
    case UV_EACCES:
    case UV_EPERM: return ERR_AUTH;
    default: return ERR_IO;
    }
}

/* ---- from a request to its handler ---- */

static const struct control_command *find_command(const struct control_server *s, struct slice name)
{
    for (size_t i = 0; i < s->options.command_count; i++) {
        if (slice_is(name, s->options.commands[i].name)) return &s->options.commands[i];
    }
    return NULL;
}

static void end_printf(struct control_reply *r, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void end_printf(struct control_reply *r, int status, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    control_reply_end(r, status, slice_of(text));
}

static void serve_elsewhere(struct control_server *s, struct control_reply *r, struct slice frame, bool may_relay)
{
    if (may_relay && s->options.relay != NULL) {
        control_count(s, CONTROL_COUNT_requests_relayed);
        s->options.relay(s->options.ctx, &r->request, frame, r);
        return;
    }
    end_printf(r, 5, "node %s cannot be asked from here: use its own control socket", r->request.node.p);
}

void control_serve(struct control_server *s, struct control_reply *r, struct slice frame, bool may_relay)
{
    const struct control_request *q = &r->request;
    control_count(s, CONTROL_COUNT_requests);
    if (q->version != CONTROL_VERSION) {
        control_count(s, CONTROL_COUNT_requests_version);
        end_printf(r, 2,
                   "clusterctl speaks control protocol %u, this node %d: use the clusterctl of the node's version",
                   (unsigned)q->version, CONTROL_VERSION);
        return;
    }
    if (q->node.n > 0 && !slice_is(q->node, s->options.node)) {
        serve_elsewhere(s, r, frame, may_relay);
        return;
    }
    const struct control_command *command = find_command(s, q->command);
    if (command == NULL) {
        control_count(s, CONTROL_COUNT_requests_unknown);
        end_printf(r, 2, "this node does not know the command '%s': is it of an older version?", q->command.p);
        return;
    }
    command->handler(s->options.ctx, q, r);
}

enum err control_dispatch(struct control_server *s, struct slice request_frame, struct slice user,
                          void (*done)(void *ctx, struct slice reply_frames), void *ctx)
{
    struct control_frame f;
    size_t used = 0;
    struct control_reply *r = control_reply_new(s, user);
    if (r == NULL) return ERR_NOMEM;
    enum err e = control_frame_unpack(&r->arena, request_frame, &f, &used);
    if (e == ERR_OK && (used != request_frame.n || f.type != CONTROL_FRAME_REQUEST)) e = ERR_SYNTAX;
    if (e != ERR_OK) {
        control_count(s, CONTROL_COUNT_frames_bad);
        control_reply_free(r);
        return e;
    }
    control_count(s, CONTROL_COUNT_requests_dispatched);
    r->request = f.request;
    r->done = done;
    r->done_ctx = ctx;
    control_serve(s, r, request_frame, false);
    return ERR_OK;
}

/* ---- the socket file ---- */

/* Whether somebody answers at path. 0, or the errno of the failed connect. */
static int probe(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    int failed = connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 ? 0 : errno;
    (void)close(fd);
    return failed;
}

/* libuv reports a missing directory as a missing permission, which would send people to the wrong place. */
static enum err directory_exists(const char *path, struct err_info *info)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    char dir[sizeof((struct sockaddr_un *)0)->sun_path];
    if (slash == NULL || slash == path) return ERR_OK;
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    if (stat(dir, &st) == 0) return ERR_OK;
    return err_fail(info, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "the control socket's directory %s: %s", dir,
                    strerror(errno));
}

/* Leaves no file at path, or says why one must stay. A queue of waiting clients (EAGAIN) is a live server as well. */
static enum err clear_stale(const char *path, struct err_info *info)
{
    struct stat st;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return err_fail(info, ERR_LIMIT, "the control socket's path has more than %zu characters: %s",
                        sizeof((struct sockaddr_un *)0)->sun_path - 1, path);
    }
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT) return directory_exists(path, info);
        return err_fail(info, ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_fail(info, ERR_EXISTS,
                        "%s is there and no socket: move it away or change control: in the configuration", path);
    }
    int failed = probe(path);
    if (failed == 0 || failed == EAGAIN || failed == EINPROGRESS) {
        return err_fail(info, ERR_EXISTS, "another process answers at %s: is the node running already?", path);
    }
    if (failed != ECONNREFUSED && failed != ENOENT) {
        return err_fail(info, ERR_IO, "cannot tell whether %s is in use: %s", path, strerror(failed));
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return err_fail(info, ERR_IO, "cannot remove the stale socket %s: %s", path, strerror(errno));
    }
    return ERR_OK;
}

/* ---- opening and closing ---- */

static void server_free(struct control_server *s)
{
    free((char *)(uintptr_t)s->options.path);
    free((char *)(uintptr_t)s->options.node);
    free(s);
}

static void server_released(struct control_server *s)
{
    if (s->handles > 0 || s->client_count > 0) return;
    void (*closed)(void *) = s->closed;
    void *ctx = s->closed_ctx;
    control_replies_orphan(s);
    server_free(s);
    if (closed != NULL) closed(ctx);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct control_server *s = h->data;
    s->handles--;
    server_released(s);
}

void control_server_client_freed(struct control_server *s)
{
    s->client_count--;
    if (s->closing) server_released(s);
}

void control_close(struct control_server *s, void (*closed)(void *ctx), void *ctx)
{
    ASSERT(!s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    for (struct list_node *n = s->clients.next; n != &s->clients; n = n->next) {
        control_client_drop(CONTAINER_OF(n, struct control_client, node));
    }
    uv_close((uv_handle_t *)&s->listener, on_handle_closed); /* removes the socket file too */
    uv_close((uv_handle_t *)&s->kick, on_handle_closed);
}

static void on_kick(uv_timer_t *t)
{
    control_replies_drained(t->data);
}

void control_kick(struct control_server *s)
{
    if (!s->closing) ASSERT(uv_timer_start(&s->kick, on_kick, 0, 0) == 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct control_server *s = listener->data;
    if (status == 0)
        control_client_accept(s);
    else
        control_count(s, CONTROL_COUNT_accept_failed);
}

/* Mode before listen: until then nobody can connect. */
static enum err server_listen(struct control_server *s, struct err_info *info)
{
    const char *path = s->options.path;
    int status = uv_pipe_bind(&s->listener, path);
    if (status == 0 && chmod(path, CONTROL_MODE) != 0) status = uv_translate_sys_error(errno);
    if (status == 0) status = uv_listen((uv_stream_t *)&s->listener, CONTROL_BACKLOG, on_connection);
    if (status == 0) return ERR_OK;
    return err_fail(info, control_uv_err(status), "cannot open the control socket %s: %s", path, uv_strerror(status));
}

static struct control_server *server_new(const struct control_options *options)
{
    struct control_server *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->options = *options;
    s->options.path = strdup(options->path);
    s->options.node = strdup(options->node != NULL ? options->node : "");
    if (s->options.path == NULL || s->options.node == NULL) {
        server_free(s);
        return NULL;
    }
    if (s->options.stall_ms == 0) s->options.stall_ms = CONTROL_STALL_MS;
    list_init(&s->clients);
    list_init(&s->replies);
    s->counters = (struct counter_table){"control", counter_names, s->counts, CONTROL_COUNT_MAX};
    return s;
}

enum err control_open(const struct control_options *options, struct control_server **out, struct err_info *info)
{
    enum err e = clear_stale(options->path, info);
    if (e != ERR_OK) return e;
    struct control_server *s = server_new(options);
    if (s == NULL) return err_fail(info, ERR_NOMEM, "no memory for the control socket");
    ASSERT(uv_pipe_init(options->loop, &s->listener, 0) == 0);
    ASSERT(uv_timer_init(options->loop, &s->kick) == 0);
    s->listener.data = s;
    s->kick.data = s;
    s->handles = 2;
    e = server_listen(s, info);
    if (e != ERR_OK) {
        control_close(s, NULL, NULL); /* freed when the loop has closed its handles */
        return e;
    }
    log_event(options->log, LOG_INFO, "control", "listening", "socket=%s", options->path);
    *out = s;
    return ERR_OK;
}

const struct counter_table *control_counters(const struct control_server *s)
{
    return &s->counters;
}
