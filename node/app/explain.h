/* explain: what the two parts of route explain share: the decision (commands_explain.c), and what the node that carries
 * the call does with it (commands_hop.c), which is asked of that node itself. */
#ifndef TANDEM_APP_EXPLAIN_H
#define TANDEM_APP_EXPLAIN_H

#include "node/app/node.h"

/* One record for each candidate: those with a place in their order, then the others, the longest match first. Between
 * read begin and end. ERR_NOMEM. */
MUST_CHECK enum err explain_candidates(struct node *n, struct control_reply *reply, struct arena *arena,
                                       const char *kind, const struct routing_result *r);

/* Answers the request whose argument "named" is the target that another node, "via", would send here. */
void hop_answer(struct node *n, const struct control_request *request, struct control_reply *reply);
/* The same of a target that this node decided on and serves itself. Between read begin and end. */
void hop_own(struct node *n, struct control_reply *reply, struct arena *arena, const struct decided_target *d);

#endif
