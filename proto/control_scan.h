/* control_scan: bounds a control message before protobuf-c sees it.
 *
 * protobuf-c unpacks nested messages by recursion and allocates for every element, so that a hostile frame could use up
 * the stack (one level costs two bytes) or hundreds of bytes for each byte sent. The scan is one linear pass without
 * allocation. It is no validator: what it lets through may still fail to unpack. */
#ifndef TANDEM_PROTO_CONTROL_SCAN_H
#define TANDEM_PROTO_CONTROL_SCAN_H

#include "node/base/bytes.h"

#define CONTROL_DEPTH_MAX 6   /* records within lists within records */
#define CONTROL_FIELD_MAX 256 /* fields of one record */

/* The bytes of one Frame message. ERR_SYNTAX (broken wire format), ERR_LIMIT (too deep, too many fields or elements).
 */
MUST_CHECK enum err control_scan(struct slice message);

#endif
