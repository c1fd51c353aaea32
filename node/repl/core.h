/* core: the state behind struct repl, shared by the rooms of this folder and by nobody else.
 *
 * How a step works: a handler (one per event, see step.c) changes plain state and marks what follows from it; then
 * repl_flush turns the marks into actions, and clears each mark only when its action has been appended. So an event
 * that was taken is never lost for want of memory: what could not be said in this step is said in the next.
 *
 *   member.c     who is there, how each of them does, what we say of it
 *   overlay.c    who is linked with whom, and who observes whom
 *   observe.c    silence, accusations, death; whether it is we who are cut off
 *   heartbeat.c  the second's pulse, in and out
 *   changes.c    the change log: local changes, received ones, flood, receipts
 *   state.c      observed state: our own versions, received records, batched pushes
 *   sync.c       anti-entropy: who is asked for what is missing; the discovery that our own disk is old
 *   recover.c    our own earlier state, asked back from the peers when the disk has none
 *   floor.c      who is in step, and when deletions may be forgotten
 *   fetch.c      a snapshot of a peer that takes our replica's place, piece by piece
 *   check.c      what no honest peer sends */
#ifndef TANDEM_REPL_CORE_H
#define TANDEM_REPL_CORE_H

#include "node/base/rng.h"
#include "node/repl/actions.h"
#include "node/repl/clock.h"
#include "node/repl/vector.h"

#define REPL_HEARTBEAT_MS 2000       /* to those who observe us; they and we take turns */
#define REPL_HEARTBEAT_RETRY_MS 100  /* after one that was not acknowledged */
#define REPL_HEARTBEAT_RING_MS 10000 /* to neighbours that do not observe us */
#define REPL_HEARTBEAT_FAR_MS 5000   /* times the number of links off the rings, to each of them */
#define REPL_HEARTBEAT_NEWS_MS 4000  /* to all, when our plan or state moved */
#define REPL_OVERTAKEN_MS 1000       /* so much later no older heartbeat comes any more */
#define REPL_PROBE_AFTER_MS 1250     /* of silence: asked for a sign of life */
#define REPL_PROBE_MS 125
#define REPL_ANSWER_MS 50 /* signs of life on demand: so often at most */
#define REPL_SUSPECT_MS 2500
#define REPL_CONFIRM_MS 2050      /* of silence, when somebody else accuses it: more than REPL_SILENT_MS */
#define REPL_GRACE_MS 200         /* between a majority's accusation and death: time to refute */
#define REPL_AT_ONCE_MS 6000      /* who fell silent within such a time fell silent together */
#define REPL_SILENT_MS 2000       /* silent, when we ask whether it is we who are cut off */
#define REPL_NOTE_MS 5000         /* a member that changed is spoken of for so long */
#define REPL_TELL_MS 10           /* news waits so long for more */
#define REPL_NOTES_MAX 256        /* in one heartbeat */
#define REPL_NOTES_SETTLE_MS 2000 /* tables that still differ after so long are compared note by note */
#define REPL_KEEP_MS 10000        /* a link that the overlay does not want is kept so long */
#define REPL_MESH_MAX 64          /* nodes of a full mesh */
#define REPL_RINGS 4
#define REPL_RING_ALL 9      /* up to so many nodes, all are neighbours */
#define REPL_OBSERVE_ALL 6   /* and up to so many, all observe all */
#define REPL_OBSERVE_RINGS 2 /* else the neighbours on so many rings */
#define REPL_OBSERVERS_MAX (REPL_OBSERVE_ALL - 1)
#define REPL_STATE_BATCH_MS 50
#define REPL_WANT_TIMEOUT_MS 1000
#define REPL_WANT_MAX 2 /* peers asked at a time: more would send the same bytes */
#define REPL_STORE_RETRY_MIN_MS 1000
#define REPL_STORE_RETRY_MAX_MS 8000
#define REPL_HOLD_MS 5000    /* after the start: time for the members to say what they have of our log */
#define REPL_RECOVER_MS 3000 /* our lost state is given up when nothing of it comes for so long */
#define REPL_RECOVER_RETRY_MS 200
#define REPL_NOMEM_RETRY_MS 10
#define REPL_HELD_MAX 64  /* change-sets that wait for a gap before them to close */
#define REPL_HELD_MS 5000 /* and so long */
#define REPL_HELD_BYTES 1048576
#define REPL_NEXT_BYTES 8388608   /* received and waiting for the batch that is being stored */
#define REPL_TRACKED 64           /* local changes whose receipts are reported */
#define REPL_FLOOR_SETTLE_MS 2000 /* the plan is left alone for so long before deletions are forgotten */
#define REPL_FLOOR_RETRY_MS 1000
#define REPL_SNAPSHOTS_MAX 3       /* served at a time */
#define REPL_SNAPSHOT_BUSY_MS 3000 /* one that has asked so lately is being served */
#define REPL_FETCH_TIMEOUT_MS 3000
#define REPL_FETCH_RETRY_MS 1000
#define REPL_FETCH_RETRY_MAX_MS 60000 /* a donor that puts us off for longer is not obeyed */
#define REPL_PIECES_MAX 16            /* on their way to disk */
#define REPL_ALARM_REPEAT_MS 60000
#define REPL_ADDRESS_MAX (LIMIT_HOST + 8)
#define REPL_RECEIPT_IDS_MAX 4096           /* in one message */
#define REPL_COUNT_MAX (UINT64_C(1) << 62)  /* of epochs, sequence numbers, versions, incarnations */
#define REPL_EPOCH_MAX (REPL_COUNT_MAX / 2) /* is believed to be ours: behind it is room for those that follow */

