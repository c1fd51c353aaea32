/* step: the replication core: everything that decides how plan and state spread and who is a member, without any I/O.
 *
 *   event -> repl_step -> actions
 *
 * The driver (node/app) feeds events and carries out the actions IN ORDER; it reports completion as further events.
 * Time is in every event; randomness comes from the seed in the configuration. Actions and everything they point at
 * live in the arena of struct repl_actions until the driver resets it.
 *
 * The order that actions owe each other: a change-set is pushed to peers only after REPL_EV_STORED says that it is
 * durable here; the same for state records. What is not here: bytes on wires, the store, SIP. */
#ifndef TANDEM_REPL_STEP_H
#define TANDEM_REPL_STEP_H

#include "node/base/counter.h"
#include "node/repl/message.h"

#define REPL_KEY_MAX 600         /* bytes of a state record's key */
#define REPL_CHANGE_KEY_MAX 320  /* bytes of a change op's key */
#define REPL_LOCAL_QUEUE 64      /* local changes that wait for the one being stored */
#define REPL_OWNER_BYTES 4194304 /* of one owner's records in one answer */
#define REPL_OWNER_RECORDS 32768
#define REPL_STATE_QUEUE 65536 /* local state records between LOCAL_STATE and STORED */

struct repl; /* the core's whole state */

struct repl_config {
    struct node_name self;
    struct slice site;
    struct slice mesh_address; /* advertised; "" when this node cannot be dialled */
    uint64_t epoch;            /* of this database */
    uint64_t incarnation;      /* higher than at any earlier start: wall-clock ms at start */
    uint64_t seed;
    uint64_t issued;    /* this node's certificate, seconds since 1970; see struct member_note */
    struct wall joined; /* when it first started */
    /* what the replica holds at start */
    const struct vector_entry *plan_vector;
    size_t plan_count;
    const struct vector_entry *state_vector;
    size_t state_count;
    /* The highest version of our own records in our epoch of the state, those that were never shown included; 0: none.
     * Clocks go back, and what was meant to raise the incarnation may not have reached the disk. */
    uint64_t state_version;
    const struct member_note *members; /* known from the last run: never forgotten, probed for ever */
    size_t member_count;
    /* This node is to join a cluster that there is, and has met none of its members in any run. Until it does, what it
     * writes could be older than what they have forgotten, so it writes nothing. */
    bool joins;
    struct hlc time;     /* highest in the replica */
    struct hlc floor;    /* of the replica: deletions up to it are forgotten */
    uint64_t tombstones; /* deletions that are not */
    uint64_t pending;    /* changes that have to be confirmed, and are open */
    /* of the replica's content; travels in heartbeats until the first STORED brings a newer one */
    unsigned char plan_digest[32];
};

enum repl_event_type {
    REPL_EV_TICK,    /* the deadline that the last step returned is reached, or any time */
    REPL_EV_MESSAGE, /* from a peer whose name is proved */
    REPL_EV_LINK_UP, /* a link to peer is ready to send on */
    REPL_EV_LINK_DOWN,
    REPL_EV_SENT,         /* the peer acknowledged an action's message: token, rtt_us */
    REPL_EV_SEND_FAILED,  /* or did not */
    REPL_EV_LOCAL_CHANGE, /* the operator's change: author, message, ops. The first one after a start is stored when
                             every member was heard, or after 5 s */
    REPL_EV_LOCAL_STATE,  /* this node observed something: kind, key, value / removed; token */
    REPL_EV_STORED,       /* what a PERSIST action asked is durable: token */
    REPL_EV_STORE_FAILED, /* or could not be stored: err; nothing of it was applied */
    REPL_EV_EVICT,        /* the operator evicts peer */
    REPL_EV_LEAVE,        /* this node leaves for good */
    REPL_EV_CERTIFICATE   /* peer's name was proved by a certificate that was issued at issued, which is not refused */
};

