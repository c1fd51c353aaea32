/* bans: sources that are not listened to, here because our own guard banned them or because another node did.
 *
 * A ban is a record of state: its owner is the node that made it, which alone takes it back, when its time has come or
 * when an operator wants so. It carries its end, so that it also ends where its owner is not heard of any more. */
#ifndef TANDEM_APP_BANS_H
#define TANDEM_APP_BANS_H

#include "node/base/list.h"
#include "node/edge/edge.h"

#define BANS_OWN_MAX 1024

struct node;

struct bans {
    struct list_node own; /* those of this node, the oldest first */
    size_t own_count;
    size_t others_count; /* of other nodes, when last looked at */
    bool loaded;
    bool due; /* a ban has been stored, or taken back */
};

void bans_init(struct bans *b);
void bans_fini(struct bans *b);
/* Ends what is over, and tells the edge which bans hold. Once a second, and when a ban is stored. */
void bans_look(struct node *n);
void bans_observe_again(struct node *n);
void bans_hook(void *ctx, const struct edge_ban *ban);
bool bans_registered_from_hook(void *ctx, struct slice account, const union sock_address *from);

#endif
