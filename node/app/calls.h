/* calls: the calls of this node: live ones and the last ones that ended, for clusterctl calls and the status.
 *
 * Kept in memory; the oldest ended call is forgotten when CALLS_KEPT have ended since. */
#ifndef TANDEM_APP_CALLS_H
#define TANDEM_APP_CALLS_H

#include "node/edge/edge.h"

#define CALLS_KEPT 1000

struct calls;

struct call_entry {
    uint64_t id;
    enum call_state state;
    struct wall started;
    struct wall answered;
    struct wall ended;
    unsigned code;
    unsigned rule;
    char call_id[128]; /* cut to what fits */
    char from[64];
    char dialled[64];
    char source[LIMIT_NAME + 16];
    char target[LIMIT_NAME + 16];
    char node[LIMIT_NAME + 1];
    char reason[128];
};

struct calls *calls_new(uint64_t seed); /* NULL: no memory */
void calls_free(struct calls *c);
void calls_report(struct calls *c, const struct call_report *report);
size_t calls_live(const struct calls *c);
/* Newest first, live ones before ended ones: calls each until it returns false. */
void calls_each(const struct calls *c, bool (*each)(void *ctx, const struct call_entry *entry), void *ctx);
const char *call_state_name(enum call_state s);

#endif
