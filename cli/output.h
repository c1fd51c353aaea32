/* output: records as a table, JSON, YAML or CSV.
 *
 * JSON, YAML and CSV show every field as it came, in one document with a schema_version (CSV has none), and grow only
 * by new fields. A table shows what a view picks, in words for people, and nothing that could steer a terminal. JSON
 * and YAML are written as the records come; a table and CSV wait for the end, since their columns depend on all rows.
 */
#ifndef TANDEM_CLI_OUTPUT_H
#define TANDEM_CLI_OUTPUT_H

#include <stdio.h>

#include "proto/control_codec.h"

#define OUTPUT_SCHEMA_VERSION 1

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML, OUTPUT_CSV };

enum column_form {
    FORM_PLAIN,
    FORM_TIME,   /* "2026-11-22T08:15:30.123Z", or milliseconds since 1970 -> "2026-11-22 08:15:30Z" */
    FORM_US,     /* microseconds -> "1.2 ms" */
    FORM_MS,     /* milliseconds -> "2.5 s" */
    FORM_S,      /* seconds -> "58 s" */
    FORM_DIGEST, /* its first 12 characters */
};

#define COLUMN_RIGHT 1u
#define COLUMN_CUT 2u   /* is cut first when the terminal is narrow */
#define COLUMN_STATE 4u /* coloured by what it says: up, alive, dead, ... */
#define COLUMN_ODD 8u   /* upright: no line when the record does not have it */
#define COLUMN_WRAP 16u /* goes on in the next line when the terminal is narrow: what must be read whole */
#define COLUMN_WIDE 64u /* no column when the terminal is narrow */
#define COLUMN_RARE 32u /* no column when no record has anything in it */

struct output_column {
    const char *field;   /* NULL ends a list */
    const char *heading; /* "ROUND TRIP" */
    enum column_form form;
    unsigned flags;
};

/* How a table shows the records of one kind. A kind without a view shows all its fields. */
struct output_view {
    const char *kind; /* NULL ends a list */
    const struct output_column *columns;
    bool upright;     /* one line for each field: for a single record with many */
    const char *none; /* a sentence in place of an empty table; NULL: nothing */
    /* Of a list that may be empty: the names of its fields as they come, "id,time": the header row that CSV has then
     * all the same. */
    const char *fields;
    /* Instead of a table: a line of its own for each record, written at once. NULL: a table. */
    void (*line)(void *ctx, const struct control_record *r, struct buf *out);
    void *ctx;
};

struct output_options {
    FILE *stream;
    enum output_format format;
    bool terminal; /* the stream is one */
    bool color;
    unsigned width;                  /* of the terminal, 0: unlimited */
    const struct output_view *views; /* borrowed; NULL: none */
};

struct output;

/* NULL: no memory. */
struct output *output_new(const struct output_options *options);
/* The record is written or copied. */
void output_record(struct output *o, const struct control_record *r);
/* A record could not be made: output_finish tells. */
void output_fail(struct output *o);
/* Writes what is missing and frees o. With status != 0, JSON and YAML carry {"error": {status, text}}. ERR_IO when the
 * stream took not everything, ERR_NOMEM. */
MUST_CHECK enum err output_finish(struct output *o, int status, struct slice error);

/* The whole of a record, for one who shows it later. False: no memory. */
bool output_copy(struct arena *a, const struct control_record *from, struct control_record *to);

/* The text of a field for people, as one safe line. */
void output_cell(const struct control_field *f, enum column_form form, struct buf *out);

#endif
