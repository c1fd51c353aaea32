/* bench: see the header. */
#include "tests/unit/control/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void on_guard(uv_timer_t *t)
{
    (void)t;
    fail_msg("what was waited for did not come");
}

void turn(struct bench *b)
{
    (void)uv_run(&b->loop, UV_RUN_NOWAIT);
}

uint64_t count(const struct bench *b, const char *name)
{
    const struct counter_table *t = control_counters(b->server);
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->names[i], name) == 0) return counter_get(&t->values[i]);
    }
    fail_msg("no counter %s", name);
    return 0;
}

void wait_count(struct bench *b, const char *name, uint64_t at_least)
{
    while (count(b, name) < at_least)
        (void)uv_run(&b->loop, UV_RUN_ONCE);
}

struct control_record text_record(struct arena *arena, const char *kind, struct slice text)
{
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, arena, kind);
    control_text(&b, "text", text);
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    return r;
}

void say(struct control_reply *r, const char *kind, struct slice text)
{
    struct arena arena = {0};
    struct control_record record = text_record(&arena, kind, text);
    control_reply_record(r, &record);
    arena_fini(&arena);
}

/* ---- the bench ---- */

static void no_sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    (void)level;
    (void)module;
    (void)ev;
    (void)pairs;
}
static const struct log no_log = {.max = LOG_DEBUG, .sink = no_sink};

struct control_options options_of(struct bench *b)
{
    return (struct control_options){.loop = &b->loop,
                                    .log = &no_log,
                                    .path = b->path,
                                    .commands = b->commands,
                                    .command_count = b->command_count,
                                    .ctx = b,
                                    .node = "here"};
}

void bench_open_with(struct bench *b, const struct control_command *commands, size_t command_count,
                     struct control_options (*edit)(struct control_options))
{
    memset(b, 0, sizeof *b);
    b->commands = commands;
    b->command_count = command_count;
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/tandem-control-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    (void)snprintf(b->path, sizeof b->path, "%s/s.sock", b->dir);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->guard), 0);
    assert_int_equal(uv_timer_start(&b->guard, on_guard, GUARD_MS, 0), 0);
    struct control_options options = options_of(b);
    if (edit != NULL) options = edit(options);
    struct err_info info = {0};
    if (control_open(&options, &b->server, &info) != ERR_OK) fail_msg("%s", info.text);
}

static void on_closed(void *ctx)
{
    ((struct bench *)ctx)->closed = true;
}

void server_stop(struct bench *b)
{
    b->closed = false;
    control_close(b->server, on_closed, b);
    while (!b->closed)
        (void)uv_run(&b->loop, UV_RUN_ONCE);
}

void loop_end(struct bench *b)
{
    uv_close((uv_handle_t *)&b->guard, NULL);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(rmdir(b->dir), 0); /* nothing is left in it */
    buf_fini(&b->dispatched);
}

void bench_close(struct bench *b)
{
    server_stop(b);
    loop_end(b);
}

/* ---- a client ---- */

int dial(const struct bench *b)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", b->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

void put(struct bench *b, int fd, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0)
            assert_int_equal(errno, EAGAIN);
        else
            bytes = (struct slice){bytes.p + n, bytes.n - (size_t)n};
        turn(b);
    }
}

void pack_request(struct buf *out, const char *command, const char *text, const char *node, uint32_t version)
{
    struct arena arena = {0};
    struct control_frame f = {
        .type = CONTROL_FRAME_REQUEST,
        .request = {.version = version, .command = slice_of(command), .node = slice_of(node)},
    };
    f.request.args = text_record(&arena, "", slice_of(text));
    assert_int_equal(control_frame_pack(&f, out), ERR_OK);
    arena_fini(&arena);
}

void ask(struct bench *b, int fd, const char *command, const char *text)
{
    struct buf out = {0};
    pack_request(&out, command, text, "", CONTROL_VERSION);
    put(b, fd, buf_view(&out));
    buf_fini(&out);
}

void client_end(struct client *c)
{
    (void)close(c->fd);
    buf_fini(&c->in);
    arena_fini(&c->arena);
}

/* The next frame; false at the end of the stream. */
bool next_frame(struct bench *b, struct client *c, struct control_frame *f)
{
    for (;;) {
        size_t used = 0;
        assert_int_equal(control_frame_unpack(&c->arena, buf_view(&c->in), f, &used), ERR_OK);
        if (used > 0) {
            memmove(c->in.p, c->in.p + used, c->in.n - used);
            c->in.n -= used;
            return true;
        }
        char *room = buf_room(&c->in, 65536);
        assert_non_null(room);
        ssize_t n = recv(c->fd, room, 65536, 0);
        if (n > 0)
            c->in.n += (size_t)n;
        else if (n == 0 || errno == ECONNRESET)
            return false;
        else
            (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    }
}

void expect_record(struct bench *b, struct client *c, const char *kind, const char *text)
{
    struct control_frame f;
    assert_true(next_frame(b, c, &f));
    assert_int_equal(f.type, CONTROL_FRAME_RECORD);
    assert_true(slice_is(f.record.kind, kind));
    assert_true(slice_is(control_get_text(&f.record, "text"), text));
}

void expect_end(struct bench *b, struct client *c, int status, const char *text)
{
    struct control_frame f;
    assert_true(next_frame(b, c, &f));
    assert_int_equal(f.type, CONTROL_FRAME_END);
    assert_int_equal(f.status, status);
    if (memmem(f.text.p, f.text.n, text, strlen(text)) == NULL) fail_msg("%s", f.text.p);
}

void expect_hangup(struct bench *b, struct client *c)
{
    struct control_frame f;
    assert_false(next_frame(b, c, &f));
}
