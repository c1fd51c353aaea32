/* html: text on its way into a page: the one function through which everything passes that came from the plan, from the
 * network or from a file, and the words for amounts. Pure; knows nothing of HTTP, or of what a page shows. */
#ifndef TANDEM_CONTROL_HTML_H
#define TANDEM_CONTROL_HTML_H

#include "node/base/bytes.h"

/* Appends s as text that is the same within an element and within a quoted attribute: & < > " ' as entities. What is
 * not UTF-8, controls, and the marks that turn the direction of writing become U+FFFD: they could make a name look like
 * another one, or a document ill-formed. */
void html_text(struct buf *out, struct slice s);
/* The same of the first chars characters; "…" stands for the rest. */
void html_cut(struct buf *out, struct slice s, size_t chars);

/* "0.4 ms", "12 ms", "3.1 s", "40 s", "12 min", "5 h", "3 d": two digits, or three, are enough to judge by. */
void html_us(struct buf *out, uint64_t us);
/* "12,345" */
void html_count(struct buf *out, uint64_t n);

#endif
