/* call_reply: a call as it is shown: one record for the list; for trace the attempts, the decision of then, that of
 * now, and what has changed between them. */
#ifndef TANDEM_APP_CALL_REPLY_H
#define TANDEM_APP_CALL_REPLY_H

#include "node/app/node.h"
#include "node/plan/record.h"

/* The call alone. */
void call_reply(struct node *n, struct control_reply *reply, struct arena *arena, const struct call_record *r,
                const char *state);
/* The call with all that is known of its way. Between read begin and end. */
void call_reply_trace(struct node *n, struct control_reply *reply, struct arena *arena, const struct call_record *r,
                      const char *state);

/* trace_difference.c: what the plan of now would do otherwise than was done at the time at, in words, each with the
 * change since then that it comes from. Between read begin and end. */
void trace_difference(struct node *n, struct control_reply *reply, struct wall at, const struct call_decision *then,
                      const struct call_decision *now);

#endif
