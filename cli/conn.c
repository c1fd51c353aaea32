/* conn: see the header. Which socket: -s, else TANDEM_SOCKET, else the only one in /run/tandem. */
#include "cli/conn.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/progress.h"
#include "cli/text.h"

#define READ_CHUNK 65536
#define PATH_MAX_LEN 256
#define TICK_MS 1000

struct conn {
    struct cli *c;
    const struct conn_request *request;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int fd;
    struct buf in;
    bool progress_shown;
    struct progress progress; /* of records */
    uint64_t records;
    bool told; /* the node says itself how far it is */
    unsigned waited_s;
};

static int fail(const struct conn *n, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(const struct conn *n, int status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return n->request->quiet ? status : cli_fail(n->c, status, "%s", text);
}

/* ---- which socket ---- */

static int use_path(struct conn *n, const char *path)
{
    if ((size_t)snprintf(n->path, sizeof n->path, "%s", path) < sizeof n->path) return CLI_DONE;
    return fail(n, CLI_USAGE, "the path of the socket is too long: %s", path);
}

static int choose_from(struct conn *n, const glob_t *found)
{
    char names[512] = "";
    size_t at = 0;
    for (size_t i = 0; i < found->gl_pathc && at < sizeof names; i++) {
        int k = snprintf(names + at, sizeof names - at, " %s", found->gl_pathv[i]);
        at += k > 0 ? (size_t)k : 0;
    }
    if (found->gl_pathc != 1) {
        return fail(n, CLI_USAGE, "several nodes run here: choose one with -s SOCKET or TANDEM_SOCKET:%s", names);
    }
    return use_path(n, found->gl_pathv[0]);
}

static int choose_socket(struct conn *n)
{
    const char *given = n->c->socket != NULL ? n->c->socket : n->c->env_socket;
    char pattern[PATH_MAX_LEN];
    glob_t found;
    if (given != NULL && given[0] != '\0') return use_path(n, given);
    (void)snprintf(pattern, sizeof pattern, "%s/*.sock", n->c->run_dir);
    int failed = glob(pattern, 0, NULL, &found);
    if (failed != 0) {
        return fail(n, CLI_UNREACHABLE,
                    "no node runs here (no socket in %s): start tandemd, or name its socket with -s or TANDEM_SOCKET",
                    n->c->run_dir);
    }
    int status = choose_from(n, &found);
    globfree(&found);
    return status;
}

static bool is_socket(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int dial(struct conn *n)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, n->path, sizeof n->path);
    n->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0) return fail(n, CLI_UNREACHABLE, "no socket: %s", strerror(errno));
    if (connect(n->fd, (const struct sockaddr *)&addr, sizeof addr) == 0) return CLI_DONE;
    switch (errno) {
    case ENOENT:
        return fail(n, CLI_UNREACHABLE, "%s does not exist: is the node running, and is this its 'control:' path?",
                    n->path);
    case ECONNREFUSED:
        if (!is_socket(n->path))
            return fail(n, CLI_USAGE, "%s is no socket: give -s the file that 'control:' of the node names", n->path);
        return fail(n, CLI_UNREACHABLE, "nobody answers at %s: the node has stopped; start tandemd", n->path);
    case EACCES:
        return fail(n, CLI_REFUSED, "you may not use %s: become root or a member of the socket's group", n->path);
    default: return fail(n, CLI_UNREACHABLE, "%s: %s", n->path, strerror(errno));
    }
}

/* ---- asking ---- */

static int send_all(struct conn *n, struct slice bytes)
{
    while (bytes.n > 0) {
        struct pollfd p = {.fd = n->fd, .events = POLLOUT};
        ssize_t k = send(n->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0)
            bytes = (struct slice){bytes.p + k, bytes.n - (size_t)k};
        else if (errno == EAGAIN && poll(&p, 1, CONN_PATIENCE_MS) > 0)
            continue;
        else if (errno != EINTR)
            return fail(n, CLI_UNREACHABLE, "the node at %s does not take the request", n->path);
    }
    return CLI_DONE;
}

static int send_bulk(struct conn *n)
{
    const struct conn_bulk *bulk = &n->request->bulk;
    char piece[READ_CHUNK];
    uint64_t left = bulk->size;
    rewind(bulk->file);
    while (left > 0) {
        size_t k = fread(piece, 1, left < sizeof piece ? (size_t)left : sizeof piece, bulk->file);
        if (k == 0) return fail(n, CLI_REFUSED, "what is to be sent cannot be read back: %s", strerror(errno));
        int status = send_all(n, (struct slice){piece, k});
        if (status != CLI_DONE) return status;
        left -= k;
    }
    return CLI_DONE;
}

static int send_request(struct conn *n)
{
    const struct conn_bulk *bulk = &n->request->bulk;
    struct buf out = {0};
    struct control_frame f = {
        .type = CONTROL_FRAME_REQUEST,
        .request = {.version = CONTROL_VERSION, .command = slice_of(n->request->command), .node = slice_of(n->c->node)},
    };
    if (n->request->args != NULL) f.request.args = *n->request->args;
    enum err e = bulk->file != NULL ? control_request_head(&f.request, bulk->name, bulk->size, &out)
                                    : control_frame_pack(&f, &out);
    int status = CLI_DONE;
    if (e == ERR_LIMIT) {
        status =
            fail(n, CLI_REFUSED, "the request is over %d MB: split it into several", LIMIT_CONTROL_FRAME / 1000000);
    } else if (e != ERR_OK) {
        status = fail(n, CLI_REFUSED, "the request cannot be packed: %s", err_name(e));
    } else {
        status = send_all(n, buf_view(&out));
        if (status == CLI_DONE && bulk->file != NULL) status = send_bulk(n);
    }
    if (out.n > 0) secret_wipe(out.p, out.n);
    buf_fini(&out);
    return status;
}

