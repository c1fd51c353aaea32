/* fake_node: see the header. */
#include "tests/unit/cli/fake_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORDS_MAX 32

static void no_sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    (void)level;
    (void)module;
    (void)ev;
    (void)pairs;
}

static void on_stop(uv_async_t *a)
{
    struct fake_node *n = a->data;
    control_close(n->server, NULL, NULL);
    uv_close((uv_handle_t *)&n->stop, NULL);
}

static void *run_loop(void *arg)
{
    struct fake_node *n = arg;
    (void)uv_run(&n->loop, UV_RUN_DEFAULT);
    return NULL;
}

void fake_node_start(struct fake_node *n, const struct control_command *commands, size_t count, void *ctx)
{
    static const struct log no_log = {.max = LOG_ERROR, .sink = no_sink};
    struct err_info info = {0};
    *n = (struct fake_node){0};
    (void)snprintf(n->dir, sizeof n->dir, "/tmp/tandem-cli-XXXXXX");
    assert_non_null(mkdtemp(n->dir));
    (void)snprintf(n->path, sizeof n->path, "%s/n.sock", n->dir);
    assert_int_equal(uv_loop_init(&n->loop), 0);
    assert_int_equal(uv_async_init(&n->loop, &n->stop, on_stop), 0);
    n->stop.data = n;
    const struct control_options options = {.loop = &n->loop,
                                            .log = &no_log,
                                            .path = n->path,
                                            .commands = commands,
                                            .command_count = count,
                                            .ctx = ctx,
                                            .node = "here"};
    if (control_open(&options, &n->server, &info) != ERR_OK) fail_msg("%s", info.text);
    assert_int_equal(pthread_create(&n->thread, NULL, run_loop, n), 0);
}

void fake_node_stop(struct fake_node *n)
{
    assert_int_equal(uv_async_send(&n->stop), 0);
    assert_int_equal(pthread_join(n->thread, NULL), 0);
    assert_int_equal(uv_loop_close(&n->loop), 0);
    assert_int_equal(rmdir(n->dir), 0);
}

void fake_say(struct control_reply *r, const char *kind, ...)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record record;
    va_list ap;
    control_record_start(&b, &arena, kind);
    va_start(ap, kind);
    for (const char *name = va_arg(ap, const char *); name != NULL; name = va_arg(ap, const char *)) {
        const char *value = va_arg(ap, const char *);
        if (value[0] == '#')
            control_int(&b, name, strtoll(value + 1, NULL, 10));
        else if (value[0] == '?')
            control_bool(&b, name, value[1] == '1');
        else if (strcmp(value, "!") == 0)
            control_null(&b, name);
        else
            control_text(&b, name, slice_of(value));
    }
    va_end(ap);
    if (control_record_done(&b, &record) == ERR_OK) control_reply_record(r, &record);
    arena_fini(&arena);
}

void run_cli(struct run *r, const char *socket, const char *line)
{
    char copy[1024];
    char program[] = "clusterctl";
    char *words[WORDS_MAX] = {program};
    int count = 1;
    size_t out_n = 0;
    size_t err_n = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok(copy, " "); w != NULL && count < WORDS_MAX; w = strtok(NULL, " ")) {
        for (char *p = w; *p != '\0'; p++)
            *p = (char)(*p == '_' ? ' ' : *p);
        words[count++] = w;
    }
    *r = (struct run){0};
    struct cli c = {.in = stdin, .run_dir = "/nonexistent", .env_socket = socket};
    c.out = open_memstream(&r->out, &out_n);
    c.err = open_memstream(&r->err, &err_n);
    assert_non_null(c.out);
    assert_non_null(c.err);
    r->status = cli_run(&c, count, words);
    assert_int_equal(fclose(c.out), 0);
    assert_int_equal(fclose(c.err), 0);
}

void run_end(struct run *r)
{
    free(r->out);
    free(r->err);
}

void expect_run(const char *socket, const char *line, int status, const char *out, const char *err)
{
    struct run r;
    run_cli(&r, socket, line);
    if (r.status != status) print_error("%s: status %d, not %d\n%s%s", line, r.status, status, r.out, r.err);
    assert_int_equal(r.status, status);
    if (out != NULL) assert_string_equal(r.out, out);
    if (err != NULL) assert_string_equal(r.err, err);
    run_end(&r);
}

void expect_run_has(const char *socket, const char *line, int status, const char *out, const char *err)
{
    struct run r;
    run_cli(&r, socket, line);
    bool good = r.status == status && (out == NULL || strstr(r.out, out) != NULL) &&
                (err == NULL || strstr(r.err, err) != NULL);
    if (!good) fail_msg("%s: status %d\n---- out\n%s\n---- err\n%s", line, r.status, r.out, r.err);
    run_end(&r);
}
