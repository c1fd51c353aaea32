/* progress: a line on the terminal that says how far something is that takes longer than a second. */
#ifndef TANDEM_CLI_PROGRESS_H
#define TANDEM_CLI_PROGRESS_H

#include "cli/cli.h"

/* Zeroed at the beginning. */
struct progress {
    uint64_t began_ms;
    uint64_t shown_ms;
    uint32_t calls;
    bool visible;
};

/* To be called for each step; looks at the clock now and then. "reading the table: 120000" */
void progress_step(struct cli *c, struct progress *p, const char *what, uint64_t done);
/* The same at a point in time, ms > 0. */
void progress_at(struct cli *c, struct progress *p, const char *what, uint64_t done, uint64_t now_ms);
/* Takes the line away, if there is one. */
void progress_end(struct cli *c, struct progress *p);

#endif
