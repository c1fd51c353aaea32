/* operations: the operations page of this node (node/control/page.h): gathers what it shows, and serves it.
 *
 * What it shows are the records that the control commands give clusterctl: each is asked for through control_dispatch,
 * so that there is one place where each fact is made. Only commands that answer at once are asked, and for no more than
 * a screen holds; the trunks, of which a plan may have many, are asked for in pieces, each of which keeps the loop for
 * some milliseconds only, as long as somebody looks. One document serves everybody for a second. Loop thread only. */
#ifndef TANDEM_APP_OPERATIONS_H
#define TANDEM_APP_OPERATIONS_H

#include <uv.h>

#include "node/base/bytes.h"
#include "node/control/http.h"

struct node;
struct operations;

/* Before http_open, with n's control server and edge open. ERR_NOMEM. */
MUST_CHECK enum err operations_start(struct node *n);
/* After http_open, when all counters are there, and before the loop turns. ERR_NOMEM. */
MUST_CHECK enum err operations_watch(struct node *n);
void operations_stop(struct node *n); /* nothing more is asked; memory goes when the loop has turned */
void operations_tick(struct node *n); /* once a second */
/* The page at /. ctx is the node. */
struct http_page operations_page(const struct node *n);

#endif
