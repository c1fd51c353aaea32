/* commands_cluster: what is done to the cluster and not to the plan: a ban lifted, nodes that come and go. */
#include "cli/commands_table.h"

static const struct tree_arg ban_source[] = {
    {.name = "ADDRESS", .help = "as 'bans' or 'registrations --failed' shows it, or any address of it"}, END};
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

static const struct tree_command commands[] = {
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
};
const struct command_list commands_cluster = COMMAND_LIST(commands);
