#include "node/app/local_time.h"

#include <time.h>

/* Each call asks: the last minute is remembered. */
struct local_time local_time_of(struct wall t)
{
    static _Thread_local struct {
        time_t minute;
        struct local_time local;
        bool known;
    } last;
    struct tm tm;
    time_t s = (time_t)(t.ms / 1000);
    if (last.known && s / 60 == last.minute) return last.local;
    if (localtime_r(&s, &tm) == NULL) return (struct local_time){0};
    last.minute = s / 60;
    last.local = (struct local_time){(unsigned)(tm.tm_wday + 6) % 7, (unsigned)(tm.tm_hour * 60 + tm.tm_min)};
    last.known = true;
    return last.local;
}
