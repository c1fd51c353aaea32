/* body: where a message's session description stands: the whole body, or a part of a multipart one (RFC 5621), as calls
 * have that carry a location or ISUP beside it; and how another one comes into its place. */
#ifndef TANDEM_SIP_BODY_H
#define TANDEM_SIP_BODY_H

#include "node/sip/edit.h"

/* The first session description, which lies in the message; false: there is none, or none that can be read (it is
 * encoded, or encrypted). */
bool sip_body_sdp(const struct sip_view *v, struct slice *sdp);
/* Notes the edits that put text in place of the description of edits->view, and the new length into a Content-Length
 * that the message has; digits holds that until they are applied. Returns the length of the body then; without a
 * description nothing changes. */
size_t sip_body_exchange(struct sip_edits *edits, struct slice text, char digits[DECIMAL_TEXT]);

#endif
