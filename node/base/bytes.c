#include "node/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BLOCK_SIZE 4096
#define ARENA_ALIGN 16

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] != b.p[i] && char_lower(a.p[i]) != char_lower(b.p[i])) return false;
    }
    return true;
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (order != 0) return order;
    return (a.n > b.n) - (a.n < b.n);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct slice slice_cut(struct slice s, char sep, struct slice *before)
{
    const char *at = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;
    if (at == NULL) {
        *before = s;
        return SLICE_NONE;
    }
    size_t n = (size_t)(at - s.p);
    *before = (struct slice){s.p, n};
    return (struct slice){at + 1, s.n - n - 1};
}

enum err slice_u64(struct slice s, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;
    if (s.n == 0) return ERR_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return ERR_SYNTAX;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10) return ERR_LIMIT;
        v = v * 10 + digit;
    }
    if (v > max) return ERR_LIMIT;
    *value = v;
    return ERR_OK;
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed) return NULL;
    if (b->cap - b->n >= n) return b->p + b->n;
    size_t want = b->cap < 256 ? 256 : b->cap;
    while (want - b->n < n) {
        if (want > SIZE_MAX / 2) {
            b->failed = true;
            return NULL;
        }
        want *= 2;
    }
    char *grown = realloc(b->p, want);
    if (grown == NULL) {
        b->failed = true;
        return NULL;
    }
    b->p = grown;
    b->cap = want;
    return b->p + b->n;
}

void buf_add_slow(struct buf *b, const void *data, size_t n)
{
    if (n == 0) return;
    char *room = buf_room(b, n);
    if (room == NULL) return;
    memcpy(room, data, n);
    b->n += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *room = n >= 0 ? buf_room(b, (size_t)n + 1) : NULL;
    if (room != NULL) {
        (void)vsnprintf(room, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    _Alignas(ARENA_ALIGN) char data[];
};

void arena_fini(struct arena *a)
{
    struct arena_block *block = a->head;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *a = (struct arena){0};
}

static struct arena_block *block_new(size_t cap)
{
    struct arena_block *block = malloc(sizeof *block + cap);
    if (block != NULL) *block = (struct arena_block){.next = NULL, .used = 0, .cap = cap};
    return block;
}

void arena_reset(struct arena *a)
{
    size_t cap = ARENA_BLOCK_SIZE;
    if (a->head == NULL) return;
    if (a->head->next == NULL && a->head->cap <= ARENA_KEPT) {
        a->head->used = 0;
        a->used_total = 0;
        return;
    }
    /* Several blocks: from now on one that would have done. */
    while (cap < a->used_total + ARENA_BLOCK_SIZE && cap < ARENA_KEPT)
        cap *= 2;
    arena_fini(a);
    a->head = block_new(cap); /* NULL is an empty arena */
}

/* What arena_alloc gives, with whatever it holds. */
static void *arena_room(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) return NULL;
    n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->head == NULL || a->head->cap - a->head->used < n) {
        size_t cap = n > ARENA_BLOCK_SIZE ? n : ARENA_BLOCK_SIZE;
        if (a->used_total > cap) cap = a->used_total; /* doubling: a big revision needs few blocks */
        if (cap > 1024 * 1024 && cap > n) cap = n > 1024 * 1024 ? n : 1024 * 1024;
        struct arena_block *block = block_new(cap);
        if (block == NULL) return NULL;
        block->next = a->head;
        a->head = block;
    }
    char *p = a->head->data + a->head->used;
    a->head->used += n;
    a->used_total += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_room(a, n);
    if (p != NULL) memset(p, 0, n);
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = s.n < SIZE_MAX ? arena_room(a, s.n + 1) : NULL;
    if (p == NULL) return SLICE_NONE;
    if (s.n > 0) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct slice){p, s.n};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (p != NULL) (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct slice decimal_text(uint64_t n, char out[DECIMAL_TEXT])
{
    size_t at = DECIMAL_TEXT;
    do {
        out[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return (struct slice){out + at, DECIMAL_TEXT - at};
}

/* The two digits of each byte, one after the other. */
#define HEX_ROW(h) h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
static const char hex_pairs[] =
    HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8")
        HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

void hex_encode(const void *data, size_t n, char *out)
{
    const unsigned char *in = data;
    for (size_t i = 0; i < n; i++)
        memcpy(out + 2 * i, hex_pairs + 2 * in[i], 2);
    out[2 * n] = '\0';
}

static unsigned hex_digit(char c)
{
    static const unsigned char values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
        ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
        ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};
    return values[(unsigned char)c] - 1u; /* of another character all bits are set */
}

enum err hex_decode(struct slice text, void *out, size_t n)
{
    unsigned char *bytes = out;
    unsigned seen = 0;
    if (text.n != 2 * n) return ERR_SYNTAX;
    for (size_t i = 0; i < n; i++) {
        unsigned high = hex_digit(text.p[2 * i]);
        unsigned low = hex_digit(text.p[2 * i + 1]);
        seen |= high | low;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return seen < 16 ? ERR_OK : ERR_SYNTAX;
}

/* Behind this pointer the compiler may not look: it would leave out what overwrites bytes that nobody reads again. */
static void *(*const volatile overwrite)(void *, int, size_t) = memset;

void secret_wipe(void *p, size_t n)
{
    if (n > 0) (void)overwrite(p, 0, n);
}
