/* accept_file: the acceptance test of a plan as telephone engineers write it down: which number, dialled where and by
 * whom, must be routed to what.
 *
 * Reading is as strict as that of the plan's own document, over the same reader: an unknown key, a duplicate or a bad
 * value is an error with line and column that shows a right one; every scalar is a string. No file is opened here, and
 * no node is asked. Specification: README.md "Acceptance tests". */
#ifndef TANDEM_CLI_ACCEPT_FILE_H
#define TANDEM_CLI_ACCEPT_FILE_H

#include "node/plan/document.h"

#define ACCEPT_CASES_MAX 10000
#define ACCEPT_NAME_MAX 200 /* bytes of a case's name */
#define ACCEPT_AT_MAX 256
#define ACCEPT_EXPECT_MAX 16 /* as many targets as a decision has */

struct accept_case {
    struct slice name;      /* "" when it has none */
    struct slice dial;      /* a number, or the name of an account */
    struct slice from;      /* "trunk/NAME", "account/NAME", or "" */
    const struct slice *at; /* names of nodes; none: every member */
    size_t at_count;
    const struct slice *expect; /* "trunk/NAME", "account/NAME", "site/NAME": the targets in their order */
    size_t expect_count;
    bool first_only;     /* it was written as one target and no list: what is tried after it may be anything */
    bool any_order;      /* all of them, in whatever order */
    uint16_t code;       /* the answer when nothing is to be tried, 400-699; 0: there are targets */
    struct slice number; /* in the plan, after the source's and the site's rules; "": not looked at */
    struct slice sends;  /* what the first target is sent; "": not looked at */
    bool plan_only;      /* what is up at present does not matter */
    unsigned line;
};

struct accept_file {
    const struct accept_case *cases; /* at least one */
    size_t count;
};

/* Everything lives in arena. ERR_NOMEM; ERR_SYNTAX with faults, at least one, each with its place. */
MUST_CHECK enum err accept_file_parse(struct arena *arena, struct slice yaml, struct accept_file *out,
                                      struct plan_faults *faults);

#endif
