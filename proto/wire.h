/* wire: the elements of a protobuf message, one by one, for what must look at one before protobuf-c unpacks it, or
 * instead. */
#ifndef TANDEM_PROTO_WIRE_H
#define TANDEM_PROTO_WIRE_H

#include "node/base/bytes.h"

/* One element of a message, off the front of s: its number, and its bytes when it is length-delimited. protobuf-c reads
 * tags and lengths of five bytes at most; a tag that it would cut to 32 bits is refused, so that both see the same
 * fields. ERR_SYNTAX. */
MUST_CHECK enum err wire_element(struct slice *s, uint64_t *number, bool *delimited, struct slice *body);

#endif
