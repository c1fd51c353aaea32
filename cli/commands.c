/* commands: the table from which the parser, the help, the man page and the completion are made. */
#include "cli/commands.h"

#include "cli/manual.h"

#define END                                                                                                            \
    {                                                                                                                  \
        0                                                                                                              \
    }

static const struct tree_option global_options[] = {
    {.name = "socket",
     .letter = 's',
     .value = "FILE",
     .help = "the node's control socket; without it TANDEM_SOCKET, "
             "else the only socket in /run/tandem"},
    {.name = "node", .value = "NAME", .help = "let that node answer, by way of the one at the socket"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .help = "how records are written",
     .choices = {"table", "json", "yaml", "csv"}},
    {.name = "help", .letter = 'h', .help = "say what a command does"},
    {.name = "version", .letter = 'V', .help = "print the version"},
    END,
};

/* ---- plan ---- */

static const struct tree_arg plan_file[] = {{.name = "FILE", .help = "a plan document, - for standard input"}, END};
static const struct tree_arg plan_what[] = {
    {.name = "OBJECT|CHANGE",
     .optional = true,
     .help = "a key or the beginning of one (trunk/hq-pbx, route/), or a change as 'plan log' names it"},
    END,
};

#define ALLOW_OPTION                                                                                                   \
    {                                                                                                                  \
        .name = "allow", .value = "WARNING|all", .repeated = true,                                                     \
        .help = "accept warnings of this name, as the findings show it; may be given several times"                    \
    }

static const struct tree_option plan_check_options[] = {ALLOW_OPTION, END};
static const struct tree_option plan_diff_options[] = {ALLOW_OPTION, END};
static const struct tree_option plan_apply_options[] = {
    {.name = "message", .letter = 'm', .value = "MESSAGE", .help = "why: it stays in the plan's history"},
    ALLOW_OPTION,
    {.name = "dry-run", .help = "say what would be done, and do nothing"},
    {.name = "base",
     .value = "DIGEST",
     .help = "refuse if the plan is no longer the one with this digest; 'plan show' writes it into its document"},
    {.name = "force", .help = "apply although the plan has moved since"},
    {.name = "wait",
     .value = "live|all|N",
     .help = "whose receipt to wait for: every node that is alive (the default), every member, or N nodes"},
    {.name = "timeout", .value = "TIME", .help = "how long to wait for receipts: 5s, 1m"},
    END,
};
static const struct tree_option plan_log_options[] = {
    {.name = "number",
     .letter = 'n',
     .value = "N",
     .help = "so many changes, the newest first; 20 without it, 0 for all"},
    END,
};

/* ---- route ---- */

static const struct tree_arg route_number[] = {{.name = "NUMBER", .help = "the number as it is dialled"}, END};
static const struct tree_option route_options[] = {
    {.name = "from",
     .value = "SOURCE",
     .help = "who calls: trunk/NAME or account/NAME; without it somebody at the node's site"},
    {.name = "at", .value = "NODE", .help = "the node that decides; without it the one at the socket"},
    {.name = "call-id",
     .value = "TEXT",
     .help = "the Call-ID, which decides among targets of equal priority by their weight"},
    END,
};

/* ---- membership ---- */

static const struct tree_option ca_options[] = {
    {.name = "cluster", .value = "NAME", .help = "the cluster's name"},
    {.name = "dir", .value = "DIR", .help = "where the CA lives; NAME-ca without it"},
    END,
};
static const struct tree_arg invite_name[] = {{.name = "NAME", .help = "the new node's name, unique in the cluster"},
                                              END};
static const struct tree_option invite_options[] = {
    {.name = "site", .value = "SITE", .help = "the site that it serves"},
    {.name = "ca", .value = "DIR", .help = "the directory that 'ca init' made"},
    {.name = "seed",
     .value = "ADDRESS",
     .repeated = true,
     .help = "mesh address of a member (10.1.0.1:7400); without it the node at the socket is asked for them"},
    {.name = "out", .value = "FILE", .help = "the join file; NAME.join without it"},
    END,
};
static const struct tree_arg join_file[] = {{.name = "FILE", .help = "the join file"}, END};
static const struct tree_option join_options[] = {
    {.name = "data", .value = "DIR", .help = "the node's data directory, 'data:' in its configuration"},
    {.name = "force", .help = "replace the identity of another node or cluster"},
    END,
};
static const struct tree_arg evict_name[] = {{.name = "NAME", .help = "the node"}, END};

/* ---- the rest ---- */

static const struct tree_arg help_words[] = {
    {.name = "COMMAND", .optional = true, .many = true, .help = "a command or a group of commands"}, END};
static const struct tree_arg completion_shell[] = {{.name = "SHELL", .help = "bash"}, END};

