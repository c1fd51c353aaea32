/* accept_judge: whether what a node decided for a number is what a case of an acceptance test expects, and if not, why.
 * It asks nobody. */
#ifndef TANDEM_CLI_ACCEPT_JUDGE_H
#define TANDEM_CLI_ACCEPT_JUDGE_H

#include "cli/accept_file.h"

/* One candidate as "route explain" tells it. */
struct accept_candidate {
    struct slice target;
    struct slice match;
    struct slice sends; /* "" when it has no place */
    struct slice text;  /* why it has its place, or none */
    int64_t place;      /* from 1; 0: none */
    bool stale;         /* it has one, but only a node that is dead knows the way */
};

struct accept_answer {
    bool known;                          /* there was one */
    struct slice number;                 /* in the plan */
    struct slice digest;                 /* of the plan */
    bool plan_only;                      /* what is up was left out of account */
    uint16_t code;                       /* when nothing is to be tried; 0: there are targets */
    struct accept_candidate *candidates; /* those with a place in their order, then the others */
    size_t count;
};

/* What the case expects, and what the node decided, in words: "trunk/a, trunk/b", "404". */
void accept_expected_text(const struct accept_case *c, struct buf *out);
void accept_got_text(const struct accept_answer *a, struct buf *out);
/* Whether they agree; else why, one sentence behind the other, is appended. */
bool accept_judge(const struct accept_case *c, const struct accept_answer *a, struct buf *why);

#endif
