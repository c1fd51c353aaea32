/* body: where a message's session description stands: the whole body, or a part of a multipart one (RFC 5621), as calls
 * have that carry a location or ISUP beside it. */
#ifndef TANDEM_SIP_BODY_H
#define TANDEM_SIP_BODY_H

#include "node/sip/view.h"

/* The first session description, which lies in the message; false: there is none, or none that can be read (it is
 * encoded, or encrypted). */
bool sip_body_sdp(const struct sip_view *v, struct slice *sdp);

#endif
