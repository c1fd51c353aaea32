/* edit: forwarding changes a message by edits to its bytes; what is not touched passes unchanged, in order.
 *
 * Edits are noted against offsets of the original and applied in one copy. They may be noted in any order; two edits
 * must not overlap; several inserts at one place keep the order in which they were noted. Inserted text is borrowed
 * until sip_edit_apply. */
#ifndef TANDEM_SIP_EDIT_H
#define TANDEM_SIP_EDIT_H

#include "node/sip/view.h"

#define SIP_EDITS_MAX 160 /* every line of a message may go */

struct sip_edit {
    uint32_t at;
    uint32_t remove; /* bytes of the original left out at that place */
    struct slice insert;
};

struct sip_edits {
    const struct sip_view *view;
    struct sip_edit items[SIP_EDITS_MAX];
    size_t count;
    bool failed; /* too many or out of range: sip_edit_apply says ERR_LIMIT */
};

void sip_edits_init(struct sip_edits *e, const struct sip_view *v);
void sip_edit_replace(struct sip_edits *e, struct slice part, struct slice with); /* part lies in the message */
void sip_edit_insert(struct sip_edits *e, size_t at, struct slice text);
void sip_edit_remove_line(struct sip_edits *e, unsigned line);
/* Whole header lines ("Via: ...\r\n") before the first line of id, or before all headers when there is none. */
void sip_edit_insert_before(struct sip_edits *e, enum sip_header id, struct slice lines);
/* Whole header lines after the last header line; nothing when there are none. */
void sip_edit_append(struct sip_edits *e, struct slice lines);
/* Removes the first value of the first line of id (the whole line when it has no other value): popping a Via or a
 * Route. */
/* Called again, it removes the next value, in the next line if need be. Nothing happens when no value is left. */
void sip_edit_pop_value(struct sip_edits *e, enum sip_header id);
/* Appends the edited message to out. ERR_LIMIT when the edits failed, ERR_NOMEM. */
MUST_CHECK enum err sip_edit_apply(const struct sip_edits *e, struct buf *out);

/* A response to the request v (RFC 3261 §8.2.6): Via lines, From, To (with to_tag when it has none and to_tag is not
 * ""), Call-ID, CSeq, then extra header lines ("" or "X: y\r\n"), Content-Length: 0. received/rport are put into the
 * topmost Via when received.n > 0 (RFC 3261 §18.2.1, RFC 3581). Record-Route is copied when the code is 101-299. */
MUST_CHECK enum err sip_response_build(const struct sip_view *v, unsigned code, struct slice reason,
                                       struct slice to_tag, struct slice received, uint16_t rport, struct slice extra,
                                       struct buf *out);
/* The lines that every response to v repeats: Via as above, From, To, Call-ID, CSeq. For who answers when v is gone: a
 * status line before them, and lines of his own with Content-Length: 0 after them, make the response. ERR_NOMEM. */
MUST_CHECK enum err sip_response_lines(const struct sip_view *v, struct slice to_tag, struct slice received,
                                       uint16_t rport, struct buf *out);
/* The value of the topmost Via as it must look after receipt: received added or replaced, and rport given its value
 * when the client asked for it. Appends to out; for sip_edit_replace(e, v->via.all, ...) and for answers. */
void sip_via_with_received(const struct sip_view *v, struct slice received, uint16_t rport, struct buf *out);
/* The standard phrase of a code, "" when it has none. */
const char *sip_reason_phrase(unsigned code);

#endif
