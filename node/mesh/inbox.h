/* inbox: the way from NNG's threads to the loop thread: a queue of intrusive items under a mutex, and one uv_async.
 *
 * It needs no memory of its own, and is bounded by its items: each belongs to a context or a link, and is in the queue
 * at most once. Invariant: whoever pushes an item does not touch its owner again until the loop has handed it back. */
#ifndef TANDEM_MESH_INBOX_H
#define TANDEM_MESH_INBOX_H

#include <stdbool.h>
#include <uv.h>

#include "node/base/err.h"
#include "node/base/list.h"

enum inbox_kind {
    INBOX_ANSWER,  /* struct link_slot: a request of ours has ended */
    INBOX_POLL,    /* struct poll_slot: a request that we had parked at a peer has ended */
    INBOX_PIPE,    /* struct link: its pipe came or went */
    INBOX_REQUEST, /* struct listen_slot: a request of a peer has come */
    INBOX_PEER     /* struct peer_event: a pipe of the listener came or went */
};

struct inbox_item {
    struct list_node node;
    enum inbox_kind kind;
};

struct inbox {
    uv_mutex_t mutex;
    uv_async_t async;
    struct list_node items;
    bool dead; /* the loop's side is gone: pushes do nothing */
};

/* wake runs on the loop thread after pushes, with i->async.data = data. ERR_IO. */
MUST_CHECK enum err inbox_open(struct inbox *i, uv_loop_t *loop, uv_async_cb wake, void *data);
/* The owner closes i->async itself first; no thread pushes any more. */
void inbox_fini(struct inbox *i);
/* Any thread. An item that is in the queue already stays where it is. item->node must have been list_init'ed once. */
void inbox_push(struct inbox *i, struct inbox_item *item);
/* Loop thread: NULL when empty. */
struct inbox_item *inbox_pop(struct inbox *i);

#endif
