/* test_server: the control socket over real sockets: conversations, hostile and slow clients, and the socket file. */
#include "tests/unit/control/bench.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- handlers ---- */

static void do_echo(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct bench *b = ctx;
    b->calls++;
    (void)snprintf(b->user, sizeof b->user, "%.*s", SLICE_ARG(control_reply_user(r)));
    control_reply_progress(r, SLICE("working"), 1, 2);
    say(r, "echo", control_get_text(&q->args, "text"));
    control_reply_end(r, 3, SLICE("done so"));
}

static void do_hold(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct bench *b = ctx;
    (void)q;
    b->held = r;
    say(r, "held", SLICE("first"));
}

static void flood_on(void *ctx, struct control_reply *r)
{
    struct bench *b = ctx;
    static char chunk[60000];
    b->drained_calls++;
    if (control_reply_gone(r)) {
        control_reply_end(r, 0, SLICE_NONE);
        b->flood_left = 0;
        return;
    }
    memset(chunk, 'x', sizeof chunk);
    while (b->flood_left > 0 && control_reply_pending(r) <= CONTROL_PENDING_PAUSE) {
        say(r, "chunk", (struct slice){chunk, sizeof chunk});
        b->flood_left--;
        if (control_reply_pending(r) > b->pending_max) b->pending_max = control_reply_pending(r);
    }
    if (b->flood_left > 0)
        control_reply_on_drain(r, flood_on, b);
    else
        control_reply_end(r, 0, SLICE_NONE);
}

static void do_flood(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)q;
    flood_on(ctx, r);
}

static void do_broken(void *ctx, const struct control_request *q, struct control_reply *r)
{
    (void)ctx;
    (void)q;
    say(r, "fine", SLICE("1"));
    say(r, "Kind in capitals", SLICE("2"));
    say(r, "fine", SLICE("3"));
    control_reply_end(r, 0, SLICE_NONE);
}

static void do_relay(void *ctx, const struct control_request *q, struct slice frame, struct control_reply *r)
{
    struct arena arena = {0};
    struct buf frames = {0};
    struct control_frame f;
    size_t used = 0;
    (void)ctx;
    assert_int_equal(control_frame_unpack(&arena, frame, &f, &used), ERR_OK);
    assert_int_equal(used, frame.n);
    assert_true(slice_is(f.request.command, "echo"));
    struct control_record record = text_record(&arena, "relayed", q->node);
    f = (struct control_frame){.type = CONTROL_FRAME_RECORD, .record = record};
    assert_int_equal(control_frame_pack(&f, &frames), ERR_OK);
    assert_false(control_reply_frames(r, buf_view(&frames)));
    buf_reset(&frames);
    f = (struct control_frame){.type = CONTROL_FRAME_END, .status = 4, .text = SLICE("from afar")};
    if (slice_is(q->node, "garbled"))
        buf_text(&frames, "\001\001");
    else
        assert_int_equal(control_frame_pack(&f, &frames), ERR_OK);
    assert_true(control_reply_frames(r, buf_view(&frames)));
    buf_fini(&frames);
    arena_fini(&arena);
}

static const struct control_command commands[] = {
    {"echo", do_echo},
    {"hold", do_hold},
    {"flood", do_flood},
    {"broken", do_broken},
};

static void bench_open_edited(struct bench *b, struct control_options (*edit)(struct control_options))
{
    bench_open_with(b, commands, sizeof commands / sizeof commands[0], edit);
}

static void bench_open(struct bench *b)
{
    bench_open_edited(b, NULL);
}

static void expect_echo(struct bench *b, struct client *c, const char *text)
{
    struct control_frame f;
    assert_true(next_frame(b, c, &f));
    assert_int_equal(f.type, CONTROL_FRAME_PROGRESS);
    assert_int_equal(f.total, 2);
    expect_record(b, c, "echo", text);
    expect_end(b, c, 3, "done so");
}

/* ---- tests ---- */

