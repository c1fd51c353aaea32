/* log: one logfmt event at a time, handed to a sink. Pure code does not log: it returns actions and errors.
 *
 * error = someone must act; warn = degraded by itself; info = a state changed; debug = per message, off by default.
 * ev is a stable identifier ("peer-dead"); fmt prints the key=value pairs, texts as key="...". Control characters
 * become '?', and a quote that comes from a value becomes "'": what strangers say cannot end it and pass for a pair. */
#ifndef TANDEM_BASE_LOG_H
#define TANDEM_BASE_LOG_H

#include "node/base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level max; /* events above it are not formatted */
    /* Any thread. All texts are borrowed for the call. pairs may be "". The sink adds the time and the line end. */
    void (*sink)(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs);
    void *ctx;
};

COLD void log_event(const struct log *log, enum log_level level, const char *module, const char *ev, const char *fmt,
                    ...) PRINTF_LIKE(5, 6);
const char *log_level_name(enum log_level level);

#endif
