/* explain: how candidates of a decision stand in a table: of one that is asked for now, and of a call's. */
#ifndef TANDEM_CLI_EXPLAIN_H
#define TANDEM_CLI_EXPLAIN_H

#include "cli/output.h"

extern const struct output_column explain_candidate_columns[]; /* route.c */

#endif
