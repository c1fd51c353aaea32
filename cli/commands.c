/* commands: the table from which the parser, the help, the man page and the completion are made. Commands that edit one
 * object have no options here: theirs come from the plan's schema. */
#include "cli/commands.h"

#include "cli/edit.h"
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

/* ---- plan ---- */

static const struct tree_arg plan_file[] = {{.name = "FILE", .help = "a plan document, - for standard input"}, END};
static const struct tree_arg plan_what[] = {
    {.name = "OBJECT|CHANGE",
     .optional = true,
     .help = "a key or the beginning of one (trunk/hq-pbx, route/), or a change as 'plan log' names it"},
    END,
};

#define MESSAGE_OPTION                                                                                                 \
    {                                                                                                                  \
        .name = "message", .letter = 'm', .value = "MESSAGE", .help = "why: it stays in the plan's history"            \
    }
#define ALLOW_OPTION                                                                                                   \
    {                                                                                                                  \
        .name = "allow", .value = "WARNING|all", .repeated = true,                                                     \
        .help = "accept warnings of this name, as the findings show it; may be given several times"                    \
    }
#define DRY_RUN_OPTION                                                                                                 \
    {                                                                                                                  \
        .name = "dry-run", .help = "say what would be done, and do nothing"                                            \
    }
#define BASE_OPTION                                                                                                    \
    {                                                                                                                  \
        .name = "base", .value = "DIGEST",                                                                             \
        .help = "refuse if the plan is no longer the one with this digest; 'plan show' writes it into its document"    \
    }
#define FORCE_OPTION                                                                                                   \
    {                                                                                                                  \
        .name = "force", .help = "apply although the plan has moved since"                                             \
    }
#define WAIT_OPTIONS                                                                                                   \
    {.name = "wait",                                                                                                   \
     .value = "live|all|N",                                                                                            \
     .help = "whose receipt to wait for: every node that is alive (the default), every member, or N nodes"},           \
    {                                                                                                                  \
        .name = "timeout", .value = "TIME", .help = "how long to wait for receipts: 5s, 1m"                            \
    }
#define CONFIRM_OPTION                                                                                                 \
    {                                                                                                                  \
        .name = "confirm-within", .value = "TIME",                                                                     \
        .help = "undo the change everywhere, unless 'plan confirm' comes within this time: 90s, 5m"                    \
    }

#define WATCH_OPTION                                                                                                   \
    {                                                                                                                  \
        .name = "watch", .letter = 'w', .help = "show it anew every second, until Ctrl-C"                              \
    }

#define EFFECT_OPTION                                                                                                  \
    {                                                                                                                  \
        .name = "effect", .help = "say also which calls of the last day would have gone elsewhere"                     \
    }

static const struct tree_option plan_check_options[] = {ALLOW_OPTION, END};
static const struct tree_option plan_diff_options[] = {ALLOW_OPTION, EFFECT_OPTION, END};
static const struct tree_option plan_apply_options[] = {
    MESSAGE_OPTION, ALLOW_OPTION,   DRY_RUN_OPTION, EFFECT_OPTION, BASE_OPTION,
    FORCE_OPTION,   CONFIRM_OPTION, WAIT_OPTIONS,   END,
};
static const struct tree_arg plan_change[] = {{.name = "CHANGE", .help = "as 'plan log' names it"}, END};
static const struct tree_option plan_rollback_options[] = {
    MESSAGE_OPTION,
    ALLOW_OPTION,
    DRY_RUN_OPTION,
    EFFECT_OPTION,
    {.name = "force", .help = "take back also what later changes have made of the same objects"},
    CONFIRM_OPTION,
    WAIT_OPTIONS,
    END,
};
static const struct tree_arg plan_conflict[] = {
    {.name = "OBJECT",
     .optional = true,
     .help = "a key or the beginning of one (trunk/hq-pbx, route/); without it all of them"},
    END,
};
static const struct tree_option plan_conflicts_options[] = {
    {.name = "accept", .help = "what stands is right: it is no conflict any more, on every node"},
    MESSAGE_OPTION,
    WAIT_OPTIONS,
    END,
};
static const struct tree_arg export_file[] = {
    {.name = "FILE", .optional = true, .help = "where to write it; without it standard output"}, END};
static const struct tree_option plan_export_options[] = {
    {.name = "csv", .value = "routes|accounts", .help = "what to write as a table", .choices = {"routes", "accounts"}},
    {.name = "separator",
     .value = "comma|semicolon|tab",
     .help = "what stands between cells; comma without it, while the spreadsheets of many countries want semicolon",
     .choices = {"comma", "semicolon", "tab"}},
    END,
};
static const struct tree_arg plan_open_change[] = {
    {.name = "CHANGE", .optional = true, .help = "as 'plan log' names it; without it the only one that waits"}, END};
