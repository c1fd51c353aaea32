/* registrations_entry: what registrations.c and registrations_write.c share: the entries in memory, one for each
 * binding of this node. Nobody else includes this. */
#ifndef TANDEM_APP_REGISTRATIONS_ENTRY_H
#define TANDEM_APP_REGISTRATIONS_ENTRY_H

#include "node/app/flaps.h"
#include "node/app/node.h"
#include "node/edge/pool.h"

/* What the next REGISTER needs of the last: of nearly all, so that it need not be read from the disk. */
struct entry_known {
    struct wall since;
    uint64_t call_hash; /* of the Call-ID */
    uint32_t cseq;
};

struct entry {
    struct map_node by_account;
    struct list_node unshown; /* linked: the public half is to be reported again */
    struct wheel_timer timer; /* expiry, or the next try of a removal; stopped while writing */
    struct mono expires;
    uint64_t public_hash; /* of the public half that the others know */
    struct entry_known known;
    struct edge_way *way; /* NULL: there is nothing to be kept open or watched */
    bool shown : 1;       /* public_hash is valid */
    bool live : 1;        /* offered to callers */
    bool writing : 1;     /* one write at a time; until it ends the entry stays */
    bool recovered : 1;   /* given back by the peers, and not heard of since */
    bool hidden : 1;      /* not shown on purpose: its account came and went too often */
    bool lost : 1;        /* its way was lost while it was being written */
    bool wants_way : 1;   /* when the edge is open */
    bool of_flow : 1;     /* it has a reg-id: known is not enough */
    bool wayless : 1;     /* with the keepalive that follows it wants no way, as long as the others know the same */
    uint8_t keepalive : 2;
    uint8_t lease_log2; /* of its public half's lease_s */
    uint16_t account_len;
    uint16_t key_len;
    char key[]; /* account NUL contact */
};

#define ELSEWHERE_BITS (1u << 20)

struct registrations {
    struct node *n;
    /* A bit for each account that was ever heard to be bound at another node, by its hash: most are not, and need not
     * be looked for on the disk. Never cleared: a bit too many costs a look. */
    uint64_t elsewhere[ELSEWHERE_BITS / 64];
    struct map entries; /* by account */
    struct wheel wheel;
    struct list_node unshown;
    struct list_node writes;
    struct list_node waiting; /* writes that have not begun: an entry of theirs is still being written */
    struct pool writes_free;
    struct list_node shows;
    struct flaps *flaps;
    struct arena spare;  /* for the next write */
    struct buf packed;   /* of one binding */
    size_t taken_back;   /* of one answer of the peers */
    uint64_t generation; /* of the core's state epoch: what was reported in an older one does not count */
    size_t expired;      /* in this tick */
};

static inline struct slice entry_key(const struct entry *e)
{
    return (struct slice){e->key, e->key_len};
}

/* The bindings of an account, one after the other; NULL at the end. */
struct entry *entry_first(const struct registrations *r, struct slice account);
struct entry *entry_next(struct entry *e);
struct entry *entry_find(const struct registrations *r, struct slice key);
/* The power of two that a lease is told as; 0 s is the longest: it is not known. */
uint8_t lease_log2(uint32_t lease_s);
/* The binding as it is stored, with its end as the entry knows it. Between read begin and end. */
MUST_CHECK enum err entry_binding(struct node *n, struct arena *arena, const struct entry *e, struct binding *b);
/* A new entry that is neither live nor shown. NULL: no memory. */
struct entry *entry_add(struct registrations *r, struct slice key);
struct entry_known entry_known(const struct registrations *r, const struct binding *b);
void entry_forget(struct registrations *r, struct entry *e);
/* Whether the others know the public half of this hash; if not, it is reported again within the next ticks. */
void entry_set_shown(struct registrations *r, struct entry *e, bool shown, uint64_t hash);
/* The instant at which a binding ends that says so by the calendar clock. */
struct mono entry_deadline(struct wall expires);

/* ---- registrations_ways.c ---- */

/* What of the binding's way is to be kept open or watched; false: nothing. uri is not set. */
bool way_wanted(struct node *n, struct arena *arena, const struct binding *b, struct edge_way_spec *spec);
/* spec NULL: none. False: the connection by which the binding is reached is gone. */
bool entry_set_way(struct registrations *r, struct entry *e, const struct edge_way_spec *spec);
/* Of a stored binding, before the edge is open; false: its way went with the process that held it. */
bool registrations_load_way(struct registrations *r, struct entry *e, struct arena *arena, const struct binding *b);
/* Ends an entry that nobody writes, at the next tick where memory is out now. */
void entry_end(struct registrations *r, struct entry *e);

/* One half of a binding, packed into arena. */
MUST_CHECK enum err binding_half(struct arena *arena, const struct binding *b, bool public_only, struct slice *out);
/* Removes an entry that nobody writes, for good: when the disk refuses, it is tried again. ERR_NOMEM: nothing begun. */
MUST_CHECK enum err registrations_end_entry(struct registrations *r, struct entry *e);
void registrations_drop_writes(struct registrations *r);

#endif