#define REPL_COUNTERS(X)                                                                                               \
    X(changes_duplicate)                                                                                               \
    X(changes_held)                                                                                                    \
    X(changes_dropped)                                                                                                 \
    X(changes_future)                                                                                                  \
    X(changes_below_floor)                                                                                             \
    X(changes_lost)                                                                                                    \
    X(floors_raised)                                                                                                   \
    X(floors_adopted)                                                                                                  \
    X(floors_refused)                                                                                                  \
    X(snapshots_begun)                                                                                                 \
    X(snapshots_given_up)                                                                                              \
    X(snapshots_taken)                                                                                                 \
    X(snapshots_put_off)                                                                                               \
    X(pieces_sent)                                                                                                     \
    X(pieces_stale)                                                                                                    \
    X(state_stale)                                                                                                     \
    X(state_gaps)                                                                                                      \
    X(state_dropped)                                                                                                   \
    X(store_failures)                                                                                                  \
    X(wants_sent)                                                                                                      \
    X(wants_received)                                                                                                  \
    X(wants_timed_out)                                                                                                 \
    X(pushes_failed)                                                                                                   \
    X(messages_invalid)                                                                                                \
    X(messages_refused)                                                                                                \
    X(members_over_limit)                                                                                              \
    X(accusations_refuted)                                                                                             \
    X(accusations_made)                                                                                                \
    X(accusations_ignored)                                                                                             \
    X(deaths_told)                                                                                                     \
    X(probes_sent)                                                                                                     \
    X(own_stalls)                                                                                                      \
    X(new_epochs)                                                                                                      \
    X(own_records_found)                                                                                               \
    X(recover_timeouts)                                                                                                \
    X(retries_without_memory)

#define REPL_COUNTER_ENUM(id) REPL_COUNT_##id,
enum repl_counter { REPL_COUNTERS(REPL_COUNTER_ENUM) REPL_COUNTER_COUNT };

enum want_state {
    WANT_NONE,
    WANT_OUT,    /* asked; the answer is due until want_until */
    WANT_STORING /* answered; what came is on its way to disk */
};

/* What goes with a link; only those members have one that we link to, or that have spoken to us. */
struct peer {
    bool wanted;   /* the overlay wants a link to it */
    bool ring;     /* a neighbour on one of the rings: news and changes are passed on to it */
    bool observed; /* we judge its silence, and it judges ours */
    bool linked;
    bool hangup_due;
    bool observe_kept; /* while the overlay is chosen anew */
    bool answer_due;   /* it asked for a sign of life */
    uint32_t rtt_us;
    struct mono heard;       /* {0} never in this run */
    struct mono silent_from; /* from here its silence is counted */
    struct mono linked_at;
    struct mono answered_at;
    bool doubted; /* we doubted it in this incarnation, or think that others do; it is told until it refutes that */
    uint64_t doubted_incarnation;

    bool notes_all; /* its next heartbeats carry notes of every member, until one is acknowledged */
    size_t notes_from;
    uint64_t notes_token;
    struct mono heartbeat_at;
    uint64_t heartbeat_token;
    struct mono heartbeat_turn; /* when it is our turn: heartbeat_at, unless there is a reason to hurry */
    uint64_t told_root;         /* a part of our roots when we last sent a heartbeat */

