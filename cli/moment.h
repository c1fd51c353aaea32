/* moment: a point in time as somebody types it: so long ago, or by the calendar and the clock. */
#ifndef TANDEM_CLI_MOMENT_H
#define TANDEM_CLI_MOMENT_H

#include "node/base/time.h"

#define MOMENT_FORMS                                                                                                   \
    "write how long ago (10m, 2h), a time of day (03:12), or a date with or without one (2026-11-22 03:12)"

/* "10m", "2h": so long before now. "03:12", "03:12:30": the last such time of day. "2026-11-22", "2026-11-22 03:12",
 * "2026-11-22T03:12:30.123Z": that one. All in UTC, as times are shown. ERR_SYNTAX, also on a day that no month has. */
MUST_CHECK enum err moment_parse(const char *text, struct wall now, struct wall *out);

#endif
