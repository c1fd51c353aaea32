/* gather: how long the loop waits before it reads again, so that several datagrams are read in one turn.
 *
 * A turn of the loop costs a switch to this thread and back, and what it needs is cold in the processor's caches each
 * time. Where datagrams come densely a pause of a tenth of a millisecond after each turn, as network cards make it with
 * their interrupts, halves the turns. It is never made for a few: one call on a quiet node is not delayed. Nor is it
 * for many: when a turn has found a batch, the next one will. Pure: time comes in. */
#ifndef TANDEM_EDGE_GATHER_H
#define TANDEM_EDGE_GATHER_H

#include <stdint.h>

#define GATHER_WINDOW_MS 50
#define GATHER_DENSE 100 /* datagrams in a window, from which on it is worth it */
#define GATHER_BATCH 16  /* as many in one turn are a batch */
#define GATHER_US 100    /* and what the kernel's timer adds, about 50 */

struct gather {
    uint64_t window; /* the number of the present window */
    uint32_t count;  /* datagrams in it, */
    uint32_t before; /* and in the one before */
    uint32_t turn;   /* and in this turn */
};

/* So many datagrams were read. */
void gather_note(struct gather *g, uint32_t datagrams, uint64_t now_ms);
/* At the end of a turn: microseconds to wait, 0 for none. */
unsigned gather_pause_us(struct gather *g);

#endif
