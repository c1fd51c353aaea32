/* trunks: what the nodes of a site find out about its trunks, and what that means for a decision anywhere.
 *
 * Each node probes the trunks of its own site (node/edge/prober.h) and gossips one state record for each address, when
 * it goes up or down. A trunk is down at a node when every one of its addresses is; a target is left out of decisions
 * when it is down at every node that could serve it. What nobody probes counts as up; what registers must be registered
 * as well (uac_registration.h). */
#ifndef TANDEM_APP_TRUNKS_H
#define TANDEM_APP_TRUNKS_H

#include "node/edge/edge.h"
#include "node/repl/types.h"

struct node;

/* Trunk NUL address: the state key of a trunk's health. */
#define TRUNK_KEY_MAX (LIMIT_NAME + 1 + LIMIT_HOST + 16)

/* An address that another node says is down. */
struct trunk_down {
    struct node_name owner;
    struct slice trunk;
    struct slice address;
    struct wall since;
    struct slice reason;
};

struct trunks {
    struct plan_digest digest; /* of the plan whose trunks are looked after */
    bool loaded;               /* what an earlier run knew has been read */
    bool due;                  /* something could not be stored: the next second tries again */
    bool unseen;        /* something was on its way to the disk when the records were looked through: once more */
    unsigned saying;    /* records on their way to the disk */
    bool stale;         /* what others say has changed since down was filled */
    struct arena arena; /* of down */
    struct trunk_down *down;
    size_t down_count;
};

void trunks_init(struct trunks *t);
void trunks_fini(struct trunks *t);
/* Once a second: takes over a changed plan, tries again what could not be stored. */
void trunks_tick(struct node *n);
/* Reports everything that is known once more. */
void trunks_observe_again(struct node *n);
/* Records of other nodes have changed. */
void trunks_stale(struct node *n);
/* The edge's news (hook "trunk"). */
void trunks_hook(void *ctx, const struct edge_trunk *t);

/* Whether the trunk is down as node sees it ("" is this one); since and reason are then of the address that went down
 * last. Between read begin and end; reason lives in arena. */
bool trunks_down_at(struct node *n, struct arena *arena, const struct plan_trunk *t, struct slice node,
                    struct wall *since, struct slice *reason);
/* Whether this node is to leave the trunk alone: each of its addresses has asked for that, or is down. until is then
 * when the first is back, and reason what it said, in arena. What others were asked is not known here: they answer 503.
 */
bool trunks_rest(struct node *n, struct arena *arena, const struct plan_trunk *t, struct wall *until,
                 struct slice *reason);
/* Seconds from now until then, at least 1: what a Retry-After says. */
unsigned trunks_rest_left_s(struct wall until);

#endif
