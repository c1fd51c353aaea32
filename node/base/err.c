#include "node/base/err.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[ERR_COUNT] = {
    [ERR_OK] = "ok",
    [ERR_NOMEM] = "no memory",
    [ERR_SYNTAX] = "syntax",
    [ERR_LIMIT] = "over a limit",
    [ERR_NOTFOUND] = "not found",
    [ERR_EXISTS] = "exists",
    [ERR_CONFLICT] = "conflict",
    [ERR_REFUSED] = "refused",
    [ERR_AUTH] = "not authenticated",
    [ERR_IO] = "input/output",
    [ERR_FULL] = "full",
    [ERR_CORRUPT] = "corrupt",
    [ERR_TIMEOUT] = "timed out",
    [ERR_UNREACHABLE] = "unreachable",
    [ERR_VERSION] = "version",
    [ERR_CLOSED] = "closed",
};

const char *err_name(enum err e)
{
    return (unsigned)e < ERR_COUNT ? names[e] : "unknown";
}

static enum err fail_va(struct err_info *info, enum err e, unsigned line, unsigned column, const char *fmt, va_list ap)
    PRINTF_LIKE(5, 0);
static enum err fail_va(struct err_info *info, enum err e, unsigned line, unsigned column, const char *fmt, va_list ap)
{
    if (info != NULL) {
        (void)vsnprintf(info->text, sizeof info->text, fmt, ap);
        info->line = line;
        info->column = column;
    }
    return e;
}

enum err err_fail(struct err_info *info, enum err e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e = fail_va(info, e, 0, 0, fmt, ap);
    va_end(ap);
    return e;
}

enum err err_fail_at(struct err_info *info, enum err e, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e = fail_va(info, e, line, column, fmt, ap);
    va_end(ap);
    return e;
}

_Noreturn void assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "assertion failed: %s at %s:%d\n", expr, file, line);
    abort();
}
