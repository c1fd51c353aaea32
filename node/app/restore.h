/* restore: calls that were up when the node last ended count again: towards limits, in "calls", and their end is seen.
 *
 * Their records lie in the store without an end. They are read after the start, in pages between which calls go on, the
 * newest first; a call that ends before its record is reached is taken for one that goes on, until nobody refreshes it
 * or it has been silent for too long (edge, calls.h). */
#ifndef TANDEM_APP_RESTORE_H
#define TANDEM_APP_RESTORE_H

#include <uv.h>

#include "store/store.h"

struct node;

struct restore {
    uv_timer_t timer;
    char last[STORE_CALL_KEY]; /* the key that was read last */
    bool begun;
    size_t count;
};

/* ERR_IO. */
MUST_CHECK enum err restore_init(struct node *n);
void restore_start(struct node *n);
void restore_close(struct node *n);

#endif
