/* tree: the shape of the command table, and the parser that reads a command line by it.
 *
 * One table (cli/commands.h) makes the parser, the help, the man page and the completion; nothing about a command is
 * said twice. Words of commands and names of options may be cut short while they stay clear. Options may stand anywhere
 * behind the words of their command, global ones anywhere; "--" ends them. Pure: no output, no environment. */
#ifndef TANDEM_CLI_TREE_H
#define TANDEM_CLI_TREE_H

#include "node/base/bytes.h"

#define TREE_ARGS_MAX 4
#define TREE_VALUES_MAX 96
#define TREE_CHOICES_MAX 8

struct tree_option {
    const char *name;  /* "message"; NULL ends a list */
    char letter;       /* 'm', or 0 */
    const char *value; /* "TEXT"; "FILE" and "DIR" are completed as such; NULL: a flag */
    bool repeated;
    const char *help;                      /* one sentence, lower case, no full stop */
    const char *choices[TREE_CHOICES_MAX]; /* the values allowed; none: any */
};

struct tree_arg {
    const char *name; /* "FILE"; NULL ends a list */
    const char *help;
    bool optional;
    bool many; /* takes all that follow */
};

struct cli;
struct tree_match;

struct tree_command {
    const char *name;                  /* "plan apply" */
    const char *summary;               /* one line, lower case, no full stop */
    const char *text;                  /* paragraphs for help and manual, separated by "\n\n"; NULL: none */
    const struct tree_arg *args;       /* NULL: none */
    const struct tree_option *options; /* NULL: none */
    int (*run)(struct cli *c, const struct tree_match *m);
    bool follows; /* --watch is run's own matter: it shows what is new instead of all anew */
};

struct tree {
    const char *program;
    const struct tree_option *options; /* global */
    const struct tree_command *commands;
    size_t command_count;
};

struct tree_value {
    const struct tree_option *option;
    const char *value; /* NULL for a flag */
};

struct tree_match {
    const struct tree_command *command; /* NULL with --help or --version before a whole command */
    char group[64];                     /* the words resolved so far: "plan" */
    const char *args[TREE_ARGS_MAX];
    size_t arg_count;
    struct tree_value values[TREE_VALUES_MAX];
    size_t value_count;
};

/* argv without the program's name. Everything in m points into the table and argv. ERR_SYNTAX with a sentence that says
 * what was meant, if that can be guessed. What was parsed before the error is in m, so that -o json is known. */
MUST_CHECK enum err tree_parse(const struct tree *t, int argc, char *const *argv, struct tree_match *m,
                               struct err_info *info);

/* The last value of an option, NULL when it was not given (or is a flag). */
const char *tree_value(const struct tree_match *m, const char *option);
bool tree_given(const struct tree_match *m, const char *option);
/* The k-th value of a repeated option, NULL behind the last. */
const char *tree_value_at(const struct tree_match *m, const char *option, size_t k);
const char *tree_arg(const struct tree_match *m, size_t k); /* NULL when it was not given */

/* The k-th word of a command's name; empty behind the last. */
struct slice tree_word(const struct tree_command *c, size_t k);
/* Whether a command's name begins with these words ("" always, "plan" for "plan apply"). */
bool tree_under(const struct tree_command *c, const char *words);

#endif
