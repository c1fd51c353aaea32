/* csv_names: the words of the table view that reader and writer share. Internal to node/plan. */
#ifndef TANDEM_PLAN_CSV_NAMES_H
#define TANDEM_PLAN_CSV_NAMES_H

#include "node/plan/object.h"

#define CSV_NAME "name"
#define CSV_ACTION "action"
#define CSV_REMOVE "REMOVE"

/* The heading of the i-th column of a written table, NULL behind the last. */
const char *csv_column_name(enum plan_kind kind, size_t i);

#endif
