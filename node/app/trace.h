/* trace: a decision as a call's record keeps it: each candidate with its place, or why it had none. */
#ifndef TANDEM_APP_TRACE_H
#define TANDEM_APP_TRACE_H

#include "node/app/node.h"
#include "node/plan/record.h"

/* In arena. A decision without memory has fewer candidates. */
struct call_decision trace_of(struct node *n, struct arena *arena, const struct routing_result *r);
/* Packed, in arena; "" without memory. */
struct slice trace_pack(struct node *n, struct arena *arena, const struct routing_result *r);
/* The same of a call for which another node had decided. */
struct slice trace_pack_named(struct arena *arena, struct slice by, struct slice target, unsigned code);

#endif
