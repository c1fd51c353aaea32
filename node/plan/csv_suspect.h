/* csv_suspect: the traces that spreadsheets leave in numbers. Internal to node/plan. */
#ifndef TANDEM_PLAN_CSV_SUSPECT_H
#define TANDEM_PLAN_CSV_SUSPECT_H

#include "node/base/bytes.h"

/* What a spreadsheet has done to a cell, where nobody can have meant what it says, although it may pass for a value:
 * 8.61E12, 6001.0, ####. NULL: nothing. */
const char *csv_damage(struct slice s);
/* What a spreadsheet may have done to a cell that is no value of its column: that, and 15. Apr, #NAME?, 6.001. */
const char *csv_trace(struct slice s);

#endif
