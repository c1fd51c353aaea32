/* commands_state: what is asked of a node: how it is, who is there, what goes on and what went on. */
#include "cli/commands_table.h"

static const struct tree_option watch_options[] = {WATCH_OPTION, END};

static const struct tree_option registrations_options[] = {
    {.name = "failed", .help = "the wrong proofs of the last while at this node instead"},
    WATCH_OPTION,
    END,
};
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
static const struct tree_arg one_node[] = {
    {.name = "NAME", .optional = true, .help = "show this node, with all that is known of it"}, END};

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
};
const struct command_list commands_state = COMMAND_LIST(commands);
