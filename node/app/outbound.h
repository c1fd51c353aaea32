/* outbound: which node of a site holds the registration of a trunk, and what that means for a decision anywhere.
 *
 * Each node of the site elects for itself (node/plan/holder.h) from the members that it knows, their cards, and what
 * they say of their claims; who is elected claims it and has the edge hold it (node/edge/client.h). A claim is a state
 * record, so that every node knows where the trunk's calls go: a trunk that registers is down at each node but the one
 * that is registered. After a start a node claims nothing until it has heard from the others what they hold, or until
 * OUTBOUND_SETTLE_MS have passed. */
#ifndef TANDEM_APP_OUTBOUND_H
#define TANDEM_APP_OUTBOUND_H

#include "node/base/list.h"
#include "node/edge/edge.h"
#include "node/repl/types.h"

#define OUTBOUND_SETTLE_MS 5000

struct node;
struct outbound_own; /* of one trunk of this site */

/* What another node says of one. */
struct outbound_said {
    struct node_name owner;
    struct trunk_registration r;
};

struct outbound {
    struct plan_digest digest; /* of the plan whose trunks are in own */
    bool loaded;               /* what an earlier run claimed has been read */
    bool due;                  /* something could not be done or stored: the next second tries again */
    bool stale;                /* what others say has changed since said was filled */
    bool settled;
    struct mono opened;
    struct arena arena; /* of said */
    struct outbound_said *said;
    size_t said_count;
    struct list_node own;
};

void outbound_init(struct outbound *o);
void outbound_fini(struct outbound *o);
/* Once a second: takes over a changed plan, elects, says what changed. */
void outbound_tick(struct node *n);
/* Records of other nodes have changed. */
void outbound_stale(struct node *n);
/* Reports everything that this node claims once more. */
void outbound_observe_again(struct node *n);

/* The edge's news and question (hooks "registration" and "called"). */
void outbound_hook(void *ctx, const struct edge_registration_view *v);
bool outbound_called_hook(void *ctx, struct slice trunk, struct slice number);

/* Whether no call can go through the trunk at node ("" is this one) because that is not registered; since and reason
 * say how the registration stands. Between read begin and end; reason lives in arena. */
bool outbound_down_at(struct node *n, struct arena *arena, const struct plan_trunk *t, struct slice node,
                      struct wall *since, struct slice *reason);

/* How this node's registration of the trunk stands; false: the trunk is not of this site, or does not register. */
bool outbound_own_view(struct node *n, struct slice trunk, struct trunk_registration *out);
/* What others say, filled as of now. Between read begin and end. */
const struct outbound_said *outbound_others(struct node *n, size_t *count);

#endif
