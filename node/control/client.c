/* client: one connection of the control socket: frames in, frames out, and giving up on who neither reads nor asks.
 *
 * Writing: at most one write is under way; what is said meanwhile gathers in out and follows as one write. Reading goes
 * on during a reply, since the end of the stream is how a vanished client shows; a client that closes one half counts
 * as gone. */
#include "node/control/internal.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void client_read_start(struct control_client *c);

/* ---- life ---- */

static void client_released(struct control_client *c)
{
    if (--c->handles > 0) return;
    struct control_server *s = c->server;
    list_remove(&c->node);
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_fini(&c->flying);
    free(c);
    control_server_client_freed(s);
}

static void on_handle_closed(uv_handle_t *h)
{
    client_released(h->data);
}

void control_client_drop(struct control_client *c)
{
    if (c->closing) return;
    c->closing = true;
    if (c->reply != NULL) {
        control_count(c->server, CONTROL_COUNT_clients_gone);
        c->reply->client = NULL;
        c->reply = NULL;
        control_kick(c->server);
    }
    uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
    uv_close((uv_handle_t *)&c->stall, on_handle_closed);
}

/* ---- writing ---- */

static void buf_shrink(struct buf *b)
{
    if (b->cap > CONTROL_KEEP_MAX)
        buf_fini(b);
    else
        buf_reset(b);
}

static void on_written(uv_write_t *w, int status)
{
    struct control_client *c = w->data;
    buf_shrink(&c->flying);
    if (c->closing) return;
    if (status != 0) {
        control_client_drop(c);
        return;
    }
    c->active = true;
    control_client_send(c);
    if (control_client_pending(c) < CONTROL_DRAIN_LOW) control_kick(c->server);
}

void control_client_send(struct control_client *c)
{
    if (c->closing || c->flying.n > 0 || c->out.n == 0) return;
    struct buf empty = c->flying;
    c->flying = c->out;
    c->out = empty;
    c->write.data = c;
    c->queue_seen = 0;
    uv_buf_t b = uv_buf_init(c->flying.p, (unsigned)c->flying.n);
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &b, 1, on_written) == 0) return;
    buf_reset(&c->flying);
    control_client_drop(c);
}

size_t control_client_pending(const struct control_client *c)
{
    if (c->closing) return 0;
    return c->out.n + (c->flying.n > 0 ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe) : 0);
}

/* ---- reading ---- */

static void client_take(struct control_client *c, size_t used)
{
    if (used == c->in.n) {
        buf_shrink(&c->in);
        return;
    }
    memmove(c->in.p, c->in.p + used, c->in.n - used);
    c->in.n -= used;
}

/* A frame that cannot be read: the stream is out of step, so there is one answer and no second chance. */
static void client_reject(struct control_client *c, enum err e)
{
    bool oversize = e == ERR_LIMIT;
    control_count(c->server, oversize ? CONTROL_COUNT_frames_oversize : CONTROL_COUNT_frames_bad);
    struct control_frame f = {.type = CONTROL_FRAME_END,
                              .status = 2,
                              .text = oversize
                                          ? SLICE("the request is over the size that a control frame may have")
                                          : SLICE("the request cannot be read: is clusterctl of another version?")};
    /* One try without waiting: a client that does not read has no right to keep us. */
    buf_reset(&c->in);
    if (c->flying.n == 0 && control_frame_pack(&f, &c->out) == ERR_OK) {
        uv_buf_t b = uv_buf_init(c->out.p, (unsigned)c->out.n);
        (void)uv_try_write((uv_stream_t *)&c->pipe, &b, 1);
    }
    control_client_drop(c);
}

/* One frame of c->in, if it is whole. False: nothing more to do at present. */
static bool client_serve_one(struct control_client *c)
{
    struct control_reply *r = control_reply_new(c->server, slice_of(c->user));
    if (r == NULL) {
        control_client_drop(c);
        return false;
    }
    struct control_frame f;
    size_t used = 0;
    enum err e = control_frame_unpack(&r->arena, buf_view(&c->in), &f, &used);
    if (e == ERR_OK && used > 0 && f.type != CONTROL_FRAME_REQUEST) e = ERR_SYNTAX;
    if (e != ERR_OK || used == 0) {
        control_reply_free(r);
        if (e != ERR_OK) client_reject(c, e);
        return false;
    }
    r->request = f.request;
    r->client = c;
    c->reply = r;
    control_serve(c->server, r, (struct slice){c->in.p, used}, true);
    if (!c->closing) client_take(c, used);
    return true;
}

