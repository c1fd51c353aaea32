/* registrations_entry: what registrations.c and registrations_write.c share: the entries in memory, one for each
 * binding of this node. Nobody else includes this. */
#ifndef TANDEM_APP_REGISTRATIONS_ENTRY_H
#define TANDEM_APP_REGISTRATIONS_ENTRY_H

#include "node/app/node.h"

struct entry {
    struct map_node by_account;
    struct list_node unshown; /* linked: the public half is to be reported again */
    struct wheel_timer timer; /* expiry, or the next try of a removal; stopped while writing */
    struct mono expires;
    uint64_t public_hash; /* of the public half that the others know */
    bool shown;           /* public_hash is valid */
    bool live;            /* offered to callers */
    bool writing;         /* one write at a time; until it ends the entry stays */
    uint16_t account_len;
    uint16_t key_len;
    char key[]; /* account NUL contact */
};

struct registrations {
    struct node *n;
    struct map entries; /* by account */
    struct wheel wheel;
    struct list_node unshown;
    struct list_node writes;
    struct list_node shows;
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
/* A new entry that is neither live nor shown. NULL: no memory. */
struct entry *entry_add(struct registrations *r, struct slice key);
void entry_forget(struct registrations *r, struct entry *e);
/* Whether the others know the public half of this hash; if not, it is reported again within the next ticks. */
void entry_set_shown(struct registrations *r, struct entry *e, bool shown, uint64_t hash);
/* The instant at which a binding ends that says so by the calendar clock. */
struct mono entry_deadline(struct wall expires);

/* One half of a binding, packed into arena. */
MUST_CHECK enum err binding_half(struct arena *arena, const struct binding *b, bool public_only, struct slice *out);
/* Removes an entry that nobody writes, for good: when the disk refuses, it is tried again. ERR_NOMEM: nothing begun. */
MUST_CHECK enum err registrations_end_entry(struct registrations *r, struct entry *e);
void registrations_drop_writes(struct registrations *r);

#endif
