/* csv: routes or accounts as a table, the second view of that part of a plan, for spreadsheets.
 *
 * The header names the columns: the keys of the document, "name" for accounts, and "action". A table of accounts has
 * the column name, one of routes has match and to, which with scope are a route's identity. Any column that is no part
 * of the identity may be missing. A row changes fields of one object:
 *   a blank cell    leaves what is stored (with replace: the default, except for a password)
 *   REMOVE          takes the default; in the column action it removes the object
 *   (set)           leaves the password; no password is ever written, only this
 *   '...  ="..."    the text behind the apostrophe, or between the quotes, whatever it looks like
 * Items of a list stand between spaces. The writer puts the apostrophe before what a spreadsheet would run as a formula
 * or rewrite as a number or date (+49, =6001, 0049, 4-15, long numbers); the reader says so when it finds the traces of
 * one that did (8.61E+12, 6001.0, #NAME?). Pure: no file is opened here. Specification: README.md "The plan". */
#ifndef TANDEM_PLAN_CSV_H
#define TANDEM_PLAN_CSV_H

#include "node/plan/object.h"

struct plan_csv_row {
    struct plan_object object; /* its identity and what is given; everything else has its default; line is set */
    uint32_t given;            /* bit k: the k-th field of the schema has a value */
    uint32_t cleared;          /* bit k: it goes back to its default */
    bool remove;
};

struct plan_csv {
    enum plan_kind kind; /* PLAN_ROUTE or PLAN_ACCOUNT */
    uint32_t columns;    /* bit k: the k-th field has a column */
    struct plan_csv_row *rows;
    size_t row_count;
};

/* Rows and texts live in arena; each object stands in one row at most. ERR_SYNTAX, ERR_LIMIT (info: line, column, the
 * cell as a spreadsheet names it, and what to write), ERR_NOMEM. */
MUST_CHECK enum err plan_csv_parse(struct arena *arena, struct slice text, struct plan_csv *out, struct err_info *info);

/* The same row by row, for a table that is too large to be held as rows: the text is (mapped from its file, say) and
 * may be read again from a row on. Texts of a row last until the next. That a row repeats another is not seen. */
struct plan_csv_reader;
MUST_CHECK enum err plan_csv_open(struct slice text, struct plan_csv_reader **out, struct err_info *info);
/* kind and columns of the table; no rows. */
const struct plan_csv *plan_csv_table(const struct plan_csv_reader *r);
/* at (may be NULL): where in the text the row can be read again. ERR_NOTFOUND: there are no more; else as above. */
MUST_CHECK enum err plan_csv_next(struct plan_csv_reader *r, struct plan_csv_row *row, size_t *at);
/* Goes on at a place that plan_csv_next told, whose row began in that line. */
void plan_csv_seek(struct plan_csv_reader *r, size_t at, unsigned line);
void plan_csv_close(struct plan_csv_reader *r);

/* The object that a row (of csv, not to be removed) makes of the stored one, NULL when there is none. Texts are
 * borrowed from both. replace: blank cells mean the default. ERR_SYNTAX, ERR_LIMIT when it does not stand up (info:
 * line and why). */
MUST_CHECK enum err plan_csv_merge(const struct plan_csv *csv, const struct plan_csv_row *row,
                                   const struct plan_object *stored, bool replace, struct plan_object *out,
                                   struct err_info *info);

/* The other way round, for one stored key: k = 0, 1, ... are the keys that a spreadsheet may have made of it, in no
 * order; false behind the last. *front is the place in the order in which plan_csv_original tries them: the lowest
 * counts. */
bool plan_csv_altered(struct slice key, unsigned k, char out[PLAN_KEY_MAX], size_t *len, unsigned *front);
#define PLAN_CSV_FRONTS 9
/* The characters that stood before the number. */
const char *plan_csv_front(unsigned front);

/* Whether stored is what a new row's object may have been before a spreadsheet took the zeros, the + or the = from the
 * front of its number: tries keys of that kind, one after the other, until find returns an object. NULL: no trace. */
const struct plan_object *plan_csv_original(const struct plan_csv_row *row,
                                            const struct plan_object *(*find)(void *ctx, struct slice key), void *ctx);

/* The header row, and one object as a row; lines end in CRLF. A table whose rows are not all ASCII must begin with
 * PLAN_CSV_MARK, since a spreadsheet would misread them without. cell is for work. ERR_NOMEM. */
#define PLAN_CSV_MARK "\xef\xbb\xbf"
void plan_csv_head(enum plan_kind kind, char separator, struct buf *out);
MUST_CHECK enum err plan_csv_line(const struct plan_object *o, char separator, struct buf *cell, struct buf *out);

/* All objects of that kind among those given, in the order of a document, with a header row; lines end in CRLF. It
 * begins with a byte order mark when there is text that a spreadsheet would misread without. Sorts objects. ERR_NOMEM.
 */
MUST_CHECK enum err plan_csv_write(enum plan_kind kind, const struct plan_object **objects, size_t count,
                                   char separator, struct buf *out);

#endif