struct repl_event {
    enum repl_event_type type;
    struct mono now;
    struct wall wall;
    struct node_name peer;              /* MESSAGE, LINK_*, SENT, SEND_FAILED, EVICT, CERTIFICATE */
    const struct repl_message *message; /* MESSAGE */
    uint64_t token;                     /* SENT, SEND_FAILED, STORED, STORE_FAILED, LOCAL_*: the driver's own number */
    uint32_t rtt_us;                    /* SENT */
    enum err err;                       /* STORE_FAILED */
    struct slice author;                /* LOCAL_CHANGE */
    struct slice text;                  /* LOCAL_CHANGE: the message */
    const struct change_op *ops;        /* LOCAL_CHANGE */
    size_t op_count;
    enum state_kind kind; /* LOCAL_STATE */
    struct slice key;
    struct slice value;
    bool removed;
    struct plan_digest_bytes {
        unsigned char b[32];
    } plan_digest; /* STORED after a change or a REPLACE: the content digest now */
    /* STORED of all but state: the replica's floor, and its numbers of tombstones and of open changes, now. */
    struct hlc floor;
    uint64_t tombstones;
    uint64_t pending;
    /* STORED of a REPLACE: what the replica is now. */
    const struct vector_entry *vector;
    size_t vector_count;
    struct hlc time;           /* highest in the replica */
    struct change_terms terms; /* LOCAL_CHANGE */
    /* LOCAL_CHANGE: the newest stamp of the objects that it replaces or deletes, {0} when they are new. The change gets
     * a later time, so that an edit wins over what its author saw, also where a wrong clock has stamped that. */
    struct hlc after;
    uint64_t issued; /* CERTIFICATE */
    /* LOCAL_CHANGE: not {0}: its very time, also one in the past. It replaces what is older and nothing that is newer;
     * no other change of this node may have it. */
    struct hlc exactly;
};

