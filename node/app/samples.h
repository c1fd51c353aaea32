/* samples: what the operations page shows over time: live calls and new ones in every ten seconds of the last hour, and
 * which counters grew in the last ten minutes. Rings of a fixed size; nothing of it is kept across a restart. Loop
 * thread only. */
#ifndef TANDEM_APP_SAMPLES_H
#define TANDEM_APP_SAMPLES_H

#include "node/base/counter.h"
#include "node/base/time.h"
#include "node/control/page.h"

#define SAMPLES_S 10
#define SAMPLES_ROOM (3600 / SAMPLES_S)
#define SAMPLES_MARK_S 60 /* counters are remembered so often */
#define SAMPLES_MARKS 11  /* and so many times: the oldest is ten minutes old, or up to one more */

struct samples;

/* The array of tables is copied, the tables are borrowed. started: the counter of calls. NULL: no memory. */
struct samples *samples_new(const struct counter_table *const *tables, size_t table_count,
                            const _Atomic uint64_t *started, struct mono now);
void samples_free(struct samples *s); /* NULL allowed */
/* Once a second or more often. A loop that stood still for longer fills what it missed with what it finds now. */
void samples_tick(struct samples *s, struct mono now, uint32_t live_calls);

/* The oldest first; the number. out has room for SAMPLES_ROOM. */
size_t samples_calls(const struct samples *s, struct page_sample *out);
/* Counters for which wanted says true that have grown, the most grown first: up to room of them, and how many there
 * are. *within_s: since how long. */
size_t samples_growths(const struct samples *s, bool (*wanted)(const char *module, const char *name), struct mono now,
                       struct page_growth *out, size_t room, unsigned *within_s);

#endif
