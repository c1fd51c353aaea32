/* csv_cursor: see csv_cursor.h. One pass, linear in the text. */
#include "node/plan/csv_cursor.h"

/* What the first bytes say that this is, when it is no text with separators. */
static const char *other_format(struct slice text)
{
    static const struct {
        struct slice begin;
        const char *what;
    } rows[] = {
        {{"PK\x03\x04", 4}, "this is a workbook (.xlsx, .ods); save it as CSV UTF-8"},
        {{"\xd0\xcf\x11\xe0", 4}, "this is a workbook (.xls); save it as CSV UTF-8"},
        {{"\xff\xfe", 2}, "this is UTF-16 text; save it as CSV UTF-8"},
        {{"\xfe\xff", 2}, "this is UTF-16 text; save it as CSV UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (slice_starts(text, rows[i].begin)) return rows[i].what;
    }
    return NULL;
}

static bool is_end(char c)
{
    return c == '\n' || c == '\r';
}

static void advance(struct csv_cursor *c, size_t n)
{
    c->rest = (struct slice){c->rest.p + n, c->rest.n - n};
}

/* Behind the end of a line, if the text is at one. */
static bool take_line_end(struct csv_cursor *c)
{
    if (c->rest.n == 0 || !is_end(c->rest.p[0])) return false;
    advance(c, slice_starts(c->rest, SLICE("\r\n")) ? 2 : 1);
    c->line++;
    c->line_start = c->rest.p;
    return true;
}

/* The first separator of the header; its names hold none. */
static char find_separator(struct slice text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.n && (quoted || !is_end(text.p[i])); i++) {
        char c = text.p[i];
        if (c == '"') quoted = !quoted;
        if (!quoted && (c == ',' || c == ';' || c == '\t')) return c;
    }
    return ',';
}

/* "sep=;": a line by which a file tells one spreadsheet what separates its cells. */
static void take_separator_line(struct csv_cursor *c)
{
    static const struct slice word = {"sep=", 4};
    if (c->rest.n < 6 || !slice_eq_nocase((struct slice){c->rest.p, word.n}, word) || !is_end(c->rest.p[5])) return;
    char sep = c->rest.p[4];
    if (sep != ',' && sep != ';' && sep != '\t') return;
    c->separator = sep;
    advance(c, 5);
    (void)take_line_end(c);
}

enum err csv_open(struct csv_cursor *c, struct slice text, struct err_info *info)
{
    static const struct slice mark = {"\xef\xbb\xbf", 3};
    const char *other = other_format(text);
    *c = (struct csv_cursor){.rest = text, .line = 1, .info = info};
    if (other != NULL) return err_fail_at(info, ERR_SYNTAX, 1, 1, "%s", other);
    if (slice_starts(text, mark)) advance(c, mark.n);
    c->line_start = c->rest.p;
    take_separator_line(c);
    if (c->separator == '\0') c->separator = find_separator(c->rest);
    return ERR_OK;
}

/* ---- cells ---- */

static enum err fail(const struct csv_cursor *c, const struct csv_cell *cell, const char *at, const char *text)
{
    struct csv_cell there = *cell;
    there.at = at;
    return err_fail_at(c->info, ERR_SYNTAX, cell->line, csv_column(&there), "%s", text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Behind the closing quote: nothing but blanks up to the next separator or end of line. */
static enum err end_quoted(struct csv_cursor *c, const struct csv_cell *cell)
{
    while (c->rest.n > 0 && is_blank(c->rest.p[0]) && c->rest.p[0] != c->separator)
        advance(c, 1);
    if (c->rest.n == 0 || c->rest.p[0] == c->separator || is_end(c->rest.p[0])) return ERR_OK;
    return fail(c, cell, cell->at,
                "the quotes of this cell end before it does; write a quote that belongs to it twice (\"\")");
}

static enum err take_quoted(struct csv_cursor *c, struct csv_cell *cell)
{
    const char *begin = c->rest.p + 1;
    size_t n = 0;
    size_t all = c->rest.n - 1;
    for (;; n++) {
        if (n == all) return fail(c, cell, cell->at, "the quote that begins this cell is never closed");
        if (begin[n] == '"') {
            if (n + 1 == all || begin[n + 1] != '"') break;
            cell->doubled = true;
            n++;
        } else if (begin[n] == '\n' || (begin[n] == '\r' && (n + 1 == all || begin[n + 1] != '\n'))) {
            c->line++;
            c->line_start = begin + n + 1;
        }
    }
    cell->quoted = true;
    cell->raw = (struct slice){begin, n};
    advance(c, n + 2);
    return end_quoted(c, cell);
}

/* The length of ="...", by which tables tell a spreadsheet that a cell is text; 0 when it is none. */
static size_t text_formula(struct slice s)
{
    if (!slice_starts(s, SLICE("=\""))) return 0;
    for (size_t n = 2; n < s.n && !is_end(s.p[n]); n++) {
        if (s.p[n] == '"') return n + 1;
    }
    return 0;
}

static enum err take_plain(struct csv_cursor *c, struct csv_cell *cell)
{
    size_t n = text_formula(c->rest);
    while (n < c->rest.n && c->rest.p[n] != c->separator && !is_end(c->rest.p[n])) {
        if (c->rest.p[n] == '"') {
            return fail(c, cell, c->rest.p + n,
                        "a quote within a cell; put the whole cell in quotes, and write this one twice");
        }
        if (c->rest.p[n] == '\0') return fail(c, cell, c->rest.p + n, "a NUL byte: this is no text");
        n++;
    }
    cell->raw = slice_trim((struct slice){c->rest.p, n});
    if (cell->raw.n > 0) cell->at = cell->raw.p;
    advance(c, n);
    return ERR_OK;
}

static enum err take_cell(struct csv_cursor *c, struct csv_cell *cell)
{
    size_t blanks = 0;
    while (blanks < c->rest.n && is_blank(c->rest.p[blanks]) && c->rest.p[blanks] != c->separator)
        blanks++;
    bool quoted = blanks < c->rest.n && c->rest.p[blanks] == '"';
    if (quoted) advance(c, blanks);
    *cell = (struct csv_cell){.at = c->rest.p, .line_start = c->line_start, .line = c->line};
    return quoted ? take_quoted(c, cell) : take_plain(c, cell);
}

enum err csv_row(struct csv_cursor *c, struct csv_cell cells[CSV_COLUMN_MAX], size_t *count)
{
    *count = 0;
    if (c->rest.n == 0) return ERR_OK;
    c->row++;
    for (;;) {
        if (*count == CSV_COLUMN_MAX) {
            return err_fail_at(c->info, ERR_LIMIT, c->line, 1, "a row has at most %d cells", CSV_COLUMN_MAX);
        }
        enum err e = take_cell(c, &cells[(*count)++]);
        if (e != ERR_OK) return e;
        if (c->rest.n == 0 || take_line_end(c)) return ERR_OK;
        advance(c, 1); /* the separator */
    }
}

unsigned csv_column(const struct csv_cell *cell)
{
    unsigned column = 1;
    for (const char *p = cell->line_start; p < cell->at; p++)
        column += ((unsigned char)*p & 0xc0) != 0x80;
    return column;
}

void csv_text(const struct csv_cell *cell, struct buf *out)
{
    for (size_t i = 0; i < cell->raw.n; i++) {
        buf_add(out, cell->raw.p + i, 1);
        i += cell->raw.p[i] == '"'; /* they come in pairs */
    }
}
