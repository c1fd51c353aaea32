/* records: the records of calls on their way to the disk: in groups, so that the loop packs a few hundred at once and
 * never waits, and a call costs no transaction of its own. A crash loses what ended in the last second. */
#ifndef TANDEM_APP_RECORDS_H
#define TANDEM_APP_RECORDS_H

#include "node/base/bytes.h"
#include "node/base/list.h"
#include "node/base/time.h"

struct node;

#define RECORDS_GROUP 256    /* so many that are due are written at once, without waiting for the second */
#define RECORDS_TRIM_S 300   /* old ones go also when no call ends */
#define RECORDS_FLIGHT_MAX 8 /* groups that the store has not finished: more wait */

struct records {
    uint32_t run;       /* of this start: calls are numbered anew in each */
    unsigned in_flight; /* groups */
    struct list_node groups;
    uint64_t seconds;
    struct buf packed; /* a group's records, one behind the other; kept for the next */
};

void records_start(struct node *n);
/* A call was reported: perhaps a group is full. */
void records_look(struct node *n);
/* Once a second: what is due is written. */
void records_tick(struct node *n);
/* At the end: everything that is due is handed to the store, which finishes its queue. */
void records_flush(struct node *n);
/* After the store has ended: who waits for an answer that does not come any more goes. */
void records_fini(struct node *n);

#endif
