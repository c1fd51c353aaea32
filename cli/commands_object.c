/* commands_object: one object of the plan, without a document. Their options come from the plan's schema (edit.h). */
#include "cli/commands_table.h"
#include "cli/edit.h"

static const struct tree_arg route_match[] = {
    {.name = "MATCH", .help = "a prefix (6, +49), one number (=6001) or a range (8150-8379)"}, END};
static const struct tree_arg object_name[] = {{.name = "NAME", .help = "its name in the plan"}, END};

#define SET_TEXT "What is not named stays as it is; an empty value ('') takes the default."
#define SEVERAL_TEXT "Several values stand between commas, or their option is given several times."

static const struct tree_command commands[] = {
    {.name = "route add",
     .args = route_match,
     .run = edit_run,
     .summary = "add a route to the plan",
     .text = SEVERAL_TEXT},
    {.name = "route set",
     .args = route_match,
     .run = edit_run,
     .summary = "change what a route is like",
     .text = "Which route is meant: the one with this match, --scope and --to; --to can be left out while there is one "
             "alone.\n\n" SET_TEXT " " SEVERAL_TEXT},
    {.name = "route remove",
     .args = route_match,
     .run = edit_run,
     .summary = "remove a route from the plan",
     .text = "Which route is meant: the one with this match, --scope and --to; --to can be left out while there is one "
             "alone."},

    {.name = "site add",
     .args = object_name,
     .run = edit_run,
     .summary = "add a site to the plan",
     .text = SEVERAL_TEXT},
    {.name = "site set",
     .args = object_name,
     .run = edit_run,
     .summary = "change what a site is like",
     .text = SET_TEXT " " SEVERAL_TEXT},
    {.name = "site remove", .args = object_name, .run = edit_run, .summary = "remove a site from the plan"},

    {.name = "trunk add",
     .args = object_name,
     .run = edit_run,
     .summary = "add a trunk to the plan",
     .text = SEVERAL_TEXT},
    {.name = "trunk set",
     .args = object_name,
     .run = edit_run,
     .summary = "change what a trunk is like",
     .text = SET_TEXT " " SEVERAL_TEXT},
    {.name = "trunk remove", .args = object_name, .run = edit_run, .summary = "remove a trunk from the plan"},

    {.name = "account add",
     .args = object_name,
     .run = edit_run,
     .summary = "add an account to the plan",
     .text = "Its password is asked for, or read from a file. " SEVERAL_TEXT},
    {.name = "account set",
     .args = object_name,
     .run = edit_run,
     .summary = "change what an account is like",
     .text = SET_TEXT " " SEVERAL_TEXT},
    {.name = "account passwd",
     .args = object_name,
     .run = edit_run,
     .summary = "give an account a new password",
     .text = "It is asked for, or read from a file. It is hashed here, before it travels."},
    {.name = "account remove", .args = object_name, .run = edit_run, .summary = "remove an account from the plan"},
};
const struct command_list commands_object = COMMAND_LIST(commands);
