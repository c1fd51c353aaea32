/* watch: see the header. Signals are read from a descriptor, which the wait for an answer listens to as well, so that
 * Ctrl-C ends it at once and between two blocks. */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "node/base/time.h"

#define PERIOD_MS 1000

struct watch {
    struct cli *c;
    const struct tree_match *m;
    int (*frame)(struct cli *c, const struct tree_match *m); /* one of the two */
    int (*news)(struct cli *c, void *ctx);
    void *ctx;
    bool headed;    /* news: something has been shown */
    char *said;     /* news: what was wrong last, NULL nothing */
    unsigned rows;  /* of the terminal */
    bool started;   /* something was shown */
    struct mono at; /* the present block began */
};

/* What one run wrote. */
struct block {
    char *out;
    size_t out_n;
    char *err;
    size_t err_n;
    int status;
};

static struct mono now_mono(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct mono){(uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000};
}

/* "2026-11-22 08:15:30Z" */
static void now_text(char out[WALL_TEXT_SIZE])
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    (void)wall_text((struct wall){(int64_t)t.tv_sec * 1000}, out);
    if (strlen(out) < 20) return;
    out[10] = ' ';
    memcpy(out + 19, "Z", 2);
}

/* Waits for the next block; true when it is time to end. */
static bool stopped(const struct cli *c, int ms)
{
    struct pollfd p = {.fd = c->stop_fd, .events = POLLIN};
    int ready = poll(&p, 1, ms);
    return ready > 0 || (ready < 0 && errno != EINTR);
}

/* ---- one block ---- */

