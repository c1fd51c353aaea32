/* main: tandemd CONFIG, or tandemd --check CONFIG. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/app/log_sink.h"
#include "node/app/node.h"
#include "node/sip/value.h"

#define DRAIN_MS 5000

static const char usage_text[] = "usage: tandemd CONFIG          run the node that CONFIG describes\n"
                                 "       tandemd --check CONFIG  say whether CONFIG is right, and do nothing else\n"
                                 "       tandemd --version\n"
                                 "SIGTERM and SIGINT end it: calls in progress get up to 5 s, new ones go elsewhere.\n"
                                 "SIGHUP takes over log: and seeds: of a changed CONFIG, and renewed certificates.\n";

static const int watched[] = {SIGTERM, SIGINT, SIGHUP};
#define WATCHED_COUNT (sizeof watched / sizeof watched[0])

struct program {
    const char *path;
    struct events *events;
    struct log_sink sink; /* the store's and NNG's threads may log until node_fini returns */
    struct node node;
    uv_signal_t signals[WATCHED_COUNT];
    size_t signal_count;
};

/* Tells systemd where it asks (sd_notify(3)): one datagram to the socket it named. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    (void)close(fd);
}

/* path: of what has the lines and columns. */
static void print_error(const char *path, const struct err_info *info)
{
    if (info->line > 0) {
        (void)fprintf(stderr, "tandemd: %s:%u:%u: %s\n", path, info->line, info->column, info->text);
    } else {
        (void)fprintf(stderr, "tandemd: %s\n", info->text);
    }
}

static void reload(struct program *p)
{
    struct arena arena = {0};
    struct config fresh;
    struct err_info info = {0};
    enum err e = config_read(&arena, p->path, &fresh, &info);
    if (e == ERR_OK) {
        log_sink_level(&p->sink, fresh.log_level);
        node_reload(&p->node, &fresh);
    } else {
        log_event(&p->node.log, LOG_ERROR, "main", "config-refused", "file=%s line=%u column=%u why=\"%s\"", p->path,
                  info.line, info.column, info.text[0] != '\0' ? info.text : err_name(e));
    }
    arena_fini(&arena);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *p = handle->data;
    if (p->node.stopping) {
        log_event(&p->node.log, LOG_INFO, "main", "stopping-already", "signal=%d", number);
    } else if (number == SIGHUP) {
        reload(p);
    } else {
        log_event(&p->node.log, LOG_INFO, "main", "stopping", "signal=%d", number);
        notify("STOPPING=1");
        node_stop(&p->node, DRAIN_MS);
    }
}

/* A parent's blocked signals are inherited; ours must arrive. A full disk and a gone peer are errors, not signals. */
static void signals_prepare(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

/* They are watched until the very end, but do not keep the loop alive. */
static bool signals_open(struct program *p, uv_loop_t *loop)
{
    for (; p->signal_count < WATCHED_COUNT; p->signal_count++) {
        uv_signal_t *s = &p->signals[p->signal_count];
        if (uv_signal_init(loop, s) != 0) return false;
        s->data = p;
        uv_unref((uv_handle_t *)s);
        if (uv_signal_start(s, on_signal, watched[p->signal_count]) == 0) continue;
        p->signal_count++;
        return false;
    }
    return true;
}

static void signals_close(struct program *p)
{
    for (size_t i = 0; i < p->signal_count; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static bool open_all(struct program *p, uv_loop_t *loop, const struct config *config)
{
    struct log log = log_sink_log(&p->sink, config->log_level);
    struct err_info info = {0};
    if (node_open(&p->node, loop, config, &log, p->events, &info) != ERR_OK) {
        print_error(p->path, &info);
        return false;
    }
    if (!signals_open(p, loop)) {
        (void)fprintf(stderr, "tandemd: signals cannot be watched\n");
        node_stop(&p->node, 0);
        return false;
    }
    log_event(&log, LOG_INFO, "main", "ready", "node=%s site=%s version=%s", config->node, config->site,
              TANDEM_VERSION);
    notify("READY=1");
    return true;
}

static int run(const char *path, const struct config *config)
{
    struct program *p = calloc(1, sizeof *p);
    struct events *events = events_new();
    uv_loop_t loop;
    if (p == NULL || events == NULL || uv_loop_init(&loop) != 0) {
        (void)fprintf(stderr, "tandemd: no memory\n");
        events_free(events);
        free(p);
        return 1;
    }
    p->path = path;
    p->events = events;
    log_sink_init(&p->sink, stderr, events);
    bool opened = open_all(p, &loop, config);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    signals_close(p);
    node_fini(&p->node);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0) log_event(&p->node.log, LOG_ERROR, "main", "handles-left", "%s", "");
    log_sink_fini(&p->sink);
    events_free(events);
    free(p);
    return opened ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct config config;
    struct err_info info = {0};
    bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("tandemd %s\n", TANDEM_VERSION);
        return 0;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)fputs(usage_text, stdout);
        return 0;
    }
    if (!check && (argc != 2 || argv[1][0] == '-')) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    const char *path = argv[argc - 1];
    enum err e = config_read(&arena, path, &config, &info);
    if (e != ERR_OK) {
        print_error(path, &info);
        arena_fini(&arena);
        return 1;
    }
    signals_prepare();
    sip_library_init();
    int status = 0;
    if (check) {
        (void)printf("%s: ok: node %s at site %s\n", path, config.node, config.site);
    } else {
        status = run(path, &config);
    }
    arena_fini(&arena);
    return status;
}
