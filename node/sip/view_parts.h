/* view_parts: what the files of the view share. Internal to node/sip. */
#ifndef TANDEM_SIP_VIEW_PARTS_H
#define TANDEM_SIP_VIEW_PARTS_H

#include "node/sip/view.h"

/* ---- view_table.c: names ---- */

enum sip_method sip_method_of(struct slice name); /* methods are case-sensitive */
/* What the header line from p to end begins with: sets id and name_len, returns the colon; NULL when there is none or
 * what precedes it is no name. end is at most SIP_LINE_MAX away, and each CR before it has its LF. Up to data_end may
 * be looked at. */
const char *sip_line_name(const char *p, const char *end, const char *data_end, struct sip_line *line);

/* ---- view_line.c ---- */

struct sip_line_end {
    const char *p; /* behind the LF; NULL: end comes first */
    bool clean;    /* CRLF at the end, no other CR and no NUL */
};
/* Of the physical line at p. */
struct sip_line_end sip_line_end(const char *p, const char *end);

/* ---- view_first.c ---- */

/* line is without its CRLF; up to data_end may be looked at. Sets request, method, method_text, uri or code, reason.
 * NONE, FIRST_LINE, VERSION or URI.
 */
enum sip_fault sip_first_line(struct sip_view *v, struct slice line, const char *data_end);

/* ---- view_field.c: values that every message must have ---- */

/* The first Via line -> v->via; false: it cannot be read. *two: it is of version 2.0. */
bool sip_parse_via(struct sip_view *v, bool *two);
/* Via values of all lines, more or less: commas are counted without regard to quotes. */
size_t sip_count_vias(const struct sip_view *v);
/* From, To, Call-ID, CSeq, Max-Forwards as far as they are there; the first fault among them. */
enum sip_fault sip_parse_fields(struct sip_view *v);
/* Digits only; false when absent, otherwise malformed or over 10^9. */
bool sip_content_length(const struct sip_view *v, size_t *length);

#endif
