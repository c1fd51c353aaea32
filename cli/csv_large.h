/* csv_large: plan import of a table of routes that is too large to be held: compared with the node's plan as that comes
 * in, and what it changes packed into a file without a name, to be sent from there. */
#ifndef TANDEM_CLI_CSV_LARGE_H
#define TANDEM_CLI_CSV_LARGE_H

#include "cli/plan_run.h"

/* Whether the table was taken so: p->file is then what plan_send sends, and *changes how many routes it changes. False:
 * it is not a large table of routes, or something is wrong with it; then nothing was said, p->file is empty, and who
 * reads it as a whole tells what. Warnings (lost-characters) are shown in the end. */
bool csv_large_read(struct plan_run *p, const struct tree_match *m, const char *path, bool replace, size_t *changes);

#endif
