/* accept_report: what an acceptance test has found: by whom, when, in which cluster, under which plan each node
 * decided, and what became of each case at each node.
 *
 * It is shown as records, written to a file as the same records in JSON (what -o json prints), read back from there,
 * and made into a page that one can print and sign. A report that is read has come through other hands: nothing of it
 * is taken for more than text. */
#ifndef TANDEM_CLI_ACCEPT_REPORT_H
#define TANDEM_CLI_ACCEPT_REPORT_H

#include "cli/output.h"

enum accept_outcome { ACCEPT_PASSED, ACCEPT_FAILED, ACCEPT_NOT_ASKED, ACCEPT_OUTCOME_COUNT };
const char *accept_outcome_name(enum accept_outcome o); /* "passed" "failed" "not asked" */

/* One case at one node. */
struct accept_result {
    enum accept_outcome outcome;
    int64_t line;      /* of the case in its file */
    struct slice name; /* of the case; what is dialled, when it has none */
    struct slice node;
    struct slice dialled;
    struct slice from; /* "" none */
    struct slice expected;
    struct slice got; /* "" when it was not asked */
    struct slice why; /* it failed, or was not asked */
    bool plan_only;
};

/* A node at which something was to be asked. */
struct accept_node {
    struct slice name;
    struct slice plan_digest; /* of its last answer; "" when there was none */
    struct slice note;
    int64_t counts[ACCEPT_OUTCOME_COUNT];
};

struct accept_report {
    struct arena arena;   /* of everything below */
    struct slice file;    /* the cases, as it was named */
    struct slice cluster; /* "" of a node on its own */
    struct slice by;      /* the Unix user who ran it, and the node that was asked for the others: user@node */
    struct slice at;      /* RFC 3339 */
    bool plan_only;       /* all of it */
    struct accept_node *nodes;
    size_t node_count;
    struct accept_result *results;
    size_t result_count;
    int64_t counts[ACCEPT_OUTCOME_COUNT];
};

extern const struct output_view accept_report_views[];

/* Whether those nodes that answered have one plan. */
bool accept_report_one_plan(const struct accept_report *r);
void accept_report_show(const struct accept_report *r, struct output *out);
/* Into path, which is touched when all of it is on the disk. ERR_IO with words, ERR_NOMEM. */
MUST_CHECK enum err accept_report_write(const struct accept_report *r, const char *path, struct err_info *info);
/* What is in r is the arena's. r is zeroed; its arena is to be freed in any case. ERR_SYNTAX with words that do not
 * name the file, ERR_NOMEM. */
MUST_CHECK enum err accept_report_read(struct slice json, struct accept_report *r, struct err_info *info);

/* accept_show.c: where the report of that file with cases goes: "plan.yaml" -> "plan.report.json". NULL: no memory. */
const char *accept_report_name(struct arena *arena, const char *path);

/* accept_page.c: one HTML document that needs nothing else. Appended. */
void accept_report_page(const struct accept_report *r, struct buf *out);

#endif
