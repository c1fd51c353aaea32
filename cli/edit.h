/* edit: the commands that change one object: route add, trunk set, account passwd, ... Their options are the fields of
 * the plan's schema, so that a new field is an option of its own accord. */
#ifndef TANDEM_CLI_EDIT_H
#define TANDEM_CLI_EDIT_H

#include "cli/cli.h"

/* Whether this is one of them, by its name. */
bool edit_is_command(const char *name);
/* The options of one of them; they live in arena. ERR_NOMEM. */
MUST_CHECK enum err edit_options(struct arena *arena, const char *name, const struct tree_option **out);

int edit_run(struct cli *c, const struct tree_match *m);

#endif
