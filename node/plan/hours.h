/* hours: when a route is in force: "Mo-Fr 08:00-18:00", "Sa,Su 10:00-16:00; Mo-Fr 00:00-24:00". Days are two letters,
 * English; an interval that ends before it begins runs past midnight into the next day. Times are local to the node
 * that decides; the caller passes the local weekday and minute. */
#ifndef TANDEM_PLAN_HOURS_H
#define TANDEM_PLAN_HOURS_H

#include "node/base/bytes.h"

struct local_time {
    unsigned weekday; /* 0 Monday .. 6 Sunday */
    unsigned minute;  /* of the day, 0 .. 1439 */
};

MUST_CHECK enum err hours_validate(struct slice text, struct err_info *info);
/* text must be valid; "" is always true. */
bool hours_contain(struct slice text, struct local_time t);

#endif
