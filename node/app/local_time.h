/* local_time: the day and the hour in the zone of this machine, by which hours of routes go. */
#ifndef TANDEM_APP_LOCAL_TIME_H
#define TANDEM_APP_LOCAL_TIME_H

#include "node/base/time.h"
#include "node/plan/hours.h"

struct local_time local_time_of(struct wall t);

#endif
