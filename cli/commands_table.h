/* commands_table: the parts of the command table, and what they share. Nothing but commands*.c includes it.
 *
 * A part is a file for each subject, with its commands in the order in which help shows them. */
#ifndef TANDEM_CLI_COMMANDS_TABLE_H
#define TANDEM_CLI_COMMANDS_TABLE_H

#include "cli/commands.h"

struct command_list {
    const struct tree_command *items;
    size_t count;
};
#define COMMAND_LIST(array)                                                                                            \
    {                                                                                                                  \
        (array), sizeof(array) / sizeof(array)[0]                                                                      \
    }

extern const struct command_list commands_state;   /* commands_state.c */
extern const struct command_list commands_plan;    /* commands_plan.c */
extern const struct command_list commands_object;  /* commands_object.c */
extern const struct command_list commands_cluster; /* commands_cluster.c */

/* The end of a list of arguments or options. */
#define END                                                                                                            \
    {                                                                                                                  \
        0                                                                                                              \
    }

#define WATCH_OPTION                                                                                                   \
    {                                                                                                                  \
        .name = "watch", .letter = 'w', .help = "show it anew every second, until Ctrl-C"                              \
    }

#endif
