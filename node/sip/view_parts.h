/* view_parts: what the files of the view share. Internal to node/sip. */
#ifndef TANDEM_SIP_VIEW_PARTS_H
#define TANDEM_SIP_VIEW_PARTS_H

#include "node/sip/view.h"

/* ---- view_table.c: names ---- */

enum sip_method sip_method_of(struct slice name); /* methods are case-sensitive */
/* Long and compact forms in any case; SIP_HEADER_OTHER when unknown. */
enum sip_header sip_header_of(struct slice name);

/* ---- view_first.c ---- */

/* line is without its CRLF. Sets request, method, method_text, uri or code, reason. NONE, FIRST_LINE, VERSION or URI.
 */
enum sip_fault sip_first_line(struct sip_view *v, struct slice line);

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