static void test_request_and_reply(void **state)
{
    (void)state;
    struct bench b;
    struct stat st;
    bench_open(&b);
    assert_int_equal(stat(b.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "echo", "one");
    expect_echo(&b, &c, "one");
    ask(&b, c.fd, "echo", "two");
    expect_echo(&b, &c, "two");
    const struct passwd *me = getpwuid(getuid());
    assert_non_null(me);
    assert_string_equal(b.user, me->pw_name);
    client_end(&c);
    bench_close(&b);
    assert_int_equal(access(b.path, F_OK), -1);
}

static void test_partial_and_joined_frames(void **state)
{
    (void)state;
    struct bench b;
    struct buf out = {0};
    bench_open(&b);
    struct client c = {.fd = dial(&b)};
    pack_request(&out, "echo", "byte by byte", "", CONTROL_VERSION);
    for (size_t i = 0; i < out.n; i++) {
        put(&b, c.fd, (struct slice){out.p + i, 1});
        if (i + 1 < out.n) assert_int_equal(b.calls, 0);
    }
    expect_echo(&b, &c, "byte by byte");
    buf_reset(&out);
    pack_request(&out, "echo", "a", "", CONTROL_VERSION);
    pack_request(&out, "echo", "b", "", CONTROL_VERSION);
    size_t whole = out.n;
    pack_request(&out, "echo", "c", "", CONTROL_VERSION);
    size_t cut = (whole + out.n) / 2;
    put(&b, c.fd, (struct slice){out.p, cut});
    expect_echo(&b, &c, "a");
    expect_echo(&b, &c, "b");
    put(&b, c.fd, (struct slice){out.p + cut, out.n - cut});
    expect_echo(&b, &c, "c");
    buf_fini(&out);
    client_end(&c);
    bench_close(&b);
}

/* A second request waits for the end of the first, however much of it there is. */
static void test_one_at_a_time(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "hold", "");
    expect_record(&b, &c, "held", "first");
    size_t n = 1000000;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, 't', n);
    text[n] = '\0';
    struct buf out = {0};
    pack_request(&out, "echo", text, "", CONTROL_VERSION);
    size_t sent = 0;
    for (int i = 0; i < 1000; i++) {
        ssize_t k = send(c.fd, out.p + sent, out.n - sent, MSG_NOSIGNAL);
        if (k > 0) sent += (size_t)k;
        turn(&b);
    }
    assert_true(sent < out.n); /* the server stopped taking it */
    assert_int_equal(b.calls, 0);
    control_reply_end(b.held, 0, SLICE_NONE);
    put(&b, c.fd, (struct slice){out.p + sent, out.n - sent});
    expect_end(&b, &c, 0, "");
    expect_echo(&b, &c, text);
    free(text);
    buf_fini(&out);
    client_end(&c);
    bench_close(&b);
}

static struct control_options with_relay(struct control_options o)
{
    o.relay = do_relay;
    return o;
}

static void test_refusals_and_relay(void **state)
{
    (void)state;
    static const struct {
        bool relay;
        const char *command;
        const char *node;
        uint32_t version;
        const char *record; /* before the end */
        int status;
        const char *text;
    } rows[] = {
        {false, "nonsense", "", 1, NULL, 2, "'nonsense'"},
        {false, "echo", "", 2, NULL, 2, "protocol 2"},
        {false, "echo", "", 0, NULL, 2, "protocol 0"},
        {false, "echo", "there", 1, NULL, 5, "there"},
        {true, "echo", "there", 1, "there", 4, "from afar"},
        {true, "echo", "garbled", 1, "garbled", 1, "cannot be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        struct buf out = {0};
        bench_open_edited(&b, rows[i].relay ? with_relay : NULL);
        struct client c = {.fd = dial(&b)};
        pack_request(&out, rows[i].command, "x", rows[i].node, rows[i].version);
        put(&b, c.fd, buf_view(&out));
        if (rows[i].record != NULL) expect_record(&b, &c, "relayed", rows[i].record);
        expect_end(&b, &c, rows[i].status, rows[i].text);
        buf_reset(&out);
        pack_request(&out, "echo", "still here", "here", 1);
        put(&b, c.fd, buf_view(&out));
        expect_echo(&b, &c, "still here");
        buf_fini(&out);
        client_end(&c);
        bench_close(&b);
    }
}

static void test_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *counter;
        const char *text;
    } rows[] = {
        {{"\xff\xff\xff\xff", 4}, "frames_oversize", "size"},
        {{"GET / HTTP/1.1\r\n\r\n", 18}, "frames_oversize", "size"},
        {{"\0\0\0\2\x22\x07", 6}, "frames_bad", "cannot be read"},
        {{"\0\0\0\2\x22\0", 6}, "frames_bad", "cannot be read"}, /* an end is no request */
        {{"\0\0\0\0", 4}, "frames_bad", "cannot be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench b;
        bench_open(&b);
        struct client c = {.fd = dial(&b)};
        put(&b, c.fd, rows[i].bytes);
        expect_end(&b, &c, 2, rows[i].text);
        expect_hangup(&b, &c);
        assert_int_equal(count(&b, rows[i].counter), 1);
        client_end(&c);
        bench_close(&b);
    }
}

static void test_unpackable_record_is_no_success(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "broken", "");
    expect_record(&b, &c, "fine", "1");
    expect_end(&b, &c, 1, "size");
    assert_int_equal(count(&b, "replies_failed"), 1);
    client_end(&c);
    bench_close(&b);
}

