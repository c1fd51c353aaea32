/* commands_plan: the plan as a whole: shown, checked, changed, taken back; and what is asked of it. */
#include "cli/commands_table.h"

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

static const struct tree_command commands[] = {
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
};
const struct command_list commands_plan = COMMAND_LIST(commands);
