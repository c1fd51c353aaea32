/* listing: what takes long to read is read on a worker thread, with a reader of its own; what is much to say goes out
 * in pages, and the next one when the client has read the last. */
#ifndef TANDEM_APP_LISTING_H
#define TANDEM_APP_LISTING_H

#include "node/app/node.h"

#define LISTING_PAGE 500 /* records */

/* A command's own struct begins with it, in memory of malloc. */
struct listing {
    uv_work_t work;
    struct node *n;
    struct control_reply *reply;
    struct store_read *read; /* begun while gather runs */
    struct arena arena;      /* of what gather found */
    enum err err;
    struct err_info info;
    /* On the worker: sets count. With ERR_NOTFOUND none is said, with another error info's text. */
    enum err (*gather)(struct listing *l);
    const char *none;
    /* On the loop: says the i-th of count. */
    void (*send)(struct listing *l, size_t i);
    void (*end)(struct listing *l); /* NULL, or frees what the command's own struct holds */
    size_t count;
    size_t sent;
};

/* Takes l; ends the reply. */
void listing_start_take(struct listing *l);

#endif