/* A long reply to a reader that takes its time: nothing is lost, and little of it waits in memory. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    b.flood_left = 200;
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "flood", "");
    for (int i = 0; i < 100; i++)
        turn(&b); /* the client is busy elsewhere */
    assert_true(b.flood_left > 100);
    struct control_frame f;
    size_t chunks = 0;
    for (;;) {
        assert_true(next_frame(&b, &c, &f));
        if (f.type == CONTROL_FRAME_END) break;
        assert_int_equal(control_get_text(&f.record, "text").n, 60000);
        chunks++;
        arena_fini(&c.arena);
    }
    assert_int_equal(chunks, 200);
    assert_true(b.drained_calls > 3);
    assert_true(b.drained_calls < 60); /* called when there is room, not in every turn */
    assert_true(b.pending_max < CONTROL_PENDING_PAUSE + 2 * 60100);
    client_end(&c);
    bench_close(&b);
}

static struct control_options impatient(struct control_options o)
{
    o.stall_ms = 20;
    return o;
}

static void test_stalled_reader_is_dropped(void **state)
{
    (void)state;
    struct bench b;
    bench_open_edited(&b, impatient);
    b.flood_left = 1000;
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "flood", "");
    wait_count(&b, "clients_stalled", 1);
    while (b.flood_left > 0)
        (void)uv_run(&b.loop, UV_RUN_ONCE); /* the handler is told, and ends */
    assert_int_equal(count(&b, "clients_gone"), 1);
    client_end(&c);
    bench_close(&b);
}

static void test_idle_client_is_dropped(void **state)
{
    (void)state;
    struct bench b;
    bench_open_edited(&b, impatient);
    struct client idle = {.fd = dial(&b)};
    struct client partial = {.fd = dial(&b)};
    struct client waiting = {.fd = dial(&b)};
    put(&b, partial.fd, (struct slice){"\0\0\0\x09hi", 6});
    ask(&b, waiting.fd, "hold", "");
    expect_record(&b, &waiting, "held", "first");
    wait_count(&b, "clients_idle", 2);
    expect_hangup(&b, &idle);
    expect_hangup(&b, &partial);
    assert_false(control_reply_gone(b.held)); /* who waits for an answer is not idle */
    control_reply_end(b.held, 0, SLICE_NONE);
    expect_end(&b, &waiting, 0, "");
    client_end(&idle);
    client_end(&partial);
    client_end(&waiting);
    bench_close(&b);
}

static void test_client_vanishes_during_a_reply(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "hold", "");
    expect_record(&b, &c, "held", "first");
    assert_false(control_reply_gone(b.held));
    client_end(&c);
    while (!control_reply_gone(b.held))
        (void)uv_run(&b.loop, UV_RUN_ONCE);
    say(b.held, "more", SLICE("nobody listens"));
    control_reply_progress(b.held, SLICE("on"), 1, 1);
    assert_int_equal(control_reply_pending(b.held), 0);
    control_reply_end(b.held, 0, SLICE_NONE);
    assert_int_equal(count(&b, "clients_gone"), 1);
    bench_close(&b);
}

static void test_close_during_a_reply(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "hold", "");
    expect_record(&b, &c, "held", "first");
    server_stop(&b);
    assert_true(control_reply_gone(b.held));
    say(b.held, "more", SLICE("nobody listens"));
    control_reply_end(b.held, 0, SLICE_NONE);
    client_end(&c);
    loop_end(&b);
}

static void test_connection_cap(void **state)
{
    (void)state;
    struct bench b;
    struct client c[70];
    bench_open(&b);
    for (size_t i = 0; i < 70; i++) {
        c[i] = (struct client){.fd = dial(&b)};
        turn(&b);
    }
    wait_count(&b, "connections_refused", 6);
    assert_int_equal(count(&b, "connections"), 64);
    expect_hangup(&b, &c[69]);
    ask(&b, c[0].fd, "echo", "in time");
    expect_echo(&b, &c[0], "in time");
    for (size_t i = 0; i < 70; i++)
        client_end(&c[i]);
    bench_close(&b);
}

/* ---- the socket file ---- */

static enum err open_again(struct bench *b, struct err_info *info)
{
    struct control_options options = options_of(b);
    struct control_server *second = NULL;
    enum err e = control_open(&options, &second, info);
    if (e == ERR_OK)
        b->server = second;
    else
        assert_null(second);
    return e;
}

