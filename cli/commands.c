/* commands: the table from which the parser, the help, the man page and the completion are made, put together from its
 * parts; the global options, and the commands that need no node. */
#include "cli/commands.h"

#include "cli/commands_table.h"
#include "cli/edit.h"

static const struct tree_option global_options[] = {
    {.name = "socket",
     .letter = 's',
     .value = "FILE",
     .help = "the node's control socket; without it TANDEM_SOCKET, "
             "else the only socket in /run/tandem"},
    {.name = "node", .value = "NODE", .help = "let that node answer, by way of the one at the socket"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .help = "how records are written",
     .choices = {"table", "json", "yaml", "csv"}},
    {.name = "help", .letter = 'h', .help = "say what a command does"},
    {.name = "version", .letter = 'V', .help = "print the version"},
    END,
};

static const struct tree_arg help_words[] = {
    {.name = "COMMAND", .optional = true, .many = true, .help = "a command or a group of commands"}, END};
static const struct tree_arg names_of[] = {
    {.name = "KIND", .help = "node, site, trunk, account, source, target, object, match, change or call"},
    {.name = "BEGINS", .optional = true, .help = "what a name begins with"},
    END,
};
static const struct tree_arg completion_shell[] = {{.name = "SHELL", .help = "bash"}, END};

static const struct tree_command commands[] = {
    {.name = "names",
     .args = names_of,
     .run = names_run,
     .summary = "the names that the node knows, one a line",
     .text = "The completion of the shell asks for them; at most 100."},
    {.name = "completion",
     .args = completion_shell,
     .run = completion_run,
     .summary = "print the completion script of a shell",
     .text = "For bash: clusterctl completion bash > /etc/bash_completion.d/clusterctl\n\n"
             "Names of nodes, objects, changes and calls are completed with those that the node knows."},
    {.name = "man", .run = man_run, .summary = "print the manual page, for man -l -"},
    {.name = "help", .args = help_words, .run = help_run, .summary = "say what the commands do"},
    {.name = "version", .run = version_run, .summary = "print the version"},
};
static const struct command_list commands_own = COMMAND_LIST(commands);

/* In the order in which help shows them. */
static const struct command_list *const parts[] = {&commands_state, &commands_plan, &commands_object, &commands_cluster,
                                                   &commands_own};
#define PARTS (sizeof parts / sizeof parts[0])

enum err cli_tree_make(struct arena *arena, struct tree *out)
{
    size_t count = 0;
    size_t at = 0;
    for (size_t i = 0; i < PARTS; i++)
        count += parts[i]->count;
    struct tree_command *list = arena_alloc(arena, count * sizeof *list);
    if (list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < PARTS; i++) {
        memcpy(list + at, parts[i]->items, parts[i]->count * sizeof *list);
        at += parts[i]->count;
    }
    for (size_t i = 0; i < count; i++) {
        if (!edit_is_command(list[i].name)) continue;
        enum err e = edit_options(arena, list[i].name, &list[i].options);
        if (e != ERR_OK) return e;
    }
    *out = (struct tree){.program = "clusterctl", .options = global_options, .commands = list, .command_count = count};
    return ERR_OK;
}