static void client_process(struct control_client *c)
{
    if (c->processing) return;
    c->processing = true;
    while (!c->closing && c->reply == NULL && c->in.n > 0 && client_serve_one(c)) {
        c->active = true;
    }
    c->processing = false;
    if (!c->closing) client_read_start(c);
}

void control_client_reply_ended(struct control_client *c)
{
    c->active = true;
    client_process(c);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct control_client *c = h->data;
    (void)hint;
    char *room = buf_room(&c->in, CONTROL_READ_CHUNK);
    *b = uv_buf_init(room, room != NULL ? CONTROL_READ_CHUNK : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct control_client *c = stream->data;
    (void)b;
    if (n == 0) return;
    if (n < 0) {
        control_client_drop(c);
        return;
    }
    c->in.n += (size_t)n;
    c->active = true;
    if (c->reply == NULL) {
        client_process(c);
    } else if (c->in.n > CONTROL_AHEAD_MAX) {
        (void)uv_read_stop(stream);
        c->reading = false;
    }
}

static void client_read_start(struct control_client *c)
{
    if (c->reading) return;
    c->reading = uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) == 0;
    if (!c->reading) control_client_drop(c);
}

/* ---- giving up ---- */

static void on_stall(uv_timer_t *t)
{
    struct control_client *c = t->data;
    bool active = c->active;
    c->active = false;
    if (c->flying.n > 0) {
        size_t queue = uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
        bool stalled = queue == c->queue_seen;
        c->queue_seen = queue;
        if (!stalled) return;
        control_count(c->server, CONTROL_COUNT_clients_stalled);
    } else {
        if (active || c->reply != NULL) return;
        control_count(c->server, CONTROL_COUNT_clients_idle);
    }
    control_client_drop(c);
}

/* ---- arriving ---- */

/* On a thread of libuv's pool: a directory service may take its time over a name. */
static void who_work(uv_work_t *w)
{
    struct control_client *c = w->data;
    struct passwd entry;
    struct passwd *found = NULL;
    char text[4096];
    bool known = getpwuid_r(c->uid, &entry, text, sizeof text, &found) == 0 && found != NULL;
    if (known)
        (void)snprintf(c->user, sizeof c->user, "%s", found->pw_name);
    else
        (void)snprintf(c->user, sizeof c->user, "%u", c->uid);
}

static void who_done(uv_work_t *w, int status)
{
    struct control_client *c = w->data;
    (void)status;
    if (!c->closing) client_read_start(c);
    client_released(c);
}

/* The user behind the socket is read from the kernel; then its name is looked up, and reading begins. */
static enum err client_identify(struct control_client *c)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) != 0) return ERR_IO;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0) return ERR_IO;
    c->uid = cred.uid;
    c->who.data = c;
    if (uv_queue_work(c->server->options.loop, &c->who, who_work, who_done) != 0) return ERR_IO;
    c->handles++;
    return ERR_OK;
}

static struct control_client *client_new(struct control_server *s)
{
    struct control_client *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->server = s;
    list_append(&s->clients, &c->node);
    s->client_count++;
    /* Neither can fail for a pipe without IPC and a timer. */
    ASSERT(uv_pipe_init(s->options.loop, &c->pipe, 0) == 0);
    ASSERT(uv_timer_init(s->options.loop, &c->stall) == 0);
    c->pipe.data = c;
    c->stall.data = c;
    c->handles = 2;
    return c;
}

void control_client_accept(struct control_server *s)
{
    struct control_client *c = client_new(s);
    if (c == NULL || uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->pipe) != 0) {
        control_count(s, CONTROL_COUNT_accept_failed);
        if (c != NULL) control_client_drop(c);
        return;
    }
    if (s->client_count > CONTROL_CLIENT_MAX) {
        control_count(s, CONTROL_COUNT_connections_refused);
        control_client_drop(c);
        return;
    }
    control_count(s, CONTROL_COUNT_connections);
    uint64_t stall_ms = s->options.stall_ms;
    if (client_identify(c) != ERR_OK || uv_timer_start(&c->stall, on_stall, stall_ms, stall_ms) != 0) {
        control_count(s, CONTROL_COUNT_clients_failed);
        control_client_drop(c);
    }
}