static void test_live_socket_is_left_alone(void **state)
{
    (void)state;
    struct bench b;
    struct err_info info = {0};
    bench_open(&b);
    assert_int_equal(open_again(&b, &info), ERR_EXISTS);
    assert_non_null(strstr(info.text, "another process answers"));
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "echo", "still mine");
    expect_echo(&b, &c, "still mine");
    client_end(&c);
    bench_close(&b);
}

static void test_stale_socket_is_replaced(void **state)
{
    (void)state;
    struct bench b;
    struct err_info info = {0};
    bench_open(&b);
    server_stop(&b);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", b.path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    (void)close(fd); /* as after kill -9: the file stays, nobody listens */
    assert_int_equal(access(b.path, F_OK), 0);
    assert_int_equal(open_again(&b, &info), ERR_OK);
    struct client c = {.fd = dial(&b)};
    ask(&b, c.fd, "echo", "new");
    expect_echo(&b, &c, "new");
    client_end(&c);
    bench_close(&b);
}

static void test_bad_paths(void **state)
{
    (void)state;
    struct bench b;
    struct err_info info = {0};
    bench_open(&b);
    server_stop(&b);
    FILE *f = fopen(b.path, "w");
    assert_non_null(f);
    (void)fclose(f);
    assert_int_equal(open_again(&b, &info), ERR_EXISTS);
    assert_non_null(strstr(info.text, "no socket"));
    assert_int_equal(unlink(b.path), 0);

    struct control_options options = options_of(&b);
    struct control_server *none = NULL;
    char path[200];
    (void)snprintf(path, sizeof path, "%s/none/s.sock", b.dir);
    options.path = path;
    assert_int_equal(control_open(&options, &none, &info), ERR_NOTFOUND);
    memset(path + 5, 'p', sizeof path - 6);
    path[sizeof path - 1] = '\0';
    assert_int_equal(control_open(&options, &none, &info), ERR_LIMIT);
    loop_end(&b);
}

/* ---- requests from elsewhere ---- */

static void on_dispatched(void *ctx, struct slice frames)
{
    struct bench *b = ctx;
    b->dispatched_calls++;
    buf_slice(&b->dispatched, frames);
}

static void test_dispatch(void **state)
{
    (void)state;
    struct bench b;
    struct buf out = {0};
    bench_open_edited(&b, with_relay);
    pack_request(&out, "echo", "far", "here", 1);
    assert_int_equal(control_dispatch(b.server, buf_view(&out), SLICE("alice@hq-1"), on_dispatched, &b), ERR_OK);
    assert_int_equal(b.dispatched_calls, 1);
    assert_string_equal(b.user, "alice@hq-1");
    struct client c = {.fd = -1, .in = b.dispatched};
    b.dispatched = (struct buf){0};
    expect_echo(&b, &c, "far");
    assert_int_equal(c.in.n, 0);

    /* for yet another node: never passed on again */
    buf_reset(&out);
    pack_request(&out, "echo", "far", "there", 1);
    assert_int_equal(control_dispatch(b.server, buf_view(&out), SLICE("a"), on_dispatched, &b), ERR_OK);
    buf_fini(&c.in);
    c.in = b.dispatched;
    b.dispatched = (struct buf){0};
    expect_end(&b, &c, 5, "there");

    /* what does not parse never reaches done */
    assert_int_equal(control_dispatch(b.server, SLICE("\0\0\0\1"), SLICE("a"), on_dispatched, &b), ERR_SYNTAX);
    buf_text(&out, "more");
    assert_int_equal(control_dispatch(b.server, buf_view(&out), SLICE("a"), on_dispatched, &b), ERR_SYNTAX);
    assert_int_equal(b.dispatched_calls, 2);

    /* one that is under way when the server closes still comes to its end */
    buf_reset(&out);
    pack_request(&out, "hold", "", "", 1);
    assert_int_equal(control_dispatch(b.server, buf_view(&out), SLICE("a"), on_dispatched, &b), ERR_OK);
    server_stop(&b);
    assert_false(control_reply_gone(b.held));
    control_reply_end(b.held, 0, SLICE_NONE);
    assert_int_equal(b.dispatched_calls, 3);
    buf_fini(&out);
    buf_fini(&c.in);
    arena_fini(&c.arena);
    loop_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_reply),
        cmocka_unit_test(test_partial_and_joined_frames),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_refusals_and_relay),
        cmocka_unit_test(test_hostile_frames),
        cmocka_unit_test(test_unpackable_record_is_no_success),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_stalled_reader_is_dropped),
        cmocka_unit_test(test_idle_client_is_dropped),
        cmocka_unit_test(test_client_vanishes_during_a_reply),
        cmocka_unit_test(test_close_during_a_reply),
        cmocka_unit_test(test_connection_cap),
        cmocka_unit_test(test_live_socket_is_left_alone),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_dispatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
