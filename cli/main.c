/* main: clusterctl's surroundings: locale, terminal, environment. */
#include <locale.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

static unsigned width_of(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

/* https://no-color.org: any value that is not empty */
static bool color_wanted(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
    struct cli c = {
        .in = stdin, .out = stdout, .err = stderr, .run_dir = "/run/tandem", .env_socket = getenv("TANDEM_SOCKET")};
    /* The width of characters is all that a table needs; without such a locale a name in UTF-8 only misses its column.
     */
    if (setlocale(LC_CTYPE, "") == NULL) (void)setlocale(LC_CTYPE, "C.UTF-8");
    c.out_terminal = isatty(STDOUT_FILENO) == 1;
    c.err_terminal = isatty(STDERR_FILENO) == 1;
    c.width = c.out_terminal ? width_of(STDOUT_FILENO) : 0;
    c.color = c.out_terminal && color_wanted();
    return cli_run(&c, argc, argv);
}
