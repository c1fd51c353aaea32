/* csv_cursor: walks the rows of comma-separated text (RFC 4180), as spreadsheets write it: with or without a byte order
 * mark; between commas, semicolons or tabs, which the first line decides; quotes; lines that end in CRLF, LF or CR.
 *
 * It knows no columns. Cells point into the text, nothing is copied. Internal to node/plan. */
#ifndef TANDEM_PLAN_CSV_CURSOR_H
#define TANDEM_PLAN_CSV_CURSOR_H

#include "node/base/bytes.h"

#define CSV_COLUMN_MAX 64

struct csv_cell {
    struct slice raw; /* without the quotes around it, and trimmed when it had none */
    bool quoted;
    bool doubled;           /* holds quotes that are written twice */
    const char *at;         /* where it begins, a quote included */
    const char *line_start; /* of the line in which it begins */
    unsigned line;
};

struct csv_cursor {
    struct slice rest;
    const char *line_start;
    unsigned line;
    unsigned row; /* rows taken so far, as a spreadsheet counts them */
    char separator;
    struct err_info *info;
};

/* Begins at the first row. text and info stay borrowed. ERR_SYNTAX: no such text (info says what it is instead). */
MUST_CHECK enum err csv_open(struct csv_cursor *c, struct slice text, struct err_info *info);
/* The next row: *count cells, 0 at the end of the text; an empty line is one empty cell. ERR_SYNTAX (quotes), ERR_LIMIT
 * (columns). */
MUST_CHECK enum err csv_row(struct csv_cursor *c, struct csv_cell cells[CSV_COLUMN_MAX], size_t *count);

/* The character of its line at which a cell begins, from 1. */
unsigned csv_column(const struct csv_cell *cell);
/* Appends what the cell says. */
void csv_text(const struct csv_cell *cell, struct buf *out);

#endif
