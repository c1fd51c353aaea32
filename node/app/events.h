/* events: the latest of what was logged, to be asked for (clusterctl events): a fixed number of places, each with a
 * text that is cut, whatever is written to the log. In memory only: they end with the process.
 *
 * When all places are taken, the oldest of the event that has most of them makes room, so that what repeats (a peer
 * that is dialled in vain, a flood) does not push out what happened once. Nothing goes without a trace: the next one of
 * its kind takes over its count. Any thread. */
#ifndef TANDEM_APP_EVENTS_H
#define TANDEM_APP_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/base/log.h"
#include "node/base/time.h"

#define EVENTS_KEPT 1000
#define EVENTS_LEVEL LOG_INFO /* this and what is worse */
#define EVENTS_TEXT 400       /* bytes of a text with its end; "..." stands at the end of one that was longer */

struct event {
    struct wall at;
    uint64_t number; /* the first event of a run is 1; none is missing but those that made room */
    enum log_level level;
    char module[16];
    char ev[32];
    char text[EVENTS_TEXT]; /* key=value pairs; no control characters (log.h), maybe not UTF-8 */
    uint32_t suppressed;    /* so many of this event before it are not here */
};

struct events;

/* NULL: no memory. */
struct events *events_new(void);
void events_free(struct events *e);
/* Texts are copied. suppressed: so many of this event came before it and are nowhere else. */
void events_add(struct events *e, struct wall at, enum log_level level, const char *module, const char *ev,
                const char *text, uint32_t suppressed);
/* Those with a number above after, oldest first, into out, which has room for EVENTS_KEPT. Returns how many; *gone is
 * how many have made room since the start. */
size_t events_copy(struct events *e, uint64_t after, struct event *out, uint64_t *gone);

#endif
