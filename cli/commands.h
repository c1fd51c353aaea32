/* commands: the command table of clusterctl, and the functions that it names. A command's texts are here and nowhere
 * else. */
#ifndef TANDEM_CLI_COMMANDS_H
#define TANDEM_CLI_COMMANDS_H

#include "cli/cli.h"

/* The table, with the options that the plan's schema gives. Lives in arena. ERR_NOMEM. */
MUST_CHECK enum err cli_tree_make(struct arena *arena, struct tree *out);

/* accept.c, accept_show.c */
int accept_run_run(struct cli *c, const struct tree_match *m);
int accept_report_run(struct cli *c, const struct tree_match *m);
/* bans.c */
int bans_run(struct cli *c, const struct tree_match *m);
int bans_remove_run(struct cli *c, const struct tree_match *m);
/* calls.c */
int calls_run(struct cli *c, const struct tree_match *m);
int trace_run(struct cli *c, const struct tree_match *m);
/* show.c: status, nodes, registrations, accounts, trunks, counters */
int show_run(struct cli *c, const struct tree_match *m);
/* events.c */
int events_run(struct cli *c, const struct tree_match *m);
/* doctor.c */
int doctor_run(struct cli *c, const struct tree_match *m);
/* plan_show.c */
int plan_show_run(struct cli *c, const struct tree_match *m);
/* plan_log.c */
int plan_log_run(struct cli *c, const struct tree_match *m);
/* One change whole: "plan show CHANGE". */
int plan_show_change(struct cli *c, const char *change);
/* plan.c */
int plan_check_run(struct cli *c, const struct tree_match *m);
int plan_diff_run(struct cli *c, const struct tree_match *m);
int plan_apply_run(struct cli *c, const struct tree_match *m);
int plan_confirm_run(struct cli *c, const struct tree_match *m);
int plan_rollback_run(struct cli *c, const struct tree_match *m);
/* plan_conflicts.c */
int plan_conflicts_run(struct cli *c, const struct tree_match *m);
/* csv.c */
int plan_export_run(struct cli *c, const struct tree_match *m);
int plan_import_run(struct cli *c, const struct tree_match *m);
/* route.c */
int route_explain_run(struct cli *c, const struct tree_match *m);
/* member.c */
int ca_init_run(struct cli *c, const struct tree_match *m);
int node_invite_run(struct cli *c, const struct tree_match *m);
int node_join_run(struct cli *c, const struct tree_match *m);
/* depart.c */
int node_drain_run(struct cli *c, const struct tree_match *m);
int node_leave_run(struct cli *c, const struct tree_match *m);
int node_evict_run(struct cli *c, const struct tree_match *m);
/* help.c, man.c, completion.c, names.c */
int help_run(struct cli *c, const struct tree_match *m);
int man_run(struct cli *c, const struct tree_match *m);
int names_run(struct cli *c, const struct tree_match *m);
int completion_run(struct cli *c, const struct tree_match *m);
int version_run(struct cli *c, const struct tree_match *m);

#endif