/* ---- hearing ---- */

static void show_progress(struct conn *n, const struct control_frame *f)
{
    struct buf line = {0};
    if (!n->c->err_terminal || n->request->quiet) return;
    buf_text(&line, "\r\033[K");
    text_safe(&line, f->text);
    if (f->total > 0) buf_printf(&line, " %" PRIu64 "/%" PRIu64, f->done, f->total);
    if (!line.failed) (void)fwrite(line.p, 1, line.n, n->c->err);
    (void)fflush(n->c->err);
    n->progress_shown = true;
    n->told = true;
    buf_fini(&line);
}

/* A second without a word. */
static void show_waiting(struct conn *n)
{
    n->waited_s++;
    if (n->told || !n->c->err_terminal || n->request->quiet) return;
    (void)fprintf(n->c->err, "\r\033[Kwaiting for the node: %u s", n->waited_s);
    (void)fflush(n->c->err);
    n->progress_shown = true;
}

static void clear_progress(struct conn *n)
{
    if (n->progress_shown) (void)fputs("\r\033[K", n->c->err);
    n->progress_shown = false;
}

/* More bytes. CLI_DONE, or why not. */
static int receive(struct conn *n)
{
    uint64_t patience = n->request->patience_ms != 0 ? n->request->patience_ms : CONN_PATIENCE_MS;
    struct pollfd p[] = {{.fd = n->fd, .events = POLLIN},
                         {.fd = n->c->stoppable ? n->c->stop_fd : -1, .events = POLLIN}};
    uint64_t waited_ms = UINT64_C(1000) * n->waited_s;
    uint64_t left_ms = patience > waited_ms ? patience - waited_ms : 0;
    int ready = poll(p, 2, left_ms < TICK_MS ? (int)left_ms : TICK_MS);
    if (ready < 0 && errno == EINTR) return CLI_DONE;
    if (ready == 0 && left_ms > TICK_MS) {
        show_waiting(n);
        return CLI_DONE;
    }
    n->waited_s = 0;
    if (ready > 0 && p[1].revents != 0) return CLI_REFUSED; /* who stopped it needs no word */
    if (ready == 0) {
        return fail(n, CLI_UNREACHABLE, "the node at %s has not answered for %" PRIu64 " s", n->path, patience / 1000);
    }
    char *room = buf_room(&n->in, READ_CHUNK);
    if (room == NULL) return fail(n, CLI_REFUSED, "no memory");
    ssize_t k = recv(n->fd, room, READ_CHUNK, 0);
    if (k > 0) {
        n->in.n += (size_t)k;
        return CLI_DONE;
    }
    if (k < 0 && errno == EINTR) return CLI_DONE;
    return fail(n, CLI_UNREACHABLE,
                "the node at %s hung up before its answer was complete: what was asked may be done or not", n->path);
}

static int end_of_reply(struct conn *n, const struct control_frame *f)
{
    if (f->text.n == 0) return f->status;
    if (n->request->end_text != NULL) {
        buf_slice(n->request->end_text, f->text);
        return f->status;
    }
    if (f->status != CLI_DONE) return fail(n, f->status, "%.*s", SLICE_ARG(f->text));
    if (!n->request->quiet) cli_note(n->c, f->text);
    return CLI_DONE;
}

static void take_record(struct conn *n, const struct control_record *r)
{
    if (n->request->each != NULL) n->request->each(n->request->ctx, r);
    if (n->request->progress != NULL) progress_step(n->c, &n->progress, n->request->progress, ++n->records);
}

/* Whole frames of n->in. *ended with the status when the end was among them. */
static int take_frames(struct conn *n, bool *ended)
{
    size_t at = 0;
    int status = CLI_DONE;
    while (!*ended && status == CLI_DONE) {
        struct arena arena = {0};
        struct control_frame f = {0};
        size_t used = 0;
        enum err e = control_frame_unpack(&arena, (struct slice){n->in.p + at, n->in.n - at}, &f, &used);
        if (e != ERR_OK || (used > 0 && f.type == CONTROL_FRAME_REQUEST)) {
            status =
                fail(n, CLI_UNREACHABLE, "the answer of %s cannot be read: is the node of another version?", n->path);
        } else if (used > 0) {
            at += used;
            if (f.type == CONTROL_FRAME_PROGRESS)
                show_progress(n, &f);
            else
                clear_progress(n);
            if (f.type == CONTROL_FRAME_RECORD) take_record(n, &f.record);
            *ended = f.type == CONTROL_FRAME_END;
            if (*ended) status = end_of_reply(n, &f);
        }
        arena_fini(&arena);
        if (used == 0) break;
    }
    if (at > 0) memmove(n->in.p, n->in.p + at, n->in.n - at);
    n->in.n -= at;
    return status;
}

int conn_ask(struct cli *c, const struct conn_request *request)
{
    struct conn n = {.c = c, .request = request, .fd = -1};
    bool ended = false;
    int status = choose_socket(&n);
    if (status == CLI_DONE) status = dial(&n);
    if (status == CLI_DONE) status = send_request(&n);
    while (status == CLI_DONE && !ended) {
        status = receive(&n);
        if (status == CLI_DONE) status = take_frames(&n, &ended);
    }
    clear_progress(&n);
    progress_end(c, &n.progress);
    if (n.fd >= 0) (void)close(n.fd);
    buf_fini(&n.in);
    return status;
}
