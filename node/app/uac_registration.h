/* uac_registration: which node of a site holds the registration of a trunk, on which we are the client (UAC), and what
 * that means for a decision anywhere.
 *
 * Each node of the site elects for itself (node/plan/holder.h) from the members that it knows, their cards, and what
 * they say of their claims; who is elected claims it and has the edge hold it (node/edge/client.h). A claim is a state
 * record, so that every node knows where the trunk's calls go: a trunk that registers is down at each node but the one
 * that is registered. After a start a node claims nothing until it has heard from the others what they hold, or until
 * UAC_SETTLE_MS have passed. */
#ifndef TANDEM_APP_UAC_REGISTRATION_H
#define TANDEM_APP_UAC_REGISTRATION_H

#include "node/base/list.h"
#include "node/edge/edge.h"
#include "node/repl/types.h"

#define UAC_SETTLE_MS 5000

struct node;
struct uac_registration; /* of one trunk of this site */

/* What another node says of one. */
struct uac_claim {
    struct node_name owner;
    struct trunk_registration r;
};

struct uac_registrations {
    struct plan_digest digest; /* of the plan whose trunks are in own */
    bool loaded;               /* what an earlier run claimed has been read */
    bool due;                  /* something could not be done or stored: the next second tries again */
    bool stale;                /* what others say has changed since said was filled */
    bool settled;
    struct mono opened;
    struct arena arena; /* of said */
    struct uac_claim *said;
    size_t said_count;
    struct list_node own;
};

void uac_registration_init(struct uac_registrations *o);
void uac_registration_fini(struct uac_registrations *o);
/* Once a second: takes over a changed plan, elects, says what changed. */
void uac_registration_tick(struct node *n);
/* Records of other nodes have changed. */
void uac_registration_stale(struct node *n);
/* Reports everything that this node claims once more. */
void uac_registration_observe_again(struct node *n);

/* The edge's news and question (hooks "registration" and "called"). */
void uac_registration_hook(void *ctx, const struct edge_registration_view *v);
bool uac_registration_called_hook(void *ctx, struct slice trunk, struct slice number);

/* Whether no call can go through the trunk at node ("" is this one) because that is not registered; since and reason
 * say how the registration stands. Between read begin and end; reason lives in arena. */
bool uac_registration_down_at(struct node *n, struct arena *arena, const struct plan_trunk *t, struct slice node,
                              struct wall *since, struct slice *reason);

/* How this node's registration of the trunk stands; false: the trunk is not of this site, or does not register. */
bool uac_registration_own_view(struct node *n, struct slice trunk, struct trunk_registration *out);
/* What others say, filled as of now. Between read begin and end. */
const struct uac_claim *uac_registration_others(struct node *n, size_t *count);

#endif