static void look_at_terminal(struct watch *w, struct cli *one)
{
    struct winsize size;
    if (!w->c->out_terminal || ioctl(fileno(w->c->out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
    one->width = size.ws_col;
    w->rows = size.ws_row;
}

static bool run_once(struct watch *w, struct block *b)
{
    struct cli one = *w->c;
    *b = (struct block){.status = CLI_REFUSED};
    look_at_terminal(w, &one);
    one.out = open_memstream(&b->out, &b->out_n);
    one.err = open_memstream(&b->err, &b->err_n);
    bool ok = one.out != NULL && one.err != NULL;
    if (ok) b->status = cli_finish(&one, w->news != NULL ? w->news(&one, w->ctx) : w->frame(&one, w->m));
    if (one.out != NULL && fclose(one.out) != 0) ok = false;
    if (one.err != NULL && fclose(one.err) != 0) ok = false;
    buf_fini(&one.failure);
    return ok;
}

static void block_fini(struct block *b)
{
    free(b->out);
    free(b->err);
}

/* ---- showing ---- */

/* Lines of text, each clearing what stood to its right, as long as there is room. */
static void draw_lines(FILE *out, const char *text, unsigned *room)
{
    struct slice rest = slice_of(text);
    while (rest.n > 0 && *room > 0) {
        struct slice line;
        rest = slice_cut(rest, '\n', &line);
        if (--*room == 0 && rest.n > 0) line = SLICE("...");
        (void)fprintf(out, "%.*s\033[K\n", SLICE_ARG(line));
    }
}

static void draw(struct watch *w, const struct block *b)
{
    char when[WALL_TEXT_SIZE];
    FILE *out = w->c->out;
    unsigned room = w->rows > 4 ? w->rows - 3 : UINT32_MAX;
    now_text(when);
    /* no line may wrap, or what is drawn would be higher than what was counted */
    (void)fprintf(out, "%s\033[H\033[?7lclusterctl %s  %s  Ctrl-C ends\033[K\n\033[K\n", w->started ? "" : "\033[2J",
                  w->m->command->name, when);
    if (b->status != CLI_DONE) draw_lines(out, b->err, &room);
    draw_lines(out, b->out, &room);
    (void)fputs("\033[?7h\033[J", out);
}

static void print(struct watch *w, const struct block *b)
{
    char when[WALL_TEXT_SIZE];
    bool table = w->c->format == OUTPUT_TABLE;
    now_text(when);
    if (w->started && (table || w->c->format == OUTPUT_CSV)) (void)fputs("\n", w->c->out);
    if (table) (void)fprintf(w->c->out, "%s\n", when);
    (void)fwrite(b->out, 1, b->out_n, w->c->out);
    (void)fwrite(b->err, 1, b->err_n, w->c->err);
}

static void append(struct watch *w, struct block *b)
{
    const char *text = b->out;
    const char *header_end = strchr(text, '\n');
    if (w->headed && w->c->format == OUTPUT_CSV && header_end != NULL) text = header_end + 1;
    w->headed = w->headed || text[0] != '\0';
    (void)fputs(text, w->c->out);
    if (w->said == NULL || strcmp(w->said, b->err) != 0) (void)fputs(b->err, w->c->err);
    free(w->said);
    w->said = b->err;
    b->err = NULL;
}

static bool is_shown(const struct watch *w, int status)
{
    /* findings are what somebody may want to see go away */
    return status == CLI_DONE || status == CLI_FINDINGS || (w->news != NULL && status == CLI_PARTIAL);
}

/* ---- the loop ---- */

static int loop(struct watch *w)
{
    for (;;) {
        struct block b;
        w->at = now_mono();
        bool ok = run_once(w, &b);
        int status = b.status;
        bool end = stopped(w->c, 0);
        bool first_failed = !w->started && (!ok || !is_shown(w, status));
        if (ok && !end && first_failed)
            (void)fwrite(b.err, 1, b.err_n, w->c->err);
        else if (ok && !end && w->news != NULL)
            append(w, &b);
        else if (ok && !end && w->c->out_terminal)
            draw(w, &b);
        else if (ok && !end)
            print(w, &b);
        block_fini(&b);
        if (end) return CLI_DONE;
        if (!ok) return cli_fail(w->c, CLI_REFUSED, "no memory");
        if (first_failed) return status;
        w->started = true;
        if (fflush(w->c->out) != 0 || ferror(w->c->out)) return CLI_DONE;
        uint64_t took = mono_ms_between(w->at, now_mono());
        if (stopped(w->c, took < PERIOD_MS ? (int)(PERIOD_MS - took) : 0)) return CLI_DONE;
    }
}

static int watch(struct watch *w)
{
    struct cli *c = w->c;
    sigset_t caught;
    sigset_t before;
    (void)sigemptyset(&caught);
    (void)sigaddset(&caught, SIGINT);
    (void)sigaddset(&caught, SIGTERM);
    (void)sigaddset(&caught, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &caught, &before) != 0) return cli_fail(c, CLI_REFUSED, "%s", strerror(errno));
    c->stop_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    int status = CLI_DONE;
    if (c->stop_fd >= 0) {
        c->stoppable = true;
        c->raw = true;
        status = loop(w);
        if (w->started && c->out_terminal) (void)fputs("\n", c->out); /* behind the ^C that the terminal shows */
        struct signalfd_siginfo signal;
        while (read(c->stop_fd, &signal, sizeof signal) == sizeof signal)
            continue; /* none may act when they are let through again */
        (void)close(c->stop_fd);
        c->stoppable = false;
    } else {
        status = cli_fail(c, CLI_REFUSED, "%s", strerror(errno));
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

int watch_run(struct cli *c, const struct tree_match *m, int (*frame)(struct cli *c, const struct tree_match *m))
{
    struct watch w = {.c = c, .m = m, .frame = frame};
    return watch(&w);
}

int watch_follow(struct cli *c, const struct tree_match *m, int (*frame)(struct cli *c, void *ctx), void *ctx)
{
    struct watch w = {.c = c, .m = m, .news = frame, .ctx = ctx};
    int status = watch(&w);
    free(w.said);
    return status;
}
