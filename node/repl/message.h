/* message: what nodes say to each other, decoded. proto/mesh_codec packs and unpacks; node/mesh carries.
 *
 * Each message is one-way for the core; the transport acknowledges it with a reply and reports the round trip. The
 * sender's name has been proved by the link (a nonce signed in its hello) before a message reaches the core. */
#ifndef TANDEM_REPL_MESSAGE_H
#define TANDEM_REPL_MESSAGE_H

#include "node/repl/types.h"

enum repl_message_type {
    REPL_HEARTBEAT = 1,
    REPL_PUSH,     /* change-sets and state records, unasked (flood) or as the answer to a REPL_WANT */
    REPL_WANT,     /* vectors of the asker: send me what I am missing, in bounded batches */
    REPL_RECEIPT,  /* "these are durable here": to the origin of change-sets, after they were stored */
    REPL_FETCH,    /* please send a piece of your replica, which shall take the place of mine */
    REPL_SNAPSHOT, /* that piece */
    REPL_TYPE_COUNT
};

enum member_status { MEMBER_ALIVE = 1, MEMBER_SUSPECT, MEMBER_DEAD, MEMBER_LEFT, MEMBER_EVICTED };
const char *member_status_name(enum member_status s);

/* What the sender says of one member (itself included); heartbeats carry those that changed lately. */
struct member_note {
    struct node_name name;
    uint64_t incarnation;
    enum member_status status;
    struct slice mesh_address; /* "10.1.0.1:7400" where it can be dialled, "" when it cannot */
    struct slice site;
    /* One that left or was evicted comes back under its name with a certificate that was issued later: when the newest
     * one that is known of it was issued (seconds since 1970; 0: it does not say), and up to when one may have been to
     * be refused (0: none is). Both only grow, so that the order in which they are heard does not matter. */
    uint64_t issued;
    uint64_t barred;
    /* Kept by each node for itself, they do not travel: of status, and, of the node itself, when it first started. */
    struct wall since;
    struct wall joined;
};
/* Left or evicted, and no newer certificate is known. */
static inline bool member_is_barred(uint64_t issued, uint64_t barred)
{
    return barred != 0 && issued <= barred;
}

/* An observer's word that it does not hear a member. It holds until a higher incarnation of the accused refutes it. */
struct repl_accusation {
    struct node_name name; /* the accused */
    uint64_t incarnation;  /* of the accused */
    struct node_name by;
};

struct repl_heartbeat {
    uint64_t incarnation;
    struct hlc time;
    unsigned char plan_digest[32]; /* over content (lanes of struct plan_digest) */
    unsigned char plan_root[32];   /* over the plan vector */
    unsigned char state_root[32];  /* over the state vector */
    const struct member_note *notes;
    size_t note_count;
    /* What the sender holds durably of the receiver: the newest epoch that it knows of the receiver's log and state,
     * and how far. origin is the receiver (it need not travel); epoch 0: nothing. Tells the receiver of receipts that
     * it missed, and that its own disk is older than what others know. your_plan with an epoch and high 0: what the
     * receiver wrote before the link came up, of its log or state, is still on its way to the sender's disk; it will be
     * told. */
    struct vector_entry your_plan;
    struct vector_entry your_state;
    /* How many change-sets the sender holds, over all logs: for people. (Versions of state are no counts.) */
    struct repl_totals {
        bool known;
        uint64_t plan;
    } totals;
    uint64_t member_root; /* over the table of members; 0: not said */
    bool answer;          /* please send a sign of life at once */
    const struct repl_accusation *accusations;
    size_t accusation_count;
    struct hlc floor; /* the sender has forgotten deletions up to it */
    /* Who is in step, so that deletions may be forgotten: a bit for each name in the sorted list of all members, the
     * least significant first. step_key is over the sender's plan vector and that list; 0: not said. steps may be left
     * out when the receiver has acknowledged them. */
    uint64_t step_key;
    struct slice steps;
};

struct repl_push {
    const struct changeset *changes;
    size_t change_count;
    const struct state_record *records;
    size_t record_count;
    bool more; /* the answer to a WANT continues after the receiver asks again */
    /* State vector of the sender for the owners in records, so that the receiver may raise its own after a complete
     * batch. */
    const struct vector_entry *state_upto;
    size_t state_upto_count;
    bool answer; /* this is the answer to a WANT: records are those above the asker's vector, in version order per owner
                  */
    /* Not an answer: the records are all of the sender's own, and are every one with a version in
     * (state_after, state_upto[0].high]. Unused in an answer. */
    uint64_t state_after;
    /* An answer: the sender's floor; and the vector that belongs to it, when it is above the asker's. */
    struct hlc floor;
    const struct vector_entry *cut;
    size_t cut_count;
    bool trimmed; /* an answer: the asker misses what the sender's log has no more, or it is quicker by a snapshot */
};

struct repl_want {
    const struct vector_entry *plan;
    size_t plan_count;
    const struct vector_entry *state;
    size_t state_count;
    struct hlc floor; /* of the asker */
};

/* The pieces of a snapshot are asked for one by one; the donor keeps no session, and reads each from its replica of the
 * moment. First the objects in key order, then, as the tail, the change-sets above the vector of the first piece. */
struct repl_fetch {
    uint64_t id; /* echoed */
    bool tail;
    struct slice after;              /* objects: the last key that has come, "" at first */
    const struct vector_entry *have; /* tail: the vector so far */
    size_t have_count;
};
struct repl_snapshot {
    uint64_t id;
    uint32_t retry_ms; /* not 0: too many are being served, ask again after this time; all else is empty */
    bool tail;
    bool more;
    struct hlc floor; /* another one than before: begin again */
    const struct snapshot_object *objects;
    size_t object_count;
    const struct changeset *changes; /* tail; none, with more: they are not to be had, begin again */
    size_t change_count;
    const struct vector_entry *vector; /* the first piece: the sender's vector */
    size_t vector_count;
    const struct vector_entry *cut; /* the last piece of the tail */
    size_t cut_count;
};

/* Each id says "durable here up to and including seq". Origins that the sender cannot be linked with hear of it by the
 * peer that gets this: that one passes it on, and names the sender in by. */
struct repl_receipt {
    const struct log_id *ids;
    size_t id_count;
    struct node_name by; /* empty: the sender itself */
};

struct repl_message {
    enum repl_message_type type;
    struct node_name from;
    union {
        struct repl_heartbeat heartbeat;
        struct repl_push push;
        struct repl_want want;
        struct repl_receipt receipt;
        struct repl_fetch fetch;
        struct repl_snapshot snapshot;
    };
};

#endif
