#include "node/base/log.h"

#include <stdio.h>

void log_event(const struct log *log, enum log_level level, const char *module, const char *ev, const char *fmt, ...)
{
    char pairs[1024];
    va_list ap;
    if (log == NULL || level > log->max) return;
    va_start(ap, fmt);
    (void)vsnprintf(pairs, sizeof pairs, fmt, ap);
    va_end(ap);
    for (char *c = pairs; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    }
    log->sink(log->ctx, level, module, ev, pairs);
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return (unsigned)level <= LOG_DEBUG ? names[level] : "?";
}
