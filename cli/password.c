/* password: see the header. While the terminal is silent, signals wait: they are let through once it shows again what
 * is typed. */
#include "cli/password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

int password_read_file(struct cli *c, const char *path, struct arena *arena, struct slice *out)
{
    struct slice text;
    int status = cli_read_file(c, path, PASSWORD_FILE_MAX, arena, &text);
    if (status != CLI_DONE) return status;
    (void)slice_cut(text, '\n', out);
    if (out->n > 0 && out->p[out->n - 1] == '\r') out->n--;
    if (out->n > 0) return CLI_DONE;
    return cli_fail(c, CLI_REFUSED, "%s: its first line is empty; a password was wanted there", path);
}

bool password_can_ask(const struct cli *c)
{
    return c->err_terminal && isatty(fileno(c->in)) == 1;
}

/* Waits for a line or a signal; false for the latter. */
static bool line_comes(int fd, int signals)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (poll(p, 2, -1) < 0) {
        if (errno != EINTR) return false;
    }
    return (p[1].revents & POLLIN) == 0;
}

/* One line that was typed. The terminal hands over whole lines, so that one read takes one. */
static ssize_t read_line(struct cli *c, char *line, size_t size)
{
    int fd = fileno(c->in);
    struct termios shown;
    struct termios hidden;
    sigset_t caught;
    sigset_t before;
    ssize_t n = -1;
    (void)sigemptyset(&caught);
    (void)sigaddset(&caught, SIGINT);
    (void)sigaddset(&caught, SIGTERM);
    (void)sigaddset(&caught, SIGQUIT);
    (void)sigaddset(&caught, SIGHUP);
    (void)sigaddset(&caught, SIGTSTP);
    if (tcgetattr(fd, &shown) != 0 || sigprocmask(SIG_BLOCK, &caught, &before) != 0) return -1;
    int signals = signalfd(-1, &caught, SFD_CLOEXEC);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    if (signals >= 0 && tcsetattr(fd, TCSAFLUSH, &hidden) == 0) {
        if (line_comes(fd, signals)) n = read(fd, line, size);
        (void)tcsetattr(fd, TCSAFLUSH, &shown);
        (void)fputs("\n", c->err);
        (void)fflush(c->err);
    }
    if (signals >= 0) (void)close(signals);
    (void)sigprocmask(SIG_SETMASK, &before, NULL); /* a signal that waited acts now */
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    return n;
}

static ssize_t ask_once(struct cli *c, const char *prompt, const char *whose, char *line, size_t size)
{
    (void)fprintf(c->err, "%s%s: ", prompt, whose);
    (void)fflush(c->err);
    return read_line(c, line, size);
}

int password_ask(struct cli *c, const char *whose, struct arena *arena, struct slice *out)
{
    char first[PASSWORD_LINE_MAX];
    char second[sizeof first];
    int status = CLI_DONE;
    ssize_t n = ask_once(c, "password of ", whose, first, sizeof first);
    ssize_t again = n > 0 ? ask_once(c, "once more", "", second, sizeof second) : n;
    if (n < 0 || again < 0)
        status = cli_fail(c, CLI_REFUSED, "the password cannot be read from this terminal");
    else if (n == 0)
        status = cli_fail(c, CLI_REFUSED, "no password was given; nothing is changed");
    else if (n != again || memcmp(first, second, (size_t)n) != 0)
        status = cli_fail(c, CLI_REFUSED, "the two are not the same; nothing is changed");
    if (status == CLI_DONE) {
        *out = arena_copy(arena, (struct slice){first, (size_t)n});
        if (out->p == NULL) status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    secret_wipe(first, sizeof first);
    secret_wipe(second, sizeof second);
    return status;
}
