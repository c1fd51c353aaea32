/* calls: the calls of this node while they are live, and those that ended until their record is on disk (records.c).
 *
 * Each call holds its source and its target in usage.c. A record is due when its call is answered and when it ends;
 * when the disk takes none, the CALLS_HELD_MAX that ended last are held in memory and the older ones are lost. */
#ifndef TANDEM_APP_CALLS_H
#define TANDEM_APP_CALLS_H

#include "node/app/usage.h"
#include "node/edge/edge.h"

#define CALLS_HELD_MAX 20000

struct calls;

/* Texts cut to what fits. */
struct kept_attempt {
    struct call_place place;
    unsigned code;
    struct wall at;
    char target[LIMIT_NAME + 16];
    char node[LIMIT_NAME + 1];
    char words[96];
};

struct call_entry {
    uint64_t id; /* of an earlier run: that above 32 bits of its own, see calls_restore */
    enum call_state state;
    struct wall started;
    struct wall answered;
    struct wall ended;
    unsigned code;
    unsigned rule;
    uint32_t session_s;
    struct call_place from_place;
    struct call_place to_place;
    struct slice decision;         /* packed; in trace, or of the heap when it is longer */
    struct kept_attempt *attempts; /* those that failed, of the heap: most calls have none */
    size_t attempt_count;
    char call_id[129];   /* cut to what fits */
    char caller_tag[64]; /* "" when it or the Call-ID is cut */
    char session_id[33];
    char from[64];
    char dialled[64];
    char source[LIMIT_NAME + 16];
    char target[LIMIT_NAME + 16];
    char node[LIMIT_NAME + 1];
    char reason[128];
    char trace[256];
};

/* usage counts each call with its source and its target here; it outlives c. NULL: no memory. */
struct calls *calls_new(uint64_t seed, struct usage *usage);
void calls_free(struct calls *c);
void calls_report(struct calls *c, const struct call_report *report, struct mono now);
/* A call that was answered in an earlier run of this node goes on; it is older than all others. false: no memory. */
#define CALLS_EARLIER(run, id) ((uint64_t)(run) << 32 | (id))
bool calls_restore(struct calls *c, uint64_t id, const struct call_record *r, struct mono now);
/* The order in which calls began, those of earlier runs first. */
static inline uint64_t calls_order(uint64_t id)
{
    return id <= UINT32_MAX ? id | UINT64_C(1) << 63 : id;
}
size_t calls_live(const struct calls *c);
/* Newest first: calls each until it returns false. Live ones whose calls_order is below the given one; those that ended
 * and are not on disk. */
void calls_each_live(const struct calls *c, uint64_t below, bool (*each)(void *ctx, const struct call_entry *entry),
                     void *ctx);
void calls_each_ended(const struct calls *c, bool (*each)(void *ctx, const struct call_entry *entry), void *ctx);
/* NULL: not in memory. */
const struct call_entry *calls_find(const struct calls *c, uint64_t id);
uint64_t calls_lost(const struct calls *c); /* records that were never written */

/* Calls whose record is due. */
size_t calls_due(const struct calls *c);
/* Takes the next one that is due: it is being written until calls_written. NULL: none. */
const struct call_entry *calls_take_due(struct calls *c);
/* One that was taken is on disk, or is not: then it is due again. */
void calls_written(struct calls *c, uint64_t id, bool ok);

/* As the record has it: what is not the entry's own lies in room. */
#define CALL_PLACE_TEXT (SOCK_ADDRESS_TEXT + 8)
struct call_room {
    char from[CALL_PLACE_TEXT];
    char to[CALL_PLACE_TEXT];
    char places[CALL_ATTEMPTS_MAX][CALL_PLACE_TEXT];
    struct call_attempt attempts[CALL_ATTEMPTS_MAX];
};
struct call_record call_entry_record(const struct call_entry *e, struct call_room *room);
/* The other way round; family 0: it is none. */
struct call_place call_place_of(struct slice text);

#endif