enum repl_action_type {
    REPL_DO_SEND, /* send message to peer; report SENT or SEND_FAILED with token */
    /* Answer peer's WANT from the store with one REPL_PUSH, "answer" set, about LIMIT_MESH_CHUNK bytes, "more" set when
     * there is more; always, even when it is empty. Per log of ours: change-sets from the asker's high + 1 on, in order
     * of seq. Per owner of ours: when the asker's entry has our epoch, records above its high in version order; when it
     * has none or an older epoch, records from 0 on; when a newer one, nothing. state_upto: the entries of our own
     * state vector (the action's upto, or the store's in the same snapshot as the records) for those owners. An owner's
     * records are cut off only when they alone are more than REPL_OWNER_BYTES or REPL_OWNER_RECORDS: a part is not what
     * others have who are as far, when a record of it has been overwritten by one that comes after the cut. plan_only:
     * of state nothing, neither records nor entries. */
    REPL_DO_SEND_MISSING,
    REPL_DO_PERSIST_CHANGE, /* store changes (in order, each atomic), then STORED(token) */
    REPL_DO_PERSIST_STATE,  /* store records, and raise the stored state vector by upto (a newer epoch replaces the
                               owner's older one) and by nothing else, then STORED(token). Either may be empty */
    REPL_DO_DIAL, /* keep a link to peer at address (again after each loss, with back-off: the mesh's matter). An empty
                     address: it cannot be dialled and will dial us; nobody is to be dialled on its account */
    REPL_DO_HANGUP,   /* close the link: evicted or left */
    REPL_DO_MEMBER,   /* a member's status changed: remember it durably, log it */
    REPL_DO_APPLIED,  /* a local change (token as in LOCAL_CHANGE) is durable here: id is its place in the log */
    REPL_DO_RECEIPT,  /* peer has the local change id durably, after elapsed_ms */
    REPL_DO_ALARM,    /* text: something that a person must know, e.g. an entry from the future */
    REPL_DO_REJECTED, /* the local change with the driver's token could not be stored: err; nothing of it happened */
    REPL_DO_STATE_STORED, /* the local state with the driver's token is durable (err ERR_OK), or was not stored (err) */
    /* Others know more of our log (of_state false) or of our state (of_state true) than this database does: it is older
     * than it was. Or: at the first change after a start some member cannot be asked, so that nobody knows whether it
     * is. From now on this node writes in epoch. Of the log: remember it durably as the database's epoch (the
     * next start's config.epoch). Of the state: report everything that still holds again, as LOCAL_STATE, and read it
     * before carrying out the actions that follow: the first record of the new epoch replaces, here too, what the old
     * one said. */
    REPL_DO_NEW_EPOCH,
    /* This node's disk has lost its state, and these are its own records of before, as a peer holds them: records
     * (slices point into the event's message). A later action may bring a newer version of one, also its removal. What
     * of it still holds is to be observed again; a new epoch, which replaces it at the peers, follows. */
    REPL_DO_OWN_FOUND,
    /* The replica's vector is upto, and everybody has it: make the time of the newest tombstone the floor, upto the
     * cut, and forget the tombstones up to there. STORE_FAILED with ERR_CONFLICT: upto is not the vector. */
    REPL_DO_RAISE_FLOOR,
    /* Take over floor with the cut upto. STORE_FAILED with ERR_CONFLICT: a change-set up to that floor is here and not
     * in the cut, or a part of the cut is missing. */
    REPL_DO_ADOPT_FLOOR,
    /* Answer peer's FETCH from the store with one REPL_SNAPSHOT of about LIMIT_MESH_CHUNK bytes, all of it from one
     * moment: floor always, vector in the first piece of objects, cut in the last piece of the tail. */
    REPL_DO_SEND_SNAPSHOT,
    /* Put a piece aside (first: begin anew), then STORED(token). message.snapshot points into the event's own message.
     */
    REPL_DO_PERSIST_PIECE,
    /* What was put aside takes the replica's place, with vector upto, floor and cut (store_submit_replacement says what
     * is kept), then STORED(token) with vector and time. STORE_FAILED with ERR_CONFLICT: it cannot. */
    REPL_DO_REPLACE
};

struct repl_action {
    enum repl_action_type type;
    struct node_name peer;
    struct repl_message message;    /* SEND, PERSIST_PIECE */
    struct repl_want want;          /* SEND_MISSING */
    struct repl_fetch fetch;        /* SEND_SNAPSHOT */
    bool first;                     /* PERSIST_PIECE */
    struct hlc floor;               /* ADOPT_FLOOR, REPLACE */
    const struct vector_entry *cut; /* REPLACE */
    size_t cut_count;
    uint64_t token;
    const struct changeset *changes; /* PERSIST_CHANGE; packed may be empty for a local one: the driver packs it */
    size_t change_count;
    const struct state_record *records; /* PERSIST_STATE, OWN_FOUND */
    size_t record_count;
    struct slice address;            /* DIAL */
    struct member_note member;       /* MEMBER */
    struct log_id id;                /* APPLIED, RECEIPT */
    uint64_t elapsed_ms;             /* RECEIPT */
    struct slice text;               /* ALARM */
    const struct vector_entry *upto; /* PERSIST_STATE: raise by these. SEND_MISSING: our state vector. See above */
    size_t upto_count;
    enum err err;   /* REJECTED, STATE_STORED */
    uint64_t epoch; /* NEW_EPOCH */
    bool of_state;  /* NEW_EPOCH */
    bool plan_only; /* SEND_MISSING */
};

struct repl_batch;
struct repl_actions {
    struct arena arena;
    struct repl_action *items; /* growing array, owned */
    size_t count;
    size_t cap;
    struct mono deadline;     /* when the next TICK is wanted at the latest */
    struct repl_batch **held; /* the core's own memory that items point into, counted until reset */
    size_t held_count;
    size_t held_cap;
};
/* Starts as {0}. Reset and fini come before repl_free of the core that filled it, or after: both are allowed. */
void repl_actions_reset(struct repl_actions *a);
void repl_actions_fini(struct repl_actions *a);

