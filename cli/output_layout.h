/* output_layout: which columns of a table are shown, and how wide those are that may go on in the next line, so that it
 * fits the terminal: columns that are only good to have go first, then texts are broken between words, and what is left
 * over is for libsmartcols to cut. Without a terminal everything is shown as it is. */
#ifndef TANDEM_CLI_OUTPUT_LAYOUT_H
#define TANDEM_CLI_OUTPUT_LAYOUT_H

#include "cli/output_formats.h"

#define LAYOUT_COLUMNS_MAX 256 /* as many as a record has fields */

struct layout {
    struct {
        const struct output_column *column;
        size_t width; /* break its texts here; 0: nowhere */
    } shown[LAYOUT_COLUMNS_MAX];
    size_t count;
};

/* Of the records of that kind which o has kept. */
void layout_make(struct layout *l, const struct output *o, const struct output_column *columns, struct slice kind);
/* The text with a line feed in place of a blank wherever a line would be wider; a word that is too long is cut. */
void layout_break(struct slice text, size_t width, struct buf *out);

/* Whether a table shows anything else than a dash for it. */
bool layout_has(const struct control_field *f);

#endif
