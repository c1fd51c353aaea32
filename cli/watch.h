/* watch: a command again and again, once a second, until somebody stops it. */
#ifndef TANDEM_CLI_WATCH_H
#define TANDEM_CLI_WATCH_H

#include "cli/cli.h"

/* Runs frame every second and shows what it wrote: on a terminal in place of what stood there, otherwise one block
 * after the other. frame gets a copy of c with an output of its own; when the first one fails, its status is the
 * result. Ends with CLI_DONE on SIGINT, SIGTERM or SIGHUP, or when nobody reads any more. */
int watch_run(struct cli *c, const struct tree_match *m, int (*frame)(struct cli *c, const struct tree_match *m));

/* The same for what only grows: frame, called with ctx, writes what is new, and nothing where nothing is. It is shown
 * below what was shown before, on a terminal too; in CSV the header row stands once. An answer of a part of the cluster
 * (CLI_PARTIAL) is one; what is wrong is said when it changes. */
int watch_follow(struct cli *c, const struct tree_match *m, int (*frame)(struct cli *c, void *ctx), void *ctx);

#endif
