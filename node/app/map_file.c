#include "node/app/maps.h"

#include <stdlib.h>

#include "node/base/list.h"
#include "node/base/map.h"
#include "node/plan/pattern.h"

struct map_entry {
    uint32_t number_at; /* into text */
    uint32_t resource_at;
    uint32_t line;
    uint8_t number_len;
    uint8_t resource_len;
};

/* Sorted by number; the texts lie one behind the other. */
struct map_file {
    struct map_entry *entries;
    size_t count;
    size_t cap;
    struct buf text;
};

void map_file_free(struct map_file *m)
{
    if (m == NULL) return;
    free(m->entries);
    buf_fini(&m->text);
    free(m);
}

size_t map_file_count(const struct map_file *m)
{
    return m->count;
}

static struct slice number_of(const struct map_file *m, const struct map_entry *e)
{
    return (struct slice){m->text.p + e->number_at, e->number_len};
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static struct slice trim(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (struct slice){s.p + 1, s.n - 1};
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
        s.n--;
    return s;
}

/* What may stand in a URI's user part unescaped (RFC 3261 §25.1), less what has a meaning in lists. */
static bool resource_valid(struct slice s)
{
    static const char marks[] = "-_.!~*'()+#";
    if (s.n == 0 || s.n > MAPS_RESOURCE) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || strchr(marks, c) == NULL)) return false;
    }
    return true;
}

static bool split(struct slice line, struct slice *number, struct slice *resource)
{
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != ',' && line.p[i] != ';' && line.p[i] != '\t') continue;
        *number = trim((struct slice){line.p, i});
        *resource = trim((struct slice){line.p + i + 1, line.n - i - 1});
        return true;
    }
    return false;
}

static enum err add(struct map_file *m, struct slice number, struct slice resource, unsigned line)
{
    if (m->count == m->cap) {
        size_t cap = m->cap == 0 ? 256 : m->cap * 2;
        struct map_entry *grown = realloc(m->entries, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        m->entries = grown;
        m->cap = cap;
    }
    m->entries[m->count++] = (struct map_entry){.number_at = (uint32_t)m->text.n,
                                                .resource_at = (uint32_t)(m->text.n + number.n),
                                                .line = line,
                                                .number_len = (uint8_t)number.n,
                                                .resource_len = (uint8_t)resource.n};
    buf_slice(&m->text, number);
    buf_slice(&m->text, resource);
    return m->text.failed ? ERR_NOMEM : ERR_OK;
}

/* The text of a fault quotes nothing of a line that is no entry: it may be of a file that is none of ours. */
static enum err read_line(struct map_file *m, struct slice text, unsigned line, struct err_info *info)
{
    struct slice number;
    struct slice resource;
    if (text.n == 0 || text.p[0] == '#') return ERR_OK;
    if (!split(text, &number, &resource))
        return err_fail(info, ERR_SYNTAX, "line %u: write a number, a comma, and what it is called", line);
    if (m->count == 0 && slice_eq_nocase(number, SLICE("number"))) return ERR_OK;
    if (!number_valid(number) || number.n == 0)
        return err_fail(info, ERR_SYNTAX,
                        "line %u: what stands before the comma is no number (digits, + * #, at most %d)", line,
                        LIMIT_NUMBER);
    if (!resource_valid(resource))
        return err_fail(info, ERR_SYNTAX,
                        "line %u: what %.*s is called must be 1 to %d letters, digits and - _ . ! ~ * ' ( ) + #", line,
                        SLICE_ARG(number), MAPS_RESOURCE);
    if (m->count == MAPS_ENTRIES)
        return err_fail(info, ERR_LIMIT, "line %u: a map has at most %d numbers; make two accounts of it", line,
                        MAPS_ENTRIES);
    return add(m, number, resource, line);
}

struct sortable {
    struct slice number;
    struct map_entry entry;
};

static int by_number(const void *a, const void *b)
{
    const struct sortable *x = a;
    const struct sortable *y = b;
    int order = compare(x->number, y->number);
    return order != 0 ? order : (x->entry.line > y->entry.line) - (x->entry.line < y->entry.line);
}

static enum err sort(struct map_file *m, struct err_info *info)
{
    struct sortable *list = malloc((m->count + 1) * sizeof *list);
    enum err e = ERR_OK;
    if (list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->count; i++)
        list[i] = (struct sortable){number_of(m, &m->entries[i]), m->entries[i]};
    if (m->count > 1) qsort(list, m->count, sizeof *list, by_number);
    for (size_t i = 0; i < m->count; i++) {
        m->entries[i] = list[i].entry;
        if (i == 0 || e != ERR_OK || !slice_eq(list[i].number, list[i - 1].number)) continue;
        e = err_fail(info, ERR_SYNTAX, "line %u: %.*s stands in line %u already", list[i].entry.line,
                     SLICE_ARG(list[i].number), list[i - 1].entry.line);
    }
    free(list);
    return e;
}

enum err map_file_parse(struct slice text, struct map_file **out, struct err_info *info)
{
    struct map_file *m = calloc(1, sizeof *m);
    enum err e = ERR_OK;
    unsigned number = 0;
    if (m == NULL) return ERR_NOMEM;
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) text = (struct slice){text.p + 3, text.n - 3};
    while (e == ERR_OK && text.n > 0) {
        struct slice line;
        text = slice_cut(text, '\n', &line);
        e = read_line(m, trim(line), ++number, info);
    }
    if (e == ERR_OK) e = sort(m, info);
    if (e != ERR_OK) {
        map_file_free(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

struct slice map_file_find(const struct map_file *m, struct slice number)
{
    size_t low = 0;
    size_t high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct map_entry *e = &m->entries[mid];
        int order = compare(number, number_of(m, e));
        if (order == 0) return (struct slice){m->text.p + e->resource_at, e->resource_len};
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return SLICE_NONE;
}