    /* its last heartbeat */
    bool recheck;              /* a heartbeat seemed to be overtaken: another is asked for */
    uint64_t beat_incarnation; /* of which it is, and its time */
    struct hlc beat_time;
    bool roots_known;
    bool digest_known;
    bool spoken; /* it has said, in this run, what it has of our log and state, and that no more of an earlier life of
                    ours is on its way to its disk */
    uint64_t leftover; /* batches up to this id were begun before the link came up */
    unsigned char plan_digest[32];
    unsigned char plan_root[REPL_ROOT_LEN];
    unsigned char state_root[REPL_ROOT_LEN];
    uint64_t member_root;
    struct hlc floor;
    struct vector_entry claims; /* what it has of our own log, by its last heartbeat; origin is not set */

    unsigned steps_told; /* the version of our steps that it has acknowledged */
    unsigned steps_sent;
    uint64_t steps_token;
    struct mono fetched_at;    /* it last asked for a piece of a snapshot; {0} never */
    struct repl_totals totals; /* plan grows with its receipts, */
    bool totals_grown;         /* and has since plan_root was said */

    /* How old its data is: at mark_at we held mark, and it has caught up with that at current ({0}: never yet). */
    struct vector_entry your_state; /* how far it has our state */
    struct repl_totals mark;
    uint64_t mark_log;   /* of our own log */
    uint64_t mark_state; /* of our own state */
    struct mono mark_at;
    struct mono current;
    struct mono member_root_at; /* when it was said */

    /* what we ask of it: sync.c */
    bool want_due;
    bool want_anyway; /* also when its last roots equal ours: something showed that they are old */
    enum want_state want;
    struct mono want_until;
    uint64_t want_token;
    bool answer_more;
    uint64_t answer_changes; /* ids of the batches that hold its answer, 0: stored, or none */
    uint64_t answer_state;

    /* receipts: ours to it, and its to us */
    struct log_id owes;     /* seq 0: nothing */
    bool owes_others;       /* it passes on to those that we cannot be linked with */
    uint64_t has_seq;       /* of our log in our present epoch: durable there */
    uint64_t receipted_seq; /* reported to the driver */
};

/* Kept small: a cluster may have LIMIT_MEMBERS of them. */
struct member {
    struct node_name name;
    uint64_t incarnation;
    uint64_t issued; /* see struct member_note */
    uint64_t barred;
    struct wall since;        /* of status; {0}: not known yet */
    struct mono spoken_until; /* its note travels in heartbeats until then */
    char *address;            /* NULL: none is known */
    char *site;
    struct peer *peer;   /* NULL: no link concerns it */
    struct doubt *doubt; /* NULL: nobody accuses it */
    enum member_status status;
    bool hidden;     /* suspect only because nobody who could tell of it is heard: observe.c */
    bool record_due; /* REPL_DO_MEMBER */
    bool dial_due;
    bool in_news;
    bool presumed; /* suspect only because it has not been heard since we started */
};

/* Who accuses one member of silence: observe.c. NULL stands for ourselves. */
struct doubt {
    size_t by_count;
    const struct member *by[REPL_OBSERVERS_MAX];
    struct mono told_until[REPL_OBSERVERS_MAX]; /* the accusation travels in heartbeats until then */
    unsigned generation;                        /* of the overlay that the observers are of */
    size_t observer_count;
    const struct member *observers[REPL_OBSERVERS_MAX];
    struct mono dead_at; /* {0}: no majority */
};

struct member_list {
    struct member **items;
    size_t count;
    size_t cap;
};

struct members {
    struct member **items; /* sorted by name; without ourselves */
    size_t count;
    size_t cap;
    struct member_list peers;  /* those with a peer, sorted by name */
    struct member_list news;   /* those that are spoken of */
    struct member_list doubts; /* those that are accused */
    uint64_t root;             /* a sum of one hash per member; without ourselves */
    uint64_t who_root;         /* the same over names, and who of them is gone for good */
    struct mono changed_at;    /* when root last changed */
    bool records_due;          /* some member has record_due or dial_due */
    bool overlay_due;
    unsigned generation; /* of the overlay */
    bool overlay;        /* more members than a full mesh takes */
    size_t far_count;    /* wanted links off the rings */
    bool cut_off;        /* most of the observed fell silent at once */
    bool dialled_heard;  /* somebody that can be dialled is heard, by whom the others' words come */
    struct mono tell_at; /* news is due then; MONO_NEVER: there is none */
};

