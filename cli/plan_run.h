/* plan_run: a change of the plan on its way to the node, whatever it was made from, and what is shown of it. */
#ifndef TANDEM_CLI_PLAN_RUN_H
#define TANDEM_CLI_PLAN_RUN_H

#include "cli/plan_file.h"
#include "node/plan/lint.h"

struct plan_run {
    struct cli *c;
    struct plan_file file;                  /* what shall be; the caller fills it */
    size_t findings;                        /* of the node */
    size_t errors;                          /* of these */
    size_t blocking;                        /* of those found here, or all with findings_only: that stand in the way */
    const struct tree_match *findings_only; /* ops and totals are not shown; it says what is allowed */
    bool domain;                            /* new-domain is among them */
    bool moved;                             /* the node refused, since its plan is not the one that was looked at */
    struct plan_kept *kept; /* of a change that is known to the node alone: what it would do; NULL: not asked for */
    struct output_view views[11];
};

struct plan_send_options {
    const char *command; /* "plan apply", "plan diff" */
    const char *change;  /* the change that is meant, NULL: none; what p->file holds is then nothing */
    const char *message; /* why */
    bool message_optional;
    const char *allow; /* a warning that is allowed besides those of --allow, NULL: none */
    bool dry_run;
    bool findings_only;         /* nothing is shown but what is found wrong */
    bool try_again;             /* a plan that moved is not said: the caller looks again */
    uint64_t timeout_ms;        /* 0: the node's */
    uint64_t confirm_within_ms; /* 0: the change stands */
};

/* Opens the output. CLI_DONE, or a status that was said. plan_run_close is due in any case. */
int plan_run_open(struct plan_run *p, struct cli *c);
/* Ends the output, since its views end with the run, and frees. Returns status, or another one. */
int plan_run_close(struct plan_run *p, int status);

/* Whether what --allow names are warnings; a usage error is said. */
int plan_run_check_allow(struct cli *c, const struct tree_match *m);
/* Shows a finding; one that --allow does not name counts as blocking. ERR_NOMEM. */
MUST_CHECK enum err plan_run_finding(struct plan_run *p, const struct tree_match *m, const struct lint_finding *f);
/* After p->file was read with that status: shows the faults of its form as findings, if there are any. The status. */
int plan_run_faults(struct plan_run *p, const struct tree_match *m, int status);
/* Says how many findings stand in the way, if any: CLI_FINDINGS or CLI_DONE. */
int plan_run_verdict(struct plan_run *p, bool truncated);
/* A record of the node's reply: shown, with what this side knows of it. */
void plan_run_reply(void *ctx, const struct control_record *r);

/* plan_send.c */
/* Reads --message, --dry-run, --wait, --timeout, --confirm-within and --base into o, and looks at --allow; what is set
 * there already holds. A usage error is said. */
int plan_send_options_read(struct cli *c, const struct tree_match *m, struct plan_send_options *o);
/* The words of a node in answer to a request that is made elsewhere, as plan_send would show them. */
int plan_send_args(struct plan_run *p, const struct plan_send_options *o, const struct control_record *args);
/* Hashes the passwords of p->file and sends it. What stands in the way is shown. */
int plan_send(struct plan_run *p, const struct tree_match *m, const struct plan_send_options *o);

/* plan_kept.c: what a dry run says that it would do, as objects, where the sender does not have them. */
struct plan_kept *plan_kept_new(void); /* NULL: no memory */
void plan_kept_free(struct plan_kept *k);
/* Takes an op of the node's reply. */
void plan_kept_op(struct plan_kept *k, const struct control_record *r);
/* Makes p->file of what p->kept holds, which keeps it alive. ERR_NOMEM, ERR_SYNTAX. */
MUST_CHECK enum err plan_kept_take(struct plan_run *p);

/* plan_effect.c */
/* After a dry run of p->file, or of p->kept: which calls of the last day it would have sent elsewhere, asked of every
 * node; status is returned, or CLI_PARTIAL where it was CLI_DONE and a node could not be asked. */
int plan_effect(struct plan_run *p, int status);
void plan_effect_line(void *ctx, const struct control_record *r, struct buf *out);
extern const struct output_column plan_effect_columns[];
extern const struct output_column plan_asked_columns[];

#endif
