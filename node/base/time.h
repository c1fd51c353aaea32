/* time: points in time are types, so that a monotonic instant is never compared with a calendar one.
 *
 * The pure code reads no clock: instants arrive in events. Durations are plain integers with the unit in the name. */
#ifndef TANDEM_BASE_TIME_H
#define TANDEM_BASE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/base/err.h"

struct mono {
    uint64_t us;
}; /* microseconds since some start; never steps back */
struct wall {
    int64_t ms;
}; /* milliseconds since 1970-01-01 UTC; may step */

#define MONO_NEVER ((struct mono){UINT64_MAX})

static inline struct mono mono_add_ms(struct mono t, uint64_t ms)
{
    return (struct mono){t.us + ms * 1000};
}
static inline bool mono_reached(struct mono now, struct mono t)
{
    return now.us >= t.us;
}
static inline struct mono mono_min(struct mono a, struct mono b)
{
    return a.us < b.us ? a : b;
}
/* Milliseconds from a to b, 0 when b is not after a. */
static inline uint64_t mono_ms_between(struct mono a, struct mono b)
{
    return b.us > a.us ? (b.us - a.us) / 1000 : 0;
}

/* "2026-11-22T08:15:30.123Z"; out holds at least WALL_TEXT_SIZE bytes. Proleptic Gregorian, years 1970-9999, else "-".
 */
#define WALL_TEXT_SIZE 40
const char *wall_text(struct wall t, char out[WALL_TEXT_SIZE]);

/* Parses "250ms", "10s", "5m", "2h", "7d" or "0". ERR_SYNTAX on anything else, ERR_LIMIT above 366 days. */
MUST_CHECK enum err duration_parse(const char *text, size_t len, uint64_t *ms);
/* The shortest exact text that duration_parse reads back, e.g. "10s". */
const char *duration_text(uint64_t ms, char out[WALL_TEXT_SIZE]);

#endif
