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
                                 "SIGTERM and SIGINT end it: calls in progress get up to 5 s, new ones go elsewhere.\n";

struct program {
    struct node node;
    uv_signal_t term;
    uv_signal_t interrupt;
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

static void print_error(const char *path, const struct err_info *info)
{
    if (info->line > 0) {
        (void)fprintf(stderr, "tandemd: %s:%u:%u: %s\n", path, info->line, info->column, info->text);
    } else {
        (void)fprintf(stderr, "tandemd: %s\n", info->text);
    }
}

static void signals_close(struct program *p)
{
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct program *p = handle->data;
    if (p->node.stopping) return;
    log_event(&p->node.log, LOG_INFO, "main", "stopping", "signal=%d", number);
    notify("STOPPING=1");
    signals_close(p);
    node_stop(&p->node, DRAIN_MS);
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

static bool signals_open(struct program *p, uv_loop_t *loop)
{
    if (uv_signal_init(loop, &p->term) != 0 || uv_signal_init(loop, &p->interrupt) != 0) return false;
    p->term.data = p;
    p->interrupt.data = p;
    return uv_signal_start(&p->term, on_signal, SIGTERM) == 0 && uv_signal_start(&p->interrupt, on_signal, SIGINT) == 0;
}

static int run(const struct config *config)
{
    static struct log_sink sink; /* NNG's and the store's threads may log until the very end */
    struct program *p = calloc(1, sizeof *p);
    struct err_info info = {0};
    uv_loop_t loop;
    int status = 0;
    if (p == NULL || uv_loop_init(&loop) != 0) {
        (void)fprintf(stderr, "tandemd: no memory\n");
        free(p);
        return 1;
    }
    log_sink_init(&sink, stderr);
    struct log log = log_sink_log(&sink, config->log_level);
    enum err e = node_open(&p->node, &loop, config, &log, &info);
    if (e != ERR_OK) {
        print_error("", &info);
        status = 1;
    } else if (!signals_open(p, &loop)) {
        (void)fprintf(stderr, "tandemd: signals cannot be watched\n");
        node_stop(&p->node, 0);
        status = 1;
    } else {
        log_event(&log, LOG_INFO, "main", "ready", "node=%s site=%s version=%s", config->node, config->site,
                  TANDEM_VERSION);
        notify("READY=1");
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    node_fini(&p->node);
    (void)uv_loop_close(&loop);
    free(p);
    log_sink_fini(&sink);
    return status;
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
        status = run(&config);
    }
    arena_fini(&arena);
    return status;
}
