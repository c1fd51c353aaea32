/* types: what the replication core and its neighbours speak of: nodes, stamps, change-sets, state records.
 *
 * Plan objects and state values are opaque bytes here. Names are fixed-size so that they can be keys. */
#ifndef TANDEM_REPL_TYPES_H
#define TANDEM_REPL_TYPES_H

#include "node/base/bytes.h"
#include "node/base/limits.h"
#include "node/base/time.h"

/* A node's name, padded with NUL; at most LIMIT_NAME characters. Compared with memcmp. */
struct node_name {
    char s[LIMIT_NAME + 1];
};
static inline bool node_name_eq(const struct node_name *a, const struct node_name *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
/* ERR_SYNTAX unless plan_name_valid's rule holds: [A-Za-z0-9._-], 1 .. LIMIT_NAME characters. */
MUST_CHECK enum err node_name_set(struct node_name *n, struct slice text);
/* What a decoder or a caller filled in by other means: the same rule, and NUL up to the end. */
bool node_name_valid(const struct node_name *n);
static inline struct slice node_name_slice(const struct node_name *n)
{
    return slice_of(n->s);
}

/* Hybrid time: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16. Grows with every local event
 * and with what is received, except that an entry more than REPL_FUTURE_MS ahead never drags it along. */
struct hlc {
    uint64_t v;
};
#define REPL_FUTURE_MS 5000

/* Who wins an object: the newest (time, origin, epoch). The epoch only tells two lives of one origin apart, which may
 * come to the same time when its disk is old. */
struct stamp {
    struct hlc time;
    struct node_name origin;
    uint64_t epoch;
};
int stamp_cmp(const struct stamp *a, const struct stamp *b);

/* A log position: contiguous from 1 within one (origin, epoch). The epoch is the wall-clock millisecond at which the
 * origin created its database, so a restored or lost database starts a new one. */
struct log_id {
    struct node_name origin;
    uint64_t epoch;
    uint64_t seq;
};

/* ACCEPT leaves the object as it is, and says that what seen names is settled. */
enum change_op_kind { CHANGE_PUT = 1, CHANGE_DELETE = 2, CHANGE_ACCEPT = 3 };
#define CHANGE_SEEN_MAX 16
struct change_op {
    enum change_op_kind kind;
    struct slice key;    /* object key, <= PLAN_KEY_MAX */
    struct slice value;  /* packed object for a put, empty for a delete */
    struct slice before; /* of a change that has to be confirmed: what it replaces, empty: nothing was there */
    /* What its author knew of the object: the stamp of the value that stood, and of values that concurrent edits had
     * overridden and nobody had settled. Says something where terms.says_seen. */
    const struct stamp *seen;
    size_t seen_count;
};

/* A change may have to be confirmed: without that it is undone. Both are change-sets of their own, which any node may
 * write; settles names the change that they are about. */
enum change_verdict { CHANGE_CONFIRMS = 1, CHANGE_UNDOES = 2 };
struct change_terms {
    struct wall confirm_by;     /* by the clock of its origin; {0}: it stands */
    uint64_t confirm_within_ms; /* how long that was when it was made; 0: it stands */
    struct log_id settles;      /* seq 0: none */
    enum change_verdict verdict;
    bool says_seen;   /* its operations say what their author knew */
    struct wall made; /* when, for people, where its time says something else; {0}: its time is when */
};
/* What settles a change has a time just behind it, so that it wins over the change and over nothing later: the clock of
 * everybody who has seen the change goes on behind this room. An undo is in its first half, a confirmation in the
 * second. */
#define CHANGE_SETTLE_ROOM 4096

struct changeset {
    struct log_id id;
    struct hlc time;
    struct slice author; /* Unix user behind the control socket, "user@node" */
    struct slice message;
    const struct change_op *ops;
    size_t op_count; /* 0 only where it settles another change */
    struct change_terms terms;
    struct slice packed; /* the original bytes, kept and forwarded as they came */
};

/* One object of a snapshot: what stands under key, and what put or deleted it. */
struct snapshot_object {
    struct slice key;
    struct slice value; /* packed; empty when deleted */
    struct stamp stamp;
    bool deleted; /* a tombstone */
};

static inline struct stamp changeset_stamp(const struct changeset *c)
{
    return (struct stamp){c->time, c->id.origin, c->id.epoch};
}

/* A later version may know more of them: what is of a kind that we do not know is kept and passed on like any other. */
enum state_kind {
    STATE_BINDING = 1,
    STATE_TRUNK_HEALTH = 2,
    STATE_BAN = 3,
    STATE_NODE_CARD = 4,
    STATE_HORIZON = 5,   /* everything of its owner up to a version is over: removals need not be kept for ever */
    STATE_KIND_MAX = 255 /* one byte of a key in the store */
};

/* Single writer: only owner makes versions. versions of one (owner, epoch) are distinct and grow; a removal is a record
 * with removed set. */
struct state_record {
    struct node_name owner;
    uint64_t epoch;
    uint64_t version;
    enum state_kind kind;
    struct slice key;   /* unique within (owner, kind), <= 600 bytes */
    struct slice value; /* packed, see proto/tandem.proto; empty when removed */
    bool removed;
};

/* How far one log or one owner's state is known. */
struct vector_entry {
    struct node_name origin;
    uint64_t epoch;
    uint64_t high; /* seq for the plan log (contiguous), version for state */
};

#endif
