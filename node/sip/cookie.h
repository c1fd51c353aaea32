/* cookie: what makes our Route headers unforgeable: keyed hashes (HMAC-SHA-256 cut to 96 bits, hexadecimal) from the
 * cluster key, so that any node after any restart knows its own.
 *
 * dialog cookie: over Call-ID, the caller's tag and the sides that are shown nothing (node/edge/topology.h), which
 * stand in the clear beside it; it stands in Record-Route ("ck"), and an in-dialog request must carry it: its From tag
 * or its To tag is the caller's. transit cookie: over Call-ID, From tag, target and dialled number; it stands in the
 * Route of a call that crosses the mesh ("tk" beside "tt" = target), and proves that a member picked the target. */
#ifndef TANDEM_SIP_COOKIE_H
#define TANDEM_SIP_COOKIE_H

#include "node/base/hash.h"

#define SIP_COOKIE_TEXT 25 /* 24 digits and NUL */

/* What cookies are cut from: HMAC-SHA-256 over the fields, each with its length. The first says what it is for. */
#define SIP_KEYED_FIELDS 6
MUST_CHECK enum err sip_keyed_hash(struct mac *key, const struct slice *fields, size_t count,
                                   unsigned char out[HASH_SHA256_LEN]);

/* hidden_sides: 0 to 3. */
MUST_CHECK enum err sip_dialog_cookie(struct mac *key, struct slice call_id, struct slice caller_tag,
                                      unsigned hidden_sides, char out[SIP_COOKIE_TEXT]);
/* Whether cookie fits the request's Call-ID, the sides and either tag. */
bool sip_dialog_cookie_ok(struct mac *key, struct slice cookie, struct slice call_id, struct slice from_tag,
                          struct slice to_tag, unsigned hidden_sides);
MUST_CHECK enum err sip_transit_cookie(struct mac *key, struct slice call_id, struct slice from_tag,
                                       struct slice target, struct slice number, char out[SIP_COOKIE_TEXT]);
bool sip_transit_cookie_ok(struct mac *key, struct slice cookie, struct slice call_id, struct slice from_tag,
                           struct slice target, struct slice number);
/* Over a flow of one side of a dialog, in whatever form. */
MUST_CHECK enum err sip_flow_cookie(struct mac *key, struct slice call_id, struct slice caller_tag, struct slice side,
                                    struct slice flow, char out[SIP_COOKIE_TEXT]);

#endif
