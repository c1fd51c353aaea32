#include "node/base/log.h"

#include <stdio.h>
#include <string.h>

#define PAIRS_SIZE 1024
#define FORMAT_SIZE 512
#define MARK '\x01'

/* Which quotes are the format's own is seen where it is rendered once more with another character in their place. */
static void tame_quotes(char pairs[PAIRS_SIZE], const char *fmt, va_list ap)
{
    char marked_fmt[FORMAT_SIZE];
    char marked[PAIRS_SIZE];
    size_t n = strlen(fmt);
    ASSERT(n < sizeof marked_fmt);
    for (size_t i = 0; i <= n; i++)
        marked_fmt[i] = fmt[i] == '"' ? MARK : fmt[i];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* it has the conversions of one that was checked */
    (void)vsnprintf(marked, sizeof marked, marked_fmt, ap);
#pragma GCC diagnostic pop
    for (size_t i = 0; pairs[i] != '\0'; i++)
        if (pairs[i] == '"' && marked[i] != MARK) pairs[i] = '\'';
}

void log_event(const struct log *log, enum log_level level, const char *module, const char *ev, const char *fmt, ...)
{
    char pairs[PAIRS_SIZE];
    va_list ap;
    if (log == NULL || level > log->max) return;
    va_start(ap, fmt);
    (void)vsnprintf(pairs, sizeof pairs, fmt, ap);
    va_end(ap);
    if (strchr(pairs, '"') != NULL) {
        va_start(ap, fmt);
        tame_quotes(pairs, fmt, ap);
        va_end(ap);
    }
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
