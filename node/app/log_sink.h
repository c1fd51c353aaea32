/* log_sink: log events to a stream as logfmt lines: ts level module ev key=value. Repeats of one event within a second
 * are counted and shown as suppressed=n on its next line. Events above its level are not written, so that it can be
 * changed under those who keep a struct log. Whatever the level, events remembers those that it keeps. Any thread. */
#ifndef TANDEM_APP_LOG_SINK_H
#define TANDEM_APP_LOG_SINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "node/app/events.h"

#define LOG_SINK_EVENTS 64

struct log_sink {
    FILE *stream;
    struct events *kept;
    _Atomic int max; /* an enum log_level */
    pthread_mutex_t lock;
    struct log_sink_event {
        char key[64]; /* module/ev */
        int64_t second;
        unsigned shown;
        unsigned suppressed;
    } events[LOG_SINK_EVENTS]; /* direct-mapped: a collision only forgets a count */
};

/* stream and kept are borrowed. */
void log_sink_init(struct log_sink *s, FILE *stream, struct events *kept);
void log_sink_fini(struct log_sink *s);
/* The max of a struct log whose sink is at this level: what is remembered gets there too. */
enum log_level log_sink_max(enum log_level level);
/* A struct log that writes here, and the level of s; s must outlive it. */
struct log log_sink_log(struct log_sink *s, enum log_level max);
/* The level of s from now on. A struct log that was made before filters by its own max too. */
void log_sink_level(struct log_sink *s, enum log_level max);

#endif
