/* manual: what is made from the command table for people and shells: help, the man page, the completion. */
#ifndef TANDEM_CLI_MANUAL_H
#define TANDEM_CLI_MANUAL_H

#include "cli/cli.h"

/* The page of a command ("plan apply"), the list of a group ("plan"), or the overview (""). */
int manual_help(struct cli *c, const char *words);
int manual_version(struct cli *c);

/* "FILE [--allow WARNING] ...": the arguments and options of a command. */
void manual_synopsis(const struct tree_command *command, struct buf *out);
/* Whether the choices of an option show in the name of its value already: "yes|no". */
bool manual_value_is_choice(const struct tree_option *o);
void manual_help_text(const struct tree *t, const char *words, struct buf *out);
void manual_man_text(const struct tree *t, struct buf *out);
void manual_bash_text(const struct tree *t, struct buf *out);

#endif
