/* output_formats: what output.c and the writers of the four formats share; nothing else includes it. */
#ifndef TANDEM_CLI_OUTPUT_FORMATS_H
#define TANDEM_CLI_OUTPUT_FORMATS_H

#include "cli/output.h"

struct output {
    struct output_options options;
    bool failed;        /* no memory, or the stream broke */
    struct arena arena; /* of kept records */
    struct control_record *kept;
    size_t kept_count;
    size_t kept_cap;
    bool started;   /* json, yaml: something is written */
    void *state;    /* yaml: the emitter */
    bool line_open; /* yaml: the last byte written was no line feed */
};

struct output_writer {
    void (*record)(struct output *o, const struct control_record *r);
    void (*finish)(struct output *o, int status, struct slice error);
};

extern const struct output_writer output_table;
extern const struct output_writer output_json;
extern const struct output_writer output_yaml;
extern const struct output_writer output_csv;

void output_keep(struct output *o, const struct control_record *r);
void output_write(struct output *o, struct slice s);
const struct output_view *output_view_of(const struct output *o, struct slice kind);
/* A scalar as plain text: "12", "true", hexadecimal digits; nothing for null. */
void output_plain(const struct control_field *f, struct buf *out);
/* A list's item that is a scalar: its only field has no name. NULL: it is a record. */
const struct control_field *output_scalar(const struct control_record *item);

#endif
