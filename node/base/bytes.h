/* bytes: slices (borrowed text), growing buffers, and arenas.
 *
 * A slice never owns and need not end in NUL. A buffer owns heap memory and remembers that an allocation failed, so
 * that a serializer checks once at its end. An arena frees everything at once: one per message, plan revision or
 * request. */
#ifndef TANDEM_BASE_BYTES_H
#define TANDEM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "node/base/err.h"

struct slice {
    const char *p; /* may be NULL when n is 0 */
    size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
#define SLICE_ARG(s) (int)(s).n, ((s).p != NULL ? (s).p : "") /* for "%.*s" */

static inline struct slice slice_of(const char *text)
{
    return text != NULL ? (struct slice){text, strlen(text)} : SLICE_NONE;
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_is(struct slice a, const char *text)
{
    return slice_eq(a, slice_of(text));
}
/* Of ASCII letters; any other byte stays, whatever the locale. */
static inline char char_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}
static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
/* ASCII case-insensitive equality. */
bool slice_eq_nocase(struct slice a, struct slice b);
/* memcmp order, a shorter prefix first: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
/* Without the spaces and tabs (and CR, LF) at both ends. */
struct slice slice_trim(struct slice s);
/* Splits at the first sep: before gets what precedes it; returns what follows. Without sep: before is all, rest empty
 * with p NULL. */
struct slice slice_cut(struct slice s, char sep, struct slice *before);
/* Decimal, whole slice, no sign. ERR_SYNTAX, or ERR_LIMIT above max. */
MUST_CHECK enum err slice_u64(struct slice s, uint64_t max, uint64_t *value);

/* ---- growing buffer ---- */

struct buf {
    char *p;
    size_t n;
    size_t cap;
    bool failed; /* an allocation failed; further appends do nothing */
};

void buf_fini(struct buf *b);                                      /* frees; b is then an empty buffer ({0}) */
void buf_reset(struct buf *b);                                     /* length 0, keeps memory, clears failed */
COLD void buf_add_slow(struct buf *b, const void *data, size_t n); /* buf_add where there is no room yet */
static inline void buf_add(struct buf *b, const void *data, size_t n)
{
    if (b->failed || b->cap - b->n < n) {
        buf_add_slow(b, data, n);
    } else if (n > 0) {
        memcpy(b->p + b->n, data, n);
        b->n += n;
    }
}
static inline void buf_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.p, s.n);
}
static inline void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Room for n more bytes at p + n; the caller then raises n itself. NULL when memory is out. */
char *buf_room(struct buf *b, size_t n);
static inline struct slice buf_view(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}

/* ---- arena ---- */

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used_total; /* bytes handed out, for caps and statistics */
};

void arena_fini(struct arena *a); /* frees everything; a is then an empty arena ({0}) */
/* Everything handed out is free again; one block of at most ARENA_KEPT bytes stays for what comes next, warm. */
void arena_reset(struct arena *a);
#define ARENA_KEPT 65536
/* Zeroed, aligned for any type; NULL when memory is out. n may be 0. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy that ends in NUL (not counted in n). {NULL, 0} when memory is out; an empty slice copies to "". */
struct slice arena_copy(struct arena *a, struct slice s);
/* NULL when memory is out. */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- decimal and hexadecimal ---- */

/* By hand, for numbers that every message needs: printf costs ten times as much. The text lies in out, without NUL. */
#define DECIMAL_TEXT 20
struct slice decimal_text(uint64_t n, char out[DECIMAL_TEXT]);

/* out gets 2 * n digits, lower case, and a NUL. */
void hex_encode(const void *data, size_t n, char *out);
/* Exactly 2 * n digits of either case, else ERR_SYNTAX. */
MUST_CHECK enum err hex_decode(struct slice text, void *out, size_t n);

/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *p, size_t n);

#endif