enum local_state { LOCAL_WAITING, LOCAL_STORING, LOCAL_STORED, LOCAL_FAILED };
struct local_change {
    struct repl_batch *batch; /* the one change-set */
    uint64_t driver_token;
    struct mono at;
    struct hlc after;   /* its time must be later */
    struct hlc exactly; /* {0}, or its time */
    enum local_state state;
    enum err err;
};

/* A change-set whose predecessor has not come yet. */
struct held_change {
    struct held_change *next;
    struct mono since;
    struct repl_batch *batch; /* the one change-set */
};

struct changes {
    struct repl_vector have;    /* durable here */
    struct repl_vector planned; /* the same, and what is on its way to disk */
    uint64_t epoch;             /* in which we write */
    struct repl_batch *storing; /* received */
    struct repl_batch *next;    /* received while storing was under way */
    struct repl_batch *flood;   /* stored, to be pushed; a queue by ->next */
    struct repl_batch **flood_tail;
    struct held_change *held;
    size_t held_count;
    size_t held_bytes;
    struct local_change local[REPL_LOCAL_QUEUE]; /* ring: at most the first is being stored */
    size_t local_head;
    size_t local_count;
    struct hlc ahead;  /* the last time of ours where our clock could not follow: no two changes have one time */
    bool numbers_ours; /* our log ends for everybody where it ends here, or it is a new one */
    struct tracked_change {
        uint64_t seq; /* 0: free */
        struct mono at;
    } tracked[REPL_TRACKED]; /* by seq modulo */
};

/* One record of ours between LOCAL_STATE and its report. */
struct own_record {
    struct state_record record; /* key and value point behind this struct */
    bool mark;                  /* no record: only its version, which shows the peers that a new epoch has begun */
    uint64_t driver_token;
    bool raises; /* storing it raises our entry in the vector */
    bool done;
    enum err err;
    char text[];
};

/* Our own earlier state, which this disk has lost: recover.c. */
struct recovery {
    bool empty;  /* the disk held nothing of ours at the start */
    bool active; /* it is being asked back; nothing of ours is shown meanwhile */
    uint64_t epoch;
    uint64_t high;   /* the most that anybody was heard to have of it */
    uint64_t cursor; /* so much of it is here */
    uint64_t found;  /* records */
    struct node_name donor;
    struct mono ask_at;
    struct mono until;
};

struct states {
    struct recovery recover;
    struct repl_vector have;
    struct repl_vector planned;
    uint64_t epoch;      /* of our own records */
    uint64_t version;    /* the last one given out */
    bool numbers_ours;   /* our versions end for everybody where they ended here at the start, or the epoch is new */
    uint64_t start_high; /* where they ended */
    uint64_t base; /* this run gives out versions above it, and earlier runs none between start_high and it that were
                      shown */
    bool covered;  /* our entry in the vector covers every record of ours on the disk: only then are they shown */
    bool mark_due; /* a new epoch is to be shown at mark_at, even when nothing is left to report in it */
    struct mono mark_at;
    struct own_record **own; /* ring of cap (a power of two), own_head.. */
    size_t own_cap;
    uint64_t own_head;  /* running numbers, which are the tokens */
    uint64_t own_asked; /* the first that is not asked yet */
    uint64_t own_tail;
    struct repl_batch *storing;
    struct repl_batch *next;
    struct repl_batch *out; /* our records, durable, not yet pushed */
    struct mono out_at;     /* when out goes at the latest */
    uint64_t pushed;        /* our version up to which pushes have gone out, or need none */
};

enum floor_job { FLOOR_IDLE, FLOOR_RAISING, FLOOR_ADOPTING };
struct floors {
    struct hlc floor;
    struct hlc heard; /* the highest floor of a peer: what we write must be newer, also before it is ours */
    uint64_t tombstones;
    uint64_t pending;    /* changes that are open: what settles one has a time of the past, so nothing is forgotten */
    struct hlc time_max; /* of all that is durable here */
    bool whole;          /* nobody has more of our own log than we do */
    uint64_t key;        /* what steps is about; 0: there is nothing to forget */
    unsigned char *steps;
    size_t steps_len;
    unsigned version; /* of steps */
    struct mono settled_at;
    enum floor_job job;
    uint64_t token;
    struct node_name from; /* whose floor is being adopted */
    struct mono not_before;
};

