/* cli: one run of clusterctl: its surroundings, how it fails, and its exit status. */
#ifndef TANDEM_CLI_CLI_H
#define TANDEM_CLI_CLI_H

#include "cli/output.h"
#include "cli/tree.h"

/* Exit status; the same numbers travel in the end of a reply. */
enum cli_status {
    CLI_DONE = 0,
    CLI_REFUSED = 1,
    CLI_USAGE = 2,
    CLI_FINDINGS = 3, /* a conflict, or lint findings */
    CLI_PARTIAL = 4,  /* done on part of the cluster */
    CLI_UNREACHABLE = 5,
};

struct cli {
    /* set by main (or a test) */
    FILE *in;
    FILE *out;
    FILE *err;
    bool out_terminal;
    bool err_terminal;
    bool color;
    unsigned width;         /* of the terminal that out is, 0: it is none */
    const char *run_dir;    /* where sockets are looked for: "/run/tandem" */
    const char *env_socket; /* TANDEM_SOCKET, or NULL */
    /* from the command line */
    const char *socket; /* -s, or NULL */
    const char *node;   /* --node, or "" */
    enum output_format format;
    bool format_given;
    /* of this run */
    const struct tree *tree; /* the commands */
    struct output *output;   /* what cli_output opened */
    bool stoppable;          /* stop_fd becomes readable when nobody waits for an answer any more */
    int stop_fd;
    bool raw;           /* the command writes to out itself */
    bool finished;      /* the output is complete */
    struct buf failure; /* the text of the first cli_fail */
};

/* Parses, runs, and reports. argv[0] is the program's name. */
int cli_run(struct cli *c, int argc, char **argv);

/* Says why on stderr ("clusterctl: ..."), keeps it for -o json, and returns status, so that a failing path is one line.
 */
int cli_fail(struct cli *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* With the status that an err has: unreachable, conflict, refused. */
int cli_fail_err(struct cli *c, enum err e, const struct err_info *info);
/* A remark on stderr that changes nothing. */
void cli_note(struct cli *c, struct slice text);

/* Opens the output of this run with these views (borrowed). False: no memory, and said so. */
bool cli_output(struct cli *c, const struct output_view *views);
/* Writes what the output still holds, or the error alone where a program reads, and returns status, or another one when
 * the stream broke. cli_run calls it for a command that did not: one whose views end before. */
int cli_finish(struct cli *c, int status);

/* The whole of a file, "-" for standard input, into arena. cap bytes at most. A failure is said; CLI_DONE or the
 * status. */
int cli_read_file(struct cli *c, const char *path, size_t cap, struct arena *arena, struct slice *out);

#endif
