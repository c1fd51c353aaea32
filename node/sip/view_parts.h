/* view_parts: what the files of the view share. Internal to node/sip. */
#ifndef TANDEM_SIP_VIEW_PARTS_H
#define TANDEM_SIP_VIEW_PARTS_H

#include "node/sip/view.h"

/* ---- view_table.c: names ---- */

enum sip_method sip_method_of(struct slice name); /* methods are case-sensitive */

/* ---- view_lines.c ---- */

/* One pass over a message. */
struct sip_pass {
    struct sip_view *v;
    const char *end;      /* of what may be looked at */
    enum sip_fault fault; /* the first one */
    unsigned ours;        /* so many lines and Via values more than usual are taken */
};
/* The first fault stays. */
COLD void sip_note(struct sip_pass *s, enum sip_fault f);

struct sip_line_end {
    const char *p; /* behind the LF; NULL: end comes first */
    bool clean;    /* CRLF at the end, no other CR and no NUL */
};
/* Of the physical line at p. */
struct sip_line_end sip_line_end(const char *p, const char *end);
/* Whether the line that ends at p goes on behind it. */
static inline bool sip_line_folds(const char *p, const char *end)
{
    return p < end && (*p == ' ' || *p == '\t');
}

enum sip_head { SIP_HEAD_DONE, SIP_HEAD_CUT, SIP_HEAD_STOPPED };
struct sip_head_end {
    const char *p; /* behind the empty line, or the line where the pass ended */
    enum sip_head how;
};
/* The header lines from p on, into the index. */
struct sip_head_end sip_scan_lines(struct sip_pass *s, const char *p);

/* ---- view_first.c ---- */

/* line is without its CRLF; up to data_end may be looked at. Sets request, method, method_text, uri or code, reason.
 * NONE, FIRST_LINE, VERSION or URI. */
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
