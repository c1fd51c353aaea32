/* err: the one error type of the house.
 *
 * A function that can fail returns enum err and is checked. Detail for people travels in an optional struct err_info,
 * filled where the failure happened; whoever gives up logs or prints it. Libraries' own numbers are translated by their
 * adapter, in one function each, and never travel. A bug is no error: it is an ASSERT, on in release too. */
#ifndef TANDEM_BASE_ERR_H
#define TANDEM_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err {
    ERR_OK = 0,
    ERR_NOMEM,       /* out of memory */
    ERR_SYNTAX,      /* input that does not parse or breaks a rule of its format */
    ERR_LIMIT,       /* well formed, but over a cap */
    ERR_NOTFOUND,    /* no such object */
    ERR_EXISTS,      /* already there, in use, locked */
    ERR_CONFLICT,    /* the plan moved since the caller looked */
    ERR_REFUSED,     /* lint or policy says no */
    ERR_AUTH,        /* proof of identity missing or wrong */
    ERR_IO,          /* the environment failed: disk, socket */
    ERR_FULL,        /* no space: disk, map, queue */
    ERR_CORRUPT,     /* stored data fails its checksum */
    ERR_TIMEOUT,     /* no answer in time */
    ERR_UNREACHABLE, /* no way there at present */
    ERR_VERSION,     /* a peer or a file of another format version */
    ERR_CLOSED,      /* the object is shutting down */
    ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))
/* Seldom called: what leads to it is laid out apart from the usual way, which then fills fewer cache lines. */
#define COLD __attribute__((cold))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

/* Text is one sentence for a person: what, where, and how to mend it. line and column are 1-based, 0 when unknown. */
struct err_info {
    char text[480];
    unsigned line;
    unsigned column;
};

/* "ok", "no memory", ... Never NULL; static storage. */
const char *err_name(enum err e);

/* Fills info (may be NULL) and returns e, so that a failing path is one line: return err_fail(info, ERR_SYNTAX, "...").
 */
COLD enum err err_fail(struct err_info *info, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same with a position; line and column as in struct err_info. */
COLD enum err err_fail_at(struct err_info *info, enum err e, unsigned line, unsigned column, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

/* A broken promise inside the program: prints where and aborts. */
_Noreturn void assert_failed(const char *expr, const char *file, int line);
#define ASSERT(expr) ((expr) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__))

#endif