/* ERR_NOMEM. Copies everything it keeps. */
MUST_CHECK enum err repl_new(const struct repl_config *config, struct repl **out);
void repl_free(struct repl *r);

/* Appends actions. Never blocks; bounded work per event. Whatever it returns, the actions appended are to be carried
 * out. ERR_LIMIT, ERR_SYNTAX: a message that no honest peer sends; it changed nothing. ERR_REFUSED: a message or a
 * local change where one side has left or is evicted. ERR_UNREACHABLE: a local change, and this node has met no member
 * of the cluster that it is to join. ERR_NOTFOUND: an unknown token or peer. An error for a LOCAL_*
 * event means that nothing of it was taken (ERR_FULL: too many wait already; ERR_LIMIT, ERR_SYNTAX: over a cap;
 * ERR_NOMEM). ERR_NOMEM otherwise: feed the event again. What was taken of a message stays taken, and taking it again
 * is harmless. Memory that is short when actions are made is no error: what could not be said is said in the next step,
 * soon. */
MUST_CHECK enum err repl_step(struct repl *r, const struct repl_event *ev, struct repl_actions *out);

/* What the core knows of each member, for people and for routing. Borrowed until the next step. Self is first. */
struct repl_member_view {
    struct node_name name;
    struct slice site;
    struct slice mesh_address;
    enum member_status status;
    uint64_t incarnation;
    bool linked;
    uint32_t rtt_us;   /* of the last acknowledged message, 0 unknown */
    struct mono heard; /* last message from it, {0} never in this run */
    struct wall since; /* of the present status, across restarts of this node; {0} not known */
    uint64_t issued;   /* see struct member_note */
    uint64_t barred;
    unsigned char plan_digest[32];
    bool plan_known; /* plan_digest is of its last heartbeat */
    bool in_step;    /* its plan vector root equals ours */
    /* How many change-sets it lacks, and has that we lack, by what it last said: at least so many. Not known where it
     * has as many, and others. */
    bool totals_known;
    uint64_t plan_behind, plan_ahead;
    bool state_in_step;        /* its state vector root equals ours */
    bool own_state_known;      /* it has spoken of our state of this run */
    uint64_t own_state_behind; /* so many of our own records it lacks */
    struct mono current;       /* it has all that we had then; {0} not known */
};
size_t repl_member_count(const struct repl *r);
struct repl_member_view repl_member_at(const struct repl *r, size_t i);
/* MEMBER_DEAD for a name that is not a member. */
enum member_status repl_member_status(const struct repl *r, const struct node_name *name);
struct hlc repl_now(const struct repl *r);
/* The epoch of our own state, and the last version that was given to a record, stored or not. */
struct vector_entry repl_own_state(const struct repl *r);
/* How far deletions are forgotten; and a snapshot that is under way, with the number of objects that have come. */
struct repl_floor_view {
    struct hlc floor;
    uint64_t tombstones;
    bool fetching;
    struct node_name donor;
    uint64_t objects;
};
struct repl_floor_view repl_floor(const struct repl *r);

/* What waits inside the core, and how much of it may: for the metrics page, and for tests that no queue grows without
 * bound. used exceeds limit by one item at most where an item may be larger than the limit. */
struct repl_queue {
    const char *name;
    size_t used;
    size_t limit;
};
#define REPL_QUEUE_COUNT 9
/* i < REPL_QUEUE_COUNT. Cheap. */
struct repl_queue repl_queue_at(const struct repl *r, size_t i);
/* Drops, refusals and repairs, for the metrics page. Lives as long as r. */
const struct counter_table *repl_counters(const struct repl *r);
/* The epoch in which this node writes changes, and the one of its state. */
uint64_t repl_plan_epoch(const struct repl *r);
uint64_t repl_state_epoch(const struct repl *r);

#endif
