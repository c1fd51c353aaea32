/* record_codec: call records and the decisions in them as protobuf bytes. They lie on this node's own disk and travel
 * nowhere; what is unpacked is bounded all the same. Schema: proto/record.proto. */
#ifndef TANDEM_PROTO_RECORD_CODEC_H
#define TANDEM_PROTO_RECORD_CODEC_H

#include "node/plan/record.h"

/* Into the arena. ERR_NOMEM. */
MUST_CHECK enum err call_decision_pack(struct arena *arena, const struct call_decision *d, struct slice *packed);
/* Texts are copied into arena. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err call_decision_unpack(struct arena *arena, struct slice packed, struct call_decision *d);

MUST_CHECK enum err call_record_pack(const struct call_record *r, struct buf *out);
MUST_CHECK enum err call_record_unpack(struct arena *arena, struct slice packed, struct call_record *r);

#endif