static const struct tree_option plan_confirm_options[] = {MESSAGE_OPTION, WAIT_OPTIONS, END};
static const struct tree_arg import_file[] = {
    {.name = "FILE", .help = "a table of routes or accounts (.csv), - for standard input"}, END};
static const struct tree_option plan_import_options[] = {
    MESSAGE_OPTION,
    {.name = "mode",
     .value = "merge|replace",
     .help = "what happens to routes (or accounts) that the table does not name: merge, the default, keeps them; "
             "replace removes them",
     .choices = {"merge", "replace"}},
    ALLOW_OPTION,
    DRY_RUN_OPTION,
    EFFECT_OPTION,
    BASE_OPTION,
    FORCE_OPTION,
    CONFIRM_OPTION,
    WAIT_OPTIONS,
    END,
};
static const struct tree_option plan_log_options[] = {
    {.name = "number",
     .letter = 'n',
     .value = "N",
     .help = "so many changes, the newest first; 20 without it, 0 for all"},
    {.name = "object",
     .value = "KEY",
     .help = "only changes of this object, or of those whose keys begin so (trunk/hq-pbx, route/)"},
    WATCH_OPTION,
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

/* ---- accept ---- */

static const struct tree_arg accept_cases[] = {{.name = "FILE", .help = "the cases, - for standard input"}, END};
static const struct tree_option accept_run_options[] = {
    {.name = "plan-only", .help = "only what the plan decides, as if everything were up and registered"},
    {.name = "report",
     .value = "FILE",
     .help = "where the report is written; without it beside the cases, with the suffix .report.json"},
    {.name = "no-report", .help = "write no report"},
    END,
};
static const struct tree_arg accept_reports[] = {
    {.name = "FILE",
     .optional = true,
     .help = "a report, or the cases that it is about; without it the only report in this folder"},
    END,
};
static const struct tree_option accept_report_options[] = {
    {.name = "html", .help = "as a page to print and sign, on standard output"}, END};

/* ---- one object ---- */

static const struct tree_arg route_match[] = {
    {.name = "MATCH", .help = "a prefix (6, +49), one number (=6001) or a range (8150-8379)"}, END};
static const struct tree_arg object_name[] = {{.name = "NAME", .help = "its name in the plan"}, END};

#define SET_TEXT "What is not named stays as it is; an empty value ('') takes the default."
#define SEVERAL_TEXT "Several values stand between commas, or their option is given several times."

/* ---- state ---- */

static const struct tree_option watch_options[] = {WATCH_OPTION, END};

static const struct tree_option registrations_options[] = {
    {.name = "failed", .help = "the wrong proofs of the last while at this node instead"},
    WATCH_OPTION,
    END,
};
static const struct tree_arg ban_source[] = {
    {.name = "ADDRESS", .help = "as 'bans' or 'registrations --failed' shows it, or any address of it"}, END};

static const struct tree_option calls_options[] = {
    {.name = "live", .help = "only calls under way"},
    {.name = "since", .value = "TIME", .help = "only calls that began within this time: 30m, 2h, 7d"},
    {.name = "number", .value = "NUMBER", .help = "only calls from or to numbers that begin so"},
    {.name = "limit", .letter = 'n', .value = "N", .help = "so many, the newest first; 100 without it, 0 for all"},
    WATCH_OPTION,
    END,
};
static const struct tree_option events_options[] = {
    {.name = "all", .help = "of every node of the cluster, merged by time"},
    {.name = "level",
     .value = "error|warn|info",
     .help = "only this and what is worse; info without it",
     .choices = {"error", "warn", "info"}},
    {.name = "module", .value = "MODULE", .help = "only of this part of the node, as MODULE shows it"},
    {.name = "since", .value = "TIME", .help = "only since then: 10m, 2h, 03:12, \"2026-11-22 03:12\""},
    {.name = "until", .value = "TIME", .help = "only until then"},
    {.name = "last", .letter = 'n', .value = "N", .help = "only the last N; all without it"},
    {.name = "watch", .letter = 'w', .help = "go on, and show new ones as they come, until Ctrl-C"},
    END,
};
static const struct tree_arg trace_call[] = {
    {.name = "CALL", .help = "its Call-ID, or the beginning of it, as 'calls' shows it"}, END};

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
#define YES_OPTION                                                                                                     \
    {                                                                                                                  \
        .name = "yes", .letter = 'y', .help = "do not ask whether it is meant"                                         \
    }
static const struct tree_option evict_options[] = {YES_OPTION, END};
static const struct tree_option leave_options[] = {
    YES_OPTION,
    {.name = "force", .help = "leave although no live node has all that this one has"},
    END,
};
static const struct tree_option drain_options[] = {{.name = "off", .help = "take new calls again"}, END};
static const struct tree_arg one_node[] = {
    {.name = "NAME", .optional = true, .help = "show this node, with all that is known of it"}, END};

/* ---- the rest ---- */

static const struct tree_arg help_words[] = {
    {.name = "COMMAND", .optional = true, .many = true, .help = "a command or a group of commands"}, END};
static const struct tree_arg names_of[] = {
    {.name = "KIND", .help = "node, site, trunk, account, source, target, object, match, change or call"},
    {.name = "BEGINS", .optional = true, .help = "what a name begins with"},
    END,
};
static const struct tree_arg completion_shell[] = {{.name = "SHELL", .help = "bash"}, END};

static const struct tree_command commands[] = {
    {.name = "status",
     .options = watch_options,
     .run = show_run,
     .summary = "the node, its plan, and whether all is well",
     .text = "The first line is the verdict: ok, or what needs attention. 'events' tells what happened before."},
    {.name = "nodes",
     .args = one_node,
     .options = watch_options,
     .run = show_run,
     .summary = "the members of the cluster as this node sees them",
     .text = "FOR: for how long it has had this status. HEARD: how long ago it last said anything. CHANGES: how many "
             "changes "
             "of the plan it lacks (behind), or has that we lack (ahead), by what it last said: at least so many. DATA "
             "AGE: "
             "it has everything that was here so long ago. LINK: what keeps our link to it from working.\n\n"
             "Of a node that is dead this is what was known when it was last heard. -o json shows more."},
    {.name = "events",
     .options = events_options,
     .run = events_run,
     .follows = true,
     .summary = "what happened here lately, the latest last",
     .text =
         "Links and members that came and went, trunks and media relays up and down, changes of the plan, bans, "
         "registrations "
         "that fail, drains, reloads, stalls, errors. error: someone must act; warn: degraded by itself; info: a "
         "state changed.\n\n"
         "The node remembers its latest 1000 events since it was started, whatever 'log:' in its configuration says. "
         "What repeats makes room first. SUPPRESSED: so many of the same event before this one are not shown.\n\n"
         "TIME goes so long back, or is a time of day (the last such one) or a date with one; all times are UTC. "
         "With --all each node tells the time by its own clock ('doctor' compares them); exit status 4 when a node "
         "could not be asked."},
    {.name = "doctor",
     .options = watch_options,
     .run = doctor_run,
     .summary = "find what is wrong around a node, and what to do about it",
     .text =
         "Looks at the node's ports, disk, certificates and clock, at the names that its trunks go by, at the SIP "
         "ports of the other nodes as reached from here, and at peers, trunks and plan as the node knows them. What "
         "is wrong comes first. Exit status 3 when something has failed; a warning is none."},
    {.name = "registrations",
     .options = registrations_options,
     .run = show_run,
     .summary = "who is registered, and where",
     .text = "A registration is stale while the node that accepted it cannot be reached. Only that node knows when it "
             "expires.\n\n"
             "--failed: who gave a wrong proof of which account, from where and how often. From outside an unknown "
             "account, a wrong password, a disabled account and one of another site all look the same; REASON tells "
             "them apart. Locked: the account is refused to that source for a while, with the right password too. "
             "Banned: the source is not listened to. 'ban remove' ends both."},
    {.name = "bans",
     .options = watch_options,
     .run = bans_run,
     .summary = "sources that are not listened to",
     .text =
         "A source that gave too many wrong proofs is banned on every node, for ten minutes the first time and twice "
         "as long each time after. Accounts that are registered from that address are served all the while."},
    {.name = "calls",
     .options = calls_options,
     .run = calls_run,
     .summary = "calls under way, and those that ended",
     .text =
         "Of this node; a call between two has a record at both. A call is lost when the node restarted while it was "
         "up: nobody saw its end. '-o csv' and '-o json' export them; in a csv an apostrophe stands before what a "
         "spreadsheet would run."},
    {.name = "trace",
     .args = trace_call,
     .options = watch_options,
     .run = trace_run,
     .summary = "what was decided for a call, and what would be today",
     .text = "Every candidate is shown with its place, or why it had none: first as the plan was then, then as it is "
             "now."},
    {.name = "trunks",
     .options = watch_options,
     .run = show_run,
     .summary = "trunks and their health",
     .text =
         "One line for each address and each node of the trunk's site that looks after it. Down: it did not answer "
         "three probes in a row, and decisions leave it out. Suspect: a call to it failed a moment ago, so it is "
         "tried last. Resting, until when: it answered 503 with Retry-After, and no new call goes there until then. "
         "Stale: the node that said it cannot be reached.\n\n"
         "And one line for what a trunk registers, USER@DOMAIN, with the node that holds it. Registered, until when "
         "if nobody refreshes it (known at that node only); trying; refused, with the registrar's last word; "
         "unregistered: no node can hold it."},
    {.name = "accounts",
     .options = watch_options,
     .run = show_run,
     .summary = "accounts, whether they are registered, and their calls",
     .text = "Calls are those of this node; 0 as a limit is none."},
    {.name = "counters",
     .options = watch_options,
     .run = show_run,
     .summary = "every counter of the node",
     .text = "The same values as /metrics. A counter of drops or refusals that grows says where to look."},

    {.name = "plan show",
     .args = plan_what,
     .run = plan_show_run,
     .summary = "the plan, a part of it, or one change of it",
     .text = "Writes a document that 'plan apply' accepts again, YAML if -o does not say otherwise. Secrets show as "
             "(set), which "
             "leaves them as they are.\n\n"
             "The whole plan begins with a comment that holds its digest. An 'apply' of that document is refused when "
             "the plan "
             "has moved meanwhile.\n\n"
             "For a change it shows who made it, when and why, what each object was before and after, and by which "
             "change one was replaced since; -o json has the objects as documents."},
    {.name = "plan check",
     .args = plan_file,
     .options = plan_check_options,
     .run = plan_check_run,
     .summary = "find what is wrong with a document, without a node",
     .text =
         "Errors refuse an 'apply', warnings refuse it unless they are allowed. The document is taken for the "
         "whole plan, so that one which is a part of it may refer to objects that are not found.\n\n"
         "With -s SOCKET it is laid over the plan of that node, and only what it would make worse is shown. Nothing "
         "is changed.\n\n"
         "Unknown keys and values that cannot be are shown all at once, up to 20 of them, under the name form; what "
         "they say is looked at when there are none.\n\n"
         "Exit status 3 when there are findings that are not allowed."},
    {.name = "plan diff",
     .args = plan_file,
     .options = plan_diff_options,
     .run = plan_diff_run,
     .summary = "what 'plan apply' would change, and what it would find",
     .text =
         "With --effect each node that can be reached looks at the calls that it decided in the last day, and says "
         "how many the change would have sent elsewhere, with examples for 'trace'. A target that was down, full or "
         "not registered at the time of a call counts as it was then; hours are those of the call. Exit status 4 "
         "when a node could not be asked."},
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
         "reached and will catch up: with '--wait live' they are not waited for. Exit status 4 when a node that was "
         "waited "
         "for has not confirmed it in time.\n\n"
         "With --confirm-within the change undoes itself on every node when nobody confirms it in time, also if the "
         "node where it was made is lost meanwhile. What later changes have made of the same objects stays.\n\n"
         "Passwords are hashed here, before they travel; those of trunks are sealed by the node."},
    {.name = "plan confirm",
     .args = plan_open_change,
     .options = plan_confirm_options,
     .run = plan_confirm_run,
     .summary = "let a change stand that was made with --confirm-within",
     .text = "At any node. A change that is undone already is not brought back by it: apply it again."},
    {.name = "plan export",
     .args = export_file,
     .options = plan_export_options,
     .run = plan_export_run,
     .summary = "write routes or accounts as a table for a spreadsheet",
     .text =
         "'plan import' takes it back, and nothing is lost on the way. Blank cells have their default. An apostrophe "
         "stands before what a spreadsheet would run or rewrite: +49, =6001, 0049, 4-15. Passwords show as (set)."},
    {.name = "plan import",
     .args = import_file,
     .options = plan_import_options,
     .run = plan_import_run,
     .summary = "change routes or accounts as a table says",
     .text =
         "The first row names the columns: the keys of routes (match and to must be there) or of accounts (name "
         "must be there), in any order. Commas, semicolons or tabs stand between cells; items of a list stand "
         "between spaces.\n\n"
         "A blank cell keeps what is stored; with '--mode replace' it means the default, save for a password. REMOVE "
         "in a cell takes the value away, and in the column action the whole row's object. A password is set by "
         "writing it, and kept by (set). An apostrophe before a value is not part of it.\n\n"
         "What a spreadsheet has damaged is refused with its place. A new number is a finding (lost-characters) when "
         "the plan has it with zeros, + or = before it.\n\n"
         "All of it takes effect or none, as with 'plan apply'."},
    {.name = "plan log",
     .options = plan_log_options,
     .run = plan_log_run,
     .summary = "the changes of the plan: who, when, why, what"},
    {.name = "plan rollback",
     .args = plan_change,
     .options = plan_rollback_options,
     .run = plan_rollback_run,
     .summary = "take back a change",
     .text =
         "Makes a new change that gives each object of the old one the value it had before: what was added is removed, "
         "what was removed is there again. The same checks and receipts as with 'plan apply'.\n\n"
         "Refused with exit status 3 and a list when later changes have touched the same objects, unless --force says "
         "that they go too. 'plan show CHANGE' tells what was before; when the history no longer reaches back so far, "
         "that is said, and nothing is changed."},
    {.name = "plan conflicts",
     .args = plan_conflict,
     .options = plan_conflicts_options,
     .run = plan_conflicts_run,
     .summary = "edits that a merge overrode and nobody has looked at",
     .text =
         "Where two sides of a cut line have changed one object, the newer change stands on every node. The other one "
         "is shown here with its value, as long as nobody has settled it: by a later edit of that object, or with "
         "--accept. Give an edit the value that is shown to have it back."},

    {.name = "accept run",
     .args = accept_cases,
     .options = accept_run_options,
     .run = accept_run_run,
     .summary = "ask every node whether calls go where they must",
     .text =
         "FILE is YAML: 'accept: 1', then 'cases:' with a list of { dial: \"06001\", expect: account/6001 }. Without "
         "at: "
         "every member of the cluster is asked; from: says who calls, name: what the case is called. expect: is the "
         "target that is tried first, or a list of all that are tried, in their order (order: any lets them stand in "
         "any), or the answer to a number that leads nowhere: 404. number: is the number in the plan, sends: what the "
         "first target is sent. plan_only: yes does not mind what is down.\n\n"
         "Exit status 3 when a check failed, 4 when a node could not be asked and the others are well. The report is "
         "written in any case."},
    {.name = "accept report",
     .args = accept_reports,
     .options = accept_report_options,
     .run = accept_report_run,
     .summary = "show what an acceptance test has found",
     .text = "No node is asked: the report is what 'accept run' has written, with the Unix user who ran it, the time, "
             "the cluster, and the plan's digest at each node."},

    {.name = "route explain",
     .args = route_number,
     .options = route_options,
     .run = route_explain_run,
     .summary = "where a call to a number would go, and why not elsewhere",
     .text =
         "Shows every candidate with the rule that placed or removed it. The number 1 in PLACE is tried first; a dash "
         "stands before a candidate that is not used."},

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

    {.name = "ban remove",
     .args = ban_source,
     .run = bans_remove_run,
     .summary = "listen to a source again",
     .text = "Each node that banned it is asked; what the source failed at is forgotten there and at this node."},

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
    {.name = "node drain",
     .options = drain_options,
     .run = node_drain_run,
     .summary = "let the node take no new calls",
     .text =
         "New calls and registrations are answered with 503, and the other nodes route around it: a target that only "
         "it "
         "serves counts as not there. It holds across restarts, until --off. 'status' shows how many calls are left. "
         "With --node NAME another node is drained."},
    {.name = "node leave",
     .options = leave_options,
     .run = node_leave_run,
     .summary = "let the node leave the cluster for good",
     .text =
         "It is refused while no other live node has every change of the plan that this one has. Then the others "
         "count it no longer: its registrations go, and its certificate is refused. The node itself is drained; stop "
         "it when its calls have ended. To return, it needs a new invitation.\n\n"
         "A node that is dead cannot leave: evict it, at any other."},
    {.name = "node evict",
     .args = evict_name,
     .options = evict_options,
     .run = node_evict_run,
     .summary = "shut a node out of the cluster",
     .text = "Its registrations go, and it is refused from now on although its certificate is still valid. To return "
             "under its name it needs a new invitation (node invite), and an empty data directory: that certificate is "
             "later "
             "than the eviction, and the earlier ones stay refused."},

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

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

enum err cli_tree_make(struct arena *arena, struct tree *out)
{
    struct tree_command *list = arena_alloc(arena, sizeof commands);
    if (list == NULL) return ERR_NOMEM;
    memcpy(list, commands, sizeof commands);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!edit_is_command(list[i].name)) continue;
        enum err e = edit_options(arena, list[i].name, &list[i].options);
        if (e != ERR_OK) return e;
    }
    *out = (struct tree){
        .program = "clusterctl", .options = global_options, .commands = list, .command_count = COMMAND_COUNT};
    return ERR_OK;
}