struct fetching {
    bool active;
    bool tail;
    bool begun;     /* the first piece is here */
    bool ask_due;   /* for the next piece */
    bool complete;  /* all pieces are here */
    bool replacing; /* and the store has been asked to change over */
    struct node_name donor;
    uint64_t begun_id; /* among the ids of batches: when it was begun */
    uint64_t id;       /* of the piece that is asked for */
    struct mono until;
    struct mono not_before;
    struct hlc floor;
    char after[REPL_CHANGE_KEY_MAX];
    size_t after_len;
    struct repl_vector have;  /* the donor's at the first piece, and what the tail has added */
    struct vector_entry *cut; /* of the last piece */
    size_t cut_count;
    unsigned storing; /* pieces on their way to disk; also of a snapshot that was given up */
    uint64_t objects;
};

enum repl_alarm { ALARM_FUTURE, ALARM_OLD_LOG, ALARM_OLD_STATE, ALARM_OUT, ALARM_LOST, ALARM_COUNT };

struct repl {
    struct node_name self;
    char site[LIMIT_NAME + 1];
    char address[REPL_ADDRESS_MAX + 1];
    enum member_status self_status;
    bool self_record_due;
    uint64_t incarnation;
    struct wall self_since;
    uint64_t issued; /* of ourselves; see struct member_note */
    uint64_t barred;
    struct wall joined;
    struct mono self_spoken_until;
    unsigned char plan_digest[32];

    struct rng rng;
    struct repl_clock clock;
    struct hlc replica_time; /* of the configuration, followed at the first step */
    bool started;
    bool joins;      /* it has not met a member yet */
    struct mono now; /* of the present step */
    struct wall wall;
    uint64_t last_id; /* of tokens and batches */

    struct mono hold_until; /* after the start we wait so long for the members to say what they have of ours */

    struct mono timer; /* the members and timers need a look then */
    bool scan;         /* or now */

    struct members members;
    size_t linked_count;
    struct changes changes;
    struct states states;
    struct floors floors;
    struct fetching fetching;
    struct mono sync_not_before; /* the store failed: nobody is asked before */
    uint64_t store_retry_ms;

    struct {
        bool due;
        bool raised;
        struct mono at; /* last raised */
        char text[400];
    } alarms[ALARM_COUNT];
    struct {
        bool due;
        uint64_t epoch;
    } new_epoch[2]; /* of the log, of state */

    struct counter_table counter_table;
    _Atomic uint64_t counts[REPL_COUNTER_COUNT];
};

/* ---- tokens: what a number means is in its upper byte ---- */

enum token_kind {
    TOKEN_HEARTBEAT = 1,
    TOKEN_WANT,
    TOKEN_OTHER,
    TOKEN_CHANGES, /* a batch of received change-sets */
    TOKEN_LOCAL,   /* the local change at the head */
    TOKEN_STATE,   /* a batch of received records */
    TOKEN_OWN,     /* one record of ours */
    TOKEN_FLOOR,
    TOKEN_PIECE,
    TOKEN_REPLACE
};
#define TOKEN_SHIFT 56
static inline uint64_t repl_token(enum token_kind kind, uint64_t n)
{
    return (uint64_t)kind << TOKEN_SHIFT | n;
}
static inline enum token_kind repl_token_kind(uint64_t t)
{
    return (enum token_kind)(t >> TOKEN_SHIFT);
}
static inline uint64_t repl_token_number(uint64_t t)
{
    return t & ((UINT64_C(1) << TOKEN_SHIFT) - 1);
}

/* No change-set may be written now: the floor is moving, or a snapshot is taking the replica's place. */
static inline bool repl_plan_held(const struct repl *r)
{
    return r->floors.job != FLOOR_IDLE || r->fetching.complete;
}

static inline void repl_count(struct repl *r, enum repl_counter c, uint64_t n)
{
    counter_add(&r->counts[c], n);
}
/* The core wants a look at t. */
static inline void repl_wake(struct repl *r, struct mono t)
{
    r->timer = mono_min(r->timer, t);
}
static inline bool repl_status_final(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}
/* Marks an alarm; the same kind is raised again after REPL_ALARM_REPEAT_MS at the earliest. */
void repl_alarm(struct repl *r, enum repl_alarm kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* SEND of a message of this type to m, token set; NULL: no memory. batch may be NULL. */
struct repl_action *repl_send_add(struct repl *r, struct repl_actions *out, const struct member *m,
                                  enum repl_message_type type, enum token_kind kind, struct repl_batch *batch);

#endif