static const struct tree_command commands[] = {
    {.name = "status",
     .run = show_run,
     .summary = "the node, its plan, and whether all is well",
     .text = "The first line is the verdict: ok, or what needs attention."},
    {.name = "nodes",
     .run = show_run,
     .summary = "the members of the cluster as this node sees them",
     .text = "A node is in step when its plan has the digest of ours."},
    {.name = "registrations",
     .run = show_run,
     .summary = "who is registered, and where",
     .text = "A registration is stale while the node that accepted it cannot be reached. Only that node knows when it "
             "expires."},
    {.name = "calls", .run = show_run, .summary = "calls under way and calls that ended a while ago"},
    {.name = "trunks", .run = show_run, .summary = "trunks and their health"},
    {.name = "counters",
     .run = show_run,
     .summary = "every counter of the node",
     .text = "The same values as /metrics. A counter of drops or refusals that grows says where to look."},

    {.name = "plan show",
     .args = plan_what,
     .run = plan_show_run,
     .summary = "the plan, a part of it, or what a change put into it",
     .text = "Writes a document that 'plan apply' accepts again, YAML if -o does not say otherwise. Secrets show as "
             "(set), which "
             "leaves them as they are.\n\n"
             "The whole plan begins with a comment that holds its digest. An 'apply' of that document is refused when "
             "the plan "
             "has moved meanwhile."},
    {.name = "plan check",
     .args = plan_file,
     .options = plan_check_options,
     .run = plan_check_run,
     .summary = "find what is wrong with a document, without a node",
     .text = "Errors refuse an 'apply', warnings refuse it unless they are allowed. The document is taken for the "
             "whole plan, so "
             "that one which is a part of it may refer to objects that are not found.\n\n"
             "Exit status 3 when there are findings that are not allowed."},
    {.name = "plan diff",
     .args = plan_file,
     .options = plan_diff_options,
     .run = plan_diff_run,
     .summary = "what 'plan apply' would change, and what it would find"},
    {.name = "plan apply",
     .args = plan_file,
     .options = plan_apply_options,
     .run = plan_apply_run,
     .summary = "change the plan, everywhere and at once",
     .text =
         "Objects in the document are added or replaced, keys under 'remove:' are removed, everything else stays. All "
         "of it "
         "takes effect or none.\n\n"
         "The receipt says which nodes have the change on disk, after how many milliseconds, and which ones cannot be "
         "reached and will catch up. Exit status 4 when not all of those that were waited for have it.\n\n"
         "Passwords are hashed here, before they travel; those of trunks are sealed by the node."},
    {.name = "plan log",
     .options = plan_log_options,
     .run = plan_log_run,
     .summary = "the changes of the plan: who, when, why, what"},

    {.name = "route explain",
     .args = route_number,
     .options = route_options,
     .run = route_explain_run,
     .summary = "where a call to a number would go, and why not elsewhere",
     .text =
         "Shows every candidate with the rule that placed or removed it. The number 1 in PLACE is tried first; a dash "
         "stands before a candidate that is not used."},

    {.name = "ca init",
     .options = ca_options,
     .run = ca_init_run,
     .summary = "make the cluster's certificate authority",
     .text = "Makes a directory with the CA's key, its certificate and the cluster key. Who has the directory can add "
             "nodes: "
             "keep it off the nodes, and keep a copy."},
    {.name = "node invite",
     .args = invite_name,
     .options = invite_options,
     .run = node_invite_run,
     .summary = "write the join file of a new node",
     .text = "The file holds the node's private key and the cluster key. Carry it to the new machine by a safe way, "
             "run 'node "
             "join' there, and delete it."},
    {.name = "node join",
     .args = join_file,
     .options = join_options,
     .run = node_join_run,
     .summary = "install a join file on the new machine",
     .text = "Writes DIR/tls, which only the owner can read. Then start tandemd; no other node needs an edit."},
    {.name = "node evict",
     .args = evict_name,
     .run = node_evict_run,
     .summary = "remove a node from the cluster for good",
     .text = "Its registrations go, and it is refused from now on although its certificate is still valid. To return, "
             "it needs a "
             "new invitation."},

    {.name = "completion",
     .args = completion_shell,
     .run = completion_run,
     .summary = "print the completion script of a shell",
     .text = "For bash: clusterctl completion bash > /etc/bash_completion.d/clusterctl"},
    {.name = "man", .run = man_run, .summary = "print the manual page, for man -l -"},
    {.name = "help", .args = help_words, .run = help_run, .summary = "say what the commands do"},
    {.name = "version", .run = version_run, .summary = "print the version"},
};

const struct tree cli_tree = {
    .program = "clusterctl",
    .options = global_options,
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
};
